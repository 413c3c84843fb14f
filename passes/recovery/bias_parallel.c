/* Bias correction from one run, all layers at once. The whole difference at a layer holds what the layers before
 * it did; corrected there and here it would be corrected twice. So each layer counts only what it does itself:
 * its float form runs on the values that its quantized form reads, and the means of both are compared. */
#include <string.h>

#include "passes/recovery/bias.h"
#include "passes/recovery/single.h"
#include "utils/arena.h"
#include "utils/map.h"
#include "utils/progress.h"

typedef struct watch {
    mica_bias_part *part;
    mica_single *alone; /* float step */
    const mrt_plan *plan; /* of the float model */
    int32_t step, input;  /* index of the operand that is not constant */
    struct watch *next;   /* with the same input */
} watch;

typedef struct run_state {
    watch **readers; /* per tensor of the quantized plan */
    watch **makers;
    float *room;     /* of the values that layers read, and of what they make */
    size_t sample, samples;
} run_state;

static void run_float(run_state *r, const watch *w, const float *x, int64_t count) {
    const mrt_step *step = &w->plan->steps[w->step];
    const mrt_plan_tensor *in = &w->plan->tensors[step->in[w->input]];
    const mrt_plan_tensor *out = &w->plan->tensors[step->out[0]];
    if (mrt_shape_count(&in->info.shape) != count) {
        return;
    }
    mica_bias_weigh(w->part, r->sample, r->samples, x, count);
    const void **operands = mica_alloc(((size_t)step->n_in + 1) * sizeof *operands);
    float *y = mica_alloc((size_t)out->bytes + 1);
    void *results[1] = {y};
    memset(operands, 0, (size_t)step->n_in * sizeof *operands);
    operands[w->input] = x;
    mica_single_run(w->alone, operands, results);
    mica_bias_add_want(w->part, r->sample, y, mrt_shape_count(&out->info.shape));
    mica_free(operands);
    mica_free(y);
}

static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    run_state *r = user;
    if (r->readers[id] == NULL && r->makers[id] == NULL) {
        return;
    }
    const float *x = mica_bias_values(tensor, &r->room);
    const int64_t count = mrt_shape_count(&tensor->shape);
    for (const watch *w = r->readers[id]; w != NULL && x != NULL; w = w->next) {
        run_float(r, w, x, count);
    }
    if (r->makers[id] != NULL && x != NULL) {
        mica_bias_add_got(r->makers[id]->part, r->sample, x, count);
    }
}

/* Layers whose float form is one step that reads one value. */
static bool find_step(watch *w, const mrt_plan *plan) {
    const int32_t id = mrt_plan_find(plan, w->part->output);
    w->plan = plan;
    w->step = id >= 0 && plan->tensors[id].root == id ? plan->tensors[id].def_step : -1;
    w->input = -1;
    const mrt_step *step = w->step >= 0 ? &plan->steps[w->step] : NULL;
    for (int32_t i = 0; step != NULL && i < step->n_in; ++i) {
        if (step->in[i] >= 0 && plan->tensors[step->in[i]].kind != MRT_CONST) {
            if (w->input >= 0 || plan->tensors[step->in[i]].info.dtype != MRT_F32) {
                return false;
            }
            w->input = i;
        }
    }
    return w->input >= 0 && step->n_out == 1 && plan->tensors[step->out[0]].info.dtype == MRT_F32;
}

static void connect(run_state *r, const mrt_plan *plan, watch *list, size_t n) {
    const size_t bytes = ((size_t)plan->n_tensors + 1) * sizeof(watch *);
    r->readers = mica_alloc(bytes);
    r->makers = mica_alloc(bytes);
    memset(r->readers, 0, bytes);
    memset(r->makers, 0, bytes);
    for (size_t i = 0; i < n; ++i) {
        const int32_t in = mrt_plan_find(plan, list[i].part->input);
        const int32_t out = mrt_plan_find(plan, list[i].part->output);
        if (in >= 0 && out >= 0) {
            list[i].next = r->readers[in];
            r->readers[in] = &list[i];
            r->makers[out] = &list[i];
        }
    }
}

static mica_status run(mica_runner *got, const mica_recovery_job *job, run_state *r, size_t samples, mica_error *err) {
    mica_progress progress;
    mica_progress_begin(&progress, "means", "samples", (int64_t)samples);
    progress.quiet = progress.quiet || job->options->quiet;
    for (r->sample = 0; r->sample < samples; ++r->sample) {
        const size_t at = mica_spread_sample(r->sample, samples, job->trained);
        MICA_TRY(mica_runner_run(got, job->dataset, at, observe, r, err));
        mica_progress_step(&progress, 1);
    }
    mica_progress_end(&progress);
    return MICA_OK;
}

static void correct(mica_module *module, const mica_bias_parts *parts, size_t *changed) {
    for (size_t i = 0; i < parts->count; ++i) {
        const mica_bias_part *p = &parts->list[i];
        if (p->wants != parts->samples || p->gots != parts->samples) {
            continue;
        }
        double *delta = mica_alloc((size_t)(p->layer->rows + 1) * sizeof *delta);
        mica_bias_deltas(p, parts->samples, delta);
        *changed += mica_layer_add_bias(module, p->layer, delta);
        mica_free(delta);
    }
}

mica_status mica_bias_parallel(mica_module *module, const mica_recovery_job *job, mica_bias_parts *parts,
                               size_t *changed, mica_error *err) {
    mica_runner *want = mica_runner_open(job->layerwise, NULL, job->options, err);
    mica_runner *got = want != NULL ? mica_runner_open(module, job->table, job->options, err) : NULL;
    mica_status status = got != NULL ? MICA_OK : MICA_FAIL;
    mrt_pool *pool = mrt_pool_create(job->options->threads);
    watch *list = mica_alloc((parts->count + 1) * sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < parts->count && status == MICA_OK; ++i) {
        list[n] = (watch){.part = &parts->list[i]};
        if (find_step(&list[n], mica_runner_plan(want))) {
            list[n].alone = mica_single_open(list[n].plan, list[n].step, -1, NULL, pool, err);
            status = list[n].alone != NULL ? MICA_OK : MICA_FAIL;
            n += status == MICA_OK;
        }
    }
    if (status == MICA_OK) {
        run_state r = {.samples = parts->samples};
        connect(&r, mica_runner_plan(got), list, n);
        status = run(got, job, &r, parts->samples, err);
        mica_free(r.readers);
        mica_free(r.makers);
        mica_free(r.room);
    }
    if (status == MICA_OK) {
        correct(module, parts, changed);
    }
    for (size_t i = 0; i < n; ++i) {
        mica_single_close(list[i].alone);
    }
    mica_free(list);
    mrt_pool_destroy(pool);
    mica_runner_close(got);
    mica_runner_close(want);
    return status;
}
