/* What the float and integer plans of pools share. */
#ifndef MICA_DIALECTS_TOP_POOL_H
#define MICA_DIALECTS_TOP_POOL_H

#include "dialects/plan.h"
#include "runtime/mrt_params.h"

/* Kernel parameters of a verified pool. */
void mica_pool_params(const mica_op *op, int64_t mode, mrt_pool_params *out);

#endif
