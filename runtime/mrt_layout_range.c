/* Which int8 tensors of a plan never hold a negative integer.
 *
 * Their bytes are the same with and without a sign, so that they are stored as they are: int8 with
 * channels last, values 0..127 [byte-proof]. What a step only moves keeps its form: its inputs and
 * its output are stored alike. */
#include "runtime/mrt_layout_private.h"
#include "runtime/mrt_params.h"

#include <string.h>

/* Every window meets an element. */
static bool fills_windows(const mrt_pool_params *p) {
    for (int64_t i = 0; i < p->spatial; ++i) {
        if (p->dilation[i] != 1 || p->pad_begin[i] >= p->kernel[i] ||
            p->pad_end[i] >= p->kernel[i]) {
            return false;
        }
    }
    return true;
}

static bool has_signs(const mrt_tensor *table) {
    const int8_t *values = table->data;
    for (int64_t i = 0; values != NULL && i < mrt_shape_count(&table->shape); ++i) {
        if (values[i] < 0) {
            return true;
        }
    }
    return values == NULL;
}

static bool all_plain(const mrt_derivation *d, const mrt_step *step) {
    for (int i = 0; i < step->n_in; ++i) {
        if (step->in[i] >= 0 && !d->plain[step->in[i]]) {
            return false;
        }
    }
    return true;
}

/* True for steps whose output holds elements of its inputs, or their averages. */
static bool moves(const mrt_step *step) {
    switch (step->kernel->code) {
    case MRT_K_concat:
    case MRT_K_slice:
    case MRT_K_resize_nearest:
    case MRT_K_pool_max:
    case MRT_K_pool_avg_int: return true;
    default: return false;
    }
}

/* From the step's parameters: the integers that it writes are not negative. */
static bool is_plain(const mrt_derivation *d, const mrt_step *step) {
    const void *params = step->params;
    const mrt_pool_params *pool = params;
    switch (step->kernel->code) {
    case MRT_K_conv_int:
    case MRT_K_deconv_int: return ((const mrt_conv_int_params *)params)->clamp_min >= 0;
    case MRT_K_add_int:
    case MRT_K_mul_int: return ((const mrt_binary_int_params *)params)->clamp_min >= 0;
    case MRT_K_lut_8: return !has_signs(mrt_layout_info(d, step->in[1]));
    case MRT_K_concat:
    case MRT_K_slice: return all_plain(d, step);
    case MRT_K_resize_nearest:
        return all_plain(d, step) &&
               ((const mrt_resize_params *)params)->coord != MRT_COORD_TF_CROP;
    case MRT_K_pool_max: return all_plain(d, step) && fills_windows(pool);
    case MRT_K_pool_avg_int:
        return all_plain(d, step) && pool->multiplier >= 0 && pool->zero_point_in <= 0 &&
               pool->zero_point_out >= 0;
    default: return false;
    }
}

static bool can_be_plain(const mrt_tensor *t) { return t->dtype == MRT_I8 && t->zero_point >= 0; }

/* One form for all tensors of a step that moves elements; true when one has changed. */
static bool agree(mrt_derivation *d, const mrt_step *step) {
    if (all_plain(d, step) && d->plain[step->out[0]]) {
        return false;
    }
    bool changed = d->plain[step->out[0]];
    d->plain[step->out[0]] = false;
    for (int i = 0; i < step->n_in; ++i) {
        if (step->in[i] >= 0) {
            changed = changed || d->plain[step->in[i]];
            d->plain[step->in[i]] = false;
        }
    }
    return changed;
}

void mrt_layout_find_plain(mrt_derivation *d) {
    const mrt_plan *source = d->source;
    memset(d->plain, 0, (size_t)source->n_tensors * sizeof d->plain[0]);
    for (int32_t i = 0; i < source->n_steps; ++i) {
        const mrt_step *step = &source->steps[i];
        if (step->n_out == 1 && can_be_plain(mrt_layout_info(d, step->out[0]))) {
            d->plain[step->out[0]] = is_plain(d, step);
        }
    }
    for (bool again = true; again;) { /* every round but the last makes a tensor not plain */
        again = false;
        for (int32_t i = source->n_steps - 1; i >= 0; --i) {
            again = (moves(&source->steps[i]) && agree(d, &source->steps[i])) || again;
        }
    }
}
