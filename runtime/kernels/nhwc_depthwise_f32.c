/* conv_nhwc_f32 with one input and one output channel per group (rule float-dot): taps in written order,
 * products and sums rounded one by one, applied to vectors of channels. Taps in the padding are left
 * out: adding 0 * w to a sum that began with 0 changes nothing while w is finite, which check sees to.
 * Up to 60 bytes behind x are read and dropped. */
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/nhwc_conv.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

#include <string.h>

enum {
    VECTOR = 16, /* floats */
    VECTORS = MRT_DEPTHWISE_BLOCK / VECTOR,
    PIXELS = 2, /* that share a load of weights */
};
typedef float vector __attribute__((vector_size(VECTOR * sizeof(float)), aligned(4)));

typedef struct depthwise_job {
    const mrt_nhwc_conv *conv;
    const float *x; /* of the image */
    float *y;
} depthwise_job;

/* A macro: a function would pass vectors that the caller's processor may lack. */
#define VECTOR_AT(p) (*(const vector *)(const void *)(p))

/* The taps of neighbouring outputs that lie inside x: `rows` rows of `columns` taps. */
typedef struct tap_grid {
    const float *x, *w;          /* of the first tap */
    int64_t rows, columns;
    int64_t x_row, x_column;     /* elements between rows and columns of taps */
    int64_t w_row;
    int64_t x_pixel;             /* elements between outputs */
} tap_grid;

/* acc[pixel] = 0 + sum over taps, of `vectors` vectors of channels. */
MRT_INLINE void sum_taps(const tap_grid *g, const int pixels, const int vectors,
                         float (*acc)[MRT_DEPTHWISE_BLOCK]) {
    vector sum[PIXELS][VECTORS];
    for (int v = 0; v < vectors; ++v) {
        sum[0][v] = sum[1][v] = (vector){0};
    }
    const float *x_row = g->x, *w_row = g->w;
    for (int64_t r = g->rows; r > 0; --r, x_row += g->x_row, w_row += g->w_row) {
        const float *x = x_row, *w = w_row;
        for (int64_t k = g->columns; k > 0; --k, x += g->x_column, w += MRT_DEPTHWISE_BLOCK) {
            const float *next = x + g->x_pixel;
            for (int v = 0; v < vectors; ++v) {
                const vector weights = VECTOR_AT(w + v * VECTOR);
                sum[0][v] += weights * VECTOR_AT(x + v * VECTOR);
                if (pixels > 1) {
                    sum[1][v] += weights * VECTOR_AT(next + v * VECTOR);
                }
            }
        }
    }
    for (int v = 0; v < vectors; ++v) {
        *(vector *)(void *)(acc[0] + v * VECTOR) = sum[0][v];
        if (pixels > 1) {
            *(vector *)(void *)(acc[1] + v * VECTOR) = sum[1][v];
        }
    }
}

MRT_INLINE void sum_vectors(const tap_grid *g, const int pixels, int vectors,
                            float (*acc)[MRT_DEPTHWISE_BLOCK]) {
    switch (vectors) {
    case 4: sum_taps(g, pixels, 4, acc); break;
    case 3: sum_taps(g, pixels, 3, acc); break;
    case 2: sum_taps(g, pixels, 2, acc); break;
    default: sum_taps(g, pixels, 1, acc); break;
    }
}

MRT_INLINE void finish(const mrt_nhwc_conv *c, const float *bias, const float *acc, int columns,
                       float *y) {
    const float low = c->float_low, high = c->float_high;
    if (columns == MRT_DEPTHWISE_BLOCK) {
        MRT_IVDEP for (int i = 0; i < MRT_DEPTHWISE_BLOCK; ++i) {
            float v = acc[i] + bias[i];
            v = v < low ? low : v;
            y[i] = v > high ? high : v;
        }
        return;
    }
    MRT_IVDEP for (int i = 0; i < columns; ++i) {
        float v = acc[i] + bias[i];
        v = v < low ? low : v;
        y[i] = v > high ? high : v;
    }
}

