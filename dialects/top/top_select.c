/* Ops that find how large their result is: NonZero, Compress, Unique, Nms. */
#include "dialects/hooks.h"
#include "dialects/live.h"
#include "dialects/plan_util.h"
#include "dialects/top/top.h"
#include "utils/checked.h"

static mica_type i64_of(const mica_op *op) { return mica_type_i64(mica_op_context(op)); }

/* --- NonZero ---------------------------------------------------------------------------------- */

mica_status mica_infer_non_zero(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    if (!mica_operand_shape(op, 0, &x)) {
        out_results[0] = mica_type_tensor(mica_op_context(op), -1, NULL, i64_of(op), NULL);
        return MICA_OK;
    }
    const mica_shape y = {2, {x.rank, mica_dims_product(&x, 0, x.rank)}};
    return mica_infer_data_size(op, &y, 1, i64_of(op), out_results);
}

mica_status mica_plan_non_zero(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_no_quant(planner, op));
    return mica_planner_step(planner, op, MRT_K_non_zero, NULL);
}

/* --- Compress --------------------------------------------------------------------------------- */

mica_status mica_verify_compress(const mica_op *op) {
    mica_shape x, condition;
    int axis;
    if (mica_operand_shape(op, 0, &x)) {
        MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    }
    if (mica_operand_shape(op, 1, &condition) && condition.rank != 1) {
        return mica_op_error(op, "expects a condition of rank 1, got shape %s",
                             mica_shape_text(&condition).text);
    }
    return MICA_OK;
}

mica_status mica_infer_compress(const mica_op *op, mica_type *out_results) {
    mica_shape x, condition;
    int axis;
    MICA_TRY(mica_verify_compress(op));
    if (!mica_operand_shape(op, 0, &x) || !mica_operand_shape(op, 1, &condition)) {
        return mica_infer_unranked(op, out_results);
    }
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    if (condition.dims[0] < x.dims[axis]) {
        x.dims[axis] = condition.dims[0];
    }
    return mica_infer_data_size(op, &x, axis, mica_result_element(op, mica_op_operand(op, 0)),
                                out_results);
}

mica_status mica_plan_compress(const mica_op *op, mica_planner *planner) {
    const mrt_axis_params params = {.axis = mica_op_axis_of(op)};
    return mica_plan_move(planner, op, MRT_K_compress, &params);
}

/* --- Unique ----------------------------------------------------------------------------------- */

mica_status mica_infer_unique(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    int axis;
    const mica_type element = mica_result_element(op, mica_op_operand(op, 0));
    if (!mica_operand_shape(op, 0, &x)) {
        for (uint32_t i = 0; i < op->n_results; i++) {
            out_results[i] = mica_type_tensor(mica_op_context(op), -1, NULL,
                                              i == 0 ? element : i64_of(op), NULL);
        }
        return MICA_OK;
    }
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    const mica_shape list = {1, {x.dims[axis]}};
    MICA_TRY(mica_infer_data_size(op, &x, axis, element, &out_results[0]));
    MICA_TRY(mica_infer_data_size(op, &list, 0, i64_of(op), &out_results[1]));
    MICA_TRY(mica_infer_shape_result(op, &list, i64_of(op), &out_results[2]));
    return mica_infer_data_size(op, &list, 0, i64_of(op), &out_results[3]);
}

mica_status mica_plan_unique(const mica_op *op, mica_planner *planner) {
    const mrt_axis_params params = {.axis = mica_op_axis_of(op),
                                    .flag = mica_op_bool(op, "sorted")};
    return mica_plan_move(planner, op, MRT_K_unique, &params);
}

/* --- Nms -------------------------------------------------------------------------------------- */

mica_status mica_verify_nms(const mica_op *op) {
    mica_shape boxes, scores;
    const bool known = mica_operand_shape(op, 0, &boxes) && mica_operand_shape(op, 1, &scores);
    if (known && (boxes.rank != 3 || scores.rank != 3 || boxes.dims[2] != 4 ||
                  boxes.dims[0] != scores.dims[0] || boxes.dims[1] != scores.dims[2])) {
        return mica_op_error(op, "expects boxes [batch, n, 4] and scores [batch, classes, n], got "
                             "%s and %s", mica_shape_text(&boxes).text,
                             mica_shape_text(&scores).text);
    }
    return MICA_OK;
}

mica_status mica_infer_nms(const mica_op *op, mica_type *out_results) {
    mica_shape boxes, scores;
    MICA_TRY(mica_verify_nms(op));
    if (!mica_operand_shape(op, 0, &boxes) || !mica_operand_shape(op, 1, &scores)) {
        out_results[0] = mica_type_tensor(mica_op_context(op), -1, NULL, i64_of(op), NULL);
        return MICA_OK;
    }
    int64_t each = boxes.dims[1], count = 0;
    const mica_value *most = mica_op_present(op, 2);
    const int64_t *given = most ? mica_weight_i64(most, &count) : NULL;
    if (!most || (given && count == 1 && given[0] < each)) {
        each = most && given[0] > 0 ? given[0] : 0;
    }
    mica_shape y = {2, {0, 3}};
    if (!mica_mul_ok(scores.dims[0], scores.dims[1], &y.dims[0]) ||
        !mica_mul_ok(y.dims[0], each, &y.dims[0])) {
        return mica_op_error(op, "has too many boxes");
    }
    return mica_infer_data_size(op, &y, 0, i64_of(op), out_results);
}

mica_status mica_plan_nms(const mica_op *op, mica_planner *planner) {
    MICA_TRY(mica_plan_no_quant(planner, op));
    const mrt_axis_params params = {.flag = mica_op_bool(op, "center_point_box")};
    return mica_planner_step(planner, op, MRT_K_nms, &params);
}
