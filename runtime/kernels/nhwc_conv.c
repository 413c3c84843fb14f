/* conv_nhwc (rule conv-int): tiles of positions times output channels. */
#include "runtime/kernels/nhwc_conv.h"

#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"

#include <string.h>

int64_t mrt_nhwc_line(const mrt_nhwc_conv *c, int64_t line) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t depth = line / p->out[1] * p->stride[0];
    const int64_t height = line % p->out[1] * p->stride[1];
    return c->first + (depth * c->pitch[1] + height) * c->pitch[2] * p->channels;
}

/* --- the copy with its padding --- */

typedef struct copy_job {
    const mrt_nhwc_conv *conv;
    const uint8_t *x; /* of the image */
    uint8_t zero_point;
    void *out;
} copy_job;

MRT_CLONES
static void widen(int16_t *restrict out, const uint8_t *restrict x, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = x[i];
    }
}

MRT_CLONES
static void fill16(int16_t *out, int16_t value, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = value;
    }
}

/* count elements from x, padding when it is NULL. */
static void put(const copy_job *job, int64_t at, const uint8_t *x, int64_t count) {
    if (job->conv->widens) {
        int16_t *out = (int16_t *)job->out + at;
        if (x) {
            widen(out, x, count);
        } else {
            fill16(out, job->zero_point, count);
        }
        return;
    }
    const size_t bytes = (size_t)count * job->conv->element;
    uint8_t *out = (uint8_t *)job->out + (size_t)at * job->conv->element;
    if (x) {
        memcpy(out, x, bytes);
    } else {
        memset(out, job->zero_point, bytes);
    }
}

/* One row of the padded image. */
static void copy_row(void *context, int64_t row) {
    const copy_job *job = context;
    const mrt_nhwc_conv *c = job->conv;
    const mrt_conv_plan *p = &c->plan;
    const int64_t d = row / c->pitch[1] - p->begin[0];
    const int64_t h = row % c->pitch[1] - p->begin[1];
    const int64_t at = row * c->pitch[2] * p->channels;
    if (d < 0 || d >= p->in[0] || h < 0 || h >= p->in[1]) {
        put(job, at, NULL, c->pitch[2] * p->channels);
        return;
    }
    const int64_t left = mrt_max64(0, mrt_min64(p->begin[2], c->pitch[2]));
    const int64_t skip = mrt_max64(0, -p->begin[2]);
    const int64_t inner = mrt_max64(0, mrt_min64(p->in[2] - skip, c->pitch[2] - left));
    const int64_t from = ((d * p->in[1] + h) * p->in[2] + skip) * p->channels;
    const uint8_t *x = job->x + (size_t)from * c->x_element;
    put(job, at, NULL, left * p->channels);
    put(job, at + left * p->channels, x, inner * p->channels);
    put(job, at + (left + inner) * p->channels, NULL,
        (c->pitch[2] - left - inner) * p->channels);
}

const void *mrt_nhwc_source(const mrt_nhwc_conv *c, const mrt_call *call, int64_t n,
                            uint8_t zero_point) {
    const mrt_conv_plan *p = &c->plan;
    const size_t image = (size_t)(p->in_plane * p->channels) * c->x_element;
    const uint8_t *x = (const uint8_t *)call->in[0]->data + (size_t)n * image;
    if (!c->copies) {
        return x;
    }
    copy_job job = {c, x, zero_point, call->scratch};
    const int64_t rows = c->pitch[0] * c->pitch[1];
    mrt_parallel_for(call->pool, rows, copy_row, &job);
    memset((char *)call->scratch + c->copy_bytes - MRT_TILE_SLACK, 0, MRT_TILE_SLACK);
    return call->scratch;
}

/* --- tiles --- */

typedef struct conv_job {
    const mrt_nhwc_conv *conv;
    const char *a; /* of the image */
    char *y;
} conv_job;

/* What all tiles of some neighbouring blocks have in common. */
typedef struct block_job {
    const mrt_nhwc_conv *conv;
    size_t a_stride, y_stride; /* bytes between rows */
    int blocks, columns;
    mrt_tile tile;
    mrt_tile_end end;
} block_job;

mrt_tile_end mrt_nhwc_end(const mrt_nhwc_conv *c, int64_t at) {
    mrt_tile_end end = {.base = c->base + at, .zero_point = c->zero_point, .low = c->low,
                        .high = c->high, .narrow = c->narrow};
    if (c->real) {
        end.scale = c->scale + at;
        end.real_low = c->range.low;
        end.real_high = c->range.high;
    } else {
        end.multiplier = c->multiplier + at;
        end.shift = c->shift + at;
    }
    return end;
}

