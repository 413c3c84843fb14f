/* The planner, shared by plan.c (whole functions) and plan_eval.c (single ops). */
#ifndef MICA_DIALECTS_PLAN_IMPL_H
#define MICA_DIALECTS_PLAN_IMPL_H

#include "dialects/live.h"
#include "dialects/plan.h"

typedef struct mica_planner_slot {
    const mica_value *value; /* NULL: free */
    int32_t id;
} mica_planner_slot;

struct mica_planner {
    mica_context *context;
    mica_module *module;
    mrt_plan *plan;
    const mica_op *op;        /* whose hook runs */
    bool quiet;               /* errors are not reported */
    bool all_results;         /* unused results are computed too */
    bool failed;              /* sticky */
    mica_live *live;          /* of the function; NULL in the plan of a single op */
    uint32_t n_symbols;       /* of live that the plan knows, in the same order */
    mica_planner_slot *slots; /* values seen so far, open addressing, a power of two */
    size_t n_slots, used;
};

mica_status mica_planner_init(mica_planner *planner, mica_module *module);
/* Frees everything but the plan. */
void mica_planner_deinit(mica_planner *planner);
/* Adds a tensor for a value that no step computes. */
int32_t mica_planner_add(mica_planner *planner, const mica_value *value, mrt_tensor_kind kind);
/* Verifies the op and runs its hook. */
mica_status mica_planner_op(mica_planner *planner, const mica_op *op);

/* The same for an op with operands or results whose size depends on data: also tries the hook at
 * other sizes, to see that parameters do not depend on them and how temporaries follow. */
mica_status mica_planner_live_op(mica_planner *planner, const mica_op *op);

/* Takes result `index` of an evaluated op; data is valid during the call only. */
typedef void mica_eval_sink(void *user, uint32_t index, const mrt_tensor *result);
/* Plans and runs one op of constants. MICA_FAIL, without a message of the planner, when it cannot be
 * evaluated; nothing was handed to the sink then. */
mica_status mica_eval_results(const mica_op *op, mica_eval_sink *sink, void *user);

#endif
