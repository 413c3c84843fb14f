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
static mica_value *gemm(mica_onnx_node *node, const char *suffix) {
    mica_value *a = mica_onnx_in(node, 0), *b = mica_onnx_in(node, 1), *c = mica_onnx_in(node, 2);
    const double alpha = mica_onnx_attr_f(node, "alpha", 1.0);
    const double beta = mica_onnx_attr_f(node, "beta", 1.0);
    const bool trans_a = mica_onnx_attr_i(node, "transA", 0) != 0;
    const bool trans_b = mica_onnx_attr_i(node, "transB", 0) != 0;
    if (node->opset < 7) {
        mica_onnx_attr_i(node, "broadcast", 0); /* later versions always broadcast */
    }
    const mrt_shape shape_a = mica_onnx_shape(a), shape_b = mica_onnx_shape(b);
    if (!node->failed && (shape_a.rank != 2 || shape_b.rank != 2)) {
        mica_onnx_error(node, "inputs have ranks %d and %d, expected 2", shape_a.rank,
                        shape_b.rank);
    }
    if (node->failed) {
        return NULL;
    }
    b = mica_is_weight(b) ? times(node, "alpha", "scaled_b", b, alpha) : b;
    c = beta == 0.0 ? NULL : times(node, "beta", "scaled_c", c, beta);
    const bool late_alpha = alpha != 1.0 && !mica_is_weight(mica_onnx_in(node, 1));
    mica_value *bias =
        c != NULL && !late_alpha ? row_bias(node, c, shape_b.dims[trans_b ? 0 : 1]) : NULL;
    const bool late_bias = c != NULL && bias == NULL;
    mica_value *operands[] = {a, b, bias};
    mica_op *op = mica_onnx_op(node, "top.MatMul", late_alpha || late_bias ? "product" : suffix,
                               operands, 3, 1);
    if (op == NULL) {
        return NULL;
    }
    mica_op_set_bool(op, "left_transpose", trans_a);
    mica_op_set_bool(op, "right_transpose", trans_b);
    mica_value *y = mica_onnx_done(node, op);
    if (late_alpha) {
        y = times(node, "alpha", late_bias ? "scaled" : suffix, y, alpha);
    }
    if (late_bias) {
        y = mica_onnx_binary(node, "top.Add", suffix, y, c);
    }
    return y;
}

mica_status mica_onnx_convert_gemm(mica_onnx_node *node) {
    return mica_onnx_alias(node, 0, gemm(node, NULL));
}

/* --- com.microsoft ----------------------------------------------------------------------------- */
mica_status mica_onnx_convert_fused_gemm(mica_onnx_node *node) {
    static const char *const names[] = {"activation_alpha", "activation_beta"};
    const char *activation = mica_onnx_attr_s(node, "activation", "");
    double params[2];
    size_t n = 0;
    for (size_t i = 0; i < MICA_COUNT(names); i++) {
        params[i] = mica_onnx_attr_f(node, names[i], 0.0);
        n = mica_onnx_has_attr(node, names[i]) ? i + 1 : n;
    }
    mica_onnx_attr_f(node, "activation_gamma", 0.0); /* no activation has three */
    mica_value *y = gemm(node, "sums");
    return mica_onnx_alias(node, 0, mica_onnx_activate(node, activation, y, params, n));
}

/* The matrices of a batch may lie side by side, [K, .., N]: the first axis becomes the last but
 * one. */
static mica_value *matrix_axes_last(mica_onnx_node *node, const char *name, mica_value *x) {
    const int rank = mica_onnx_shape(x).rank;
    int64_t order[MRT_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        order[i] = i + 2 < rank ? i + 1 : i + 2 == rank ? 0 : i;
    }
    return rank > 2 ? mica_onnx_permute(node, name, x, order) : x;
}

mica_status mica_onnx_convert_fused_matmul(mica_onnx_node *node) {
    mica_value *a = mica_onnx_in(node, 0), *b = mica_onnx_in(node, 1);
    const double alpha = mica_onnx_attr_f(node, "alpha", 1.0);
    const bool trans_a = mica_onnx_attr_i(node, "transA", 0) != 0;
    const bool trans_b = mica_onnx_attr_i(node, "transB", 0) != 0;
    a = mica_onnx_attr_i(node, "transBatchA", 0) != 0 ? matrix_axes_last(node, "a_batch", a) : a;
    b = mica_onnx_attr_i(node, "transBatchB", 0) != 0 ? matrix_axes_last(node, "b_batch", b) : b;
    const bool late = alpha != 1.0 && !mica_is_weight(b);
    b = mica_is_weight(b) ? times(node, "alpha", "scaled_b", b, alpha) : b;
    mica_value *operands[] = {a, b, NULL};
    mica_op *op = mica_onnx_op(node, "top.MatMul", late ? "product" : NULL, operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_bool(op, "left_transpose", trans_a && mica_onnx_shape(a).rank > 1);
    mica_op_set_bool(op, "right_transpose", trans_b && mica_onnx_shape(b).rank > 1);
    mica_value *y = mica_onnx_done(node, op);
    return mica_onnx_alias(node, 0, late ? times(node, "alpha", NULL, y, alpha) : y);
}
