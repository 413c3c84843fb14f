/* Kernels with a channels-last form: what their parameters and constants become. */
#include "runtime/kernels/kernel_util.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_layout_private.h"
#include "runtime/mrt_params.h"
#include "runtime/mrt_quant.h"

#include <stdlib.h>

bool mrt_layout_passes(mrt_derivation *d, const mrt_draft *r) {
    const mrt_step *step = r->step;
    mrt_tensor forms[MRT_DRAFT_INPUTS + 1];
    const mrt_tensor *in[MRT_DRAFT_INPUTS];
    mrt_tensor *out[1] = {&forms[MRT_DRAFT_INPUTS]};
    size_t scratch = 0;
    for (int i = 0; i < step->n_in; ++i) {
        const int32_t id = step->in[i];
        in[i] = NULL;
        if (id >= 0) {
            forms[i] = mrt_layout_is_value(d, id)
                           ? mrt_layout_stored_form(d, id)
                           : d->plan->tensors[r->in[i]].info; /* as replaced */
            in[i] = &forms[i];
        }
    }
    *out[0] = mrt_layout_stored_form(d, step->out[0]);
    const mrt_call call = {
        .in = in, .n_in = step->n_in, .out = out, .n_out = 1, .params = r->params};
    return mrt_kernel_find(r->kernel)->check(&call, &scratch, NULL) == MRT_OK;
}

bool mrt_layout_replace(mrt_derivation *d, mrt_draft *r, int i, const mrt_tensor *t,
                        const void *values, size_t bytes) {
    mrt_tensor own = *t;
    own.name = "";
    own.data = (void *)(uintptr_t)mrt_plan_store(d->plan, values, bytes);
    const int32_t id = mrt_layout_add_tensor(d, &own, MRT_CONST, -1);
    if (own.data == NULL || id < 0) {
        d->failed = true;
        return false;
    }
    r->in[i] = id;
    return true;
}

/* n is at most MRT_ACC32_DEPTH, so 32 bits hold the sum. */
MRT_CLONES static int32_t sum_of(const int8_t *w, int64_t n) {
    int32_t sum = 0;
    for (int64_t k = 0; k < n; ++k) {
        sum += w[k];
    }
    return sum;
}

/* Bias that takes back the offset of x, the sum of offset * w over each output channel. False when
 * sums might not fit int32 on the way [acc-bound]. */
static bool move_offset(mrt_derivation *d, mrt_draft *r) {
    const mrt_tensor *w = mrt_layout_info(d, r->in[1]);
    const int32_t *bias = mrt_layout_info(d, r->in[2])->data;
    const bool across = r->kernel == MRT_K_deconv_nhwc; /* [channels][out channels][taps] */
    const int64_t channels = w->shape.dims[across ? 1 : 0];
    const int64_t depth = mrt_shape_count(&w->shape) / channels;
    const int64_t run = across ? depth / w->shape.dims[0] : depth;
    const int64_t offset = mrt_layout_offset(d, r->in[0]);
    const int64_t bound = depth * (255 * 128 + 128 * 128);
    bool fits = depth <= MRT_ACC32_DEPTH;
    int32_t *values = malloc((size_t)channels * sizeof values[0]);
    if (values == NULL) {
        d->failed = true;
        return false;
    }
    for (int64_t oc = 0; oc < channels; ++oc) {
        int64_t sum = 0;
        for (int64_t i = 0; fits && i < depth / run; ++i) {
            sum += sum_of((const int8_t *)w->data + (i * channels + oc) * run, run);
        }
        fits = fits && bound + (bias[oc] < 0 ? -(int64_t)bias[oc] : bias[oc]) <= INT32_MAX;
        values[oc] = fits ? (int32_t)(bias[oc] - offset * sum) : 0;
    }
    fits = fits && mrt_layout_replace(d, r, 2, mrt_layout_info(d, r->in[2]), values,
                                      (size_t)channels * sizeof values[0]);
    free(values);
    return fits;
}

static bool adapt_conv(mrt_derivation *d, mrt_draft *r) {
    mrt_conv_int_params *p = (void *)r->params;
    const mrt_tensor *x = mrt_layout_info(d, r->in[0]);
    const mrt_tensor *w = mrt_layout_info(d, r->in[1]);
    const bool transposed = r->kernel == MRT_K_deconv_int || r->kernel == MRT_K_deconv_real;
    const bool depthwise = w->shape.dims[1] == 1 && w->shape.dims[0] == x->shape.dims[1];
    if (mrt_layout_is_value(d, r->in[1]) || mrt_layout_is_value(d, r->in[2]) ||
        (!transposed && p->conv.group > 1 && w->shape.dims[1] < 4 && !depthwise)) {
        return false; /* tiles would be nearly empty */
    }
    p->zero_point_in += mrt_layout_offset(d, r->step->in[0]);
    p->zero_point_out += mrt_layout_offset(d, r->step->out[0]); /* 0 for floats */
    p->clamp_min += mrt_layout_offset(d, r->step->out[0]);
    p->clamp_max += mrt_layout_offset(d, r->step->out[0]);
    r->kernel = transposed ? MRT_K_deconv_nhwc : MRT_K_conv_nhwc;
    return mrt_layout_passes(d, r) && move_offset(d, r);
}

