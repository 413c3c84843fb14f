/* Values and types during lowering: constants, casts, quantization parameters. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dialects/plan.h"
#include "passes/lowering/lower_internal.h"
#include "utils/half.h"

bool mica_lower_is_real(const mica_value *top) {
    const mica_type element = mica_type_element(top->type);
    return mica_type_is_calibrated(element) || mica_type_is_float(element, MICA_F32);
}

mica_type mica_lower_float_type(const mica_lowering *l, mica_mode mode) {
    switch (mode == MICA_MODE_INT8 ? l->options->processor->fallback : mode) {
    case MICA_MODE_F16:
        return mica_type_float(l->context, MICA_F16);
    case MICA_MODE_BF16:
        return mica_type_float(l->context, MICA_BF16);
    default:
        return mica_type_f32(l->context);
    }
}

mica_type mica_lower_uniform(const mica_lowering *l, mrt_dtype dtype, double scale, int32_t zero) {
    return mica_type_uniform(l->context, mica_type_of_dtype(l->context, dtype),
                             mica_type_f32(l->context), scale, zero);
}

static void record_uncalibrated(mica_lowering *l, const mica_value *top) {
    const char *name = mica_value_name(top);
    for (size_t i = 0; i < l->uncalibrated.len; ++i) {
        if (strcmp(l->uncalibrated.data[i], name) == 0) {
            return;
        }
    }
    mica_vec_push(&l->uncalibrated, mica_intern(l->context, name));
}

/* Symmetric ranges begin at 0 or at -max; another one was made asymmetric on purpose (#asym_op). */
static bool has_own_range(mica_type element) {
    return element->min != 0.0 && element->min != -element->max;
}

/* Quantized type from the value's own range. */
static mica_type own_quant_type(mica_lowering *l, const mica_value *top) {
    const mica_type element = mica_type_element(top->type);
    if (!mica_type_is_calibrated(element)) {
        if (mica_lower_is_real(top) && !mica_is_weight(top)) {
            record_uncalibrated(l, top);
        }
        return NULL;
    }
    mrt_qparams params;
    const mrt_status status = l->options->asymmetric || has_own_range(element)
                                  ? mrt_qparams_asymmetric(element->min, element->max, 8, &params)
                                  : mrt_qparams_symmetric(element->min, element->max, 8, &params);
    if (status != MRT_OK) {
        return NULL;
    }
    const double scale = l->options->pow2 ? mrt_pow2_nearest(params.scale) : params.scale;
    return mica_lower_uniform(l, params.dtype, scale, params.zero_point);
}

/* The Concat of integers that reads a value, or NULL; whether anything else does. */
static const mica_op *reading_concat(mica_lowering *l, const mica_value *top, bool *out_others) {
    const mica_op *found = NULL;
    *out_others = false;
    for (const mica_use *use = top->first_use; use != NULL; use = use->next) {
        if (mica_op_is(use->user, "func.return")) {
            return NULL;
        }
        const bool joins = mica_op_is(use->user, "top.Concat") &&
                           mica_lower_mode_of(l, use->user) == MICA_MODE_INT8 &&
                           !mica_lower_concat_in_float(l, use->user) &&
                           mica_type_is_calibrated(mica_type_element(use->user->results[0].type));
        found = joins && found == NULL ? use->user : found;
        *out_others = *out_others || use->user != found;
    }
    return found;
}

/* [concat-scale] */
mica_type mica_lower_quant_type(mica_lowering *l, const mica_value *top) {
    const mica_type own = own_quant_type(l, top);
    bool others = false;
    const mica_op *concat = own == NULL || l->is_cut ? NULL : reading_concat(l, top, &others);
    const mica_type shared = concat == NULL ? NULL : mica_lower_quant_type(l, &concat->results[0]);
    if (shared == NULL) {
        return own;
    }
    const double ratio = mica_lower_scale_of(shared) / mica_lower_scale_of(own);
    return others && ratio * ratio > 2.0 ? own : shared;
}

double mica_lower_weight_scale(const mica_lowering *l, double absmax, double bias, double scale_in, int bits) {
    const double scale = mrt_weight_scale_to(absmax, fabs(bias), scale_in, mrt_weight_most(bits));
    return l->options->pow2 ? mrt_pow2_above(scale) : scale;
}

