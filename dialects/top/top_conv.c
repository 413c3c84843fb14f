/* Convolution and transposed convolution: checks and shapes of all forms, float plans. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "dialects/top/top_conv.h"
#include "dialects/tpu/requant.h"

#include <string.h>

/* Spatial axes that the name states ("tpu.Conv2D"), 0 when it does not. */
static int spatial_of_name(const char *name) {
    const size_t length = strlen(name);
    const bool stated = length > 2 && name[length - 1] == 'D' && name[length - 2] >= '1' &&
                        name[length - 2] <= '3';
    return stated ? name[length - 2] - '0' : 0;
}

/* Filter, group, bias and requantization against each other and the input. */
static mica_status verify_filter(const mica_op *op, const mica_window *window, bool transposed) {
    mica_shape x, w, b;
    const int64_t group = mica_op_i64(op, "group");
    if (group < 1) {
        return mica_op_error(op, "expects attribute 'group' of at least 1, got %" PRId64, group);
    }
    if (!mica_operand_shape(op, 1, &w)) {
        return MICA_OK;
    }
    if (w.rank != window->spatial + 2) {
        return mica_op_error(op, "expects filter of rank %d, got %d", window->spatial + 2, w.rank);
    }
    for (int i = 0; i < window->spatial; i++) {
        if (w.dims[2 + i] != window->kernel[i]) {
            return mica_op_error(op, "expects filter dimension %d to be %" PRId64
                                 " as in attribute 'kernel_shape', got shape %s",
                                 2 + i, window->kernel[i], mica_shape_text(&w).text);
        }
    }
    if (w.dims[0] < 1 || w.dims[0] % group != 0) {
        return mica_op_error(op, "expects filter dimension 0 to be a multiple of group %" PRId64
                             ", got %" PRId64, group, w.dims[0]);
    }
    if (mica_operand_shape(op, 0, &x)) {
        const bool fits = transposed ? x.dims[1] == w.dims[0]
                                     : x.dims[1] % group == 0 && x.dims[1] / group == w.dims[1];
        if (!fits) {
            return mica_op_error(op, "expects input channels to be filter dimension %s, got input "
                                 "%s, filter %s, group %" PRId64, transposed ? "0" : "1 * group",
                                 mica_shape_text(&x).text, mica_shape_text(&w).text, group);
        }
    }
    const int64_t channels = mica_conv_channels(op, &w, transposed);
    if (mica_operand_shape(op, 2, &b) && (b.rank != 1 || b.dims[0] != channels)) {
        return mica_op_error(op, "expects bias of shape [%" PRId64 "], got %s", channels,
                             mica_shape_text(&b).text);
    }
    return mica_is_real_form(op) ? MICA_OK : mica_requant_verify(op, channels);
}

int64_t mica_conv_channels(const mica_op *op, const mica_shape *filter, bool transposed) {
    /* No overflow: group divides dimension 0, and the filter's element count fits. */
    return transposed ? filter->dims[1] * mica_op_i64(op, "group") : filter->dims[0];
}

static mica_status verify(const mica_op *op, bool transposed, mica_window *out) {
    MICA_TRY(mica_window_read(op, out));
    const int stated = spatial_of_name(op->name);
    if (stated != 0 && stated != out->spatial) {
        return mica_op_error(op, "expects %d spatial axes, got %d", stated, out->spatial);
    }
    return verify_filter(op, out, transposed);
}

mica_status mica_verify_conv(const mica_op *op) {
    mica_window window;
    return verify(op, false, &window);
}

mica_status mica_verify_deconv(const mica_op *op) {
    mica_window window;
    MICA_TRY(verify(op, true, &window));
    size_t count;
    const int64_t *extra = mica_op_i64s(op, "output_padding", &count);
    if (count != 0) {
        MICA_TRY(mica_op_list(op, "output_padding", (size_t)window.spatial));
    }
    for (size_t i = 0; i < count; i++) {
        if (extra[i] < 0 || extra[i] > INT32_MAX) {
            return mica_op_error(op, "expects values of at least 0 in attribute 'output_padding', "
                                 "got %" PRId64, extra[i]);
        }
    }
    return MICA_OK;
}

