/* Derivation of channels-last plans: see mrt_layout.h. */
#include "runtime/mrt_layout.h"

#include "runtime/kernels/kernel_util.h"
#include "runtime/mrt_params.h"
#include "runtime/mrt_plan_private.h"
#include "runtime/mrt_quant.h"

#include <stdlib.h>
#include <string.h>

/* Steps with more are left as they are. */
enum { MAX_INPUTS = 64, MAX_PARAMS = 64 };

typedef struct derivation {
    const mrt_plan *source;
    mrt_plan *plan;
    int32_t *stored;   /* per source tensor: channels-last tensor, or -1 */
    bool *row_major;   /* per source tensor: its own bytes exist by now */
    int32_t *origin;   /* per tensor of the plan; grows with it */
    int32_t *step_of;  /* per step of the plan */
    int32_t room_tensors, room_steps;
    int32_t step;      /* of the source, at hand */
    bool failed;
} derivation;

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

static void emit(derivation *d, uint16_t kernel, const void *params, const int32_t *in, int n_in,
                 const int32_t *out, int n_out) {
    if (!reserve(&d->step_of, &d->room_steps, d->plan->n_steps)) {
        d->failed = true;
        return;
    }
    d->step_of[d->plan->n_steps] = d->step;
    mrt_plan_add_step(d->plan, kernel, params, in, n_in, out, n_out,
                      d->source->steps[d->step].op);
}

static int32_t add_tensor(derivation *d, const mrt_tensor *t, mrt_tensor_kind kind,
                          int32_t origin) {
    if (!reserve(&d->origin, &d->room_tensors, d->plan->n_tensors)) {
        d->failed = true;
        return -1;
    }
    d->origin[d->plan->n_tensors] = origin;
    return mrt_plan_add_tensor(d->plan, t, kind);
}

/* --- tensors --- */

static bool is_byte(const mrt_tensor *t) { return t->dtype == MRT_I8 || t->dtype == MRT_U8; }

static bool can_be_last(const derivation *d, int32_t id) {
    const mrt_tensor *t = &d->source->tensors[id].info;
    return !mrt_plan_is_live(d->source, id) && is_byte(t) && t->shape.rank >= 3 && t->shape.rank <= 5;
}

/* Value of the offset that turns a tensor's integers into stored ones. */
static int32_t offset_of(const mrt_tensor *t) { return t->dtype == MRT_I8 ? 128 : 0; }

/* Axis of the stored form that a row-major axis becomes. */
static int stored_axis(int rank, int axis) {
    if (rank < 3 || axis == 0) {
        return axis;
    }
    return axis == 1 ? rank - 1 : axis - 1;
}

static mrt_tensor stored_form(const mrt_tensor *t) {
    mrt_tensor r = *t;
    r.name = "";
    r.data = NULL;
    r.dtype = MRT_U8;
    r.zero_point = t->zero_point + offset_of(t);
    for (int i = 0; i < t->shape.rank; ++i) {
        r.shape.dims[stored_axis(t->shape.rank, i)] = t->shape.dims[i];
    }
    return r;
}

static const mrt_tensor *info(const derivation *d, int32_t id) {
    return &d->source->tensors[id].info;
}

/* Sees that the row-major bytes of a value exist. */
static void want_rows(derivation *d, int32_t id) {
    const int32_t root = d->source->tensors[id].root;
    if (!d->row_major[root]) {
        const mrt_axis_params back = {.flag = 0};
        emit(d, MRT_K_relayout, &back, &d->stored[root], 1, &root, 1);
        d->row_major[root] = true;
    }
}

/* The channels-last form of a value, made by a conversion when there is none. */
static int32_t want_last(derivation *d, int32_t id) {
    if (d->stored[id] < 0) {
        want_rows(d, id); /* an alias, whose root may be channels-last */
        const mrt_tensor form = stored_form(info(d, id));
        const mrt_axis_params to_last = {.flag = 1};
        d->stored[id] = add_tensor(d, &form, MRT_VALUE, -1);
        emit(d, MRT_K_relayout, &to_last, &id, 1, &d->stored[id], 1);
    }
    return d->stored[id];
}

