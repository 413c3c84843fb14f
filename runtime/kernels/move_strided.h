/* Strided copies: the one engine under copy, permute, slice, concat, expand, tile and the
 * depth/space kernels.
 *
 * Moves dst[sum(i*dst_stride)] = src[sum(i*src_stride)] for every index i of `dims`. Elements are
 * opaque bytes. Source strides may be zero (broadcast) or negative (reversed slices); destination
 * strides are positive and never make two indices meet. Source and destination do not overlap. */
#ifndef MRT_MOVE_STRIDED_H
#define MRT_MOVE_STRIDED_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/mrt_pool.h"

#define MRT_STRIDED_RANK 16

typedef struct mrt_strided {
    int rank;                                                        /* <= MRT_STRIDED_RANK */
    int64_t dims[MRT_STRIDED_RANK];
    int64_t src[MRT_STRIDED_RANK], dst[MRT_STRIDED_RANK];            /* strides in elements */
    int64_t elem;                                                    /* bytes per element */
} mrt_strided;

/* Appends an axis behind the existing ones. */
static inline void mrt_strided_push(mrt_strided *plan, int64_t dim, int64_t src, int64_t dst) {
    plan->dims[plan->rank] = dim;
    plan->src[plan->rank] = src;
    plan->dst[plan->rank] = dst;
    plan->rank++;
}

/* Sets the destination strides to those of a dense row-major tensor of `dims`. */
void mrt_strided_dense_dst(mrt_strided *plan);

/* Runs the copy on the pool (NULL: serial). `plan` is taken by value; axes are merged inside. */
void mrt_strided_copy(mrt_pool *pool, mrt_strided plan, const void *src, void *dst);

/* Writes `count` copies of the `unit` bytes at `value` to dst. */
void mrt_move_fill(void *dst, const void *value, int64_t unit, int64_t count);

#endif
