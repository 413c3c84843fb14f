#include "runtime/mrt_exec.h"

#include "runtime/mrt_batch.h"
#include "runtime/mrt_half.h"
#include "runtime/mrt_plan_private.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct exec_step {
    mrt_call call;
    mrt_shadow *shadows;
    int32_t n_shadows;
    size_t shadow_bytes;
} exec_step;

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
    exec_step *steps;
    uint8_t *arena, *scratch;
    void *arena_block, *scratch_block;
    double *seconds; /* borrowed, may be NULL */
    mrt_trace_fn *trace; /* may be NULL */
    void *trace_user;
    int64_t *live;   /* size of each symbol of the plan */
    mrt_error problem; /* empty text: none */
    mrt_bump bump;   /* operand arrays of the steps */
};

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
        exec->steps[i] = (exec_step){.call = {.in = binding.in,
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
    }
    return true;
}

static mrt_status create_whole(const mrt_plan *plan, mrt_pool *pool, mrt_exec **out_exec,
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
        return create_whole(plan, pool, out_exec, err);
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

/* Row-major bytes of a value that exists channels-last only; NULL when there is no memory. */
static void *restore(mrt_exec *exec, int32_t id) {
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

mrt_tensor *mrt_exec_tensor(mrt_exec *exec, int32_t tensor_id) {
    if (tensor_id < 0 || tensor_id >= exec->source->n_tensors) {
        return NULL;
    }
    if (exec->batch != NULL) {
        return mrt_batch_exec_tensor(exec->batch, tensor_id);
    }
    const int32_t root = exec->source->tensors[tensor_id].root;
    if (exec->layout != NULL && exec->layout->absent[root]) {
        exec->tensors[tensor_id].data = restore(exec, root);
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

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void run_kernel(mrt_exec *exec, int32_t index) {
    const exec_step *step = &exec->steps[index];
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

/* --- sizes that depend on data --- */

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

static void run_live_step(mrt_exec *exec, int32_t index) {
    const mrt_plan *plan = exec->plan;
    const mrt_plan_memory *memory = plan->memory;
    const exec_step *step = &exec->steps[index];
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
        run_kernel(exec, index);
        read_sizes(exec, index);
    }
    if (first >= 0) {
        set_result_shapes(exec, index);
    }
    check_aliases(exec, index);
}

static void run_step(mrt_exec *exec, int32_t index) {
    const mrt_plan_memory *memory = exec->plan->memory;
    if (memory->step_live != NULL && memory->step_live[index] != 0) {
        run_live_step(exec, index);
    } else {
        run_kernel(exec, index);
    }
}

const char *mrt_exec_problem(const mrt_exec *exec) {
    return exec->problem.text[0] != '\0' ? exec->problem.text : NULL;
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
        bytes = as_is ? last->data : restore(exec, id);
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
        create_whole(exec->source, exec->pool, &exec->whole, &exec->problem) != MRT_OK) {
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

void mrt_exec_observe_any_order(mrt_exec *exec, bool any) {
    exec->any_order = any;
}

void mrt_exec_run(mrt_exec *exec, mrt_observer_fn *observer, void *user) {
    mrt_exec_run_range(exec, 0, exec->source->n_steps, observer, user);
}