static int32_t new_last(derivation *d, int32_t id) {
    const mrt_tensor form = stored_form(info(d, id));
    d->stored[id] = add_tensor(d, &form, MRT_VALUE, id);
    d->row_major[id] = false;
    return d->stored[id];
}

static bool is_value(const derivation *d, int32_t id) {
    return id >= 0 && d->source->tensors[id].kind != MRT_CONST;
}

/* --- kernels with a channels-last form --- */

/* A step on its way: what emit will get. `in` still names values of the source. */
typedef struct draft {
    const mrt_step *step;
    uint16_t kernel;
    int32_t in[MAX_INPUTS];
    int64_t params[MAX_PARAMS];
} draft;

/* Turns parameters and constants into those of the stored form; false: the step stays as it is. */
typedef bool adapt_fn(derivation *d, draft *r);

/* The step with stored tensors, as a check of the kernel would see it. */
static bool passes_check(derivation *d, const draft *r) {
    const mrt_step *step = r->step;
    mrt_tensor forms[MAX_INPUTS + 1];
    const mrt_tensor *in[MAX_INPUTS];
    mrt_tensor *out[1] = {&forms[MAX_INPUTS]};
    size_t scratch = 0;
    for (int i = 0; i < step->n_in; ++i) {
        const int32_t id = step->in[i];
        in[i] = NULL;
        if (id >= 0) {
            forms[i] = is_value(d, id) ? stored_form(info(d, id)) : *info(d, id);
            in[i] = &forms[i];
        }
    }
    *out[0] = stored_form(info(d, step->out[0]));
    const mrt_call call = {
        .in = in, .n_in = step->n_in, .out = out, .n_out = 1, .params = r->params};
    return mrt_kernel_find(r->kernel)->check(&call, &scratch, NULL) == MRT_OK;
}

/* A constant of the derived plan in place of input i. */
static bool replace_constant(derivation *d, draft *r, int i, const void *values, size_t bytes) {
    mrt_tensor t = *info(d, r->in[i]);
    t.name = "";
    t.data = (void *)(uintptr_t)mrt_plan_store(d->plan, values, bytes);
    r->in[i] = add_tensor(d, &t, MRT_CONST, -1);
    return t.data != NULL && r->in[i] >= 0;
}

/* Bias that takes back the offset of x, the sum of offset * w over each output channel. False when
 * sums might not fit int32 on the way [acc-bound]. */
static bool move_offset(derivation *d, draft *r) {
    const mrt_tensor *w = info(d, r->in[1]);
    const int32_t *bias = info(d, r->in[2])->data;
    const int64_t channels = w->shape.dims[0];
    const int64_t depth = mrt_shape_count(&w->shape) / channels;
    const int64_t offset = offset_of(info(d, r->in[0]));
    const int64_t bound = depth * (255 * 128 + 128 * 128);
    bool fits = depth <= MRT_ACC32_DEPTH;
    int32_t *values = malloc((size_t)channels * sizeof values[0]);
    if (values == NULL) {
        d->failed = true;
        return false;
    }
    for (int64_t oc = 0; oc < channels; ++oc) {
        const int8_t *row = (const int8_t *)w->data + oc * depth;
        int64_t sum = 0;
        for (int64_t k = 0; k < depth; ++k) {
            sum += row[k];
        }
        fits = fits && bound + (bias[oc] < 0 ? -(int64_t)bias[oc] : bias[oc]) <= INT32_MAX;
        values[oc] = fits ? (int32_t)(bias[oc] - offset * sum) : 0;
    }
    fits = fits && replace_constant(d, r, 2, values, (size_t)channels * sizeof values[0]);
    free(values);
    return fits;
}

static bool adapt_conv(derivation *d, draft *r) {
    mrt_conv_int_params *p = (void *)r->params;
    const mrt_tensor *x = info(d, r->in[0]);
    const mrt_tensor *y = info(d, r->step->out[0]);
    const mrt_tensor *w = info(d, r->in[1]);
    const bool depthwise = w->shape.dims[1] == 1 && w->shape.dims[0] == x->shape.dims[1];
    if (is_value(d, r->in[1]) || is_value(d, r->in[2]) ||
        (p->conv.group > 1 && w->shape.dims[1] < 4 && !depthwise)) {
        return false; /* tiles would be nearly empty */
    }
    p->zero_point_in += offset_of(x);
    p->zero_point_out += offset_of(y);
    p->clamp_min += offset_of(y);
    p->clamp_max += offset_of(y);
    r->kernel = MRT_K_conv_nhwc;
    return passes_check(d, r) && move_offset(d, r);
}

