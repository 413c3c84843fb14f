#!/usr/bin/env python3
"""Accuracy, time and memory of whole flows, beside onnxruntime where Python can import it. Inference: compare.py.
    bench/flow.py [--build build] [--shared ../shared] [--work DIR] [--runs 3] [SECTION ...]
Prints one Markdown table per section. Times are the least of --runs runs; CPU seconds (user + system) hardly
depend on what else the machine does, wall seconds do: the load average stands above the tables."""
import argparse
import array
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {"minilm_l3": "[[1,32],[1,32]]", "ppocr_det": "[[1,3,320,320]]", "ppocr_rec": "[[1,3,48,320]]"}
EFFICIENTNET = ["--mean", "127,127,127", "--scale", "0.0078125,0.0078125,0.0078125", "--pixel_format", "rgb"]
PEER = os.path.join(HERE, "peer_ort.py")


class Flow:
    """One set of programs, data and a folder to work in."""

    def __init__(self, options):
        self.bin = os.path.abspath(os.path.join(options.build, "bin"))
        self.shared = os.path.abspath(options.shared)
        self.work = os.path.abspath(options.work or tempfile.mkdtemp(prefix="mica-bench-"))
        os.makedirs(self.work, exist_ok=True)
        self.runs = options.runs

    def path(self, *names):
        return os.path.join(self.work, *names)

    def data(self, *names):
        return os.path.join(self.shared, *names)

    def model(self, name):
        made = self.path(name + ".onnx")  # by topologies.py
        folder = "models/light" if name.startswith("light_") else "models"
        return made if os.path.exists(made) else self.data(folder, name + ".onnx")

    def models(self):
        names = os.listdir(self.data("models")) + os.listdir(self.data("models/light"))
        return sorted(n[:-5] for n in names if n.endswith(".onnx"))


class Result:
    """What a finished program printed and took."""

    def __init__(self, command, quiet=False):
        start = time.perf_counter()
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.wall = time.perf_counter() - start
            out.seek(0)
            err.seek(0)
            self.text, self.err = out.read(), err.read()
        self.ok = process.returncode == 0
        self.cpu = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss / 1024.0  # MiB
        if not self.ok and not quiet:
            last = (self.err.strip().split("\n") or ["?"])[-1]
            print("FAILED: %s: %s" % (" ".join(command[:6]), last), file=sys.stderr)


def mica(flow, program, *arguments):
    return Result([os.path.join(flow.bin, program)] + [str(a) for a in arguments])


def peer(*arguments):
    return Result([sys.executable, PEER] + [str(a) for a in arguments], quiet=True)


