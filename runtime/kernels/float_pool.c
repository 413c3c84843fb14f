/* pool_f32: average and Lp pooling.
 *
 * Per output, terms are added in double in increasing tap order (rows, then columns of the
 * window), the division or root is done in double, and the result is rounded once. Wide outputs
 * run tap by tap along a row of outputs, narrow ones window by window: the same order per output.
 * An average over no element is 0. */
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

#include <assert.h>

#define CHUNK 128  /* outputs of a row at a time */
#define NARROW 4   /* fewer outputs per row go window by window */
#define MAX_WIDE 64 /* widest kernel with a table of column ranges */

typedef struct pool_axis {
    int64_t in, out, kernel, stride, dilation, pad, padded; /* padded: end of the padded input */
} pool_axis;

typedef struct pool_job {
    const mrt_call *call;
    pool_axis axis[3];
    int64_t in_size, out_size, planes, lanes;
    int64_t mode, lp;
    bool include_pad;
    mrt_epilogue epilogue;
} pool_job;

static mrt_status resolve(const mrt_call *call, pool_job *j, mrt_error *err) {
    const mrt_pool_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_param(p->spatial, "spatial", 1, MRT_MAX_SPATIAL, err));
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_POOL_AVG, MRT_POOL_LP, err));
    MRT_TRY(mrt_check_act(p->act, err));
    const int spatial = (int)p->spatial;
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(x, "x", spatial + 2, spatial + 2, err));
    MRT_TRY(mrt_check_rank(y, "y", spatial + 2, spatial + 2, err));
    MRT_TRY(mrt_check_dim(y, "y", 0, x->shape.dims[0], err));
    MRT_TRY(mrt_check_dim(y, "y", 1, x->shape.dims[1], err));
    if (p->mode == MRT_POOL_LP) {
        MRT_TRY(mrt_check_param(p->lp, "lp", 1, 1024, err));
    }
    *j = (pool_job){.call = call, .in_size = 1, .out_size = 1, .mode = p->mode, .lp = p->lp};
    for (int a = 0; a < 3; a++) {
        const int i = a - (3 - spatial);
        j->axis[a] = (pool_axis){1, 1, 1, 1, 1, 0, 1};
        if (i >= 0) {
            const mrt_window w = {x->shape.dims[2 + i], y->shape.dims[2 + i], p->kernel[i],
                                  p->stride[i],         p->dilation[i],       p->pad_begin[i],
                                  p->pad_end[i]};
            MRT_TRY(mrt_check_window(&w, true, err));
            j->axis[a] = (pool_axis){w.in,       w.out,       w.kernel, w.stride,
                                     w.dilation, w.pad_begin, w.in + w.pad_begin + w.pad_end};
        }
        j->in_size *= j->axis[a].in;
        j->out_size *= j->axis[a].out;
    }
    j->planes = x->shape.dims[0] * x->shape.dims[1];
    j->lanes = mrt_lane_count(j->planes);
    j->include_pad = p->count_include_pad != 0;
    j->epilogue = mrt_epilogue_make(NULL, p->act, p->act_limit);
    return MRT_OK;
}

mrt_status mrt_pool_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    pool_job j;
    MRT_TRY(resolve(call, &j, err));
    *out_scratch = 0;
    return MRT_OK;
}

/* Taps [first, last) of the window of output o that lie inside the input. */
typedef struct tap_range {
    int64_t first, last, base; /* base: input index of tap 0 */
} tap_range;
static tap_range taps_inside(const pool_axis *a, int64_t o) {
    tap_range r = {0, 0, o * a->stride - a->pad};
    r.first = r.base < 0 ? mrt_min64(mrt_div_up(-r.base, a->dilation), a->kernel) : 0;
    const int64_t behind = r.base < a->in ? (a->in - 1 - r.base) / a->dilation + 1 : 0;
    r.last = mrt_max64(r.first, mrt_min64(behind, a->kernel));
    return r;
}

/* Elements that an average counts along one axis. */
static int64_t count_of(const pool_job *j, const pool_axis *a, int64_t o) {
    if (!j->include_pad) {
        const tap_range r = taps_inside(a, o);
        return r.last - r.first;
    }
    const int64_t start = o * a->stride;
    return start < a->padded ? mrt_min64((a->padded - 1 - start) / a->dilation + 1, a->kernel) : 0;
}

MRT_INLINE double term(int64_t lp, double v) {
    v = mrt_abs_(v);
    if (lp <= 2) {
        return lp == 1 ? v : v * v;
    }
    return mrt_d_exp_(mrt_clamp_((double)lp * mrt_d_log_(v), -700, 700));
}

static float finish(const pool_job *j, double sum, int64_t count) {
    if (j->mode == MRT_POOL_AVG) {
        return count > 0 ? (float)(sum / (double)count) : 0.0f;
    }
    if (j->lp <= 2) {
        return (float)(j->lp == 1 ? sum : sqrt(sum));
    }
    return (float)(sum > 0 ? mrt_d_exp_(mrt_clamp_(mrt_d_log_(sum) / (double)j->lp, -700, 700))
                           : sum);
}

