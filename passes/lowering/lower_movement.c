/* Ops that move elements: the result has the operand's type, quantized or float. */
#include <math.h>
#include <string.h>

#include "passes/lowering/lower_hooks.h"

static const char *tpu_name(mica_lowering *l, const mica_op *op) {
    return mica_arena_printf(l->tpu->arena, "tpu.%s", op->name + strlen("top."));
}

mica_status mica_lower_input(mica_lowering *l, const mica_op *op, mica_mode mode) {
    (void)mode;
    mica_value *argument = mica_lower_value(l, mica_op_operand(op, 0));
    mica_type element = mica_type_element(op->results[0].type);
    if (mica_type_is_calibrated(element)) {
        element = mica_type_f32(l->context);
    }
    mica_lower_emit(l, op, "top.Input", &argument, 1, &element, true);
    return MICA_OK;
}

/* The border itself is nothing but the cast to f32. */
mica_status mica_lower_cut(mica_lowering *l, const mica_op *op, mica_mode mode) {
    (void)mode;
    const mica_value *value = mica_op_operand(op, 0);
    if (op->results[0].first_use != NULL) {
        l->map[op->order] = mica_lower_is_real(value)
                                ? mica_lower_as(l, value, mica_type_f32(l->context))
                                : mica_lower_value(l, value);
    }
    return MICA_OK;
}

mica_status mica_lower_float(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (mode == MICA_MODE_INT8 && mica_lower_is_real(&op->results[0])) {
        return mica_lower_fallback(l, op, "no integer form");
    }
    return mica_lower_float_as(l, op, mode, tpu_name(l, op), NULL);
}

/* In INT8 mode a movement op takes what its producer gives, so that no pair of casts is made around
 * it; in a float mode it runs in that type, because the user said so. */
static mica_value *moved_operand(mica_lowering *l, const mica_value *top, mica_mode mode) {
    return mode == MICA_MODE_INT8 ? mica_lower_value(l, top)
                                  : mica_lower_as(l, top, mica_lower_float_type(l, mode));
}

static mica_status lower_moved(mica_lowering *l, const mica_op *op, mica_value *first) {
    mica_value **operands = mica_arena_alloc(l->tpu->arena, op->n_operands * sizeof *operands);
    operands[0] = first;
    for (uint32_t i = 1; i < op->n_operands; ++i) {
        operands[i] = mica_lower_value(l, mica_op_operand(op, i));
    }
    mica_type *elements = mica_arena_alloc(l->tpu->arena, op->n_results * sizeof *elements);
    for (uint32_t i = 0; i < op->n_results; ++i) {
        const mica_type own = mica_type_element(op->results[i].type); /* of indices, counts */
        elements[i] = mica_lower_is_real(&op->results[i]) ? mica_type_element(first->type) : own;
    }
    mica_lower_emit(l, op, tpu_name(l, op), operands, op->n_operands, elements, true);
    return MICA_OK;
}

mica_status mica_lower_movement(mica_lowering *l, const mica_op *op, mica_mode mode) {
    return lower_moved(l, op, moved_operand(l, mica_op_operand(op, 0), mode));
}

/* Indices found by value; their operands are f32 in every mode but the float ones, because one step
 * of quantization may change what is found. */
mica_status mica_lower_indices(mica_lowering *l, const mica_op *op, mica_mode mode) {
    bool real = false;
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        real = real || mica_lower_is_real(mica_op_operand(op, i));
    }
    if (mode == MICA_MODE_INT8 && real && !mica_op_is(op, "top.Shape")) {
        return mica_lower_fallback(l, op, "its indices are found in float");
    }
    if (mode == MICA_MODE_INT8 || mica_op_is(op, "top.Shape")) {
        return lower_moved(l, op, mica_lower_value(l, mica_op_operand(op, 0)));
    }
    const mica_type f32 = mica_type_f32(l->context), i64 = mica_type_i64(l->context);
    mica_value **operands = mica_arena_alloc(l->tpu->arena, op->n_operands * sizeof *operands);
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        operands[i] = mica_lower_as(l, mica_op_operand(op, i), f32);
    }
    mica_lower_emit(l, op, tpu_name(l, op), operands, op->n_operands, &i64, true);
    return MICA_OK;
}

mica_status mica_lower_gather(mica_lowering *l, const mica_op *op, mica_mode mode) {
    return lower_moved(l, op, moved_operand(l, mica_op_operand(op, 0), mode));
}

/* Movement of several real operands that need one common type: float unless they are no reals. */
mica_status mica_lower_movement_float(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (mode == MICA_MODE_INT8 && mica_lower_is_real(&op->results[0])) {
        return mica_lower_fallback(l, op, "no integer form");
    }
    return mica_lower_float_as(l, op, mode, tpu_name(l, op), NULL);
}

mica_status mica_lower_pad(mica_lowering *l, const mica_op *op, mica_mode mode) {
    mica_value *x = moved_operand(l, mica_op_operand(op, 0), mode);
    const mica_type element = mica_type_element(x->type);
    if (mica_type_is_quant(element) && strcmp(mica_op_str(op, "mode"), "constant") == 0) {
        const double val = mica_op_f64(op, "val");
        int64_t low = 0;
        int64_t high = 0;
        mrt_int_range(mica_lower_storage(element), &low, &high);
        const double s = mica_lower_scale_of(element);
        const double z = mica_lower_zero_of(element);
        if (val < ((double)low - z - 0.5) * s || val > ((double)high - z + 0.5) * s) {
            return mica_lower_fallback(l, op, "the padding value lies outside the quantized range");
        }
    }
    return lower_moved(l, op, x);
}

mica_status mica_lower_concat(mica_lowering *l, const mica_op *op, mica_mode mode) {
    mica_type element = NULL;
    if (mode == MICA_MODE_INT8 && mica_lower_is_real(&op->results[0])) {
        element = mica_lower_concat_in_float(l, op) ? mica_type_f32(l->context)
                                                    : mica_lower_quant_type(l, &op->results[0]);
        if (element == NULL) {
            return mica_lower_fallback(l, op, "no calibration for its output");
        }
    } else {
        element = mica_lower_is_real(&op->results[0]) ? mica_lower_float_type(l, mode)
                                                      : mica_type_element(op->results[0].type);
    }
    mica_value **operands = mica_arena_alloc(l->tpu->arena, op->n_operands * sizeof *operands);
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        operands[i] = mica_lower_as(l, mica_op_operand(op, i), element);
    }
    mica_lower_emit(l, op, "tpu.Concat", operands, op->n_operands, &element, true);
    return MICA_OK;
}

mica_status mica_lower_interp(mica_lowering *l, const mica_op *op, mica_mode mode) {
    const char *how = mica_op_str(op, "mode");
    const bool nearest = strcmp(how, "nearest") == 0;
    const bool linear = strcmp(how, "linear") == 0 && !mica_op_bool(op, "antialias") &&
                        !mica_op_bool(op, "exclude_outside") &&
                        strcmp(mica_op_str(op, "coord_mode"), "tf_crop_and_resize") != 0;
    if (mode != MICA_MODE_INT8) {
        return mica_lower_float_as(l, op, mode, "tpu.Interp", NULL);
    }
    if (!nearest && !linear) {
        return mica_lower_fallback(l, op, "only nearest and linear resizing have an integer form");
    }
    mica_value *x = nearest ? mica_lower_value(l, mica_op_operand(op, 0))
                            : mica_lower_quantized(l, mica_op_operand(op, 0));
    if (x == NULL) {
        return mica_lower_fallback(l, op, "no calibration for its input");
    }
    return lower_moved(l, op, x);
}
