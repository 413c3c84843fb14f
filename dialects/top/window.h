/* Windows of convolutions and pools: the attributes kernel_shape, strides, pads, dilations. */
#ifndef MICA_DIALECTS_TOP_WINDOW_H
#define MICA_DIALECTS_TOP_WINDOW_H

#include "dialects/op_util.h"
#include "runtime/mrt_params.h"

typedef struct mica_window {
    int spatial; /* 1 to 3 */
    int64_t kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
} mica_window;

/* Checks the attributes against each other, their ranges (all below 2^31), and the rank of operand
 * 0, then reads them. */
mica_status mica_window_read(const mica_op *op, mica_window *out);
/* Number of windows along axis i of an input of `size` elements; with ceil_mode a last window may
 * end past the padding as long as it starts inside. 0 or less: the window does not fit. */
int64_t mica_window_count(const mica_window *window, int i, int64_t size, bool ceil_mode);
/* Reach of the window along axis i: (kernel - 1) * dilation + 1. */
int64_t mica_window_reach(const mica_window *window, int i);

#endif
