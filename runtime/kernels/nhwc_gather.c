/* conv_nhwc with gathered windows: each becomes one row of bytes, its taps one after the other. */
#include "runtime/kernels/nhwc_conv.h"

#include "runtime/kernels/int_util.h"

#include <string.h>

enum { TASK_ROWS = 28, SHORT = 32 };

typedef struct gather_job {
    const mrt_nhwc_conv *conv;
    const uint8_t *x; /* of the image */
    uint8_t zero_point;
    int64_t first, count; /* positions */
    uint8_t *out;
} gather_job;

/* `room` bytes may be written, and as many read. */
static inline void copy_short(uint8_t *out, const uint8_t *from, int64_t count, int64_t room) {
    if (count <= SHORT && room >= SHORT) {
        memcpy(out, from, SHORT);
    } else if (count <= 2 * SHORT && room >= 2 * SHORT) {
        memcpy(out, from, 2 * SHORT);
    } else {
        memcpy(out, from, (size_t)count);
    }
}

/* `width` neighbouring places of row `x` (NULL: outside of the image) from `w` on, the padding as zero
 * points. */
static void put_places(const gather_job *job, const uint8_t *x, int64_t w, int64_t width,
                       uint8_t *out, int64_t room) {
    const mrt_conv_plan *p = &job->conv->plan;
    const int64_t channels = p->channels;
    const int64_t left = x ? mrt_min64(width, mrt_max64(0, -w)) : width;
    const int64_t right = mrt_min64(width - left, mrt_max64(0, w + width - p->in[2]));
    const int64_t inner = width - left - right;
    if (left > 0) {
        memset(out, job->zero_point, (size_t)(left * channels));
    }
    if (inner > 0) {
        copy_short(out + left * channels, x + (w + left) * channels, inner * channels,
                   room - left * channels);
    }
    if (right > 0) {
        memset(out + (left + inner) * channels, job->zero_point, (size_t)(right * channels));
    }
}

/* A window that lies within the image, whose kernel rows are one run each; x: its first element. */
static void gather_inner(const gather_job *job, const uint8_t *x, uint8_t *out) {
    const mrt_conv_plan *p = &job->conv->plan;
    const int64_t bytes = p->kernel[2] * p->channels, kernel_h = p->kernel[1];
    const int64_t step_h = p->dilation[1] * p->in[2] * p->channels;
    const int64_t step_d = p->dilation[0] * p->in[1] * p->in[2] * p->channels;
    const uint8_t *end = out + job->conv->length;
    for (int64_t i = 0; i < p->kernel[0]; ++i, x += step_d) {
        const uint8_t *row = x;
        for (int64_t j = 0; j < kernel_h; ++j, row += step_h, out += bytes) {
            copy_short(out, row, bytes, end - out);
        }
    }
}

static bool lies_within(const mrt_conv_plan *p, int axis, int64_t at) {
    return at >= 0 && at + (p->kernel[axis] - 1) * p->dilation[axis] < p->in[axis];
}

/* The window that begins at d, h, w. */
static void gather_window(const gather_job *job, int64_t d, int64_t h, int64_t w, uint8_t *out) {
    const mrt_conv_plan *p = &job->conv->plan;
    const int64_t width = p->dilation[2] == 1 ? p->kernel[2] : 1;
    const uint8_t *end = out + job->conv->length;
    if (width == p->kernel[2] && lies_within(p, 0, d) && lies_within(p, 1, h) &&
        lies_within(p, 2, w)) {
        gather_inner(job, job->x + ((d * p->in[1] + h) * p->in[2] + w) * p->channels, out);
        return;
    }
    for (int64_t i = 0; i < p->kernel[0]; ++i) {
        const int64_t row_d = d + i * p->dilation[0];
        for (int64_t j = 0; j < p->kernel[1]; ++j) {
            const int64_t row_h = h + j * p->dilation[1];
            const bool inside = row_d >= 0 && row_d < p->in[0] && row_h >= 0 && row_h < p->in[1];
            const int64_t row = (row_d * p->in[1] + row_h) * p->in[2] * p->channels;
            const uint8_t *x = inside ? job->x + row : NULL;
            for (int64_t tap = 0; tap < p->kernel[2]; tap += width, out += width * p->channels) {
                put_places(job, x, w + tap * p->dilation[2], width, out, end - out);
            }
        }
    }
}

static void gather_task(void *context, int64_t task) {
    const gather_job *job = context;
    const mrt_conv_plan *p = &job->conv->plan;
    const int64_t row = task * TASK_ROWS;
    const int64_t end = mrt_min64(job->count, row + TASK_ROWS);
    const int64_t first = job->first + row;
    int64_t w = first % p->out[2];
    int64_t h = first / p->out[2] % p->out[1];
    int64_t d = first / p->out[2] / p->out[1];
    for (int64_t i = row; i < end; ++i) {
        gather_window(job, d * p->stride[0] - p->begin[0], h * p->stride[1] - p->begin[1],
                      w * p->stride[2] - p->begin[2], job->out + i * job->conv->length);
        if (++w == p->out[2]) {
            w = 0;
            d += h + 1 == p->out[1];
            h = h + 1 == p->out[1] ? 0 : h + 1;
        }
    }
}

void mrt_nhwc_gather_run(const mrt_nhwc_conv *c, const mrt_call *call, int64_t n,
                         uint8_t zero_point) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t position = p->out_channels * (int64_t)c->y_element; /* bytes */
    uint8_t *y = (uint8_t *)call->out[0]->data + n * p->positions * position;
    gather_job job = {.conv = c,
                      .x = (const uint8_t *)call->in[0]->data + n * p->in_plane * p->channels,
                      .zero_point = zero_point,
                      .out = call->scratch};
    mrt_nhwc_conv part = *c;
    for (; job.first < p->positions; job.first += c->line) {
        job.count = part.line = mrt_min64(c->line, p->positions - job.first);
        mrt_parallel_for(call->pool, mrt_div_up(job.count, TASK_ROWS), gather_task, &job);
        mrt_nhwc_tiles_run(&part, call->scratch, y + job.first * position, call->pool);
    }
}
