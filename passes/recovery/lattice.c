/* Rounding by panels: what earlier panels carry into a panel is one matrix product, only the places
 * inside a panel depend on each other. Every element is computed in an order that depends on sizes
 * only. */
#include "passes/recovery/lattice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/kernels/float_gemm.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_params.h"
#include "utils/arena.h"

enum { PANEL = 48, ROW_TILE = 8 };
static const double DAMPING = 0.01;

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

void mica_factor_init(mica_factor *f, int64_t per) {
    *f = (mica_factor){.per = per, .m = mica_alloc((size_t)(per * per + 1) * sizeof(double)),
                       .rows = mica_alloc((size_t)(per * per + 1) * sizeof(float)),
                       .order = mica_alloc((size_t)(per + 1) * sizeof(int64_t))};
}

void mica_factor_free(mica_factor *f) {
    mica_free(f->m);
    mica_free(f->rows);
    mica_free(f->order);
}

/* out -= a x + b y + c z + d t */
MRT_CLONES
static void subtract_four(double *restrict out, const double *w, const double *restrict x,
                          const double *restrict y, const double *restrict z, const double *restrict t,
                          int64_t n) {
    const double a = w[0];
    const double b = w[1];
    const double c = w[2];
    const double d = w[3];
    for (int64_t i = 0; i < n; ++i) {
        out[i] -= (a * x[i] + b * y[i]) + (c * z[i] + d * t[i]);
    }
}

/* Takes the finished rows [first, last) off rows of a tile, columns up to the diagonal. */
typedef struct update {
    double *m;
    int64_t n, first, last;
} update;

static void update_tile(void *context, int64_t tile) {
    const update *u = context;
    const int64_t end = (tile + 1) * ROW_TILE < u->first ? (tile + 1) * ROW_TILE : u->first;
    for (int64_t a = tile * ROW_TILE; a < end; ++a) {
        for (int64_t i = u->first; i < u->last; i += 4) {
            /* Rows past the end count as the last one with weight 0. */
            const double *rows[4];
            double w[4];
            for (int k = 0; k < 4; ++k) {
                const int64_t at = i + k < u->last ? i + k : u->last - 1;
                rows[k] = u->m + at * u->n;
                w[k] = i + k < u->last ? rows[k][a] : 0.0;
            }
            subtract_four(u->m + a * u->n, w, rows[0], rows[1], rows[2], rows[3], a + 1);
        }
    }
}

/* Rows [first, last) among themselves, from the last one up. */
static void finish_panel(double *m, int64_t n, int64_t first, int64_t last, double least) {
    for (int64_t i = last - 1; i >= first; --i) {
        double *row = m + i * n;
        const double root = sqrt(fmax(row[i], least));
        row[i] = root;
        for (int64_t j = 0; j < i; ++j) {
            row[j] /= root;
        }
        for (int64_t a = first; a < i; ++a) {
            const double w[4] = {row[a], 0.0, 0.0, 0.0};
            subtract_four(m + a * n, w, row, row, row, row, a + 1);
        }
    }
}

void mica_factor_make(mica_factor *f, const mica_layer *l, int64_t g, mrt_pool *pool) {
    mica_factor_make_damped(f, l, g, DAMPING, 0.0, pool);
}

void mica_factor_make_damped(mica_factor *f, const mica_layer *l, int64_t g, double relative, double own,
                             mrt_pool *pool) {
    const int64_t n = f->per;
    place *places = mica_alloc((size_t)n * sizeof *places);
    double mean = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        places[i] = (place){covariance(l, g, i, i), i};
        mean += places[i].weight / (double)n;
    }
    qsort(places, (size_t)n, sizeof *places, by_weight);
    const double damping = relative * mean + 1e-12;
    for (int64_t i = 0; i < n; ++i) {
        f->order[i] = places[i].at;
        for (int64_t j = 0; j <= i; ++j) {
            f->m[i * n + j] = covariance(l, g, places[i].at, places[j].at);
        }
        f->m[i * n + i] += damping + own * fmax(places[i].weight, 0.0);
    }
    mica_free(places);
    for (int64_t last = n; last > 0; last -= PANEL) {
        const int64_t first = last > PANEL ? last - PANEL : 0;
        finish_panel(f->m, n, first, last, damping * 0.01);
        update u = {f->m, n, first, last};
        const int64_t tiles = (first + ROW_TILE - 1) / ROW_TILE;
        mrt_parallel_for(tiles > 8 ? pool : NULL, tiles, update_tile, &u);
    }
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) {
            f->rows[i * n + j] = j <= i ? (float)f->m[i * n + j] : 0.0F;
        }
    }
}

