/* Quantized operators written with float ones: the values are exact small integers, so the float
 * results round to the same integers. */
#include "frontends/onnx/onnx_quant.h"

#include <inttypes.h>
#include <string.h>

/* Products of two 8-bit numbers with their zero points that a float sum holds exactly. */
enum { EXACT_PRODUCTS = 256 };

/* A per-axis parameter of `count` elements as [1,..,count,..,1]; scalars stay. */
mica_value *mica_onnx_along_axis(mica_onnx_node *node, const char *suffix, mica_value *p,
                                 const mrt_shape *x, int64_t axis) {
    const mrt_shape shape = mica_onnx_shape(p);
    if (p == NULL || shape.rank == 0) {
        return p;
    }
    const int64_t count = mrt_shape_count(&shape);
    if (shape.rank != 1) {
        mica_onnx_error(node, "scale or zero point has rank %d, expected 0 or 1", shape.rank);
        return NULL;
    }
    if (count == 1) {
        return mica_onnx_reshape(node, suffix, p, 0, (int64_t[1]){0});
    }
    const int at = mica_onnx_axis(node, axis, x->rank);
    int64_t dims[MRT_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        dims[i] = i == at ? count : 1;
    }
    if (!node->failed && x->dims[at] != count) {
        mica_onnx_error(node, "%" PRId64 " scales or zero points for axis %d of size %" PRId64,
                        count, at, x->dims[at]);
    }
    return mica_onnx_reshape(node, suffix, p, x->rank, dims);
}

/* x - zero point as f32. */
mica_value *mica_onnx_centred(mica_onnx_node *node, const char *name, mica_value *x,
                              mica_value *zero, int64_t axis) {
    mica_arena *arena = node->importer->arena;
    const mrt_shape shape = mica_onnx_shape(x);
    x = mica_onnx_cast(node, mica_arena_printf(arena, "%s_f32", name), x, MRT_F32);
    if (zero == NULL) {
        return x;
    }
    zero = mica_onnx_cast(node, mica_arena_printf(arena, "%s_zero_f32", name), zero, MRT_F32);
    zero = mica_onnx_along_axis(node, mica_arena_printf(arena, "%s_zero", name), zero, &shape, axis);
    double value = 1.0;
    if (zero != NULL && mica_weight_scalar(zero, &value) && value == 0.0) {
        return x;
    }
    return mica_onnx_binary(node, "top.Sub", mica_arena_printf(arena, "%s_centred", name), x, zero);
}

static bool limits(mrt_dtype type, double *low, double *high) {
    static const struct {
        mrt_dtype type;
        double low, high;
    } table[] = {{MRT_I8, -128, 127}, {MRT_U8, 0, 255}, {MRT_I16, -32768, 32767},
                 {MRT_U16, 0, 65535}};
    for (size_t i = 0; i < MICA_COUNT(table); i++) {
        if (table[i].type == type) {
            *low = table[i].low;
            *high = table[i].high;
            return true;
        }
    }
    return false;
}

/* saturate(round(x / scale) + zero) as `type`, under the name of output 0 or a suffix. */
mica_value *mica_onnx_quantized(mica_onnx_node *node, const char *suffix, mica_value *x,
                                mica_value *scale, mica_value *zero, mrt_dtype type) {
    double low = 0.0, high = 0.0;
    if (!limits(type, &low, &high)) {
        if (!node->failed) {
            mica_onnx_error(node, "quantized type %s is not supported", mrt_dtype_name(type));
        }
        return NULL;
    }
    x = mica_onnx_binary(node, "top.Div", "steps", x, scale);
    x = mica_onnx_unary(node, "top.Round", "rounded", x);
    if (zero != NULL) {
        zero = mica_onnx_cast(node, "y_zero_f32", zero, MRT_F32);
        x = mica_onnx_binary(node, "top.Add", "shifted", x, zero);
    }
    x = mica_onnx_clip(node, "saturated", x, &low, &high);
    return mica_onnx_cast(node, suffix, x, type);
}

mica_onnx_dynamic mica_onnx_quantize_by_range(mica_onnx_node *node, mica_value *x) {
    const mrt_shape shape = mica_onnx_shape(x);
    const uint32_t all = (1u << shape.rank) - 1;
    const double low = 0.0, high = 255.0;
    mica_value *zero = mica_onnx_scalar(node, "none", MRT_F32, 0.0);
    mica_value *steps = mica_onnx_scalar(node, "levels", MRT_F32, high);
    mica_value *min = mica_onnx_reduce(node, "min", x, "ReduceMin", all, false);
    mica_value *max = mica_onnx_reduce(node, "max", x, "ReduceMax", all, false);
    min = mica_onnx_binary(node, "top.Min", "low", min, zero);
    max = mica_onnx_binary(node, "top.Max", "high", max, zero);
    mica_value *range = mica_onnx_binary(node, "top.Sub", "range", max, min);
    mica_value *scale = mica_onnx_binary(node, "top.Div", "x_scale", range, steps);
    mica_value *point = mica_onnx_binary(node, "top.Div", "point", min, scale);
    point = mica_onnx_binary(node, "top.Sub", "negated", zero, point);
    point = mica_onnx_clip(node, "clipped", point, &low, &high);
    point = mica_onnx_unary(node, "top.Round", "whole", point);
    point = mica_onnx_cast(node, "x_zero", point, MRT_U8);
    mica_value *y = mica_onnx_quantized(node, "x_quantized", x, scale, point, MRT_U8);
    return (mica_onnx_dynamic){y, scale, point};
}

