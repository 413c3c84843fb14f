/* Plans of ops with sizes that depend on data. The hook runs once for the plan, with all sizes at
 * their bounds, and then at other sizes into plans that are thrown away: parameters and constants
 * that differ then would be wrong at run time, so that the op is refused; the shapes of temporaries
 * show how they follow. */
#include "dialects/op_util.h"
#include "dialects/plan_impl.h"
#include "ir/builder.h"
#include "utils/vec.h"

#include <stdio.h>
#include <string.h>

typedef struct trial {
    mica_planner *planner;
    const mica_op *op;
    int32_t first_tensor, first_step;  /* of the op in the plan */
    int32_t n_tensors, n_steps;
    MICA_VEC(const mica_value *) known; /* operands that had tensors before */
    uint32_t *symbols;
    int64_t *sizes;
    mica_live_rows rows;
    mrt_shape *shapes;                  /* rows.count * n_tensors */
    char problem[320];
} trial;

/* --- one run of the hook ---------------------------------------------------------------------- */

static void set_type(const mica_live *live, const mica_value *value, const int64_t *sizes) {
    const mica_live_shape *shape = mica_live_of(live, value);
    if (shape) {
        int64_t dims[MICA_MAX_RANK];
        mica_live_eval(live, shape, sizes, dims);
        const mica_type type = shape->value->type;
        shape->value->type = mica_type_tensor(type->context, type->rank, dims,
                                              mica_type_element(type), type->encoding);
    }
}

static void set_types(const trial *t, size_t row) {
    const mica_live *live = t->planner->live;
    const int64_t *sizes = t->sizes + row * mica_live_symbol_count(live);
    for (uint32_t i = 0; i < t->op->n_operands; i++) {
        set_type(live, mica_op_operand(t->op, i), sizes);
    }
    for (uint32_t i = 0; i < t->op->n_results; i++) {
        set_type(live, mica_op_result(t->op, i), sizes);
    }
}

static void list_known(trial *t) {
    for (uint32_t i = 0; i < t->op->n_operands; i++) {
        const mica_value *value = mica_op_operand(t->op, i);
        bool listed = !mica_planner_is_known(t->planner, value);
        for (size_t k = 0; k < t->known.len; k++) {
            listed = listed || t->known.data[k] == value;
        }
        if (!listed) {
            mica_vec_push(&t->known, value);
        }
    }
}

/* Tensor of the plan that tensor `id` of a trial plan stands for. */
static int32_t real_id(const trial *t, int32_t id) {
    const int32_t n_known = (int32_t)t->known.len;
    if (id >= n_known) {
        return id - n_known + t->first_tensor;
    }
    return id < 0 ? -1 : mica_planner_value(t->planner, t->known.data[id]);
}

static bool same_ids(const trial *t, const int32_t *ids, const int32_t *real, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        if (real_id(t, ids[i]) != real[i]) {
            return false;
        }
    }
    return true;
}

static bool same_steps(const trial *t, const mrt_plan *plan) {
    if (plan->n_steps != t->n_steps) {
        return false;
    }
    for (int32_t i = 0; i < t->n_steps; i++) {
        const mrt_step *a = &plan->steps[i];
        const mrt_step *b = &t->planner->plan->steps[t->first_step + i];
        if (a->kernel != b->kernel || a->n_in != b->n_in || a->n_out != b->n_out ||
            memcmp(a->params, b->params, a->kernel->param_bytes) != 0 ||
            !same_ids(t, a->in, b->in, a->n_in) || !same_ids(t, a->out, b->out, a->n_out)) {
            return false;
        }
    }
    return true;
}

static bool same_const(const mrt_tensor *a, const mrt_tensor *b) {
    int64_t bytes = 0;
    return mrt_shape_equal(&a->shape, &b->shape) &&
           mrt_shape_bytes(&a->shape, a->dtype, &bytes) &&
           (a->data == b->data || bytes == 0 || memcmp(a->data, b->data, (size_t)bytes) == 0);
}

static bool same_tensors(trial *t, size_t row, const mrt_plan *plan) {
    if (plan->n_tensors - (int32_t)t->known.len != t->n_tensors) {
        return false;
    }
    for (int32_t i = 0; i < t->n_tensors; i++) {
        const mrt_plan_tensor *a = &plan->tensors[(int32_t)t->known.len + i];
        const mrt_plan_tensor *b = &t->planner->plan->tensors[t->first_tensor + i];
        if (a->kind != b->kind || a->info.dtype != b->info.dtype ||
            a->info.shape.rank != b->info.shape.rank || real_id(t, a->alias_of) != b->alias_of ||
            (a->kind == MRT_CONST && !same_const(&a->info, &b->info))) {
            return false;
        }
        t->shapes[row * (size_t)t->n_tensors + (size_t)i] = a->info.shape;
    }
    return true;
}

static mica_status run_hook(trial *t, size_t row) {
    mica_planner again = {.live = t->planner->live, .all_results = t->planner->all_results};
    mica_diag_capture capture;
    MICA_TRY(mica_planner_init(&again, t->planner->module));
    mica_diag_capture_begin(again.context, &capture);
    set_types(t, row);
    again.op = t->op;
    for (size_t i = 0; i < t->known.len; i++) {
        const mica_value *value = t->known.data[i];
        const bool constant = value->def && mica_op_has_trait(value->def, MICA_IS_CONSTANT);
        mica_planner_add(&again, value, constant ? MRT_CONST : MRT_INPUT);
    }
    mica_status status = mica_planner_op(&again, t->op);
    mica_diag_capture_end(again.context, &capture);
    if (status != MICA_OK) {
        snprintf(t->problem, sizeof t->problem, "with another size %.280s", capture.text);
    } else if (!same_steps(t, again.plan) || !same_tensors(t, row, again.plan)) {
        snprintf(t->problem, sizeof t->problem, "its kernel would need other parameters for every "
                                                "size");
        status = MICA_FAIL;
    }
    mica_planner_deinit(&again);
    mrt_plan_destroy(again.plan);
    return status;
}

