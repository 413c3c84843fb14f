/* Bias correction layer after layer. The quantized plan goes step by step, each step over all samples, so that
 * only values that later steps read are kept; a layer is corrected when it has been reached, and its results are
 * made again before anything reads them. So the whole difference can be taken: what earlier layers did is gone
 * from it, but for what only this layer can mend (rounding behind an activation, clipping). */
#include <math.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/bias.h"
#include "passes/recovery/single.h"
#include "runtime/mrt_quant.h"
#include "utils/arena.h"
#include "utils/progress.h"

typedef struct chain {
    const mica_recovery_job *job;
    mica_module *module;
    const mrt_plan *plan; /* quantized */
    mrt_pool *pool;
    mica_bias_part **makers; /* per tensor of the plan: layer whose result it is */
    void **values;           /* [sample * tensors + root]; NULL: not there */
    size_t samples;
    float *room;
} chain;

/* --- means of the float model --- */

typedef struct float_run {
    const mica_bias_parts *parts;
    mica_bias_part **makers;
    int32_t *inputs; /* per part: tensor that the layer reads */
    size_t sample;
} float_run;

static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    const float_run *r = user;
    for (size_t i = 0; i < r->parts->count && tensor->dtype == MRT_F32; ++i) {
        if (r->inputs[i] == id) {
            mica_bias_weigh(&r->parts->list[i], r->sample, r->parts->samples, tensor->data, mrt_shape_count(&tensor->shape));
        }
    }
    if (r->makers[id] != NULL && tensor->dtype == MRT_F32) {
        mica_bias_add_want(r->makers[id], r->sample, tensor->data, mrt_shape_count(&tensor->shape));
    }
}

static mica_bias_part **makers_of(const mrt_plan *plan, const mica_bias_parts *parts) {
    const size_t bytes = ((size_t)plan->n_tensors + 1) * sizeof(mica_bias_part *);
    mica_bias_part **makers = mica_alloc(bytes);
    memset(makers, 0, bytes);
    for (size_t i = 0; i < parts->count; ++i) {
        const int32_t id = mrt_plan_find(plan, parts->list[i].output);
        if (id >= 0) {
            makers[id] = &parts->list[i];
        }
    }
    return makers;
}

static mica_status run_float(const mica_recovery_job *job, const mica_bias_parts *parts, mica_error *err) {
    mica_runner *want = mica_runner_open(job->reference, NULL, job->options, err);
    if (want == NULL) {
        return MICA_FAIL;
    }
    float_run r = {.parts = parts, .makers = makers_of(mica_runner_plan(want), parts)};
    r.inputs = mica_alloc((parts->count + 1) * sizeof *r.inputs);
    for (size_t i = 0; i < parts->count; ++i) {
        r.inputs[i] = mrt_plan_find(mica_runner_plan(want), parts->list[i].input);
    }
    mica_status status = MICA_OK;
    for (; r.sample < parts->samples && status == MICA_OK; ++r.sample) {
        const size_t at = mica_spread_sample(r.sample, parts->samples, job->trained);
        status = mica_runner_run(want, job->dataset, at, observe, &r, err);
    }
    mica_free(r.makers);
    mica_free(r.inputs);
    mica_runner_close(want);
    return status;
}

/* --- values --- */

static void **value_of(const chain *c, size_t sample, int32_t tensor) {
    return &c->values[sample * (size_t)c->plan->n_tensors + (size_t)c->plan->tensors[tensor].root];
}

static mica_status read_inputs(const chain *c, mica_error *err) {
    const mrt_plan *plan = c->plan;
    mrt_tensor *tensors = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof *tensors);
    mrt_tensor **inputs = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof *inputs);
    mica_status status = MICA_OK;
    for (size_t s = 0; s < c->samples && status == MICA_OK; ++s) {
        for (int32_t i = 0; i < plan->n_inputs; ++i) {
            const mrt_plan_tensor *t = &plan->tensors[plan->inputs[i]];
            void **value = value_of(c, s, plan->inputs[i]);
            *value = mica_alloc((size_t)t->bytes + 1);
            tensors[i] = t->info;
            tensors[i].data = *value;
            inputs[i] = &tensors[i];
        }
        status = mica_dataset_read(c->job->dataset, mica_spread_sample(s, c->samples, c->job->trained), inputs,
                                   (size_t)plan->n_inputs, err);
    }
    mica_free(tensors);
    mica_free(inputs);
    return status;
}