/* `columns` columns of group g from `column` on. */
static block_job make_block(const mrt_nhwc_conv *c, int64_t g, int64_t column, int columns,
                            int32_t *sums) {
    const int64_t at = g * c->columns + column;
    const int64_t block = g * c->blocks + column / MRT_TILE_BLOCK;
    const char *w = (const char *)c->w + (size_t)block * c->block_bytes;
    block_job b = {.conv = c,
                   .a_stride = (size_t)c->a_step * c->element,
                   .y_stride = (size_t)c->y_step * c->y_element,
                   .blocks = (int)mrt_div_up(columns, MRT_TILE_BLOCK),
                   .columns = columns};
    b.tile = (mrt_tile){.a_stride = b.a_stride,
                        .run = c->run,
                        .runs = c->isa->proves ? c->runs * c->quads : c->runs,
                        .quads = c->isa->proves ? 1 : c->quads,
                        .w = w,
                        .w_stride = c->block_bytes,
                        .c = sums};
    b.end = mrt_nhwc_end(c, at);
    return b;
}

static void multiply(block_job *b, const char *a, int rows, char *y) {
    const mrt_nhwc_conv *c = b->conv;
    b->tile.a = a;
    c->isa->tile(&b->tile, rows, b->blocks);
    mrt_tile_finish(c->isa, &b->end, b->tile.c, MRT_TILE_BLOCKS * MRT_TILE_BLOCK, rows, (uint8_t *)y,
                    b->y_stride, b->columns);
}

/* One piece of a line. */
static void multiply_line(block_job *b, const char *a, int64_t rows, char *y) {
    const int *height = b->conv->isa->heights;
    for (int64_t row = 0; row < rows; row += height[0]) {
        row = mrt_tile_next(b->conv->isa, &height, rows, row);
        multiply(b, a + (size_t)row * b->a_stride, height[0], y + (size_t)row * b->y_stride);
    }
}

static void run_task(void *context, int64_t task) {
    const conv_job *job = context;
    const mrt_nhwc_conv *c = job->conv;
    const mrt_conv_plan *p = &c->plan;
    const int64_t piece_count = mrt_div_up(c->line, c->line_piece);
    const int64_t row_tasks = mrt_div_up(c->lines, c->lines_piece) * piece_count;
    const int64_t column_tasks = mrt_div_up(c->blocks, c->blocks_piece);
    const int64_t piece = task % row_tasks % piece_count * c->line_piece;
    const int64_t rows = mrt_min64(c->line_piece, c->line - piece);
    const int64_t line0 = task % row_tasks / piece_count * c->lines_piece;
    const int64_t line1 = mrt_min64(c->lines, line0 + c->lines_piece);
    const int64_t block0 = task / row_tasks % column_tasks * c->blocks_piece;
    const int64_t block1 = mrt_min64(c->blocks, block0 + c->blocks_piece);
    const int64_t g = task / row_tasks / column_tasks;
    const int width = c->isa->blocks;
    int32_t sums[MRT_TILE_ROWS * MRT_TILE_BLOCKS * MRT_TILE_BLOCK];
    mrt_tile_enter(c->isa);
    for (int64_t block = block0; block < block1; block += width) {
        const int64_t column = block * MRT_TILE_BLOCK;
        const int64_t most = mrt_min64(width, block1 - block) * MRT_TILE_BLOCK;
        const int columns = (int)mrt_min64(most, p->group_out - column);
        block_job b = make_block(c, g, column, columns, sums);
        for (int64_t line = line0; line < line1; ++line) {
            const int64_t from = mrt_nhwc_line(c, line) + piece * c->a_step + g * p->group_in;
            const int64_t to = line / p->out[1] * c->y_plane + line % p->out[1] * c->y_row +
                               piece * c->y_step + g * p->group_out + column;
            multiply_line(&b, job->a + (size_t)from * c->element, rows,
                          job->y + (size_t)to * c->y_element);
        }
    }
    mrt_tile_leave(c->isa);
}

void mrt_nhwc_tiles_run(const mrt_nhwc_conv *c, const void *a, void *y, mrt_pool *pool) {
    const int64_t rows = mrt_div_up(c->lines, c->lines_piece) * mrt_div_up(c->line, c->line_piece);
    const int64_t tasks = rows * mrt_div_up(c->blocks, c->blocks_piece) * c->plan.group;
    conv_job job = {c, a, y};
    mrt_parallel_for(pool, tasks, run_task, &job);
}

void mrt_nhwc_conv_run(const mrt_nhwc_conv *c, const mrt_call *call, uint8_t zero_point) {
    const mrt_conv_plan *p = &c->plan;
    const size_t image = (size_t)(p->positions * p->out_channels) * c->y_element;
    for (int64_t n = 0; n < c->images; ++n) {
        if (c->gathers) {
            mrt_nhwc_gather_run(c, call, n, zero_point);
            continue;
        }
        const void *a = mrt_nhwc_source(c, call, n, zero_point);
        mrt_nhwc_tiles_run(c, a, (char *)call->out[0]->data + (size_t)n * image, call->pool);
    }
}

void mrt_conv_nhwc_run(const mrt_call *call) {
    const mrt_nhwc_conv *c = call->packed;
    const mrt_conv_int_params *p = call->params;
    if (c->plan.batch == 0 || c->plan.positions == 0) {
        return;
    }
    if (c->plan.depthwise) {
        mrt_nhwc_depthwise_run(c, call);
        return;
    }
    mrt_nhwc_conv_run(c, call, (uint8_t)p->zero_point_in);
}
