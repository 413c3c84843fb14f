/* Everything that finalize proves about a plan before it is executed: plans also come from bundles,
 * whose every byte is untrusted. */
#include "runtime/mrt_half.h"
#include "runtime/mrt_plan_private.h"

#include <math.h>
#include <stdlib.h>

static const int32_t UNDEFINED = -2; /* def_step of a value before its step is seen */

/* --- tensors --- */

static bool zero_point_fits(const mrt_tensor *info) {
    switch (info->dtype) {
    case MRT_I8:
        return info->zero_point >= -128 && info->zero_point <= 127;
    case MRT_U8:
        return info->zero_point >= 0 && info->zero_point <= 255;
    case MRT_I16:
        return info->zero_point >= -32768 && info->zero_point <= 32767;
    case MRT_U16:
        return info->zero_point >= 0 && info->zero_point <= 65535;
    default:
        return true;
    }
}

/* A constant of 4 bits holds nothing else. */
static mrt_status check_four_bits(const mrt_plan_tensor *t, mrt_error *err) {
    const uint8_t *values = t->info.data;
    const int shift = t->info.dtype == MRT_I8 ? 8 : 0; /* -8..7 becomes 0..15 */
    for (int64_t i = 0; t->info.bits == 4 && i < t->bytes; i++) {
        if ((uint8_t)(values[i] + shift) > 15) {
            return mrt_fail(err, MRT_INVALID, "constant '%s' holds a value beyond 4 bits at %lld", t->info.name,
                            (long long)i);
        }
    }
    return MRT_OK;
}

static mrt_status check_const(mrt_plan *plan, mrt_plan_tensor *t, mrt_error *err) {
    if (t->bytes == 0) {
        return MRT_OK;
    }
    if (t->info.data == NULL) {
        return mrt_fail(err, MRT_INVALID, "constant '%s' has no data", t->info.name);
    }
    /* Kernels read elements through typed pointers; a view into some file may lie anywhere. */
    if ((uintptr_t)t->info.data % mrt_dtype_bytes(t->info.dtype) != 0) {
        t->info.data = (void *)(uintptr_t)mrt_plan_store(plan, t->info.data, (size_t)t->bytes);
        if (t->info.data == NULL) {
            return mrt_fail(err, MRT_NO_MEMORY, "no memory for constant '%s'", t->info.name);
        }
    }
    MRT_TRY(check_four_bits(t, err));
    if (t->info.dtype == MRT_BOOL) {
        const uint8_t *values = t->info.data;
        for (int64_t i = 0; i < t->bytes; i++) {
            if (values[i] > 1) {
                return mrt_fail(err, MRT_INVALID, "constant '%s' holds the boolean %d at %lld",
                                t->info.name, values[i], (long long)i);
            }
        }
    }
    return MRT_OK;
}

/* True when the tensor's value exists in its channels-last form only. */
static bool is_absent(const mrt_plan *plan, int32_t id) {
    const mrt_layout *layout = mrt_layout_of(plan);
    return layout != NULL && layout->absent[id];
}

static mrt_status check_alias(mrt_plan *plan, int32_t id, mrt_error *err) {
    mrt_plan_tensor *t = &plan->tensors[id];
    if (t->kind != MRT_VALUE || t->alias_of >= id) {
        return mrt_fail(err, MRT_INVALID, "alias '%s' of tensor %d is malformed", t->info.name,
                        t->alias_of);
    }
    const mrt_plan_tensor *of = &plan->tensors[t->alias_of];
    if (of->bytes != t->bytes) {
        return mrt_fail(err, MRT_INVALID, "alias '%s' has %lld bytes but '%s' has %lld",
                        t->info.name, (long long)t->bytes, of->info.name, (long long)of->bytes);
    }
    t->root = of->root;
    return MRT_OK;
}

