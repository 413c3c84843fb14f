/* Picking and writing by index: gathers, scatters, one-hot. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"


/* Shapes of operands 0 and 1. */
static bool read_pair(const mica_op *op, mica_shape *x, mica_shape *indices) {
    return mica_operand_shape(op, 0, x) && mica_operand_shape(op, 1, indices);
}

static mica_type element_of_input(const mica_op *op) {
    return mica_result_element(op, mica_op_operand(op, 0));
}

static mica_status append(const mica_op *op, mica_shape *to, const mica_shape *from, int first,
                          int last) {
    if (to->rank + (last - first) > MICA_MAX_RANK) {
        return mica_op_error(op, "has a result of rank %d, more than %d",
                             to->rank + (last - first), MICA_MAX_RANK);
    }
    for (int i = first; i < last; i++) {
        to->dims[to->rank++] = from->dims[i];
    }
    return MICA_OK;
}

mica_status mica_infer_gather(const mica_op *op, mica_type *out_results) {
    mica_shape x, indices, y = {0};
    int axis;
    if (!read_pair(op, &x, &indices)) {
        return mica_infer_unranked(op, out_results);
    }
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    MICA_TRY(append(op, &y, &x, 0, axis));
    MICA_TRY(append(op, &y, &indices, 0, indices.rank));
    MICA_TRY(append(op, &y, &x, axis + 1, x.rank));
    return mica_infer_shape_result(op, &y, element_of_input(op), out_results);
}

mica_status mica_infer_gather_elements(const mica_op *op, mica_type *out_results) {
    mica_shape x, indices;
    int axis;
    if (!read_pair(op, &x, &indices)) {
        return mica_infer_unranked(op, out_results);
    }
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    if (x.rank != indices.rank) {
        return mica_op_error(op, "expects indices of rank %d, got %d", x.rank, indices.rank);
    }
    for (int i = 0; i < x.rank; i++) {
        if (i != axis && indices.dims[i] > x.dims[i]) {
            return mica_op_error(op, "expects indices of at most %" PRId64
                                 " elements along axis %d, got shape %s", x.dims[i], i,
                                 mica_shape_text(&indices).text);
        }
    }
    return mica_infer_shape_result(op, &indices, element_of_input(op), out_results);
}

mica_status mica_infer_gather_nd(const mica_op *op, mica_type *out_results) {
    mica_shape x, indices, y = {0};
    if (!read_pair(op, &x, &indices)) {
        return mica_infer_unranked(op, out_results);
    }
    const int64_t batch = mica_op_i64(op, "batch_dims");
    const int lowest = x.rank < indices.rank - 1 ? x.rank : indices.rank - 1;
    if (x.rank < 1 || indices.rank < 1 || batch < 0 || batch > lowest) {
        return mica_op_error(op, "cannot take indices of shape %s from shape %s with %" PRId64
                             " batch axes", mica_shape_text(&indices).text,
                             mica_shape_text(&x).text, batch);
    }
    for (int i = 0; i < batch; i++) {
        if (x.dims[i] != indices.dims[i]) {
            return mica_op_error(op, "expects the same batch axes of shapes %s and %s",
                                 mica_shape_text(&x).text, mica_shape_text(&indices).text);
        }
    }
    const int64_t tuple = indices.dims[indices.rank - 1];
    if (tuple > x.rank - batch) {
        return mica_op_error(op, "expects index tuples of at most %" PRId64 " values, got %" PRId64,
                             x.rank - batch, tuple);
    }
    MICA_TRY(append(op, &y, &indices, 0, indices.rank - 1));
    MICA_TRY(append(op, &y, &x, (int)(batch + tuple), x.rank));
    return mica_infer_shape_result(op, &y, element_of_input(op), out_results);
}

mica_status mica_plan_gather(const mica_op *op, mica_planner *planner) {
    const mrt_gather_params params = {.axis = mica_op_axis_of(op)};
    return mica_plan_move(planner, op, MRT_K_gather, &params);
}

mica_status mica_plan_gather_elements(const mica_op *op, mica_planner *planner) {
    const mrt_gather_params params = {.axis = mica_op_axis_of(op)};
    return mica_plan_move(planner, op, MRT_K_gather_elements, &params);
}

mica_status mica_plan_gather_nd(const mica_op *op, mica_planner *planner) {
    const mrt_gather_params params = {.batch_dims = mica_op_i64(op, "batch_dims")};
    return mica_plan_move(planner, op, MRT_K_gather_nd, &params);
}

/* --- scatter ---------------------------------------------------------------------------------- */

static const char reductions[] = "none|add|mul|max|min"; /* in the order of MRT_SCATTER_* */

/* Sums and products of quantized elements are none of their integers. */
static mica_status plan_scatter(const mica_op *op, mica_planner *planner, uint16_t kernel,
                                int64_t axis) {
    const mrt_scatter_params params = {
        .axis = axis, .reduction = mica_choice_index(reductions, mica_op_str(op, "reduction"))};
    if (params.reduction == MRT_SCATTER_ADD || params.reduction == MRT_SCATTER_MUL) {
        MICA_TRY(mica_plan_no_quant(planner, op));
    }
    MICA_TRY(mica_plan_same_quant(planner, op, 2, 1));
    return mica_plan_move(planner, op, kernel, &params);
}

mica_status mica_plan_scatter_elements(const mica_op *op, mica_planner *planner) {
    return plan_scatter(op, planner, MRT_K_scatter_elements, mica_op_axis_of(op));
}

mica_status mica_plan_scatter_nd(const mica_op *op, mica_planner *planner) {
    return plan_scatter(op, planner, MRT_K_scatter_nd, 0);
}

/* --- one-hot ---------------------------------------------------------------------------------- */

/* Axis of the result where the vectors lie. */
static mica_status one_hot_axis(const mica_op *op, int rank, int *out) {
    return mica_op_axis(op, "axis", mica_op_i64(op, "axis"), rank + 1, out);
}

mica_status mica_infer_one_hot(const mica_op *op, mica_type *out_results) {
    mica_shape indices, y = {0};
    int axis;
    const mica_type element = mica_result_element(op, mica_op_operand(op, 1));
    if (!mica_operand_shape(op, 0, &indices)) {
        out_results[0] = mica_type_tensor(mica_op_context(op), -1, NULL, element, NULL);
        return MICA_OK;
    }
    const int64_t depth = mica_op_i64(op, "depth");
    if (depth < 0) {
        return mica_op_error(op, "expects attribute 'depth' of at least 0, got %" PRId64, depth);
    }
    const mica_shape vector = {1, {depth}};
    MICA_TRY(one_hot_axis(op, indices.rank, &axis));
    MICA_TRY(append(op, &y, &indices, 0, axis));
    MICA_TRY(append(op, &y, &vector, 0, 1));
    MICA_TRY(append(op, &y, &indices, axis, indices.rank));
    return mica_infer_shape_result(op, &y, element, out_results);
}

mica_status mica_plan_one_hot(const mica_op *op, mica_planner *planner) {
    mica_shape indices = {0};
    int axis = 0;
    mica_operand_shape(op, 0, &indices);
    MICA_TRY(one_hot_axis(op, indices.rank, &axis));
    MICA_TRY(mica_plan_same_quant(planner, op, 1, 1));
    const mrt_axis_params params = {.axis = axis};
    return mica_planner_step(planner, op, MRT_K_one_hot, &params);
}
