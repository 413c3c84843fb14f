/* conv_int, deconv_int, conv_real, deconv_real (rules conv-int, deconv-int, conv-real): the matrix product of the weights
 * [out channels][depth] with the input's windows [depth][positions], group by group. Plans with fixed
 * sizes use channels-last forms instead, but for what has none. */
#include "runtime/kernels/int_conv_plan.h"
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"

#include <string.h>

/* One call: what the hooks of the matrix product see. `image` moves from batch to batch. */
typedef struct conv_job {
    mrt_conv_plan plan;
    const mrt_conv_int_params *params;
    const mrt_tile_isa *isa;
    const uint8_t *x;         /* of the image at hand */
    uint8_t *y;
    float *y_real;            /* conv_real, with scale */
    const int8_t *weights;
    const int32_t *bias, *multiplier, *shift;
    const double *scale;      /* NULL in conv_int */
    const uint8_t *planes;    /* x or the padded copy */
    uint8_t *padded;
    int64_t *tap;             /* [taps] offsets in a plane */
    int16_t *left;            /* weights [out channels][quads * 4] */
    int64_t quads;
    bool is_signed;
    bool narrow;              /* every accumulator fits int32 [acc-bound] */
} conv_job;

/* Parts of scratch in bytes, each a multiple of 64. */
typedef struct conv_memory {
    size_t padded, tap, left, gemm;
} conv_memory;

static bool memory_layout(const mrt_conv_plan *p, conv_memory *m, size_t *out_total) {
    const int64_t quads = mrt_div_up(p->depth, 4);
    size_t left = 0;
    if (!mrt_mul_bytes((size_t)quads * 8, (size_t)p->out_channels, &left) || left > SIZE_MAX / 4) {
        return false;
    }
    m->padded = mrt_align64(p->direct ? 0 : (size_t)(p->plane * p->channels) + MRT_PLANE_SLACK);
    m->tap = mrt_align64((size_t)p->taps * sizeof(int64_t));
    m->left = mrt_align64(left);
    m->gemm = mrt_int_gemm_scratch(p->group, p->group_out, p->positions, quads);
    *out_total = m->padded + m->tap + m->left + m->gemm;
    return true;
}

static mrt_status check_any(const mrt_call *call, bool transposed, size_t *out_scratch,
                            mrt_error *err) {
    mrt_conv_plan plan;
    conv_memory memory;
    MRT_TRY(mrt_conv_plan_check(call, transposed, &plan, err));
    if (plan.depthwise) {
        *out_scratch = mrt_conv_depthwise_scratch(&plan);
        return MRT_OK;
    }
    if (!memory_layout(&plan, &memory, out_scratch)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'w': too large");
    }
    return MRT_OK;
}

/* Runs of columns of a block whose windows lie next to each other in a plane. */
typedef struct segments {
    int count;
    int64_t at[MRT_INT_COLUMNS];  /* offset of the first column in a plane */
    int begin[MRT_INT_COLUMNS];
    int length[MRT_INT_COLUMNS];
} segments;

static void find_segments(const conv_job *job, const mrt_int_panel *p, segments *s) {
    int64_t expected = -1;
    s->count = 0;
    for (int j = 0; j < p->columns; ++j) {
        const int64_t at = job->plan.direct ? p->column + j
                                            : mrt_conv_position(&job->plan, p->column + j);
        if (at != expected) {
            s->at[s->count] = at;
            s->begin[s->count] = j;
            s->length[s->count++] = 0;
        }
        s->length[s->count - 1]++;
        expected = at + 1;
    }
}

/* The bytes of one k for all columns: in place, or collected in `row`. */
static const uint8_t *gather_row(const conv_job *job, const segments *s, const uint8_t *source,
                                 uint8_t *row) {
    if (job->plan.direct) {
        if (s->length[0] == MRT_INT_COLUMNS) {
            return source + s->at[0];
        }
        memcpy(row, source + s->at[0], (size_t)s->length[0]); /* nothing readable behind x */
        return row;
    }
    if (s->count == 1) {
        return source + s->at[0];
    }
    if (s->count > MRT_INT_COLUMNS / 2) {
        for (int i = 0; i < s->count; ++i) {
            for (int j = 0; j < s->length[i]; ++j) {
                row[s->begin[i] + j] = source[s->at[i] + j];
            }
        }
        return row;
    }
    for (int i = 0; i < s->count; ++i) {
        /* a whole block is cheaper than the exact length; the next segment covers the excess */
        memcpy(row + s->begin[i], source + s->at[i], MRT_INT_COLUMNS);
    }
    return row;
}

