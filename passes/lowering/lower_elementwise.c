/* Element-wise ops: Add, Sub, Mul with rescaling [add-int, mul-int], everything else by table
 * [lut-8] or in float. */
#include <math.h>
#include <string.h>

#include "dialects/dialects.h"
#include "passes/lowering/lower_hooks.h"

const mica_value *mica_lower_lone_operand(const mica_op *op) {
    const mica_value *found = NULL;
    double ignored = 0.0;
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        const mica_value *operand = mica_op_operand(op, i);
        if (mica_weight_scalar(operand, &ignored)) {
            continue;
        }
        if (found != NULL || mica_is_weight(operand)) {
            return NULL;
        }
        found = operand;
    }
    /* A table has the shape of its operand; a scalar of more axes would change it. */
    return found != NULL && found->type == mica_type_with_element(op->results[0].type, mica_type_element(found->type))
               ? found
               : NULL;
}

static mica_value *operand_i8(mica_lowering *l, const mica_op *op, uint32_t i) {
    const mica_value *top = mica_op_operand(op, i);
    if (mica_is_weight(top)) {
        return mica_lower_const_i8(l, op, top, i == 0 ? "lhs_i8" : "rhs_i8");
    }
    return mica_lower_quantized(l, top);
}

/* True when both operands and the result can be 8-bit. */
static bool binary_int8(mica_lowering *l, const mica_op *op, mica_value *operands[2],
                        mica_type *out) {
    *out = mica_lower_quant_type(l, &op->results[0]);
    if (*out == NULL || !mica_lower_is_real(mica_op_operand(op, 0)) ||
        !mica_lower_is_real(mica_op_operand(op, 1))) {
        return false;
    }
    operands[0] = operand_i8(l, op, 0);
    operands[1] = operand_i8(l, op, 1);
    return operands[0] != NULL && operands[1] != NULL;
}

/* True when the whole range of an operand lies within one step of the result: a mask of huge negative
 * numbers leaves nothing of what it is added to. */
static bool vanishes(mica_lowering *l, const mica_op *op, mica_type out) {
    for (uint32_t i = 0; i < 2; ++i) {
        const mica_type in = mica_lower_quant_type(l, mica_op_operand(op, i));
        if (in != NULL && 255.0 * mica_lower_scale_of(in) < mica_lower_scale_of(out)) {
            return true;
        }
    }
    return false;
}

static const char *tpu_name(mica_lowering *l, const mica_op *op) {
    return mica_arena_printf(l->tpu->arena, "tpu.%s", op->name + strlen("top."));
}

mica_status mica_lower_add(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (mode != MICA_MODE_INT8) {
        return mica_lower_float_as(l, op, mode, tpu_name(l, op), NULL);
    }
    const mica_value *lone = mica_lower_lone_operand(op);
    if (mica_lower_sum_in_float(l, op)) {
        return mica_lower_fallback(l, op, "all its users run in float");
    }
    if (lone != NULL) {
        return mica_lower_lut(l, op, lone);
    }
    mica_value *operands[2];
    mica_type out = NULL;
    if (!binary_int8(l, op, operands, &out)) {
        return mica_lower_fallback(l, op, "no calibration for an operand or the result");
    }
    if (vanishes(l, op, out)) {
        return mica_lower_fallback(l, op, "an operand is smaller than one step of the result (a mask?)");
    }
    const double sign = mica_op_is(op, "top.Sub") ? -1.0 : 1.0;
    int64_t m[2];
    int32_t shift = 0;
    const double scale = mica_lower_scale_of(out);
    if (mrt_add_multipliers(mica_lower_scale_of(mica_type_element(operands[0]->type)) / scale,
                            sign * mica_lower_scale_of(mica_type_element(operands[1]->type)) / scale,
                            &m[0], &m[1], &shift) != MRT_OK) {
        return mica_lower_fallback(l, op, "its output range is too small for its operands");
    }
    mica_op *made = mica_lower_emit(l, op, tpu_name(l, op), operands, 2, &out, true);
    const int64_t s = shift;
    mica_lower_set_requant(made, m, &s, 2, 1);
    return MICA_OK;
}

