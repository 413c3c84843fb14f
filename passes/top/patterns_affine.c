/* Products and sums with constants around Conv and MatMul by constants, where patterns_conv and
 * patterns_matmul have not taken them yet; means over all spatial axes. */
#include <math.h>
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* --- before a Conv -------------------------------------------------------------------------------- */

static bool has_padding(const mica_op *op) {
    size_t n = 0;
    const int64_t *pads = mica_op_has_attr(op, "pads") ? mica_op_i64s(op, "pads", &n) : NULL;
    for (size_t i = 0; i < n; ++i) {
        if (pads[i] != 0) {
            return true;
        }
    }
    return false;
}

/* The constant of a Mul or Add as one number per channel of the other operand, which is written. */
static const float *channel_operand(mica_rewriter *rewriter, mica_op *op, mica_value **out_x) {
    mica_value *c = NULL;
    if (op == NULL || !mica_no_relu(op) || !mica_split_const(op, out_x, &c) ||
        (*out_x)->type != op->results[0].type) {
        return NULL;
    }
    return mica_per_channel(mica_rewriter_module(rewriter), c, *out_x);
}

/* x * a, x + b and x * a + b before a Conv become a Scale, which the Conv takes in unless it pads; a lone
 * sum before a Conv that pads gains nothing. */
static bool affine_before_conv(mica_rewriter *rewriter, mica_op *op) {
    mica_value *input = mica_op_operand(op, 0);
    int64_t count = 0;
    mica_value *x = NULL;
    if (mica_const_f32(mica_op_operand(op, 1), &count) == NULL ||
        (mica_op_present(op, 2) != NULL && mica_const_f32(mica_op_operand(op, 2), &count) == NULL)) {
        return false;
    }
    mica_op *add = mica_sole_producer(input, "top.Add");
    const float *offset = channel_operand(rewriter, add, &x);
    mica_value *scaled = offset != NULL ? x : input;
    mica_op *mul = mica_sole_producer(scaled, "top.Mul");
    const float *factor = channel_operand(rewriter, mul, &x);
    if (factor == NULL && (offset == NULL || has_padding(op))) {
        return false;
    }
    mica_op *last = offset != NULL ? add : mul;
    x = factor != NULL ? x : scaled;
    const int64_t channels = x->type->dims[1];
    float *ones = mica_arena_alloc(mica_rewriter_module(rewriter)->arena, (size_t)channels * sizeof *ones + 1);
    for (int64_t i = 0; i < channels; ++i) {
        ones[i] = 1.0f;
    }
    mica_value *operands[3] = {
        x, mica_new_const(rewriter, last, "scale", 1, &channels, factor != NULL ? factor : ones),
        offset != NULL ? mica_new_const(rewriter, last, "offset", 1, &channels, offset)
                       : mica_top_none(mica_rewriter_builder(rewriter, last))};
    mica_replace_with(rewriter, last, last != mul && factor != NULL ? mul : NULL, "top.Scale", operands, 3);
    return true;
}

/* a x + b after an activation is one Scale: its users are not all Convs. */
static bool affine_of_activation(mica_rewriter *rewriter, mica_op *op) {
    static const char *const names[] = {"top.HardSwish", "top.SiLU", "top.Relu", "top.GELU", "top.LeakyRelu"};
    mica_value *scaled = NULL;
    mica_value *x = NULL;
    const float *offset = channel_operand(rewriter, op, &scaled);
    mica_op *mul = offset != NULL ? mica_sole_producer(scaled, "top.Mul") : NULL;
    const float *factor = channel_operand(rewriter, mul, &x);
    if (factor == NULL || x->def == NULL || x->type->rank < 3) {
        return false;
    }
    bool is_activation = !mica_no_relu(x->def);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        is_activation = is_activation || mica_op_is(x->def, names[i]);
    }
    if (!is_activation) {
        return false;
    }
    const int64_t channels = x->type->dims[1];
    mica_value *operands[3] = {x, mica_new_const(rewriter, op, "scale", 1, &channels, factor),
                               mica_new_const(rewriter, op, "offset", 1, &channels, offset)};
    mica_replace_with(rewriter, op, mul, "top.Scale", operands, 3);
    return true;
}

