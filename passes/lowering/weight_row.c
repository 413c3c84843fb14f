/* Rounding of a row, without data.
 *
 * A row's output errs by sum e_i x_i, e_i = w_i - s q_i. With inputs of mean m and variance v, independent of each
 * other, its mean square is v sum e_i^2 + m^2 (sum e_i)^2. Behind a ReLU m^2 is about v, else m is taken as 0.
 * Hence two steps: some weights are rounded to their other neighbour so that errors cancel (as in Guo et al.,
 * SQuant, ICLR 2022), and short rows choose the scale for which their few weights happen to lie near the grid. */
#include "passes/lowering/weight_row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/mrt_quant.h"
#include "utils/arena.h"

static bool among(const mica_op *op, const char *const *names) {
    for (; *names != NULL; ++names) {
        if (mica_op_is(op, *names)) {
            return true;
        }
    }
    return false;
}

/* *budget: values that may still be looked at; joins of joins would take them again and again. */
static bool mostly_positive(const mica_value *value, int *budget) {
    static const char *const rectifiers[] = {"top.SiLU", "top.HardSwish", "top.GELU", "top.GELUTanh",
                                             "top.QuickGELU", "top.Mish", NULL};
    static const char *const carriers[] = {"top.MaxPool", "top.AvgPool", "top.Interp", "top.Reshape", "top.Permute",
                                           "top.Slice", "top.Split", "top.Concat", NULL};
    const mica_op *op = value->def;
    if (op == NULL || (*budget)-- <= 0) {
        return false;
    }
    if (mica_op_is(op, "top.LeakyRelu")) {
        const double alpha = mica_op_f64(op, "alpha");
        return alpha >= 0.0 && alpha <= 0.25;
    }
    if (among(op, rectifiers)) {
        return true;
    }
    const size_t parts = mica_op_is(op, "top.Concat") ? op->n_operands : 1;
    bool all = among(op, carriers);
    for (size_t i = 0; i < parts && all; ++i) {
        all = mostly_positive(mica_op_operand(op, (uint32_t)i), budget);
    }
    return all;
}

bool mica_mostly_positive(const mica_value *top) {
    int budget = 64;
    return mostly_positive(top, &budget);
}

enum { LEVELS = 127, LEAST_LEVELS = 96 };

/* A weight that may go to its other neighbour. */
typedef struct flip {
    double e; /* (w - s q) / s, in the direction that helps: 0 to 0.5 */
    int64_t i;
} flip;

typedef struct row {
    const float *w;
    int64_t n;
    int most; /* largest |q| */
    double scale;
    int8_t *q;
    double squares, sum; /* of e, in steps */
} row;

static int by_error(const void *a, const void *b) {
    const flip *x = a;
    const flip *y = b;
    return x->e != y->e ? (x->e < y->e ? 1 : -1) : (x->i > y->i) - (x->i < y->i);
}

static double error_of(const row *r, int64_t i) {
    return (double)r->w[i] / r->scale - (double)r->q[i];
}

static void round_to_nearest(row *r) {
    (void)mrt_quantize_weights_to(r->w, r->n, r->scale, r->most, r->q);
    r->squares = 0.0;
    r->sum = 0.0;
    for (int64_t i = 0; i < r->n; ++i) {
        const double e = error_of(r, i);
        r->squares += e * e;
        r->sum += e;
    }
}

/* The error from which on at least `wanted` weights can flip: those below need not be sorted. */
static double least_error(const row *r, double direction, double wanted) {
    enum { CELLS = 64 };
    int64_t counts[CELLS + 1] = {0};
    for (int64_t i = 0; i < r->n; ++i) {
        const double e = error_of(r, i) * direction;
        counts[e > 0.0 ? (int)fmin(e * (2.0 * CELLS), CELLS) : 0] += 1;
    }
    double found = 0.0;
    int cell = CELLS + 1;
    while (cell > 1 && found < wanted) {
        found += (double)counts[--cell];
    }
    return cell > 1 ? (double)cell / (2.0 * CELLS) : 0.0;
}

/* [weight-balance] Each flip of the largest error e changes sum e^2 by 1 - 2 e and |sum e| by 1. */
static void balance(row *r, flip *flips) {
    const double direction = r->sum > 0.0 ? 1.0 : -1.0;
    if (fabs(r->sum) <= 0.5) {
        return;
    }
    const double least = r->n > MICA_ROW_SEARCHED ? least_error(r, direction, fabs(r->sum) + 1.0) : 0.0;
    int64_t count = 0;
    for (int64_t i = 0; i < r->n; ++i) {
        const double e = error_of(r, i) * direction;
        if (e > 0.0 && e >= least && abs(r->q[i] + (int)direction) <= r->most) {
            flips[count++] = (flip){e, i};
        }
    }
    qsort(flips, (size_t)count, sizeof *flips, by_error);
    for (int64_t k = 0; k < count && 2.0 * fabs(r->sum) - 1.0 > 1.0 - 2.0 * flips[k].e; ++k) {
        r->q[flips[k].i] = (int8_t)(r->q[flips[k].i] + (int)direction);
        r->squares += 1.0 - 2.0 * flips[k].e;
        r->sum -= direction;
    }
}

/* Rounds with the scale; returns the loss. */
static double try_scale(const mica_row_rule *rule, row *r, double scale, flip *flips) {
    r->scale = scale;
    round_to_nearest(r);
    if (rule->positive) {
        balance(r, flips);
    }
    return (r->squares + (rule->positive ? r->sum * r->sum : 0.0)) * scale * scale;
}

/* [weight-scale] The largest weight lies on the grid with each of these scales. */
static void search(const mica_row_rule *rule, row *best, double loss, double absmax, flip *flips) {
    int8_t q[MICA_ROW_SEARCHED];
    row tried = *best;
    tried.q = q;
    for (int levels = LEVELS - 1; levels >= LEAST_LEVELS; --levels) {
        const double found = try_scale(rule, &tried, mrt_weight_scale(absmax * LEVELS / levels, 0.0, 1.0), flips);
        if (found < loss) {
            loss = found;
            best->scale = tried.scale;
            memcpy(best->q, q, (size_t)best->n);
        }
    }
}

int64_t mica_quantize_row(const mica_row_rule *rule, const float *w, int64_t n, int8_t *q, double *scale) {
    const int most = mrt_weight_most(rule->bits);
    const double absmax = mrt_weights_absmax(w, n);
    const double by_weights = mrt_weight_scale_to(absmax, 0.0, 1.0, most);
    const double base = mrt_weight_scale_to(absmax, fabs(rule->bias), rule->scale_in, most);
    const bool searched = most == LEVELS && !rule->pow2 && n <= MICA_ROW_SEARCHED && base <= by_weights;
    *scale = rule->pow2 ? mrt_pow2_above(base) : base;
    if (!searched && !rule->positive) {
        return mrt_quantize_weights_to(w, n, *scale, most, q);
    }
    flip *flips = mica_alloc((size_t)(n + 1) * sizeof *flips);
    row r = {.w = w, .n = n, .most = most, .q = q};
    const double loss = try_scale(rule, &r, *scale, flips);
    if (searched) {
        search(rule, &r, loss, absmax, flips);
    }
    mica_free(flips);
    *scale = r.scale;
    int64_t sum = 0;
    for (int64_t i = 0; i < n; ++i) {
        sum += q[i];
    }
    return sum;
}
