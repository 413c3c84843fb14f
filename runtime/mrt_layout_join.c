/* Sums joined to the convolution before them, in plans of which only outputs are read. */
#include "runtime/mrt_layout_private.h"
#include "runtime/mrt_params.h"

/* The only step that takes the value, or NULL. */
static const mrt_step *only_user(const mrt_derivation *d, int32_t id) {
    const mrt_plan *source = d->source;
    const int32_t last = source->tensors[id].last_step;
    if (d->uses[id] != 1 || last <= d->step || last >= source->n_steps) {
        return NULL;
    }
    return &source->steps[last];
}

int32_t mrt_layout_join_add(const mrt_derivation *d, mrt_draft *r) {
    const mrt_step *step = r->step;
    mrt_conv_params *p = (void *)r->params;
    if (r->kernel != MRT_K_conv_nhwc_f32 || p->act != MRT_ACT_NONE) {
        return -1;
    }
    const bool depthwise = p->group > 1 && mrt_layout_info(d, step->in[1])->shape.dims[1] == 1;
    const mrt_step *add = only_user(d, step->out[0]);
    if (!add || depthwise || add->kernel->code != MRT_K_binary || add->n_in != 2) {
        return -1;
    }
    const mrt_binary_params *sum = add->params;
    const int32_t other = add->in[add->in[0] == step->out[0] ? 1 : 0];
    const mrt_tensor *y = mrt_layout_info(d, step->out[0]);
    if (sum->op != MRT_BINARY_ADD || other < 0 || !mrt_layout_is_value(d, other) ||
        d->stored[other] < 0 || mrt_plan_is_live(d->source, add->out[0])) {
        return -1;
    }
    const mrt_tensor *x = mrt_layout_info(d, other), *result = mrt_layout_info(d, add->out[0]);
    if (x->dtype != MRT_F32 || result->dtype != MRT_F32 || !mrt_shape_equal(&x->shape, &y->shape) ||
        !mrt_shape_equal(&result->shape, &y->shape)) {
        return -1;
    }
    for (int i = step->n_in; i < 3; ++i) {
        r->in[i] = -1;
    }
    r->in[3] = d->stored[other];
    p->act = sum->act;
    p->act_limit = sum->act_limit;
    return (int32_t)(add - d->source->steps);
}