/* --- relations -------------------------------------------------------------------------------- */

/* Symbols of the op, which come in the order of their numbers. */
static void add_symbols(trial *t) {
    mica_planner *planner = t->planner;
    while (planner->n_symbols < mica_live_symbol_count(planner->live)) {
        const mica_live_symbol *symbol = mica_live_symbol_at(planner->live, planner->n_symbols);
        if (symbol->value->def != t->op) {
            return;
        }
        mrt_plan_add_symbol(planner->plan, mica_planner_value(planner, symbol->value),
                            symbol->axis);
        planner->n_symbols++;
    }
}

static void add_result_terms(trial *t, const mica_live_shape *shape, int32_t id) {
    for (size_t i = 0; i < shape->n_terms; i++) {
        const mica_live_term *term = &shape->terms[i];
        const mica_live_symbol *symbol = mica_live_symbol_at(t->planner->live, term->symbol);
        if (symbol->value != shape->value || symbol->axis != term->axis) {
            const mrt_live_term made = {id, term->axis, (int32_t)term->symbol, term->factor};
            mrt_plan_add_term(t->planner->plan, &made);
        }
    }
}

static mica_status add_temp_terms(trial *t, int32_t index) {
    const int32_t id = t->first_tensor + index;
    const mrt_shape *bound = &t->planner->plan->tensors[id].info.shape;
    int64_t *values = mica_alloc((t->rows.count + t->rows.n_symbols + 1) * sizeof *values);
    int64_t *factors = values + t->rows.count;
    bool follows = true;
    for (int axis = 0; axis < bound->rank && follows; axis++) {
        for (size_t r = 0; r < t->rows.count; r++) {
            values[r] = t->shapes[r * (size_t)t->n_tensors + (size_t)index].dims[axis];
        }
        follows = mica_live_fit(t->planner->live, &t->rows, values, factors);
        for (size_t i = 0; i < t->rows.n_symbols && follows; i++) {
            const mrt_live_term term = {id, axis, (int32_t)t->rows.symbols[i], factors[i]};
            if (factors[i] > 0) {
                mrt_plan_add_term(t->planner->plan, &term);
            }
        }
    }
    mica_free(values);
    if (!follows) {
        snprintf(t->problem, sizeof t->problem, "an intermediate of its computation has a size "
                                                "that follows by no simple rule");
    }
    return follows ? MICA_OK : MICA_FAIL;
}

static mica_status add_terms(trial *t) {
    mica_planner *planner = t->planner;
    for (int32_t i = 0; i < t->n_tensors; i++) {
        const int32_t id = t->first_tensor + i;
        const mica_live_shape *shape = NULL;
        bool is_result = false;
        for (uint32_t r = 0; r < t->op->n_results && !is_result; r++) {
            const mica_value *value = mica_op_result(t->op, r);
            is_result = mica_planner_is_known(planner, value) &&
                        mica_planner_value(planner, value) == id;
            shape = is_result ? mica_live_of(planner->live, value) : NULL;
        }
        if (shape) {
            add_result_terms(t, shape, id);
        } else if (!is_result && planner->plan->tensors[id].kind == MRT_VALUE) {
            MICA_TRY(add_temp_terms(t, i));
        }
    }
    return MICA_OK;
}

static mica_status try_sizes(trial *t) {
    const mica_live *live = t->planner->live;
    t->n_tensors = t->planner->plan->n_tensors - t->first_tensor;
    t->n_steps = t->planner->plan->n_steps - t->first_step;
    t->rows.n_symbols = mica_live_symbols_of(live, t->op, &t->symbols);
    t->rows.count = mica_live_samples(live, t->symbols, t->rows.n_symbols, &t->sizes);
    t->rows.symbols = t->symbols;
    t->rows.sizes = t->sizes;
    t->shapes = mica_alloc(t->rows.count * ((size_t)t->n_tensors + 1) * sizeof *t->shapes);
    for (int32_t i = 0; i < t->n_tensors; i++) {
        t->shapes[i] = t->planner->plan->tensors[t->first_tensor + i].info.shape;
    }
    mica_status status = MICA_OK;
    for (size_t r = 1; r < t->rows.count && status == MICA_OK; r++) {
        status = run_hook(t, r);
    }
    set_types(t, 0);
    add_symbols(t);
    return status == MICA_OK ? add_terms(t) : MICA_FAIL;
}

mica_status mica_planner_live_op(mica_planner *planner, const mica_op *op) {
    trial t = {.planner = planner,
               .op = op,
               .first_tensor = planner->plan->n_tensors,
               .first_step = planner->plan->n_steps};
    list_known(&t);
    mica_status status = mica_planner_op(planner, op);
    if (status == MICA_OK) {
        status = try_sizes(&t);
        if (status != MICA_OK) {
            mica_live_refuse(planner->live, op, t.problem);
        }
    }
    mica_vec_free(&t.known);
    mica_free(t.symbols);
    mica_free(t.sizes);
    mica_free(t.shapes);
    return status;
}
