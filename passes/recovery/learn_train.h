/* Learning the rounded weights of a small graph: gradient steps, first on the weights as they are, then on their
 * rounding (AdaRound: up or down by a rectified sigmoid that a growing regularizer drives to 0 or 1). */
#ifndef MICA_RECOVERY_LEARN_TRAIN_H
#define MICA_RECOVERY_LEARN_TRAIN_H

#include "passes/recovery/learn.h"
#include "runtime/mrt_pool.h"

/* Samples: what the graph reads, and what its output should be. Every fourth one is held back to tell whether
 * learning helped. */
typedef struct mica_learn_data {
    float **inputs, **targets;
    int64_t count;
} mica_learn_data;

typedef struct mica_learn_plan {
    int64_t steps, batch; /* gradient steps; samples of each */
    uint64_t seed;        /* of the order of the samples */
    mrt_pool *pool;
} mica_learn_plan;

/* Grid of one layer. */
typedef struct mica_learn_grid {
    double *scales; /* per row; 0: the row stays as it is */
    bool *fixed;    /* per weight: stays as it is (it decides the scale) */
    int most;         /* weights are -most .. most steps */
    double bias_step; /* size of a bias' gradient steps */
} mica_learn_grid;

/* Learns weights and biases of all layers; the result is on the grids. *before, *after: error over power of the
 * target, on the samples held back. The result does not depend on the number of threads. */
void mica_learn_train(mica_learn *g, const mica_learn_grid *grids, const mica_learn_data *data,
                      const mica_learn_plan *plan, double *before, double *after);

/* Mean over samples [first, count) with the given step of error over power. */
double mica_learn_error(const mica_learn *g, const mica_learn_data *data, int64_t first, int64_t step, mrt_pool *pool);

#endif
