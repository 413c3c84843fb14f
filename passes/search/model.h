/* Noise that was measured, as a problem for the solver. */
#ifndef MICA_SEARCH_MODEL_H
#define MICA_SEARCH_MODEL_H

#include "passes/search/noise.h"
#include "passes/search/solve.h"

/* Ops that have the type of what they read (mica_lower_follows) have one mode, no noise and no cost; their readers'
 * edges begin at the op that they follow. */
typedef struct mica_model {
    int32_t *leader; /* per op: the op that it follows, itself when it follows none, -1: a network input */
    mica_solve_op *ops;
    mica_solve_edge *edges;
    mica_solve_problem problem;
} mica_model;

/* Modes are mica_mode. results[mode]: what was measured, `has` NULL where it was not; without parts an op's noise is
 * that of it alone, and edges have none. An op may have the modes that it has there, and `always` (no noise unless measured). Costs are 0. */
void mica_model_make(const mica_net *net, const mica_noise_result *results, mica_mode always, mica_model *out);
/* The mode whose rounding edge `e` of the net has in a choice, or -1: it rounds nothing. */
int mica_model_rounding(const mica_model *model, const mica_net *net, size_t e, const uint8_t *modes);
void mica_model_free(mica_model *model);

#endif
