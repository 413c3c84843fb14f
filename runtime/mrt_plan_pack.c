/* Prepared constants: what the pack functions of kernels make, once per plan. */
#include "runtime/mrt_plan_private.h"

enum { MAX_OPERANDS = 16 };

typedef struct operands {
    const mrt_tensor *in[MAX_OPERANDS];
    mrt_tensor *out[MAX_OPERANDS];
} operands;

static mrt_call call_of(const mrt_plan *plan, const mrt_step *step, mrt_pool *pool, operands *o) {
    for (int32_t i = 0; i < step->n_in; i++) {
        o->in[i] = step->in[i] >= 0 ? &plan->tensors[step->in[i]].info : NULL;
    }
    for (int32_t i = 0; i < step->n_out; i++) {
        o->out[i] = &plan->tensors[step->out[i]].info;
    }
    return (mrt_call){.in = o->in,
                      .n_in = step->n_in,
                      .out = o->out,
                      .n_out = step->n_out,
                      .params = step->params,
                      .pool = pool};
}

/* Bytes of all steps together. */
static mrt_status measure(const mrt_plan *plan, size_t *out_bytes, mrt_error *err) {
    *out_bytes = 0;
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const mrt_step *step = &plan->steps[i];
        operands o;
        if (step->kernel->pack == NULL) {
            continue;
        }
        if (step->n_in > MAX_OPERANDS || step->n_out > MAX_OPERANDS) {
            return mrt_fail(err, MRT_UNSUPPORTED, "op '%s': too many operands to prepare",
                            step->op);
        }
        const mrt_call call = call_of(plan, step, NULL, &o);
        const size_t bytes = step->kernel->pack(&call, NULL);
        if (bytes > (size_t)MRT_MAX_BYTES - *out_bytes) {
            return mrt_fail(err, MRT_NO_MEMORY, "no memory to prepare '%s'", step->op);
        }
        *out_bytes += (size_t)mrt_align_up((int64_t)bytes);
    }
    return MRT_OK;
}

/* One block for all, which the system can give in large pages. */
mrt_status mrt_plan_pack(mrt_plan *plan, mrt_pool *pool, mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    size_t total = 0;
    MRT_TRY(measure(plan, &total, err));
    char *at = mrt_bump_alloc(&memory->bump, total);
    if (at == NULL) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for %zu bytes of prepared constants", total);
    }
    for (int32_t i = 0; i < plan->n_steps; i++) {
        mrt_step *step = &plan->steps[i];
        operands o;
        if (step->kernel->pack == NULL) {
            continue;
        }
        const mrt_call call = call_of(plan, step, pool, &o);
        const size_t bytes = step->kernel->pack(&call, at);
        if (bytes == 0) {
            return mrt_fail(err, MRT_NO_MEMORY, "no memory to prepare '%s'", step->op);
        }
        step->packed = at;
        at += mrt_align_up((int64_t)bytes);
    }
    return MRT_OK;
}
