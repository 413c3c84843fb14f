/* Sizes that depend on data. What is proved here makes every live dimension lie between 0 and the
 * planned one, whatever a kernel or a bundle says; whether the live shapes of one step fit each
 * other is asked of its kernel at run time. */
#include "runtime/mrt_plan_private.h"

/* Steps times symbols that finalize may look at: halving the sizes is a matter of both. */
#define MAX_SYMBOLS 4096

static mrt_status check_symbol(const mrt_plan *plan, int32_t index, mrt_error *err) {
    const mrt_live_symbol *symbol = &plan->symbols[index];
    if (symbol->tensor < 0 || symbol->tensor >= plan->n_tensors) {
        return mrt_fail(err, MRT_INVALID, "size %d belongs to unknown tensor %d", index,
                        symbol->tensor);
    }
    const mrt_plan_tensor *t = &plan->tensors[symbol->tensor];
    if (t->kind != MRT_VALUE || t->alias_of >= 0 || symbol->axis < 0 ||
        symbol->axis >= t->info.shape.rank) {
        return mrt_fail(err, MRT_INVALID, "size %d cannot be dimension %d of '%s'", index,
                        symbol->axis, t->info.name);
    }
    const mrt_step *step = &plan->steps[t->def_step];
    if ((step->kernel->flags & MRT_WRITES_SHAPE) == 0) {
        return mrt_fail(err, MRT_INVALID, "op '%s' (step %d, %s): dimension %d of '%s' cannot "
                        "depend on data", step->op, t->def_step, step->kernel->name, symbol->axis,
                        t->info.name);
    }
    return MRT_OK;
}

static mrt_status check_term(const mrt_plan *plan, const mrt_live_term *term, mrt_error *err) {
    if (term->tensor < 0 || term->tensor >= plan->n_tensors || term->symbol < 0 ||
        term->symbol >= plan->n_symbols || term->factor < 1) {
        return mrt_fail(err, MRT_INVALID, "a term of tensor %d, size %d, factor %lld is malformed",
                        term->tensor, term->symbol, (long long)term->factor);
    }
    const mrt_plan_tensor *t = &plan->tensors[term->tensor];
    const mrt_live_symbol *symbol = &plan->symbols[term->symbol];
    if (t->kind != MRT_VALUE || plan->tensors[t->root].kind != MRT_VALUE || term->axis < 0 ||
        term->axis >= t->info.shape.rank || t->def_step < plan->tensors[symbol->tensor].def_step) {
        return mrt_fail(err, MRT_INVALID, "dimension %d of '%s' cannot follow '%s'", term->axis,
                        t->info.name, plan->tensors[symbol->tensor].info.name);
    }
    return MRT_OK;
}

/* Terms by tensor. The own dimensions of symbols come first, so that a second one, or a term on the
 * same dimension, is found by the sum. */
static mrt_status sort_terms(mrt_plan *plan, mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    const size_t n = (size_t)plan->n_tensors;
    int32_t *first = mrt_bump_array(&memory->bump, n + 2, sizeof first[0]);
    memory->live_terms = mrt_bump_array(
        &memory->bump, (size_t)plan->n_terms + (size_t)plan->n_symbols, sizeof(mrt_live_term));
    if (first == NULL || memory->live_terms == NULL) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for the plan's sizes");
    }
    for (int32_t i = 0; i < plan->n_symbols; i++) {
        first[plan->symbols[i].tensor + 2]++;
    }
    for (int32_t i = 0; i < plan->n_terms; i++) {
        first[plan->terms[i].tensor + 2]++;
    }
    for (size_t i = 2; i < n + 2; i++) {
        first[i] += first[i - 1];
    }
    for (int32_t i = 0; i < plan->n_symbols; i++) {
        const mrt_live_symbol *s = &plan->symbols[i];
        memory->live_terms[first[s->tensor + 1]++] = (mrt_live_term){s->tensor, s->axis, i, 1};
    }
    for (int32_t i = 0; i < plan->n_terms; i++) {
        memory->live_terms[first[plan->terms[i].tensor + 1]++] = plan->terms[i];
    }
    memory->term_first = first;
    return MRT_OK;
}

