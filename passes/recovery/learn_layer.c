/* Convolutions and products of the graph that is learned. */
#include <string.h>

#include "passes/recovery/learn.h"
#include "runtime/kernels/float_gemm.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_params.h"

typedef struct shape {
    int64_t channels, rows; /* per group: channels read, rows made */
    int64_t in, out;                /* elements of a plane */
    bool direct;                    /* 1x1 without stride: a picture is its own matrix of windows */
    bool planes;                    /* depthwise: one channel makes one row */
} shape;

static shape shape_of(const mica_layer *l) {
    const bool one = l->kernel[0] == 1 && l->kernel[1] == 1 && l->strides[0] == 1 && l->strides[1] == 1 &&
                     l->in_dims[2] == l->out_dims[2] && l->in_dims[3] == l->out_dims[3];
    return (shape){.channels = l->in_dims[1] / l->groups, .rows = l->rows / l->groups,
                   .in = l->in_dims[2] * l->in_dims[3], .out = l->out_dims[2] * l->out_dims[3], .direct = one,
                   .planes = l->in_dims[1] == l->groups && l->rows == l->groups};
}

size_t mica_learn_layer_scratch(const mica_layer *l, int64_t in_count) {
    if (!l->is_conv) {
        return (size_t)in_count;
    }
    const shape s = shape_of(l);
    return s.planes ? 0 : (size_t)((s.direct ? 1 : 2) * l->per * s.out);
}

static void product(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool trans_a, const float *b,
                    int64_t ldb, bool trans_b, float *c, int64_t ldc) {
    const mrt_gemm gemm = {.order = MRT_ORDER_BLAS, .m = m, .n = n, .k = k, .a = a, .lda = lda, .trans_a = trans_a,
                           .b = b, .ldb = ldb, .trans_b = trans_b, .c = c, .ldc = ldc};
    mrt_gemm_f32(&gemm);
}

/* --- windows ------------------------------------------------------------------------------------ */

/* Columns [from, to) of an output row whose column x lies inside the picture at offset j. */
static void inside(const mica_layer *l, int64_t j, int64_t *from, int64_t *to) {
    const int64_t offset = j * l->dilations[1] - l->pads[1];
    const int64_t step = l->strides[1];
    const int64_t w = l->in_dims[3];
    *from = offset < 0 ? (-offset + step - 1) / step : 0;
    *to = offset < w ? (w - 1 - offset) / step + 1 : 0;
    *to = *to < l->out_dims[3] ? *to : l->out_dims[3];
    *from = *from < *to ? *from : *to;
}

/* Row of the picture that row y of the result reads at offset i, or -1. */
static int64_t source_row(const mica_layer *l, int64_t y, int64_t i) {
    const int64_t at = y * l->strides[0] + i * l->dilations[0] - l->pads[0];
    return at >= 0 && at < l->in_dims[2] ? at : -1;
}

/* One plane against one place of the window: a line [out] of the matrix of windows, or back with `add`. */
static void window_line(const mica_layer *l, int64_t i, int64_t j, float *plane, float *line, bool back) {
    const int64_t w = l->in_dims[3];
    const int64_t ow = l->out_dims[3];
    int64_t from = 0;
    int64_t to = 0;
    inside(l, j, &from, &to);
    for (int64_t y = 0; y < l->out_dims[2]; ++y) {
        const int64_t at = source_row(l, y, i);
        float *row = plane + (at < 0 ? 0 : at * w) + j * l->dilations[1] - l->pads[1];
        float *out = line + y * ow;
        if (!back) {
            memset(out, 0, (size_t)ow * sizeof *out);
        }
        for (int64_t x = from; x < to && at >= 0; ++x) {
            if (back) {
                row[x * l->strides[1]] += out[x];
            } else {
                out[x] = row[x * l->strides[1]];
            }
        }
    }
}

/* The matrix of windows [per][out] of `channels` planes, or its gradient back to the planes. */
static void windows(const mica_layer *l, const shape *s, float *planes, float *lines, bool back) {
    for (int64_t c = 0; c < s->channels; ++c) {
        for (int64_t i = 0; i < l->kernel[0]; ++i) {
            for (int64_t j = 0; j < l->kernel[1]; ++j) {
                window_line(l, i, j, planes + c * s->in, lines, back);
                lines += s->out;
            }
        }
    }
}

