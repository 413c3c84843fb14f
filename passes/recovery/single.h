/* One step of a plan, run alone on values that the caller keeps. */
#ifndef MICA_RECOVERY_SINGLE_H
#define MICA_RECOVERY_SINGLE_H

#include "runtime/mrt_exec.h"
#include "utils/status.h"

typedef struct mica_single mica_single;

/* Step `step` of a finalized plan, which has to outlive the result. `replaced`: a constant operand (index among the
 * step's inputs) that gets `data`, which is borrowed, instead of its own; -1: none. NULL on error. */
mica_single *mica_single_open(const mrt_plan *plan, int32_t step, int32_t replaced, const void *data, mrt_pool *pool,
                              mica_error *err);
void mica_single_close(mica_single *single);

/* Row-major bytes of the step's operands in their order, constants and absent ones without meaning, and room for
 * those of its results. */
void mica_single_run(mica_single *single, const void *const *in, void *const *out);

#endif
