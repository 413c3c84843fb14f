#include "passes/recovery/span.h"

#include <string.h>

#include "dialects/plan.h"
#include "dialects/top/cut.h"
#include "ir/builder.h"
#include "passes/lowering/lowering.h"
#include "utils/arena.h"

static mica_status lower(mica_span_side *s, const mica_recovery_options *options, mica_error *err) {
    const mica_lowering_options lowering = {.processor = options->processor, .mode = options->mode, .qtable = options->qtable,
                                            .asymmetric = options->asymmetric, .pow2 = options->pow2};
    return mica_lower_module(s->top, &lowering, &s->tpu, NULL) == MICA_OK
               ? MICA_OK
               : mica_fail(err, "a part of the model cannot be quantized (see the messages above)");
}

static mica_status open_side(mica_span_side *s, mica_module *module, const mica_recovery_job *job, bool quantized,
                             const mica_cut *cut, int lanes, mica_error *err) {
    const mica_recovery_options *options = job->options;
    s->top = mica_module_clone(module);
    MICA_TRY(quantized ? mica_import_calibration(s->top, job->table, options->asymmetric, err) : MICA_OK);
    MICA_TRY(mica_top_cut(s->top, cut, err));
    MICA_TRY(quantized ? lower(s, options, err) : MICA_OK);
    mica_module *run = s->tpu != NULL ? s->tpu : s->top;
    if (mica_plan_func(run, mica_module_func(run, "main"), &(mica_plan_options){0}, &s->plan) != MICA_OK) {
        return mica_fail(err, "a part of the model cannot be executed (see the messages above)");
    }
    if (s->plan->n_symbols > 0) {
        return mica_fail(err, "the model has sizes that depend on data; it cannot be recovered in parts");
    }
    s->plan->outputs_only = true;
    s->execs = mica_alloc((size_t)lanes * sizeof *s->execs);
    memset(s->execs, 0, (size_t)lanes * sizeof *s->execs);
    for (int i = 0; i < lanes; ++i) {
        mrt_error error;
        if (mrt_exec_create(s->plan, NULL, &s->execs[i], &error) != MRT_OK) {
            return mica_fail(err, "%s", error.text);
        }
    }
    return MICA_OK;
}

/* Outputs of both sides have to be of one type. */
static mica_status check(const mica_span *s, mica_error *err) {
    const mrt_plan *a = s->side[0].plan;
    const mrt_plan *b = s->side[1].plan;
    for (int32_t i = 0; i < a->n_outputs; ++i) {
        if (a->tensors[a->outputs[i]].info.dtype != b->tensors[b->outputs[i]].info.dtype) {
            return mica_fail(err, "'%s' has another type in the quantized model", a->tensors[a->outputs[i]].info.name);
        }
    }
    return MICA_OK;
}

mica_status mica_span_open(mica_span *s, const mica_prefix *p, const char *const *inputs, size_t n_inputs,
                           const char *const *outputs, size_t n_outputs, mica_error *err) {
    const mica_cut cut = {.inputs = inputs, .n_inputs = n_inputs, .outputs = outputs, .n_outputs = n_outputs};
    *s = (mica_span){.lanes = p->lanes};
    mica_status status = open_side(&s->side[0], p->reference, p->job, false, &cut, p->lanes, err);
    status = status == MICA_OK ? open_side(&s->side[1], p->work, p->job, true, &cut, p->lanes, err) : status;
    return status == MICA_OK ? check(s, err) : status;
}

void mica_span_close(mica_span *s) {
    for (int k = 0; k < 2; ++k) {
        mica_span_side *side = &s->side[k];
        for (int i = 0; i < s->lanes && side->execs != NULL; ++i) {
            mrt_exec_destroy(side->execs[i]);
        }
        mica_free(side->execs);
        if (side->plan != NULL) {
            mrt_plan_destroy(side->plan);
        }
        if (side->tpu != NULL) {
            mica_module_destroy(side->tpu);
        }
        if (side->top != NULL) {
            mica_module_destroy(side->top);
        }
    }
    *s = (mica_span){0};
}

static size_t bytes_of(const mrt_tensor *t) {
    return (size_t)mrt_shape_count(&t->shape) * mrt_dtype_bytes(t->dtype);
}

void mica_span_run(const mica_span *s, int side, int lane, const void *const *inputs, void *const *outputs) {
    const mrt_plan *plan = s->side[side].plan;
    mrt_exec *exec = s->side[side].execs[lane];
    for (int32_t i = 0; i < plan->n_inputs; ++i) {
        mrt_tensor *t = mrt_exec_tensor(exec, plan->inputs[i]);
        memcpy(t->data, inputs[i], bytes_of(t));
    }
    mrt_exec_run(exec, NULL, NULL);
    for (int32_t i = 0; i < plan->n_outputs; ++i) {
        const mrt_tensor *t = mrt_exec_tensor(exec, plan->outputs[i]);
        memcpy(outputs[i], t->data, bytes_of(t));
    }
}
