/* resize_int (rule resize-linear-int): linear interpolation with 11-bit weights per axis. */
#include "runtime/kernels/int_gemm.h"
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"

#include <math.h>

enum { WEIGHT_BITS = 11, WEIGHT_ONE = 1 << WEIGHT_BITS, MAX_RESIZED = 3 };

/* The two source elements of one output element of an axis. */
typedef struct resize_tap {
    int64_t low, high; /* offsets: index * stride of the axis */
    int32_t weight_low, weight_high;
} resize_tap;

typedef struct resize_plan {
    int rank;
    bool resized[MRT_MAX_RANK];
    int64_t stride[MRT_MAX_RANK]; /* of x */
    int64_t tap_at[MRT_MAX_RANK]; /* first tap of a resized axis in the table */
    int64_t taps;
    int bits;                     /* WEIGHT_BITS per resized axis */
} resize_plan;

static bool is_resized(const mrt_call *call, int axis) {
    const mrt_resize_params *p = call->params;
    return call->in[0]->shape.dims[axis] != call->out[0]->shape.dims[axis] ||
           p->scale[axis] != 1.0;
}

static void make_plan(const mrt_call *call, resize_plan *plan) {
    const mrt_shape *x = &call->in[0]->shape;
    int64_t stride = 1;
    *plan = (resize_plan){.rank = x->rank};
    for (int i = x->rank - 1; i >= 0; --i) {
        plan->stride[i] = stride;
        stride *= x->dims[i];
        plan->resized[i] = is_resized(call, i);
        if (plan->resized[i]) {
            plan->tap_at[i] = plan->taps;
            plan->taps += call->out[0]->shape.dims[i];
            plan->bits += WEIGHT_BITS;
        }
    }
}

mrt_status mrt_resize_int_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_resize_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0);
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype2(x, "x", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_rank(x, "x", 0, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_same_dtype(y, "y", x, "x", err));
    MRT_TRY(mrt_check_rank(y, "y", x->shape.rank, x->shape.rank, err));
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_RESIZE_LINEAR, MRT_RESIZE_LINEAR, err));
    MRT_TRY(mrt_check_param(p->coord, "coord", 0, MRT_COORD_HALF_PIXEL_SYMMETRIC, err));
    if (p->coord == MRT_COORD_TF_CROP || p->antialias != 0 || p->exclude_outside != 0) {
        return mrt_fail(err, MRT_UNSUPPORTED,
                        "parameter 'coord': integer resize has no crop, antialias or exclusion");
    }
    if (x->scale != y->scale || x->zero_point != y->zero_point) {
        return mrt_fail(err, MRT_INVALID, "operand 'y': must have the scale of operand 'x'");
    }
    int count = 0;
    for (int i = 0; i < x->shape.rank; ++i) {
        if (!(p->scale[i] > 0.0) || isinf(p->scale[i])) {
            return mrt_fail(err, MRT_INVALID, "parameter 'scale': must be positive, got %g",
                            p->scale[i]);
        }
        if (x->shape.dims[i] == 0 && y->shape.dims[i] != 0) {
            return mrt_fail(err, MRT_INVALID, "operand 'x': is empty");
        }
        count += is_resized(call, i);
    }
    if (count > MAX_RESIZED) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'y': %d resized axes, at most %d", count,
                        MAX_RESIZED);
    }
    resize_plan plan;
    make_plan(call, &plan);
    size_t bytes = 0;
    if (!mrt_mul_bytes((size_t)plan.taps, sizeof(resize_tap), &bytes)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'y': too large");
    }
    *out_scratch = mrt_align64(bytes);
    return MRT_OK;
}

/* Position in the input of output element `o`, in double, as ONNX Resize defines it. */
static double source_position(const mrt_resize_params *p, int axis, int64_t o, int64_t in,
                              int64_t out) {
    const double scale = p->scale[axis];
    const double half = ((double)o + 0.5) / scale - 0.5;
    switch (p->coord) {
    case MRT_COORD_PYTORCH_HALF_PIXEL:
        return out > 1 ? half : 0.0;
    case MRT_COORD_ALIGN_CORNERS:
        return out > 1 ? (double)o * (double)(in - 1) / (double)(out - 1) : 0.0;
    case MRT_COORD_ASYMMETRIC:
        return (double)o / scale;
    case MRT_COORD_HALF_PIXEL_SYMMETRIC: {
        const double adjustment = (double)out / (scale * (double)in);
        return (double)in / 2.0 * (1.0 - adjustment) + half;
    }
    default:
        return half;
    }
}

static void fill_taps(const mrt_call *call, const resize_plan *plan, int axis, resize_tap *taps) {
    const int64_t in = call->in[0]->shape.dims[axis];
    const int64_t out = call->out[0]->shape.dims[axis];
    for (int64_t o = 0; o < out; ++o) {
        double at = source_position(call->params, axis, o, in, out);
        at = at > -1.0 ? at : -1.0; /* also a NaN */
        at = at < (double)in ? at : (double)in;
        const double low = floor(at);
        const int64_t index = (int64_t)low;
        const int32_t weight = mrt_quantize_value(at - low, 1.0 / WEIGHT_ONE, 0, 0, WEIGHT_ONE);
        taps[o].low = mrt_clamp_i64(index, 0, in - 1) * plan->stride[axis];
        taps[o].high = mrt_clamp_i64(index + 1, 0, in - 1) * plan->stride[axis];
        taps[o].weight_low = WEIGHT_ONE - weight;
        taps[o].weight_high = weight;
    }
}

