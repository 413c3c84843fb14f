/* Binary functions of integers and bool.
 *
 * Nothing here is undefined: sums and products wrap, x / 0 and x mod 0 are 0, the lowest value
 * divided by -1 wraps to itself, shifts by the width or more (or by a negative count) leave nothing
 * but copies of the sign when they go right, else 0, a negative power of anything but 1 and -1 is 0. MOD takes the sign of the divisor, FMOD that of the
 * dividend. */
#include "runtime/kernels/elem_binary.h"

#include "runtime/kernels/elem_util.h"

/* U: the unsigned type of the width; W: the one it is computed in, never promoted to int. */
#define BITS_LIST(X, TAG, U, W)                                                                    \
    X(ADD, TAG, U, U, (W)u + (W)v)                                                                 \
    X(SUB, TAG, U, U, (W)u - (W)v)                                                                 \
    X(MUL, TAG, U, U, (W)u *(W)v)                                                                  \
    X(BIT_AND, TAG, U, U, u &v)                                                                    \
    X(BIT_OR, TAG, U, U, u | v)                                                                    \
    X(BIT_XOR, TAG, U, U, u ^ v)                                                                   \
    X(SHIFT_LEFT, TAG, U, U, v >= 8 * sizeof(U) ? 0 : (W)u << (v & (8 * sizeof(U) - 1)))           \
    X(EQ, TAG, U, uint8_t, u == v)                                                                 \
    X(NE, TAG, U, uint8_t, u != v)
#define ORDER_LIST(X, TAG, T)                                                                      \
    X(MAX, TAG, T, T, u > v ? u : v)                                                               \
    X(MIN, TAG, T, T, u < v ? u : v)                                                               \
    X(LT, TAG, T, uint8_t, u < v)                                                                  \
    X(LE, TAG, T, uint8_t, u <= v)
