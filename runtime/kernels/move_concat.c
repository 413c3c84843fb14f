/* concat: inputs side by side along one axis. */
#include "runtime/kernels/move_util.h"

mrt_status mrt_concat_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_move_check_pair(call, err));
    MRT_TRY(mrt_check_rank(y, "y", 1, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_axis(p->axis, y, err));
    int64_t left = y->shape.dims[p->axis];
    for (int i = 0; i < call->n_in; i++) {
        const mrt_tensor *x = mrt_in(call, i);
        MRT_TRY(mrt_check_same_dtype(x, "x", y, "y", err));
        MRT_TRY(mrt_check_rank(x, "x", y->shape.rank, y->shape.rank, err));
        for (int a = 0; a < y->shape.rank; a++) {
            if (a != p->axis) {
                MRT_TRY(mrt_check_dim(x, "x", a, y->shape.dims[a], err));
            }
        }
        const int64_t dim = x->shape.dims[p->axis];
        if (dim < 0 || dim > left) {
            return mrt_fail(err, MRT_INVALID,
                            "operand 'y': dimension %" PRId64 " is less than the sum of the inputs",
                            p->axis);
        }
        left -= dim;
    }
    if (left != 0) {
        return mrt_fail(err, MRT_INVALID,
                        "operand 'y': dimension %" PRId64 " exceeds the sum of inputs by %" PRId64,
                        p->axis, left);
    }
    *out_scratch = 0;
    return MRT_OK;
}

void mrt_concat_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *y = call->out[0];
    const int axis = (int)p->axis;
    const int64_t elem = mrt_move_elem(y);
    const int64_t outer = mrt_shape_range(&y->shape, 0, axis);
    const int64_t row = mrt_shape_range(&y->shape, axis, y->shape.rank);
    char *dst = y->data;
    for (int i = 0; i < call->n_in; i++) {
        const mrt_tensor *x = call->in[i];
        const int64_t run = mrt_shape_range(&x->shape, axis, x->shape.rank);
        mrt_strided plan = {.elem = elem};
        mrt_strided_push(&plan, outer, run, row);
        mrt_strided_push(&plan, run, 1, 1);
        mrt_strided_copy(call->pool, plan, x->data, dst);
        dst += run * elem;
    }
}
