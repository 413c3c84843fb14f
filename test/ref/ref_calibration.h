/* Oracles of the calibration: counting, quantiles and quantization errors straight from the samples,
 * without any histogram of the code under test. */
#ifndef REF_CALIBRATION_H
#define REF_CALIBRATION_H

#include <stdbool.h>
#include <stdint.h>

/* --- samples ------------------------------------------------------------------------------------ */

typedef enum ref_shape {
    REF_GAUSS,
    REF_LAPLACE,
    REF_UNIFORM,
    REF_BIMODAL,     /* two narrow bells at -3 and 3 */
    REF_RELU,        /* max(gauss, 0): half of the values are 0 */
    REF_HALF_NORMAL, /* |gauss| */
    REF_EXPONENTIAL,
    REF_HEAVY,       /* Student t with 2 degrees of freedom */
    REF_HEAVY_RELU,  /* its positive part */
    REF_OUTLIERS,    /* gauss, and a thousandth of the values 100 times as large */
    REF_ONE_OUTLIER, /* gauss, and one value of 1000 */
    REF_SKEWED,      /* SiLU of gauss: a short negative side */
    REF_SHIFTED,     /* gauss around 10: far from 0 */
    REF_SPARSE,      /* 0 but for one value in five */
    REF_SHAPES
} ref_shape;

const char *ref_shape_name(ref_shape shape);
/* Fills x with n samples; equal seeds give equal samples. */
void ref_fill(ref_shape shape, float spread, uint64_t seed, float *x, int64_t n);

/* --- histogram ---------------------------------------------------------------------------------- */

/* What a histogram of `bins` bins must hold for a set of values: the smallest width 2^exponent (at
 * least 2^least) for which [0, bins * w), or [-bins/2 * w, bins/2 * w) when a value is negative, holds
 * them all; bin i counts floor(v / w) = i (minus bins/2 if signed). */
typedef struct ref_histogram {
    int exponent;
    bool is_signed;
    uint64_t count, zeros, nonfinite;
    float min, max;
} ref_histogram;

ref_histogram ref_histogram_of(const float *x, int64_t n, int bins, int least, uint64_t *out);

/* Value of rank p * n among the finite values (the smallest for p = 0). */
double ref_quantile(const float *x, int64_t n, double p);

/* --- errors ------------------------------------------------------------------------------------- */

/* Mean of (x - Q(x))^2 over the samples: step t / 127 and levels -128..127, or t / 255 and 0..255
 * when no sample is negative; round half to even. */
double ref_error(const float *x, int64_t n, double t);
/* 10 log10(mean x^2 / mean error). */
double ref_sqnr(const float *x, int64_t n, double t);
/* The best SQNR over all thresholds of a fine search from the largest magnitude down; writes the
 * threshold. */
double ref_best_sqnr(const float *x, int64_t n, double *out_t);

#endif