/* Frees what no step behind `step` reads. */
static void forget(const chain *c, int32_t step) {
    for (int32_t id = 0; id < c->plan->n_tensors; ++id) {
        const mrt_plan_tensor *t = &c->plan->tensors[id];
        for (size_t s = 0; s < c->samples && t->root == id && t->last_step <= step; ++s) {
            void **value = value_of(c, s, id);
            mica_free(*value);
            *value = NULL;
        }
    }
}

/* Runs a step over all samples; results replace those of an earlier run. */
static mica_status run_step(chain *c, int32_t index, int32_t replaced, const void *data, mica_error *err) {
    const mrt_step *step = &c->plan->steps[index];
    mica_single *alone = mica_single_open(c->plan, index, replaced, data, c->pool, err);
    if (alone == NULL) {
        return MICA_FAIL;
    }
    const void **in = mica_alloc(((size_t)step->n_in + 1) * sizeof *in);
    void **out = mica_alloc(((size_t)step->n_out + 1) * sizeof *out);
    for (size_t s = 0; s < c->samples; ++s) {
        for (int32_t i = 0; i < step->n_in; ++i) {
            in[i] = step->in[i] >= 0 ? *value_of(c, s, step->in[i]) : NULL;
        }
        for (int32_t i = 0; i < step->n_out; ++i) {
            void **value = value_of(c, s, step->out[i]);
            if (*value == NULL) {
                *value = mica_alloc((size_t)c->plan->tensors[step->out[i]].bytes + 1);
            }
            out[i] = *value;
        }
        mica_single_run(alone, in, out);
    }
    mica_free(in);
    mica_free(out);
    mica_single_close(alone);
    return MICA_OK;
}

static double measure(chain *c, mica_bias_part *p, int32_t tensor) {
    mrt_tensor t = c->plan->tensors[tensor].info;
    p->gots = 0;
    for (size_t s = 0; s < c->samples; ++s) {
        t.data = *value_of(c, s, tensor);
        const float *y = mica_bias_values(&t, &c->room);
        if (y != NULL) {
            mica_bias_add_got(p, s, y, mrt_shape_count(&t.shape));
        }
    }
    return p->wants == c->samples && p->gots == c->samples ? mica_bias_distance(p, c->samples) : 0.0;
}

/* --- one layer --- */

/* The integer biases that the lowering makes of corrected ones. */
static int32_t *moved_bias(const chain *c, const mica_layer *l, const int32_t *old, const double *delta) {
    const double in_scale = mica_input_scale(c->job, l);
    int32_t *moved = mica_alloc((size_t)(l->rows + 1) * sizeof *moved);
    int8_t *q = mica_alloc((size_t)l->per + 1);
    for (int64_t o = 0; o < l->rows; ++o) {
        const double before = l->bias != NULL ? (double)l->bias[o] : 0.0;
        double scale = 0.0;
        (void)mica_layer_row(c->job, l, o, q, &scale);
        const int64_t by = (int64_t)mrt_bias_fold((double)(float)(before + delta[o]), in_scale, scale, 0, 0) -
                           mrt_bias_fold(before, in_scale, scale, 0, 0);
        const int64_t sum = old[o] + by;
        moved[o] = (int32_t)(sum < INT32_MIN ? INT32_MIN : sum > INT32_MAX ? INT32_MAX : sum);
    }
    mica_free(q);
    return moved;
}

