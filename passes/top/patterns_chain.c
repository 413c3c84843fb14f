/* What comes before a Conv or MatMul by a constant and can be multiplied into that constant. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

static bool all_are(const mica_op *op, const char *name, int64_t expected) {
    size_t n = 0;
    const int64_t *values = mica_op_has_attr(op, name) ? mica_op_i64s(op, name, &n) : NULL;
    for (size_t i = 0; values != NULL && i < n; ++i) {
        if (values[i] != expected) {
            return false;
        }
    }
    return true;
}

/* Constant filter [O, C/g, ...] and bias (NULL: 0) of a Conv; window: elements per channel. */
typedef struct conv_data {
    const float *w;
    const float *b;
    int64_t out, in, window;
} conv_data;

static bool read_conv(const mica_op *op, conv_data *out) {
    int64_t count = 0;
    int64_t bias_count = 0;
    const mica_value *filter = mica_op_operand(op, 1);
    const mica_value *bias = mica_op_present(op, 2);
    out->w = mica_const_f32(filter, &count);
    out->b = bias != NULL ? mica_const_f32(bias, &bias_count) : NULL;
    if (out->w == NULL || filter->type->rank < 3 || (bias != NULL && out->b == NULL)) {
        return false;
    }
    out->out = filter->type->dims[0];
    out->in = filter->type->dims[1];
    out->window = out->out * out->in > 0 ? count / (out->out * out->in) : 0;
    return out->window > 0 && (out->b == NULL || bias_count == out->out);
}

/* True when the Scale can go into the Conv before it, which costs no bias. */
static bool has_conv_before(const mica_op *scale) {
    const mica_value *x = mica_op_operand(scale, 0);
    const mica_op *conv = mica_sole_producer(x, "top.Conv");
    conv = conv != NULL ? conv : mica_sole_producer(x, "top.Deconv");
    return conv != NULL && mica_no_relu(conv) && mica_is_weight(mica_op_operand(conv, 1));
}

/* Scale before a Conv: into the filter, its bias into the Conv's. Padding is made of zeros, which a
 * Scale with bias would have changed, so that then nothing may be padded. */
static bool scale_before_conv(mica_rewriter *rewriter, mica_op *op) {
    mica_op *scale = mica_sole_producer(mica_op_operand(op, 0), "top.Scale");
    conv_data conv;
    int64_t count = 0;
    if (scale == NULL || !mica_no_relu(scale) || has_conv_before(scale) || !read_conv(op, &conv)) {
        return false;
    }
    const int64_t groups = mica_op_i64(op, "group");
    const int64_t channels = conv.in * groups;
    const float *factor = mica_const_f32(mica_op_operand(scale, 1), &count);
    if (factor == NULL || count != channels || conv.out % groups != 0) {
        return false;
    }
    const mica_value *offsets = mica_op_present(scale, 2);
    const float *offset = offsets != NULL ? mica_const_f32(offsets, &count) : NULL;
    if (offsets != NULL && (offset == NULL || count != channels || !all_are(op, "pads", 0))) {
        return false;
    }
    mica_arena *arena = mica_rewriter_module(rewriter)->arena;
    const size_t total = (size_t)(conv.out * conv.in * conv.window);
    float *scaled = mica_alloc(total * sizeof *scaled);
    float *sums = mica_arena_alloc(arena, (size_t)conv.out * sizeof *sums);
    for (int64_t o = 0; o < conv.out; ++o) {
        double sum = conv.b != NULL ? conv.b[o] : 0.0;
        for (int64_t i = 0; i < conv.in; ++i) {
            const int64_t c = o / (conv.out / groups) * conv.in + i;
            for (int64_t k = 0; k < conv.window; ++k) {
                const int64_t at = (o * conv.in + i) * conv.window + k;
                scaled[at] = (float)((double)conv.w[at] * factor[c]);
                sum += offset != NULL ? (double)conv.w[at] * offset[c] : 0.0;
            }
        }
        sums[o] = (float)sum;
    }
    const mica_type type = mica_op_operand(op, 1)->type;
    mica_value *operands[3] = {mica_op_operand(scale, 0),
                               mica_new_const(rewriter, op, "filter", type->rank, type->dims, scaled),
                               mica_new_const(rewriter, op, "bias", 1, &conv.out, sums)};
    mica_free(scaled);
    mica_op *made = mica_replace_with(rewriter, op, scale, "top.Conv", operands, 3);
    mica_copy_attrs(made, op);
    return true;
}

