/* quantize, dequantize (rules of the same name) and lut_8 (rule lut-8). */
#include "runtime/kernels/elem_util.h"
#include "runtime/kernels/int_quantize.h"
#include "runtime/kernels/int_util.h"

#include <math.h>
#include <string.h>

static mrt_status check_scale(const mrt_tensor *t, const char *operand, mrt_error *err) {
    if (!(t->scale > 0.0) || isinf(t->scale)) {
        return mrt_fail(err, MRT_INVALID, "operand '%s': expected a positive scale, got %g",
                        operand, t->scale);
    }
    return mrt_int_check_zero_point(t->zero_point, "zero_point", t, err);
}

static int64_t tile_count(const mrt_tensor *t) {
    return mrt_div_up(mrt_shape_count(&t->shape), MRT_ELEM_TILE);
}

mrt_status mrt_quantize_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_tensor *x = mrt_in(call, 0);
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    MRT_TRY(mrt_check_present(y, "y", err));
    if (y->dtype != MRT_I16) {
        MRT_TRY(mrt_check_dtype2(y, "y", MRT_I8, MRT_U8, err));
    }
    MRT_TRY(mrt_check_same_shape(y, "y", x, "x", err));
    MRT_TRY(check_scale(y, "y", err));
    *out_scratch = 0;
    return MRT_OK;
}

#ifdef MRT_TILE_X86
static bool is_wide(void) {
    return (mrt_tile_isa_select()->features & MRT_TILE_AVX512) != 0;
}
#endif

/* A division per element where the scale has more bits than an f32; no compiled model has one. */
#define QUANTIZE(TYPE, NAME, LOW, HIGH)                                                            \
    MRT_CLONES static void NAME(const float *restrict x, TYPE *restrict y, int64_t count,          \
                                double scale, int32_t zero_point) {                                \
        const double inverse = 1.0 / scale;                                                        \
        if (!mrt_scale_is_f32(scale)) {                                                            \
            for (int64_t i = 0; i < count; ++i) {                                                  \
                y[i] = (TYPE)mrt_quantize_value((double)x[i], scale, zero_point, LOW, HIGH);       \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < count; ++i) {                                                      \
            y[i] = (TYPE)mrt_quantize_f32(x[i], inverse, zero_point, LOW, HIGH);                   \
        }                                                                                          \
    }
QUANTIZE(int8_t, quantize_i8, -128, 127)
QUANTIZE(uint8_t, quantize_u8, 0, 255)
QUANTIZE(int16_t, quantize_i16, -32768, 32767)

static void quantize_tile(void *context, int64_t tile) {
    const mrt_call *call = context;
    mrt_tensor *y = call->out[0];
    const int64_t begin = tile * MRT_ELEM_TILE;
    const int64_t count = mrt_min64(MRT_ELEM_TILE, mrt_shape_count(&y->shape) - begin);
    const float *x = mrt_elem_at(call->in[0], begin);
    void *out = mrt_elem_at(y, begin);
    if (y->dtype == MRT_I16) {
        quantize_i16(x, out, count, y->scale, y->zero_point);
        return;
    }
#ifdef MRT_TILE_X86
    if (is_wide() && mrt_scale_is_f32(y->scale)) {
        mrt_quantize_fn *quantize =
            y->dtype == MRT_I8 ? mrt_quantize_i8_avx512 : mrt_quantize_u8_avx512;
        quantize(x, out, count, y->scale, y->zero_point);
        return;
    }
#endif
    if (y->dtype == MRT_I8) {
        quantize_i8(x, out, count, y->scale, y->zero_point);
    } else {
        quantize_u8(x, out, count, y->scale, y->zero_point);
    }
}

void mrt_quantize_run(const mrt_call *call) {
    mrt_parallel_for(call->pool, tile_count(call->out[0]), quantize_tile, (void *)(uintptr_t)call);
}

mrt_status mrt_dequantize_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_tensor *x = mrt_in(call, 0);
    MRT_TRY(mrt_check_present(x, "x", err));
    if (x->dtype != MRT_I16 && x->dtype != MRT_I32) {
        MRT_TRY(mrt_check_dtype2(x, "x", MRT_I8, MRT_U8, err));
    }
    MRT_TRY(check_scale(x, "x", err));
    MRT_TRY(mrt_check_dtype(mrt_out(call, 0), "y", MRT_F32, err));
    MRT_TRY(mrt_check_same_shape(mrt_out(call, 0), "y", x, "x", err));
    *out_scratch = 0;
    return MRT_OK;
}

