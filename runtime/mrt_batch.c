/* Derivation of plans for a part of a batch: see mrt_batch.h. */
#include "runtime/mrt_batch.h"

#include "runtime/mrt_params.h"
#include "runtime/mrt_plan_private.h"

#include <stdlib.h>
#include <string.h>

/* What a constant is to the steps that read it. */
enum { UNREAD = 0, WHOLE = 1, SLICED = 2 };

typedef struct batch {
    const mrt_plan *source;
    int64_t images; /* axis 0 of every input */
    uint8_t *use;   /* per tensor, of constants */
} batch;

static const mrt_tensor *info(const batch *b, int32_t id) { return &b->source->tensors[id].info; }

static bool is_const(const batch *b, int32_t id) {
    return b->source->tensors[id].kind == MRT_CONST;
}

static int64_t axis_0(const batch *b, int32_t id) {
    const mrt_shape *shape = &info(b, id)->shape;
    return shape->rank > 0 ? shape->dims[0] : 1;
}

static bool use_as(batch *b, int32_t id, uint8_t use) {
    if (b->use[id] != UNREAD && b->use[id] != use) {
        return false;
    }
    b->use[id] = use;
    return true;
}

/* A constant that is the same for every image, written out for all: the first slice serves all. */
static bool repeats(batch *b, int32_t id) {
    const mrt_tensor *t = info(b, id);
    int64_t bytes = 0;
    if (axis_0(b, id) % b->images != 0 || !mrt_shape_bytes(&t->shape, t->dtype, &bytes) ||
        bytes % b->images != 0) {
        return false;
    }
    const int64_t slice = bytes / b->images;
    return memcmp(t->data, (const char *)t->data + slice, (size_t)(bytes - slice)) == 0 &&
           use_as(b, id, SLICED);
}

/* Operand whose axis 0 goes with that of `out`, by numpy's rules of broadcasting when allowed. */
static bool goes_along(batch *b, int32_t id, int32_t out, bool broadcasts) {
    const int rank = info(b, id)->shape.rank;
    const int out_rank = info(b, out)->shape.rank;
    const bool same = rank == out_rank && axis_0(b, id) == axis_0(b, out);
    if (!is_const(b, id)) {
        return same;
    }
    if (broadcasts && (rank < out_rank || (rank == out_rank && axis_0(b, id) == 1))) {
        return use_as(b, id, WHOLE);
    }
    return same && repeats(b, id);
}

static bool all_go_along(batch *b, const mrt_step *step, bool broadcasts) {
    for (int32_t i = 0; i < step->n_in; ++i) {
        if (step->in[i] >= 0 && !goes_along(b, step->in[i], step->out[0], broadcasts)) {
            return false;
        }
    }
    return true;
}

/* The first operand is of the images, the others are constants for all of them. */
static bool first_goes_along(batch *b, const mrt_step *step) {
    for (int32_t i = 1; i < step->n_in; ++i) {
        if (step->in[i] >= 0 && !(is_const(b, step->in[i]) && use_as(b, step->in[i], WHOLE))) {
            return false;
        }
    }
    return !is_const(b, step->in[0]);
}

/* a x b + bias with images, or rows of images, along axis 0 of a. */
static bool matmul_goes_along(batch *b, const mrt_step *step, int64_t trans_a) {
    const int32_t a = step->in[0], w = step->in[1], y = step->out[0];
    const int rank = info(b, y)->shape.rank;
    if (is_const(b, a) || info(b, a)->shape.rank != rank || axis_0(b, a) != axis_0(b, y) ||
        (rank == 2 && (trans_a != 0 || !is_const(b, w)))) {
        return false;
    }
    const bool w_along = rank == 2 ? use_as(b, w, WHOLE) : goes_along(b, w, y, true);
    for (int32_t i = 2; w_along && i < step->n_in; ++i) {
        if (step->in[i] >= 0 && !goes_along(b, step->in[i], y, true)) {
            return false;
        }
    }
    return w_along;
}

static bool keeps_axis_0(const batch *b, const mrt_step *step) {
    return info(b, step->in[0])->shape.rank > 0 && axis_0(b, step->in[0]) == axis_0(b, step->out[0]);
}

