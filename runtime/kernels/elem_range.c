/* range: y[i] = start + i * delta; the length was fixed by the planner. Floats compute in double
 * and round once, integers wrap. The scalars may have any shape of one element. */
#include "runtime/kernels/elem_util.h"

mrt_status mrt_range_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    static const char *const names[3] = {"start", "limit", "delta"};
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_rank(y, "y", 1, 1, err));
    MRT_TRY(mrt_elem_check_number(y, "y", err));
    for (int i = 0; i < 3; i++) {
        MRT_TRY(mrt_check_same_dtype(mrt_in(call, i), names[i], y, "y", err));
        if (mrt_shape_count(&call->in[i]->shape) != 1) {
            return mrt_fail(err, MRT_INVALID, "operand '%s': expected one element, got shape %s",
                            names[i], mrt_shape_text(&call->in[i]->shape).text);
        }
    }
    if (y->dtype == MRT_F16 || y->dtype == MRT_BF16 || y->dtype == MRT_BOOL) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'y': no range of %s",
                        mrt_dtype_name(y->dtype));
    }
    *out_scratch = 0;
    return MRT_OK;
}

#define RANGE(TAG, T, A)                                                                           \
    case MRT_##TAG: {                                                                              \
        const A start = (A) * (const T *)call->in[0]->data;                                        \
        const A delta = (A) * (const T *)call->in[2]->data;                                        \
        T *out = y->data;                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            out[i] = (T)(start + (A)i * delta);                                                    \
        }                                                                                          \
        return;                                                                                    \
    }

void mrt_range_run(const mrt_call *call) {
    const mrt_tensor *y = call->out[0];
    const int64_t n = y->shape.dims[0];
    switch (y->dtype) {
        RANGE(F32, float, double)
        RANGE(F64, double, double)
        RANGE(I8, int8_t, uint32_t)
        RANGE(U8, uint8_t, uint32_t)
        RANGE(I16, int16_t, uint32_t)
        RANGE(U16, uint16_t, uint32_t)
        RANGE(I32, int32_t, uint32_t)
        RANGE(U32, uint32_t, uint32_t)
        RANGE(I64, int64_t, uint64_t)
        RANGE(U64, uint64_t, uint64_t)
    default:
        return;
    }
}
