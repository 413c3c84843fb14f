/* Shared pieces of the movement kernels (private to runtime/kernels/move_*.c). */
#ifndef MRT_MOVE_UTIL_H
#define MRT_MOVE_UTIL_H

#include "runtime/kernels/kernel_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/move_strided.h"

#include <string.h>

/* x and y are present and of one known type. */
static inline mrt_status mrt_move_check_pair(const mrt_call *call, mrt_error *err) {
    MRT_TRY(mrt_check_present(mrt_in(call, 0), "x", err));
    if (mrt_dtype_bytes(mrt_in(call, 0)->dtype) == 0) {
        return mrt_fail(err, MRT_INVALID, "operand 'x': unknown element type %d",
                        (int)mrt_in(call, 0)->dtype);
    }
    return mrt_check_same_dtype(mrt_out(call, 0), "y", mrt_in(call, 0), "x", err);
}

static inline int64_t mrt_move_elem(const mrt_tensor *t) {
    return (int64_t)mrt_dtype_bytes(t->dtype);
}

/* Row-major strides in elements. */
static inline void mrt_move_strides(const mrt_shape *shape, int64_t *stride) {
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape->dims[i];
    }
}

/* One index of type i32 or i64; negative counts from the end. -1 when it is out of range. */
static inline int64_t mrt_move_index(const void *data, mrt_dtype dtype, int64_t i, int64_t dim) {
    int64_t v = dtype == MRT_I32 ? ((const int32_t *)data)[i] : ((const int64_t *)data)[i];
    if (v < 0) {
        v += dim;
    }
    return v >= 0 && v < dim ? v : -1;
}

/* Index tuple `item` of a [..., depth] tensor as a row-major position within dims[0..depth); -1
 * when any index is out of range. */
static inline int64_t mrt_move_tuple(const mrt_tensor *indices, int64_t item, int depth,
                                     const int64_t *dims) {
    int64_t position = 0;
    for (int k = 0; k < depth; k++) {
        const int64_t at = mrt_move_index(indices->data, indices->dtype, item * depth + k, dims[k]);
        if (at < 0) {
            return -1;
        }
        position = position * dims[k] + at;
    }
    return position;
}

/* Copies one element or run; constant sizes become single moves. */
static inline void mrt_move_unit(char *dst, const char *src, int64_t unit) {
    switch (unit) {
    case 1:
        *dst = *src;
        return;
    case 2:
        memcpy(dst, src, 2);
        return;
    case 4:
        memcpy(dst, src, 4);
        return;
    case 8:
        memcpy(dst, src, 8);
        return;
    default:
        memcpy(dst, src, (size_t)unit);
    }
}

/* Writes `value` as one element of `dtype`: floats round to nearest even, integers truncate and
 * saturate (NaN gives 0). */
void mrt_move_scalar(mrt_dtype dtype, double value, void *out);

#endif
