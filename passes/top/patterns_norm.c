/* Normalizations recognized from their parts. */
#include <math.h>
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* Mean over exactly the last axis. */
static mica_op *last_axis_mean(const mica_value *value) {
    mica_op *op = mica_producer(value, "top.Reduce");
    size_t n = 0;
    const int64_t *axes = op != NULL ? mica_op_i64s(op, "axes", &n) : NULL;
    const bool ok = op != NULL && strcmp(mica_op_str(op, "mode"), "ReduceMean") == 0 && n == 1 &&
                    mica_op_bool(op, "keepdims") && axes[0] == mica_op_operand(op, 0)->type->rank - 1;
    return ok ? op : NULL;
}

/* x when `value` is x - mean(x), else NULL. */
static mica_value *centered(const mica_value *value) {
    mica_op *sub = mica_producer(value, "top.Sub");
    if (sub == NULL || !mica_no_relu(sub)) {
        return NULL;
    }
    mica_op *mean = last_axis_mean(mica_op_operand(sub, 1));
    mica_value *x = mica_op_operand(sub, 0);
    return mean != NULL && mica_op_operand(mean, 0) == x ? x : NULL;
}

/* True when `value` is sqrt(mean(d^2) + eps) for some d, which is written with eps. */
static bool deviation(const mica_value *value, mica_value **out_d, double *out_eps) {
    mica_op *root = mica_producer(value, "top.Sqrt");
    mica_op *add = root != NULL ? mica_producer(mica_op_operand(root, 0), "top.Add") : NULL;
    mica_value *variance = NULL;
    mica_value *c = NULL;
    if (add == NULL || !mica_no_relu(add) || !mica_split_const(add, &variance, &c) ||
        !mica_weight_scalar(c, out_eps)) {
        return false;
    }
    mica_op *mean = last_axis_mean(variance);
    mica_op *square = mean != NULL ? mica_producer(mica_op_operand(mean, 0), "top.Square") : NULL;
    if (square != NULL) {
        *out_d = mica_op_operand(square, 0);
        return true;
    }
    mica_op *mul = mean != NULL ? mica_producer(mica_op_operand(mean, 0), "top.Mul") : NULL;
    if (mul != NULL && mica_op_operand(mul, 0) == mica_op_operand(mul, 1) && mica_no_relu(mul)) {
        *out_d = mica_op_operand(mul, 0);
        return true;
    }
    return false;
}

/* (x - mean) / sqrt(var + eps) = LayerNorm without weight. */
static bool div_to_layer_norm(mica_rewriter *rewriter, mica_op *op) {
    mica_value *d = NULL;
    double eps = 0.0;
    if (!mica_no_relu(op) || !deviation(mica_op_operand(op, 1), &d, &eps)) {
        return false;
    }
    /* Exporters write the difference twice or share it. */
    mica_value *x = centered(mica_op_operand(op, 0));
    if (x == NULL || centered(d) != x || x->type != op->results[0].type) {
        return false;
    }
    mica_builder *builder = mica_rewriter_builder(rewriter, op);
    mica_value *none = mica_top_none(builder);
    mica_value *operands[3] = {x, none, none};
    mica_op *made = mica_replace_with(rewriter, op, NULL, "top.LayerNorm", operands, 3);
    mica_op_set_i64(made, "axis", x->type->rank - 1);
    mica_op_set_f64(made, "eps", eps);
    return true;
}

/* A constant vector over the last axis. */
static const float *last_axis_vector(const mica_value *c, const mica_value *x) {
    int64_t count = 0;
    const float *data = mica_const_f32(c, &count);
    const int64_t n = x->type->dims[x->type->rank - 1];
    const bool ok = data != NULL && count == n && c->type->rank >= 1 && c->type->dims[c->type->rank - 1] == n;
    return ok ? data : NULL;
}

/* LayerNorm, then Mul (weight) or Add (bias) of a vector. */
static bool affine_into_layer_norm(mica_rewriter *rewriter, mica_op *op) {
    const bool is_mul = mica_op_is(op, "top.Mul");
    mica_value *x = NULL;
    mica_value *c = NULL;
    if ((!is_mul && !mica_op_is(op, "top.Add")) || !mica_no_relu(op) ||
        !mica_split_const(op, &x, &c) || x->type != op->results[0].type) {
        return false;
    }
    mica_op *norm = mica_sole_producer(x, "top.LayerNorm");
    if (norm == NULL || norm->n_results != 1 || mica_op_i64(norm, "axis") != x->type->rank - 1 ||
        mica_op_present(norm, 2) != NULL || (is_mul && mica_op_present(norm, 1) != NULL)) {
        return false;
    }
    const float *values = last_axis_vector(c, x);
    if (values == NULL) {
        return false;
    }
    const int64_t n = x->type->dims[x->type->rank - 1];
    mica_value *vector = mica_new_const(rewriter, op, is_mul ? "weight" : "bias", 1, &n, values);
    mica_value *operands[3] = {mica_op_operand(norm, 0), is_mul ? vector : mica_op_operand(norm, 1),
                               is_mul ? mica_op_operand(norm, 2) : vector};
    const double eps = mica_op_f64(norm, "eps");
    mica_op *made = mica_replace_with(rewriter, op, norm, "top.LayerNorm", operands, 3);
    mica_op_set_i64(made, "axis", x->type->rank - 1);
    mica_op_set_f64(made, "eps", eps);
    return true;
}

const mica_pattern mica_patterns_norm[] = {
    {"div-to-layer-norm", "top.Div", div_to_layer_norm, "(x - mean) / sqrt(variance + eps)"},
    {"affine-into-layer-norm", NULL, affine_into_layer_norm, "weight and bias after LayerNorm"},
};
const size_t mica_patterns_norm_count = sizeof mica_patterns_norm / sizeof mica_patterns_norm[0];
