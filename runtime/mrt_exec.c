/* Executors: what they own, and what is asked of them between runs. */
#include "runtime/mrt_exec_private.h"
#include "runtime/mrt_work.h"

#include <cblas.h>
#include <stdlib.h>
#include <unistd.h>

/* Refuses what the machine cannot hold before the kernel's overcommit lets us try. */
static bool machine_holds(int64_t arena, int64_t scratch) {
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page <= 0) {
        return true;
    }
    const int64_t memory = (int64_t)pages * page;
    return arena <= memory && scratch <= memory - arena;
}

/* Zeroed bytes, so that what no kernel writes (padding of bounded outputs) is always the same.
 * calloc gets large blocks from the system page by page as they are touched; *out_block is to be
 * freed, the result is page-aligned. */
static uint8_t *aligned_bytes(int64_t bytes, void **out_block) {
    const size_t page = 4096;
    *out_block = calloc(1, (size_t)mrt_align_up(bytes) + page + MRT_ALIGN); /* kernels read ahead */
    if (*out_block == NULL) {
        return NULL;
    }
    const uintptr_t address = (uintptr_t)*out_block;
    return (uint8_t *)*out_block + ((page - address % page) % page);
}

static void place_tensors(mrt_exec *exec) {
    const mrt_plan *plan = exec->plan;
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        exec->tensors[id] = t->info;
        if (t->offset >= 0) {
            exec->tensors[id].data = exec->arena + t->offset;
        }
    }
}

/* The plan to execute. */
static mrt_status choose_plan(mrt_exec *exec, const mrt_plan *plan, mrt_pool *pool,
                              mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    mrt_status status = MRT_OK;
    pthread_mutex_lock(&memory->lock);
    if (!memory->derived_known) {
        status = mrt_layout_derive(plan, pool, &memory->derived, err);
        memory->derived_known = status == MRT_OK;
    }
    pthread_mutex_unlock(&memory->lock);
    exec->source = plan;
    exec->plan = memory->derived != NULL ? memory->derived : plan;
    exec->layout = mrt_layout_of(exec->plan);
    return status;
}

/* Shorter than what it takes to share the step with other threads, by rates of a common processor. */
static bool is_short(const mrt_step *step, const mrt_call *call) {
    static const double macs_per_second[MRT_WORK_KINDS] = {
        [MRT_WORK_NONE] = 1e9, [MRT_WORK_INT8] = 1e11, [MRT_WORK_F32] = 4e10, [MRT_WORK_F32_WRITTEN] = 1e10};
    const mrt_work work = mrt_work_of(step->kernel, call);
    return work.macs / macs_per_second[work.kind] + (work.bytes_read + work.bytes_written) / 1e10 < 4e-6;
}

static bool bind_steps(mrt_exec *exec) {
    const mrt_plan *plan = exec->plan;
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const mrt_step *step = &plan->steps[i];
        const size_t n_in = (size_t)step->n_in, n_out = (size_t)step->n_out;
        mrt_binding binding = {.in = mrt_bump_array(&exec->bump, n_in, sizeof(void *)),
                               .out = mrt_bump_array(&exec->bump, n_out, sizeof(void *))};
        if (mrt_step_has_shadows(plan, step)) {
            binding.shadows = mrt_bump_array(&exec->bump, n_in + n_out, sizeof(mrt_shadow));
        }
        if (exec->bump.failed ||
            !mrt_step_bind(plan, step, exec->tensors, exec->scratch, &binding)) {
            return false;
        }
        exec->steps[i] = (mrt_exec_step){.call = {.in = binding.in,
                                              .n_in = step->n_in,
                                              .out = binding.out,
                                              .n_out = step->n_out,
                                              .params = step->params,
                                              .scratch = exec->scratch + binding.shadow_bytes,
                                              .pool = exec->pool,
                                              .packed = step->packed},
                                     .shadows = binding.shadows,
                                     .n_shadows = binding.n_shadows,
                                     .shadow_bytes = binding.shadow_bytes};
        if (is_short(step, &exec->steps[i].call)) {
            exec->steps[i].call.pool = NULL;
        }
    }
    return true;
}