mica_type mica_lower_weight_type(mica_lowering *l, int bits, int axis, const double *scales, size_t n) {
    return mica_type_uniform_axis(l->context, mica_type_integer(l->context, bits, MICA_SIGNED),
                                  mica_type_f32(l->context), axis, scales, NULL, n);
}

mrt_dtype mica_lower_storage(mica_type element) { return mica_dtype_of(element); }

mica_row_rule mica_lower_row_rule(const mica_lowering *l, const mica_op *op, mica_type in, int bits) {
    const bool positive = mica_lower_storage(in) == MRT_U8 && mica_lower_zero_of(in) == 0;
    return (mica_row_rule){.scale_in = mica_lower_scale_of(in), .bits = bits, .pow2 = l->options->pow2,
                           .positive = positive || mica_mostly_positive(mica_op_operand(op, 0))};
}

/* A name nobody has yet in the tpu module, so that npz keys stay unique. */
static const char *unique_name(mica_lowering *l, const char *base, const char *suffix) {
    const char *name = mica_arena_printf(l->tpu->arena, "%s_%s", base, suffix);
    for (int i = 2; !mica_map_set(l->names, name, NULL); ++i) {
        name = mica_arena_printf(l->tpu->arena, "%s_%s%d", base, suffix, i);
    }
    return name;
}

mica_value *mica_lower_const(mica_lowering *l, const mica_op *op, const char *suffix,
                             mica_type element, int rank, const int64_t *dims, const void *data) {
    const char *name = unique_name(l, mica_loc_get_name(op->loc), suffix);
    return mica_top_weight(&l->builder, name, element, rank, dims, data);
}

static mica_value *clone_weight(mica_lowering *l, const mica_value *top) {
    const mica_ndarray *array = mica_weight_data(top);
    const char *name = mica_value_name(top);
    mica_map_set(l->names, name, NULL);
    mica_type element = mica_type_element(top->type);
    if (mica_type_is_calibrated(element)) {
        element = mica_type_f32(l->context);
    }
    return mica_top_weight_borrow(&l->builder, name, element, array->rank, array->dims, array->data);
}

mica_value *mica_lower_value(mica_lowering *l, const mica_value *top) {
    if (top->def != NULL && mica_op_is(top->def, "top.None")) {
        return mica_top_none(&l->builder);
    }
    const uint32_t number = top->def != NULL ? top->def->order + top->index : top->index;
    if (l->map[number] == NULL && mica_is_weight(top)) {
        l->map[number] = clone_weight(l, top);
    }
    return l->map[number];
}

static const char *type_suffix(mica_type element) {
    if (mica_type_quant_bits(element) == 4) {
        return mrt_dtype_name(mica_dtype_of(element->storage));
    }
    return mrt_dtype_name(mica_dtype_of(element));
}

/* Constants change type here, once, instead of by a cast at run time. */
static mica_value *convert_weight(mica_lowering *l, const mica_value *top, mica_type element) {
    const mica_ndarray *array = mica_weight_data(top);
    const int64_t count = mica_ndarray_count(array);
    const float *source = array->data;
    uint16_t *half = mica_alloc((size_t)count * sizeof *half + 1);
    const bool is_f16 = mica_type_is_float(element, MICA_F16);
    for (int64_t i = 0; i < count; ++i) {
        half[i] = is_f16 ? mica_f32_to_f16(source[i]) : mica_f32_to_bf16(source[i]);
    }
    mica_value *value = mica_top_weight(
        &l->builder, unique_name(l, mica_value_name(top), type_suffix(element)), element,
        array->rank, array->dims, half);
    mica_free(half);
    return value;
}

static mica_value *cast(mica_lowering *l, const mica_value *top, mica_value *value,
                        mica_type element) {
    if (mica_is_weight(top) && !mica_type_is_quant(element)) {
        return convert_weight(l, top, element);
    }
    const char *name = unique_name(l, mica_value_name(top), type_suffix(element));
    const mica_type type = mica_type_with_element(value->type, element);
    const mica_op_state state = {.name = "tpu.Cast",
                                 .loc = mica_loc_name(l->context, name, NULL),
                                 .operands = &value,
                                 .n_operands = 1,
                                 .results = &type,
                                 .n_results = 1};
    return mica_op_result(mica_build(&l->builder, &state), 0);
}

