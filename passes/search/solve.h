/* Exact choice of a mode for every op of a graph: least noise for every cost.
 *
 * Noise and cost are sums over ops and over edges (casts, quantization where a float op feeds an integer one).
 * Ops are taken in execution order; a state is the modes of those that later ops still read, a label is
 * one way to get there. Per state only labels stay that no other beats in both sums [search-solve in
 * docs/accuracy.md]. Bounds of what was left out when lists grow too long are kept, so that the result
 * comes with a proven gap. */
#ifndef MICA_SEARCH_SOLVE_H
#define MICA_SEARCH_SOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MICA_SOLVE_MODES = 8 };

typedef struct mica_solve_op {
    bool allowed[MICA_SOLVE_MODES]; /* at least one */
    double noise[MICA_SOLVE_MODES], cost[MICA_SOLVE_MODES]; /* finite; costs not negative */
} mica_solve_op;

/* from < to */
typedef struct mica_solve_edge {
    int32_t from, to;
    double noise[MICA_SOLVE_MODES][MICA_SOLVE_MODES], cost[MICA_SOLVE_MODES][MICA_SOLVE_MODES]; /* [from][to] */
} mica_solve_edge;

typedef struct mica_solve_problem {
    const mica_solve_op *ops;
    size_t n_ops;
    const mica_solve_edge *edges; /* by `to`, rising */
    size_t n_edges;
    size_t most_labels; /* kept after an op; 0: 16384 */
} mica_solve_problem;

typedef struct mica_solve_point {
    double cost, noise;
    uint8_t *modes; /* per op */
} mica_solve_point;

/* Points that no other beats, by rising cost and falling noise. */
typedef struct mica_solve_front {
    mica_solve_point *points;
    size_t count;
    /* No choice of cost c has less noise than `missing_noise` below the least noise of points up to cost
     * c + missing_cost. Both 0: the front is exact. */
    double missing_cost, missing_noise;
} mica_solve_front;

void mica_solve(const mica_solve_problem *problem, mica_solve_front *out);
void mica_solve_free(mica_solve_front *front);

/* Sums of a choice. */
void mica_solve_sums(const mica_solve_problem *problem, const uint8_t *modes, double *out_cost, double *out_noise);
/* Index of the best point up to `cost`, or -1. */
int64_t mica_solve_best(const mica_solve_front *front, double cost);
/* Least noise that any choice up to `cost` can have. */
double mica_solve_bound(const mica_solve_front *front, double cost);

#endif
