#include "runtime/mrt_small.h"

#include "runtime/mrt_half.h"

#include <math.h>

typedef enum small_kind {
    NOT_SMALL,
    SIGNED,
    UNSIGNED,
    IEEE,   /* infinities and NaN have the top exponent */
    ONE_NAN, /* all bits set is NaN, no infinity */
    NO_NEGATIVE_ZERO, /* the pattern of -0 is NaN, no infinity */
    FINITE, /* neither */
    POWERS, /* f8E8M0FNU */
} small_kind;

typedef struct small_format {
    uint8_t kind, bits, mantissa, bias;
} small_format;

static const small_format formats[] = {
    [MRT_F8E4M3FN] = {ONE_NAN, 8, 3, 7},
    [MRT_F8E4M3FNUZ] = {NO_NEGATIVE_ZERO, 8, 3, 8},
    [MRT_F8E5M2] = {IEEE, 8, 2, 15},
    [MRT_F8E5M2FNUZ] = {NO_NEGATIVE_ZERO, 8, 2, 16},
    [MRT_F8E8M0FNU] = {POWERS, 8, 0, 127},
    [MRT_F6E2M3FN] = {FINITE, 6, 3, 1},
    [MRT_F6E3M2FN] = {FINITE, 6, 2, 3},
    [MRT_F4E2M1FN] = {FINITE, 4, 1, 1},
    [MRT_I4] = {SIGNED, 4, 0, 0},
    [MRT_U4] = {UNSIGNED, 4, 0, 0},
    [MRT_I2] = {SIGNED, 2, 0, 0},
    [MRT_U2] = {UNSIGNED, 2, 0, 0},
};

static small_format find(mrt_dtype dtype) {
    const size_t code = (size_t)dtype;
    return code < sizeof formats / sizeof formats[0] ? formats[code] : (small_format){.kind = NOT_SMALL};
}

int mrt_small_bits(mrt_dtype dtype) {
    return find(dtype).bits;
}

bool mrt_dtype_is_small_float(mrt_dtype dtype) {
    return find(dtype).kind >= IEEE;
}

bool mrt_dtype_is_small_int(mrt_dtype dtype) {
    const uint8_t kind = find(dtype).kind;
    return kind == SIGNED || kind == UNSIGNED;
}

mrt_dtype mrt_small_base(mrt_dtype dtype) {
    const uint8_t kind = find(dtype).kind;
    return kind == SIGNED ? MRT_I8 : kind == UNSIGNED ? MRT_U8 : dtype;
}

/* --- to f32 ----------------------------------------------------------------------------------- */

static float decode(small_format f, uint32_t byte) {
    const uint32_t sign_bit = 1u << (f.bits - 1), code = byte & (2 * sign_bit - 1);
    if (f.kind == POWERS) {
        return code == 255 ? mrt_f32_from_bits(0x7fc00000u) : ldexpf(1.0f, (int)code - 127);
    }
    const uint32_t mag = code & (sign_bit - 1), sign = code & sign_bit ? 0x80000000u : 0;
    const uint32_t top = (sign_bit - 1) >> f.mantissa, exponent = mag >> f.mantissa;
    const uint32_t fraction = mag & ((1u << f.mantissa) - 1);
    if (f.kind == IEEE && exponent == top) {
        return mrt_f32_from_bits(sign | 0x7f800000u | (fraction != 0 ? 0x400000u : 0));
    }
    if ((f.kind == ONE_NAN && mag == sign_bit - 1) ||
        (f.kind == NO_NEGATIVE_ZERO && code == sign_bit)) {
        return mrt_f32_from_bits((f.kind == ONE_NAN ? sign : 0) | 0x7fc00000u);
    }
    const uint32_t digits = exponent > 0 ? fraction | 1u << f.mantissa : fraction;
    const int power = (exponent > 0 ? (int)exponent : 1) - f.bias - f.mantissa;
    const float value = ldexpf((float)digits, power);
    return sign != 0 ? -value : value;
}

void mrt_small_to_f32(mrt_dtype dtype, const void *from, float *to, int64_t count) {
    const small_format f = find(dtype);
    const uint8_t *bytes = from;
    float table[256];
    if (count < 256) {
        for (int64_t i = 0; i < count; i++) {
            to[i] = decode(f, bytes[i]);
        }
        return;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        table[byte] = decode(f, byte);
    }
    for (int64_t i = 0; i < count; i++) {
        to[i] = table[bytes[i]];
    }
}

/* --- from f32 --------------------------------------------------------------------------------- */