/* Kernels that take uint8 tensors of any shape: zero points, clamps and axes follow the form. */
static bool adapt_binary(derivation *d, draft *r) {
    mrt_binary_int_params *p = (void *)r->params;
    const mrt_tensor *a = info(d, r->in[0]);
    const mrt_tensor *b = info(d, r->in[1]);
    const mrt_tensor *y = info(d, r->step->out[0]);
    if (!is_value(d, r->in[0]) || !is_value(d, r->in[1]) || a->shape.rank != y->shape.rank ||
        b->shape.rank != y->shape.rank) {
        return false;
    }
    p->zero_point_a += offset_of(a);
    p->zero_point_b += offset_of(b);
    p->zero_point_out += offset_of(y);
    p->clamp_min += offset_of(y);
    p->clamp_max += offset_of(y);
    return passes_check(d, r);
}

static bool adapt_concat(derivation *d, draft *r) {
    mrt_axis_params *p = (void *)r->params;
    const mrt_tensor *y = info(d, r->step->out[0]);
    for (int i = 0; i < r->step->n_in; ++i) {
        if (!is_value(d, r->in[i])) {
            return false;
        }
    }
    p->axis = stored_axis(y->shape.rank, (int)p->axis);
    return passes_check(d, r);
}

static bool adapt_reduce(derivation *d, draft *r) {
    mrt_reduce_params *p = (void *)r->params;
    const mrt_tensor *x = info(d, r->in[0]);
    const mrt_tensor *y = info(d, r->step->out[0]);
    int64_t axes = 0;
    if (y->shape.rank != x->shape.rank) {
        return false;
    }
    for (int i = 0; i < x->shape.rank; ++i) {
        axes |= (p->axes >> i & 1) << stored_axis(x->shape.rank, i);
    }
    p->axes = axes;
    p->zero_point_in += offset_of(x);
    p->zero_point_out += offset_of(y);
    return passes_check(d, r);
}

/* The table is indexed by the stored byte and gives the stored byte. */
static bool adapt_lut(derivation *d, draft *r) {
    const mrt_tensor *table = info(d, r->in[1]);
    const int flip_in = offset_of(info(d, r->in[0]));
    const int flip_out = offset_of(info(d, r->step->out[0]));
    uint8_t values[256];
    if (is_value(d, r->in[1]) || table->data == NULL || mrt_shape_count(&table->shape) != 256 ||
        !is_byte(table)) {
        return false;
    }
    for (int i = 0; i < 256; ++i) {
        values[i] = (uint8_t)(((const uint8_t *)table->data)[i ^ flip_in] ^ flip_out);
    }
    if (!replace_constant(d, r, 1, values, sizeof values)) {
        return false;
    }
    d->plan->tensors[r->in[1]].info.dtype = MRT_U8;
    return true;
}

/* Kernels that can work on stored forms. */
static const struct {
    uint16_t kernel;
    bool begins; /* worth a conversion of its inputs; others only follow */
    adapt_fn *adapt;
} forms_of[] = {
    {MRT_K_conv_int, true, adapt_conv},     {MRT_K_add_int, false, adapt_binary},
    {MRT_K_mul_int, false, adapt_binary},   {MRT_K_concat, false, adapt_concat},
    {MRT_K_reduce_int, false, adapt_reduce}, {MRT_K_lut_8, false, adapt_lut},
};

/* --- the walk --- */

static int find_form(const mrt_step *step) {
    for (size_t i = 0; i < sizeof forms_of / sizeof forms_of[0]; ++i) {
        if (step->kernel->code == forms_of[i].kernel) {
            return (int)i;
        }
    }
    return -1;
}

/* True when every tensor of the step has a form, and one input already is in it if needed. */
static bool is_candidate(const derivation *d, const mrt_step *step, bool begins) {
    bool ready = begins;
    if (step->n_out != 1 || !can_be_last(d, step->out[0])) {
        return false;
    }
    for (int i = 0; i < step->n_in; ++i) {
        if (!is_value(d, step->in[i])) {
            continue;
        }
        if (!can_be_last(d, step->in[i])) {
            return false;
        }
        ready = ready || d->stored[step->in[i]] >= 0;
    }
    return ready;
}

