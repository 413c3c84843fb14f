/* matmul_packed_f32: rows times a constant matrix, tiles of a 1x1 convolution; any order of sums. A
 * single row is left to matmul_f32: it is bound by memory, and a packed copy would only take some. */
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/nhwc_conv.h"

#include <assert.h>
#include <math.h>

static bool make_conv(const mrt_call *call, mrt_nhwc_conv *c) {
    const mrt_matmul_params *p = call->params;
    const mrt_nhwc_product s = mrt_nhwc_product_of(call, p->trans_b != 0);
    const bool relu = p->act == MRT_ACT_RELU;
    *c = (mrt_nhwc_conv){.float_low = relu ? 0.0f : -INFINITY,
                         .float_high = relu && p->act_limit >= 0 ? (float)p->act_limit : INFINITY};
    c->plan = mrt_nhwc_product_plan(&s);
    return mrt_nhwc_geometry(c, true);
}

/* NULL, or one constant value per column. */
static bool is_vector(const mrt_tensor *bias, int64_t columns) {
    return !bias || (bias->data && mrt_shape_count(&bias->shape) == columns &&
                     bias->shape.rank >= 1 && bias->shape.dims[bias->shape.rank - 1] == columns);
}

mrt_status mrt_matmul_packed_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_matmul_params *p = call->params;
    const mrt_tensor *b = mrt_in(call, 1);
    MRT_TRY(mrt_matmul_f32_check(call, out_scratch, err));
    const mrt_nhwc_product s = mrt_nhwc_product_of(call, p->trans_b != 0);
    mrt_nhwc_conv c;
    if (p->float_order != MRT_ORDER_BLAS || !b->data || p->trans_a || p->alpha != 1.0 ||
        p->beta != 1.0 || mrt_shape_count(&b->shape) != s.depth * s.columns || s.depth < 1 ||
        s.columns < 1 || s.rows < 2 || !is_vector(mrt_in(call, 2), s.columns) ||
        !make_conv(call, &c)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'b': not one constant matrix");
    }
    return MRT_OK;
}

size_t mrt_matmul_packed_f32_pack(const mrt_call *call, void *packed) {
    const mrt_matmul_params *p = call->params;
    const mrt_tensor *bias = mrt_in(call, 2);
    const float *b = call->in[1]->data;
    mrt_nhwc_conv c;
    const bool fits = make_conv(call, &c);
    assert(fits);
    (void)fits;
    const mrt_nhwc_constants from = {.weights = b,
                                     .weights_across = !p->trans_b,
                                     .bias = bias ? bias->data : NULL};
    return mrt_nhwc_pack(&c, &from, call->pool, packed);
}

void mrt_matmul_packed_f32_run(const mrt_call *call) {
    const mrt_nhwc_conv *c = call->packed;
    mrt_nhwc_rows_f32(c, call->in[0]->data, NULL, call->out[0]->data, call->pool);
}
