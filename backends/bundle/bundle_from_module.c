#include "backends/bundle/bundle_from_module.h"

#include <string.h>

#include "backends/bundle/bundle_writer.h"
#include "dialects/plan.h"
#include "utils/arena.h"

/* Attributes of the top.Input called `name` as a dictionary text, or NULL. */
static const char *preprocess_text(mica_module *module, const char *name) {
    const mica_block *body = mica_func_body(mica_module_func(module, "main"));
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        if (mica_op_is(op, "top.Input") && strcmp(mica_value_name(&op->results[0]), name) == 0) {
            return op->n_attrs == 0
                       ? NULL
                       : mica_attr_text(mica_attr_dict(module->context, op->attrs, op->n_attrs));
        }
    }
    return NULL;
}

mica_status mica_bundle_from_module(mica_module *module, const mrt_bundle_op *ops, uint32_t n_ops,
                                    const void *const *golden_inputs, const char *path,
                                    mica_error *err) {
    mrt_plan *plan = NULL;
    if (mica_plan_func(module, mica_module_func(module, "main"), &(mica_plan_options){0}, &plan) !=
        MICA_OK) {
        return mica_fail(err, "the module cannot be planned (reason above)");
    }
    const char **preprocess = mica_alloc(((size_t)plan->n_inputs + 1) * sizeof *preprocess);
    for (int32_t i = 0; i < plan->n_inputs; ++i) {
        preprocess[i] = preprocess_text(module, plan->tensors[plan->inputs[i]].info.name);
    }
    const mica_attr symbol = mica_op_attr(module->op, "sym_name");
    const mica_attr chip = mica_op_attr(module->op, "module.chip");
    const mica_attr mode = mica_op_attr(module->op, "module.mode");
    const mrt_bundle_attribute attributes[] = {
        {"module.mode", mode != NULL ? mode->text : ""},
    };
    const mica_bundle_desc desc = {
        .name = symbol != NULL ? symbol->text : "main",
        .processor = chip != NULL ? chip->text : "",
        .producer = "mica 0.1.0",
        .plan = plan,
        .ops = ops,
        .n_ops = n_ops,
        .attributes = attributes,
        .n_attributes = 1,
        .preprocess = preprocess,
        .golden_inputs = golden_inputs,
    };
    const mica_status status = mica_bundle_write(&desc, path, err);
    mica_free((void *)preprocess);
    mrt_plan_destroy(plan);
    return status;
}
