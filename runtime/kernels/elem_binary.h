/* The loop generator of binary element-wise functions and the tables it fills (private). */
#ifndef MRT_ELEM_BINARY_H
#define MRT_ELEM_BINARY_H

#include "runtime/mrt_tensor.h"

/* A block: rows * cols results, dense. Along a row an operand moves by 1 or stays (col 0); when
 * both stay, cols is 1. */
typedef struct mrt_binary_block {
    int64_t rows, cols;
    int64_t a_row, b_row; /* elements */
    int a_col, b_col;     /* 0 or 1 */
} mrt_binary_block;

typedef void mrt_binary_fn(const void *a, const void *b, void *y, const mrt_binary_block *block);

/* The function of (mrt_binary, type) or NULL; GT and GE are LT and LE of swapped operands. */
mrt_binary_fn *mrt_binary_float(int64_t op, mrt_dtype dtype);
mrt_binary_fn *mrt_binary_int(int64_t op, mrt_dtype dtype);

#define MRT_BINARY_LOOP(LEFT, RIGHT, TX, TY, EXPR)                                                 \
    for (int64_t i = 0; i < block->cols; i++) {                                                    \
        const TX u = LEFT, v = RIGHT;                                                              \
        y[i] = (TY)(EXPR);                                                                         \
    }

/* Defines OP_TAG with y = EXPR of u (left) and v (right). */
#define MRT_BINARY_FN(ATTRIBUTE, OP, TAG, TX, TY, EXPR)                                            \
    ATTRIBUTE static void OP##_##TAG(const void *pa, const void *pb, void *py,                     \
                                     const mrt_binary_block *block) {                              \
        const TX *a = pa, *b = pb;                                                                 \
        TY *restrict y = py;                                                                       \
        for (int64_t r = 0; r < block->rows; r++) {                                                \
            if (block->a_col == block->b_col) {                                                    \
                MRT_BINARY_LOOP(a[i], b[i], TX, TY, EXPR)                                          \
            } else if (block->a_col) {                                                             \
                const TX right = *b;                                                               \
                MRT_BINARY_LOOP(a[i], right, TX, TY, EXPR)                                         \
            } else {                                                                               \
                const TX left = *a;                                                                \
                MRT_BINARY_LOOP(left, b[i], TX, TY, EXPR)                                          \
            }                                                                                      \
            a += block->a_row;                                                                     \
            b += block->b_row;                                                                     \
            y += block->cols;                                                                      \
        }                                                                                          \
    }

#endif
