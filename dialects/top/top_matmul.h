/* Operands of a matrix product brought to rank 2 or more, for the float and integer plans. */
#ifndef MICA_DIALECTS_TOP_MATMUL_H
#define MICA_DIALECTS_TOP_MATMUL_H

#include "dialects/op_util.h"

typedef struct mica_matmul_ids {
    int32_t a, b, bias; /* bias may be -1 */
    int32_t out;        /* where the kernel writes */
    mrt_tensor result;  /* type of out */
    bool is_view;       /* result 0 of the op is a view of out */
} mica_matmul_ids;

/* Operand and result ids; rank-1 operands become views [1, K] and [K, 1]. Check planner errors at
 * the next step. */
void mica_matmul_operands(mica_planner *planner, const mica_op *op, mica_matmul_ids *out);
/* Binds result 0 when the kernel wrote a view of it. */
mica_status mica_matmul_finish(mica_planner *planner, const mica_op *op,
                               const mica_matmul_ids *ids);

#endif
