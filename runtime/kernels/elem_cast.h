/* Conversion of element arrays between any two types, rules of ONNX Cast:
 * float -> integer truncates toward zero, saturates, NaN gives 0; integer -> narrower integer keeps
 * the low bits; anything -> bool is x != 0 (NaN is true); everything else rounds once, to nearest
 * even. A bool is true when its byte is not 0. Types below 16 bits: runtime/mrt_small.h. */
#ifndef MRT_ELEM_CAST_H
#define MRT_ELEM_CAST_H

#include "runtime/mrt_tensor.h"

/* Converts `count` elements; both types must be known. The arrays do not overlap. */
void mrt_cast_array(mrt_dtype from, const void *src, mrt_dtype to, void *dst, int64_t count);
/* The same with MRT_CAST_* flags for 8-bit floats. */
void mrt_cast_array_by(mrt_dtype from, const void *src, mrt_dtype to, void *dst, int64_t count,
                       unsigned flags);

#endif