mica_status mica_infer_conv(const mica_op *op, mica_type *out_results) {
    mica_window window;
    mica_shape x, w;
    MICA_TRY(verify(op, false, &window));
    if (!mica_operand_shape(op, 0, &x) || !mica_operand_shape(op, 1, &w)) {
        return mica_infer_unranked(op, out_results);
    }
    mica_shape y = {.rank = x.rank, .dims = {x.dims[0], w.dims[0]}};
    for (int i = 0; i < window.spatial; i++) {
        y.dims[2 + i] = mica_window_count(&window, i, x.dims[2 + i], false);
        if (y.dims[2 + i] < 1) {
            return mica_op_error(op, "has a window of %" PRId64 " elements, larger than spatial "
                                 "axis %d with %" PRId64 " elements and pads %" PRId64 " and %"
                                 PRId64, mica_window_reach(&window, i), i, x.dims[2 + i],
                                 window.pad_begin[i], window.pad_end[i]);
        }
    }
    return mica_infer_shape_result(op, &y, mica_result_element(op, mica_op_operand(op, 0)),
                                   out_results);
}

mica_status mica_infer_deconv(const mica_op *op, mica_type *out_results) {
    mica_window window;
    mica_shape x, w;
    MICA_TRY(mica_verify_deconv(op));
    MICA_TRY(mica_window_read(op, &window));
    if (!mica_operand_shape(op, 0, &x) || !mica_operand_shape(op, 1, &w)) {
        return mica_infer_unranked(op, out_results);
    }
    mica_shape y = {.rank = x.rank, .dims = {x.dims[0], mica_conv_channels(op, &w, true)}};
    for (int i = 0; i < window.spatial; i++) {
        int64_t size;
        if (__builtin_mul_overflow(window.stride[i], x.dims[2 + i] - 1, &size) ||
            size > INT64_MAX / 4) {
            return mica_op_error(op, "has too many elements along spatial axis %d", i);
        }
        size += mica_window_reach(&window, i) +
                mica_op_i64_at(op, "output_padding", (size_t)i, 0) - window.pad_begin[i] -
                window.pad_end[i];
        if (size < 1) {
            return mica_op_error(op, "has a result of %" PRId64 " elements along spatial axis %d",
                                 size, i);
        }
        y.dims[2 + i] = size;
    }
    return mica_infer_shape_result(op, &y, mica_result_element(op, mica_op_operand(op, 0)),
                                   out_results);
}

void mica_conv_params(const mica_op *op, mica_planner *planner, mrt_conv_params *out) {
    mica_window window;
    *out = (mrt_conv_params){.group = mica_op_i64(op, "group")};
    if (mica_window_read(op, &window) != MICA_OK) {
        return; /* cannot happen after verification; spatial 0 is refused by the kernel */
    }
    out->spatial = window.spatial;
    memcpy(out->kernel, window.kernel, sizeof out->kernel);
    memcpy(out->stride, window.stride, sizeof out->stride);
    memcpy(out->dilation, window.dilation, sizeof out->dilation);
    memcpy(out->pad_begin, window.pad_begin, sizeof out->pad_begin);
    memcpy(out->pad_end, window.pad_end, sizeof out->pad_end);
    out->float_order = mica_planner_float_order(planner);
    mica_plan_act(op, &out->act, &out->act_limit);
}

mica_status mica_plan_conv(const mica_op *op, mica_planner *planner) {
    mrt_conv_params params;
    mica_conv_params(op, planner, &params);
    return mica_planner_step(planner, op, MRT_K_conv_f32, &params);
}

mica_status mica_plan_deconv(const mica_op *op, mica_planner *planner) {
    mrt_conv_params params;
    mica_conv_params(op, planner, &params);
    return mica_planner_step(planner, op, MRT_K_deconv_f32, &params);
}
