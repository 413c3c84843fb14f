/* What products by a constant matrix have in common, of integers and floats: see nhwc_conv.h. */
#include "runtime/kernels/nhwc_conv.h"

mrt_nhwc_product mrt_nhwc_product_of(const mrt_call *call, bool trans_b) {
    const mrt_shape *b = &call->in[1]->shape;
    mrt_nhwc_product s;
    s.depth = b->dims[b->rank - (trans_b ? 1 : 2)];
    s.columns = b->dims[b->rank - (trans_b ? 2 : 1)];
    s.rows = s.depth > 0 ? mrt_shape_count(&call->in[0]->shape) / s.depth : 0;
    return s;
}

mrt_conv_plan mrt_nhwc_product_plan(const mrt_nhwc_product *s) {
    mrt_conv_plan plan = {.batch = 1, .group = 1, .taps = 1, .direct = true};
    plan.channels = plan.group_in = plan.depth = s->depth;
    plan.out_channels = plan.group_out = s->columns;
    for (int i = 0; i < 3; ++i) {
        plan.in[i] = plan.out[i] = plan.padded[i] = i == 2 ? s->rows : 1;
        plan.kernel[i] = plan.stride[i] = plan.dilation[i] = plan.insert[i] = 1;
    }
    plan.positions = plan.in_plane = s->rows;
    return plan;
}
