#include "dialects/plan_util.h"

#include "utils/arena.h"


void mica_plan_act(const mica_op *op, int64_t *out_act, double *out_limit) {
    const bool relu = mica_op_bool(op, "do_relu");
    *out_act = relu ? MRT_ACT_RELU : MRT_ACT_NONE;
    *out_limit = relu ? mica_op_f64(op, "relu_limit") : -1.0;
}

int32_t mica_plan_result_temp(mica_planner *planner, const mica_op *op) {
    const mrt_tensor info = mica_planner_info(planner, mica_op_result(op, 0));
    return mica_planner_temp(planner, &info);
}

/* --- quantized operands ----------------------------------------------------------------------- */

mica_status mica_plan_same_quant(mica_planner *planner, const mica_op *op, uint32_t first,
                                 uint32_t count) {
    const mica_value *result = mica_op_result(op, 0);
    mica_quant y = {0};
    mica_quant_of(result, &y);
    for (uint32_t i = first; i < first + count && i < op->n_operands; i++) {
        const mica_value *operand = mica_op_operand(op, i);
        mica_quant x = {0};
        mica_quant_of(operand, &x);
        if (x.storage != y.storage || x.scale != y.scale || x.zero_point != y.zero_point) {
            return mica_planner_fail(planner, op, "expects operand %u of element type %s as the "
                                     "result, got %s", i,
                                     mica_type_text(mica_type_element(result->type)),
                                     mica_type_text(mica_type_element(operand->type)));
        }
    }
    return MICA_OK;
}

mica_status mica_plan_no_quant(mica_planner *planner, const mica_op *op) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const mica_value *operand = mica_op_operand(op, i);
        if (mica_value_is_quant(operand)) {
            return mica_planner_fail(planner, op, "has no form for operand %u of element type %s",
                                     i, mica_type_text(mica_type_element(operand->type)));
        }
    }
    return MICA_OK;
}

mica_status mica_plan_move(mica_planner *planner, const mica_op *op, uint16_t kernel,
                           const void *params) {
    MICA_TRY(mica_plan_same_quant(planner, op, 0, 1));
    return mica_planner_step(planner, op, kernel, params);
}

/* --- clamps ----------------------------------------------------------------------------------- */

typedef struct clamp_range {
    int64_t low, high;
} clamp_range;

static int32_t clamp_entry(void *user, int32_t q) {
    const clamp_range *range = user;
    const int64_t low = q > range->low ? q : range->low;
    return (int32_t)(low < range->high ? low : range->high);
}

mica_status mica_plan_relu_from(mica_planner *planner, const mica_op *op, int32_t in, double limit) {
    const mica_value *result = mica_op_result(op, 0);
    const int32_t out = mica_planner_value(planner, result);
    mica_quant quant;
    if (!mica_quant_of(result, &quant)) {
        const mrt_unary_params relu = {.op = MRT_UNARY_RELU, .beta = limit};
        return mica_planner_step_ids(planner, op, MRT_K_unary, &relu, &in, 1, &out, 1);
    }
    if (mrt_dtype_bytes(quant.storage) != 1) {
        return mica_planner_fail(planner, op, "cannot clamp a result of type %s",
                                 mica_type_text(result->type));
    }
    clamp_range range;
    mica_quant_act_range(&quant, true, limit, &range.low, &range.high);
    const int32_t ids[2] = {
        in, mica_plan_table(planner, quant.storage, quant.storage, clamp_entry, &range)};
    return mica_planner_step_ids(planner, op, MRT_K_lut_8, NULL, ids, 2, &out, 1);
}

mica_status mica_plan_with_relu(mica_planner *planner, const mica_op *op, uint16_t kernel,
                                const void *params) {
    if (!mica_op_bool(op, "do_relu")) {
        return mica_planner_step(planner, op, kernel, params);
    }
    const int32_t temp = mica_plan_result_temp(planner, op);
    int32_t *in = mica_alloc(op->n_operands * sizeof in[0]);
    for (uint32_t i = 0; i < op->n_operands; i++) {
        in[i] = mica_planner_value(planner, mica_op_operand(op, i));
    }
    mica_status status = mica_planner_step_ids(planner, op, kernel, params, in,
                                               (int)op->n_operands, &temp, 1);
    mica_free(in);
    if (status == MICA_OK) {
        status = mica_plan_relu_from(planner, op, temp, mica_op_f64(op, "relu_limit"));
    }
    return status;
}

