#!/usr/bin/env python3
"""Models of torchvision, exported here with random weights, through import, optimization and a run,
compared with torch. See README.md beside this file.
    exporter_graphs.py [--build DIR] [--cache DIR] [--keep] [--reuse] [--json FILE] [MODEL ...]"""
import argparse
import collections
import gc
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEED = 20
TOLERANCE = 1e-4

# Model: height and width of its input, dimensions that the second export leaves open.
BATCH = {0: "batch"}
IMAGE = {0: "batch", 2: "height", 3: "width"}
MODELS = {
    "squeezenet1_1": (224, BATCH), "shufflenet_v2_x1_0": (224, BATCH), "mobilenet_v2": (224, IMAGE),
    "mobilenet_v3_small": (224, BATCH), "efficientnet_b0": (224, BATCH), "mnasnet0_5": (224, BATCH),
    "googlenet": (224, BATCH), "densenet121": (224, BATCH), "resnet18": (224, IMAGE),
    "resnet50": (224, BATCH), "resnext50_32x4d": (224, BATCH), "regnet_y_400mf": (224, BATCH),
    "convnext_tiny": (224, BATCH), "swin_t": (224, IMAGE), "vit_b_16": (224, BATCH),
    "inception_v3": (299, BATCH), "fcn_resnet50": (224, IMAGE),
    "ssdlite320_mobilenet_v3_large": (320, None),
}
# How a graph is exported: with everything known, the way a user does it first; or with open dimensions
# and nothing folded by the exporter, which leaves shape arithmetic, constants and norms to us.
VARIANTS = ("static", "dynamic")

# Ops of the top dialect that compute shapes rather than values.
SHAPE_OPS = {"Shape", "Size", "ConstantOfShape", "Range", "Expand"}
# Integer results that belong to the model, not to its shapes.
DATA_OPS = {"Input", "Weight", "None", "TopK", "Arg", "NonMaxSuppression", "NonZero"}

Result = collections.namedtuple(
    "Result", "model variant nodes ops shape_ops seconds cpu memory run_seconds error note")


# --- export -------------------------------------------------------------------------------------

def detector(model):
    """Detection models take a list of images and return a list of dictionaries."""
    import torch

    class Detector(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, image):
            found = self.model([image[0]])[0]
            return found["boxes"], found["scores"], found["labels"]

    return Detector()


def segmenter(model):
    import torch

    class Segmenter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, image):
            return self.model(image)["out"]

    return Segmenter()


def create(name):
    import torch
    import torchvision

    torch.manual_seed(SEED)
    options = {"weights": None}
    if name == "googlenet":
        options.update(aux_logits=False, init_weights=False)
    if name == "inception_v3":
        options.update(init_weights=False)
    if name == "fcn_resnet50":
        options.update(weights_backbone=None)
        return torchvision.models.segmentation.fcn_resnet50(**options)
    if name.startswith("ssdlite"):
        # Random scores lie near 1 / number of classes.
        options.update(weights_backbone=None, num_classes=5, score_thresh=0.1, detections_per_img=50,
                       topk_candidates=100)
        return torchvision.models.detection.ssdlite320_mobilenet_v3_large(**options)
    return getattr(torchvision.models, name)(**options)


def settle(model, image):
    """Statistics of batch norms become those of random images: values stay in a sensible range and
    folding the norms changes every weight. Parameters that start as zero or nearly so, which would
    hide what stands before them, become random."""
    import torch

    for name, parameter in model.named_parameters():
        if "layer_scale" in name:
            parameter.data.uniform_(0.1, 0.5)
        elif parameter.dim() > 1 and not parameter.data.any():
            parameter.data.normal_(0.0, 0.05)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.uniform_(-0.3, 0.3)
        norm.train()
    with torch.no_grad():
        model(torch.cat([image, image.flip(3) * 0.7], 0) if image.shape[0] == 1 else image)
    model.eval()