mica_status mica_onnx_convert_dynamic_quantize_linear(mica_onnx_node *node) {
    const mica_onnx_dynamic d = mica_onnx_quantize_by_range(node, mica_onnx_in(node, 0));
    mica_onnx_bind(node, 0, d.y);
    mica_onnx_bind(node, 1, d.scale);
    mica_onnx_bind(node, 2, d.zero);
    return mica_onnx_finish(node);
}

/* --- integer products ------------------------------------------------------------------------ */
static mica_value *product(mica_onnx_node *node, const char *suffix, mica_value *a, mica_value *b) {
    mica_value *operands[] = {a, b, NULL};
    return mica_onnx_done(node, mica_onnx_op(node, "top.MatMul", suffix, operands, 3, 1));
}

/* Columns [first, first + count) of the inner axis. */
static mica_value *inner_part(mica_onnx_node *node, const char *suffix, mica_value *x, int axis,
                              int64_t first, int64_t count) {
    const mrt_shape shape = mica_onnx_shape(x);
    int64_t offset[MRT_MAX_RANK] = {0}, steps[MRT_MAX_RANK], ends[MRT_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        steps[i] = 1;
        ends[i] = shape.dims[i];
    }
    offset[axis] = first;
    ends[axis] = first + count;
    return mica_onnx_slice(node, suffix, x, offset, steps, ends);
}

/* Long sums are cut into parts that a float holds exactly, and added as integers. */
mica_value *mica_onnx_integer_product(mica_onnx_node *node, const char *suffix, mica_value *a,
                                      mica_value *b) {
    const mrt_shape sa = mica_onnx_shape(a), sb = mica_onnx_shape(b);
    if (node->failed || sa.rank < 1 || sb.rank < 1) {
        return NULL;
    }
    const int64_t inner = sa.dims[sa.rank - 1];
    if (inner <= EXACT_PRODUCTS) {
        return mica_onnx_cast(node, suffix, product(node, "product", a, b), MRT_I32);
    }
    mica_arena *arena = node->importer->arena;
    mica_value *sum = NULL;
    for (int64_t first = 0; first < inner && !node->failed; first += EXACT_PRODUCTS) {
        const int64_t rest = inner - first, n = rest < EXACT_PRODUCTS ? rest : EXACT_PRODUCTS;
        const char *name = mica_arena_printf(arena, "part%" PRId64, first);
        mica_value *left = inner_part(node, mica_arena_printf(arena, "%s_a", name), a, sa.rank - 1,
                                      first, n);
        mica_value *right = inner_part(node, mica_arena_printf(arena, "%s_b", name), b,
                                       sb.rank > 1 ? sb.rank - 2 : 0, first, n);
        mica_value *part = product(node, mica_arena_printf(arena, "%s_f32", name), left, right);
        part = mica_onnx_cast(node, name, part, MRT_I32);
        sum = sum == NULL ? part
                          : mica_onnx_binary(node, "top.Add", rest == n ? suffix : "partial", sum,
                                             part);
    }
    return sum;
}

mica_status mica_onnx_convert_matmul_integer(mica_onnx_node *node) {
    /* Zero points per row of A and per column of B. */
    mica_value *a = mica_onnx_centred(node, "a", mica_onnx_in(node, 0), mica_onnx_in(node, 2), -2);
    mica_value *b = mica_onnx_centred(node, "b", mica_onnx_in(node, 1), mica_onnx_in(node, 3), -1);
    return mica_onnx_alias(node, 0, mica_onnx_integer_product(node, NULL, a, b));
}

/* Sums of centred numbers: exact as long as a float holds them, else rounded as float sums are. */
static mica_value *float_conv(mica_onnx_node *node, const char *suffix, mica_value *x, mica_value *w,
                              mica_value *bias) {
    const mrt_shape input = mica_onnx_shape(x), filter = mica_onnx_shape(w);
    mica_onnx_window window;
    const char *auto_pad = NULL;
    const int64_t group = mica_onnx_attr_i(node, "group", 1);
    if (mica_onnx_read_window(node, &input, &filter, &window, &auto_pad) != MICA_OK) {
        return NULL;
    }
    mica_value *operands[] = {x, w, bias};
    mica_op *op = mica_onnx_op(node, "top.Conv", suffix, operands, 3, 1);
    if (op != NULL) {
        mica_onnx_set_window(op, &window);
        mica_op_set_i64(op, "group", group);
    }
    return mica_onnx_done(node, op);
}

