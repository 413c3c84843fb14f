/* Where a search compares the quantized model with the float one, and by how much they differ. */
#ifndef MICA_SEARCH_COMPARE_H
#define MICA_SEARCH_COMPARE_H

#include "passes/search/net.h"

typedef struct mica_compare_point {
    const char *name;
    double weight;
    int32_t tensor; /* of the float plan */
    int64_t first, count; /* its part of a vector of all points */
    mrt_shape shape;
} mica_compare_point;

typedef struct mica_compare {
    mica_compare_point *points;
    size_t count;
    int64_t total; /* values of all points */
} mica_compare;

/* Noise that cannot be told: values that are not finite, or no signal. */
#define MICA_NSR_MOST 1e6

/* Two vectors of all points, or their means over samples. */
typedef struct mica_distance {
    double nsr;    /* noise power over signal power, weighted over points */
    double cosine; /* the same of cosines */
} mica_distance;

/* layers NULL or "": the outputs of type f32, equally weighted. Else "a,b" or "a:0.3,b:0.7": these tensors;
 * weights are all given and sum to 1, or none is. Errors name the unknown tensor and the nearest. */
mica_status mica_compare_make(const mica_net *net, const char *layers, mica_arena *arena, mica_compare *out,
                              mica_error *err);
void mica_compare_free(mica_compare *compare);

/* Values of `want` that are not finite do not count; a signal of zeros has no noise below 1e-30. */
mica_distance mica_compare_vectors(const mica_compare *compare, const float *want, const float *got);

/* The error of `got` in `width` numbers, so that scalar products of two such errors are those of the errors, weighted as
 * the NSR is; the product with itself is the NSR. Exact up to `width` values, above them relative to the product of the lengths to
 * about 1 / sqrt(width): values are added up with random signs. */
void mica_compare_sketch(const mica_compare *compare, const float *want, const float *got, size_t width, float *out);

/* Power ratio as SQNR in dB, at most 200. */
double mica_nsr_to_db(double nsr);

#endif