def export(name, variants, folder):
    """Writes <variant>.onnx and reference.npz; the open dimensions go to <variant>.shapes."""
    import torch

    size, axes = MODELS[name]
    generator = torch.Generator().manual_seed(SEED)
    image = torch.randn(1, 3, size, size, generator=generator)
    model = create(name).eval()
    if name.startswith("ssdlite"):
        settle(model.backbone, image)
        model = detector(model).eval()
        image = torch.rand(1, 3, size, size, generator=generator)
    else:
        settle(model, image)
        model = segmenter(model).eval() if name.startswith("fcn") else model
    with torch.no_grad():
        # In double precision: torch's own float results are off by up to 1e-4 in deep random models.
        outputs = model.double()(image.double())
    model.float()
    outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    names = ["output%d" % i for i in range(len(outputs))]
    np.savez(os.path.join(folder, "reference.npz"),
             **{n: o.numpy() for n, o in zip(names, outputs)})
    np.savez(os.path.join(folder, "input.npz"), image=image.numpy())
    for variant in variants:
        options = {"opset_version": 13}
        if variant == "dynamic":
            options = {"opset_version": 11, "do_constant_folding": False, "dynamic_axes": {"image": axes},
                       "training": torch.onnx.TrainingMode.PRESERVE}
            symbols = {"batch": 1, "height": size, "width": size}
            with open(os.path.join(folder, variant + ".shapes"), "w") as file:
                file.write(",".join("%s=%d" % (s, symbols[s]) for s in axes.values()))
        torch.onnx.export(model, image, os.path.join(folder, variant + ".onnx"), input_names=["image"],
                          output_names=names, **options)


# --- our side -----------------------------------------------------------------------------------

def run(command, accepted=(0,)):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if result.returncode not in accepted:
        lines = result.stderr.strip().splitlines() or ["exit %d" % result.returncode]
        raise RuntimeError(lines[0])
    return result.stdout


def timed(command):
    """Output, seconds, processor seconds and peak memory in MB of a command."""
    script = ("import resource, subprocess, sys, time\n"
              "start = time.time()\n"
              "code = subprocess.call(sys.argv[1:])\n"
              "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
              "print('@', time.time() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)\n"
              "sys.exit(code)\n")
    text, _, last = run([sys.executable, "-c", script] + command).rpartition("@")
    return (text,) + tuple(float(v) for v in last.split())


def read_top(path):
    """Ops of a top module with the types of their results."""
    found = []
    pattern = re.compile(r'"top\.(\w+)"\(.*\) -> (.*?)(?: loc\(|$)')
    with open(path) as file:
        for line in file:
            match = pattern.search(line)
            if match:
                found.append(match.groups())
    return found


def count_ops(found):
    return collections.Counter(op for op, _ in found if op not in ("Input", "Weight", "None"))


def shape_ops(found):
    """Leftovers: ops that compute shapes, and any op on integers that is not the model's own."""
    left = collections.Counter()
    for op, types in found:
        integers = re.search(r"[x<](?:i64|si64|i32|si32|i1)\b", types) and op not in DATA_OPS
        if op in SHAPE_OPS or integers:
            left[op] += 1
    return left


def difference(outputs, reference):
    """Largest difference, relative to the largest element of its output."""
    worst = 0.0
    for name in reference.files:
        if name not in outputs.files:
            raise RuntimeError("output '%s' is missing" % name)
        want = reference[name].astype(np.float64)
        got = outputs[name].astype(np.float64)
        if got.shape != want.shape:
            raise RuntimeError("output '%s' has shape %s, not %s" % (name, got.shape, want.shape))
        if want.size:
            worst = max(worst, float(np.max(np.abs(got - want)) / max(np.max(np.abs(want)), 1e-30)))
    return worst


