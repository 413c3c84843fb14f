/* How ops that do not care about the order of axes work on permuted tensors.
 *
 * A tensor y of rank r is seen as y = Permute(y', order); the op that made y from x can make y' from x'
 * when its attributes speak of the axes of y'. */
#ifndef MICA_TOP_PERMUTE_RULES_H
#define MICA_TOP_PERMUTE_RULES_H

#include "ir/op.h"

/* y's axis i is axis to[i] of y'. */
typedef struct mica_axis_order {
    int rank;
    int64_t to[MICA_MAX_RANK];
} mica_axis_order;

bool mica_order_equal(const mica_axis_order *a, const mica_axis_order *b);
bool mica_order_is_identity(const mica_axis_order *order);
mica_axis_order mica_order_inverse(const mica_axis_order *order);
/* False unless the op is a Permute of known shape. */
bool mica_order_of_permute(const mica_op *permute, mica_axis_order *out);
/* Type of y' for the type of y; y is static and has the order's rank. */
mica_type mica_order_type(mica_type y, const mica_axis_order *order);
/* True when the Permute moves only axes of size 1, which is a mere Reshape. `y` is its result's type. */
bool mica_order_is_reshape(mica_type y, const mica_axis_order *order);

typedef enum mica_carry {
    MICA_CARRY_ORDER, /* operand has the order of the op */
    MICA_CARRY_ALIGN, /* has fewer axes and is broadcast: takes part with axes of size 1 in front */
    MICA_CARRY_KEEP,  /* stays as it is */
} mica_carry;

/* Whether the op can work on operand 0 of another order; then the order of its results. */
bool mica_permute_rule(const mica_op *op, const mica_axis_order *order, mica_axis_order *out_result);
/* Likewise from the order of the results to that of operand 0. */
bool mica_permute_rule_up(const mica_op *op, const mica_axis_order *result, mica_axis_order *out_order);
/* What an operand of such an op is. */
mica_carry mica_permute_carry(const mica_op *op, uint32_t operand);
/* Gives `made`, a copy of `op` in its attributes, those that fit the order of operand 0. */
void mica_permute_attrs(mica_op *made, const mica_op *op, const mica_axis_order *order);

#endif
