/* Activations recognized by what their parts compute rather than by how they are arranged: the parts
 * are read as a polynomial, or as a function that is linear on both sides of 0. */
#include <math.h>
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

enum { MAX_DEPTH = 7 };

static bool is_near(double value, double expected) {
    return fabs(value - expected) <= 1e-5 * fabs(expected) + 1e-9;
}

/* --- polynomials -------------------------------------------------------------------------------- */

/* Sum of c[i][j] x^i t^j, i <= 3, j <= 1; t stands for one further value. */
typedef struct poly {
    double c[4][2];
} poly;

static bool multiply(const poly *a, const poly *b, poly *out) {
    poly product = {0};
    for (int i = 0; i < 16; ++i) {
        for (int j = 0; j < 4; ++j) {
            const double c = a->c[i / 4][j / 2] * b->c[i % 4][j % 2];
            if (c == 0.0) {
                continue;
            }
            if (i / 4 + i % 4 > 3 || j / 2 + j % 2 > 1) {
                return false;
            }
            product.c[i / 4 + i % 4][j / 2 + j % 2] += c;
        }
    }
    *out = product;
    return true;
}

/* Reads `value` as a polynomial of x and t (may be NULL); false when it is none. */
static bool read_poly(const mica_value *value, const mica_value *x, const mica_value *t, int depth,
                      poly *out) {
    double scalar = 0.0;
    memset(out, 0, sizeof *out);
    if (value == x || value == t) {
        out->c[value == x][value == t] = 1.0;
        return true;
    }
    if (mica_weight_scalar(value, &scalar)) {
        out->c[0][0] = scalar;
        return true;
    }
    const mica_op *op = value->def;
    poly a;
    poly b;
    if (op == NULL || depth == 0 || op->n_operands < 1 || !mica_no_relu(op) ||
        !mica_type_is_float(mica_type_element(value->type), MICA_F32)) {
        return false;
    }
    const bool is_sum = mica_op_is(op, "top.Add") || mica_op_is(op, "top.Sub");
    const bool is_power = mica_op_is(op, "top.Pow");
    if (!is_sum && !is_power && !mica_op_is(op, "top.Mul") && !mica_op_is(op, "top.Square") &&
        !mica_op_is(op, "top.Neg")) {
        return false;
    }
    if (!read_poly(mica_op_operand(op, 0), x, t, depth - 1, &a)) {
        return false;
    }
    if (is_power) {
        return mica_is_scalar(mica_op_operand(op, 1), 3.0) && multiply(&a, &a, &b) && multiply(&a, &b, out);
    }
    if (mica_op_is(op, "top.Square")) {
        return multiply(&a, &a, out);
    }
    const bool is_neg = mica_op_is(op, "top.Neg");
    if (!is_neg && !read_poly(mica_op_operand(op, 1), x, t, depth - 1, &b)) {
        return false;
    }
    if (mica_op_is(op, "top.Mul")) {
        return multiply(&a, &b, out);
    }
    const double sign = mica_op_is(op, "top.Sub") ? -1.0 : 1.0;
    for (int i = 0; i < 8; ++i) {
        const double first = a.c[i / 2][i % 2];
        out->c[i / 2][i % 2] = is_neg ? -first : first + sign * b.c[i / 2][i % 2];
    }
    return true;
}

/* True when exactly the coefficients of `want` are there. */
static bool poly_is(const poly *p, const poly *want) {
    for (int i = 0; i < 8; ++i) {
        if (!is_near(p->c[i / 2][i % 2], want->c[i / 2][i % 2])) {
            return false;
        }
    }
    return true;
}

