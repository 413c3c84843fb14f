/* Channels-last execution: the plan's own business, invisible to its users.
 *
 * An 8-bit tensor between convolutions is kept as uint8 with its channels last: value + offset, where
 * offset is 128 for int8 and 0 for uint8. Kernels see an ordinary uint8 tensor [N, spatial.., C]
 * whose zero point is greater by the offset, so every integer comes out the same. An int8 tensor that is
 * never negative keeps its type and bytes, which are 0..127 [byte-proof]. A float tensor keeps its type; only steps whose sums may be in any order (MRT_ORDER_BLAS) begin a float chain.
 * Conversions stand only where a kernel without a channels-last form reads or writes. */
#ifndef MRT_LAYOUT_H
#define MRT_LAYOUT_H

#include "runtime/mrt_plan.h"

/* Where the tensors of a derived plan are. Tensors of the source keep their ids; others follow. */
typedef struct mrt_layout {
    int32_t *stored;  /* per tensor: the channels-last tensor that holds its value, or -1 */
    int32_t *origin;  /* per tensor: source tensor whose value is there once it is written, or -1 */
    bool *absent;     /* per tensor: its own bytes do not exist, only those of `stored`; none, where steps
                         were joined (outputs_only) and that is -1 */
    int32_t *step_of; /* per step: the source's step that it belongs to */
} mrt_layout;

/* Derives a plan that computes the same with channels-last kernels and packed weights: the same bytes,
 * but for float sums of any order.
 * *out_plan is NULL when the source has nothing to gain; else finalized, to be destroyed before the
 * source, whose constants it borrows. `pool` is used for packing only. Errors: MRT_NO_MEMORY. */
mrt_status mrt_layout_derive(const mrt_plan *source, mrt_pool *pool, mrt_plan **out_plan,
                             mrt_error *err);

/* Layout of a derived plan; NULL for others. */
const mrt_layout *mrt_layout_of(const mrt_plan *plan);

/* [pure layout] Row-major bytes of `tensor` (its type and shape) from its channels-last form. */
void mrt_layout_restore(const mrt_tensor *stored, mrt_tensor *tensor);
/* The other way. */
void mrt_layout_store(const mrt_tensor *tensor, mrt_tensor *stored);

#endif