static mrt_status check_tensor(mrt_plan *plan, int32_t id, mrt_error *err) {
    mrt_plan_tensor *t = &plan->tensors[id];
    if (t->kind != MRT_INPUT && t->kind != MRT_CONST && t->kind != MRT_VALUE) {
        return mrt_fail(err, MRT_INVALID, "tensor '%s' has unknown kind %d", t->info.name,
                        (int)t->kind);
    }
    if (mrt_dtype_bytes(t->info.dtype) == 0) {
        return mrt_fail(err, MRT_INVALID, "tensor '%s' has unknown type %d", t->info.name,
                        (int)t->info.dtype);
    }
    if (!mrt_shape_bytes(&t->info.shape, t->info.dtype, &t->bytes) || t->bytes > MRT_MAX_BYTES) {
        return mrt_fail(err, MRT_INVALID, "tensor '%s' has an impossible shape", t->info.name);
    }
    if (!isfinite(t->info.scale) || t->info.scale < 0 ||
        (t->info.scale > 0 && !zero_point_fits(&t->info))) {
        return mrt_fail(err, MRT_INVALID, "tensor '%s' has impossible scale %g, zero point %d",
                        t->info.name, t->info.scale, t->info.zero_point);
    }
    if (t->info.bits != 0 && (t->info.bits != 4 || (t->info.dtype != MRT_I8 && t->info.dtype != MRT_U8))) {
        return mrt_fail(err, MRT_INVALID, "tensor '%s' cannot have values of %d bits", t->info.name, t->info.bits);
    }
    if (t->alias_of >= 0) {
        return check_alias(plan, id, err);
    }
    t->root = id;
    if (is_absent(plan, id)) {
        t->def_step = t->last_step = -1;
        return MRT_OK;
    }
    t->def_step = t->kind == MRT_VALUE ? UNDEFINED : -1;
    t->last_step = t->def_step;
    return t->kind == MRT_CONST ? check_const(plan, t, err) : MRT_OK;
}

/* --- steps: arity, ids, order --- */

static mrt_status step_fail(const mrt_step *step, int32_t index, mrt_error *err, const char *what,
                            int number) {
    return mrt_fail(err, MRT_INVALID, "op '%s' (step %d, %s): %s %d", step->op, index,
                    step->kernel->name, what, number);
}

static mrt_status check_inputs(mrt_plan *plan, int32_t index, mrt_error *err) {
    const mrt_step *step = &plan->steps[index];
    const mrt_kernel *kernel = step->kernel;
    for (int32_t i = 0; i < step->n_in; i++) {
        const int32_t id = step->in[i];
        const bool optional =
            i >= kernel->min_in || (i == 2 && (kernel->flags & MRT_OPTIONAL_2) != 0);
        if (id == -1 && optional) {
            continue;
        }
        if (id == -1) {
            return step_fail(step, index, err, "no tensor for required input", i);
        }
        if (id < 0 || id >= plan->n_tensors) {
            return step_fail(step, index, err, "input is unknown tensor", id);
        }
        mrt_plan_tensor *root = &plan->tensors[plan->tensors[id].root];
        if (root->def_step == UNDEFINED) {
            return mrt_fail(err, MRT_INVALID, "op '%s' (step %d, %s): '%s' is read before it is "
                            "computed", step->op, index, kernel->name,
                            plan->tensors[id].info.name);
        }
        root->last_step = index;
    }
    return MRT_OK;
}

static mrt_status check_outputs(mrt_plan *plan, int32_t index, mrt_error *err) {
    const mrt_step *step = &plan->steps[index];
    for (int32_t i = 0; i < step->n_out; i++) {
        const int32_t id = step->out[i];
        if (id < 0 || id >= plan->n_tensors) {
            return step_fail(step, index, err, "output is unknown tensor", id);
        }
        mrt_plan_tensor *t = &plan->tensors[id];
        if (t->kind != MRT_VALUE || t->alias_of >= 0) {
            return mrt_fail(err, MRT_INVALID, "op '%s' (step %d, %s): '%s' cannot be written",
                            step->op, index, step->kernel->name, t->info.name);
        }
        if (t->def_step != UNDEFINED) {
            return mrt_fail(err, MRT_INVALID, "op '%s' (step %d, %s): '%s' is computed twice",
                            step->op, index, step->kernel->name, t->info.name);
        }
        t->def_step = index;
        t->last_step = index;
    }
    return MRT_OK;
}

