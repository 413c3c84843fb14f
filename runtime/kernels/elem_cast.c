/* cast: plain conversion between all element types. */
#include "runtime/kernels/elem_cast.h"

#include "runtime/kernels/elem_util.h"
#include "runtime/mrt_half.h"
#include "runtime/mrt_params.h"
#include "runtime/mrt_small.h"

#include <string.h>

enum { CHUNK = 256 };

typedef void array_fn(const void *src, void *dst, int64_t count);

/* Saturation limits of an integer type: the lowest value and 2^bits, both exact in a float. */
#define LOW_I8 -0x1p7
#define LOW_I16 -0x1p15
#define LOW_I32 -0x1p31
#define LOW_I64 -0x1p63
#define LOW_U8 0.0
#define LOW_U16 0.0
#define LOW_U32 0.0
#define LOW_U64 0.0
#define END_I8 0x1p7
#define END_I16 0x1p15
#define END_I32 0x1p31
#define END_I64 0x1p63
#define END_U8 0x1p8
#define END_U16 0x1p16
#define END_U32 0x1p32
#define END_U64 0x1p64
#define MAX_I8 INT8_MAX
#define MAX_I16 INT16_MAX
#define MAX_I32 INT32_MAX
#define MAX_I64 INT64_MAX
#define MAX_U8 UINT8_MAX
#define MAX_U16 UINT16_MAX
#define MAX_U32 UINT32_MAX
#define MAX_U64 UINT64_MAX

#define PLAIN(tag, D, S, HALF_ULP) dst[i] = (D)src[i];
#define TRUTH(tag, D, S, HALF_ULP) dst[i] = src[i] != 0;
#define FROM_TRUTH(tag, D, S, HALF_ULP) dst[i] = (D)(src[i] != 0);
/* Clamped before the conversion, so that the conversion is always defined; written with selects
 * only, so that it vectorizes. */
#define SATURATE(tag, D, S, HALF_ULP)                                                              \
    const S below = (S)(END_##tag * (1.0 - HALF_ULP));                                             \
    const S v = src[i];                                                                            \
    S c = v < below ? v : below;                                                                   \
    c = c > (S)LOW_##tag ? c : (S)LOW_##tag;                                                       \
    D r = (D)c;                                                                                    \
    r = v >= (S)END_##tag ? MAX_##tag : r;                                                         \
    dst[i] = v == v ? r : 0;

#define CAST(CLONES, STAG, S, DTAG, D, RULE, HALF_ULP)                                             \
    CLONES static void cast_##STAG##_##DTAG(const void *from, void *to, int64_t count) {       \
        const S *restrict src = from;                                                              \
        D *restrict dst = to;                                                                      \
        for (int64_t i = 0; i < count; i++) {                                                      \
            RULE(DTAG, D, S, HALF_ULP)                                                             \
        }                                                                                          \
    }

#define CAST_ALL(CLONES, STAG, S, INT_RULE, HALF_ULP, RULE)                                        \
    CAST(CLONES, STAG, S, I8, int8_t, INT_RULE, HALF_ULP)                                          \
    CAST(CLONES, STAG, S, U8, uint8_t, INT_RULE, HALF_ULP)                                         \
    CAST(CLONES, STAG, S, I16, int16_t, INT_RULE, HALF_ULP)                                        \
    CAST(CLONES, STAG, S, U16, uint16_t, INT_RULE, HALF_ULP)                                       \
    CAST(CLONES, STAG, S, I32, int32_t, INT_RULE, HALF_ULP)                                        \
    CAST(CLONES, STAG, S, U32, uint32_t, INT_RULE, HALF_ULP)                                       \
    CAST(CLONES, STAG, S, I64, int64_t, INT_RULE, HALF_ULP)                                        \
    CAST(CLONES, STAG, S, U64, uint64_t, INT_RULE, HALF_ULP)                                       \
    CAST(CLONES, STAG, S, F32, float, RULE, 0)                                                     \
    CAST(CLONES, STAG, S, F64, double, RULE, 0)                                                    \
    CAST(CLONES, STAG, S, BOOL, uint8_t, TRUTH, 0)

