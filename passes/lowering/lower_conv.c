/* Conv, Deconv, Scale -> tpu.Conv*, tpu.Deconv [conv-int, conv-real, weight-per-channel, weight-scale,
 * weight-balance, weight-int4, bias-fold]. */
#include <math.h>
#include <stdio.h>

#include "passes/lowering/lower_hooks.h"

/* Weights of one op, quantized per output channel. */
typedef struct channel_weights {
    int64_t channels;  /* output channels */
    int64_t per;       /* weights of a channel */
    int8_t *q;         /* in the order of the source array */
    float *row;        /* a channel that does not lie side by side */
    int8_t *row_q;
    int32_t *bias;
    double *scales;
    int bits;
    int64_t *multipliers, *shifts;
} channel_weights;

/* Index of weight k of output channel c: Conv [O, I/g, ...] is contiguous; Deconv is [I, O/g, ...]. */
typedef struct weight_order {
    int64_t groups, in_per_group, out_per_group, window;
    int64_t run; /* weights of a channel that lie side by side */
    bool is_deconv;
} weight_order;

static int64_t weight_index(const weight_order *o, int64_t c, int64_t k) {
    if (!o->is_deconv) {
        return c * o->in_per_group * o->window + k;
    }
    const int64_t group = c / o->out_per_group;
    const int64_t row = group * o->in_per_group + k / o->window;
    return (row * o->out_per_group + c % o->out_per_group) * o->window + k % o->window;
}

static mica_status quantize_channel(mica_lowering *l, const mica_op *op, const weight_order *order,
                                    const float *w, const mica_row_rule *rule, mica_type in, mica_type out,
                                    int64_t c, channel_weights *r) {
    double scale = 0.0;
    int64_t sum = 0;
    if (order->run == r->per) {
        const int64_t at = weight_index(order, c, 0);
        sum = mica_quantize_row(rule, w + at, r->per, r->q + at, &scale);
    } else {
        for (int64_t k = 0; k < r->per; ++k) {
            r->row[k] = w[weight_index(order, c, k)];
        }
        sum = mica_quantize_row(rule, r->row, r->per, r->row_q, &scale);
        for (int64_t k = 0; k < r->per; ++k) {
            r->q[weight_index(order, c, k)] = r->row_q[k];
        }
    }
    r->scales[c] = scale;
    r->bias[c] = mrt_bias_fold(rule->bias, mica_lower_scale_of(in), scale, mica_lower_zero_of(in), sum);
    if (!mica_type_is_quant(out)) {
        return MICA_OK; /* nothing is requantized */
    }
    int32_t multiplier = 0;
    int32_t shift = 0;
    const double ratio = mica_lower_scale_of(in) * scale / mica_lower_scale_of(out);
    if (mrt_multiplier_from_scale(ratio, 31, &multiplier, &shift) != MRT_OK) {
        return mica_emit_error(l->context, op->loc,
                               "channel %lld has weights too large for its output range: rescaling by "
                               "%g is not possible; recalibrate or keep this op in float",
                               (long long)c, ratio);
    }
    r->multipliers[c] = multiplier;
    r->shifts[c] = shift;
    return MICA_OK;
}

static channel_weights channel_weights_alloc(mica_arena *arena, int64_t channels, int64_t per, int bits) {
    const size_t n = (size_t)channels;
    return (channel_weights){
        .channels = channels,
        .per = per,
        .q = mica_arena_alloc(arena, n * (size_t)per + 1),
        .row = mica_arena_alloc(arena, (size_t)(per + 1) * sizeof(float)),
        .row_q = mica_arena_alloc(arena, (size_t)per + 1),
        .bias = mica_arena_alloc(arena, n * sizeof(int32_t)),
        .scales = mica_arena_alloc(arena, n * sizeof(double)),
        .bits = bits,
        .multipliers = mica_arena_alloc(arena, n * sizeof(int64_t)),
        .shifts = mica_arena_alloc(arena, n * sizeof(int64_t)),
    };
}

static const char *conv_name(const mica_op *op) {
    static const char *const names[] = {"tpu.Conv1D", "tpu.Conv2D", "tpu.Conv3D"};
    const int spatial = mica_op_operand(op, 0)->type->rank - 2;
    return names[spatial >= 1 && spatial <= 3 ? spatial - 1 : 1];
}

static const char *integer_obstacle(const mica_op *op) {
    if (!mica_is_weight(mica_op_operand(op, 1))) {
        return "the filter is not constant";
    }
    mica_value *bias = mica_op_present(op, 2);
    return bias != NULL && !mica_is_weight(bias) ? "the bias is not constant" : NULL;
}

/* Emits the integer op from quantized weights. */
static void emit_integer(mica_lowering *l, const mica_op *op, const char *name, mica_value *input,
                      const channel_weights *w, int axis, int rank, const int64_t *dims,
                      mica_type out) {
    const int64_t channels = w->channels;
    mica_value *operands[3] = {
        input,
        mica_lower_const(l, op, w->bits == 4 ? "filter_i4" : "filter_i8",
                         mica_lower_weight_type(l, w->bits, axis, w->scales, (size_t)channels), rank, dims, w->q),
        mica_lower_const(l, op, "bias_i32", mica_type_integer(l->context, 32, MICA_SIGNLESS), 1,
                         &channels, w->bias)};
    mica_op *made = mica_lower_emit(l, op, name, operands, 3, &out, true);
    if (mica_type_is_quant(out)) {
        mica_lower_set_requant(made, w->multipliers, w->shifts, (size_t)channels, (size_t)channels);
    }
}

