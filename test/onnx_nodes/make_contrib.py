#!/usr/bin/env python3
"""Makes the cases of test/onnx_nodes/contrib: operators of the domain com.microsoft (and those that
onnxruntime writes into the default domain) as folders in the format of ONNX's own node cases.

    make_contrib.py [--only TEXT] [--check] [FOLDER]

Needs numpy, onnx and onnxruntime, whose CPU kernels give the expected outputs; operators that have no
CPU kernel carry a formula in numpy (`ref`). --check writes nothing: it says which cases differ from the
stored ones. Numbers depend on the name of a case only, so a new case changes no other.
"""
import argparse
import os
import shutil
import sys
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


# --- activations ---------------------------------------------------------------------------------
def activation_cases():
    for op, names in (("Gelu", ("x",)), ("QuickGelu", ("x",)), ("FastGelu", ("x",)),
                      ("FastGelu", ("x", "b")), ("FastGelu", ("x", "$b")), ("BiasGelu", ("x", "b")),
                      ("BiasGelu", ("x", "$b"))):
        for shape in ((3, 5), (2, 3, 8)):
            tag = "_".join(n.replace("$", "const_") for n in names[1:])
            name = "%s%s_%dd" % (op.lower(), "_" + tag if tag else "", len(shape))
            r = rng_of(name)
            data = {"x": floats(r, *shape, scale=2), "b": floats(r, shape[-1])}
            CASES.append(Case(name, op, [(n, data[n.strip("$")]) for n in names]))
    for alpha in (1.0, 0.5):
        r = rng_of("quickgelu_alpha%g" % alpha)
        CASES.append(Case("quickgelu_alpha%g" % alpha, "QuickGelu", [("x", floats(r, 4, 6))],
                          alpha=alpha))
    r = rng_of("biasadd")
    CASES.append(Case("biasadd", "BiasAdd", [("x", floats(r, 2, 3, 8)), ("b", floats(r, 8)),
                                             ("s", floats(r, 2, 3, 8))],
                      ref=lambda x, b, s: [x + b + s]))

    def split_gelu(x, b):
        from math import erf, sqrt
        left, gate = np.split(x + b, 2, axis=-1)
        phi = np.vectorize(lambda v: 0.5 * (1 + erf(v / sqrt(2))))
        return [(left * gate * phi(gate)).astype(F)]
    r = rng_of("biassplitgelu")
    CASES.append(Case("biassplitgelu", "BiasSplitGelu", [("x", floats(r, 2, 3, 8)),
                                                         ("b", floats(r, 8))], ref=split_gelu))


# --- normalizations ------------------------------------------------------------------------------
def norm_cases():
    def add(name, op, inputs, outputs=1, **attrs):
        r = rng_of(name)
        CASES.append(Case(name, op, [(n, floats(r, *s)) if n else None for n, s in inputs], outputs,
                          **attrs))
    x3, x2, row = (2, 3, 8), (3, 8), (8,)
    add("layernorm_v1", "LayerNormalization", [("x", x3), ("g", row), ("b", row)], 3, domain="",
        model_opset=11)
    add("layernorm_v1_axis1", "LayerNormalization", [("x", x3), ("g", (3, 8)), ("b", (3, 8))], 1,
        domain="", model_opset=13, axis=1, epsilon=1e-3)
    add("layernorm_v1_no_bias", "LayerNormalization", [("x", x3), ("g", row)], 1, domain="",
        model_opset=11)
    add("simplified_layernorm", "SimplifiedLayerNormalization", [("x", x3), ("g", row)], 1,
        domain="")
    add("simplified_layernorm_inverse", "SimplifiedLayerNormalization", [("x", x3), ("g", row)], 2,
        domain="", epsilon=1e-2)
    add("simplified_layernorm_axis1", "SimplifiedLayerNormalization", [("x", x3), ("g", (3, 8))], 1,
        domain="", axis=1)
    for op, beta in (("SkipLayerNormalization", True), ("SkipSimplifiedLayerNormalization", False)):
        tag = op.lower()
        b = [("b", row)] if beta else []
        base = [("x", x3), ("s", x3), ("g", row)]
        add(tag, op, base + b)
        add(tag + "_2d", op, [("x", x2), ("s", x2), ("g", row)] + b)
        add(tag + "_bias_sum", op, base + b + [("bias", row)], [1, 0, 0, 1])
        add(tag + "_skip_batch1", op, [("x", x3), ("s", (1, 3, 8)), ("g", row)] + b)
        add(tag + "_skip_2d", op, [("x", x3), ("s", (3, 8)), ("g", row)] + b, [1, 0, 0, 1])
        add(tag + "_epsilon", op, base + b, epsilon=0.1)
        add(tag + "_const", op, [("x", x3), ("s", x3), ("$g", row)] + [("$b", row)] * beta)
    add("skiplayernormalization_no_beta", "SkipLayerNormalization",
        [("x", x3), ("s", x3), ("g", row)])
    add("skiplayernormalization_no_beta_bias", "SkipLayerNormalization",
        [("x", x3), ("s", x3), ("g", row), ("", ()), ("bias", row)])
    for name, segment, mask, places, outputs, attrs in (
            ("embedlayernorm", True, False, 0, 2, {}),
            ("embedlayernorm_no_segment", False, False, 0, 2, {}),
            ("embedlayernorm_mask", True, True, 0, 2, {"mask_index_type": 1}),
            ("embedlayernorm_sum", True, True, 0, 3, {"epsilon": 1e-3}),
            ("embedlayernorm_positions", True, True, 2, 3, {}),
            ("embedlayernorm_positions_row", False, False, 1, 3, {})):
        r = rng_of(name)
        ids = lambda n, *s: r.integers(0, n, s).astype(I32)
        lengths = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], I32)
        CASES.append(Case(name, "EmbedLayerNormalization", [
            ("ids", ids(10, 2, 4)), ("seg", ids(3, 2, 4)) if segment else None,
            ("$word", floats(r, 10, 6)), ("$pos", floats(r, 7, 6)),
            ("$segment", floats(r, 3, 6)) if segment else None, ("$g", floats(r, 6)),
            ("$b", floats(r, 6)), ("mask", lengths) if mask else None,
            ("places", ids(7, places, 4)) if places else None], outputs, **attrs))


