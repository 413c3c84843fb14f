/* Sampling at computed places: grids, boxes, moved windows. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/top/window.h"

#include <string.h>

static mica_status result(const mica_op *op, const mica_shape *shape, mica_type *out) {
    return mica_infer_shape_result(op, shape, mica_result_element(op, mica_op_operand(op, 0)), out);
}

/* --- grid sample ------------------------------------------------------------------------------ */

mica_status mica_infer_grid_sample(const mica_op *op, mica_type *out_results) {
    mica_shape x, grid;
    if (!mica_operand_shape(op, 0, &x) || !mica_operand_shape(op, 1, &grid)) {
        return mica_infer_unranked(op, out_results);
    }
    if (x.rank < 3 || x.rank > 5) {
        return mica_op_error(op, "expects input of rank 3 to 5, got %d", x.rank);
    }
    for (int i = 2; i < x.rank; i++) {
        if (x.dims[i] < 1) {
            return mica_op_error(op, "expects input with elements along every spatial axis, got %s",
                                 mica_shape_text(&x).text);
        }
    }
    if (grid.rank != x.rank || grid.dims[0] != x.dims[0] || grid.dims[x.rank - 1] != x.rank - 2) {
        return mica_op_error(op, "expects grid of rank %d with batch %" PRId64 " and %d coordinates,"
                             " got %s", x.rank, x.dims[0], x.rank - 2,
                             mica_shape_text(&grid).text);
    }
    memcpy(x.dims + 2, grid.dims + 1, (size_t)(x.rank - 2) * sizeof x.dims[0]);
    return result(op, &x, out_results);
}

mica_status mica_plan_grid_sample(const mica_op *op, mica_planner *planner) {
    const mrt_sample_params params = {
        .mode = mica_choice_index("nearest|linear|cubic", mica_op_str(op, "mode")),
        .padding = mica_choice_index("zeros|border|reflection", mica_op_str(op, "padding_mode")),
        .align_corners = mica_op_bool(op, "align_corners")};
    return mica_planner_step(planner, op, MRT_K_grid_sample_f32, &params);
}

/* --- boxes ------------------------------------------------------------------------------------ */

mica_status mica_verify_roi(const mica_op *op) {
    MICA_TRY(mica_op_list(op, "output_shape", 2));
    for (size_t i = 0; i < 2; i++) {
        const int64_t bins = mica_op_i64_at(op, "output_shape", i, 1);
        if (bins < 1 || bins > INT32_MAX) {
            return mica_op_error(op, "expects values from 1 to %d in attribute 'output_shape', got %"
                                 PRId64, INT32_MAX, bins);
        }
    }
    if (mica_op_has_attr(op, "sampling_ratio")) {
        const int64_t ratio = mica_op_i64(op, "sampling_ratio");
        if (ratio < 0 || ratio > MRT_ROI_MAX_SAMPLES) {
            return mica_op_error(op, "expects attribute 'sampling_ratio' from 0 to %d, got %" PRId64,
                                 MRT_ROI_MAX_SAMPLES, ratio);
        }
    }
    return MICA_OK;
}

/* RoiAlign names the sample of a box by a third operand, RoiMaxPool in the box. */
mica_status mica_infer_roi(const mica_op *op, mica_type *out_results) {
    mica_shape x, rois, index;
    const int columns = op->n_operands > 2 ? 4 : 5;
    if (!mica_operand_shape(op, 0, &x) || !mica_operand_shape(op, 1, &rois)) {
        return mica_infer_unranked(op, out_results);
    }
    MICA_TRY(mica_verify_roi(op));
    if (x.rank != 4 || x.dims[2] < 1 || x.dims[3] < 1) {
        return mica_op_error(op, "expects input of rank 4 with elements, got %s",
                             mica_shape_text(&x).text);
    }
    if (rois.rank != 2 || rois.dims[1] != columns) {
        return mica_op_error(op, "expects rois of shape [boxes, %d], got %s", columns,
                             mica_shape_text(&rois).text);
    }
    if (op->n_operands > 2 && mica_operand_shape(op, 2, &index) &&
        (index.rank != 1 || index.dims[0] != rois.dims[0])) {
        return mica_op_error(op, "expects batch_indices of shape [%" PRId64 "], got %s",
                             rois.dims[0], mica_shape_text(&index).text);
    }
    x.dims[0] = rois.dims[0];
    for (int i = 0; i < 2; i++) {
        x.dims[2 + i] = mica_op_i64_at(op, "output_shape", (size_t)i, 1);
    }
    return result(op, &x, out_results);
}

