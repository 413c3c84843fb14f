/* The distribution that a histogram stands for, and what quantization does to it: pieces of even density,
 * one side of 0 after the other, in rising magnitude. Formulas: docs/calibration.md. */
#ifndef MICA_CALIBRATION_DENSITY_H
#define MICA_CALIBRATION_DENSITY_H

#include "passes/calibration/histogram.h"

/* `count` values evenly over magnitudes [begin, end]; begin == end: all of them there. */
typedef struct mica_piece {
    double begin, end, count;
} mica_piece;

enum { MICA_DENSITY_PIECES = MICA_HISTOGRAM_BINS + 2 * (MICA_FINE_COUNTERS + 1) };

typedef struct mica_density {
    mica_piece pieces[MICA_DENSITY_PIECES]; /* positive side, then negative side; none is empty */
    int n_positive, n_pieces;
    bool is_signed;
    double count;    /* of all values, the zeros included: they are in no piece */
    double nonzero;  /* of all pieces */
    double largest;  /* magnitude */
    double power;    /* mean square of all values */
    int bits;        /* of the integers in question: 8 unless set */
} mica_density;

void mica_density_of(const mica_histogram *h, mica_density *out);

/* Steps of size `step`; `positive` of them reach up from 0, `negative` down. */
typedef struct mica_grid {
    double step;
    int positive, negative;
} mica_grid;

/* Symmetric grid of threshold t: for 8 bits 127 and 128 levels, or 255 when no value is negative. */
mica_grid mica_symmetric_grid(bool is_signed, int bits, double t);
/* Asymmetric 8-bit grid of a range, which is widened to contain 0. */
mica_grid mica_asymmetric_grid(double min, double max);

/* Mean squared errors over all values. */
typedef struct mica_noise {
    double rounding, clipping;
} mica_noise;

mica_noise mica_density_noise(const mica_density *d, mica_grid grid);
double mica_density_error(const mica_density *d, mica_grid grid);

/* Mean magnitude and mean square of the values that are not 0, and their mean. */
typedef struct mica_moments {
    double mean, magnitude, square;
} mica_moments;

mica_moments mica_density_moments(const mica_density *d);

/* How many values, and the sum of their magnitudes, have a magnitude above t. */
typedef struct mica_tail {
    double count, sum;
} mica_tail;

mica_tail mica_density_tail(const mica_density *d, double t);
/* Magnitude that a fraction p of all values, zeros included, does not exceed. */
double mica_density_quantile(const mica_density *d, double p);

/* Kullback-Leibler divergence, in nats, from the values that are not 0 to their quantized form, of even density
 * within each step of the grid. The tail is a part of 1e-4 there, even up to the largest value. The share
 * that chance adds (one per piece, halved) is taken off. */
double mica_density_divergence(const mica_density *d, mica_grid grid);

#endif