static bool is_pointwise(const mica_op *op, const conv_data *conv) {
    return conv->window == 1 && mica_op_i64(op, "group") == 1 && all_are(op, "pads", 0) &&
           all_are(op, "strides", 1);
}

/* Two Convs of 1x1 without an activation between are one, where that takes fewer products. */
static bool merge_pointwise(mica_rewriter *rewriter, mica_op *op) {
    mica_op *first = mica_sole_producer(mica_op_operand(op, 0), "top.Conv");
    conv_data a;
    conv_data b;
    if (first == NULL || !mica_no_relu(first) || !read_conv(first, &a) || !read_conv(op, &b) ||
        !is_pointwise(first, &a) || !is_pointwise(op, &b) || b.in != a.out ||
        b.out * a.in > a.out * (a.in + b.out)) {
        return false;
    }
    mica_arena *arena = mica_rewriter_module(rewriter)->arena;
    float *w = mica_alloc((size_t)(b.out * a.in) * sizeof *w);
    float *sums = mica_arena_alloc(arena, (size_t)b.out * sizeof *sums);
    double *row = mica_alloc((size_t)a.in * sizeof *row);
    for (int64_t o = 0; o < b.out; ++o) {
        double sum = b.b != NULL ? b.b[o] : 0.0;
        memset(row, 0, (size_t)a.in * sizeof *row);
        for (int64_t m = 0; m < a.out; ++m) {
            const double factor = b.w[o * b.in + m];
            for (int64_t i = 0; i < a.in; ++i) {
                row[i] += factor * a.w[m * a.in + i];
            }
            sum += a.b != NULL ? factor * a.b[m] : 0.0;
        }
        for (int64_t i = 0; i < a.in; ++i) {
            w[o * a.in + i] = (float)row[i];
        }
        sums[o] = (float)sum;
    }
    const mica_type type = mica_op_operand(op, 1)->type;
    int64_t dims[MICA_MAX_RANK];
    memcpy(dims, type->dims, (size_t)type->rank * sizeof *dims);
    dims[1] = a.in;
    mica_value *operands[3] = {mica_op_operand(first, 0),
                               mica_new_const(rewriter, op, "filter", type->rank, dims, w),
                               mica_new_const(rewriter, op, "bias", 1, &b.out, sums)};
    mica_free(row);
    mica_free(w);
    mica_op *made = mica_replace_with(rewriter, op, first, "top.Conv", operands, 3);
    mica_copy_attrs(made, op);
    return true;
}

/* A scalar factor of the operand of a MatMul goes into the constant on the other side. */
static bool scalar_before_matmul(mica_rewriter *rewriter, mica_op *op) {
    for (uint32_t side = 0; side < 2; ++side) {
        mica_op *mul = mica_sole_producer(mica_op_operand(op, side), "top.Mul");
        mica_value *constant = mica_op_operand(op, 1 - side);
        mica_value *x = NULL;
        mica_value *c = NULL;
        double factor = 0.0;
        int64_t count = 0;
        const float *w = mica_const_f32(constant, &count);
        if (mul == NULL || w == NULL || !mica_no_relu(mul) || !mica_split_const(mul, &x, &c) ||
            !mica_weight_scalar(c, &factor) || x->type != mul->results[0].type) {
            continue;
        }
        float *scaled = mica_alloc((size_t)count * sizeof *scaled + 1);
        for (int64_t i = 0; i < count; ++i) {
            scaled[i] = (float)(w[i] * factor);
        }
        mica_value *made_const = mica_new_const(rewriter, op, "scaled", constant->type->rank,
                                                constant->type->dims, scaled);
        mica_free(scaled);
        mica_op_set_operand(op, 1 - side, made_const);
        mica_op_set_operand(op, side, x);
        op->loc = mica_merged_loc(op, mul);
        mica_rewriter_erase(rewriter, mul);
        mica_rewriter_touch(rewriter, op);
        return true;
    }
    return false;
}

const mica_pattern mica_patterns_chain[] = {
    {"scale-before-conv", "top.Conv", scale_before_conv, "Scale before Conv"},
    {"merge-pointwise", "top.Conv", merge_pointwise, "Conv 1x1 of Conv 1x1"},
    {"scalar-before-matmul", "top.MatMul", scalar_before_matmul, "scalar factor before MatMul"},
};
const size_t mica_patterns_chain_count = sizeof mica_patterns_chain / sizeof mica_patterns_chain[0];
