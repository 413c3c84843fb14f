/* tpu.Cast: every change of element type or quantization. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"
#include "runtime/mrt_quant.h"

typedef struct requant_pair {
    mica_quant from, to;
} requant_pair;

/* Rule requant-lut: table[q] = quantize(dequantize(q)), for every byte of the storage type; the
 * dequantized value is the f32 that a dequantize step would give. */
static int32_t requant_entry(void *user, int32_t q) {
    const requant_pair *pair = user;
    const float real = mrt_dequantize_value(q, pair->from.scale, pair->from.zero_point);
    return mica_quantize(&pair->to, (double)real);
}

static mica_status plan_requant(const mica_op *op, mica_planner *planner, requant_pair *pair) {
    if (mrt_dtype_bytes(pair->from.storage) != 1 || mrt_dtype_bytes(pair->to.storage) != 1) {
        return mica_planner_fail(planner, op, "changes the scale of 8-bit values only, got %s",
                                 mica_type_text(mica_op_operand(op, 0)->type));
    }
    const int32_t in[2] = {
        mica_planner_value(planner, mica_op_operand(op, 0)),
        mica_plan_table(planner, pair->from.storage, pair->to.storage, requant_entry, pair)};
    const int32_t out = mica_planner_value(planner, mica_op_result(op, 0));
    return mica_planner_step_ids(planner, op, MRT_K_lut_8, NULL, in, 2, &out, 1);
}

/* float -> f32 -> quantized */
static mica_status plan_quantize(const mica_op *op, mica_planner *planner) {
    if (mica_type_quant_bits(mica_type_element(mica_op_result(op, 0)->type)) == 4) {
        return mica_planner_fail(planner, op, "makes values of 4 bits of 8-bit ones only, got %s",
                                 mica_type_text(mica_op_operand(op, 0)->type));
    }
    const int32_t x = mica_planner_value(planner, mica_op_operand(op, 0));
    const int32_t in = mica_plan_converted(planner, op, x, MRT_F32);
    const int32_t out = mica_planner_value(planner, mica_op_result(op, 0));
    return mica_planner_step_ids(planner, op, MRT_K_quantize, NULL, &in, 1, &out, 1);
}

/* quantized -> f32 -> float */
static mica_status plan_dequantize(const mica_op *op, mica_planner *planner) {
    const int32_t in = mica_planner_value(planner, mica_op_operand(op, 0));
    const int32_t out = mica_planner_value(planner, mica_op_result(op, 0));
    mrt_tensor info = mica_planner_info(planner, mica_op_result(op, 0));
    if (info.dtype == MRT_F32) {
        return mica_planner_step_ids(planner, op, MRT_K_dequantize, NULL, &in, 1, &out, 1);
    }
    info.dtype = MRT_F32;
    const int32_t temp = mica_planner_temp(planner, &info);
    const mrt_cast_params params = {0};
    MICA_TRY(mica_planner_step_ids(planner, op, MRT_K_dequantize, NULL, &in, 1, &temp, 1));
    return mica_planner_step_ids(planner, op, MRT_K_cast, &params, &temp, 1, &out, 1);
}

mica_status mica_plan_tpu_cast(const mica_op *op, mica_planner *planner) {
    requant_pair pair;
    const bool from = mica_quant_of(mica_op_operand(op, 0), &pair.from);
    const bool to = mica_quant_of(mica_op_result(op, 0), &pair.to);
    if (from && to) {
        return plan_requant(op, planner, &pair);
    }
    if (from) {
        return plan_dequantize(op, planner);
    }
    if (to) {
        return plan_quantize(op, planner);
    }
    const mrt_cast_params params = {0};
    return mica_planner_step(planner, op, MRT_K_cast, &params);
}
