/* Weights that make up for the errors before them: what a layer of the quantized model reads, x, is not what it
 * reads in the float model, x + d. The weights V that minimize E|W (x + d) - V x|^2 + damping |V - W|^2 about the
 * means are V = W + W C_dx (C_xx + damping)^-1; the means go into the bias. With few samples that fits noise: the
 * damping, and the part of the way from W to V that is gone, are those that suit samples not fitted to. */
#include <string.h>

#include "passes/recovery/cross.h"
#include "passes/recovery/lattice.h"
#include "runtime/kernels/float_gemm.h"
#include "runtime/mrt_params.h"
#include "utils/arena.h"

enum { TILE = 16, PANEL = 48, DAMPINGS = 3 };
static const double DAMPING[DAMPINGS] = {0.003, 0.03, 0.3}; /* relative to each input's own variance */

/* Moments about the means of one group, as whole matrices. */
typedef struct centred {
    float *cross, *squares; /* C_dx, C_xx */
} centred;

typedef struct solve {
    const mica_layer *layer;
    const mica_cross *fit, *check;
    const centred *fitted, *checked; /* of the only group; NULL: every group makes its own */
    const mica_factor *factors;      /* of the only group, per damping */
    int first_damping, last_damping; /* which ones to try */
    double part;                     /* of the way; < 0: trial */
    double (*scores)[DAMPINGS][2];   /* per tile: what the way to V takes off, and its own power */
    float *filter, *bias;
} solve;

static void centre(centred *c, const mica_cross *m, const mica_layer *l, int64_t group) {
    const int64_t per = l->per;
    const double n = m->count > 0 ? (double)m->count : 1.0;
    c->cross = mica_alloc((size_t)(per * per + 1) * sizeof *c->cross);
    c->squares = mica_alloc((size_t)(per * per + 1) * sizeof *c->squares);
    const double *sums = m->sums + group * per;
    const double *shift = m->shift + group * per;
    for (int64_t i = 0; i < per; ++i) {
        for (int64_t k = 0; k < per; ++k) {
            const int64_t at = group * per * per + i * per + k;
            const int64_t low = i > k ? at : group * per * per + k * per + i;
            c->cross[i * per + k] = (float)((double)m->cross[at] / n - shift[i] / n * (sums[k] / n));
            c->squares[i * per + k] = (float)((double)m->squares[low] / n - sums[i] / n * (sums[k] / n));
        }
    }
}

static void uncentre(centred *c) {
    mica_free(c->cross);
    mica_free(c->squares);
}

/* a[k] -= the rest of a product of TILE columns, which `m` takes of `b`. */
static void subtract_product(const float *m, int64_t n, bool trans, int64_t rows, int64_t depth, const float *b,
                             float *a, float *scratch) {
    if (rows == 0 || depth == 0) {
        return;
    }
    const mrt_gemm gemm = {.order = MRT_ORDER_BLAS, .m = rows, .n = TILE, .k = depth, .a = m, .lda = n,
                           .trans_a = trans, .b = b, .ldb = TILE, .c = scratch, .ldc = TILE};
    mrt_gemm_f32(&gemm);
    for (int64_t i = 0; i < rows * TILE; ++i) {
        a[i] -= scratch[i];
    }
}

static void scale_and_take(float *a, float diagonal, const float *row, int64_t first, int64_t last, float *y) {
    for (int r = 0; r < TILE; ++r) {
        y[r] /= diagonal;
    }
    for (int64_t k = first; k < last; ++k) {
        for (int r = 0; r < TILE; ++r) {
            a[k * TILE + r] -= y[r] * row[k];
        }
    }
}

/* a (M' M)^-1 in place for TILE rows at once as columns, M lower triangular; by panels, what a panel takes from all
 * others is one product. */
static void divide(const float *m, int64_t n, float *a, float *scratch) {
    for (int64_t last = n; last > 0; last -= PANEL) { /* y M = a */
        const int64_t first = last > PANEL ? last - PANEL : 0;
        for (int64_t i = last - 1; i >= first; --i) {
            scale_and_take(a, m[i * n + i], m + i * n, first, i, a + i * TILE);
        }
        subtract_product(m + first * n, n, true, first, last - first, a + first * TILE, a, scratch);
    }
    for (int64_t first = 0; first < n; first += PANEL) { /* z M' = y */
        const int64_t last = first + PANEL < n ? first + PANEL : n;
        subtract_product(m + first * n, n, false, last - first, first, a, a + first * TILE, scratch);
        for (int64_t i = first; i < last; ++i) {
            float *z = a + i * TILE;
            for (int64_t k = first; k < i; ++k) {
                for (int r = 0; r < TILE; ++r) {
                    z[r] -= m[i * n + k] * a[k * TILE + r];
                }
            }
            scale_and_take(a, m[i * n + i], NULL, 0, 0, z);
        }
    }
}

