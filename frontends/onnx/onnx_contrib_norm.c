/* com.microsoft: activations with a bias, normalizations with sums in front. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* --- activations ----------------------------------------------------------------------------- */
static mica_status check_row(mica_onnx_node *node, const char *what, const mica_value *row,
                             int64_t size) {
    const mrt_shape shape = mica_onnx_shape(row);
    if (node->failed || row == NULL || (shape.rank == 1 && shape.dims[0] == size)) {
        return mica_onnx_finish(node);
    }
    return mica_onnx_error(node, "%s has rank %d and %" PRId64 " elements, expected [%" PRId64 "]",
                           what, shape.rank, mrt_shape_count(&shape), size);
}

static int64_t last_size(const mica_value *x) {
    const mrt_shape shape = mica_onnx_shape(x);
    return shape.rank > 0 ? shape.dims[shape.rank - 1] : 0;
}

static mica_value *plus(mica_onnx_node *node, const char *suffix, mica_value *x, mica_value *y) {
    return y == NULL ? x : mica_onnx_binary(node, "top.Add", suffix, x, y);
}

/* act(x + bias); the detail names the activation. The bias is optional where the row says so. */
mica_status mica_onnx_convert_bias_gelu(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *bias = mica_onnx_in(node, 1);
    MICA_TRY(check_row(node, "bias", bias, last_size(x)));
    x = plus(node, "biased", x, bias);
    return mica_onnx_alias(node, 0, mica_onnx_unary(node, node->row->detail, NULL, x));
}

/* x * sigmoid(alpha * x) */
mica_status mica_onnx_convert_quick_gelu(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const double usual = (double)1.702f, alpha = mica_onnx_attr_f(node, "alpha", usual);
    const bool is_usual = fabs(alpha - usual) < 1e-6;
    mica_op *op = mica_onnx_op(node, is_usual ? "top.QuickGELU" : "top.SiLU", NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    if (!is_usual) {
        mica_op_set_f64(op, "alpha", alpha);
    }
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_bias_add(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *bias = mica_onnx_in(node, 1);
    MICA_TRY(check_row(node, "bias", bias, last_size(x)));
    x = plus(node, "biased", x, bias);
    return mica_onnx_alias(node, 0, plus(node, NULL, x, mica_onnx_in(node, 2)));
}

/* The last axis is cut in halves a, b: a * gelu(b). */
mica_status mica_onnx_convert_bias_split_gelu(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *bias = mica_onnx_in(node, 1);
    const int64_t size = last_size(x);
    MICA_TRY(check_row(node, "bias", bias, size));
    if (size % 2 != 0) {
        return mica_onnx_error(node, "the last axis has %" PRId64 " elements, expected an even "
                                     "number", size);
    }
    x = plus(node, "biased", x, bias);
    mica_value *gate = mica_onnx_last_axis(node, "gate", x, size / 2, size, 1);
    gate = mica_onnx_unary(node, "top.GELU", "gate_gelu", gate);
    x = mica_onnx_last_axis(node, "linear", x, 0, size / 2, 1);
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, "top.Mul", NULL, x, gate));
}

/* --- normalizations -------------------------------------------------------------------------- */
/* 1 / sqrt(mean(x^2) + eps), kept dimensions */
static mica_value *inverse_rms(mica_onnx_node *node, mica_value *x, int axis, double eps) {
    const int rank = mica_onnx_shape(x).rank;
    const uint32_t axes = ((1u << rank) - 1) & ~((1u << axis) - 1);
    x = mica_onnx_unary(node, "top.Square", "square", x);
    x = mica_onnx_reduce(node, "mean_square", x, "ReduceMean", axes, true);
    x = mica_onnx_binary(node, "top.Add", "shifted", x,
                         mica_onnx_scalar(node, "eps", MRT_F32, eps));
    x = mica_onnx_unary(node, "top.Sqrt", "rms", x);
    return mica_onnx_unary(node, "top.Reciprocal", "inverse_rms", x);
}