/* Taps [*first, *last) of an axis that are inside when tap 0 is at `at`. */
static void taps_inside(int64_t at, int64_t in, int64_t kernel, int64_t dilation, int64_t *first,
                        int64_t *last) {
    *first = at < 0 ? mrt_min64(mrt_div_up(-at, dilation), kernel) : 0;
    *last = at < in ? mrt_max64(*first, mrt_min64((in - 1 - at) / dilation + 1, kernel)) : *first;
}

/* One line of outputs, channels from..from + columns. */
MRT_CLONES static void run_line(const depthwise_job *job, int64_t line, int64_t from, int columns) {
    const mrt_nhwc_conv *c = job->conv;
    const mrt_conv_plan *p = &c->plan;
    const int vectors = (columns + VECTOR - 1) / VECTOR;
    const int64_t h = line * p->stride[1] - p->begin[1];
    const int64_t reach = (p->kernel[2] - 1) * p->dilation[2];
    int64_t row, row_end;
    taps_inside(h, p->in[1], p->kernel[1], p->dilation[1], &row, &row_end);
    tap_grid g = {.rows = row_end - row,
                  .x_row = p->dilation[1] * p->in[2] * p->channels,
                  .x_column = p->dilation[2] * p->channels,
                  .w_row = p->kernel[2] * MRT_DEPTHWISE_BLOCK,
                  .x_pixel = p->stride[2] * p->channels};
    const float *x = job->x + (h + row * p->dilation[1]) * p->in[2] * p->channels + from;
    const float *w = (const float *)c->w + (from / MRT_DEPTHWISE_BLOCK * p->taps +
                                            row * p->kernel[2]) * MRT_DEPTHWISE_BLOCK;
    float acc[PIXELS][MRT_DEPTHWISE_BLOCK];
    float *y = job->y + line * c->line * p->channels + from;
    for (int64_t at = 0; at < c->line;) {
        const int64_t w0 = at * p->stride[2] - p->begin[2];
        int64_t first = 0, last = p->kernel[2];
        const bool pair = w0 >= 0 && w0 + reach + p->stride[2] < p->in[2] && at + 1 < c->line;
        if (!pair) {
            taps_inside(w0, p->in[2], p->kernel[2], p->dilation[2], &first, &last);
        }
        g.columns = last - first;
        g.x = x + (w0 + first * p->dilation[2]) * p->channels;
        g.w = w + first * MRT_DEPTHWISE_BLOCK;
        if (pair) {
            sum_vectors(&g, 2, vectors, acc);
        } else {
            sum_vectors(&g, 1, vectors, acc);
        }
        for (int i = 0; i <= (pair ? 1 : 0); ++i, ++at, y += p->channels) {
            finish(c, c->bias + from, acc[i], columns, y);
        }
    }
}

static void run_task(void *context, int64_t task) {
    const depthwise_job *job = context;
    const mrt_nhwc_conv *c = job->conv;
    const int64_t end = mrt_min64(c->lines, (task + 1) * c->lines_piece);
    for (int64_t from = 0; from < c->plan.channels; from += MRT_DEPTHWISE_BLOCK) {
        const int64_t columns = mrt_min64(MRT_DEPTHWISE_BLOCK, c->plan.channels - from);
        for (int64_t line = task * c->lines_piece; line < end; ++line) {
            run_line(job, line, from, (int)columns);
        }
    }
}

void mrt_nhwc_depthwise_f32_run(const mrt_nhwc_conv *c, const mrt_call *call) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t tasks = mrt_div_up(c->lines, c->lines_piece);
    for (int64_t n = 0; n < p->batch; ++n) {
        depthwise_job job = {
            .conv = c,
            .x = (const float *)call->in[0]->data + n * p->in_plane * p->channels,
            .y = (float *)call->out[0]->data + n * p->positions * p->channels};
        mrt_parallel_for(call->pool, tasks, run_task, &job);
    }
}
