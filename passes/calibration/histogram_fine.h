/* Counters of the values near 0, finer than the bins of the histogram [calibration-fine in
 * docs/calibration.md].
 *
 * Magnitudes below 4 w are counted by octaves, four counters each. Counter 0 is the one that ends at 4 w;
 * [0, 4 w / 2^octaves) has no counter. On the negative side a counter holds its upper end instead of its
 * lower end, as the bins do. When w doubles, the bins that cover [4 w, 8 w) become the first counters. */
#ifndef MICA_CALIBRATION_HISTOGRAM_FINE_H
#define MICA_CALIBRATION_HISTOGRAM_FINE_H

#include <stdint.h>

#define MICA_FINE_PER_OCTAVE 4 /* also: bins that the counters replace */
#define MICA_FINE_OCTAVES 12
#define MICA_FINE_COUNTERS (MICA_FINE_PER_OCTAVE * MICA_FINE_OCTAVES)

/* Adds n finite values to fine[0] (positive) and fine[1] (negative); `inverse` is 1 / w, a power of two. */
void mica_fine_count(const float *x, int n, float inverse, uint32_t fine[2][MICA_FINE_COUNTERS]);

/* The reference. */
void mica_fine_count_portable(const float *x, int n, float inverse,
                              uint32_t fine[2][MICA_FINE_COUNTERS]);

/* Lower end of counter `index` in units of w; that of index - 1 is its upper end. */
double mica_fine_begin(int index);

#endif
