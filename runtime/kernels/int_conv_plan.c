/* Checks and geometry of the integer convolutions: see int_conv_plan.h. */
#include "runtime/kernels/int_conv_plan.h"

#include "runtime/kernels/int_util.h"
#include "runtime/mrt_clones.h"

#include <string.h>

static mrt_status check_operands(const mrt_call *call, const mrt_conv_plan *plan, mrt_error *err) {
    MRT_TRY(mrt_check_dtype(mrt_in(call, 2), "bias", MRT_I32, err));
    MRT_TRY(mrt_check_shape1(mrt_in(call, 2), "bias", plan->out_channels, err));
    if (mrt_conv_is_real(call)) {
        const mrt_conv_params *p = &((const mrt_conv_int_params *)call->params)->conv;
        MRT_TRY(mrt_check_param(p->act, "act", MRT_ACT_NONE, MRT_ACT_RELU, err));
        return mrt_check_shape1(mrt_in(call, 3), "scale", plan->out_channels, err);
    }
    const mrt_tensor *shift = mrt_in(call, 4);
    MRT_TRY(mrt_check_dtype(mrt_in(call, 3), "multiplier", MRT_I32, err));
    MRT_TRY(mrt_check_shape1(mrt_in(call, 3), "multiplier", plan->out_channels, err));
    MRT_TRY(mrt_check_dtype(shift, "shift", MRT_I32, err));
    MRT_TRY(mrt_check_shape1(shift, "shift", plan->out_channels, err));
    return mrt_int_check_shifts(shift, err);
}

/* One spatial axis of a transposed convolution; out may exceed by the output padding. */
static mrt_status check_transposed(const mrt_window *w, mrt_error *err) {
    const int64_t limit = INT32_MAX;
    MRT_TRY(mrt_check_param(w->kernel, "kernel", 1, limit, err));
    MRT_TRY(mrt_check_param(w->stride, "stride", 1, limit, err));
    MRT_TRY(mrt_check_param(w->dilation, "dilation", 1, limit, err));
    MRT_TRY(mrt_check_param(w->in, "input size", 1, limit, err));
    MRT_TRY(mrt_check_param(w->pad_begin, "pad_begin", -limit, limit, err));
    MRT_TRY(mrt_check_param(w->pad_end, "pad_end", -limit, limit, err));
    const int64_t reach = (w->kernel - 1) * w->dilation + 1;
    const int64_t base = (w->in - 1) * w->stride + reach - w->pad_begin - w->pad_end;
    const int64_t extra = mrt_max64(w->stride, w->dilation) - 1;
    if (w->out < mrt_max64(base, 0) || w->out > mrt_max64(base + extra, 0)) {
        return mrt_fail(err, MRT_INVALID,
                        "operand 'y': expected spatial size %" PRId64 " to %" PRId64
                        ", got %" PRId64,
                        base, base + extra, w->out);
    }
    return MRT_OK;
}

/* Axis i of the plan from parameters of axis i - (3 - spatial). */
static mrt_status plan_axis(mrt_conv_plan *plan, int i, const mrt_window *w, mrt_error *err) {
    const int64_t reach = (w->kernel - 1) * w->dilation + 1;
    const int64_t most_pad = w->in + w->kernel + 64; /* keeps planes near the size of the tensors */
    MRT_TRY(plan->transposed ? check_transposed(w, err) : mrt_check_window(w, false, err));
    if (w->pad_begin > most_pad || w->pad_end > most_pad) {
        return mrt_fail(err, MRT_UNSUPPORTED, "parameter 'pad': larger than the padded input");
    }
    plan->in[i] = w->in;
    plan->out[i] = w->out;
    plan->kernel[i] = w->kernel;
    plan->dilation[i] = w->dilation;
    plan->stride[i] = plan->transposed ? 1 : w->stride;
    plan->insert[i] = plan->transposed ? w->stride : 1;
    plan->begin[i] = plan->transposed ? reach - 1 - w->pad_begin : w->pad_begin;
    plan->padded[i] = w->out > 0 ? (w->out - 1) * plan->stride[i] + reach : 0;
    return MRT_OK;
}

static mrt_status plan_axes(const mrt_call *call, mrt_conv_plan *plan, mrt_error *err) {
    const mrt_conv_params *p = &((const mrt_conv_int_params *)call->params)->conv;
    const int skip = 3 - (int)p->spatial;
    for (int i = 0; i < 3; ++i) {
        mrt_window w = {1, 1, 1, 1, 1, 0, 0};
        if (i >= skip) {
            const int from = i - skip;
            w.in = call->in[0]->shape.dims[2 + from];
            w.out = call->out[0]->shape.dims[2 + from];
            w.kernel = p->kernel[from];
            w.stride = p->stride[from];
            w.dilation = p->dilation[from];
            w.pad_begin = p->pad_begin[from];
            w.pad_end = p->pad_end[from];
        }
        MRT_TRY(plan_axis(plan, i, &w, err));
    }
    return MRT_OK;
}

