#include "test/ref/ref_float_conv.h"

#include <math.h>

static int64_t volume(const int64_t size[3]) { return size[0] * size[1] * size[2]; }

static void unflatten(int64_t i, const int64_t size[3], int64_t at[3]) {
    at[2] = i % size[2];
    at[1] = i / size[2] % size[1];
    at[0] = i / size[2] / size[1];
}

/* Flat index, or -1 outside. */
static int64_t flatten(const int64_t at[3], const int64_t size[3]) {
    for (int i = 0; i < 3; i++) {
        if (at[i] < 0 || at[i] >= size[i]) {
            return -1;
        }
    }
    return (at[0] * size[1] + at[1]) * size[2] + at[2];
}

/* Input position that tap t adds to output o; -1 for none. */
static int64_t conv_source(const ref_conv *g, bool deconv, const int64_t o[3], const int64_t t[3]) {
    int64_t at[3];
    for (int i = 0; i < 3; i++) {
        if (!deconv) {
            at[i] = o[i] * g->stride[i] + t[i] * g->dilation[i] - g->pad[i];
            continue;
        }
        const int64_t scaled = o[i] + g->pad[i] - t[i] * g->dilation[i];
        at[i] = scaled % g->stride[i] == 0 ? scaled / g->stride[i] : -1;
    }
    return flatten(at, g->in);
}

static void run(const ref_conv *g, bool deconv, const float *x, const float *w, const float *bias,
                double *y, float *y_written) {
    const int64_t cg = g->c / g->group, ocg = g->oc / g->group;
    const int64_t in = volume(g->in), out = volume(g->out), taps = volume(g->kernel);
    for (int64_t i = 0; i < g->batch * g->oc * out; i++) {
        const int64_t oc = i / out % g->oc, n = i / out / g->oc, group = oc / ocg;
        int64_t o[3];
        unflatten(i % out, g->out, o);
        double sum = 0;
        float written = 0;
        for (int64_t c = 0; c < cg; c++) {
            for (int64_t tap = 0; tap < taps; tap++) {
                int64_t t[3];
                unflatten(tap, g->kernel, t);
                const int64_t source = conv_source(g, deconv, o, t);
                if (source < 0) {
                    continue;
                }
                const float a = x[(n * g->c + group * cg + c) * in + source];
                const float b = deconv ? w[((group * cg + c) * ocg + oc % ocg) * taps + tap]
                                       : w[(oc * cg + c) * taps + tap];
                sum += (double)a * (double)b;
                const float product = a * b;
                written = written + product;
            }
        }
        y[i] = sum + (bias ? (double)bias[oc] : 0);
        if (y_written) {
            y_written[i] = bias ? written + bias[oc] : written;
        }
    }
}

void ref_conv_run(const ref_conv *g, const float *x, const float *w, const float *bias, double *y,
                  float *y_written) {
    run(g, false, x, w, bias, y, y_written);
}

void ref_deconv_run(const ref_conv *g, const float *x, const float *w, const float *bias, double *y,
                    float *y_written) {
    run(g, true, x, w, bias, y, y_written);
}

void ref_pool_run(const ref_conv *g, bool count_include_pad, int p, const float *x, double *y) {
    const int64_t in = volume(g->in), out = volume(g->out), taps = volume(g->kernel);
    for (int64_t i = 0; i < g->batch * g->c * out; i++) {
        int64_t o[3], count = 0;
        unflatten(i % out, g->out, o);
        double sum = 0;
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t t[3];
            unflatten(tap, g->kernel, t);
            const int64_t source = conv_source(g, false, o, t);
            bool padded = true; /* inside the padded input */
            for (int a = 0; a < 3; a++) {
                const int64_t at = o[a] * g->stride[a] + t[a] * g->dilation[a];
                padded = padded && at < g->in[a] + g->pad[a] + g->pad_end[a];
            }
            count += count_include_pad ? padded : source >= 0;
            if (source >= 0) {
                const double v = (double)x[i / out * in + source];
                sum += p == 0 ? v : pow(fabs(v), p);
            }
        }
        if (p > 0) {
            y[i] = pow(sum, 1.0 / p);
        } else {
            y[i] = count ? sum / (double)count : 0;
        }
    }
}
