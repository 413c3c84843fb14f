#include "test/ref/ref_float_nn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ref_matmul_run(const ref_matmul *g, const float *a, const float *b, const float *bias,
                    double *y, float *y_written) {
    const int64_t count = g->batch[0] * g->batch[1] * g->m * g->n;
    for (int64_t i = 0; i < count; i++) {
        const int64_t n = i % g->n, m = i / g->n % g->m;
        const int64_t b1 = i / g->n / g->m % g->batch[1], b0 = i / g->n / g->m / g->batch[1];
        const int64_t at = (b0 % g->a_batch[0] * g->a_batch[1] + b1 % g->a_batch[1]) * g->m * g->k;
        const int64_t bt = (b0 % g->b_batch[0] * g->b_batch[1] + b1 % g->b_batch[1]) * g->n * g->k;
        double sum = 0;
        float written = 0;
        for (int64_t k = 0; k < g->k; k++) {
            const float u = a[at + (g->trans_a ? k * g->m + m : m * g->k + k)];
            const float v = b[bt + (g->trans_b ? n * g->k + k : k * g->n + n)];
            sum += (double)u * (double)v;
            const float product = u * v;
            written = written + product;
        }
        const int64_t *d = g->bias_dims;
        const float add =
            bias ? bias[((b0 % d[0] * d[1] + b1 % d[1]) * d[2] + m % d[2]) * d[3] + n % d[3]] : 0;
        y[i] = g->alpha * sum + (bias ? g->beta * (double)add : 0);
        const float scaled = (float)g->alpha * written;
        const float scaled_bias = (float)g->beta * add;
        y_written[i] = bias ? scaled + scaled_bias : scaled;
    }
}

void ref_softmax_run(int64_t outer, int64_t size, int64_t inner, bool log_form, const float *x,
                     double *y) {
    for (int64_t i = 0; i < outer * inner; i++) {
        const int64_t base = i / inner * size * inner + i % inner;
        double max = -INFINITY, sum = 0;
        for (int64_t k = 0; k < size; k++) {
            max = fmax(max, (double)x[base + k * inner]);
        }
        for (int64_t k = 0; k < size; k++) {
            sum += exp((double)x[base + k * inner] - max);
        }
        for (int64_t k = 0; k < size; k++) {
            const double d = (double)x[base + k * inner] - max;
            y[base + k * inner] = log_form ? d - log(sum) : exp(d) / sum;
        }
    }
}

static void moments(const float *x, int64_t n, double *mean, double *var) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i];
    }
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        squares += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    }
    *var = squares / (double)n;
}

void ref_layer_norm_run(int64_t rows, int64_t size, double epsilon, bool rms, const float *x,
                        const float *scale, const float *bias, double *y, double *mean,
                        double *inv) {
    for (int64_t r = 0; r < rows; r++) {
        double m, v;
        moments(x + r * size, size, &m, &v);
        if (rms) {
            v += m * m;
            m = 0;
        }
        mean[r] = m;
        inv[r] = 1 / sqrt(v + epsilon);
        for (int64_t i = 0; i < size; i++) {
            y[r * size + i] = ((double)x[r * size + i] - m) / sqrt(v + epsilon) *
                                  (scale ? (double)scale[i] : 1) +
                              (bias ? (double)bias[i] : 0);
        }
    }
}

void ref_group_norm_run(int64_t n, int64_t c, int64_t inner, int64_t groups, double epsilon,
                        const float *x, const float *scale, const float *bias, double *y) {
    const int64_t size = c / groups * inner;
    for (int64_t g = 0; g < n * groups; g++) {
        double m, v;
        moments(x + g * size, size, &m, &v);
        for (int64_t i = 0; i < size; i++) {
            const int64_t channel = g % groups * (c / groups) + i / inner;
            y[g * size + i] =
                ((double)x[g * size + i] - m) / sqrt(v + epsilon) * (double)scale[channel] +
                (double)bias[channel];
        }
    }
}

void ref_lrn_run(int64_t n, int64_t c, int64_t inner, int64_t size, double alpha, double beta,
                 double bias, const float *x, double *y) {
    for (int64_t i = 0; i < n * c * inner; i++) {
        const int64_t channel = i / inner % c;
        double sum = 0;
        for (int64_t k = 0; k < size; k++) {
            const int64_t other = channel - (size - 1) / 2 + k;
            if (other >= 0 && other < c) {
                const double v = (double)x[i + (other - channel) * inner];
                sum += v * v;
            }
        }
        y[i] = (double)x[i] / pow(bias + alpha / (double)size * sum, beta);
    }
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double clip(const ref_rnn *g, double x) {
    return g->clip > 0 ? fmin(fmax(x, -g->clip), g->clip) : x;
}

/* sum over k of m[row, k] * v[k] */
static double dot(const float *m, int64_t row, const double *v, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) {
        sum += (double)m[row * n + k] * v[k];
    }
    return sum;
}

