/* Prototypes of all lower hooks, from dialects/ops.def: a hook with another signature does not
 * compile, a missing one does not link. */
#ifndef MICA_LOWER_HOOKS_H
#define MICA_LOWER_HOOKS_H

#include "passes/lowering/lower_internal.h"

#define mica_lower_NONE mica_lower_absent
#define TOP(name, code, summary, operands, results, attrs, traits, verify, infer, plan, lower)     \
    mica_lower_fn mica_lower_##lower;
#include "dialects/ops.def"
#undef mica_lower_NONE

#endif
