/* expand: numpy broadcast to the output shape. tile: whole repeats along every axis. */
#include "runtime/kernels/move_util.h"

mrt_status mrt_expand_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_move_check_pair(call, err));
    const mrt_shape *x = &call->in[0]->shape, *y = &call->out[0]->shape;
    bool fits = x->rank <= y->rank;
    for (int i = 0; fits && i < x->rank; i++) {
        fits = x->dims[i] == 1 || x->dims[i] == y->dims[y->rank - x->rank + i];
    }
    if (!fits) {
        return mrt_fail(err, MRT_INVALID, "operand 'x': shape %s does not broadcast to %s",
                        mrt_shape_text(x).text, mrt_shape_text(y).text);
    }
    *out_scratch = 0;
    return MRT_OK;
}

void mrt_expand_run(const mrt_call *call) {
    const mrt_shape *x = &call->in[0]->shape, *y = &call->out[0]->shape;
    int64_t stride[MRT_MAX_RANK];
    mrt_move_strides(x, stride);
    mrt_strided plan = {.elem = mrt_move_elem(call->in[0])};
    const int lead = y->rank - x->rank;
    for (int i = 0; i < y->rank; i++) {
        const bool repeat = i < lead || x->dims[i - lead] == 1;
        mrt_strided_push(&plan, y->dims[i], repeat ? 0 : stride[i - lead], 0);
    }
    mrt_strided_dense_dst(&plan);
    mrt_strided_copy(call->pool, plan, call->in[0]->data, call->out[0]->data);
}

mrt_status mrt_tile_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_move_check_pair(call, err));
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    MRT_TRY(mrt_check_rank(y, "y", x->shape.rank, x->shape.rank, err));
    for (int i = 0; i < x->shape.rank; i++) {
        const int64_t from = x->shape.dims[i], to = y->shape.dims[i];
        if (from == 0 ? to != 0 : to % from != 0) {
            return mrt_fail(err, MRT_INVALID, "operand 'y': shape %s does not repeat %s",
                            mrt_shape_text(&y->shape).text, mrt_shape_text(&x->shape).text);
        }
    }
    *out_scratch = 0;
    return MRT_OK;
}

void mrt_tile_run(const mrt_call *call) {
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    if (mrt_shape_count(&y->shape) == 0) {
        return;
    }
    int64_t stride[MRT_MAX_RANK];
    mrt_move_strides(&x->shape, stride);
    mrt_strided plan = {.elem = mrt_move_elem(x)};
    for (int i = 0; i < x->shape.rank; i++) {
        const int64_t from = x->shape.dims[i];
        mrt_strided_push(&plan, y->shape.dims[i] / from, 0, 0);
        mrt_strided_push(&plan, from, stride[i], 0);
    }
    mrt_strided_dense_dst(&plan);
    mrt_strided_copy(call->pool, plan, x->data, y->data);
}