/* --- one channel, one row ----------------------------------------------------------------------- */

MRT_CLONES
static void add_scaled(float *restrict y, const float *restrict x, float w, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        y[i] += w * x[i];
    }
}

MRT_CLONES
static void add_scaled_two(float *restrict y, const float *restrict x, float w, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        y[i] += w * x[2 * i];
    }
}

enum { LANES = 16 };

/* Sixteen sums side by side, so that the order does not depend on the vectors of the machine. */
MRT_CLONES
static float dot_lines(const float *restrict x, int64_t step, const float *restrict g, int64_t n) {
    float sums[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int64_t k = 0; k < LANES; ++k) {
            sums[k] += x[(i + k) * step] * g[i + k];
        }
    }
    float rest = 0.0F;
    for (; i < n; ++i) {
        rest += x[i * step] * g[i];
    }
    for (int64_t k = 0; k < LANES; ++k) {
        rest += sums[k];
    }
    return rest;
}

static void plane_forward(const mica_layer *l, const float *w, float bias, const float *x, float *y) {
    const int64_t ow = l->out_dims[3];
    const int64_t step = l->strides[1];
    for (int64_t i = 0; i < l->out_dims[2] * ow; ++i) {
        y[i] = bias;
    }
    for (int64_t i = 0; i < l->kernel[0]; ++i) {
        for (int64_t j = 0; j < l->kernel[1]; ++j) {
            const float weight = w[i * l->kernel[1] + j];
            int64_t from = 0;
            int64_t to = 0;
            inside(l, j, &from, &to);
            for (int64_t r = 0; r < l->out_dims[2]; ++r) {
                const int64_t at = source_row(l, r, i);
                if (at < 0) {
                    continue;
                }
                const float *row = x + at * l->in_dims[3] + j * l->dilations[1] - l->pads[1] + from * step;
                float *out = y + r * ow + from;
                if (step == 1) {
                    add_scaled(out, row, weight, to - from);
                } else if (step == 2) {
                    add_scaled_two(out, row, weight, to - from);
                } else {
                    for (int64_t k = 0; k < to - from; ++k) {
                        out[k] += weight * row[k * step];
                    }
                }
            }
        }
    }
}

/* gx may be NULL. */
static void plane_backward(const mica_layer *l, const float *w, const float *x, const float *gy, float *gx, float *gw) {
    const int64_t ow = l->out_dims[3];
    const int64_t step = l->strides[1];
    for (int64_t i = 0; i < l->kernel[0]; ++i) {
        for (int64_t j = 0; j < l->kernel[1]; ++j) {
            float sum = 0.0F;
            int64_t from = 0;
            int64_t to = 0;
            inside(l, j, &from, &to);
            for (int64_t r = 0; r < l->out_dims[2]; ++r) {
                const int64_t at = source_row(l, r, i);
                if (at < 0) {
                    continue;
                }
                const int64_t place = at * l->in_dims[3] + j * l->dilations[1] - l->pads[1] + from * step;
                const float *g = gy + r * ow + from;
                sum += dot_lines(x + place, step, g, to - from);
                for (int64_t k = 0; gx != NULL && step > 1 && k < to - from; ++k) {
                    gx[place + k * step] += w[i * l->kernel[1] + j] * g[k];
                }
                if (gx != NULL && step == 1) {
                    add_scaled(gx + place, g, w[i * l->kernel[1] + j], to - from);
                }
            }
            gw[i * l->kernel[1] + j] += sum;
        }
    }
}

/* --- layers ------------------------------------------------------------------------------------- */