/* The first op called `name` behind the products and sums that `value` is made of. */
static mica_op *find_leaf(const mica_value *value, const char *name, int depth) {
    mica_op *op = value->def;
    if (op == NULL || mica_op_is(op, name)) {
        return op;
    }
    if (depth == 0 || (!mica_op_is(op, "top.Mul") && !mica_op_is(op, "top.Add"))) {
        return NULL;
    }
    for (uint32_t i = 0; i < 2; ++i) {
        mica_op *found = find_leaf(mica_op_operand(op, i), name, depth - 1);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

/* The polynomial whose tanh is taken: sqrt(2 / pi) (x + 0.044715 x^3). */
static const poly gelu_inner = {{{0}, {0.79788456080286536}, {0}, {0.79788456080286536 * 0.044715}}};
static const poly gelu_outer = {{{0}, {0.5, 0.5}}};

/* x for which `value` is gelu_inner and `op` gelu_outer: any operand on the way may be it. */
static mica_value *find_gelu_x(const mica_op *op, const mica_value *tanh_value, mica_value *value,
                               int depth) {
    poly p;
    if (read_poly(mica_op_operand(tanh_value->def, 0), value, NULL, MAX_DEPTH, &p) &&
        poly_is(&p, &gelu_inner) && read_poly(&op->results[0], value, tanh_value, MAX_DEPTH, &p) &&
        poly_is(&p, &gelu_outer)) {
        return value;
    }
    const mica_op *def = value->def;
    if (depth == 0 || def == NULL ||
        (!mica_op_is(def, "top.Mul") && !mica_op_is(def, "top.Add") && !mica_op_is(def, "top.Pow") &&
         !mica_op_is(def, "top.Square"))) {
        return NULL;
    }
    for (uint32_t i = 0; i < def->n_operands; ++i) {
        mica_value *found = mica_is_weight(mica_op_operand(def, i))
                                ? NULL
                                : find_gelu_x(op, tanh_value, mica_op_operand(def, i), depth - 1);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static bool tanh_to_gelu(mica_rewriter *rewriter, mica_op *op) {
    const mica_op *leaf = mica_no_relu(op) ? find_leaf(&op->results[0], "top.Tanh", 3) : NULL;
    if (leaf == NULL || !mica_op_is(leaf, "top.Tanh")) {
        return false;
    }
    mica_value *x = find_gelu_x(op, &leaf->results[0], mica_op_operand(leaf, 0), 5);
    return x != NULL && x->type == op->results[0].type &&
           mica_replace_region(rewriter, op, x, "top.GELUTanh", &x, 1) != NULL;
}

/* x * f(a x + b) for the functions of one operand that make an activation. */
static bool product_to_activation(mica_rewriter *rewriter, mica_op *op) {
    for (uint32_t i = 0; i < 2 && mica_no_relu(op); ++i) {
        mica_value *x = mica_op_operand(op, i);
        const mica_op *f = mica_op_operand(op, 1 - i)->def;
        poly p;
        if (f == NULL || x->type != op->results[0].type) {
            continue;
        }
        const char *name = NULL;
        if (mica_op_is(f, "top.Sigmoid") && read_poly(mica_op_operand(f, 0), x, NULL, 2, &p) &&
            poly_is(&p, &(poly){{{0}, {1.702}}})) {
            name = "top.QuickGELU";
        } else if (mica_op_is(f, "top.Tanh")) {
            const mica_op *inner = mica_producer(mica_op_operand(f, 0), "top.Softplus");
            name = inner != NULL && mica_op_operand(inner, 0) == x ? "top.Mish" : NULL;
        }
        if (name != NULL && mica_replace_region(rewriter, op, x, name, &x, 1) != NULL) {
            return true;
        }
    }
    return false;
}

/* The value that a Relu with `limit` clamps, the Relu being an op or fused: the value before it is
 * a x + b for some x that is the other operand of an Add, Mul or Scale; writes a and b. */
static mica_value *clamped(const mica_value *value, double limit, double *out_a, double *out_b) {
    const mica_op *op = value->def;
    if (op != NULL && mica_op_is(op, "top.Relu") && mica_op_f64(op, "relu_limit") == limit) {
        op = mica_op_operand(op, 0)->def;
        if (op == NULL || !mica_no_relu(op)) {
            return NULL;
        }
    } else if (op == NULL || mica_no_relu(op) || mica_op_f64(op, "relu_limit") != limit) {
        return NULL;
    }
    mica_value *x = NULL;
    mica_value *c = NULL;
    if (!mica_op_is(op, "top.Add") || !mica_split_const(op, &x, &c) || !mica_weight_scalar(c, out_b) ||
        x->type != value->type) {
        return NULL;
    }
    const mica_op *mul = mica_producer(x, "top.Mul");
    mica_value *inner = NULL;
    *out_a = 1.0;
    if (mul != NULL && mica_no_relu(mul) && mica_split_const(mul, &inner, &c) &&
        inner->type == value->type && mica_weight_scalar(c, out_a)) {
        return inner;
    }
    *out_a = 1.0;
    return x;
}

/* clip(a x + b, 0, 1) with the clamp fused into the Add is one function: HardSigmoid. */
static bool clip_to_hard_sigmoid(mica_rewriter *rewriter, mica_op *op) {
    double a = 0.0;
    double b = 0.0;
    if (mica_no_relu(op)) {
        return false;
    }
    mica_value *x = clamped(&op->results[0], 1.0, &a, &b);
    const mica_op *mul = mica_producer(mica_op_operand(op, mica_is_weight(mica_op_operand(op, 0))), "top.Mul");
    if (x == NULL || mul == NULL || &mul->results[0] == x || a == 0.0 || !mica_region_is_closed(op, x)) {
        return false;
    }
    mica_op_set_bool(op, "do_relu", false);
    mica_op *made = mica_replace_region(rewriter, op, x, "top.HardSigmoid", &x, 1);
    mica_op_set_f64(made, "alpha", a);
    mica_op_set_f64(made, "beta", b);
    return true;
}

/* x * clip(a x + b, 0, 1) and (x / 6) * relu6(x + 3). */
static bool product_to_hard_activation(mica_rewriter *rewriter, mica_op *op) {
    for (uint32_t i = 0; i < 2 && mica_no_relu(op); ++i) {
        double a = 0.0;
        double b = 0.0;
        mica_value *left = mica_op_operand(op, i);
        mica_value *x = clamped(mica_op_operand(op, 1 - i), 1.0, &a, &b);
        if (x != NULL && x == left && is_near(a, 1.0 / 6.0) && is_near(b, 0.5)) {
            return mica_replace_region(rewriter, op, x, "top.HardSwish", &x, 1) != NULL;
        }
        x = clamped(mica_op_operand(op, 1 - i), 6.0, &a, &b);
        mica_op *sixth = mica_producer(left, "top.Mul");
        mica_value *of = NULL;
        mica_value *c = NULL;
        if (x != NULL && sixth != NULL && mica_no_relu(sixth) && mica_split_const(sixth, &of, &c) &&
            of == x && mica_is_scalar(c, 1.0 / 6.0) && is_near(a, 1.0) && is_near(b, 3.0)) {
            return mica_replace_region(rewriter, op, x, "top.HardSwish", &x, 1) != NULL;
        }
    }
    return false;
}

const mica_pattern mica_patterns_expr[] = {
    {"tanh-to-gelu", "top.Mul", tanh_to_gelu, "GELU by its tanh approximation"},
    {"product-to-activation", "top.Mul", product_to_activation, "QuickGELU, Mish"},
    {"clip-to-hard-sigmoid", "top.Add", clip_to_hard_sigmoid, "clip(a x + b, 0, 1)"},
    {"clip-product-to-hard-swish", "top.Mul", product_to_hard_activation,
     "x * clip(x / 6 + 1/2, 0, 1), (x / 6) * relu6(x + 3)"},
};
const size_t mica_patterns_expr_count = sizeof mica_patterns_expr / sizeof mica_patterns_expr[0];
