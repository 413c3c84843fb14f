/* Activations: recognized from their parts, fused into the op before them. */
#include <math.h>
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* Clip(0, b) is Relu with a limit. */
static bool clip_to_relu(mica_rewriter *rewriter, mica_op *op) {
    if (!mica_op_has_attr(op, "min") || mica_op_f64(op, "min") != 0.0 ||
        !mica_type_is_float(mica_type_element(op->results[0].type), MICA_F32)) {
        return false;
    }
    const bool limited = mica_op_has_attr(op, "max") && isfinite(mica_op_f64(op, "max")) &&
                         mica_op_f64(op, "max") < 3.0e38;
    const double limit = limited ? mica_op_f64(op, "max") : -1.0;
    if (limited && limit < 0.0) {
        return false;
    }
    mica_value *x = mica_op_operand(op, 0);
    mica_op *made = mica_replace_with(rewriter, op, NULL, "top.Relu", &x, 1);
    mica_op_set_f64(made, "relu_limit", limit);
    return true;
}

/* Limit of a Relu of a Relu; negative: none. */
static double lower_limit(double a, double b) { return a < 0.0 ? b : (b < 0.0 ? a : fmin(a, b)); }

/* Relu after an op that can clamp its own results. */
static bool fuse_relu(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = mica_op_operand(op, 0);
    mica_op *producer = x->def;
    if (producer == NULL || !mica_op_has_trait(producer, MICA_CAN_FUSE_RELU) ||
        mica_op_has_trait(producer, MICA_MOVEMENT) || producer->n_results != 1 ||
        !mica_value_has_one_use(x)) {
        return false;
    }
    const double limit = mica_no_relu(producer)
                             ? mica_op_f64(op, "relu_limit")
                             : lower_limit(mica_op_f64(op, "relu_limit"), mica_op_f64(producer, "relu_limit"));
    producer->loc = mica_merged_loc(op, producer);
    mica_op_set_bool(producer, "do_relu", true);
    mica_op_set_f64(producer, "relu_limit", limit);
    mica_rewriter_touch(rewriter, producer);
    mica_rewriter_replace(rewriter, op, &x, 1);
    return true;
}

/* Relu of Relu: the smaller limit. */
static bool merge_relus(mica_rewriter *rewriter, mica_op *op) {
    mica_op *first = mica_sole_producer(mica_op_operand(op, 0), "top.Relu");
    if (first == NULL) {
        return false;
    }
    const double a = mica_op_f64(op, "relu_limit");
    const double b = mica_op_f64(first, "relu_limit");
    mica_value *x = mica_op_operand(first, 0);
    mica_op *made = mica_replace_with(rewriter, op, first, "top.Relu", &x, 1);
    mica_op_set_f64(made, "relu_limit", lower_limit(a, b));
    return true;
}

/* The factors of a product: `op` is x * f(x) when one operand is x and the other comes from f of x.
 * Returns the op that gives f(x), or NULL. */
static mica_op *factor_of_self(const mica_op *op, const char *function, mica_value **out_x) {
    for (uint32_t i = 0; i < 2; ++i) {
        mica_op *f = mica_producer(mica_op_operand(op, i), function);
        mica_value *x = mica_op_operand(op, 1 - i);
        if (f != NULL && mica_op_operand(f, 0) == x) {
            *out_x = x;
            return f;
        }
    }
    return NULL;
}

/* x * sigmoid(x) = SiLU; x * hardsigmoid(x, 1/6, 1/2) = HardSwish. */
static bool product_to_swish(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = NULL;
    if (!mica_no_relu(op)) {
        return false;
    }
    mica_op *f = factor_of_self(op, "top.Sigmoid", &x);
    if (f != NULL) {
        mica_replace_with(rewriter, op, f, "top.SiLU", &x, 1);
        return true;
    }
    f = factor_of_self(op, "top.HardSigmoid", &x);
    if (f != NULL && fabs(mica_op_f64(f, "alpha") - 1.0 / 6.0) < 1e-6 &&
        fabs(mica_op_f64(f, "beta") - 0.5) < 1e-6) {
        mica_replace_with(rewriter, op, f, "top.HardSwish", &x, 1);
        return true;
    }
    return false;
}

/* relu6(x + 3) of some x; the ReLU may be fused into the Add. */
static mica_value *relu6_of_plus3(const mica_value *value) {
    mica_op *add = NULL;
    mica_op *relu = mica_producer(value, "top.Relu");
    if (relu != NULL && mica_op_f64(relu, "relu_limit") == 6.0) {
        add = mica_producer(mica_op_operand(relu, 0), "top.Add");
        add = add != NULL && mica_no_relu(add) ? add : NULL;
    } else {
        add = mica_producer(value, "top.Add");
        add = add != NULL && !mica_no_relu(add) && mica_op_f64(add, "relu_limit") == 6.0 ? add : NULL;
    }
    mica_value *x = NULL;
    mica_value *c = NULL;
    return add != NULL && mica_split_const(add, &x, &c) && mica_is_scalar(c, 3.0) ? x : NULL;
}

