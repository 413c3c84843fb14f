/* conv_nhwc with one input and one output channel per group: taps applied to vectors of channels. */
#include "runtime/kernels/nhwc_conv.h"

#include "runtime/kernels/int_util.h"

enum { POSITIONS = 8 }; /* whose sums are finished together */

typedef struct depthwise_job {
    const mrt_nhwc_conv *conv;
    const uint8_t *x; /* of the image */
    uint8_t *y;
} depthwise_job;

static void run_task(void *context, int64_t task) {
    const depthwise_job *job = context;
    const mrt_nhwc_conv *c = job->conv;
    const mrt_conv_plan *p = &c->plan;
    const int64_t row_tasks = mrt_div_up(c->lines, c->lines_piece);
    const int64_t line0 = task % row_tasks * c->lines_piece;
    const int64_t line1 = mrt_min64(c->lines, line0 + c->lines_piece);
    const int64_t channel = task / row_tasks * MRT_DEPTHWISE_BLOCK;
    const int columns = (int)mrt_min64(MRT_DEPTHWISE_BLOCK, p->channels - channel);
    const size_t y_stride = (size_t)p->out_channels * c->y_element;
    const int64_t x_stride = p->stride[2] * p->channels;
    const mrt_tile_end end = mrt_nhwc_end(c, channel);
    mrt_tile_depthwise d = {.tap = c->run,
                            .groups = (int)c->quads,
                            .w = (const char *)c->w +
                                 (size_t)(channel / MRT_DEPTHWISE_BLOCK) * c->block_bytes};
    int32_t acc[POSITIONS * MRT_DEPTHWISE_BLOCK];
    for (int64_t line = line0; line < line1; ++line) {
        const uint8_t *x = job->x + mrt_nhwc_line(c, line) + channel;
        uint8_t *y = job->y + (size_t)(line * c->line * p->out_channels + channel) * c->y_element;
        for (int64_t at = 0; at < c->line; at += POSITIONS) {
            const int rows = (int)mrt_min64(POSITIONS, c->line - at);
            for (int r = 0; r < rows; ++r) {
                d.x = x + (at + r) * x_stride;
                c->isa->depthwise(&d, acc + r * MRT_DEPTHWISE_BLOCK);
            }
            mrt_tile_finish(c->isa, &end, acc, MRT_DEPTHWISE_BLOCK, rows, y + (size_t)at * y_stride,
                            y_stride, columns);
        }
    }
}

void mrt_nhwc_depthwise_run(const mrt_nhwc_conv *c, const mrt_call *call) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t tasks = mrt_div_up(c->lines, c->lines_piece) * c->blocks;
    const mrt_conv_int_params *params = call->params;
    depthwise_job job = {.conv = c};
    for (int64_t n = 0; n < p->batch; ++n) {
        job.x = mrt_nhwc_source(c, call, n, (uint8_t)params->zero_point_in);
        job.y = (uint8_t *)call->out[0]->data +
                (size_t)(n * p->positions * p->out_channels) * c->y_element;
        mrt_parallel_for(call->pool, tasks, run_task, &job);
    }
}
