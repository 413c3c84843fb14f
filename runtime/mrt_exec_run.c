/* Runs of a plan: steps, observers, values put in and taken out. */
#include "runtime/mrt_exec_private.h"

#include "runtime/mrt_half.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Row-major bytes of a value that exists channels-last only; NULL when there is no memory. */
void *mrt_exec_restore(mrt_exec *exec, int32_t id) {
    if (exec->restored == NULL) {
        exec->restored = calloc((size_t)exec->source->n_tensors, sizeof exec->restored[0]);
    }
    if (exec->restored == NULL) {
        return NULL;
    }
    if (exec->restored[id] == NULL) {
        exec->restored[id] = malloc((size_t)exec->source->tensors[id].bytes + 1);
    }
    mrt_tensor t = exec->source->tensors[id].info;
    t.data = exec->restored[id];
    if (t.data != NULL) {
        mrt_layout_restore(&exec->tensors[exec->layout->stored[id]], &t);
    }
    return t.data;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void mrt_exec_run_kernel(mrt_exec *exec, int32_t index) {
    const mrt_exec_step *step = &exec->steps[index];
    for (int32_t i = 0; i < step->n_shadows; i++) {
        const mrt_shadow *shadow = &step->shadows[i];
        if (!shadow->is_out && !shadow->is_const) {
            const mrt_tensor *from = &exec->tensors[shadow->id];
            mrt_half_to_f32(from->dtype, from->data, shadow->tensor.data,
                            mrt_shape_count(&from->shape), exec->pool);
        }
    }
    exec->plan->steps[index].kernel->run(&step->call);
    for (int32_t i = 0; i < step->n_shadows; i++) {
        const mrt_shadow *shadow = &step->shadows[i];
        if (shadow->is_out) {
            const mrt_tensor *to = &exec->tensors[shadow->id];
            mrt_half_from_f32(to->dtype, shadow->tensor.data, to->data,
                              mrt_shape_count(&to->shape), exec->pool);
        }
    }
}

static void run_step(mrt_exec *exec, int32_t index) {
    const mrt_plan_memory *memory = exec->plan->memory;
    if (memory->step_live != NULL && memory->step_live[index] != 0) {
        mrt_exec_run_live(exec, index);
    } else {
        mrt_exec_run_kernel(exec, index);
    }
}

/* Shows a value of the caller's plan to the observer, with its aliases. stored: only its
 * channels-last form is written by now. */
static void report(mrt_exec *exec, int32_t id, bool stored, mrt_observer_fn *observer,
                   void *user) {
    const mrt_plan_memory *memory = exec->source->memory;
    void *bytes = exec->tensors[id].data;
    if (stored) {
        const mrt_tensor *last = &exec->tensors[exec->layout->stored[id]];
        const bool as_is = exec->any_order && last->dtype == exec->tensors[id].dtype;
        bytes = as_is ? last->data : mrt_exec_restore(exec, id);
    }
    mrt_tensor t = exec->tensors[id];
    t.data = bytes;
    observer(user, id, &t);
    for (int32_t i = memory->alias_first[id]; i < memory->alias_first[id + 1]; i++) {
        t = exec->tensors[memory->alias_ids[i]];
        t.data = bytes;
        observer(user, memory->alias_ids[i], &t);
    }
}

static void report_outputs(mrt_exec *exec, const mrt_step *step, mrt_observer_fn *observer,
                           void *user) {
    for (int32_t k = 0; k < step->n_out; k++) {
        const int32_t out = step->out[k];
        const int32_t id = exec->layout != NULL ? exec->layout->origin[out] : out;
        if (id >= 0) {
            report(exec, id, id != out, observer, user);
        }
    }
}

/* Runs step `index`, which belongs to step `own` of the caller's plan. */
static void run_timed(mrt_exec *exec, int32_t index, int32_t own) {
    if (exec->seconds == NULL && exec->trace == NULL) {
        run_step(exec, index);
        return;
    }
    const double begin = now();
    run_step(exec, index);
    const double end = now();
    if (exec->seconds != NULL) {
        exec->seconds[own] += end - begin;
    }
    if (exec->trace != NULL) {
        exec->trace(exec->trace_user, index, &exec->steps[index].call, begin, end);
    }
}

/* Inputs go to the executor of the whole batch, or its outputs come back. */
static void copy_borders(mrt_exec *exec, const int32_t *ids, int32_t count, bool to_whole) {
    for (int32_t i = 0; i < count; i++) {
        void *own = mrt_batch_exec_tensor(exec->batch, ids[i])->data;
        void *whole = mrt_exec_tensor(exec->whole, ids[i])->data;
        if (own != whole) { /* the same for a constant */
            memcpy(to_whole ? whole : own, to_whole ? own : whole,
                   (size_t)exec->source->tensors[ids[i]].bytes);
        }
    }
}

/* Observers see whole batches, and ranges of steps keep their values. */
static void run_whole(mrt_exec *exec, int32_t first, int32_t last, mrt_observer_fn *observer,
                      void *user) {
    if (exec->whole == NULL &&
        mrt_exec_create_whole(exec->source, exec->pool, &exec->whole, &exec->problem) != MRT_OK) {
        return;
    }
    copy_borders(exec, exec->source->inputs, exec->source->n_inputs, true);
    exec->whole->any_order = exec->any_order;
    mrt_exec_set_timing(exec->whole, exec->seconds);
    mrt_exec_set_trace(exec->whole, NULL, NULL);
    mrt_exec_run_range(exec->whole, first, last, observer, user);
    copy_borders(exec, exec->source->outputs, exec->source->n_outputs, false);
}

/* Steps [first, last) of the caller's plan, or those of them that are wanted (NULL: all). */
static void run_some(mrt_exec *exec, int32_t first, int32_t last, const bool *wanted,
                     mrt_observer_fn *observer, void *user) {
    const mrt_plan *plan = exec->plan;
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const int32_t own = exec->layout != NULL ? exec->layout->step_of[i] : i;
        if (own < first || own >= last || (wanted != NULL && !wanted[own])) {
            continue;
        }
        run_timed(exec, i, own);
        if (observer != NULL) {
            report_outputs(exec, &plan->steps[i], observer, user);
        }
    }
}

