/* The plan column of dialects/ops.def. A code that two rows share is a compile error here. */
#include "dialects/hooks.h"

mica_plan_fn *mica_plan_hook(const mica_op *op) {
    if (!op->info) {
        return NULL;
    }
    switch (op->info->code) {
#define TOP(name, code, summary, operands, results, attrs, traits, verify, infer, plan, lower)     \
    case code:                                                                                     \
        return mica_plan_##plan;
#define TPU(name, code, summary, operands, results, attrs, traits, verify, infer, plan)            \
    case code:                                                                                     \
        return mica_plan_##plan;
#include "dialects/ops.def"
    default:
        return NULL;
    }
}