static mrt_status finish_plan(mrt_conv_plan *plan, mrt_error *err) {
    bool same = true;
    for (int i = 0; i < 3; ++i) {
        same = same && plan->kernel[i] == 1 && plan->stride[i] == 1 && plan->insert[i] == 1 &&
               plan->begin[i] == 0 && plan->padded[i] == plan->in[i];
    }
    int64_t all = 0;
    plan->phase = mrt_div_up(plan->padded[2], plan->stride[2]);
    if (__builtin_mul_overflow(plan->phase, plan->stride[2], &plan->plane) ||
        __builtin_mul_overflow(plan->plane, plan->padded[1], &plan->plane) ||
        __builtin_mul_overflow(plan->plane, plan->padded[0], &plan->plane) ||
        __builtin_mul_overflow(plan->plane, plan->channels, &all) || all > INT64_MAX / 64) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': padded size is too large");
    }
    plan->taps = plan->kernel[0] * plan->kernel[1] * plan->kernel[2];
    plan->depth = plan->group_in * plan->taps;
    plan->positions = plan->out[0] * plan->out[1] * plan->out[2];
    plan->in_plane = plan->in[0] * plan->in[1] * plan->in[2];
    plan->direct = same;
    plan->depthwise = plan->group_in == 1 && plan->group_out <= 4 && plan->group > 1 &&
                      plan->taps <= MRT_ACC32_DEPTH;
    return MRT_OK;
}

mrt_status mrt_conv_plan_check(const mrt_call *call, bool transposed, mrt_conv_plan *out_plan,
                               mrt_error *err) {
    const mrt_tensor *x = mrt_in(call, 0);
    const mrt_tensor *w = mrt_in(call, 1);
    const mrt_tensor *y = mrt_out(call, 0);
    const mrt_conv_int_params *p = call->params;
    mrt_conv_plan plan = {.transposed = transposed};
    MRT_TRY(mrt_check_param(p->conv.spatial, "spatial", 1, MRT_MAX_SPATIAL, err));
    const int rank = (int)p->conv.spatial + 2;
    MRT_TRY(mrt_check_dtype2(x, "x", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_rank(x, "x", rank, rank, err));
    MRT_TRY(mrt_check_dtype(w, "w", MRT_I8, err));
    MRT_TRY(mrt_check_rank(w, "w", rank, rank, err));
    const bool is_real = mrt_conv_is_real(call);
    MRT_TRY(is_real ? mrt_check_dtype(y, "y", MRT_F32, err)
                    : mrt_check_dtype2(y, "y", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_rank(y, "y", rank, rank, err));
    plan.batch = x->shape.dims[0];
    plan.channels = x->shape.dims[1];
    plan.out_channels = y->shape.dims[1];
    MRT_TRY(mrt_check_dim(y, "y", 0, plan.batch, err));
    MRT_TRY(mrt_check_param(p->conv.group, "group", 1, INT32_MAX, err));
    plan.group = p->conv.group;
    if (plan.channels < 1 || plan.channels % plan.group != 0 || plan.out_channels < 1 ||
        plan.out_channels % plan.group != 0) {
        return mrt_fail(err, MRT_INVALID,
                        "parameter 'group': %" PRId64 " input and %" PRId64
                        " output channels cannot be cut into %" PRId64,
                        plan.channels, plan.out_channels, plan.group);
    }
    plan.group_in = plan.channels / plan.group;
    plan.group_out = plan.out_channels / plan.group;
    MRT_TRY(mrt_check_dim(w, "w", 0, transposed ? plan.channels : plan.out_channels, err));
    MRT_TRY(mrt_check_dim(w, "w", 1, transposed ? plan.group_out : plan.group_in, err));
    for (int i = 0; i < (int)p->conv.spatial; ++i) {
        MRT_TRY(mrt_check_param(p->conv.kernel[i], "kernel", 1, INT32_MAX, err));
        MRT_TRY(mrt_check_dim(w, "w", 2 + i, p->conv.kernel[i], err));
    }
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_in, "zero_point_in", x, err));
    if (!is_real) {
        MRT_TRY(mrt_int_check_zero_point(p->zero_point_out, "zero_point_out", y, err));
        MRT_TRY(mrt_int_check_clamp(p->clamp_min, p->clamp_max, y, err));
    }
    MRT_TRY(check_operands(call, &plan, err));
    MRT_TRY(plan_axes(call, &plan, err));
    MRT_TRY(finish_plan(&plan, err));
    *out_plan = plan;
    return MRT_OK;
}

