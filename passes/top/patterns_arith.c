/* Arithmetic with constants. */
#include <math.h>
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* x / c = x * (1 / c): one multiplication, and Mul patterns apply. Powers of two are exact, other
 * divisors differ by at most one rounding of the reciprocal. */
static bool div_to_mul(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = mica_op_operand(op, 0);
    mica_value *c = mica_op_operand(op, 1);
    int64_t count = 0;
    const float *data = mica_const_f32(c, &count);
    if (data == NULL || mica_is_weight(x)) {
        return false;
    }
    float *inverse = mica_alloc((size_t)count * sizeof *inverse + 1);
    bool usable = true;
    for (int64_t i = 0; i < count; ++i) {
        inverse[i] = 1.0f / data[i];
        usable = usable && isnormal(inverse[i]);
    }
    if (usable) {
        mica_value *operands[2] = {
            x, mica_new_const(rewriter, op, "reciprocal", c->type->rank, c->type->dims, inverse)};
        mica_replace_with(rewriter, op, NULL, "top.Mul", operands, 2);
    }
    mica_free(inverse);
    return usable;
}

static bool is_output(const mica_op *op) {
    for (const mica_use *use = op->results[0].first_use; use != NULL; use = use->next) {
        if (mica_op_is(use->user, "func.return")) {
            return true;
        }
    }
    return false;
}

/* x * 1 and x + 0 where no broadcast changes the shape. */
static bool drop_neutral(mica_rewriter *rewriter, mica_op *op) {
    const bool is_mul = mica_op_is(op, "top.Mul");
    if (!is_mul && !mica_op_is(op, "top.Add")) {
        return false;
    }
    mica_value *x = NULL;
    mica_value *c = NULL;
    int64_t count = 0;
    if (!mica_split_const(op, &x, &c) || x->type != op->results[0].type || !mica_no_relu(op) ||
        is_output(op)) {
        return false;
    }
    const float *data = mica_const_f32(c, &count);
    for (int64_t i = 0; data != NULL && i < count; ++i) {
        if (data[i] != (is_mul ? 1.0f : 0.0f)) {
            return false;
        }
    }
    if (data == NULL) {
        return false;
    }
    mica_rewriter_replace(rewriter, op, &x, 1);
    return true;
}

/* True for a factor 1/2 or 1/6 after a product or a clamp: it may complete an activation, whose pattern
 * looks for it alone. */
static bool may_end_activation(const mica_value *x, double factor) {
    const mica_op *op = x->def;
    if (op == NULL || (fabs(factor - 0.5) > 1e-6 && fabs(factor - 1.0 / 6.0) > 1e-6)) {
        return false;
    }
    const bool is_product = mica_op_is(op, "top.Mul") && !mica_is_weight(mica_op_operand(op, 0)) &&
                            !mica_is_weight(mica_op_operand(op, 1));
    return is_product || mica_op_is(op, "top.Relu") || mica_op_is(op, "top.Clip") || !mica_no_relu(op);
}

/* (x * a) * b = x * (a * b), (x + a) + b = x + (a + b) for scalar a, b. */
static bool merge_scalars(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = NULL;
    mica_value *c = NULL;
    double outer = 0.0;
    double inner = 0.0;
    if ((!mica_op_is(op, "top.Mul") && !mica_op_is(op, "top.Add")) || !mica_no_relu(op) ||
        !mica_split_const(op, &x, &c) || !mica_weight_scalar(c, &outer)) {
        return false;
    }
    mica_op *first = mica_sole_producer(x, op->name);
    if (first == NULL || !mica_no_relu(first) || !mica_split_const(first, &x, &c) ||
        !mica_weight_scalar(c, &inner) || !mica_type_is_float(mica_type_element(x->type), MICA_F32) ||
        x->type != op->results[0].type ||
        (mica_op_is(op, "top.Mul") && may_end_activation(x, inner))) {
        return false;
    }
    const float both = (float)(mica_op_is(op, "top.Mul") ? outer * inner : outer + inner);
    mica_value *operands[2] = {x, mica_new_const(rewriter, op, "scalar", 0, NULL, &both)};
    mica_replace_with(rewriter, op, first, op->name, operands, 2);
    return true;
}

/* x^2, x^0.5, x^-1, x^1 and x*x by their own functions. */
static bool pow_to_function(mica_rewriter *rewriter, mica_op *op) {
    static const struct { double power; const char *name; } forms[] = {
        {2.0, "top.Square"}, {0.5, "top.Sqrt"}, {-1.0, "top.Reciprocal"}, {-0.5, "top.Rsqrt"}};
    mica_value *x = mica_op_operand(op, 0);
    if (!mica_type_is_float(mica_type_element(x->type), MICA_F32) || !mica_no_relu(op) ||
        x->type != op->results[0].type) {
        return false;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; ++i) {
        if (mica_is_scalar(mica_op_operand(op, 1), forms[i].power)) {
            mica_replace_with(rewriter, op, NULL, forms[i].name, &x, 1);
            return true;
        }
    }
    return false;
}

const mica_pattern mica_patterns_arith[] = {
    {"div-to-mul", "top.Div", div_to_mul, "division by a constant"},
    {"drop-neutral", NULL, drop_neutral, "x * 1, x + 0"},
    {"merge-scalars", NULL, merge_scalars, "chains of scalar Mul or Add"},
    {"pow-to-function", "top.Pow", pow_to_function, "powers with a function of their own"},
};
const size_t mica_patterns_arith_count = sizeof mica_patterns_arith / sizeof mica_patterns_arith[0];
