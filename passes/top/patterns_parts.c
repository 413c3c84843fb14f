/* Functions and L2 normalization recognized from their parts. */
#include <math.h>
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* x when `value` is x + c of that scalar, without a clamp. */
static mica_value *plus(const mica_value *value, double c) {
    mica_op *add = mica_producer(value, "top.Add");
    mica_value *x = NULL;
    mica_value *constant = NULL;
    const bool ok = add != NULL && mica_no_relu(add) && mica_split_const(add, &x, &constant) &&
                    mica_is_scalar(constant, c) && x->type == value->type;
    return ok ? x : NULL;
}

/* log(1 + exp(x)) */
static bool log_to_softplus(mica_rewriter *rewriter, mica_op *op) {
    mica_value *inner = plus(mica_op_operand(op, 0), 1.0);
    mica_op *exp_op = mica_producer(inner, "top.Exp");
    mica_value *x = exp_op != NULL ? mica_op_operand(exp_op, 0) : NULL;
    return x != NULL && mica_replace_region(rewriter, op, x, "top.Softplus", &x, 1) != NULL;
}

/* 1 / (1 + exp(-x)) */
static bool reciprocal_to_sigmoid(mica_rewriter *rewriter, mica_op *op) {
    mica_op *exp_op = mica_producer(plus(mica_op_operand(op, 0), 1.0), "top.Exp");
    mica_op *neg = exp_op != NULL ? mica_producer(mica_op_operand(exp_op, 0), "top.Neg") : NULL;
    mica_value *x = neg != NULL ? mica_op_operand(neg, 0) : NULL;
    return x != NULL && mica_replace_region(rewriter, op, x, "top.Sigmoid", &x, 1) != NULL;
}

/* --- L2 ------------------------------------------------------------------------------------------ */

static bool is_reduce(const mica_op *op, const char *mode) {
    return op != NULL && mica_op_is(op, "top.Reduce") && strcmp(mica_op_str(op, "mode"), mode) == 0;
}

/* x when `sum` adds up x^2, as a Reduce of squares or as one of its own. */
static mica_value *summed_squares(const mica_op *sum) {
    if (is_reduce(sum, "ReduceSumSquare")) {
        return mica_op_operand(sum, 0);
    }
    const mica_op *square = is_reduce(sum, "ReduceSum") ? mica_op_operand(sum, 0)->def : NULL;
    if (square == NULL) {
        return NULL;
    }
    const bool is_product = mica_op_is(square, "top.Mul") && mica_no_relu(square) &&
                            mica_op_operand(square, 0) == mica_op_operand(square, 1);
    return is_product || mica_op_is(square, "top.Square") ? mica_op_operand(square, 0) : NULL;
}

/* sqrt(sum(x^2)) */
static bool root_to_l2(mica_rewriter *rewriter, mica_op *op) {
    const mica_op *sum = mica_op_operand(op, 0)->def;
    mica_value *x = sum != NULL ? summed_squares(sum) : NULL;
    size_t n = 0;
    if (x == NULL || !mica_region_is_closed(op, x) ||
        !mica_type_is_float(mica_type_element(x->type), MICA_F32)) {
        return false;
    }
    const int64_t *axes = mica_op_i64s(sum, "axes", &n);
    const bool keepdims = mica_op_bool(sum, "keepdims");
    mica_op *made = mica_replace_region(rewriter, op, x, "top.Reduce", &x, 1);
    if (made == NULL) {
        return false;
    }
    mica_op_set_str(made, "mode", "ReduceL2");
    mica_op_set_i64s(made, "axes", axes, n);
    mica_op_set_bool(made, "keepdims", keepdims);
    return true;
}

static bool over_last_axis(const mica_op *reduce) {
    size_t n = 0;
    const int64_t *axes = mica_op_i64s(reduce, "axes", &n);
    return n == 1 && axes[0] == mica_op_operand(reduce, 0)->type->rank - 1 && mica_op_bool(reduce, "keepdims");
}

/* x / sqrt(sum(x^2) + eps) over the last axis, of n elements, is RMSNorm with eps / n and the weight
 * 1 / sqrt(n). (A norm clipped from below is another function and stays.) */
