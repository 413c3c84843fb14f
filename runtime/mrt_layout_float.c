/* Channels-last forms of float kernels. */
#include "runtime/mrt_layout_private.h"
#include "runtime/mrt_params.h"

#include <stdlib.h>
#include <string.h>

bool mrt_layout_adapt_conv_f32(mrt_derivation *d, mrt_draft *r) {
    const mrt_tensor *x = mrt_layout_info(d, r->in[0]);
    const mrt_tensor *w = mrt_layout_info(d, r->in[1]);
    const mrt_conv_params *p = (const void *)r->params;
    const bool depthwise = w->shape.dims[1] == 1 && w->shape.dims[0] == x->shape.dims[1];
    if (p->group == 1 && w->shape.dims[1] == 1 && w->shape.dims[0] <= 4) {
        return false; /* one group of a depthwise convolution: has the written order */
    }
    if (!mrt_layout_is_value(d, r->in[0]) || mrt_layout_is_value(d, r->in[1]) ||
        (r->step->n_in > 2 && mrt_layout_is_value(d, r->in[2])) ||
        (p->group > 1 && w->shape.dims[1] < 4 && !depthwise)) {
        return false; /* tiles would be nearly empty, and few channels have the written order */
    }
    r->kernel = MRT_K_conv_nhwc_f32;
    return mrt_layout_passes(d, r);
}

/* Moves the elements of a dense row-major constant of y's rank to the stored order. */
static void reorder(const mrt_shape *from, const char *x, size_t element, char *y) {
    const int64_t positions = mrt_shape_range(from, 2, from->rank);
    const int64_t channels = from->dims[1];
    for (int64_t n = 0; n < from->dims[0]; ++n) {
        for (int64_t c = 0; c < channels; ++c) {
            for (int64_t i = 0; i < positions; ++i, x += element) {
                memcpy(y + (size_t)((n * positions + i) * channels + c) * element, x, element);
            }
        }
    }
}

/* The stored form of constant operand i, which broadcasts to a tensor of rank `rank`. */
static bool store_constant(mrt_derivation *d, mrt_draft *r, int i, int rank) {
    const mrt_tensor *from = mrt_layout_info(d, r->in[i]);
    if (from->shape.rank > rank) {
        return false;
    }
    mrt_tensor t = *from;
    t.shape.rank = rank;
    for (int axis = 0; axis < rank; ++axis) { /* leading axes of size 1 */
        const int old = axis - (rank - from->shape.rank);
        t.shape.dims[axis] = old >= 0 ? from->shape.dims[old] : 1;
    }
    const size_t element = mrt_dtype_bytes(t.dtype);
    const size_t bytes = (size_t)mrt_shape_count(&t.shape) * element;
    char *values = malloc(bytes + 1);
    if (values == NULL) {
        d->failed = true;
        return false;
    }
    reorder(&t.shape, from->data, element, values);
    mrt_tensor stored = t;
    for (int axis = 0; axis < rank; ++axis) {
        stored.shape.dims[mrt_layout_axis(rank, axis)] = t.shape.dims[axis];
    }
    const bool done = mrt_layout_replace(d, r, i, &stored, values, bytes);
    free(values);
    return done;
}

bool mrt_layout_adapt_binary_f32(mrt_derivation *d, mrt_draft *r) {
    const mrt_tensor *y = mrt_layout_info(d, r->step->out[0]);
    for (int i = 0; i < 2; ++i) {
        const bool is_value = mrt_layout_is_value(d, r->in[i]);
        const mrt_tensor *t = mrt_layout_info(d, r->in[i]);
        if (t->dtype != MRT_F32 || (is_value && t->shape.rank != y->shape.rank) ||
            (!is_value && mrt_shape_count(&t->shape) > mrt_shape_count(&y->shape))) {
            return false;
        }
    }
    for (int i = 0; i < 2; ++i) {
        if (!mrt_layout_is_value(d, r->in[i]) && !store_constant(d, r, i, y->shape.rank)) {
            return false;
        }
    }
    return mrt_layout_passes(d, r);
}

bool mrt_layout_adapt_unary_f32(mrt_derivation *d, mrt_draft *r) {
    const mrt_dtype dtype = mrt_layout_info(d, r->in[0])->dtype;
    return dtype == MRT_F32 && mrt_layout_is_value(d, r->in[0]) && mrt_layout_passes(d, r);
}

/* One axis, other inputs are constant vectors. */
static bool move_axis(mrt_derivation *d, mrt_draft *r) {
    mrt_axis_params *p = (void *)r->params;
    for (int i = 0; i < r->step->n_in; ++i) {
        if (r->in[i] >= 0 && mrt_layout_is_value(d, r->in[i]) != (i == 0)) {
            return false;
        }
    }
    p->axis = mrt_layout_axis(mrt_layout_info(d, r->in[0])->shape.rank, (int)p->axis);
    return mrt_layout_passes(d, r);
}

bool mrt_layout_adapt_scale_f32(mrt_derivation *d, mrt_draft *r) { return move_axis(d, r); }
bool mrt_layout_adapt_softmax_f32(mrt_derivation *d, mrt_draft *r) { return move_axis(d, r); }

bool mrt_layout_adapt_pad_f32(mrt_derivation *d, mrt_draft *r) {
    mrt_pad_params *p = (void *)r->params;
    const mrt_pad_params from = *p;
    const mrt_tensor *x = mrt_layout_info(d, r->in[0]);
    if (x->dtype != MRT_F32 || !mrt_layout_is_value(d, r->in[0])) {
        return false;
    }
    for (int i = 0; i < x->shape.rank; ++i) {
        const int to = mrt_layout_axis(x->shape.rank, i);
        p->begin[to] = from.begin[i];
        p->end[to] = from.end[i];
    }
    return mrt_layout_passes(d, r);
}
