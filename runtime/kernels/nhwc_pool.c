/* pool_nhwc: maximum and average over windows of whole pixels of uint8 (rule avgpool-int) or float (as
 * pool_f32: sums in double in increasing tap order). */
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/nhwc_pool_bytes.h"
#include "runtime/kernels/tile_isa.h"
#include "runtime/mrt_clones.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 256 }; /* channels that are worked on together */

typedef struct pool_axis {
    int64_t in, out, kernel, stride, dilation, begin, end;
} pool_axis;

typedef struct pool_job {
    pool_axis axis[3];
    int64_t channels, volume;
    const char *x;
    char *y;
    bool is_float;
    size_t element; /* bytes */
    const mrt_pool_params *params;
    const mrt_tile_isa *isa;
    mrt_tile_end end; /* of a whole window */
    int32_t base[CHUNK], multiplier[CHUNK], shift[CHUNK];
} pool_job;

/* Elements of window `o` of an axis: first and number of valid taps, and the divisor's share. */
typedef struct pool_range {
    int64_t start, first, count, divisor;
} pool_range;

static int64_t taps_before(int64_t room, const pool_axis *a) {
    return room < 0 ? 0 : mrt_min64(a->kernel, room / a->dilation + 1);
}

static pool_range window_range(const pool_axis *a, int64_t o, bool include_pad) {
    pool_range r = {.start = o * a->stride - a->begin};
    r.first = r.start >= 0 ? 0 : mrt_div_up(-r.start, a->dilation);
    r.count = mrt_max64(0, taps_before(a->in - 1 - r.start, a) - r.first);
    r.divisor = include_pad ? taps_before(a->in - 1 - r.start + a->end, a) : r.count;
    return r;
}

static mrt_status make_job(const mrt_call *call, pool_job *job, mrt_error *err) {
    const mrt_pool_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0);
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_POOL_MAX, MRT_POOL_AVG, err));
    MRT_TRY(mrt_check_param(p->spatial, "spatial", 1, MRT_MAX_SPATIAL, err));
    const int rank = (int)p->spatial + 2;
    const int skip = 3 - (int)p->spatial;
    if (mrt_in(call, 0) && x->dtype != MRT_I8) { /* plain: never negative */
        MRT_TRY(mrt_check_dtype2(x, "x", MRT_U8, MRT_F32, err));
    }
    MRT_TRY(mrt_check_rank(x, "x", rank, rank, err));
    MRT_TRY(mrt_check_same_dtype(y, "y", x, "x", err));
    MRT_TRY(mrt_check_rank(y, "y", rank, rank, err));
    MRT_TRY(mrt_check_dim(y, "y", 0, x->shape.dims[0], err));
    MRT_TRY(mrt_check_dim(y, "y", rank - 1, x->shape.dims[rank - 1], err));
    job->is_float = x->dtype == MRT_F32;
    job->element = mrt_dtype_bytes(x->dtype);
    job->channels = x->shape.dims[rank - 1];
    job->volume = 1;
    for (int i = 0; i < 3; ++i) {
        mrt_window w = {1, 1, 1, 1, 1, 0, 0};
        if (i >= skip) {
            const int from = i - skip;
            w = (mrt_window){x->shape.dims[1 + from], y->shape.dims[1 + from], p->kernel[from],
                             p->stride[from],         p->dilation[from],       p->pad_begin[from],
                             p->pad_end[from]};
        }
        MRT_TRY(mrt_check_window(&w, true, err));
        MRT_TRY(mrt_check_param(w.kernel, "kernel", 1, ((int64_t)1 << 23) / job->volume, err));
        job->axis[i] = (pool_axis){w.in,       w.out,       w.kernel, w.stride,
                                   w.dilation, w.pad_begin, w.pad_end};
        job->volume *= w.kernel;
    }
    return MRT_OK;
}

mrt_status mrt_pool_nhwc_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_pool_params *p = call->params;
    pool_job job;
    MRT_TRY(make_job(call, &job, err));
    MRT_TRY(mrt_check_param(p->multiplier, "multiplier", -INT32_MAX, INT32_MAX, err));
    *out_scratch = 0;
    return MRT_OK;
}

