/* Coordinates and taps of resizing; see move_resize_axis.h. */
#include "runtime/kernels/move_resize_axis.h"

#include "runtime/kernels/kernel_util.h"

#include <math.h>

#define FAR 0x1p40 /* positions are cut here; all of it is far outside */

mrt_status mrt_resize_check_params(const mrt_resize_params *p, const mrt_tensor *x,
                                   const mrt_tensor *y, mrt_error *err) {
    MRT_TRY(mrt_check_present(x, "x", err));
    MRT_TRY(mrt_check_same_dtype(y, "y", x, "x", err));
    if (mrt_dtype_bytes(x->dtype) == 0) {
        return mrt_fail(err, MRT_INVALID, "operand 'x': unknown element type %d", (int)x->dtype);
    }
    MRT_TRY(mrt_check_rank(y, "y", x->shape.rank, x->shape.rank, err));
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_RESIZE_NEAREST, MRT_RESIZE_CUBIC, err));
    MRT_TRY(mrt_check_param(p->coord, "coord", 0, MRT_COORD_HALF_PIXEL_SYMMETRIC, err));
    MRT_TRY(mrt_check_param(p->nearest, "nearest", 0, MRT_NEAREST_CEIL, err));
    for (int i = 0; i < x->shape.rank; i++) {
        if (!(p->scale[i] > 0) || !isfinite(p->scale[i])) {
            return mrt_fail(err, MRT_INVALID, "parameter 'scale': axis %d: expected > 0, got %g", i,
                            p->scale[i]);
        }
        if (p->coord == MRT_COORD_TF_CROP &&
            (!isfinite(p->roi_begin[i]) || !isfinite(p->roi_end[i]))) {
            return mrt_fail(err, MRT_INVALID, "parameter 'roi': axis %d: not finite", i);
        }
        if (x->shape.dims[i] == 0 && y->shape.dims[i] != 0) {
            return mrt_fail(err, MRT_INVALID, "operand 'x': dimension %d is empty", i);
        }
    }
    return MRT_OK;
}

mrt_resize_axis mrt_resize_axis_of(const mrt_resize_params *p, const mrt_tensor *x,
                                   const mrt_tensor *y, int axis) {
    const mrt_resize_axis a = {x->shape.dims[axis], y->shape.dims[axis], p->scale[axis],
                               p->roi_begin[axis], p->roi_end[axis]};
    return a;
}

bool mrt_resize_is_identity(const mrt_resize_params *p, const mrt_resize_axis *axis) {
    const bool whole = axis->roi_begin == 0 && axis->roi_end == 1;
    return axis->scale == 1 && axis->in == axis->out && (p->coord != MRT_COORD_TF_CROP || whole);
}

/* x_original of x_resized = at (+ 0.5 in the half-pixel modes). */
double mrt_resize_position(const mrt_resize_params *p, const mrt_resize_axis *axis, int64_t at,
                           bool *out_outside) {
    const double in = (double)axis->in, out = (double)axis->out, x = (double)at;
    const bool exact = fabs(axis->scale * in - out) <= 1e-9 * out;
    const double length = exact ? out : axis->scale * in;
    const double center = exact ? (x + 0.5) * in / out - 0.5 : (x + 0.5) / axis->scale - 0.5;
    double pos = center; /* half_pixel */
    *out_outside = false;
    switch (p->coord) {
    case MRT_COORD_PYTORCH_HALF_PIXEL:
        pos = length == 1 ? -0.5 : center;
        break;
    case MRT_COORD_ALIGN_CORNERS:
        pos = length == 1 ? 0 : x * (in - 1) / (length - 1);
        break;
    case MRT_COORD_ASYMMETRIC:
        pos = exact ? x * in / out : x / axis->scale;
        break;
    case MRT_COORD_HALF_PIXEL_SYMMETRIC:
        /* in/2 * (1 - out/length) + (x + 0.5)/scale - 0.5, with one division */
        pos = in / 2 - 0.5 + (2 * x + 1 - out) / (2 * axis->scale);
        break;
    case MRT_COORD_TF_CROP: {
        const double span = axis->roi_end - axis->roi_begin;
        pos = length == 1 ? span * (in - 1) / 2 : x * span * (in - 1) / (length - 1);
        pos += axis->roi_begin * (in - 1);
        *out_outside = !(pos >= 0 && pos <= in - 1);
        break;
    }
    default:
        break;
    }
    pos = pos < FAR ? pos : FAR; /* also NaN */
    return pos > -FAR ? pos : -FAR;
}

