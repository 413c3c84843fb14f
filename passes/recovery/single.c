#include "passes/recovery/single.h"

#include <string.h>

#include "utils/arena.h"

struct mica_single {
    mrt_plan *plan;
    mrt_exec *exec;
    const mrt_plan *source;
    const mrt_step *step;
    int32_t *in, *out; /* ids in the plan; -1: absent or constant */
};

static mrt_status build(mica_single *s, int32_t replaced, const void *data, mrt_pool *pool, mrt_error *error) {
    const mrt_step *step = s->step;
    int32_t *ids = mica_alloc(((size_t)step->n_in + (size_t)step->n_out + 1) * sizeof *ids);
    for (int32_t i = 0; i < step->n_in; ++i) {
        s->in[i] = ids[i] = -1;
        if (step->in[i] >= 0) {
            const mrt_plan_tensor *t = &s->source->tensors[step->in[i]];
            const bool constant = t->kind == MRT_CONST;
            mrt_tensor info = t->info;
            info.data = !constant ? NULL : i == replaced ? (void *)(uintptr_t)data : info.data;
            ids[i] = mrt_plan_add_tensor(s->plan, &info, constant ? MRT_CONST : MRT_INPUT);
            s->in[i] = constant ? -1 : ids[i];
        }
    }
    for (int32_t i = 0; i < step->n_out; ++i) {
        mrt_tensor info = s->source->tensors[step->out[i]].info;
        info.data = NULL;
        s->out[i] = ids[step->n_in + i] = mrt_plan_add_tensor(s->plan, &info, MRT_VALUE);
    }
    mrt_plan_add_step(s->plan, step->kernel->code, step->params, ids, step->n_in, ids + step->n_in, step->n_out,
                      step->op);
    for (int32_t i = 0; i < step->n_out; ++i) {
        mrt_plan_add_output(s->plan, s->out[i]);
    }
    mica_free(ids);
    const mrt_status status = mrt_plan_finalize(s->plan, false, error);
    return status == MRT_OK ? mrt_exec_create(s->plan, pool, &s->exec, error) : status;
}

mica_single *mica_single_open(const mrt_plan *plan, int32_t step, int32_t replaced, const void *data, mrt_pool *pool,
                              mica_error *err) {
    mica_single *s = mica_alloc(sizeof *s);
    *s = (mica_single){.plan = mrt_plan_create(), .source = plan, .step = &plan->steps[step]};
    s->in = mica_alloc(((size_t)s->step->n_in + 1) * sizeof *s->in);
    s->out = mica_alloc(((size_t)s->step->n_out + 1) * sizeof *s->out);
    mrt_error error;
    if (build(s, replaced, data, pool, &error) != MRT_OK) {
        (void)!mica_fail(err, "%s", error.text);
        mica_single_close(s);
        return NULL;
    }
    return s;
}

void mica_single_close(mica_single *s) {
    if (s == NULL) {
        return;
    }
    if (s->exec != NULL) {
        mrt_exec_destroy(s->exec);
    }
    mrt_plan_destroy(s->plan);
    mica_free(s->in);
    mica_free(s->out);
    mica_free(s);
}

void mica_single_run(mica_single *s, const void *const *in, void *const *out) {
    for (int32_t i = 0; i < s->step->n_in; ++i) {
        if (s->in[i] >= 0) {
            memcpy(mrt_exec_tensor(s->exec, s->in[i])->data, in[i], (size_t)s->plan->tensors[s->in[i]].bytes);
        }
    }
    mrt_exec_run(s->exec, NULL, NULL);
    for (int32_t i = 0; i < s->step->n_out; ++i) {
        memcpy(out[i], mrt_exec_tensor(s->exec, s->out[i])->data, (size_t)s->plan->tensors[s->out[i]].bytes);
    }
}
