/* Which results nobody needs in 8 bits: rule float-out of docs/lowering.md. */
#include <string.h>

#include "passes/lowering/lower_hooks.h"

static bool in_float(mica_lowering *l, const mica_value *value);

/* Results that nothing reads do not count, unless there are no others. */
static bool results_in_float(mica_lowering *l, const mica_op *op) {
    bool used = false;
    for (uint32_t i = 0; i < op->n_results; ++i) {
        const mica_value *result = &op->results[i];
        if (result->first_use != NULL && mica_lower_is_real(result)) {
            used = true;
            if (!in_float(l, result)) {
                return false;
            }
        }
    }
    return used;
}

static bool is_nearest(const mica_op *op) {
    return mica_lower_hook(op) == mica_lower_interp && strcmp(mica_op_str(op, "mode"), "nearest") == 0;
}

/* An op that is a table of one operand between integers; NULL for others. */
static const mica_value *table_operand(const mica_op *op) {
    mica_lower_fn *hook = mica_lower_hook(op);
    if (hook == mica_lower_unary || hook == mica_lower_relu) {
        return mica_op_operand(op, 0);
    }
    return hook == mica_lower_binary ? mica_lower_lone_operand(op) : NULL;
}

/* True when the value comes from an op that can give f32 without a loss, maybe behind ops that move it and
 * functions of it. */
static bool may_be_float(const mica_value *value) {
    const mica_op *op = value->def;
    while (op != NULL) {
        const mica_value *from = mica_lower_follows(op) || is_nearest(op) ? mica_op_operand(op, 0) : table_operand(op);
        if (from == NULL) {
            break;
        }
        op = from->def;
    }
    mica_lower_fn *hook = op != NULL ? mica_lower_hook(op) : NULL;
    return hook == mica_lower_conv || hook == mica_lower_deconv || hook == mica_lower_matmul ||
           hook == mica_lower_scale || hook == mica_lower_add || hook == mica_lower_mul ||
           hook == mica_lower_float;
}

static bool concat_in_float(mica_lowering *l, const mica_op *op) {
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        if (!may_be_float(mica_op_operand(op, i))) {
            return false;
        }
    }
    return results_in_float(l, op);
}

bool mica_lower_concat_in_float(mica_lowering *l, const mica_op *op) {
    return !l->options->requantize_all && concat_in_float(l, op);
}

/* True when none of what reads the results of `op`, in float, does so only because its mode is a float one. */
static bool read_by_nature(mica_lowering *l, const mica_op *op) {
    for (uint32_t i = 0; i < op->n_results; ++i) {
        for (const mica_use *use = op->results[i].first_use; use != NULL; use = use->next) {
            const mica_op *user = use->user;
            const bool moves = mica_lower_follows(user) || is_nearest(user) || mica_lower_hook(user) == mica_lower_concat;
            if (!mica_op_is(user, "func.return") && !mica_op_is(user, "top.Cut") &&
                (!mica_mode_has_integers(mica_lower_final_mode(l, user, NULL)) || (moves && !read_by_nature(l, user)))) {
                return false;
            }
        }
    }
    return true;
}

/* Its table costs next to nothing, so the quantize table alone does not make it float. */
static bool table_in_float(mica_lowering *l, const mica_op *op) {
    const mica_value *operand = table_operand(op);
    return operand != NULL && mica_lower_is_real(&op->results[0]) && may_be_float(operand) && results_in_float(l, op) &&
           read_by_nature(l, op);
}

bool mica_lower_table_in_float(mica_lowering *l, const mica_op *op) {
    return !l->options->requantize_all && table_in_float(l, op);
}

/* True when `op`, asked for in INT8, reads its operands in float or passes them on to such ops. */
static bool int8_op_in_float(mica_lowering *l, const mica_op *op, uint32_t operand) {
    mica_lower_fn *hook = mica_lower_hook(op);
    if (hook == mica_lower_float || hook == mica_lower_movement_float || hook == mica_lower_indices) {
        return true;
    }
    if (hook == mica_lower_softmax) {
        return !mica_lower_softmax_between_integers(l, op);
    }
    if (mica_lower_follows(op) || is_nearest(op)) {
        return operand == 0 && results_in_float(l, op);
    }
    if (hook == mica_lower_concat) {
        return concat_in_float(l, op);
    }
    if (hook == mica_lower_add || hook == mica_lower_mul) {
        return mica_lower_sum_in_float(l, op);
    }
    if (hook == mica_lower_binary && (!mica_lower_is_real(&op->results[0]) || mica_lower_lone_operand(op) == NULL)) {
        return true;
    }
    return (hook == mica_lower_max_pool && op->n_results > 1) || table_in_float(l, op);
}

static bool use_in_float(mica_lowering *l, const mica_use *use) {
    const mica_op *op = use->user;
    if (mica_op_is(op, "func.return")) {
        const bool *quantized = l->options->quant_output;
        return quantized == NULL || !quantized[use->index];
    }
    if (mica_op_is(op, "top.Cut")) {
        return true;
    }
    const mica_mode mode = mica_lower_final_mode(l, op, NULL);
    return mode == MICA_MODE_INT8 ? int8_op_in_float(l, op, use->index) : !mica_mode_has_integers(mode);
}

/* Remembered, so that a graph is walked once. */
static bool in_float(mica_lowering *l, const mica_value *value) {
    uint64_t known = 0;
    if (mica_ptr_map_get(&l->in_float, value, &known)) {
        return known != 0;
    }
    const mica_use *use = value->first_use;
    while (use != NULL && use_in_float(l, use)) {
        use = use->next;
    }
    const bool result = value->first_use != NULL && use == NULL;
    mica_ptr_map_set(&l->in_float, value, result);
    return result;
}

/* A softmax has its integer form only behind integers, so it does not keep a sum of two tensors from being
 * float; a product with a constant is a table between integers. */
bool mica_lower_sum_in_float(mica_lowering *l, const mica_op *op) {
    const bool all = l->options->requantize_all;
    if (mica_lower_lone_operand(op) != NULL) {
        return !all && results_in_float(l, op);
    }
    const mica_use *use = op->results[0].first_use;
    for (; use != NULL; use = use->next) {
        mica_lower_fn *hook = mica_lower_hook(use->user);
        if (hook != mica_lower_softmax && (all ? hook != mica_lower_float : !use_in_float(l, use))) {
            return false;
        }
    }
    return op->results[0].first_use != NULL;
}

bool mica_lower_in_float(mica_lowering *l, const mica_op *op) {
    return !l->options->requantize_all && results_in_float(l, op);
}

bool mica_lower_gives_real(mica_lowering *l, const mica_op *op) {
    const bool gives = mica_processor_has_mode(l->options->processor, MICA_MODE_W8A8) &&
                       mica_lower_in_float(l, op);
    l->rows.data[l->rows.len - 1].is_real = gives;
    return gives;
}
