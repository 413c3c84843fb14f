/* Elementary functions of float steps: the same bits on every machine (rule float-math).
 *
 * Built from + - * / sqrt of IEEE double, integer operations on bit patterns and selects, in the
 * order written here, without libm and without contraction. Every function computes in double with
 * a relative error below 1e-10 and rounds once, so results are within 0.51 ulp of float; exact
 * results come out exact. Zeros keep their sign where the function is odd, infinities and
 * denormals follow C Annex F, a NaN result is always the quiet NaN 0x7fc00000.
 *
 * The scalar forms are branch-free (sin, cos and tan of huge arguments excepted), so that a loop
 * over them is vectorized when it is in a function marked MRT_CLONES. The array forms mrt_vec_*
 * are such loops; y may be x itself. Both forms give the same bits.
 *
 * Polynomials interpolate at Chebyshev nodes; the largest relative error is noted at each. */
#ifndef MRT_MATH_H
#define MRT_MATH_H

#include "runtime/mrt_clones.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "float steps need arithmetic without excess precision"
#endif

/* Loop over arrays that are equal or disjoint: iterations do not depend on each other. */
#if defined(__clang__)
#define MRT_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define MRT_IVDEP _Pragma("GCC ivdep")
#else
#define MRT_IVDEP
#endif

/* Functions of one argument: scalar float mrt_<name>f(float), array mrt_vec_<name>(x, y, n). */
#define MRT_MATH_LIST(X)                                                                           \
    X(exp) X(exp2) X(expm1) X(log) X(log1p) X(sigmoid) X(log_sigmoid) X(softplus) X(mish) X(tanh)  \
    X(erf) X(gelu) X(gelu_tanh) X(sin) X(cos) X(tan) X(asin) X(acos) X(atan) X(sinh) X(cosh)       \
    X(asinh) X(acosh) X(atanh)
#define X(name) void mrt_vec_##name(const float *x, float *y, int64_t n);
MRT_MATH_LIST(X)
#undef X
/* z[i] = f(x[i], y[i]); z may be x or y. */
void mrt_vec_pow(const float *x, const float *y, float *z, int64_t n);
void mrt_vec_atan2(const float *y, const float *x, float *z, int64_t n);
/* Sine (phase 0) or cosine (phase 1) or tangent (phase 2) of any float; the slow path for
 * |x| >= 2^26, infinities and NaN. */
float mrt_trig_far_(float x, int phase);

#define MRT_LN2_ 0x1.62e42fefa39efp-1
#define MRT_PI_ 0x1.921fb54442d18p+1
#define MRT_SHIFTER_ 0x1.8p+52 /* adding it leaves an integer in the low bits of the double */

