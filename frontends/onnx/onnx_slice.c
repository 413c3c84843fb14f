/* Cutting, padding, repeating. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

/* --- slice ----------------------------------------------------------------------------------- */
typedef struct slice_args {
    const int64_t *starts, *ends, *axes, *steps; /* axes, steps may be NULL */
    int64_t n;
} slice_args;

static mica_status same_count(mica_onnx_node *node, const char *what, int64_t count, int64_t n) {
    return count == n ? MICA_OK
                      : mica_onnx_error(node, "%" PRId64 " %s for %" PRId64 " starts", count, what,
                                        n);
}

static mica_status slice_attrs(mica_onnx_node *node, slice_args *out) {
    size_t n = 0, n_ends = 0, n_axes = 0;
    out->starts = mica_onnx_attr_ints(node, "starts", &n);
    out->ends = mica_onnx_attr_ints(node, "ends", &n_ends);
    out->axes = mica_onnx_attr_ints(node, "axes", &n_axes);
    out->n = (int64_t)n;
    MICA_TRY(mica_onnx_finish(node));
    MICA_TRY(same_count(node, "ends", (int64_t)n_ends, out->n));
    return out->axes != NULL ? same_count(node, "axes", (int64_t)n_axes, out->n) : MICA_OK;
}

static mica_status slice_inputs(mica_onnx_node *node, slice_args *out) {
    int64_t n_ends = 0, n_axes = 0, n_steps = 0;
    if (mica_onnx_n_in(node) < 3) {
        return mica_onnx_error(node, "%zu inputs, expected 3..5 since opset 10",
                               mica_onnx_n_in(node));
    }
    out->starts = mica_onnx_const_i64s(node, 1, &out->n);
    out->ends = mica_onnx_const_i64s(node, 2, &n_ends);
    const bool has_axes = mica_onnx_in_name(node, 3)[0] != '\0';
    const bool has_steps = mica_onnx_in_name(node, 4)[0] != '\0';
    out->axes = has_axes ? mica_onnx_const_i64s(node, 3, &n_axes) : NULL;
    out->steps = has_steps ? mica_onnx_const_i64s(node, 4, &n_steps) : NULL;
    MICA_TRY(mica_onnx_finish(node));
    MICA_TRY(same_count(node, "ends", n_ends, out->n));
    if (has_axes) {
        MICA_TRY(same_count(node, "axes", n_axes, out->n));
    }
    return has_steps ? same_count(node, "steps", n_steps, out->n) : MICA_OK;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

/* numpy's rules for one axis; the result counts from the front, an end of -1 with a negative step
 * lies before the first element. */
static void slice_axis(int64_t size, int64_t start, int64_t end, int64_t step, int64_t *out_start,
                       int64_t *out_end) {
    if (size == 0) {
        *out_start = *out_end = 0;
        return;
    }
    start += start < 0 ? size : 0; /* start < 0: no overflow */
    end += end < 0 ? size : 0;
    if (step > 0) {
        *out_start = clamp(start, 0, size);
        *out_end = clamp(end, *out_start, size);
    } else {
        *out_start = clamp(start, 0, size - 1);
        *out_end = clamp(end, -1, size - 1);
        if (*out_end > *out_start) {
            *out_end = *out_start;
        }
        if (start < 0) { /* before the first element: nothing */
            *out_end = *out_start;
        }
    }
}

mica_status mica_onnx_convert_slice(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    slice_args args = {0};
    MICA_TRY(node->opset < 10 ? slice_attrs(node, &args) : slice_inputs(node, &args));
    int64_t offset[MRT_MAX_RANK] = {0}, ends[MRT_MAX_RANK] = {0}, steps[MRT_MAX_RANK] = {0};
    for (int i = 0; i < shape.rank; i++) {
        ends[i] = shape.dims[i] < 0 ? INT64_MAX : shape.dims[i];
        steps[i] = 1;
    }
    if (args.n > shape.rank) {
        return mica_onnx_error(node, "%" PRId64 " starts for rank %d", args.n, shape.rank);
    }
    if (args.axes != NULL) {
        mica_onnx_axes(node, args.axes, args.n, shape.rank);
    }
    for (int64_t i = 0; i < args.n && !node->failed; i++) {
        const int axis = mica_onnx_axis(node, args.axes != NULL ? args.axes[i] : i, shape.rank);
        const int64_t step = args.steps != NULL ? args.steps[i] : 1;
        if (step == 0) {
            return mica_onnx_error(node, "step on axis %d is 0", axis);
        }
        if (shape.dims[axis] < 0) {
            if (args.starts[i] < 0 || args.ends[i] < 0 || step < 0) {
                return mica_onnx_error(node, "it counts from the end of axis %d, whose size depends "
                                             "on data; only counts from its begin are supported",
                                       axis);
            }
            offset[axis] = args.starts[i];
            ends[axis] = args.ends[i] < INT32_MAX ? args.ends[i] : INT64_MAX;
            steps[axis] = step;
            continue;
        }
        /* A step beyond the axis takes one element, as does one of its size. */
        const int64_t size = shape.dims[axis] > 0 ? shape.dims[axis] : 1;
        steps[axis] = clamp(step, -size, size);
        slice_axis(shape.dims[axis], args.starts[i], args.ends[i], step, &offset[axis],
                   &ends[axis]);
    }
    return mica_onnx_alias(node, 0, mica_onnx_slice(node, NULL, x, offset, steps, ends));
}

/* --- pad ------------------------------------------------------------------------------------- */
static mica_value *pad(mica_onnx_node *node, const char *suffix, mica_value *x,
                       const int64_t *paddings, double value, const char *mode) {
    const int rank = mica_onnx_shape(x).rank;
    bool none = true;
    for (int i = 0; i < 2 * rank; i++) {
        none = none && paddings[i] == 0;
    }
    mica_op *op = none ? NULL : mica_onnx_op(node, "top.Pad", suffix, &x, 1, 1);
    if (op == NULL) {
        return node->failed ? NULL : x;
    }
    mica_op_set_i64s(op, "paddings", paddings, 2 * (size_t)rank);
    mica_op_set_f64(op, "val", value);
    mica_op_set_str(op, "mode", mode);
    return mica_onnx_done(node, op);
}

mica_status mica_onnx_convert_pad(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int rank = mica_onnx_shape(x).rank;
    const char *mode =
        mica_onnx_attr_choice(node, "mode", "constant", "constant|reflect|edge|wrap");
    int64_t count = 0, n_axes = rank, paddings[2 * MRT_MAX_RANK] = {0};
    const int64_t *pads = NULL, *axes = NULL;
    double value = 0.0;
    if (node->opset < 11) {
        size_t n = 0;
        pads = mica_onnx_attr_ints(node, "pads", &n);
        value = mica_onnx_attr_f(node, "value", 0.0);
        count = (int64_t)n;
    } else if (mica_onnx_n_in(node) < 2) {
        return mica_onnx_error(node, "1 input, expected 2..4 since opset 11");
    } else {
        pads = mica_onnx_const_i64s(node, 1, &count);
        value = mica_onnx_const_f64(node, 2, 0.0);
    }
    if (node->opset >= 18 && mica_onnx_in_name(node, 3)[0] != '\0') {
        axes = mica_onnx_const_i64s(node, 3, &n_axes);
        mica_onnx_axes(node, axes, n_axes, rank);
    }
    MICA_TRY(mica_onnx_finish(node));
    if (count != 2 * n_axes) {
        return mica_onnx_error(node, "%" PRId64 " pads for %" PRId64 " axes, expected %" PRId64,
                               count, n_axes, 2 * n_axes);
    }
    for (int64_t i = 0; i < n_axes; i++) {
        const int axis = mica_onnx_axis(node, axes != NULL ? axes[i] : i, rank);
        paddings[axis] = pads[i];
        paddings[rank + axis] = pads[n_axes + i];
    }
    return mica_onnx_alias(node, 0, pad(node, NULL, x, paddings, value, mode));
}

mica_status mica_onnx_convert_center_crop_pad(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    size_t n_axes = 0;
    int64_t count = 0, paddings[2 * MRT_MAX_RANK] = {0};
    const int64_t *axes = mica_onnx_attr_ints(node, "axes", &n_axes);
    const int64_t *size = mica_onnx_const_i64s(node, 1, &count);
    n_axes = axes != NULL ? n_axes : (size_t)shape.rank;
    mica_onnx_axes(node, axes, axes != NULL ? (int64_t)n_axes : 0, shape.rank);
    MICA_TRY(mica_onnx_finish(node));
    if (count != (int64_t)n_axes) {
        return mica_onnx_error(node, "%" PRId64 " sizes for %zu axes", count, n_axes);
    }
    for (size_t i = 0; i < n_axes; i++) {
        const int axis = mica_onnx_axis(node, axes != NULL ? axes[i] : (int64_t)i, shape.rank);
        const int64_t have = shape.dims[axis], want = size[i];
        if (want < 0) {
            return mica_onnx_error(node, "size %" PRId64 " on axis %d, expected 0 or more", want,
                                   axis);
        }
        /* An odd difference has its extra element at the end. */
        const int64_t begin = want >= have ? (want - have) / 2 : -((have - want) / 2);
        paddings[axis] = begin;
        paddings[shape.rank + axis] = want - have - begin;
    }
    return mica_onnx_alias(node, 0, pad(node, NULL, x, paddings, 0.0, "constant"));
}

/* --- repeating ------------------------------------------------------------------------------- */
mica_status mica_onnx_convert_expand(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape in = mica_onnx_shape(x);
    int64_t count = 0, dims[MRT_MAX_RANK] = {0};
    const int64_t *shape = mica_onnx_const_i64s(node, 1, &count);
    MICA_TRY(mica_onnx_finish(node));
    if (count > MRT_MAX_RANK) {
        return mica_onnx_error(node, "the shape has %" PRId64 " dimensions, at most %d are "
                                     "supported", count, MRT_MAX_RANK);
    }
    const int rank = in.rank > count ? in.rank : (int)count;
    for (int i = 0; i < rank; i++) {
        const int from = i - (rank - in.rank), to = i - (rank - (int)count);
        const int64_t have = from >= 0 ? in.dims[from] : 1, want = to >= 0 ? shape[to] : 1;
        if (have < 0 && want != 1) {
            return mica_onnx_error(node, "axis %d has a size that depends on data, expected 1 for "
                                         "it in the shape, got %" PRId64, i, want);
        }
        if (want < 0 || (have != 1 && want != 1 && have != want)) {
            return mica_onnx_error(node, "size %" PRId64 " of the input does not broadcast to "
                                         "%" PRId64 " on axis %d", have, want, i);
        }
        dims[i] = have > 1 || have == 0 ? have : want;
    }
    return mica_onnx_alias(node, 0, mica_onnx_expand(node, NULL, x, rank, dims));
}

mica_status mica_onnx_convert_tile(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int rank = mica_onnx_shape(x).rank;
    int64_t count = 0;
    const int64_t *repeats = mica_onnx_const_i64s(node, 1, &count);
    MICA_TRY(mica_onnx_finish(node));
    if (count != rank) {
        return mica_onnx_error(node, "%" PRId64 " repeats for rank %d", count, rank);
    }
    bool once = true;
    for (int i = 0; i < rank; i++) {
        once = once && repeats[i] == 1;
        if (repeats[i] < 0) {
            return mica_onnx_error(node, "%" PRId64 " repeats on axis %d, expected 0 or more",
                                   repeats[i], i);
        }
    }
    if (once) {
        return mica_onnx_alias(node, 0, x);
    }
    mica_op *op = mica_onnx_op(node, "top.Tile", NULL, &x, 1, 1);
    mica_op_set_i64s(op, "tile", repeats, (size_t)rank);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
