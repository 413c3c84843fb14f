/* From a histogram to a quantization range. Formulas: docs/calibration.md. */
#ifndef MICA_CALIBRATION_METHODS_H
#define MICA_CALIBRATION_METHODS_H

#include <stddef.h>

#include "passes/calibration/density.h"
#include "passes/calibration/histogram.h"

/* threshold: clipping point of |x| for symmetric quantization. min, max: range for asymmetric. */
typedef struct mica_range {
    double threshold, min, max;
} mica_range;

/* What a user can set; mica_method_parse puts the defaults. */
typedef struct mica_method_settings {
    double percentile;     /* 99.99: percent of the values that stay inside */
    bool one_sided;        /* percentile of the magnitudes */
    int kl_bins;           /* 0: all; most bins of the magnitudes that kl looks at */
    double mmse_range;     /* 0.001: largest share of the values that mmse clips */
    double outlier_factor; /* 1: weight of clipping in the error that mmse minimizes */
    bool pow2;             /* thresholds that make steps powers of two */
    bool int4;             /* thresholds for 4 bits, too, of every tensor */
    int bits;              /* 8; or 4, 16: of the integers that the threshold is for */
} mica_method_settings;

typedef mica_range mica_method_fn(const mica_histogram *h, const mica_method_settings *settings);

typedef struct mica_method {
    const char *name;
    mica_method_fn *fn;
    const char *summary;
    mica_method_settings settings;
} mica_method;

/* Method of that text, an optional "use_" before it: a name of methods.def, or percentile with a number:
 * percentile9999 and percentile99.99 (the point comes after two digits), percentile_abs99.9. False when there is none; with
 * percentile, from 50 to 100. */
bool mica_method_parse(const char *text, mica_method *out);
/* The same with default settings for names without a number; NULL when there is none. */
const mica_method *mica_method_find(const char *name);
const char *const *mica_method_names(size_t *out_count);

mica_range mica_method_run(const mica_method *method, const mica_histogram *h);

/* Thresholds are never below this, so that scales stay usable for dead tensors. */
#define MICA_MIN_THRESHOLD 1e-5

/* The symmetric threshold within its bounds, with the observed range clipped to it. */
mica_range mica_range_of(const mica_histogram *h, double threshold);

/* The threshold of less error of the two whose steps are the powers of two around that of `range`; `whole`: the
 * larger one, unless the extremes lie within one step of the smaller one. It may lie beyond all values. */
mica_range mica_range_pow2(const mica_histogram *h, mica_range range, int bits, bool whole);

/* Mean squared error of quantizing with the symmetric threshold t: signed 127 levels, unsigned 255
 * when the histogram has no negative value; values are taken as uniform within a piece. */
double mica_quantization_error(const mica_histogram *h, double t);

/* SQNR in dB that 8-bit quantization with this range is to have: mean square of the values over the mean squared error.
 * Infinite when there is no error. */
double mica_predicted_sqnr(const mica_histogram *h, mica_range range, bool asymmetric);
/* The same for a symmetric grid of other bits. */
double mica_predicted_sqnr_bits(const mica_histogram *h, double threshold, int bits);

/* Least of f over thresholds: a geometric scan of 97 from `top` down to 1/256 of it, then 129 between the
 * neighbours of the best, as the errors have shallow local minima. */
typedef double mica_threshold_cost(const void *user, double t);
double mica_search_threshold(double top, mica_threshold_cost *cost, const void *user);

#define METHOD(name, summary) mica_method_fn mica_method_##name;
#include "passes/calibration/methods.def"

#endif
