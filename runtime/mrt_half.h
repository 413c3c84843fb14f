/* 16-bit floats on their bit patterns, without branches so that loops vectorize.
 *
 * Rule, both formats: f32 -> 16 bit rounds to nearest, ties to even; overflow gives infinity;
 * subnormals are kept; a NaN keeps its sign and upper payload bits and is made quiet.
 * 16 bit -> f32 is exact; a NaN keeps its payload and is made quiet.
 * Source: IEEE 754-2008 binary16; bfloat16 is the upper half of binary32. */
#ifndef MRT_HALF_H
#define MRT_HALF_H

#include "runtime/mrt_pool.h"
#include "runtime/mrt_tensor.h"

#include <string.h>

static inline uint32_t mrt_f32_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float mrt_f32_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* a where value < limit, else b; value and limit below 2^31. The mask comes from the sign of their
 * difference: compilers turn a comparison around floating-point work back into a branch, since the
 * work might trap. */
static inline uint32_t mrt_select_less(uint32_t value, uint32_t limit, uint32_t a, uint32_t b) {
    const uint32_t mask = (uint32_t)((int32_t)(value - limit) >> 31);
    return (a & mask) | (b & ~mask);
}

static inline uint16_t mrt_f32_to_f16(float value) {
    const uint32_t bits = mrt_f32_bits(value);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t mag = bits & 0x7fffffffu;
    /* Normal results: rebias the exponent by 112 and round at bit 13. */
    const uint32_t normal = (mag - 0x38000000u + 0xfffu + ((mag >> 13) & 1u)) >> 13;
    /* Subnormal results: adding 0.5 makes the f32 adder round at 2^-24, to even. */
    const uint32_t tiny = mrt_select_less(mag, 0x38800000u, mag, 0);
    const uint32_t small = mrt_f32_bits(mrt_f32_from_bits(tiny) + 0.5f) - 0x3f000000u;
    const uint32_t nan = 0x7e00u | ((mag >> 13) & 0x1ffu);
    uint32_t result = mrt_select_less(mag, 0x38800000u, small, normal);
    result = mrt_select_less(mag, 0x47800000u, result, 0x7c00u); /* 65536 and above, infinity */
    result = mrt_select_less(0x7f800000u, mag, nan, result);
    return (uint16_t)(sign | result);
}

static inline float mrt_f16_to_f32(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t mag = half & 0x7fffu;
    const uint32_t normal = (mag << 13) + 0x38000000u;
    const uint32_t special = 0x7f800000u | (mag << 13) | (mag > 0x7c00u ? 0x400000u : 0u);
    const uint32_t small = mrt_f32_bits((float)(int32_t)mag * 0x1p-24f);
    uint32_t result = mrt_select_less(mag, 0x400u, small, normal);
    result = mrt_select_less(mag, 0x7c00u, result, special);
    return mrt_f32_from_bits(sign | result);
}

static inline uint16_t mrt_f32_to_bf16(float value) {
    const uint32_t bits = mrt_f32_bits(value);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t nan = (bits >> 16) | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

static inline float mrt_bf16_to_f32(uint16_t half) {
    const uint32_t quiet = (half & 0x7fffu) > 0x7f80u ? 0x400000u : 0u;
    return mrt_f32_from_bits((uint32_t)half << 16 | quiet);
}

/* True for the two types that MRT_F32_MATH kernels see as f32. */
static inline bool mrt_dtype_is_half(mrt_dtype dtype) {
    return dtype == MRT_F16 || dtype == MRT_BF16;
}

/* count elements of an f16, bf16 or f64 array to f32 and back; the arrays do not overlap. */
void mrt_half_to_f32(mrt_dtype dtype, const void *from, float *to, int64_t count, mrt_pool *pool);
void mrt_half_from_f32(mrt_dtype dtype, const float *from, void *to, int64_t count,
                       mrt_pool *pool);

#endif
