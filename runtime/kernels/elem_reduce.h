/* The accumulation loops of reduce, one set per (kind, type) (private).
 *
 * Order of float sums, which depends on shapes only: accumulators are double. A reduced run of n
 * contiguous elements goes to 16 lanes, element i to lane i mod 16 (one lane when n < 16); further
 * runs continue on the same lanes; at the end lane l takes lane l + 8, then l + 4, l + 2, l + 1.
 * When the innermost axis is kept, every result adds its elements in index order. One rounding to
 * the element type at the end. Integer sums and products are exact modulo 2^64, then narrowed. */
#ifndef MRT_ELEM_REDUCE_H
#define MRT_ELEM_REDUCE_H

#include "runtime/mrt_tensor.h"

enum { MRT_REDUCE_LANES = 16, MRT_REDUCE_BLOCK = 256 };

typedef enum mrt_fold_kind {
    MRT_FOLD_SUM, MRT_FOLD_ABS, MRT_FOLD_SQUARE, MRT_FOLD_PROD, MRT_FOLD_MAX, MRT_FOLD_MIN,
    MRT_FOLD_EXP, /* sum of exp(x - shift) */
    MRT_FOLD_KINDS
} mrt_fold_kind;

/* Accumulators are double for floats, uint64_t for integers, the element type for MAX and MIN;
 * `shift` is an array of doubles (one entry for `run`, one per column for `columns`). */
typedef struct mrt_fold {
    void (*init)(void *acc, int64_t n);
    void (*run)(const void *x, int64_t n, void *acc, const double *shift);
    void (*columns)(const void *x, int64_t n, void *acc, const double *shift);
    void (*join)(void *acc); /* all lanes into the first */
} mrt_fold;

/* NULL when the type has no such fold. */
const mrt_fold *mrt_fold_find(mrt_fold_kind kind, mrt_dtype dtype);

#endif
