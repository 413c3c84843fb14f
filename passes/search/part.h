/* Quantization of some kinds of ops only: no sample is run. */
#ifndef MICA_SEARCH_PART_H
#define MICA_SEARCH_PART_H

#include "passes/calibration/cali_table.h"
#include "passes/lowering/qtable.h"

/* Which ops stay INT8 in a mode: "N_mode", "H_mode", or "custom_mode" with a list "Conv,MatMul". All others get a
 * row of `mode`, but for those that have the type of what they read. *out_integer: ops that stay INT8. Errors: unknown
 * mode or kind of op (with the nearest), kinds that the model does not have. */
mica_status mica_part_table(mica_module *module, const char *part, const char *custom, mica_mode mode,
                            mica_qtable *table, size_t *out_integer, mica_error *err);

/* Lists activations with a short negative side (SiLU, GELU) that feed nothing but Conv and MatMul in the section
 * #asym_op of the table; returns how many. */
size_t mica_part_asymmetric(mica_module *module, mica_cali_table *table);

#endif
