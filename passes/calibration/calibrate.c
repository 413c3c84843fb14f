#include "passes/calibration/calibrate.h"

#include <math.h>
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
    size_t group; /* of this sample */
    struct pass *pass;
} lane;

typedef struct pass {
    const mrt_plan *plan;
    const mica_dataset *dataset;
    const mica_collect_options *options;
    int32_t *slots; /* index of the statistics of every tensor of the plan, or -1 */
    lane *lanes;
    int n_lanes;
    double deadline;    /* no lane takes another sample after that moment */
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

static bool is_counted(const pass *p, int32_t id) {
    return is_observed(p->plan, id) &&
           (p->options->again == NULL || mica_map_has(p->options->again, p->plan->tensors[id].info.name));
}

/* An alias has the bytes of its root, which was counted already. */
static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    lane *l = user;
    const int32_t slot = l->pass->slots[id];
    if (slot < 0 || l->pass->plan->tensors[id].alias_of >= 0) {
        return;
    }
    mica_tensor_statistics *t = &l->tensors[slot];
    mica_histogram *h = t->groups != NULL ? &t->groups[l->group] : &t->histogram;
    const uint64_t before = h->nonfinite;
    mica_histogram_add(h, tensor->data, mrt_shape_count(&tensor->shape), l->scratch, l->pool);
    if (t->n_channels > 0) {
        mica_channels_add(t, tensor);
    }
    if (h->nonfinite == before) {
        return;
    }
    if (l->bad == NULL) {
        l->bad = t->name;
        l->n_bad = h->nonfinite - before;
    }
    l->spoiled = l->spoiled || t->is_border;
}

/* Tensors evenly over the network that keep their groups of samples apart. */
static void choose_grouped(const pass *p, mica_statistics *out) {
    size_t n = 0;
    size_t *ids = mica_alloc((out->count + 1) * sizeof *ids);
    for (int32_t id = 0; id < p->plan->n_tensors; ++id) {
        const int32_t slot = p->slots[id];
        if (slot >= 0 && p->plan->tensors[id].alias_of < 0 && !out->tensors[slot].is_border) {
            ids[n++] = (size_t)slot;
        }
    }
    const size_t taken = n < MICA_GROUPED_TENSORS ? n : MICA_GROUPED_TENSORS;
    for (size_t i = 0; i < taken; ++i) {
        mica_tensor_statistics *t = &out->tensors[ids[i * n / taken]];
        t->groups = mica_alloc(MICA_SAMPLE_GROUPS * sizeof *t->groups);
        for (int g = 0; g < MICA_SAMPLE_GROUPS; ++g) {
            mica_histogram_init(&t->groups[g]);
        }
    }
    mica_free(ids);
}

/* Empty statistics of every tensor that is observed. */
static void make_slots(pass *p, mica_statistics *out) {
    const mrt_plan *plan = p->plan;
    size_t count = 0;
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        count += is_counted(p, id);
    }
    out->tensors = mica_alloc((count + 1) * sizeof *out->tensors);
    p->slots = mica_alloc(((size_t)plan->n_tensors + 1) * sizeof *p->slots);
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        p->slots[id] = -1;
        if (!is_counted(p, id)) {
            continue;
        }
        const mrt_plan_tensor *t = &plan->tensors[id];
        p->slots[id] = (int32_t)out->count;
        mica_tensor_statistics *slot = &out->tensors[out->count++];
        slot->name = t->info.name;
        slot->is_border = t->kind == MRT_INPUT || t->is_output;
        mica_histogram_init(&slot->histogram);
        if (p->options->per_channel) {
            mica_channels_make(slot, &t->info.shape);
        }
    }
    if (p->options->groups) {
        choose_grouped(p, out);
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
    l->group = i % MICA_SAMPLE_GROUPS;
    mrt_exec_run(l->exec, observe, l);
    /* Infinities that stay inside (masks, padding of maxima) are part of the model. */
    if (l->spoiled) {
        return mica_fail(err, "sample '%s' gives %llu values in tensor '%s' that are not finite; "
                              "check the sample and the preprocessing", mica_dataset_name(p->dataset, i),
                         (unsigned long long)l->n_bad, l->bad);
    }
    return MICA_OK;
}