/* A NaN wins. */
MRT_CLONES
static void max_floats(float *restrict y, const float *restrict x, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] = x[i] > y[i] || x[i] != x[i] ? x[i] : y[i];
    }
}

MRT_CLONES
static void add_floats(double *restrict sum, const float *restrict x, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        sum[i] += (double)x[i];
    }
}

/* What a window gathers of CHUNK channels; maxima grow in the result itself. */
typedef union pool_sums {
    int32_t ints[CHUNK];
    double floats[CHUNK];
} pool_sums;

static void begin_pixel(const pool_job *job, int64_t count, void *y, pool_sums *sums) {
    if (job->params->mode == MRT_POOL_AVG) {
        memset(sums, 0, (size_t)count * (job->is_float ? sizeof(double) : sizeof(int32_t)));
    } else if (job->is_float) {
        for (int64_t i = 0; i < count; ++i) {
            ((float *)y)[i] = -INFINITY;
        }
    } else {
        memset(y, 0, (size_t)count);
    }
}

static void take_float(const pool_job *job, const float *x, int64_t count, void *y,
                       pool_sums *sums) {
    if (job->params->mode == MRT_POOL_MAX) {
        max_floats(y, x, count);
    } else {
        add_floats(sums->floats, x, count);
    }
}

static void finish_floats(const pool_job *job, const double *sum, int64_t divisor, int64_t count,
                          float *y) {
    const mrt_pool_params *p = job->params;
    const bool relu = p->act == MRT_ACT_RELU;
    const float high = relu && p->act_limit >= 0 ? (float)p->act_limit : INFINITY;
    for (int64_t i = 0; i < count; ++i) {
        float v = divisor > 0 ? (float)(sum[i] / (double)divisor) : 0.0f;
        v = relu && v < 0.0f ? 0.0f : v;
        y[i] = v > high ? high : v;
    }
}

static void finish_ints(const pool_job *job, int32_t *sum, int64_t pixels, int64_t divisor,
                        int64_t count, uint8_t *y) {
    const mrt_pool_params *p = job->params;
    const int32_t zero = (int32_t)(pixels * p->zero_point_in);
    for (int64_t i = 0; i < count; ++i) {
        sum[i] -= zero;
    }
    if (divisor == job->volume) {
        job->isa->finish(&job->end, sum, 0, 1, y, 0, (int)count);
        return;
    }
    for (int64_t i = 0; i < count; ++i) {
        const int64_t q = divisor > 0 ? mrt_requant_ratio(sum[i] * p->multiplier, job->volume,
                                                          divisor, (int)p->shift)
                                      : 0;
        y[i] = (uint8_t)mrt_clamp_i64(q + p->zero_point_out, job->end.low, job->end.high);
    }
}

/* Windows of one output pixel: the taps at hand, and what they are to become. */
typedef struct pool_window {
    const char *x; /* image, at the first channel */
    void *y;
    int64_t count; /* channels */
    pool_sums sums;
    int64_t tap[MRT_POOL_TAPS]; /* byte offsets from x */
    int taps;
} pool_window;

static void take_taps(const pool_job *job, pool_window *w) {
    if (job->params->mode == MRT_POOL_MAX) {
        mrt_pool_max_bytes((const uint8_t *)w->x, w->tap, w->taps, w->count, w->y);
    } else {
        mrt_pool_add_bytes((const uint8_t *)w->x, w->tap, w->taps, w->count, w->sums.ints);
    }
    w->taps = 0;
}

static void take_pixel(const pool_job *job, pool_window *w, int64_t pixel) {
    const int64_t at = pixel * job->channels * (int64_t)job->element;
    if (job->is_float) {
        take_float(job, (const float *)(const void *)(w->x + at), w->count, w->y, &w->sums);
        return;
    }
    w->tap[w->taps++] = at;
    if (w->taps == MRT_POOL_TAPS) {
        take_taps(job, w);
    }
}

