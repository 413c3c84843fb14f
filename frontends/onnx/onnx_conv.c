/* Convolutions and pools. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

/* Attributes are bounded so that products of them cannot overflow. */
static const int64_t MAX_WINDOW = (int64_t)1 << 31;

/* --- the window attributes ------------------------------------------------------------------- */
static void read_list(mica_onnx_node *node, const char *name, size_t expected, int64_t fallback,
                      int64_t minimum, int64_t *out) {
    size_t n = 0;
    const int64_t *values = mica_onnx_attr_ints(node, name, &n);
    for (size_t i = 0; i < expected; i++) {
        out[i] = fallback;
    }
    if (values == NULL || node->failed) {
        return;
    }
    if (n != expected) {
        mica_onnx_error(node, "attribute '%s' has %zu values, expected %zu", name, n, expected);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (values[i] < minimum || values[i] > MAX_WINDOW) {
            mica_onnx_error(node, "attribute '%s' has value %" PRId64 ", expected %" PRId64
                                  " or more", name, values[i], minimum);
            return;
        }
        out[i] = values[i];
    }
}

static void read_kernel(mica_onnx_node *node, const mrt_shape *filter, mica_onnx_window *w) {
    size_t n = 0;
    const bool given = mica_onnx_attr_ints(node, "kernel_shape", &n) != NULL;
    if (given) {
        read_list(node, "kernel_shape", (size_t)w->spatial, 1, 1, w->kernel);
    } else if (filter == NULL && !node->failed) {
        mica_onnx_error(node, "attribute 'kernel_shape' is missing");
    }
    for (int i = 0; i < w->spatial && filter != NULL && !node->failed; i++) {
        if (given && w->kernel[i] != filter->dims[i + 2]) {
            mica_onnx_error(node, "attribute 'kernel_shape' has size %" PRId64 " on axis %d, the "
                                  "filter has %" PRId64, w->kernel[i], i, filter->dims[i + 2]);
        }
        w->kernel[i] = filter->dims[i + 2];
    }
}

/* SAME: result = ceil(input / stride); an odd amount of padding has its extra element at the end
 * (UPPER) or the beginning (LOWER). */
static void same_pads(const mrt_shape *input, const char *mode, mica_onnx_window *w) {
    for (int i = 0; i < w->spatial; i++) {
        const int64_t in = input->dims[i + 2];
        const int64_t out = (in + w->strides[i] - 1) / w->strides[i];
        const int64_t reach = (w->kernel[i] - 1) * w->dilations[i] + 1;
        int64_t total = (out - 1) * w->strides[i] + reach - in;
        total = total > 0 ? total : 0;
        const bool upper = strcmp(mode, "SAME_UPPER") == 0;
        w->pads[i] = upper ? total / 2 : total - total / 2;
        w->pads[i + w->spatial] = total - w->pads[i];
    }
}

mica_status mica_onnx_read_window(mica_onnx_node *node, const mrt_shape *input,
                                  const mrt_shape *filter, mica_onnx_window *w,
                                  const char **out_auto_pad) {
    *w = (mica_onnx_window){.spatial = input->rank - 2};
    if (node->failed) {
        return MICA_FAIL;
    }
    if (input->rank < 3 || input->rank > 5) {
        return mica_onnx_error(node, "input has rank %d, expected 3..5", input->rank);
    }
    if (filter != NULL && filter->rank != input->rank) {
        return mica_onnx_error(node, "filter has rank %d, the input %d", filter->rank, input->rank);
    }
    for (int i = 0; i < input->rank; i++) {
        if (input->dims[i] > MAX_WINDOW) {
            return mica_onnx_error(node, "input has dimension %" PRId64 ", which is too large",
                                   input->dims[i]);
        }
    }
    const size_t n = (size_t)w->spatial;
    read_kernel(node, filter, w);
    read_list(node, "strides", n, 1, 1, w->strides);
    read_list(node, "dilations", n, 1, 1, w->dilations);
    const char *mode = mica_onnx_attr_choice(node, "auto_pad", "NOTSET",
                                             "NOTSET|SAME_UPPER|SAME_LOWER|VALID");
    *out_auto_pad = mode;
    read_list(node, "pads", 2 * n, 0, 0, w->pads);
    if (strcmp(mode, "VALID") == 0) {
        memset(w->pads, 0, sizeof w->pads);
    } else if (strcmp(mode, "NOTSET") != 0 && !node->failed) {
        same_pads(input, mode, w);
    }
    return mica_onnx_finish(node);
}

