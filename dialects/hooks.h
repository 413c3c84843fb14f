/* Prototypes of the hooks that the rows of dialects/ops.def name. A stem without a function is a link
 * error, a function of another signature a compile error. The stem NONE is NULL. */
#ifndef MICA_DIALECTS_HOOKS_H
#define MICA_DIALECTS_HOOKS_H

#include "dialects/plan.h"
#include "ir/op_info.h"

#define TOP(name, code, summary, operands, results, attrs, traits, verify, infer, plan, lower)     \
    mica_verify_fn mica_verify_##verify;                                                           \
    mica_infer_fn mica_infer_##infer;                                                              \
    mica_plan_fn mica_plan_##plan;
#define TPU(name, code, summary, operands, results, attrs, traits, verify, infer, plan)            \
    mica_verify_fn mica_verify_##verify;                                                           \
    mica_infer_fn mica_infer_##infer;                                                              \
    mica_plan_fn mica_plan_##plan;
#include "dialects/ops.def"

#define mica_verify_NONE NULL
#define mica_infer_NONE NULL
#define mica_plan_NONE NULL

#endif
