/* Binary functions of f32 and f64. MAX and MIN give NaN when either side is NaN. */
#include "runtime/kernels/elem_binary.h"

#include "runtime/kernels/elem_util.h"
#include "runtime/mrt_math.h"

/* fmod is exact, so libm gives the same bits everywhere. The result takes the sign of v, a zero,
 * too. */
#define FLOOR_MOD(TAG, T, FMOD, COPYSIGN)                                                          \
    static inline T floor_mod_##TAG(T u, T v) {                                                    \
        const T r = FMOD(u, v);                                                                    \
        return r == 0 ? COPYSIGN((T)0, v) : (r < 0) != (v < 0) ? r + v : r;                        \
    }
FLOOR_MOD(F32, float, fmodf, copysignf)
FLOOR_MOD(F64, double, fmod, copysign)

/* The square is written out, so that it may be a product whichever way the exponent is given. */
MRT_INLINE float pow_F32(float u, float v) { return v == 2.0f ? u * u : mrt_powf(u, v); }
static inline double pow_F64(double u, double v) { return v == 2.0 ? u * u : pow(u, v); }
MRT_INLINE float atan2_F32(float u, float v) { return mrt_atan2f(u, v); }
static inline double atan2_F64(double u, double v) { return atan2(u, v); }

#define FAST_LIST(X, TAG, T)                                                                       \
    X(ADD, TAG, T, T, u + v)                                                                       \
    X(SUB, TAG, T, T, u - v)                                                                       \
    X(MUL, TAG, T, T, u *v)                                                                        \
    X(DIV, TAG, T, T, u / v)                                                                       \
    X(MAX, TAG, T, T, u > v || u != u ? u : v)                                                     \
    X(MIN, TAG, T, T, u < v || u != u ? u : v)                                                     \
    X(EQ, TAG, T, uint8_t, u == v)                                                                 \
    X(NE, TAG, T, uint8_t, u != v)                                                                 \
    X(LT, TAG, T, uint8_t, u < v)                                                                  \
    X(LE, TAG, T, uint8_t, u <= v)                                                                 \
    X(PRELU, TAG, T, T, u < 0 ? u * v : u)
#define SLOW_LIST(X, TAG, T)                                                                       \
    X(MOD, TAG, T, T, floor_mod_##TAG(u, v))                                                       \
    X(FMOD, TAG, T, T, fmod(u, v))
#define MATH_LIST(X, TAG, T)                                                                       \
    X(POW, TAG, T, T, pow_##TAG(u, v))                                                             \
    X(ATAN2, TAG, T, T, atan2_##TAG(u, v))

#define CLONED(OP, TAG, TX, TY, EXPR) MRT_BINARY_FN(MRT_CLONES, OP, TAG, TX, TY, EXPR)
#define PLAIN(OP, TAG, TX, TY, EXPR) MRT_BINARY_FN(, OP, TAG, TX, TY, EXPR)
FAST_LIST(CLONED, F32, float)
MATH_LIST(CLONED, F32, float)
SLOW_LIST(PLAIN, F32, float)
FAST_LIST(PLAIN, F64, double)
MATH_LIST(PLAIN, F64, double)
SLOW_LIST(PLAIN, F64, double)

#define ENTRY(OP, TAG, TX, TY, EXPR) [MRT_BINARY_##OP] = OP##_##TAG,
#define ROW(TAG) {FAST_LIST(ENTRY, TAG, ) MATH_LIST(ENTRY, TAG, ) SLOW_LIST(ENTRY, TAG, )}
static mrt_binary_fn *const functions[2][MRT_BINARY_ATAN2 + 1] = {ROW(F32), ROW(F64)};

mrt_binary_fn *mrt_binary_float(int64_t op, mrt_dtype dtype) {
    return functions[dtype == MRT_F64][op];
}
