#include "passes/calibration/calibrate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "dialects/plan.h"
#include "dialects/top/cut.h"
#include "passes/top/optimize.h"
#include "runtime/mrt_exec.h"
#include "utils/arena.h"
#include "utils/progress.h"

/* Activations of all executors together, when there is more than one. */
enum { MOST_BYTES = 256 << 20 };

/* One executor with histograms of its own: lanes take samples in turn and share nothing but the plan,
 * so that none waits for another within a sample. */
typedef struct lane {
    mrt_exec *exec;
    mrt_pool *pool;                 /* of the executor; NULL: serial */
    mica_tensor_statistics *tensors; /* parallel to those of the result; lane 0 has these themselves */
    mica_histogram_scratch *scratch;
    mrt_tensor **inputs;
    const char *bad; /* first tensor of this sample with values that are not finite */
    uint64_t n_bad;
    bool spoiled; /* they reached a network output */
    struct pass *pass;
} lane;

typedef struct pass {
    const mrt_plan *plan;
    const mica_dataset *dataset;
    int32_t *slots; /* index of the statistics of every tensor of the plan, or -1 */
    lane *lanes;
    int n_lanes;
    atomic_size_t next; /* sample to take */
    atomic_bool failed; /* no lane takes another sample */
    pthread_mutex_t lock;
    /* Under the lock. Samples are taken in order and finished once taken: the first one that fails is
     * always among those that were. */
    mica_progress progress;
    size_t failed_sample;
    mica_error error;
} pass;

static bool is_observed(const mrt_plan *plan, int32_t id) {
    const mrt_plan_tensor *t = &plan->tensors[id];
    return t->kind != MRT_CONST && t->info.dtype == MRT_F32 && t->info.name != NULL &&
           t->info.name[0] != '\0';
}

/* An alias has the bytes of its root, which was counted already. */
static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    lane *l = user;
    const int32_t slot = l->pass->slots[id];
    if (slot < 0 || l->pass->plan->tensors[id].alias_of >= 0) {
        return;
    }
    mica_tensor_statistics *t = &l->tensors[slot];
    const uint64_t before = t->histogram.nonfinite;
    mica_histogram_add(&t->histogram, tensor->data, mrt_shape_count(&tensor->shape), l->scratch,
                       l->pool);
    if (t->histogram.nonfinite == before) {
        return;
    }
    if (l->bad == NULL) {
        l->bad = t->name;
        l->n_bad = t->histogram.nonfinite - before;
    }
    l->spoiled = l->spoiled || t->is_border;
}

static mica_tensor_statistics *copy_of(const mica_statistics *statistics) {
    mica_tensor_statistics *tensors = mica_alloc((statistics->count + 1) * sizeof *tensors);
    memcpy(tensors, statistics->tensors, statistics->count * sizeof *tensors);
    return tensors;
}

/* Empty statistics of every tensor that is observed. */
static void make_slots(pass *p, mica_statistics *out) {
    const mrt_plan *plan = p->plan;
    size_t count = 0;
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        count += is_observed(plan, id);
    }
    out->tensors = mica_alloc((count + 1) * sizeof *out->tensors);
    p->slots = mica_alloc(((size_t)plan->n_tensors + 1) * sizeof *p->slots);
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        p->slots[id] = -1;
        if (!is_observed(plan, id)) {
            continue;
        }
        const mrt_plan_tensor *t = &plan->tensors[id];
        p->slots[id] = (int32_t)out->count;
        mica_tensor_statistics *slot = &out->tensors[out->count++];
        slot->name = t->info.name;
        slot->is_border = t->kind == MRT_INPUT || t->is_output;
        mica_histogram_init(&slot->histogram);
    }
}

/* Borders pass through aliases: a reshape of the input is the input. */
static void finish_aliases(const pass *p, mica_statistics *out) {
    for (int32_t id = 0; id < p->plan->n_tensors; ++id) {
        const mrt_plan_tensor *t = &p->plan->tensors[id];
        if (p->slots[id] < 0 || t->alias_of < 0 || p->slots[t->root] < 0) {
            continue;
        }
        mica_tensor_statistics *own = &out->tensors[p->slots[id]];
        mica_tensor_statistics *root = &out->tensors[p->slots[t->root]];
        own->histogram = root->histogram;
        own->is_border = root->is_border = own->is_border || root->is_border;
    }
}

/* Counts sample i. */
static mica_status run_sample(lane *l, size_t i, mica_error *err) {
    const pass *p = l->pass;
    MICA_TRY(mica_dataset_read(p->dataset, i, l->inputs, (size_t)p->plan->n_inputs, err));
    l->bad = NULL;
    mrt_exec_run(l->exec, observe, l);
    /* Infinities that stay inside (masks, padding of maxima) are part of the model. */
    if (l->spoiled) {
        return mica_fail(err, "sample '%s' gives %llu values in tensor '%s' that are not finite; "
                              "check the sample and the preprocessing", mica_dataset_name(p->dataset, i),
                         (unsigned long long)l->n_bad, l->bad);
    }
    return MICA_OK;
}

static void run_lane(void *context, int64_t index) {
    pass *p = context;
    const size_t samples = mica_dataset_count(p->dataset);
    while (!atomic_load(&p->failed)) {
        const size_t i = atomic_fetch_add(&p->next, 1);
        if (i >= samples) {
            return;
        }
        mica_error error = {0};
        const mica_status status = run_sample(&p->lanes[index], i, &error);
        pthread_mutex_lock(&p->lock);
        if (status != MICA_OK && (!atomic_load(&p->failed) || i < p->failed_sample)) {
            p->failed_sample = i;
            p->error = error;
            atomic_store(&p->failed, true);
        }
        mica_progress_step(&p->progress, 1);
        pthread_mutex_unlock(&p->lock);
    }
}

