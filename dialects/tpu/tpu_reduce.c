/* Reductions of the tpu dialect: integer sum and mean rescale; max and min keep their integers. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/top/top_reduce.h"
#include "dialects/tpu/requant.h"

static bool is_sum(const mica_op *op) {
    mrt_reduce_params params;
    mica_reduce_params(op, &params);
    return params.mode == MRT_REDUCE_SUM || params.mode == MRT_REDUCE_MEAN;
}

mica_status mica_verify_tpu_reduce(const mica_op *op) {
    MICA_TRY(mica_verify_reduce(op));
    return is_sum(op) ? mica_requant_verify(op, 1) : MICA_OK;
}

mica_status mica_plan_tpu_reduce(const mica_op *op, mica_planner *planner) {
    if (!mica_is_integer_form(op) || !is_sum(op)) {
        return mica_plan_reduce(op, planner);
    }
    mica_quant x, y;
    if (!mica_quant_of(mica_op_operand(op, 0), &x) || !mica_quant_of(mica_op_result(op, 0), &y)) {
        return mica_planner_fail(planner, op, "expects a quantized input and result");
    }
    mrt_reduce_params params;
    mica_reduce_params(op, &params);
    params.multiplier = mica_op_i64_at(op, "multiplier", 0, 0);
    params.shift = mica_op_i64_at(op, "rshift", 0, 0);
    params.zero_point_in = x.zero_point;
    params.zero_point_out = y.zero_point;
    return mica_planner_step(planner, op, MRT_K_reduce_int, &params);
}