static mrt_status check_step(mrt_plan *plan, int32_t index, mrt_error *err) {
    const mrt_step *step = &plan->steps[index];
    const mrt_kernel *kernel = step->kernel;
    if (step->n_in < kernel->min_in || (kernel->max_in >= 0 && step->n_in > kernel->max_in)) {
        return step_fail(step, index, err, "wrong number of inputs:", step->n_in);
    }
    if (step->n_out < kernel->min_out || (kernel->max_out >= 0 && step->n_out > kernel->max_out)) {
        return step_fail(step, index, err, "wrong number of outputs:", step->n_out);
    }
    MRT_TRY(check_inputs(plan, index, err));
    return check_outputs(plan, index, err);
}

mrt_status mrt_plan_check_graph(mrt_plan *plan, mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        MRT_TRY(check_tensor(plan, id, err));
    }
    memory->max_in = memory->max_out = 0;
    for (int32_t i = 0; i < plan->n_steps; i++) {
        MRT_TRY(check_step(plan, i, err));
        const mrt_step *step = &plan->steps[i];
        memory->max_in = step->n_in > memory->max_in ? step->n_in : memory->max_in;
        memory->max_out = step->n_out > memory->max_out ? step->n_out : memory->max_out;
    }
    for (int32_t i = 0; i < plan->n_outputs; i++) {
        plan->tensors[plan->tensors[plan->outputs[i]].root].last_step = plan->n_steps;
    }
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        mrt_plan_tensor *t = &plan->tensors[id];
        const mrt_plan_tensor *root = &plan->tensors[t->root];
        if (root->def_step == UNDEFINED) {
            return mrt_fail(err, MRT_INVALID, "tensor '%s' is never computed", t->info.name);
        }
        t->def_step = root->def_step;
        t->last_step = root->last_step;
        if (root->kind == MRT_CONST) {
            t->info.data = root->info.data;
        }
    }
    return MRT_OK;
}

/* --- float storage --- */

static bool is_shadowed(const mrt_plan *plan, const mrt_step *step, int32_t id) {
    return id >= 0 && mrt_kernel_sees_f32(step->kernel, plan->tensors[id].info.dtype);
}

bool mrt_step_has_shadows(const mrt_plan *plan, const mrt_step *step) {
    for (int32_t i = 0; i < step->n_in; i++) {
        if (is_shadowed(plan, step, step->in[i])) {
            return true;
        }
    }
    for (int32_t i = 0; i < step->n_out; i++) {
        if (is_shadowed(plan, step, step->out[i])) {
            return true;
        }
    }
    return false;
}

/* Bytes of the f32 twin: at most twice those of a tensor, whose size is bounded. */
static int64_t f32_bytes(const mrt_plan_tensor *t) {
    return t->bytes / (int64_t)mrt_dtype_bytes(t->info.dtype) * (int64_t)sizeof(float);
}

/* Adds the f32 twin of tensor `id`; NULL when the scratch gets too large. */
static mrt_tensor *add_shadow(const mrt_plan *plan, const mrt_tensor *seen, int32_t id,
                              bool is_out, void *scratch, mrt_binding *binding) {
    const mrt_plan_memory *memory = plan->memory;
    const mrt_plan_tensor *t = &plan->tensors[id];
    mrt_shadow *shadow = &binding->shadows[binding->n_shadows++];
    const bool same = plan->tensors[t->root].info.dtype == t->info.dtype;
    const float *widened = same ? memory->widened[t->root] : NULL;
    *shadow = (mrt_shadow){.tensor = *seen, .id = id, .is_out = is_out};
    shadow->tensor.dtype = MRT_F32;
    shadow->tensor.data = NULL;
    if (widened != NULL) {
        shadow->is_const = true;
        shadow->tensor.data = (void *)(uintptr_t)widened;
        return &shadow->tensor;
    }
    if (scratch != NULL) {
        shadow->tensor.data = (uint8_t *)scratch + binding->shadow_bytes;
    }
    binding->shadow_bytes += (size_t)mrt_align_up(f32_bytes(t));
    return binding->shadow_bytes <= (size_t)MRT_MAX_BYTES ? &shadow->tensor : NULL;
}