/* Differences of short types fit 32 bits, which every vector unit converts. */
#define DEQUANTIZE(TYPE, NAME)                                                                     \
    MRT_CLONES static void NAME(const TYPE *restrict x, float *restrict y, int64_t count,          \
                                double scale, int32_t zero_point) {                                \
        for (int64_t i = 0; i < count; ++i) {                                                      \
            y[i] = (float)((double)((int32_t)x[i] - zero_point) * scale);                          \
        }                                                                                          \
    }
DEQUANTIZE(int8_t, dequantize_i8)
DEQUANTIZE(uint8_t, dequantize_u8)
DEQUANTIZE(int16_t, dequantize_i16)

static void dequantize_i32(const int32_t *x, float *y, int64_t count, double scale,
                           int32_t zero_point) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] = mrt_dequantize_value(x[i], scale, zero_point);
    }
}

static void dequantize_tile(void *context, int64_t tile) {
    const mrt_call *call = context;
    const mrt_tensor *t = call->in[0];
    const int64_t begin = tile * MRT_ELEM_TILE;
    const int64_t count = mrt_min64(MRT_ELEM_TILE, mrt_shape_count(&t->shape) - begin);
    const void *x = mrt_elem_at(t, begin);
    float *y = mrt_elem_at(call->out[0], begin);
#ifdef MRT_TILE_X86
    if (mrt_dtype_bytes(t->dtype) == 1 && is_wide()) {
        mrt_dequantize_fn *dequantize =
            t->dtype == MRT_I8 ? mrt_dequantize_i8_avx512 : mrt_dequantize_u8_avx512;
        dequantize(x, y, count, t->scale, t->zero_point);
        return;
    }
#endif
    if (t->dtype == MRT_I8) {
        dequantize_i8(x, y, count, t->scale, t->zero_point);
    } else if (t->dtype == MRT_U8) {
        dequantize_u8(x, y, count, t->scale, t->zero_point);
    } else if (t->dtype == MRT_I16) {
        dequantize_i16(x, y, count, t->scale, t->zero_point);
    } else {
        dequantize_i32(x, y, count, t->scale, t->zero_point);
    }
}

void mrt_dequantize_run(const mrt_call *call) {
    mrt_parallel_for(call->pool, tile_count(call->out[0]), dequantize_tile,
                     (void *)(uintptr_t)call);
}

mrt_status mrt_lut_8_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_tensor *x = mrt_in(call, 0);
    const mrt_tensor *table = mrt_in(call, 1);
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype2(x, "x", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_same_shape(y, "y", x, "x", err));
    MRT_TRY(mrt_check_shape1(table, "table", 256, err));
    MRT_TRY(mrt_check_same_dtype(table, "table", y, "y", err));
    const size_t bytes = mrt_dtype_bytes(y->dtype);
    if (bytes != 1 && bytes != 2 && bytes != 4) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'y': no tables of %s",
                        mrt_dtype_name(y->dtype));
    }
    *out_scratch = 0;
    return MRT_OK;
}

static void lut_tile(void *context, int64_t tile) {
    const mrt_call *call = context;
    mrt_tensor *out = call->out[0];
    const int64_t begin = tile * MRT_ELEM_TILE;
    const int64_t count = mrt_min64(MRT_ELEM_TILE, mrt_shape_count(&out->shape) - begin);
    const uint8_t *x = mrt_elem_at(call->in[0], begin);
    const size_t bytes = mrt_dtype_bytes(out->dtype);
    const char *table = call->in[1]->data;
    char *y = mrt_elem_at(out, begin);
    if (bytes == 1) { /* x and y may be the same buffer */
        mrt_tile_isa_select()->lut((const uint8_t *)table, x, (uint8_t *)y, count);
    } else if (bytes == 2) {
        for (int64_t i = 0; i < count; ++i) {
            memcpy(y + 2 * i, table + 2 * (size_t)x[i], 2);
        }
    } else {
        for (int64_t i = 0; i < count; ++i) {
            memcpy(y + 4 * i, table + 4 * (size_t)x[i], 4);
        }
    }
}

void mrt_lut_8_run(const mrt_call *call) {
    mrt_parallel_for(call->pool, tile_count(call->out[0]), lut_tile, (void *)(uintptr_t)call);
}