/* `value` is what stands for `top`, or an 8-bit cast of it. */
static mica_value *cast_once(mica_lowering *l, const mica_value *top, mica_value *value, mica_type element) {
    char key[64];
    snprintf(key, sizeof key, "%p:%p", (const void *)value, (const void *)element);
    mica_value *known = mica_map_get(l->casts, key);
    if (known == NULL) {
        known = cast(l, top, value, element);
        mica_map_set(l->casts, key, known);
    }
    return known;
}

mica_value *mica_lower_as(mica_lowering *l, const mica_value *top, mica_type element) {
    mica_value *value = mica_lower_value(l, top);
    if (mica_type_is_none(value->type) || !mica_lower_is_real(top) ||
        mica_type_element(value->type) == element) {
        return value;
    }
    return cast_once(l, top, value, element);
}

mica_value *mica_lower_quantized(mica_lowering *l, const mica_value *top) {
    mica_value *value = mica_lower_value(l, top);
    if (mica_type_is_quant(mica_type_element(value->type))) {
        return value;
    }
    const mica_type element = mica_lower_quant_type(l, top);
    return element == NULL ? NULL : mica_lower_as(l, top, element);
}

/* Range of 4 bits: the calibrated one, clipped at the threshold of the reader when it has one. */
static mica_type narrow_type(mica_lowering *l, const mica_value *top, double threshold) {
    const mica_type element = mica_type_element(top->type);
    if (!mica_type_is_calibrated(element)) {
        return NULL;
    }
    mrt_qparams params;
    const bool asymmetric = l->options->asymmetric || has_own_range(element);
    const double min = threshold > 0.0 ? fmax(element->min, -threshold) : element->min;
    const double max = threshold > 0.0 ? fmin(element->max, threshold) : element->max;
    const double most = threshold > 0.0 ? threshold : fmax(fabs(element->min), fabs(element->max));
    const mrt_status status = asymmetric ? mrt_qparams_asymmetric(min, max, 4, &params)
                                         : mrt_qparams_symmetric(element->min < 0.0 ? -most : 0.0, most, 4, &params);
    if (status != MRT_OK) {
        return NULL;
    }
    const double scale = l->options->pow2 ? mrt_pow2_nearest(params.scale) : params.scale;
    const mica_sign sign = params.dtype == MRT_I8 ? MICA_SIGNED : MICA_UNSIGNED;
    return mica_type_uniform(l->context, mica_type_integer(l->context, 4, sign), mica_type_f32(l->context), scale,
                             params.zero_point);
}

mica_value *mica_lower_left(mica_lowering *l, const mica_op *op, mica_mode mode) {
    const mica_value *top = mica_op_operand(op, 0);
    mica_value *bytes = mica_lower_quantized(l, top);
    if (bytes == NULL || mode != MICA_MODE_INT4 || mica_type_quant_bits(mica_type_element(bytes->type)) != 8) {
        return bytes;
    }
    const mica_type element = narrow_type(l, top, mica_op_f64(op, "in_int4_threshold"));
    return element == NULL ? NULL : cast_once(l, top, bytes, element);
}

mica_value *mica_lower_const_i8(mica_lowering *l, const mica_op *op, const mica_value *top,
                                const char *suffix) {
    const mica_ndarray *array = mica_weight_data(top);
    const int64_t count = mica_ndarray_count(array);
    const float *source = array->data;
    const double scale = mica_lower_weight_scale(l, mrt_weights_absmax(source, count), 0.0, 1.0, 8);
    int8_t *q = mica_alloc((size_t)count + 1);
    (void)mrt_quantize_weights(source, count, scale, q);
    mica_value *value = mica_lower_const(l, op, suffix, mica_lower_uniform(l, MRT_I8, scale, 0),
                                         array->rank, array->dims, q);
    mica_free(q);
    return value;
}
