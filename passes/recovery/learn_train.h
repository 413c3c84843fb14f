/* Learning the rounding of a small graph's weights: every weight may take one of two levels, the one that it has and
 * the one beside it that the gradient points to. A rectified sigmoid says how far it is from one to the other (as in
 * AdaRound). Instead of a regularizer that drives all of them to 0 or 1, levels are decided in stages, the surest
 * first, and the gradient steps between let the rest make up for it: that takes tens of steps, not thousands. */
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
