/* Convolutions of the tpu dialect: integer form when the input is quantized, else float. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/top/top_conv.h"
#include "dialects/tpu/requant.h"

/* x, filter, bias, multiplier[channels], shift[channels]; an absent bias is 0. The bias of an
 * integer convolution holds -zero_point_in * sum(filter): rule bias-fold. */
static mica_status plan_integer(const mica_op *op, mica_planner *planner, bool transposed) {
    mica_quant x, y;
    mica_shape filter;
    if (!mica_quant_of(mica_op_operand(op, 0), &x) || !mica_quant_of(mica_op_result(op, 0), &y) ||
        !mica_operand_shape(op, 1, &filter)) {
        return mica_planner_fail(planner, op, "expects quantized input and result and a filter of "
                                 "known shape");
    }
    mrt_conv_int_params params = {.zero_point_in = x.zero_point, .zero_point_out = y.zero_point};
    mica_conv_params(op, planner, &params.conv);
    params.conv.act = MRT_ACT_NONE;
    params.conv.act_limit = -1.0;
    mica_quant_act_range(&y, mica_op_bool(op, "do_relu"), mica_op_f64(op, "relu_limit"),
                         &params.clamp_min, &params.clamp_max);
    const int64_t channels = mica_conv_channels(op, &filter, transposed);
    const mica_value *bias = mica_op_present(op, 2);
    const int32_t in[5] = {
        mica_planner_value(planner, mica_op_operand(op, 0)),
        mica_planner_value(planner, mica_op_operand(op, 1)),
        bias ? mica_planner_value(planner, bias) : mica_plan_fill_i32(planner, channels, 0),
        mica_plan_i32_attr(planner, op, "multiplier", channels),
        mica_plan_i32_attr(planner, op, "rshift", channels),
    };
    const int32_t out = mica_planner_value(planner, mica_op_result(op, 0));
    return mica_planner_step_ids(planner, op, transposed ? MRT_K_deconv_int : MRT_K_conv_int,
                                 &params, in, 5, &out, 1);
}

/* x, filter, bias, scale -> f32 [conv-real]; the zero point of x is in the bias as above. A filter has one
 * scale per output channel. */
static mica_status plan_real(const mica_op *op, mica_planner *planner, bool transposed) {
    mica_quant x;
    mica_shape filter;
    const mica_type element = mica_type_element(mica_op_operand(op, 1)->type);
    if (!mica_quant_of(mica_op_operand(op, 0), &x) || !mica_operand_shape(op, 1, &filter) ||
        element->kind != MICA_TYPE_UNIFORM_AXIS) {
        return mica_planner_fail(planner, op, "expects a quantized input and a filter of known shape with "
                                 "scales per channel");
    }
    mrt_conv_int_params params = {.zero_point_in = x.zero_point};
    mica_conv_params(op, planner, &params.conv);
    params.conv.float_order = 0;
    const mica_value *bias = mica_op_present(op, 2);
    const int64_t channels = mica_conv_channels(op, &filter, transposed);
    const int32_t in[4] = {
        mica_planner_value(planner, mica_op_operand(op, 0)),
        mica_planner_value(planner, mica_op_operand(op, 1)),
        bias ? mica_planner_value(planner, bias) : mica_plan_fill_i32(planner, channels, 0),
        mica_plan_real_scales(planner, x.scale, element),
    };
    const int32_t out = mica_planner_value(planner, mica_op_result(op, 0));
    return mica_planner_step_ids(planner, op, transposed ? MRT_K_deconv_real : MRT_K_conv_real,
                                 &params, in, 4, &out, 1);
}

static mica_status plan_any(const mica_op *op, mica_planner *planner, bool transposed) {
    if (mica_is_real_form(op)) {
        return plan_real(op, planner, transposed);
    }
    if (mica_is_integer_form(op)) {
        return plan_integer(op, planner, transposed);
    }
    return transposed ? mica_plan_deconv(op, planner) : mica_plan_conv(op, planner);
}

mica_status mica_plan_tpu_conv(const mica_op *op, mica_planner *planner) {
    return plan_any(op, planner, false);
}

mica_status mica_plan_tpu_deconv(const mica_op *op, mica_planner *planner) {
    return plan_any(op, planner, true);
}