/* Kernels that take uint8 tensors of any shape: zero points, clamps and axes follow the form. */
static bool adapt_binary(mrt_derivation *d, mrt_draft *r) {
    mrt_binary_int_params *p = (void *)r->params;
    const mrt_tensor *a = mrt_layout_info(d, r->in[0]);
    const mrt_tensor *b = mrt_layout_info(d, r->in[1]);
    const mrt_tensor *y = mrt_layout_info(d, r->step->out[0]);
    if (!mrt_layout_is_value(d, r->in[0]) || !mrt_layout_is_value(d, r->in[1]) || a->shape.rank != y->shape.rank ||
        b->shape.rank != y->shape.rank) {
        return false;
    }
    p->zero_point_a += mrt_layout_offset(d, r->step->in[0]);
    p->zero_point_b += mrt_layout_offset(d, r->step->in[1]);
    p->zero_point_out += mrt_layout_offset(d, r->step->out[0]);
    p->clamp_min += mrt_layout_offset(d, r->step->out[0]);
    p->clamp_max += mrt_layout_offset(d, r->step->out[0]);
    return mrt_layout_passes(d, r);
}

static bool adapt_concat(mrt_derivation *d, mrt_draft *r) {
    mrt_axis_params *p = (void *)r->params;
    const mrt_tensor *y = mrt_layout_info(d, r->step->out[0]);
    for (int i = 0; i < r->step->n_in; ++i) {
        if (!mrt_layout_is_value(d, r->in[i])) {
            return false;
        }
    }
    p->axis = mrt_layout_axis(y->shape.rank, (int)p->axis);
    return mrt_layout_passes(d, r);
}

static bool adapt_reduce(mrt_derivation *d, mrt_draft *r) {
    mrt_reduce_params *p = (void *)r->params;
    const mrt_tensor *x = mrt_layout_info(d, r->in[0]);
    const mrt_tensor *y = mrt_layout_info(d, r->step->out[0]);
    int64_t axes = 0;
    const bool is_plain = r->kernel == MRT_K_reduce; /* its integers are not quantized values */
    if (y->shape.rank != x->shape.rank || (is_plain && x->dtype != MRT_F32)) {
        return false;
    }
    for (int i = 0; i < x->shape.rank; ++i) {
        axes |= (p->axes >> i & 1) << mrt_layout_axis(x->shape.rank, i);
    }
    p->axes = axes;
    p->zero_point_in += mrt_layout_offset(d, r->step->in[0]);
    p->zero_point_out += mrt_layout_offset(d, r->step->out[0]);
    return mrt_layout_passes(d, r);
}

/* Maximum and average. The row-major kernel has checked what the form does not. */
static bool adapt_pool(mrt_derivation *d, mrt_draft *r) {
    mrt_pool_params *p = (void *)r->params;
    if (!mrt_layout_is_value(d, r->in[0])) {
        return false;
    }
    const mrt_tensor *x = mrt_layout_info(d, r->in[0]);
    const mrt_tensor *y = mrt_layout_info(d, r->step->out[0]);
    if (p->multiplier == INT32_MIN || x->dtype != y->dtype) {
        return false;
    }
    p->zero_point_in += mrt_layout_offset(d, r->step->in[0]);
    p->zero_point_out += mrt_layout_offset(d, r->step->out[0]);
    r->kernel = MRT_K_pool_nhwc;
    return mrt_layout_passes(d, r);
}

/* Steps of scale 1 along the channels, nearest elements along the others. */
static bool adapt_resize(mrt_derivation *d, mrt_draft *r) {
    mrt_resize_params *p = (void *)r->params;
    const mrt_resize_params from = *p;
    const mrt_tensor *x = mrt_layout_info(d, r->in[0]);
    for (int i = 0; i < x->shape.rank; ++i) {
        const int to = mrt_layout_axis(x->shape.rank, i);
        p->scale[to] = from.scale[i];
        p->roi_begin[to] = from.roi_begin[i];
        p->roi_end[to] = from.roi_end[i];
    }
    return x->dtype == mrt_layout_info(d, r->step->out[0])->dtype && from.coord != MRT_COORD_TF_CROP &&
           mrt_layout_passes(d, r);
}

static bool adapt_slice(mrt_derivation *d, mrt_draft *r) {
    mrt_slice_params *p = (void *)r->params;
    const mrt_slice_params from = *p;
    const mrt_tensor *x = mrt_layout_info(d, r->in[0]);
    for (int i = 0; i < x->shape.rank; ++i) {
        const int to = mrt_layout_axis(x->shape.rank, i);
        p->start[to] = from.start[i];
        p->step[to] = from.step[i];
    }
    return mrt_layout_passes(d, r);
}