/* As many lanes as threads, unless their activations would take too much memory. */
static int lanes_of(const mrt_plan *plan, size_t samples, int threads) {
    const int64_t each = plan->arena_bytes + plan->scratch_bytes + 1;
    const int64_t fit = MOST_BYTES / each;
    int64_t lanes = threads < fit ? threads : fit;
    lanes = (size_t)lanes < samples ? lanes : (int64_t)samples;
    return lanes > 1 ? (int)lanes : 1;
}

static mica_status make_lanes(pass *p, const mica_statistics *out, int threads, mica_error *err) {
    const mrt_plan *plan = p->plan;
    for (int i = 0; i < p->n_lanes; ++i) {
        lane *l = &p->lanes[i];
        mrt_error error;
        l->pass = p;
        l->pool = threads / p->n_lanes > 1 ? mrt_pool_create(threads / p->n_lanes) : NULL;
        if (mrt_exec_create(plan, l->pool, &l->exec, &error) != MRT_OK) {
            return mica_fail(err, "%s", error.text);
        }
        mrt_exec_observe_any_order(l->exec, true);
        l->tensors = i == 0 ? out->tensors : copy_of(out);
        l->scratch = mica_histogram_scratch_create();
        l->inputs = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof(mrt_tensor *));
        for (int32_t k = 0; k < plan->n_inputs; ++k) {
            l->inputs[k] = mrt_exec_tensor(l->exec, plan->inputs[k]);
        }
    }
    return MICA_OK;
}

static void free_lanes(pass *p) {
    for (int i = 0; i < p->n_lanes; ++i) {
        lane *l = &p->lanes[i];
        mrt_exec_destroy(l->exec);
        mrt_pool_destroy(l->pool);
        mica_histogram_scratch_destroy(l->scratch);
        mica_free(l->inputs);
        if (i > 0) {
            mica_free(l->tensors);
        }
    }
    mica_free(p->lanes);
}

static mica_status run_samples(pass *p, mica_statistics *out, mica_error *err) {
    mrt_pool *pool = p->n_lanes > 1 ? mrt_pool_create(p->n_lanes) : NULL;
    mrt_parallel_for(pool, p->n_lanes, run_lane, p);
    mrt_pool_destroy(pool);
    if (atomic_load(&p->failed)) {
        *err = p->error;
        return MICA_FAIL;
    }
    mica_progress_end(&p->progress);
    for (int i = 1; i < p->n_lanes; ++i) {
        for (size_t k = 0; k < out->count; ++k) {
            mica_histogram_merge(&out->tensors[k].histogram, &p->lanes[i].tensors[k].histogram);
        }
    }
    finish_aliases(p, out);
    return MICA_OK;
}

static mica_status run_pass(const mrt_plan *plan, const mica_dataset *dataset, int threads, bool quiet,
                            mica_statistics *out, mica_error *err) {
    pass p = {.plan = plan, .dataset = dataset};
    const size_t samples = mica_dataset_count(dataset);
    p.n_lanes = lanes_of(plan, samples, threads);
    p.lanes = mica_alloc((size_t)p.n_lanes * sizeof *p.lanes);
    make_slots(&p, out);
    mica_progress_begin(&p.progress, "calibration", "samples", (int64_t)samples);
    p.progress.quiet = p.progress.quiet || quiet;
    pthread_mutex_init(&p.lock, NULL);
    mica_status status = make_lanes(&p, out, threads, err);
    if (status == MICA_OK) {
        status = run_samples(&p, out, err);
    }
    pthread_mutex_destroy(&p.lock);
    free_lanes(&p);
    mica_free(p.slots);
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
    mica_status status = run_pass(plan, dataset, threads, quiet, out, err);
    out->samples = mica_dataset_count(dataset);
    out->arena_bytes = plan->arena_bytes;
    out->seconds = mica_seconds() - start;
    /* Names must outlive the plan: the module has them too. */
    mica_arena *arena = module->arena;
    for (size_t i = 0; i < out->count; ++i) {
        out->tensors[i].name = mica_arena_strdup(arena, out->tensors[i].name);
    }
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

typedef struct table_job {
    const mica_statistics *statistics;
    const mica_method *method, *whole;
    mica_range *ranges;
} table_job;

static void range_of_tensor(void *context, int64_t i) {
    const table_job *job = context;
    const mica_tensor_statistics *t = &job->statistics->tensors[i];
    job->ranges[i] = mica_method_run(t->is_border ? job->whole : job->method, &t->histogram);
}

mica_cali_table *mica_make_table(const mica_statistics *statistics, const mica_method *method,
                                 int threads) {
    table_job job = {.statistics = statistics, .method = method, .whole = mica_method_find("max")};
    job.ranges = mica_alloc((statistics->count + 1) * sizeof *job.ranges);
    mrt_pool *pool = mrt_pool_create(threads);
    mrt_parallel_for(pool, (int64_t)statistics->count, range_of_tensor, &job);
    mrt_pool_destroy(pool);
    mica_cali_table *table = mica_cali_table_create();
    for (size_t i = 0; i < statistics->count; ++i) {
        mica_cali_table_set(table, statistics->tensors[i].name, job.ranges[i].threshold, job.ranges[i].min,
                            job.ranges[i].max);
    }
    mica_free(job.ranges);
    return table;
}
