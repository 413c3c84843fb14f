/* Matrix product of the tpu dialect: integer form when the input is quantized, else float. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/top/top_matmul.h"
#include "dialects/tpu/requant.h"
#include "ir/op_info.h"

/* a, right, bias, multiplier, shift. A constant right operand has -zero_point_a * sum(column) folded
 * into the bias (rule bias-fold), so the kernel must not subtract the zero point again. */
static mica_status plan_integer(const mica_op *op, mica_planner *planner) {
    mica_quant a, b = {0}, y;
    const mica_value *right = mica_op_operand(op, 1);
    const bool constant = right->def && mica_op_has_trait(right->def, MICA_IS_CONSTANT);
    const bool known_right = mica_quant_of(right, &b) || constant;
    if (!mica_quant_of(mica_op_operand(op, 0), &a) || !known_right ||
        !mica_quant_of(mica_op_result(op, 0), &y)) {
        return mica_planner_fail(planner, op, "expects quantized operands and result");
    }
    mica_matmul_ids ids;
    mica_matmul_operands(planner, op, &ids);
    mrt_matmul_int_params params = {.trans_a = mica_op_bool(op, "left_transpose"),
                                    .trans_b = mica_op_bool(op, "right_transpose"),
                                    .zero_point_a = constant ? 0 : a.zero_point,
                                    .zero_point_b = b.zero_point,
                                    .zero_point_out = y.zero_point};
    mica_quant_act_range(&y, mica_op_bool(op, "do_relu"), mica_op_f64(op, "relu_limit"),
                         &params.clamp_min, &params.clamp_max);
    size_t given;
    mica_op_i64s(op, "multiplier", &given);
    const int64_t channels = (int64_t)given;
    const int32_t in[5] = {ids.a, ids.b, ids.bias,
                           mica_plan_i32_attr(planner, op, "multiplier", channels),
                           mica_plan_i32_attr(planner, op, "rshift", channels)};
    MICA_TRY(mica_planner_step_ids(planner, op, MRT_K_matmul_int, &params, in, 5, &ids.out, 1));
    return mica_matmul_finish(planner, op, &ids);
}

mica_status mica_plan_tpu_matmul(const mica_op *op, mica_planner *planner) {
    return mica_is_integer_form(op) ? plan_integer(op, planner) : mica_plan_matmul(op, planner);
}