/* acc[i] += x[i * stride] for the mode; lp 0 = average. */
MRT_INLINE void add_run(const float *x, int64_t stride, int64_t lp, int64_t n, double *acc) {
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)x[i * stride];
        acc[i] += lp == 0 ? v : term(lp, v);
    }
}
MRT_CLONES static void add_row(const float *x, int64_t stride, int64_t lp, int64_t n, double *acc) {
    if (lp == 0 && stride == 1) {
        add_run(x, 1, 0, n, acc);
    } else if (lp == 0 && stride == 2) {
        add_run(x, 2, 0, n, acc);
    } else if (lp == 0) {
        add_run(x, stride, 0, n, acc);
    } else {
        add_run(x, stride, lp, n, acc);
    }
}

/* Outputs [first, last) of a row whose tap k is inside the input. */
typedef struct out_range {
    int64_t first, last;
} out_range;

/* Outputs [ow, ow + n) of output row (od, oh), tap by tap. */
static void wide_row(const pool_job *j, const float *x, const out_range *inside, int64_t od,
                     int64_t oh, int64_t ow, int64_t n, double *acc) {
    const pool_axis *d = &j->axis[0], *h = &j->axis[1], *w = &j->axis[2];
    const tap_range rd = taps_inside(d, od), rh = taps_inside(h, oh);
    const int64_t lp = j->mode == MRT_POOL_AVG ? 0 : j->lp;
    for (int64_t i = 0; i < n; i++) {
        acc[i] = 0;
    }
    for (int64_t kd = rd.first; kd < rd.last; kd++) {
        for (int64_t kh = rh.first; kh < rh.last; kh++) {
            const int64_t id = rd.base + kd * d->dilation, ih = rh.base + kh * h->dilation;
            const float *row = x + (id * h->in + ih) * w->in;
            for (int64_t k = 0; k < w->kernel; k++) {
                const int64_t first = mrt_max64(inside[k].first, ow);
                const int64_t last = mrt_min64(inside[k].last, ow + n);
                if (first < last) {
                    add_row(row + first * w->stride - w->pad + k * w->dilation, w->stride, lp,
                            last - first, acc + (first - ow));
                }
            }
        }
    }
}

static double window_sum(const pool_job *j, const float *x, int64_t od, int64_t oh, int64_t ow) {
    const pool_axis *d = &j->axis[0], *h = &j->axis[1], *w = &j->axis[2];
    const tap_range rd = taps_inside(d, od), rh = taps_inside(h, oh), rw = taps_inside(w, ow);
    double sum = 0;
    for (int64_t kd = rd.first; kd < rd.last; kd++) {
        for (int64_t kh = rh.first; kh < rh.last; kh++) {
            const int64_t id = rd.base + kd * d->dilation, ih = rh.base + kh * h->dilation;
            const float *row = x + (id * h->in + ih) * w->in + rw.base;
            for (int64_t k = rw.first; k < rw.last; k++) {
                const double v = (double)row[k * w->dilation];
                sum += j->mode == MRT_POOL_AVG ? v : term(j->lp, v);
            }
        }
    }
    return sum;
}

/* Columns [ow, ow + n) of all output rows of a plane. */
static void run_columns(const pool_job *j, const float *x, float *y, int64_t ow, int64_t n) {
    const pool_axis *w = &j->axis[2];
    const bool wide = w->out >= NARROW && w->kernel <= MAX_WIDE;
    out_range inside[MAX_WIDE];
    int64_t count[CHUNK];
    double acc[CHUNK];
    for (int64_t i = 0; i < n; i++) {
        count[i] = count_of(j, w, ow + i);
    }
    for (int64_t k = 0; wide && k < w->kernel; k++) {
        const int64_t at = k * w->dilation - w->pad;
        inside[k].first = at < 0 ? mrt_div_up(-at, w->stride) : 0;
        inside[k].last = at < w->in ? (w->in - 1 - at) / w->stride + 1 : 0;
    }
    for (int64_t od = 0; od < j->axis[0].out; od++) {
        const int64_t count_d = count_of(j, &j->axis[0], od);
        for (int64_t oh = 0; oh < j->axis[1].out; oh++) {
            const int64_t count_dh = count_d * count_of(j, &j->axis[1], oh);
            float *out = y + (od * j->axis[1].out + oh) * w->out + ow;
            if (wide) {
                wide_row(j, x, inside, od, oh, ow, n, acc);
            }
            for (int64_t i = 0; i < n; i++) {
                const double sum = wide ? acc[i] : window_sum(j, x, od, oh, ow + i);
                out[i] = finish(j, sum, count_dh * count[i]);
            }
        }
    }
}

static void run_lane(void *context, int64_t lane) {
    const pool_job *j = context;
    const float *x = j->call->in[0]->data;
    float *y = j->call->out[0]->data;
    const int64_t last = mrt_lane_begin(j->planes, j->lanes, lane + 1);
    for (int64_t plane = mrt_lane_begin(j->planes, j->lanes, lane); plane < last; plane++) {
        float *out = y + plane * j->out_size;
        for (int64_t ow = 0; ow < j->axis[2].out; ow += CHUNK) {
            run_columns(j, x + plane * j->in_size, out, ow, mrt_min64(CHUNK, j->axis[2].out - ow));
        }
        mrt_epilogue_rows(&j->epilogue, out, 1, j->out_size, j->out_size);
    }
}

void mrt_pool_f32_run(const mrt_call *call) {
    pool_job j;
    const mrt_status status = resolve(call, &j, NULL);
    assert(status == MRT_OK);
    (void)status;
    mrt_parallel_for(call->pool, j.lanes, run_lane, &j);
}
