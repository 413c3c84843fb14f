/* conv_nhwc_f32 with one input and one output channel per group (rule float-dot): taps in written order,
 * products and sums rounded one by one, applied to vectors of channels. Taps in the padding read
 * zeros. Up to 60 bytes behind x are read and dropped. */
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/nhwc_conv.h"
#include "runtime/mrt_clones.h"

#include <string.h>

enum {
    VECTOR = 16, /* floats */
    VECTORS = MRT_DEPTHWISE_BLOCK / VECTOR,
    MAX_TAPS = 64, /* whose places are worked out together */
};
typedef float vector __attribute__((vector_size(VECTOR * sizeof(float)), aligned(4)));

typedef struct depthwise_job {
    const mrt_nhwc_conv *conv;
    const float *x; /* of the image */
    float *y;
} depthwise_job;

static const float zeros[MRT_DEPTHWISE_BLOCK];

/* A macro: a function would pass vectors that the caller's processor may lack. */
#define VECTOR_AT(p) (*(const vector *)(const void *)(p))

/* acc = (first ? 0 : acc) + sum over taps, of `vectors` vectors of channels. */
MRT_INLINE void sum_taps(const float *const *tap, int taps, const float *w, bool first,
                         const int vectors, float *acc) {
    vector sum[VECTORS];
    for (int v = 0; v < vectors; ++v) {
        sum[v] = first ? (vector){0} : VECTOR_AT(acc + v * VECTOR);
    }
    for (int t = 0; t < taps; ++t, w += MRT_DEPTHWISE_BLOCK) {
        const float *x = tap[t];
        for (int v = 0; v < vectors; ++v) {
            sum[v] += VECTOR_AT(w + v * VECTOR) * VECTOR_AT(x + v * VECTOR);
        }
    }
    for (int v = 0; v < vectors; ++v) {
        *(vector *)(void *)(acc + v * VECTOR) = sum[v];
    }
}

/* A window that begins at row h, column w of depth d. */
typedef struct window {
    int64_t d, h, w;
    bool inside;
} window;

/* Places of taps [t0, t0 + taps). */
MRT_INLINE void find_taps(const mrt_nhwc_conv *c, const float *x, const window *win, int64_t t0,
                          int taps, const float **tap) {
    const mrt_conv_plan *p = &c->plan;
    if (win->inside) {
        const float *start = x + ((win->d * p->in[1] + win->h) * p->in[2] + win->w) * p->channels;
        for (int i = 0; i < taps; ++i) {
            tap[i] = start + c->run[t0 + i];
        }
        return;
    }
    for (int i = 0; i < taps; ++i) {
        const int64_t t = t0 + i;
        const int64_t w = win->w + t % p->kernel[2] * p->dilation[2];
        const int64_t h = win->h + t / p->kernel[2] % p->kernel[1] * p->dilation[1];
        const int64_t d = win->d + t / p->kernel[2] / p->kernel[1] * p->dilation[0];
        const bool in = d >= 0 && d < p->in[0] && h >= 0 && h < p->in[1] && w >= 0 && w < p->in[2];
        tap[i] = in ? x + ((d * p->in[1] + h) * p->in[2] + w) * p->channels : zeros;
    }
}

MRT_INLINE void sum_vectors(const float *const *tap, int taps, const float *w, bool first,
                            int vectors, float *acc) {
    switch (vectors) {
    case 4: sum_taps(tap, taps, w, first, 4, acc); break;
    case 3: sum_taps(tap, taps, w, first, 3, acc); break;
    case 2: sum_taps(tap, taps, w, first, 2, acc); break;
    default: sum_taps(tap, taps, w, first, 1, acc); break;
    }
}

MRT_INLINE void finish(const mrt_nhwc_conv *c, const float *bias, float *acc, int vectors) {
    for (int i = 0; i < vectors * VECTOR; ++i) {
        float v = acc[i] + bias[i];
        v = v < c->float_low ? c->float_low : v;
        acc[i] = v > c->float_high ? c->float_high : v;
    }
}

/* One line of outputs, channels from..from + columns. */
MRT_CLONES static void run_line(const depthwise_job *job, int64_t line, int64_t from, int columns) {
    const mrt_nhwc_conv *c = job->conv;
    const mrt_conv_plan *p = &c->plan;
    const float *w = (const float *)(const void *)((const char *)c->w +
                                                   (size_t)(from / MRT_DEPTHWISE_BLOCK) *
                                                       c->block_bytes);
    const int vectors = (columns + VECTOR - 1) / VECTOR;
    window win = {.d = line / p->out[1] * p->stride[0] - p->begin[0],
                  .h = line % p->out[1] * p->stride[1] - p->begin[1]};
    const int64_t reach[3] = {(p->kernel[0] - 1) * p->dilation[0],
                              (p->kernel[1] - 1) * p->dilation[1],
                              (p->kernel[2] - 1) * p->dilation[2]};
    const bool rows_inside = win.d >= 0 && win.d + reach[0] < p->in[0] && win.h >= 0 &&
                             win.h + reach[1] < p->in[1];
    const float *tap[MAX_TAPS];
    float acc[MRT_DEPTHWISE_BLOCK];
    float *y = job->y + line * c->line * p->channels + from;
    for (int64_t at = 0; at < c->line; ++at, y += p->channels) {
        win.w = at * p->stride[2] - p->begin[2];
        win.inside = rows_inside && win.w >= 0 && win.w + reach[2] < p->in[2];
        for (int64_t t = 0; t < p->taps; t += MAX_TAPS) {
            const int taps = (int)mrt_min64(MAX_TAPS, p->taps - t);
            find_taps(c, job->x + from, &win, t, taps, tap);
            sum_vectors(tap, taps, w + t * MRT_DEPTHWISE_BLOCK, t == 0, vectors, acc);
        }
        finish(c, c->bias + from, acc, vectors);
        if (columns == MRT_DEPTHWISE_BLOCK) {
            memcpy(y, acc, sizeof acc);
        } else {
            memcpy(y, acc, (size_t)columns * sizeof(float));
        }
    }
}

static void run_task(void *context, int64_t task) {
    const depthwise_job *job = context;
    const mrt_nhwc_conv *c = job->conv;
    const int64_t row_tasks = mrt_div_up(c->lines, c->lines_piece);
    const int64_t line0 = task % row_tasks * c->lines_piece;
    const int64_t line1 = mrt_min64(c->lines, line0 + c->lines_piece);
    const int64_t from = task / row_tasks * MRT_DEPTHWISE_BLOCK;
    const int columns = (int)mrt_min64(MRT_DEPTHWISE_BLOCK, c->plan.channels - from);
    for (int64_t line = line0; line < line1; ++line) {
        run_line(job, line, from, columns);
    }
}

void mrt_nhwc_depthwise_f32_run(const mrt_nhwc_conv *c, const mrt_call *call) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t tasks = mrt_div_up(c->lines, c->lines_piece) * c->blocks;
    for (int64_t n = 0; n < p->batch; ++n) {
        depthwise_job job = {
            .conv = c,
            .x = (const float *)call->in[0]->data + n * p->in_plane * p->channels,
            .y = (float *)call->out[0]->data + n * p->positions * p->channels};
        mrt_parallel_for(call->pool, tasks, run_task, &job);
    }
}
