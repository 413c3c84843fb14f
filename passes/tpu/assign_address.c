/* Memory plan of the tpu dialect, written into the IR. */
#include "dialects/plan.h"
#include "dialects/top/top.h"
#include "ir/builder.h"
#include "ir/pass.h"
#include "passes/tpu/tpu_passes.h"

enum { BLOCK_ALIGN = 4096, TENSOR_ALIGN = 64 };

static int64_t align_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

static void set_address(mica_value *value, int64_t address) {
    const mica_type t = value->type;
    value->type = mica_type_tensor(t->context, t->rank, t->dims, t->element,
                                   mica_attr_i64(t->context, address));
}

mica_status mica_assign_address(mica_module *module) {
    mica_op *func = mica_module_func(module, "main");
    mrt_plan *plan = NULL;
    if (func == NULL) {
        return mica_emit_error(module->context, module->op->loc, "module has no function 'main'");
    }
    MICA_TRY(mica_plan_func(module, func, &(mica_plan_options){0}, &plan));
    int64_t coeff = 0;
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        if (mica_op_is(op, "top.Weight")) {
            const mica_ndarray *array = mica_weight_data(&op->results[0]);
            set_address(&op->results[0], coeff);
            coeff += align_up(array != NULL ? (int64_t)array->bytes : 0, TENSOR_ALIGN);
        }
    }
    const int64_t neuron = align_up(coeff, BLOCK_ALIGN);
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; ++i) {
            const int32_t id = mrt_plan_find(plan, mica_value_name(&op->results[i]));
            if (id < 0 || mica_op_is(op, "top.Weight") || !mica_type_is_tensor(op->results[i].type)) {
                continue;
            }
            const mrt_plan_tensor *root = &plan->tensors[plan->tensors[id].root];
            if (root->offset >= 0) {
                set_address(&op->results[i], neuron + root->offset);
            }
        }
    }
    mica_op_set_i64(module->op, "module.coeff_addr", 0);
    mica_op_set_i64(module->op, "module.coeff_size", coeff);
    mica_op_set_i64(module->op, "module.neuron_addr", neuron);
    mica_op_set_i64(module->op, "module.neuron_size", plan->arena_bytes);
    mica_op_set_str(module->op, "module.state", "TPU_ADDRESSED");
    mica_func_update_type(func);
    mrt_plan_destroy(plan);
    return MICA_OK;
}

mica_pass_fn mica_pass_tpu_assign_address;

mica_status mica_pass_tpu_assign_address(mica_module *module, const mica_pass_options *options) {
    (void)options;
    return mica_assign_address(module);
}
