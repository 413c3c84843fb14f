#include "test/ref/ref_learn.h"

#include <math.h>

void ref_learn_conv(const ref_conv *c, const double *x, const double *w, const double *bias, double *y) {
    const int per = c->channels / c->groups;
    const int each = c->rows / c->groups;
    for (int o = 0; o < c->rows; ++o) {
        for (int oy = 0; oy < c->out[0]; ++oy) {
            for (int ox = 0; ox < c->out[1]; ++ox) {
                double sum = bias[o];
                for (int k = 0; k < per; ++k) {
                    for (int i = 0; i < c->kernel[0]; ++i) {
                        for (int j = 0; j < c->kernel[1]; ++j) {
                            const int iy = oy * c->strides[0] + i - c->pads[0];
                            const int ix = ox * c->strides[1] + j - c->pads[1];
                            if (iy >= 0 && iy < c->in[0] && ix >= 0 && ix < c->in[1]) {
                                const int channel = o / each * per + k;
                                sum += w[((o * per + k) * c->kernel[0] + i) * c->kernel[1] + j] *
                                       x[(channel * c->in[0] + iy) * c->in[1] + ix];
                            }
                        }
                    }
                }
                y[(o * c->out[0] + oy) * c->out[1] + ox] = sum;
            }
        }
    }
}

void ref_learn_matmul(int positions, int per, int rows, const double *x, const double *w, const double *bias, double *y) {
    for (int p = 0; p < positions; ++p) {
        for (int o = 0; o < rows; ++o) {
            double sum = bias[o];
            for (int k = 0; k < per; ++k) {
                sum += x[p * per + k] * w[o * per + k];
            }
            y[p * rows + o] = sum;
        }
    }
}

void ref_learn_pool(int max, const int in[2], const int out[2], const int kernel[2], const int strides[2],
                    const int pads[2], const double *x, double *y) {
    for (int oy = 0; oy < out[0]; ++oy) {
        for (int ox = 0; ox < out[1]; ++ox) {
            double sum = 0.0;
            double most = -INFINITY;
            int n = 0;
            for (int i = 0; i < kernel[0]; ++i) {
                for (int j = 0; j < kernel[1]; ++j) {
                    const int iy = oy * strides[0] + i - pads[0];
                    const int ix = ox * strides[1] + j - pads[1];
                    if (iy >= 0 && iy < in[0] && ix >= 0 && ix < in[1]) {
                        sum += x[iy * in[1] + ix];
                        most = fmax(most, x[iy * in[1] + ix]);
                        n++;
                    }
                }
            }
            y[oy * out[1] + ox] = max ? most : sum / n;
        }
    }
}

void ref_learn_norm(int n, double epsilon, const double *gamma, const double *beta, const double *x, double *y) {
    double mean = 0.0;
    double variance = 0.0;
    for (int i = 0; i < n; ++i) {
        mean += x[i] / n;
    }
    for (int i = 0; i < n; ++i) {
        variance += (x[i] - mean) * (x[i] - mean) / n;
    }
    for (int i = 0; i < n; ++i) {
        y[i] = (x[i] - mean) / sqrt(variance + epsilon) * gamma[i] + beta[i];
    }
}

double ref_learn_gelu(double x) { return 0.5 * x * (1.0 + erf(x / sqrt(2.0))); }
