/* permute: output axis i is input axis order[i] (ONNX Transpose). */
#include "runtime/kernels/move_util.h"

mrt_status mrt_permute_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_move_check_pair(call, err));
    const mrt_permute_params *p = call->params;
    const mrt_tensor *x = call->in[0];
    mrt_shape expected = {.rank = x->shape.rank};
    unsigned seen = 0;
    for (int i = 0; i < x->shape.rank; i++) {
        MRT_TRY(mrt_check_param(p->order[i], "order", 0, (int64_t)x->shape.rank - 1, err));
        seen |= 1u << p->order[i];
        expected.dims[i] = x->shape.dims[p->order[i]];
    }
    if (seen != (1u << x->shape.rank) - 1u) {
        return mrt_fail(err, MRT_INVALID, "parameter 'order': expected a permutation of %d axes",
                        (int)x->shape.rank);
    }
    *out_scratch = 0;
    return mrt_check_shape(call->out[0], "y", &expected, err);
}

void mrt_permute_run(const mrt_call *call) {
    const mrt_permute_params *p = call->params;
    const mrt_tensor *x = call->in[0];
    int64_t stride[MRT_MAX_RANK];
    mrt_move_strides(&x->shape, stride);
    mrt_strided plan = {.elem = mrt_move_elem(x)};
    for (int i = 0; i < x->shape.rank; i++) {
        mrt_strided_push(&plan, x->shape.dims[p->order[i]], stride[p->order[i]], 0);
    }
    mrt_strided_dense_dst(&plan);
    mrt_strided_copy(call->pool, plan, x->data, call->out[0]->data);
}
