/* What the float and integer plans of Reduce share. */
#ifndef MICA_DIALECTS_TOP_REDUCE_H
#define MICA_DIALECTS_TOP_REDUCE_H

#include "dialects/plan.h"
#include "runtime/mrt_params.h"

/* Mode and axes of a verified op. */
void mica_reduce_params(const mica_op *op, mrt_reduce_params *out);

#endif
