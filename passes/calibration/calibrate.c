#include "passes/calibration/calibrate.h"

#include <string.h>

#include "dialects/plan.h"
#include "dialects/top/cut.h"
#include "passes/top/optimize.h"
#include "runtime/mrt_exec.h"
#include "utils/arena.h"
#include "utils/progress.h"

/* What the observer needs: the statistics slot of every tensor of the plan, or NULL. */
typedef struct observer {
    const mrt_plan *plan;
    mica_tensor_statistics **slots;
    mica_histogram_scratch *scratch;
    mrt_pool *pool;
    const char *bad; /* first tensor of this sample with values that are not finite */
    uint64_t n_bad;
    bool spoiled;    /* they reached a network output */
} observer;

static bool is_observed(const mrt_plan *plan, int32_t id) {
    const mrt_plan_tensor *t = &plan->tensors[id];
    return t->kind != MRT_CONST && t->info.dtype == MRT_F32 && t->info.name != NULL &&
           t->info.name[0] != '\0';
}

/* An alias has the bytes of its root, which was counted already. */
static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    observer *o = user;
    mica_tensor_statistics *slot = o->slots[id];
    if (slot == NULL || o->plan->tensors[id].alias_of >= 0) {
        return;
    }
    const uint64_t before = slot->histogram.nonfinite;
    mica_histogram_add(&slot->histogram, tensor->data, mrt_shape_count(&tensor->shape), o->scratch,
                       o->pool);
    if (slot->histogram.nonfinite == before) {
        return;
    }
    if (o->bad == NULL) {
        o->bad = slot->name;
        o->n_bad = slot->histogram.nonfinite - before;
    }
    o->spoiled = o->spoiled || slot->is_border;
}

static void make_slots(const mrt_plan *plan, mica_statistics *out, mica_tensor_statistics **slots) {
    size_t count = 0;
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        count += is_observed(plan, id);
    }
    out->tensors = mica_alloc((count + 1) * sizeof *out->tensors);
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        if (!is_observed(plan, id)) {
            continue;
        }
        const mrt_plan_tensor *t = &plan->tensors[id];
        slots[id] = &out->tensors[out->count++];
        slots[id]->name = t->info.name;
        slots[id]->is_border = t->kind == MRT_INPUT || t->is_output;
        mica_histogram_init(&slots[id]->histogram);
    }
}

/* Borders pass through aliases: a reshape of the input is the input. */
static void finish_aliases(const mrt_plan *plan, mica_tensor_statistics **slots) {
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        mica_tensor_statistics *root = slots[t->root];
        if (slots[id] == NULL || t->alias_of < 0 || root == NULL) {
            continue;
        }
        slots[id]->histogram = root->histogram;
        const bool is_border = slots[id]->is_border || root->is_border;
        slots[id]->is_border = root->is_border = is_border;
    }
}

static mica_status run_samples(mrt_exec *exec, const mrt_plan *plan, const mica_dataset *dataset,
                               observer *o, bool quiet, mica_error *err) {
    const size_t samples = mica_dataset_count(dataset);
    mrt_tensor **inputs = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof(mrt_tensor *));
    for (int32_t i = 0; i < plan->n_inputs; ++i) {
        inputs[i] = mrt_exec_tensor(exec, plan->inputs[i]);
    }
    mica_progress progress;
    mica_progress_begin(&progress, "calibration", "samples", (int64_t)samples);
    progress.quiet = progress.quiet || quiet;
    mica_status status = MICA_OK;
    for (size_t i = 0; i < samples && status == MICA_OK; ++i) {
        status = mica_dataset_read(dataset, i, inputs, (size_t)plan->n_inputs, err);
        if (status != MICA_OK) {
            break;
        }
        o->bad = NULL;
        mrt_exec_run(exec, observe, o);
        /* Infinities that stay inside (masks, padding of maxima) are part of the model. */
        if (o->spoiled) {
            status = mica_fail(err, "sample '%s' gives %llu values in tensor '%s' that are not finite; "
                                    "check the sample and the preprocessing", mica_dataset_name(dataset, i),
                               (unsigned long long)o->n_bad, o->bad);
        }
        mica_progress_step(&progress, 1);
    }
    if (status == MICA_OK) {
        mica_progress_end(&progress);
    }
    mica_free(inputs);
    return status;
}

/* Behind a cut nothing is quantized: that part is not even run. */
static mica_status make_plan(mica_module *module, mica_module **out_front, mrt_plan **out_plan) {
    mica_op *func = mica_module_func(module, "main");
    if (func == NULL || mica_top_narrow_f64(module) != MICA_OK) {
        return MICA_FAIL;
    }
    *out_front = mica_top_front(module);
    mica_module *run = *out_front != NULL ? *out_front : module;
    return mica_plan_func(run, mica_module_func(run, "main"), &(mica_plan_options){0}, out_plan);
}

mica_status mica_collect_statistics(mica_module *module, const mica_dataset *dataset, int threads,
                                    bool quiet, mica_statistics *out, mica_error *err) {
    memset(out, 0, sizeof *out);
    mrt_plan *plan = NULL;
    mica_module *front = NULL;
    if (make_plan(module, &front, &plan) != MICA_OK) {
        mica_module_destroy(front);
        return mica_fail(err, "the model cannot be executed (see the messages above)");
    }
    const double start = mica_seconds();
    mrt_pool *pool = mrt_pool_create(threads);
    mrt_exec *exec = NULL;
    mrt_error error;
    mica_status status = MICA_OK;
    if (mrt_exec_create(plan, pool, &exec, &error) != MRT_OK) {
        status = mica_fail(err, "%s", error.text);
    } else {
        observer o = {.plan = plan, .pool = pool, .scratch = mica_histogram_scratch_create()};
        o.slots = mica_alloc(((size_t)plan->n_tensors + 1) * sizeof *o.slots);
        make_slots(plan, out, o.slots);
        status = run_samples(exec, plan, dataset, &o, quiet, err);
        finish_aliases(plan, o.slots);
        out->samples = mica_dataset_count(dataset);
        out->arena_bytes = plan->arena_bytes;
        out->seconds = mica_seconds() - start;
        mica_free(o.slots);
        mica_histogram_scratch_destroy(o.scratch);
    }
    /* Names must outlive the plan: the module has them too. */
    mica_arena *arena = module->arena;
    for (size_t i = 0; i < out->count; ++i) {
        out->tensors[i].name = mica_arena_strdup(arena, out->tensors[i].name);
    }
    mrt_exec_destroy(exec);
    mrt_pool_destroy(pool);
    mrt_plan_destroy(plan);
    mica_module_destroy(front);
    if (status != MICA_OK) {
        mica_statistics_free(out);
    }
    return status;
}

void mica_statistics_free(mica_statistics *statistics) {
    mica_free(statistics->tensors);
    memset(statistics, 0, sizeof *statistics);
}

mica_cali_table *mica_make_table(const mica_statistics *statistics, const mica_method *method) {
    const mica_method *whole = mica_method_find("max");
    mica_cali_table *table = mica_cali_table_create();
    for (size_t i = 0; i < statistics->count; ++i) {
        const mica_tensor_statistics *t = &statistics->tensors[i];
        const mica_range range = (t->is_border ? whole : method)->fn(&t->histogram);
        mica_cali_table_set(table, t->name, range.threshold, range.min, range.max);
    }
    return table;
}
