/* The best mode of every op under a budget, over all modes that the processor has [search-optimal in
 * docs/accuracy.md].
 *
 * Noise of each op in each mode is measured, the sums for all costs are solved exactly, then with cross terms as well as
 * can be found, and the whole mixed model runs at most six times to check. */
#ifndef MICA_SEARCH_OPTIMAL_H
#define MICA_SEARCH_OPTIMAL_H

#include "passes/search/real.h"
#include "passes/search/solve.h"

/* Costs are MACs in INT8, which cost 1; an op without MACs costs MICA_ELEMENT_COST per element of its results,
 * a cast MICA_CAST_COST per element. */
#define MICA_ELEMENT_COST 8.0
#define MICA_CAST_COST 8.0
/* What a mode costs compared with INT8. */
double mica_mode_cost(mica_mode mode);

typedef struct mica_optimal_options {
    const mica_cali_table *table;
    const mica_qtable *fixed;  /* rows that are kept, or NULL */
    double max_cost;           /* percent above the cost of INT8 */
    double max_float_macs;     /* above 0: percent of all MACs that may be in float, instead of max_cost */
    double expected_cos;       /* the cheapest point that reaches it; 0: the best one within the budget */
} mica_optimal_options;

typedef struct mica_optimal_point {
    double cost;       /* percent above INT8 */
    double macs;       /* percent of all MACs that are not INT8 */
    double nsr;        /* predicted, with cross terms */
    double sum;        /* by addition alone */
    double bound;      /* least sum that any choice up to this cost can have */
    size_t n_float;    /* ops not in INT8 that could be */
    bool was_run;
    mica_distance real;
} mica_optimal_point;

typedef struct mica_optimal_result {
    mica_optimal_point *points; /* all of the front, the first one is the cheapest */
    size_t count;
    size_t chosen;
    bool by_macs;             /* the budget is one of MACs, which the points rise by */
    double gap;               /* of sums, within the budget: the most that a choice could be better, 0 to 1 */
    mica_distance int8;       /* real */
    double int8_nsr;          /* predicted */
    bool used[MICA_MODE_COUNT];          /* modes that were tried */
    mica_mode beaten_by[MICA_MODE_COUNT]; /* of those that were not, though the processor has them */
    double expected_db;       /* of the chosen point: predicted, and moved by the median of what the other runs differ by */
    size_t noise_samples;
    size_t runs;
    double noise_seconds, solve_seconds;
    bool reached;             /* expected_cos, when it was asked for */
    mica_qtable *qtable;      /* of the chosen point */
} mica_optimal_result;

mica_status mica_search_optimal(mica_real *real, const mica_optimal_options *options, mica_optimal_result *out,
                                mica_error *err);
void mica_optimal_result_free(mica_optimal_result *result);

#endif