/* Window of one output pixel of `count` channels. */
static void pool_pixel(const pool_job *job, const char *x, const pool_range r[3], int64_t count,
                       void *y) {
    const pool_axis *a = job->axis;
    pool_window window; /* its arrays are large: only what is used is cleared */
    window.x = x;
    window.y = y;
    window.count = count;
    window.taps = 0;
    int64_t pixels = 0;
    begin_pixel(job, count, y, &window.sums);
    for (int64_t d = r[0].first; d < r[0].first + r[0].count; ++d) {
        for (int64_t h = r[1].first; h < r[1].first + r[1].count; ++h) {
            const int64_t row = (r[0].start + d * a[0].dilation) * a[1].in + r[1].start +
                                h * a[1].dilation;
            for (int64_t w = r[2].first; w < r[2].first + r[2].count; ++w, ++pixels) {
                take_pixel(job, &window, row * a[2].in + r[2].start + w * a[2].dilation);
            }
        }
    }
    if (window.taps > 0) {
        take_taps(job, &window);
    }
    const int64_t divisor = r[0].divisor * r[1].divisor * r[2].divisor;
    if (job->params->mode == MRT_POOL_MAX) {
        return;
    }
    if (job->is_float) {
        finish_floats(job, window.sums.floats, divisor, count, y);
    } else {
        finish_ints(job, window.sums.ints, pixels, divisor, count, y);
    }
}

static void run_row(void *context, int64_t row) {
    const pool_job *job = context;
    const pool_axis *a = job->axis;
    const bool include_pad = job->params->count_include_pad != 0;
    const int64_t image = row / a[1].out / a[0].out;
    const size_t pixel = (size_t)job->channels * job->element;
    const char *x = job->x + (size_t)(image * a[0].in * a[1].in * a[2].in) * pixel;
    char *y = job->y + (size_t)(row * a[2].out) * pixel;
    pool_range r[3] = {window_range(&a[0], row / a[1].out % a[0].out, include_pad),
                       window_range(&a[1], row % a[1].out, include_pad)};
    for (int64_t ow = 0; ow < a[2].out; ++ow) {
        r[2] = window_range(&a[2], ow, include_pad);
        for (int64_t c = 0; c < job->channels; c += CHUNK) {
            pool_pixel(job, x + (size_t)c * job->element, r, mrt_min64(CHUNK, job->channels - c),
                       y + (size_t)c * job->element);
        }
        y += pixel;
    }
}

void mrt_pool_nhwc_run(const mrt_call *call) {
    const mrt_pool_params *p = call->params;
    const mrt_tensor *y = call->out[0];
    pool_job job = {.x = call->in[0]->data, .y = y->data, .params = p,
                    .isa = mrt_tile_isa_select()};
    const mrt_status status = make_job(call, &job, NULL);
    assert(status == MRT_OK);
    (void)status;
    for (int i = 0; i < CHUNK; ++i) {
        job.multiplier[i] = (int32_t)p->multiplier;
        job.shift[i] = (int32_t)p->shift;
    }
    job.end = (mrt_tile_end){.base = job.base, .multiplier = job.multiplier, .shift = job.shift,
                             .zero_point = (int32_t)p->zero_point_out,
                             .low = 0, .high = y->dtype == MRT_I8 ? 127 : 255,
                             .narrow = p->shift >= 32};
    if (!job.is_float && p->mode == MRT_POOL_AVG && p->act == MRT_ACT_RELU) {
        if (p->act_limit >= 0.0) {
            job.end.high = mrt_quantize_value(p->act_limit, y->scale, (int32_t)p->zero_point_out,
                                              0, job.end.high);
        }
        job.end.low = (int32_t)p->zero_point_out;
    }
    const int64_t rows = y->shape.dims[0] * job.axis[0].out * job.axis[1].out;
    if (job.channels > 0 && job.axis[2].out > 0) {
        mrt_parallel_for(call->pool, rows, run_row, &job);
    }
}
