/* MatMul -> tpu.MatMul [matmul-int, matmul-real, weight-per-channel, weight-scale, weight-balance,
 * weight-int4, bias-fold]. */
#include <math.h>

#include "passes/lowering/lower_hooks.h"
#include "utils/arena.h"

/* A constant right operand [K, N] (or [N, K]) as one int8 column per output. */
typedef struct columns {
    int64_t k, n;
    int64_t k_step, n_step; /* element (k, n) = data[k * k_step + n * n_step] */
} columns;

static columns columns_of(const mica_ndarray *w, bool transposed) {
    const int64_t rows = w->dims[0];
    const int64_t cols = w->dims[1];
    return transposed ? (columns){.k = cols, .n = rows, .k_step = 1, .n_step = cols}
                      : (columns){.k = rows, .n = cols, .k_step = cols, .n_step = 1};
}

enum { COLUMNS = 16 }; /* side by side in a cache line */

/* Columns [first, first + count) of a [K, N] matrix as rows, and integers of such rows back into columns. */
static void columns_to_rows(const columns *at, const float *source, int64_t first, int64_t count, float *rows) {
    for (int64_t k = 0; k < at->k; ++k) {
        for (int64_t n = 0; n < count; ++n) {
            rows[n * at->k + k] = source[k * at->k_step + first + n];
        }
    }
}

static void rows_to_columns(const columns *at, const int8_t *rows, int64_t first, int64_t count, int8_t *q) {
    for (int64_t k = 0; k < at->k; ++k) {
        for (int64_t n = 0; n < count; ++n) {
            q[k * at->k_step + first + n] = rows[n * at->k + k];
        }
    }
}

static void quantize_columns(const columns *at, const float *source, mica_row_rule rule, const double *bias, double *scales,
                             int8_t *q, int64_t *sums) {
    if (at->k_step == 1) {
        for (int64_t n = 0; n < at->n; ++n) {
            rule.bias = bias[n];
            sums[n] = mica_quantize_row(&rule, source + n * at->n_step, at->k, q + n * at->n_step, &scales[n]);
        }
        return;
    }
    float *rows = mica_alloc((size_t)(COLUMNS * at->k + 1) * sizeof *rows);
    int8_t *rows_q = mica_alloc((size_t)(COLUMNS * at->k) + 1);
    for (int64_t first = 0; first < at->n; first += COLUMNS) {
        const int64_t count = at->n - first < COLUMNS ? at->n - first : COLUMNS;
        columns_to_rows(at, source, first, count, rows);
        for (int64_t n = 0; n < count; ++n) {
            rule.bias = bias[first + n];
            sums[first + n] = mica_quantize_row(&rule, rows + n * at->k, at->k, rows_q + n * at->k, &scales[first + n]);
        }
        rows_to_columns(at, rows_q, first, count, q);
    }
    mica_free(rows);
    mica_free(rows_q);
}

/* Multiplier and shift of every column. */
static mica_status set_column_requant(mica_lowering *l, const mica_op *op, mica_op *made, double in_scale,
                                      const double *scales, int64_t count, mica_type out) {
    int64_t *multipliers = mica_arena_alloc(l->tpu->arena, (size_t)count * sizeof *multipliers);
    int64_t *shifts = mica_arena_alloc(l->tpu->arena, (size_t)count * sizeof *shifts);
    for (int64_t n = 0; n < count; ++n) {
        int32_t multiplier = 0;
        int32_t shift = 0;
        const double ratio = in_scale * scales[n] / mica_lower_scale_of(out);
        if (mrt_multiplier_from_scale(ratio, 31, &multiplier, &shift) != MRT_OK) {
            return mica_emit_error(l->context, op->loc,
                                   "column %lld has weights too large for its output range: "
                                   "rescaling by %g is not possible; recalibrate or keep this op in float",
                                   (long long)n, ratio);
        }
        multipliers[n] = multiplier;
        shifts[n] = shift;
    }
    mica_lower_set_requant(made, multipliers, shifts, (size_t)count, (size_t)count);
    return MICA_OK;
}

