/* QuantizeLinear and DequantizeLinear: per tensor, per axis and blocked, to and from every type.
 *
 * quantize:   y = saturate(round(x / scale) + zero), the quotient in the type of the scale (or
 *             `precision`); floats: y = cast(x / scale + zero), rounded by the conversion
 * dequantize: y = (x - zero) * scale in the type of the scale (or output_dtype)
 * Half types compute in f32, f64 stays f64 (docs/quant_spec.md, rules float-storage, onnx-qdq). */
#include "frontends/onnx/onnx_internal.h"

#include "runtime/mrt_small.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Scale and zero point of a node as they broadcast against its first input. */
typedef struct granularity {
    mrt_shape shape; /* of the first input */
    int64_t axis, block;
} granularity;

static granularity read_granularity(mica_onnx_node *node) {
    const granularity g = {mica_onnx_shape(mica_onnx_in(node, 0)),
                           mica_onnx_attr_i(node, "axis", 1),
                           mica_onnx_attr_i(node, "block_size", 0)};
    if (g.block < 0 && !node->failed) {
        mica_onnx_error(node, "attribute 'block_size' has value %" PRId64 ", expected 0 or more",
                        g.block);
    }
    return g;
}

/* [count] along the axis as [1,..,count,..,1]. */
static mica_value *per_axis(mica_onnx_node *node, const char *suffix, mica_value *p,
                            const granularity *g, int64_t count) {
    const int at = mica_onnx_axis(node, g->axis, g->shape.rank);
    int64_t dims[MRT_MAX_RANK] = {0};
    for (int i = 0; i < g->shape.rank; i++) {
        dims[i] = i == at ? count : 1;
    }
    if (!node->failed && g->shape.dims[at] != count) {
        mica_onnx_error(node, "%" PRId64 " scales or zero points for axis %d of size %" PRId64,
                        count, at, g->shape.dims[at]);
    }
    return mica_onnx_reshape(node, suffix, p, g->shape.rank, dims);
}

/* Every element of the axis repeated block times, the last ones cut off. */
static mica_value *blocked(mica_onnx_node *node, const char *name, mica_value *p,
                           const granularity *g) {
    mica_arena *arena = node->importer->arena;
    const mrt_shape shape = mica_onnx_shape(p);
    const int rank = g->shape.rank, at = mica_onnx_axis(node, g->axis, rank);
    for (int i = 0; i < rank && !node->failed; i++) {
        const int64_t whole = g->shape.dims[i];
        const int64_t want = i == at ? whole / g->block + (whole % g->block != 0) : whole;
        if (shape.rank != rank || shape.dims[i] != want) {
            mica_onnx_error(node, "blocked scales or zero points have %" PRId64 " elements on axis "
                                  "%d (rank %d), expected %" PRId64 " (rank %d)",
                            i < shape.rank ? shape.dims[i] : 0, i, shape.rank, want, rank);
        }
    }
    if (node->failed) {
        return NULL;
    }
    int64_t *picks = mica_onnx_buffer(node, MRT_I64, g->shape.dims[at]);
    for (int64_t i = 0; i < g->shape.dims[at] && picks != NULL; i++) {
        picks[i] = i / g->block;
    }
    mica_value *indices = mica_onnx_i64s(node, mica_arena_printf(arena, "%s_blocks", name),
                                         g->shape.dims[at], picks);
    return mica_onnx_gather(node, "top.Gather", mica_arena_printf(arena, "%s_repeated", name), p,
                            indices, at);
}

static mica_value *broadcastable(mica_onnx_node *node, const char *name, mica_value *p,
                                 const granularity *g) {
    const mrt_shape shape = mica_onnx_shape(p);
    if (p == NULL || node->failed || shape.rank == 0) {
        return p;
    }
    if (g->block > 0 && shape.rank == g->shape.rank) {
        return blocked(node, name, p, g);
    }
    if (shape.rank != 1) {
        mica_onnx_error(node, "%s has rank %d, expected 0, 1, or that of the input with block_size",
                        name, shape.rank);
        return NULL;
    }
    const int64_t count = shape.dims[0];
    return count == 1 ? mica_onnx_reshape(node, name, p, 0, (int64_t[1]){0})
                      : per_axis(node, name, p, g, count);
}

/* Type of the arithmetic: that of an attribute, else of a value; half types compute in f32. */
static mrt_dtype math_type(mica_onnx_node *node, const char *attr, const mica_value *like) {
    const int64_t wanted = mica_onnx_attr_i(node, attr, 0);
    mrt_dtype type = mica_onnx_type(like);
    if (wanted != 0) {
        type = wanted > 0 && wanted < INT32_MAX ? mica_onnx_dtype((int32_t)wanted) : MRT_DTYPE_NONE;
    }
    type = mica_onnx_computed(type);
    /* Scales may be f8E8M0FNU, and were int32 in early versions. */
    return type == MRT_F64 ? MRT_F64 : MRT_F32;
}

