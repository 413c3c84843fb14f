/* What the files int_matmul*.c share: the shape of a product, and the product on tiles. */
#ifndef MRT_INT_MATMUL_H
#define MRT_INT_MATMUL_H

#include "runtime/mrt_kernel.h"
#include "runtime/mrt_params.h"

#include <stdbool.h>

typedef struct mrt_matmul_plan {
    int64_t batches, rows, depth, columns;
    int rank;                             /* batch axes */
    int64_t dims[MRT_MAX_RANK];           /* of y */
    int64_t stride_a[MRT_MAX_RANK], stride_b[MRT_MAX_RANK]; /* in matrices, 0 = broadcast */
    int64_t batches_a, batches_b;         /* matrices of a and b */
} mrt_matmul_plan;

/* Index of the matrix that batch `batch` of y reads. */
static inline int64_t mrt_matmul_matrix(const mrt_matmul_plan *plan, const int64_t *stride,
                                        int64_t batch) {
    int64_t at = 0;
    for (int i = plan->rank - 1; i >= 0; --i) {
        at += batch % plan->dims[i] * stride[i];
        batch /= plan->dims[i];
    }
    return at;
}

/* Scratch for any instruction set; false on overflow. */
bool mrt_matmul_tiles_scratch(const mrt_matmul_plan *plan, size_t *out_bytes);
/* matmul_int, or matmul_real with `real`, for sums that fit int32: depth * 255 * 255 + |bias| <=
 * INT32_MAX. */
void mrt_matmul_tiles_run(const mrt_matmul_plan *plan, const mrt_matmul_int_params *params,
                          const mrt_matmul_real_params *real, const mrt_call *call);

#endif
