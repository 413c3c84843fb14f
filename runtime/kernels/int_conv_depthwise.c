/* Depthwise convolution: one input channel per group, taps applied row by row to a padded plane. */
#include "runtime/kernels/int_conv_plan.h"
#include "runtime/kernels/int_util.h"
#include "runtime/mrt_clones.h"

#include <string.h>

void mrt_conv_finish_row(const mrt_tile_isa *isa, const mrt_conv_int_params *p, int32_t bias,
                         int32_t multiplier, int32_t shift, const int32_t *acc, uint8_t *y,
                         int64_t count) {
    int32_t base[MRT_INT_COLUMNS], multipliers[MRT_INT_COLUMNS], shifts[MRT_INT_COLUMNS];
    const mrt_tile_end end = {.base = base, .multiplier = multipliers, .shift = shifts,
                              .zero_point = (int32_t)p->zero_point_out,
                              .low = (int32_t)p->clamp_min, .high = (int32_t)p->clamp_max};
    for (int i = 0; i < MRT_INT_COLUMNS; ++i) {
        base[i] = bias;
        multipliers[i] = multiplier;
        shifts[i] = shift;
    }
    for (int64_t i = 0; i < count; i += MRT_INT_COLUMNS) {
        isa->finish(&end, acc + i, 0, 1, y + i, 0, (int)mrt_min64(MRT_INT_COLUMNS, count - i));
    }
}

void mrt_conv_finish_real(const mrt_conv_int_params *p, int64_t bias, double scale, const int32_t *acc,
                          const int64_t *wide, float *y, int64_t count) {
    const mrt_real_range range = mrt_real_range_of(p->conv.act, p->conv.act_limit);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t sum = (acc ? acc[i] : wide[i]) + bias;
        y[i] = mrt_real_value(sum, scale, range.low, range.high);
    }
}

typedef struct depthwise_job {
    const mrt_conv_plan *plan;
    const mrt_call *call;
    const mrt_tile_isa *isa;
} depthwise_job;

/* Slice of scratch of one lane, in bytes: plane, sums, tap offsets. */
typedef struct depthwise_memory {
    size_t plane, acc, tap, total;
} depthwise_memory;

static depthwise_memory memory_layout(const mrt_conv_plan *plan) {
    depthwise_memory m;
    m.plane = mrt_align64((size_t)plan->plane + MRT_PLANE_SLACK);
    m.acc = mrt_align64(((size_t)plan->out[2] + MRT_INT_COLUMNS) * sizeof(int32_t));
    m.tap = mrt_align64((size_t)plan->taps * sizeof(int64_t));
    m.total = m.plane + m.acc + m.tap;
    return m;
}

size_t mrt_conv_depthwise_scratch(const mrt_conv_plan *plan) {
    return (size_t)mrt_int_lanes(plan->batch * plan->group) * memory_layout(plan).total;
}

/* acc[i] += w * x[i] for values of bytes ^ flip, less flip. */
MRT_CLONES
static void add_tap(int32_t *restrict acc, const uint8_t *restrict x, int32_t w, uint8_t flip,
                    int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        acc[i] += w * ((x[i] ^ flip) - flip);
    }
}

/* One row of outputs from finished sums. */
static void finish_row(const depthwise_job *job, int64_t oc, const int32_t *acc, int64_t at) {
    const mrt_conv_int_params *p = job->call->params;
    const int32_t bias = ((const int32_t *)job->call->in[2]->data)[oc];
    if (mrt_conv_is_real(job->call)) {
        mrt_conv_finish_real(p, bias, ((const double *)job->call->in[3]->data)[oc], acc, NULL,
                             (float *)job->call->out[0]->data + at, job->plan->out[2]);
        return;
    }
    uint8_t *y = (uint8_t *)job->call->out[0]->data + at;
    const int32_t multiplier = ((const int32_t *)job->call->in[3]->data)[oc];
    const int32_t shift = ((const int32_t *)job->call->in[4]->data)[oc];
    const int64_t count = job->plan->out[2];
    const int64_t bound = job->plan->taps * 255 * 128 + (bias < 0 ? -(int64_t)bias : bias);
    if (bound <= INT32_MAX) {
        mrt_conv_finish_row(job->isa, p, bias, multiplier, shift, acc, y, count);
        return;
    }
    for (int64_t i = 0; i < count; ++i) {
        y[i] = (uint8_t)mrt_requant_clamp((int64_t)acc[i] + bias, multiplier, shift,
                                          (int32_t)p->zero_point_out, (int32_t)p->clamp_min,
                                          (int32_t)p->clamp_max);
    }
}

/* All output channels of one group of one image. */
static void run_group(const depthwise_job *job, int64_t task, const uint8_t *plane,
                      const int64_t *tap, int32_t *acc) {
    const mrt_conv_plan *plan = job->plan;
    const int64_t group = task % plan->group;
    const int64_t image = task / plan->group;
    const int8_t *weights = job->call->in[1]->data;
    const uint8_t flip = job->call->in[0]->dtype == MRT_I8 ? 0x80 : 0;
    for (int64_t i = 0; i < plan->group_out; ++i) {
        const int64_t oc = group * plan->group_out + i;
        const int64_t at = (image * plan->out_channels + oc) * plan->positions;
        for (int64_t p = 0; p < plan->positions; p += plan->out[2]) {
            const uint8_t *x = plane + mrt_conv_position(plan, p);
            memset(acc, 0, (size_t)plan->out[2] * sizeof acc[0]);
            for (int64_t t = 0; t < plan->taps; ++t) {
                add_tap(acc, x + tap[t], weights[mrt_conv_weight(plan, oc, 0, t)], flip,
                        plan->out[2]);
            }
            finish_row(job, oc, acc, at + p);
        }
    }
}

static void run_lane(void *context, int64_t lane) {
    const depthwise_job *job = context;
    const mrt_conv_plan *plan = job->plan;
    const mrt_conv_int_params *p = job->call->params;
    const depthwise_memory m = memory_layout(plan);
    const int64_t tasks = plan->batch * plan->group;
    char *memory = (char *)job->call->scratch + (size_t)lane * m.total;
    uint8_t *plane = (uint8_t *)memory;
    int32_t *acc = (int32_t *)(void *)(memory + m.plane);
    int64_t *tap = (int64_t *)(void *)(memory + m.plane + m.acc);
    for (int64_t t = 0; t < plan->taps; ++t) {
        tap[t] = mrt_conv_tap(plan, t);
    }
    memset(plane + plan->plane, 0, MRT_PLANE_SLACK);
    const uint8_t *x = job->call->in[0]->data;
    const int64_t end = mrt_int_lane_begin(tasks, lane + 1);
    for (int64_t task = mrt_int_lane_begin(tasks, lane); task < end; ++task) {
        mrt_conv_fill_plane(plan, x + task * plan->in_plane, (uint8_t)p->zero_point_in, plane);
        run_group(job, task, plane, tap, acc);
    }
}

void mrt_conv_depthwise_run(const mrt_conv_plan *plan, const mrt_call *call) {
    depthwise_job job = {plan, call, mrt_tile_isa_select()};
    mrt_parallel_for(call->pool, mrt_int_lanes(plan->batch * plan->group), run_lane, &job);
}
