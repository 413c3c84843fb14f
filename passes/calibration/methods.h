/* From a histogram to a quantization range. Formulas: docs/calibration.md. */
#ifndef MICA_CALIBRATION_METHODS_H
#define MICA_CALIBRATION_METHODS_H

#include <stddef.h>

#include "passes/calibration/histogram.h"

/* threshold: clipping point of |x| for symmetric quantization. min, max: range for asymmetric. */
typedef struct mica_range {
    double threshold, min, max;
} mica_range;

typedef mica_range mica_method_fn(const mica_histogram *h);

typedef struct mica_method {
    const char *name;
    mica_method_fn *fn;
    const char *summary;
} mica_method;

/* Method called `name` (also "use_<name>"); NULL when there is none. */
const mica_method *mica_method_find(const char *name);
const char *const *mica_method_names(size_t *out_count);

/* Thresholds are never below this, so that scales stay usable for dead tensors. */
#define MICA_MIN_THRESHOLD 1e-5

/* Mean squared error of quantizing with the symmetric threshold t: signed 127 levels, unsigned 255
 * when the histogram has no negative value; values are taken as uniform within a bin. */
double mica_quantization_error(const mica_histogram *h, double t);

#endif
