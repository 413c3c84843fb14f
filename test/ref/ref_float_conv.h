/* Oracles of convolution, deconvolution and pooling by definition: one output element at a time.
 * Three spatial axes (leading ones 1). Layouts as in the kernels: x[N,C,in], y[N,OC,out]. */
#ifndef REF_FLOAT_CONV_H
#define REF_FLOAT_CONV_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ref_conv {
    int64_t batch, c, oc, group;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
} ref_conv;

/* y in double. When y_written is not NULL, also the sum in float, product by product in the order
 * channel, tap, starting from 0, bias last. bias may be NULL. No activation. */
void ref_conv_run(const ref_conv *g, const float *x, const float *w, const float *bias, double *y,
                  float *y_written);
void ref_deconv_run(const ref_conv *g, const float *x, const float *w, const float *bias, double *y,
                    float *y_written);

/* p = 0: average; p > 0: Lp norm. Channels of x and y are g->c. */
void ref_pool_run(const ref_conv *g, bool count_include_pad, int p, const float *x, double *y);

#endif
