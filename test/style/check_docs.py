#!/usr/bin/env python3
"""docs/commands.md, docs/operators_ir.md and docs/operators.md must be what the programs print about themselves.
    check_docs.py [--build DIR] [--update]"""
import argparse
import difflib
import os
import sys

import style

# The order a user meets them in; programs that are not listed follow by name.
ORDER = ("model_transform", "run_calibration", "run_sensitive_layer", "explain_accuracy", "fp_forward", "model_deploy", "model_runner", "model_tool",
         "mica-opt", "npz_tool")
NOTE = "<!-- Written by test/style/check_docs.py --update from the programs; do not edit. -->\n\n"


def programs(build):
    folder = os.path.join(build, "bin")
    found = [f for f in sorted(os.listdir(folder)) if os.access(os.path.join(folder, f), os.X_OK)]
    rank = {name: i for i, name in enumerate(ORDER)}
    return [os.path.join(folder, f) for f in sorted(found, key=lambda f: (rank.get(f, 99), f))]


def printed(command):
    result = style.run(command)
    if result.returncode != 0 or not result.stdout:
        sys.exit("%s failed: %s" % (" ".join(command), result.stderr.strip()))
    return result.stdout


def documents(build):
    commands = "".join("\n" + printed([p, "--help-markdown"]) for p in programs(build))
    yield "docs/commands.md", NOTE + "# Commands and their options\n" + commands
    dialects = printed([os.path.join(build, "bin", "mica-opt"), "--show-dialects"])
    yield "docs/operators_ir.md", NOTE + dialects
    operators = printed([os.path.join(build, "bin", "mica-opt"), "--show-onnx-operators"])
    yield "docs/operators.md", NOTE + operators


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(style.ROOT, "build"))
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    problems = []
    for path, text in documents(os.path.abspath(options.build)):
        full = os.path.join(style.ROOT, path)
        old = style.read(path) if os.path.exists(full) else ""
        if old == text:
            continue
        if options.update:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
            print("wrote " + path)
            continue
        diff = list(difflib.unified_diff(old.split("\n"), text.split("\n"), path, "now", n=0,
                                         lineterm=""))
        problems.append("\n".join(diff[:12] + ["%s is stale: run test/style/check_docs.py --update"
                                               % path]))
    style.verdict(problems, "docs")


if __name__ == "__main__":
    main()