/* Type of the result of a product in integers. */
static mica_type result_type(mica_lowering *l, const mica_op *op) {
    return mica_lower_gives_real(l, op) ? mica_type_f32(l->context)
                                        : mica_lower_quant_type(l, &op->results[0]);
}

static mica_status lower_integer(mica_lowering *l, const mica_op *op, mica_mode mode, const char *name,
                                 bool is_deconv) {
    const char *obstacle = integer_obstacle(op);
    mica_value *input = obstacle == NULL ? mica_lower_left(l, op, mode) : NULL;
    const mica_type out = result_type(l, op);
    if (obstacle == NULL && (input == NULL || out == NULL)) {
        obstacle = "no calibration for its input or output";
    }
    if (obstacle != NULL) {
        return mica_lower_fallback(l, op, obstacle);
    }
    const mica_ndarray *filter = mica_weight_data(mica_op_operand(op, 1));
    const int64_t groups = mica_op_i64(op, "group");
    weight_order order = {.groups = groups, .window = 1, .is_deconv = is_deconv};
    for (int i = 2; i < filter->rank; ++i) {
        order.window *= filter->dims[i];
    }
    order.in_per_group = is_deconv ? filter->dims[0] / groups : filter->dims[1];
    order.out_per_group = is_deconv ? filter->dims[1] : filter->dims[0] / groups;
    order.run = is_deconv ? order.window : order.in_per_group * order.window;
    channel_weights w = channel_weights_alloc(l->tpu->arena, order.out_per_group * groups,
                                              order.in_per_group * order.window, mica_lower_weight_bits(mode));
    mica_value *bias_value = mica_op_present(op, 2);
    const float *bias = bias_value != NULL ? mica_weight_data(bias_value)->data : NULL;
    const mica_type in = mica_type_element(input->type);
    const double offset = mica_type_is_quant(out) ? mica_lower_tie_offset(l, op) : 0.0;
    mica_row_rule rule = mica_lower_row_rule(l, op, in, w.bits);
    for (int64_t c = 0; c < w.channels; ++c) {
        rule.bias = (bias != NULL ? (double)bias[c] : 0.0) + offset;
        MICA_TRY(quantize_channel(l, op, &order, filter->data, &rule, in, out, c, &w));
    }
    /* A grouped deconvolution shares axis 1 between groups, so its type names no axis scales. */
    emit_integer(l, op, name, input, &w, is_deconv ? 1 : 0, filter->rank, filter->dims, out);
    return MICA_OK;
}

mica_status mica_lower_conv(mica_lowering *l, const mica_op *op, mica_mode mode) {
    return mica_mode_has_integers(mode) ? lower_integer(l, op, mode, conv_name(op), false)
                                        : mica_lower_float_as(l, op, mode, conv_name(op), NULL);
}

mica_status mica_lower_deconv(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (mode == MICA_MODE_INT8 && mica_op_i64(op, "group") > 1) {
        return mica_lower_fallback(l, op, "grouped deconvolution has no integer form");
    }
    return mode == MICA_MODE_INT8 ? lower_integer(l, op, mode, "tpu.Deconv", true)
                                  : mica_lower_float_as(l, op, mode, "tpu.Deconv", NULL);
}

/* Scale per channel is a depthwise 1x1 convolution with one weight per channel: its weight is +-127
 * times the channel's scale, so the factor itself is exact to the multiplier's 31 bits. */
mica_status mica_lower_scale(mica_lowering *l, const mica_op *op, mica_mode mode) {
    const mica_value *x = mica_op_operand(op, 0);
    if (mode != MICA_MODE_INT8) {
        return mica_lower_float_as(l, op, mode, "tpu.Scale", NULL);
    }
    mica_value *bias_value = mica_op_present(op, 2);
    if (x->type->rank < 3 || x->type->rank > 5 || !mica_is_weight(mica_op_operand(op, 1)) ||
        (bias_value != NULL && !mica_is_weight(bias_value))) {
        return mica_lower_fallback(l, op, "scale and bias must be constants of a 3-d to 5-d tensor");
    }
    mica_value *input = mica_lower_quantized(l, x);
    const mica_type out = result_type(l, op);
    if (input == NULL || out == NULL) {
        return mica_lower_fallback(l, op, "no calibration for its input or output");
    }
    const int64_t channels = x->type->dims[1];
    const weight_order order = {.groups = channels, .in_per_group = 1, .out_per_group = 1, .window = 1,
                                .run = 1};
    channel_weights w = channel_weights_alloc(l->tpu->arena, channels, 1, 8);
    const float *factor = mica_weight_data(mica_op_operand(op, 1))->data;
    const float *bias = bias_value != NULL ? mica_weight_data(bias_value)->data : NULL;
    const mica_type in = mica_type_element(input->type);
    mica_row_rule rule = mica_lower_row_rule(l, op, in, w.bits);
    for (int64_t c = 0; c < channels; ++c) {
        rule.bias = bias != NULL ? (double)bias[c] : 0.0;
        MICA_TRY(quantize_channel(l, op, &order, factor, &rule, in, out, c, &w));
    }
    const int64_t dims[5] = {channels, 1, 1, 1, 1};
    emit_integer(l, op, conv_name(op), input, &w, 0, x->type->rank, dims, out);
    mica_op *made = l->map[op->order]->def;
    const int64_t ones[3] = {1, 1, 1};
    mica_op_set_i64s(made, "kernel_shape", ones, (size_t)x->type->rank - 2);
    mica_op_set_i64(made, "group", channels);
    return MICA_OK;
}
