/* Normalizations and softmax. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

mica_status mica_onnx_convert_batch_norm(mica_onnx_node *node) {
    mica_value *operands[5];
    for (size_t i = 0; i < MICA_COUNT(operands); i++) {
        operands[i] = mica_onnx_in(node, i);
    }
    const double eps = mica_onnx_attr_f(node, "epsilon", 1e-5);
    const double momentum = mica_onnx_attr_f(node, "momentum", (double)0.9f);
    MICA_TRY(mica_onnx_finish(node));
    if (mica_onnx_attr_i(node, "training_mode", 0) != 0) {
        return mica_onnx_batch_norm_training(node, operands, eps, momentum);
    }
    if (node->opset < 7 && mica_onnx_attr_i(node, "is_test", 0) == 0) {
        return mica_onnx_error(node, "attribute 'is_test' has value 0, expected 1; export the "
                                     "model for inference");
    }
    if (node->opset < 9 && mica_onnx_attr_i(node, "spatial", 1) != 1) {
        return mica_onnx_error(node, "attribute 'spatial' has value 0, expected 1");
    }
    mica_op *op = mica_onnx_op(node, "top.BatchNorm", NULL, operands, 5, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_f64(op, "eps", eps);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_instance_norm(mica_onnx_node *node) {
    mica_value *operands[] = {mica_onnx_in(node, 0), mica_onnx_in(node, 1), mica_onnx_in(node, 2)};
    const double eps = mica_onnx_attr_f(node, "epsilon", 1e-5);
    mica_op *op = mica_onnx_op(node, "top.InstanceNorm", NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_f64(op, "eps", eps);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* Before opset 21 scale and bias have one element per group. */
static mica_value *per_channel(mica_onnx_node *node, const char *name, mica_value *x,
                               int64_t groups, int64_t channels) {
    const mrt_shape shape = mica_onnx_shape(x);
    if (node->failed || shape.rank != 1 || shape.dims[0] == channels) {
        return x;
    }
    if (shape.dims[0] != groups || groups < 1) {
        mica_onnx_error(node, "%s has %" PRId64 " elements, expected %" PRId64 " or %" PRId64, name,
                        shape.dims[0], groups, channels);
        return NULL;
    }
    const int64_t column[] = {groups, 1}, table[] = {groups, channels / groups};
    mica_arena *arena = node->importer->arena;
    x = mica_onnx_reshape(node, mica_arena_printf(arena, "%s_column", name), x, 2, column);
    x = mica_onnx_expand(node, mica_arena_printf(arena, "%s_table", name), x, 2, table);
    return mica_onnx_reshape(node, name, x, 1, &channels);
}

