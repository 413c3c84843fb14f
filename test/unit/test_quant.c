/* Rounding, requantization and parameter derivation against 128-bit and decimal oracles. */
#include "test/unit/check_main.h"
#include "test/unit/int_test_util.h"

#include <math.h>

#include "test/ref/ref_int.h"

static const int64_t values64[] = {0,         1,          -1,         2,          -2,
                                   3,         -3,         5,          127,        -128,
                                   255,       32767,      -32768,     65535,      1 << 30,
                                   INT32_MAX, INT32_MIN,  INT32_MIN + 1, INT64_MAX, INT64_MIN,
                                   INT64_MAX - 1, INT64_MIN + 1, (int64_t)1 << 62, -((int64_t)1 << 62)};
enum { VALUES64 = sizeof(values64) / sizeof(values64[0]) };

START_TEST(rounding_shifts) {
    for (int i = 0; i < VALUES64 + 20000; ++i) {
        const int64_t v = i < VALUES64 ? values64[i] : (int64_t)rnd() >> (rnd() % 64);
        for (int shift = 0; shift <= 62; ++shift) {
            ck_assert_int_eq(mrt_rshift_half_up(v, shift), ref_int_half_up(v, shift));
            ck_assert_int_eq(mrt_rshift_half_away(v, shift), ref_int_half_away(v, shift));
            ck_assert_int_eq(mrt_rshift_half_even(v, shift), ref_int_half_even(v, shift));
        }
    }
}
END_TEST

START_TEST(rounding_ties) {
    /* -2.5, -1.5, -0.5, 0.5, 1.5, 2.5 as halves */
    static const int64_t half[] = {-5, -3, -1, 1, 3, 5};
    static const int64_t up[] = {-2, -1, 0, 1, 2, 3};
    static const int64_t away[] = {-3, -2, -1, 1, 2, 3};
    static const int64_t even[] = {-2, -2, 0, 0, 2, 2};
    for (int i = 0; i < 6; ++i) {
        ck_assert_int_eq(mrt_rshift_half_up(half[i], 1), up[i]);
        ck_assert_int_eq(mrt_rshift_half_away(half[i], 1), away[i]);
        ck_assert_int_eq(mrt_rshift_half_even(half[i], 1), even[i]);
    }
}
END_TEST

START_TEST(requant_corners) {
    static const int32_t multipliers[] = {0,         1,         -1,        2,        3,
                                          127,       1 << 30,   (1 << 30) + 1, INT32_MAX,
                                          INT32_MAX - 1, INT32_MIN, INT32_MIN + 1, 1431655765};
    enum { MULTIPLIERS = sizeof(multipliers) / sizeof(multipliers[0]) };
    for (int i = 0; i < VALUES64; ++i) {
        for (int j = 0; j < MULTIPLIERS; ++j) {
            for (int shift = 0; shift <= 62; ++shift) {
                ck_assert_int_eq(mrt_requant(values64[i], multipliers[j], shift),
                                 ref_int_requant(values64[i], multipliers[j], shift));
            }
        }
    }
    for (int i = 0; i < 1000000; ++i) {
        const int64_t acc = (int32_t)rnd() >> (rnd() % 32);
        const int32_t m = (int32_t)rnd() >> (rnd() % 32);
        const int shift = (int)(rnd() % 63);
        ck_assert_int_eq(mrt_requant(acc, m, shift), ref_int_requant(acc, m, shift));
    }
}
END_TEST

START_TEST(requant_clamps) {
    ck_assert_int_eq(mrt_requant_clamp(1000, 1 << 30, 30, 5, -128, 127), 127);
    ck_assert_int_eq(mrt_requant_clamp(-1000, 1 << 30, 30, 5, -128, 127), -128);
    ck_assert_int_eq(mrt_requant_clamp(100, 1 << 30, 31, 5, -128, 127), 55);
    ck_assert_int_eq(mrt_requant_clamp(INT64_MAX, INT32_MAX, 0, 255, 0, 255), 255);
    ck_assert_int_eq(mrt_requant_clamp(INT64_MIN, INT32_MAX, 0, -128, -128, 127), -128);
    ck_assert_int_eq(mrt_saturate_i8(128), 127);
    ck_assert_int_eq(mrt_saturate_u8(-1), 0);
    ck_assert_int_eq(mrt_saturate_i16(40000), 32767);
    ck_assert_int_eq(mrt_saturate_i32((int64_t)1 << 40), INT32_MAX);
    ck_assert(mrt_add_sat_i64(INT64_MAX, 1) == INT64_MAX);
    ck_assert(mrt_add_sat_i64(INT64_MIN, -1) == INT64_MIN);
    ck_assert(mrt_add_sat_i64(INT64_MAX, INT64_MIN) == -1);
}
END_TEST