mrt_status mrt_exec_create_whole(const mrt_plan *plan, mrt_pool *pool, mrt_exec **out_exec,
                                 mrt_error *err) {
    mrt_exec *exec = calloc(1, sizeof *exec);
    if (exec == NULL) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for an executor");
    }
    const mrt_status status = choose_plan(exec, plan, pool, err);
    if (status != MRT_OK) {
        free(exec);
        return status;
    }
    plan = exec->plan;
    if (!machine_holds(plan->arena_bytes, plan->scratch_bytes)) {
        free(exec);
        return mrt_fail(err, MRT_NO_MEMORY,
                        "the plan needs %lld bytes of arena and %lld of scratch, more than this "
                        "machine has", (long long)plan->arena_bytes,
                        (long long)plan->scratch_bytes);
    }
    exec->pool = pool;
    exec->tensors = calloc((size_t)plan->n_tensors + 1, sizeof exec->tensors[0]);
    exec->steps = calloc((size_t)plan->n_steps + 1, sizeof exec->steps[0]);
    exec->live = mrt_bump_array(&exec->bump, (size_t)plan->n_symbols, sizeof exec->live[0]);
    exec->arena = aligned_bytes(plan->arena_bytes, &exec->arena_block);
    exec->scratch = aligned_bytes(plan->scratch_bytes, &exec->scratch_block);
    if (exec->tensors != NULL && exec->steps != NULL && exec->live != NULL &&
        exec->arena != NULL && exec->scratch != NULL) {
        place_tensors(exec);
        if (bind_steps(exec)) {
            /* Kernels cut matrix products into row blocks for the pool themselves. */
            if (openblas_get_num_threads() != 1) {
                openblas_set_num_threads(1);
            }
            *out_exec = exec;
            return MRT_OK;
        }
    }
    mrt_exec_destroy(exec);
    return mrt_fail(err, MRT_NO_MEMORY, "no memory for an arena of %lld bytes",
                    (long long)plan->arena_bytes);
}

/* The plan of a part, or NULL. */
static mrt_status choose_part(const mrt_plan *plan, mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    mrt_status status = MRT_OK;
    pthread_mutex_lock(&memory->lock);
    if (!memory->part_known) {
        status = mrt_batch_derive(plan, &memory->part, &memory->parts, err);
        memory->part_known = status == MRT_OK;
    }
    pthread_mutex_unlock(&memory->lock);
    return status;
}

mrt_status mrt_exec_create(const mrt_plan *plan, mrt_pool *pool, mrt_exec **out_exec,
                           mrt_error *err) {
    const mrt_plan_memory *memory = plan->memory;
    if (!memory->finalized) {
        return mrt_fail(err, MRT_INVALID, "the plan is not finalized");
    }
    MRT_TRY(choose_part(plan, err));
    if (memory->part == NULL) {
        return mrt_exec_create_whole(plan, pool, out_exec, err);
    }
    mrt_exec *exec = calloc(1, sizeof *exec);
    if (exec == NULL) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for an executor");
    }
    exec->source = plan;
    exec->pool = pool;
    const mrt_status status =
        mrt_batch_exec_create(plan, memory->part, memory->parts, pool, &exec->batch, err);
    if (status != MRT_OK) {
        free(exec);
        return status;
    }
    *out_exec = exec;
    return MRT_OK;
}

void mrt_exec_destroy(mrt_exec *exec) {
    if (exec == NULL) {
        return;
    }
    mrt_batch_exec_destroy(exec->batch);
    mrt_exec_destroy(exec->whole);
    for (int32_t id = 0; exec->restored != NULL && id < exec->source->n_tensors; id++) {
        free(exec->restored[id]);
    }
    free(exec->restored);
    mrt_bump_free(&exec->bump);
    free(exec->tensors);
    free(exec->steps);
    free(exec->arena_block);
    free(exec->scratch_block);
    free(exec);
}

mrt_tensor *mrt_exec_tensor(mrt_exec *exec, int32_t tensor_id) {
    if (tensor_id < 0 || tensor_id >= exec->source->n_tensors) {
        return NULL;
    }
    if (exec->batch != NULL) {
        return mrt_batch_exec_tensor(exec->batch, tensor_id);
    }
    const int32_t root = exec->source->tensors[tensor_id].root;
    if (exec->layout != NULL && exec->layout->absent[root]) {
        const bool exists = exec->layout->stored[root] >= 0; /* else a step that was joined skips it */
        exec->tensors[tensor_id].data = exists ? mrt_exec_restore(exec, root) : NULL;
    }
    return &exec->tensors[tensor_id];
}

void mrt_exec_set_timing(mrt_exec *exec, double *seconds) {
    exec->seconds = seconds;
}

const mrt_plan *mrt_exec_plan(const mrt_exec *exec) {
    return exec->batch != NULL ? mrt_batch_exec_plan(exec->batch) : exec->plan;
}

void mrt_exec_set_trace(mrt_exec *exec, mrt_trace_fn *trace, void *user) {
    exec->trace = trace;
    exec->trace_user = user;
}

void mrt_exec_observe_any_order(mrt_exec *exec, bool any) {
    exec->any_order = any;
}

const char *mrt_exec_problem(const mrt_exec *exec) {
    return exec->problem.text[0] != '\0' ? exec->problem.text : NULL;
}
