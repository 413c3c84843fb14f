/* Oracles of the calibration methods: each rule straight on the samples, without histogram or density. */
#ifndef REF_METHODS_H
#define REF_METHODS_H

#include <stdbool.h>
#include <stdint.h>

/* Threshold of least error of a Gauss (or Laplace) distribution of spread 1 for so many bits of either sign:
 * root of the derivative of clipping plus t^2 / (3 * 4^bits), by bisection. */
double ref_aciq_factor(bool laplace, int bits);
/* |mean| + factor * spread of the values that are not 0; without negative values one bit more and the spread
 * around 0. */
double ref_aciq(const float *x, int64_t n, bool laplace);

/* Fixed point of t' = sum of |x| above t / (c * values up to t + values above t). */
double ref_octav(const float *x, int64_t n);

/* Kullback-Leibler divergence, in nats, from the values that are not 0 (weighted by their magnitude or not) in
 * `bins` even bins to a density that is even within each step of the 8-bit grid of t, with a tail of 1e-4. */
double ref_divergence(const float *x, int64_t n, double t, int bins, bool by_magnitude);

/* Rounding plus factor times clipping, per value. */
double ref_weighted_error(const float *x, int64_t n, double t, double factor);
/* Share of the values with magnitudes above t. */
double ref_clipped(const float *x, int64_t n, double t);

/* Mean over the parts of (sigmoid(x) - sigmoid(Q(x)))^2. */
double ref_sigmoid_error(const float *x, int64_t n, double t);

#endif
