#include "dialects/tpu/requant.h"

#include "dialects/quant/quant.h"
#include "runtime/mrt_quant.h"

#include <string.h>

bool mica_is_integer_form(const mica_op *op) {
    mica_quant quant;
    return strncmp(op->name, "tpu.", 4) == 0 && op->n_operands > 0 &&
           mica_quant_of(mica_op_operand(op, 0), &quant);
}

bool mica_is_real_form(const mica_op *op) {
    return mica_is_integer_form(op) && op->n_operands > 1 &&
           mica_value_is_quant(mica_op_operand(op, 1)) && !mica_op_has_attr(op, "multiplier") &&
           mica_type_is_float(mica_type_element(op->results[0].type), MICA_F32);
}

static mica_status check_values(const mica_op *op, const char *attr, int64_t low, int64_t high) {
    size_t count;
    const int64_t *values = mica_op_i64s(op, attr, &count);
    for (size_t i = 0; i < count; i++) {
        if (values[i] < low || values[i] > high) {
            return mica_op_error(op, "expects values from %" PRId64 " to %" PRId64
                                 " in attribute '%s', got %" PRId64, low, high, attr, values[i]);
        }
    }
    return MICA_OK;
}

mica_status mica_requant_verify_counts(const mica_op *op, size_t multipliers, size_t shifts) {
    if (!mica_is_integer_form(op)) {
        return MICA_OK;
    }
    MICA_TRY(mica_op_list(op, "multiplier", multipliers));
    MICA_TRY(mica_op_list(op, "rshift", shifts));
    MICA_TRY(check_values(op, "rshift", 0, MRT_MAX_SHIFT));
    const mica_value *result = mica_op_result(op, 0);
    mica_quant quant;
    if (!mica_quant_of(result, &quant)) {
        return mica_op_error(op, "expects a quantized result for quantized operands, got %s",
                             mica_type_text(result->type));
    }
    return MICA_OK;
}

mica_status mica_requant_verify(const mica_op *op, int64_t channels) {
    if (!mica_is_integer_form(op)) {
        return MICA_OK;
    }
    size_t multipliers, shifts;
    mica_op_i64s(op, "multiplier", &multipliers);
    mica_op_i64s(op, "rshift", &shifts);
    const bool fits = multipliers == 1 || channels < 0 || (int64_t)multipliers == channels;
    if (multipliers == 0 || multipliers != shifts || !fits) {
        return mica_op_error(op, "expects 1 or %" PRId64 " values in attributes 'multiplier' and "
                             "'rshift', got %zu and %zu", channels, multipliers, shifts);
    }
    MICA_TRY(check_values(op, "multiplier", INT32_MIN, INT32_MAX));
    return mica_requant_verify_counts(op, multipliers, shifts);
}