void mrt_exec_run_range(mrt_exec *exec, int32_t first, int32_t last, mrt_observer_fn *observer,
                        void *user) {
    if (exec->batch != NULL) {
        if (observer == NULL && first <= 0 && last >= exec->source->n_steps) {
            mrt_batch_exec_run(exec->batch, exec->seconds, exec->trace, exec->trace_user);
        } else {
            run_whole(exec, first, last, observer, user);
        }
        return;
    }
    const mrt_plan *plan = exec->plan;
    if (first <= 0) {
        exec->problem.text[0] = '\0';
    }
    for (int32_t i = 0; observer != NULL && first <= 0 && i < plan->n_inputs; i++) {
        report(exec, plan->inputs[i], false, observer, user);
    }
    for (int32_t i = 0; exec->seconds != NULL && i < exec->source->n_steps; i++) {
        exec->seconds[i] = i >= first && i < last ? 0 : exec->seconds[i];
    }
    run_some(exec, first, last, NULL, observer, user);
}

void mrt_exec_run_steps(mrt_exec *exec, const bool *wanted) {
    run_some(exec, 0, exec->source->n_steps, wanted, NULL, NULL);
}

/* Where the step that makes the value writes it; other forms are made for their readers later. */
static bool is_made_last(const mrt_exec *exec, int32_t root) {
    const int32_t stored = exec->layout != NULL ? exec->layout->stored[root] : -1;
    return stored >= 0 && exec->layout->origin[stored] == root;
}

void mrt_exec_get(const mrt_exec *exec, int32_t id, void *data) {
    const int32_t root = exec->source->tensors[id].root;
    if (!is_made_last(exec, root)) {
        memcpy(data, exec->tensors[root].data, (size_t)exec->source->tensors[root].bytes);
        return;
    }
    mrt_tensor t = exec->source->tensors[root].info;
    t.data = data;
    mrt_layout_restore(&exec->tensors[exec->layout->stored[root]], &t);
}

void mrt_exec_set(mrt_exec *exec, int32_t id, const void *data) {
    const mrt_plan_memory *memory = exec->source->memory;
    const int32_t root = exec->source->tensors[id].root;
    if (exec->layout == NULL || !exec->layout->absent[root]) {
        memcpy(exec->tensors[root].data, data, (size_t)exec->source->tensors[root].bytes);
    }
    /* Aliases have channels-last forms of their own. */
    for (int32_t i = memory->alias_first[root] - 1; i < memory->alias_first[root + 1]; i++) {
        const int32_t same = i < memory->alias_first[root] ? root : memory->alias_ids[i];
        if (exec->layout != NULL && exec->layout->stored[same] >= 0) {
            mrt_tensor rows = exec->source->tensors[same].info;
            rows.data = (void *)(uintptr_t)data;
            mrt_layout_store(&rows, &exec->tensors[exec->layout->stored[same]]);
        }
    }
}

void mrt_exec_run(mrt_exec *exec, mrt_observer_fn *observer, void *user) {
    mrt_exec_run_range(exec, 0, exec->source->n_steps, observer, user);
}