/* c[rows][per] = a[rows][per] b[per][per] */
static void multiply(const float *a, const float *b, float *c, int64_t rows, int64_t per) {
    const mrt_gemm gemm = {.order = MRT_ORDER_BLAS, .m = rows, .n = per, .k = per, .a = a, .lda = per, .b = b,
                           .ldb = per, .c = c, .ldc = per};
    mrt_gemm_f32(&gemm);
}

/* a += what the value beside lacks, against x about the means. */
static void add_beside(const mica_cross *m, int64_t per, int64_t group, int64_t first, int64_t rows, float *a) {
    const double n = m->count > 0 ? (double)m->count : 1.0;
    for (int64_t o = 0; m->beside != NULL && o < rows; ++o) {
        for (int64_t k = 0; k < per; ++k) {
            a[o * per + k] += (float)((double)m->beside[(first + o) * per + k] / n -
                                      m->beside_shift[first + o] / n * (m->sums[group * per + k] / n));
        }
    }
}

static void load_rows(const mica_layer *l, int64_t first, int64_t rows, float *w) {
    for (int64_t o = 0; o < rows; ++o) {
        for (int64_t k = 0; k < l->per; ++k) {
            w[o * l->per + k] = l->filter[(first + o) * l->row_step + k * l->step];
        }
    }
}