START_TEST(requant_ratio) {
    for (int i = 0; i < 200000; ++i) {
        const int64_t volume = rnd_in(1, 64);
        const int64_t divisor = rnd_in(1, volume);
        const int64_t sum = rnd_in(-255 * divisor, 255 * divisor);
        const int64_t m = rnd_in(1, INT32_MAX);
        const int shift = (int)rnd_in(0, 40);
        ck_assert_int_eq(mrt_requant_ratio(sum * m, volume, divisor, shift),
                         ref_int_ratio(sum, m, volume, divisor, shift));
        ck_assert_int_eq(mrt_requant_ratio(sum * m, volume, volume, shift),
                         mrt_requant(sum, (int32_t)m, shift));
    }
    for (int i = 0; i < 200000; ++i) { /* next to ties and to whole results, where an inexact quotient would show */
        const int64_t divisor = rnd_in(1, 1000);
        const int shift = (int)rnd_in(0, 47);
        const int64_t den = divisor << shift;
        const int64_t most = ((int64_t)1 << 60) / den;
        const int64_t q = rnd_in(-most, most) >> rnd_in(0, 40);
        const int64_t v = q * den + (rnd() % 2 ? den / 2 : 0) + rnd_in(-1, 1);
        ck_assert_int_eq(mrt_requant_ratio(v, 1, divisor, shift), ref_int_ratio(v, 1, 1, divisor, shift));
    }
}
END_TEST

START_TEST(quantize_values) {
    const double scales[] = {1.0, 0.5, 0.1, 1.0 / 3.0, 1e-9, 1e20};
    for (int i = 0; i < 600000; ++i) {
        const double scale = scales[i % 6];
        const double x = (double)(float)(((double)rnd_in(-4000, 4000) / 8.0) * scale);
        const int32_t zp = (int32_t)rnd_in(-128, 127);
        ck_assert_int_eq(mrt_quantize_value(x, scale, zp, -128, 127),
                         ref_int_quantize(x, scale, zp, -128, 127));
    }
    ck_assert_int_eq(mrt_quantize_value(0.5, 1.0, 0, -128, 127), 0);
    ck_assert_int_eq(mrt_quantize_value(1.5, 1.0, 0, -128, 127), 2);
    ck_assert_int_eq(mrt_quantize_value(-2.5, 1.0, 0, -128, 127), -2);
    ck_assert_int_eq(mrt_quantize_value((double)NAN, 1.0, 7, -128, 127), 7);
    ck_assert_int_eq(mrt_quantize_value((double)INFINITY, 1.0, 7, -128, 127), 127);
    ck_assert_int_eq(mrt_quantize_value(-(double)INFINITY, 1.0, 7, 0, 255), 0);
    ck_assert_int_eq(mrt_quantize_value(1e300, 1e-30, 7, 0, 255), 255);
    ck_assert(mrt_dequantize_value(130, 0.5, 128) == 1.0f);
    ck_assert(mrt_dequantize_value(INT32_MIN, 1.0, INT32_MAX) == -4294967296.0f);
}
END_TEST

START_TEST(multiplier_derivation) {
    int32_t m, shift;
    ck_assert_int_eq(mrt_multiplier_from_scale(0.5, 31, &m, &shift), MRT_OK);
    ck_assert_int_eq(m, 1 << 30);
    ck_assert_int_eq(shift, 31);
    ck_assert_int_eq(mrt_multiplier_from_scale(0.0, 31, &m, &shift), MRT_OK);
    ck_assert_int_eq(m, 0);
    ck_assert_int_eq(mrt_multiplier_from_scale(nextafter(1.0, 0.0), 31, &m, &shift), MRT_OK);
    ck_assert_int_eq(m, 1 << 30); /* rounds up to 1.0 */
    ck_assert_int_eq(shift, 30);
    ck_assert_int_eq(mrt_multiplier_from_scale(ldexp(1.0, -80), 31, &m, &shift), MRT_OK);
    ck_assert_int_eq(m, 0);
    ck_assert_int_eq(mrt_multiplier_from_scale(ldexp(1.0, -62), 31, &m, &shift), MRT_OK);
    ck_assert_int_eq(m, 1);
    ck_assert_int_eq(shift, 62);
    ck_assert_int_eq(mrt_multiplier_from_scale(2147483647.0, 31, &m, &shift), MRT_OK);
    ck_assert_int_eq(m, INT32_MAX);
    ck_assert_int_eq(shift, 0);
    ck_assert_int_eq(mrt_multiplier_from_scale(2147483648.0, 31, &m, &shift), MRT_INVALID);
    ck_assert_int_eq(mrt_multiplier_from_scale(-1.0, 31, &m, &shift), MRT_INVALID);
    ck_assert_int_eq(mrt_multiplier_from_scale((double)NAN, 31, &m, &shift), MRT_INVALID);
    ck_assert_int_eq(mrt_multiplier_from_scale((double)INFINITY, 31, &m, &shift), MRT_INVALID);
    for (int i = 0; i < 100000; ++i) {
        const double scale = ldexp(1.0 + (double)rnd_in(0, 1 << 30) / (1 << 30),
                                   (int)rnd_in(-31, 29));
        const int bits = (int)rnd_in(7, 31);
        if (mrt_multiplier_from_scale(scale, bits, &m, &shift) != MRT_OK) {
            ck_assert(scale >= ldexp(1.0, bits) * 0.99);
            continue;
        }
        ck_assert(shift >= 0 && shift <= 62);
        ck_assert(m >= 1 << (bits - 1) && m <= INT32_MAX);
        ck_assert(fabs(ldexp(m, -shift) / scale - 1.0) <= ldexp(1.0, -bits));
    }
}
END_TEST

