#!/usr/bin/env python3
"""Well-known topologies with random weights, for measuring speed where no trained model is at hand.
    topologies.py NAME OUT.onnx            NAME: resnet18 resnet50 mobilenetv2 vit_tiny chain<blocks>
Weights have the spread of He's rule and a fixed seed, so activations keep a sane range and every run writes the same
file. Inputs are 'input' [1, 3, 224, 224], outputs 'logits' [1, 1000]; of a chain of so
many blocks (two convolutions and a sum, as MobileNetV2 has them) [1, 3, 32, 32]. Needs the Python packages numpy and onnx."""
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save


class Net:
    """A graph in the making; every method adds a node and returns the name of its result."""

    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0
        self.random = np.random.default_rng(20)

    def constant(self, values, kind=np.float32):
        name = "w%d" % len(self.weights)
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values, kind), name))
        return name

    def op(self, kind, *inputs, **attributes):
        self.count += 1
        name = "%s_%d" % (kind.lower(), self.count)
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def normal(self, shape, fan_in, gain=2.0):
        return self.constant(self.random.standard_normal(shape, np.float32) * np.sqrt(gain / fan_in))

    def conv(self, x, inputs, outputs, kernel, stride=1, group=1, act="Relu"):
        fan_in = inputs // group * kernel * kernel
        w = self.normal((outputs, inputs // group, kernel, kernel), fan_in, 2.0 if act else 0.5)
        b = self.constant(self.random.standard_normal(outputs, np.float32) * 0.1)
        y = self.op("Conv", x, w, b, kernel_shape=[kernel] * 2, strides=[stride] * 2, group=group,
                    pads=[kernel // 2] * 4)
        if act == "Relu6":
            return self.op("Clip", y, self.constant(0.0), self.constant(6.0))
        return self.op(act, y) if act else y

    def linear(self, x, inputs, outputs):
        y = self.op("MatMul", x, self.normal((inputs, outputs), inputs, 1.0))
        return self.op("Add", y, self.constant(self.random.standard_normal(outputs, np.float32) * 0.1))

    def classifier(self, x, width):
        x = self.op("Flatten", self.op("GlobalAveragePool", x))
        return self.op("Gemm", x, self.normal((width, 1000), width, 1.0), self.constant(np.zeros(1000)))

    def write(self, result, path, side):
        self.nodes.append(helper.make_node("Identity", [result], ["logits"], name="logits"))
        shapes = (("input", [1, 3, side, side]), ("logits", [1, 1000]))
        infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes]
        graph = helper.make_graph(self.nodes, "net", infos[:1], infos[1:], self.weights)
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def resnet(net, blocks, bottleneck):
    x = net.op("MaxPool", net.conv("input", 3, 64, 7, 2), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, repeats in enumerate(blocks):
        width = 64 << stage
        out = width * (4 if bottleneck else 1)
        for i in range(repeats):
            stride = 2 if stage > 0 and i == 0 else 1
            if bottleneck:
                y = net.conv(net.conv(x, channels, width, 1), width, width, 3, stride)
                y = net.conv(y, width, out, 1, act=None)
            else:
                y = net.conv(net.conv(x, channels, width, 3, stride), width, width, 3, act=None)
            side = x if channels == out and stride == 1 else net.conv(x, channels, out, 1, stride, act=None)
            x, channels = net.op("Relu", net.op("Add", y, side)), out
    return net.classifier(x, channels)


def mobilenetv2(net):
    x, channels = net.conv("input", 3, 32, 3, 2, act="Relu6"), 32
    for expand, out, repeats, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                         (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(repeats):
            width = channels * expand
            step = stride if i == 0 else 1
            y = net.conv(x, channels, width, 1, act="Relu6") if expand > 1 else x
            y = net.conv(y, width, width, 3, step, width, act="Relu6")
            y = net.conv(y, width, out, 1, act=None)
            x, channels = net.op("Add", x, y) if step == 1 and channels == out else y, out
    return net.classifier(net.conv(x, channels, 1280, 1, act="Relu6"), 1280)


def vit(net, width=192, depth=12, heads=3, patch=16):
    """ViT-tiny: patches as a convolution, pre-norm blocks, mean of the tokens before the classifier."""
    tokens = (224 // patch) ** 2
    w = net.normal((width, 3, patch, patch), 3 * patch * patch, 1.0)
    x = net.op("Conv", "input", w, kernel_shape=[patch] * 2, strides=[patch] * 2)
    x = net.op("Reshape", x, net.constant([1, width, tokens], np.int64))
    x = net.op("Transpose", x, perm=[0, 2, 1])
    x = net.op("Add", x, net.normal((1, tokens, width), 1, 0.02))

    def norm(y):
        return net.op("LayerNormalization", y, net.constant(np.ones(width)), net.constant(np.zeros(width)), axis=-1)

    def split(y):
        y = net.op("Reshape", y, net.constant([1, tokens, heads, width // heads], np.int64))
        return net.op("Transpose", y, perm=[0, 2, 1, 3])

    for _ in range(depth):
        y = norm(x)
        q, k, v = (split(net.linear(y, width, width)) for _ in range(3))
        scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = net.op("Mul", scores, net.constant((width / heads) ** -0.5))
        y = net.op("Transpose", net.op("MatMul", net.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        y = net.op("Reshape", y, net.constant([1, tokens, width], np.int64))
        x = net.op("Add", x, net.linear(y, width, width))
        y = net.linear(norm(x), width, 4 * width)
        erf = net.op("Erf", net.op("Div", y, net.constant(np.sqrt(2.0))))
        y = net.op("Mul", net.op("Mul", y, net.op("Add", erf, net.constant(1.0))), net.constant(0.5))
        x = net.op("Add", x, net.linear(y, 4 * width, width))
    x = net.op("ReduceMean", norm(x), axes=[1], keepdims=0)
    return net.op("Gemm", x, net.normal((width, 1000), width, 1.0), net.constant(np.zeros(1000)))


def chain(net, blocks):
    x = net.conv("input", 3, 16, 3, 2, act="Relu6")
    for _ in range(blocks):
        x = net.op("Add", x, net.conv(net.conv(x, 16, 16, 3, act="Relu6"), 16, 16, 1, act=None))
    return net.classifier(x, 16)


NETS = {
    "resnet18": lambda net: resnet(net, (2, 2, 2, 2), False),
    "resnet50": lambda net: resnet(net, (3, 4, 6, 3), True),
    "mobilenetv2": mobilenetv2,
    "vit_tiny": vit,
}

if __name__ == "__main__":
    blocks = sys.argv[1][len("chain"):] if len(sys.argv) == 3 and sys.argv[1].startswith("chain") else ""
    if len(sys.argv) != 3 or not (sys.argv[1] in NETS or blocks.isdigit()):
        sys.exit(__doc__)
    built = Net()
    result = chain(built, int(blocks)) if blocks else NETS[sys.argv[1]](built)
    built.write(result, sys.argv[2], 32 if blocks else 224)
