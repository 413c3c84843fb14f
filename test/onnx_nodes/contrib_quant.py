"""Cases of make_contrib.py: quantized operators."""
import numpy as np

from contrib_case import CASES, F, I8, I32, U8, Case, floats, quants, rng_of, run, scalar


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
    name = "qlinearconv_%s_long" % tag
    r = rng_of(name)
    CASES.append(Case(name, "QLinearConv", [
        ("x", quants(r, t, 1, 40, 4, 4)), ("$sx", scalar(0.03)), ("$zx", scalar(zero, t)),
        ("$w", quants(r, I8, 2, 40, 3, 3)), ("$sw", scalar(0.01)), ("$zw", scalar(0, I8)),
        ("$sy", scalar(0.6)), ("$zy", scalar(5, t))], pads=[1, 1, 1, 1]))
    name = "convinteger_%s_long" % tag
    r = rng_of(name)
    CASES.append(Case(name, "ConvInteger", [
        ("x", quants(r, t, 1, 40, 4, 4)), ("$w", quants(r, t, 2, 40, 3, 3)), ("$zx", scalar(zero, t)),
        ("$zw", scalar(7, t))], domain="", pads=[0, 1, 0, 1]))
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
