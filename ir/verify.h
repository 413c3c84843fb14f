/* The verifier: structure (dominance, use lists, terminators, symbol names), rows of the op table
 * (arity, attribute kinds and choices, unknown attributes of registered ops, result count), then
 * each op's own hook. Reports all errors of one op and goes on with the next. */
#ifndef MICA_IR_VERIFY_H
#define MICA_IR_VERIFY_H

#include "ir/op.h"

mica_status mica_verify(mica_module *module);

#endif