mica_status mica_lower_mul(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (mode != MICA_MODE_INT8) {
        return mica_lower_float_as(l, op, mode, "tpu.Mul", NULL);
    }
    const mica_value *lone = mica_lower_lone_operand(op);
    if (mica_lower_sum_in_float(l, op)) {
        return mica_lower_fallback(l, op, "all its users run in float");
    }
    if (lone != NULL) {
        return mica_lower_lut(l, op, lone);
    }
    mica_value *operands[2];
    mica_type out = NULL;
    if (!binary_int8(l, op, operands, &out)) {
        return mica_lower_fallback(l, op, "no calibration for an operand or the result");
    }
    const double ratio = mica_lower_scale_of(mica_type_element(operands[0]->type)) *
                         mica_lower_scale_of(mica_type_element(operands[1]->type)) /
                         mica_lower_scale_of(out);
    int32_t multiplier = 0;
    int32_t shift = 0;
    if (mrt_multiplier_from_scale(ratio, 31, &multiplier, &shift) != MRT_OK) {
        return mica_lower_fallback(l, op, "its output range is too small for its operands");
    }
    mica_op *made = mica_lower_emit(l, op, "tpu.Mul", operands, 2, &out, true);
    const int64_t m = multiplier;
    const int64_t s = shift;
    mica_lower_set_requant(made, &m, &s, 1, 1);
    return MICA_OK;
}

static mica_status lower_table(mica_lowering *l, const mica_op *op, const mica_value *input) {
    return mica_lower_table_in_float(l, op) ? mica_lower_fallback(l, op, "all its users run in float")
                                            : mica_lower_lut(l, op, input);
}

mica_status mica_lower_binary(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (mode != MICA_MODE_INT8 || !mica_lower_is_real(&op->results[0])) {
        return mica_lower_float_as(l, op, mode, tpu_name(l, op), NULL);
    }
    const mica_value *lone = mica_lower_lone_operand(op);
    return lone != NULL ? lower_table(l, op, lone)
                        : mica_lower_fallback(l, op, "no integer form for two tensors");
}

/* Float functions of one tensor all become tpu.Active, whose mode names the top op. */
static mica_status lower_active(mica_lowering *l, const mica_op *op, mica_mode mode) {
    mica_op *made = NULL;
    MICA_TRY(mica_lower_float_as(l, op, mode, "tpu.Active", &made));
    mica_op_set_str(made, "mode", op->name + strlen("top."));
    if (mica_op_is(op, "top.Clip")) {
        mica_op_set_f64(made, "alpha", mica_op_has_attr(op, "min") ? mica_op_f64(op, "min") : -HUGE_VAL);
        mica_op_set_f64(made, "beta", mica_op_has_attr(op, "max") ? mica_op_f64(op, "max") : HUGE_VAL);
        return MICA_OK;
    }
    /* The new op must not depend on the defaults of the top row. */
    mica_op_set_f64(made, "alpha", mica_op_f64(op, "alpha"));
    mica_op_set_f64(made, "beta", mica_op_f64(op, "beta"));
    return MICA_OK;
}

mica_status mica_lower_unary(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (mode == MICA_MODE_INT8 && mica_lower_is_real(&op->results[0])) {
        return lower_table(l, op, mica_op_operand(op, 0));
    }
    return lower_active(l, op, mode);
}

mica_status mica_lower_relu(mica_lowering *l, const mica_op *op, mica_mode mode) {
    return mode == MICA_MODE_INT8 ? lower_table(l, op, mica_op_operand(op, 0))
                                  : mica_lower_float_as(l, op, mode, "tpu.Relu", NULL);
}
