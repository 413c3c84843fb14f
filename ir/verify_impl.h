/* Parts of the verifier; for ir/ only. */
#ifndef MICA_IR_VERIFY_IMPL_H
#define MICA_IR_VERIFY_IMPL_H

#include "ir/op.h"

/* What the op's row says: arity, attributes, results. Unregistered ops of a registered dialect are
 * errors, those of other dialects are accepted. */
mica_status mica_verify_row(const mica_op *op);
/* Limits of quantized types that constructors do not check. */
mica_status mica_verify_types(const mica_op *op);

#endif
