/* Oracle of resizing: every result is a weighted sum over the whole input, weights per axis from
 * the definition in ONNX Resize-19. */
#include "test/ref/ref_elem_ops.h"

#include <math.h>
#include <stdlib.h>

static double position(const mrt_resize_params *p, int axis, double x, double in, double out) {
    const double scale = p->scale[axis], b = p->roi_begin[axis], e = p->roi_end[axis];
    double length = scale * in;
    length = fabs(length - out) < 1e-6 ? out : length;
    switch (p->coord) {
    case MRT_COORD_PYTORCH_HALF_PIXEL:
        return length == 1 ? -0.5 : (x + 0.5) / scale - 0.5;
    case MRT_COORD_ALIGN_CORNERS:
        return length == 1 ? 0 : x * (in - 1) / (length - 1);
    case MRT_COORD_ASYMMETRIC:
        return x / scale;
    case MRT_COORD_TF_CROP:
        return (length == 1 ? (e - b) * (in - 1) / 2 : x * (e - b) * (in - 1) / (length - 1)) +
               b * (in - 1);
    case MRT_COORD_HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - out / length) + (x + 0.5) / scale - 0.5;
    default:
        return (x + 0.5) / scale - 0.5;
    }
}

static double kernel(const mrt_resize_params *p, double d) {
    const double a = p->cubic_a;
    d = fabs(d);
    if (p->mode == MRT_RESIZE_LINEAR) {
        return fmax(0, 1 - d);
    }
    return d <= 1 ? (a + 2) * d * d * d - (a + 3) * d * d + 1
           : d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}

static int64_t nearest(const mrt_resize_params *p, double pos) {
    const double low = floor(pos);
    switch (p->nearest) {
    case MRT_NEAREST_ROUND_PREFER_FLOOR:
        return (int64_t)ceil(pos - 0.5);
    case MRT_NEAREST_ROUND_PREFER_CEIL:
        return (int64_t)floor(pos + 0.5);
    case MRT_NEAREST_FLOOR:
        return (int64_t)low;
    default:
        return (int64_t)ceil(pos);
    }
}

/* Weights of all `in` entries; false for the extrapolation value. */
static bool axis_weights(const mrt_resize_params *p, int axis, int64_t x, int64_t in, int64_t out,
                         double *weights) {
    const double pos = position(p, axis, (double)x, (double)in, (double)out);
    const bool shrinks = p->antialias && p->scale[axis] < 1 && p->mode != MRT_RESIZE_NEAREST;
    const double factor = shrinks ? p->scale[axis] : 1;
    for (int64_t i = 0; i < in; i++) {
        weights[i] = 0;
    }
    if (p->coord == MRT_COORD_TF_CROP && (pos < 0 || pos > (double)(in - 1))) {
        return false;
    }
    if (p->mode == MRT_RESIZE_NEAREST) {
        int64_t at = nearest(p, pos);
        at = at < 0 ? 0 : at > in - 1 ? in - 1 : at;
        weights[at] = 1;
        return true;
    }
    const int64_t reach = (int64_t)ceil(2 / factor) + 1, base = (int64_t)floor(pos);
    double total = 0;
    for (int64_t i = base - reach; i <= base + reach; i++) {
        const double w = kernel(p, ((double)i - pos) * factor);
        if (p->exclude_outside && (i < 0 || i >= in)) {
            continue;
        }
        weights[i < 0 ? 0 : i >= in ? in - 1 : i] += w;
        total += w;
    }
    for (int64_t i = 0; i < in; i++) {
        weights[i] /= total;
    }
    return true;
}

void ref_resize(const mrt_resize_params *p, const mrt_tensor *x, mrt_tensor *y) {
    const int rank = x->shape.rank;
    double *weights[MRT_MAX_RANK];
    for (int k = 0; k < rank; k++) {
        weights[k] = malloc((size_t)(x->shape.dims[k] + 1) * sizeof(double));
    }
    for (int64_t o = 0; o < ref_count(y); o++) {
        int64_t index[MRT_MAX_RANK];
        ref_unravel(y, o, index);
        bool inside = true;
        for (int k = 0; k < rank; k++) {
            const bool same = p->scale[k] == 1 && x->shape.dims[k] == y->shape.dims[k] &&
                              (p->coord != MRT_COORD_TF_CROP ||
                               (p->roi_begin[k] == 0 && p->roi_end[k] == 1));
            inside = axis_weights(p, k, index[k], x->shape.dims[k], y->shape.dims[k],
                                  weights[k]) && inside;
            for (int64_t i = 0; same && i < x->shape.dims[k]; i++) {
                weights[k][i] = i == index[k];
            }
        }
        double sum = 0;
        for (int64_t i = 0; i < ref_count(x); i++) {
            int64_t at[MRT_MAX_RANK];
            double w = 1;
            ref_unravel(x, i, at);
            for (int k = 0; k < rank; k++) {
                w *= weights[k][at[k]];
            }
            sum += w != 0 ? w * ref_load(x, i) : 0;
        }
        ref_store(y, o, inside ? sum : p->extrapolation);
    }
    for (int k = 0; k < rank; k++) {
        free(weights[k]);
    }
}