void mica_lattice_init(mica_lattice *l, int64_t per) {
    const size_t lanes = (size_t)MICA_LATTICE_ROWS * MICA_LATTICE_SCALES;
    *l = (mica_lattice){.weights = mica_alloc((size_t)per * MICA_LATTICE_ROWS * sizeof(float) + 1),
                        .errors = mica_alloc((size_t)per * lanes * sizeof(float) + 1),
                        .q = mica_alloc((size_t)per * lanes + 1),
                        .scale = mica_alloc(lanes * sizeof(float)),
                        .loss = mica_alloc(lanes * sizeof(double)),
                        .fixed = mica_alloc(MICA_LATTICE_ROWS * sizeof(int64_t)),
                        .carry = mica_alloc(PANEL * lanes * sizeof(float))};
}

void mica_lattice_free(mica_lattice *l) {
    mica_free(l->weights);
    mica_free(l->errors);
    mica_free(l->q);
    mica_free(l->scale);
    mica_free(l->loss);
    mica_free(l->fixed);
    mica_free(l->carry);
}

MRT_CLONES
static void add_carry(float *restrict carry, float m, const float *restrict errors, int64_t lanes) {
    for (int64_t i = 0; i < lanes; ++i) {
        carry[i] += m * errors[i];
    }
}

/* One place of all lanes. Adding and taking off 1.5 * 2^23 rounds half to even. */
MRT_CLONES
static void round_place(float root, const float *restrict w, const float *restrict scale,
                        const float *restrict carry, float *restrict errors, int8_t *restrict q,
                        double *restrict loss, int64_t rows, float most) {
    const float big = 12582912.0F;
    const float inverse = 1.0F / root;
    for (int64_t r = 0; r < rows; ++r) {
        for (int64_t k = 0; k < MICA_LATTICE_SCALES; ++k) {
            const int64_t i = r * MICA_LATTICE_SCALES + k;
            float v = (w[r] + carry[i] * inverse) / scale[i];
            v = v < -most ? -most : v > most ? most : v;
            v = (v + big) - big;
            q[i] = (int8_t)v;
            errors[i] = w[r] - v * scale[i];
            const float part = carry[i] + root * errors[i];
            loss[i] += (double)(part * part);
        }
    }
}

/* The weight that keeps the row's scale: to nearest, whatever was carried. */
static void round_fixed(mica_lattice *l, int64_t at_place, int64_t r, float root, const float *carry) {
    const float w = l->weights[at_place * l->rows + r];
    for (int64_t i = r * MICA_LATTICE_SCALES; i < (r + 1) * MICA_LATTICE_SCALES; ++i) {
        const int64_t at = at_place * l->lanes + i;
        const float old = carry[i] + root * l->errors[at];
        const float nearest = nearbyintf(w / l->scale[i]);
        l->q[at] = (int8_t)fminf(fmaxf(nearest, -l->most), l->most);
        l->errors[at] = w - (float)l->q[at] * l->scale[i];
        const float part = carry[i] + root * l->errors[at];
        l->loss[i] += (double)(part * part) - (double)(old * old);
    }
}

void mica_lattice_round(mica_lattice *l, const mica_factor *f) {
    const int64_t n = f->per;
    for (int64_t i = 0; i < l->lanes; ++i) {
        l->loss[i] = 0.0;
    }
    for (int64_t first = 0; first < n; first += PANEL) {
        const int64_t last = first + PANEL < n ? first + PANEL : n;
        memset(l->carry, 0, (size_t)((last - first) * l->lanes) * sizeof *l->carry);
        if (first > 0) {
            const mrt_gemm product = {.order = MRT_ORDER_BLAS, .m = last - first, .n = l->lanes, .k = first,
                                      .a = f->rows + first * n, .lda = n, .b = l->errors, .ldb = l->lanes,
                                      .c = l->carry, .ldc = l->lanes};
            mrt_gemm_f32(&product);
        }
        for (int64_t i = first; i < last; ++i) {
            float *carry = l->carry + (i - first) * l->lanes;
            const float root = f->rows[i * n + i];
            for (int64_t j = first; j < i; ++j) {
                add_carry(carry, f->rows[i * n + j], l->errors + j * l->lanes, l->lanes);
            }
            round_place(root, l->weights + i * l->rows, l->scale, carry, l->errors + i * l->lanes,
                        l->q + i * l->lanes, l->loss, l->rows, l->most);
            for (int64_t r = 0; r < l->rows; ++r) {
                if (l->fixed[r] == i) {
                    round_fixed(l, i, r, root, carry);
                }
            }
        }
    }
}
