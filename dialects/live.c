#include "dialects/live.h"

#include "dialects/op_util.h"
#include "ir/builder.h"
#include "ir/ptr_map.h"
#include "utils/vec.h"

#include <stdio.h>
#include <string.h>

struct mica_live {
    mica_context *context;
    mica_arena *arena;
    mica_ptr_map shapes; /* value -> mica_live_shape */
    MICA_VEC(mica_live_shape *) all;
    MICA_VEC(mica_live_symbol) symbols;
};

mica_live *mica_live_create(mica_context *context) {
    mica_live *live = mica_alloc(sizeof *live);
    live->context = context;
    live->arena = mica_arena_create();
    return live;
}

void mica_live_destroy(mica_live *live) {
    if (!live) {
        return;
    }
    mica_ptr_map_free(&live->shapes);
    mica_vec_free(&live->all);
    mica_vec_free(&live->symbols);
    mica_arena_destroy(live->arena);
    mica_free(live);
}

const mica_live_shape *mica_live_of(const mica_live *live, const mica_value *value) {
    return live->all.len > 0 && value ? mica_ptr_map_get_pointer(&live->shapes, value) : NULL;
}

size_t mica_live_symbol_count(const mica_live *live) { return live->symbols.len; }

const mica_live_symbol *mica_live_symbol_at(const mica_live *live, size_t index) {
    return &live->symbols.data[index];
}

bool mica_live_is_source(const mica_live *live, const mica_op *op) {
    if (!mica_op_has_trait(op, MICA_SIZES_ITSELF)) {
        return false;
    }
    for (uint32_t r = 0; r < op->n_results; r++) {
        const mica_live_shape *shape = mica_live_of(live, mica_op_result(op, r));
        for (size_t i = 0; shape && i < shape->n_terms; i++) {
            if (live->symbols.data[shape->terms[i].symbol].value->def == op) {
                return true;
            }
        }
    }
    return false;
}

const char *mica_live_origin(const mica_live *live, const mica_live_shape *shape) {
    const mica_value *value = live->symbols.data[shape->terms[0].symbol].value;
    return mica_arena_printf(live->arena, "'%s' (%s)", mica_value_name(value), value->def->name);
}

void mica_live_eval(const mica_live *live, const mica_live_shape *shape, const int64_t *sizes,
                    int64_t *out_dims) {
    memcpy(out_dims, shape->bound, (size_t)shape->rank * sizeof *out_dims);
    for (size_t i = 0; i < shape->n_terms; i++) {
        const mica_live_term *term = &shape->terms[i];
        const int64_t lacking = live->symbols.data[term->symbol].bound - sizes[term->symbol];
        out_dims[term->axis] -= term->factor * lacking;
    }
}

/* --- types ------------------------------------------------------------------------------------ */

static mica_type with_dims(mica_type type, const mica_live_shape *shape, const int64_t *dims) {
    return mica_type_tensor(type->context, shape->rank, dims, mica_type_element(type),
                            mica_type_is_tensor(type) ? type->encoding : NULL);
}

static mica_type unknown_type(const mica_live_shape *shape) {
    int64_t dims[MICA_MAX_RANK];
    memcpy(dims, shape->bound, sizeof dims);
    for (size_t i = 0; i < shape->n_terms; i++) {
        dims[shape->terms[i].axis] = MICA_DYNAMIC;
    }
    return with_dims(shape->value->type, shape, dims);
}

void mica_live_bind(const mica_live *live) {
    for (size_t i = 0; i < live->all.len; i++) {
        const mica_live_shape *shape = live->all.data[i];
        shape->value->type = with_dims(shape->value->type, shape, shape->bound);
    }
}

void mica_live_unbind(const mica_live *live) {
    for (size_t i = 0; i < live->all.len; i++) {
        live->all.data[i]->value->type = unknown_type(live->all.data[i]);
    }
}

mica_status mica_infer_data_size(const mica_op *op, const mica_shape *shape, int axis,
                                 mica_type element, mica_type *out) {
    MICA_TRY(mica_infer_shape_result(op, shape, element, out));
    /* The encoding is a note to see_results; no op keeps such a type. */
    *out = mica_type_tensor(mica_op_context(op), shape->rank, shape->dims, element,
                            mica_attr_i64(mica_op_context(op), axis));
    return MICA_OK;
}

/* --- samples ---------------------------------------------------------------------------------- */

static bool lists(const uint32_t *symbols, size_t n, uint32_t symbol) {
    for (size_t i = 0; i < n; i++) {
        if (symbols[i] == symbol) {
            return true;
        }
    }
    return false;
}

