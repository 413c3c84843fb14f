/* conv_nhwc_f32: conv_f32 of MRT_ORDER_BLAS on channels-last tensors with packed weights. in[3], of y's
 * shape, is added before the activation.
 *
 * Sums run over increasing (tap, channel) with one rounding per fused multiply-add, or two where the
 * processor has none; bias comes last. A depthwise convolution has the written order of conv_f32. */
#include "runtime/kernels/float_conv.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/nhwc_conv.h"

#include <assert.h>
#include <math.h>

static void plan_of(const mrt_conv_geo *g, mrt_conv_plan *plan) {
    bool same = g->taps == 1;
    *plan = (mrt_conv_plan){.batch = g->batch,
                            .channels = g->c,
                            .out_channels = g->oc,
                            .group = g->group,
                            .group_in = g->cg,
                            .group_out = g->ocg,
                            .taps = g->taps,
                            .depth = g->cg * g->taps,
                            .positions = g->out_size,
                            .in_plane = g->in_size,
                            .depthwise = g->group > 1 && g->cg == 1 && g->ocg == 1};
    for (int i = 0; i < 3; ++i) {
        plan->in[i] = g->in[i];
        plan->out[i] = g->out[i];
        plan->kernel[i] = g->kernel[i];
        plan->stride[i] = g->stride[i];
        plan->dilation[i] = g->dilation[i];
        plan->begin[i] = g->pad[i];
        plan->insert[i] = 1;
        plan->padded[i] = (g->out[i] - 1) * g->stride[i] + (g->kernel[i] - 1) * g->dilation[i] + 1;
        same = same && g->stride[i] == 1 && g->pad[i] == 0 && plan->padded[i] == g->in[i];
    }
    plan->direct = same;
}

static bool is_finite(const mrt_tensor *t) {
    const float *values = t->data;
    bool finite = true;
    for (int64_t i = 0; i < mrt_shape_count(&t->shape); ++i) {
        finite = finite && isfinite(values[i]);
    }
    return finite;
}

static mrt_status make_conv(const mrt_call *call, mrt_nhwc_conv *c, mrt_error *err) {
    const mrt_conv_params *p = call->params;
    MRT_TRY(mrt_check_present(mrt_in(call, 0), "x", err));
    MRT_TRY(mrt_check_present(mrt_out(call, 0), "y", err));
    const mrt_tensor x = mrt_nhwc_channels_first(call->in[0]);
    mrt_tensor y = mrt_nhwc_channels_first(call->out[0]);
    const mrt_tensor *bias = mrt_in(call, 2), *added = mrt_in(call, 3);
    const mrt_tensor *in[3] = {&x, call->in[1], bias};
    mrt_tensor *out[1] = {&y};
    mrt_call logical = *call;
    logical.in = in;
    logical.n_in = 3;
    logical.out = out;
    mrt_conv_geo g;
    MRT_TRY(mrt_conv_resolve(&logical, false, &g, err));
    if (p->float_order != MRT_ORDER_BLAS || !call->in[1]->data || (bias && !bias->data) ||
        g.cg < 1 || mrt_conv_empty(&g)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'w': not a constant of any order of sums");
    }
    if (g.cg == 1 && g.group > 1 &&
        (g.kernel[0] * g.in[0] * g.out[0] > 1 || g.pad[0] != 0 || !is_finite(call->in[1]))) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'w': not finite weights of an image");
    }
    const bool relu = p->act == MRT_ACT_RELU;
    *c = (mrt_nhwc_conv){.float_low = relu ? 0.0f : -INFINITY,
                         .float_high = relu && p->act_limit >= 0 ? (float)p->act_limit : INFINITY};
    plan_of(&g, &c->plan);
    if (added && (added->dtype != MRT_F32 || c->plan.depthwise ||
                  !mrt_shape_equal(&added->shape, &call->out[0]->shape))) {
        return mrt_fail(err, MRT_INVALID, "operand 'add': not of the shape of y");
    }
    c->winograd = mrt_winograd_fits(&c->plan);
    if (!mrt_nhwc_geometry(c, true)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': padded size is too large");
    }
    return MRT_OK;
}

mrt_status mrt_conv_nhwc_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    mrt_nhwc_conv c;
    MRT_TRY(make_conv(call, &c, err));
    *out_scratch = c.winograd ? mrt_winograd_scratch(&c) : 0;
    return MRT_OK;
}

size_t mrt_conv_nhwc_f32_pack(const mrt_call *call, void *packed) {
    mrt_nhwc_conv c;
    const mrt_status status = make_conv(call, &c, NULL);
    assert(status == MRT_OK);
    (void)status;
    const mrt_tensor *bias = mrt_in(call, 2);
    const mrt_nhwc_constants from = {.weights = call->in[1]->data,
                                     .bias = bias ? bias->data : NULL};
    return mrt_nhwc_pack(&c, &from, call->pool, packed);
}

void mrt_conv_nhwc_f32_run(const mrt_call *call) {
    const mrt_nhwc_conv *c = call->packed;
    const float *added = mrt_in(call, 3) ? call->in[3]->data : NULL;
    if (c->plan.depthwise) {
        mrt_nhwc_depthwise_f32_run(c, call);
    } else if (c->winograd) {
        mrt_winograd_run(c, call, added);
    } else {
        mrt_nhwc_rows_f32(c, call->in[0]->data, added, call->out[0]->data, call->pool);
    }
}
