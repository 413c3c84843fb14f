/* Derivation of channels-last plans: see mrt_layout.h. */
#include "runtime/mrt_layout_private.h"
#include "runtime/mrt_params.h"

#include <stdlib.h>
#include <string.h>

/* --- growing the plan --- */

static bool reserve(int32_t **array, int32_t *room, int32_t count) {
    if (count < *room) {
        return true;
    }
    const int32_t wanted = 2 * count + 64;
    int32_t *grown = realloc(*array, (size_t)wanted * sizeof grown[0]);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *room = wanted;
    return true;
}

static void emit(mrt_derivation *d, uint16_t kernel, const void *params, const int32_t *in, int n_in,
                 const int32_t *out, int n_out) {
    if (!reserve(&d->step_of, &d->room_steps, d->plan->n_steps)) {
        d->failed = true;
        return;
    }
    d->step_of[d->plan->n_steps] = d->step;
    mrt_plan_add_step(d->plan, kernel, params, in, n_in, out, n_out,
                      d->source->steps[d->step].op);
}

int32_t mrt_layout_add_tensor(mrt_derivation *d, const mrt_tensor *t, mrt_tensor_kind kind,
                              int32_t origin) {
    if (!reserve(&d->origin, &d->room_tensors, d->plan->n_tensors)) {
        d->failed = true;
        return -1;
    }
    d->origin[d->plan->n_tensors] = origin;
    return mrt_plan_add_tensor(d->plan, t, kind);
}

/* --- tensors --- */

static bool can_be_last(const mrt_derivation *d, int32_t id) {
    const mrt_tensor *t = &d->source->tensors[id].info;
    return !mrt_plan_is_live(d->source, id) && (mrt_layout_is_byte(t) || t->dtype == MRT_F32) &&
           t->shape.rank >= 3 && t->shape.rank <= 5;
}

int mrt_layout_axis(int rank, int axis) {
    if (rank < 3 || axis == 0) {
        return axis;
    }
    return axis == 1 ? rank - 1 : axis - 1;
}

mrt_tensor mrt_layout_stored_form(const mrt_derivation *d, int32_t id) {
    const mrt_tensor *t = mrt_layout_info(d, id);
    mrt_tensor r = *t;
    r.name = "";
    r.data = NULL;
    r.dtype = t->dtype == MRT_F32 || d->plain[id] ? t->dtype : MRT_U8;
    r.zero_point = t->zero_point + mrt_layout_offset(d, id);
    for (int i = 0; i < t->shape.rank; ++i) {
        r.shape.dims[mrt_layout_axis(t->shape.rank, i)] = t->shape.dims[i];
    }
    return r;
}

/* Sees that the row-major bytes of a value exist. */
static void want_rows(mrt_derivation *d, int32_t id) {
    const int32_t root = d->source->tensors[id].root;
    if (!d->row_major[root]) {
        const mrt_axis_params back = {.flag = 0};
        emit(d, MRT_K_relayout, &back, &d->stored[root], 1, &root, 1);
        d->row_major[root] = true;
    }
}

/* The channels-last form of a value, made by a conversion when there is none. */
static int32_t want_last(mrt_derivation *d, int32_t id) {
    if (d->stored[id] < 0) {
        want_rows(d, id); /* an alias, whose root may be channels-last */
        const mrt_tensor form = mrt_layout_stored_form(d, id);
        const mrt_axis_params to_last = {.flag = 1};
        d->stored[id] = mrt_layout_add_tensor(d, &form, MRT_VALUE, -1);
        emit(d, MRT_K_relayout, &to_last, &id, 1, &d->stored[id], 1);
    }
    return d->stored[id];
}

static int32_t new_last(mrt_derivation *d, int32_t id) {
    const mrt_tensor form = mrt_layout_stored_form(d, id);
    d->stored[id] = mrt_layout_add_tensor(d, &form, MRT_VALUE, id);
    d->row_major[id] = false;
    return d->stored[id];
}

/* --- the walk --- */

/* True when every tensor of the step has a form, and one input already is in it if needed. */
static bool is_candidate(const mrt_derivation *d, const mrt_step *step, bool begins) {
    bool ready = begins;
    if (step->n_out != 1 || !can_be_last(d, step->out[0])) {
        return false;
    }
    for (int i = 0; i < step->n_in; ++i) {
        if (!mrt_layout_is_value(d, step->in[i])) {
            continue;
        }
        if (!can_be_last(d, step->in[i])) {
            return false;
        }
        ready = ready || d->stored[step->in[i]] >= 0;
    }
    return ready;
}

