/* Weight rounding: the nearest lattice point under the inputs' second moments instead of the nearest
 * integer of each weight (successive rounding with a Cholesky factor, as in GPTQ and OBQ).
 *
 * The error of a row is e' C e with C the covariance of its inputs; the mean goes into the bias.
 * With C = M' M, M lower triangular, component i of M e depends on weights 0..i only, so that weights
 * are rounded one after another, each against the error of those before. Rounded weights are stored
 * as float multiples of their scale, the largest one at 127, so that deployment finds the very
 * same integers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/layers.h"
#include "runtime/mrt_quant.h"
#include "utils/arena.h"
#include "utils/progress.h"

enum { LANES = 8 };
static const double DAMPING = 0.01;
/* Scales below absmax / 127 that are tried: clipping the largest weights may pay. */
static const double SHRINK[] = {1.0, 0.96, 0.92, 0.88, 0.83, 0.78};
enum { N_SHRINK = sizeof SHRINK / sizeof SHRINK[0] };

typedef struct factor {
    double *m;      /* [per][per], lower */
    int64_t *order; /* weight at place i */
    int64_t per;
} factor;

typedef struct place {
    double weight;
    int64_t at;
} place;

static int by_weight(const void *a, const void *b) {
    const place *x = a;
    const place *y = b;
    return x->weight > y->weight ? -1 : x->weight < y->weight ? 1 : (x->at > y->at) - (x->at < y->at);
}

static double covariance(const mica_layer *l, int64_t g, int64_t a, int64_t b) {
    const int64_t hi = a > b ? a : b;
    const int64_t lo = a > b ? b : a;
    const double n = (double)l->count;
    return (double)l->squares[(g * l->per + hi) * l->per + lo] / n -
           l->sums[g * l->per + a] / n * (l->sums[g * l->per + b] / n);
}

/* C = M' M from the last row up. */
static void factorize(const mica_layer *l, int64_t g, factor *f) {
    const int64_t n = l->per;
    place *places = mica_alloc((size_t)n * sizeof *places);
    double mean = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        places[i] = (place){covariance(l, g, i, i), i};
        mean += places[i].weight / (double)n;
    }
    qsort(places, (size_t)n, sizeof *places, by_weight);
    const double damping = DAMPING * mean + 1e-12;
    for (int64_t i = 0; i < n; ++i) {
        f->order[i] = places[i].at;
        for (int64_t j = 0; j <= i; ++j) {
            f->m[i * n + j] = covariance(l, g, places[i].at, places[j].at) + (i == j ? damping : 0.0);
        }
    }
    mica_free(places);
    for (int64_t i = n - 1; i >= 0; --i) {
        double *restrict row = f->m + i * n;
        const double root = sqrt(fmax(row[i], damping * 0.01));
        row[i] = root;
        for (int64_t j = 0; j < i; ++j) {
            row[j] /= root;
        }
        for (int64_t a = 0; a < i; ++a) {
            double *restrict out = f->m + a * n;
            const double w = row[a];
            for (int64_t b = 0; b <= a; ++b) {
                out[b] -= w * row[b];
            }
        }
    }
}

/* One row of weights in several scales at once. */
typedef struct lanes {
    double scale[LANES], loss[LANES];
    double *errors; /* [per][LANES], w - q s */
} lanes;

static void round_lanes(const factor *f, const double *w, int64_t fixed, lanes *s) {
    for (int i = 0; i < LANES; ++i) {
        s->loss[i] = 0.0;
    }
    for (int64_t i = 0; i < f->per; ++i) {
        const double *m = f->m + i * f->per;
        double carry[LANES] = {0.0};
        for (int64_t j = 0; j < i; ++j) {
            for (int k = 0; k < LANES; ++k) {
                carry[k] += m[j] * s->errors[j * LANES + k];
            }
        }
        for (int k = 0; k < LANES; ++k) {
            const double wanted = w[i] + carry[k] / m[i];
            double q = fmin(fmax(nearbyint(wanted / s->scale[k]), -127.0), 127.0);
            if (i == fixed) {
                q = w[i] < 0.0 ? -127.0 : 127.0;
            }
            const double e = w[i] - q * s->scale[k];
            s->errors[i * LANES + k] = e;
            const double part = carry[k] + m[i] * e;
            s->loss[k] += part * part;
        }
    }
}

typedef struct rounding {
    const mica_layer *layer;
    const mica_recovery_job *job;
    const factor *factors; /* of the group */
    int64_t group, rows_each;
    float *filter, *bias;
} rounding;

