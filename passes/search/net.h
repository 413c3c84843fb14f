/* A model as a search sees it: its ops, the edges between them, and where both are in plans.
 *
 * Ops of main are matched with the steps of any plan of the same model (float or lowered) by the names
 * of their results. The steps of an op in a plan are those between its results and the nearest named
 * values of the model before it, so casts that lowering puts in front belong to their reader. */
#ifndef MICA_SEARCH_NET_H
#define MICA_SEARCH_NET_H

#include "ir/op.h"
#include "runtime/mrt_plan.h"
#include "utils/map.h"
#include "utils/status.h"

typedef struct mica_net_op {
    const char *name;   /* of the first result; its row in quantize tables */
    const char *type;   /* "top.Conv" */
    const mica_op *op;
    double macs;
    int64_t elements;   /* of all results */
    size_t first_edge, n_edges;
} mica_net_op;

/* A real (f32) value that an op reads: a result of op `from`, or a network input (from = -1). */
typedef struct mica_net_edge {
    int32_t from, to;
    int32_t tensor;      /* of the float plan */
    int64_t elements;
} mica_net_edge;

typedef struct mica_net {
    const mrt_plan *plan; /* the float one, keep_all; borrowed */
    mica_net_op *ops;     /* in execution order */
    size_t n_ops;
    mica_net_edge *edges; /* by reader */
    size_t n_edges;
    mica_map *values;     /* names of all inputs and results -> number + 1 */
    mica_map *by_name;    /* names of results -> index of the op + 1 */
} mica_net;

/* The steps of an op in one plan. */
typedef struct mica_slice {
    int32_t *steps;   /* rising; none for a pure alias */
    int32_t n_steps;
    int32_t *inputs;  /* tensors of the plan that stand for values of the model, each once */
    int32_t n_inputs;
    int32_t *results; /* tensors; one per result of the op that the plan has */
    int32_t n_results;
} mica_slice;

typedef struct mica_slices {
    const mrt_plan *plan;
    mica_slice *list; /* one per op of the net */
    size_t count;
} mica_slices;

/* `module` and `plan` outlive the net. */
void mica_net_make(mica_module *module, const mrt_plan *plan, mica_net *out);
void mica_net_free(mica_net *net);

void mica_slices_make(const mica_net *net, const mrt_plan *plan, mica_slices *out);
void mica_slices_free(mica_slices *slices);

/* Index of the op with a result of that name, or -1. */
int32_t mica_net_find(const mica_net *net, const char *name);
/* "; nearest is 'x'" or "", for messages; in the arena of the module. */
const char *mica_net_nearest(const mica_net *net, const char *name, mica_arena *arena);

#endif