static uint8_t encode_power(uint32_t mag, unsigned flags) {
    const bool saturate = (flags & MRT_CAST_NO_SATURATE) == 0;
    uint32_t code = mag >> 23;
    /* f32 holds 2^-127, code 0, as the subnormal 0x400000; what is below is out of range. */
    const uint32_t low = code == 0 ? 0x400000u : 0;
    const uint32_t rest = mag & 0x7fffffu;
    if (mag > 0x7f800000u || (!saturate && (mag == 0x7f800000u || mag < 0x400000u))) {
        return 255;
    }
    if ((flags & MRT_CAST_ROUND_NEAREST) != 0) {
        code += rest >= (code == 0 ? 0x600000u : 0x400000u);
    } else if ((flags & MRT_CAST_ROUND_DOWN) == 0) {
        code += rest > low;
    }
    return (uint8_t)(code < 255 ? code : saturate ? 254 : 255);
}

/* Pattern without sign of what lies beyond the largest number. */
static uint32_t beyond(small_format f, uint32_t max_code, bool saturate) {
    return saturate || f.kind == FINITE ? max_code : max_code + 1;
}

/* A rounded magnitude: normal results by rebiasing and rounding the f32 pattern, subnormal ones by
 * the f32 adder, whose last place is made the format's smallest step. */
static uint32_t round_magnitude(small_format f, uint32_t mag) {
    const uint32_t shift = 23u - f.mantissa, first = 128u - f.bias; /* f32 exponent of code 1 */
    if (mag >= first << 23) {
        const uint32_t rounded = mag + ((1u << (shift - 1)) - 1) + (mag >> shift & 1u);
        return (rounded >> shift) - ((first - 1) << f.mantissa);
    }
    const uint32_t magic = (first + shift) << 23;
    return mrt_f32_bits(mrt_f32_from_bits(mag) + mrt_f32_from_bits(magic)) - magic;
}

static uint8_t encode(small_format f, float value, unsigned flags) {
    const uint32_t bits = mrt_f32_bits(value), mag = bits & 0x7fffffffu;
    if (f.kind == POWERS) {
        return encode_power(mag, flags);
    }
    const uint32_t sign_bit = 1u << (f.bits - 1), sign = bits >> 31 ? sign_bit : 0;
    const uint32_t top = (sign_bit - 1) >> f.mantissa << f.mantissa;
    const uint32_t max_code = f.kind == IEEE      ? top - 1
                              : f.kind == ONE_NAN ? sign_bit - 2
                                                  : sign_bit - 1;
    uint32_t code;
    if (mag > 0x7f800000u) { /* quiet NaN */
        if (f.kind == FINITE) {
            return (uint8_t)sign_bit;
        }
        code = f.kind == IEEE ? top | 1u << (f.mantissa - 1) : max_code + 1;
    } else {
        code = round_magnitude(f, mag);
        code = code > max_code ? beyond(f, max_code, (flags & MRT_CAST_NO_SATURATE) == 0) : code;
    }
    if (f.kind == NO_NEGATIVE_ZERO && (code == 0 || code == sign_bit)) {
        return (uint8_t)code;
    }
    return (uint8_t)(sign | code);
}

void mrt_small_from_f32(mrt_dtype dtype, const float *from, void *to, int64_t count,
                        unsigned flags) {
    const small_format f = find(dtype);
    uint8_t *bytes = to;
    for (int64_t i = 0; i < count; i++) {
        bytes[i] = encode(f, from[i], flags);
    }
}

/* --- integers, packing ------------------------------------------------------------------------ */

/* The low bits of a byte, extended to 8 as the type says. */
static uint8_t extend(small_format f, uint32_t byte) {
    const uint32_t sign_bit = 1u << (f.bits - 1), low = byte & (2 * sign_bit - 1);
    return (uint8_t)(f.kind == SIGNED ? (low ^ sign_bit) - sign_bit : low);
}

void mrt_small_narrow(mrt_dtype dtype, void *data, int64_t count) {
    const small_format f = find(dtype);
    uint8_t *bytes = data;
    for (int64_t i = 0; i < count; i++) {
        bytes[i] = extend(f, bytes[i]);
    }
}

void mrt_small_store(mrt_dtype dtype, double value, void *out) {
    const float number = (float)value;
    if (mrt_dtype_is_small_float(dtype)) {
        mrt_small_from_f32(dtype, &number, out, 1, 0);
        return;
    }
    const float kept = number > 127 ? 127 : number < -128 ? -128 : number == number ? number : 0;
    const int8_t whole = (int8_t)kept;
    memcpy(out, &whole, 1);
    mrt_small_narrow(dtype, out, 1);
}

void mrt_small_unpack(mrt_dtype dtype, const void *packed, void *to, int64_t count) {
    const small_format f = find(dtype);
    const uint8_t *from = packed;
    uint8_t *bytes = to;
    for (int64_t i = 0; i < count; i++) {
        const int64_t first = i * f.bits;
        uint32_t window = from[first / 8];
        if (first % 8 + f.bits > 8) {
            window |= (uint32_t)from[first / 8 + 1] << 8;
        }
        bytes[i] = extend(f, window >> (first % 8));
    }
}
