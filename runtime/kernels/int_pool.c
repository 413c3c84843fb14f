/* pool_avg_int (rule avgpool-int). */
#include "runtime/kernels/int_sum.h"
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/int_gemm.h"
#include "runtime/kernels/kernels.h"

/* Windows of at most 2^23 elements: their sums fit int32. */
#define POOL_VOLUME_LIMIT ((int64_t)1 << 23)

typedef struct pool_axis {
    int64_t in, out, kernel, stride, dilation, begin, end;
} pool_axis;

typedef struct pool_plan {
    pool_axis axis[3];
    int64_t planes, in_plane, out_plane, volume;
    bool constant; /* every window divides by the whole volume */
} pool_plan;

/* Elements of window `o` of an axis: first valid tap, their number, and the divisor's share. */
typedef struct pool_range {
    int64_t first, count, divisor;
} pool_range;

static pool_range window_range(const pool_axis *a, int64_t o, bool include_pad) {
    const int64_t start = o * a->stride - a->begin;
    const int64_t first = start >= 0 ? 0 : mrt_div_up(-start, a->dilation);
    const int64_t room = a->in - 1 - start;
    const int64_t last = room < 0 ? 0 : mrt_min64(a->kernel, room / a->dilation + 1);
    pool_range r = {first, mrt_max64(0, last - first), 0};
    r.divisor = r.count;
    if (include_pad) {
        const int64_t padded_room = room + a->end;
        r.divisor =
            padded_room < 0 ? 0 : mrt_min64(a->kernel, padded_room / a->dilation + 1);
    }
    return r;
}

/* Only the outermost windows of an axis can reach past the input. */
static bool is_constant(const pool_plan *plan, bool include_pad) {
    for (int i = 0; i < 3; ++i) {
        const pool_axis *a = &plan->axis[i];
        if (a->out > 0 && (window_range(a, 0, include_pad).divisor != a->kernel ||
                           window_range(a, a->out - 1, include_pad).divisor != a->kernel)) {
            return false;
        }
    }
    return true;
}

/* The exact division of a partial window must stay in 62 bits. */
static bool ratio_fits(const pool_plan *plan, const mrt_pool_params *p) {
    const int64_t m = p->multiplier < 0 ? -p->multiplier : p->multiplier;
    int64_t num = 0;
    return !__builtin_mul_overflow(plan->volume * plan->volume, 2 * 255 * m, &num) &&
           num < (int64_t)1 << 61 && plan->volume < ((int64_t)1 << 60) >> p->shift;
}

static mrt_status make_plan(const mrt_call *call, pool_plan *plan, mrt_error *err) {
    const mrt_pool_params *p = call->params;
    const mrt_tensor *x = call->in[0];
    const mrt_tensor *y = call->out[0];
    const int skip = 3 - (int)p->spatial;
    plan->volume = 1;
    plan->in_plane = plan->out_plane = 1;
    plan->planes = x->shape.dims[0] * x->shape.dims[1];
    for (int i = 0; i < 3; ++i) {
        mrt_window w = {1, 1, 1, 1, 1, 0, 0};
        if (i >= skip) {
            const int from = i - skip;
            w = (mrt_window){x->shape.dims[2 + from], y->shape.dims[2 + from], p->kernel[from],
                             p->stride[from], p->dilation[from], p->pad_begin[from],
                             p->pad_end[from]};
        }
        MRT_TRY(mrt_check_window(&w, true, err));
        MRT_TRY(mrt_check_param(w.kernel, "kernel", 1, POOL_VOLUME_LIMIT / plan->volume, err));
        plan->axis[i] = (pool_axis){w.in,     w.out,       w.kernel, w.stride,
                                    w.dilation, w.pad_begin, w.pad_end};
        plan->volume *= w.kernel;
        plan->in_plane *= w.in;
        plan->out_plane *= w.out;
    }
    plan->constant = is_constant(plan, p->count_include_pad != 0);
    return MRT_OK;
}

