/* slice: y[i] = x[start + i*step] on every axis; steps may be negative. */
#include "runtime/kernels/move_util.h"

mrt_status mrt_slice_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_move_check_pair(call, err));
    const mrt_slice_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    MRT_TRY(mrt_check_rank(y, "y", x->shape.rank, x->shape.rank, err));
    for (int i = 0; i < x->shape.rank; i++) {
        const int64_t dim = x->shape.dims[i], n = y->shape.dims[i];
        if (n == 0) {
            continue;
        }
        MRT_TRY(mrt_check_param(p->start[i], "start", 0, dim - 1, err));
        int64_t last = 0;
        if (n > 1 && (__builtin_mul_overflow(n - 1, p->step[i], &last) || p->step[i] == 0 ||
                      __builtin_add_overflow(last, p->start[i], &last) || last < 0 ||
                      last >= dim)) {
            return mrt_fail(err, MRT_INVALID,
                            "parameter 'step': start %" PRId64 ", step %" PRId64 " and %" PRId64
                            " entries leave dimension %d of size %" PRId64,
                            p->start[i], p->step[i], n, i, dim);
        }
    }
    *out_scratch = 0;
    return MRT_OK;
}

void mrt_slice_run(const mrt_call *call) {
    const mrt_slice_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    if (mrt_shape_count(&y->shape) == 0) {
        return;
    }
    int64_t stride[MRT_MAX_RANK], base = 0;
    mrt_move_strides(&x->shape, stride);
    mrt_strided plan = {.elem = mrt_move_elem(x)};
    for (int i = 0; i < x->shape.rank; i++) {
        const int64_t n = y->shape.dims[i];
        base += p->start[i] * stride[i];
        mrt_strided_push(&plan, n, n > 1 ? p->step[i] * stride[i] : 0, 0);
    }
    mrt_strided_dense_dst(&plan);
    mrt_strided_copy(call->pool, plan, (const char *)x->data + base * plan.elem, y->data);
}