/* The table is indexed by the stored byte and gives the stored byte. */
static bool adapt_lut(mrt_derivation *d, mrt_draft *r) {
    const mrt_tensor *table = mrt_layout_info(d, r->in[1]);
    const int flip_in = mrt_layout_offset(d, r->in[0]);
    const int flip_out = mrt_layout_offset(d, r->step->out[0]);
    uint8_t values[256];
    if (mrt_layout_is_value(d, r->in[1]) || table->data == NULL ||
        mrt_shape_count(&table->shape) != 256 || !mrt_layout_is_byte(table)) {
        return false;
    }
    for (int i = 0; i < 256; ++i) {
        values[i] = (uint8_t)(((const uint8_t *)table->data)[i ^ flip_in] ^ flip_out);
    }
    mrt_tensor stored = *table;
    stored.dtype = mrt_layout_stored_form(d, r->step->out[0]).dtype;
    stored.zero_point += flip_out;
    return mrt_layout_replace(d, r, 1, &stored, values, sizeof values);
}

/* Kernels that can work on stored forms. */
static const struct {
    uint16_t kernel;
    bool begins; /* worth a conversion of its inputs; others only follow */
    mrt_layout_adapt_fn *adapt;
} forms_of[] = {
    {MRT_K_conv_int, true, adapt_conv},     {MRT_K_deconv_int, true, adapt_conv},
    {MRT_K_conv_real, true, adapt_conv},    {MRT_K_deconv_real, true, adapt_conv},
    {MRT_K_add_int, false, adapt_binary},
    {MRT_K_mul_int, false, adapt_binary},   {MRT_K_concat, false, adapt_concat},
    {MRT_K_reduce_int, false, adapt_reduce}, {MRT_K_lut_8, false, adapt_lut},
    {MRT_K_pool_max, false, adapt_pool},     {MRT_K_pool_avg_int, false, adapt_pool},
    {MRT_K_resize_nearest, false, adapt_resize}, {MRT_K_resize_int, false, adapt_resize},
    {MRT_K_slice, false, adapt_slice},
    {MRT_K_conv_f32, true, mrt_layout_adapt_conv_f32},
    {MRT_K_binary, false, mrt_layout_adapt_binary_f32},
    {MRT_K_unary, false, mrt_layout_adapt_unary_f32},
    {MRT_K_scale_f32, false, mrt_layout_adapt_scale_f32},
    {MRT_K_softmax_f32, false, mrt_layout_adapt_softmax_f32},
    {MRT_K_pad, false, mrt_layout_adapt_pad_f32},
    {MRT_K_pool_f32, false, adapt_pool}, {MRT_K_reduce, false, adapt_reduce},
    {MRT_K_resize_f32, false, adapt_resize},
};

static int find_form(const mrt_step *step) {
    for (size_t i = 0; i < sizeof forms_of / sizeof forms_of[0]; ++i) {
        if (step->kernel->code == forms_of[i].kernel) {
            return (int)i;
        }
    }
    return -1;
}

bool mrt_layout_has_form(const mrt_step *step, bool *out_begins) {
    const int form = find_form(step);
    *out_begins = form >= 0 && forms_of[form].begins;
    return form >= 0;
}

bool mrt_layout_adapt(mrt_derivation *d, mrt_draft *r) {
    return forms_of[find_form(r->step)].adapt(d, r);
}

/* Kernels whose prepared form reads and writes the same tensors. */
static uint16_t prepared_of(uint16_t kernel) {
    return kernel == MRT_K_matmul_int    ? MRT_K_matmul_packed
           : kernel == MRT_K_matmul_real ? MRT_K_matmul_packed_real
           : kernel == MRT_K_matmul_f32 ? MRT_K_matmul_packed_f32
                                        : kernel;
}

uint16_t mrt_layout_packed_kernel(const mrt_derivation *d, const mrt_step *step) {
    const mrt_tensor *in[MRT_DRAFT_INPUTS];
    size_t scratch = 0;
    const uint16_t prepared = prepared_of(step->kernel->code);
    if (prepared == step->kernel->code || !mrt_layout_is_value(d, step->in[0]) ||
        mrt_plan_is_live(d->source, step->in[0])) {
        return step->kernel->code;
    }
    for (int i = 0; i < step->n_in; ++i) {
        in[i] = step->in[i] >= 0 ? mrt_layout_info(d, step->in[i]) : NULL;
    }
    mrt_tensor y = *mrt_layout_info(d, step->out[0]);
    mrt_tensor *out[1] = {&y};
    const mrt_call call = {
        .in = in, .n_in = step->n_in, .out = out, .n_out = 1, .params = step->params};
    const bool fits = mrt_kernel_find(prepared)->check(&call, &scratch, NULL) == MRT_OK;
    return fits ? prepared : step->kernel->code;
}