static bool emit_last(mrt_derivation *d, const mrt_step *step) {
    bool begins = false;
    mrt_draft r = {.step = step, .kernel = step->kernel->code};
    if (!mrt_layout_has_form(step, &begins) || step->kernel->param_bytes > sizeof r.params ||
        step->n_in > MRT_DRAFT_INPUTS || !is_candidate(d, step, begins)) {
        return false;
    }
    memcpy(r.in, step->in, (size_t)step->n_in * sizeof r.in[0]);
    memcpy(r.params, step->params, step->kernel->param_bytes);
    if (!mrt_layout_adapt(d, &r)) {
        return false;
    }
    for (int i = 0; i < step->n_in; ++i) {
        if (mrt_layout_is_value(d, step->in[i])) {
            r.in[i] = want_last(d, step->in[i]);
        }
    }
    const int32_t add = mrt_layout_join_add(d, &r);
    if (add >= 0) {
        d->joined[add] = true;
        step = &d->source->steps[add];
    }
    const int32_t out = new_last(d, step->out[0]);
    emit(d, r.kernel, r.params, r.in, add >= 0 ? 4 : step->n_in, &out, 1);
    return true;
}

static void emit_same(mrt_derivation *d, const mrt_step *step) {
    for (int i = 0; i < step->n_in; ++i) {
        if (mrt_layout_is_value(d, step->in[i])) {
            want_rows(d, step->in[i]);
        }
    }
    for (int i = 0; i < step->n_out; ++i) {
        d->row_major[step->out[i]] = true;
    }
    emit(d, mrt_layout_packed_kernel(d, step), step->params, step->in, step->n_in, step->out, step->n_out);
}

static void copy_tensors(mrt_derivation *d) {
    for (int32_t id = 0; id < d->source->n_tensors; ++id) {
        const mrt_plan_tensor *t = &d->source->tensors[id];
        if (!reserve(&d->origin, &d->room_tensors, id)) {
            d->failed = true;
            return;
        }
        d->origin[id] = id;
        d->stored[id] = -1;
        d->row_major[id] = t->kind != MRT_VALUE;
        if (t->alias_of >= 0) {
            mrt_plan_add_alias(d->plan, &t->info, t->alias_of);
        } else {
            mrt_plan_add_tensor(d->plan, &t->info, t->kind);
        }
    }
}

static void count_uses(mrt_derivation *d) {
    const mrt_plan *source = d->source;
    for (int32_t i = 0; i < source->n_steps; ++i) {
        for (int32_t k = 0; k < source->steps[i].n_in; ++k) {
            if (source->steps[i].in[k] >= 0) {
                ++d->uses[source->steps[i].in[k]];
            }
        }
    }
    for (int32_t id = 0; id < source->n_tensors; ++id) {
        if (source->tensors[id].alias_of >= 0) {
            ++d->uses[source->tensors[id].alias_of];
        }
    }
    for (int32_t i = 0; i < source->n_outputs; ++i) {
        ++d->uses[source->outputs[i]];
    }
}

static void walk(mrt_derivation *d) {
    const mrt_plan *source = d->source;
    copy_tensors(d);
    for (d->step = 0; d->step < source->n_steps && !d->failed; ++d->step) {
        const mrt_step *step = &source->steps[d->step];
        if (!d->joined[d->step] && !emit_last(d, step)) {
            emit_same(d, step);
        }
    }
    for (int32_t i = 0; i < source->n_symbols; ++i) {
        mrt_plan_add_symbol(d->plan, source->symbols[i].tensor, source->symbols[i].axis);
    }
    for (int32_t i = 0; i < source->n_terms; ++i) {
        mrt_plan_add_term(d->plan, &source->terms[i]);
    }
    d->step = source->n_steps - 1;
    for (int32_t i = 0; i < source->n_outputs && !d->failed; ++i) {
        want_rows(d, source->outputs[i]);
        mrt_plan_add_output(d->plan, source->outputs[i]);
    }
}

/* --- the result --- */

