/* Structural equality of modules: same ops in the same order with the same attributes, types,
 * locations, regions, and operands that correspond. For tests and round-trip checks. */
#ifndef MICA_IR_EQUAL_H
#define MICA_IR_EQUAL_H

#include "ir/op.h"

/* Both modules must be of the same context. On false, err (may be NULL) tells the first
 * difference. Weights are not compared. */
bool mica_module_equal(const mica_module *a, const mica_module *b, mica_error *err);

#endif
