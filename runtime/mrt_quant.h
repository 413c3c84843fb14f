/* The only definition of integer rounding, requantization and quantization parameters.
 *
 * Kernels, compiler passes and tests all cite docs/quant_spec.md by label and call these functions;
 * no other file rounds a shift or derives a scale. Pure functions without state; thread safe.
 * Source: docs/quant_spec.md, labels in brackets at each function. */
#ifndef MRT_QUANT_H
#define MRT_QUANT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/mrt_status.h"
#include "runtime/mrt_tensor.h"

_Static_assert((-3 >> 1) == -2, "right shift of a negative number must be arithmetic");

/* Largest legal requantization shift. */
#define MRT_MAX_SHIFT 62
/* Smallest scale that a derivation gives, in real units per step [scale-floor]. */
#define MRT_MIN_SCALE 9.313225746154785e-10 /* 2^-30 */
/* |bias| in accumulator units is kept at or below this by the weight scale [weight-per-channel]. */
#define MRT_MAX_BIAS 1073741824.0 /* 2^30 */
/* Depth that a 32-bit accumulator always holds: 65536 * 255 * 128 < 2^31 [acc-bound]. */
#define MRT_ACC32_DEPTH 65536

/* [round-half-up] floor(v / 2^shift + 1/2), shift in 0..62, no overflow for any v. */
static inline int64_t mrt_rshift_half_up(int64_t v, int shift) {
    assert(shift >= 0 && shift <= MRT_MAX_SHIFT);
    return shift == 0 ? v : (v >> shift) + ((v >> (shift - 1)) & 1);
}

/* [round-half-away] v / 2^shift, nearest, ties away from zero. */
static inline int64_t mrt_rshift_half_away(int64_t v, int shift) {
    assert(shift >= 0 && shift <= MRT_MAX_SHIFT);
    if (shift == 0) {
        return v;
    }
    const int64_t rest = v & (((int64_t)1 << shift) - 1);
    const int64_t half = (int64_t)1 << (shift - 1);
    return (v >> shift) + (rest > half || (rest == half && v >= 0));
}

/* [round-half-even] v / 2^shift, nearest, ties to even. */
static inline int64_t mrt_rshift_half_even(int64_t v, int shift) {
    assert(shift >= 0 && shift <= MRT_MAX_SHIFT);
    if (shift == 0) {
        return v;
    }
    const int64_t rest = v & (((int64_t)1 << shift) - 1);
    const int64_t half = (int64_t)1 << (shift - 1);
    const int64_t floor_q = v >> shift;
    return floor_q + (rest > half || (rest == half && (floor_q & 1) != 0));
}

static inline int64_t mrt_clamp_i64(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : (v > high ? high : v);
}

static inline int32_t mrt_saturate_i32(int64_t v) {
    return (int32_t)mrt_clamp_i64(v, INT32_MIN, INT32_MAX);
}

static inline int8_t mrt_saturate_i8(int64_t v) { return (int8_t)mrt_clamp_i64(v, -128, 127); }

static inline uint8_t mrt_saturate_u8(int64_t v) { return (uint8_t)mrt_clamp_i64(v, 0, 255); }

static inline int16_t mrt_saturate_i16(int64_t v) {
    return (int16_t)mrt_clamp_i64(v, INT16_MIN, INT16_MAX);
}

/* Adds with saturation to the int64 range. */
static inline int64_t mrt_add_sat_i64(int64_t a, int64_t b) {
    if (b > 0 && a > INT64_MAX - b) {
        return INT64_MAX;
    }
    if (b < 0 && a < INT64_MIN - b) {
        return INT64_MIN;
    }
    return a + b;
}

/* [requant-multiplier-shift] The accumulator is saturated to int32, multiplied in 64 bits and
 * shifted right, half up. |acc * multiplier| <= 2^62, so nothing overflows for any multiplier. */
static inline int64_t mrt_requant(int64_t acc, int32_t multiplier, int32_t shift) {
    return mrt_rshift_half_up((int64_t)mrt_saturate_i32(acc) * multiplier, shift);
}

