/* Shared pieces of the element-wise kernels (private to runtime/kernels). */
#ifndef MRT_ELEM_UTIL_H
#define MRT_ELEM_UTIL_H

#include "runtime/kernels/kernel_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"

/* Elements per tile of the pool: a few blocks of it fit the second cache. */
enum { MRT_ELEM_TILE = 16384 };

/* The type has a size. */
static inline mrt_status mrt_elem_check_known(const mrt_tensor *t, const char *operand,
                                              mrt_error *err) {
    MRT_TRY(mrt_check_present(t, operand, err));
    if (mrt_dtype_bytes(t->dtype) == 0) {
        return mrt_fail(err, MRT_INVALID, "operand '%s': unknown element type %d", operand,
                        (int)t->dtype);
    }
    return MRT_OK;
}

/* The type is one that the tables of the kernels know. */
static inline mrt_status mrt_elem_check_number(const mrt_tensor *t, const char *operand,
                                               mrt_error *err) {
    MRT_TRY(mrt_elem_check_known(t, operand, err));
    if (!mrt_dtype_is_number(t->dtype)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand '%s': no arithmetic on %s, only conversion",
                        operand, mrt_dtype_name(t->dtype));
    }
    return MRT_OK;
}

static inline void *mrt_elem_at(const mrt_tensor *t, int64_t element) {
    return (char *)t->data + element * (int64_t)mrt_dtype_bytes(t->dtype);
}

#endif
