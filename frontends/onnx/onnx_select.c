/* Operators whose result is as large as the data says. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>

/* Compress and Unique without an axis work on all elements in a row. */
static mica_value *flat(mica_onnx_node *node, mica_value *x) {
    const mrt_shape shape = mica_onnx_shape(x);
    const int64_t size = mica_onnx_is_live(node, x) ? -1 : mrt_shape_count(&shape);
    return mica_onnx_reshape(node, "flat", x, 1, &size);
}

/* --- Compress -------------------------------------------------------------------------------- */

/* The condition is a constant: its true places are indices. */
static mica_status compress_constant(mica_onnx_node *node, mica_value *x, int64_t axis) {
    int64_t count = 0, n = 0;
    const int64_t *condition = mica_onnx_const_i64s(node, 1, &count);
    const int64_t size = mica_onnx_shape(x).dims[axis];
    MICA_TRY(mica_onnx_finish(node));
    int64_t *indices = mica_onnx_buffer(node, MRT_I64, count);
    for (int64_t i = 0; i < count && indices != NULL; i++) {
        if (condition[i] != 0 && i >= size) {
            return mica_onnx_error(node, "the condition is true at %" PRId64 ", expected less than "
                                         "%" PRId64, i, size);
        }
        if (condition[i] != 0) {
            indices[n++] = i;
        }
    }
    mica_value *picked = mica_onnx_i64s(node, "indices", n, indices);
    return mica_onnx_alias(node, 0,
                           mica_onnx_gather(node, "top.Gather", NULL, x, picked, (int)axis));
}

mica_status mica_onnx_convert_compress(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *condition = mica_onnx_in(node, 1);
    const int64_t given = mica_onnx_attr_i(node, "axis", 0);
    int axis = 0;
    if (mica_onnx_has_attr(node, "axis")) {
        axis = mica_onnx_axis(node, given, mica_onnx_shape(x).rank);
    } else {
        x = flat(node, x);
    }
    if (mica_is_weight(condition) && !mica_onnx_is_live(node, x)) {
        return compress_constant(node, x, axis);
    }
    mica_value *operands[] = {x, condition};
    mica_op *op = mica_onnx_op(node, "top.Compress", NULL, operands, 2, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* --- NonZero --------------------------------------------------------------------------------- */

/* Indices of a constant are a constant. */
static mica_status non_zero_constant(mica_onnx_node *node, const mica_value *x) {
    const mrt_shape shape = mica_onnx_shape(x);
    int64_t count = 0, n = 0;
    const double *data = mica_weight_f64(x, &count);
    for (int64_t i = 0; i < count; i++) {
        n += data[i] != 0.0;
    }
    const int64_t dims[] = {shape.rank, n};
    int64_t *out = mica_onnx_buffer(node, MRT_I64, shape.rank * n);
    for (int64_t i = 0, at = 0; i < count && out != NULL; i++) {
        int64_t rest = i;
        if (data[i] == 0.0) {
            continue;
        }
        for (int axis = shape.rank - 1; axis >= 0; axis--) {
            out[axis * n + at] = rest % shape.dims[axis];
            rest /= shape.dims[axis];
        }
        at++;
    }
    return mica_onnx_alias(node, 0, mica_onnx_weight(node, NULL, MRT_I64, 2, dims, out));
}

/* A scalar counts as a vector of one element. */
mica_status mica_onnx_convert_non_zero(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int64_t one = 1;
    if (x != NULL && mica_onnx_shape(x).rank == 0) {
        x = mica_onnx_reshape(node, "vector", x, 1, &one);
    }
    if (x != NULL && mica_is_weight(x)) {
        return non_zero_constant(node, x);
    }
    mica_op *op = mica_onnx_op(node, "top.NonZero", NULL, &x, 1, 1);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* --- Unique, NonMaxSuppression --------------------------------------------------------------- */

mica_status mica_onnx_convert_unique(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *results[4] = {0};
    const int64_t given = mica_onnx_attr_i(node, "axis", 0);
    const bool sorted = mica_onnx_attr_bool(node, "sorted", true);
    int axis = 0;
    if (mica_onnx_has_attr(node, "axis")) {
        axis = mica_onnx_axis(node, given, mica_onnx_shape(x).rank);
    } else {
        x = flat(node, x);
    }
    mica_op *op = mica_onnx_op(node, "top.Unique", NULL, &x, 1, 4);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_bool(op, "sorted", sorted);
    MICA_TRY(mica_onnx_done_all(node, op, results));
    for (size_t i = 0; i < 4; i++) {
        mica_onnx_bind(node, i, results[i]);
    }
    return mica_onnx_finish(node);
}

/* An operand of one element with the type that the kernel reads. */
static mica_value *scalar_operand(mica_onnx_node *node, size_t i, const char *suffix,
                                  mrt_dtype dtype) {
    mica_value *x = mica_onnx_in(node, i);
    return x != NULL ? mica_onnx_cast(node, suffix, x, dtype) : NULL;
}

mica_status mica_onnx_convert_nms(mica_onnx_node *node) {
    const bool centers = mica_onnx_attr_bool(node, "center_point_box", false);
    mica_value *operands[] = {mica_onnx_in(node, 0), mica_onnx_in(node, 1),
                              scalar_operand(node, 2, "max_output", MRT_I64),
                              scalar_operand(node, 3, "iou_threshold", MRT_F32),
                              scalar_operand(node, 4, "score_threshold", MRT_F32)};
    mica_op *op = mica_onnx_op(node, "top.Nms", NULL, operands, 5, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_bool(op, "center_point_box", centers);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
