/* The factor of a covariance, and the rounding of rows of weights against it. */
#ifndef MICA_RECOVERY_LATTICE_H
#define MICA_RECOVERY_LATTICE_H

#include "passes/recovery/layers.h"
#include "runtime/mrt_pool.h"

/* C + damping = M' M, M lower triangular, inputs of large variance first. */
typedef struct mica_factor {
    double *m;      /* [per][per], lower; the upper part is scratch */
    float *rows;    /* the same in f32, 0 above the diagonal */
    int64_t *order; /* weight at place i */
    int64_t per;
} mica_factor;

void mica_factor_init(mica_factor *f, int64_t per);
void mica_factor_free(mica_factor *f);
/* Of the moments of group g; with a pool the work is shared, the result is the same. */
void mica_factor_make(mica_factor *f, const mica_layer *layer, int64_t g, mrt_pool *pool);
/* With another damping: `relative` to the mean of the diagonal, `own` to each element of it. */
void mica_factor_make_damped(mica_factor *f, const mica_layer *layer, int64_t g, double relative, double own,
                             mrt_pool *pool);

enum { MICA_LATTICE_SCALES = 6, MICA_LATTICE_ROWS = 16 };

/* Up to MICA_LATTICE_ROWS rows of weights, each in MICA_LATTICE_SCALES scales: lane r * SCALES + k. Arrays of
 * [per][lanes of MICA_LATTICE_ROWS rows]. */
typedef struct mica_lattice {
    int64_t rows, lanes;
    float most;        /* largest magnitude of q: 127, or 7 for 4 bits */
    float *weights;    /* [per][rows], in the order of the factor */
    float *errors;     /* w - q s */
    int8_t *q;
    float *scale;      /* [lanes] */
    double *loss;      /* [lanes], out: the output's error in power */
    int64_t *fixed;    /* [rows] place of the weight that is rounded to nearest, -1: none */
    float *carry;      /* scratch */
} mica_lattice;

void mica_lattice_init(mica_lattice *l, int64_t per);
void mica_lattice_free(mica_lattice *l);
/* Rounds place by place, each against the errors before it. */
void mica_lattice_round(mica_lattice *l, const mica_factor *f);

#endif