static bool is_zero(const mica_value *value) {
    double number = 1.0;
    return mica_weight_scalar(value, &number) && number == 0.0;
}

mica_status mica_onnx_convert_dequantize_linear(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *zero = mica_onnx_in(node, 2);
    const granularity g = read_granularity(node);
    const mrt_dtype type = math_type(node, "output_dtype", mica_onnx_in(node, 1));
    mica_value *scale = mica_onnx_cast(node, "scale_float", mica_onnx_in(node, 1), type);
    scale = broadcastable(node, "scale", scale, &g);
    /* The difference of two i32 needs all their bits. */
    const bool wide = mica_onnx_type(x) == MRT_I32 || mica_onnx_type(x) == MRT_U32;
    const mrt_dtype inner = wide ? MRT_F64 : type;
    x = mica_onnx_cast(node, "x_float", x, inner);
    if (zero != NULL) {
        zero = mica_onnx_cast(node, "zero_float", zero, inner);
        zero = broadcastable(node, "zero", zero, &g);
        x = is_zero(zero) ? x : mica_onnx_binary(node, "top.Sub", "x_centred", x, zero);
    }
    x = mica_onnx_cast(node, "x_single", x, type);
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, "top.Mul", NULL, x, scale));
}

/* Limits of a quantized integer type; false for other types. */
static bool integer_range(mrt_dtype type, double *low, double *high) {
    const mrt_dtype base = mrt_small_base(type);
    const int bits = base != type ? mrt_small_bits(type) : 8 * (int)mrt_dtype_bytes(type);
    const bool is_signed = base == MRT_I8 || base == MRT_I16 || base == MRT_I32;
    const bool is_unsigned = base == MRT_U8 || base == MRT_U16;
    *low = is_signed ? -ldexp(1.0, bits - 1) : 0.0;
    *high = ldexp(1.0, is_signed ? bits - 1 : bits) - 1.0;
    return is_signed || is_unsigned;
}

static mrt_dtype result_type(mica_onnx_node *node, const mica_value *zero) {
    const int64_t wanted = mica_onnx_attr_i(node, "output_dtype", 0);
    const mrt_dtype given =
        wanted > 0 && wanted < INT32_MAX ? mica_onnx_dtype((int32_t)wanted) : MRT_DTYPE_NONE;
    if (node->failed) {
        return MRT_DTYPE_NONE;
    }
    if (wanted != 0 && given == MRT_DTYPE_NONE) {
        mica_onnx_error(node, "attribute 'output_dtype' has unknown value %" PRId64, wanted);
        return given;
    }
    if (zero == NULL) {
        return wanted != 0 ? given : MRT_U8;
    }
    if (wanted != 0 && given != mica_onnx_type(zero)) {
        mica_onnx_error(node, "attribute 'output_dtype' says %s, the zero point is %s",
                        mrt_dtype_name(given), mrt_dtype_name(mica_onnx_type(zero)));
    }
    return mica_onnx_type(zero);
}

mica_status mica_onnx_convert_quantize_linear(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *zero = mica_onnx_in(node, 2);
    const granularity g = read_granularity(node);
    const mrt_dtype type = result_type(node, zero);
    const mrt_dtype math = math_type(node, "precision", mica_onnx_in(node, 1));
    const bool saturate = mica_onnx_attr_bool(node, "saturate", true);
    double low = 0.0, high = 0.0;
    const bool integer = integer_range(type, &low, &high);
    if (!integer && !mrt_dtype_is_small_float(type)) {
        return mica_onnx_error(node, "quantized type %s is not supported", mrt_dtype_name(type));
    }
    mica_value *scale = mica_onnx_cast(node, "scale_float", mica_onnx_in(node, 1), math);
    scale = broadcastable(node, "scale", scale, &g);
    x = mica_onnx_cast(node, "x_float", x, math);
    x = mica_onnx_binary(node, "top.Div", "steps", x, scale);
    x = integer ? mica_onnx_unary(node, "top.Round", "rounded", x) : x;
    if (zero != NULL) {
        zero = broadcastable(node, "zero", mica_onnx_cast(node, "zero_float", zero, math), &g);
        x = is_zero(zero) ? x : mica_onnx_binary(node, "top.Add", "shifted", x, zero);
    }
    x = integer ? mica_onnx_clip(node, "saturated", x, &low, &high) : x;
    return mica_onnx_alias(node, 0, mica_onnx_cast_by(node, NULL, x, type, saturate, "up"));
}
