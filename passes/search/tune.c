#include "passes/search/tune.h"

#include <math.h>
#include <string.h>

#include "passes/search/lowered.h"
#include "runtime/mrt_exec.h"
#include "utils/arena.h"
#include "utils/progress.h"

void mica_tune_steps(const mica_tensor_statistics *statistics, double threshold, mica_tune_tensor *out) {
    enum { STEPS = 21 };
    const mica_histogram *h = &statistics->histogram;
    const double largest = fmax(fabs((double)h->min), fabs((double)h->max));
    *out = (mica_tune_tensor){.name = statistics->name, .is_signed = h->is_signed};
    const int steps = largest - threshold > 0.01 * largest ? STEPS : 0;
    for (int i = 0; i <= steps; ++i) {
        const double t = threshold + (steps > 0 ? (largest - threshold) * i / steps : 0.0);
        out->candidates[out->n++] = mica_range_of(h, t);
    }
}

/* The ops behind one tensor. */
typedef struct readers {
    int32_t tensor; /* root; -1: nothing to do */
    bool *wanted;   /* steps */
    int32_t *outputs;
    int32_t n_outputs;
    int64_t total;  /* values of all outputs */
} readers;

typedef struct tuner {
    const mrt_plan *plan;
    mrt_exec *exec;
    mrt_pool *pool;
    mrt_tensor **inputs;
    readers *list;
    bool asymmetric;
    float *value, *rounded, *want, *got;
} tuner;

static int64_t elements(const mrt_plan *plan, int32_t id) {
    return mrt_shape_count(&plan->tensors[id].info.shape);
}

static void find_readers(const mrt_plan *plan, const char *name, readers *out) {
    const int32_t id = mrt_plan_find(plan, name);
    *out = (readers){.tensor = -1};
    if (id < 0 || plan->tensors[id].info.dtype != MRT_F32 || plan->tensors[id].kind == MRT_CONST) {
        return;
    }
    const int32_t root = plan->tensors[id].root;
    out->wanted = mica_alloc((size_t)plan->n_steps + 1);
    out->outputs = mica_alloc(((size_t)plan->n_tensors + 1) * sizeof *out->outputs);
    for (int32_t s = 0; s < plan->n_steps; ++s) {
        const mrt_step *step = &plan->steps[s];
        bool reads = false;
        for (int32_t i = 0; i < step->n_in; ++i) {
            reads = reads || (step->in[i] >= 0 && plan->tensors[step->in[i]].root == root);
        }
        out->wanted[s] = reads;
        for (int32_t i = 0; reads && i < step->n_out; ++i) {
            if (step->out[i] >= 0 && plan->tensors[step->out[i]].info.dtype == MRT_F32) {
                out->outputs[out->n_outputs++] = step->out[i];
                out->total += elements(plan, step->out[i]);
            }
        }
    }
    out->tensor = out->n_outputs > 0 ? root : -1;
}

static void load(const tuner *t, const readers *r, float *to) {
    for (int32_t i = 0; i < r->n_outputs; ++i) {
        mrt_exec_get(t->exec, r->outputs[i], to);
        to += elements(t->plan, r->outputs[i]);
    }
}

static void quantize(const float *x, int64_t n, mica_grid grid, float *out) {
    const float step = (float)grid.step;
    const float low = (float)-grid.negative;
    const float high = (float)grid.positive;
    for (int64_t i = 0; i < n; ++i) {
        const float q = fminf(fmaxf(rintf(x[i] / step), low), high);
        out[i] = x[i] - x[i] == 0.0f ? q * step : x[i];
    }
}

/* Noise over signal, summed over the outputs. */
static double distance(const tuner *t, const readers *r) {
    double sum = 0.0;
    const float *a = t->want;
    const float *b = t->got;
    for (int32_t i = 0; i < r->n_outputs; ++i) {
        const int64_t n = elements(t->plan, r->outputs[i]);
        double noise = 0.0;
        double signal = 1e-30;
        for (int64_t k = 0; k < n; ++k) {
            const double e = (double)a[k] - (double)b[k];
            if (isfinite(e)) {
                noise += e * e;
                signal += (double)a[k] * (double)a[k];
            }
        }
        sum += noise / signal;
        a += n;
        b += n;
    }
    return sum;
}