static void round_row(void *context, int64_t index) {
    const rounding *r = context;
    const mica_layer *l = r->layer;
    const factor *f = r->factors;
    const int64_t o = r->group * r->rows_each + index;
    double *w = mica_alloc((size_t)l->per * sizeof *w);
    lanes s = {.errors = mica_alloc((size_t)(l->per * LANES) * sizeof(double))};
    double absmax = 0.0;
    int64_t fixed = 0;
    for (int64_t i = 0; i < l->per; ++i) {
        w[i] = (double)l->filter[o * l->row_step + f->order[i] * l->step];
        if (fabs(w[i]) > absmax) {
            absmax = fabs(w[i]);
            fixed = i;
        }
    }
    const double bias = l->bias != NULL ? fabs((double)l->bias[o]) : 0.0;
    const double in_scale = mica_input_scale(r->job, mica_op_operand(l->op, 0));
    const double scale = mrt_weight_scale(absmax, bias, in_scale);
    /* A bias that decides the scale leaves no weight at 127. */
    const bool free_scale = in_scale > 0.0 && absmax > 0.0 && scale < absmax / 127.0 * 1.0001;
    if (free_scale) {
        for (int k = 0; k < LANES; ++k) {
            s.scale[k] = (double)(float)(scale * SHRINK[k < N_SHRINK ? k : 0]);
        }
        round_lanes(f, w, fixed, &s);
        int best = 0;
        for (int k = 1; k < N_SHRINK; ++k) {
            best = s.loss[k] < s.loss[best] ? k : best;
        }
        double mean = 0.0;
        for (int64_t i = 0; i < l->per; ++i) {
            const double e = s.errors[i * LANES + best];
            r->filter[o * l->row_step + f->order[i] * l->step] = (float)(w[i] - e);
            mean += e * l->sums[r->group * l->per + f->order[i]] / (double)l->count;
        }
        if (r->bias != NULL) {
            r->bias[o] = (float)((double)r->bias[o] + mean);
        }
    }
    mica_free(w);
    mica_free(s.errors);
}

static void round_layer(mica_module *module, const mica_recovery_job *job, const mica_layer *l,
                        mrt_pool *pool) {
    const mica_value *filter = mica_op_operand(l->op, 1);
    const mica_value *bias = mica_op_present(l->op, 2);
    const size_t n = (size_t)(l->rows * l->per);
    rounding r = {.layer = l, .job = job, .rows_each = l->rows / l->groups};
    r.filter = mica_alloc((n + 1) * sizeof *r.filter);
    memcpy(r.filter, l->filter, n * sizeof *r.filter);
    if (l->bias != NULL) {
        r.bias = mica_alloc((size_t)(l->rows + 1) * sizeof *r.bias);
        memcpy(r.bias, l->bias, (size_t)l->rows * sizeof *r.bias);
    }
    factor f = {.per = l->per, .m = mica_alloc((size_t)(l->per * l->per) * sizeof(double)),
                .order = mica_alloc((size_t)l->per * sizeof(int64_t))};
    r.factors = &f;
    for (r.group = 0; r.group < l->groups; ++r.group) {
        factorize(l, r.group, &f);
        mrt_parallel_for(r.rows_each > 3 ? pool : NULL, r.rows_each, round_row, &r);
    }
    mica_set_constant(module, filter, r.filter);
    if (r.bias != NULL) {
        mica_set_constant(module, bias, r.bias);
    }
    mica_free(f.m);
    mica_free(f.order);
    mica_free(r.filter);
    mica_free(r.bias);
}

mica_status mica_step_round(mica_module *module, const mica_recovery_job *job, size_t *changed,
                            mica_error *err) {
    (void)err;
    mrt_pool *pool = mrt_pool_create(job->options->threads);
    mica_progress progress;
    mica_progress_begin(&progress, "rounding", "layers", (int64_t)job->layers->count);
    progress.quiet = progress.quiet || job->options->quiet;
    for (size_t i = 0; i < job->layers->count; ++i) {
        const mica_layer *l = &job->layers->list[i];
        /* A constant with several users is rounded for one of them only: left alone. */
        if (l->count > 0 && mica_value_has_one_use(mica_op_operand(l->op, 1)) &&
            (l->bias == NULL || mica_value_has_one_use(mica_op_present(l->op, 2)))) {
            round_layer(module, job, l, pool);
            *changed += 1;
        }
        mica_progress_step(&progress, 1);
    }
    mica_progress_end(&progress);
    mrt_pool_destroy(pool);
    return MICA_OK;
}