mica_status mica_onnx_convert_group_norm(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *scale = mica_onnx_in(node, 1);
    mica_value *bias = mica_onnx_in(node, 2);
    const mrt_shape shape = mica_onnx_shape(x);
    const double eps = mica_onnx_attr_f(node, "epsilon", 1e-5);
    const int64_t groups = mica_onnx_attr_i(node, "num_groups", 0);
    mica_onnx_attr_i(node, "stash_type", 1);
    MICA_TRY(mica_onnx_finish(node));
    if (shape.rank < 2 || groups < 1 || shape.dims[1] % groups != 0) {
        return mica_onnx_error(node, "attribute 'num_groups' has value %" PRId64
                                     ", expected a divisor of the %" PRId64 " channels", groups,
                               shape.dims[1]);
    }
    scale = per_channel(node, "scale", scale, groups, shape.dims[1]);
    bias = per_channel(node, "bias", bias, groups, shape.dims[1]);
    mica_value *operands[] = {x, scale, bias};
    mica_op *op = mica_onnx_op(node, "top.GroupNorm", NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "num_groups", groups);
    mica_op_set_f64(op, "eps", eps);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* Scale and bias may be given in any shape that broadcasts; the op wants the normalized shape. */
static mica_value *normalized_shape(mica_onnx_node *node, const char *name, mica_value *w,
                                    const mrt_shape *x, int axis) {
    if (w == NULL) {
        return NULL;
    }
    const int rank = x->rank - axis;
    mrt_shape shape = mica_onnx_shape(w);
    int extra = 0; /* leading axes of size 1 beyond the normalized ones */
    while (shape.rank - extra > rank && shape.dims[extra] == 1) {
        extra++;
    }
    mica_arena *arena = node->importer->arena;
    w = mica_onnx_reshape(node, mica_arena_printf(arena, "%s_flat", name), w, shape.rank - extra,
                          shape.dims + extra);
    return mica_onnx_expand(node, name, w, rank, x->dims + axis);
}

mica_status mica_onnx_convert_layer_norm(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", -1), shape.rank);
    const double eps = mica_onnx_attr_f(node, "epsilon", 1e-5);
    mica_onnx_attr_i(node, "stash_type", 1);
    mica_value *operands[] = {
        x, normalized_shape(node, "scale", mica_onnx_in(node, 1), &shape, axis),
        normalized_shape(node, "bias", mica_onnx_in(node, 2), &shape, axis)};
    const size_t n = mica_onnx_has_out(node, 2) ? 3 : mica_onnx_has_out(node, 1) ? 2 : 1;
    mica_op *op = mica_onnx_op(node, "top.LayerNorm", NULL, operands, 3, n);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_f64(op, "eps", eps);
    mica_value *results[3] = {0};
    MICA_TRY(mica_onnx_done_all(node, op, results));
    for (size_t i = 0; i < n; i++) {
        mica_onnx_bind(node, i, results[i]);
    }
    return mica_onnx_finish(node);
}

mica_status mica_onnx_convert_rms_norm(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", -1), shape.rank);
    const double eps = mica_onnx_attr_f(node, "epsilon", 1e-5);
    mica_onnx_attr_i(node, "stash_type", 1);
    mica_value *operands[] = {
        x, normalized_shape(node, "scale", mica_onnx_in(node, 1), &shape, axis)};
    mica_op *op = mica_onnx_op(node, "top.RMSNorm", NULL, operands, 2, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_f64(op, "eps", eps);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_lrn(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int64_t size = mica_onnx_attr_i(node, "size", 0);
    const double alpha = mica_onnx_attr_f(node, "alpha", 1e-4);
    const double beta = mica_onnx_attr_f(node, "beta", 0.75);
    const double bias = mica_onnx_attr_f(node, "bias", 1.0);
    mica_op *op = mica_onnx_op(node, "top.LRN", NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    if (size < 1) {
        return mica_onnx_error(node, "attribute 'size' has value %" PRId64 ", expected 1 or more",
                               size);
    }
    mica_op_set_i64(op, "size", size);
    mica_op_set_f64(op, "alpha", alpha);
    mica_op_set_f64(op, "beta", beta);
    mica_op_set_f64(op, "bias", bias);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_lp_norm(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", -1), shape.rank);
    const int64_t p = mica_onnx_attr_i(node, "p", 2);
    if (p != 1 && p != 2) {
        return mica_onnx_error(node, "attribute 'p' has value %" PRId64 ", expected 1 or 2", p);
    }
    mica_value *norm = mica_onnx_reduce(node, "norm", x, p == 1 ? "ReduceL1" : "ReduceL2",
                                        1u << axis, true);
    const double smallest = 0x1p-126; /* so that zeros stay zeros */
    norm = mica_onnx_clip(node, "divisor", norm, &smallest, NULL);
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, "top.Div", NULL, x, norm));
}

/* (x - mean) / (sqrt(E[x^2] - mean^2) + 1e-9) */
mica_status mica_onnx_convert_mean_variance_norm(mica_onnx_node *node) {
    static const int64_t usual[] = {0, 2, 3};
    mica_value *x = mica_onnx_in(node, 0);
    size_t n = 0;
    const int64_t *axes = mica_onnx_attr_ints(node, "axes", &n);
    if (axes == NULL) {
        axes = usual;
        n = MICA_COUNT(usual);
    }
    const uint32_t set = mica_onnx_axes(node, axes, (int64_t)n, mica_onnx_shape(x).rank);
    mica_value *mean = mica_onnx_reduce(node, "mean", x, "ReduceMean", set, true);
    mica_value *mean_square = mica_onnx_unary(node, "top.Square", "mean_square", mean);
    mica_value *square = mica_onnx_unary(node, "top.Square", "square", x);
    mica_value *square_mean =
        mica_onnx_reduce(node, "square_mean", square, "ReduceMean", set, true);
    mica_value *variance = mica_onnx_binary(node, "top.Sub", "variance", square_mean, mean_square);
    mica_value *deviation = mica_onnx_unary(node, "top.Sqrt", "deviation", variance);
    mica_value *eps = mica_onnx_scalar_like(node, "eps", x, 1e-9);
    mica_value *divisor = mica_onnx_binary(node, "top.Add", "divisor", deviation, eps);
    mica_value *centred = mica_onnx_binary(node, "top.Sub", "centred", x, mean);
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, "top.Div", NULL, centred, divisor));
}

/* --- softmax --------------------------------------------------------------------------------- */
/* Before opset 13 the axes from `axis` on were one axis. `flat` gets [before, rest] when that is
 * not the same as working along the axis itself. */
static bool flattens(const mica_onnx_node *node, const mrt_shape *shape, int axis,
                     int64_t flat[2]) {
    flat[0] = mrt_shape_range(shape, 0, axis);
    flat[1] = mrt_shape_range(shape, axis, shape->rank);
    return node->opset < 13 && shape->rank > 0 &&
           mrt_shape_range(shape, axis + 1, shape->rank) != 1;
}

mica_status mica_onnx_convert_softmax(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", node->opset < 13 ? 1 : -1),
                              shape.rank);
    int64_t flat[2];
    const bool fold = flattens(node, &shape, axis, flat);
    if (fold) {
        x = mica_onnx_reshape(node, "flat", x, 2, flat);
        axis = 1;
    }
    mica_op *op = mica_onnx_op(node, "top.Softmax", fold ? "softmax" : NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_bool(op, "log", strcmp(node->row->detail, "log") == 0);
    mica_value *y = mica_onnx_done(node, op);
    return mica_onnx_alias(node, 0,
                           fold ? mica_onnx_reshape(node, NULL, y, shape.rank, shape.dims) : y);
}

/* One-hot vector of the first largest element. */
mica_status mica_onnx_convert_hardmax(mica_onnx_node *node) {
    static const int64_t two = 2;
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const mrt_dtype type = mica_onnx_type(x);
    int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", node->opset < 13 ? 1 : -1),
                              shape.rank);
    int64_t flat[2];
    const bool fold = flattens(node, &shape, axis, flat);
    const int64_t depth = fold ? flat[1] : shape.dims[axis];
    if (fold) {
        x = mica_onnx_reshape(node, "flat", x, 2, flat);
        axis = 1;
    }
    mica_op *arg = mica_onnx_op(node, "top.Arg", "argmax", &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_str(arg, "mode", "ArgMax");
    mica_op_set_i64(arg, "axis", axis);
    mica_op_set_bool(arg, "keepdims", false);
    uint8_t values[16] = {0};
    mica_onnx_store(type, 1.0, values + mrt_dtype_bytes(type));
    mica_value *operands[] = {mica_onnx_done(node, arg),
                              mica_onnx_weight(node, "off_on", type, 1, &two, values)};
    mica_op *op = mica_onnx_op(node, "top.OneHot", fold ? "one_hot" : NULL, operands, 2, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "depth", depth);
    mica_op_set_i64(op, "axis", axis);
    mica_value *y = mica_onnx_done(node, op);
    return mica_onnx_alias(node, 0,
                           fold ? mica_onnx_reshape(node, NULL, y, shape.rank, shape.dims) : y);
}