static void conv_forward(const mica_learn_layer *l, const float *x, float *y, float *scratch) {
    const mica_layer *c = l->layer;
    const shape s = shape_of(c);
    for (int64_t group = 0; group < c->groups; ++group) {
        const float *w = l->weights + group * s.rows * c->per;
        const float *b = l->bias != NULL ? l->bias + group * s.rows : NULL;
        const float *from = x + group * s.channels * s.in;
        float *to = y + group * s.rows * s.out;
        if (s.planes) {
            plane_forward(c, w, b != NULL ? *b : 0.0F, from, to);
            continue;
        }
        if (!s.direct) {
            windows(c, &s, (float *)(uintptr_t)from, scratch, false);
            from = scratch;
        }
        product(s.rows, s.out, c->per, w, c->per, false, from, s.out, false, to, s.out);
        for (int64_t i = 0; b != NULL && i < s.rows; ++i) {
            for (int64_t k = 0; k < s.out; ++k) {
                to[i * s.out + k] += b[i];
            }
        }
    }
}

static void add_all(float *to, const float *from, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        to[i] += from[i];
    }
}

static void add_row_sums(float *to, const float *from, int64_t rows, int64_t n) {
    for (int64_t i = 0; i < rows; ++i) {
        for (int64_t k = 0; k < n; ++k) {
            to[i] += from[i * n + k];
        }
    }
}

/* gw and gb are zero before. */
static void conv_backward(const mica_learn_layer *l, const float *x, const float *gy, float *gx, float *gw, float *gb,
                          float *scratch) {
    const mica_layer *c = l->layer;
    const shape s = shape_of(c);
    for (int64_t group = 0; group < c->groups; ++group) {
        const float *w = l->weights + group * s.rows * c->per;
        const float *from = x + group * s.channels * s.in;
        const float *g = gy + group * s.rows * s.out;
        float *back = gx != NULL ? gx + group * s.channels * s.in : NULL;
        float *to = gw + group * s.rows * c->per;
        if (gb != NULL) {
            add_row_sums(gb + group * s.rows, g, s.rows, s.out);
        }
        if (s.planes) {
            plane_backward(c, w, from, g, back, to);
            continue;
        }
        if (!s.direct) {
            windows(c, &s, (float *)(uintptr_t)from, scratch, false);
            from = scratch;
        }
        product(s.rows, c->per, s.out, g, s.out, false, from, s.out, true, to, c->per);
        float *lines = scratch + (s.direct ? 0 : c->per * s.out);
        if (back != NULL) {
            product(c->per, s.out, s.rows, w, c->per, true, g, s.out, false, lines, s.out);
        }
        if (back != NULL && s.direct) {
            add_all(back, lines, s.channels * s.in);
        } else if (back != NULL) {
            windows(c, &s, back, lines, true);
        }
    }
}

static void matmul_backward(const mica_learn_layer *l, int64_t positions, const float *x, const float *gy, float *gx,
                            float *gw, float *gb, float *scratch) {
    const mica_layer *c = l->layer;
    product(c->rows, c->per, positions, gy, c->rows, true, x, c->per, false, gw, c->per);
    for (int64_t i = 0; gb != NULL && i < positions; ++i) {
        add_all(gb, gy + i * c->rows, c->rows);
    }
    if (gx != NULL) {
        product(positions, c->per, c->rows, gy, c->rows, false, l->weights, c->per, false, scratch, c->per);
        add_all(gx, scratch, positions * c->per);
    }
}

void mica_learn_layer_forward(const mica_learn_layer *l, int64_t in_count, const float *x, float *y, float *scratch) {
    const mica_layer *c = l->layer;
    if (c->is_conv) {
        conv_forward(l, x, y, scratch);
        return;
    }
    const int64_t positions = in_count / c->per;
    product(positions, c->rows, c->per, x, c->per, false, l->weights, c->per, true, y, c->rows);
    for (int64_t i = 0; l->bias != NULL && i < positions; ++i) {
        add_all(y + i * c->rows, l->bias, c->rows);
    }
}

void mica_learn_layer_backward(const mica_learn_layer *l, int64_t in_count, const float *x, const float *gy, float *gx,
                               float *gw, float *gb, float *scratch) {
    const mica_layer *c = l->layer;
    memset(gw, 0, (size_t)(c->rows * c->per) * sizeof *gw);
    if (gb != NULL) {
        memset(gb, 0, (size_t)c->rows * sizeof *gb);
    }
    if (c->is_conv) {
        conv_backward(l, x, gy, gx, gw, gb, scratch);
    } else {
        matmul_backward(l, in_count / c->per, x, gy, gx, gw, gb, scratch);
    }
}