/* Sample after the last one. */
static size_t end_of(const pass *p) {
    const size_t samples = mica_dataset_count(p->dataset);
    return p->options->end > 0 && p->options->end < samples ? p->options->end : samples;
}

static void run_lane(void *context, int64_t index) {
    pass *p = context;
    const size_t samples = end_of(p);
    do {
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
    } while (!atomic_load(&p->failed) && mica_seconds() < p->deadline);
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
        l->tensors = i == 0 ? out->tensors : mica_statistics_copy(out).tensors;
        l->scratch = mica_histogram_scratch_create();
        l->inputs = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof(mrt_tensor *));
        for (int32_t k = 0; k < plan->n_inputs; ++k) {
            l->inputs[k] = mrt_exec_tensor(l->exec, plan->inputs[k]);
        }
    }
    return MICA_OK;
}

static void free_lanes(pass *p, const mica_statistics *out) {
    for (int i = 0; i < p->n_lanes; ++i) {
        lane *l = &p->lanes[i];
        mrt_exec_destroy(l->exec);
        mrt_pool_destroy(l->pool);
        mica_histogram_scratch_destroy(l->scratch);
        mica_free(l->inputs);
        if (i > 0) {
            mica_statistics own = {.tensors = l->tensors, .count = out->count};
            mica_statistics_free(&own);
        }
    }
    mica_free(p->lanes);
}

/* Moves what the lanes have counted into the result: complete statistics of the samples taken. */
static void join_lanes(pass *p, mica_statistics *out) {
    for (int i = 1; i < p->n_lanes; ++i) {
        for (size_t k = 0; k < out->count; ++k) {
            mica_tensor_statistics *from = &p->lanes[i].tensors[k];
            mica_tensor_merge(&out->tensors[k], from);
            mica_tensor_clear(from);
        }
    }
    for (size_t k = 0; k < out->count; ++k) {
        mica_tensor_statistics *t = &out->tensors[k];
        if (t->groups != NULL) {
            mica_histogram_init(&t->histogram);
            for (int g = 0; g < MICA_SAMPLE_GROUPS; ++g) {
                mica_histogram_merge(&t->histogram, &t->groups[g]);
            }
        }
    }
    finish_aliases(p, out);
}

/* One round, or several with a checkpoint after each but the last. */
static mica_status run_samples(pass *p, mica_statistics *out, mica_error *err) {
    const mica_collect_options *o = p->options;
    const size_t samples = end_of(p);
    mrt_pool *pool = p->n_lanes > 1 ? mrt_pool_create(p->n_lanes) : NULL;
    mica_status status = MICA_OK;
    while (status == MICA_OK && out->samples < samples) {
        p->deadline = o->checkpoint != NULL ? mica_seconds() + o->checkpoint_seconds : HUGE_VAL;
        mrt_parallel_for(pool, p->n_lanes, run_lane, p);
        if (atomic_load(&p->failed)) {
            *err = p->error;
            status = MICA_FAIL;
            break;
        }
        const size_t next = atomic_load(&p->next);
        out->samples = next < samples ? next : samples;
        join_lanes(p, out);
        if (out->samples < samples) {
            status = o->checkpoint(o->user, out, err);
        }
    }
    mrt_pool_destroy(pool);
    if (status == MICA_OK) {
        mica_progress_end(&p->progress);
    }
    return status;
}

/* Goes on from statistics of the first samples. */
static mica_status take_over(pass *p, mica_statistics *out, mica_error *err) {
    const mica_statistics *begun = p->options->begun;
    if (begun == NULL) {
        return MICA_OK;
    }
    bool same = begun->count == out->count && begun->samples <= mica_dataset_count(p->dataset);
    for (size_t i = 0; i < out->count && same; ++i) {
        const mica_tensor_statistics *a = &out->tensors[i];
        const mica_tensor_statistics *b = &begun->tensors[i];
        same = strcmp(a->name, b->name) == 0 && a->n_channels == b->n_channels &&
               (a->groups != NULL) == (b->groups != NULL);
    }
    if (!same) {
        return mica_fail(err, "the statistics to go on from belong to another model");
    }
    for (size_t i = 0; i < out->count; ++i) {
        mica_tensor_merge(&out->tensors[i], &begun->tensors[i]);
        out->tensors[i].is_border = begun->tensors[i].is_border;
    }
    out->samples = begun->samples;
    atomic_store(&p->next, begun->samples);
    mica_progress_step(&p->progress, (int64_t)begun->samples);
    return MICA_OK;
}

