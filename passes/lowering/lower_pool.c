/* Pools and reductions [avgpool-int, reduce-int]. */
#include <string.h>

#include "passes/lowering/lower_hooks.h"

static const char *pool_name(const mica_op *op) {
    static const char *const names[] = {"tpu.Pool1D", "tpu.Pool2D", "tpu.Pool3D"};
    const int spatial = mica_op_operand(op, 0)->type->rank - 2;
    return names[spatial >= 1 && spatial <= 3 ? spatial - 1 : 1];
}

mica_status mica_lower_max_pool(mica_lowering *l, const mica_op *op, mica_mode mode) {
    mica_op *made = NULL;
    mica_value *x = NULL;
    if (mode == MICA_MODE_INT8 && op->n_results == 1) {
        x = mica_lower_quantized(l, mica_op_operand(op, 0));
        if (x == NULL) {
            return mica_lower_fallback(l, op, "no calibration for its input");
        }
    } else if (mode == MICA_MODE_INT8) {
        return mica_lower_fallback(l, op, "indices are asked for");
    }
    if (x != NULL) {
        const mica_type element = mica_type_element(x->type);
        made = mica_lower_emit(l, op, pool_name(op), &x, 1, &element, true);
    } else {
        MICA_TRY(mica_lower_float_as(l, op, mode, pool_name(op), &made));
    }
    mica_op_set_str(made, "pool_mode", "Max");
    return MICA_OK;
}

/* Elements of a full window. The kernel rescales windows with fewer exactly [avgpool-int]. */
static int64_t window_count(const mica_op *op) {
    size_t n = 0;
    const int64_t *kernel = mica_op_i64s(op, "kernel_shape", &n);
    int64_t count = 1;
    for (size_t i = 0; i < n; ++i) {
        count *= kernel[i];
    }
    return count;
}

mica_status mica_lower_avg_pool(mica_lowering *l, const mica_op *op, mica_mode mode) {
    mica_op *made = NULL;
    if (mode != MICA_MODE_INT8) {
        MICA_TRY(mica_lower_float_as(l, op, mode, pool_name(op), &made));
        mica_op_set_str(made, "pool_mode", "Avg");
        return MICA_OK;
    }
    const int64_t count = window_count(op);
    mica_value *x = mica_lower_quantized(l, mica_op_operand(op, 0));
    const mica_type out = mica_lower_quant_type(l, &op->results[0]);
    int32_t multiplier = 0;
    int32_t shift = 0;
    if (x == NULL || out == NULL ||
        mrt_multiplier_from_scale(mica_lower_scale_of(mica_type_element(x->type)) /
                                      (mica_lower_scale_of(out) * (double)count),
                                  31, &multiplier, &shift) != MRT_OK) {
        return mica_lower_fallback(l, op, "no calibration for its input or output");
    }
    made = mica_lower_emit(l, op, pool_name(op), &x, 1, &out, true);
    mica_op_set_str(made, "pool_mode", "Avg");
    const int64_t m = multiplier;
    const int64_t s = shift;
    mica_lower_set_requant(made, &m, &s, 1, 1);
    return MICA_OK;
}

static int64_t reduced_count(const mica_op *op) {
    size_t n = 0;
    const int64_t *axes = mica_op_i64s(op, "axes", &n);
    int64_t count = 1;
    for (size_t i = 0; i < n; ++i) {
        count *= mica_op_operand(op, 0)->type->dims[axes[i]];
    }
    return count;
}

mica_status mica_lower_reduce(mica_lowering *l, const mica_op *op, mica_mode mode) {
    if (mode != MICA_MODE_INT8 || !mica_lower_is_real(mica_op_operand(op, 0))) {
        return mica_lower_float_as(l, op, mode, "tpu.Reduce", NULL);
    }
    const char *how = mica_op_str(op, "mode");
    const bool mean = strcmp(how, "ReduceMean") == 0;
    const bool extreme = strcmp(how, "ReduceMax") == 0 || strcmp(how, "ReduceMin") == 0;
    if (!mean && !extreme && strcmp(how, "ReduceSum") != 0) {
        return mica_lower_fallback(l, op, "only sum, mean, max and min have an integer form");
    }
    mica_value *x = mica_lower_quantized(l, mica_op_operand(op, 0));
    const mica_type out = mica_lower_quant_type(l, &op->results[0]);
    if (x == NULL || out == NULL) {
        return mica_lower_fallback(l, op, "no calibration for its input or output");
    }
    const mica_type in = mica_type_element(x->type);
    if (extreme) {
        mica_lower_emit(l, op, "tpu.Reduce", &x, 1, &in, true);
        return MICA_OK;
    }
    const double count = mean ? (double)reduced_count(op) : 1.0;
    int32_t multiplier = 0;
    int32_t shift = 0;
    if (mrt_multiplier_from_scale(mica_lower_scale_of(in) / (mica_lower_scale_of(out) * count), 31,
                                  &multiplier, &shift) != MRT_OK) {
        return mica_lower_fallback(l, op, "its output range is too small for its input");
    }
    mica_op *made = mica_lower_emit(l, op, "tpu.Reduce", &x, 1, &out, true);
    const int64_t m = multiplier;
    const int64_t s = shift;
    mica_lower_set_requant(made, &m, &s, 1, 1);
    return MICA_OK;
}
