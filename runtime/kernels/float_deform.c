/* deform_columns_f32: elements of x[N,C,H,W] under a window whose taps are moved by offsets, as the
 * columns y[N,C*taps,OH,OW] of a 1x1 convolution.
 *
 * offset[N,groups*taps*2,OH,OW] holds a step along H and one along W per tap, mask (optional)
 * [N,groups*taps,OH,OW] a factor; group g serves C/groups channels. Between elements: bilinear, in
 * double, neighbours outside are 0; times the mask, rounded once. Source: ONNX DeformConv-19. */
#include "runtime/kernels/kernel_util.h"
#include "runtime/kernels/kernels.h"

#include <assert.h>
#include <math.h>

#define TILE 256 /* points */

typedef struct deform_job {
    const mrt_call *call;
    const mrt_conv_params *p;
    int64_t channels, height, width, out_w, points, taps, tiles;
} deform_job;

static mrt_status resolve(const mrt_call *call, deform_job *j, mrt_error *err) {
    const mrt_conv_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_param(p->spatial, "spatial", 2, 2, err));
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(x, "x", 4, 4, err));
    MRT_TRY(mrt_check_rank(y, "y", 4, 4, err));
    const int64_t *in = x->shape.dims, *out = y->shape.dims;
    for (int i = 0; i < 2; i++) {
        const mrt_window w = {in[2 + i], out[2 + i], p->kernel[i], p->stride[i], p->dilation[i],
                              p->pad_begin[i], p->pad_end[i]};
        MRT_TRY(mrt_check_window(&w, false, err));
    }
    MRT_TRY(mrt_check_param(p->group, "group", 1, mrt_max64(in[1], 1), err));
    const int64_t taps = p->kernel[0] * p->kernel[1];
    if (in[1] % p->group != 0 || taps > INT32_MAX) {
        return mrt_fail(err, MRT_INVALID, "parameter 'group': %" PRId64 " does not divide %" PRId64
                        " channels, or the window is too large", p->group, in[1]);
    }
    /* taps * channels < 2^62: the dimension of y has that bound */
    int64_t columns = 0, places = 0;
    if (__builtin_mul_overflow(in[1], taps, &columns) ||
        __builtin_mul_overflow(2 * p->group, taps, &places)) {
        return mrt_fail(err, MRT_INVALID, "the window is too large");
    }
    mrt_shape expected = {4, {in[0], columns, out[2], out[3]}};
    MRT_TRY(mrt_check_shape(y, "y", &expected, err));
    expected.dims[1] = places;
    MRT_TRY(mrt_check_dtype(mrt_in(call, 1), "offset", MRT_F32, err));
    MRT_TRY(mrt_check_shape(mrt_in(call, 1), "offset", &expected, err));
    if (mrt_in(call, 2)) {
        expected.dims[1] = places / 2;
        MRT_TRY(mrt_check_dtype(mrt_in(call, 2), "mask", MRT_F32, err));
        MRT_TRY(mrt_check_shape(mrt_in(call, 2), "mask", &expected, err));
    }
    *j = (deform_job){.call = call, .p = p, .channels = in[1], .height = in[2], .width = in[3],
                      .out_w = out[3], .points = out[2] * out[3], .taps = taps,
                      .tiles = mrt_div_up(out[2] * out[3], TILE)};
    return MRT_OK;
}

mrt_status mrt_deform_columns_f32_check(const mrt_call *call, size_t *out_scratch,
                                        mrt_error *err) {
    deform_job j;
    *out_scratch = 0;
    return resolve(call, &j, err);
}

/* Four neighbours of a position; those outside have weight 0 and index 0. */
typedef struct corners {
    int64_t at[4];
    double weight[4];
} corners;
static void make_corners(const deform_job *j, double h, double w, double factor, corners *out) {
    *out = (corners){0};
    if (!(h > -1.0 && h < (double)j->height && w > -1.0 && w < (double)j->width)) {
        return;
    }
    const double h0 = floor(h), w0 = floor(w);
    for (int i = 0; i < 4; i++) {
        const int64_t y = (int64_t)h0 + i / 2, x = (int64_t)w0 + i % 2;
        if (y >= 0 && y < j->height && x >= 0 && x < j->width) {
            const double across = i % 2 != 0 ? w - w0 : 1.0 - (w - w0);
            const double down = i / 2 != 0 ? h - h0 : 1.0 - (h - h0);
            out->at[i] = y * j->width + x;
            out->weight[i] = down * across * factor;
        }
    }
}

/* Points of one tap of one offset group of one sample, for all channels of the group. */
static void deform_tile(void *context, int64_t tile) {
    const deform_job *j = context;
    const mrt_conv_params *p = j->p;
    const int64_t begin = tile % j->tiles * TILE, end = mrt_min64(j->points, begin + TILE);
    const int64_t place = tile / j->tiles; /* (n * groups + g) * taps + k */
    const int64_t k = place % j->taps, group = place / j->taps % p->group;
    const int64_t n = place / j->taps / p->group, per_group = j->channels / p->group;
    const int64_t first = n * j->channels + group * per_group, plane = j->height * j->width;
    const mrt_tensor *mask = mrt_in(j->call, 2);
    const float *step = (const float *)j->call->in[1]->data + place * 2 * j->points;
    const float *x = (const float *)j->call->in[0]->data + first * plane;
    float *y = (float *)j->call->out[0]->data + (first * j->taps + k) * j->points;
    for (int64_t i = begin; i < end; i++) {
        const int64_t h = i / j->out_w * p->stride[0] - p->pad_begin[0] +
                          k / p->kernel[1] * p->dilation[0];
        const int64_t w = i % j->out_w * p->stride[1] - p->pad_begin[1] +
                          k % p->kernel[1] * p->dilation[1];
        const double factor =
            mask ? (double)((const float *)mask->data)[place * j->points + i] : 1.0;
        corners at;
        make_corners(j, (double)h + (double)step[i], (double)w + (double)step[j->points + i],
                     factor, &at);
        for (int64_t c = 0; c < per_group; c++) {
            const float *from = x + c * plane;
            double sum = 0.0;
            for (int q = 0; q < 4; q++) {
                sum += at.weight[q] == 0.0 ? 0.0 : at.weight[q] * (double)from[at.at[q]];
            }
            y[c * j->taps * j->points + i] = (float)sum;
        }
    }
}

void mrt_deform_columns_f32_run(const mrt_call *call) {
    deform_job j;
    const mrt_status status = resolve(call, &j, NULL);
    assert(status == MRT_OK);
    (void)status;
    const int64_t places = call->in[0]->shape.dims[0] * j.p->group * j.taps;
    mrt_parallel_for(call->pool, places * j.tiles, deform_tile, &j);
}