mrt_status mrt_pool_avg_int_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_pool_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0);
    const mrt_tensor *y = mrt_out(call, 0);
    pool_plan plan;
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_POOL_AVG, MRT_POOL_AVG, err));
    MRT_TRY(mrt_check_param(p->spatial, "spatial", 1, MRT_MAX_SPATIAL, err));
    const int rank = (int)p->spatial + 2;
    MRT_TRY(mrt_check_dtype2(x, "x", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_rank(x, "x", rank, rank, err));
    MRT_TRY(mrt_check_dtype2(y, "y", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_rank(y, "y", rank, rank, err));
    MRT_TRY(mrt_check_dim(y, "y", 0, x->shape.dims[0], err));
    MRT_TRY(mrt_check_dim(y, "y", 1, x->shape.dims[1], err));
    MRT_TRY(mrt_check_param(p->act, "act", MRT_ACT_NONE, MRT_ACT_RELU, err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_in, "zero_point_in", x, err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_out, "zero_point_out", y, err));
    MRT_TRY(mrt_check_param(p->multiplier, "multiplier", INT32_MIN, INT32_MAX, err));
    MRT_TRY(mrt_check_param(p->shift, "shift", 0, MRT_MAX_SHIFT, err));
    if (p->act == MRT_ACT_RELU && p->act_limit >= 0.0 && !(y->scale > 0.0)) {
        return mrt_fail(err, MRT_INVALID, "operand 'y': an activation limit needs a scale");
    }
    MRT_TRY(make_plan(call, &plan, err));
    if (!plan.constant && !ratio_fits(&plan, p)) {
        return mrt_fail(err, MRT_UNSUPPORTED,
                        "parameter 'kernel': %" PRId64 " elements with shift %" PRId64
                        " are too many for exact partial windows",
                        plan.volume, p->shift);
    }
    *out_scratch = 0;
    return MRT_OK;
}

typedef struct pool_job {
    pool_plan plan;
    const mrt_call *call;
    int64_t low, high;
    bool is_signed;
} pool_job;

static int64_t window_sum(const pool_job *job, const uint8_t *x, const pool_range *d,
                          const pool_range *h, const pool_range *w, int64_t start_d,
                          int64_t start_h, int64_t start_w) {
    const pool_axis *a = job->plan.axis;
    int64_t sum = 0;
    for (int64_t i = d->first; i < d->first + d->count; ++i) {
        for (int64_t j = h->first; j < h->first + h->count; ++j) {
            const int64_t row =
                (start_d + i * a[0].dilation) * a[1].in + start_h + j * a[1].dilation;
            const uint8_t *p = x + row * a[2].in + start_w + w->first * a[2].dilation;
            sum += mrt_int_sum(p, w->count, a[2].dilation, job->is_signed);
        }
    }
    return sum;
}

static void run_plane(const pool_job *job, const uint8_t *x, uint8_t *y) {
    const mrt_pool_params *p = job->call->params;
    const pool_axis *a = job->plan.axis;
    const bool include_pad = p->count_include_pad != 0;
    for (int64_t od = 0; od < a[0].out; ++od) {
        const pool_range d = window_range(&a[0], od, include_pad);
        for (int64_t oh = 0; oh < a[1].out; ++oh) {
            const pool_range h = window_range(&a[1], oh, include_pad);
            for (int64_t ow = 0; ow < a[2].out; ++ow) {
                const pool_range w = window_range(&a[2], ow, include_pad);
                const int64_t sum =
                    window_sum(job, x, &d, &h, &w, od * a[0].stride - a[0].begin,
                               oh * a[1].stride - a[1].begin, ow * a[2].stride - a[2].begin) -
                    d.count * h.count * w.count * p->zero_point_in;
                const int64_t divisor = d.divisor * h.divisor * w.divisor;
                int64_t q = 0;
                if (divisor == job->plan.volume) {
                    q = mrt_requant(sum, (int32_t)p->multiplier, (int32_t)p->shift);
                } else if (divisor > 0) {
                    q = mrt_requant_ratio(sum * p->multiplier, job->plan.volume, divisor,
                                          (int)p->shift);
                }
                *y++ = (uint8_t)mrt_clamp_i64(q + p->zero_point_out, job->low, job->high);
            }
        }
    }
}

static void run_lane(void *context, int64_t lane) {
    const pool_job *job = context;
    const uint8_t *x = job->call->in[0]->data;
    uint8_t *y = job->call->out[0]->data;
    const int64_t end = mrt_int_lane_begin(job->plan.planes, lane + 1);
    for (int64_t i = mrt_int_lane_begin(job->plan.planes, lane); i < end; ++i) {
        run_plane(job, x + i * job->plan.in_plane, y + i * job->plan.out_plane);
    }
}

void mrt_pool_avg_int_run(const mrt_call *call) {
    const mrt_pool_params *p = call->params;
    const mrt_tensor *y = call->out[0];
    pool_job job = {.call = call, .is_signed = call->in[0]->dtype == MRT_I8};
    const mrt_status status = make_plan(call, &job.plan, NULL);
    assert(status == MRT_OK);
    (void)status;
    mrt_int_range(y->dtype, &job.low, &job.high);
    if (p->act == MRT_ACT_RELU) {
        if (p->act_limit >= 0.0) {
            job.high = mrt_quantize_value(p->act_limit, y->scale, (int32_t)p->zero_point_out,
                                          (int32_t)job.low, (int32_t)job.high);
        }
        job.low = p->zero_point_out;
    }
    mrt_parallel_for(call->pool, mrt_int_lanes(job.plan.planes), run_lane, &job);
}
