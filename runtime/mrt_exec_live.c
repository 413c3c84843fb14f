/* Steps with sizes that depend on data: see mrt_live_symbol. */
#include "runtime/mrt_exec_private.h"

#include <string.h>

/* Gives the tensor, and what its kernels see of it, the live shape. */
static void set_shape(mrt_exec *exec, int32_t id) {
    if (mrt_plan_is_live(exec->plan, id)) {
        mrt_plan_live_shape(exec->plan, id, exec->live, &exec->tensors[id].shape);
    }
}

static void set_result_shapes(mrt_exec *exec, int32_t index) {
    const mrt_plan *plan = exec->plan;
    const mrt_plan_memory *memory = plan->memory;
    const mrt_step *step = &plan->steps[index];
    for (int32_t k = 0; k < step->n_out; k++) {
        const int32_t id = step->out[k];
        set_shape(exec, id);
        for (int32_t i = memory->alias_first[id]; i < memory->alias_first[id + 1]; i++) {
            set_shape(exec, memory->alias_ids[i]);
        }
    }
    for (int32_t i = 0; i < exec->steps[index].n_shadows; i++) {
        mrt_shadow *shadow = &exec->steps[index].shadows[i];
        shadow->tensor.shape = exec->tensors[shadow->id].shape;
    }
}

/* A compiler's plan never gets here: it was tried at several sizes. A bundle may claim anything. */
static void refuse(mrt_exec *exec, int32_t index, const char *reason) {
    const mrt_plan *plan = exec->plan;
    const mrt_plan_memory *memory = plan->memory;
    if (exec->problem.text[0] == '\0') {
        mrt_fail(&exec->problem, MRT_INVALID, "op '%.200s' does not fit sizes that depend on data: "
                 "%.200s", plan->steps[index].op, reason);
    }
    for (int32_t s = memory->step_symbol[index]; s >= 0; s = memory->symbol_next[s]) {
        exec->live[s] = 0;
    }
    for (int32_t k = 0; k < plan->steps[index].n_out; k++) {
        const int32_t id = plan->steps[index].out[k];
        memset(exec->tensors[id].data, 0, (size_t)plan->tensors[id].bytes);
    }
}

static bool all_empty(const mrt_call *call) {
    for (int i = 0; i < call->n_out; i++) {
        if (mrt_shape_count(&call->out[i]->shape) != 0) {
            return false;
        }
    }
    return true;
}

/* Sizes that the kernel wrote, never above their bounds. */
static void read_sizes(mrt_exec *exec, int32_t index) {
    const mrt_plan *plan = exec->plan;
    const mrt_plan_memory *memory = plan->memory;
    const mrt_step *step = &plan->steps[index];
    for (int32_t s = memory->step_symbol[index]; s >= 0; s = memory->symbol_next[s]) {
        int32_t k = 0;
        while (step->out[k] != plan->symbols[s].tensor) {
            k++;
        }
        const int64_t size = exec->steps[index].call.out[k]->shape.dims[plan->symbols[s].axis];
        const int64_t bound = exec->live[s];
        exec->live[s] = size < 0 ? 0 : size > bound ? bound : size;
    }
}

/* Aliases share bytes, so live shapes must count the same. */
static void check_aliases(mrt_exec *exec, int32_t index) {
    const mrt_plan_memory *memory = exec->plan->memory;
    const mrt_step *step = &exec->plan->steps[index];
    for (int32_t k = 0; k < step->n_out; k++) {
        const mrt_tensor *root = &exec->tensors[step->out[k]];
        int64_t have = 0, bytes = 0;
        mrt_shape_bytes(&root->shape, root->dtype, &have);
        for (int32_t i = memory->alias_first[step->out[k]];
             i < memory->alias_first[step->out[k] + 1]; i++) {
            const mrt_tensor *alias = &exec->tensors[memory->alias_ids[i]];
            mrt_shape_bytes(&alias->shape, alias->dtype, &bytes);
            if (bytes != have) {
                refuse(exec, index, "a reshape has another number of elements");
            }
        }
    }
}

void mrt_exec_run_live(mrt_exec *exec, int32_t index) {
    const mrt_plan *plan = exec->plan;
    const mrt_plan_memory *memory = plan->memory;
    const mrt_exec_step *step = &exec->steps[index];
    const int32_t first = memory->step_symbol[index];
    for (int32_t s = first; s >= 0; s = memory->symbol_next[s]) {
        const mrt_live_symbol *symbol = &plan->symbols[s];
        exec->live[s] = plan->tensors[symbol->tensor].info.shape.dims[symbol->axis];
    }
    set_result_shapes(exec, index);
    size_t scratch = 0;
    mrt_error reason = {{0}};
    if (plan->steps[index].kernel->check(&step->call, &scratch, &reason) != MRT_OK) {
        refuse(exec, index, reason.text);
    } else if (scratch > plan->steps[index].scratch - step->shadow_bytes) {
        refuse(exec, index, "more scratch than planned");
    } else if (first >= 0 || !all_empty(&step->call)) {
        mrt_exec_run_kernel(exec, index);
        read_sizes(exec, index);
    }
    if (first >= 0) {
        set_result_shapes(exec, index);
    }
    check_aliases(exec, index);
}
