/* One float matrix product on one thread: the building block of convolution, matmul and RNNs.
 *
 * Callers cut their work into blocks whose borders depend on shapes only and call this per block
 * from any thread of a pool, so results do not depend on the number of threads. */
#ifndef MRT_FLOAT_GEMM_H
#define MRT_FLOAT_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* c[m,n] = a[m,k] * b[k,n], row-major with leading dimensions in elements; a is stored as [k,m]
 * when trans_a, b as [n,k] when trans_b. c is overwritten and overlaps neither a nor b. */
typedef struct mrt_gemm {
    int64_t order; /* MRT_ORDER_BLAS or MRT_ORDER_WRITTEN */
    int64_t m, n, k;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float *c;
    int64_t ldc;
    bool trans_a, trans_b;
} mrt_gemm;

void mrt_gemm_f32(const mrt_gemm *g);

/* Rule float-dot: every element is 0 + a[0]*b[0] + a[1]*b[1] + ..., products and sums rounded to
 * float one by one in increasing k. The same bits on every machine. */
void mrt_gemm_written(const mrt_gemm *g);
/* The same with vectors of at most `bytes` bytes (16, 32, 64), for tests. */
void mrt_gemm_written_width(const mrt_gemm *g, int bytes);

/* Tells OpenBLAS to stay on the calling thread; called by every check that may use it. The
 * setting is the process's own, so embedders that share OpenBLAS see it too. */
void mrt_gemm_setup(void);

#endif
