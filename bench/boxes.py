#!/usr/bin/env python3
"""Agreement of quantized detectors and text readers with their float models, by boxes and texts. Needs numpy.
    bench/boxes.py [--build build] [--shared ../shared] [--work DIR] [--folds 12] [--only NAME,..] [SECTION ...]
Sections: nanodet, det, rec. What is tested is never calibrated with: photographs (three files each) are cut into
--folds parts, text pictures are left out one by one, with all their views; results of all parts are added up."""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

NANODET = ["--mean", "103.53,116.28,123.675", "--scale", "0.01742919,0.01750700,0.01712475", "--pixel_format", "bgr"]
ASYM = "asymmetric"
# What a word of a setting adds to run_calibration; --recovered or --quantize_table goes with it.
STEPS = {"rounding": ["--finetune_level", "1"], "prefix": ["--finetune_level", "2"],
         "products": ["--part_quantize", "H_mode"],
         "search": ["--search", "optimal", "--max_float_macs", "10", "--inference_num", "8"]}
# Method, then what else; other combinations can be named by --only. "products": convolutions and products in integers,
# all else in F16; "entry": the first layers too, as far as 10 % of the MACs go; "search": at most 10 % of them not in INT8.
SETTINGS = ["mse", "mse asymmetric", "max asymmetric", "mse asymmetric products", "mse asymmetric products entry",
            "mse asymmetric search"]


