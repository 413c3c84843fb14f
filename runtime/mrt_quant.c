/* Derivation of scales, zero points, multipliers and biases: see mrt_quant.h. */
#include "runtime/mrt_quant.h"

#include <math.h>
#include <string.h>

#include "runtime/mrt_clones.h"

/* Nearest integer, ties to even, kept in double; independent of the machine's rounding calls. */
static double half_even(double v) {
    const double magic = 6755399441055744.0;
    if (!(v > -2251799813685248.0 && v < 2251799813685248.0)) {
        return v; /* 2^51 and above: nothing that a caller can represent */
    }
    return (v + magic) - magic;
}

bool mrt_int_range(mrt_dtype dtype, int64_t *out_low, int64_t *out_high) {
    static const struct {
        mrt_dtype dtype;
        int64_t low, high;
    } rows[] = {
        {MRT_I8, -128, 127},          {MRT_U8, 0, 255}, {MRT_I16, INT16_MIN, INT16_MAX},
        {MRT_U16, 0, UINT16_MAX},     {MRT_I32, INT32_MIN, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        if (rows[i].dtype == dtype) {
            *out_low = rows[i].low;
            *out_high = rows[i].high;
            return true;
        }
    }
    return false;
}

mrt_status mrt_multiplier_from_scale(double scale, int bits, int32_t *out_multiplier,
                                     int32_t *out_shift) {
    if (bits < 2 || bits > 31 || !(scale >= 0.0) || isinf(scale)) {
        return MRT_INVALID;
    }
    if (scale == 0.0) {
        *out_multiplier = 0;
        *out_shift = 0;
        return MRT_OK;
    }
    int exponent = 0;
    double m = half_even(ldexp(frexp(scale, &exponent), bits));
    if (m == ldexp(1.0, bits)) {
        m = ldexp(1.0, bits - 1);
        ++exponent;
    }
    int shift = bits - exponent;
    if (shift < 0) {
        return MRT_INVALID;
    }
    if (shift > MRT_MAX_SHIFT) {
        shift = MRT_MAX_SHIFT;
        m = half_even(ldexp(scale, shift)); /* from the scale itself: one rounding only */
    }
    *out_multiplier = (int32_t)m;
    *out_shift = m == 0.0 ? 0 : shift;
    return MRT_OK;
}

mrt_status mrt_add_multipliers(double ratio_a, double ratio_b, int64_t *out_a, int64_t *out_b,
                               int32_t *out_shift) {
    const double abs_a = fabs(ratio_a);
    const double abs_b = fabs(ratio_b);
    const double large = abs_a > abs_b ? abs_a : abs_b;
    const double small = abs_a > abs_b ? abs_b : abs_a;
    int32_t multiplier = 0;
    int32_t shift = 0;
    if (isnan(ratio_a) || isnan(ratio_b)) {
        return MRT_INVALID;
    }
    MRT_TRY(mrt_multiplier_from_scale(large, 31, &multiplier, &shift));
    const int widest = shift + 14 < MRT_MAX_SHIFT ? shift + 14 : MRT_MAX_SHIFT;
    while (small > 0.0 && shift < widest && ldexp(small, shift) < 1048576.0) {
        ++shift;
    }
    *out_a = (int64_t)half_even(ldexp(ratio_a, shift));
    *out_b = (int64_t)half_even(ldexp(ratio_b, shift));
    *out_shift = shift;
    return MRT_OK;
}

/* A scale as every carrier (text, bundle, ONNX) holds it: a normal f32, never below the floor. */
static double finish_scale(double scale) {
    return scale > MRT_MIN_SCALE ? (double)(float)scale : MRT_MIN_SCALE;
}

static bool range_ok(double min, double max, int bits) {
    return isfinite(min) && isfinite(max) && min <= max && (bits == 4 || bits == 8 || bits == 16) &&
           fabs(min) < 1e37 && fabs(max) < 1e37;
}

mrt_status mrt_qparams_symmetric(double min, double max, int bits, mrt_qparams *out) {
    if (!range_ok(min, max, bits)) {
        return MRT_INVALID;
    }
    const bool is_signed = min < 0.0;
    const double steps = (double)((1 << (is_signed ? bits - 1 : bits)) - 1);
    const double threshold = fmax(fabs(min), fabs(max));
    out->dtype = bits <= 8 ? (is_signed ? MRT_I8 : MRT_U8) : (is_signed ? MRT_I16 : MRT_U16);
    out->scale = finish_scale(threshold / steps);
    out->zero_point = 0;
    return MRT_OK;
}

mrt_status mrt_qparams_asymmetric(double min, double max, int bits, mrt_qparams *out) {
    if (!range_ok(min, max, bits)) {
        return MRT_INVALID;
    }
    const bool is_signed = min < 0.0;
    const double low = is_signed ? min : 0.0;
    const double high = max > 0.0 ? max : 0.0;
    const double steps = (double)((1 << bits) - 1);
    const double q_low = is_signed ? -(double)(1 << (bits - 1)) : 0.0;
    const double scale = finish_scale((high - low) / steps);
    const double zero_point = half_even(q_low - low / scale);
    out->dtype = bits <= 8 ? (is_signed ? MRT_I8 : MRT_U8) : (is_signed ? MRT_I16 : MRT_U16);
    out->scale = scale;
    out->zero_point = (int32_t)fmin(fmax(zero_point, q_low), q_low + steps);
    return MRT_OK;
}

double mrt_weight_scale(double absmax, double bias_absmax, double scale_in) {
    return mrt_weight_scale_to(absmax, bias_absmax, scale_in, 127);
}

double mrt_weight_scale_to(double absmax, double bias_absmax, double scale_in, int most) {
    const double by_weight = fabs(absmax) / (double)most;
    const double by_bias = fabs(bias_absmax) / (scale_in * MRT_MAX_BIAS);
    return finish_scale(by_weight > by_bias ? by_weight : by_bias);
}

double mrt_pow2_nearest(double scale) {
    int exponent = 0;
    const double part = frexp(scale, &exponent);
    return ldexp(1.0, part < 0.70710678118654752 ? exponent - 1 : exponent);
}

double mrt_pow2_above(double scale) {
    int exponent = 0;
    const double part = frexp(scale, &exponent);
    return ldexp(1.0, part > 0.5 ? exponent : exponent - 1);
}

MRT_CLONES static int32_t quantize_piece(const float *w, int n, double scale, int most, int8_t *q) {
    int32_t sum = 0;
    for (int i = 0; i < n; ++i) {
        const int32_t v = mrt_quantize_value(w[i], scale, 0, -most, most);
        q[i] = (int8_t)v;
        sum += v;
    }
    return sum;
}

int64_t mrt_quantize_weights(const float *w, int64_t n, double scale, int8_t *q) {
    return mrt_quantize_weights_to(w, n, scale, 127, q);
}

int64_t mrt_quantize_weights_to(const float *w, int64_t n, double scale, int most, int8_t *q) {
    enum { PIECE = 1 << 20 }; /* its sum fits 32 bits */
    int64_t sum = 0;
    for (int64_t at = 0; at < n; at += PIECE) {
        sum += quantize_piece(w + at, (int)(n - at < PIECE ? n - at : PIECE), scale, most, q + at);
    }
    return sum;
}

/* On bit patterns, which are ordered as the magnitudes are. */
MRT_CLONES double mrt_weights_absmax(const float *w, int64_t n) {
    int32_t most = 0;
    for (int64_t i = 0; i < n; ++i) {
        int32_t bits;
        memcpy(&bits, &w[i], sizeof bits);
        bits &= INT32_MAX;
        bits = bits > 0x7f800000 ? 0 : bits; /* NaN */
        most = bits > most ? bits : most;
    }
    float absmax;
    memcpy(&absmax, &most, sizeof absmax);
    return absmax;
}

int32_t mrt_bias_fold(double bias, double scale_in, double scale_w, int32_t zero_point_in,
                      int64_t sum_w) {
    const double q = half_even(bias / (scale_in * scale_w));
    int64_t whole = 0;
    if (q == q) {
        whole = q > 2147483647.0 ? INT32_MAX : (q < -2147483648.0 ? INT32_MIN : (int64_t)q);
    }
    return mrt_saturate_i32(whole - (int64_t)zero_point_in * sum_w);
}

bool mrt_pack4(const uint8_t *values, int64_t count, bool is_signed, uint8_t *packed) {
    for (int64_t i = 0; i < count; ++i) {
        const int v = is_signed ? (int8_t)values[i] : values[i];
        if (v < (is_signed ? -8 : 0) || v > (is_signed ? 7 : 15)) {
            return false;
        }
        if (i % 2 == 0) {
            packed[i / 2] = (uint8_t)(v & 15);
        } else {
            packed[i / 2] = (uint8_t)(packed[i / 2] | (v & 15) << 4);
        }
    }
    return true;
}

/* A value of four bits with its sign in bit 3: (v ^ 8) - 8. */
bool mrt_unpack4(const uint8_t *packed, int64_t count, bool is_signed, uint8_t *values) {
    const int sign = is_signed ? 8 : 0;
    for (int64_t i = 0; i < count / 2; ++i) {
        values[2 * i] = (uint8_t)(((packed[i] & 15) ^ sign) - sign);
        values[2 * i + 1] = (uint8_t)(((packed[i] >> 4) ^ sign) - sign);
    }
    if (count % 2 == 0) {
        return true;
    }
    values[count - 1] = (uint8_t)(((packed[count / 2] & 15) ^ sign) - sign);
    return packed[count / 2] >> 4 == 0;
}
