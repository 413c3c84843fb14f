/* One row of weights, those of an output channel or column, in integers [weight-per-channel, weight-scale,
 * weight-balance]. Lowering and recovery quantize through here, so that both see the same integers. */
#ifndef MICA_LOWERING_WEIGHT_ROW_H
#define MICA_LOWERING_WEIGHT_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "ir/op.h"

typedef struct mica_row_rule {
    double bias;     /* real, of this row */
    double scale_in; /* of the input, > 0 */
    int bits;        /* of the weights, 8 or 4 */
    bool pow2;       /* the scale is a power of two [scale-pow2] */
    bool positive;   /* the input is hardly ever below 0: rounding errors should cancel */
} mica_row_rule;

/* Rows up to this long choose among scales; beyond, the gain is below half a dB. */
enum { MICA_ROW_SEARCHED = 64 };

/* True behind LeakyRelu (alpha up to 1/4), SiLU, HardSwish, GELU and Mish, also through pools, moves and joins: such values
 * go below 0, but their mean is far above. */
bool mica_mostly_positive(const mica_value *top);

/* Quantizes n weights side by side into q; *scale: their scale. Returns the sum of q. */
int64_t mica_quantize_row(const mica_row_rule *rule, const float *w, int64_t n, int8_t *q, double *scale);

#endif
