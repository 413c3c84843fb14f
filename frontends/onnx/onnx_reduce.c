/* Reductions, arg, top-k, running sums. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

/* Axes come from an attribute, or from input 1: of ReduceSum since opset 13, of the others since
 * 18. */
static const int64_t *read_axes(mica_onnx_node *node, int64_t *out_count) {
    const int since = strcmp(node->row->detail, "ReduceSum") == 0 ? 13 : 18;
    if (node->opset >= since) {
        *out_count = 0;
        return mica_onnx_in_name(node, 1)[0] != '\0' ? mica_onnx_const_i64s(node, 1, out_count)
                                                     : NULL;
    }
    if (mica_onnx_n_in(node) > 1) {
        mica_onnx_error(node, "%zu inputs, expected 1 before opset %d", mica_onnx_n_in(node),
                        since);
    }
    size_t n = 0;
    const int64_t *axes = mica_onnx_attr_ints(node, "axes", &n);
    *out_count = (int64_t)n;
    return axes;
}

/* What a reduction over no axis does to each element; NULL: nothing. */
static const char *reduce_nothing(const char *mode) {
    static const char *const table[][2] = {{"ReduceL1", "top.Abs"},
                                           {"ReduceL2", "top.Abs"},
                                           {"ReduceSumSquare", "top.Square"},
                                           {"ReduceLogSum", "top.Log"}};
    for (size_t i = 0; i < MICA_COUNT(table); i++) {
        if (strcmp(table[i][0], mode) == 0) {
            return table[i][1];
        }
    }
    return NULL;
}

mica_status mica_onnx_convert_reduce(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const char *mode = node->row->detail;
    const bool keep = mica_onnx_attr_bool(node, "keepdims", true);
    const bool noop = mica_onnx_attr_bool(node, "noop_with_empty_axes", false);
    int64_t count = 0;
    const int64_t *axes = read_axes(node, &count);
    uint32_t set = mica_onnx_axes(node, axes, count, shape.rank);
    if (count == 0 && !noop) {
        set = (1u << shape.rank) - 1;
    }
    if (set == 0) {
        const char *op = reduce_nothing(mode);
        return mica_onnx_alias(node, 0, op != NULL ? mica_onnx_unary(node, op, NULL, x) : x);
    }
    if (mica_onnx_type(x) == MRT_BOOL) { /* ReduceMax and ReduceMin since opset 20 */
        x = mica_onnx_cast(node, "numbers", x, MRT_U8);
        x = mica_onnx_reduce(node, "reduced", x, mode, set, keep);
        return mica_onnx_alias(node, 0, mica_onnx_cast(node, NULL, x, MRT_BOOL));
    }
    return mica_onnx_alias(node, 0, mica_onnx_reduce(node, NULL, x, mode, set, keep));
}

mica_status mica_onnx_convert_arg(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", 0),
                                    mica_onnx_shape(x).rank);
    const bool keep = mica_onnx_attr_bool(node, "keepdims", true);
    const bool last = mica_onnx_attr_bool(node, "select_last_index", false);
    mica_op *op = mica_onnx_op(node, "top.Arg", NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_str(op, "mode", node->row->detail);
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_bool(op, "keepdims", keep);
    mica_op_set_bool(op, "select_last_index", last);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_top_k(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", -1), shape.rank);
    const bool largest = mica_onnx_attr_bool(node, "largest", true);
    const bool sorted = mica_onnx_attr_bool(node, "sorted", true);
    if (node->opset >= 10 && mica_onnx_n_in(node) < 2) {
        return mica_onnx_error(node, "1 input, expected 2 since opset 10");
    }
    const int64_t k = node->opset < 10 ? mica_onnx_attr_i(node, "k", 0)
                                       : mica_onnx_const_i64(node, 1, 0);
    MICA_TRY(mica_onnx_finish(node));
    if (shape.dims[axis] < 0) {
        return mica_onnx_error(node, "axis %d has a size that depends on data and may be less than "
                                     "k; cut the model before it with output_names", axis);
    }
    if (k < 0 || k > shape.dims[axis]) {
        return mica_onnx_error(node, "k is %" PRId64 ", expected 0..%" PRId64, k, shape.dims[axis]);
    }
    mica_op *op = mica_onnx_op(node, "top.TopK", NULL, &x, 1, 2);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "k", k);
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_bool(op, "largest", largest);
    mica_op_set_bool(op, "sorted", sorted);
    mica_value *results[2] = {0};
    MICA_TRY(mica_onnx_done_all(node, op, results));
    mica_onnx_bind(node, 0, results[0]);
    return mica_onnx_alias(node, 1, results[1]);
}

mica_status mica_onnx_convert_cum_sum(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int axis = mica_onnx_axis(node, mica_onnx_const_i64(node, 1, 0), mica_onnx_shape(x).rank);
    const bool exclusive = mica_onnx_attr_bool(node, "exclusive", false);
    const bool reverse = mica_onnx_attr_bool(node, "reverse", false);
    mica_op *op = mica_onnx_op(node, node->row->detail, NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_bool(op, "exclusive", exclusive);
    mica_op_set_bool(op, "reverse", reverse);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
