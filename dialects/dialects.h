/* The dialects as a whole. */
#ifndef MICA_DIALECTS_H
#define MICA_DIALECTS_H

#include "ir/context.h"

/* Registers the rows of dialects/ops.def with a context. */
void mica_register_dialects(mica_context *context);

/* Runtime code (enum mrt_unary / mrt_binary) of "top.Sigmoid", "tpu.Div", ...; -1 when the op is no
 * such function. For tpu.Active pass the name in its mode attribute ("Sigmoid"). */
int mica_unary_code(const char *op_or_mode);
int mica_binary_code(const char *op);

#endif