class Bench:
    def __init__(self, options):
        self.bin = os.path.abspath(os.path.join(options.build, "bin"))
        self.shared = os.path.abspath(options.shared)
        self.work = os.path.abspath(options.work or tempfile.mkdtemp(prefix="mica-boxes-"))
        os.makedirs(self.work, exist_ok=True)
        self.folds = options.folds
        self.names = options.only.split(",") if options.only else SETTINGS

    def path(self, *names):
        return os.path.join(self.work, *names)

    def data(self, *names):
        return os.path.join(self.shared, *names)

    def run(self, program, *arguments):
        command = [os.path.join(self.bin, program)] + [str(a) for a in arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            sys.exit("FAILED: %s\n%s" % (" ".join(command), done.stderr.strip()))
        return done.stdout

    def transform(self, name, *more):
        self.run("model_transform", "--model_name", name, "--model_def", self.data("models", name + ".onnx"),
                 "--mlir", self.path(name + ".mlir"), *more)

    def outputs(self, model, sample):
        self.run("model_runner", "--model", self.path(model), "--input", sample, "--output", self.path("out.npz"))
        with np.load(self.path("out.npz")) as z:
            return {k: z[k] for k in z.files}

    def quantize(self, name, samples, setting):
        """Makes a bundle and returns its name."""
        words = setting.split()
        asymmetric = ["--asymmetric"] if ASYM in words else []
        with open(self.path("samples.txt"), "w") as file:
            file.writelines(s + "\n" for s in samples)
        table, mlir = self.path("table"), self.path(name + ".mlir")
        common = ["--data_list", self.path("samples.txt"), "--doctor", "off", "--quiet", "--cali_method", words[0],
                  "-o", table, "--cache", self.path("statistics")]
        deploy = ["--quantize", "INT8", "--calibration_table", table] + asymmetric
        steps = [w for w in words if w in STEPS]
        if not steps:
            self.run("run_calibration", mlir, *common)
        for step in steps:
            recovers = "--finetune_level" in STEPS[step]
            where = ["--recovered", self.path(name + "_recovered.mlir")] if recovers else \
                ["--quantize_table", self.path("qtable")]
            used = asymmetric if step != "products" else []
            self.run("run_calibration", mlir, *common, *STEPS[step], *used, *where)
            mlir = where[1] if recovers else mlir
            deploy += [] if recovers else where
        if "entry" in words:
            deploy = add_entry(mlir, self.path("qtable"), "--quantize_table" in deploy) + deploy
        self.run("model_deploy", "--mlir", mlir, "--processor", "bm1684x", "--model", self.path(name + ".bmodel"), *deploy)
        return name + ".bmodel"


def add_entry(mlir, table, has_rows, share=0.1):
    """F16 for all ops up to the last convolution that keeps the MACs of all so far within the share."""
    rows, macs = [], []
    with open(mlir) as file:
        for line in file:
            op = re.search(r'= "top\.(\w+)"\(.*\) -> \(?tensor<([\dx]+)xf32>.*loc\(.*?"([^"]+)"', line)
            if op and op.group(1) not in ("Weight", "Input", "None"):
                shapes = [[int(d) for d in t.split("x")] for t in re.findall(r"tensor<([\dx]+)xf32>", line)]
                rows.append(op.group(3))
                depth = {"Conv": np.prod(shapes[1][1:]), "MatMul": shapes[0][-1]}.get(op.group(1), 0) if len(shapes) > 2 else 0
                macs.append(int(np.prod(shapes[-1]) * depth))
    sums = np.cumsum(macs)
    last = max((i for i, m in enumerate(macs) if m and sums[i] <= share * sums[-1]), default=-1)
    old = open(table).readlines() if has_rows else []
    old = [row for row in old if row.split()[0] not in rows[:last + 1]]
    with open(table, "w") as file:
        file.writelines(old + ["%s F16\n" % name for name in rows[:last + 1]])
    print("%s: %d ops of the entry, %.1f %% of the MACs" % (mlir, last + 1, 100.0 * sums[last] / sums[-1]), file=sys.stderr)
    return [] if has_rows else ["--quantize_table", table]


def table(title, head, rows):
    print("\n### %s\n\n| %s |\n|%s" % (title, " | ".join(head), "---|" * len(head)), flush=True)
    for row in rows:
        print("| %s |" % " | ".join(str(c) for c in row), flush=True)


# --- boxes ----------------------------------------------------------------------------------------------

def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def matches(a, b):
    """How many of a, the surest first, find a box of b of their own: same class, IoU >= 0.5. (score, class, box)"""
    free, count = list(b), 0
    for _, kind, box in sorted(a, key=lambda x: -x[0]):
        found = max(((iou(box, o[2]), i) for i, o in enumerate(free) if o[1] == kind), default=(0.0, 0))
        if found[0] >= 0.5:
            free.pop(found[1])
            count += 1
    return count


def nanodet_boxes(out, threshold=0.3, overlap=0.6):
    """Boxes of all classes, the surest of those that overlap."""
    found = []
    scores = sorted((k for k in out if out[k].shape[-1] == 80), key=lambda k: -out[k].shape[1])
    edges = sorted((k for k in out if out[k].shape[-1] == 44), key=lambda k: -out[k].shape[1])
    for stride, s, e in zip((8, 16, 32), scores, edges):
        score, edge = out[s][0], out[e][0]
        at, kind = np.nonzero(score > threshold)
        p = np.exp(edge[at].reshape(-1, 4, 11))
        far = (p / p.sum(2, keepdims=True) * np.arange(11)).sum(2) * stride
        side = 416 // stride
        x, y = at % side * stride + stride / 2, at // side * stride + stride / 2
        box = np.stack([x - far[:, 0], y - far[:, 1], x + far[:, 2], y + far[:, 3]], 1).clip(0, 416)
        found += list(zip(score[at, kind], kind, box))
    kept = []
    for one in sorted(found, key=lambda f: -f[0]):
        if all(k[1] != one[1] or iou(k[2], one[2]) <= overlap for k in kept):
            kept.append(one)
    return kept


class Agreement:
    """Counts of float boxes, quantized boxes, and matches; and those that only the threshold parts."""

    def __init__(self):
        self.float = self.quantized = self.same = self.near = 0

    def add(self, boxes, out_float, out_quantized):
        a, b, b_low = boxes(out_float), boxes(out_quantized), boxes(out_quantized, 0.25)
        self.float += len(a)
        self.quantized += len(b)
        self.same += matches(a, b)
        self.near += matches(a, b_low)

    def row(self):
        return (self.float, self.quantized, "%.1f %%" % (100.0 * self.same / max(self.float, 1)),
                "%.1f %%" % (100.0 * self.same / max(self.quantized, 1)),
                "%.1f %%" % (100.0 * self.near / max(self.float, 1)))


HEAD = ("options", "boxes, float", "quantized", "of float found", "of quantized in float", "of float found above 0.25")


def section_nanodet(bench):
    bench.transform("nanodet", *NANODET)
    folder = bench.data("data/photos")
    files = [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith(".jpg")]
    photos = [files[i:i + 3] for i in range(0, len(files), 3)]
    reference = {f: bench.outputs("nanodet.mlir", f) for f in files}
    found = {setting: Agreement() for setting in bench.names}
    for fold in range(bench.folds):
        tests = [f for p in photos[fold::bench.folds] for f in p]
        for setting in bench.names:
            model = bench.quantize("nanodet", [f for f in files if f not in tests], setting)
            for f in tests:
                found[setting].add(nanodet_boxes, reference[f], bench.outputs(model, f))
            print(fold, setting, found[setting].row(), file=sys.stderr, flush=True)
    rows = [(setting,) + agreement.row() for setting, agreement in found.items()]
    table("NanoDet, %d photographs, %d parts" % (len(photos), bench.folds), HEAD, rows)


# --- text: pictures and their views -----------------------------------------------------------------------

PIXELS = """module @pixels attributes {module.chip = "ALL", module.platform = "ONNX", module.state = "TOP_F32"} {
  func.func @main(%arg0: TYPE loc("image")) -> (TYPE) {
    %0 = "top.Input"(%arg0) {channel_format = "nchw", do_preprocess = true, mean = array<f64: 0.0, 0.0, 0.0>,
      pixel_format = "rgb", scale = array<f64: 1.0, 1.0, 1.0>} : (TYPE) -> TYPE loc("input")
    %1 = "top.Relu"(%0) : (TYPE) -> TYPE loc("pixels")
    return %1 : TYPE loc(unknown)
  } loc(unknown)
} loc(unknown)
"""


def jpeg_size(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(data[at + 2:at + 4], "big")
    return int.from_bytes(data[at + 5:at + 7], "big"), int.from_bytes(data[at + 7:at + 9], "big")


def picture(bench, path):
    """[3][height][width] rgb, by a module that does nothing."""
    kind = "tensor<1x3x%dx%dxf32>" % jpeg_size(path)
    with open(bench.path("pixels.mlir"), "w") as file:
        file.write(PIXELS.replace("TYPE", kind))
    return bench.outputs("pixels.mlir", path)["pixels"][0]


def resize(image, height, width):
    """Linear, averaging what a pixel covers."""
    for axis, size in ((1, height), (2, width)):
        old = image.shape[axis]
        scale, reach = old / size, max(old / size, 1.0)
        centre = (np.arange(size) + 0.5) * scale - 0.5
        weight = np.maximum(0.0, 1.0 - np.abs(np.arange(old)[None] - centre[:, None]) / reach)
        weight /= weight.sum(1, keepdims=True)
        image = np.moveaxis(np.tensordot(weight, image, (1, axis)), 0, axis)
    return image


def text_pictures(bench):
    folder = bench.data("data/text")
    return {f: picture(bench, os.path.join(folder, f)) for f in sorted(os.listdir(folder)) if f.endswith(".jpg")}


def save(bench, name, array):
    path = bench.path(name + ".npy")
    np.save(path, np.ascontiguousarray(array[None], np.float32))
    return path


# --- text detection -----------------------------------------------------------------------------------

SIDE = 640


def det_input(image, longest):
    """The image with that longest side in the corner of a black square, as the network wants it."""
    scale = longest / max(image.shape[1:])
    small = resize(image, max(1, round(image.shape[1] * scale)), max(1, round(image.shape[2] * scale)))
    square = np.zeros((3, SIDE, SIDE))
    square[:, :small.shape[1], :small.shape[2]] = small
    mean, deviation = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    return (square - mean[:, None, None]) / deviation[:, None, None]


def det_views(image):
    """The whole picture in three sizes, and of large ones four overlapping parts."""
    _, h, w = image.shape
    if max(h, w) < 400:
        return [det_input(image, side) for side in (160, 320, 480)]
    parts = [image[:, y:y + int(0.6 * h), x:x + int(0.6 * w)] for y in (0, int(0.4 * h)) for x in (0, int(0.4 * w))]
    return [det_input(image, side) for side in (640, 512, 400)] + [det_input(part, 640) for part in parts]


def components(mask):
    """Rectangles (x0, y0, x1, y1) around sets of neighbours, diagonal ones too."""
    parent, boxes, before = [], [], []
    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i
    for y in range(mask.shape[0]):
        edge = np.flatnonzero(np.diff(np.concatenate(([0], mask[y], [0]))))
        row = []
        for a, b in zip(edge[::2], edge[1::2]):
            i = len(parent)
            parent.append(i)
            boxes.append([a, y, b, y + 1])
            for c, d, j in before:
                if c <= b and a <= d:
                    parent[root(j)] = root(i)
            row.append((a, b, i))
        before = row
    merged = {}
    for i, box in enumerate(boxes):
        old = merged.setdefault(root(i), box)
        merged[root(i)] = [min(old[0], box[0]), min(old[1], box[1]), max(old[2], box[2]), max(old[3], box[3])]
    return list(merged.values())


def det_boxes(out, threshold=0.3):
    """As PaddleOCR with its defaults, but upright rectangles and this least score."""
    probability = next(iter(out.values()))[0, 0]
    found = []
    for x0, y0, x1, y1 in components((probability > 0.3).astype(np.int8)):
        score = probability[y0:y1, x0:x1].mean()
        if min(x1 - x0, y1 - y0) < 3 or score <= threshold:
            continue
        grow = (x1 - x0) * (y1 - y0) * 1.5 / (2 * (x1 - x0 + y1 - y0))
        found.append((score, 0, (x0 - grow, y0 - grow, x1 + grow, y1 + grow)))
    return found


def section_det(bench):
    bench.transform("ppocr_det", "--input_shapes", "[[1,3,%d,%d]]" % (SIDE, SIDE))
    views = {name: [save(bench, "%s_%d" % (name, i), view) for i, view in enumerate(det_views(image))]
             for name, image in text_pictures(bench).items()}
    folder = bench.data("data/photos")
    photos = [save(bench, "photo_" + f, det_input(picture(bench, os.path.join(folder, f)), SIDE))
              for f in sorted(os.listdir(folder))[::9] if f.endswith(".jpg")]
    reference = {v: bench.outputs("ppocr_det.mlir", v) for part in views.values() for v in part}
    found = {setting: Agreement() for setting in bench.names}
    for name, tests in views.items():
        others = [v for other, part in views.items() if other != name for v in part]
        for setting in bench.names:
            model = bench.quantize("ppocr_det", interleave(others, photos), setting)
            for v in tests:
                found[setting].add(det_boxes, reference[v], bench.outputs(model, v))
            print(name, setting, found[setting].row(), file=sys.stderr, flush=True)
    rows = [(setting,) + agreement.row() for setting, agreement in found.items()]
    table("PP-OCR detection, %d views of %d pictures, each left out in turn" % (len(reference), len(views)), HEAD, rows)


def interleave(a, b):
    """Both mixed evenly, as recovery takes the last quarter to judge by."""
    order = [(i / len(a), x) for i, x in enumerate(a)] + [((i + 0.5) / len(b), x) for i, x in enumerate(b)]
    return [x for _, x in sorted(order)]


# --- text recognition ---------------------------------------------------------------------------------

def rec_input(image, stretch=1.0, shift=0):
    """48 high, at most 320 wide, filled up with 0 at the right."""
    width = min(320 - shift, max(8, round(48 * image.shape[2] / image.shape[1] * stretch)))
    small = resize(image, 48, width)[::-1] / 127.5 - 1.0
    square = np.zeros((3, 48, 320))
    square[:, :, shift:shift + width] = small
    return square


def lines(bench, image):
    """What the float detector finds, cut out of the picture."""
    if max(image.shape[1:]) < 400:
        return [image]
    scale = max(image.shape[1:]) / SIDE
    out = bench.outputs("ppocr_det.mlir", save(bench, "whole", det_input(image, SIDE)))
    found = [image]  # the picture itself as well
    for _, _, box in sorted(det_boxes(out, 0.5), key=lambda b: (b[2][1], b[2][0])):
        x0, y0, x1, y1 = (max(0, round(c * scale)) for c in box)
        found.append(image[:, y0:y1, x0:x1])
    return found


def texts(out):
    best = next(iter(out.values()))[0].argmax(1)
    return best, [c for c, before in zip(best, np.concatenate(([0], best))) if c != 0 and c != before]


def section_rec(bench):
    bench.transform("ppocr_det", "--input_shapes", "[[1,3,%d,%d]]" % (SIDE, SIDE))
    bench.transform("ppocr_rec", "--input_shapes", "[[1,3,48,320]]")
    cut = {name: lines(bench, image) for name, image in text_pictures(bench).items()}
    tests, samples = {}, {}
    for name, parts in cut.items():
        tests[name] = [save(bench, "%s_line_%d" % (name, i), rec_input(part)) for i, part in enumerate(parts)]
        samples[name] = [save(bench, "%s_line_%d_%g_%d" % (name, i, stretch, shift), rec_input(part, stretch, shift))
                         for i, part in enumerate(parts)
                         for stretch, shift in ((1, 0), (0.8, 0), (0.9, 5), (1.1, 2), (1.25, 0), (1, 9))]
    reference = {t: bench.outputs("ppocr_rec.mlir", t) for part in tests.values() for t in part}
    count = {setting: [0, 0, 0] for setting in bench.names}  # positions, the same, the same texts
    for name, part in tests.items():
        others = [s for other in samples if other != name for s in samples[other]]
        for setting in bench.names:
            model = bench.quantize("ppocr_rec", interleave(others[::2], others[1::2]), setting)
            for t in part:
                (a, text_a), (b, text_b) = texts(reference[t]), texts(bench.outputs(model, t))
                count[setting] = [c + d for c, d in zip(count[setting], (len(a), int((a == b).sum()), text_a == text_b))]
            print(name, setting, count[setting], file=sys.stderr, flush=True)
    rows = [(setting, "%d of %d" % (c[2], len(reference)), "%.2f %%" % (100.0 * c[1] / c[0]))
            for setting, c in count.items()]
    table("PP-OCR recognition, %d pictures and %d lines in them, each picture left out in turn"
          % (len(tests), len(reference) - len(tests)), ("options", "same text", "same CTC positions"), rows)


SECTIONS = {"nanodet": section_nanodet, "det": section_det, "rec": section_rec}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--shared", default="../shared", help="folder with models and data")
    parser.add_argument("--work", help="folder for intermediate files; default: a new one in the temporary folder")
    parser.add_argument("--folds", type=int, default=12, help="parts of the photographs (3 to 36)")
    parser.add_argument("--only", help="rows to measure, separated by commas")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="all of: " + " ".join(SECTIONS))
    options = parser.parse_args()
    bench = Bench(options)
    for name in options.sections or SECTIONS:
        if name not in SECTIONS:
            parser.error("no section '%s'; sections: %s" % (name, " ".join(SECTIONS)))
        SECTIONS[name](bench)


if __name__ == "__main__":
    main()
