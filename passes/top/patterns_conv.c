/* Folding of per-channel arithmetic and padding into Conv and Deconv. */
#include <math.h>
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* y = conv * factor[c] + offset[c] (factor NULL: 1; offset NULL: 0), put into filter and bias. The
 * product is made in double and rounded once. */
static bool fold_affine(mica_rewriter *rewriter, mica_op *op, mica_op *conv, const float *factor,
                        const float *offset) {
    const bool is_deconv = mica_op_is(conv, "top.Deconv");
    int64_t count = 0;
    int64_t bias_count = 0;
    mica_value *filter = mica_op_operand(conv, 1);
    mica_value *bias = mica_op_present(conv, 2);
    const float *w = mica_const_f32(filter, &count);
    const float *b = bias != NULL ? mica_const_f32(bias, &bias_count) : NULL;
    const int64_t channels = op->results[0].type->dims[1];
    const int64_t groups = mica_op_i64(conv, "group");
    if (w == NULL || (bias != NULL && b == NULL)) {
        return false;
    }
    mica_arena *arena = mica_rewriter_module(rewriter)->arena;
    mica_value *operands[3] = {mica_op_operand(conv, 0), filter, NULL};
    if (factor != NULL) {
        float *scaled = mica_alloc((size_t)count * sizeof *scaled + 1);
        const mica_type type = filter->type;
        int64_t window = 1;
        for (int i = 2; i < type->rank; ++i) {
            window *= type->dims[i];
        }
        /* Rows of `inner` weights share an output channel. */
        const int64_t inner = is_deconv ? window : type->dims[1] * window;
        for (int64_t row = 0; row < count / inner; ++row) {
            const int64_t c = !is_deconv ? row
                                         : row / type->dims[1] / (type->dims[0] / groups) * type->dims[1] +
                                               row % type->dims[1];
            const double f = factor[c];
            for (int64_t i = row * inner; i < (row + 1) * inner; ++i) {
                scaled[i] = (float)(w[i] * f);
            }
        }
        operands[1] = mica_new_const(rewriter, op, "filter", type->rank, type->dims, scaled);
        mica_free(scaled);
    }
    float *sum = mica_arena_alloc(arena, (size_t)channels * sizeof *sum + 1);
    for (int64_t c = 0; c < channels; ++c) {
        const double old = b != NULL ? b[c] : 0.0;
        sum[c] = (float)(old * (factor != NULL ? factor[c] : 1.0) + (offset != NULL ? offset[c] : 0.0));
    }
    operands[2] = mica_new_const(rewriter, op, "bias", 1, &channels, sum);
    mica_copy_attrs(mica_replace_with(rewriter, op, conv, conv->name, operands, 3), conv);
    return true;
}

/* The Conv or Deconv that alone produces `value` and has no activation yet. */
static mica_op *conv_before(const mica_value *value) {
    mica_op *conv = mica_sole_producer(value, "top.Conv");
    conv = conv != NULL ? conv : mica_sole_producer(value, "top.Deconv");
    return conv != NULL && mica_no_relu(conv) ? conv : NULL;
}

/* BatchNorm with constant statistics is a Scale. */
static bool batch_norm_to_scale(mica_rewriter *rewriter, mica_op *op) {
    const float *p[4]; /* gamma, beta, mean, variance */
    int64_t channels = 0;
    for (uint32_t i = 0; i < 4; ++i) {
        int64_t count = 0;
        p[i] = mica_const_f32(mica_op_operand(op, i + 1), &count);
        if (p[i] == NULL || (i > 0 && count != channels)) {
            return false;
        }
        channels = count;
    }
    const double eps = mica_op_f64(op, "eps");
    float *both = mica_alloc((size_t)channels * 2 * sizeof *both + 1);
    for (int64_t c = 0; c < channels; ++c) {
        const double factor = p[0][c] / sqrt((double)p[3][c] + eps);
        both[c] = (float)factor;
        both[channels + c] = (float)(p[1][c] - p[2][c] * factor);
    }
    mica_value *operands[3] = {mica_op_operand(op, 0),
                               mica_new_const(rewriter, op, "scale", 1, &channels, both),
                               mica_new_const(rewriter, op, "bias", 1, &channels, both + channels)};
    mica_free(both);
    mica_replace_with(rewriter, op, NULL, "top.Scale", operands, 3);
    return true;
}

static bool scale_into_conv(mica_rewriter *rewriter, mica_op *op) {
    mica_op *conv = conv_before(mica_op_operand(op, 0));
    int64_t count = 0;
    const float *factor = mica_const_f32(mica_op_operand(op, 1), &count);
    mica_value *bias = mica_op_present(op, 2);
    const float *offset = bias != NULL ? mica_const_f32(bias, &count) : NULL;
    if (conv == NULL || factor == NULL || (bias != NULL && offset == NULL)) {
        return false;
    }
    return fold_affine(rewriter, op, conv, factor, offset);
}

