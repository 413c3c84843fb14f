/* Matrix products. */
#include "frontends/onnx/onnx_internal.h"

#include <string.h>

mica_status mica_onnx_convert_matmul(mica_onnx_node *node) {
    mica_value *operands[] = {mica_onnx_in(node, 0), mica_onnx_in(node, 1), NULL};
    mica_op *op = mica_onnx_op(node, "top.MatMul", NULL, operands, 3, 1);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

static mica_value *times(mica_onnx_node *node, const char *name, const char *suffix, mica_value *x,
                         double factor) {
    if (x == NULL || factor == 1.0) {
        return x;
    }
    mica_value *scalar = mica_onnx_scalar_like(node, name, x, factor);
    return mica_onnx_binary(node, "top.Mul", suffix, x, scalar);
}

/* A bias that is one row can be part of the product; returns it as [N], or NULL. */
static mica_value *row_bias(mica_onnx_node *node, mica_value *bias, int64_t n) {
    const mrt_shape shape = mica_onnx_shape(bias);
    const bool row = shape.rank == 1 || (shape.rank == 2 && shape.dims[0] == 1);
    if (!row || shape.dims[shape.rank - 1] != n) {
        return NULL;
    }
    return mica_onnx_reshape(node, "bias_row", bias, 1, &n);
}

/* alpha * A' * B' + beta * C; alpha goes into B when that is a constant. */
mica_status mica_onnx_convert_gemm(mica_onnx_node *node) {
    mica_value *a = mica_onnx_in(node, 0), *b = mica_onnx_in(node, 1), *c = mica_onnx_in(node, 2);
    const double alpha = mica_onnx_attr_f(node, "alpha", 1.0);
    const double beta = mica_onnx_attr_f(node, "beta", 1.0);
    const bool trans_a = mica_onnx_attr_i(node, "transA", 0) != 0;
    const bool trans_b = mica_onnx_attr_i(node, "transB", 0) != 0;
    if (node->opset < 7) {
        mica_onnx_attr_i(node, "broadcast", 0); /* later versions always broadcast */
    }
    const mrt_shape shape_a = mica_onnx_shape(a), shape_b = mica_onnx_shape(b);
    MICA_TRY(mica_onnx_finish(node));
    if (shape_a.rank != 2 || shape_b.rank != 2) {
        return mica_onnx_error(node, "inputs have ranks %d and %d, expected 2", shape_a.rank,
                               shape_b.rank);
    }
    b = mica_is_weight(b) ? times(node, "alpha", "scaled_b", b, alpha) : b;
    c = beta == 0.0 ? NULL : times(node, "beta", "scaled_c", c, beta);
    const bool late_alpha = alpha != 1.0 && !mica_is_weight(mica_onnx_in(node, 1));
    mica_value *bias =
        c != NULL && !late_alpha ? row_bias(node, c, shape_b.dims[trans_b ? 0 : 1]) : NULL;
    const bool late_bias = c != NULL && bias == NULL;
    mica_value *operands[] = {a, b, bias};
    mica_op *op = mica_onnx_op(node, "top.MatMul", late_alpha || late_bias ? "product" : NULL,
                               operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_bool(op, "left_transpose", trans_a);
    mica_op_set_bool(op, "right_transpose", trans_b);
    mica_value *y = mica_onnx_done(node, op);
    if (late_alpha) {
        y = times(node, "alpha", late_bias ? "scaled" : NULL, y, alpha);
    }
    if (late_bias) {
        y = mica_onnx_binary(node, "top.Add", NULL, y, c);
    }
    return mica_onnx_alias(node, 0, y);
}
