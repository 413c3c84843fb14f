/* Execution of a batch part by part: see mrt_batch.h. */
#include "runtime/mrt_batch.h"

#include "runtime/mrt_plan_private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct mrt_batch_exec {
    const mrt_plan *source;
    int32_t parts, workers;
    mrt_pool *pool;
    mrt_exec **part;     /* [workers], one for each thread that takes parts */
    mrt_tensor *tensors; /* of the source; inputs and outputs have data */
    void *bytes;         /* their data */
    double *seconds;     /* [steps] of one part */
    atomic_int_least32_t next;
};

/* Threads take parts when that keeps them busy; else each part's kernels share the threads. */
static int32_t workers_for(int32_t parts, int32_t threads) {
    const int32_t rounds = (parts + threads - 1) / threads;
    return 5 * parts >= 4 * rounds * threads ? threads : 1;
}

/* Inputs and outputs get bytes of their own, aliases of them the same. */
static bool place_borders(mrt_batch_exec *e) {
    const mrt_plan *plan = e->source;
    int64_t bytes = 0;
    int64_t *offset = malloc((size_t)plan->n_tensors * sizeof offset[0]);
    if (offset == NULL) {
        return false;
    }
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        offset[id] = -1;
        e->tensors[id] = plan->tensors[id].info;
    }
    for (int32_t i = 0; i < plan->n_inputs + plan->n_outputs; ++i) {
        const int32_t id = i < plan->n_inputs ? plan->inputs[i] : plan->outputs[i - plan->n_inputs];
        const mrt_plan_tensor *root = &plan->tensors[plan->tensors[id].root];
        if (root->kind != MRT_CONST && offset[plan->tensors[id].root] < 0) {
            offset[plan->tensors[id].root] = bytes;
            bytes += mrt_align_up(root->bytes);
        }
    }
    e->bytes = calloc(1, (size_t)bytes + MRT_ALIGN);
    for (int32_t id = 0; e->bytes != NULL && id < plan->n_tensors; ++id) {
        const int64_t at = offset[plan->tensors[id].root];
        if (at >= 0) {
            e->tensors[id].data = (char *)e->bytes + at;
        }
    }
    free(offset);
    return e->bytes != NULL;
}

mrt_status mrt_batch_exec_create(const mrt_plan *source, const mrt_plan *part, int32_t parts,
                                 mrt_pool *pool, mrt_batch_exec **out_exec, mrt_error *err) {
    mrt_batch_exec *e = calloc(1, sizeof *e);
    mrt_status status = MRT_NO_MEMORY;
    if (e != NULL) {
        e->source = source;
        e->parts = parts;
        e->pool = pool;
        e->workers = workers_for(parts, mrt_pool_threads(pool));
        e->part = calloc((size_t)e->workers, sizeof e->part[0]);
        e->tensors = calloc((size_t)source->n_tensors + 1, sizeof e->tensors[0]);
        e->seconds = calloc((size_t)source->n_steps + 1, sizeof e->seconds[0]);
        if (e->part != NULL && e->tensors != NULL && e->seconds != NULL && place_borders(e)) {
            status = MRT_OK;
        }
    }
    if (status != MRT_OK) {
        mrt_fail(err, status, "no memory for an executor");
    }
    for (int32_t i = 0; status == MRT_OK && i < e->workers; ++i) {
        status = mrt_exec_create(part, pool, &e->part[i], err);
    }
    if (status != MRT_OK) {
        mrt_batch_exec_destroy(e);
        return status;
    }
    *out_exec = e;
    return MRT_OK;
}

void mrt_batch_exec_destroy(mrt_batch_exec *exec) {
    if (exec == NULL) {
        return;
    }
    for (int32_t i = 0; exec->part != NULL && i < exec->workers; ++i) {
        mrt_exec_destroy(exec->part[i]);
    }
    free(exec->part);
    free(exec->tensors);
    free(exec->seconds);
    free(exec->bytes);
    free(exec);
}

mrt_tensor *mrt_batch_exec_tensor(mrt_batch_exec *exec, int32_t tensor_id) {
    return tensor_id < 0 || tensor_id >= exec->source->n_tensors ? NULL : &exec->tensors[tensor_id];
}

const mrt_plan *mrt_batch_exec_plan(const mrt_batch_exec *exec) {
    return mrt_exec_plan(exec->part[0]);
}

/* Copies the part's images of one tensor in or out. */
static void copy_part(mrt_batch_exec *e, mrt_exec *exec, int32_t id, int32_t part, bool in) {
    const mrt_plan_tensor *t = &e->source->tensors[id];
    if (e->source->tensors[t->root].kind == MRT_CONST) {
        return;
    }
    const size_t bytes = (size_t)(t->bytes / e->parts);
    char *whole = (char *)e->tensors[id].data + bytes * (size_t)part;
    void *own = mrt_exec_tensor(exec, id)->data;
    memcpy(in ? own : whole, in ? whole : own, bytes);
}

static void run_part(mrt_batch_exec *e, mrt_exec *exec, int32_t part) {
    for (int32_t i = 0; i < e->source->n_inputs; ++i) {
        copy_part(e, exec, e->source->inputs[i], part, true);
    }
    mrt_exec_run(exec, NULL, NULL);
    for (int32_t i = 0; i < e->source->n_outputs; ++i) {
        copy_part(e, exec, e->source->outputs[i], part, false);
    }
}

static void take_parts(void *context, int64_t worker) {
    mrt_batch_exec *e = context;
    for (;;) {
        const int32_t part = atomic_fetch_add_explicit(&e->next, 1, memory_order_relaxed);
        if (part >= e->parts) {
            return;
        }
        run_part(e, e->part[worker], part);
    }
}

/* One part after the other, so that times of steps mean something. */
static void run_watched(mrt_batch_exec *e, double *seconds, mrt_trace_fn *trace, void *user) {
    mrt_exec *exec = e->part[0];
    mrt_exec_set_timing(exec, seconds != NULL ? e->seconds : NULL);
    mrt_exec_set_trace(exec, trace, user);
    for (int32_t part = 0; part < e->parts; ++part) {
        run_part(e, exec, part);
        for (int32_t i = 0; seconds != NULL && i < e->source->n_steps; ++i) {
            seconds[i] = (part > 0 ? seconds[i] : 0.0) + e->seconds[i];
        }
    }
    mrt_exec_set_timing(exec, NULL);
    mrt_exec_set_trace(exec, NULL, NULL);
}

void mrt_batch_exec_run(mrt_batch_exec *exec, double *seconds, mrt_trace_fn *trace, void *user) {
    if (seconds != NULL || trace != NULL) {
        run_watched(exec, seconds, trace, user);
        return;
    }
    atomic_store_explicit(&exec->next, 0, memory_order_relaxed);
    mrt_parallel_for(exec->workers > 1 ? exec->pool : NULL, exec->workers, take_parts, exec);
}
