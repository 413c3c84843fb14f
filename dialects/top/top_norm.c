/* Normalizations and softmax: checks, shapes and float plans. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

#include <string.h>

/* --- per-channel operands --------------------------------------------------------------------- */

/* Channels of a [N, C, ...] operand 0; false when its shape is unknown. */
static mica_status read_channels(const mica_op *op, int64_t *out, bool *out_known) {
    mica_shape x;
    *out_known = mica_operand_shape(op, 0, &x);
    if (*out_known && x.rank < 2) {
        return mica_op_error(op, "expects input of rank 2 or more, got %d", x.rank);
    }
    *out = *out_known ? x.dims[1] : 0;
    return MICA_OK;
}

static mica_status verify_channels(const mica_op *op, uint32_t first) {
    int64_t channels;
    bool known;
    MICA_TRY(read_channels(op, &channels, &known));
    for (uint32_t i = first; known && i < op->n_operands; i++) {
        mica_shape s;
        if (mica_operand_shape(op, i, &s) && (s.rank != 1 || s.dims[0] != channels)) {
            return mica_op_error(op, "expects %s of shape [%" PRId64 "], got %s",
                                 op->info->operands[i].name, channels, mica_shape_text(&s).text);
        }
    }
    return MICA_OK;
}

/* Operand i, or a constant of `value` per channel when it is absent. */
static int32_t channel_operand(mica_planner *planner, const mica_op *op, uint32_t i,
                               int64_t channels, float value) {
    const mica_value *operand = i < op->n_operands ? mica_op_present(op, i) : NULL;
    return operand ? mica_planner_value(planner, operand)
                   : mica_plan_fill_f32(planner, channels, value);
}

/* --- batch norm, scale, group norm, instance norm --------------------------------------------- */

mica_status mica_verify_batch_norm(const mica_op *op) {
    return verify_channels(op, 1);
}

mica_status mica_plan_batch_norm(const mica_op *op, mica_planner *planner) {
    const mrt_norm_params params = {.axis = 1, .epsilon = mica_op_f64(op, "eps")};
    return mica_plan_with_relu(planner, op, MRT_K_batch_norm_f32, &params);
}

/* scale and bias: [C], or any shape with C elements and 1 elsewhere that broadcasts over axis 1. */
mica_status mica_verify_scale(const mica_op *op) {
    int64_t channels;
    bool known;
    MICA_TRY(read_channels(op, &channels, &known));
    for (uint32_t i = 1; known && i < op->n_operands; i++) {
        mica_shape s;
        if (mica_operand_shape(op, i, &s) && mica_dims_product(&s, 0, s.rank) != channels) {
            return mica_op_error(op, "expects %s of %" PRId64 " elements, got shape %s",
                                 op->info->operands[i].name, channels, mica_shape_text(&s).text);
        }
    }
    return MICA_OK;
}

/* A view [C] of an operand of any shape with C elements. */
static int32_t flat_operand(mica_planner *planner, const mica_op *op, uint32_t i) {
    const mica_value *operand = i < op->n_operands ? mica_op_present(op, i) : NULL;
    const int32_t id = mica_planner_value(planner, operand);
    if (id < 0) {
        return -1;
    }
    mrt_tensor info = mica_planner_tensor(planner, id);
    if (info.shape.rank == 1) {
        return id;
    }
    info.shape = (mrt_shape){.rank = 1, .dims = {mrt_shape_count(&info.shape)}};
    info.name = NULL;
    return mica_planner_view(planner, &info, id);
}

mica_status mica_plan_scale(const mica_op *op, mica_planner *planner) {
    const mrt_axis_params params = {.axis = 1};
    const bool relu = mica_op_bool(op, "do_relu");
    const int32_t in[3] = {mica_planner_value(planner, mica_op_operand(op, 0)),
                           flat_operand(planner, op, 1), flat_operand(planner, op, 2)};
    const int32_t out = relu ? mica_plan_result_temp(planner, op)
                             : mica_planner_value(planner, mica_op_result(op, 0));
    MICA_TRY(mica_planner_step_ids(planner, op, MRT_K_scale_f32, &params, in, 3, &out, 1));
    return relu ? mica_plan_relu_from(planner, op, out, mica_op_f64(op, "relu_limit")) : MICA_OK;
}

static bool is_instance_norm(const mica_op *op) {
    return strcmp(op->name + 4, "InstanceNorm") == 0;
}

mica_status mica_verify_group_norm(const mica_op *op) {
    MICA_TRY(verify_channels(op, 1));
    int64_t channels;
    bool known;
    MICA_TRY(read_channels(op, &channels, &known));
    if (is_instance_norm(op)) {
        return MICA_OK;
    }
    const int64_t groups = mica_op_i64(op, "num_groups");
    if (groups < 1 || (known && channels % groups != 0)) {
        return mica_op_error(op, "expects attribute 'num_groups' to divide %" PRId64
                             " channels, got %" PRId64, channels, groups);
    }
    return MICA_OK;
}

mica_status mica_plan_group_norm(const mica_op *op, mica_planner *planner) {
    int64_t channels;
    bool known;
    MICA_TRY(read_channels(op, &channels, &known));
    const mrt_norm_params params = {
        .axis = 1,
        .groups = is_instance_norm(op) ? channels : mica_op_i64(op, "num_groups"),
        .epsilon = mica_op_f64(op, "eps")};
    const int32_t in[3] = {mica_planner_value(planner, mica_op_operand(op, 0)),
                           channel_operand(planner, op, 1, channels, 1.0f),
                           channel_operand(planner, op, 2, channels, 0.0f)};
    const int32_t out = mica_planner_value(planner, mica_op_result(op, 0));
    return mica_planner_step_ids(planner, op, MRT_K_group_norm_f32, &params, in, 3, &out, 1);
}