/* With all symbols at 0 no dimension may be negative. */
static mrt_status check_bounds(const mrt_plan *plan, mrt_error *err) {
    const mrt_plan_memory *memory = plan->memory;
    for (int32_t id = 0; id < plan->n_tensors; id++) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        mrt_shape lowest = t->info.shape;
        for (int32_t i = memory->term_first[id]; i < memory->term_first[id + 1]; i++) {
            const mrt_live_term *term = &memory->live_terms[i];
            const mrt_live_symbol *s = &plan->symbols[term->symbol];
            const int64_t bound = plan->tensors[s->tensor].info.shape.dims[s->axis];
            int64_t drop;
            if (__builtin_mul_overflow(bound, term->factor, &drop) ||
                drop > lowest.dims[term->axis]) {
                return mrt_fail(err, MRT_INVALID, "dimension %d of '%s' would get negative",
                                term->axis, t->info.name);
            }
            lowest.dims[term->axis] -= drop;
        }
    }
    return MRT_OK;
}

static mrt_status index_steps(mrt_plan *plan, mrt_error *err) {
    mrt_plan_memory *memory = plan->memory;
    const size_t n_steps = (size_t)plan->n_steps, n_symbols = (size_t)plan->n_symbols;
    memory->step_symbol = mrt_bump_array(&memory->bump, n_steps, sizeof(int32_t));
    memory->symbol_next = mrt_bump_array(&memory->bump, n_symbols, sizeof(int32_t));
    memory->step_live = mrt_bump_alloc(&memory->bump, n_steps);
    if (memory->bump.failed) {
        return mrt_fail(err, MRT_NO_MEMORY, "no memory for the plan's sizes");
    }
    for (int32_t i = 0; i < plan->n_steps; i++) {
        const mrt_step *step = &plan->steps[i];
        memory->step_symbol[i] = -1;
        for (int32_t k = 0; k < step->n_in + step->n_out; k++) {
            const int32_t id = k < step->n_in ? step->in[k] : step->out[k - step->n_in];
            memory->step_live[i] |= id >= 0 && mrt_plan_is_live(plan, id);
        }
    }
    for (int32_t i = 0; i < plan->n_symbols; i++) {
        const int32_t step = plan->tensors[plan->symbols[i].tensor].def_step;
        memory->symbol_next[i] = memory->step_symbol[step];
        memory->step_symbol[step] = i;
    }
    return MRT_OK;
}

mrt_status mrt_plan_check_live(mrt_plan *plan, mrt_error *err) {
    if (plan->n_symbols == 0 && plan->n_terms == 0) {
        return MRT_OK;
    }
    if (plan->n_symbols > MAX_SYMBOLS) {
        return mrt_fail(err, MRT_UNSUPPORTED, "%d sizes depend on data, more than %d",
                        plan->n_symbols, MAX_SYMBOLS);
    }
    for (int32_t i = 0; i < plan->n_symbols; i++) {
        MRT_TRY(check_symbol(plan, i, err));
    }
    for (int32_t i = 0; i < plan->n_terms; i++) {
        MRT_TRY(check_term(plan, &plan->terms[i], err));
    }
    MRT_TRY(sort_terms(plan, err));
    MRT_TRY(check_bounds(plan, err));
    return index_steps(plan, err);
}

void mrt_plan_live_shape(const mrt_plan *plan, int32_t tensor, const int64_t *live,
                         mrt_shape *out) {
    const mrt_plan_memory *memory = plan->memory;
    *out = plan->tensors[tensor].info.shape;
    for (int32_t i = memory->term_first[tensor]; i < memory->term_first[tensor + 1]; i++) {
        const mrt_live_term *term = &memory->live_terms[i];
        const mrt_live_symbol *s = &plan->symbols[term->symbol];
        const int64_t bound = plan->tensors[s->tensor].info.shape.dims[s->axis];
        out->dims[term->axis] -= term->factor * (bound - live[term->symbol]);
    }
}

bool mrt_plan_depends_on_data(const mrt_plan *plan, int32_t tensor) {
    return tensor >= 0 && tensor < plan->n_tensors && mrt_plan_is_live(plan, tensor);
}
