#!/usr/bin/env python3
"""The peer of bench/flow.py and bench/compare.py: onnxruntime, as a program of its own so that its time and memory can be measured.
    peer_ort.py quantize METHOD MODEL OUT FILE...   quantize_static, QDQ, per channel, METHOD MinMax Entropy Percentile
    peer_ort.py outputs MODEL OUT FILE...           first output of every sample as raw f32, one after the other
    peer_ort.py serve MODEL THREADS FILE            for each number read, so many runs: a line with their milliseconds
Samples are images (mean 127, scale 1/128, rgb, as efficientnet_lite0 wants them), npz with the inputs or npy."""
import os
import sys
import time

import numpy as np
import onnxruntime as ort


def session(model, threads=0):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def feed(path, names):
    if path.endswith(".npz"):
        with np.load(path) as arrays:
            return {name: arrays[name] for name in names}
    if path.endswith(".npy"):
        return {names[0]: np.load(path)}
    from PIL import Image
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
    return {names[0]: ((pixels - 127.0) / 128.0).transpose(2, 0, 1)[None]}


def input_names(model):
    return [i.name for i in session(model).get_inputs()]


def quantize(method, model, out, *files):
    from onnxruntime import quantization as q

    class Reader(q.CalibrationDataReader):
        def __init__(self):
            names = input_names(model)
            self.samples = (feed(f, names) for f in files)

        def get_next(self):
            return next(self.samples, None)

    q.quantize_static(model, out, Reader(), quant_format=q.QuantFormat.QDQ, per_channel=True,
                      activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8,
                      calibrate_method=getattr(q.CalibrationMethod, method))


def outputs(model, out, *files):
    s = session(model)
    names = [i.name for i in s.get_inputs()]
    with open(out, "wb") as file:
        for f in files:
            file.write(np.ascontiguousarray(s.run(None, feed(f, names))[0], np.float32).tobytes())


def serve(model, threads, sample):
    s = session(model, int(threads))
    x = feed(sample, [i.name for i in s.get_inputs()])
    s.run(None, x)
    print("ready %s" % ort.__version__, flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            s.run(None, x)
            times.append("%.4f" % (1e3 * (time.perf_counter() - start)))
        time.sleep(0.02)  # idle threads wait busily for a while; the next to be measured is somebody else
        print(" ".join(times), flush=True)


if __name__ == "__main__":
    ort.set_default_logger_severity(4)
    os.environ["ORT_LOGGING_LEVEL"] = "4"
    {"quantize": quantize, "outputs": outputs, "serve": serve}[sys.argv[1]](*sys.argv[2:])
