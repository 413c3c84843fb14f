#!/usr/bin/env python3
"""The node cases of the newest Python package `onnx`, made here and run through the real path.
    onnx_cases.py [--build DIR] [--cache DIR] [--install] [--json FILE] [--least PERCENT]
See README.md beside this file."""
import argparse
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "mica-onnx-cases")
STRING = 8  # TensorProto.DataType

# What is no inference, by operator: any node of a model, subgraphs and functions included.
KINDS = {
    "strings": r"String.*|RegexFullMatch|TfIdfVectorizer|LabelEncoder",
    "sequences, optional values": r"Sequence.*|SplitToSequence|ConcatFromSequence|Optional.*",
    "random numbers": r"Random.*|Bernoulli|Multinomial",
    "image decoding": r"ImageDecoder",
    "training": r"Gradient|Adam|Adagrad|Momentum",
}


def install(cache):
    """A virtual environment with the newest package; runs this script in it."""
    env = os.path.join(cache, "venv")
    python = os.path.join(env, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", env], check=True)
    subprocess.run([python, "-m", "pip", "-q", "install", "--upgrade", "onnx", "numpy", "ml_dtypes",
                    "Pillow"], check=True)
    rest = [a for a in sys.argv[1:] if a != "--install"]
    os.execv(python, [python, os.path.abspath(__file__)] + rest)


def make_cases(folder):
    """Writes the cases as the package's own tool writes its model cases, unless they are there."""
    import onnx
    from onnx.backend.test import cmd_tools
    from onnx.backend.test.case import node

    version = f"onnx {onnx.__version__}, opset {onnx.defs.onnx_opset_version()}"
    stamp = os.path.join(folder, "version.txt")
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as file:
            if file.read().strip() == version:
                return version
    print(f"making the cases of {version} in {folder}")
    cmd_tools.model_test = type("NodeCases", (), {"collect_testcases":
                                                  staticmethod(lambda: node.collect_testcases(None))})
    cmd_tools.generate_data(argparse.Namespace(output=folder))
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(version + "\n")
    return version


def operators(nodes):
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in list(attribute.graphs) + ([attribute.g] if attribute.HasField("g") else []):
                yield from operators(graph.node)


def not_inference(name, model):
    """Why a case is none of inference, or None."""
    for value in list(model.graph.input) + list(model.graph.output):
        kind = value.type.WhichOneof("value")
        if kind in ("sequence_type", "optional_type", "map_type"):
            return "sequences, optional values"
        if kind == "tensor_type" and value.type.tensor_type.elem_type == STRING:
            return "strings"
    nodes = list(operators(model.graph.node))
    for function in model.functions:
        nodes += operators(function.node)
    for node in nodes:
        for kind, pattern in KINDS.items():
            if re.fullmatch(pattern, node.op_type):
                return kind
        switched = any(a.name == "training_mode" and a.i == 1 for a in node.attribute)
        dropping = node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]
        if switched or (dropping and "training" in name):
            return "training"
    return None


def classify(folder):
    import onnx

    kinds = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name, "model.onnx")
        if os.path.exists(path):
            kinds[name] = not_inference(name, onnx.load(path))
    return kinds


def run(build, folder):
    """Reason by name of the cases that fail."""
    runner = os.path.join(build, "test", "onnx_nodes")
    text = subprocess.run([runner, folder], check=True, capture_output=True, text=True).stdout
    return dict(re.findall(r"^FAIL (\S+): (.*)$", text, re.M))


def report(version, kinds, failed):
    inference = [name for name, kind in kinds.items() if kind is None]
    bad = [name for name in inference if name in failed]
    for name in bad:
        print(f"FAIL {name}: {failed[name]}")
    for kind in list(KINDS):
        names = [name for name in kinds if kinds[name] == kind]
        passed = sum(name not in failed for name in names)
        print(f"not counted, {kind}: {passed} of {len(names)} pass")
    passed = len(inference) - len(bad)
    percent = 100.0 * passed / max(1, len(inference))
    print(f"{version}: {passed} of {len(inference)} inference cases pass, {percent:.2f} %")
    return {"version": version, "passed": passed, "inference": len(inference),
            "failed": {name: failed[name] for name in bad},
            "left_out": {name: kind for name, kind in kinds.items() if kind is not None}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="build folder (%(default)s)")
    parser.add_argument("--cache", default=CACHE, help="where the cases lie (%(default)s)")
    parser.add_argument("--install", action="store_true", help="install the newest package in the cache first")
    parser.add_argument("--json", help="write the result here, too")
    parser.add_argument("--least", type=float, default=97.0, help="percent that must pass (%(default)s)")
    options = parser.parse_args()
    if options.install:
        install(options.cache)
    version = make_cases(options.cache)
    folder = os.path.join(options.cache, "node")
    result = report(version, classify(folder), run(options.build, folder))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1, sort_keys=True)
    return 0 if 100.0 * result["passed"] >= options.least * result["inference"] else 1


if __name__ == "__main__":
    sys.exit(main())