START_TEST(add_multiplier_derivation) {
    int64_t a, b;
    int32_t shift;
    for (int i = 0; i < 100000; ++i) {
        const double ra = ldexp(1.0 + (double)rnd_in(0, 1 << 30) / (1 << 30), (int)rnd_in(-12, 12));
        const double rb = -ldexp(1.0 + (double)rnd_in(0, 1 << 30) / (1 << 30), (int)rnd_in(-11, 11));
        ck_assert_int_eq(mrt_add_multipliers(ra, rb, &a, &b, &shift), MRT_OK);
        ck_assert(shift >= 0 && shift <= 62);
        ck_assert(llabs(a) < (int64_t)1 << 46 && llabs(b) < (int64_t)1 << 46);
        ck_assert(fabs(ldexp((double)a, -shift) / ra - 1.0) <= ldexp(1.0, -20));
        ck_assert(fabs(ldexp((double)b, -shift) / rb - 1.0) <= ldexp(1.0, -20));
    }
    ck_assert_int_eq(mrt_add_multipliers(1.0, 0.0, &a, &b, &shift), MRT_OK);
    ck_assert(a == 1 << 30 && b == 0 && shift == 30);
    ck_assert_int_eq(mrt_add_multipliers(0.0, 0.0, &a, &b, &shift), MRT_OK);
    ck_assert(a == 0 && b == 0);
    ck_assert_int_eq(mrt_add_multipliers((double)NAN, 1.0, &a, &b, &shift), MRT_INVALID);
    ck_assert_int_eq(mrt_add_multipliers(1.0, 1e30, &a, &b, &shift), MRT_INVALID);
}
END_TEST

START_TEST(tensor_scales) {
    mrt_qparams q;
    ck_assert_int_eq(mrt_qparams_symmetric(-2.0, 6.35, 8, &q), MRT_OK);
    ck_assert(q.dtype == MRT_I8 && q.zero_point == 0 && q.scale == (double)(float)(6.35 / 127.0));
    ck_assert_int_eq(mrt_qparams_symmetric(0.0, 2.55, 8, &q), MRT_OK);
    ck_assert(q.dtype == MRT_U8 && q.zero_point == 0 && q.scale == (double)(float)(2.55 / 255.0));
    ck_assert_int_eq(mrt_qparams_symmetric(0.0, 0.0, 8, &q), MRT_OK);
    ck_assert(q.scale == MRT_MIN_SCALE);
    ck_assert_int_eq(mrt_qparams_symmetric(-1.0, 0.5, 16, &q), MRT_OK);
    ck_assert(q.dtype == MRT_I16 && q.scale == (double)(float)(1.0 / 32767.0));
    ck_assert_int_eq(mrt_qparams_symmetric(1.0, 0.0, 8, &q), MRT_INVALID);
    ck_assert_int_eq(mrt_qparams_symmetric(0.0, (double)INFINITY, 8, &q), MRT_INVALID);
    ck_assert_int_eq(mrt_qparams_symmetric((double)NAN, 1.0, 8, &q), MRT_INVALID);

    ck_assert_int_eq(mrt_qparams_asymmetric(-1.0, 3.0, 8, &q), MRT_OK);
    ck_assert(q.dtype == MRT_I8 && q.scale == (double)(float)(4.0 / 255.0));
    ck_assert_int_eq(q.zero_point, -64); /* -128 + 63.75 */
    ck_assert_int_eq(mrt_qparams_asymmetric(0.5, 3.0, 8, &q), MRT_OK);
    ck_assert(q.dtype == MRT_U8 && q.zero_point == 0 && q.scale == (double)(float)(3.0 / 255.0));
    ck_assert_int_eq(mrt_qparams_asymmetric(-5.0, -1.0, 8, &q), MRT_OK);
    ck_assert(q.dtype == MRT_I8 && q.zero_point == 127);
    ck_assert_int_eq(mrt_qparams_asymmetric(0.0, 0.0, 8, &q), MRT_OK);
    ck_assert(q.scale == MRT_MIN_SCALE && q.zero_point == 0);
    for (int i = 0; i < 10000; ++i) { /* real 0 is always a quantized value */
        const double min = -(double)rnd_in(1, 1000000) / 1000.0;
        const double max = min + (double)rnd_in(0, 2000000) / 1000.0;
        ck_assert_int_eq(mrt_qparams_asymmetric(min, max, 8, &q), MRT_OK);
        ck_assert(q.zero_point >= -128 && q.zero_point <= 127);
    }
}
END_TEST

