/* tpu.Softmax: 8-bit values by a table of exponentials [softmax-int], else float. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/tpu/requant.h"
#include "runtime/mrt_math.h"

mica_status mica_verify_tpu_softmax(const mica_op *op) {
    MICA_TRY(mica_verify_axis(op));
    MICA_TRY(mica_requant_verify(op, 1));
    mica_shape x;
    if (mica_is_integer_form(op) && mica_operand_shape(op, 0, &x) &&
        (mica_op_bool(op, "log") || mica_op_axis_of(op) != x.rank - 1)) {
        return mica_op_error(op, "expects the last axis and no logarithm in its integer form");
    }
    return MICA_OK;
}

/* [softmax-int] half-even(exp(-d * scale) * 2^bits); the exponential is that of rule float-math. */
static void fill_table(double scale, int32_t table[32]) {
    for (int i = 0; i < 32; i++) {
        const int d = i < 16 ? i : (i - 16) * 16;
        const double e = mrt_d_exp_(mrt_clamp_(-(double)d * scale, -100.0, 0.0));
        table[i] = (int32_t)rint(e * (double)(1 << MRT_SOFTMAX_BITS));
    }
}

mica_status mica_plan_tpu_softmax(const mica_op *op, mica_planner *planner) {
    if (!mica_is_integer_form(op)) {
        return mica_plan_softmax(op, planner);
    }
    mica_quant x, y;
    if (!mica_quant_of(mica_op_operand(op, 0), &x) || !mica_quant_of(mica_op_result(op, 0), &y)) {
        return mica_planner_fail(planner, op, "expects a quantized input and result");
    }
    int32_t table[32];
    fill_table(x.scale, table);
    const mrt_softmax_int_params params = {
        .multiplier = mica_op_i64_at(op, "multiplier", 0, 0),
        .shift = mica_op_i64_at(op, "rshift", 0, 0) + MRT_SOFTMAX_BITS,
        .zero_point_out = y.zero_point};
    const int64_t count = 32;
    const int32_t in[2] = {mica_planner_value(planner, mica_op_operand(op, 0)),
                           mica_planner_const(planner, MRT_I32, 1, &count, table)};
    const int32_t out = mica_planner_value(planner, mica_op_result(op, 0));
    return mica_planner_step_ids(planner, op, MRT_K_softmax_int, &params, in, 2, &out, 1);
}