MRT_INLINE uint64_t mrt_bits64_(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
MRT_INLINE double mrt_from64_(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}
/* c ? a : b on bit patterns: never becomes a branch, so it never stops vectorization. */
MRT_INLINE double mrt_pick_(int c, double a, double b) {
    const uint64_t mask = (uint64_t)0 - (uint64_t)c;
    return mrt_from64_((mrt_bits64_(a) & mask) | (mrt_bits64_(b) & ~mask));
}
MRT_INLINE double mrt_abs_(double x) { return mrt_from64_(mrt_bits64_(x) & 0x7fffffffffffffffu); }
MRT_INLINE double mrt_copysign_(double x, double sign) {
    const uint64_t top = (uint64_t)1 << 63;
    return mrt_from64_((mrt_bits64_(x) & ~top) | (mrt_bits64_(sign) & top));
}
/* A NaN stays what it is. */
MRT_INLINE double mrt_clamp_(double x, double low, double high) {
    x = mrt_pick_(x < low, low, x);
    return mrt_pick_(x > high, high, x);
}
/* The one rounding to float, and the one NaN. */
MRT_INLINE float mrt_round_(double x) {
    float y = (float)x;
    uint32_t u;
    memcpy(&u, &y, sizeof u);
    const uint32_t mask = (uint32_t)0 - (uint32_t)(y != y);
    u = (u & ~mask) | (0x7fc00000u & mask);
    memcpy(&y, &u, sizeof y);
    return y;
}

/* expm1(r) = r * P8(r), |r| <= ln2 / 2, 9e-14. */
MRT_INLINE double mrt_exp_core_(double r) {
    double p = 0x1.72c72ca338df0p-19;
    p = p * r + 0x1.a15a600528a0fp-16;
    p = p * r + 0x1.a019ada3609f3p-13;
    p = p * r + 0x1.6c164de86dafdp-10;
    p = p * r + 0x1.1111111c478ebp-7;
    p = p * r + 0x1.555555742d965p-5;
    p = p * r + 0x1.5555555553b78p-3;
    p = p * r + 0x1.fffffffff71b2p-2;
    p = p * r + 1.0;
    return p * r;
}
/* 2^n for n = shifted - MRT_SHIFTER_ */
MRT_INLINE double mrt_exp_scale_(double shifted) {
    return mrt_from64_((mrt_bits64_(shifted) << 52) + 0x3ff0000000000000u);
}
/* exp(x) - 1 = scale * q + (scale - 1), scale = 2^n, |x - n ln2| <= ln2 / 2, for -700 < x < 700. */
MRT_INLINE double mrt_exp_parts_(double x, double *out_scale) {
    const double shifted = x * 0x1.71547652b82fep+0 + MRT_SHIFTER_;
    const double n = shifted - MRT_SHIFTER_;
    *out_scale = mrt_exp_scale_(shifted);
    return mrt_exp_core_((x - n * 0x1.62e42fefa2000p-1) - n * 0x1.9ef35793c7673p-41);
}
MRT_INLINE double mrt_d_exp_(double x) {
    double scale;
    const double q = mrt_exp_parts_(x, &scale);
    return scale * q + scale;
}
MRT_INLINE double mrt_d_expm1_(double x) {
    double scale;
    const double q = mrt_exp_parts_(x, &scale);
    return scale * q + (scale - 1.0);
}

/* x = 2^e * m, sqrt(1/2) <= m < sqrt(2); x a positive normal double. Returns m. */
MRT_INLINE double mrt_log_split_(double x, double *out_e) {
    const uint64_t u = mrt_bits64_(x) - 0x3fe6a09e667f3bcdu;
    const uint64_t biased = (u + ((uint64_t)2048 << 52)) >> 52; /* e + 2048, modulo 4096 */
    *out_e = mrt_from64_(biased | 0x4330000000000000u) - (0x1p+52 + 2048.0);
    return mrt_from64_((u & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
}
/* log((1 + s) / (1 - s)) + e ln2; s^2 <= 0.0295, P5(s^2) = atanh(s) / s, 3e-14. */
MRT_INLINE double mrt_log_join_(double s, double e) {
    const double z = s * s;
    double p = 0x1.919abd57b321ap-4;
    p = p * z + 0x1.c6206967897bep-4;
    p = p * z + 0x1.249439a497a18p-3;
    p = p * z + 0x1.9999962870e32p-3;
    p = p * z + 0x1.5555555672baap-2;
    p = p * z + 0x1.fffffffffff11p-1;
    return e * MRT_LN2_ + 2.0 * s * p;
}
/* log of zero, of a positive normal double, infinity or NaN; NaN below zero. */
MRT_INLINE double mrt_d_log_(double x) {
    double e;
    const double m = mrt_log_split_(x, &e);
    double y = mrt_log_join_((m - 1.0) / (m + 1.0), e);
    y = mrt_pick_(x == 0.0, -(double)INFINITY, y);
    y = mrt_pick_(x < 0.0, (double)NAN, y);
    return mrt_pick_((x != x) | (x == (double)INFINITY), x, y);
}
/* log(1 + x), relative error small also near 0. */
MRT_INLINE double mrt_d_log1p_(double x) {
    const double u = 1.0 + x;
    double e;
    const double m = mrt_log_split_(u, &e);
    const double f = mrt_pick_(e == 0.0, x, m - 1.0); /* m - 1 has lost the tail of x */
    double y = mrt_log_join_(f / (f + 2.0), e);
    y = mrt_pick_(u == 0.0, -(double)INFINITY, y);
    y = mrt_pick_(u < 0.0, (double)NAN, y);
    return mrt_pick_((x != x) | (x == (double)INFINITY) | (x == 0.0), x, y);
}

/* erfc(a), 0 <= a; exp(-a^2) * P12(t) / (1 + 2a), t = (a - 3) / (a + 3), 8e-11 up to a = 11. */
MRT_INLINE double mrt_d_erfc_(double a) {
    a = mrt_pick_(a > 11.0, 11.0, a);
    const double t = (a - 3.0) / (a + 3.0);
    double p = 0x1.17bf893786593p-15;
    p = p * t + 0x1.0a0b4977c1489p-13;
    p = p * t + -0x1.0bf96907d4aabp-13;
    p = p * t + -0x1.9ee7ad9df7a45p-11;
    p = p * t + 0x1.f09abc6e982bcp-10;
    p = p * t + 0x1.4c2e4da71fc20p-9;
    p = p * t + -0x1.857658809f252p-6;
    p = p * t + 0x1.17c94c831b944p-4;
    p = p * t + -0x1.e88b88d4e1ae5p-4;
    p = p * t + 0x1.09836df577f40p-3;
    p = p * t + -0x1.85a15aa050f1cp-5;
    p = p * t + -0x1.15c084df32524p-3;
    p = p * t + 0x1.40c522d7c55ebp+0;
    return mrt_d_exp_(-(a * a)) * (p / (1.0 + 2.0 * a));
}

/* atan(num / den), 0 <= num <= den: above tan(pi/8) by pi/4 + atan((num-den)/(num+den));
 * P8(z^2), |z| <= tan(pi/8), 3e-14. */
MRT_INLINE double mrt_d_atan_(double num, double den) {
    const int high = num > den * 0x1.a827999fcef32p-2;
    const double top = mrt_pick_(high, num - den, num);
    const double low = mrt_pick_(high, num + den, den);
    const double t = top / low;
    const double z = t * t;
    double p = 0x1.f657ae7e09908p-6;
    p = p * z + -0x1.e13ac280a9accp-5;
    p = p * z + 0x1.35ced8de982a2p-4;
    p = p * z + -0x1.73d9cba10d56bp-4;
    p = p * z + 0x1.c714d3e720df5p-4;
    p = p * z + -0x1.2492291945813p-3;
    p = p * z + 0x1.99999911c1573p-3;
    p = p * z + -0x1.55555554e5fc5p-2;
    p = p * z + 0x1.fffffffffff0fp-1;
    return mrt_pick_(high, MRT_PI_ / 4, 0.0) + p * t;
}

/* asin of 0 <= a <= 1; NaN above. For a > 1/2 by pi/2 - 2 asin(sqrt((1 - a) / 2)).
 * P8(t^2), |t| <= 1/2, 1e-12. `complement`: acos(a) instead. */
MRT_INLINE double mrt_d_asin_(double a, int complement) {
    const int high = a > 0.5;
    const double z = mrt_pick_(high, (1.0 - a) * 0.5, a * a);
    const double t = mrt_pick_(high, sqrt(z), a);
    double p = 0x1.0dfd15eca3951p-5;
    p = p * z + 0x1.f62a804832ccdp-10;
    p = p * z + 0x1.52d7c5f5c757bp-6;
    p = p * z + 0x1.6615a0ec8d425p-6;
    p = p * z + 0x1.f288c804351cep-6;
    p = p * z + 0x1.6db20cadb1f43p-5;
    p = p * z + 0x1.33334261d9e87p-4;
    p = p * z + 0x1.55555542fd475p-3;
    p = p * z + 0x1.0000000000e83p+0;
    const double q = p * t;
    const double twice = q + q;
    return complement ? mrt_pick_(high, twice, MRT_PI_ / 2 - q)
                      : mrt_pick_(high, MRT_PI_ / 2 - twice, q);
}

/* sin r (odd = 0) or cos r (odd = 1), |r| <= pi/4. sin r / r = P5(r^2), 5e-15; cos P5, 8e-14. */
MRT_INLINE double mrt_d_sin_(double r) {
    const double z = r * r;
    double p = -0x1.a94f3449b3310p-26;
    p = p * z + 0x1.71d72de46d603p-19;
    p = p * z + -0x1.a019f89b22deep-13;
    p = p * z + 0x1.1111110bd90c7p-7;
    p = p * z + -0x1.5555555550ea3p-3;
    p = p * z + 0x1.fffffffffffd9p-1;
    return p * r;
}
MRT_INLINE double mrt_d_cos_(double r) {
    const double z = r * r;
    double p = -0x1.23c4b4e82f460p-22;
    p = p * z + 0x1.a00e90b2c819fp-16;
    p = p * z + -0x1.6c16b2c8b6da2p-10;
    p = p * z + 0x1.5555554464fffp-5;
    p = p * z + -0x1.ffffffffe351bp-2;
    return p * z + 0x1.ffffffffffe08p-1;
}
/* Phase 0 sin, 1 cos, 2 tan of r + quadrant * pi/2. */
MRT_INLINE double mrt_trig_join_(double r, uint64_t quadrant, int phase) {
    const double s = mrt_d_sin_(r);
    const double c = mrt_d_cos_(r);
    if (phase == 2) {
        const int odd = (int)(quadrant & 1);
        return mrt_pick_(odd, -c, s) / mrt_pick_(odd, s, c);
    }
    quadrant += (uint64_t)phase;
    const double y = mrt_pick_((int)(quadrant & 1), c, s);
    return mrt_from64_(mrt_bits64_(y) ^ ((quadrant & 2) << 62));
}
/* |x| < 2^26: pi/2 in three parts, the first two of 25 bits, so that n times them is exact. */
MRT_INLINE float mrt_trig_near_(float x, int phase) {
    const double d = (double)x;
    const double shifted = d * 0x1.45f306dc9c883p-1 + MRT_SHIFTER_;
    const double n = shifted - MRT_SHIFTER_;
    const double r = ((d - n * 0x1.921fb50000000p+0) - n * 0x1.110b460000000p-26) -
                     n * 0x1.1a62633145c07p-54;
    const double y = mrt_trig_join_(r, mrt_bits64_(shifted), phase);
    return mrt_round_(mrt_pick_((phase != 1) & (d == 0.0), d, y)); /* keeps -0 */
}
MRT_INLINE int mrt_trig_is_far_(float x) { return !(x < 0x1p+26f && x > -0x1p+26f); }
MRT_INLINE float mrt_trig_(float x, int phase) {
    return mrt_trig_is_far_(x) ? mrt_trig_far_(x, phase) : mrt_trig_near_(x, phase);
}
MRT_INLINE float mrt_sinf(float x) { return mrt_trig_(x, 0); }
MRT_INLINE float mrt_cosf(float x) { return mrt_trig_(x, 1); }
MRT_INLINE float mrt_tanf(float x) { return mrt_trig_(x, 2); }

/* Beyond the clamp the result is 0 or infinity after rounding (float: 0 below -104, inf at 89). */
MRT_INLINE float mrt_expf(float x) {
    return mrt_round_(mrt_d_exp_(mrt_clamp_((double)x, -110.0, 90.0)));
}
MRT_INLINE float mrt_exp2f(float x) {
    const double d = mrt_clamp_((double)x, -160.0, 130.0);
    const double shifted = d + MRT_SHIFTER_;
    const double scale = mrt_exp_scale_(shifted);
    const double r = (d - (shifted - MRT_SHIFTER_)) * MRT_LN2_;
    return mrt_round_(scale * mrt_exp_core_(r) + scale);
}
MRT_INLINE float mrt_expm1f(float x) {
    const double d = (double)x;
    const double y = mrt_d_expm1_(mrt_clamp_(d, -110.0, 90.0));
    return mrt_round_(mrt_pick_(d == 0.0, d, y));
}
MRT_INLINE float mrt_logf(float x) { return mrt_round_(mrt_d_log_((double)x)); }
MRT_INLINE float mrt_log1pf(float x) { return mrt_round_(mrt_d_log1p_((double)x)); }
/* 1 / (1 + e^-x) */
MRT_INLINE float mrt_sigmoidf(float x) {
    return mrt_round_(1.0 / (1.0 + mrt_d_exp_(mrt_clamp_(-(double)x, -110.0, 110.0))));
}
/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|) */
MRT_INLINE double mrt_d_softplus_(double x) {
    const double tail = mrt_d_log1p_(mrt_d_exp_(mrt_clamp_(-mrt_abs_(x), -110.0, 0.0)));
    return mrt_pick_(x < 0.0, 0.0, x) + tail;
}
MRT_INLINE float mrt_softplusf(float x) { return mrt_round_(mrt_d_softplus_((double)x)); }
MRT_INLINE float mrt_log_sigmoidf(float x) { return mrt_round_(-mrt_d_softplus_(-(double)x)); }
/* x tanh(log(1 + e^x)) = x w / (w + 2), w = e^x (e^x + 2); -0 at -infinity. */
MRT_INLINE float mrt_mishf(float x) {
    const double d = mrt_pick_((double)x < -200.0, -200.0, (double)x);
    const double e = mrt_d_exp_(mrt_clamp_(d, -200.0, 60.0));
    const double w = e * (e + 2.0);
    return mrt_round_(d * (w / (w + 2.0)));
}
/* e / (e + 2), e = expm1(2|x|) */
MRT_INLINE float mrt_tanhf(float x) {
    const double d = (double)x;
    const double e = mrt_d_expm1_(mrt_clamp_(2.0 * mrt_abs_(d), 0.0, 60.0));
    return mrt_round_(mrt_copysign_(e / (e + 2.0), d));
}
/* |x| < 1: x * P7(x^2), 4e-11; else 1 - erfc(|x|). */
MRT_INLINE float mrt_erff(float x) {
    const double d = (double)x;
    const double a = mrt_abs_(d);
    const double z = mrt_pick_(a < 1.0, d * d, 1.0);
    double p = -0x1.445f47d33d87bp-17;
    p = p * z + 0x1.d887505de3ba6p-14;
    p = p * z + -0x1.bccf664d7f763p-11;
    p = p * z + 0x1.562a60ddba6e6p-8;
    p = p * z + -0x1.b829c897922e5p-6;
    p = p * z + 0x1.ce2f08fec14fdp-4;
    p = p * z + -0x1.81274665754c3p-2;
    p = p * z + 0x1.20dd7504045d6p+0;
    const double far = 1.0 - mrt_d_erfc_(a);
    return mrt_round_(mrt_copysign_(mrt_pick_(a < 1.0, p * a, far), d));
}
/* x * Phi(x), Phi = erfc(-x / sqrt 2) / 2, small relative error on both sides; -0 at -infinity. */
MRT_INLINE float mrt_geluf(float x) {
    const double d = mrt_pick_((double)x < -40.0, -40.0, (double)x);
    const double tail = 0.5 * mrt_d_erfc_(mrt_abs_(d) * 0x1.6a09e667f3bcdp-1);
    const double phi = mrt_pick_(d < 0.0, tail, 1.0 - tail);
    return mrt_round_(d * mrt_pick_(d <= -15.0, 0.0, phi));
}
/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) = x / (1 + exp(-2 sqrt(2/pi) (...))) */
MRT_INLINE float mrt_gelu_tanhf(float x) {
    const double d = mrt_pick_((double)x < -40.0, -40.0, (double)x);
    const double u = 0x1.9884533d43651p+0 * (d + 0.044715 * (d * d * d));
    return mrt_round_(d / (1.0 + mrt_d_exp_(mrt_clamp_(-u, -300.0, 300.0))));
}

MRT_INLINE float mrt_asinf(float x) {
    const double d = (double)x;
    return mrt_round_(mrt_copysign_(mrt_d_asin_(mrt_abs_(d), 0), d));
}
MRT_INLINE float mrt_acosf(float x) {
    const double d = (double)x;
    const double y = mrt_d_asin_(mrt_abs_(d), 1);
    return mrt_round_(mrt_pick_(d < 0.0, MRT_PI_ - y, y));
}
MRT_INLINE float mrt_atan2f(float y, float x) {
    const double a = mrt_abs_((double)y);
    const double b = mrt_abs_((double)x);
    const int steep = a > b;
    double num = mrt_pick_(steep, b, a);
    double den = mrt_pick_(steep, a, b);
    const int both = (num == (double)INFINITY); /* inf/inf counts as 1, 0/0 as 0, as in Annex F */
    num = mrt_pick_(both, 1.0, num);
    den = mrt_pick_(both | (den == 0.0), 1.0, den);
    double t = mrt_d_atan_(num, den);
    t = mrt_pick_(den == (double)INFINITY, 0.0, t);
    t = mrt_pick_(steep, MRT_PI_ / 2 - t, t);
    t = mrt_pick_((int)(mrt_bits64_((double)x) >> 63), MRT_PI_ - t, t);
    t = mrt_pick_((x != x) | (y != y), (double)NAN, t);
    return mrt_round_(mrt_copysign_(t, (double)y));
}
MRT_INLINE float mrt_atanf(float x) { return mrt_atan2f(x, 1.0f); }

/* (e + e / (e + 1)) / 2, e = expm1(|x|) */
MRT_INLINE float mrt_sinhf(float x) {
    const double d = (double)x;
    const double e = mrt_d_expm1_(mrt_clamp_(mrt_abs_(d), 0.0, 91.0));
    return mrt_round_(mrt_copysign_(0.5 * (e + e / (e + 1.0)), d));
}
MRT_INLINE float mrt_coshf(float x) {
    const double e = mrt_d_exp_(mrt_clamp_(mrt_abs_((double)x), 0.0, 91.0));
    return mrt_round_(0.5 * (e + 1.0 / e));
}
/* log1p(a + a^2 / (1 + sqrt(a^2 + 1))) */
MRT_INLINE float mrt_asinhf(float x) {
    const double d = (double)x;
    const double a = mrt_pick_(mrt_abs_(d) == (double)INFINITY, 1.0, mrt_abs_(d));
    const double y = mrt_d_log1p_(a + a * a / (1.0 + sqrt(a * a + 1.0)));
    return mrt_round_(mrt_pick_(mrt_abs_(d) == (double)INFINITY, d, mrt_copysign_(y, d)));
}
/* log1p(t + sqrt(2t + t^2)), t = x - 1 */
MRT_INLINE float mrt_acoshf(float x) {
    const double t = (double)x - 1.0;
    const double y = mrt_d_log1p_(t + sqrt(2.0 * t + t * t));
    return mrt_round_(mrt_pick_(t < 0.0, (double)NAN, y));
}
/* log1p(2a / (1 - a)) / 2 */
MRT_INLINE float mrt_atanhf(float x) {
    const double d = (double)x;
    const double a = mrt_abs_(d);
    const double y = 0.5 * mrt_d_log1p_(2.0 * a / (1.0 - a));
    return mrt_round_(mrt_copysign_(mrt_pick_(a > 1.0, (double)NAN, y), d));
}

/* exp(y log|x|) with the sign of an odd integer power; special cases of C Annex F. */
MRT_INLINE float mrt_powf(float x, float y) {
    const double a = mrt_abs_((double)x);
    const double e = (double)y;
    const double big = mrt_abs_(e);
    const double part = mrt_pick_(big < 0x1p+24, e, 0.0); /* larger floats are even integers */
    const double shifted = part + MRT_SHIFTER_;
    const int whole = (shifted - MRT_SHIFTER_ == part);
    const int odd = whole & (int)(mrt_bits64_(shifted) & 1);
    double p = mrt_d_exp_(mrt_clamp_(e * mrt_d_log_(a), -110.0, 90.0));
    p = mrt_pick_((a == 1.0) & (e == e), 1.0, p);
    p = mrt_pick_((x < 0.0f) & !whole & (a < (double)INFINITY), (double)NAN, p);
    p = mrt_pick_(odd, mrt_copysign_(p, (double)x), p);
    p = mrt_pick_((e == 0.0) | (x == 1.0f), 1.0, p);
    return mrt_round_(p);
}

#endif
