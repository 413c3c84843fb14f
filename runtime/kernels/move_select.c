/* What is there and where: shape, non_zero, compress, slice_live. The last three write fewer
 * elements than their output has room for, densely, and say how many. */
#include "runtime/kernels/move_util.h"
#include "runtime/mrt_half.h"

/* --- shape ------------------------------------------------------------------------------------ */

mrt_status mrt_shape_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_present(x, "x", err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_I64, err));
    MRT_TRY(mrt_check_rank(y, "y", 1, 1, err));
    MRT_TRY(mrt_check_param(p->axis, "axis", 0, x->shape.rank, err));
    *out_scratch = 0;
    return mrt_check_param(y->shape.dims[0], "dimensions", 0, x->shape.rank - p->axis, err);
}

void mrt_shape_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    int64_t *y = call->out[0]->data;
    for (int64_t i = 0; i < call->out[0]->shape.dims[0]; i++) {
        y[i] = call->in[0]->shape.dims[p->axis + i];
    }
}

/* --- non_zero --------------------------------------------------------------------------------- */

mrt_status mrt_non_zero_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_present(x, "x", err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_I64, err));
    MRT_TRY(mrt_check_rank(y, "y", 2, 2, err));
    MRT_TRY(mrt_check_dim(y, "y", 0, x->shape.rank, err));
    *out_scratch = 0;
    if (mrt_dtype_bytes(x->dtype) == 0) {
        return mrt_fail(err, MRT_INVALID, "operand 'x': unknown element type %d", (int)x->dtype);
    }
    if (y->shape.dims[1] < mrt_shape_count(&x->shape)) {
        return mrt_fail(err, MRT_INVALID, "operand 'y': expected room for %" PRId64
                        " elements, got %" PRId64, mrt_shape_count(&x->shape), y->shape.dims[1]);
    }
    return MRT_OK;
}

/* A negative zero is zero, a NaN is not. */
static bool is_zero(mrt_dtype dtype, const void *data, int64_t i) {
    switch (dtype) {
    case MRT_F32:
        return ((const float *)data)[i] == 0.0f;
    case MRT_F64:
        return ((const double *)data)[i] == 0.0;
    case MRT_F16:
    case MRT_BF16:
        return (((const uint16_t *)data)[i] & 0x7fff) == 0;
    default:
        break;
    }
    switch (mrt_dtype_bytes(dtype)) {
    case 1:
        return ((const uint8_t *)data)[i] == 0;
    case 2:
        return ((const uint16_t *)data)[i] == 0;
    case 4:
        return ((const uint32_t *)data)[i] == 0;
    default:
        return ((const uint64_t *)data)[i] == 0;
    }
}

void mrt_non_zero_run(const mrt_call *call) {
    const mrt_tensor *x = call->in[0];
    mrt_tensor *y = call->out[0];
    const int64_t count = mrt_shape_count(&x->shape);
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        n += !is_zero(x->dtype, x->data, i);
    }
    int64_t *out = y->data, at = 0;
    for (int64_t i = 0; i < count && at < n; i++) {
        if (is_zero(x->dtype, x->data, i)) {
            continue;
        }
        int64_t rest = i;
        for (int axis = x->shape.rank - 1; axis >= 0; axis--) {
            out[axis * n + at] = rest % x->shape.dims[axis];
            rest /= x->shape.dims[axis];
        }
        at++;
    }
    y->shape.dims[1] = n;
}

/* --- compress --------------------------------------------------------------------------------- */

/* A condition longer than the axis selects nothing behind its end. */
static int64_t condition_count(const mrt_call *call, int64_t axis) {
    return mrt_min64(call->in[1]->shape.dims[0], call->in[0]->shape.dims[axis]);
}

mrt_status mrt_compress_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_axis_params *p = call->params;
    MRT_TRY(mrt_move_check_pair(call, err));
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    MRT_TRY(mrt_check_dtype(mrt_in(call, 1), "condition", MRT_BOOL, err));
    MRT_TRY(mrt_check_rank(call->in[1], "condition", 1, 1, err));
    MRT_TRY(mrt_check_axis(p->axis, x, err));
    MRT_TRY(mrt_check_rank(y, "y", x->shape.rank, x->shape.rank, err));
    for (int i = 0; i < x->shape.rank; i++) {
        if (i != p->axis) {
            MRT_TRY(mrt_check_dim(y, "y", i, x->shape.dims[i], err));
        }
    }
    const int64_t most = condition_count(call, p->axis);
    if (y->shape.dims[p->axis] < most) {
        return mrt_fail(err, MRT_INVALID, "operand 'y': expected room for %" PRId64
                        " slices, got %" PRId64, most, y->shape.dims[p->axis]);
    }
    *out_scratch = 0;
    return MRT_OK;
}

void mrt_compress_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = call->in[0];
    mrt_tensor *y = call->out[0];
    const uint8_t *condition = call->in[1]->data;
    const int axis = (int)p->axis;
    const int64_t outer = mrt_shape_range(&x->shape, 0, axis);
    const int64_t bytes = mrt_shape_range(&x->shape, axis + 1, x->shape.rank) * mrt_move_elem(x);
    const int64_t dim = x->shape.dims[axis], n = condition_count(call, p->axis);
    const char *from = x->data;
    char *to = y->data;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        kept += condition[i] != 0;
    }
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < n; i++) {
            if (condition[i] != 0) {
                mrt_move_unit(to, from + (o * dim + i) * bytes, bytes);
                to += bytes;
            }
        }
    }
    y->shape.dims[axis] = kept;
}

/* --- slice_live ------------------------------------------------------------------------------- */

static int64_t slice_count(const mrt_call *call, int i) {
    const mrt_slice_params *p = call->params;
    const int64_t left = call->in[0]->shape.dims[i] - p->start[i];
    return left <= 0 ? 0 : mrt_min64(call->out[0]->shape.dims[i], (left - 1) / p->step[i] + 1);
}

mrt_status mrt_slice_live_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_move_check_pair(call, err));
    const mrt_slice_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    MRT_TRY(mrt_check_rank(y, "y", x->shape.rank, x->shape.rank, err));
    for (int i = 0; i < x->shape.rank; i++) {
        MRT_TRY(mrt_check_param(p->start[i], "start", 0, INT64_MAX / 2, err));
        MRT_TRY(mrt_check_param(p->step[i], "step", 1, INT64_MAX / 2, err));
    }
    *out_scratch = 0;
    return MRT_OK;
}

void mrt_slice_live_run(const mrt_call *call) {
    mrt_tensor *y = call->out[0];
    for (int i = 0; i < y->shape.rank; i++) {
        y->shape.dims[i] = slice_count(call, i);
    }
    mrt_slice_run(call);
}
