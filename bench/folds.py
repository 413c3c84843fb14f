#!/usr/bin/env python3
"""Accuracy by cross-validation: every sample is tested, by a model that was calibrated (and recovered, and searched) without it.
    bench/folds.py [--build build] [--shared ../shared] [--work DIR] [--only TEXT] [SECTION ...]
photos: EfficientNet-lite0 on 108 crops in 12 folds; the three crops of a photograph stay together, 99 calibrate and 9 test.
sentences: MiniLM on 200 sentences in 2 folds; a neighbour is looked for among all 200.
Per row: SQNR of the mean over samples of noise / signal, in brackets that of all samples together; samples whose largest output
(sentences: whose nearest neighbour by cosine) is the float one; cosines. Prints Markdown; onnxruntime beside it when
Python can import it."""
import argparse
import math
import os

import flow as flows
from flow import EFFICIENTNET, calibrate, deploy, mica, mica_outputs, peer, peer_outputs, photos, sqnr, table, top, transform, write_list

LEVELS = ["--finetune_level", "1"]
OPTIMAL = ["--search", "optimal", "--max_float_macs", "10"]
SENTENCE_STEPS = ["--sq", "--finetune_level", "1", "--bc", "--bc_inference_num", "75"]
# name, options of run_calibration (method first), of model_deploy
PHOTO_ROWS = (
    ("INT8 mse", ["mse"], []),
    ("INT8 kl", ["kl"], []),
    ("INT8 mse asymmetric", ["mse"], ["--asymmetric"]),
    ("recovery: level 1", ["mse"] + LEVELS, []),
    ("recovery: level 1, asymmetric", ["mse", "--asymmetric"] + LEVELS, ["--asymmetric"]),
    ("recovery: level 2", ["mse", "--finetune_level", "2"], []),
    ("optimal, 10 % of MACs", ["mse"] + OPTIMAL, []),
    ("level 1, optimal, 10 % of MACs", ["mse"] + OPTIMAL + LEVELS, []),
)
SENTENCE_ROWS = (
    ("INT8 mse", "INT8", ["mse"], []),
    ("INT8 mse asymmetric, recovery", "INT8", ["mse", "--asymmetric"] + SENTENCE_STEPS, ["--asymmetric"]),
    ("W8A8 mse asymmetric", "W8A8", ["mse"], ["--asymmetric"]),
    ("W8A8 mse asymmetric, recovery", "W8A8", ["mse", "--asymmetric", "--recover_mode", "W8A8"] + SENTENCE_STEPS,
     ["--asymmetric"]),
    ("W8A8 kl asymmetric, recovery", "W8A8", ["kl", "--asymmetric", "--recover_mode", "W8A8"] + SENTENCE_STEPS,
     ["--asymmetric"]),
)


def quantized(flow, name, samples, mode, calibration, deployment):
    """Bundle of one fold; None when a step failed."""
    method, *more = calibration
    searched = "--search" in more
    recovers = "--finetune_level" in more or "--sq" in more
    if searched:
        more = more + ["--quantize_table", flow.path("qtable")]
    if recovers:
        more = more + ["--recovered", flow.path("recovered.mlir")]
    if not calibrate(flow, name, write_list(flow, "fold.txt", samples), method, "fold_table", *more).ok:
        return None
    module = "recovered.mlir" if recovers else name + ".mlir"
    table_of_modes = ["--quantize_table", flow.path("qtable")] if searched else []
    done = mica(flow, "model_deploy", "--mlir", flow.path(module), "--processor", "bm1684x", "--model",
                flow.path("fold.bmodel"), "--quantize", mode, "--calibration_table", flow.path("fold_table"),
                *table_of_modes, *deployment)
    return flow.path("fold.bmodel") if done.ok else None


def folds_of(groups, count):
    """(calibrate, test) with every count-th group tested."""
    for k in range(count):
        yield ([f for i, g in enumerate(groups) if i % count != k for f in g],
               [f for i, g in enumerate(groups) if i % count == k for f in g])


def outputs_by_folds(groups, count, outputs):
    """Outputs of every sample; outputs(calibrate, test) returns those of the tested ones or None."""
    found = {}
    for samples, tests in folds_of(groups, count):
        got = outputs(samples, tests)
        if got is None:
            return None
        found.update(zip(tests, got))
    return [found[f] for g in groups for f in g]


