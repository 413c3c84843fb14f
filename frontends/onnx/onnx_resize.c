/* Resize and Upsample in all their versions. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct resize {
    mrt_shape in;
    int64_t shape[MRT_MAX_RANK];
    double scales[MRT_MAX_RANK];
    double roi[2 * MRT_MAX_RANK];
    const int64_t *axes; /* NULL: all */
    int64_t n_axes;
    bool crop; /* tf_crop_and_resize */
} resize;

static int axis_of(mica_onnx_node *node, const resize *r, int64_t i) {
    return mica_onnx_axis(node, r->axes != NULL ? r->axes[i] : i, r->in.rank);
}

static mica_status from_scales(mica_onnx_node *node, resize *r, const double *scales, int64_t n) {
    if (n != r->n_axes) {
        return mica_onnx_error(node, "%" PRId64 " scales for %" PRId64 " axes", n, r->n_axes);
    }
    for (int64_t i = 0; i < n; i++) {
        const int axis = axis_of(node, r, i);
        double size = (double)r->in.dims[axis];
        if (r->crop) {
            size *= r->roi[axis + r->in.rank] - r->roi[axis];
        }
        size = floor(size * scales[i]);
        if (!(scales[i] > 0.0) || !(size >= 0.0 && size < 0x1p31)) {
            return mica_onnx_error(node, "scale %g on axis %d gives no valid size", scales[i],
                                   axis);
        }
        r->scales[axis] = scales[i];
        r->shape[axis] = (int64_t)size;
    }
    return MICA_OK;
}

/* Sizes that keep the ratio: one scale for all axes, the smallest or the largest. */
static double common_scale(const resize *r, mica_onnx_node *node, const int64_t *sizes,
                           bool smallest) {
    double best = 0.0;
    for (int64_t i = 0; i < r->n_axes; i++) {
        const double scale = (double)sizes[i] / (double)r->in.dims[axis_of(node, r, i)];
        best = i == 0 || (smallest ? scale < best : scale > best) ? scale : best;
    }
    return best;
}

static mica_status from_sizes(mica_onnx_node *node, resize *r, const int64_t *sizes, int64_t n,
                              const char *policy) {
    if (n != r->n_axes) {
        return mica_onnx_error(node, "%" PRId64 " sizes for %" PRId64 " axes", n, r->n_axes);
    }
    const bool keep = strcmp(policy, "stretch") != 0;
    const double common =
        keep ? common_scale(r, node, sizes, strcmp(policy, "not_larger") == 0) : 0.0;
    for (int64_t i = 0; i < n; i++) {
        const int axis = axis_of(node, r, i);
        const double in = (double)r->in.dims[axis];
        const double size = keep ? floor(in * common + 0.5) : (double)sizes[i];
        if (!(size >= 0.0 && size < 0x1p31) || in == 0.0) {
            return mica_onnx_error(node, "size %" PRId64 " on axis %d is not valid", sizes[i],
                                   axis);
        }
        r->shape[axis] = (int64_t)size;
        r->scales[axis] = keep ? common : size / in;
    }
    return MICA_OK;
}

static mica_status read_roi(mica_onnx_node *node, resize *r) {
    int64_t n = 0;
    const double *roi = mica_onnx_const_f64s(node, 1, &n);
    MICA_TRY(mica_onnx_finish(node));
    if (n != 2 * r->n_axes) {
        return mica_onnx_error(node, "%" PRId64 " values of roi for %" PRId64 " axes", n,
                               r->n_axes);
    }
    for (int64_t i = 0; i < r->n_axes; i++) {
        const int axis = axis_of(node, r, i);
        r->roi[axis] = roi[i];
        r->roi[axis + r->in.rank] = roi[i + r->n_axes];
    }
    return MICA_OK;
}

static bool has_elements(mica_onnx_node *node, size_t i) {
    const mica_value *value = mica_onnx_in(node, i);
    const mrt_shape shape = mica_onnx_shape(value);
    return value != NULL && mrt_shape_count(&shape) > 0;
}

static void start(mica_onnx_node *node, resize *r) {
    *r = (resize){.in = mica_onnx_shape(mica_onnx_in(node, 0))};
    r->n_axes = r->in.rank;
    for (int i = 0; i < r->in.rank; i++) {
        r->shape[i] = r->in.dims[i];
        r->scales[i] = 1.0;
        r->roi[i + r->in.rank] = 1.0;
    }
}

static mica_op *interp(mica_onnx_node *node, const resize *r, const char *mode, const char *coord) {
    mica_value *x = mica_onnx_in(node, 0);
    mica_op *op = mica_onnx_op(node, "top.Interp", NULL, &x, 1, 1);
    if (op != NULL) {
        mica_op_set_str(op, "mode", mode);
        mica_op_set_str(op, "coord_mode", coord);
        mica_op_set_i64s(op, "shape", r->shape, (size_t)r->in.rank);
        mica_op_set_f64s(op, "scales", r->scales, (size_t)r->in.rank);
        if (r->crop) {
            mica_op_set_f64s(op, "roi", r->roi, 2 * (size_t)r->in.rank);
        }
    }
    return op;
}