/* One step of one sequence: x of the step, states h and c in place. d: direction. */
static void rnn_step(const ref_rnn *g, int64_t d, const double *x, double *h, double *c) {
    const int64_t H = g->hidden, I = g->input;
    const int64_t gates = g->kind == 'l' ? 4 : g->kind == 'g' ? 3 : 1;
    const float *w = g->w + d * gates * H * I, *r = g->r + d * gates * H * H;
    const float *b = g->b ? g->b + d * 2 * gates * H : NULL;
    const float *p = g->p ? g->p + d * 3 * H : NULL;
    double *old = malloc((size_t)H * sizeof *old), *reset = malloc((size_t)H * sizeof *reset);
    memcpy(old, h, (size_t)H * sizeof *old);
#define WB(gate) (b ? (double)b[(gate) * H + i] : 0)
#define RB(gate) (b ? (double)b[(gates + (gate)) * H + i] : 0)
#define GATE(gate)                                                                                 \
    (dot(w, (gate) * H + i, x, I) + dot(r, (gate) * H + i, old, H) + WB(gate) + RB(gate))
    for (int64_t i = 0; i < H && g->kind == 'g'; i++) {
        reset[i] = sigmoid(clip(g, GATE(1))) * old[i];
    }
    for (int64_t i = 0; i < H; i++) {
        if (g->kind == 'r') {
            h[i] = tanh(clip(g, GATE(0)));
        } else if (g->kind == 'g') {
            const double z = sigmoid(clip(g, GATE(0)));
            const double inner = g->linear_before_reset
                                     ? dot(w, 2 * H + i, x, I) + WB(2) +
                                           sigmoid(clip(g, GATE(1))) *
                                               (dot(r, 2 * H + i, old, H) + RB(2))
                                     : dot(w, 2 * H + i, x, I) + WB(2) + RB(2) +
                                           dot(r, 2 * H + i, reset, H);
            h[i] = (1 - z) * tanh(clip(g, inner)) + z * old[i];
        } else {
            const double in = sigmoid(clip(g, GATE(0) + (p ? (double)p[i] * c[i] : 0)));
            const double forget =
                g->input_forget ? 1 - in
                                : sigmoid(clip(g, GATE(2) + (p ? (double)p[2 * H + i] * c[i] : 0)));
            c[i] = forget * c[i] + in * tanh(clip(g, GATE(3)));
            h[i] = sigmoid(clip(g, GATE(1) + (p ? (double)p[H + i] * c[i] : 0))) * tanh(c[i]);
        }
    }
    free(old);
    free(reset);
}

void ref_rnn_run(const ref_rnn *g, double *y, double *yh, double *yc) {
    const int64_t H = g->hidden;
    double *x = malloc((size_t)g->input * sizeof *x);
    for (int64_t s = 0; s < g->directions * g->batch; s++) {
        const int64_t d = s / g->batch, n = s % g->batch;
        const int64_t len = g->lens ? g->lens[n] : g->steps;
        double *h = yh + s * H, *c = yc + s * H;
        for (int64_t i = 0; i < H; i++) {
            h[i] = g->h0 && len > 0 ? (double)g->h0[s * H + i] : 0;
            c[i] = g->c0 && len > 0 ? (double)g->c0[s * H + i] : 0;
        }
        for (int64_t t = 0; t < g->steps; t++) {
            double *out = y + ((t * g->directions + d) * g->batch + n) * H;
            memset(out, 0, (size_t)H * sizeof *out);
        }
        for (int64_t k = 0; k < len; k++) {
            const int64_t t = (g->reverse && g->directions == 1) || d == 1 ? len - 1 - k : k;
            for (int64_t i = 0; i < g->input; i++) {
                x[i] = (double)g->x[(t * g->batch + n) * g->input + i];
            }
            rnn_step(g, d, x, h, c);
            memcpy(y + ((t * g->directions + d) * g->batch + n) * H, h, (size_t)H * sizeof *h);
        }
    }
    free(x);
}
