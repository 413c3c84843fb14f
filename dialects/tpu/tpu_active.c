/* Functions of one operand in the tpu dialect: float Active, 8-bit table Lut. */
#include "dialects/dialects.h"
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

mica_status mica_verify_tpu_active(const mica_op *op) {
    const char *mode = mica_op_str(op, "mode");
    if (mica_unary_code(mode) < 0) {
        return mica_op_error(op, "expects the name of an element-wise function in attribute "
                             "'mode', got \"%s\"", mode);
    }
    if (mica_value_is_quant(mica_op_operand(op, 0))) {
        return mica_op_error(op, "expects a float operand, got %s",
                             mica_type_text(mica_op_operand(op, 0)->type));
    }
    return MICA_OK;
}

mica_status mica_plan_tpu_active(const mica_op *op, mica_planner *planner) {
    const mrt_unary_params params = {.op = mica_unary_code(mica_op_str(op, "mode")),
                                     .alpha = mica_op_f64(op, "alpha"),
                                     .beta = mica_op_f64(op, "beta")};
    return mica_planner_step(planner, op, MRT_K_unary, &params);
}

static mica_status verify_byte(const mica_op *op, const mica_value *value, const char *what) {
    const mrt_dtype dtype = mica_dtype_of(mica_type_element(value->type));
    if (mica_type_is_tensor(value->type) && dtype != MRT_I8 && dtype != MRT_U8) {
        return mica_op_error(op, "expects 8-bit elements in %s, got %s", what,
                             mica_type_text(value->type));
    }
    return MICA_OK;
}

mica_status mica_verify_tpu_lut(const mica_op *op) {
    MICA_TRY(verify_byte(op, mica_op_operand(op, 0), "the input"));
    MICA_TRY(verify_byte(op, mica_op_operand(op, 1), "the table"));
    MICA_TRY(verify_byte(op, mica_op_result(op, 0), "the result"));
    mica_shape table;
    if (mica_operand_shape(op, 1, &table) && (table.rank != 1 || table.dims[0] != 256)) {
        return mica_op_error(op, "expects a table of shape [256], got %s",
                             mica_shape_text(&table).text);
    }
    return MICA_OK;
}

mica_status mica_plan_tpu_lut(const mica_op *op, mica_planner *planner) {
    return mica_planner_step(planner, op, MRT_K_lut_8, NULL);
}