size_t mica_live_symbols_of(const mica_live *live, const mica_op *op, uint32_t **out_symbols) {
    MICA_VEC(uint32_t) found = {0};
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const mica_live_shape *shape = mica_live_of(live, mica_op_operand(op, i));
        for (size_t k = 0; shape && k < shape->n_terms; k++) {
            if (!lists(found.data, found.len, shape->terms[k].symbol)) {
                mica_vec_push(&found, shape->terms[k].symbol);
            }
        }
    }
    *out_symbols = found.data;
    return found.len;
}

/* Sizes of one symbol alone, then of all together; what follows symbols by a rule that is not of our
 * form shows at 0, at 1, next to the bound or between. */
enum { ALONE = 5, TOGETHER = 6 };

static int64_t sample_alone(int64_t bound, int k) {
    const int64_t sizes[ALONE] = {bound - 1, bound / 2, bound / 3, bound > 1, 0};
    return sizes[k];
}

static int64_t sample_together(int64_t bound, size_t i, int k) {
    switch (k) {
    case 0:
        return 0;
    case 1:
        return bound > 1;
    case 2:
        return bound - 1;
    case 3:
        return bound / 2;
    default: /* different shares */
        return (int64_t)((uint64_t)bound / 7 * ((i * 3 + (size_t)k) % 7)) + (k == 4 && bound > 7);
    }
}

size_t mica_live_samples(const mica_live *live, const uint32_t *symbols, size_t n_symbols,
                         int64_t **out_rows) {
    const size_t width = live->symbols.len;
    const size_t n_rows = 1 + ALONE * n_symbols + (n_symbols > 1 ? TOGETHER : 0);
    int64_t *rows = mica_alloc(n_rows * (width + 1) * sizeof *rows);
    for (size_t r = 0; r < n_rows; r++) {
        int64_t *row = rows + r * width;
        for (size_t s = 0; s < width; s++) {
            row[s] = live->symbols.data[s].bound;
        }
        for (size_t i = 0; r > 0 && i < n_symbols; i++) {
            const int64_t bound = live->symbols.data[symbols[i]].bound;
            const size_t alone = (r - 1) / ALONE;
            if (r > ALONE * n_symbols) {
                row[symbols[i]] = sample_together(bound, i, (int)(r - 1 - ALONE * n_symbols));
            } else if (alone == i) {
                row[symbols[i]] = sample_alone(bound, (int)((r - 1) % ALONE));
            }
        }
    }
    *out_rows = rows;
    return n_rows;
}

bool mica_live_fit(const mica_live *live, const mica_live_rows *rows, const int64_t *values,
                   int64_t *out_factors) {
    const size_t width = live->symbols.len;
    for (size_t i = 0; i < rows->n_symbols; i++) {
        out_factors[i] = values[0] - values[1 + ALONE * i]; /* there the bound lacks 1 */
        if (out_factors[i] < 0) {
            return false;
        }
    }
    for (size_t r = 1; r < rows->count; r++) {
        int64_t expected = values[0];
        for (size_t i = 0; i < rows->n_symbols; i++) {
            const uint32_t symbol = rows->symbols[i];
            expected -= out_factors[i] *
                        (live->symbols.data[symbol].bound - rows->sizes[r * width + symbol]);
        }
        if (values[r] != expected) {
            return false;
        }
    }
    return true;
}

/* --- an op at other sizes ------------------------------------------------------------------------ */

/* A copy of an op whose operands have the shapes of one sample; not part of any module. */
typedef struct probe {
    mica_op op;
    mica_value *values;
} probe;

static probe make_probe(const mica_op *op) {
    probe p = {.op = *op, .values = mica_alloc((op->n_operands + 1u) * sizeof(mica_value))};
    p.op.operands = mica_alloc((op->n_operands + 1u) * sizeof(mica_use));
    for (uint32_t i = 0; i < op->n_operands; i++) {
        p.values[i] = *mica_op_operand(op, i);
        p.op.operands[i] = (mica_use){.value = &p.values[i], .user = &p.op, .index = i};
    }
    return p;
}

static void free_probe(probe *p) {
    mica_free(p->values);
    mica_free(p->op.operands);
}

static void set_sizes(const mica_live *live, const mica_op *op, probe *p, const int64_t *sizes) {
    int64_t dims[MICA_MAX_RANK];
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const mica_live_shape *shape = mica_live_of(live, mica_op_operand(op, i));
        if (shape) {
            mica_live_eval(live, shape, sizes, dims);
            p->values[i].type = with_dims(shape->value->type, shape, dims);
        }
    }
}

