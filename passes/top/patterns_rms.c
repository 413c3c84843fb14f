/* RMSNorm, LayerNorm and InstanceNorm from means over the last axes and square roots or their reciprocals. */
#include <math.h>
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* 1 / x by its own function. */
static bool one_over(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = mica_op_operand(op, 1);
    if (!mica_is_weight(mica_op_operand(op, 0)) || !mica_no_relu(op) ||
        !mica_is_scalar(mica_op_operand(op, 0), 1.0) || mica_is_weight(x) ||
        x->type != op->results[0].type || !mica_type_is_float(mica_type_element(x->type), MICA_F32)) {
        return false;
    }
    mica_replace_with(rewriter, op, NULL, "top.Reciprocal", &x, 1);
    return true;
}

/* 1 / sqrt(x) and sqrt(1 / x). */
static bool reciprocal_root(mica_rewriter *rewriter, mica_op *op) {
    const bool is_root = mica_op_is(op, "top.Sqrt");
    if (!is_root && !mica_op_is(op, "top.Reciprocal")) {
        return false;
    }
    mica_op *first = mica_sole_producer(mica_op_operand(op, 0), is_root ? "top.Reciprocal" : "top.Sqrt");
    if (first == NULL) {
        return false;
    }
    mica_value *x = mica_op_operand(first, 0);
    mica_replace_with(rewriter, op, first, "top.Rsqrt", &x, 1);
    return true;
}

/* The Reduce that is the mean over the last axes from `axis` on (-1: any, is written), which are kept. */
static const mica_op *trailing_mean(const mica_value *value, int64_t *axis) {
    const mica_op *op = mica_producer(value, "top.Reduce");
    size_t n = 0;
    const int64_t *axes = op != NULL ? mica_op_i64s(op, "axes", &n) : NULL;
    if (axes == NULL || n < 1 || !mica_op_bool(op, "keepdims") || strcmp(mica_op_str(op, "mode"), "ReduceMean") != 0) {
        return NULL;
    }
    const int64_t first = mica_op_operand(op, 0)->type->rank - (int64_t)n;
    uint32_t seen = 0;
    for (size_t i = 0; i < n; ++i) {
        seen |= axes[i] >= first && axes[i] < first + (int64_t)n ? 1u << (axes[i] - first) : 0;
    }
    if (seen != (1u << n) - 1 || (*axis >= 0 && *axis != first)) {
        return NULL;
    }
    *axis = first;
    return op;
}

/* d when `value` is mean(d^2) + eps over the last axes. */
static mica_value *mean_square(const mica_value *value, int64_t *axis, double *out_eps) {
    mica_op *add = mica_producer(value, "top.Add");
    mica_value *mean_value = NULL;
    mica_value *c = NULL;
    if (add == NULL || !mica_no_relu(add) || !mica_split_const(add, &mean_value, &c) ||
        !mica_weight_scalar(c, out_eps) || *out_eps < 0.0) {
        return NULL;
    }
    const mica_op *mean = trailing_mean(mean_value, axis);
    const mica_op *square = mean != NULL ? mica_op_operand(mean, 0)->def : NULL;
    if (square == NULL) {
        return NULL;
    }
    const bool is_product = mica_op_is(square, "top.Mul") && mica_no_relu(square) &&
                            mica_op_operand(square, 0) == mica_op_operand(square, 1);
    return is_product || mica_op_is(square, "top.Square") ? mica_op_operand(square, 0) : NULL;
}

/* x when `value` is x - mean(x). */
static mica_value *centered_of(const mica_value *value, int64_t axis) {
    const mica_op *sub = mica_producer(value, "top.Sub");
    const mica_op *mean = sub != NULL ? trailing_mean(mica_op_operand(sub, 1), &axis) : NULL;
    mica_value *x = sub != NULL ? mica_op_operand(sub, 0) : NULL;
    return mean != NULL && mica_no_relu(sub) && mica_op_operand(mean, 0) == x ? x : NULL;
}

