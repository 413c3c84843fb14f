/* grid_sample_f32: x[N,C,spatial] at the places grid[N,out,axes] -> y[N,C,out], 1 to 3 spatial axes.
 *
 * A place is a tuple of coordinates from -1 to 1, last axis first. Coordinates become positions in
 * float as ((g + 1) * size - 1) / 2, or (g + 1) / 2 * (size - 1) with aligned corners; weights and
 * sums are in double, axis by axis from the last one, taps in increasing order; one rounding. A
 * position that is not a number counts as one before the first element. Padding "border" moves a
 * cubic position nowhere, only its taps, as PyTorch and ONNX Runtime do.
 * Source: ONNX GridSample-20. */
#include "runtime/kernels/kernel_util.h"
#include "runtime/kernels/kernels.h"

#include <assert.h>
#include <math.h>

#define TILE 64 /* points */

typedef struct sample_taps {
    int n;
    int64_t at[4]; /* -1: outside, counts as 0 */
    double weight[4];
} sample_taps;

typedef struct sample_job {
    const mrt_call *call;
    int spatial;
    int64_t size[3]; /* spatial axes, leading ones filled up with 1 */
    int64_t channels, plane, points, tiles;
    int64_t mode, padding;
    bool align;
} sample_job;

static mrt_status resolve(const mrt_call *call, sample_job *j, mrt_error *err) {
    const mrt_sample_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *grid = mrt_in(call, 1), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_SAMPLE_NEAREST, MRT_SAMPLE_CUBIC, err));
    MRT_TRY(mrt_check_param(p->padding, "padding", MRT_SAMPLE_ZEROS, MRT_SAMPLE_REFLECTION, err));
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(grid, "grid", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(x, "x", 3, 5, err));
    const int rank = x->shape.rank;
    MRT_TRY(mrt_check_rank(grid, "grid", rank, rank, err));
    MRT_TRY(mrt_check_dim(grid, "grid", 0, x->shape.dims[0], err));
    MRT_TRY(mrt_check_dim(grid, "grid", rank - 1, rank - 2, err));
    mrt_shape expected = {.rank = rank, .dims = {x->shape.dims[0], x->shape.dims[1]}};
    *j = (sample_job){.call = call, .spatial = rank - 2, .size = {1, 1, 1}, .points = 1,
                      .channels = x->shape.dims[1], .plane = 1, .mode = p->mode,
                      .padding = p->padding, .align = p->align_corners != 0};
    for (int i = 0; i < j->spatial; i++) {
        expected.dims[2 + i] = grid->shape.dims[1 + i];
        j->points *= grid->shape.dims[1 + i];
        j->size[3 - j->spatial + i] = x->shape.dims[2 + i];
        j->plane *= x->shape.dims[2 + i];
        MRT_TRY(mrt_check_param(x->shape.dims[2 + i], "input size", 1, INT32_MAX, err));
    }
    j->tiles = mrt_div_up(j->points, TILE);
    return mrt_check_shape(y, "y", &expected, err);
}

mrt_status mrt_grid_sample_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    sample_job j;
    *out_scratch = 0;
    return resolve(call, &j, err);
}

/* A position outside of the borders, brought to where the padding has it. */
static double settle(const sample_job *j, int64_t size, double v) {
    const double low = j->align ? 0.0 : -0.5, high = (double)size - (j->align ? 1.0 : 0.5);
    if (v >= low && v <= high) {
        return v;
    }
    /* Every tap is settled by itself; the bounds only keep what is far away within integers. */
    const bool by_tap = j->padding == MRT_SAMPLE_BORDER && j->mode == MRT_SAMPLE_CUBIC;
    if (j->padding == MRT_SAMPLE_ZEROS || by_tap) {
        return v > high ? fmin(v, (double)size + 4.0) : v > -4.0 ? v : -4.0;
    }
    const double range = high - low, far = v > high ? v - high : low - v;
    if (j->padding == MRT_SAMPLE_BORDER || !(far < 0x1p52) || !(range > 0.0)) {
        return v > high ? (double)size - 1.0 : 0.0;
    }
    const double turns = floor(far / range), rest = far - turns * range;
    const bool even = turns - 2.0 * floor(turns / 2.0) == 0.0;
    return (v > high) == even ? high - rest : low + rest;
}

