/* Matrix product of the tpu dialect: integer form when the input is quantized, else float. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/top/top_matmul.h"
#include "dialects/tpu/requant.h"
#include "dialects/quant/quant.h"
#include "ir/op_info.h"
#include "utils/arena.h"

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

/* a, right, bias, scale -> f32 [matmul-real]; the zero point of a is in the bias as above. */
static mica_status plan_real(const mica_op *op, mica_planner *planner) {
    mica_quant a, b = {0};
    const mica_value *right = mica_op_operand(op, 1);
    const bool constant = right->def && mica_op_has_trait(right->def, MICA_IS_CONSTANT);
    if (!mica_quant_of(mica_op_operand(op, 0), &a) || !mica_value_is_quant(right)) {
        return mica_planner_fail(planner, op, "expects quantized operands");
    }
    (void)mica_quant_of(right, &b); /* per column: no zero point */
    mica_matmul_ids ids;
    mica_matmul_operands(planner, op, &ids);
    mrt_matmul_real_params params = {.trans_a = mica_op_bool(op, "left_transpose"),
                                     .trans_b = mica_op_bool(op, "right_transpose"),
                                     .zero_point_a = constant ? 0 : a.zero_point,
                                     .zero_point_b = b.zero_point};
    mica_plan_act(op, &params.act, &params.act_limit);
    const int32_t in[4] = {ids.a, ids.b, ids.bias,
                           mica_plan_real_scales(planner, a.scale, mica_type_element(right->type))};
    MICA_TRY(mica_planner_step_ids(planner, op, MRT_K_matmul_real, &params, in, 4, &ids.out, 1));
    return mica_matmul_finish(planner, op, &ids);
}

mica_status mica_plan_tpu_matmul(const mica_op *op, mica_planner *planner) {
    if (!mica_is_integer_form(op)) {
        return mica_plan_matmul(op, planner);
    }
    return mica_value_is_quant(mica_op_result(op, 0)) ? plan_integer(op, planner) : plan_real(op, planner);
}