static bool emit_last(derivation *d, const mrt_step *step) {
    const int form = find_form(step);
    draft r = {.step = step, .kernel = step->kernel->code};
    if (form < 0 || step->kernel->param_bytes > sizeof r.params || step->n_in > MAX_INPUTS ||
        !is_candidate(d, step, forms_of[form].begins)) {
        return false;
    }
    memcpy(r.in, step->in, (size_t)step->n_in * sizeof r.in[0]);
    memcpy(r.params, step->params, step->kernel->param_bytes);
    if (!forms_of[form].adapt(d, &r)) {
        return false;
    }
    for (int i = 0; i < step->n_in; ++i) {
        if (is_value(d, step->in[i])) {
            r.in[i] = want_last(d, step->in[i]);
        }
    }
    const int32_t out = new_last(d, step->out[0]);
    emit(d, r.kernel, r.params, r.in, step->n_in, &out, 1);
    return true;
}

/* The kernel that takes the step as it is with prepared constants, else its own. */
static uint16_t packed_kernel(const derivation *d, const mrt_step *step) {
    const mrt_tensor *in[MAX_INPUTS];
    size_t scratch = 0;
    if (step->kernel->code != MRT_K_matmul_int || !is_value(d, step->in[0]) ||
        mrt_plan_is_live(d->source, step->in[0])) {
        return step->kernel->code;
    }
    for (int i = 0; i < step->n_in; ++i) {
        in[i] = step->in[i] >= 0 ? info(d, step->in[i]) : NULL;
    }
    mrt_tensor y = *info(d, step->out[0]);
    mrt_tensor *out[1] = {&y};
    const mrt_call call = {
        .in = in, .n_in = step->n_in, .out = out, .n_out = 1, .params = step->params};
    const bool fits =
        mrt_kernel_find(MRT_K_matmul_packed)->check(&call, &scratch, NULL) == MRT_OK;
    return fits ? MRT_K_matmul_packed : step->kernel->code;
}

static void emit_same(derivation *d, const mrt_step *step) {
    for (int i = 0; i < step->n_in; ++i) {
        if (is_value(d, step->in[i])) {
            want_rows(d, step->in[i]);
        }
    }
    for (int i = 0; i < step->n_out; ++i) {
        d->row_major[step->out[i]] = true;
    }
    emit(d, packed_kernel(d, step), step->params, step->in, step->n_in, step->out, step->n_out);
}

static void copy_tensors(derivation *d) {
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

static void walk(derivation *d) {
    const mrt_plan *source = d->source;
    copy_tensors(d);
    for (d->step = 0; d->step < source->n_steps && !d->failed; ++d->step) {
        const mrt_step *step = &source->steps[d->step];
        if (!emit_last(d, step)) {
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

static bool keep_layout(derivation *d) {
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
        const uint16_t code = plan->steps[i].kernel->code;
        if (code == MRT_K_conv_int || code == MRT_K_matmul_int) {
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
    derivation d = {.source = source,
                    .plan = mrt_plan_create(),
                    .stored = malloc(room * sizeof d.stored[0]),
                    .row_major = malloc(room * sizeof d.row_major[0])};
    mrt_status status = MRT_NO_MEMORY;
    if (d.plan != NULL && d.stored != NULL && d.row_major != NULL) {
        walk(&d);
        if (!d.failed && keep_layout(&d)) {
            status = mrt_plan_finalize(d.plan, source->keep_all, err);
            status = status == MRT_OK ? mrt_plan_pack(d.plan, pool, err) : status;
        }
    }
    free(d.stored);
    free(d.row_major);
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

void mrt_layout_restore(const mrt_tensor *stored, mrt_tensor *tensor) {
    const mrt_axis_params back = {.flag = 0};
    const mrt_tensor *in[1] = {stored};
    mrt_tensor *out[1] = {tensor};
    const mrt_call call = {.in = in, .n_in = 1, .out = out, .n_out = 1, .params = &back};
    mrt_kernel_find(MRT_K_relayout)->run(&call);
}