/* Over all spatial axes a LayerNorm without weights is an InstanceNorm, whose weights are per channel. */
static bool to_norm(mica_rewriter *rewriter, mica_op *op, mica_value *d, mica_value *other, int64_t axis, double eps) {
    mica_value *x = centered_of(other, axis);
    const bool is_layer = x != NULL && centered_of(d, axis) == x;
    if (!is_layer && other != d) {
        return false;
    }
    x = is_layer ? x : d;
    if (x->type != op->results[0].type || !mica_region_is_closed(op, x)) {
        return false;
    }
    const bool is_instance = is_layer && axis == 2 && x->type->rank >= 4;
    const char *name = is_instance ? "top.InstanceNorm" : is_layer ? "top.LayerNorm" : "top.RMSNorm";
    mica_value *none = mica_top_none(mica_rewriter_builder(rewriter, op));
    mica_value *operands[3] = {x, none, none};
    mica_op *made = mica_replace_region(rewriter, op, x, name, operands, is_layer ? 3 : 2);
    if (made == NULL) {
        return false;
    }
    if (!is_instance) {
        mica_op_set_i64(made, "axis", axis);
    }
    mica_op_set_f64(made, "eps", eps);
    return true;
}

/* d * rsqrt(mean(d^2) + eps) and d / sqrt(mean(d^2) + eps): LayerNorm when d is x - mean(x), else
 * RMSNorm. */
static bool root_to_norm(mica_rewriter *rewriter, mica_op *op) {
    const bool is_div = mica_op_is(op, "top.Div");
    if ((!is_div && !mica_op_is(op, "top.Mul")) || !mica_no_relu(op)) {
        return false;
    }
    for (uint32_t i = 0; i < (is_div ? 1u : 2u); ++i) {
        const mica_op *root =
            mica_producer(mica_op_operand(op, 1 - i), is_div ? "top.Sqrt" : "top.Rsqrt");
        double eps = 0.0;
        int64_t axis = -1;
        mica_value *d = root != NULL ? mean_square(mica_op_operand(root, 0), &axis, &eps) : NULL;
        if (d != NULL && to_norm(rewriter, op, d, mica_op_operand(op, i), axis, eps)) {
            return true;
        }
    }
    return false;
}

/* RMSNorm, then Mul by a constant vector over the last axis. */
static bool weight_into_rms_norm(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = NULL;
    mica_value *c = NULL;
    int64_t count = 0;
    if (!mica_no_relu(op) || !mica_split_const(op, &x, &c) || x->type != op->results[0].type) {
        return false;
    }
    mica_op *norm = mica_sole_producer(x, "top.RMSNorm");
    const float *values = mica_const_f32(c, &count);
    if (norm == NULL || values == NULL || mica_op_present(norm, 1) != NULL ||
        (mica_op_i64(norm, "axis") != x->type->rank - 1 && mica_op_i64(norm, "axis") != -1) ||
        c->type->rank < 1 ||
        count != x->type->dims[x->type->rank - 1] || c->type->dims[c->type->rank - 1] != count) {
        return false;
    }
    mica_value *operands[2] = {mica_op_operand(norm, 0),
                               mica_new_const(rewriter, op, "weight", 1, &count, values)};
    mica_copy_attrs(mica_replace_with(rewriter, op, norm, "top.RMSNorm", operands, 2), norm);
    return true;
}

const mica_pattern mica_patterns_rms[] = {
    {"one-over", "top.Div", one_over, "1 / x"},
    {"reciprocal-root", NULL, reciprocal_root, "1 / sqrt(x)"},
    {"root-to-norm", NULL, root_to_norm, "RMSNorm and LayerNorm from their parts"},
    {"weight-into-rms-norm", "top.Mul", weight_into_rms_norm, "weight after RMSNorm"},
};
const size_t mica_patterns_rms_count = sizeof mica_patterns_rms / sizeof mica_patterns_rms[0];