bool mrt_step_bind(const mrt_plan *plan, const mrt_step *step, mrt_tensor *tensors, void *scratch,
                   mrt_binding *binding) {
    binding->n_shadows = 0;
    binding->shadow_bytes = 0;
    for (int32_t i = 0; i < step->n_in; i++) {
        const int32_t id = step->in[i];
        binding->in[i] = id >= 0 ? &tensors[id] : NULL;
        if (is_shadowed(plan, step, id)) {
            binding->in[i] = add_shadow(plan, &tensors[id], id, false, scratch, binding);
            if (binding->in[i] == NULL) {
                return false;
            }
        }
    }
    for (int32_t i = 0; i < step->n_out; i++) {
        const int32_t id = step->out[i];
        binding->out[i] = &tensors[id];
        if (is_shadowed(plan, step, id)) {
            binding->out[i] = add_shadow(plan, &tensors[id], id, true, scratch, binding);
            if (binding->out[i] == NULL) {
                return false;
            }
        }
    }
    return true;
}

/* Converts the f16, bf16 and f64 constants of a step once, for all executors of the plan. */
static mrt_status widen_constants(mrt_plan *plan, const mrt_step *step, mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    for (int32_t i = 0; i < step->n_in; i++) {
        if (!is_shadowed(plan, step, step->in[i])) {
            continue;
        }
        const mrt_plan_tensor *t = &plan->tensors[step->in[i]];
        /* By root, but an alias may read the same bytes as another float type. */
        const mrt_plan_tensor *root = &plan->tensors[t->root];
        if (root->kind != MRT_CONST || root->info.dtype != t->info.dtype ||
            memory->widened[t->root] != NULL || t->bytes == 0) {
            continue;
        }
        float *copy = mrt_bump_alloc(&memory->bump, (size_t)f32_bytes(t));
        if (copy == NULL) {
            return mrt_fail(err, MRT_NO_MEMORY, "no memory for constant '%s'", t->info.name);
        }
        mrt_half_to_f32(t->info.dtype, t->info.data, copy,
                        mrt_shape_count(&t->info.shape), NULL);
        memory->widened[t->root] = copy;
    }
    return MRT_OK;
}

/* --- kernels --- */

static mrt_status check_kernel(mrt_plan *plan, int32_t index, mrt_tensor *tensors,
                               mrt_binding *binding, mrt_error *err) {
    mrt_step *step = &plan->steps[index];
    MRT_TRY(widen_constants(plan, step, err));
    if (!mrt_step_bind(plan, step, tensors, NULL, binding)) {
        return mrt_fail(err, MRT_INVALID, "op '%s': operands are too large", step->op);
    }
    const mrt_call call = {.in = binding->in,
                           .n_in = step->n_in,
                           .out = binding->out,
                           .n_out = step->n_out,
                           .params = step->params};
    size_t own = 0;
    mrt_error reason = {{0}};
    const mrt_status status = step->kernel->check(&call, &own, &reason);
    if (status != MRT_OK) {
        return mrt_fail(err, status, "op '%s' (step %d, %s): %.400s", step->op, index,
                        step->kernel->name, reason.text);
    }
    if (own > (size_t)MRT_MAX_BYTES) {
        return mrt_fail(err, MRT_INVALID, "op '%s' (step %d, %s): scratch is too large", step->op,
                        index, step->kernel->name);
    }
    const size_t bytes = binding->shadow_bytes + (size_t)mrt_align_up((int64_t)own);
    step->scratch = bytes > step->scratch ? bytes : step->scratch;
    if ((int64_t)step->scratch > plan->scratch_bytes) {
        plan->scratch_bytes = (int64_t)step->scratch;
    }
    return MRT_OK;
}

/* Puts the live shapes of a step's operands into `tensors`. Sizes that the step itself decides stay
 * at their bounds: that is what its kernel is asked about. */
static void shrink(const mrt_plan *plan, int32_t index, const int64_t *live, mrt_tensor *tensors) {
    const mrt_step *step = &plan->steps[index];
    for (int32_t i = 0; i < step->n_in + step->n_out; i++) {
        const int32_t id = i < step->n_in ? step->in[i] : step->out[i - step->n_in];
        if (id >= 0) {
            mrt_plan_live_shape(plan, id, live, &tensors[id].shape);
        }
    }
}

