#!/usr/bin/env python3
"""How cost grows: batch 1..64, image side 112..896, calibration samples 1..1000, searches with samples and with ops.
    bench/growth.py [--build build] [--shared ../shared] [--work DIR] [--runs 5] [--threads 1] [SECTION ...]
MobileNetV2 with random weights (topologies.py; needs numpy and onnx) runs in float and INT8, channels-last plan included;
calibration takes EfficientNet-lite0 and the shared photos, listed again and again. Sizes of a section take turns, times are
minima. The last columns divide by what grows and compare with the middle size: 1.00 is linear. Prints Markdown."""
import argparse
import json
import os
import sys

import flow as flows
from flow import EFFICIENTNET, HERE, Result, calibrate, deploy, int8, mica, photos, table, transform, write_list

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SIDES = (112, 160, 224, 320, 448, 640, 896)
SAMPLES = (1, 10, 100, 300, 1000)
NET = "mobilenetv2"


def make_input(flow, name, shape):
    count = shape[0] * shape[1] * shape[2] * shape[3]
    values = flows.array.array("f", [((i * 2654435761) % 1024) / 512.0 - 1.0 for i in range(1024)]) * (count // 1024 + 1)
    flows.write_npy(flow.path(name + ".npy"), values[:count], shape)
    with flows.zipfile.ZipFile(flow.path(name + ".npz"), "w") as z:
        z.write(flow.path(name + ".npy"), "input.npy")
    os.remove(flow.path(name + ".npy"))
    return flow.path(name + ".npz")


def make_models(flow, name, shape):
    """Float .mlir and INT8 bundle of one size; None when a step failed."""
    text = "[[%s]]" % ",".join(map(str, shape))
    sample = make_input(flow, name, shape)
    made = mica(flow, "model_transform", "--model_name", name, "--model_def", flow.path(NET + ".onnx"), "--input_shapes",
                text, "--channel_format", "none", "--mlir", flow.path(name + ".mlir"))
    steps = made.ok and calibrate(flow, name, write_list(flow, "one.txt", [sample]), "max").ok and deploy(
        flow, name, name + ".bmodel", *int8(flow, name)).ok
    return (flow.path(name + ".mlir"), flow.path(name + ".bmodel"), sample) if steps else None


def milliseconds(flow, model, sample, threads, count):
    out = flow.path("out.json")
    done = mica(flow, "model_runner", "--model", model, "--input", sample, "--output", flow.path("out.npz"), "--threads",
                threads, "--bench", count, "--json", out)
    with open(out) as file:
        return min(json.load(file)["runs_ms"]) if done.ok else float("inf")


def inference(flow, options, title, unit, sizes, shape_of, amount_of):
    ready = {}
    for size in sizes:
        made = make_models(flow, "%s_%s%d" % (NET, unit, size), shape_of(size))
        if made is None:
            return
        ready[size] = made
    best = {(size, kind): float("inf") for size in sizes for kind in (0, 1)}
    for _ in range(options.runs):
        for size in sizes:
            for kind in (0, 1):
                count = max(2, 40 // max(1, int(amount_of(size))))
                found = milliseconds(flow, ready[size][kind], ready[size][2], options.threads, count)
                best[size, kind] = min(best[size, kind], found)
    middle = sizes[len(sizes) // 2]
    rows = []
    for size in sizes:
        each = [best[size, kind] / amount_of(size) for kind in (0, 1)]
        base = [best[middle, kind] / amount_of(middle) for kind in (0, 1)]
        rows.append((size, "%.2f" % best[size, 0], "%.2f" % best[size, 1], "%.2f" % (each[0] / base[0]),
                     "%.2f" % (each[1] / base[1])))
    table(title, (unit, "float, ms", "INT8, ms", "float, of linear", "INT8, of linear"), rows)


def section_batch(flow, options):
    inference(flow, options, "Batch, 224 x 224, %d thread(s)" % options.threads, "batch", BATCHES,
              lambda n: (n, 3, 224, 224), lambda n: n)


def section_side(flow, options):
    inference(flow, options, "Image side, batch 1, %d thread(s)" % options.threads, "side", SIDES,
              lambda s: (1, 3, s, s), lambda s: s * s / (224.0 * 224.0))


def section_samples(flow, options):
    name = "efficientnet_lite0"
    if not transform(flow, name, *EFFICIENTNET).ok:
        return
    files = photos(flow)
    lists = {n: write_list(flow, "%d.txt" % n, (files * (n // len(files) + 1))[:n]) for n in SAMPLES}
    best = {n: None for n in SAMPLES}
    for _ in range(max(1, options.runs // 2)):
        for n in SAMPLES:
            result = calibrate(flow, name, lists[n], "kl", None, "--threads", options.threads)
            best[n] = result if best[n] is None or result.cpu < best[n].cpu else best[n]
    each = {n: (best[n].cpu - best[SAMPLES[0]].cpu) / (n - SAMPLES[0]) for n in SAMPLES[1:]}
    rows = [(n, "%.2f" % best[n].cpu, "%.2f" % best[n].wall, "%.0f" % best[n].memory,
             "-" if n == SAMPLES[0] else "%.2f" % (each[n] / each[100])) for n in SAMPLES]
    table("run_calibration, kl, %d thread(s)" % options.threads,
          ("samples", "CPU, s", "wall, s", "peak memory, MiB", "of linear, without the first"), rows)


def search_jobs(flow, name, source, count):
    """Name of a job: CPU seconds of calibration and searches with `count` samples."""
    common = (*source, "--quiet", "--threads", "1")
    table_file, rows = flow.path(name + ".table"), ("--quantize_table", flow.path("rows"), "--inference_num", count)
    jobs = {
        "run_calibration": ("run_calibration", "-o", table_file, "--cali_method", "mse"),
        "search_qtable": ("run_calibration", "-o", flow.path("t"), "--cali_method", "mse", "--search", "search_qtable",
                          "--expected_cos", "1", *rows),
        "optimal": ("run_calibration", "-o", flow.path("t"), "--cali_method", "mse", "--search", "optimal", *rows),
        "run_sensitive_layer": ("run_sensitive_layer", "--processor", "bm1684x", "--calibration_table", table_file, "--quantize_method_list",
                                "mse", "--expected_cos", "1",
                                *rows),
    }
    return {job: mica(flow, tool, flow.path(name + ".mlir"), *rest, *common).cpu for job, (tool, *rest) in jobs.items()}


def search_table(title, unit, sizes, found):
    jobs = list(found[sizes[0]])
    middle = sizes[len(sizes) // 2]
    rows = [(n, *["%.2f (%.2f)" % (found[n][j], found[n][j] / n / (found[middle][j] / middle)) for j in jobs]) for n in sizes]
    table(title, (unit, *[j + ", CPU s (of linear)" for j in jobs]), rows)


def section_search_samples(flow, options):
    name = "efficientnet_lite0"
    if not transform(flow, name, *EFFICIENTNET).ok:
        return
    files = photos(flow)
    found = {}
    for n in (8, 16, 32, 64):
        found[n] = search_jobs(flow, name, write_list(flow, "%d.txt" % n, files[:n]), n)
    search_table("Searches, EfficientNet-lite0, 1 thread", "samples", (8, 16, 32, 64), found)


def section_search_ops(flow, options):
    blocks = (8, 16, 32, 64)
    found = {}
    for n in blocks:
        name = "chain%d" % n
        Result([sys.executable, os.path.join(HERE, "topologies.py"), name, flow.path(name + ".onnx")])
        mica(flow, "model_transform", "--model_name", name, "--model_def", flow.path(name + ".onnx"), "--channel_format", "none",
             "--mlir", flow.path(name + ".mlir"))
        samples = [make_input(flow, "in%d" % i, (1, 3, 32, 32)) for i in range(8)]
        found[3 * n] = search_jobs(flow, name, write_list(flow, "chain.txt", samples), 8)
    search_table("Searches, chains of blocks, 8 samples, 1 thread", "ops", [3 * n for n in blocks], found)


SECTIONS = {"batch": section_batch, "side": section_side, "samples": section_samples,
            "search_samples": section_search_samples, "search_ops": section_search_ops}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--shared", default="../shared", help="folder with models and photos, for 'samples'")
    parser.add_argument("--work", help="folder for intermediate files; default: a new one in the temporary folder")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="all of: " + " ".join(SECTIONS))
    options = parser.parse_args()
    unknown = [s for s in options.sections if s not in SECTIONS]
    if unknown:
        parser.error("unknown section '%s'" % unknown[0])
    flow = flows.Flow(options)
    if not os.path.exists(flow.path(NET + ".onnx")):
        Result([sys.executable, os.path.join(HERE, "topologies.py"), NET, flow.path(NET + ".onnx")])
    for name in options.sections or SECTIONS:
        SECTIONS[name](flow, options)


if __name__ == "__main__":
    main()