/* Many weights at once as one by one. */
START_TEST(many_weights) {
    enum { MOST = 300 };
    float w[MOST];
    int8_t q[MOST];
    for (int n = 0; n < MOST; ++n) {
        double absmax = 0.0;
        for (int i = 0; i < n; ++i) {
            w[i] = i % 37 == 5 ? NAN : ldexpf(1.0f + 0.001f * (float)i, -(i % 9)) * (i % 2 == 0 ? 1 : -1);
            w[i] = n == 77 && i == 70 ? -INFINITY : w[i];
            absmax = fmax(absmax, fabs((double)w[i]));
        }
        ck_assert(mrt_weights_absmax(w, n) == absmax);
        const double scale = mrt_weight_scale(n == 77 ? 0.5 : absmax, 0.0, 1.0);
        const int64_t sum = mrt_quantize_weights(w, n, scale, q);
        int64_t expected = 0;
        for (int i = 0; i < n; ++i) {
            ck_assert_int_eq(q[i], mrt_quantize_weight(w[i], scale));
            expected += q[i];
        }
        ck_assert_int_eq(sum, expected);
    }
}
END_TEST

START_TEST(powers_of_two) {
    static const struct { double scale, nearest, above; } all[] = {
        {1.0, 1.0, 1.0}, {0.25, 0.25, 0.25}, {0.7, 0.5, 1.0}, {0.71, 1.0, 1.0}, {1.41, 1.0, 2.0},
        {1.42, 2.0, 2.0}, {3.0, 4.0, 4.0}, {1.0001, 1.0, 2.0}, {0x1p-30, 0x1p-30, 0x1p-30}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i) {
        ck_assert_double_eq(mrt_pow2_nearest(all[i].scale), all[i].nearest);
        ck_assert_double_eq(mrt_pow2_above(all[i].scale), all[i].above);
    }
}
END_TEST

START_TEST(weights_and_bias) {
    ck_assert(mrt_weight_scale(1.27, 0.0, 0.02) == (double)(float)0.01);
    ck_assert(mrt_weight_scale(0.0, 0.0, 0.02) == MRT_MIN_SCALE);
    const double raised = mrt_weight_scale(1e-12, 8.0, 0.01); /* dead channel with a bias */
    ck_assert(8.0 / (0.01 * raised) <= 1073741824.0 * 1.000001);
    ck_assert(abs(mrt_bias_fold(8.0, 0.01, raised, 0, 0)) > 1 << 29);
    ck_assert_int_eq(mrt_quantize_weight(1.0, 0.001), 127);
    ck_assert_int_eq(mrt_quantize_weight(-1.0, 0.001), -127);
    ck_assert_int_eq(mrt_quantize_weight((double)NAN, 0.001), 0);
    ck_assert_int_eq(mrt_bias_fold(1.0, 0.5, 0.25, 0, 0), 8);
    ck_assert_int_eq(mrt_bias_fold(1.0, 0.5, 0.25, -3, 10), 38);
    ck_assert_int_eq(mrt_bias_fold(0.3125, 0.5, 0.25, 0, 0), 2); /* 2.5 to even */
    ck_assert_int_eq(mrt_bias_fold(1e30, 0.5, 0.25, 0, 0), INT32_MAX);
    ck_assert_int_eq(mrt_bias_fold(-1e30, 0.5, 0.25, 5, 1000), INT32_MIN);
    ck_assert_int_eq(mrt_bias_fold((double)NAN, 0.5, 0.25, 1, 4), -4);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("quant");
    TCase *tcase = tcase_create("rules");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, rounding_shifts);
    tcase_add_test(tcase, rounding_ties);
    tcase_add_test(tcase, requant_corners);
    tcase_add_test(tcase, requant_clamps);
    tcase_add_test(tcase, requant_ratio);
    tcase_add_test(tcase, quantize_values);
    tcase_add_test(tcase, multiplier_derivation);
    tcase_add_test(tcase, add_multiplier_derivation);
    tcase_add_test(tcase, tensor_scales);
    tcase_add_test(tcase, weights_and_bias);
    tcase_add_test(tcase, powers_of_two);
    tcase_add_test(tcase, many_weights);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
