/* PRelu and LeakyRelu from Relu, Abs, Max and arithmetic: whatever is pos * x above 0 and neg * x
 * below, where pos and neg may hold one constant per channel. */
#include <math.h>
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

enum { MAX_DEPTH = 5 };

/* (c[0][0] + c[0][1] k) x where x >= 0, (c[1][0] + c[1][1] k) x where x < 0; k is a constant that is
 * not a scalar. */
typedef struct slopes {
    double c[2][2];
} slopes;

typedef struct reading {
    const mica_value *x;
    mica_value *k; /* the constant, NULL until there is one */
} reading;

/* max(0, .) on both sides; only plain numbers have a sign that is known. */
static bool clamp_at_0(slopes *s) {
    if (s->c[0][1] != 0.0 || s->c[1][1] != 0.0) {
        return false;
    }
    s->c[0][0] = fmax(s->c[0][0], 0.0);
    s->c[1][0] = fmin(s->c[1][0], 0.0);
    return true;
}

static bool read_slopes(reading *r, const mica_value *value, int depth, slopes *out);

static bool read_product(reading *r, const mica_op *op, int depth, slopes *out) {
    mica_value *inner = NULL;
    mica_value *c = NULL;
    double scalar = 0.0;
    if (!mica_split_const(op, &inner, &c) || !read_slopes(r, inner, depth, out)) {
        return false;
    }
    if (mica_weight_scalar(c, &scalar)) {
        for (int i = 0; i < 4; ++i) {
            out->c[i / 2][i % 2] *= scalar;
        }
        return true;
    }
    if ((r->k != NULL && r->k != c) || out->c[0][1] != 0.0 || out->c[1][1] != 0.0) {
        return false;
    }
    r->k = c;
    for (int i = 0; i < 2; ++i) {
        out->c[i][1] = out->c[i][0];
        out->c[i][0] = 0.0;
    }
    return true;
}

static bool read_two(reading *r, const mica_op *op, int depth, slopes *out) {
    slopes b;
    if (!read_slopes(r, mica_op_operand(op, 0), depth, out)) {
        return false;
    }
    if (mica_op_operand(op, 1) == mica_op_operand(op, 0)) {
        b = *out; /* sums of a tensor with itself would double the work at each step */
    } else if (!read_slopes(r, mica_op_operand(op, 1), depth, &b)) {
        return false;
    }
    if (mica_op_is(op, "top.Max") || mica_op_is(op, "top.Min")) {
        const bool plain = out->c[0][1] == 0.0 && out->c[1][1] == 0.0 && b.c[0][1] == 0.0 && b.c[1][1] == 0.0;
        const bool is_max = mica_op_is(op, "top.Max");
        out->c[0][0] = is_max ? fmax(out->c[0][0], b.c[0][0]) : fmin(out->c[0][0], b.c[0][0]);
        out->c[1][0] = is_max ? fmin(out->c[1][0], b.c[1][0]) : fmax(out->c[1][0], b.c[1][0]);
        return plain;
    }
    const double sign = mica_op_is(op, "top.Sub") ? -1.0 : 1.0;
    for (int i = 0; i < 4; ++i) {
        out->c[i / 2][i % 2] += sign * b.c[i / 2][i % 2];
    }
    return true;
}

static bool read_slopes(reading *r, const mica_value *value, int depth, slopes *out) {
    if (value == r->x) {
        *out = (slopes){{{1.0, 0.0}, {1.0, 0.0}}};
        return true;
    }
    const mica_op *op = value->def;
    if (op == NULL || depth == 0 || value->type != r->x->type) {
        return false;
    }
    const bool is_relu = mica_op_is(op, "top.Relu");
    bool ok = false;
    if (is_relu || mica_op_is(op, "top.Abs") || mica_op_is(op, "top.Neg")) {
        ok = read_slopes(r, mica_op_operand(op, 0), depth - 1, out);
    } else if (mica_op_is(op, "top.Mul")) {
        ok = read_product(r, op, depth - 1, out);
    } else if (mica_op_is(op, "top.Add") || mica_op_is(op, "top.Sub") || mica_op_is(op, "top.Max") ||
               mica_op_is(op, "top.Min")) {
        ok = read_two(r, op, depth - 1, out);
    }
    if (ok && mica_op_is(op, "top.Neg")) {
        for (int i = 0; i < 4; ++i) {
            out->c[i / 2][i % 2] = -out->c[i / 2][i % 2];
        }
    } else if (ok && mica_op_is(op, "top.Abs")) {
        ok = out->c[0][1] == 0.0 && out->c[1][1] == 0.0;
        out->c[0][0] = fabs(out->c[0][0]);
        out->c[1][0] = -fabs(out->c[1][0]);
    }
    if (ok && (is_relu || !mica_no_relu(op))) {
        ok = mica_op_f64(op, "relu_limit") < 0.0 && clamp_at_0(out);
    }
    return ok;
}

