/* Pools of the tpu dialect: integer forms when the input is quantized, else float. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/top/top_pool.h"
#include "dialects/tpu/requant.h"

#include <string.h>

static mica_status plan_integer(const mica_op *op, mica_planner *planner, bool average) {
    mica_quant x, y;
    if (!mica_quant_of(mica_op_operand(op, 0), &x) || !mica_quant_of(mica_op_result(op, 0), &y)) {
        return mica_planner_fail(planner, op, "expects a quantized input and result");
    }
    mrt_pool_params params;
    mica_pool_params(op, average ? MRT_POOL_AVG : MRT_POOL_MAX, &params);
    if (!average) {
        /* The kernel would clamp at integer 0; a table behind it clamps at real 0. */
        params.act = MRT_ACT_NONE;
        params.act_limit = -1.0;
        MICA_TRY(mica_plan_same_quant(planner, op, 0, 1));
        return mica_plan_with_relu(planner, op, MRT_K_pool_max, &params);
    }
    params.multiplier = mica_op_i64_at(op, "multiplier", 0, 0);
    params.shift = mica_op_i64_at(op, "rshift", 0, 0);
    params.zero_point_in = x.zero_point;
    params.zero_point_out = y.zero_point;
    return mica_planner_step(planner, op, MRT_K_pool_avg_int, &params);
}

mica_status mica_plan_tpu_pool(const mica_op *op, mica_planner *planner) {
    const bool average = strcmp(mica_op_str(op, "pool_mode"), "Avg") == 0;
    if (mica_is_integer_form(op)) {
        return plan_integer(op, planner, average);
    }
    return average ? mica_plan_avg_pool(op, planner) : mica_plan_max_pool(op, planner);
}
