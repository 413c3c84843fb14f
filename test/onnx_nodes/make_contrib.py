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

import numpy as np
from onnx import numpy_helper

from contrib_case import (CASES, F, I32, I64, U8, Case, build, floats, rng_of, run, scalar,
                          value_info)
from contrib_quant import quant_cases

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
    r = rng_of("nhwcfusedconv")

    def channels_last(x, w, b):  # the CPU kernel is one of half floats
        x = x.transpose(0, 3, 1, 2)
        y = run(Case("", "FusedConv", [("x", x), ("w", w), ("b", b)], activation="Relu"),
                {"x": x, "w": w, "b": b})
        return [np.ascontiguousarray(y[0].transpose(0, 2, 3, 1))]
    CASES.append(Case("nhwcfusedconv", "NhwcFusedConv", [
        ("x", floats(r, 1, 6, 5, 4)), ("$w", floats(r, *filters)), ("$b", floats(r, 6))],
        ref=channels_last, activation="Relu"))
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