static mica_status infer_probe(const probe *p, mica_type *types) {
    const mica_op *op = &p->op;
    if (op->info && op->info->infer) {
        return op->info->infer(op, types);
    }
    if (op->n_results == 1 && mica_op_has_trait(op, MICA_SAME_SHAPE)) {
        const mica_type x = mica_op_operand(op, 0)->type;
        types[0] = mica_type_tensor(x->context, x->rank, x->dims,
                                    mica_type_element(mica_op_result(op, 0)->type), NULL);
        return MICA_OK;
    }
    return mica_op_error(op, "has no rule for the shape of its results");
}

/* --- relations ----------------------------------------------------------------------------------- */

typedef struct study {
    mica_live *live;
    mica_op *op;
    uint32_t *symbols; /* of the operands */
    size_t n_symbols, n_rows;
    int64_t *rows;
    mica_type *types;  /* n_rows * n_results */
    char problem[320]; /* what is not of our form, "" */
} study;

static mica_type type_at(const study *s, size_t row, uint32_t result) {
    return s->types[row * s->op->n_results + result];
}

static mica_status run_samples(study *s) {
    mica_live *live = s->live;
    const size_t n = s->op->n_results, errors = mica_error_count(live->context);
    s->n_rows = mica_live_samples(live, s->symbols, s->n_symbols, &s->rows);
    s->types = mica_alloc(s->n_rows * (n + 1) * sizeof *s->types);
    probe p = make_probe(s->op);
    mica_status status = MICA_OK;
    for (size_t r = 0; r < s->n_rows && status == MICA_OK; r++) {
        mica_diag_capture capture = {.text = ""};
        set_sizes(live, s->op, &p, s->rows + r * live->symbols.len);
        if (r > 0) {
            mica_diag_capture_begin(live->context, &capture);
        }
        status = infer_probe(&p, s->types + r * n);
        if (r > 0) {
            mica_diag_capture_end(live->context, &capture);
        }
        for (uint32_t k = 0; k < n && status == MICA_OK; k++) {
            const mica_type type = type_at(s, r, k);
            const bool known = mica_type_is_none(type) ||
                               (mica_type_is_static(type) && type->rank == type_at(s, 0, k)->rank);
            status = known ? MICA_OK : MICA_FAIL;
        }
        if (status != MICA_OK && (r > 0 || capture.text[0] || mica_error_count(live->context) == errors)) {
            snprintf(s->problem, sizeof s->problem, "with another size %.280s",
                     capture.text[0] ? capture.text : "the shape of its result is unknown");
        }
    }
    free_probe(&p);
    return status;
}

/* Values of one dimension in all samples. */
static int64_t *dimension(const study *s, uint32_t result, int axis) {
    int64_t *values = mica_alloc(s->n_rows * sizeof *values);
    for (size_t r = 0; r < s->n_rows; r++) {
        values[r] = type_at(s, r, result)->dims[axis];
    }
    return values;
}

static bool is_linear(const study *s, uint32_t result, int axis, int64_t *out_factors) {
    int64_t *values = dimension(s, result, axis);
    const mica_live_rows rows = {s->symbols, s->n_symbols, s->rows, s->n_rows};
    const bool linear = mica_live_fit(s->live, &rows, values, out_factors);
    mica_free(values);
    return linear;
}

/* The symbol of a dimension that the kernel decides. Results of one op whose hook says so share it:
 * they have as many elements. */
static uint32_t new_symbol(study *s, uint32_t result, int axis, uint32_t *shared) {
    mica_live *live = s->live;
    const mica_type type = type_at(s, 0, result);
    if (type->encoding && *shared != UINT32_MAX) {
        return *shared;
    }
    const uint32_t symbol = (uint32_t)live->symbols.len;
    mica_vec_push(&live->symbols, (mica_live_symbol){mica_op_result(s->op, result), axis,
                                                     type->dims[axis]});
    *shared = type->encoding ? symbol : *shared;
    return symbol;
}