/* mrt_requant, then zero point and clamp: the end of every integer kernel. */
static inline int32_t mrt_requant_clamp(int64_t acc, int32_t multiplier, int32_t shift,
                                        int32_t zero_point, int32_t low, int32_t high) {
    return (int32_t)mrt_clamp_i64(mrt_requant(acc, multiplier, shift) + zero_point, low, high);
}

/* [requant-ratio] floor(v * factor / (divisor * 2^shift) + 1/2) for factor, divisor > 0, exactly.
 * The caller has proved that 2 * |v| * factor + divisor * 2^shift < 2^62. */
static inline int64_t mrt_requant_ratio(int64_t v, int64_t factor, int64_t divisor, int shift) {
    const int64_t den = (divisor << shift) * 2;
    const int64_t num = 2 * v * factor + den / 2;
    if (den < (int64_t)1 << 20) {
        const int64_t q = num / den;
        return q - (num % den < 0);
    }
    /* Dividing doubles is several times faster; below 2^42 their quotient is at most one off. */
    const int64_t q = (int64_t)((double)num / (double)den);
    const int64_t rest = num - q * den;
    return q + (rest >= den) - (rest < 0);
}

/* [quantize] clamp(zero_point + half_even(x / scale), low, high), division in double; a NaN gives
 * the zero point clamped, infinities saturate. scale > 0; low <= high within int32. */
static inline int32_t mrt_quantize_value(double x, double scale, int32_t zero_point, int32_t low,
                                         int32_t high) {
    const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    const double r_low = (double)low - (double)zero_point;
    const double r_high = (double)high - (double)zero_point;
    double r = x / scale;
    r = r != r ? 0.0 : r;
    r = r > r_low ? r : r_low;
    r = r < r_high ? r : r_high;
    r = (r + magic) - magic;
    return (int32_t)(r + (double)zero_point);
}

/* The same for an f32 and 1 / scale of a scale that is an f32, without a division. Both have 24 bits, so a
 * quotient of at most 2^17 that is no tie lies more than 2^-26 away from one, and its product with the
 * rounded inverse is off by less than 2^-34: rounded to a multiple of 2^-30, ties become exact and
 * nothing else becomes one. */
static inline bool mrt_scale_is_f32(double scale) { return (double)(float)scale == scale; }
static inline int32_t mrt_quantize_f32(float x, double inverse, int32_t zero_point, int32_t low,
                                       int32_t high) {
    const double magic = 6755399441055744.0; /* 1.5 * 2^52 */
    const double snap = 6291456.0;           /* 1.5 * 2^22: adding it rounds to 2^-30 */
    const double r_low = (double)low - (double)zero_point;
    const double r_high = (double)high - (double)zero_point;
    double r = (double)x * inverse;
    r = r != r ? 0.0 : r;
    r = r > r_low ? r : r_low;
    r = r < r_high ? r : r_high;
    r = (r + snap) - snap;
    r = (r + magic) - magic;
    return (int32_t)(r + (double)zero_point);
}

/* [dequantize] (q - zero_point) * scale in double, rounded once more to f32. */
static inline float mrt_dequantize_value(int32_t q, double scale, int32_t zero_point) {
    return (float)((double)((int64_t)q - zero_point) * scale);
}

/* Range of an integer type of at most 32 bits; false for every other type. */
bool mrt_int_range(mrt_dtype dtype, int64_t *out_low, int64_t *out_high);

/* [multiplier-derive] scale = multiplier * 2^-shift with `bits` significant bits (2..31; 31 is the
 * normalized form, multiplier in [2^30, 2^31)), half-even, shift in 0..62. A scale below
 * 2^(bits-1-62) loses leading bits and ends as 0. MRT_INVALID for a negative, infinite or NaN scale
 * and for one that needs a negative shift (>= 2^bits). */
mrt_status mrt_multiplier_from_scale(double scale, int bits, int32_t *out_multiplier,
                                     int32_t *out_shift);

