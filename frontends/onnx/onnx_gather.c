/* Picking and writing elements by index. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

/* Kernels take i32 and i64 indices. */
static mica_value *as_index(mica_onnx_node *node, const char *suffix, mica_value *indices) {
    const mrt_dtype type = mica_onnx_type(indices);
    return type == MRT_I32 || type == MRT_I64 ? indices
                                              : mica_onnx_cast(node, suffix, indices, MRT_I64);
}

mica_status mica_onnx_convert_gather(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    mica_value *indices = as_index(node, "indices", mica_onnx_in(node, 1));
    const int axis =
        mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", 0), mica_onnx_shape(x).rank);
    return mica_onnx_alias(node, 0,
                           mica_onnx_gather(node, node->row->detail, NULL, x, indices, axis));
}

mica_status mica_onnx_convert_gather_nd(mica_onnx_node *node) {
    mica_value *operands[] = {mica_onnx_in(node, 0), mica_onnx_in(node, 1)};
    const int64_t batch = mica_onnx_attr_i(node, "batch_dims", 0);
    mica_op *op = mica_onnx_op(node, "top.GatherND", NULL, operands, 2, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "batch_dims", batch);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_scatter(mica_onnx_node *node) {
    mica_value *operands[] = {mica_onnx_in(node, 0),
                              as_index(node, "indices", mica_onnx_in(node, 1)),
                              mica_onnx_in(node, 2)};
    const bool elements = strcmp(node->row->detail, "top.ScatterElements") == 0;
    const int rank = mica_onnx_shape(operands[0]).rank;
    const int axis =
        elements ? mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", 0), rank) : 0;
    const char *reduction =
        mica_onnx_attr_choice(node, "reduction", "none", "none|add|mul|max|min");
    mica_op *op = mica_onnx_op(node, node->row->detail, NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    if (elements) {
        mica_op_set_i64(op, "axis", axis);
    }
    mica_op_set_str(op, "reduction", reduction);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_one_hot(mica_onnx_node *node) {
    mica_value *operands[] = {as_index(node, "indices", mica_onnx_in(node, 0)),
                              mica_onnx_in(node, 2)};
    const int rank = mica_onnx_shape(operands[0]).rank;
    const int64_t depth = mica_onnx_const_i64(node, 1, 0);
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", -1), rank + 1);
    mica_op *op = mica_onnx_op(node, "top.OneHot", NULL, operands, 2, 1);
    MICA_TRY(mica_onnx_finish(node));
    if (depth < 1) {
        return mica_onnx_error(node, "depth is %" PRId64 ", expected 1 or more", depth);
    }
    mica_op_set_i64(op, "depth", depth);
    mica_op_set_i64(op, "axis", axis);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_trilu(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int64_t k = mica_onnx_const_i64(node, 1, 0);
    const bool upper = mica_onnx_attr_bool(node, "upper", true);
    mica_op *op = mica_onnx_op(node, "top.Trilu", NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "k", k);
    mica_op_set_bool(op, "upper", upper);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* y[t] = x[t < len ? len - 1 - t : t] along the time axis, len per batch element. */
mica_status mica_onnx_convert_reverse_sequence(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *lens = mica_onnx_in(node, 1);
    const mrt_shape shape = mica_onnx_shape(x);
    const int64_t batch_axis = mica_onnx_attr_i(node, "batch_axis", 1);
    const int64_t time_axis = mica_onnx_attr_i(node, "time_axis", 0);
    MICA_TRY(mica_onnx_finish(node));
    if (shape.rank < 2 || batch_axis + time_axis != 1 || batch_axis * time_axis != 0) {
        return mica_onnx_error(node, "batch_axis %" PRId64 " and time_axis %" PRId64
                                     " of rank %d, expected 0 and 1 in some order", batch_axis,
                               time_axis, shape.rank);
    }
    int64_t by_time[MRT_MAX_RANK], by_batch[MRT_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        by_time[i] = i == time_axis ? shape.dims[i] : 1;
        by_batch[i] = i == batch_axis ? shape.dims[i] : 1;
    }
    const int64_t n = shape.dims[time_axis];
    int64_t *count = mica_onnx_buffer(node, MRT_I64, n);
    for (int64_t i = 0; i < n && count != NULL; i++) {
        count[i] = i;
    }
    mica_value *t = mica_onnx_weight(node, "time", MRT_I64, shape.rank, by_time, count);
    mica_value *one = mica_onnx_scalar(node, "one", MRT_I64, 1.0);
    lens = mica_onnx_reshape(node, "lens", lens, shape.rank, by_batch);
    mica_value *inside = mica_onnx_binary(node, "top.Less", "inside", t, lens);
    mica_value *last = mica_onnx_binary(node, "top.Sub", "last", lens, one);
    mica_value *mirror = mica_onnx_binary(node, "top.Sub", "mirror", last, t);
    mica_value *index = mica_onnx_where(node, "index", inside, mirror, t);
    index = mica_onnx_expand(node, "indices", index, shape.rank, shape.dims);
    return mica_onnx_alias(node, 0, mica_onnx_gather(node, "top.GatherElements", NULL, x, index,
                                                     (int)time_axis));
}
