/* Small helpers for the check functions of kernels.
 *
 * Every helper returns MRT_OK or MRT_INVALID with one line that names the operand, what was
 * expected and what was found, e.g. "operand 'x': expected f32, got i8". Use them with MRT_TRY.
 * A required operand that is NULL is reported, so helpers take anything that mrt_in returns. */
#ifndef MRT_KERNEL_UTIL_H
#define MRT_KERNEL_UTIL_H

#include "runtime/mrt_kernel.h"
#include "runtime/mrt_params.h"

#include <inttypes.h>
#include <stdio.h>

/* Operand i, NULL when it is absent. */
static inline const mrt_tensor *mrt_in(const mrt_call *call, int i) {
    return i < call->n_in ? call->in[i] : NULL;
}
static inline mrt_tensor *mrt_out(const mrt_call *call, int i) {
    return i < call->n_out ? call->out[i] : NULL;
}

/* Smallest multiple of 64 that is >= bytes: slices of scratch stay 64-byte aligned. */
static inline size_t mrt_align64(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static inline int64_t mrt_min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t mrt_max64(int64_t a, int64_t b) { return a > b ? a : b; }
/* Quotient rounded up; a >= 0, b > 0. */
static inline int64_t mrt_div_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* Shape as text "[1, 3, 224]" for messages; long shapes are cut. */
typedef struct mrt_shape_string {
    char text[192];
} mrt_shape_string;
static inline mrt_shape_string mrt_shape_text(const mrt_shape *shape) {
    mrt_shape_string s = {"["};
    size_t used = 1;
    for (int i = 0; i < shape->rank && i < MRT_MAX_RANK; i++) {
        used += (size_t)snprintf(s.text + used, sizeof(s.text) - used, "%s%" PRId64, i ? ", " : "",
                                 shape->dims[i]);
    }
    snprintf(s.text + used, sizeof(s.text) - used, "]");
    return s;
}

static inline mrt_status mrt_check_present(const mrt_tensor *t, const char *operand,
                                           mrt_error *err) {
    if (!t) {
        return mrt_fail(err, MRT_INVALID, "operand '%s': missing", operand);
    }
    if (t->shape.rank < 0 || t->shape.rank > MRT_MAX_RANK) {
        return mrt_fail(err, MRT_INVALID, "operand '%s': rank %d is out of range", operand,
                        (int)t->shape.rank);
    }
    return MRT_OK;
}

static inline mrt_status mrt_check_dtype(const mrt_tensor *t, const char *operand,
                                         mrt_dtype expected, mrt_error *err) {
    MRT_TRY(mrt_check_present(t, operand, err));
    if (t->dtype != expected) {
        return mrt_fail(err, MRT_INVALID, "operand '%s': expected %s, got %s", operand,
                        mrt_dtype_name(expected), mrt_dtype_name(t->dtype));
    }
    return MRT_OK;
}

/* The type is one of two. */
static inline mrt_status mrt_check_dtype2(const mrt_tensor *t, const char *operand, mrt_dtype a,
                                          mrt_dtype b, mrt_error *err) {
    MRT_TRY(mrt_check_present(t, operand, err));
    if (t->dtype != a && t->dtype != b) {
        return mrt_fail(err, MRT_INVALID, "operand '%s': expected %s or %s, got %s", operand,
                        mrt_dtype_name(a), mrt_dtype_name(b), mrt_dtype_name(t->dtype));
    }
    return MRT_OK;
}

static inline mrt_status mrt_check_same_dtype(const mrt_tensor *t, const char *operand,
                                              const mrt_tensor *as, const char *as_operand,
                                              mrt_error *err) {
    MRT_TRY(mrt_check_present(t, operand, err));
    MRT_TRY(mrt_check_present(as, as_operand, err));
    if (t->dtype != as->dtype) {
        return mrt_fail(err, MRT_INVALID, "operand '%s': expected %s as '%s', got %s", operand,
                        mrt_dtype_name(as->dtype), as_operand, mrt_dtype_name(t->dtype));
    }
    return MRT_OK;
}

/* min <= rank <= max */
static inline mrt_status mrt_check_rank(const mrt_tensor *t, const char *operand, int min, int max,
                                        mrt_error *err) {
    MRT_TRY(mrt_check_present(t, operand, err));
    if (t->shape.rank < min || t->shape.rank > max) {
        return min == max ? mrt_fail(err, MRT_INVALID, "operand '%s': expected rank %d, got %d",
                                     operand, min, (int)t->shape.rank)
                          : mrt_fail(err, MRT_INVALID,
                                     "operand '%s': expected rank %d to %d, got %d", operand, min,
                                     max, (int)t->shape.rank);
    }
    return MRT_OK;
}

static inline mrt_status mrt_check_shape(const mrt_tensor *t, const char *operand,
                                         const mrt_shape *expected, mrt_error *err) {
    MRT_TRY(mrt_check_present(t, operand, err));
    if (!mrt_shape_equal(&t->shape, expected)) {
        return mrt_fail(err, MRT_INVALID, "operand '%s': expected shape %s, got %s", operand,
                        mrt_shape_text(expected).text, mrt_shape_text(&t->shape).text);
    }
    return MRT_OK;
}

static inline mrt_status mrt_check_same_shape(const mrt_tensor *t, const char *operand,
                                              const mrt_tensor *as, const char *as_operand,
                                              mrt_error *err) {
    MRT_TRY(mrt_check_present(as, as_operand, err));
    return mrt_check_shape(t, operand, &as->shape, err);
}

/* Shape [a] or [a, b] without building an mrt_shape. */
static inline mrt_status mrt_check_shape1(const mrt_tensor *t, const char *operand, int64_t a,
                                          mrt_error *err) {
    const mrt_shape shape = {1, {a}};
    return mrt_check_shape(t, operand, &shape, err);
}
static inline mrt_status mrt_check_shape2(const mrt_tensor *t, const char *operand, int64_t a,
                                          int64_t b, mrt_error *err) {
    const mrt_shape shape = {2, {a, b}};
    return mrt_check_shape(t, operand, &shape, err);
}

/* dims[axis] == expected; the rank must have been checked. */
static inline mrt_status mrt_check_dim(const mrt_tensor *t, const char *operand, int axis,
                                       int64_t expected, mrt_error *err) {
    if (t->shape.dims[axis] != expected) {
        return mrt_fail(err, MRT_INVALID,
                        "operand '%s': expected dimension %d to be %" PRId64 ", got shape %s",
                        operand, axis, expected, mrt_shape_text(&t->shape).text);
    }
    return MRT_OK;
}

/* min <= value <= max */
static inline mrt_status mrt_check_param(int64_t value, const char *param, int64_t min, int64_t max,
                                         mrt_error *err) {
    if (value < min || value > max) {
        return mrt_fail(err, MRT_INVALID,
                        "parameter '%s': expected %" PRId64 " to %" PRId64 ", got %" PRId64, param,
                        min, max, value);
    }
    return MRT_OK;
}

/* Parameter that is an index of an axis of t. */
static inline mrt_status mrt_check_axis(int64_t axis, const mrt_tensor *t, mrt_error *err) {
    return mrt_check_param(axis, "axis", 0, (int64_t)t->shape.rank - 1, err);
}

/* One spatial axis of a window op (convolution, pooling). _params: kernel, stride, dilation >= 1,
 * pads >= 0, nothing overflows (deconvolution needs no more). mrt_check_window: also `out` is the
 * number of windows, rounded down, or up too when `ceil_mode` (a window must then still start
 * inside the input or its front padding). */
typedef struct mrt_window {
    int64_t in, out, kernel, stride, dilation, pad_begin, pad_end;
} mrt_window;
static inline mrt_status mrt_check_window_params(const mrt_window *w, mrt_error *err) {
    const int64_t limit = INT32_MAX;
    MRT_TRY(mrt_check_param(w->kernel, "kernel", 1, limit, err));
    MRT_TRY(mrt_check_param(w->stride, "stride", 1, limit, err));
    MRT_TRY(mrt_check_param(w->dilation, "dilation", 1, limit, err));
    MRT_TRY(mrt_check_param(w->pad_begin, "pad_begin", 0, limit, err));
    MRT_TRY(mrt_check_param(w->pad_end, "pad_end", 0, limit, err));
    MRT_TRY(mrt_check_param(w->in, "input size", 0, INT64_MAX / 8, err));
    return MRT_OK;
}
static inline mrt_status mrt_check_window(const mrt_window *w, bool ceil_mode, mrt_error *err) {
    MRT_TRY(mrt_check_window_params(w, err));
    const int64_t reach = (w->kernel - 1) * w->dilation + 1; /* < 2^62 */
    const int64_t room = w->in + w->pad_begin + w->pad_end - reach;
    const int64_t down = room < 0 ? 0 : room / w->stride + 1;
    int64_t up = room < 0 ? (ceil_mode && room > -w->stride) : mrt_div_up(room, w->stride) + 1;
    while (up > 0 && up > down && (up - 1) * w->stride >= w->in + w->pad_begin) {
        up--;
    }
    if (w->out == down || (ceil_mode && w->out == up)) {
        return MRT_OK;
    }
    return mrt_fail(err, MRT_INVALID,
                    "operand 'y': expected spatial size %" PRId64 " (input %" PRId64
                    ", kernel %" PRId64 ", stride %" PRId64 ", dilation %" PRId64 ", pads %" PRId64
                    " and %" PRId64 "), got %" PRId64,
                    down, w->in, w->kernel, w->stride, w->dilation, w->pad_begin, w->pad_end,
                    w->out);
}

/* a * b, false when it does not fit. */
static inline bool mrt_mul_bytes(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

#endif