/* Replaces `op`, which is x above 0 and neg * x below. */
static bool to_slope(mica_rewriter *rewriter, mica_op *op, const reading *r, mica_value *x,
                     const double neg[2]) {
    if (r->k == NULL || neg[1] == 0.0) {
        mica_op *made = neg[0] >= 0.0 || neg[0] < 0.0
                            ? mica_replace_region(rewriter, op, x, "top.LeakyRelu", &x, 1)
                            : NULL;
        if (made != NULL) {
            mica_op_set_f64(made, "alpha", (float)neg[0]);
        }
        return made != NULL;
    }
    int64_t count = 0;
    const float *data = mica_const_f32(r->k, &count);
    if (data == NULL || !mica_region_is_closed(op, x)) {
        return false;
    }
    float *slope = mica_alloc((size_t)count * sizeof *slope + 1);
    for (int64_t i = 0; i < count; ++i) {
        slope[i] = (float)(neg[0] + neg[1] * data[i]);
    }
    mica_value *operands[2] = {
        x, mica_new_const(rewriter, op, "slope", r->k->type->rank, r->k->type->dims, slope)};
    mica_free(slope);
    return mica_replace_region(rewriter, op, x, "top.PRelu", operands, 2) != NULL;
}

/* Tries every value behind op as x. */
static bool try_behind(mica_rewriter *rewriter, mica_op *op, const mica_op *at, int depth) {
    for (uint32_t i = 0; i < at->n_operands; ++i) {
        mica_value *x = mica_op_operand(at, i);
        slopes s;
        reading r = {.x = x};
        if (mica_is_weight(x) || x->type != op->results[0].type) {
            continue;
        }
        if (read_slopes(&r, &op->results[0], MAX_DEPTH, &s) && fabs(s.c[0][0] - 1.0) < 1e-6 &&
            s.c[0][1] == 0.0 && (s.c[1][1] != 0.0 || s.c[1][0] != 1.0) &&
            (s.c[1][1] != 0.0 || s.c[1][0] != 0.0)) {
            return to_slope(rewriter, op, &r, x, s.c[1]);
        }
        const mica_op *def = x->def;
        if (depth > 0 && def != NULL && mica_op_has_trait(def, MICA_ELEMENTWISE) &&
            try_behind(rewriter, op, def, depth - 1)) {
            return true;
        }
    }
    return false;
}

/* relu(x) - k relu(-x), a x + b |x|, max(x, k x) and the like. */
static bool parts_to_prelu(mica_rewriter *rewriter, mica_op *op) {
    if ((!mica_op_is(op, "top.Add") && !mica_op_is(op, "top.Sub") && !mica_op_is(op, "top.Max")) ||
        !mica_no_relu(op) || mica_is_weight(mica_op_operand(op, 0)) ||
        mica_is_weight(mica_op_operand(op, 1)) || !mica_type_is_static(op->results[0].type) ||
        !mica_type_is_float(mica_type_element(op->results[0].type), MICA_F32)) {
        return false;
    }
    return try_behind(rewriter, op, op, 3);
}

const mica_pattern mica_patterns_slope[] = {
    {"parts-to-prelu", NULL, parts_to_prelu, "PRelu, LeakyRelu from Relu, Abs, Max"},
};
const size_t mica_patterns_slope_count = sizeof mica_patterns_slope / sizeof mica_patterns_slope[0];
