/* Add, Sub and Mul of the tpu dialect: integer form when both operands are quantized, else float. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/tpu/requant.h"

static mica_status plan_integer(const mica_op *op, mica_planner *planner, uint16_t kernel) {
    mica_quant a, b, y;
    if (!mica_quant_of(mica_op_operand(op, 0), &a) || !mica_quant_of(mica_op_operand(op, 1), &b) ||
        !mica_quant_of(mica_op_result(op, 0), &y)) {
        return mica_planner_fail(planner, op, "expects two quantized operands and a quantized "
                                 "result");
    }
    mrt_binary_int_params params = {.zero_point_a = a.zero_point,
                                    .zero_point_b = b.zero_point,
                                    .zero_point_out = y.zero_point,
                                    .multiplier_a = mica_op_i64_at(op, "multiplier", 0, 0),
                                    .multiplier_b = mica_op_i64_at(op, "multiplier", 1, 0),
                                    .shift = mica_op_i64_at(op, "rshift", 0, 0)};
    mica_quant_act_range(&y, mica_op_bool(op, "do_relu"), mica_op_f64(op, "relu_limit"),
                         &params.clamp_min, &params.clamp_max);
    return mica_planner_step(planner, op, kernel, &params);
}

mica_status mica_verify_tpu_add(const mica_op *op) {
    return mica_requant_verify_counts(op, 2, 1);
}

mica_status mica_verify_tpu_mul(const mica_op *op) {
    return mica_requant_verify_counts(op, 1, 1);
}

mica_status mica_plan_tpu_add(const mica_op *op, mica_planner *planner) {
    return mica_is_integer_form(op) ? plan_integer(op, planner, MRT_K_add_int)
                                    : mica_plan_binary(op, planner);
}

mica_status mica_plan_tpu_mul(const mica_op *op, mica_planner *planner) {
    return mica_is_integer_form(op) ? plan_integer(op, planner, MRT_K_mul_int)
                                    : mica_plan_binary(op, planner);
}