/* x + x * s = x * (s + 1) where s is smaller than x: a sum of fewer elements. */
static bool sum_with_own_product(mica_rewriter *rewriter, mica_op *op) {
    for (uint32_t i = 0; i < 4; ++i) {
        mica_value *x = mica_op_operand(op, i & 1);
        mica_op *mul = mica_sole_producer(mica_op_operand(op, 1 - (i & 1)), "top.Mul");
        mica_value *s = mul != NULL ? mica_op_operand(mul, i >> 1) : NULL;
        if (mul == NULL || mica_op_operand(mul, 1 - (i >> 1)) != x || !mica_no_relu(mul) || mica_is_weight(s) ||
            mica_is_weight(x) || x->type != op->results[0].type || !mica_type_is_static(x->type) ||
            !mica_type_is_static(s->type) || mica_type_count(s->type) * 4 > mica_type_count(x->type) ||
            !mica_type_is_float(mica_type_element(x->type), MICA_F32)) {
            continue;
        }
        const float one = 1.0f;
        mica_module *module = mica_rewriter_module(rewriter);
        mica_builder *builder = mica_rewriter_builder(rewriter, op);
        mica_value *terms[2] = {s, mica_new_const(rewriter, op, "one", 0, NULL, &one)};
        const char *name = mica_arena_printf(module->arena, "%s_factor", mica_loc_get_name(op->loc));
        mica_op *factor = mica_build_op(builder, "top.Add", mica_named_loc(module, name, op), terms, 2, 1);
        if (mica_op_infer(factor) != MICA_OK) {
            return false;
        }
        mica_value *operands[2] = {x, &factor->results[0]};
        mica_replace_with(rewriter, op, mul, "top.Mul", operands, 2);
        return true;
    }
    return false;
}

/* --- around a MatMul ------------------------------------------------------------------------------ */

/* Constant right operand [K, N] or, transposed, [N, K], and bias of a MatMul. */
typedef struct dense {
    const float *w, *b;
    int64_t k, n;
    bool transposed;
} dense;

static bool read_dense(const mica_op *op, dense *d) {
    int64_t count = 0;
    const mica_value *right = mica_op_operand(op, 1);
    const mica_value *bias = mica_op_present(op, 2);
    d->w = mica_const_f32(right, &count);
    if (d->w == NULL || right->type->rank != 2) {
        return false;
    }
    d->transposed = mica_op_bool(op, "right_transpose");
    d->k = right->type->dims[d->transposed];
    d->n = right->type->dims[!d->transposed];
    d->b = bias != NULL ? mica_const_f32(bias, &count) : NULL;
    return bias == NULL || (d->b != NULL && count == d->n);
}

/* The constant as `n` numbers along the last axis of a tensor; NULL when it varies along others. */
static float *last_axis_numbers(const mica_value *c, int64_t n) {
    int64_t count = 0;
    const float *data = mica_const_f32(c, &count);
    if (data == NULL || (count != 1 && (count != n || c->type->dims[c->type->rank - 1] != n))) {
        return NULL;
    }
    float *out = mica_alloc((size_t)n * sizeof *out + 1);
    for (int64_t i = 0; i < n; ++i) {
        out[i] = data[count == 1 ? 0 : i];
    }
    return out;
}

/* MatMul in the place of `op` with w[k][n] * row[k] * column[n] (NULL: 1) and the bias `sums`. */
static void build_dense(mica_rewriter *rewriter, mica_op *op, mica_op *matmul, const mica_op *with, mica_value *x,
                        const dense *d, const float *row, const float *column, const float *sums) {
    mica_value *right = mica_op_operand(matmul, 1);
    const bool changes = row != NULL || column != NULL;
    float *w = mica_alloc((size_t)(changes ? d->k * d->n : 0) * sizeof *w + 1);
    for (int64_t i = 0; changes && i < d->k * d->n; ++i) {
        const int64_t k = d->transposed ? i % d->k : i / d->n;
        const int64_t n = d->transposed ? i / d->k : i % d->n;
        w[i] = (float)((double)d->w[i] * (row != NULL ? row[k] : 1.0) * (column != NULL ? column[n] : 1.0));
    }
    mica_value *operands[3] = {x, changes ? mica_new_const(rewriter, op, "filter", 2, right->type->dims, w) : right,
                               sums != NULL ? mica_new_const(rewriter, op, "bias", 1, &d->n, sums)
                                            : mica_op_operand(matmul, 2)};
    mica_free(w);
    mica_op *made = mica_replace_with(rewriter, op, with, "top.MatMul", operands, 3);
    mica_copy_attrs(made, matmul);
}

