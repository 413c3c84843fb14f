#include "dialects/top/window.h"


int64_t mica_window_reach(const mica_window *window, int i) {
    return (window->kernel[i] - 1) * window->dilation[i] + 1;
}

int64_t mica_window_count(const mica_window *window, int i, int64_t size, bool ceil_mode) {
    const int64_t stride = window->stride[i];
    const int64_t padded = size + window->pad_begin[i] + window->pad_end[i];
    const int64_t room = padded - mica_window_reach(window, i);
    if (!ceil_mode) {
        return room < 0 ? 0 : room / stride + 1;
    }
    if (room <= -stride) {
        return 0;
    }
    int64_t count = room < 0 ? 1 : room / stride + (room % stride != 0) + 1;
    while (count > 1 && (count - 1) * stride >= size + window->pad_begin[i]) {
        count--;
    }
    return count;
}

static mica_status check_range(const mica_op *op, const char *attr, int64_t value, int64_t low) {
    if (value < low || value > INT32_MAX) {
        return mica_op_error(op, "expects values from %" PRId64 " to %d in attribute '%s', got %"
                             PRId64, low, INT32_MAX, attr, value);
    }
    return MICA_OK;
}

/* An absent list is fine, another length is not. */
static mica_status check_optional_list(const mica_op *op, const char *attr, size_t count) {
    const mica_attr value = mica_op_attr(op, attr);
    return !value || value->count == 0 ? MICA_OK : mica_op_list(op, attr, count);
}

mica_status mica_window_read(const mica_op *op, mica_window *out) {
    size_t n;
    mica_op_i64s(op, "kernel_shape", &n);
    mica_shape input;
    const bool known = mica_operand_shape(op, 0, &input);
    if (known && (input.rank < 3 || input.rank > 5)) {
        return mica_op_error(op, "expects input of rank 3 to 5, got %d", input.rank);
    }
    if (n < 1 || n > 3 || (known && (int)n != input.rank - 2)) {
        return known ? mica_op_error(op, "expects %d values in attribute 'kernel_shape' for input "
                                     "of rank %d, got %zu", input.rank - 2, input.rank, n)
                     : mica_op_error(op, "expects 1 to 3 values in attribute 'kernel_shape', got %zu",
                                     n);
    }
    MICA_TRY(check_optional_list(op, "strides", n));
    MICA_TRY(check_optional_list(op, "dilations", n));
    MICA_TRY(check_optional_list(op, "pads", 2 * n));
    mica_window window = {.spatial = (int)n};
    for (size_t i = 0; i < 3; i++) {
        window.kernel[i] = mica_op_i64_at(op, "kernel_shape", i, 1);
        window.stride[i] = mica_op_i64_at(op, "strides", i, 1);
        window.dilation[i] = mica_op_i64_at(op, "dilations", i, 1);
        window.pad_begin[i] = i < n ? mica_op_i64_at(op, "pads", i, 0) : 0;
        window.pad_end[i] = i < n ? mica_op_i64_at(op, "pads", n + i, 0) : 0;
        MICA_TRY(check_range(op, "kernel_shape", window.kernel[i], 1));
        MICA_TRY(check_range(op, "strides", window.stride[i], 1));
        MICA_TRY(check_range(op, "dilations", window.dilation[i], 1));
        MICA_TRY(check_range(op, "pads", window.pad_begin[i], 0));
        MICA_TRY(check_range(op, "pads", window.pad_end[i], 0));
    }
    *out = window;
    return MICA_OK;
}
