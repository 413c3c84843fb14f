/* Element-wise ops of one operand: checks, shapes and plans. */
#include "dialects/dialects.h"
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

#include <math.h>

/* --- shapes shared by many families ----------------------------------------------------------- */

mica_status mica_infer_same(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    return mica_infer_shape_result(op, &x, mica_result_element(op, mica_op_operand(op, 0)),
                                   out_results);
}

mica_status mica_infer_same_type(const mica_op *op, mica_type *out_results) {
    out_results[0] = mica_op_operand(op, 0)->type;
    return MICA_OK;
}

/* Result of operand 0's shape with a given element type. */
static mica_status infer_with_element(const mica_op *op, mica_type element,
                                      mica_type *out_results) {
    mica_shape x;
    if (!mica_operand_shape(op, 0, &x)) {
        out_results[0] = mica_type_tensor(mica_op_context(op), -1, NULL, element, NULL);
        return MICA_OK;
    }
    return mica_infer_shape_result(op, &x, element, out_results);
}

mica_status mica_infer_predicate(const mica_op *op, mica_type *out_results) {
    return infer_with_element(op, mica_type_integer(mica_op_context(op), 1, MICA_SIGNLESS),
                              out_results);
}

/* --- DtypeCast -------------------------------------------------------------------------------- */

mica_status mica_verify_dtype_cast(const mica_op *op) {
    const char *to = mica_op_str(op, "to");
    if (mica_dtype_of_name(to) == MRT_DTYPE_NONE) {
        return mica_op_error(op, "expects an element type in attribute 'to', got \"%s\"", to);
    }
    return MICA_OK;
}

mica_status mica_infer_dtype_cast(const mica_op *op, mica_type *out_results) {
    MICA_TRY(mica_verify_dtype_cast(op));
    const mrt_dtype to = mica_dtype_of_name(mica_op_str(op, "to"));
    return infer_with_element(op, mica_type_of_dtype(mica_op_context(op), to), out_results);
}

mica_status mica_plan_dtype_cast(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_no_quant(planner, op));
    const mrt_cast_params params = {0};
    return mica_planner_step(planner, op, MRT_K_cast, &params);
}

/* --- functions -------------------------------------------------------------------------------- */

mica_status mica_plan_unary(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_no_quant(planner, op));
    const mrt_unary_params params = {.op = mica_unary_code(op->name),
                                     .alpha = mica_op_f64(op, "alpha"),
                                     .beta = mica_op_f64(op, "beta")};
    return mica_planner_step(planner, op, MRT_K_unary, &params);
}

mica_status mica_plan_relu(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_same_quant(planner, op, 0, 1));
    return mica_plan_relu_from(planner, op, mica_planner_value(planner, mica_op_operand(op, 0)),
                               mica_op_f64(op, "relu_limit"));
}

mica_status mica_plan_clip(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_no_quant(planner, op));
    const mrt_unary_params params = {
        .op = MRT_UNARY_CLIP,
        .alpha = mica_op_has_attr(op, "min") ? mica_op_f64(op, "min") : -(double)INFINITY,
        .beta = mica_op_has_attr(op, "max") ? mica_op_f64(op, "max") : (double)INFINITY};
    return mica_planner_step(planner, op, MRT_K_unary, &params);
}

mica_status mica_plan_predicate(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_no_quant(planner, op));
    mrt_unary_params params = {.op = MRT_UNARY_IS_NAN};
    if (mica_op_is(op, "top.IsInf") || mica_op_is(op, "tpu.IsInf")) {
        params = (mrt_unary_params){.op = MRT_UNARY_IS_INF,
                                    .alpha = mica_op_bool(op, "detect_negative"),
                                    .beta = mica_op_bool(op, "detect_positive")};
    }
    return mica_planner_step(planner, op, MRT_K_unary, &params);
}