/* x * a and x + b over the last axis, before a MatMul. */
static bool vector_before_matmul(mica_rewriter *rewriter, mica_op *op) {
    mica_op *before = mica_op_operand(op, 0)->def;
    mica_value *x = NULL;
    mica_value *c = NULL;
    dense d;
    if (before == NULL || (!mica_op_is(before, "top.Mul") && !mica_op_is(before, "top.Add")) ||
        !mica_value_has_one_use(mica_op_operand(op, 0)) || !mica_no_relu(before) || mica_op_bool(op, "left_transpose") ||
        !read_dense(op, &d) || !mica_split_const(before, &x, &c) || x->type != before->results[0].type) {
        return false;
    }
    const bool is_mul = mica_op_is(before, "top.Mul");
    float *vector = last_axis_numbers(c, d.k);
    if (vector == NULL) {
        return false;
    }
    float *sums = mica_alloc((size_t)d.n * sizeof *sums + 1);
    for (int64_t n = 0; n < d.n && !is_mul; ++n) {
        double sum = d.b != NULL ? d.b[n] : 0.0;
        for (int64_t k = 0; k < d.k; ++k) {
            sum += (double)vector[k] * d.w[d.transposed ? n * d.k + k : k * d.n + n];
        }
        sums[n] = (float)sum;
    }
    build_dense(rewriter, op, op, before, x, &d, is_mul ? vector : NULL, NULL, is_mul ? NULL : sums);
    mica_free(sums);
    mica_free(vector);
    return true;
}

/* MatMul, then a product with a vector over the last axis, or a further sum. */
static bool vector_after_matmul(mica_rewriter *rewriter, mica_op *op) {
    const bool is_mul = mica_op_is(op, "top.Mul");
    mica_value *x = NULL;
    mica_value *c = NULL;
    dense d;
    if ((!is_mul && !mica_op_is(op, "top.Add")) || !mica_split_const(op, &x, &c) || x->type != op->results[0].type) {
        return false;
    }
    mica_op *matmul = mica_sole_producer(x, "top.MatMul");
    if (matmul == NULL || !mica_no_relu(matmul) || !read_dense(matmul, &d)) {
        return false;
    }
    float *vector = last_axis_numbers(c, d.n);
    if (vector == NULL) {
        return false;
    }
    float *sums = mica_alloc((size_t)d.n * sizeof *sums + 1);
    for (int64_t n = 0; n < d.n; ++n) {
        const double old = d.b != NULL ? d.b[n] : 0.0;
        sums[n] = (float)(is_mul ? old * vector[n] : old + vector[n]);
    }
    build_dense(rewriter, op, matmul, matmul, mica_op_operand(matmul, 0), &d, NULL, is_mul ? vector : NULL,
                is_mul && d.b == NULL ? NULL : sums);
    mica_free(sums);
    mica_free(vector);
    return true;
}

/* Scale after a Permute that brings the columns of a MatMul to the channels. */
static bool scale_behind_permute(mica_rewriter *rewriter, mica_op *op) {
    mica_op *permute = mica_sole_producer(mica_op_operand(op, 0), "top.Permute");
    mica_op *matmul = permute != NULL ? mica_sole_producer(mica_op_operand(permute, 0), "top.MatMul") : NULL;
    size_t n = 0;
    const int64_t *order = permute != NULL ? mica_op_i64s(permute, "order", &n) : NULL;
    int64_t count = 0;
    dense d;
    if (matmul == NULL || n < 2 || order[1] != (int64_t)n - 1 || !mica_no_relu(op) || !mica_no_relu(matmul) ||
        !read_dense(matmul, &d)) {
        return false;
    }
    const float *factor = mica_const_f32(mica_op_operand(op, 1), &count);
    const mica_value *bias = mica_op_present(op, 2);
    const float *offset = bias != NULL ? mica_const_f32(bias, &count) : NULL;
    if (factor == NULL || count != d.n || (bias != NULL && offset == NULL)) {
        return false;
    }
    float *sums = mica_alloc((size_t)d.n * sizeof *sums + 1);
    for (int64_t i = 0; i < d.n; ++i) {
        sums[i] = (float)((d.b != NULL ? d.b[i] : 0.0) * (double)factor[i] + (offset != NULL ? offset[i] : 0.0));
    }
    /* The product holds other numbers than the model's: it gets a name of its own. */
    mica_module *module = mica_rewriter_module(rewriter);
    const char *name = mica_arena_printf(module->arena, "%s_scaled", mica_loc_get_name(matmul->loc));
    matmul->loc = mica_named_loc(module, name, matmul);
    build_dense(rewriter, matmul, matmul, NULL, mica_op_operand(matmul, 0), &d, NULL, factor,
                d.b == NULL && offset == NULL ? NULL : sums);
    mica_free(sums);
    permute->loc = mica_merged_loc(op, permute);
    mica_value *x = mica_op_operand(op, 0);
    mica_rewriter_replace(rewriter, op, &x, 1);
    return true;
}

