/* roi_align_f32 and roi_max_pool_f32: boxes of x[N,C,H,W] cut into bins -> y[R,C,bins].
 *
 * Boxes, bins and sample positions are computed in float in the order that is written here, so that
 * the number of samples is the one that other runtimes take; weights and sums are in double, sample
 * by sample, rows first. A box of a sample that does not exist gives 0.
 * Source: ONNX RoiAlign-16, MaxRoiPool-1. */
#include "runtime/kernels/kernel_util.h"
#include "runtime/kernels/kernels.h"

#include <assert.h>
#include <math.h>

#define BLOCK 32 /* channels that share the positions */

typedef struct roi_job {
    const mrt_call *call;
    int64_t samples, channels, blocks, height, width, out_h, out_w;
} roi_job;

static mrt_status resolve(const mrt_call *call, int columns, roi_job *j, mrt_error *err) {
    const mrt_roi_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *rois = mrt_in(call, 1), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    MRT_TRY(mrt_check_rank(x, "x", 4, 4, err));
    MRT_TRY(mrt_check_dtype(rois, "rois", MRT_F32, err));
    MRT_TRY(mrt_check_rank(rois, "rois", 2, 2, err));
    MRT_TRY(mrt_check_dim(rois, "rois", 1, columns, err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(y, "y", 4, 4, err));
    MRT_TRY(mrt_check_dim(y, "y", 0, rois->shape.dims[0], err));
    MRT_TRY(mrt_check_dim(y, "y", 1, x->shape.dims[1], err));
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_ROI_AVG, MRT_ROI_MAX, err));
    MRT_TRY(mrt_check_param(p->sampling_ratio, "sampling_ratio", 0, MRT_ROI_MAX_SAMPLES, err));
    *j = (roi_job){.call = call, .samples = x->shape.dims[0], .channels = x->shape.dims[1],
                   .blocks = mrt_div_up(x->shape.dims[1], BLOCK), .height = x->shape.dims[2],
                   .width = x->shape.dims[3], .out_h = y->shape.dims[2], .out_w = y->shape.dims[3]};
    MRT_TRY(mrt_check_param(j->height, "input size", 1, INT32_MAX, err));
    return mrt_check_param(j->width, "input size", 1, INT32_MAX, err);
}

/* Channels [*first, *last) of tile, its box, and where its planes are. */
typedef struct roi_tile {
    int64_t roi, count;
    const float *x;
    float *y;
} roi_tile;
static roi_tile tile_of(const roi_job *j, int64_t tile, int64_t sample) {
    const int64_t roi = tile / j->blocks, first = tile % j->blocks * BLOCK;
    const float *x = j->call->in[0]->data;
    const bool exists = sample >= 0 && sample < j->samples;
    return (roi_tile){
        .roi = roi,
        .count = mrt_min64(BLOCK, j->channels - first),
        .x = exists ? x + (sample * j->channels + first) * j->height * j->width : NULL,
        .y = (float *)j->call->out[0]->data + (roi * j->channels + first) * j->out_h * j->out_w};
}

static void fill_zero(const roi_job *j, const roi_tile *t) {
    for (int64_t i = 0; i < t->count * j->out_h * j->out_w; i++) {
        t->y[i] = 0.0f;
    }
}

/* --- samples between elements ---------------------------------------------------------------- */

/* One axis of a box: bins of `bin`, each with `n` samples. */
typedef struct roi_axis {
    float start, bin;
    int64_t n;
} roi_axis;

static roi_axis make_axis(const mrt_roi_params *p, float from, float to, int64_t bins) {
    const float offset = p->half_pixel != 0 ? 0.5f : 0.0f, scale = (float)p->spatial_scale;
    roi_axis a = {.start = from * scale - offset, .n = p->sampling_ratio};
    float size = to * scale - offset - a.start;
    if (p->half_pixel == 0 && !(size > 1.0f)) {
        size = 1.0f;
    }
    a.bin = size / (float)bins;
    if (p->sampling_ratio == 0) {
        const float n = ceilf(a.bin);
        a.n = n >= (float)MRT_ROI_MAX_SAMPLES ? MRT_ROI_MAX_SAMPLES : n > 0.0f ? (int64_t)n : 0;
    }
    return a;
}