static mica_status see_result(study *s, uint32_t result, uint32_t *shared) {
    mica_live *live = s->live;
    const mica_type type = type_at(s, 0, result);
    const size_t room = (size_t)type->rank * (s->n_symbols + 1);
    mica_live_term *terms = mica_arena_array(live->arena, room + 1, sizeof *terms);
    int64_t *factors = mica_arena_array(live->arena, s->n_symbols + 1, sizeof *factors);
    size_t n = 0;
    for (int axis = 0; axis < type->rank; axis++) {
        const bool noted = type->encoding && type->encoding->integer == axis;
        if (noted || !is_linear(s, result, axis, factors)) {
            if (!mica_op_has_trait(s->op, MICA_SIZES_ITSELF)) {
                snprintf(s->problem, sizeof s->problem,
                         "dimension %d of its result %u, at most %" PRId64 ", follows by no simple "
                         "rule", axis, result, type->dims[axis]);
                return MICA_FAIL;
            }
            if (type->dims[axis] > 0) {
                terms[n++] = (mica_live_term){axis, new_symbol(s, result, axis, shared), 1};
            }
            continue;
        }
        for (size_t i = 0; i < s->n_symbols; i++) {
            if (factors[i] > 0) {
                terms[n++] = (mica_live_term){axis, s->symbols[i], factors[i]};
            }
        }
    }
    mica_value *value = mica_op_result(s->op, result);
    const mica_type plain = mica_type_tensor(type->context, type->rank, type->dims,
                                             mica_type_element(type), NULL);
    value->type = plain;
    if (n > 0) {
        mica_live_shape *shape = mica_arena_alloc(live->arena, sizeof *shape);
        *shape = (mica_live_shape){.value = value, .rank = type->rank, .terms = terms, .n_terms = n};
        memcpy(shape->bound, type->dims, (size_t)type->rank * sizeof *shape->bound);
        mica_ptr_map_set_pointer(&live->shapes, value, shape);
        mica_vec_push(&live->all, shape);
        value->type = unknown_type(shape);
    }
    return MICA_OK;
}

/* Element types of a function under study stay what they are (quantized, calibrated). */
static mica_status see_results(study *s, bool keep_elements) {
    uint32_t shared = UINT32_MAX;
    for (uint32_t r = 0; r < s->op->n_results; r++) {
        mica_value *value = mica_op_result(s->op, r);
        const mica_type old = value->type;
        if (mica_type_is_none(type_at(s, 0, r))) {
            continue;
        }
        MICA_TRY(see_result(s, r, &shared));
        if (keep_elements && mica_type_is_tensor(old)) {
            value->type = mica_type_tensor(old->context, value->type->rank, value->type->dims,
                                           mica_type_element(old), old->encoding);
        }
    }
    return MICA_OK;
}

mica_status mica_live_refuse(const mica_live *live, const mica_op *op, const char *reason) {
    const mica_live_shape *shape = NULL;
    for (uint32_t i = 0; !shape && i < op->n_operands; i++) {
        shape = mica_live_of(live, mica_op_operand(op, i));
    }
    if (!shape) {
        return mica_op_error(op, "cannot decide the size of its result: %s", reason);
    }
    return mica_op_error(op, "cannot take operand '%s', whose size depends on the data that %s "
                         "finds: %s; cut the model before this op with output_names",
                         mica_value_name(shape->value), mica_live_origin(live, shape), reason);
}

static mica_status see_op(mica_live *live, mica_op *op, bool keep_elements) {
    study s = {.live = live, .op = op};
    s.n_symbols = mica_live_symbols_of(live, op, &s.symbols);
    mica_status status = run_samples(&s);
    if (status == MICA_OK) {
        status = see_results(&s, keep_elements);
    }
    if (status != MICA_OK && s.problem[0]) {
        mica_live_refuse(live, op, s.problem);
    }
    mica_free(s.symbols);
    mica_free(s.rows);
    mica_free((void *)s.types);
    return status;
}

static bool takes_live(const mica_live *live, const mica_op *op) {
    for (uint32_t i = 0; live->all.len > 0 && i < op->n_operands; i++) {
        if (mica_live_of(live, mica_op_operand(op, i))) {
            return true;
        }
    }
    return false;
}

static bool has_static_operands(const mica_op *op) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const mica_type type = mica_op_operand(op, i)->type;
        if (mica_type_is_tensor(type) && !mica_type_is_static(type)) {
            return false;
        }
    }
    return true;
}

mica_status mica_live_infer(mica_live *live, mica_op *op) {
    const bool source = mica_op_has_trait(op, MICA_SIZES_ITSELF) && has_static_operands(op);
    return takes_live(live, op) || source ? see_op(live, op, false) : mica_op_infer(op);
}

mica_status mica_live_func(mica_live *live, mica_op *func) {
    for (mica_op *op = mica_func_body(func)->first; op; op = op->next) {
        if (mica_op_is(op, "func.return")) {
            continue;
        }
        const bool source = mica_op_has_trait(op, MICA_SIZES_ITSELF) && has_static_operands(op);
        if (source || takes_live(live, op)) {
            MICA_TRY(see_op(live, op, true));
        }
    }
    return MICA_OK;
}