CAST_ALL(MRT_CLONES, F32, float, SATURATE, 0x1p-24, PLAIN)
CAST_ALL(, F64, double, SATURATE, 0x1p-53, PLAIN)
CAST_ALL(, I8, int8_t, PLAIN, 0, PLAIN)
CAST_ALL(, U8, uint8_t, PLAIN, 0, PLAIN)
CAST_ALL(, I16, int16_t, PLAIN, 0, PLAIN)
CAST_ALL(, U16, uint16_t, PLAIN, 0, PLAIN)
CAST_ALL(, I32, int32_t, PLAIN, 0, PLAIN)
CAST_ALL(, U32, uint32_t, PLAIN, 0, PLAIN)
CAST_ALL(, I64, int64_t, PLAIN, 0, PLAIN)
CAST_ALL(, U64, uint64_t, PLAIN, 0, PLAIN)
CAST_ALL(, BOOL, uint8_t, FROM_TRUTH, 0, FROM_TRUTH)

#define ROW(STAG)                                                                                  \
    [MRT_##STAG] = {[MRT_F32] = cast_##STAG##_F32, [MRT_F64] = cast_##STAG##_F64,                  \
                    [MRT_I8] = cast_##STAG##_I8,   [MRT_U8] = cast_##STAG##_U8,                    \
                    [MRT_I16] = cast_##STAG##_I16, [MRT_U16] = cast_##STAG##_U16,                  \
                    [MRT_I32] = cast_##STAG##_I32, [MRT_U32] = cast_##STAG##_U32,                  \
                    [MRT_I64] = cast_##STAG##_I64, [MRT_U64] = cast_##STAG##_U64,                  \
                    [MRT_BOOL] = cast_##STAG##_BOOL},
static array_fn *const casts[MRT_BOOL + 1][MRT_BOOL + 1] = {
    ROW(F32) ROW(F64) ROW(I8) ROW(U8) ROW(I16) ROW(U16) ROW(I32) ROW(U32) ROW(I64) ROW(U64)
    ROW(BOOL)
};

/* f64 -> f32 rounded to odd: a later rounding to 16 bits is then as if done once. */
static float odd_f32(double value) {
    const float nearest = (float)value;
    const bool beyond = value >= 0x1p128 || value <= -0x1p128;
    if ((double)nearest == value || value != value || beyond) {
        return nearest;
    }
    uint32_t bits = mrt_f32_bits(nearest);
    const bool grew = value > 0 ? (double)nearest > value : (double)nearest < value;
    if (grew) {
        bits--; /* back to the neighbour toward zero */
    }
    return mrt_f32_from_bits(bits | 1u);
}

/* Magnitude of 64 bits to 53, rounded to odd. */
static double odd_f64(uint64_t magnitude) {
    if (magnitude >> 53) {
        magnitude = (magnitude & ~(uint64_t)0x7ff) | ((magnitude & 0x7ff) != 0 ? 0x800u : 0u);
    }
    return (double)magnitude;
}

/* Any plain type to f32 such that rounding the result to 16 bits is a single rounding. */
static void round_to_odd(mrt_dtype from, const void *src, float *dst, int64_t count) {
    if (from == MRT_F64) {
        for (int64_t i = 0; i < count; i++) {
            dst[i] = odd_f32(((const double *)src)[i]);
        }
    } else if (from == MRT_I32 || from == MRT_U32) {
        for (int64_t i = 0; i < count; i++) {
            dst[i] = odd_f32(from == MRT_I32 ? (double)((const int32_t *)src)[i]
                                             : (double)((const uint32_t *)src)[i]);
        }
    } else if (from == MRT_I64 || from == MRT_U64) {
        for (int64_t i = 0; i < count; i++) {
            const uint64_t bits = ((const uint64_t *)src)[i];
            const bool negative = from == MRT_I64 && bits >> 63;
            const double magnitude = odd_f64(negative ? 0 - bits : bits);
            dst[i] = odd_f32(negative ? -magnitude : magnitude);
        }
    } else {
        casts[from][MRT_F32](src, dst, count);
    }
}

/* Floats that are read and written by way of f32. */
static bool is_narrow_float(mrt_dtype dtype) {
    return mrt_dtype_is_half(dtype) || mrt_dtype_is_small_float(dtype);
}

static void to_f32(mrt_dtype from, const void *src, float *dst, int64_t count) {
    const uint16_t *half = src;
    if (mrt_dtype_is_small_float(from)) {
        mrt_small_to_f32(from, src, dst, count);
    } else if (!mrt_dtype_is_half(from)) {
        round_to_odd(from, src, dst, count);
    } else {
        for (int64_t i = 0; i < count; i++) {
            dst[i] = from == MRT_F16 ? mrt_f16_to_f32(half[i]) : mrt_bf16_to_f32(half[i]);
        }
    }
}

static void from_f32(const float *src, mrt_dtype to, void *dst, int64_t count, unsigned flags) {
    uint16_t *half = dst;
    if (mrt_dtype_is_small_float(to)) {
        mrt_small_from_f32(to, src, dst, count, flags);
    } else if (!mrt_dtype_is_half(to)) {
        casts[MRT_F32][to](src, dst, count);
    } else {
        for (int64_t i = 0; i < count; i++) {
            half[i] = to == MRT_F16 ? mrt_f32_to_f16(src[i]) : mrt_f32_to_bf16(src[i]);
        }
    }
}

/* One of the types, or both, is a narrow float. */
static void cast_narrow(mrt_dtype from, const char *src, mrt_dtype to, char *dst, int64_t count,
                        unsigned flags) {
    const int64_t src_bytes = (int64_t)mrt_dtype_bytes(from);
    const int64_t dst_bytes = (int64_t)mrt_dtype_bytes(to);
    float middle[CHUNK];
    for (int64_t i = 0; i < count; i += CHUNK) {
        const int64_t n = mrt_min64(count - i, CHUNK);
        to_f32(from, src + i * src_bytes, middle, n);
        from_f32(middle, to, dst + i * dst_bytes, n, flags);
    }
}

void mrt_cast_array_by(mrt_dtype from, const void *src, mrt_dtype to, void *dst, int64_t count,
                       unsigned flags) {
    const mrt_dtype plain = mrt_dtype_is_small_int(to) ? MRT_I8 : to;
    if (from == to) {
        memcpy(dst, src, (size_t)count * mrt_dtype_bytes(to));
        return;
    }
    from = mrt_small_base(from); /* small integers lie in memory as 8-bit ones */
    if (is_narrow_float(from) || is_narrow_float(plain)) {
        cast_narrow(from, src, plain, dst, count, flags);
    } else {
        casts[from][plain](src, dst, count);
    }
    if (plain != to) {
        mrt_small_narrow(to, dst, count);
    }
}

void mrt_cast_array(mrt_dtype from, const void *src, mrt_dtype to, void *dst, int64_t count) {
    mrt_cast_array_by(from, src, to, dst, count, 0);
}

mrt_status mrt_cast_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    const mrt_cast_params *p = call->params;
    MRT_TRY(mrt_check_param(p->flags, "flags", 0, 7, err));
    MRT_TRY(mrt_check_same_shape(y, "y", x, "x", err));
    MRT_TRY(mrt_elem_check_known(x, "x", err));
    MRT_TRY(mrt_elem_check_known(y, "y", err));
    *out_scratch = 0;
    return MRT_OK;
}

static void cast_tile(void *context, int64_t tile) {
    const mrt_call *call = context;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    const int64_t first = tile * MRT_ELEM_TILE;
    const int64_t count = mrt_min64(mrt_shape_count(&x->shape) - first, MRT_ELEM_TILE);
    const mrt_cast_params *p = call->params;
    mrt_cast_array_by(x->dtype, mrt_elem_at(x, first), y->dtype, mrt_elem_at(y, first), count,
                      (unsigned)p->flags);
}

void mrt_cast_run(const mrt_call *call) {
    const int64_t count = mrt_shape_count(&call->in[0]->shape);
    mrt_parallel_for(call->pool, mrt_div_up(count, MRT_ELEM_TILE), cast_tile, (void *)call);
}
