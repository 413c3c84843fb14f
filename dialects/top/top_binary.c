/* Element-wise ops of two operands, and Where: shapes of all forms, float and plain integer plans. */
#include "dialects/dialects.h"
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

#include <string.h>

static bool gives_bool(int code) {
    return code >= MRT_BINARY_EQ && code <= MRT_BINARY_GE;
}

/* Pow keeps the type of the base whatever the exponent's is. */
static mica_status same_types(const mica_op *op, uint32_t i, uint32_t k) {
    const mica_value *a = mica_op_operand(op, i), *b = mica_op_operand(op, k);
    const mrt_dtype da = mica_dtype_of(mica_type_element(a->type));
    const mrt_dtype db = mica_dtype_of(mica_type_element(b->type));
    if (strncmp(op->name, "top.", 4) != 0 || mica_op_is(op, "top.Pow") || da == db) {
        return MICA_OK;
    }
    return mica_op_error(op, "expects operands of one element type, got %s and %s",
                         mica_type_text(mica_type_element(a->type)),
                         mica_type_text(mica_type_element(b->type)));
}

static mica_status broadcast(const mica_op *op, const mica_shape *a, const mica_shape *b,
                             mica_shape *out) {
    if (!mica_shape_broadcast(a, b, out)) {
        return mica_op_error(op, "cannot broadcast shapes %s and %s", mica_shape_text(a).text,
                             mica_shape_text(b).text);
    }
    return MICA_OK;
}

mica_status mica_infer_binary(const mica_op *op, mica_type *out_results) {
    mica_shape a, b, y;
    MICA_TRY(same_types(op, 0, 1));
    const bool is_test = gives_bool(mica_binary_code(op->name));
    mica_context *context = mica_op_context(op);
    const mica_type element = is_test ? mica_type_integer(context, 1, MICA_SIGNLESS)
                                      : mica_result_element(op, mica_op_operand(op, 0));
    if (!mica_operand_shape(op, 0, &a) || !mica_operand_shape(op, 1, &b)) {
        out_results[0] = mica_type_tensor(context, -1, NULL, element, NULL);
        return MICA_OK;
    }
    MICA_TRY(broadcast(op, &a, &b, &y));
    return mica_infer_shape_result(op, &y, element, out_results);
}

mica_status mica_infer_where(const mica_op *op, mica_type *out_results) {
    mica_shape c, a, b, y;
    MICA_TRY(same_types(op, 1, 2));
    const mica_type element = mica_result_element(op, mica_op_operand(op, 1));
    if (!mica_operand_shape(op, 0, &c) || !mica_operand_shape(op, 1, &a) ||
        !mica_operand_shape(op, 2, &b)) {
        out_results[0] = mica_type_tensor(mica_op_context(op), -1, NULL, element, NULL);
        return MICA_OK;
    }
    MICA_TRY(broadcast(op, &c, &a, &y));
    MICA_TRY(broadcast(op, &y, &b, &y));
    return mica_infer_shape_result(op, &y, element, out_results);
}

/* Max and Min of one quantization are those of the integers; nothing else is. */
static mica_status check_quant(const mica_op *op, mica_planner *planner, int code) {
    const bool monotone = code == MRT_BINARY_MAX || code == MRT_BINARY_MIN;
    return monotone && mica_value_is_quant(mica_op_operand(op, 0))
               ? mica_plan_same_quant(planner, op, 0, 2)
               : mica_plan_no_quant(planner, op);
}

mica_status mica_plan_binary(const mica_op *op, mica_planner *planner) {
    const int code = mica_binary_code(op->name);
    MICA_TRY(check_quant(op, planner, code));
    mrt_binary_params params = {.op = code};
    mica_plan_act(op, &params.act, &params.act_limit);
    const mica_value *result = mica_op_result(op, 0);
    if (mica_value_is_quant(result)) {
        params.act = MRT_ACT_NONE;
        return mica_plan_with_relu(planner, op, MRT_K_binary, &params);
    }
    int32_t in[2] = {mica_planner_value(planner, mica_op_operand(op, 0)),
                     mica_planner_value(planner, mica_op_operand(op, 1))};
    if (code == MRT_BINARY_POW && in[0] >= 0) {
        in[1] = mica_plan_converted(planner, op, in[1], mica_planner_tensor(planner, in[0]).dtype);
    }
    const int32_t out = mica_planner_value(planner, result);
    return mica_planner_step_ids(planner, op, MRT_K_binary, &params, in, 2, &out, 1);
}

mica_status mica_plan_where(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_same_quant(planner, op, 1, 2));
    return mica_planner_step(planner, op, MRT_K_where, NULL);
}
