/* The attributes multiplier and rshift of integer tpu ops. */
#ifndef MICA_DIALECTS_TPU_REQUANT_H
#define MICA_DIALECTS_TPU_REQUANT_H

#include "dialects/op_util.h"

/* True for a tpu op whose operand 0 is quantized per tensor: the op has its integer form. */
bool mica_is_integer_form(const mica_op *op);
/* Integer form without multipliers whose result is f32: sums times their scale, nothing is requantized
 * [conv-real, matmul-real]. */
bool mica_is_real_form(const mica_op *op);
/* Integer form: multipliers and shifts are 1 or `channels` each (< 0: not known), 32-bit multipliers,
 * shifts 0 to 62, a quantized result. Float form and top ops: MICA_OK. */
mica_status mica_requant_verify(const mica_op *op, int64_t channels);
/* As above for a fixed number of each and multipliers of any size. */
mica_status mica_requant_verify_counts(const mica_op *op, size_t multipliers, size_t shifts);

#endif