/* live[h * n_symbols + s]: the bound of symbol s halved h times, up to the row of zeros. Returns the
 * number of rows, 0 without memory. */
static int32_t halved_sizes(const mrt_plan *plan, int64_t **out_live) {
    const size_t n = (size_t)plan->n_symbols;
    int64_t *live = calloc(65 * (n + 1), sizeof live[0]);
    int32_t rows = live != NULL;
    bool more = live != NULL;
    while (more && rows < 65) {
        more = false;
        for (size_t s = 0; s < n; s++) {
            const mrt_live_symbol *symbol = &plan->symbols[s];
            const int64_t bound = plan->tensors[symbol->tensor].info.shape.dims[symbol->axis];
            const int64_t above = rows == 1 ? bound : live[(size_t)(rows - 1) * n + s];
            live[s] = bound;
            live[(size_t)rows * n + s] = above / 2;
            more = more || above / 2 > 0;
        }
        rows += n > 0;
    }
    *out_live = live;
    return rows;
}

/* Checks a step at its bounds and, when sizes depend on data, at halves of the bounds down to 0:
 * scratch has to do for all sizes. */
static mrt_status check_sizes(mrt_plan *plan, int32_t index, mrt_tensor *tensors, int64_t *live,
                              int32_t rows, mrt_binding *binding, mrt_error *err) {
    const mrt_plan_memory *memory = plan->memory;
    plan->steps[index].scratch = 0;
    MRT_TRY(check_kernel(plan, index, tensors, binding, err));
    if (memory->step_live == NULL || memory->step_live[index] == 0) {
        return MRT_OK;
    }
    mrt_status status = MRT_OK;
    for (int32_t h = 1; h < rows && status == MRT_OK; h++) {
        int64_t *row = live + (size_t)h * (size_t)plan->n_symbols;
        for (int32_t s = memory->step_symbol[index]; s >= 0; s = memory->symbol_next[s]) {
            row[s] = live[s];
        }
        shrink(plan, index, row, tensors);
        status = check_kernel(plan, index, tensors, binding, err);
        for (int32_t s = memory->step_symbol[index]; s >= 0; s = memory->symbol_next[s]) {
            row[s] = h < 63 ? live[s] >> h : 0;
        }
    }
    shrink(plan, index, live, tensors);
    return status;
}

mrt_status mrt_plan_check_kernels(mrt_plan *plan, mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    const size_t n_in = (size_t)memory->max_in, n_out = (size_t)memory->max_out;
    /* One table of tensors for all steps; shadows only where a step needs them. */
    mrt_tensor *tensors = calloc((size_t)plan->n_tensors + 1, sizeof tensors[0]);
    mrt_binding binding = {.in = calloc(n_in + 1, sizeof(void *)),
                           .out = calloc(n_out + 1, sizeof(void *)),
                           .shadows = calloc(n_in + n_out + 1, sizeof(mrt_shadow))};
    int64_t *live = NULL;
    const int32_t rows = halved_sizes(plan, &live);
    memory->widened =
        mrt_bump_array(&memory->bump, (size_t)plan->n_tensors, sizeof memory->widened[0]);
    mrt_status status = MRT_OK;
    if (tensors == NULL || binding.in == NULL || binding.out == NULL || binding.shadows == NULL ||
        live == NULL || memory->widened == NULL) {
        status = mrt_fail(err, MRT_NO_MEMORY, "no memory to check the plan");
    }
    for (int32_t id = 0; status == MRT_OK && id < plan->n_tensors; id++) {
        tensors[id] = plan->tensors[id].info;
    }
    plan->scratch_bytes = 0;
    for (int32_t i = 0; status == MRT_OK && i < plan->n_steps; i++) {
        status = check_sizes(plan, i, tensors, live, rows, &binding, err);
    }
    free(live);
    free(tensors);
    free(binding.in);
    free(binding.out);
    free(binding.shadows);
    return status;
}
