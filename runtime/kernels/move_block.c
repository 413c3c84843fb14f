/* depth_to_space and space_to_depth: a rank-6 permutation of x[N,C,H,W] (ONNX, modes DCR and CRD).
 *
 * depth_to_space: y[n, c, h*b+i, w*b+j] = x[n, d, h, w] with d = (i*b+j)*C' + c (DCR) or
 * d = c*b*b + i*b + j (CRD), C' = C/(b*b). space_to_depth is the inverse. */
#include "runtime/kernels/move_util.h"

/* `deep` is the tensor with many channels, `wide` the one with many pixels. */
static mrt_status check_block(const mrt_call *call, const mrt_tensor *deep, const char *deep_name,
                              const mrt_tensor *wide, const char *wide_name, mrt_error *err) {
    const mrt_block_params *p = call->params;
    MRT_TRY(mrt_check_rank(deep, deep_name, 4, 4, err));
    MRT_TRY(mrt_check_rank(wide, wide_name, 4, 4, err));
    MRT_TRY(mrt_check_param(p->block, "block", 1, 1 << 15, err));
    MRT_TRY(mrt_check_param(p->mode, "mode", 0, 1, err));
    const int64_t b = p->block;
    const int64_t *w = wide->shape.dims, *d = deep->shape.dims;
    if (w[0] != d[0] || d[1] % (b * b) != 0 || d[1] / (b * b) != w[1] || w[2] % b != 0 ||
        w[2] / b != d[2] || w[3] % b != 0 || w[3] / b != d[3]) {
        return mrt_fail(err, MRT_INVALID,
                        "operand '%s': shape %s does not fit shape %s of '%s' for block %" PRId64,
                        wide_name, mrt_shape_text(&wide->shape).text,
                        mrt_shape_text(&deep->shape).text, deep_name, b);
    }
    return MRT_OK;
}

/* Axes in the order of the wide tensor: n, c, h, i, w, j; `deep` gets the strides there. */
static mrt_strided block_plan(const mrt_call *call, const mrt_shape *deep, const mrt_shape *wide) {
    const mrt_block_params *p = call->params;
    const int64_t b = p->block, plane = deep->dims[2] * deep->dims[3];
    const int64_t c = p->mode == 0 ? plane : b * b * plane;
    const int64_t sub = p->mode == 0 ? wide->dims[1] * plane : plane;
    mrt_strided plan = {.elem = mrt_move_elem(call->in[0])};
    mrt_strided_push(&plan, deep->dims[0], deep->dims[1] * plane, 0);
    mrt_strided_push(&plan, wide->dims[1], c, 0);
    mrt_strided_push(&plan, deep->dims[2], deep->dims[3], 0);
    mrt_strided_push(&plan, b, b * sub, 0);
    mrt_strided_push(&plan, deep->dims[3], 1, 0);
    mrt_strided_push(&plan, b, sub, 0);
    mrt_strided_dense_dst(&plan);
    return plan;
}

mrt_status mrt_depth_to_space_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_move_check_pair(call, err));
    *out_scratch = 0;
    return check_block(call, call->in[0], "x", call->out[0], "y", err);
}

void mrt_depth_to_space_run(const mrt_call *call) {
    const mrt_strided plan = block_plan(call, &call->in[0]->shape, &call->out[0]->shape);
    mrt_strided_copy(call->pool, plan, call->in[0]->data, call->out[0]->data);
}

mrt_status mrt_space_to_depth_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_move_check_pair(call, err));
    *out_scratch = 0;
    return check_block(call, call->out[0], "y", call->in[0], "x", err);
}

void mrt_space_to_depth_run(const mrt_call *call) {
    const mrt_strided back = block_plan(call, &call->out[0]->shape, &call->in[0]->shape);
    /* Turned around, the axes in the order of the deep tensor: n, (i, j, c | c, i, j), h, w. */
    static const int order[2][6] = {{0, 3, 5, 1, 2, 4}, {0, 1, 3, 5, 2, 4}};
    const mrt_block_params *p = call->params;
    mrt_strided plan = {.elem = back.elem};
    for (int i = 0; i < 6; i++) {
        const int a = order[p->mode][i];
        mrt_strided_push(&plan, back.dims[a], back.dst[a], back.src[a]);
    }
    mrt_strided_copy(call->pool, plan, call->in[0]->data, call->out[0]->data);
}