/* Two elements around a position and the weight of the second; false: too far outside. */
typedef struct roi_pair {
    int64_t low, high;
    double weight;
} roi_pair;
static bool make_pair(const roi_axis *a, int64_t bin, int64_t i, int64_t size, roi_pair *out) {
    const float at = a->start + (float)bin * a->bin + ((float)i + 0.5f) * a->bin / (float)a->n;
    if (!(at >= -1.0f && at <= (float)size)) {
        return false;
    }
    const double v = at > 0.0f ? (double)at : 0.0;
    const int64_t low = (int64_t)v;
    *out = low >= size - 1 ? (roi_pair){size - 1, size - 1, 0.0}
                           : (roi_pair){low, low + 1, v - (double)low};
    return true;
}

/* Adds one sample to the channels of a tile. The largest element of a bin is taken over the four
 * weighted neighbours, as ONNX has it. */
static void add_sample(const roi_job *j, const roi_tile *t, const roi_pair *h, const roi_pair *w,
                       bool max, double *acc) {
    const double w00 = (1.0 - h->weight) * (1.0 - w->weight), w01 = (1.0 - h->weight) * w->weight;
    const double w10 = h->weight * (1.0 - w->weight), w11 = h->weight * w->weight;
    const int64_t low = h->low * j->width, high = h->high * j->width;
    for (int64_t c = 0; c < t->count; c++) {
        const float *x = t->x + c * j->height * j->width;
        const double a = w00 * (double)x[low + w->low], b = w01 * (double)x[low + w->high];
        const double d = w10 * (double)x[high + w->low], e = w11 * (double)x[high + w->high];
        if (max) {
            acc[c] = fmax(acc[c], fmax(fmax(a, b), fmax(d, e)));
        } else {
            acc[c] += a + b + d + e;
        }
    }
}

static void align_bin(const roi_job *j, const roi_tile *t, const roi_axis *h, const roi_axis *w,
                      int64_t bin_h, int64_t bin_w) {
    const bool max = ((const mrt_roi_params *)j->call->params)->mode == MRT_ROI_MAX;
    const double count = (double)mrt_max64(h->n * w->n, 1);
    double acc[BLOCK];
    for (int64_t c = 0; c < t->count; c++) {
        acc[c] = max && h->n * w->n > 0 ? -(double)INFINITY : 0.0;
    }
    for (int64_t i = 0; i < h->n; i++) {
        for (int64_t k = 0; k < w->n; k++) {
            roi_pair ph, pw;
            if (make_pair(h, bin_h, i, j->height, &ph) && make_pair(w, bin_w, k, j->width, &pw)) {
                add_sample(j, t, &ph, &pw, max, acc);
                continue;
            }
            for (int64_t c = 0; max && c < t->count; c++) { /* a sample outside is 0 */
                acc[c] = fmax(acc[c], 0.0);
            }
        }
    }
    for (int64_t c = 0; c < t->count; c++) {
        t->y[(c * j->out_h + bin_h) * j->out_w + bin_w] = (float)(max ? acc[c] : acc[c] / count);
    }
}

static void align_tile(void *context, int64_t tile) {
    const roi_job *j = context;
    const mrt_tensor *index = j->call->in[2];
    const int64_t roi = tile / j->blocks;
    const int64_t sample = index->dtype == MRT_I64 ? ((const int64_t *)index->data)[roi]
                                                   : ((const int32_t *)index->data)[roi];
    const roi_tile t = tile_of(j, tile, sample);
    if (t.x == NULL) {
        fill_zero(j, &t);
        return;
    }
    const float *box = (const float *)j->call->in[1]->data + roi * 4;
    const roi_axis w = make_axis(j->call->params, box[0], box[2], j->out_w);
    const roi_axis h = make_axis(j->call->params, box[1], box[3], j->out_h);
    for (int64_t i = 0; i < j->out_h; i++) {
        for (int64_t k = 0; k < j->out_w; k++) {
            align_bin(j, &t, &h, &w, i, k);
        }
    }
}

