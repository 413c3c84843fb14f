/* Convolutions by definition on real-valued offsets: sums of (x - zero point) * w, plus the zero
 * point times all weights, which is what a folded bias takes back. */
#include "test/ref/ref_int.h"

#include <stdlib.h>

static int64_t volume(const int64_t *d) { return d[0] * d[1] * d[2]; }

static void split(int64_t index, const int64_t *dims, int64_t *out) {
    out[2] = index % dims[2];
    out[1] = index / dims[2] % dims[1];
    out[0] = index / dims[2] / dims[1];
}

static int64_t conv_sum(const ref_int_conv *r, int64_t n, int64_t oc, int64_t position) {
    const int64_t icg = r->c / r->group;
    const int64_t ic0 = oc / (r->oc / r->group) * icg;
    int64_t o[3];
    int64_t acc = r->end.bias ? r->end.bias[oc] : 0;
    split(position, r->out, o);
    for (int64_t ic = 0; ic < icg; ++ic) {
        for (int64_t t = 0; t < volume(r->kernel); ++t) {
            const int64_t w = r->w[(oc * icg + ic) * volume(r->kernel) + t];
            int64_t k[3];
            int64_t at = 0;
            int inside = 1;
            split(t, r->kernel, k);
            for (int i = 0; i < 3; ++i) {
                const int64_t p = o[i] * r->stride[i] - r->pad[i] + k[i] * r->dilation[i];
                inside = inside && p >= 0 && p < r->in[i];
                at = at * r->in[i] + p;
            }
            const int64_t plane = (n * r->c + ic0 + ic) * volume(r->in);
            acc += w * (inside ? r->x[plane + at] - r->zero_point_in : 0) + w * r->zero_point_in;
        }
    }
    return acc;
}

float ref_int_real_finish(const ref_int_real *real, int64_t acc, int64_t channel) {
    double v = (double)acc * real->scale[channel];
    if (real->relu && v < 0.0) {
        v = 0.0;
    }
    if (real->relu && real->limit >= 0.0 && v > real->limit) {
        v = real->limit;
    }
    return (float)v;
}

/* Ends sums in one of the two ways. */
static void put(const ref_int_conv *r, const ref_int_real *real, int64_t acc, int64_t oc, int64_t at,
                int32_t *y, float *y_real) {
    if (real) {
        y_real[at] = ref_int_real_finish(real, acc, oc);
    } else {
        y[at] = ref_int_finish(&r->end, acc, oc);
    }
}

static void conv(const ref_int_conv *r, const ref_int_real *real, int32_t *y, float *y_real) {
    int64_t at = 0;
    for (int64_t n = 0; n < r->n; ++n) {
        for (int64_t oc = 0; oc < r->oc; ++oc) {
            for (int64_t p = 0; p < volume(r->out); ++p) {
                put(r, real, conv_sum(r, n, oc, p), oc, at++, y, y_real);
            }
        }
    }
}

void ref_int_conv_run(const ref_int_conv *r, int32_t *y) { conv(r, NULL, y, NULL); }

void ref_int_conv_real(const ref_int_conv *r, const ref_int_real *real, float *y) {
    conv(r, real, NULL, y);
}

/* Adds what one input element gives to all outputs. */
static void scatter(const ref_int_conv *r, int64_t n, int64_t ic, int64_t position, int64_t *acc) {
    const int64_t ocg = r->oc / r->group;
    const int64_t oc0 = ic / (r->c / r->group) * ocg;
    const int64_t x = r->x[(n * r->c + ic) * volume(r->in) + position] - r->zero_point_in;
    int64_t at[3];
    split(position, r->in, at);
    for (int64_t oc = 0; oc < ocg; ++oc) {
        for (int64_t t = 0; t < volume(r->kernel); ++t) {
            int64_t k[3];
            int64_t o = 0;
            int inside = 1;
            split(t, r->kernel, k);
            for (int i = 0; i < 3; ++i) {
                const int64_t p = at[i] * r->stride[i] - r->pad[i] + k[i] * r->dilation[i];
                inside = inside && p >= 0 && p < r->out[i];
                o = o * r->out[i] + p;
            }
            if (inside) {
                acc[(n * r->oc + oc0 + oc) * volume(r->out) + o] +=
                    x * r->w[(ic * ocg + oc) * volume(r->kernel) + t];
            }
        }
    }
}

static void deconv(const ref_int_conv *r, const ref_int_real *real, int32_t *y, float *y_real) {
    const int64_t positions = volume(r->out);
    const int64_t icg = r->c / r->group;
    const int64_t ocg = r->oc / r->group;
    int64_t *acc = calloc((size_t)(r->n * r->oc * positions) + 1, sizeof(int64_t));
    for (int64_t n = 0; n < r->n; ++n) {
        for (int64_t ic = 0; ic < r->c; ++ic) {
            for (int64_t p = 0; p < volume(r->in); ++p) {
                scatter(r, n, ic, p, acc);
            }
        }
        for (int64_t oc = 0; oc < r->oc; ++oc) {
            int64_t sum_w = 0;
            for (int64_t ic = 0; ic < icg; ++ic) {
                for (int64_t t = 0; t < volume(r->kernel); ++t) {
                    const int64_t channel = oc / ocg * icg + ic;
                    sum_w += r->w[(channel * ocg + oc % ocg) * volume(r->kernel) + t];
                }
            }
            for (int64_t p = 0; p < positions; ++p) {
                const int64_t at = (n * r->oc + oc) * positions + p;
                const int64_t bias = r->end.bias ? r->end.bias[oc] : 0;
                put(r, real, acc[at] + bias + sum_w * r->zero_point_in, oc, at, y, y_real);
            }
        }
    }
    free(acc);
}

void ref_int_deconv_run(const ref_int_conv *r, int32_t *y) { deconv(r, NULL, y, NULL); }

void ref_int_deconv_real(const ref_int_conv *r, const ref_int_real *real, float *y) {
    deconv(r, real, NULL, y);
}

static int64_t matmul_sum(const ref_int_matmul *r, int64_t b, int64_t i, int64_t j) {
    int64_t acc = r->end.bias ? r->end.bias[j] : 0;
    for (int64_t k = 0; k < r->k; ++k) {
        const int64_t ia = r->trans_a ? k * r->m + i : i * r->k + k;
        const int64_t ib = r->trans_b ? j * r->k + k : k * r->n + j;
        acc += (int64_t)(r->a[b * r->batch_a + ia] - r->zero_point_a) *
               (r->b[b * r->batch_b + ib] - r->zero_point_b);
    }
    return acc;
}

void ref_int_matmul_run(const ref_int_matmul *r, int32_t *y) {
    for (int64_t at = 0; at < r->batch * r->m * r->n; ++at) {
        const int64_t j = at % r->n;
        y[at] = ref_int_finish(&r->end, matmul_sum(r, at / r->n / r->m, at / r->n % r->m, j), j);
    }
}

void ref_int_matmul_real(const ref_int_matmul *r, const double *scale, int per_column, float *y) {
    for (int64_t at = 0; at < r->batch * r->m * r->n; ++at) {
        const int64_t j = at % r->n;
        const int64_t sum = matmul_sum(r, at / r->n / r->m, at / r->n % r->m, j);
        y[at] = (float)((double)sum * scale[per_column ? j : 0]);
    }
}
