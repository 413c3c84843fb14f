/* Checks and geometry of float convolution and deconvolution. */
#include "runtime/kernels/float_conv.h"

/* A deconvolution's output may be larger than its natural size: output padding is implied. */
static mrt_status check_deconv_size(const mrt_window *w, mrt_error *err) {
    MRT_TRY(mrt_check_window_params(w, err));
    int64_t least = 0;
    if (w->in > 0 && __builtin_mul_overflow(w->in - 1, w->stride, &least)) {
        return mrt_fail(err, MRT_INVALID, "parameter 'stride': output size overflows");
    }
    const int64_t reach = (w->kernel - 1) * w->dilation + 1;
    least = w->in > 0 ? least - w->pad_begin - w->pad_end : 0;
    if (w->in > 0 && __builtin_add_overflow(least, reach, &least)) {
        return mrt_fail(err, MRT_INVALID, "parameter 'kernel': output size overflows");
    }
    if (w->out < least || w->out > INT64_MAX / 8) {
        return mrt_fail(err, MRT_INVALID,
                        "operand 'y': expected spatial size of at least %" PRId64 ", got %" PRId64,
                        least, w->out);
    }
    return MRT_OK;
}

static mrt_status resolve_axis(const mrt_conv_params *p, bool deconv, int i, int axis,
                               mrt_conv_geo *g, mrt_error *err) {
    const mrt_window w = {g->in[axis],     g->out[axis],    p->kernel[i], p->stride[i],
                          p->dilation[i], p->pad_begin[i], p->pad_end[i]};
    MRT_TRY(deconv ? check_deconv_size(&w, err) : mrt_check_window(&w, false, err));
    g->kernel[axis] = w.kernel;
    g->stride[axis] = w.stride;
    g->dilation[axis] = w.dilation;
    g->pad[axis] = w.pad_begin;
    return MRT_OK;
}

/* Channel counts of x, w, y and bias agree. */
static mrt_status resolve_channels(const mrt_call *call, const mrt_conv_params *p, bool deconv,
                                   mrt_conv_geo *g, mrt_error *err) {
    const mrt_tensor *x = mrt_in(call, 0), *w = mrt_in(call, 1), *bias = mrt_in(call, 2);
    const mrt_tensor *y = mrt_out(call, 0);
    g->batch = x->shape.dims[0];
    g->c = x->shape.dims[1];
    g->oc = y->shape.dims[1];
    MRT_TRY(mrt_check_param(p->group, "group", 1, INT32_MAX, err));
    g->group = p->group;
    if (g->c % g->group != 0 || g->oc % g->group != 0) {
        return mrt_fail(err, MRT_INVALID,
                        "parameter 'group': %" PRId64 " does not divide the channels %" PRId64
                        " and %" PRId64,
                        g->group, g->c, g->oc);
    }
    g->cg = g->c / g->group;
    g->ocg = g->oc / g->group;
    MRT_TRY(mrt_check_dim(y, "y", 0, g->batch, err));
    MRT_TRY(mrt_check_dim(w, "w", 0, deconv ? g->c : g->oc, err));
    MRT_TRY(mrt_check_dim(w, "w", 1, deconv ? g->ocg : g->cg, err));
    if (bias) {
        MRT_TRY(mrt_check_dtype(bias, "bias", MRT_F32, err));
        MRT_TRY(mrt_check_shape1(bias, "bias", g->oc, err));
    }
    return MRT_OK;
}

mrt_status mrt_conv_resolve(const mrt_call *call, bool deconv, mrt_conv_geo *geo, mrt_error *err) {
    const mrt_conv_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *w = mrt_in(call, 1), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_param(p->spatial, "spatial", 1, MRT_MAX_SPATIAL, err));
    const int spatial = (int)p->spatial;
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(w, "w", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(x, "x", spatial + 2, spatial + 2, err));
    MRT_TRY(mrt_check_rank(w, "w", spatial + 2, spatial + 2, err));
    MRT_TRY(mrt_check_rank(y, "y", spatial + 2, spatial + 2, err));
    MRT_TRY(mrt_check_act(p->act, err));
    MRT_TRY(mrt_check_param(p->float_order, "float_order", MRT_ORDER_BLAS, MRT_ORDER_WRITTEN, err));
    mrt_conv_geo g = {0};
    MRT_TRY(resolve_channels(call, p, deconv, &g, err));
    g.in_size = g.out_size = g.taps = 1;
    for (int axis = 0; axis < 3; axis++) {
        const int i = axis - (3 - spatial);
        g.in[axis] = g.out[axis] = g.kernel[axis] = g.stride[axis] = g.dilation[axis] = 1;
        if (i >= 0) {
            g.in[axis] = x->shape.dims[2 + i];
            g.out[axis] = y->shape.dims[2 + i];
            MRT_TRY(mrt_check_dim(w, "w", 2 + i, p->kernel[i], err));
            MRT_TRY(resolve_axis(p, deconv, i, axis, &g, err));
        }
        g.in_size *= g.in[axis];
        g.out_size *= g.out[axis];
        g.taps *= g.kernel[axis];
    }
    *geo = g;
    return MRT_OK;
}

bool mrt_conv_empty(const mrt_conv_geo *g) { return g->batch * g->oc * g->out_size == 0; }

int64_t mrt_column_block(int64_t k, int64_t positions) {
    const int64_t room = 65536 / mrt_max64(k, 1) / 16 * 16; /* 256 KiB */
    const int64_t block = mrt_min64(mrt_max64(room, 48), 1024);
    /* Equal blocks rather than a small last one. */
    const int64_t count = mrt_div_up(positions, block);
    return count > 1 ? mrt_div_up(mrt_div_up(positions, count), 16) * 16 : positions;
}

int64_t mrt_row_block(int64_t rows, int64_t blocks) {
    const int64_t parts = mrt_div_up(8, mrt_max64(blocks, 1));
    return mrt_max64(128, mrt_div_up(mrt_div_up(rows, parts), 16) * 16);
}