/* Resize of opset 10 and Upsample: input 1 holds scales, pixels are scaled about the corner. */
static mica_status corner_resize(mica_onnx_node *node, const double *scales, int64_t n) {
    resize r;
    start(node, &r);
    const char *mode = mica_onnx_attr_choice(node, "mode", "nearest", "nearest|linear");
    MICA_TRY(mica_onnx_finish(node));
    MICA_TRY(from_scales(node, &r, scales, n));
    mica_op *op = interp(node, &r, mode, "asymmetric");
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_str(op, "nearest_mode", "floor");
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_upsample(mica_onnx_node *node) {
    int64_t n = 0;
    size_t n_attr = 0;
    const double *scales = NULL;
    if (node->opset >= 9) {
        scales = mica_onnx_const_f64s(node, 1, &n);
    } else {
        scales = mica_onnx_attr_floats(node, "scales", &n_attr);
        n = (int64_t)n_attr;
    }
    return corner_resize(node, scales, n);
}

/* scales or sizes, exactly one of them. */
static mica_status read_target(mica_onnx_node *node, resize *r, const char *policy) {
    int64_t n = 0;
    const bool scales = has_elements(node, 2), sizes = has_elements(node, 3);
    MICA_TRY(mica_onnx_finish(node));
    if (scales == sizes) {
        return mica_onnx_error(node, "%s of 'scales' and 'sizes' are given, expected one",
                               scales ? "both" : "none");
    }
    if (scales) {
        const double *values = mica_onnx_const_f64s(node, 2, &n);
        MICA_TRY(mica_onnx_finish(node));
        return from_scales(node, r, values, n);
    }
    const int64_t *values = mica_onnx_const_i64s(node, 3, &n);
    MICA_TRY(mica_onnx_finish(node));
    return from_sizes(node, r, values, n, policy);
}

/* tf_half_pixel_for_nn (opset 11 and 12): x = (i + 1/2) / scale, one Gather per axis. */
static mica_status pick_nearest(mica_onnx_node *node, const resize *r, const char *nearest) {
    mica_value *x = mica_onnx_in(node, 0);
    int last = -1;
    for (int i = 0; i < r->in.rank; i++) {
        last = r->shape[i] != r->in.dims[i] ? i : last;
    }
    for (int axis = 0; axis <= last; axis++) {
        const int64_t n = r->shape[axis], size = r->in.dims[axis];
        int64_t *index = n != size ? mica_onnx_buffer(node, MRT_I64, n) : NULL;
        if (index == NULL) {
            continue;
        }
        for (int64_t i = 0; i < n; i++) {
            const double at = ((double)i + 0.5) / r->scales[axis];
            const double whole = strcmp(nearest, "floor") == 0               ? floor(at)
                                 : strcmp(nearest, "ceil") == 0              ? ceil(at)
                                 : strcmp(nearest, "round_prefer_ceil") == 0 ? floor(at + 0.5)
                                                                             : ceil(at - 0.5);
            index[i] = whole > (double)(size - 1) ? size - 1 : whole < 0.0 ? 0 : (int64_t)whole;
        }
        mica_value *indices = mica_onnx_i64s(node, "indices", n, index);
        x = mica_onnx_gather(node, "top.Gather", axis == last ? NULL : "axis", x, indices, axis);
    }
    return mica_onnx_alias(node, 0, x);
}

mica_status mica_onnx_convert_resize(mica_onnx_node *node) {
    int64_t n = 0;
    size_t n_axes = 0;
    resize r;
    if (node->opset < 11) {
        const double *scales = mica_onnx_const_f64s(node, 1, &n);
        return corner_resize(node, scales, n);
    }
    start(node, &r);
    r.axes = mica_onnx_attr_ints(node, "axes", &n_axes);
    r.n_axes = r.axes != NULL ? (int64_t)n_axes : r.n_axes;
    mica_onnx_axes(node, r.axes, r.axes != NULL ? r.n_axes : 0, r.in.rank);
    const char *mode = mica_onnx_attr_choice(node, "mode", "nearest", "nearest|linear|cubic");
    const char *coord = mica_onnx_attr_choice(
        node, "coordinate_transformation_mode", "half_pixel",
        node->opset < 13 ? "half_pixel|pytorch_half_pixel|align_corners|asymmetric|"
                           "tf_crop_and_resize|tf_half_pixel_for_nn"
                         : "half_pixel|pytorch_half_pixel|align_corners|asymmetric|"
                           "tf_crop_and_resize|half_pixel_symmetric");
    const char *nearest =
        mica_onnx_attr_choice(node, "nearest_mode", "round_prefer_floor",
                              "round_prefer_floor|round_prefer_ceil|floor|ceil");
    const char *policy = mica_onnx_attr_choice(node, "keep_aspect_ratio_policy", "stretch",
                                               "stretch|not_larger|not_smaller");
    const double cubic = mica_onnx_attr_f(node, "cubic_coeff_a", -0.75);
    const double outside = mica_onnx_attr_f(node, "extrapolation_value", 0.0);
    const bool exclude = mica_onnx_attr_bool(node, "exclude_outside", false);
    const bool antialias = mica_onnx_attr_bool(node, "antialias", false);
    MICA_TRY(mica_onnx_finish(node));
    r.crop = strcmp(coord, "tf_crop_and_resize") == 0;
    if (r.crop) {
        MICA_TRY(read_roi(node, &r));
    }
    MICA_TRY(read_target(node, &r, policy));
    if (strcmp(coord, "tf_half_pixel_for_nn") == 0) {
        return strcmp(mode, "nearest") == 0
                   ? pick_nearest(node, &r, nearest)
                   : mica_onnx_error(node, "tf_half_pixel_for_nn with mode '%s', expected nearest",
                                     mode);
    }
    mica_op *op = interp(node, &r, mode, coord);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_str(op, "nearest_mode", nearest);
    mica_op_set_f64(op, "cubic_coeff_a", cubic);
    mica_op_set_f64(op, "extrapolation_value", outside);
    mica_op_set_bool(op, "exclude_outside", exclude);
    mica_op_set_bool(op, "antialias", antialias);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