void mica_onnx_set_window(mica_op *op, const mica_onnx_window *w) {
    const size_t n = (size_t)w->spatial;
    mica_op_set_i64s(op, "kernel_shape", w->kernel, n);
    mica_op_set_i64s(op, "strides", w->strides, n);
    mica_op_set_i64s(op, "pads", w->pads, 2 * n);
    mica_op_set_i64s(op, "dilations", w->dilations, n);
}

/* --- convolution ----------------------------------------------------------------------------- */
static mica_value *conv(mica_onnx_node *node, const char *suffix, mica_value *x) {
    mica_value *operands[] = {x, mica_onnx_in(node, 1), mica_onnx_in(node, 2)};
    const mrt_shape input = mica_onnx_shape(operands[0]), filter = mica_onnx_shape(operands[1]);
    mica_onnx_window w;
    const char *auto_pad = NULL;
    const int64_t group = mica_onnx_attr_i(node, "group", 1);
    if (mica_onnx_read_window(node, &input, &filter, &w, &auto_pad) != MICA_OK) {
        return NULL;
    }
    mica_op *op = mica_onnx_op(node, "top.Conv", suffix, operands, 3, 1);
    mica_onnx_set_window(op, &w);
    mica_op_set_i64(op, "group", group);
    return mica_onnx_done(node, op);
}

mica_status mica_onnx_convert_conv(mica_onnx_node *node) {
    return mica_onnx_alias(node, 0, conv(node, NULL, mica_onnx_in(node, 0)));
}

/* com.microsoft: act(conv(x) + z); detail "nhwc": x, z and the result have the channels last. */
mica_status mica_onnx_convert_fused_conv(mica_onnx_node *node) {
    const bool last = strcmp(node->row->detail, "nhwc") == 0;
    const char *activation = mica_onnx_attr_s(node, "activation", "");
    size_t n = 0;
    const double *params = mica_onnx_attr_floats(node, "activation_params", &n);
    mica_value *x = mica_onnx_in(node, 0), *z = mica_onnx_in(node, 3);
    x = conv(node, "conv", last ? mica_onnx_channels_first(node, "nchw", x) : x);
    x = last ? mica_onnx_channels_last(node, "nhwc", x) : x;
    x = z != NULL ? mica_onnx_binary(node, "top.Add", "sum", x, z) : x;
    return mica_onnx_alias(node, 0, mica_onnx_activate(node, activation, x, params, n));
}

/* Padding of a transposed convolution whose result is to have a given size. */
static mica_status pads_for_output(mica_onnx_node *node, const mrt_shape *input,
                                   const int64_t *size, const char *auto_pad, mica_onnx_window *w,
                                   int64_t *output_padding) {
    for (int i = 0; i < w->spatial; i++) {
        const int64_t full = w->strides[i] * (input->dims[i + 2] - 1) + output_padding[i] +
                             (w->kernel[i] - 1) * w->dilations[i] + 1;
        int64_t total = full - size[i];
        if (size[i] < 1) {
            return mica_onnx_error(node, "attribute 'output_shape' has value %" PRId64, size[i]);
        }
        if (total < 0) {
            output_padding[i] -= total;
            total = 0;
        }
        const bool upper = strcmp(auto_pad, "SAME_UPPER") == 0;
        w->pads[i] = upper ? total / 2 : total - total / 2;
        w->pads[i + w->spatial] = total - w->pads[i];
    }
    return MICA_OK;
}

