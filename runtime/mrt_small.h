/* Element types below 16 bits: 8-, 6- and 4-bit floats, 4- and 2-bit integers. They are stored,
 * moved and converted, never computed with. In memory an element takes one byte: a float in the low
 * bits, an integer extended to its 8-bit type, so that i4 and i2 are read as i8, u4 and u2 as u8.
 *
 * f32 -> float rounds once to nearest, ties to even; what is too large gives the largest number when
 * saturating, else infinity, or NaN in a format without infinity; f4 and f6 have neither and always
 * saturate. A NaN keeps its sign where the format has one, and is -0 where the format has no NaN.
 * f8E8M0FNU holds powers of two: the sign is ignored and the direction of rounding is chosen.
 * To a small integer a value goes by way of i8, then loses the upper bits.
 * Source: OCP OFP8 and MX specifications; the tables of ONNX Cast, opset 28. */
#ifndef MRT_SMALL_H
#define MRT_SMALL_H

#include "runtime/mrt_tensor.h"

/* Rules of a conversion: bits of mrt_cast_params.flags, stored in bundles. */
enum {
    MRT_CAST_NO_SATURATE = 1,   /* to f8: out of range gives infinity or NaN */
    MRT_CAST_ROUND_DOWN = 2,    /* to f8E8M0FNU: toward zero; without either: away from zero */
    MRT_CAST_ROUND_NEAREST = 4, /* to f8E8M0FNU: to nearest, ties away from zero */
};

/* Bits of one element in packed files; 0 for types that are not small. */
int mrt_small_bits(mrt_dtype dtype);
bool mrt_dtype_is_small_float(mrt_dtype dtype);
/* i4, u4, i2, u2. */
bool mrt_dtype_is_small_int(mrt_dtype dtype);
/* The 8-bit type that a small integer is read as; other types as they are. */
mrt_dtype mrt_small_base(mrt_dtype dtype);

/* `count` elements of a small float type from and to f32; exact on the way to f32. */
void mrt_small_to_f32(mrt_dtype dtype, const void *from, float *to, int64_t count);
void mrt_small_from_f32(mrt_dtype dtype, const float *from, void *to, int64_t count,
                        unsigned flags);
/* One number as an element of a small type, floats saturating. */
void mrt_small_store(mrt_dtype dtype, double value, void *out);
/* i8 to the small integer type, in place: the low bits stay. */
void mrt_small_narrow(mrt_dtype dtype, void *data, int64_t count);
/* Elements packed into bytes, the first in the lowest bits, to one element a byte. */
void mrt_small_unpack(mrt_dtype dtype, const void *packed, void *to, int64_t count);

#endif