def check(name, variant, folder, build):
    onnx = os.path.join(folder, variant + ".onnx")
    top = os.path.join(folder, variant + ".mlir")
    program = os.path.join(build, "bin", "model_transform")
    shapes = []
    if os.path.exists(os.path.join(folder, variant + ".shapes")):
        with open(os.path.join(folder, variant + ".shapes")) as file:
            shapes = ["--input_shapes", file.read()]
    nodes = sum(row["count"] for row in json.loads(
        run([program, "--check", "--json", "--model_def", onnx] + shapes, (0, 1)))["operators"])
    text, _, cpu, memory = timed([program, "--model_name", variant, "--model_def", onnx, "--mlir", top,
                             "--channel_format", "none"] + shapes)
    seconds = float(re.search(r"([\d.]+) s$", text.strip()).group(1))
    found = read_top(top)
    result = os.path.join(folder, variant + ".npz")
    _, run_seconds, _, _ = timed([os.path.join(build, "bin", "model_runner"), "--model", top, "--input",
                               os.path.join(folder, "input.npz"), "--output", result])
    with np.load(result) as outputs, np.load(os.path.join(folder, "reference.npz")) as reference:
        error = difference(outputs, reference)
    note = "" if error <= TOLERANCE else "differs from torch"
    left = shape_ops(found)
    if left:
        note = (note + "; " if note else "") + "left: " + " ".join("%s*%d" % i for i in left.items())
    return Result(name, variant, nodes, dict(count_ops(found)), sum(left.values()), seconds, cpu, memory,
                  run_seconds, error, note)


def check_variant(name, variant, folder, build):
    try:
        return check(name, variant, folder, build)
    except RuntimeError as problem:
        return Result(name, variant, 0, {}, 0, 0.0, 0.0, 0.0, 0.0, float("inf"), str(problem))


def check_model(name, args):
    folder = os.path.join(args.cache, name)
    os.makedirs(folder, exist_ok=True)
    variants = [v for v in VARIANTS if v == "static" or MODELS[name][1]]
    variants = [v for v in variants if args.variant in (None, v)]
    if not (args.reuse and all(os.path.exists(os.path.join(folder, v + ".onnx")) for v in variants)):
        # A process of its own: torch's memory is back before the next model.
        run([sys.executable, os.path.abspath(__file__), "--export-only", "--cache", args.cache, name])
    results = [check_variant(name, v, folder, args.build) for v in variants]
    if not args.keep:
        shutil.rmtree(folder)
    return results


def passed(result):
    return result.error <= TOLERANCE and result.shape_ops == 0


def row(result):
    return "%-30s %-8s %6d %6d %6d %8.2f %6.2f %7.0f %7.2f %9.1e  %s %s" % (
        result.model, result.variant, result.nodes, sum(result.ops.values()), result.shape_ops, result.seconds,
        result.cpu, result.memory, result.run_seconds, result.error, "ok" if passed(result) else "FAIL", result.note)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--cache", help="default: ~/.cache/mica/exporter_graphs")
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--keep", action="store_true", help="leave the models in the cache")
    parser.add_argument("--reuse", action="store_true", help="take models that an earlier --keep left")
    parser.add_argument("--json", metavar="FILE", help="also write the results, with the counts per op")
    parser.add_argument("--export-only", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.cache = args.cache or os.path.join(
        os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "mica", "exporter_graphs")
    unknown = [m for m in args.models if m not in MODELS]
    if unknown:
        parser.error("unknown model %s; known are %s" % (unknown[0], " ".join(MODELS)))
    models = args.models or list(MODELS)
    if args.export_only:
        for name in models:
            export(name, [v for v in VARIANTS if v == "static" or MODELS[name][1]],
                   os.path.join(args.cache, name))
            gc.collect()
        return 0
    print("%-30s %-8s %6s %6s %6s %8s %6s %7s %7s %9s" % ("model", "export", "nodes", "ops", "shape", "import s",
                                                          "cpu s", "MB", "run s", "error"))
    results = []
    for name in models:
        for result in check_model(name, args):
            print(row(result), flush=True)
            results.append(result)
    if args.json:
        with open(args.json, "w") as file:
            json.dump([r._asdict() for r in results], file, indent=1)
    failed = sum(not passed(r) for r in results)
    print("%d passed, %d failed" % (len(results) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