/* A long filter is cut along its input channels into parts that are exact, added as integers. */
static mica_value *integer_conv(mica_onnx_node *node, mica_value *x, mica_value *w) {
    const mrt_shape filter = mica_onnx_shape(w), input = mica_onnx_shape(x);
    const int64_t length = mrt_shape_range(&filter, 1, filter.rank);
    if (node->failed || length <= EXACT_PRODUCTS) {
        return mica_onnx_cast(node, NULL, float_conv(node, "sums", x, w, NULL), MRT_I32);
    }
    const int64_t channels = filter.dims[1], each = EXACT_PRODUCTS * channels / length;
    if (each < 1 || input.rank != filter.rank || input.dims[1] != channels) {
        mica_onnx_error(node, "a filter of %" PRId64 " elements per channel in groups, at most %d are "
                              "exact here; import the float model and quantize it",
                        length, (int)EXACT_PRODUCTS);
        return NULL;
    }
    mica_value *sum = NULL;
    for (int64_t first = 0; first < channels && !node->failed; first += each) {
        const int64_t rest = channels - first, n = rest < each ? rest : each;
        mica_value *left = inner_part(node, "x_part", x, 1, first, n);
        mica_value *right = inner_part(node, "w_part", w, 1, first, n);
        mica_value *part = float_conv(node, "part_sums", left, right, NULL);
        part = mica_onnx_cast(node, "part", part, MRT_I32);
        sum = sum == NULL ? part
                          : mica_onnx_binary(node, "top.Add", rest == n ? NULL : "partial", sum,
                                             part);
    }
    return sum;
}

mica_status mica_onnx_convert_conv_integer(mica_onnx_node *node) {
    mica_value *x = mica_onnx_centred(node, "x", mica_onnx_in(node, 0), mica_onnx_in(node, 2), 1);
    mica_value *w = mica_onnx_centred(node, "w", mica_onnx_in(node, 1), mica_onnx_in(node, 3), 0);
    return mica_onnx_alias(node, 0, integer_conv(node, x, w));
}

/* com.microsoft has the channels last where the attribute says so. */
mica_status mica_onnx_convert_qlinear_conv(mica_onnx_node *node) {
    const bool contrib = node->row->domain[0] != '\0';
    const bool last = contrib && mica_onnx_attr_bool(node, "channels_last", false);
    mica_value *x = mica_onnx_centred(node, "x", mica_onnx_in(node, 0), mica_onnx_in(node, 2), 1);
    x = last ? mica_onnx_channels_first(node, "nchw", x) : x;
    mica_value *w = mica_onnx_centred(node, "w", mica_onnx_in(node, 3), mica_onnx_in(node, 5), 0);
    mica_value *bias = mica_onnx_in(node, 8);
    bias = bias != NULL ? mica_onnx_cast(node, "bias_f32", bias, MRT_F32) : NULL;
    mica_value *y = float_conv(node, "sums", x, w, bias);
    const mrt_shape shape = mica_onnx_shape(y);
    mica_value *w_scale = mica_onnx_along_axis(node, "w_scale", mica_onnx_in(node, 4), &shape, 1);
    mica_value *scale =
        mica_onnx_binary(node, "top.Mul", "scale", mica_onnx_in(node, 1), w_scale);
    y = mica_onnx_binary(node, "top.Mul", "real", y, scale);
    y = last ? mica_onnx_channels_last(node, "nhwc", y) : y;
    mica_value *zero = mica_onnx_in(node, 7);
    return mica_onnx_alias(node, 0, mica_onnx_quantized(node, NULL, y, mica_onnx_in(node, 6), zero,
                                              mica_onnx_type(zero)));
}

mica_status mica_onnx_convert_qlinear_matmul(mica_onnx_node *node) {
    mica_value *a = mica_onnx_centred(node, "a", mica_onnx_in(node, 0), mica_onnx_in(node, 2), -2);
    mica_value *b = mica_onnx_centred(node, "b", mica_onnx_in(node, 3), mica_onnx_in(node, 5), -1);
    const mrt_shape shape = mica_onnx_shape(a);
    mica_value *a_scale = mica_onnx_along_axis(node, "a_scale", mica_onnx_in(node, 1), &shape, -2);
    mica_value *scale =
        mica_onnx_binary(node, "top.Mul", "scale", a_scale, mica_onnx_in(node, 4));
    mica_value *y = mica_onnx_binary(node, "top.Mul", "real", product(node, "sums", a, b), scale);
    mica_value *zero = mica_onnx_in(node, 7);
    return mica_onnx_alias(node, 0, mica_onnx_quantized(node, NULL, y, mica_onnx_in(node, 6), zero,
                                              mica_onnx_type(zero)));
}