# --- products ------------------------------------------------------------------------------------
def product_cases():
    def add(name, op, inputs, **attrs):
        r = rng_of(name)
        CASES.append(Case(name, op, [(n, floats(r, *s)) for n, s in inputs], **attrs))
    for name, a, b, attrs in (
            ("plain", (3, 4), (4, 5), {}), ("alpha", (3, 4), (4, 5), {"alpha": 0.25}),
            ("trans_a", (4, 3), (4, 5), {"transA": 1}), ("trans_b", (3, 4), (5, 4), {"transB": 1}),
            ("batch", (2, 3, 4), (2, 4, 5), {"alpha": 2.0}),
            ("broadcast", (2, 1, 3, 4), (3, 4, 5), {}),
            ("batch_trans", (2, 4, 3), (2, 5, 4), {"transA": 1, "transB": 1, "alpha": -1.5}),
            ("trans_batch_a", (3, 2, 4), (2, 4, 5), {"transBatchA": 1}),
            ("trans_batch_b", (2, 3, 4), (4, 2, 5), {"transBatchB": 1}),
            ("trans_batch_both", (3, 2, 6, 4), (4, 2, 6, 5), {"transBatchA": 1, "transBatchB": 1}),
            ("trans_batch_a_trans_a", (4, 2, 3), (2, 4, 5), {"transBatchA": 1, "transA": 1}),
            ("trans_batch_b_trans_b", (2, 3, 4), (5, 2, 4), {"transBatchB": 1, "transB": 1}),
            ("vector", (4,), (4, 5), {"transA": 1}), ("const", (3, 4), (4, 5), {"alpha": 3.0})):
        right = "$b" if name == "const" else "b"
        add("fusedmatmul_" + name, "FusedMatMul", [("a", a), (right, b)], **attrs)
    add("transposematmul", "TransposeMatMul", [("a", (4, 3)), ("b", (4, 5))], transA=1, alpha=0.5)
    for act, attrs in (("Relu", {}), ("Sigmoid", {}), ("Tanh", {}), ("Softplus", {}),
                       ("Softsign", {}), ("LeakyRelu", {"activation_alpha": 0.3}),
                       ("Elu", {"activation_alpha": 0.7}),
                       ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4}),
                       ("ThresholdedRelu", {"activation_alpha": 0.5})):
        add("fusedgemm_" + act.lower(), "FusedGemm", [("a", (3, 4)), ("b", (4, 5)), ("c", (5,))],
            activation=act, **attrs)
    add("fusedgemm_trans", "FusedGemm", [("a", (4, 3)), ("b", (5, 4)), ("c", (3, 5))],
        activation="Relu", transA=1, transB=1, alpha=0.5, beta=0.25)
    add("fusedgemm_no_c", "FusedGemm", [("a", (3, 4)), ("$b", (4, 5))], activation="Relu")
    image, filters = (1, 4, 6, 5), (6, 4, 3, 3)
    for act, params in (("Relu", None), ("Sigmoid", None), ("Tanh", None), ("LeakyRelu", [0.2]),
                        ("Clip", [-0.5, 0.5]), ("HardSigmoid", [0.3, 0.4])):
        attrs = {} if params is None else {"activation_params": params}
        add("fusedconv_" + act.lower(), "FusedConv",
            [("x", image), ("$w", filters), ("$b", (6,))], activation=act, pads=[1, 1, 1, 1],
            **attrs)
    add("fusedconv_sum", "FusedConv", [("x", image), ("$w", filters), ("$b", (6,)),
                                       ("z", (1, 6, 4, 3))], activation="Relu")
    add("fusedconv_sum_no_bias", "FusedConv", [("x", image), ("$w", filters), ("", ()),
                                               ("z", (1, 6, 4, 3))], activation="Relu")
    add("fusedconv_group_stride", "FusedConv", [("x", image), ("$w", (4, 2, 3, 3))],
        activation="Relu", group=2, strides=[2, 2], kernel_shape=[3, 3], auto_pad="SAME_UPPER")
    add("fusedconv_no_activation", "FusedConv", [("x", image), ("w", filters)], dilations=[2, 1])


