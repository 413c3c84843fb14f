/* Noise of a choice of modes with cross terms: errors of different ops add or cancel at the outputs [search-cross in
 * docs/accuracy.md].
 *
 * Every op and every edge that rounds has an error vector at the outputs, measured with `vectors`; the noise of a
 * choice is the square of the sum of its vectors, and the noise of modes without vectors is added to it. The square
 * is that of parts whose ops lie near to each other in execution order; of others only the own noise counts. */
#ifndef MICA_SEARCH_CROSS_H
#define MICA_SEARCH_CROSS_H

#include "passes/search/model.h"

typedef struct mica_cross mica_cross;

/* A choice whose noise is known from runs of many samples. Noise differs more between samples than what a choice makes of it,
 * so those where the vectors of this choice make more noise than that count less, and the reverse (by the square root
 * of the ratio), and products that may be chance count less. */
typedef struct mica_cross_anchor {
    const uint8_t *modes;
    double nsr; /* 0: not known */
} mica_cross_anchor;

/* Everything is borrowed but the anchor, which may be NULL: plain means. The result does not depend on threads. */
mica_cross *mica_cross_create(const mica_net *net, const mica_model *model, const mica_noise_result *results,
                              const mica_cross_anchor *anchor, int threads);
void mica_cross_destroy(mica_cross *cross);

double mica_cross_noise(const mica_cross *cross, const uint8_t *modes);

/* Noise for the solver: squares, and products along edges, exact; all other products with `around` in place of one factor.
 * Writes only `noise` of ops and edges, arrays as those of the model; terms may be negative. */
void mica_cross_problem(const mica_cross *cross, const uint8_t *around, mica_solve_op *ops, mica_solve_edge *edges);

/* Changes single ops and pairs of them while that lowers the noise and the cost stays within `budget`; a choice beyond
 * it is brought back first. Returns the noise. */
double mica_cross_polish(const mica_cross *cross, double budget, uint8_t *modes);

#endif
