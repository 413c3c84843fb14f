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
    return (depth * c->pitch[1] + height) * c->pitch[2] * p->channels;
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
    uint8_t *out = (uint8_t *)job->out + at;
    if (x) {
        memcpy(out, x, (size_t)count);
    } else {
        memset(out, job->zero_point, (size_t)count);
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
    const uint8_t *x = job->x + ((d * p->in[1] + h) * p->in[2] + skip) * p->channels;
    put(job, at, NULL, left * p->channels);
    put(job, at + left * p->channels, x, inner * p->channels);
    put(job, at + (left + inner) * p->channels, NULL,
        (c->pitch[2] - left - inner) * p->channels);
}

const void *mrt_nhwc_source(const mrt_nhwc_conv *c, const mrt_call *call, int64_t n) {
    const mrt_conv_plan *p = &c->plan;
    const uint8_t *x = (const uint8_t *)call->in[0]->data + n * p->in_plane * p->channels;
    if (!c->copies) {
        return x;
    }
    const mrt_conv_int_params *params = call->params;
    copy_job job = {c, x, (uint8_t)params->zero_point_in, call->scratch};
    const int64_t rows = c->pitch[0] * c->pitch[1];
    mrt_parallel_for(call->pool, rows, copy_row, &job);
    memset((char *)call->scratch + c->copy_bytes - MRT_TILE_SLACK, 0, MRT_TILE_SLACK);
    return call->scratch;
}

/* --- tiles --- */

typedef struct conv_job {
    const mrt_nhwc_conv *conv;
    const char *a; /* of the image */
    uint8_t *y;
} conv_job;

/* One piece of a line against `blocks` blocks of group g. Rows that do not fill a tile are done by a
 * lower tile that overlaps the one before: the same values are written twice. */
static void multiply_line(const conv_job *job, mrt_tile *tile, const mrt_tile_end *end, uint8_t *y,
                          const char *a, int64_t rows, int blocks, int columns) {
    const mrt_tile_isa *isa = job->conv->isa;
    const size_t width = MRT_TILE_BLOCKS * MRT_TILE_BLOCK;
    const size_t y_stride = (size_t)job->conv->plan.out_channels;
    const int *height = isa->heights;
    for (int64_t row = 0; row < rows;) {
        while (height[1] > 0 && height[0] > rows - row &&
               (row == 0 || height[1] >= rows - row)) {
            ++height;
        }
        row = mrt_min64(row, rows - height[0]); /* >= 0: the height fits into row + rest */
        tile->a = a + (size_t)row * tile->a_stride;
        isa->tile(tile, height[0], blocks);
        isa->finish(end, tile->c, width, height[0], y + (size_t)row * y_stride, y_stride, columns);
        row += height[0];
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
    const size_t element = mrt_tile_element(c->isa);
    int32_t sums[MRT_TILE_ROWS * MRT_TILE_BLOCKS * MRT_TILE_BLOCK];
    mrt_tile tile = {.a_stride = (size_t)(p->stride[2] * p->channels) * element,
                     .run = c->run,
                     .runs = c->runs,
                     .quads = c->quads,
                     .w_stride = c->block_bytes,
                     .c = sums};
    for (int64_t b = block0; b < block1; b += c->isa->blocks) {
        const int blocks = (int)mrt_min64(c->isa->blocks, block1 - b);
        const int64_t column = b * MRT_TILE_BLOCK;
        const int columns =
            (int)mrt_min64(blocks * MRT_TILE_BLOCK, p->group_out - column);
        const int64_t at = g * c->columns + column;
        const mrt_tile_end end = {c->base + at,
                                  c->multiplier + at,
                                  c->shift + at,
                                  c->zero_point,
                                  c->low,
                                  c->high,
                                  c->narrow};
        tile.w = (const char *)c->w + (size_t)(g * c->blocks + b) * c->block_bytes;
        for (int64_t line = line0; line < line1; ++line) {
            const int64_t from = mrt_nhwc_line(c, line) + piece * p->stride[2] * p->channels +
                                 g * p->group_in;
            const int64_t to = (line * c->line + piece) * p->out_channels + g * p->group_out;
            multiply_line(job, &tile, &end, job->y + to + column, job->a + (size_t)from * element,
                          rows, blocks, columns);
        }
    }
}

void mrt_nhwc_tiles_run(const mrt_nhwc_conv *c, const void *a, uint8_t *y, mrt_pool *pool) {
    const int64_t rows = mrt_div_up(c->lines, c->lines_piece) * mrt_div_up(c->line, c->line_piece);
    const int64_t tasks = rows * mrt_div_up(c->blocks, c->blocks_piece) * c->plan.group;
    conv_job job = {c, a, y};
    mrt_parallel_for(pool, tasks, run_task, &job);
}

void mrt_conv_nhwc_run(const mrt_call *call) {
    const mrt_nhwc_conv *c = call->packed;
    const mrt_conv_plan *p = &c->plan;
    if (p->batch == 0 || p->positions == 0) {
        return;
    }
    if (p->depthwise) {
        mrt_nhwc_depthwise_run(c, call);
        return;
    }
    for (int64_t n = 0; n < c->images; ++n) {
        const void *a = mrt_nhwc_source(c, call, n);
        uint8_t *y = (uint8_t *)call->out[0]->data + n * p->positions * p->out_channels;
        mrt_nhwc_tiles_run(c, a, y, call->pool);
    }
}