static mica_status run_pass(const mrt_plan *plan, const mica_dataset *dataset,
                            const mica_collect_options *options, mica_statistics *out, mica_error *err) {
    pass p = {.plan = plan, .dataset = dataset, .options = options};
    const size_t samples = end_of(&p);
    p.n_lanes = lanes_of(plan, samples, options->threads);
    p.lanes = mica_alloc((size_t)p.n_lanes * sizeof *p.lanes);
    make_slots(&p, out);
    mica_progress_begin(&p.progress, "calibration", "samples", (int64_t)samples);
    p.progress.quiet = p.progress.quiet || options->quiet;
    pthread_mutex_init(&p.lock, NULL);
    mica_status status = make_lanes(&p, out, options->threads, err);
    if (status == MICA_OK) {
        status = take_over(&p, out, err);
    }
    if (status == MICA_OK) {
        status = run_samples(&p, out, err);
    }
    pthread_mutex_destroy(&p.lock);
    free_lanes(&p, out);
    mica_free(p.slots);
    return status;
}

/* Puts what was counted among the statistics known before, in execution order. */
static void add_known(const mrt_plan *plan, const mica_statistics *known, mica_statistics *out) {
    mica_map *by_name = mica_map_create();
    for (size_t i = 0; i < known->count + out->count; ++i) {
        mica_tensor_statistics *t = i < known->count ? &known->tensors[i] : &out->tensors[i - known->count];
        mica_map_set(by_name, t->name, t);
    }
    mica_tensor_statistics *all = mica_alloc(((size_t)plan->n_tensors + 1) * sizeof *all);
    size_t count = 0;
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const char *name = plan->tensors[id].info.name;
        const mica_tensor_statistics *t = is_observed(plan, id) ? mica_map_get(by_name, name) : NULL;
        if (t != NULL) {
            all[count] = mica_tensor_copy(t);
            all[count++].name = name;
        }
    }
    mica_map_destroy(by_name);
    mica_statistics_free(out);
    *out = (mica_statistics){.tensors = all, .count = count, .samples = known->samples};
}

/* Behind a cut nothing is quantized: that part is not even run. */
mica_status mica_calibration_plan(mica_module *module, mica_module **out_front, mrt_plan **out_plan) {
    mica_op *func = mica_module_func(module, "main");
    if (func == NULL || mica_top_narrow_f64(module) != MICA_OK) {
        return MICA_FAIL;
    }
    *out_front = mica_top_front(module);
    mica_module *run = *out_front != NULL ? *out_front : module;
    return mica_plan_func(run, mica_module_func(run, "main"), &(mica_plan_options){0}, out_plan);
}

mica_status mica_collect(mica_module *module, const mica_dataset *dataset,
                         const mica_collect_options *options, mica_statistics *out, mica_error *err) {
    memset(out, 0, sizeof *out);
    mrt_plan *plan = NULL;
    mica_module *front = NULL;
    if (mica_calibration_plan(module, &front, &plan) != MICA_OK) {
        mica_module_destroy(front);
        return mica_fail(err, "the model cannot be executed (see the messages above)");
    }
    const double start = mica_seconds();
    mica_status status = run_pass(plan, dataset, options, out, err);
    if (status == MICA_OK && options->again != NULL) {
        add_known(plan, options->known, out);
    }
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

mica_status mica_collect_statistics(mica_module *module, const mica_dataset *dataset, int threads,
                                    bool quiet, mica_statistics *out, mica_error *err) {
    return mica_collect(module, dataset, &(mica_collect_options){.threads = threads, .quiet = quiet},
                        out, err);
}
