#!/usr/bin/env python3
"""The doctor on real models: silent with the right preprocessing, and every fault that is made on purpose is told. See
README.md beside this file.
    doctor_models.py [--build DIR] [--shared DIR]"""
import argparse
import os
import subprocess
import sys
import tempfile

EVEN = ("127,127,127", "0.0078125,0.0078125,0.0078125")
BGR = ("103.53,116.28,123.675", "0.017429,0.017507,0.017125")
RGB = ("123.675,116.28,103.53", "0.017125,0.017507,0.017429")
HALF = ("127.5,127.5,127.5", "0.0078431,0.0078431,0.0078431")
# Model: mean and scale, order of channels, shape, samples. PP-OCR detection was trained with the means of rgb on bgr.
MODELS = {
    "efficientnet_lite0": (EVEN, "rgb", None, "photos"),
    "nanodet": (BGR, "bgr", None, "photos"),
    "ppocr_det": (RGB, "bgr", "[[1,3,320,320]]", "text"),
    "ppocr_rec": (HALF, "bgr", "[[1,3,48,320]]", "text"),
}
OTHER = {"rgb": "bgr", "bgr": "rgb"}


def times(scale, factor):
    return ",".join("%.9f" % (float(v) * factor) for v in scale.split(","))


def faults(mean, scale, order):
    """Name: mean, scale, order, the finding that is wanted."""
    return {
        "as trained": (mean, scale, order, None),
        "channels swapped": (",".join(mean.split(",")[::-1]), ",".join(scale.split(",")[::-1]), OTHER[order], "channels:"),
        "pictures swapped alone": (mean, scale, OTHER[order], "channels:"),
        "no normalization": ("0,0,0", "1,1,1", order, "normalization:"),
        "no mean": ("0,0,0", scale, order, "normalization:"),
        "scaled twice": (mean, times(scale, float(scale.split(",")[0])), order, "normalization:"),
    }


def findings(options, name, mean, scale, order, shape, samples):
    with tempfile.TemporaryDirectory() as folder:
        tool = lambda *arguments: subprocess.run(arguments, capture_output=True, text=True)
        mlir = os.path.join(folder, "m.mlir")
        made = tool(os.path.join(options.build, "bin/model_transform"), "--model_name", name, "--model_def",
                    os.path.join(options.shared, "models", name + ".onnx"), "--mean", mean, "--scale", scale, "--pixel_format",
                    order, "--mlir", mlir, *(["--input_shapes", shape] if shape else []))
        ran = tool(os.path.join(options.build, "bin/run_calibration"), mlir, "--dataset",
                   os.path.join(options.shared, "data", samples), "--input_num", "16", "--cali_method", "max", "-o",
                   os.path.join(folder, "t"), "--quiet")
        if made.returncode or ran.returncode:
            sys.exit("%s: %s%s" % (name, made.stderr, ran.stderr))
        lines = [line.split("doctor: ")[1] for line in ran.stderr.splitlines() if "doctor: " in line]
        return [line for line in lines if line.startswith(("channels:", "normalization:"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--shared", default="../shared", help="folder with models, photos and pictures of text")
    options = parser.parse_args()
    good = bad = 0
    for name, ((mean, scale), order, shape, samples) in MODELS.items():
        for fault, (m, s, o, wanted) in faults(mean, scale, order).items():
            got = findings(options, name, m, s, o, shape, samples)
            right = not got if wanted is None else any(line.startswith(wanted) for line in got)
            good, bad = good + right, bad + (not right)
            print("%-8s %-20s %-24s %s" % ("ok" if right else "FAILED", name, fault, " | ".join(got)[:110]))
    print("%d passed, %d failed" % (good, bad))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
