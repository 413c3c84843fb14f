/* Array forms of the elementary functions, and range reduction of huge angles. */
#include "runtime/mrt_math.h"

#define VECTOR(name)                                                                               \
    MRT_CLONES void mrt_vec_##name(const float *x, float *y, int64_t n) {                          \
        MRT_IVDEP for (int64_t i = 0; i < n; i++) { y[i] = mrt_##name##f(x[i]); }                  \
    }
VECTOR(exp)
VECTOR(exp2)
VECTOR(expm1)
VECTOR(log)
VECTOR(log1p)
VECTOR(sigmoid)
VECTOR(log_sigmoid)
VECTOR(softplus)
VECTOR(mish)
VECTOR(tanh)
VECTOR(erf)
VECTOR(gelu)
VECTOR(gelu_tanh)
VECTOR(asin)
VECTOR(acos)
VECTOR(atan)
VECTOR(sinh)
VECTOR(cosh)
VECTOR(asinh)
VECTOR(acosh)
VECTOR(atanh)

/* Angles: the vector loop takes all elements as near ones, then far ones are done again. */
#define TRIG_BLOCK 256
#define VECTOR_TRIG(name, phase)                                                                   \
    MRT_CLONES void mrt_vec_##name(const float *x, float *y, int64_t n) {                          \
        for (int64_t begin = 0; begin < n; begin += TRIG_BLOCK) {                                  \
            const int64_t count = n - begin < TRIG_BLOCK ? n - begin : TRIG_BLOCK;                 \
            float in[TRIG_BLOCK]; /* y may be x */                                                 \
            memcpy(in, x + begin, (size_t)count * sizeof(float));                                  \
            int far = 0;                                                                           \
            for (int64_t i = 0; i < count; i++) {                                                  \
                far |= !(in[i] < 0x1p+26f) | !(in[i] > -0x1p+26f);                                 \
                y[begin + i] = mrt_trig_near_(in[i], phase);                                       \
            }                                                                                      \
            for (int64_t i = 0; far && i < count; i++) {                                           \
                y[begin + i] = mrt_trig_(in[i], phase);                                            \
            }                                                                                      \
        }                                                                                          \
    }
VECTOR_TRIG(sin, 0)
VECTOR_TRIG(cos, 1)
VECTOR_TRIG(tan, 2)

MRT_CLONES void mrt_vec_pow(const float *x, const float *y, float *z, int64_t n) {
    MRT_IVDEP for (int64_t i = 0; i < n; i++) { z[i] = mrt_powf(x[i], y[i]); }
}
MRT_CLONES void mrt_vec_atan2(const float *y, const float *x, float *z, int64_t n) {
    MRT_IVDEP for (int64_t i = 0; i < n; i++) { z[i] = mrt_atan2f(y[i], x[i]); }
}

/* x = m 2^e with a 24-bit integer m and e >= 3. Bits of 2/pi that weigh 4 or more after scaling by
 * 2^e change nothing, so x * 2/pi mod 4 = m * (the next 96 bits) * 2^-94 mod 4. */
float mrt_trig_far_(float x, int phase) {
    static const uint32_t two_over_pi[8] = {0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0,
                                            0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561};
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    const uint32_t exponent = (u >> 23) & 0xff;
    if (exponent == 0xff) {
        return mrt_round_((double)NAN);
    }
    const uint64_t m = (u & 0x7fffff) | 0x800000;
    const uint32_t skip = exponent - 150 - 2;
    uint64_t word[3];
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t at = skip / 32 + i;
        const uint64_t pair = ((uint64_t)two_over_pi[at] << 32) | two_over_pi[at + 1];
        word[i] = (pair >> (32 - skip % 32)) & 0xffffffffu;
    }
    const uint64_t low = m * word[2];
    const uint64_t high = ((m * word[0]) << 32) + m * word[1] + (low >> 32); /* bits 32..95 */
    const uint64_t fraction = (high << 2) | ((low & 0xffffffffu) >> 30);
    const uint64_t quadrant = (high >> 62) + (fraction >> 63);
    const double r = (double)(int64_t)fraction * 0x1p-64 * (MRT_PI_ / 2);
    const int negative = (int)(u >> 31);
    const double y = mrt_trig_join_(r, quadrant, phase);
    return mrt_round_(negative && phase != 1 ? -y : y);
}
