/* com.microsoft: element-wise, pooling and joining operators on quantized tensors. The operands are
 * made real numbers, the float operator works, the result is quantized. */
#include "frontends/onnx/onnx_quant.h"

#include <inttypes.h>
#include <string.h>

/* (x - zero) * scale; inputs x, scale, zero from `first` on. */
static mica_value *real(mica_onnx_node *node, const char *name, size_t first) {
    mica_value *scale = mica_onnx_in(node, first + 1), *zero = mica_onnx_in(node, first + 2);
    mica_value *x = mica_onnx_in(node, first);
    const mrt_shape shape = mica_onnx_shape(scale), zeros = mica_onnx_shape(zero);
    if (!node->failed && (x == NULL || scale == NULL)) {
        mica_onnx_error(node, "inputs %zu and %zu are required, but absent", first, first + 1);
    }
    if (!node->failed && (mrt_shape_count(&shape) != 1 || mrt_shape_count(&zeros) != 1)) {
        mica_onnx_error(node, "inputs %zu and %zu (scale and zero point) have %" PRId64 " and %" PRId64
                              " elements, expected 1", first + 1, first + 2,
                        mrt_shape_count(&shape), mrt_shape_count(&zeros));
    }
    if (!node->failed && mica_onnx_type(x) != MRT_U8 && mica_onnx_type(x) != MRT_I8) {
        mica_onnx_error(node, "input %zu has type %s, expected u8 or i8", first,
                        mrt_dtype_name(mica_onnx_type(x)));
    }
    if (!node->failed && zero != NULL && mica_onnx_type(zero) != mica_onnx_type(x)) {
        mica_onnx_error(node, "input %zu (zero point) has type %s, expected %s", first + 2,
                        mrt_dtype_name(mica_onnx_type(zero)), mrt_dtype_name(mica_onnx_type(x)));
    }
    if (node->failed) {
        return NULL;
    }
    mica_arena *arena = node->importer->arena;
    x = mica_onnx_centred(node, name, x, zero, 0);
    scale = mica_onnx_along_axis(node, "scale", scale, &shape, 0);
    return mica_onnx_binary(node, "top.Mul", mica_arena_printf(arena, "%s_real", name), x, scale);
}

/* Output 0 from real numbers: inputs scale and zero from `first` on, in the type of input `like`. */
static mica_status quantize(mica_onnx_node *node, mica_value *x, size_t first, size_t like) {
    const mrt_shape shape = mica_onnx_shape(x);
    const mrt_dtype type = mica_onnx_type(mica_onnx_in(node, like));
    mica_value *scale = mica_onnx_in(node, first), *zero = mica_onnx_in(node, first + 1);
    if (!node->failed && zero != NULL && mica_onnx_type(zero) != type) {
        return mica_onnx_error(node, "input %zu (zero point) has type %s, expected %s", first + 1,
                               mrt_dtype_name(mica_onnx_type(zero)), mrt_dtype_name(type));
    }
    scale = mica_onnx_along_axis(node, "y_scale", scale, &shape, 0);
    zero = mica_onnx_along_axis(node, "y_zero", zero, &shape, 0);
    return mica_onnx_alias(node, 0, mica_onnx_quantized(node, NULL, x, scale, zero, type));
}

/* Detail: the float op. */
mica_status mica_onnx_convert_qlinear_binary(mica_onnx_node *node) {
    mica_value *a = real(node, "a", 0), *b = real(node, "b", 3);
    return quantize(node, mica_onnx_binary(node, node->row->detail, "real", a, b), 6, 0);
}

/* Detail: the float op, and an attribute of it with its default. */
mica_status mica_onnx_convert_qlinear_unary(mica_onnx_node *node) {
    const bool leaky = strcmp(node->row->detail, "top.LeakyRelu") == 0;
    mica_value *x = real(node, "x", 0);
    mica_op *op = mica_onnx_op(node, node->row->detail, "real", &x, 1, 1);
    const double alpha = leaky ? mica_onnx_attr_f(node, "alpha", (double)0.01f) : 0.0;
    MICA_TRY(mica_onnx_finish(node));
    if (leaky) {
        mica_op_set_f64(op, "alpha", alpha);
    }
    return quantize(node, mica_onnx_done(node, op), 3, 0);
}