/* What the step's parameters do to axis 0 and how its operands are matched; see MRT_PER_IMAGE. */
static bool step_is_per_image(batch *b, const mrt_step *step) {
    const void *params = step->params;
    const mrt_axis_params *axis = params;
    if ((step->kernel->flags & MRT_PER_IMAGE) == 0) {
        return false;
    }
    switch (step->kernel->code) {
    case MRT_K_binary:
    case MRT_K_add_int:
    case MRT_K_mul_int:
    case MRT_K_where:
        return all_go_along(b, step, true);
    case MRT_K_concat:
        return axis->axis > 0 && all_go_along(b, step, false);
    case MRT_K_matmul_f32:
        return matmul_goes_along(b, step, ((const mrt_matmul_params *)params)->trans_a);
    case MRT_K_matmul_int:
        return matmul_goes_along(b, step, ((const mrt_matmul_int_params *)params)->trans_a);
    case MRT_K_matmul_real:
        return matmul_goes_along(b, step, ((const mrt_matmul_real_params *)params)->trans_a);
    default:
        break;
    }
    if (!first_goes_along(b, step)) {
        return false;
    }
    switch (step->kernel->code) {
    case MRT_K_softmax_f32:
    case MRT_K_scale_f32:
        return axis->axis > 0;
    case MRT_K_softmax_int: /* over the last axis */
        return info(b, step->out[0])->shape.rank > 1;
    case MRT_K_arg:
        return axis->axis > 0 && keeps_axis_0(b, step);
    case MRT_K_pool_max: /* indices count through the whole batch */
        return step->n_out == 1 && keeps_axis_0(b, step);
    case MRT_K_layer_norm_f32:
    case MRT_K_rms_norm_f32:
        return ((const mrt_norm_params *)params)->axis > 0;
    case MRT_K_reduce:
    case MRT_K_reduce_int:
        return (((const mrt_reduce_params *)params)->axes & 1) == 0 && keeps_axis_0(b, step);
    case MRT_K_permute:
        return ((const mrt_permute_params *)params)->order[0] == 0;
    case MRT_K_slice:
        return keeps_axis_0(b, step) && ((const mrt_slice_params *)params)->step[0] == 1;
    case MRT_K_gather:
        return ((const mrt_gather_params *)params)->axis > 0 &&
               ((const mrt_gather_params *)params)->batch_dims == 0;
    case MRT_K_resize_f32:
    case MRT_K_resize_nearest:
    case MRT_K_resize_int:
        return keeps_axis_0(b, step) && ((const mrt_resize_params *)params)->scale[0] == 1.0 &&
               ((const mrt_resize_params *)params)->coord != MRT_COORD_TF_CROP;
    case MRT_K_expand:
        return info(b, step->in[0])->shape.rank == info(b, step->out[0])->shape.rank &&
               keeps_axis_0(b, step);
    case MRT_K_pad:
        return keeps_axis_0(b, step) && ((const mrt_pad_params *)params)->begin[0] == 0;
    default:
        return keeps_axis_0(b, step);
    }
}

/* Every input has `images` along axis 0 and every value a multiple of it. */
static bool is_batch(batch *b) {
    const mrt_plan *plan = b->source;
    b->images = plan->n_inputs > 0 ? axis_0(b, plan->inputs[0]) : 1;
    if (b->images < 2 || plan->keep_all || plan->n_symbols > 0) {
        return false;
    }
    for (int32_t i = 0; i < plan->n_inputs; ++i) {
        if (axis_0(b, plan->inputs[i]) != b->images) {
            return false;
        }
    }
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        if (t->kind != MRT_CONST && (t->bytes <= 0 || t->bytes % b->images != 0 ||
                                     axis_0(b, id) % b->images != 0 ||
                                     is_const(b, t->root))) {
            return false;
        }
    }
    for (int32_t i = 0; i < plan->n_steps; ++i) {
        if (!step_is_per_image(b, &plan->steps[i])) {
            return false;
        }
    }
    return true;
}

/* Images of a part: as few as leave the bytes that its steps write at no less than the weights, which
 * every part reads again. */
static int64_t images_of_part(const batch *b) {
    int64_t weights = 0, values = 0;
    for (int32_t id = 0; id < b->source->n_tensors; ++id) {
        const mrt_plan_tensor *t = &b->source->tensors[id];
        if (t->alias_of < 0) {
            const int64_t images = b->use[id] == SLICED ? b->images : 1;
            *(t->kind == MRT_CONST ? &weights : &values) += t->bytes / images;
        }
    }
    for (int64_t n = 1; n < b->images; ++n) {
        if (b->images % n == 0 && values / b->images * n >= weights) {
            return n;
        }
    }
    return b->images;
}

static mrt_plan *part_plan(const batch *b, int64_t parts) {
    const mrt_plan *source = b->source;
    mrt_plan *plan = mrt_plan_create();
    for (int32_t id = 0; plan != NULL && id < source->n_tensors; ++id) {
        const mrt_plan_tensor *t = &source->tensors[id];
        mrt_tensor part = t->info;
        if (t->kind != MRT_CONST || b->use[id] == SLICED) {
            part.shape.dims[0] /= parts;
        }
        if (t->alias_of >= 0) {
            mrt_plan_add_alias(plan, &part, t->alias_of);
        } else {
            mrt_plan_add_tensor(plan, &part, t->kind);
        }
    }
    for (int32_t i = 0; plan != NULL && i < source->n_steps; ++i) {
        const mrt_step *s = &source->steps[i];
        mrt_plan_add_step(plan, s->kernel->code, s->params, s->in, s->n_in, s->out, s->n_out, s->op);
    }
    for (int32_t i = 0; plan != NULL && i < source->n_outputs; ++i) {
        mrt_plan_add_output(plan, source->outputs[i]);
    }
    if (plan != NULL) {
        plan->outputs_only = true;
    }
    return plan;
}

mrt_status mrt_batch_derive(const mrt_plan *source, mrt_plan **out_plan, int32_t *out_parts,
                            mrt_error *err) {
    *out_plan = NULL;
    *out_parts = 1;
    batch b = {.source = source, .use = calloc((size_t)source->n_tensors + 1, 1)};
    if (b.use == NULL) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for the plan");
    }
    mrt_status status = MRT_OK;
    const int64_t images = is_batch(&b) ? images_of_part(&b) : b.images;
    if (images < b.images && b.images / images <= INT32_MAX) {
        mrt_plan *plan = part_plan(&b, b.images / images);
        status = plan == NULL ? mrt_fail(err, MRT_NO_MEMORY, "no memory for the plan")
                              : mrt_plan_finalize(plan, false, err);
        if (status == MRT_OK) {
            *out_plan = plan;
            *out_parts = (int32_t)(b.images / images);
        } else {
            mrt_plan_destroy(plan);
            status = status == MRT_NO_MEMORY ? status : MRT_OK; /* the whole batch then */
        }
    }
    free(b.use);
    return status;
}
