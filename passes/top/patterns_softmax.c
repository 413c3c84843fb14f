/* Softmax and its logarithm, recognized from their parts. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* The reduction `mode` of `of` over one axis that stays, or NULL. */
static mica_op *reduction_of(const mica_value *value, const char *mode, const mica_value *of) {
    mica_op *op = mica_producer(value, "top.Reduce");
    size_t n = 0;
    const int64_t *axes = op != NULL ? mica_op_i64s(op, "axes", &n) : NULL;
    const bool ok = axes != NULL && n == 1 && strcmp(mica_op_str(op, "mode"), mode) == 0 &&
                    mica_op_bool(op, "keepdims") && mica_op_operand(op, 0) == of;
    return ok ? op : NULL;
}

static int64_t axis_of(const mica_op *reduce) {
    size_t n = 0;
    return mica_op_i64s(reduce, "axes", &n)[0];
}

/* x when `value` is x - max(x) over `axis`; otherwise `value` itself: the maximum only guards against
 * overflow and Softmax subtracts it anyway. */
static mica_value *without_max(mica_value *value, int64_t axis) {
    mica_op *sub = mica_producer(value, "top.Sub");
    if (sub == NULL || !mica_no_relu(sub)) {
        return value;
    }
    mica_value *x = mica_op_operand(sub, 0);
    const mica_op *max = reduction_of(mica_op_operand(sub, 1), "ReduceMax", x);
    return max != NULL && axis_of(max) == axis ? x : value;
}

static bool to_softmax(mica_rewriter *rewriter, mica_op *op, mica_value *from, int64_t axis, bool log) {
    mica_value *x = without_max(from, axis);
    if (x->type != op->results[0].type || x->type->rank < 1) {
        return false;
    }
    mica_op *made = mica_replace_region(rewriter, op, x, "top.Softmax", &x, 1);
    if (made == NULL) {
        return false;
    }
    mica_op_set_i64(made, "axis", axis);
    mica_op_set_bool(made, "log", log);
    return true;
}

/* exp(x) / sum(exp(x)), also as a product with the reciprocal. */
static bool quotient_to_softmax(mica_rewriter *rewriter, mica_op *op) {
    const bool is_div = mica_op_is(op, "top.Div");
    if ((!is_div && !mica_op_is(op, "top.Mul")) || !mica_no_relu(op)) {
        return false;
    }
    for (uint32_t i = 0; i < (is_div ? 1u : 2u); ++i) {
        mica_op *exp_op = mica_producer(mica_op_operand(op, i), "top.Exp");
        const mica_value *total = mica_op_operand(op, 1 - i);
        if (!is_div) {
            const mica_op *inverse = mica_producer(total, "top.Reciprocal");
            total = inverse != NULL ? mica_op_operand(inverse, 0) : NULL;
        }
        const mica_op *sum =
            exp_op != NULL ? reduction_of(total, "ReduceSum", &exp_op->results[0]) : NULL;
        if (sum != NULL) {
            return to_softmax(rewriter, op, mica_op_operand(exp_op, 0), axis_of(sum), false);
        }
    }
    return false;
}

/* log(softmax(x)). */
static bool log_of_softmax(mica_rewriter *rewriter, mica_op *op) {
    mica_op *softmax = mica_sole_producer(mica_op_operand(op, 0), "top.Softmax");
    if (softmax == NULL || mica_op_bool(softmax, "log")) {
        return false;
    }
    mica_value *x = mica_op_operand(softmax, 0);
    mica_op *made = mica_replace_with(rewriter, op, softmax, "top.Softmax", &x, 1);
    mica_op_set_i64(made, "axis", mica_op_i64(softmax, "axis"));
    mica_op_set_bool(made, "log", true);
    return true;
}

/* x - logsumexp(x), x - log(sum(exp(x))). */
static bool difference_to_log_softmax(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = mica_op_operand(op, 0);
    const mica_value *right = mica_op_operand(op, 1);
    if (!mica_no_relu(op)) {
        return false;
    }
    const mica_op *total = reduction_of(right, "ReduceLogSumExp", x);
    const mica_op *log_op = mica_producer(right, "top.Log");
    if (total == NULL && log_op != NULL) {
        const mica_op *sum = mica_producer(mica_op_operand(log_op, 0), "top.Reduce");
        const mica_op *exp_op = sum != NULL ? mica_producer(mica_op_operand(sum, 0), "top.Exp") : NULL;
        if (exp_op != NULL && mica_op_operand(exp_op, 0) == x) {
            total = reduction_of(&sum->results[0], "ReduceSum", &exp_op->results[0]);
        }
    }
    return total != NULL && to_softmax(rewriter, op, x, axis_of(total), true);
}

const mica_pattern mica_patterns_softmax[] = {
    {"quotient-to-softmax", NULL, quotient_to_softmax, "exp(x) / sum(exp(x))"},
    {"log-of-softmax", "top.Log", log_of_softmax, "Log of Softmax"},
    {"difference-to-log-softmax", "top.Sub", difference_to_log_softmax, "x - logsumexp(x)"},
};
const size_t mica_patterns_softmax_count =
    sizeof mica_patterns_softmax / sizeof mica_patterns_softmax[0];
