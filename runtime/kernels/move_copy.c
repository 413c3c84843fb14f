/* copy: the same bytes in another tensor. */
#include "runtime/kernels/move_util.h"

static int64_t tensor_bytes(const mrt_tensor *t) {
    return mrt_shape_count(&t->shape) * mrt_move_elem(t);
}

mrt_status mrt_copy_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_present(x, "x", err));
    MRT_TRY(mrt_check_present(y, "y", err));
    if (tensor_bytes(x) != tensor_bytes(y)) {
        return mrt_fail(err, MRT_INVALID,
                        "operand 'y': expected %" PRId64 " bytes as 'x', got %" PRId64,
                        tensor_bytes(x), tensor_bytes(y));
    }
    *out_scratch = 0;
    return MRT_OK;
}

void mrt_copy_run(const mrt_call *call) {
    mrt_strided plan = {.elem = 1};
    mrt_strided_push(&plan, tensor_bytes(call->in[0]), 1, 1);
    mrt_strided_copy(call->pool, plan, call->in[0]->data, call->out[0]->data);
}
