/* Checks that several integer kernels share. */
#ifndef MRT_INT_UTIL_H
#define MRT_INT_UTIL_H

#include "runtime/kernels/kernel_util.h"
#include "runtime/mrt_quant.h"

/* Shifts are constants (their data is known at check time) within 0..62. */
static inline mrt_status mrt_int_check_shifts(const mrt_tensor *shift, mrt_error *err) {
    const int32_t *values = shift->data;
    const int64_t count = mrt_shape_count(&shift->shape);
    if (!values && count > 0) {
        return mrt_fail(err, MRT_INVALID, "operand 'shift': must be a constant");
    }
    for (int64_t i = 0; i < count; ++i) {
        if (values[i] < 0 || values[i] > MRT_MAX_SHIFT) {
            return mrt_fail(err, MRT_INVALID,
                            "operand 'shift': expected 0 to %d, got %" PRId32 " at %" PRId64,
                            MRT_MAX_SHIFT, values[i], i);
        }
    }
    return MRT_OK;
}

/* A zero point inside the type of its tensor. */
static inline mrt_status mrt_int_check_zero_point(int64_t zero_point, const char *param,
                                                  const mrt_tensor *t, mrt_error *err) {
    int64_t low = 0;
    int64_t high = 0;
    if (!mrt_int_range(t->dtype, &low, &high)) {
        return mrt_fail(err, MRT_INVALID, "parameter '%s': %s has no zero point", param,
                        mrt_dtype_name(t->dtype));
    }
    return mrt_check_param(zero_point, param, low, high, err);
}

/* clamp_min <= clamp_max inside the type of the output. */
static inline mrt_status mrt_int_check_clamp(int64_t clamp_min, int64_t clamp_max,
                                             const mrt_tensor *y, mrt_error *err) {
    int64_t low = 0;
    int64_t high = 0;
    mrt_int_range(y->dtype, &low, &high);
    MRT_TRY(mrt_check_param(clamp_min, "clamp_min", low, high, err));
    return mrt_check_param(clamp_max, "clamp_max", clamp_min, high, err);
}

/* Element of an i8 or u8 tensor. */
static inline int32_t mrt_int_value(const uint8_t *bytes, int64_t i, bool is_signed) {
    return is_signed ? (int8_t)bytes[i] : bytes[i];
}

#endif