/* Operand of the step that holds the integer biases; -1: the layer is not one of integers. */
static int32_t bias_operand(const chain *c, int32_t index, const mica_layer *l) {
    enum { BIAS = 2 };
    const mrt_step *step = &c->plan->steps[index];
    const mrt_plan_tensor *t = step->n_in > BIAS && step->in[BIAS] >= 0 ? &c->plan->tensors[step->in[BIAS]] : NULL;
    return t != NULL && t->kind == MRT_CONST && t->info.dtype == MRT_I32 && mrt_shape_count(&t->info.shape) == l->rows
               ? BIAS
               : -1;
}

static mica_status correct(chain *c, int32_t index, int32_t tensor, size_t *changed, mica_error *err) {
    mica_bias_part *p = c->makers[tensor];
    const mica_layer *l = p->layer;
    const int32_t operand = bias_operand(c, index, l);
    const double before = operand >= 0 ? measure(c, p, tensor) : 0.0;
    if (!(before > 0.0)) {
        return MICA_OK;
    }
    double *delta = mica_alloc((size_t)(l->rows + 1) * sizeof *delta);
    mica_bias_deltas(p, c->samples, delta);
    int32_t *moved = moved_bias(c, l, c->plan->tensors[c->plan->steps[index].in[operand]].info.data, delta);
    mica_status status = run_step(c, index, operand, moved, err);
    if (status == MICA_OK && measure(c, p, tensor) < before) {
        *changed += mica_layer_add_bias(c->module, l, delta);
    } else if (status == MICA_OK) {
        status = run_step(c, index, -1, NULL, err);
    }
    mica_free(moved);
    mica_free(delta);
    return status;
}

/* Sizes that depend on data end the way: what they reach is not run. */
static bool can_run(const chain *c, const mrt_step *step) {
    for (int32_t i = 0; i < step->n_in; ++i) {
        const bool is_value = step->in[i] >= 0 && c->plan->tensors[step->in[i]].kind != MRT_CONST;
        if (is_value && *value_of(c, 0, step->in[i]) == NULL) {
            return false;
        }
    }
    for (int32_t i = 0; i < step->n_out; ++i) {
        if (mrt_plan_depends_on_data(c->plan, step->out[i])) {
            return false;
        }
    }
    return true;
}

static mica_status walk(chain *c, size_t *changed, mica_error *err) {
    MICA_TRY(read_inputs(c, err));
    mica_progress progress;
    mica_progress_begin(&progress, "biases", "steps", c->plan->n_steps);
    progress.quiet = progress.quiet || c->job->options->quiet;
    for (int32_t i = 0; i < c->plan->n_steps; ++i) {
        const mrt_step *step = &c->plan->steps[i];
        const bool runs = can_run(c, step);
        MICA_TRY(runs ? run_step(c, i, -1, NULL, err) : MICA_OK);
        for (int32_t o = 0; runs && o < step->n_out; ++o) {
            if (c->makers[step->out[o]] != NULL) {
                MICA_TRY(correct(c, i, step->out[o], changed, err));
            }
        }
        forget(c, i);
        mica_progress_step(&progress, 1);
    }
    mica_progress_end(&progress);
    return MICA_OK;
}

mica_status mica_bias_sequential(mica_module *module, const mica_recovery_job *job, mica_bias_parts *parts,
                                 size_t *changed, mica_error *err) {
    MICA_TRY(run_float(job, parts, err));
    mica_runner *got = mica_runner_open(module, job->table, job->options, err);
    if (got == NULL) {
        return MICA_FAIL;
    }
    chain c = {.job = job, .module = module, .plan = mica_runner_plan(got), .samples = parts->samples,
               .pool = mrt_pool_create(job->options->threads)};
    const size_t cells = c.samples * (size_t)c.plan->n_tensors + 1;
    c.makers = makers_of(c.plan, parts);
    c.values = mica_alloc(cells * sizeof *c.values);
    memset(c.values, 0, cells * sizeof *c.values);
    const mica_status status = walk(&c, changed, err);
    for (size_t i = 0; i < cells; ++i) {
        mica_free(c.values[i]);
    }
    mica_free(c.values);
    mica_free(c.makers);
    mica_free(c.room);
    mrt_pool_destroy(c.pool);
    mica_runner_close(got);
    return status;
}
