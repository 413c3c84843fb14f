/* Interp: resize by the rules of ONNX Resize. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

#include <math.h>
#include <string.h>

/* In the order of the runtime's enums. */
static const char modes[] = "nearest|linear|cubic";
static const char coords[] = "half_pixel|pytorch_half_pixel|align_corners|asymmetric|"
                             "tf_crop_and_resize|half_pixel_symmetric";
static const char nearests[] = "round_prefer_floor|round_prefer_ceil|floor|ceil";

mica_status mica_verify_interp(const mica_op *op) {
    size_t rank, n_scales, n_roi;
    const int64_t *shape = mica_op_i64s(op, "shape", &rank);
    const double *scales = mica_op_f64s(op, "scales", &n_scales);
    mica_op_f64s(op, "roi", &n_roi);
    mica_shape x;
    if (mica_operand_shape(op, 0, &x)) {
        MICA_TRY(mica_op_list(op, "shape", (size_t)x.rank));
    }
    if (rank > MICA_MAX_RANK) {
        return mica_op_error(op, "expects at most %d values in attribute 'shape', got %zu",
                             MICA_MAX_RANK, rank);
    }
    for (size_t i = 0; i < rank; i++) {
        if (shape[i] < 0) {
            return mica_op_error(op, "expects dimensions of at least 0 in attribute 'shape', got %"
                                 PRId64, shape[i]);
        }
    }
    if (n_scales != 0) {
        MICA_TRY(mica_op_list(op, "scales", rank));
    }
    for (size_t i = 0; i < n_scales; i++) {
        if (!(scales[i] > 0) || !isfinite(scales[i])) {
            return mica_op_error(op, "expects scales above 0, got %g", scales[i]);
        }
    }
    if (n_roi != 0) {
        MICA_TRY(mica_op_list(op, "roi", 2 * rank));
    } else if (strcmp(mica_op_str(op, "coord_mode"), "tf_crop_and_resize") == 0) {
        return mica_op_error(op, "expects attribute 'roi' for coord_mode \"tf_crop_and_resize\"");
    }
    return MICA_OK;
}

mica_status mica_infer_interp(const mica_op *op, mica_type *out_results) {
    mica_shape x, y = {0};
    MICA_TRY(mica_verify_interp(op));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    y.rank = x.rank;
    for (int i = 0; i < y.rank; i++) {
        y.dims[i] = mica_op_i64_at(op, "shape", (size_t)i, 0);
        if (x.dims[i] == 0 && y.dims[i] != 0) {
            return mica_op_error(op, "cannot resize axis %d without elements to %" PRId64, i,
                                 y.dims[i]);
        }
    }
    return mica_infer_shape_result(op, &y, mica_result_element(op, mica_op_operand(op, 0)),
                                   out_results);
}

static void read_params(const mica_op *op, const mica_shape *x, mrt_resize_params *out) {
    size_t n_scales, n_roi;
    const double *scales = mica_op_f64s(op, "scales", &n_scales);
    const double *roi = mica_op_f64s(op, "roi", &n_roi);
    *out = (mrt_resize_params){
        .mode = mica_choice_index(modes, mica_op_str(op, "mode")),
        .coord = mica_choice_index(coords, mica_op_str(op, "coord_mode")),
        .nearest = mica_choice_index(nearests, mica_op_str(op, "nearest_mode")),
        .cubic_a = mica_op_f64(op, "cubic_coeff_a"),
        .extrapolation = mica_op_f64(op, "extrapolation_value"),
        .exclude_outside = mica_op_bool(op, "exclude_outside"),
        .antialias = mica_op_bool(op, "antialias")};
    for (int i = 0; i < MRT_MAX_RANK; i++) {
        out->scale[i] = 1;
        out->roi_end[i] = 1;
    }
    for (int i = 0; i < x->rank; i++) {
        const int64_t size = mica_op_i64_at(op, "shape", (size_t)i, 0);
        if (n_scales == (size_t)x->rank) {
            out->scale[i] = scales[i];
        } else if (x->dims[i] > 0) {
            out->scale[i] = (double)size / (double)x->dims[i];
        }
        if (n_roi == 2 * (size_t)x->rank) {
            out->roi_begin[i] = roi[i];
            out->roi_end[i] = roi[x->rank + i];
        }
    }
}

/* Nearest moves elements of any type; linear has an integer form that keeps the scale. */
mica_status mica_plan_interp(const mica_op *op, mica_planner *planner) {
    mica_shape x = {0};
    mrt_resize_params params;
    mica_operand_shape(op, 0, &x);
    read_params(op, &x, &params);
    MICA_TRY(mica_plan_same_quant(planner, op, 0, 1));
    if (params.mode == MRT_RESIZE_NEAREST) {
        mica_quant quant;
        if (mica_quant_of(mica_op_result(op, 0), &quant)) {
            params.extrapolation = mica_quantize(&quant, params.extrapolation);
        }
        return mica_planner_step(planner, op, MRT_K_resize_nearest, &params);
    }
    const bool quantized = mica_value_is_quant(mica_op_operand(op, 0));
    return mica_planner_step(planner, op, quantized ? MRT_K_resize_int : MRT_K_resize_f32,
                             &params);
}