mrt_status mrt_roi_align_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    roi_job j;
    *out_scratch = 0;
    MRT_TRY(resolve(call, 4, &j, err));
    MRT_TRY(mrt_check_dtype2(mrt_in(call, 2), "batch_indices", MRT_I64, MRT_I32, err));
    return mrt_check_shape1(mrt_in(call, 2), "batch_indices", call->in[1]->shape.dims[0], err);
}

void mrt_roi_align_f32_run(const mrt_call *call) {
    roi_job j;
    const mrt_status status = resolve(call, 4, &j, NULL);
    assert(status == MRT_OK);
    (void)status;
    mrt_parallel_for(call->pool, call->in[1]->shape.dims[0] * j.blocks, align_tile, &j);
}

/* --- whole elements -------------------------------------------------------------------------- */

/* Nearest integer, halves away from 0, within +-2^30. */
static int64_t round_away(float v) {
    const float limit = 0x1p30f;
    const float r = v < 0.0f ? ceilf(v - 0.5f) : floorf(v + 0.5f);
    return r > -limit ? r < limit ? (int64_t)r : (int64_t)limit : -(int64_t)limit;
}

/* Elements [*first, *last) of bin i of an axis of the box from..to, both ends included. */
static void bin_range(int64_t from, int64_t to, int64_t bins, int64_t i, int64_t size,
                      int64_t *first, int64_t *last) {
    const float bin = (float)mrt_max64(to - from + 1, 1) / (float)bins;
    const int64_t begin = (int64_t)floorf((float)i * bin) + from;
    const int64_t end = (int64_t)ceilf((float)(i + 1) * bin) + from;
    *first = mrt_min64(mrt_max64(begin, 0), size);
    *last = mrt_min64(mrt_max64(end, 0), size);
}

static void max_tile(void *context, int64_t tile) {
    const roi_job *j = context;
    const float *box = (const float *)j->call->in[1]->data + tile / j->blocks * 5;
    const float scale = (float)((const mrt_roi_params *)j->call->params)->spatial_scale;
    const roi_tile t = tile_of(j, tile, box[0] >= 0.0f && box[0] < 0x1p30f ? (int64_t)box[0] : -1);
    if (t.x == NULL) {
        fill_zero(j, &t);
        return;
    }
    const int64_t left = round_away(box[1] * scale), right = round_away(box[3] * scale);
    const int64_t top = round_away(box[2] * scale), bottom = round_away(box[4] * scale);
    for (int64_t i = 0; i < t.count * j->out_h * j->out_w; i++) {
        const float *x = t.x + i / (j->out_h * j->out_w) * j->height * j->width;
        int64_t h0, h1, w0, w1;
        bin_range(top, bottom, j->out_h, i / j->out_w % j->out_h, j->height, &h0, &h1);
        bin_range(left, right, j->out_w, i % j->out_w, j->width, &w0, &w1);
        float best = h0 < h1 && w0 < w1 ? -INFINITY : 0.0f;
        for (int64_t h = h0; h < h1; h++) {
            for (int64_t w = w0; w < w1; w++) {
                best = x[h * j->width + w] > best ? x[h * j->width + w] : best;
            }
        }
        t.y[i] = best;
    }
}

mrt_status mrt_roi_max_pool_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    roi_job j;
    *out_scratch = 0;
    return resolve(call, 5, &j, err);
}

void mrt_roi_max_pool_f32_run(const mrt_call *call) {
    roi_job j;
    const mrt_status status = resolve(call, 5, &j, NULL);
    assert(status == MRT_OK);
    (void)status;
    mrt_parallel_for(call->pool, call->in[1]->shape.dims[0] * j.blocks, max_tile, &j);
}