/* Mul or Add of one constant per channel: into the Conv before it, else Mul becomes a Scale. */
static bool channel_const(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = NULL;
    mica_value *c = NULL;
    const bool is_mul = mica_op_is(op, "top.Mul");
    if ((!is_mul && !mica_op_is(op, "top.Add")) || !mica_split_const(op, &x, &c) ||
        x->type != op->results[0].type || !mica_type_is_float(mica_type_element(x->type), MICA_F32)) {
        return false;
    }
    mica_op *conv = conv_before(x);
    const float *values = mica_per_channel(mica_rewriter_module(rewriter), c, x);
    if (values == NULL) {
        return false;
    }
    if (conv != NULL) {
        return fold_affine(rewriter, op, conv, is_mul ? values : NULL, is_mul ? NULL : values);
    }
    double scalar = 0.0;
    if (!is_mul || mica_weight_scalar(c, &scalar) || x->type->rank < 3) {
        return false;
    }
    const int64_t channels = x->type->dims[1];
    mica_value *operands[3] = {x, mica_new_const(rewriter, op, "scale", 1, &channels, values),
                               mica_top_none(mica_rewriter_builder(rewriter, op))};
    mica_replace_with(rewriter, op, NULL, "top.Scale", operands, 3);
    return true;
}

/* Add of one constant per channel after a Scale without bias. */
static bool add_into_scale(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = NULL;
    mica_value *c = NULL;
    if (!mica_split_const(op, &x, &c) || x->type != op->results[0].type) {
        return false;
    }
    mica_op *scale = mica_sole_producer(x, "top.Scale");
    if (scale == NULL || !mica_no_relu(scale) || mica_op_present(scale, 2) != NULL) {
        return false;
    }
    const float *values = mica_per_channel(mica_rewriter_module(rewriter), c, x);
    if (values == NULL) {
        return false;
    }
    const int64_t channels = x->type->dims[1];
    mica_value *operands[3] = {mica_op_operand(scale, 0), mica_op_operand(scale, 1),
                               mica_new_const(rewriter, op, "bias", 1, &channels, values)};
    mica_replace_with(rewriter, op, scale, "top.Scale", operands, 3);
    return true;
}

/* Padding of the spatial axes becomes padding of the window op after it. */
static bool pad_into_window(mica_rewriter *rewriter, mica_op *op) {
    const bool is_conv = mica_op_is(op, "top.Conv");
    const bool is_avg = mica_op_is(op, "top.AvgPool");
    const bool is_max = mica_op_is(op, "top.MaxPool") && op->n_results == 1;
    if (!is_conv && !is_avg && !is_max) {
        return false;
    }
    mica_op *pad = mica_sole_producer(mica_op_operand(op, 0), "top.Pad");
    if (pad == NULL || strcmp(mica_op_str(pad, "mode"), "constant") != 0) {
        return false;
    }
    /* What a maximum never picks: the lowest f32 or less. */
    const double val = mica_op_f64(pad, "val");
    if (is_max ? val > -3.4028234e38 : val != 0.0) {
        return false;
    }
    size_t n = 0;
    size_t n_old = 0;
    const int64_t *paddings = mica_op_i64s(pad, "paddings", &n);
    const int64_t *old = mica_op_i64s(op, "pads", &n_old);
    const size_t rank = n / 2;
    const size_t spatial = rank - 2;
    int64_t pads[2 * MICA_MAX_RANK] = {0};
    bool had_pads = false;
    for (size_t i = 0; i < n; ++i) {
        const size_t axis = i % rank;
        if (paddings[i] < 0 || (axis < 2 && paddings[i] != 0)) {
            return false;
        }
        if (axis >= 2) {
            const size_t at = (i / rank) * spatial + axis - 2;
            had_pads = had_pads || (n_old > 0 && old[at] != 0);
            pads[at] = paddings[i] + (n_old > 0 ? old[at] : 0);
        }
    }
    /* An average pool counts explicit zeros; mixing them with uncounted ones has no single form. */
    if (is_avg && had_pads && !mica_op_bool(op, "count_include_pad")) {
        return false;
    }
    if (!is_conv && mica_op_bool(op, "ceil_mode")) {
        return false;
    }
    mica_op_set_i64s(op, "pads", pads, 2 * spatial);
    if (is_avg) {
        mica_op_set_bool(op, "count_include_pad", true);
    }
    op->loc = mica_merged_loc(op, pad);
    mica_op_set_operand(op, 0, mica_op_operand(pad, 0));
    mica_rewriter_erase(rewriter, pad);
    mica_rewriter_touch(rewriter, op);
    return true;
}

const mica_pattern mica_patterns_conv[] = {
    {"batch-norm-to-scale", "top.BatchNorm", batch_norm_to_scale, "BatchNorm of constants"},
    {"scale-into-conv", "top.Scale", scale_into_conv, "Scale after Conv or Deconv"},
    {"channel-const", NULL, channel_const, "Mul or Add of one constant per channel"},
    {"add-into-scale", "top.Add", add_into_scale, "Add of one constant per channel after Scale"},
    {"pad-into-window", NULL, pad_into_window, "zero Pad before Conv or AvgPool, lowest Pad before MaxPool"},
};
const size_t mica_patterns_conv_count = sizeof mica_patterns_conv / sizeof mica_patterns_conv[0];
