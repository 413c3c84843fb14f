/* A histogram of fixed size whose content depends only on the set of values counted, never on their
 * order or on how the counting was split [calibration-histogram in docs/calibration.md].
 *
 * Bins are [i * w, (i + 1) * w) with a width w = 2^exponent that doubles when a value does not fit:
 * neighbours then merge in pairs, exactly. While no negative value was seen, the bins cover
 * [0, N * w); from then on [-N/2 * w, N/2 * w). The exponent is always the smallest that fits. */
#ifndef MICA_CALIBRATION_HISTOGRAM_H
#define MICA_CALIBRATION_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "passes/calibration/histogram_fine.h"
#include "runtime/mrt_pool.h"

/* The counters and the fields below stay within 16 KiB per tensor. */
#define MICA_HISTOGRAM_BINS 1920

/* Sum of numbers in units of 2^-64, exact: it does not depend on the order. */
__extension__ typedef __int128 mica_exact_sum;

typedef struct mica_histogram {
    uint64_t bins[MICA_HISTOGRAM_BINS];
    uint64_t count;     /* finite values, the zeros included */
    uint64_t zeros;     /* values that are exactly 0 */
    uint64_t nonfinite; /* NaN and infinities: not counted in any bin */
    float min, max;     /* of the finite values; 0, 0 while count is 0 */
    int32_t exponent;
    bool is_signed;     /* a negative value was seen */
    uint64_t fine[2][MICA_FINE_COUNTERS]; /* values near 0, positive and negative */
    /* Of each call of mica_histogram_add, one per sample: how many, and the sums of its least and of its
     * largest value, or of 0 where that is beyond. */
    uint64_t parts;
    mica_exact_sum sum_min, sum_max;
} mica_histogram;

/* Scratch that counting needs, shared by all histograms of one caller. */
typedef struct mica_histogram_scratch mica_histogram_scratch;
mica_histogram_scratch *mica_histogram_scratch_create(void);
void mica_histogram_scratch_destroy(mica_histogram_scratch *scratch);

void mica_histogram_init(mica_histogram *h);
/* Counts n values; uses the pool (may be NULL) without changing the result. */
void mica_histogram_add(mica_histogram *h, const float *x, int64_t n,
                        mica_histogram_scratch *scratch, mrt_pool *pool);
/* Adds the counts of `from`; the result is the same as counting all values in one. */
void mica_histogram_merge(mica_histogram *h, const mica_histogram *from);
/* Width of a bin. */
double mica_histogram_width(const mica_histogram *h);
/* Lower edge of bin 0. */
double mica_histogram_low(const mica_histogram *h);
/* Histogram of |x| with the same width: writes up to MICA_HISTOGRAM_BINS counts, returns how many
 * bins are in use (the last one is not empty). Exact zeros are left out when `drop_zeros`. */
int mica_histogram_magnitudes(const mica_histogram *h, bool drop_zeros, uint64_t *out);
/* Value below which a fraction p in [0, 1] of all values lies, linear within a bin, clamped to the
 * observed range. */
double mica_histogram_quantile(const mica_histogram *h, double p);

#endif
