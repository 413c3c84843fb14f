/* Tables of 256 results for functions of one 8-bit operand [lut-8]. */
#include <string.h>

#include "dialects/dialects.h"
#include "dialects/plan.h"
#include "passes/lowering/lower_internal.h"
#include "runtime/mrt_exec.h"

/* Runs the op's own float plan on the 256 real values that its operand can have: the op is cloned
 * into a scratch module with an operand of 256 elements, so every function that has a float kernel
 * has a table, with the same bits. */
static mica_status evaluate(mica_lowering *l, const mica_op *op, const mica_value *input,
                            const float *x, float *y) {
    mica_context *context = l->context;
    mica_module *scratch = mica_module_create(context, op->loc);
    const int64_t dims[1] = {256};
    const mica_type type = mica_type_tensor(context, 1, dims, mica_type_f32(context), NULL);
    mica_builder outer = mica_builder_at_end(scratch, mica_module_body(scratch));
    const mica_loc loc = mica_loc_name(context, "lut_input", NULL);
    mica_op *func = mica_build_func(&outer, "main", &type, &loc, 1, NULL, 0, op->loc);
    mica_builder builder = mica_builder_at_end(scratch, mica_func_body(func));
    mica_value *operands[4] = {0};
    assert(op->n_operands <= 4);
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        double scalar = 0.0;
        if (mica_op_operand(op, i) == input) {
            operands[i] = mica_func_body(func)->args[0];
        } else if (mica_weight_scalar(mica_op_operand(op, i), &scalar)) {
            const float value = (float)scalar;
            operands[i] = mica_top_weight(&builder, mica_value_name(mica_op_operand(op, i)),
                                          mica_type_f32(context), 0, NULL, &value);
        }
    }
    const mica_op_state state = {.name = op->name,
                                 .loc = op->loc,
                                 .operands = operands,
                                 .n_operands = op->n_operands,
                                 .results = &type,
                                 .n_results = 1,
                                 .attrs = op->attrs,
                                 .n_attrs = op->n_attrs};
    mica_value *result = mica_op_result(mica_build(&builder, &state), 0);
    mica_build_return(&builder, &result, 1, op->loc);
    mica_func_update_type(func);
    mrt_plan *plan = NULL;
    mrt_exec *exec = NULL;
    mrt_error error;
    mica_status status = mica_plan_func(scratch, func, &(mica_plan_options){0}, &plan);
    if (status == MICA_OK && mrt_exec_create(plan, NULL, &exec, &error) != MRT_OK) {
        status = mica_emit_error(context, op->loc, "%s", error.text);
    }
    if (status == MICA_OK) {
        memcpy(mrt_exec_tensor(exec, plan->inputs[0])->data, x, 256 * sizeof *x);
        mrt_exec_run(exec, NULL, NULL);
        memcpy(y, mrt_exec_tensor(exec, plan->outputs[0])->data, 256 * sizeof *y);
    }
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
    mica_module_destroy(scratch);
    return status;
}

mica_status mica_lower_lut(mica_lowering *l, const mica_op *op, const mica_value *input) {
    const mica_type out = mica_lower_quant_type(l, &op->results[0]);
    mica_value *x = mica_lower_quantized(l, input);
    if (x == NULL || out == NULL) {
        return mica_lower_fallback(l, op, "no calibration for its input or output");
    }
    const mica_type in = mica_type_element(x->type);
    const bool is_signed = mica_lower_storage(in) == MRT_I8;
    float real[256];
    float result[256];
    for (int byte = 0; byte < 256; ++byte) {
        const int32_t q = is_signed ? (int8_t)byte : byte;
        real[byte] = mrt_dequantize_value(q, mica_lower_scale_of(in), mica_lower_zero_of(in));
    }
    MICA_TRY(evaluate(l, op, input, real, result));
    uint8_t table[256];
    int64_t low = 0;
    int64_t high = 0;
    mrt_int_range(mica_lower_storage(out), &low, &high);
    for (int byte = 0; byte < 256; ++byte) {
        table[byte] = (uint8_t)mrt_quantize_value(result[byte], mica_lower_scale_of(out),
                                                  mica_lower_zero_of(out), (int32_t)low, (int32_t)high);
    }
    const int64_t dims[1] = {256};
    mica_value *operands[2] = {x, mica_lower_const(l, op, "table", out, 1, dims, table)};
    mica_op *made = mica_lower_emit(l, op, "tpu.Lut", operands, 2, &out, false);
    mica_op_set_str(made, "mode", op->name + strlen("top."));
    return MICA_OK;
}