mica_status mica_plan_roi_align(const mica_op *op, mica_planner *planner) {
    const mrt_roi_params params = {.mode = mica_choice_index("avg|max", mica_op_str(op, "mode")),
                                   .half_pixel = mica_op_bool(op, "half_pixel"),
                                   .sampling_ratio = mica_op_i64(op, "sampling_ratio"),
                                   .spatial_scale = mica_op_f64(op, "spatial_scale")};
    return mica_planner_step(planner, op, MRT_K_roi_align_f32, &params);
}

mica_status mica_plan_roi_max_pool(const mica_op *op, mica_planner *planner) {
    const mrt_roi_params params = {.mode = MRT_ROI_MAX,
                                   .spatial_scale = mica_op_f64(op, "spatial_scale")};
    return mica_planner_step(planner, op, MRT_K_roi_max_pool_f32, &params);
}

/* --- moved windows ---------------------------------------------------------------------------- */

mica_status mica_verify_deform_columns(const mica_op *op) {
    mica_window window;
    mica_shape x;
    MICA_TRY(mica_window_read(op, &window));
    const int64_t groups = mica_op_i64(op, "offset_group");
    if (window.spatial != 2) {
        return mica_op_error(op, "expects 2 spatial axes, got %d", window.spatial);
    }
    if (groups < 1 || groups > INT32_MAX ||
        (mica_operand_shape(op, 0, &x) && x.dims[1] % groups != 0)) {
        return mica_op_error(op, "expects attribute 'offset_group' to divide the channels, got %"
                             PRId64, groups);
    }
    return MICA_OK;
}

mica_status mica_infer_deform_columns(const mica_op *op, mica_type *out_results) {
    mica_window window;
    mica_shape x;
    MICA_TRY(mica_verify_deform_columns(op));
    MICA_TRY(mica_window_read(op, &window));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    mica_shape y = x;
    const int64_t taps = window.kernel[0] * window.kernel[1]; /* each below 2^31 */
    for (int i = 0; i < 2; i++) {
        y.dims[2 + i] = mica_window_count(&window, i, x.dims[2 + i], false);
        if (y.dims[2 + i] < 1) {
            return mica_op_error(op, "has a window of %" PRId64 " elements, larger than spatial "
                                 "axis %d with %" PRId64 " elements", mica_window_reach(&window, i),
                                 i, x.dims[2 + i]);
        }
    }
    for (uint32_t i = 1; i < op->n_operands; i++) {
        mica_shape moved, expected = y;
        const int64_t per_tap = mica_op_i64(op, "offset_group") * (i == 1 ? 2 : 1);
        if (__builtin_mul_overflow(per_tap, taps, &expected.dims[1])) {
            return mica_op_error(op, "has too many window elements");
        }
        expected.dims[0] = x.dims[0];
        if (mica_operand_shape(op, i, &moved) && !mica_shapes_equal(&moved, &expected)) {
            return mica_op_error(op, "expects %s of shape %s, got %s", op->info->operands[i].name,
                                 mica_shape_text(&expected).text, mica_shape_text(&moved).text);
        }
    }
    if (__builtin_mul_overflow(x.dims[1], taps, &y.dims[1])) {
        return mica_op_error(op, "has too many window elements");
    }
    return result(op, &y, out_results);
}

mica_status mica_plan_deform_columns(const mica_op *op, mica_planner *planner) {
    mica_window window;
    MICA_TRY(mica_window_read(op, &window));
    mrt_conv_params params = {.spatial = 2, .group = mica_op_i64(op, "offset_group")};
    memcpy(params.kernel, window.kernel, sizeof params.kernel);
    memcpy(params.stride, window.stride, sizeof params.stride);
    memcpy(params.dilation, window.dilation, sizeof params.dilation);
    memcpy(params.pad_begin, window.pad_begin, sizeof params.pad_begin);
    memcpy(params.pad_end, window.pad_end, sizeof params.pad_end);
    return mica_planner_step(planner, op, MRT_K_deform_columns_f32, &params);
}