/* z = a (C_xx + damping)^-1 */
static void solve_rows(const mica_factor *f, const float *a, float *z, int64_t rows) {
    float *lanes = mica_alloc((size_t)(2 * f->per * TILE + 1) * sizeof *lanes);
    for (int64_t first = 0; first < rows; first += TILE) {
        const int64_t n = rows - first < TILE ? rows - first : TILE;
        memset(lanes, 0, (size_t)(f->per * TILE) * sizeof *lanes);
        for (int64_t i = 0; i < f->per; ++i) {
            for (int64_t r = 0; r < n; ++r) {
                lanes[i * TILE + r] = a[(first + r) * f->per + f->order[i]];
            }
        }
        divide(f->rows, f->per, lanes, lanes + f->per * TILE);
        for (int64_t i = 0; i < f->per; ++i) {
            for (int64_t r = 0; r < n; ++r) {
                z[(first + r) * f->per + f->order[i]] = lanes[i * TILE + r];
            }
        }
    }
    mica_free(lanes);
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

/* What rows [first, first + rows) gain on the samples to check. */
static void try_rows(const solve *s, const centred *fit, const centred *check, const mica_factor *factors,
                     int64_t group, int64_t first, int64_t rows, double scores[DAMPINGS][2]) {
    const int64_t n = rows * s->layer->per;
    float *w = mica_alloc((size_t)(5 * n + 1) * sizeof *w);
    float *a = w + n;
    float *b = a + n;
    float *z = b + n;
    float *t = z + n;
    load_rows(s->layer, first, rows, w);
    multiply(w, fit->cross, a, rows, s->layer->per);
    multiply(w, check->cross, b, rows, s->layer->per);
    add_beside(s->fit, s->layer->per, group, first, rows, a);
    add_beside(s->check, s->layer->per, group, first, rows, b);
    for (int k = 0; k < DAMPINGS; ++k) {
        solve_rows(&factors[k], a, z, rows);
        multiply(z, check->squares, t, rows, s->layer->per);
        scores[k][0] = dot(z, b, n);
        scores[k][1] = dot(z, t, n);
    }
    mica_free(w);
}

/* Rows [first, first + rows) of the result; `fit` has all samples. */
static void store_rows(const solve *s, const centred *fit, const mica_factor *factor, int64_t group, int64_t first,
                       int64_t rows) {
    const mica_layer *l = s->layer;
    const int64_t per = l->per;
    const double n = (double)s->fit->count;
    float *w = mica_alloc((size_t)(3 * rows * per + 1) * sizeof *w);
    float *a = w + rows * per;
    float *z = a + rows * per;
    load_rows(l, first, rows, w);
    multiply(w, fit->cross, a, rows, per);
    add_beside(s->fit, per, group, first, rows, a);
    solve_rows(factor, a, z, rows);
    for (int64_t o = 0; o < rows; ++o) {
        double bias = s->fit->beside != NULL ? s->fit->beside_shift[first + o] / n : 0.0;
        for (int64_t k = 0; k < per; ++k) {
            const double moved = s->part * (double)z[o * per + k];
            const double old = (double)w[o * per + k];
            bias += old * s->fit->shift[group * per + k] / n - moved * s->fit->sums[group * per + k] / n;
            s->filter[(first + o) * l->row_step + k * l->step] = (float)(old + moved);
        }
        if (s->bias != NULL) {
            s->bias[first + o] = (float)((double)l->bias[first + o] + bias);
        }
    }
    mica_free(w);
}

static void make_factors(const solve *s, mica_factor *f, int64_t group, mrt_pool *pool) {
    mica_layer x = *s->layer;
    x.squares = s->fit->squares;
    x.sums = s->fit->sums;
    x.count = s->fit->count;
    for (int k = s->first_damping; k < s->last_damping; ++k) {
        mica_factor_init(&f[k], x.per);
        mica_factor_make_damped(&f[k], &x, group, 0.001 * DAMPING[k], DAMPING[k], pool);
    }
}

static void free_factors(const solve *s, mica_factor *f) {
    for (int k = s->first_damping; k < s->last_damping; ++k) {
        mica_factor_free(&f[k]);
    }
}

static void run_rows(const solve *s, const centred *fit, const centred *check, const mica_factor *factors,
                     int64_t group, int64_t tile, int64_t first, int64_t rows) {
    if (s->part < 0.0) {
        try_rows(s, fit, check, factors, group, first, rows, s->scores[tile]);
    } else {
        store_rows(s, fit, &factors[s->first_damping], group, first, rows);
    }
}

static void run_tile(void *context, int64_t tile) {
    const solve *s = context;
    const int64_t first = tile * TILE;
    const int64_t rows = s->layer->rows - first < TILE ? s->layer->rows - first : TILE;
    run_rows(s, s->fitted, s->checked, s->factors, 0, tile, first, rows);
}

static void run_group(void *context, int64_t group) {
    const solve *s = context;
    const int64_t each = s->layer->rows / s->layer->groups;
    mica_factor factors[DAMPINGS];
    centred fit;
    centred check;
    centre(&fit, s->fit, s->layer, group);
    centre(&check, s->check, s->layer, group);
    make_factors(s, factors, group, NULL);
    run_rows(s, &fit, &check, factors, group, group, group * each, each);
    free_factors(s, factors);
    uncentre(&fit);
    uncentre(&check);
}

static int64_t tiles_of(const mica_layer *l) {
    return l->groups > 1 ? l->groups : (l->rows + TILE - 1) / TILE;
}

static void run(solve *s, mrt_pool *pool) {
    if (s->layer->groups > 1) {
        mrt_parallel_for(pool, tiles_of(s->layer), run_group, s);
        return;
    }
    mica_factor factors[DAMPINGS];
    centred fit;
    centred check;
    centre(&fit, s->fit, s->layer, 0);
    centre(&check, s->check, s->layer, 0);
    make_factors(s, factors, 0, pool);
    s->fitted = &fit;
    s->checked = &check;
    s->factors = factors;
    mrt_parallel_for(pool, tiles_of(s->layer), run_tile, s);
    free_factors(s, factors);
    uncentre(&fit);
    uncentre(&check);
}

void mica_target_find(const mica_layer *layer, mica_cross *fit, const mica_cross *check, mrt_pool *pool,
                      float *filter, float *bias, double *out_part) {
    const int64_t tiles = tiles_of(layer);
    solve s = {.layer = layer, .fit = fit, .check = check, .last_damping = DAMPINGS, .part = -1.0,
               .scores = mica_alloc((size_t)(tiles + 1) * sizeof *s.scores), .filter = filter, .bias = bias};
    run(&s, pool);
    double best = 0.0;
    double part = 0.0;
    int damping = DAMPINGS - 1;
    for (int k = 0; k < DAMPINGS; ++k) {
        double gain = 0.0;
        double power = 0.0;
        for (int64_t t = 0; t < tiles; ++t) {
            gain += s.scores[t][k][0];
            power += s.scores[t][k][1];
        }
        const double way = gain > 0.0 && power > 0.0 ? (gain < power ? gain / power : 1.0) : 0.0;
        const double taken = 2.0 * way * gain - way * way * power;
        if (taken > best) {
            best = taken;
            part = way;
            damping = k;
        }
    }
    mica_free(s.scores);
    *out_part = part;
    mica_cross_add(fit, check, layer);
    s.part = part;
    s.first_damping = damping;
    s.last_damping = damping + 1;
    run(&s, pool);
}