def has_peer():
    command = [sys.executable, "-c", "import numpy, onnxruntime, onnxruntime.quantization, PIL"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def table(title, head, rows):
    print("\n### %s\n\n| %s |\n|%s" % (title, " | ".join(head), "---|" * len(head)), flush=True)
    for row in rows:
        print("| %s |" % " | ".join(str(c) for c in row), flush=True)


def least(results):
    """The run with the least wall time, with the least CPU time and the largest memory of all."""
    best = min(results, key=lambda r: r.wall)
    best.cpu = min(r.cpu for r in results)
    best.memory = max(r.memory for r in results)
    return best


# --- arrays ---------------------------------------------------------------------------------------------

def npy_array(data):
    """Values of an npy file of f32, i64 or u8 as an array; its shape is dropped."""
    length, = struct.unpack("<H", data[8:10])
    head = data[10:10 + length].decode("latin-1")
    kind = re.search(r"'descr': '([^']*)'", head).group(1)
    values = array.array({"<f4": "f", "<i8": "q", "|u1": "B"}[kind])
    values.frombytes(data[10 + length:])
    return values


def npz_arrays(path):
    with zipfile.ZipFile(path) as z:
        found = {n[:-4]: z.read(n) for n in z.namelist()}
    return {n: npy_array(d) for n, d in found.items()}


def write_npy(path, values, shape):
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }" % (tuple(shape),)
    head += " " * (-(len(head) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + values.tobytes())


def sqnr(reference, got):
    signal = math.fsum(r * r for r in reference)
    noise = math.fsum((r - g) ** 2 for r, g in zip(reference, got))
    return math.inf if noise == 0.0 else 10.0 * math.log10(signal / noise)


def top(values):
    return max(range(len(values)), key=values.__getitem__)


# --- the three steps ------------------------------------------------------------------------------------

def transform(flow, name, *more):
    shapes = ["--input_shapes", SHAPES[name]] if name in SHAPES else []
    return mica(flow, "model_transform", "--model_name", name, "--model_def", flow.model(name), *shapes,
                "--mlir", flow.path(name + ".mlir"), *more)


def calibrate(flow, name, source, method="kl", table_name=None, *more):
    return mica(flow, "run_calibration", flow.path(name + ".mlir"), *source, "--cali_method", method, "--quiet",
                "-o", flow.path(table_name or name + "_cali_table"), *more)


def deploy(flow, name, bundle, *more):
    return mica(flow, "model_deploy", "--mlir", flow.path(name + ".mlir"), "--processor", "bm1684x",
                "--model", flow.path(bundle), *more)


def int8(flow, name, table_name=None):
    return ["--quantize", "INT8", "--calibration_table", flow.path(table_name or name + "_cali_table")]


def write_list(flow, name, files):
    with open(flow.path(name), "w") as file:
        file.writelines(f + "\n" for f in files)
    return ["--data_list", flow.path(name)]


def photos(flow):
    folder = flow.data("data/photos")
    return [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if f.endswith(".jpg")]


# --- sections -------------------------------------------------------------------------------------------

def section_float(flow):
    rows = []
    for name in flow.models():
        expected = flow.data("expected", name + ".npz")
        worst = None
        if transform(flow, name).ok and mica(flow, "model_runner", "--model", flow.path(name + ".mlir"), "--input",
                                             expected, "--output", flow.path("out.npz")).ok:
            got, want = npz_arrays(flow.path("out.npz")), npz_arrays(expected)
            worst = max(max(abs(a - b) for a, b in zip(got[k], want[k])) / max(map(abs, want[k])) for k in got)
        rows.append((name, "failed" if worst is None else "%.1e" % worst))
    table("Float against onnxruntime: max difference of the outputs over their largest magnitude",
          ("model", "Mica"), rows)


def section_bittrue(flow):
    rows = []
    kinds = (("INT8", []), ("INT8 asymmetric", ["--asymmetric"]), ("BF16", None))
    for name in flow.models():
        expected = flow.data("expected", name + ".npz")
        source = write_list(flow, "one.txt", [expected])
        row = [name]
        if not (transform(flow, name).ok and calibrate(flow, name, source, "max").ok):
            row += ["failed"] * len(kinds)
        for _, options in kinds if len(row) == 1 else ():
            mode = ["--quantize", "BF16"] if options is None else int8(flow, name) + options
            made = deploy(flow, name, name + ".bmodel", *mode, "--test_input", expected, "--tolerance=-1,-1")
            counts = re.search(r"tpu -> bundle: (\d+) tensors compared, (\d+) equal", made.text)
            verified = made.ok and mica(flow, "model_tool", "--verify", flow.path(name + ".bmodel")).ok
            row.append("%s of %s equal%s" % (counts.group(2), counts.group(1), "" if verified else ", NOT VERIFIED")
                       if counts else "failed")
        rows.append(row)
    table("tpu module against bundle, every tensor, bit by bit; then the bundle's own golden run",
          ["model"] + [k for k, _ in kinds], rows)


def digit_files(flow, part):
    """Digits of ../shared as preprocessed npy files with a label file; returns the folder."""
    folder = flow.path("digits_" + part)
    os.makedirs(folder, exist_ok=True)
    with open(flow.data("data/mnist", part + "_x.npy"), "rb") as file:
        pixels = npy_array(file.read())
    with open(flow.data("data/mnist", part + "_y.npy"), "rb") as file:
        labels = npy_array(file.read())
    for i in range(len(labels)):
        image = pixels[i * 784:(i + 1) * 784]
        values = array.array("f", [(p / 255.0 - 0.1307) / 0.3081 for p in image])
        write_npy(os.path.join(folder, "%04d.npy" % i), values, (1, 1, 28, 28))
    with open(flow.path(part + ".labels"), "w") as file:
        file.writelines("%04d.npy %d\n" % (i, label) for i, label in enumerate(labels))
    return folder


def accuracy(flow, model, folder):
    result = mica(flow, "model_runner", "--model", model, "--dataset", folder, "--labels", flow.path("test.labels"))
    found = re.search(r"accuracy ([\d.]+) %", result.text)
    return float(found.group(1)) if found else math.nan


def section_digits(flow):
    train, test = digit_files(flow, "train"), digit_files(flow, "test")
    rows = []
    for name in ("mnist_lenet", "mnist_mobilenetv2", "mnist_vit", "mnist_lstm"):
        transform(flow, name)
        row = [name, "%.2f" % accuracy(flow, flow.path(name + ".mlir"), test)]
        for method in ("mse", "kl", "max", "percentile9999"):
            calibrate(flow, name, ["--dataset", train, "--input_num", 100], method)
            deploy(flow, name, name + ".bmodel", *int8(flow, name))
            row.append("%.2f" % accuracy(flow, flow.path(name + ".bmodel"), test))
        rows.append(row)
    table("Accuracy in % on 1000 test digits, INT8 calibrated on 100 training digits",
          ("model", "float", "mse", "kl", "max", "percentile9999"), rows)


def mica_outputs(flow, model, files):
    found = []
    for f in files:
        mica(flow, "model_runner", "--model", model, "--input", f, "--output", flow.path("out.npz"))
        found.append(next(iter(npz_arrays(flow.path("out.npz")).values())))
    return found


def peer_outputs(flow, model, files):
    peer("outputs", model, flow.path("out.raw"), *files)
    values = array.array("f")
    with open(flow.path("out.raw"), "rb") as file:
        values.frombytes(file.read())
    step = len(values) // len(files)
    return [values[i * step:(i + 1) * step] for i in range(len(files))]


def agreement(reference, got):
    hits = sum(top(r) == top(g) for r, g in zip(reference, got))
    flat = [[v for sample in samples for v in sample] for samples in (reference, got)]
    return "%.2f | %.1f %% (%d of %d)" % (sqnr(*flat), 100.0 * hits / len(got), hits, len(got))


def photo_rows(flow, name, samples, tests):
    rows = []
    model = flow.path(name + ".mlir")
    reference = mica_outputs(flow, model, tests)
    source = write_list(flow, "photos.txt", samples)
    for method in ("mse", "kl", "max", "percentile9999"):
        calibrate(flow, name, source, method)
        for kind, more in (("symmetric", []), ("asymmetric", ["--asymmetric"])):
            deploy(flow, name, "photo.bmodel", *int8(flow, name), *more)
            got = mica_outputs(flow, flow.path("photo.bmodel"), tests)
            rows.append(("Mica %s, %s" % (method, kind), agreement(reference, got)))
    if not has_peer():
        return rows + [("onnxruntime", "not installed | -")]
    expected = peer_outputs(flow, flow.model(name), tests)
    rows.append(("float: Mica against onnxruntime", agreement(expected, reference)))
    for method in ("MinMax", "Percentile"):
        made = flow.path("peer.onnx")
        peer("quantize", method, flow.model(name), made, *samples)
        rows.append(("onnxruntime %s" % method, agreement(expected, peer_outputs(flow, made, tests))))
    return rows


def section_photos(flow):
    name = "efficientnet_lite0"
    files = photos(flow)
    crops = [files[i:i + 3] for i in range(0, len(files), 3)]  # of one photograph
    halves = [[f for c in crops[k::2] for f in c] for k in (0, 1)]
    transform(flow, name, *EFFICIENTNET)
    head = ("INT8 by", "SQNR of the logits, dB", "top-1 as float")
    table("EfficientNet-lite0, calibrated on %d photos, tested on %d crops of other photographs" %
          (len(halves[0]), len(halves[1])), head, photo_rows(flow, name, halves[0], halves[1]))
    table("The same, calibrated on the first 100 of %d photos, tested on all" % len(files), head,
          photo_rows(flow, name, files[:100], files))


def section_flow(flow):
    name = "efficientnet_lite0"
    first = photos(flow)[0]
    source = ["--dataset", flow.data("data/photos"), "--input_num", 100]
    steps = {"model_transform": [], "run_calibration": [], "model_deploy": []}
    for _ in range(flow.runs):
        steps["model_transform"].append(transform(flow, name, *EFFICIENTNET, "--test_input", first, "--test_result",
                                                  flow.path("top.npz")))
        steps["run_calibration"].append(calibrate(flow, name, source, "mse"))
        steps["model_deploy"].append(deploy(flow, name, name + ".bmodel", *int8(flow, name), "--test_input", first,
                                            "--test_reference", flow.path("top.npz")))
    best = {k: least(v) for k, v in steps.items()}
    rows = [(k, "%.2f" % r.wall, "%.2f" % r.cpu, "%.0f" % r.memory) for k, r in best.items()]
    rows.append(("whole flow", "%.2f" % sum(r.wall for r in best.values()), "%.2f" % sum(r.cpu for r in best.values()),
                 "%.0f" % max(r.memory for r in best.values())))
    calibration = best["run_calibration"]
    for method in ("MinMax", "Percentile") if has_peer() else ():
        run = least([peer("quantize", method, flow.model(name), flow.path("peer.onnx"), *photos(flow)[:100])
                     for _ in range(flow.runs)])
        rows.append(("onnxruntime quantize_static %s" % method, "%.2f" % run.wall, "%.2f" % run.cpu,
                     "%.0f" % run.memory))
    table("EfficientNet-lite0 with 100 photos", ("step", "wall, s", "CPU, s", "peak memory, MiB"), rows)
    print("\ncalibration: " + calibration.text.strip().split("\n")[-1])


def section_resnet50(flow):
    name = "light_resnet50"
    source = write_list(flow, "one.txt", [flow.data("expected", name + ".npz")])
    first = [transform(flow, name) for _ in range(flow.runs)]
    calibrate(flow, name, source, "max")
    second = [deploy(flow, name, name + ".bmodel", *int8(flow, name)) for _ in range(flow.runs)]
    rows = [(k, "%.2f" % r.wall, "%.2f" % r.cpu, "%.0f" % r.memory)
            for k, r in (("model_transform", least(first)), ("model_deploy, INT8", least(second)))]
    table("light_resnet50 (25.5 million weights)", ("step", "wall, s", "CPU, s", "peak memory, MiB"), rows)


SECTIONS = {"float": section_float, "bittrue": section_bittrue, "digits": section_digits, "photos": section_photos,
            "flow": section_flow, "resnet50": section_resnet50}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--shared", default="../shared", help="folder with models, data and expected outputs")
    parser.add_argument("--work", help="folder for intermediate files; default: a new one in the temporary folder")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="all of: " + " ".join(SECTIONS))
    options = parser.parse_args()
    flow = Flow(options)
    for name in options.sections or SECTIONS:
        if name not in SECTIONS:
            parser.error("no section '%s'; sections: %s" % (name, " ".join(SECTIONS)))
        print("\n<!-- %s: load average %s, %d cores -->" % (name, "%.1f %.1f %.1f" % os.getloadavg(), os.cpu_count()))
        SECTIONS[name](flow)


if __name__ == "__main__":
    main()