/* relu6(x + 3) * (1/6) = HardSigmoid(x). */
static bool relu6_to_hard_sigmoid(mica_rewriter *rewriter, mica_op *op) {
    mica_value *inner = NULL;
    mica_value *c = NULL;
    if (!mica_no_relu(op) || !mica_split_const(op, &inner, &c) || !mica_is_scalar(c, 1.0 / 6.0)) {
        return false;
    }
    mica_value *x = relu6_of_plus3(inner);
    if (x == NULL || x->type != op->results[0].type) { /* a constant of more axes changes the shape */
        return false;
    }
    mica_op *made = mica_replace_with(rewriter, op, inner->def, "top.HardSigmoid", &x, 1);
    mica_op_set_f64(made, "alpha", 1.0 / 6.0);
    mica_op_set_f64(made, "beta", 0.5);
    return true;
}

/* (x * relu6(x + 3)) * (1/6) = HardSwish(x), the form that divides last. */
static bool product_to_hard_swish(mica_rewriter *rewriter, mica_op *op) {
    mica_value *inner = NULL;
    mica_value *c = NULL;
    if (!mica_no_relu(op) || !mica_split_const(op, &inner, &c) || !mica_is_scalar(c, 1.0 / 6.0)) {
        return false;
    }
    mica_op *product = mica_sole_producer(inner, "top.Mul");
    for (uint32_t i = 0; product != NULL && i < 2; ++i) {
        mica_value *x = mica_op_operand(product, i);
        if (mica_no_relu(product) && relu6_of_plus3(mica_op_operand(product, 1 - i)) == x &&
            x->type == op->results[0].type) {
            mica_replace_with(rewriter, op, product, "top.HardSwish", &x, 1);
            return true;
        }
    }
    return false;
}

/* --- GELU ---------------------------------------------------------------------------------------- */

/* x when `value` is erf(x / sqrt 2) + 1, else NULL. */
static mica_value *one_plus_erf(const mica_value *value) {
    mica_op *add = mica_producer(value, "top.Add");
    mica_value *inner = NULL;
    mica_value *c = NULL;
    if (add == NULL || !mica_no_relu(add) || !mica_split_const(add, &inner, &c) ||
        !mica_is_scalar(c, 1.0)) {
        return NULL;
    }
    mica_op *erf_op = mica_producer(inner, "top.Erf");
    mica_op *scaled = erf_op != NULL ? mica_producer(mica_op_operand(erf_op, 0), "top.Mul") : NULL;
    mica_value *x = NULL;
    double factor = 0.0;
    if (scaled == NULL || !mica_no_relu(scaled) || !mica_split_const(scaled, &x, &c) ||
        !mica_weight_scalar(c, &factor) || fabs(factor - 0.70710678118654752) > 1e-5) {
        return NULL;
    }
    return x;
}

/* The three ways of writing x * (1 + erf(x / sqrt 2)) / 2. */
static bool erf_to_gelu(mica_rewriter *rewriter, mica_op *op) {
    if (!mica_no_relu(op)) {
        return false;
    }
    mica_value *inner = NULL;
    mica_value *c = NULL;
    if (mica_split_const(op, &inner, &c)) { /* (x * (1 + erf)) * 0.5 */
        mica_op *product = mica_sole_producer(inner, "top.Mul");
        for (uint32_t i = 0; product != NULL && mica_is_scalar(c, 0.5) && i < 2; ++i) {
            mica_value *x = mica_op_operand(product, i);
            if (mica_no_relu(product) && one_plus_erf(mica_op_operand(product, 1 - i)) == x &&
                x->type == op->results[0].type) {
                mica_replace_with(rewriter, op, product, "top.GELU", &x, 1);
                return true;
            }
        }
        return false;
    }
    for (uint32_t i = 0; i < 2; ++i) {
        mica_value *left = mica_op_operand(op, i);
        mica_value *right = mica_op_operand(op, 1 - i);
        mica_op *half = mica_producer(left, "top.Mul"); /* (x * 0.5) * (1 + erf) */
        mica_value *x = NULL;
        if (half != NULL && mica_no_relu(half) && mica_split_const(half, &x, &c) &&
            mica_is_scalar(c, 0.5) && one_plus_erf(right) == x && x->type == op->results[0].type) {
            mica_replace_with(rewriter, op, half, "top.GELU", &x, 1);
            return true;
        }
        half = mica_producer(right, "top.Mul"); /* x * ((1 + erf) * 0.5) */
        mica_value *sum = NULL;
        if (half != NULL && mica_no_relu(half) && mica_split_const(half, &sum, &c) &&
            mica_is_scalar(c, 0.5) && one_plus_erf(sum) == left && left->type == op->results[0].type) {
            mica_replace_with(rewriter, op, half, "top.GELU", &left, 1);
            return true;
        }
    }
    return false;
}

const mica_pattern mica_patterns_activation[] = {
    {"clip-to-relu", "top.Clip", clip_to_relu, "Clip from 0"},
    {"merge-relus", "top.Relu", merge_relus, "Relu of Relu"},
    {"fuse-relu", "top.Relu", fuse_relu, "Relu after Conv, MatMul, Add, pools"},
    {"product-to-swish", "top.Mul", product_to_swish, "x * sigmoid(x), x * hardsigmoid(x)"},
    {"relu6-to-hard-sigmoid", "top.Mul", relu6_to_hard_sigmoid, "relu6(x + 3) / 6"},
    {"product-to-hard-swish", "top.Mul", product_to_hard_swish, "x * relu6(x + 3) / 6"},
    {"erf-to-gelu", "top.Mul", erf_to_gelu, "x * (1 + erf(x / sqrt 2)) / 2"},
};
const size_t mica_patterns_activation_count =
    sizeof mica_patterns_activation / sizeof mica_patterns_activation[0];