static bool quotient_to_rms_norm(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = mica_op_operand(op, 0);
    const mica_op *norm = mica_op_operand(op, 1)->def;
    double eps = 0.0;
    if (norm == NULL || !mica_no_relu(op) || x->type != op->results[0].type || x->type->rank < 2 ||
        !mica_type_is_static(x->type)) {
        return false;
    }
    if (mica_op_is(norm, "top.Sqrt")) {
        mica_op *add = mica_producer(mica_op_operand(norm, 0), "top.Add");
        mica_value *sum = NULL;
        mica_value *c = NULL;
        if (add == NULL || !mica_no_relu(add) || !mica_split_const(add, &sum, &c) || !mica_weight_scalar(c, &eps) ||
            eps < 0.0 || sum->def == NULL || summed_squares(sum->def) != x || !over_last_axis(sum->def)) {
            return false;
        }
        const mica_op *sum_op = sum->def;
        if (mica_op_operand(sum_op, 0)->type != x->type) {
            return false;
        }
    } else if (!is_reduce(norm, "ReduceL2") || mica_op_operand(norm, 0) != x || !over_last_axis(norm)) {
        return false;
    }
    const int64_t n = x->type->dims[x->type->rank - 1];
    if (n < 1 || !mica_region_is_closed(op, x)) {
        return false;
    }
    float *weight = mica_alloc((size_t)n * sizeof *weight);
    for (int64_t i = 0; i < n; ++i) {
        weight[i] = (float)(1.0 / sqrt((double)n));
    }
    mica_value *operands[2] = {x, mica_new_const(rewriter, op, "weight", 1, &n, weight)};
    mica_free(weight);
    mica_op *made = mica_replace_region(rewriter, op, x, "top.RMSNorm", operands, 2);
    if (made == NULL) {
        return false;
    }
    mica_op_set_i64(made, "axis", x->type->rank - 1);
    mica_op_set_f64(made, "eps", eps / (double)n);
    return true;
}

/* --- windows of which one tap counts -------------------------------------------------------------- */

/* A Conv of a tensor without spatial extent sees one tap of its filter, the others meet padding. */
static bool conv_of_one_pixel(mica_rewriter *rewriter, mica_op *op) {
    const mica_type in = mica_op_operand(op, 0)->type;
    const mica_type out = op->results[0].type;
    mica_value *filter = mica_op_operand(op, 1);
    int64_t count = 0;
    const float *w = mica_const_f32(filter, &count);
    size_t n = 0;
    const int64_t *pads = mica_op_has_attr(op, "pads") ? mica_op_i64s(op, "pads", &n) : NULL;
    size_t n_dilations = 0;
    const int64_t *dilations = mica_op_has_attr(op, "dilations") ? mica_op_i64s(op, "dilations", &n_dilations) : NULL;
    if (w == NULL || pads == NULL || !mica_type_is_static(in) || !mica_type_is_static(out)) {
        return false;
    }
    const int spatial = in->rank - 2;
    int64_t tap = 0;
    int64_t window = 1;
    for (int i = 0; i < spatial; ++i) {
        const int64_t step = dilations != NULL ? dilations[i] : 1;
        const int64_t size = filter->type->dims[i + 2];
        if (in->dims[i + 2] != 1 || out->dims[i + 2] != 1 || pads[i] % step != 0 || pads[i] / step >= size) {
            return false;
        }
        tap = tap * size + pads[i] / step;
        window *= size;
    }
    if (window == 1) {
        return false;
    }
    float *taken = mica_alloc((size_t)(count / window) * sizeof *taken + 1);
    for (int64_t i = 0; i < count / window; ++i) {
        taken[i] = w[i * window + tap];
    }
    int64_t dims[MICA_MAX_RANK] = {filter->type->dims[0], filter->type->dims[1], 1, 1, 1};
    const int64_t ones[MICA_MAX_RANK] = {1, 1, 1, 1, 1, 1};
    const int64_t zeros[2 * MICA_MAX_RANK] = {0};
    mica_op_set_operand(op, 1, mica_new_const(rewriter, op, "tap", in->rank, dims, taken));
    mica_free(taken);
    mica_op_set_i64s(op, "kernel_shape", ones, (size_t)spatial);
    mica_op_set_i64s(op, "strides", ones, (size_t)spatial);
    mica_op_set_i64s(op, "dilations", ones, (size_t)spatial);
    mica_op_set_i64s(op, "pads", zeros, 2 * (size_t)spatial);
    mica_rewriter_touch(rewriter, op);
    return true;
}

const mica_pattern mica_patterns_parts[] = {
    {"log-to-softplus", "top.Log", log_to_softplus, "log(1 + exp(x))"},
    {"reciprocal-to-sigmoid", "top.Reciprocal", reciprocal_to_sigmoid, "1 / (1 + exp(-x))"},
    {"root-to-l2", "top.Sqrt", root_to_l2, "sqrt(sum(x^2))"},
    {"quotient-to-rms-norm", "top.Div", quotient_to_rms_norm, "x / sqrt(sum(x^2) + eps)"},
    {"conv-of-one-pixel", "top.Conv", conv_of_one_pixel, "Conv whose window meets one element"},
};
const size_t mica_patterns_parts_count = sizeof mica_patterns_parts / sizeof mica_patterns_parts[0];
