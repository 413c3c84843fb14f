/* What the files mrt_layout*.c share. */
#ifndef MRT_LAYOUT_PRIVATE_H
#define MRT_LAYOUT_PRIVATE_H

#include "runtime/mrt_layout.h"
#include "runtime/mrt_plan_private.h"

/* Steps with more are left as they are. */
enum { MRT_DRAFT_INPUTS = 64, MRT_DRAFT_PARAMS = 64 };

typedef struct mrt_derivation {
    const mrt_plan *source;
    mrt_plan *plan;
    int32_t *stored;   /* per source tensor: channels-last tensor, or -1 */
    bool *row_major;   /* per source tensor: its own bytes exist by now */
    bool *plain;       /* per source tensor: int8 that is never negative, stored as it is */
    int32_t *origin;   /* per tensor of the plan; grows with it */
    int32_t *step_of;  /* per step of the plan */
    int32_t room_tensors, room_steps;
    int32_t step;      /* of the source, at hand */
    int32_t *uses;     /* per source tensor: steps, outputs and aliases that take it; 0: steps are not joined */
    bool *joined;      /* per source step: done by another */
    bool failed;
} mrt_derivation;

/* A step on its way: what the derived plan will get. `in` names values of the source, constants of
 * the plan. */
typedef struct mrt_draft {
    const mrt_step *step;
    uint16_t kernel;
    int32_t in[MRT_DRAFT_INPUTS];
    int64_t params[MRT_DRAFT_PARAMS];
} mrt_draft;

/* Turns the draft into its channels-last form; false: the step stays as it is. */
bool mrt_layout_adapt(mrt_derivation *d, mrt_draft *r);
/* True when there is a form; *out_begins: worth a conversion of the inputs, others only follow. */
bool mrt_layout_has_form(const mrt_step *step, bool *out_begins);
/* The kernel that takes the step as it is with prepared constants, else its own. */
uint16_t mrt_layout_packed_kernel(const mrt_derivation *d, const mrt_step *step);

/* Step of the source that adds to what the draft computes, and can be done with it; -1: none. Then the draft
 * has its operand and activation. */
int32_t mrt_layout_join_add(const mrt_derivation *d, mrt_draft *r);

/* A form of its own for float kernels, see mrt_layout_float.c. */
typedef bool mrt_layout_adapt_fn(mrt_derivation *d, mrt_draft *r);
mrt_layout_adapt_fn mrt_layout_adapt_conv_f32, mrt_layout_adapt_binary_f32,
    mrt_layout_adapt_unary_f32, mrt_layout_adapt_scale_f32, mrt_layout_adapt_pad_f32,
    mrt_layout_adapt_softmax_f32;
/* The step with stored tensors passes the check of its kernel. */
bool mrt_layout_passes(mrt_derivation *d, const mrt_draft *r);
/* A constant of the derived plan in place of input i; `t` has its shape and type. */
bool mrt_layout_replace(mrt_derivation *d, mrt_draft *r, int i, const mrt_tensor *t,
                        const void *values, size_t bytes);

/* Adds a tensor; origin as in mrt_layout. */
int32_t mrt_layout_add_tensor(mrt_derivation *d, const mrt_tensor *t, mrt_tensor_kind kind,
                              int32_t origin);
/* uint8, float or plain int8 with channels last. */
mrt_tensor mrt_layout_stored_form(const mrt_derivation *d, int32_t id);
/* Fills `plain`. */
void mrt_layout_find_plain(mrt_derivation *d);
/* Axis of the stored form that a row-major axis becomes. */
int mrt_layout_axis(int rank, int axis);

static inline const mrt_tensor *mrt_layout_info(const mrt_derivation *d, int32_t id) {
    return &d->source->tensors[id].info;
}
static inline bool mrt_layout_is_value(const mrt_derivation *d, int32_t id) {
    return id >= 0 && d->source->tensors[id].kind != MRT_CONST;
}
static inline bool mrt_layout_is_byte(const mrt_tensor *t) {
    return t->dtype == MRT_I8 || t->dtype == MRT_U8;
}
/* What is added to a tensor's integers to store them. */
static inline int32_t mrt_layout_offset(const mrt_derivation *d, int32_t id) {
    return mrt_layout_info(d, id)->dtype == MRT_I8 && !d->plain[id] ? 128 : 0;
}

#endif