#define HARD_LIST(X, TAG, T)                                                                       \
    X(DIV, TAG, T, T, div_##TAG(u, v))                                                             \
    X(MOD, TAG, T, T, mod_##TAG(u, v))                                                             \
    X(FMOD, TAG, T, T, fmod_##TAG(u, v))                                                           \
    X(POW, TAG, T, T, pow_##TAG(u, v))                                                             \
    X(SHIFT_RIGHT, TAG, T, T, shift_right_##TAG(u, v))                                             \
    X(PRELU, TAG, T, T, prelu_##TAG(u, v))
#define BOOL_LIST(X, TAG, T)                                                                       \
    X(AND, TAG, T, T, (u != 0) & (v != 0))                                                         \
    X(OR, TAG, T, T, (u | v) != 0)                                                                 \
    X(XOR, TAG, T, T, (u != 0) ^ (v != 0))                                                         \
    X(EQ, TAG, T, T, (u != 0) == (v != 0))                                                         \
    X(NE, TAG, T, T, (u != 0) != (v != 0))

#define POWER(TAG, T, W, NEGATIVE)                                                                 \
    static inline T pow_##TAG(T base, T exponent) {                                                \
        if (NEGATIVE) {                                                                            \
            const bool odd = (exponent & 1) != 0;                                                  \
            return base == 1 || (base == (T)-1 && !odd) ? 1 : base == (T)-1 ? (T)-1 : 0;           \
        }                                                                                          \
        W result = 1, factor = (W)base;                                                            \
        for (W n = (W)exponent; n != 0; n >>= 1) {                                                 \
            result *= n & 1 ? factor : 1;                                                          \
            factor *= factor;                                                                      \
        }                                                                                          \
        return (T)result;                                                                          \
    }
#define SIGNED(TAG, T, W)                                                                          \
    POWER(TAG, T, W, exponent < 0)                                                                 \
    static inline T div_##TAG(T u, T v) {                                                          \
        return v == 0 ? 0 : v == -1 ? (T)(0 - (W)u) : (T)(u / v);                                  \
    }                                                                                              \
    static inline T fmod_##TAG(T u, T v) { return v == 0 || v == -1 ? 0 : (T)(u % v); }            \
    static inline T mod_##TAG(T u, T v) {                                                          \
        const T r = fmod_##TAG(u, v);                                                              \
        return r != 0 && (r ^ v) < 0 ? (T)(r + v) : r;                                             \
    }                                                                                              \
    static inline T shift_right_##TAG(T u, T v) {                                                  \
        return (T)(u >> (v < 0 || v >= (T)(8 * sizeof(T)) ? (T)(8 * sizeof(T) - 1) : v));          \
    }                                                                                              \
    static inline T prelu_##TAG(T u, T v) { return u < 0 ? (T)((W)u * (W)v) : u; }
#define UNSIGNED(TAG, T, W)                                                                        \
    POWER(TAG, T, W, false)                                                                        \
    static inline T div_##TAG(T u, T v) { return v == 0 ? 0 : (T)(u / v); }                        \
    static inline T fmod_##TAG(T u, T v) { return v == 0 ? 0 : (T)(u % v); }                       \
    static inline T mod_##TAG(T u, T v) { return fmod_##TAG(u, v); }                               \
    static inline T shift_right_##TAG(T u, T v) {                                                  \
        return v >= 8 * sizeof(T) ? 0 : (T)(u >> v);                                               \
    }                                                                                              \
    static inline T prelu_##TAG(T u, T v) { return (void)v, u; }
SIGNED(I8, int8_t, uint32_t)
SIGNED(I16, int16_t, uint32_t)
SIGNED(I32, int32_t, uint32_t)
SIGNED(I64, int64_t, uint64_t)
UNSIGNED(U8, uint8_t, uint32_t)
UNSIGNED(U16, uint16_t, uint32_t)
UNSIGNED(U32, uint32_t, uint32_t)
UNSIGNED(U64, uint64_t, uint64_t)

#define CLONED(OP, TAG, TX, TY, EXPR) MRT_BINARY_FN(MRT_CLONES, OP, TAG, TX, TY, EXPR)
#define PLAIN(OP, TAG, TX, TY, EXPR) MRT_BINARY_FN(, OP, TAG, TX, TY, EXPR)
BITS_LIST(CLONED, B8, uint8_t, uint32_t)
BITS_LIST(PLAIN, B16, uint16_t, uint32_t)
BITS_LIST(CLONED, B32, uint32_t, uint32_t)
BITS_LIST(PLAIN, B64, uint64_t, uint64_t)
BOOL_LIST(PLAIN, BOOL, uint8_t)
#define TYPE(TAG, T)                                                                               \
    ORDER_LIST(PLAIN, TAG, T)                                                                      \
    HARD_LIST(PLAIN, TAG, T)
TYPE(I8, int8_t)
TYPE(I16, int16_t)
TYPE(I32, int32_t)
TYPE(I64, int64_t)
TYPE(U8, uint8_t)
TYPE(U16, uint16_t)
TYPE(U32, uint32_t)
TYPE(U64, uint64_t)

#define ENTRY(OP, TAG, TX, TY, EXPR) [MRT_BINARY_##OP] = OP##_##TAG,
#define ROW(TAG, BITS)                                                                             \
    [MRT_##TAG] = {BITS_LIST(ENTRY, BITS, , ) ORDER_LIST(ENTRY, TAG, ) HARD_LIST(ENTRY, TAG, )},
static mrt_binary_fn *const functions[MRT_BOOL + 1][MRT_BINARY_ATAN2 + 1] = {
    ROW(I8, B8) ROW(U8, B8) ROW(I16, B16) ROW(U16, B16)
    ROW(I32, B32) ROW(U32, B32) ROW(I64, B64) ROW(U64, B64)
    [MRT_BOOL] = {BOOL_LIST(ENTRY, BOOL, )},
};

mrt_binary_fn *mrt_binary_int(int64_t op, mrt_dtype dtype) { return functions[dtype][op]; }
