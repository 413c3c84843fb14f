/* Making tpu ops: binding results, the float form, fallback. */
#include <string.h>

#include "passes/lowering/lower_internal.h"

/* Copies attributes that the new op's row declares (REQUANT ones do not exist in top). */
static void copy_attrs(mica_op *to, const mica_op *from) {
    for (uint32_t i = 0; i < from->n_attrs; ++i) {
        for (size_t k = 0; to->info != NULL && k < to->info->n_attrs; ++k) {
            if (strcmp(to->info->attrs[k].name, from->attrs[i].name) == 0) {
                mica_op_set_attr(to, from->attrs[i].name, from->attrs[i].value);
            }
        }
    }
}

mica_op *mica_lower_emit(mica_lowering *l, const mica_op *op, const char *name,
                         mica_value *const *operands, size_t n_operands, const mica_type *elements,
                         bool with_attrs) {
    mica_type *types = mica_arena_alloc(l->tpu->arena, op->n_results * sizeof *types);
    for (uint32_t i = 0; i < op->n_results; ++i) {
        types[i] = mica_type_with_element(op->results[i].type, elements[i]);
    }
    const mica_op_state state = {.name = name,
                                 .loc = op->loc,
                                 .operands = operands,
                                 .n_operands = n_operands,
                                 .results = types,
                                 .n_results = op->n_results};
    mica_op *made = mica_build(&l->builder, &state);
    if (with_attrs) {
        copy_attrs(made, op);
    }
    for (uint32_t i = 0; i < op->n_results; ++i) {
        l->map[op->order + i] = &made->results[i];
    }
    return made;
}

/* Vectors (bias, gamma, ...) stay f32: they are small and added to f32 sums [float-storage]. */
static mica_value *float_operand(mica_lowering *l, const mica_value *top, mica_type element) {
    if (mica_is_weight(top) && top->type->rank <= 1) {
        return mica_lower_value(l, top);
    }
    return mica_lower_as(l, top, element);
}

mica_status mica_lower_float_as(mica_lowering *l, const mica_op *op, mica_mode mode,
                                const char *name, mica_op **out_op) {
    const mica_type element = mica_lower_float_type(l, mode);
    mica_value **operands = mica_arena_alloc(l->tpu->arena, (op->n_operands + 1) * sizeof *operands);
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        operands[i] = float_operand(l, mica_op_operand(op, i), element);
    }
    mica_type *elements = mica_arena_alloc(l->tpu->arena, (op->n_results + 1) * sizeof *elements);
    for (uint32_t i = 0; i < op->n_results; ++i) {
        elements[i] = mica_lower_is_real(&op->results[i]) ? element
                                                          : mica_type_element(op->results[i].type);
    }
    mica_op *made = mica_lower_emit(l, op, name, operands, op->n_operands, elements, true);
    if (out_op != NULL) {
        *out_op = made;
    }
    return MICA_OK;
}

mica_status mica_lower_fallback(mica_lowering *l, const mica_op *op, const char *reason) {
    mica_lower_row *row = &l->rows.data[l->rows.len - 1];
    row->reason = reason;
    row->mode = l->options->processor->fallback;
    return mica_lower_hook(op)(l, op, row->mode);
}

void mica_lower_set_requant(mica_op *op, const int64_t *multipliers, const int64_t *shifts,
                            size_t n_multipliers, size_t n_shifts) {
    mica_op_set_i64s(op, "multiplier", multipliers, n_multipliers);
    mica_op_set_i64s(op, "rshift", shifts, n_shifts);
}
