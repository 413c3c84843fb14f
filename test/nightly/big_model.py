#!/usr/bin/env python3
"""Memory of model_transform on a model of 3 GB of external data: a chain of 16 MatMuls of 192 MB.

    big_model.py --programs BUILD/bin [--folder DIR] [--layers 16]

The model is written to the folder, transformed, and removed. Passes when the peak resident set is at
most 1.3 times the weights plus 200 MB."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
from onnx import TensorProto, helper

SIDE = 6928  # 6928 * 6928 floats are 192 MB


def write_model(path, layers):
    rng = np.random.default_rng(1)
    nodes, weights, name = [], [], "x"
    with open(path + ".data", "wb") as data:
        for i in range(layers):
            block = rng.standard_normal((16, SIDE), dtype=np.float32) * 0.01
            offset = (data.tell() + 4095) // 4096 * 4096
            data.seek(offset)
            for row in range(0, SIDE, 16):
                data.write(np.roll(block, row, axis=1).tobytes())
            tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=[SIDE, SIDE],
                                 data_location=TensorProto.EXTERNAL)
            for key, value in (("location", os.path.basename(path) + ".data"), ("offset", offset),
                               ("length", SIDE * SIDE * 4)):
                tensor.external_data.add(key=key, value=str(value))
            weights.append(tensor)
            nodes.append(helper.make_node("MatMul", [name, f"w{i}"], [f"y{i}"], name=f"matmul{i}"))
            name = f"y{i}"
    def info(tensor):
        return helper.make_tensor_value_info(tensor, TensorProto.FLOAT, [1, SIDE])
    graph = helper.make_graph(nodes, "chain", [info("x")], [info(name)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    return layers * SIDE * SIDE * 4


def run(command):
    start = time.time()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = status
    return status, usage.ru_maxrss * 1024, time.time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--folder")
    parser.add_argument("--layers", type=int, default=16)
    args = parser.parse_args()
    folder = tempfile.mkdtemp(dir=args.folder)
    program = os.path.join(args.programs, "model_transform")
    path = os.path.join(folder, "big.onnx")
    good = True
    try:
        weights = write_model(path, args.layers)
        for title, command in (
                ("transform", [program, "--model_name", "big", "--model_def", path, "--mlir",
                               os.path.join(folder, "big.mlir")]),
                ("check", [program, "--model_def", path, "--check"])):
            status, peak, seconds = run(command)
            limit = 1.3 * weights + 200e6
            good = good and status == 0 and peak <= limit
            print(f"{title}: weights {weights / 1e6:.0f} MB, peak {peak / 1e6:.0f} MB "
                  f"(limit {limit / 1e6:.0f}), {seconds:.2f} s, status {status}")
    finally:
        shutil.rmtree(folder)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
