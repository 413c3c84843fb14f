/* What the files mrt_exec*.c share. */
#ifndef MRT_EXEC_PRIVATE_H
#define MRT_EXEC_PRIVATE_H

#include "runtime/mrt_batch.h"
#include "runtime/mrt_plan_private.h"

typedef struct mrt_exec_step {
    mrt_call call;
    mrt_shadow *shadows;
    int32_t n_shadows;
    size_t shadow_bytes;
} mrt_exec_step;

struct mrt_exec {
    mrt_batch_exec *batch; /* runs without an observer, part by part; NULL: there is but one part */
    mrt_exec *whole;       /* beside batch: runs with an observer; NULL until there is one */
    const mrt_plan *plan; /* executed: derived from the caller's, or that itself */
    const mrt_plan *source; /* the caller's */
    const mrt_layout *layout; /* of plan; NULL: it is the caller's */
    mrt_pool *pool;
    mrt_tensor *tensors; /* plan order, with data */
    bool any_order;  /* observers take elements in any order */
    void **restored;     /* per tensor of source: row-major bytes made for a reader, or NULL */
    mrt_exec_step *steps;
    uint8_t *arena, *scratch;
    void *arena_block, *scratch_block;
    double *seconds; /* borrowed, may be NULL */
    mrt_trace_fn *trace; /* may be NULL */
    void *trace_user;
    int64_t *live;   /* size of each symbol of the plan */
    mrt_error problem; /* empty text: none */
    mrt_bump bump;   /* operand arrays of the steps */
};

/* An executor of the whole batch. */
mrt_status mrt_exec_create_whole(const mrt_plan *plan, mrt_pool *pool, mrt_exec **out_exec,
                                 mrt_error *err);
/* Row-major bytes of a value that exists channels-last only; NULL when there is no memory. */
void *mrt_exec_restore(mrt_exec *exec, int32_t id);
/* Runs one step of the executed plan, with conversions of its operands. */
void mrt_exec_run_kernel(mrt_exec *exec, int32_t index);
/* The same for a step with sizes that depend on data. */
void mrt_exec_run_live(mrt_exec *exec, int32_t index);

#endif