/* What onnxruntime writes for RMSNormalization into the default domain. */
mica_status mica_onnx_convert_simplified_layer_norm(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int axis =
        mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", -1), mica_onnx_shape(x).rank);
    const double eps = mica_onnx_attr_f(node, "epsilon", 1e-5);
    MICA_TRY(mica_onnx_convert_rms_norm(node));
    mica_onnx_bind(node, 1, mica_onnx_has_out(node, 1) ? inverse_rms(node, x, axis, eps) : NULL);
    return mica_onnx_finish(node);
}

/* Normalizes the last axis of x; binds outputs 0 and, where the op has them, mean and deviation. */
static mica_status normalize(mica_onnx_node *node, mica_value *x, mica_value *gamma,
                             mica_value *beta, bool statistics) {
    const double eps = mica_onnx_attr_f(node, "epsilon", 1e-12);
    MICA_TRY(check_row(node, "gamma", gamma, last_size(x)));
    MICA_TRY(check_row(node, "beta", beta, last_size(x)));
    mica_value *operands[] = {x, gamma, beta}, *results[3] = {0};
    const size_t n = !statistics                  ? 1
                     : mica_onnx_has_out(node, 2) ? 3
                     : mica_onnx_has_out(node, 1) ? 2
                                                  : 1;
    mica_op *op = mica_onnx_op(node, "top.LayerNorm", NULL, operands, 3, n);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", mica_onnx_shape(x).rank - 1);
    mica_op_set_f64(op, "eps", eps);
    MICA_TRY(mica_onnx_done_all(node, op, results));
    for (size_t i = 0; i < n; i++) {
        mica_onnx_bind(node, i, results[i]);
    }
    return mica_onnx_finish(node);
}

