/* Coordinates and taps of resizing, one axis at a time; shared by the resize kernels.
 *
 * Source: ONNX Resize-19. Coordinates are computed in double. When scale * in equals out to within
 * 1e-9 (it came from sizes), x / scale is computed as x * in / out, so that integer coordinates
 * come out exact. */
#ifndef MRT_MOVE_RESIZE_AXIS_H
#define MRT_MOVE_RESIZE_AXIS_H

#include "runtime/mrt_params.h"
#include "runtime/mrt_status.h"
#include "runtime/mrt_tensor.h"

/* One axis of a resize. */
typedef struct mrt_resize_axis {
    int64_t in, out;
    double scale, roi_begin, roi_end;
} mrt_resize_axis;

/* Validates parameters and shapes of x and y (same rank; x not empty where y is not). */
mrt_status mrt_resize_check_params(const mrt_resize_params *p, const mrt_tensor *x,
                                   const mrt_tensor *y, mrt_error *err);

mrt_resize_axis mrt_resize_axis_of(const mrt_resize_params *p, const mrt_tensor *x,
                                   const mrt_tensor *y, int axis);

/* True when the axis is copied unchanged. */
bool mrt_resize_is_identity(const mrt_resize_params *p, const mrt_resize_axis *axis);

/* Position in the input of output entry `at`; *out_outside is set when it lies outside of the input
 * and the mode (tf_crop_and_resize) wants the extrapolation value there. */
double mrt_resize_position(const mrt_resize_params *p, const mrt_resize_axis *axis, int64_t at,
                           bool *out_outside);

/* Input entry of nearest mode, or -1 for the extrapolation value. */
int64_t mrt_resize_nearest_entry(const mrt_resize_params *p, const mrt_resize_axis *axis,
                                 int64_t at);

/* Taps that one result of linear or cubic mode weighs before those outside are folded back. Grows
 * with 1 / scale when antialias is on: bound it before calling mrt_resize_taps. */
int64_t mrt_resize_reach(const mrt_resize_params *p, const mrt_resize_axis *axis);

/* Number of input entries that a result of linear or cubic mode is made of, at most axis->in. */
int64_t mrt_resize_window(const mrt_resize_params *p, const mrt_resize_axis *axis);

/* Taps of output entry `at`: result = sum of weights[t] * x[first + t], t < window. Weights of
 * entries outside the input have gone to the border entries (or are excluded). Returns first, or -1
 * for the extrapolation value (weights are then 0). */
int64_t mrt_resize_taps(const mrt_resize_params *p, const mrt_resize_axis *axis, int64_t at,
                        int64_t window, float *weights);

#endif