/* Attribute `opset`: before 13 the axes from `axis` on were one. */
mica_status mica_onnx_convert_qlinear_softmax(mica_onnx_node *node) {
    mica_value *x = real(node, "x", 0);
    const mrt_shape shape = mica_onnx_shape(x);
    int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", -1), shape.rank);
    if (!mica_onnx_has_attr(node, "opset")) {
        return mica_onnx_error(node, "attribute 'opset' is missing");
    }
    const bool flat = mica_onnx_attr_i(node, "opset", 13) < 13;
    if (flat && !node->failed) {
        const int64_t dims[] = {mrt_shape_range(&shape, 0, axis),
                                mrt_shape_range(&shape, axis, shape.rank)};
        x = mica_onnx_reshape(node, "flat", x, 2, dims);
        axis = 1;
    }
    mica_op *op = mica_onnx_op(node, "top.Softmax", "softmax", &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    x = mica_onnx_reshape(node, "real", mica_onnx_done(node, op), shape.rank, shape.dims);
    return quantize(node, x, 3, 0);
}

mica_status mica_onnx_convert_qlinear_where(mica_onnx_node *node) {
    mica_value *a = real(node, "a", 1), *b = real(node, "b", 4);
    return quantize(node, mica_onnx_where(node, "real", mica_onnx_in(node, 0), a, b), 7, 1);
}

/* Scale and zero point of the result, then tensor, scale, zero point of each part. */
mica_status mica_onnx_convert_qlinear_concat(mica_onnx_node *node) {
    const size_t n = mica_onnx_n_in(node), parts = (n - 2) / 3;
    if ((n - 2) % 3 != 0) {
        return mica_onnx_error(node, "%zu inputs, expected 2 and 3 for each part", n);
    }
    if (!mica_onnx_has_attr(node, "axis")) {
        return mica_onnx_error(node, "attribute 'axis' is missing");
    }
    mica_value **values = mica_arena_array(node->importer->arena, parts, sizeof(mica_value *));
    for (size_t i = 0; i < parts && !node->failed; i++) {
        values[i] = real(node, mica_arena_printf(node->importer->arena, "x%zu", i), 2 + 3 * i);
    }
    const int64_t axis = mica_onnx_attr_i(node, "axis", 0);
    const int rank = mica_onnx_shape(values[0]).rank;
    const int at = mica_onnx_axis(node, axis, rank);
    mica_op *op = mica_onnx_op(node, "top.Concat", "real", values, parts, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", at);
    return quantize(node, mica_onnx_done(node, op), 0, 2);
}

mica_status mica_onnx_convert_qlinear_reduce_mean(mica_onnx_node *node) {
    mica_value *x = real(node, "x", 0);
    size_t n = 0;
    const int64_t *axes = mica_onnx_attr_ints(node, "axes", &n);
    const bool keep = mica_onnx_attr_bool(node, "keepdims", true);
    if (axes == NULL) {
        return node->failed ? MICA_FAIL : mica_onnx_error(node, "attribute 'axes' is missing");
    }
    const uint32_t set = mica_onnx_axes(node, axes, (int64_t)n, mica_onnx_shape(x).rank);
    return quantize(node, mica_onnx_reduce(node, "real", x, "ReduceMean", set, keep), 3, 0);
}

/* --- pools ------------------------------------------------------------------------------------- */
mica_status mica_onnx_convert_qlinear_average_pool(mica_onnx_node *node) {
    const bool last = mica_onnx_attr_bool(node, "channels_last", false);
    const bool include = mica_onnx_attr_bool(node, "count_include_pad", false);
    mica_value *x = real(node, "x", 0);
    x = last ? mica_onnx_channels_first(node, "nchw", x) : x;
    mica_op *op = mica_onnx_pool(node, "top.AvgPool", "average", x, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_bool(op, "count_include_pad", include);
    x = mica_onnx_done(node, op);
    return quantize(node, last ? mica_onnx_channels_last(node, "nhwc", x) : x, 3, 0);
}

mica_status mica_onnx_convert_qlinear_global_average_pool(mica_onnx_node *node) {
    const bool last = mica_onnx_attr_bool(node, "channels_last", false);
    mica_value *x = real(node, "x", 0);
    const int rank = mica_onnx_shape(x).rank;
    MICA_TRY(mica_onnx_finish(node));
    if (rank < 3) {
        return mica_onnx_error(node, "input has rank %d, expected 3 or more", rank);
    }
    const uint32_t spatial = last ? ((1u << (rank - 1)) - 1) & ~1u : ((1u << rank) - 1) & ~3u;
    return quantize(node, mica_onnx_reduce(node, "real", x, "ReduceMean", spatial, true), 3, 0);
}

/* --- products ---------------------------------------------------------------------------------- */
/* Scales of a product: of A as it is or per row, of B as it is or per column. */
static mica_value *product_scale(mica_onnx_node *node, mica_value *a_scale, mica_value *b_scale,
                                 const mrt_shape *y) {
    a_scale = mica_onnx_along_axis(node, "a_scale", a_scale, y, -2);
    b_scale = mica_onnx_along_axis(node, "b_scale", b_scale, y, -1);
    return mica_onnx_binary(node, "top.Mul", "scale", a_scale, b_scale);
}

static mica_value *plus_bias(mica_onnx_node *node, mica_value *y, mica_value *bias) {
    return bias == NULL ? y : mica_onnx_binary(node, "top.Add", "biased", y, bias);
}

/* Exact sums of A (with its zero point) times B, as real numbers. */
static mica_value *real_product(mica_onnx_node *node, mica_value *a, mica_value *a_zero,
                                mica_value *a_scale, mica_value *b, mica_value *b_zero,
                                mica_value *b_scale) {
    a = mica_onnx_centred(node, "a", a, a_zero, -2);
    b = mica_onnx_centred(node, "b", b, b_zero, -1);
    mica_value *y = mica_onnx_integer_product(node, "sums", a, b);
    y = mica_onnx_cast(node, "sums_f32", y, MRT_F32);
    const mrt_shape shape = mica_onnx_shape(y);
    return mica_onnx_binary(node, "top.Mul", "real", y,
                            product_scale(node, a_scale, b_scale, &shape));
}

mica_status mica_onnx_convert_matmul_integer_to_float(mica_onnx_node *node) {
    mica_value *y = real_product(node, mica_onnx_in(node, 0), mica_onnx_in(node, 4),
                                 mica_onnx_in(node, 2), mica_onnx_in(node, 1),
                                 mica_onnx_in(node, 5), mica_onnx_in(node, 3));
    return mica_onnx_alias(node, 0, plus_bias(node, y, mica_onnx_in(node, 6)));
}

/* A is quantized by its own range first. */
mica_status mica_onnx_convert_dynamic_quantize_matmul(mica_onnx_node *node) {
    mica_onnx_dynamic a = mica_onnx_quantize_by_range(node, mica_onnx_in(node, 0));
    mica_value *y = real_product(node, a.y, a.zero, a.scale, mica_onnx_in(node, 1),
                                 mica_onnx_in(node, 3), mica_onnx_in(node, 2));
    return mica_onnx_alias(node, 0, plus_bias(node, y, mica_onnx_in(node, 4)));
}

static mica_value *turned(mica_onnx_node *node, const char *name, mica_value *x, bool turn) {
    static const int64_t order[] = {1, 0};
    return turn ? mica_onnx_permute(node, name, x, order) : x;
}

/* alpha * A' * B' + C with the bias in units of the product; quantized when a scale is given. */
mica_status mica_onnx_convert_qgemm(mica_onnx_node *node) {
    mica_value *a = mica_onnx_in(node, 0), *b = mica_onnx_in(node, 3), *c = mica_onnx_in(node, 6);
    const bool trans_a = mica_onnx_attr_i(node, "transA", 0) != 0;
    const bool trans_b = mica_onnx_attr_i(node, "transB", 0) != 0;
    const double alpha = mica_onnx_attr_f(node, "alpha", 1.0);
    MICA_TRY(mica_onnx_finish(node));
    if (mica_onnx_shape(a).rank != 2 || mica_onnx_shape(b).rank != 2) {
        return mica_onnx_error(node, "A is %s and B is %s, expected rank 2",
                               mica_type_text(a->type), mica_type_text(b->type));
    }
    a = mica_onnx_centred(node, "a", turned(node, "a_tpose", a, trans_a), mica_onnx_in(node, 2), -2);
    b = mica_onnx_centred(node, "b", turned(node, "b_tpose", b, trans_b), mica_onnx_in(node, 5), -1);
    mica_value *y = mica_onnx_integer_product(node, "sums", a, b);
    y = plus_bias(node, y, c);
    y = mica_onnx_cast(node, "sums_f32", y, MRT_F32);
    const mrt_shape shape = mica_onnx_shape(y);
    mica_value *scale = product_scale(node, mica_onnx_in(node, 1), mica_onnx_in(node, 4), &shape);
    if (alpha != 1.0) {
        mica_value *factor = mica_onnx_scalar(node, "alpha", MRT_F32, alpha);
        scale = mica_onnx_binary(node, "top.Mul", "scaled", factor, scale);
    }
    y = mica_onnx_binary(node, "top.Mul", "real", y, scale);
    const bool scaled = mica_onnx_in(node, 7) != NULL;
    if (scaled != (mica_onnx_in(node, 8) != NULL)) {
        return mica_onnx_error(node, "y_scale and y_zero_point are given together or not at all");
    }
    return scaled ? quantize(node, y, 7, 8) : mica_onnx_alias(node, 0, y);
}
