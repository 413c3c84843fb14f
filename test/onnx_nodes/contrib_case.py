"""One case of make_contrib.py: a node, its inputs, and how onnxruntime runs it."""
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MS = "com.microsoft"
CASES = []
F, I8, U8, I32, I64 = np.float32, np.int8, np.uint8, np.int32, np.int64


class Case:
    """One node. inputs: (name, array) in order, None for an absent one; a name that begins with '$'
    is an initializer."""

    def __init__(self, name, op, inputs, outputs=1, domain=MS, model_opset=17, ref=None,
                 **attrs):
        self.name, self.op, self.inputs, self.domain = name, op, inputs, domain
        self.outputs = ["y%d" % i if used else "" for i, used in
                        enumerate([True] * outputs if isinstance(outputs, int) else outputs)]
        self.opset, self.ref, self.attrs = model_opset, ref, attrs


def rng_of(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def floats(r, *shape, scale=1.0):
    return (r.standard_normal(shape) * scale).astype(F)


def quants(r, dtype, *shape):
    info = np.iinfo(dtype)
    return r.integers(info.min, info.max + 1, shape).astype(dtype)


def scalar(value, dtype=F):
    return np.array(value, dtype)


def value_info(name, array):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype),
                                         array.shape)


def run(c, feeds):
    import onnxruntime as ort
    outputs = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in c.outputs if n]
    model = build(c, [onnx.ValueInfoProto(name=o.name) for o in outputs])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, feeds)


def build(c, outputs):
    names, inits, inputs = [], [], []
    for item in c.inputs:
        name = "" if item is None else item[0].strip("$")
        names.append(name)
        if name and item[0].startswith("$"):
            inits.append(numpy_helper.from_array(item[1], name))
        elif name:
            inputs.append(value_info(name, item[1]))
    while names and not names[-1]:
        names.pop()
    node = helper.make_node(c.op, names, c.outputs, c.name, domain=c.domain, **c.attrs)
    graph = helper.make_graph([node], c.name, inputs, outputs, inits)
    imports = [helper.make_opsetid("", c.opset)] + [helper.make_opsetid(MS, 1)] * (c.domain == MS)
    return helper.make_model(graph, opset_imports=imports, ir_version=8, producer_name="make_contrib")