/* --- means ------------------------------------------------------------------------------------------ */

/* True for the mean that a normalization subtracts, or that is its variance. */
static bool belongs_to_norm(const mica_op *mean) {
    const mica_value *x = mica_op_operand(mean, 0);
    const mica_op *square = x->def;
    if (square != NULL && (mica_op_is(square, "top.Square") ||
                           (mica_op_is(square, "top.Mul") && mica_op_operand(square, 0) == mica_op_operand(square, 1)))) {
        return true;
    }
    for (const mica_use *use = mean->results[0].first_use; use != NULL; use = use->next) {
        if (mica_op_is(use->user, "top.Sub") && mica_op_operand(use->user, 0) == x) {
            return true;
        }
    }
    return false;
}

/* Mean over all spatial axes of [N, C, H, W] or [N, C, D, H, W] = average pool of the whole extent, which
 * has an integer form. */
static bool mean_to_pool(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = mica_op_operand(op, 0);
    size_t n = 0;
    const int64_t *axes = mica_op_i64s(op, "axes", &n);
    if (strcmp(mica_op_str(op, "mode"), "ReduceMean") != 0 || !mica_type_is_static(x->type) || x->type->rank < 4 ||
        x->type->rank > 5 || n != (size_t)x->type->rank - 2 || belongs_to_norm(op) ||
        !mica_type_is_float(mica_type_element(x->type), MICA_F32)) {
        return false;
    }
    uint32_t seen = 0;
    for (size_t i = 0; i < n; ++i) {
        seen |= axes[i] >= 2 ? 1u << axes[i] : 0;
    }
    int64_t dims[MICA_MAX_RANK];
    for (int i = 0; i < x->type->rank; ++i) {
        if ((i >= 2 && (seen & 1u << i) == 0) || x->type->dims[i] < 1) {
            return false;
        }
        dims[i] = i < 2 ? x->type->dims[i] : 1;
    }
    if (mica_op_bool(op, "keepdims")) {
        mica_op *pool = mica_replace_with(rewriter, op, NULL, "top.AvgPool", &x, 1);
        mica_op_set_i64s(pool, "kernel_shape", x->type->dims + 2, n);
        return true;
    }
    mica_module *module = mica_rewriter_module(rewriter);
    mica_builder *builder = mica_rewriter_builder(rewriter, op);
    const char *name = mica_arena_printf(module->arena, "%s_pool", mica_loc_get_name(op->loc));
    mica_op *pool = mica_build_op(builder, "top.AvgPool", mica_named_loc(module, name, op), &x, 1, 1);
    mica_op_set_i64s(pool, "kernel_shape", x->type->dims + 2, n);
    if (mica_op_infer(pool) != MICA_OK) {
        return false;
    }
    mica_value *pooled = &pool->results[0];
    mica_op *flat = mica_replace_with(rewriter, op, NULL, "top.Reshape", &pooled, 1);
    mica_op_set_i64s(flat, "shape", dims, 2);
    return true;
}

const mica_pattern mica_patterns_affine[] = {
    {"affine-before-conv", "top.Conv", affine_before_conv, "x * a + b per channel before Conv"},
    {"affine-of-activation", "top.Add", affine_of_activation, "x * a + b per channel after an activation"},
    {"sum-with-own-product", "top.Add", sum_with_own_product, "x + x * s with a small s"},
    {"vector-before-matmul", "top.MatMul", vector_before_matmul, "x * a, x + b over the last axis before MatMul"},
    {"vector-after-matmul", NULL, vector_after_matmul, "y * a, y + b over the last axis after MatMul"},
    {"scale-behind-permute", "top.Scale", scale_behind_permute, "Scale of permuted columns of a MatMul"},
    {"mean-to-pool", "top.Reduce", mean_to_pool, "mean over all spatial axes"},
};
const size_t mica_patterns_affine_count = sizeof mica_patterns_affine / sizeof mica_patterns_affine[0];
