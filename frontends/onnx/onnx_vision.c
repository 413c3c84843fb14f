/* Sampling at computed places: grids, boxes, moved windows, columns of patches. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

mica_status mica_onnx_convert_grid_sample(mica_onnx_node *node) {
    mica_value *operands[] = {mica_onnx_in(node, 0), mica_onnx_in(node, 1)};
    const char *mode = mica_onnx_attr_choice(node, "mode", "linear",
                                             "linear|nearest|cubic|bilinear|bicubic");
    const char *padding = mica_onnx_attr_choice(node, "padding_mode", "zeros",
                                                "zeros|border|reflection");
    const bool align = mica_onnx_attr_bool(node, "align_corners", false);
    mica_op *op = mica_onnx_op(node, "top.GridSample", NULL, operands, 2, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_str(op, "mode", mode[0] == 'b' ? mode + 2 : mode); /* names before opset 20 */
    mica_op_set_str(op, "padding_mode", padding);
    mica_op_set_bool(op, "align_corners", align);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* theta [N, axes, axes + 1] times the places (x, y, .., 1) of a regular grid. */
mica_status mica_onnx_convert_affine_grid(mica_onnx_node *node) {
    mica_value *theta = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(theta);
    int64_t n_size = 0, places = 1;
    const int64_t *size = mica_onnx_const_i64s(node, 1, &n_size);
    const bool align = mica_onnx_attr_bool(node, "align_corners", false);
    MICA_TRY(mica_onnx_finish(node));
    const int axes = (int)n_size - 2;
    if (axes < 2 || axes > 3 || shape.rank != 3 || shape.dims[0] != size[0] ||
        shape.dims[1] != axes || shape.dims[2] != axes + 1) {
        return mica_onnx_error(node, "expected theta [N, 2, 3] and a size of 4 values, or theta "
                                     "[N, 3, 4] and 5 values");
    }
    mrt_shape y = {.rank = n_size == 4 ? 4 : 5, .dims = {size[0]}};
    for (int i = 0; i < axes; i++) {
        y.dims[1 + i] = size[2 + i];
        if (size[2 + i] < 1 || __builtin_mul_overflow(places, size[2 + i], &places)) {
            return mica_onnx_error(node, "its size gives a result of no valid size");
        }
    }
    y.dims[1 + axes] = axes;
    const int64_t columns = axes + 1;
    int64_t count = 0;
    float *data = __builtin_mul_overflow(places, columns, &count)
                      ? NULL : mica_onnx_buffer(node, MRT_F32, count);
    if (data == NULL) {
        return node->failed ? MICA_FAIL : mica_onnx_error(node, "its result is too large");
    }
    for (int64_t i = 0; i < places; i++) {
        int64_t rest = i;
        for (int axis = axes - 1, to = 0; axis >= 0; axis--, to++) {
            const int64_t length = size[2 + axis], at = rest % length;
            rest /= length;
            const double steps = align ? (double)(length - 1) : (double)length;
            const double first = align ? -1.0 : 1.0 / (double)length - 1.0;
            data[i * columns + to] = steps > 0.0 ? (float)(first + 2.0 * (double)at / steps) : 0.0f;
        }
        data[i * columns + axes] = 1.0f;
    }
    const mrt_shape base = {.rank = 2, .dims = {places, columns}};
    mica_value *operands[] = {mica_onnx_weight_borrow(node, "places", MRT_F32, &base, data), theta,
                              NULL};
    mica_op *op = mica_onnx_op(node, "top.MatMul", "product", operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_bool(op, "right_transpose", true);
    mica_value *grid = mica_onnx_done(node, op);
    return mica_onnx_alias(node, 0, mica_onnx_reshape(node, NULL, grid, y.rank, y.dims));
}

/* --- boxes ------------------------------------------------------------------------------------ */

mica_status mica_onnx_convert_roi_align(mica_onnx_node *node) {
    mica_value *operands[] = {mica_onnx_in(node, 0), mica_onnx_in(node, 1), mica_onnx_in(node, 2)};
    const char *mode = mica_onnx_attr_choice(node, "mode", "avg", "avg|max");
    const char *coordinates = node->opset < 16 ? "output_half_pixel" : "half_pixel";
    if (node->opset >= 16) {
        coordinates = mica_onnx_attr_choice(node, "coordinate_transformation_mode", coordinates,
                                            "half_pixel|output_half_pixel");
    }
    const int64_t bins[] = {mica_onnx_attr_i(node, "output_height", 1),
                            mica_onnx_attr_i(node, "output_width", 1)};
    const int64_t ratio = mica_onnx_attr_i(node, "sampling_ratio", 0);
    const double scale = mica_onnx_attr_f(node, "spatial_scale", 1.0);
    mica_op *op = mica_onnx_op(node, "top.RoiAlign", NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_str(op, "mode", mode);
    mica_op_set_i64s(op, "output_shape", bins, 2);
    mica_op_set_i64(op, "sampling_ratio", ratio < 0 ? 0 : ratio);
    mica_op_set_f64(op, "spatial_scale", scale);
    mica_op_set_bool(op, "half_pixel", strcmp(coordinates, "half_pixel") == 0);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_max_roi_pool(mica_onnx_node *node) {
    mica_value *operands[] = {mica_onnx_in(node, 0), mica_onnx_in(node, 1)};
    size_t n_bins = 0;
    const int64_t *bins = mica_onnx_attr_ints(node, "pooled_shape", &n_bins);
    const double scale = mica_onnx_attr_f(node, "spatial_scale", 1.0);
    mica_op *op = mica_onnx_op(node, "top.RoiMaxPool", NULL, operands, 2, 1);
    MICA_TRY(mica_onnx_finish(node));
    if (n_bins != 2) {
        return mica_onnx_error(node, "attribute 'pooled_shape' has %zu values, expected 2", n_bins);
    }
    mica_op_set_i64s(op, "output_shape", bins, 2);
    mica_op_set_f64(op, "spatial_scale", scale);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* --- windows ---------------------------------------------------------------------------------- */

/* A 1x1 convolution of the elements under the moved windows. */
mica_status mica_onnx_convert_deform_conv(mica_onnx_node *node) {
    mica_value *filter = mica_onnx_in(node, 1);
    mica_value *moved[] = {mica_onnx_in(node, 0), mica_onnx_in(node, 2), mica_onnx_in(node, 4)};
    const mrt_shape input = mica_onnx_shape(moved[0]), taps = mica_onnx_shape(filter);
    mica_onnx_window w;
    const char *auto_pad = NULL;
    const int64_t group = mica_onnx_attr_i(node, "group", 1);
    const int64_t offset_group = mica_onnx_attr_i(node, "offset_group", 1);
    MICA_TRY(mica_onnx_read_window(node, &input, &taps, &w, &auto_pad));
    if (w.spatial != 2) {
        return mica_onnx_error(node, "input has rank %d, expected 4", input.rank);
    }
    mica_op *op = mica_onnx_op(node, "top.DeformColumns", "columns", moved, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_onnx_set_window(op, &w);
    mica_op_set_i64(op, "offset_group", offset_group);
    mica_value *columns = mica_onnx_done(node, op);
    /* The elements of the filter are in memory, so that their product does not overflow. */
    const int64_t dims[] = {taps.dims[0], taps.dims[1] * taps.dims[2] * taps.dims[3], 1, 1};
    filter = mica_onnx_reshape(node, "filter", filter, 4, dims);
    mica_value *operands[] = {columns, filter, mica_onnx_in(node, 3)};
    op = mica_onnx_op(node, "top.Conv", NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    const int64_t ones[] = {1, 1};
    mica_op_set_i64s(op, "kernel_shape", ones, 2);
    mica_op_set_i64(op, "group", group);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* Filter [channels * taps, 1, window]: input channel c * taps + k goes to tap k of channel c. */
static mica_value *tap_filter(mica_onnx_node *node, const mica_onnx_window *w, int64_t channels,
                              int64_t taps) {
    mrt_shape shape = {.rank = w->spatial + 2, .dims = {channels * taps, 1}};
    int64_t count = 0;
    if (__builtin_mul_overflow(channels * taps, taps, &count)) {
        mica_onnx_error(node, "the window is too large");
        return NULL;
    }
    memcpy(shape.dims + 2, w->kernel, (size_t)w->spatial * sizeof shape.dims[0]);
    float *data = mica_onnx_buffer(node, MRT_F32, count);
    for (int64_t i = 0; i < channels * taps && data != NULL; i++) {
        data[i * taps + i % taps] = 1.0f;
    }
    return data == NULL ? NULL : mica_onnx_weight_borrow(node, "taps", MRT_F32, &shape, data);
}

/* Patches [N, C * taps, places] added up in an image: a transposed convolution that copies. */
mica_status mica_onnx_convert_col2im(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    int64_t n = 0, n_block = 0, taps = 1, places = 1, extra[3] = {0};
    const int64_t *size = mica_onnx_const_i64s(node, 1, &n);
    const int64_t *block = mica_onnx_const_i64s(node, 2, &n_block);
    MICA_TRY(mica_onnx_finish(node));
    if (n < 1 || n > 3 || n_block != n || shape.rank != 3) {
        return mica_onnx_error(node, "expected patches [N, C * taps, places] and 1 to 3 values of "
                                     "image and block size");
    }
    mrt_shape image = {.rank = (int)n + 2}, filter = image, columns = image;
    memcpy(image.dims + 2, size, (size_t)n * sizeof *size);
    memcpy(filter.dims + 2, block, (size_t)n * sizeof *block);
    bool fits = true;
    for (int i = 0; i < n; i++) {
        fits = fits && block[i] > 0 && block[i] <= INT32_MAX && size[i] > 0 &&
               !__builtin_mul_overflow(taps, block[i], &taps);
    }
    mica_onnx_window w;
    const char *auto_pad = NULL;
    MICA_TRY(mica_onnx_read_window(node, &image, &filter, &w, &auto_pad));
    for (int i = 0; i < n && fits; i++) {
        const int64_t room = size[i] + w.pads[i] + w.pads[n + i] -
                             ((w.kernel[i] - 1) * w.dilations[i] + 1);
        columns.dims[2 + i] = room < 0 ? 0 : room / w.strides[i] + 1;
        extra[i] = room < 0 ? 0 : room % w.strides[i];
        fits = !__builtin_mul_overflow(places, columns.dims[2 + i], &places);
    }
    if (!fits || shape.dims[2] != places || shape.dims[1] % taps != 0) {
        return mica_onnx_error(node, "the patches do not fit the image and block sizes");
    }
    columns.dims[0] = shape.dims[0];
    columns.dims[1] = shape.dims[1];
    const int64_t channels = shape.dims[1] / taps;
    mica_value *operands[] = {mica_onnx_reshape(node, "patches", x, columns.rank, columns.dims),
                              tap_filter(node, &w, channels, taps), NULL};
    mica_op *op = mica_onnx_op(node, "top.Deconv", NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_onnx_set_window(op, &w);
    mica_op_set_i64(op, "group", channels);
    mica_op_set_i64s(op, "output_padding", extra, (size_t)n);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
