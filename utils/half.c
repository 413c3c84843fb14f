#include "utils/half.h"

#include <string.h>

static uint32_t bits_of(float value) {
    uint32_t u;
    memcpy(&u, &value, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float value;
    memcpy(&value, &u, sizeof value);
    return value;
}

/* v / 2^shift to the nearest integer, ties to even; 1 <= shift <= 31. */
static uint32_t shift_even(uint32_t v, int shift) {
    uint32_t half = 1u << (shift - 1), rest = v & ((half << 1) - 1), q = v >> shift;
    return q + (rest > half || (rest == half && (q & 1) != 0));
}

uint16_t mica_f32_to_f16(float value) {
    uint32_t u = bits_of(value), sign = (u >> 16) & 0x8000, mag = u & 0x7fffffff;
    if (mag > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00 | (mag >> 13 & 0x1ff));
    }
    if (mag >= 0x47800000) { /* 65536 and above, infinity */
        return (uint16_t)(sign | 0x7c00);
    }
    if (mag >= 0x38800000) { /* normal: rebias by 112; a carry may reach infinity, rightly so */
        return (uint16_t)(sign | shift_even(mag - 0x38000000, 13));
    }
    if (mag < 0x33000000) { /* below half of the least subnormal 2^-24 */
        return (uint16_t)sign;
    }
    int exponent = (int)(mag >> 23);
    uint32_t mantissa = (mag & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | shift_even(mantissa, 126 - exponent));
}

float mica_f16_to_f32(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t exponent = bits >> 10 & 0x1f, mantissa = bits & 0x3ff;
    if (exponent == 0x1f) {
        uint32_t quiet = mantissa != 0 ? 0x400000 : 0;
        return float_of(sign | 0x7f800000 | quiet | mantissa << 13);
    }
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24, exact in f32 */
        float v = (float)mantissa * 0x1p-24f;
        return float_of(sign | bits_of(v));
    }
    return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t mica_f32_to_bf16(float value) {
    uint32_t u = bits_of(value);
    if ((u & 0x7fffffff) > 0x7f800000) {
        return (uint16_t)(u >> 16 | 0x40);
    }
    return (uint16_t)((u >> 16 & 0x8000) | shift_even(u & 0x7fffffff, 16));
}

float mica_bf16_to_f32(uint16_t bits) {
    uint32_t quiet = (bits & 0x7fff) > 0x7f80 ? 0x400000 : 0;
    return float_of((uint32_t)bits << 16 | quiet);
}