/* Element that stands for index i; -1: none. */
static int64_t pixel(const sample_job *j, int64_t size, int64_t i) {
    if (i >= 0 && i < size) {
        return i;
    }
    if (j->padding == MRT_SAMPLE_ZEROS) {
        return -1;
    }
    if (j->padding == MRT_SAMPLE_BORDER || size == 1) {
        return i < 0 ? 0 : size - 1;
    }
    const int64_t last = j->align ? 2 * size - 2 : 2 * size - 1; /* mirror of index 0 */
    const int64_t period = j->align ? last : last + 1;
    const int64_t at = (i % period + period) % period;
    return at < size ? at : last - at;
}

static void cubic_weights(double t, double *weight) {
    const double a = -0.75, u = 1.0 - t;
    weight[0] = ((a * (t + 1.0) - 5.0 * a) * (t + 1.0) + 8.0 * a) * (t + 1.0) - 4.0 * a;
    weight[1] = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0;
    weight[2] = ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0;
    weight[3] = ((a * (u + 1.0) - 5.0 * a) * (u + 1.0) + 8.0 * a) * (u + 1.0) - 4.0 * a;
}

static void make_taps(const sample_job *j, int64_t size, float g, sample_taps *out) {
    float at = j->align ? (g + 1.0f) / 2.0f * (float)(size - 1)
                        : ((g + 1.0f) * (float)size - 1.0f) / 2.0f;
    if (j->mode == MRT_SAMPLE_NEAREST) {
        const double v = settle(j, size, (double)rintf(at));
        *out = (sample_taps){.n = 1, .at = {pixel(j, size, (int64_t)v)}, .weight = {1.0}};
        return;
    }
    const double v = settle(j, size, (double)at), whole = floor(v), t = v - whole;
    const bool cubic = j->mode == MRT_SAMPLE_CUBIC;
    const int64_t first = (int64_t)whole - (cubic ? 1 : 0);
    *out = (sample_taps){.n = cubic ? 4 : 2, .weight = {1.0 - t, t}};
    if (cubic) {
        cubic_weights(t, out->weight);
    }
    for (int i = 0; i < out->n; i++) {
        out->at[i] = pixel(j, size, first + i);
    }
}

static double sample_row(const sample_taps *w, const float *x) {
    double sum = 0.0;
    for (int i = 0; i < w->n; i++) {
        sum += w->at[i] < 0 ? 0.0 : w->weight[i] * (double)x[w->at[i]];
    }
    return sum;
}

/* One value of a plane. */
static float sample(const sample_job *j, const sample_taps *taps, const float *x) {
    const sample_taps *d = &taps[0], *h = &taps[1], *w = &taps[2];
    double sum = 0.0;
    for (int i = 0; i < d->n; i++) {
        double slice = 0.0;
        for (int k = 0; k < h->n && d->at[i] >= 0; k++) {
            if (h->at[k] >= 0) {
                const float *row = x + (d->at[i] * j->size[1] + h->at[k]) * j->size[2];
                slice += h->weight[k] * sample_row(w, row);
            }
        }
        sum += d->weight[i] * slice;
    }
    return (float)sum;
}

static void sample_tile(void *context, int64_t tile) {
    const sample_job *j = context;
    const int64_t n = tile / j->tiles, begin = tile % j->tiles * TILE;
    const int64_t end = mrt_min64(j->points, begin + TILE);
    const float *x = (const float *)j->call->in[0]->data + n * j->channels * j->plane;
    const float *grid = (const float *)j->call->in[1]->data + n * j->points * j->spatial;
    float *y = (float *)j->call->out[0]->data + n * j->channels * j->points;
    for (int64_t p = begin; p < end; p++) {
        sample_taps taps[3] = {{.n = 1, .weight = {1.0}}, {.n = 1, .weight = {1.0}}};
        for (int i = 0; i < j->spatial; i++) {
            make_taps(j, j->size[2 - i], grid[p * j->spatial + i], &taps[2 - i]);
        }
        for (int64_t c = 0; c < j->channels; c++) {
            y[c * j->points + p] = sample(j, taps, x + c * j->plane);
        }
    }
}

void mrt_grid_sample_f32_run(const mrt_call *call) {
    sample_job j;
    const mrt_status status = resolve(call, &j, NULL);
    assert(status == MRT_OK);
    (void)status;
    mrt_parallel_for(call->pool, call->in[0]->shape.dims[0] * j.tiles, sample_tile, &j);
}