# --- weights of few bits ---------------------------------------------------------------------------
def pack(values, bits):
    """Packs the last axis, first number in the lowest bits."""
    per = 8 // bits
    pad = -values.shape[-1] % per
    values = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, pad)])
    parts = values.reshape(*values.shape[:-1], -1, per).astype(np.uint32)
    return sum(parts[..., i] << (bits * i) for i in range(per)).astype(U8)


def grouped(weights, zeros, inputs):
    groups, scales = inputs[4][1], inputs[2][1]
    real = ((weights - zeros[:, groups]) * scales[:, groups]).astype(F)
    return lambda a, *rest: [a @ real.T]


def nbits_cases():
    for name, bits, block, n, k, zero, group, bias, lead in (
            ("4bit", 4, 16, 6, 32, None, 0, 0, (3,)), ("4bit_block32", 4, 32, 6, 64, None, 0, 0, (3,)),
            ("4bit_zero", 4, 16, 6, 48, "packed", 0, 0, (3,)),
            ("4bit_float_zero", 4, 16, 6, 48, "float", 0, 0, (3,)),
            ("4bit_tail", 4, 16, 6, 40, "packed", 0, 0, (3,)),
            ("4bit_bias", 4, 16, 6, 32, None, 0, 1, (2, 3)),
            ("4bit_zero_bias", 4, 16, 6, 32, "packed", 0, 1, (2, 3)),
            ("4bit_groups", 4, 16, 6, 48, None, 1, 0, (3,)),
            ("4bit_groups_zero", 4, 16, 6, 48, "packed", 1, 0, (3,)),
            ("4bit_batch", 4, 32, 8, 32, None, 0, 0, (2, 2, 3)),
            ("4bit_accuracy1", 4, 16, 6, 32, None, 0, 0, (3,)),
            ("4bit_block128", 4, 128, 3, 160, "packed", 0, 0, (2,)),
            ("8bit", 8, 16, 6, 32, None, 0, 0, (3,)), ("8bit_zero", 8, 32, 6, 64, "packed", 0, 0, (3,)),
            ("8bit_bias_tail", 8, 16, 6, 40, "packed", 0, 1, (3,)),
            ("2bit", 2, 16, 6, 32, None, 0, 0, (3,)), ("2bit_zero", 2, 16, 6, 48, "packed", 0, 0, (3,))):
        name = "matmulnbits_" + name
        r = rng_of(name)
        blocks = -(-k // block)
        q = r.integers(0, 1 << bits, (n, blocks, block))
        inputs = [("a", floats(r, *lead, k)), ("$b", pack(q, bits)),
                  ("$scales", (r.random((n, blocks)) + 0.5).astype(F) / (1 << bits)), None, None, None]
        z = r.integers(0, 1 << bits, (n, blocks))
        if zero == "packed":
            inputs[3] = ("$zeros", pack(z, bits))
        elif zero == "float":
            inputs[3] = ("$zeros", (r.random((n, blocks)) * (1 << bits)).astype(F))
        if group:
            inputs[4] = ("$groups", r.integers(0, blocks, k).astype(I32))
        if bias:
            inputs[5] = ("$bias", floats(r, n))
        attrs = {"accuracy_level": 1} if "accuracy" in name else {}
        if group and zero:  # the kernel forgets the zero points of 4 bits here
            attrs["ref"] = grouped(q.reshape(n, -1)[:, :k], z, inputs)
        CASES.append(Case(name, "MatMulNBits", inputs, K=k, N=n, bits=bits, block_size=block,
                          **attrs))


# --- quantized -------------------------------------------------------------------------------------
def scalar(value, dtype=F):
    return np.array(value, dtype)


def quant_cases():
    kinds = (("u8", U8, 120, 7), ("i8", I8, -11, 5))
    for tag, t, za, zb in kinds:
        for op in ("QLinearAdd", "QLinearMul"):
            out = 0.05 if op == "QLinearAdd" else 0.4
            for variant, a, b in (("", (2, 3, 4), (2, 3, 4)), ("_broadcast", (2, 3, 4), (3, 1)),
                                  ("_scalar", (2, 3, 4), ())):
                name = "%s_%s%s" % (op.lower(), tag, variant)
                r = rng_of(name)
                CASES.append(Case(name, op, [
                    ("a", quants(r, t, *a)), ("$sa", scalar(0.03)), ("$za", scalar(za, t)),
                    ("b", quants(r, t, *b)), ("$sb", scalar(0.07)), ("$zb", scalar(zb, t)),
                    ("$sc", scalar(out)), ("$zc", scalar(3, t))]))
        name = "qlinearleakyrelu_%s_no_zeros" % tag
        r = rng_of(name)
        CASES.append(Case(name, "QLinearLeakyRelu", [
            ("x", quants(r, t, 3, 4)), ("$sx", scalar(0.03)), None, ("$sy", scalar(0.02))],
            ref=lambda x, sx, sy: run(  # the kernel crashes; zeros say the same
                Case("", "QLinearLeakyRelu", [("x", x), ("$a", sx), ("$b", scalar(0, x.dtype)),
                                              ("$c", sy), ("$d", scalar(0, x.dtype))]), {"x": x})))
        for op, attrs in (("QLinearSigmoid", {}), ("QLinearLeakyRelu", {}),
                          ("QLinearLeakyRelu", {"alpha": 0.3})):
            name = "%s_%s%s" % (op.lower(), tag, "_alpha" if attrs else "")
            r = rng_of(name)
            out = 1 / 256 if op == "QLinearSigmoid" else 0.04
            CASES.append(Case(name, op, [
                ("x", quants(r, t, 4, 16)), ("$sx", scalar(0.03)), ("$zx", scalar(za, t)),
                ("$sy", scalar(out)), ("$zy", scalar(np.iinfo(t).min if out < 0.01 else 4, t))],
                **attrs))
        for variant, axis, opset, shape in (("", -1, 13, (3, 10)), ("_axis1", 1, 13, (2, 5, 3)),
                                            ("_old", 1, 12, (2, 5, 3))):
            name = "qlinearsoftmax_%s%s" % (tag, variant)
            r = rng_of(name)
            CASES.append(Case(name, "QLinearSoftmax", [
                ("x", quants(r, t, *shape)), ("$sx", scalar(0.05)), ("$zx", scalar(za, t)),
                ("$sy", scalar(1 / 256)), ("$zy", scalar(np.iinfo(t).min, t))], axis=axis,
                opset=opset))
        name = "qlinearwhere_%s" % tag
        r = rng_of(name)
        CASES.append(Case(name, "QLinearWhere", [
            ("c", r.random((3, 4)) < 0.5), ("x", quants(r, t, 3, 4)), ("$sx", scalar(0.05)),
            ("$zx", scalar(za, t)), ("y", quants(r, t, 3, 4)), ("$sy", scalar(0.02)),
            ("$zy", scalar(zb, t)), ("$sz", scalar(0.06)), ("$zz", scalar(1, t))]))
        for variant, axis, shapes in (("", 1, ((2, 3, 4), (2, 2, 4), (2, 1, 4))),
                                      ("_last", -1, ((3, 2), (3, 5)))):
            name = "qlinearconcat_%s%s" % (tag, variant)
            r = rng_of(name)
            inputs = [("$sy", scalar(0.05)), ("$zy", scalar(2, t))]
            for i, shape in enumerate(shapes):
                inputs += [("x%d" % i, quants(r, t, *shape)), ("$s%d" % i, scalar(0.03 + 0.02 * i)),
                           ("$z%d" % i, scalar(2 * i, t))]
            CASES.append(Case(name, "QLinearConcat", inputs, axis=axis))
        pool_cases(tag, t, za)
        product_quant_cases(tag, t, za)


def mean_of(dtype, axes, keep):
    def ref(x, sx, zx, sy, zy):
        mean = ((x.astype(F) - F(zx)) * sx).mean(axis=axes, keepdims=keep)
        info = np.iinfo(dtype)
        return [np.clip(np.rint(mean / sy) + F(zy), info.min, info.max).astype(dtype)]
    return ref


def pool_cases(tag, t, zero):
    tail = [("$sx", scalar(0.03)), ("$zx", scalar(zero, t)), ("$sy", scalar(0.02)),
            ("$zy", scalar(9, t))]
    for last in (0, 1):
        name = "qlinearglobalaveragepool_%s%s" % (tag, "_last" if last else "")
        r = rng_of(name)
        shape = (2, 5, 4, 3) if last else (2, 3, 5, 4)
        CASES.append(Case(name, "QLinearGlobalAveragePool", [("x", quants(r, t, *shape))] + tail,
                          channels_last=last))
        name = "qlinearaveragepool_%s%s" % (tag, "_last" if last else "")
        r = rng_of(name)
        CASES.append(Case(name, "QLinearAveragePool", [("x", quants(r, t, *shape))] + tail,
                          channels_last=last, kernel_shape=[3, 2], pads=[1, 0, 1, 1],
                          strides=[2, 1]))
    for variant, attrs in (("_include", {"count_include_pad": 1, "pads": [1, 1, 1, 1]}),
                           ("_ceil", {"ceil_mode": 1, "strides": [2, 2]}),
                           ("_same", {"auto_pad": "SAME_UPPER", "strides": [2, 2]})):
        name = "qlinearaveragepool_%s%s" % (tag, variant)
        r = rng_of(name)
        CASES.append(Case(name, "QLinearAveragePool", [("x", quants(r, t, 1, 2, 6, 5))] + tail,
                          kernel_shape=[3, 3], **attrs))
    for variant, axes, keep in (("", [1, 2], 0), ("_keep", [-1], 1)):
        name = "qlinearreducemean_%s%s" % (tag, variant)
        r = rng_of(name)
        CASES.append(Case(name, "QLinearReduceMean", [("x", quants(r, t, 3, 4, 5))] + tail,
                          ref=mean_of(t, tuple(axes), bool(keep)), axes=axes, keepdims=keep))
    name = "nhwcmaxpool_%s" % tag
    r = rng_of(name)
    CASES.append(Case(name, "NhwcMaxPool", [("x", quants(r, t, 1, 6, 5, 3))], kernel_shape=[3, 2],
                      pads=[1, 0, 1, 1], strides=[2, 2]))


def product_quant_cases(tag, t, zero):
    for variant, n, k, trans_a, trans_b, bias, out, columns, alpha in (
            ("", 5, 8, 0, 0, 1, 1, 0, 1.0), ("_trans", 5, 8, 1, 1, 1, 1, 0, 1.0),
            ("_float", 5, 8, 0, 0, 1, 0, 0, 1.0), ("_columns", 5, 8, 0, 0, 1, 1, 1, 1.0),
            ("_no_bias", 5, 8, 0, 1, 0, 1, 0, 0.5), ("_long", 3, 600, 0, 0, 1, 1, 0, 1.0)):
        name = "qgemm_%s%s" % (tag, variant)
        r = rng_of(name)
        m = 4
        inputs = [("a", quants(r, t, *((k, m) if trans_a else (m, k)))), ("$sa", scalar(0.03)),
                  ("$za", scalar(zero, t)), ("$b", quants(r, I8, *((n, k) if trans_b else (k, n)))),
                  ("$sb", (r.random(n) * 0.02 + 0.01).astype(F) if columns else scalar(0.02)),
                  ("$zb", np.zeros(n, I8) if columns else scalar(0 if t == I8 else 3, I8)),
                  ("$c", r.integers(-2000, 2000, n).astype(I32)) if bias else None]
        if out:
            inputs += [("$sy", scalar(0.2 if k < 100 else 2.0)), ("$zy", scalar(6, t))]
        CASES.append(Case(name, "QGemm", inputs, transA=trans_a, transB=trans_b, alpha=alpha))
    for variant, shape, columns, zeros, bias in (
            ("", (3, 8), 0, 1, 0), ("_columns", (3, 8), 1, 1, 1), ("_no_zeros", (2, 3, 8), 0, 0, 1)):
        name = "matmulintegertofloat_%s%s" % (tag, variant)
        r = rng_of(name)
        scale = (r.random(5) * 0.02 + 0.01).astype(F) if columns else scalar(0.02)
        point = quants(r, I8, 5) if columns else scalar(-4, I8)
        CASES.append(Case(name, "MatMulIntegerToFloat", [
            ("a", quants(r, t, *shape)), ("$b", quants(r, I8, 8, 5)), ("$sa", scalar(0.03)),
            ("$sb", scale), ("$za", scalar(zero, t)) if zeros else None,
            ("$zb", point) if zeros else None, ("$bias", floats(r, 5)) if bias else None]))
        name = "dynamicquantizematmul_%s%s" % (tag, variant)
        r = rng_of(name)
        scale = (r.random(5) * 0.02 + 0.01).astype(F) if columns else scalar(0.02)
        point = quants(r, t, 5) if columns else scalar(2, t)
        CASES.append(Case(name, "DynamicQuantizeMatMul", [
            ("a", floats(r, *shape)), ("$b", quants(r, t, 8, 5)), ("$sb", scale),
            ("$zb", point) if zeros else None, ("$bias", floats(r, 5)) if bias else None]))
    for last in (0, 1):
        name = "qlinearconv_%s%s" % (tag, "_last" if last else "")
        r = rng_of(name)
        shape = (1, 6, 5, 4) if last else (1, 4, 6, 5)
        CASES.append(Case(name, "QLinearConv", [
            ("x", quants(r, t, *shape)), ("$sx", scalar(0.03)), ("$zx", scalar(zero, t)),
            ("$w", quants(r, I8, 6, 4, 3, 3)), ("$sw", (r.random(6) * 0.02 + 0.01).astype(F)),
            ("$zw", np.zeros(6, I8)), ("$sy", scalar(0.3)), ("$zy", scalar(5, t)),
            ("$bias", r.integers(-3000, 3000, 6).astype(I32))], channels_last=last,
            pads=[1, 1, 1, 1], strides=[2, 1]))
    name = "dequantizelinear_" + tag
    r = rng_of(name)
    CASES.append(Case(name, "DequantizeLinear", [("x", quants(r, t, 3, 4)), ("s", scalar(0.1)),
                                                 ("z", scalar(zero, t))]))
    CASES.append(Case(name + "_axis", "DequantizeLinear", [
        ("x", quants(r, t, 3, 4)), ("s", (r.random(4) + 0.1).astype(F)), ("z", quants(r, t, 4))],
        axis=1))
    name = "quantizelinear_" + tag
    r = rng_of(name)
    CASES.append(Case(name, "QuantizeLinear", [("x", floats(r, 3, 4, scale=4)), ("s", scalar(0.05)),
                                               ("z", scalar(zero, t))]))
    CASES.append(Case(name + "_axis", "QuantizeLinear", [
        ("x", floats(r, 3, 4, scale=4)), ("s", (r.random(3) * 0.1 + 0.02).astype(F)),
        ("z", quants(r, t, 3))], axis=0))


# --- attention -------------------------------------------------------------------------------------
def attention_cases():
    b, s, d, h = 2, 4, 8, 2
    raw = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], I32)
    long = np.array([[0, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0, 0]], I32)
    cube = np.tril(np.ones((b, s, s), I32))
    cube[1, :, 1] = 0
    past = (2, b, h, 3, d // h)
    for name, mask, extra, outputs, attrs in (
            ("plain", None, {}, 1, {}), ("no_bias", None, {"bias": 0}, 1, {}),
            ("raw_mask", raw, {}, 1, {}), ("ends", np.array([3, 2], I32), {}, 1, {}),
            ("ends_starts", np.array([4, 3, 1, 0], I32), {}, 1, {}), ("cube_mask", cube, {}, 1, {}),
            ("causal", None, {}, 1, {"unidirectional": 1}),
            ("causal_mask", raw, {}, 1, {"unidirectional": 1}),
            ("causal_cube", cube, {}, 1, {"unidirectional": 1}),
            ("scale", None, {}, 1, {"scale": 0.3}),
            ("filter", raw, {}, 1, {"mask_filter_value": -2.0}),
            ("past", None, {"past": 1}, 2, {}), ("past_mask", long, {"past": 1}, 2, {}),
            ("past_causal", None, {"past": 1}, 2, {"unidirectional": 1}),
            ("present", None, {}, 2, {}), ("sizes", None, {"v": 12}, 1, {}),
            ("score_bias", None, {"add": (b, h, s, s)}, 1, {}),
            ("score_bias_mask", raw, {"add": (1, h, s, s)}, 1, {"unidirectional": 1}),
            ("score_bias_heads", None, {"add": (b, 1, s, s)}, 1, {})):
        name = "attention_" + name
        r = rng_of(name)
        v = extra.get("v", d)
        if v != d:
            attrs = dict(attrs, qkv_hidden_sizes=[d, d, v])
        if name == "attention_no_bias":  # the kernel crashes; a bias of zeros says the same
            attrs = dict(attrs, ref=lambda x, w: run(
                Case("", "Attention", [("x", x), ("w", w), ("$b", np.zeros(24, F))], num_heads=2),
                {"x": x, "w": w}))
        CASES.append(Case(name, "Attention", [
            ("x", floats(r, b, s, d)), ("$w", floats(r, d, 2 * d + v)),
            ("$bias", floats(r, 2 * d + v)) if extra.get("bias", 1) else None,
            None if mask is None else ("mask", mask),
            ("past", floats(r, *past)) if "past" in extra else None,
            ("add", floats(r, *extra["add"])) if "add" in extra else None], outputs, num_heads=h,
            **attrs))
    t = 5
    for name, kind, mask, extra, outputs, attrs in (
            ("plain", "qkv", None, {}, 1, {}), ("bias", "qkv", None, {"bias": 1}, 1, {}),
            ("value_size", "qkv", None, {"v": 12, "bias": 1}, 1, {}),
            ("packed", "all", None, {}, 1, {}), ("packed_kv", "kv", None, {}, 1, {}),
            ("heads_apart", "bnsh", None, {}, 1, {}),
            ("mask", "qkv", np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], I32), {}, 1, {}),
            ("cube_mask", "qkv", (np.arange(b * s * t).reshape(b, s, t) % 3 > 0).astype(I32), {}, 1, {}),
            ("causal", "same", None, {}, 1, {"unidirectional": 1}),
            ("scale", "qkv", None, {}, 1, {"scale": 0.2}),
            ("score_bias", "qkv", None, {"add": (1, h, s, t)}, 1, {}),
            ("present", "same", None, {}, 3, {}),
            ("past", "same", None, {"past": 3}, 3, {}),
            ("past_causal_bias", "same", None, {"past": 3, "bias": 1}, 3, {"unidirectional": 1}),
            ("cross", "qkv", None, {"bias": 1, "add": (b, h, s, t)}, 1, {})):
        name = "multiheadattention_" + name
        r = rng_of(name)
        v, keys = extra.get("v", d), s if kind == "same" else t
        q = [("q", floats(r, b, s, d)), ("k", floats(r, b, keys, d)), ("v", floats(r, b, keys, v))]
        if kind == "all":  # packed: not in the CPU kernel, which gets the parts
            q = [("q", floats(r, b, s, h, 3, d // h)), None, None]
            attrs = dict(attrs, ref=apart)
        elif kind == "kv":
            q = [q[0], ("k", floats(r, b, t, h, 2, d // h)), None]
            attrs = dict(attrs, ref=apart)
        elif kind == "bnsh":
            q = [q[0], ("k", floats(r, b, h, t, d // h)), ("v", floats(r, b, h, t, d // h))]
        cache = (b, h, extra.get("past", 0), d // h)
        CASES.append(Case(name, "MultiHeadAttention", q + [
            ("bias", floats(r, 2 * d + v)) if "bias" in extra else None,
            None if mask is None else ("mask", mask),
            ("add", floats(r, *extra["add"])) if "add" in extra else None,
            ("pk", floats(r, *cache)) if "past" in extra else None,
            ("pv", floats(r, *cache)) if "past" in extra else None], outputs, num_heads=h, **attrs))
    group_cases()


def apart(*packed):
    parts = []
    for x in packed:
        parts += [x] if x.ndim == 3 else [x[:, :, :, i].reshape(*x.shape[:2], -1)
                                          for i in range(x.shape[3])]
    q, k, v = parts
    return run(Case("", "MultiHeadAttention", [("q", q), ("k", k), ("v", v)], num_heads=2),
               {"q": q, "k": k, "v": v})


def group_cases():
    b, s, size = 2, 5, 16
    for name, h, g, past, extra, attrs in (
            ("plain", 4, 2, 0, {}, {}), ("same_heads", 2, 2, 0, {}, {}),
            ("packed", 4, 2, 0, {"packed": 1}, {}), ("scale", 4, 1, 0, {}, {"scale": 0.2}),
            ("rotary", 4, 2, 0, {"rotary": 1}, {"do_rotary": 1}),
            ("rotary_pairs", 4, 2, 0, {"rotary": 1}, {"do_rotary": 1, "rotary_interleaved": 1}),
            ("packed_rotary", 4, 2, 0, {"packed": 1, "rotary": 1}, {"do_rotary": 1}),
            ("softcap", 4, 2, 0, {}, {"softcap": 2.0}),
            ("window", 4, 2, 0, {}, {"local_window_size": 2}),
            ("past", 4, 2, 3, {}, {}),
            ("past_rotary", 4, 2, 3, {"rotary": 1}, {"do_rotary": 1})):
        name = "groupqueryattention_" + name
        r = rng_of(name)
        n = 1 if past else s
        q, kv = h * size, g * size
        if "packed" in extra:
            inputs = [("q", floats(r, b, n, q + 2 * kv)), None, None]
        else:
            inputs = [("q", floats(r, b, n, q)), ("k", floats(r, b, n, kv)), ("v", floats(r, b, n, kv))]
        cache = (b, g, past, size)
        angles = r.random((8, size // 2)) * 6
        inputs += [("pk", floats(r, *cache)) if past else None,
                   ("pv", floats(r, *cache)) if past else None,
                   ("$lengths", np.full(b, past + n - 1, I32)), ("$total", scalar(past + n, I32)),
                   ("$cos", np.cos(angles).astype(F)) if "rotary" in extra else None,
                   ("$sin", np.sin(angles).astype(F)) if "rotary" in extra else None]
        CASES.append(Case(name, "GroupQueryAttention", inputs, 3, num_heads=h, kv_num_heads=g,
                          **attrs))
    for name, shape, places, width, attrs in (
            ("flat", (2, 3, 16), "each", 4, {}), ("flat_offset", (2, 3, 16), "offset", 4, {}),
            ("heads", (2, 2, 3, 8), "each", 4, {}), ("heads_offset", (2, 2, 3, 8), "offset", 4, {}),
            ("pairs", (2, 3, 16), "each", 4, {"interleaved": 1}),
            ("part", (2, 3, 16), "each", 2, {"num_heads": 2, "rotary_embedding_dim": 4}),
            ("num_heads", (2, 3, 16), "each", 4, {"num_heads": 2})):
        name = "rotaryembedding_" + name
        r = rng_of(name)
        angles = r.random((9, width)) * 6
        at = r.integers(0, 9, (2, 3)).astype(I64) if places == "each" else np.array([4], I64)
        CASES.append(Case(name, "RotaryEmbedding", [
            ("x", floats(r, *shape)), ("p", at), ("$cos", np.cos(angles).astype(F)),
            ("$sin", np.sin(angles).astype(F))], **attrs))


# --- others ------------------------------------------------------------------------------------------
def other_cases():
    def add(name, op, make, **attrs):
        CASES.append(Case(name, op, make(rng_of(name)), **attrs))
    add("trilu", "Trilu", lambda r: [("x", floats(r, 4, 5))])
    add("trilu_lower_k", "Trilu", lambda r: [("x", floats(r, 2, 4, 5)), ("$k", scalar(1, I64))], upper=0)
    add("gathernd", "GatherND", lambda r: [("x", floats(r, 3, 4, 5)),
                                          ("i", np.array([[0, 1], [2, 3]], I64))])
    add("pad", "Pad", lambda r: [("x", floats(r, 2, 3)), ("$p", np.array([1, 0, 0, 2], I64)),
                                ("$v", scalar(1.5))],
        model_opset=9)
    add("pad_reflect", "Pad", lambda r: [("x", floats(r, 3, 4)), ("$p", np.array([1, 2, 0, 1], I64))],
        mode="reflect")
    add("range", "Range", lambda r: [("$a", scalar(1, I64)), ("$b", scalar(9, I64)),
                                    ("$c", scalar(3, I64))])
    add("range_no_delta", "Range", lambda r: [("$a", scalar(1.0)), ("$b", scalar(4.5))])
    add("gridsample", "GridSample", lambda r: [("x", floats(r, 1, 2, 4, 5)),
                                              ("g", (r.random((1, 3, 3, 2)) * 2 - 1).astype(F))])
    add("gridsample_bicubic", "GridSample",
        lambda r: [("x", floats(r, 1, 2, 4, 5)), ("g", (r.random((1, 3, 3, 2)) * 2.4 - 1.2).astype(F))],
        mode="bicubic", padding_mode="border", align_corners=1)


# --- writing -----------------------------------------------------------------------------------------
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


def files_of(c):
    """Relative path -> bytes."""
    given = [i for i in c.inputs if i is not None and i[0] and not i[0].startswith("$")]
    if c.ref is not None:
        results = c.ref(*[i[1] for i in c.inputs if i is not None and i[0]])
    else:
        results = run(c, {n: a for n, a in given})
    used = [n for n in c.outputs if n]
    model = build(c, [value_info(n, a) for n, a in zip(used, results)])
    files = {"model.onnx": model.SerializeToString()}
    for kind, items in (("input", given), ("output", list(zip(used, results)))):
        for i, (name, array) in enumerate(items):
            tensor = numpy_helper.from_array(np.asarray(array), name)
            files["test_data_set_0/%s_%d.pb" % (kind, i)] = tensor.SerializeToString()
    return files


def same(folder, files):
    for path, data in files.items():
        full = os.path.join(folder, path)
        if not os.path.exists(full) or open(full, "rb").read() != data:
            return False
    return True


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", default=os.path.join(here, "contrib"))
    parser.add_argument("--only", default="")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    for make in (activation_cases, norm_cases, product_cases, nbits_cases, quant_cases,
                 attention_cases, other_cases):
        make()
    bad = 0
    for c in CASES:
        if options.only not in c.name:
            continue
        folder = os.path.join(options.folder, c.name)
        try:
            files = files_of(c)
        except Exception as error:  # the oracle refuses the case: say which, go on
            print("%s: %s" % (c.name, str(error).split("\n")[0][:300]))
            bad += 1
            continue
        if options.check:
            if not same(folder, files):
                print("%s differs" % c.name)
                bad += 1
            continue
        shutil.rmtree(folder, ignore_errors=True)
        for path, data in files.items():
            full = os.path.join(folder, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as file:
                file.write(data)
    print("%d cases, %d bad" % (len(CASES), bad))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