static mica_status normalize_rms(mica_onnx_node *node, mica_value *x, mica_value *gamma) {
    const double eps = mica_onnx_attr_f(node, "epsilon", 1e-12);
    const int axis = mica_onnx_shape(x).rank - 1;
    MICA_TRY(check_row(node, "gamma", gamma, last_size(x)));
    mica_value *operands[] = {x, gamma};
    mica_op *op = mica_onnx_op(node, "top.RMSNorm", NULL, operands, 2, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_f64(op, "eps", eps);
    mica_onnx_bind(node, 0, mica_onnx_done(node, op));
    mica_onnx_bind(node, 2, mica_onnx_has_out(node, 2) ? inverse_rms(node, x, axis, eps) : NULL);
    return mica_onnx_finish(node);
}

/* norm(input + skip + bias); output 3 is the sum. Detail "simplified": by the root mean square. */
mica_status mica_onnx_convert_skip_layer_norm(mica_onnx_node *node) {
    const bool simple = strcmp(node->row->detail, "simplified") == 0;
    mica_value *x = mica_onnx_in(node, 0), *skip = mica_onnx_in(node, 1);
    mica_value *gamma = mica_onnx_in(node, 2), *beta = simple ? NULL : mica_onnx_in(node, 3);
    mica_value *bias = mica_onnx_in(node, simple ? 3 : 4);
    const mrt_shape shape = mica_onnx_shape(x), other = mica_onnx_shape(skip);
    MICA_TRY(mica_onnx_finish(node));
    if (shape.rank != 2 && shape.rank != 3) {
        return mica_onnx_error(node, "input has rank %d, expected 2 or 3", shape.rank);
    }
    for (int i = 0; i < shape.rank; i++) {
        const int k = other.rank - 1 - i;
        const int64_t want = shape.dims[shape.rank - 1 - i];
        const bool batch = i == 2; /* may be 1 or missing */
        if (other.rank > shape.rank || (k < 0 ? !batch : other.dims[k] != want &&
                                                             !(batch && other.dims[k] == 1))) {
            return mica_onnx_error(node, "skip does not have the shape of the input, save for a "
                                         "batch of 1");
        }
    }
    MICA_TRY(check_row(node, "bias", bias, last_size(x)));
    x = plus(node, bias == NULL ? "sum" : "skipped", x, skip);
    x = plus(node, "sum", x, bias);
    mica_onnx_bind(node, 3, x);
    return simple ? normalize_rms(node, x, gamma) : normalize(node, x, gamma, beta, true);
}

/* --- embedding ------------------------------------------------------------------------------- */
/* How many elements of each row of the mask are 1. */
static mica_value *mask_lengths(mica_onnx_node *node, mica_value *mask, int64_t batch) {
    if (mask == NULL) {
        const int32_t *zeros = mica_onnx_buffer(node, MRT_I32, batch);
        return mica_onnx_weight(node, "no_mask", MRT_I32, 1, &batch, zeros);
    }
    mica_value *one = mica_onnx_scalar_like(node, "one", mask, 1.0);
    mask = mica_onnx_binary(node, "top.Equal", "is_one", mask, one);
    mask = mica_onnx_cast(node, "counts", mask, MRT_I32);
    return mica_onnx_reduce(node, "mask_lengths", mask, "ReduceSum", 1u << 1, false);
}

/* Rows of the table for the positions 0, 1, ...: its beginning. */
static mica_value *first_rows(mica_onnx_node *node, mica_value *table, int64_t count) {
    static const int64_t offset[] = {0, 0}, steps[] = {1, 1};
    const mrt_shape shape = mica_onnx_shape(table);
    if (node->failed || shape.rank != 2 || shape.dims[0] < count) {
        if (!node->failed) {
            mica_onnx_error(node, "position_embedding has rank %d and %" PRId64
                                  " rows, expected rank 2 and at least %" PRId64, shape.rank,
                            shape.dims[0], count);
        }
        return NULL;
    }
    const int64_t ends[] = {count, shape.dims[1]};
    return mica_onnx_slice(node, "position", table, offset, steps, ends);
}

/* LayerNorm(word[ids] + position[places] + segment[segments]) */
mica_status mica_onnx_convert_embed_layer_norm(mica_onnx_node *node) {
    mica_value *ids = mica_onnx_in(node, 0), *segments = mica_onnx_in(node, 1);
    mica_value *table = mica_onnx_in(node, 4), *places = mica_onnx_in(node, 8);
    const mrt_shape shape = mica_onnx_shape(ids);
    mica_onnx_attr_i(node, "mask_index_type", 0); /* CPU kernels give the counts in any case */
    MICA_TRY(mica_onnx_finish(node));
    if (shape.rank != 2) {
        return mica_onnx_error(node, "input_ids has rank %d, expected 2", shape.rank);
    }
    if ((segments == NULL) != (table == NULL)) {
        return mica_onnx_error(node, "segment_ids and segment_embedding are given together or not "
                                     "at all");
    }
    mica_value *x = mica_onnx_gather(node, "top.Gather", "word", mica_onnx_in(node, 2), ids, 0);
    mica_value *position = mica_onnx_in(node, 3);
    position = places != NULL
                   ? mica_onnx_gather(node, "top.Gather", "position", position, places, 0)
                   : first_rows(node, position, shape.dims[1]);
    x = plus(node, segments == NULL ? "sum" : "placed", x, position);
    if (segments != NULL) {
        table = mica_onnx_gather(node, "top.Gather", "segment", table, segments, 0);
        x = plus(node, "sum", x, table);
    }
    mica_onnx_bind(node, 2, x);
    if (mica_onnx_has_out(node, 1)) {
        mica_onnx_bind(node, 1, mask_lengths(node, mica_onnx_in(node, 7), shape.dims[0]));
    }
    return normalize(node, x, mica_onnx_in(node, 5), mica_onnx_in(node, 6), false);
}
