/* Naive oracle of the element types below 16 bits: values by walking up from 0 in steps, conversions
 * by search for the nearest value. */
#ifndef REF_SMALL_H
#define REF_SMALL_H

#include "runtime/mrt_tensor.h"

enum { REF_UP, REF_DOWN, REF_NEAREST }; /* rounding to f8E8M0FNU */

int ref_small_bits(mrt_dtype dtype);
/* Value of a code of a small float type; NaN where it stands for none. */
double ref_small_value(mrt_dtype dtype, unsigned code);
/* Code that ONNX Cast gives for x. For f8E8M0FNU x must not be negative. */
unsigned ref_small_code(mrt_dtype dtype, double x, bool saturate, int round);
/* Byte of a small integer type that keeps the low bits of `value`. */
unsigned char ref_small_int(mrt_dtype dtype, int64_t value);

#endif