static void pack_windows(const void *context, const mrt_int_panel *p) {
    const conv_job *job = context;
    const mrt_conv_plan *plan = &job->plan;
    const uint8_t *planes = job->planes + p->batch * plan->group_in * plan->plane;
    static const uint8_t nothing[MRT_INT_COLUMNS];
    segments s;
    find_segments(job, p, &s);
    int64_t channel = p->first * 4 / plan->taps;
    int64_t tap = p->first * 4 % plan->taps;
    for (int64_t q = p->first; q < p->last; ++q) {
        const uint8_t *row[4];
        for (int i = 0; i < 4; ++i) {
            row[i] = channel < plan->group_in
                         ? gather_row(job, &s, planes + channel * plan->plane + job->tap[tap],
                                      p->row[i])
                         : nothing;
            if (++tap == plan->taps) {
                tap = 0;
                ++channel;
            }
        }
        mrt_int_pack_quad(p, q, row, job->is_signed, 0);
    }
}

static const char *left_rows(const void *context, int64_t batch) {
    const conv_job *job = context;
    return (const char *)(job->left + batch * job->plan.group_out * job->quads * 4);
}

static void finish_row(const void *context, const mrt_int_rows *r) {
    const conv_job *job = context;
    const mrt_conv_int_params *p = job->params;
    const int64_t oc = r->batch * job->plan.group_out + r->row;
    if (job->scale) {
        mrt_conv_finish_real(p, job->bias[oc], job->scale[oc], r->acc, r->wide,
                             job->y_real + oc * job->plan.positions + r->column, r->columns);
        return;
    }
    uint8_t *y = job->y + oc * job->plan.positions + r->column;
    if (r->acc && job->narrow) {
        mrt_conv_finish_row(job->isa, p, job->bias[oc], job->multiplier[oc], job->shift[oc],
                            r->acc, y, r->columns);
        return;
    }
    for (int i = 0; i < r->columns; ++i) {
        const int64_t sum = (r->acc ? r->acc[i] : r->wide[i]) + (int64_t)job->bias[oc];
        y[i] = (uint8_t)mrt_requant_clamp(sum, job->multiplier[oc], job->shift[oc],
                                          (int32_t)p->zero_point_out, (int32_t)p->clamp_min,
                                          (int32_t)p->clamp_max);
    }
}

/* Weights of an output channel, zero-filled to quads. */
static void prepare_row(const conv_job *job, int64_t oc) {
    const mrt_conv_plan *plan = &job->plan;
    int16_t *row = job->left + oc * job->quads * 4;
    const int8_t *w = job->weights + oc * plan->depth;
    for (int64_t k = 0; k < plan->depth; ++k) {
        row[k] = plan->transposed
                     ? job->weights[mrt_conv_weight(plan, oc, k / plan->taps, k % plan->taps)]
                     : w[k];
    }
    memset(row + plan->depth, 0, (size_t)(job->quads * 4 - plan->depth) * sizeof row[0]);
}

static void prepare_lane(void *context, int64_t lane) {
    const conv_job *job = context;
    const int64_t end = mrt_int_lane_begin(job->plan.out_channels, lane + 1);
    for (int64_t oc = mrt_int_lane_begin(job->plan.out_channels, lane); oc < end; ++oc) {
        prepare_row(job, oc);
    }
}

static void pad_lane(void *context, int64_t lane) {
    conv_job *job = context;
    const mrt_conv_plan *plan = &job->plan;
    const int64_t end = mrt_int_lane_begin(plan->channels, lane + 1);
    for (int64_t c = mrt_int_lane_begin(plan->channels, lane); c < end; ++c) {
        mrt_conv_fill_plane(plan, job->x + c * plan->in_plane,
                            (uint8_t)job->params->zero_point_in, job->padded + c * plan->plane);
    }
}