mrt_conv_plan mrt_conv_plan_get(const mrt_call *call, bool transposed) {
    mrt_conv_plan plan = {0};
    const mrt_status status = mrt_conv_plan_check(call, transposed, &plan, NULL);
    assert(status == MRT_OK);
    (void)status;
    return plan;
}

int64_t mrt_conv_position(const mrt_conv_plan *plan, int64_t index) {
    const int64_t ow = index % plan->out[2];
    const int64_t oh = index / plan->out[2] % plan->out[1];
    const int64_t od = index / plan->out[2] / plan->out[1];
    const int64_t row = od * plan->stride[0] * plan->padded[1] + oh * plan->stride[1];
    return row * plan->phase * plan->stride[2] + ow;
}

int64_t mrt_conv_tap(const mrt_conv_plan *plan, int64_t tap) {
    const int64_t column = tap % plan->kernel[2] * plan->dilation[2];
    const int64_t h = tap / plan->kernel[2] % plan->kernel[1] * plan->dilation[1];
    const int64_t d = tap / plan->kernel[2] / plan->kernel[1] * plan->dilation[0];
    const int64_t row = d * plan->padded[1] + h;
    return row * plan->phase * plan->stride[2] + column % plan->stride[2] * plan->phase +
           column / plan->stride[2];
}

/* Every stride-th byte; stride 2 in a form that the compiler vectorizes. */
MRT_CLONES
static void copy_strided(uint8_t *restrict out, const uint8_t *restrict x, int64_t stride,
                         int64_t count) {
    if (stride == 2) {
        for (int64_t i = 0; i < count; ++i) {
            out[i] = x[2 * i];
        }
        return;
    }
    for (int64_t i = 0; i < count; ++i) {
        out[i] = x[stride * i];
    }
}

/* One row of a plane from one row of the input. */
static void fill_row(const mrt_conv_plan *plan, const uint8_t *x, uint8_t *row) {
    const int64_t begin = plan->begin[2];
    const int64_t insert = plan->insert[2];
    const int64_t stride = plan->stride[2];
    const int64_t first = begin >= 0 ? 0 : mrt_div_up(-begin, insert);
    const int64_t room = plan->padded[2] - 1 - begin;
    const int64_t last = room < 0 ? 0 : mrt_min64(plan->in[2], room / insert + 1);
    if (first >= last) {
        return;
    }
    if (insert == 1 && stride == 1) {
        memcpy(row + begin + first, x + first, (size_t)(last - first));
        return;
    }
    if (insert > 1) { /* transposed: stride 1, one phase */
        for (int64_t i = first; i < last; ++i) {
            row[begin + i * insert] = x[i];
        }
        return;
    }
    for (int64_t i = 0; i < stride && first + i < last; ++i) {
        const int64_t column = begin + first + i;
        copy_strided(row + column % stride * plan->phase + column / stride, x + first + i, stride,
                     mrt_div_up(last - first - i, stride));
    }
}

void mrt_conv_fill_plane(const mrt_conv_plan *plan, const uint8_t *x, uint8_t zero_point,
                         uint8_t *plane) {
    const int64_t pitch = plan->phase * plan->stride[2];
    memset(plane, zero_point, (size_t)plan->plane);
    for (int64_t d = 0; d < plan->in[0]; ++d) {
        const int64_t pd = plan->begin[0] + d * plan->insert[0];
        if (pd < 0 || pd >= plan->padded[0]) {
            continue;
        }
        for (int64_t h = 0; h < plan->in[1]; ++h) {
            const int64_t ph = plan->begin[1] + h * plan->insert[1];
            if (ph >= 0 && ph < plan->padded[1]) {
                fill_row(plan, x + (d * plan->in[1] + h) * plan->in[2],
                         plane + (pd * plan->padded[1] + ph) * pitch);
            }
        }
    }
}

int64_t mrt_conv_weight(const mrt_conv_plan *plan, int64_t oc, int64_t c, int64_t tap) {
    if (!plan->transposed) {
        return (oc * plan->group_in + c) * plan->taps + tap;
    }
    const int64_t in_channel = oc / plan->group_out * plan->group_in + c;
    const int64_t out_channel = oc % plan->group_out;
    return (in_channel * plan->group_out + out_channel) * plan->taps + plan->taps - 1 - tap;
}