/* --- layer norm, RMS norm --------------------------------------------------------------------- */

mica_status mica_verify_layer_norm(const mica_op *op) {
    mica_shape x, s, joined;
    int axis;
    if (!mica_operand_shape(op, 0, &x)) {
        return MICA_OK;
    }
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    if (op->n_results > 3) {
        return mica_op_error(op, "has %u results, more than 3", op->n_results);
    }
    mica_shape tail = {.rank = x.rank - axis};
    memcpy(tail.dims, x.dims + axis, (size_t)tail.rank * sizeof tail.dims[0]);
    for (uint32_t i = 1; i < op->n_operands; i++) {
        if (!mica_operand_shape(op, i, &s)) {
            continue;
        }
        if (!mica_shape_broadcast(&tail, &s, &joined) || !mica_shapes_equal(&joined, &tail)) {
            return mica_op_error(op, "expects %s that broadcasts to shape %s, got %s",
                                 op->info->operands[i].name, mica_shape_text(&tail).text,
                                 mica_shape_text(&s).text);
        }
    }
    return MICA_OK;
}

mica_status mica_infer_layer_norm(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    int axis;
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    MICA_TRY(mica_verify_layer_norm(op));
    MICA_TRY(mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis));
    const mica_type element = mica_result_element(op, mica_op_operand(op, 0));
    MICA_TRY(mica_infer_shape_result(op, &x, element, out_results));
    for (int i = axis; i < x.rank; i++) {
        x.dims[i] = 1;
    }
    for (uint32_t i = 1; i < op->n_results; i++) {
        MICA_TRY(mica_infer_shape_result(op, &x, mica_type_f32(mica_op_context(op)),
                                         out_results + i));
    }
    return MICA_OK;
}

/* Weight or bias as the kernel wants it: the shape of the normalized axes exactly. */
static int32_t tail_operand(mica_planner *planner, const mica_op *op, uint32_t i) {
    const mica_value *operand = i < op->n_operands ? mica_op_present(op, i) : NULL;
    const int32_t id = mica_planner_value(planner, operand);
    if (id < 0) {
        return -1;
    }
    const mrt_tensor x = mica_planner_info(planner, mica_op_operand(op, 0));
    const int axis = (int)mica_op_axis_of(op);
    mrt_tensor info = mica_planner_tensor(planner, id);
    mrt_shape tail = {.rank = x.shape.rank - axis};
    memcpy(tail.dims, x.shape.dims + axis, (size_t)tail.rank * sizeof tail.dims[0]);
    if (mrt_shape_equal(&info.shape, &tail)) {
        return id;
    }
    info.shape = tail;
    const int32_t temp = mica_planner_temp(planner, &info);
    return mica_planner_step_ids(planner, op, MRT_K_expand, NULL, &id, 1, &temp, 1) == MICA_OK
               ? temp
               : -1;
}

mica_status mica_plan_layer_norm(const mica_op *op, mica_planner *planner) {
    const mrt_norm_params params = {.axis = mica_op_axis_of(op), .epsilon = mica_op_f64(op, "eps")};
    const int32_t in[3] = {mica_planner_value(planner, mica_op_operand(op, 0)),
                           tail_operand(planner, op, 1), tail_operand(planner, op, 2)};
    int32_t out[3];
    const int n_out = mica_planner_results(planner, op, 1, out);
    return mica_planner_step_ids(planner, op, MRT_K_layer_norm_f32, &params, in, 3, out, n_out);
}

mica_status mica_plan_rms_norm(const mica_op *op, mica_planner *planner) {
    const mrt_norm_params params = {.axis = mica_op_axis_of(op), .epsilon = mica_op_f64(op, "eps")};
    const int32_t in[2] = {mica_planner_value(planner, mica_op_operand(op, 0)),
                           tail_operand(planner, op, 1)};
    const int32_t out = mica_planner_value(planner, mica_op_result(op, 0));
    return mica_planner_step_ids(planner, op, MRT_K_rms_norm_f32, &params, in, 2, &out, 1);
}

/* --- LRN, softmax ----------------------------------------------------------------------------- */

mica_status mica_plan_lrn(const mica_op *op, mica_planner *planner) {
    const mrt_norm_params params = {.axis = 1,
                                    .size = mica_op_i64(op, "size"),
                                    .alpha = mica_op_f64(op, "alpha"),
                                    .beta = mica_op_f64(op, "beta"),
                                    .bias = mica_op_f64(op, "bias")};
    return mica_planner_step(planner, op, MRT_K_lrn_f32, &params);
}

/* Shared by all ops whose attribute `axis` names an axis of operand 0. */
mica_status mica_verify_axis(const mica_op *op) {
    mica_shape x;
    int axis;
    return mica_operand_shape(op, 0, &x)
               ? mica_op_axis(op, "axis", mica_op_i64(op, "axis"), x.rank, &axis)
               : MICA_OK;
}

mica_status mica_plan_softmax(const mica_op *op, mica_planner *planner) {
    const mrt_axis_params params = {.axis = mica_op_axis_of(op), .flag = mica_op_bool(op, "log")};
    return mica_planner_step(planner, op, MRT_K_softmax_f32, &params);
}
