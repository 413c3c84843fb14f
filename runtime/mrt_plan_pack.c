/* Prepared constants: what the pack functions of kernels make, once per plan. */
#include "runtime/mrt_plan_private.h"

enum { MAX_OPERANDS = 16 };

static mrt_status pack_step(mrt_plan *plan, mrt_step *step, mrt_pool *pool, mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    const mrt_tensor *in[MAX_OPERANDS];
    mrt_tensor *out[MAX_OPERANDS];
    if (step->n_in > MAX_OPERANDS || step->n_out > MAX_OPERANDS) {
        return mrt_fail(err, MRT_UNSUPPORTED, "op '%s': too many operands to prepare", step->op);
    }
    for (int32_t i = 0; i < step->n_in; i++) {
        in[i] = step->in[i] >= 0 ? &plan->tensors[step->in[i]].info : NULL;
    }
    for (int32_t i = 0; i < step->n_out; i++) {
        out[i] = &plan->tensors[step->out[i]].info;
    }
    const mrt_call call = {.in = in,
                           .n_in = step->n_in,
                           .out = out,
                           .n_out = step->n_out,
                           .params = step->params,
                           .pool = pool};
    void *packed = mrt_bump_alloc(&memory->bump, step->kernel->pack(&call, NULL));
    if (packed == NULL || step->kernel->pack(&call, packed) == 0) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory to prepare '%s'", step->op);
    }
    step->packed = packed;
    return MRT_OK;
}

mrt_status mrt_plan_pack(mrt_plan *plan, mrt_pool *pool, mrt_error *err) {
    for (int32_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].kernel->pack != NULL) {
            MRT_TRY(pack_step(plan, &plan->steps[i], pool, err));
        }
    }
    return MRT_OK;
}