static bool keep_layout(mrt_derivation *d) {
    mrt_plan_memory *memory = d->plan->memory;
    mrt_bump *bump = &memory->bump;
    const int32_t tensors = d->plan->n_tensors;
    mrt_layout *l = mrt_bump_alloc(bump, sizeof *l);
    int32_t *stored = mrt_bump_array(bump, (size_t)tensors, sizeof stored[0]);
    int32_t *origin = mrt_bump_array(bump, (size_t)tensors, sizeof origin[0]);
    bool *absent = mrt_bump_array(bump, (size_t)tensors, sizeof absent[0]);
    int32_t *step_of = mrt_bump_array(bump, (size_t)d->plan->n_steps, sizeof step_of[0]);
    if (l == NULL || stored == NULL || origin == NULL || absent == NULL || step_of == NULL) {
        return false;
    }
    for (int32_t id = 0; id < tensors; ++id) {
        const bool old = id < d->source->n_tensors;
        stored[id] = old ? d->stored[id] : -1;
        origin[id] = d->origin[id];
        if (old && d->source->tensors[id].alias_of < 0) {
            absent[id] = !d->row_major[id];
            /* a value that is stored is reported when its channels-last form is written */
            const bool twice = stored[id] >= 0 && d->origin[stored[id]] == id;
            origin[id] = twice ? -1 : id;
        }
    }
    memcpy(step_of, d->step_of, (size_t)d->plan->n_steps * sizeof step_of[0]);
    *l = (mrt_layout){stored, origin, absent, step_of};
    memory->layout = l;
    return true;
}

static bool has_gain(const mrt_plan *plan) {
    for (int32_t i = 0; i < plan->n_steps; ++i) {
        const mrt_step *step = &plan->steps[i];
        const uint16_t code = step->kernel->code;
        const mrt_conv_params *conv = step->params;
        const mrt_matmul_params *matmul = step->params;
        if (code == MRT_K_conv_int || code == MRT_K_matmul_int || code == MRT_K_conv_real ||
            code == MRT_K_matmul_real ||
            (code == MRT_K_conv_f32 && conv->float_order == MRT_ORDER_BLAS) ||
            (code == MRT_K_matmul_f32 && matmul->float_order == MRT_ORDER_BLAS)) {
            return true;
        }
    }
    return false;
}

mrt_status mrt_layout_derive(const mrt_plan *source, mrt_pool *pool, mrt_plan **out_plan,
                             mrt_error *err) {
    *out_plan = NULL;
    if (!has_gain(source)) {
        return MRT_OK;
    }
    const size_t room = (size_t)source->n_tensors + 1;
    mrt_derivation d = {.source = source,
                    .plan = mrt_plan_create(),
                    .stored = malloc(room * sizeof d.stored[0]),
                    .row_major = malloc(room * sizeof d.row_major[0]),
                    .plain = malloc(room * sizeof d.plain[0]),
                    .uses = calloc(room, sizeof d.uses[0]),
                    .joined = calloc((size_t)source->n_steps + 1, sizeof d.joined[0])};
    mrt_status status = MRT_NO_MEMORY;
    if (d.plan != NULL && d.stored != NULL && d.row_major != NULL && d.plain != NULL &&
        d.uses != NULL && d.joined != NULL) {
        mrt_layout_find_plain(&d);
        if (source->outputs_only && !source->keep_all) {
            count_uses(&d);
        }
        walk(&d);
        if (!d.failed && keep_layout(&d)) {
            status = mrt_plan_finalize(d.plan, source->keep_all, err);
            status = status == MRT_OK ? mrt_plan_pack(d.plan, pool, err) : status;
        }
    }
    free(d.stored);
    free(d.row_major);
    free(d.plain);
    free(d.uses);
    free(d.joined);
    free(d.origin);
    free(d.step_of);
    if (status != MRT_OK) {
        mrt_plan_destroy(d.plan);
        return status == MRT_NO_MEMORY ? mrt_fail(err, status, "no memory for the plan") : status;
    }
    *out_plan = d.plan;
    return MRT_OK;
}

const mrt_layout *mrt_layout_of(const mrt_plan *plan) {
    return ((const mrt_plan_memory *)plan->memory)->layout;
}

static void relayout(const mrt_tensor *from, mrt_tensor *to, bool to_last) {
    const mrt_axis_params params = {.flag = to_last};
    const mrt_tensor *in[1] = {from};
    mrt_tensor *out[1] = {to};
    const mrt_call call = {.in = in, .n_in = 1, .out = out, .n_out = 1, .params = &params};
    mrt_kernel_find(MRT_K_relayout)->run(&call);
}

void mrt_layout_restore(const mrt_tensor *stored, mrt_tensor *tensor) {
    relayout(stored, tensor, false);
}

void mrt_layout_store(const mrt_tensor *tensor, mrt_tensor *stored) {
    relayout(tensor, stored, true);
}