def cosine(a, b):
    dot = math.fsum(x * y for x, y in zip(a, b))
    return dot / math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))


def neighbours(outputs):
    unit = [[v / math.sqrt(math.fsum(x * x for x in o)) for v in o] for o in outputs]
    found = []
    for i, a in enumerate(unit):
        found.append(max((j for j in range(len(unit)) if j != i),
                         key=lambda j: sum(map(float.__mul__, a, unit[j]))))
    return found


def row(name, reference, got, by_neighbour):
    if got is None:
        return (name, "failed", "-", "-", "-")
    ratio = math.fsum(10.0 ** (-sqnr(r, g) / 10.0) for r, g in zip(reference, got)) / len(got)
    flat = [[v for sample in samples for v in sample] for samples in (reference, got)]
    pick = neighbours if by_neighbour else lambda outputs: [top(o) for o in outputs]
    same = sum(a == b for a, b in zip(pick(reference), pick(got)))
    cosines = [cosine(r, g) for r, g in zip(reference, got)]
    return (name, "%.2f (%.2f)" % (-10.0 * math.log10(ratio), sqnr(*flat)),
            "%.1f (%d of %d)" % (100.0 * same / len(got), same, len(got)),
            "%.5f" % (math.fsum(cosines) / len(cosines)), "%.5f" % min(cosines))


def by_mica(flow, name, mode, calibration, deployment):
    def outputs(samples, tests):
        model = quantized(flow, name, samples, mode, calibration, deployment)
        return None if model is None else mica_outputs(flow, model, tests)
    return outputs


def by_peer(flow, name, method):
    def outputs(samples, tests):
        made = flow.path("peer.onnx")
        return peer_outputs(flow, made, tests) if peer("quantize", method, flow.model(name), made, *samples).ok else None
    return outputs


def wanted(options, name):
    return options.only is None or options.only in name


def section_photos(flow, options):
    name = "efficientnet_lite0"
    files = photos(flow)
    groups = [files[i:i + 3] for i in range(0, len(files), 3)]
    transform(flow, name, *EFFICIENTNET)
    reference = mica_outputs(flow, flow.path(name + ".mlir"), files)

    def rows():  # printed as they come
        for title, c, d in PHOTO_ROWS:
            if wanted(options, title):
                yield row(title, reference, outputs_by_folds(groups, 12, by_mica(flow, name, "INT8", c, d)), False)
        for method in ("MinMax", "Percentile") if flows.has_peer() and wanted(options, "onnxruntime") else ():
            got = outputs_by_folds(groups, 12, by_peer(flow, name, method))
            yield row("onnxruntime " + method, peer_outputs(flow, flow.model(name), files), got, False)

    table("EfficientNet-lite0, %d crops in 12 folds, 99 calibrate" % len(files),
          ("INT8 by", "SQNR, dB", "same first class, %", "cosine, mean", "worst"), rows())


def section_sentences(flow, options):
    name = "minilm_l3"
    folder = flow.data("models/minilm/samples")
    files = [os.path.join(folder, f) for f in sorted(os.listdir(folder))]
    transform(flow, name)
    reference = [list(o) for o in mica_outputs(flow, flow.path(name + ".mlir"), files)]

    def rows():
        for title, mode, c, d in SENTENCE_ROWS:
            if wanted(options, title):
                got = outputs_by_folds([[f] for f in files], 2, by_mica(flow, name, mode, c, d))
                yield row(title, reference, got and [list(o) for o in got], True)

    table("MiniLM, %d sentences in 2 folds, %d calibrate" % (len(files), len(files) // 2),
          ("options", "SQNR, dB", "same neighbour, %", "cosine, mean", "worst"), rows())


SECTIONS = {"photos": section_photos, "sentences": section_sentences}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--shared", default="../shared", help="folder with models, data and expected outputs")
    parser.add_argument("--work", help="folder for intermediate files; default: a new one in the temporary folder")
    parser.add_argument("--only", metavar="TEXT", help="only rows whose name holds TEXT")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="all of: " + " ".join(SECTIONS))
    options = parser.parse_args()
    unknown = [s for s in options.sections if s not in SECTIONS]
    if unknown:
        parser.error("unknown section '%s'" % unknown[0])
    options.runs = 1
    flow = flows.Flow(options)
    for name in options.sections or SECTIONS:
        SECTIONS[name](flow, options)


if __name__ == "__main__":
    main()