mica_status mica_onnx_convert_conv_transpose(mica_onnx_node *node) {
    mica_value *operands[] = {mica_onnx_in(node, 0), mica_onnx_in(node, 1), mica_onnx_in(node, 2)};
    const mrt_shape input = mica_onnx_shape(operands[0]), filter = mica_onnx_shape(operands[1]);
    mica_onnx_window w;
    const char *auto_pad = NULL;
    int64_t extra[3] = {0}, size[3] = {0};
    size_t n_size = 0;
    const int64_t group = mica_onnx_attr_i(node, "group", 1);
    MICA_TRY(mica_onnx_read_window(node, &input, &filter, &w, &auto_pad));
    read_list(node, "output_padding", (size_t)w.spatial, 0, 0, extra);
    const int64_t *wanted = mica_onnx_attr_ints(node, "output_shape", &n_size);
    const size_t n = (size_t)w.spatial;
    if (wanted != NULL && n_size != n && n_size != n + 2) {
        return mica_onnx_error(node, "attribute 'output_shape' has %zu values, expected %zu",
                               n_size, n);
    }
    for (size_t i = 0; i < n; i++) {
        size[i] = wanted != NULL ? wanted[n_size - n + i] : input.dims[i + 2] * w.strides[i];
    }
    if (wanted != NULL || strncmp(auto_pad, "SAME", 4) == 0) {
        MICA_TRY(mica_onnx_finish(node));
        MICA_TRY(pads_for_output(node, &input, size, auto_pad, &w, extra));
    }
    mica_op *op = mica_onnx_op(node, "top.Deconv", NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_onnx_set_window(op, &w);
    mica_op_set_i64(op, "group", group);
    mica_op_set_i64s(op, "output_padding", extra, n);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* --- pools ----------------------------------------------------------------------------------- */
mica_op *mica_onnx_pool(mica_onnx_node *node, const char *name, const char *suffix, mica_value *x,
                        size_t n_results) {
    const mrt_shape input = mica_onnx_shape(x);
    mica_onnx_window w;
    const char *auto_pad = NULL;
    const bool ceil_mode = mica_onnx_attr_bool(node, "ceil_mode", false);
    if (mica_onnx_read_window(node, &input, NULL, &w, &auto_pad) != MICA_OK) {
        return NULL;
    }
    mica_op *op = mica_onnx_op(node, name, suffix, &x, 1, n_results);
    if (op != NULL) {
        mica_onnx_set_window(op, &w);
        mica_op_set_bool(op, "ceil_mode", ceil_mode);
    }
    return op;
}

/* Indices count row by row over the whole tensor; storage_order 1 wants column by column inside of
 * each plane. */
static mica_value *column_order(mica_onnx_node *node, mica_value *indices) {
    const mrt_shape input = mica_onnx_shape(mica_onnx_in(node, 0));
    if (input.rank != 4) {
        mica_onnx_error(node, "attribute 'storage_order' has value 1, expected 0 for rank %d",
                        input.rank);
        return NULL;
    }
    const int64_t h = input.dims[2], w = input.dims[3], plane = h * w;
    mica_value *wide = mica_onnx_scalar(node, "width", MRT_I64, (double)w);
    mica_value *high = mica_onnx_scalar(node, "height", MRT_I64, (double)h);
    mica_value *area = mica_onnx_scalar(node, "area", MRT_I64, (double)plane);
    mica_value *row = mica_onnx_binary(node, "top.Div", "row", indices, wide);
    mica_value *col = mica_onnx_binary(node, "top.Mod", "column", indices, wide);
    mica_value *index = mica_onnx_binary(node, "top.Div", "plane", indices, area);
    mica_value *y = mica_onnx_binary(node, "top.Mod", "y", row, high);
    mica_value *base = mica_onnx_binary(node, "top.Mul", "base", index, area);
    mica_value *across = mica_onnx_binary(node, "top.Mul", "across", col, high);
    mica_value *inside = mica_onnx_binary(node, "top.Add", "inside", across, y);
    return mica_onnx_binary(node, "top.Add", "indices", base, inside);
}

mica_status mica_onnx_convert_max_pool(mica_onnx_node *node) {
    const bool indices = mica_onnx_has_out(node, 1);
    const int64_t order = mica_onnx_attr_i(node, "storage_order", 0);
    mica_op *op = mica_onnx_pool(node, "top.MaxPool", NULL, mica_onnx_in(node, 0), indices ? 2 : 1);
    mica_value *results[2] = {0};
    MICA_TRY(mica_onnx_done_all(node, op, results));
    if (indices && order != 0) {
        results[1] = column_order(node, results[1]);
    }
    mica_onnx_bind(node, 0, results[0]);
    mica_onnx_bind(node, 1, results[1]);
    return mica_onnx_finish(node);
}

/* A maximum pool over the axes between the first and the last one. */
mica_status mica_onnx_convert_nhwc_max_pool(mica_onnx_node *node) {
    mica_value *x = mica_onnx_channels_first(node, "nchw", mica_onnx_in(node, 0));
    x = mica_onnx_done(node, mica_onnx_pool(node, "top.MaxPool", "pool", x, 1));
    return mica_onnx_alias(node, 0, mica_onnx_channels_last(node, NULL, x));
}

mica_status mica_onnx_convert_average_pool(mica_onnx_node *node) {
    const bool include = mica_onnx_attr_bool(node, "count_include_pad", false);
    mica_op *op = mica_onnx_pool(node, "top.AvgPool", NULL, mica_onnx_in(node, 0), 1);
    if (op != NULL) {
        mica_op_set_bool(op, "count_include_pad", include);
    }
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_lp_pool(mica_onnx_node *node) {
    const int64_t p = mica_onnx_attr_i(node, "p", 2);
    mica_op *op = mica_onnx_pool(node, "top.LpPool", NULL, mica_onnx_in(node, 0), 1);
    if (op != NULL) {
        mica_op_set_i64(op, "p", p);
    }
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_global_pool(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape input = mica_onnx_shape(x);
    const bool lp = strcmp(node->row->detail, "top.LpPool") == 0;
    const int64_t p = lp ? mica_onnx_attr_i(node, "p", 2) : 0;
    MICA_TRY(mica_onnx_finish(node));
    if (input.rank < 3 || input.rank > 5) {
        return mica_onnx_error(node, "input has rank %d, expected 3..5", input.rank);
    }
    mica_onnx_window w = {.spatial = input.rank - 2};
    for (int i = 0; i < w.spatial; i++) {
        w.kernel[i] = input.dims[i + 2];
        w.strides[i] = 1;
        w.dilations[i] = 1;
    }
    mica_op *op = mica_onnx_op(node, node->row->detail, NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_onnx_set_window(op, &w);
    if (lp) {
        mica_op_set_i64(op, "p", p);
    }
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* Values go to the places that the indices name, in a zeroed tensor of the pool's input shape. */
mica_status mica_onnx_convert_max_unpool(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *indices = mica_onnx_in(node, 1);
    const mrt_shape input = mica_onnx_shape(x);
    mica_onnx_window w;
    const char *auto_pad = NULL;
    int64_t n_size = 0;
    MICA_TRY(mica_onnx_read_window(node, &input, NULL, &w, &auto_pad));
    mrt_shape full = input;
    int64_t flat = 1, places = 1;
    for (int i = 0; i < w.spatial; i++) {
        full.dims[i + 2] = (input.dims[i + 2] - 1) * w.strides[i] + w.kernel[i] - w.pads[i] -
                           w.pads[i + w.spatial];
    }
    int64_t bytes = 0;
    if (!mrt_shape_bytes(&full, MRT_F32, &bytes)) {
        return mica_onnx_error(node, "its attributes give a result of no valid size");
    }
    flat = mrt_shape_count(&input);
    places = mrt_shape_count(&full);
    const void *zeros = mica_onnx_buffer(node, mica_onnx_type(x), places);
    MICA_TRY(mica_onnx_finish(node));
    mica_value *operands[] = {
        mica_onnx_weight(node, "zeros", mica_onnx_type(x), 1, &places, zeros),
        mica_onnx_reshape(node, "flat_indices", indices, 1, &flat),
        mica_onnx_reshape(node, "flat", x, 1, &flat)};
    mica_op *op = mica_onnx_op(node, "top.ScatterElements", "scatter", operands, 3, 1);
    const bool sized = mica_onnx_in_name(node, 2)[0] != '\0';
    mica_value *y = mica_onnx_reshape(node, sized ? "full" : NULL, mica_onnx_done(node, op),
                                      full.rank, full.dims);
    if (!sized) {
        return mica_onnx_alias(node, 0, y);
    }
    const int64_t *size = mica_onnx_const_i64s(node, 2, &n_size);
    if (n_size != full.rank) {
        return node->failed ? MICA_FAIL
                            : mica_onnx_error(node, "output_shape has %" PRId64
                                                    " values, expected %d", n_size, full.rank);
    }
    int64_t paddings[2 * MRT_MAX_RANK] = {0};
    for (int i = 0; i < full.rank; i++) {
        paddings[full.rank + i] = size[i] - full.dims[i];
    }
    op = mica_onnx_op(node, "top.Pad", NULL, &y, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64s(op, "paddings", paddings, (size_t)(2 * full.rank));
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