/* --- conversions and constants ---------------------------------------------------------------- */

int32_t mica_plan_converted(mica_planner *planner, const mica_op *op, int32_t id, mrt_dtype dtype) {
    if (id < 0) {
        return -1;
    }
    mrt_tensor info = mica_planner_tensor(planner, id);
    if (info.dtype == dtype) {
        return id;
    }
    info.dtype = dtype;
    info.scale = 0;
    info.zero_point = 0;
    const int32_t temp = mica_planner_temp(planner, &info);
    const mrt_cast_params params = {0};
    return mica_planner_step_ids(planner, op, MRT_K_cast, &params, &id, 1, &temp, 1) == MICA_OK
               ? temp
               : -1;
}

/* Derived per-channel constants stay far below this; a type may claim anything. */
#define MAX_CHANNELS ((int64_t)1 << 26)

static bool too_many(mica_planner *planner, int64_t count) {
    if (count >= 0 && count <= MAX_CHANNELS) {
        return false;
    }
    mica_planner_fail(planner, NULL, "needs a constant of %" PRId64 " elements", count);
    return true;
}

int32_t mica_plan_fill_f32(mica_planner *planner, int64_t count, float value) {
    if (too_many(planner, count)) {
        return -1;
    }
    float *values = mica_alloc((size_t)count * sizeof values[0]);
    for (int64_t i = 0; i < count; i++) {
        values[i] = value;
    }
    const int32_t id = mica_planner_const(planner, MRT_F32, 1, &count, values);
    mica_free(values);
    return id;
}

int32_t mica_plan_fill_i32(mica_planner *planner, int64_t count, int32_t value) {
    if (too_many(planner, count)) {
        return -1;
    }
    int32_t *values = mica_alloc((size_t)count * sizeof values[0]);
    for (int64_t i = 0; i < count; i++) {
        values[i] = value;
    }
    const int32_t id = mica_planner_const(planner, MRT_I32, 1, &count, values);
    mica_free(values);
    return id;
}

int32_t mica_plan_i32_attr(mica_planner *planner, const mica_op *op, const char *attr,
                           int64_t count) {
    if (too_many(planner, count)) {
        return -1;
    }
    size_t n;
    const int64_t *given = mica_op_i64s(op, attr, &n);
    int32_t *values = mica_alloc((size_t)count * sizeof values[0]);
    for (int64_t i = 0; i < count; i++) {
        const size_t at = n == 1 ? 0 : (size_t)i;
        values[i] = at < n ? (int32_t)given[at] : 0;
    }
    const int32_t id = mica_planner_const(planner, MRT_I32, 1, &count, values);
    mica_free(values);
    return id;
}

int32_t mica_plan_real_scales(mica_planner *planner, double input, mica_type weights) {
    const int64_t count = weights->kind == MICA_TYPE_UNIFORM_AXIS ? (int64_t)weights->n_scales : 1;
    double *values = mica_alloc((size_t)(count + 1) * sizeof *values);
    for (int64_t i = 0; i < count; ++i) {
        values[i] = input * weights->scales[i];
    }
    const int32_t id = mica_planner_const(planner, MRT_F64, 1, &count, values);
    mica_free(values);
    return id;
}

int32_t mica_plan_table(mica_planner *planner, mrt_dtype in, mrt_dtype out, mica_table_fn *map,
                        void *user) {
    uint8_t table[256];
    for (int byte = 0; byte < 256; byte++) {
        const int32_t q = in == MRT_I8 ? (int8_t)byte : byte;
        table[byte] = (uint8_t)map(user, q);
    }
    const int64_t count = 256;
    return mica_planner_const(planner, out, 1, &count, table);
}