static bool is_narrow(const conv_job *job) {
    int64_t largest = 0;
    for (int64_t oc = 0; oc < job->plan.out_channels; ++oc) {
        const int64_t b = job->bias[oc];
        largest = mrt_max64(largest, b < 0 ? -b : b);
    }
    return job->plan.depth <= MRT_ACC32_DEPTH &&
           job->plan.depth * 255 * 128 + largest <= INT32_MAX;
}

static void run_any(const mrt_call *call, bool transposed) {
    conv_job job = {.plan = mrt_conv_plan_get(call, transposed), .isa = mrt_tile_isa_words()};
    const mrt_conv_plan *plan = &job.plan;
    if (plan->batch == 0 || plan->positions == 0) {
        return;
    }
    if (plan->depthwise) {
        mrt_conv_depthwise_run(plan, call);
        return;
    }
    conv_memory m = {0};
    size_t total = 0;
    memory_layout(plan, &m, &total);
    char *scratch = call->scratch;
    job.params = call->params;
    job.weights = call->in[1]->data;
    job.bias = call->in[2]->data;
    if (mrt_conv_is_real(call)) {
        job.scale = call->in[3]->data;
    } else {
        job.multiplier = call->in[3]->data;
        job.shift = call->in[4]->data;
    }
    job.is_signed = call->in[0]->dtype == MRT_I8;
    job.quads = mrt_div_up(plan->depth, 4);
    job.padded = (uint8_t *)scratch;
    job.tap = (int64_t *)(void *)(scratch + m.padded);
    job.left = (int16_t *)(void *)(scratch + m.padded + m.tap);
    job.narrow = is_narrow(&job);
    for (int64_t t = 0; t < plan->taps; ++t) {
        job.tap[t] = mrt_conv_tap(plan, t);
    }
    mrt_parallel_for(call->pool, mrt_int_lanes(plan->out_channels), prepare_lane, &job);
    const mrt_int_gemm gemm = {.isa = job.isa, .batches = plan->group, .rows = plan->group_out,
                               .columns = plan->positions, .quads = job.quads, .context = &job,
                               .left = left_rows,
                               .left_stride = (size_t)job.quads * 4 * sizeof(int16_t),
                               .pack = pack_windows, .finish = finish_row,
                               .scratch = scratch + m.padded + m.tap + m.left};
    for (int64_t n = 0; n < plan->batch; ++n) {
        job.x = (const uint8_t *)call->in[0]->data + n * plan->channels * plan->in_plane;
        const int64_t at = n * plan->out_channels * plan->positions;
        job.y = (uint8_t *)call->out[0]->data + (job.scale ? 0 : at);
        job.y_real = (float *)call->out[0]->data + (job.scale ? at : 0);
        job.planes = plan->direct ? job.x : job.padded;
        if (!plan->direct) {
            memset(job.padded + plan->channels * plan->plane, 0, MRT_PLANE_SLACK);
            mrt_parallel_for(call->pool, mrt_int_lanes(plan->channels), pad_lane, &job);
        }
        mrt_int_gemm_run(&gemm, call->pool);
    }
}

mrt_status mrt_conv_int_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_check_dtype(mrt_in(call, 3), "multiplier", MRT_I32, err));
    return check_any(call, false, out_scratch, err);
}

void mrt_conv_int_run(const mrt_call *call) { run_any(call, false); }

mrt_status mrt_deconv_int_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_check_dtype(mrt_in(call, 3), "multiplier", MRT_I32, err));
    return check_any(call, true, out_scratch, err);
}

void mrt_deconv_int_run(const mrt_call *call) { run_any(call, true); }

mrt_status mrt_conv_real_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_check_dtype(mrt_in(call, 3), "scale", MRT_F64, err));
    return check_any(call, false, out_scratch, err);
}

void mrt_conv_real_run(const mrt_call *call) { run_any(call, false); }

mrt_status mrt_deconv_real_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_check_dtype(mrt_in(call, 3), "scale", MRT_F64, err));
    return check_any(call, true, out_scratch, err);
}

void mrt_deconv_real_run(const mrt_call *call) { run_any(call, true); }