/* [add-multipliers] Two multipliers with one shift for add_int. The larger ratio has 31 bits; when
 * the smaller one would have less than 21, both are widened by up to 14 bits. Each ratio is exact to
 * 2^-21 while they are within 2^24 of each other. Ratios may be negative (subtraction). MRT_INVALID
 * for a NaN or infinite ratio and for |ratio| >= 2^31. */
mrt_status mrt_add_multipliers(double ratio_a, double ratio_b, int64_t *out_a, int64_t *out_b,
                               int32_t *out_shift);

/* Quantization of one tensor. */
typedef struct mrt_qparams {
    mrt_dtype dtype;
    double scale;
    int32_t zero_point;
} mrt_qparams;

/* [scale-symmetric] th = max(|min|, |max|); signed: th / (2^(bits-1) - 1); unsigned, chosen when
 * min >= 0: th / (2^bits - 1). Zero point 0. bits is 4, 8 or 16; 4 bits are stored in I8 or U8. MRT_INVALID unless min <= max, finite. */
mrt_status mrt_qparams_symmetric(double min, double max, int bits, mrt_qparams *out);

/* [scale-asymmetric] The range is widened to hold 0; scale = (max - min) / (2^bits - 1); signed when
 * min < 0; zero point = half_even(qmin - min / scale), clamped. */
mrt_status mrt_qparams_asymmetric(double min, double max, int bits, mrt_qparams *out);

/* [weight-per-channel] Scale of one weight channel (or one tensor): absmax / 127, raised so that the
 * bias fits (|bias| / (scale_in * scale) <= 2^30), at least MRT_MIN_SCALE, rounded to f32. */
double mrt_weight_scale(double absmax, double bias_absmax, double scale_in);
/* [weight-int4] The same with `most` (7) in place of 127. */
double mrt_weight_scale_to(double absmax, double bias_absmax, double scale_in, int most);

/* [scale-pow2] The power of two nearest to a scale > 0, halfway by ratio: from sqrt(1/2) of it on. */
double mrt_pow2_nearest(double scale);
/* The least power of two that is not below `scale`. */
double mrt_pow2_above(double scale);

/* Largest magnitude of a weight of that many bits, 8 or 4 [weight-per-channel, weight-int4]. */
static inline int mrt_weight_most(int bits) { return bits == 4 ? 7 : 127; }

/* [weight-per-channel, weight-int4] clamp(half_even(w / scale), -most, most); NaN gives 0. */
static inline int8_t mrt_quantize_weight_to(double w, double scale, int most) {
    return (int8_t)mrt_quantize_value(w, scale, 0, -most, most);
}
static inline int8_t mrt_quantize_weight(double w, double scale) {
    return mrt_quantize_weight_to(w, scale, 127);
}

/* The same for n weights; returns the sum of the results. */
int64_t mrt_quantize_weights_to(const float *w, int64_t n, double scale, int most, int8_t *q);
int64_t mrt_quantize_weights(const float *w, int64_t n, double scale, int8_t *q);

/* [pack-int4] Bytes of `count` values of 4 bits, two in a byte. */
static inline int64_t mrt_packed4_bytes(int64_t count) { return count / 2 + count % 2; }
/* Value i into bits 4 * (i mod 2) of byte i / 2; the upper half of the last byte of an odd count is 0. False when
 * a value does not lie in -8..7 (or 0..15): nothing is written behind it. */
bool mrt_pack4(const uint8_t *values, int64_t count, bool is_signed, uint8_t *packed);
/* Back to one value per byte. False when the unused half of the last byte is not 0. */
bool mrt_unpack4(const uint8_t *packed, int64_t count, bool is_signed, uint8_t *values);
/* Largest |w|; NaN does not count. 0 for none. */
double mrt_weights_absmax(const float *w, int64_t n);

/* [bias-fold] saturate_i32(half_even(bias / (scale_in * scale_w)) - zero_point_in * sum_w). */
int32_t mrt_bias_fold(double bias, double scale_in, double scale_w, int32_t zero_point_in,
                      int64_t sum_w);

/* [lut-8] Index of a quantized byte in its table: the byte itself. */
static inline unsigned mrt_lut_index(int32_t q) { return (unsigned)q & 255u; }

#endif
