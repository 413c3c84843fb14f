/* Inner loop of the histogram: values to bin numbers, in variants that agree to the bit. */
#ifndef MICA_CALIBRATION_HISTOGRAM_BINS_H
#define MICA_CALIBRATION_HISTOGRAM_BINS_H

#include <stdint.h>

/* What a piece of values has besides its bin numbers. */
typedef struct mica_bin_piece {
    int written;     /* bin numbers written: those of all values, or of all but zeros of either sign */
    int zeros;       /* values that are 0 */
    float low, high; /* range; -0 and 0 may stand for each other */
    uint32_t most;   /* largest bin number; huge when a value is below bin 0 or not finite */
} mica_bin_piece;

/* Bin of x: floor(x * inverse) + offset, where `inverse` is a power of two; a negative x never gets into
 * bin `offset`, however close to 0 it is. Writes the numbers modulo 2^16 in the order of x; `bins` has room for n + 32.
 * When `most` is not below the number of bins, neither the numbers nor the range are of any use. */
mica_bin_piece mica_bin_values(const float *x, int n, float inverse, int32_t offset, uint16_t *bins);

/* The reference. */
mica_bin_piece mica_bin_values_portable(const float *x, int n, float inverse, int32_t offset,
                                        uint16_t *bins);

#endif
