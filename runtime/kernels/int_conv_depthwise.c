/* Depthwise convolution: one input channel per group, taps applied row by row to a padded plane. */
#include "runtime/kernels/int_conv_plan.h"
#include "runtime/kernels/int_util.h"

#include <string.h>

typedef struct depthwise_job {
    const mrt_conv_plan *plan;
    const mrt_call *call;
    const mrt_int_isa *isa;
} depthwise_job;

/* Slice of scratch of one lane, in bytes: plane, sums, tap offsets, mirrored weights. */
typedef struct depthwise_memory {
    size_t plane, acc, tap, weight, total;
} depthwise_memory;

static depthwise_memory memory_layout(const mrt_conv_plan *plan) {
    depthwise_memory m;
    m.plane = mrt_align64((size_t)plan->plane + MRT_PLANE_SLACK);
    m.acc = mrt_align64(((size_t)plan->out[2] + 16) * sizeof(int32_t));
    m.tap = mrt_align64(((size_t)plan->taps + 1) * sizeof(int64_t));
    m.weight = mrt_align64(((size_t)plan->taps + 1) * sizeof(int16_t));
    m.total = m.plane + m.acc + m.tap + m.weight;
    return m;
}

size_t mrt_conv_depthwise_scratch(const mrt_conv_plan *plan) {
    return (size_t)mrt_int_lanes(plan->batch * plan->group) * memory_layout(plan).total;
}

/* One row of outputs from finished sums. */
static void finish_row(const depthwise_job *job, int64_t oc, const int32_t *acc, uint8_t *y) {
    const mrt_conv_int_params *p = job->call->params;
    const int32_t bias = ((const int32_t *)job->call->in[2]->data)[oc];
    const mrt_int_requant r = {bias,
                               ((const int32_t *)job->call->in[3]->data)[oc],
                               ((const int32_t *)job->call->in[4]->data)[oc],
                               (int32_t)p->zero_point_out,
                               (int32_t)p->clamp_min,
                               (int32_t)p->clamp_max};
    const int64_t count = job->plan->out[2];
    const int64_t bound = job->plan->taps * 255 * 128 + (bias < 0 ? -(int64_t)bias : bias);
    if (bound <= INT32_MAX) {
        job->isa->requant(&r, acc, y, count);
        return;
    }
    for (int64_t i = 0; i < count; ++i) {
        y[i] = (uint8_t)mrt_requant_clamp((int64_t)acc[i] + bias, r.multiplier, r.shift,
                                          r.zero_point, r.low, r.high);
    }
}

/* All output channels of one group of one image. */
static void run_group(const depthwise_job *job, int64_t task, mrt_int_depthwise *d,
                      const uint8_t *plane, int16_t *weight, int32_t *acc) {
    const mrt_conv_plan *plan = job->plan;
    const int64_t group = task % plan->group;
    const int64_t image = task / plan->group;
    const int8_t *weights = job->call->in[1]->data;
    uint8_t *out = job->call->out[0]->data;
    for (int64_t i = 0; i < plan->group_out; ++i) {
        const int64_t oc = group * plan->group_out + i;
        uint8_t *y = out + (image * plan->out_channels + oc) * plan->positions;
        for (int64_t t = 0; t < plan->taps; ++t) {
            weight[t] = weights[mrt_conv_weight(plan, oc, 0, t)];
        }
        for (int64_t p = 0; p < plan->positions; p += plan->out[2]) {
            d->x = plane + mrt_conv_position(plan, p);
            job->isa->depthwise(d, acc, plan->out[2]);
            finish_row(job, oc, acc, y + p);
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
    int16_t *weight = (int16_t *)(void *)(memory + m.plane + m.acc + m.tap);
    for (int64_t t = 0; t < plan->taps; ++t) {
        tap[t] = mrt_conv_tap(plan, t);
    }
    tap[plan->taps] = 0;
    weight[plan->taps] = 0;
    memset(plane + plan->plane, 0, MRT_PLANE_SLACK);
    mrt_int_depthwise d = {.is_signed = job->call->in[0]->dtype == MRT_I8,
                           .taps = (int)(plan->taps + plan->taps % 2),
                           .offset = tap,
                           .weight = weight};
    const uint8_t *x = job->call->in[0]->data;
    const int64_t end = mrt_int_lane_begin(tasks, lane + 1);
    for (int64_t task = mrt_int_lane_begin(tasks, lane); task < end; ++task) {
        mrt_conv_fill_plane(plan, x + task * plan->in_plane, (uint8_t)p->zero_point_in, plane);
        run_group(job, task, &d, plane, weight, acc);
    }
}

void mrt_conv_depthwise_run(const mrt_conv_plan *plan, const mrt_call *call) {
    depthwise_job job = {plan, call, mrt_int_isa_select()};
    mrt_parallel_for(call->pool, mrt_int_lanes(plan->batch * plan->group), run_lane, &job);
}