typedef struct resize_job {
    resize_plan plan;
    const mrt_call *call;
    const resize_tap *taps;
    int64_t lines, width;
    bool is_signed;
} resize_job;

/* Sources of one output row: up to 4 input rows with their weights. */
typedef struct row_sources {
    int count;
    int64_t at[1 << MAX_RESIZED];
    int64_t weight[1 << MAX_RESIZED];
} row_sources;

static void find_sources(const resize_job *job, int64_t line, row_sources *s) {
    const resize_plan *plan = &job->plan;
    s->count = 1;
    s->at[0] = 0;
    s->weight[0] = 1;
    for (int i = plan->rank - 2; i >= 0; --i) {
        const int64_t dim = job->call->out[0]->shape.dims[i];
        const int64_t o = line % dim;
        line /= dim;
        if (!plan->resized[i]) {
            for (int k = 0; k < s->count; ++k) {
                s->at[k] += o * plan->stride[i];
            }
            continue;
        }
        const resize_tap *tap = &job->taps[plan->tap_at[i] + o];
        for (int k = 0; k < s->count; ++k) {
            s->at[k + s->count] = s->at[k] + tap->high;
            s->weight[k + s->count] = s->weight[k] * tap->weight_high;
            s->at[k] += tap->low;
            s->weight[k] *= tap->weight_low;
        }
        s->count *= 2;
    }
}

/* A line along an axis that keeps its size, of at most 4 sources: sums below 2^30. Weights add up to
 * 2^bits, so bytes with their sign bit turned over give the result with its own turned over. */
MRT_CLONES
static void blend(const uint8_t *const row[4], const int32_t weight[4], int bits, uint8_t flip,
                  int64_t width, uint8_t *restrict y) {
    const uint8_t *a = row[0], *b = row[1], *c = row[2], *d = row[3];
    const int32_t half = (1 << bits) / 2;
    for (int64_t o = 0; o < width; ++o) {
        const int32_t sum = weight[0] * (a[o] ^ flip) + weight[1] * (b[o] ^ flip) +
                            weight[2] * (c[o] ^ flip) + weight[3] * (d[o] ^ flip);
        y[o] = (uint8_t)((sum + half) >> bits) ^ flip;
    }
}

static void blend_rows(const resize_job *job, const row_sources *s, const uint8_t *x, uint8_t *y) {
    const uint8_t *row[4];
    int32_t weight[4] = {0};
    for (int k = 0; k < 4; ++k) {
        row[k] = x + s->at[k < s->count ? k : 0];
        weight[k] = k < s->count ? (int32_t)s->weight[k] : 0;
    }
    blend(row, weight, job->plan.bits, job->is_signed ? 0x80 : 0, job->width, y);
}

static void run_line(const resize_job *job, int64_t line) {
    const resize_plan *plan = &job->plan;
    const uint8_t *x = job->call->in[0]->data;
    uint8_t *y = (uint8_t *)job->call->out[0]->data + line * job->width;
    const bool resized = plan->rank > 0 && plan->resized[plan->rank - 1];
    const resize_tap *taps = resized ? job->taps + plan->tap_at[plan->rank - 1] : NULL;
    row_sources s;
    find_sources(job, line, &s);
    if (taps == NULL && s.count <= 4) {
        blend_rows(job, &s, x, y);
        return;
    }
    for (int64_t o = 0; o < job->width; ++o) {
        int64_t sum = 0;
        for (int k = 0; k < s.count; ++k) {
            const uint8_t *row = x + s.at[k];
            if (taps) {
                const int32_t low = mrt_int_value(row, taps[o].low, job->is_signed);
                const int32_t high = mrt_int_value(row, taps[o].high, job->is_signed);
                sum += s.weight[k] * (low * taps[o].weight_low + high * taps[o].weight_high);
            } else {
                sum += s.weight[k] * mrt_int_value(row, o, job->is_signed);
            }
        }
        y[o] = (uint8_t)mrt_rshift_half_up(sum, plan->bits);
    }
}

static void run_lane(void *context, int64_t lane) {
    const resize_job *job = context;
    const int64_t end = mrt_int_lane_begin(job->lines, lane + 1);
    for (int64_t line = mrt_int_lane_begin(job->lines, lane); line < end; ++line) {
        run_line(job, line);
    }
}

void mrt_resize_int_run(const mrt_call *call) {
    const mrt_shape *y = &call->out[0]->shape;
    resize_job job = {.call = call, .is_signed = call->in[0]->dtype == MRT_I8};
    resize_tap *taps = call->scratch;
    const int64_t count = mrt_shape_count(y);
    if (count == 0) {
        return;
    }
    make_plan(call, &job.plan);
    for (int i = 0; i < y->rank; ++i) {
        if (job.plan.resized[i]) {
            fill_taps(call, &job.plan, i, taps + job.plan.tap_at[i]);
        }
    }
    job.taps = taps;
    job.width = y->rank > 0 ? y->dims[y->rank - 1] : 1;
    job.lines = count / job.width;
    mrt_parallel_for(call->pool, mrt_int_lanes(job.lines), run_lane, &job);
}