/* One sample has run: tries every candidate, and leaves all tensors as they were. */
static void try_tensor(const tuner *t, const readers *r, mica_tune_tensor *tensor) {
    const int64_t n = elements(t->plan, r->tensor);
    mrt_exec_get(t->exec, r->tensor, t->value);
    load(t, r, t->want);
    for (size_t c = 0; c < tensor->n; ++c) {
        const mica_range *range = &tensor->candidates[c];
        quantize(t->value, n, t->asymmetric ? mica_asymmetric_grid(range->min, range->max)
                                            : mica_symmetric_grid(tensor->is_signed, 8, range->threshold),
                 t->rounded);
        mrt_exec_set(t->exec, r->tensor, t->rounded);
        mrt_exec_run_steps(t->exec, r->wanted);
        load(t, r, t->got);
        tensor->losses[c] += distance(t, r);
    }
    mrt_exec_set(t->exec, r->tensor, t->value);
    mrt_exec_run_steps(t->exec, r->wanted);
}

static mica_status run(tuner *t, const mica_dataset *dataset, size_t samples, bool quiet,
                       mica_tune_tensor *tensors, size_t count, mica_error *err) {
    mica_progress progress;
    mica_progress_begin(&progress, "tuning", "tensors", (int64_t)(samples * count));
    progress.quiet = progress.quiet || quiet;
    for (size_t s = 0; s < samples; ++s) {
        MICA_TRY(mica_dataset_read(dataset, s, t->inputs, (size_t)t->plan->n_inputs, err));
        mrt_exec_run(t->exec, NULL, NULL);
        for (size_t i = 0; i < count; ++i) {
            if (t->list[i].tensor >= 0 && tensors[i].n > 1) {
                try_tensor(t, &t->list[i], &tensors[i]);
            }
            mica_progress_step(&progress, 1);
        }
    }
    mica_progress_end(&progress);
    for (size_t i = 0; i < count; ++i) {
        for (size_t c = 1; c < tensors[i].n; ++c) {
            tensors[i].best = tensors[i].losses[c] < tensors[i].losses[tensors[i].best] ? c : tensors[i].best;
        }
    }
    return MICA_OK;
}

static mica_status prepare(tuner *t, int threads, const mica_tune_tensor *tensors, size_t count, mica_error *err) {
    mrt_error error;
    t->pool = threads > 1 ? mrt_pool_create(threads) : NULL;
    if (mrt_exec_create(t->plan, t->pool, &t->exec, &error) != MRT_OK) {
        return mica_fail(err, "%s", error.text);
    }
    t->inputs = mica_alloc(((size_t)t->plan->n_inputs + 1) * sizeof *t->inputs);
    for (int32_t i = 0; i < t->plan->n_inputs; ++i) {
        t->inputs[i] = mrt_exec_tensor(t->exec, t->plan->inputs[i]);
    }
    int64_t widest = 1;
    for (size_t i = 0; i < count; ++i) {
        find_readers(t->plan, tensors[i].name, &t->list[i]);
        if (t->list[i].tensor >= 0) {
            const int64_t own = elements(t->plan, t->list[i].tensor);
            widest = own > widest ? own : widest;
            widest = t->list[i].total > widest ? t->list[i].total : widest;
        }
    }
    float **buffers[4] = {&t->value, &t->rounded, &t->want, &t->got};
    for (int i = 0; i < 4; ++i) {
        *buffers[i] = mica_alloc((size_t)widest * sizeof(float));
    }
    return MICA_OK;
}

mica_status mica_tune(mica_module *module, const mica_dataset *dataset, size_t samples, bool asymmetric,
                      int threads, bool quiet, mica_tune_tensor *tensors, size_t count, mica_error *err) {
    mica_lowered *lowered = mica_lowered_open(module, &(mica_lowered_options){.keep_all = true}, err);
    if (lowered == NULL) {
        return MICA_FAIL;
    }
    tuner t = {.plan = lowered->plan, .asymmetric = asymmetric};
    t.list = mica_alloc((count + 1) * sizeof *t.list);
    mica_status status = prepare(&t, threads, tensors, count, err);
    status = status == MICA_OK ? run(&t, dataset, samples, quiet, tensors, count, err) : status;
    for (size_t i = 0; i < count; ++i) {
        mica_free(t.list[i].wanted);
        mica_free(t.list[i].outputs);
    }
    mica_free(t.list);
    mica_free(t.inputs);
    mica_free(t.value);
    mica_free(t.rounded);
    mica_free(t.want);
    mica_free(t.got);
    mrt_exec_destroy(t.exec);
    mrt_pool_destroy(t.pool);
    mica_lowered_close(lowered);
    return status;
}