int64_t mrt_resize_nearest_entry(const mrt_resize_params *p, const mrt_resize_axis *axis,
                                 int64_t at) {
    bool outside;
    const double pos = mrt_resize_position(p, axis, at, &outside);
    if (outside) {
        return -1;
    }
    const double low = floor(pos), part = pos - low;
    bool up = false;
    switch (p->nearest) {
    case MRT_NEAREST_ROUND_PREFER_FLOOR:
        up = part > 0.5;
        break;
    case MRT_NEAREST_ROUND_PREFER_CEIL:
        up = part >= 0.5;
        break;
    case MRT_NEAREST_CEIL:
        up = part > 0;
        break;
    default:
        break;
    }
    return mrt_max64(0, mrt_min64((int64_t)low + up, axis->in - 1));
}

/* The stretch of the kernel: below 1 only with antialias and when shrinking. */
static double stretch(const mrt_resize_params *p, const mrt_resize_axis *axis) {
    return p->antialias && axis->scale < 1 ? axis->scale : 1;
}

/* Taps reach from 1 - half to half around the entry at or below the position. */
static int64_t half_taps(const mrt_resize_params *p, const mrt_resize_axis *axis) {
    const double reach = (p->mode == MRT_RESIZE_CUBIC ? 2 : 1) / stretch(p, axis);
    return (int64_t)ceil(reach < FAR ? reach : FAR);
}

int64_t mrt_resize_reach(const mrt_resize_params *p, const mrt_resize_axis *axis) {
    return 2 * half_taps(p, axis);
}

int64_t mrt_resize_window(const mrt_resize_params *p, const mrt_resize_axis *axis) {
    return mrt_min64(2 * half_taps(p, axis), axis->in);
}

static double kernel_weight(const mrt_resize_params *p, double distance) {
    const double d = fabs(distance), a = p->cubic_a;
    if (p->mode == MRT_RESIZE_LINEAR) {
        return d < 1 ? 1 - d : 0;
    }
    if (d <= 1) {
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    }
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

int64_t mrt_resize_taps(const mrt_resize_params *p, const mrt_resize_axis *axis, int64_t at,
                        int64_t window, float *weights) {
    bool outside;
    const double pos = mrt_resize_position(p, axis, at, &outside);
    for (int64_t t = 0; t < window; t++) {
        weights[t] = 0;
    }
    if (outside) {
        return -1;
    }
    const double low = floor(pos), part = pos - low, factor = stretch(p, axis);
    const int64_t half = half_taps(p, axis), begin = (int64_t)low + 1 - half;
    const int64_t first = mrt_max64(0, mrt_min64(begin, axis->in - window));
    double total = 0;
    for (int64_t t = 0; t < 2 * half; t++) {
        const bool is_out = begin + t < 0 || begin + t >= axis->in;
        if (!(is_out && p->exclude_outside)) {
            total += kernel_weight(p, ((double)(t + 1 - half) - part) * factor);
        }
    }
    if (total == 0 || (factor == 1 && !p->exclude_outside)) {
        total = 1; /* plain kernels sum to 1 already */
    }
    /* Weights beyond a border are summed in double with that of the border entry. */
    double lead = 0, tail = 0;
    for (int64_t t = 0; t < 2 * half; t++) {
        const int64_t entry = begin + t;
        const double w = kernel_weight(p, ((double)(t + 1 - half) - part) * factor) / total;
        if (p->exclude_outside && (entry < 0 || entry >= axis->in)) {
            continue;
        }
        if (entry <= 0) {
            lead += w;
            weights[0 - first] = (float)lead;
        } else if (entry >= axis->in - 1) {
            tail += w;
            weights[axis->in - 1 - first] = (float)(axis->in == 1 ? lead + tail : tail);
        } else {
            weights[entry - first] = (float)w;
        }
    }
    return first;
}