/* `out` f32: the sums times their scale, not requantized [matmul-real]. */
static mica_status lower_constant_right(mica_lowering *l, const mica_op *op, mica_value *input,
                                        mica_type out, int bits) {
    mica_arena *arena = l->tpu->arena;
    const mica_ndarray *w = mica_weight_data(mica_op_operand(op, 1));
    const bool transposed = mica_op_bool(op, "right_transpose");
    const columns at = columns_of(w, transposed);
    const float *source = w->data;
    const mica_type in = mica_type_element(input->type);
    int8_t *q = mica_arena_alloc(arena, (size_t)(at.k * at.n) + 1);
    double *real_bias = mica_arena_alloc(arena, (size_t)at.n * sizeof *real_bias);
    double *scales = mica_arena_alloc(arena, (size_t)at.n * sizeof *scales);
    int64_t *sums = mica_arena_alloc(arena, (size_t)at.n * sizeof *sums);
    int32_t *bias_q = mica_arena_alloc(arena, (size_t)at.n * sizeof *bias_q);
    mica_value *bias_value = mica_op_present(op, 2);
    const float *bias = bias_value != NULL ? mica_weight_data(bias_value)->data : NULL;
    const int64_t bias_count = bias != NULL ? mica_ndarray_count(mica_weight_data(bias_value)) : 0;
    const double offset = mica_type_is_quant(out) ? mica_lower_tie_offset(l, op) : 0.0;
    for (int64_t n = 0; n < at.n; ++n) {
        real_bias[n] = (bias_count == 0 ? 0.0 : (double)bias[bias_count == 1 ? 0 : n]) + offset;
    }
    quantize_columns(&at, source, mica_lower_row_rule(l, op, in, bits), real_bias, scales, q, sums);
    for (int64_t n = 0; n < at.n; ++n) {
        bias_q[n] = mrt_bias_fold(real_bias[n], mica_lower_scale_of(in), scales[n], mica_lower_zero_of(in), sums[n]);
    }
    const mica_type type = mica_lower_weight_type(l, bits, transposed ? 0 : 1, scales, (size_t)at.n);
    mica_value *operands[3] = {
        input, mica_lower_const(l, op, bits == 4 ? "filter_i4" : "filter_i8", type, 2, w->dims, q),
        mica_lower_const(l, op, "bias_i32", mica_type_integer(l->context, 32, MICA_SIGNLESS), 1, &at.n,
                         bias_q)};
    mica_op *made = mica_lower_emit(l, op, "tpu.MatMul", operands, 3, &out, true);
    return mica_type_is_quant(out)
               ? set_column_requant(l, op, made, mica_lower_scale_of(in), scales, at.n, out)
               : MICA_OK;
}

static mica_status lower_activations(mica_lowering *l, const mica_op *op, mica_value *left,
                                     mica_value *right, mica_type out) {
    int32_t multiplier = 0;
    int32_t shift = 0;
    const double scale = mica_lower_scale_of(mica_type_element(left->type)) *
                         mica_lower_scale_of(mica_type_element(right->type));
    const bool requants = mica_type_is_quant(out);
    if (requants && mrt_multiplier_from_scale(scale / mica_lower_scale_of(out), 31, &multiplier, &shift) != MRT_OK) {
        return mica_lower_fallback(l, op, "its output range is too small for its operands");
    }
    mica_value *operands[3] = {left, right, mica_top_none(&l->builder)};
    mica_op *made = mica_lower_emit(l, op, "tpu.MatMul", operands, 3, &out, true);
    if (!requants) {
        return MICA_OK;
    }
    const int64_t m = multiplier;
    const int64_t s = shift;
    mica_lower_set_requant(made, &m, &s, 1, 1);
    return MICA_OK;
}

mica_status mica_lower_matmul(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (!mica_mode_has_integers(mode)) {
        return mica_lower_float_as(l, op, mode, "tpu.MatMul", NULL);
    }
    const mica_value *a = mica_op_operand(op, 0);
    const mica_value *b = mica_op_operand(op, 1);
    mica_value *bias = mica_op_present(op, 2);
    const bool is_real = mica_mode_gives_float(mode) || mica_lower_gives_real(l, op);
    const mica_type out = is_real ? mica_type_f32(l->context) : mica_lower_quant_type(l, &op->results[0]);
    if (out == NULL || !mica_lower_is_real(a) || !mica_lower_is_real(b)) {
        return mica_lower_fallback(l, op, "no calibration for its output");
    }
    if (mica_is_weight(a)) {
        return mica_lower_fallback(l, op, "the left operand is constant");
    }
    mica_value *left = mica_lower_left(l, op, mode);
    if (left == NULL) {
        return mica_lower_fallback(l, op, "no calibration for its input");
    }
    if (mica_is_weight(b)) {
        if (b->type->rank != 2) {
            mica_value *right = mica_lower_const_i8(l, op, b, "right_i8");
            return bias != NULL || mica_lower_zero_of(mica_type_element(left->type)) != 0
                       ? mica_lower_fallback(l, op, "batched constant operand with bias or zero point")
                       : lower_activations(l, op, left, right, out);
        }
        if (bias != NULL && !mica_is_weight(bias)) {
            return mica_lower_fallback(l, op, "the bias is not constant");
        }
        return lower_constant_right(l, op, left, out, mica_lower_weight_bits(mode));
    }
    mica_value *right = mica_lower_quantized(l, b);
    if (right == NULL || bias != NULL) {
        return mica_lower_fallback(l, op, bias != NULL ? "a bias needs a constant right operand"
                                                       : "no calibration for its right operand");
    }
    return lower_activations(l, op, left, right, out);
}
