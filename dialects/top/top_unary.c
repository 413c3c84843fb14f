/* Element-wise ops of one operand: checks, shapes and plans. */
#include "dialects/dialects.h"
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

#include "runtime/mrt_small.h"

#include <math.h>
#include <string.h>

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
    const char *round = mica_op_str(op, "round_mode");
    const mrt_cast_params params = {
        .flags = (mica_op_bool(op, "saturate") ? 0 : MRT_CAST_NO_SATURATE) |
                 (strcmp(round, "down") == 0      ? MRT_CAST_ROUND_DOWN
                  : strcmp(round, "nearest") == 0 ? MRT_CAST_ROUND_NEAREST
                                                  : 0)};
    return mica_planner_step(planner, op, MRT_K_cast, &params);
}

/* --- BitCast ---------------------------------------------------------------------------------- */

static int element_bits(mrt_dtype dtype) {
    const int small = mrt_small_bits(dtype);
    return small != 0 ? small : 8 * (int)mrt_dtype_bytes(dtype);
}

mica_status mica_verify_bit_cast(const mica_op *op) {
    MICA_TRY(mica_verify_dtype_cast(op));
    const mrt_dtype from = mica_dtype_of(mica_type_element(mica_op_operand(op, 0)->type));
    const mrt_dtype to = mica_dtype_of_name(mica_op_str(op, "to"));
    if (from != MRT_DTYPE_NONE && element_bits(from) != element_bits(to)) {
        return mica_op_error(op, "expects an element type of %d bits in attribute 'to', got \"%s\"",
                             element_bits(from), mica_op_str(op, "to"));
    }
    return MICA_OK;
}

/* A view of the bytes; a small integer is extended to its byte, which a conversion from u8 does, and
 * so does one to bool, whose bytes are 0 and 1. */
mica_status mica_plan_bit_cast(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_no_quant(planner, op));
    mrt_tensor info = mica_planner_info(planner, mica_op_result(op, 0));
    if (!mrt_dtype_is_small_int(info.dtype) && info.dtype != MRT_BOOL) {
        return mica_planner_alias(planner, op);
    }
    info.dtype = MRT_U8;
    info.name = NULL;
    const int32_t in = mica_planner_value(planner, mica_op_operand(op, 0));
    const int32_t view = mica_planner_view(planner, &info, in);
    const int32_t out = mica_planner_value(planner, mica_op_result(op, 0));
    const mrt_cast_params params = {0};
    return mica_planner_step_ids(planner, op, MRT_K_cast, &params, &view, 1, &out, 1);
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
