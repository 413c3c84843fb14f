/* MatMul: bias, transposes, scalar factors. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* A MatMul with the attributes of `matmul` and other operands in the place of `op`. */
static void rebuild(mica_rewriter *rewriter, mica_op *op, mica_op *matmul,
                    mica_value *const operands[3]) {
    mica_copy_attrs(mica_replace_with(rewriter, op, matmul, "top.MatMul", operands, 3), matmul);
}

/* MatMul by a constant, then Add of a vector over the last axis. */
static bool add_to_bias(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = NULL;
    mica_value *c = NULL;
    int64_t count = 0;
    if (!mica_split_const(op, &x, &c) || x->type != op->results[0].type) {
        return false;
    }
    mica_op *matmul = mica_sole_producer(x, "top.MatMul");
    const float *values = mica_const_f32(c, &count);
    const mica_type type = op->results[0].type;
    if (matmul == NULL || values == NULL || mica_op_present(matmul, 2) != NULL ||
        !mica_no_relu(matmul) || !mica_is_weight(mica_op_operand(matmul, 1)) || type->rank < 2) {
        return false;
    }
    const int64_t n = type->dims[type->rank - 1];
    if (count != n || c->type->rank < 1 || c->type->dims[c->type->rank - 1] != n) {
        return false;
    }
    mica_value *operands[3] = {mica_op_operand(matmul, 0), mica_op_operand(matmul, 1),
                               mica_new_const(rewriter, op, "bias", 1, &n, values)};
    rebuild(rewriter, op, matmul, operands);
    return true;
}

/* A permute that swaps the last two axes of an operand is the MatMul's own transpose. */
static bool transpose_into_matmul(mica_rewriter *rewriter, mica_op *op) {
    static const char *const flags[2] = {"left_transpose", "right_transpose"};
    for (uint32_t side = 0; side < 2; ++side) {
        mica_op *permute = mica_producer(mica_op_operand(op, side), "top.Permute");
        size_t n = 0;
        const int64_t *order = permute != NULL ? mica_op_i64s(permute, "order", &n) : NULL;
        bool swaps = n >= 2 && order[n - 1] == (int64_t)n - 2 && order[n - 2] == (int64_t)n - 1;
        for (size_t i = 0; swaps && i + 2 < n; ++i) {
            swaps = order[i] == (int64_t)i;
        }
        if (!swaps) {
            continue;
        }
        mica_op_set_bool(op, flags[side], !mica_op_bool(op, flags[side]));
        mica_op_set_operand(op, side, mica_op_operand(permute, 0));
        mica_rewriter_touch(rewriter, op);
        return true;
    }
    return false;
}

/* (a * scalar) x constant: the scalar goes into the constant. Likewise a scalar after the product. */
static bool scalar_into_constant(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = NULL;
    mica_value *c = NULL;
    double factor = 0.0;
    if (!mica_no_relu(op) || !mica_split_const(op, &x, &c) || !mica_weight_scalar(c, &factor) ||
        x->type != op->results[0].type) {
        return false;
    }
    mica_op *matmul = mica_sole_producer(x, "top.MatMul");
    int64_t count = 0;
    int64_t bias_count = 0;
    const float *w = matmul != NULL ? mica_const_f32(mica_op_operand(matmul, 1), &count) : NULL;
    mica_value *bias = matmul != NULL ? mica_op_present(matmul, 2) : NULL;
    const float *b = mica_const_f32(bias, &bias_count);
    if (w == NULL || !mica_no_relu(matmul) || (bias != NULL && b == NULL)) {
        return false;
    }
    float *scaled = mica_alloc((size_t)(count + bias_count) * sizeof *scaled + 1);
    for (int64_t i = 0; i < count; ++i) {
        scaled[i] = (float)(w[i] * factor);
    }
    for (int64_t i = 0; i < bias_count; ++i) {
        scaled[count + i] = (float)(b[i] * factor);
    }
    const mica_type type = mica_op_operand(matmul, 1)->type;
    mica_value *operands[3] = {
        mica_op_operand(matmul, 0),
        mica_new_const(rewriter, op, "filter", type->rank, type->dims, scaled),
        bias == NULL ? mica_op_operand(matmul, 2)
                     : mica_new_const(rewriter, op, "bias", bias->type->rank, bias->type->dims,
                                      scaled + count)};
    mica_free(scaled);
    rebuild(rewriter, op, matmul, operands);
    return true;
}

const mica_pattern mica_patterns_matmul[] = {
    {"add-to-bias", "top.Add", add_to_bias, "Add of a vector after MatMul by a constant"},
    {"transpose-into-matmul", "top.MatMul", transpose_into_matmul, "Permute of the last two axes"},
    {"scalar-into-constant", "top.Mul", scalar_into_constant, "scalar factor after MatMul"},
};
const size_t mica_patterns_matmul_count = sizeof mica_patterns_matmul / sizeof mica_patterns_matmul[0];
