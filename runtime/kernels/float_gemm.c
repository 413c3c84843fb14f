/* Matrix products by OpenBLAS, and vector forms where one side is a vector. */
#include "runtime/kernels/float_gemm.h"

#include "runtime/mrt_params.h"

#include <cblas.h>
#include <string.h>

void mrt_gemm_setup(void) {
    if (openblas_get_num_threads() != 1) {
        openblas_set_num_threads(1);
    }
}

static bool fits_blas(const mrt_gemm *g) {
    const int64_t limit = INT32_MAX;
    return g->m <= limit && g->n <= limit && g->k <= limit && g->lda <= limit && g->ldb <= limit &&
           g->ldc <= limit;
}

void mrt_gemm_f32(const mrt_gemm *g) {
    if (g->m <= 0 || g->n <= 0) {
        return;
    }
    if (g->order == MRT_ORDER_WRITTEN || g->k <= 0 || !fits_blas(g)) {
        mrt_gemm_written(g);
        return;
    }
    const int m = (int)g->m, n = (int)g->n, k = (int)g->k;
    const int lda = (int)g->lda, ldb = (int)g->ldb, ldc = (int)g->ldc;
    if (m == 1) {
        memset(g->c, 0, (size_t)n * sizeof(float));
        cblas_sgemv(CblasRowMajor, g->trans_b ? CblasNoTrans : CblasTrans, g->trans_b ? n : k,
                    g->trans_b ? k : n, 1.0f, g->b, ldb, g->a, g->trans_a ? lda : 1, 1.0f, g->c, 1);
        return;
    }
    if (n == 1) {
        for (int64_t i = 0; i < m; i++) {
            g->c[i * g->ldc] = 0.0f;
        }
        cblas_sgemv(CblasRowMajor, g->trans_a ? CblasTrans : CblasNoTrans, g->trans_a ? k : m,
                    g->trans_a ? m : k, 1.0f, g->a, lda, g->b, g->trans_b ? 1 : ldb, 1.0f, g->c,
                    ldc);
        return;
    }
    cblas_sgemm(CblasRowMajor, g->trans_a ? CblasTrans : CblasNoTrans,
                g->trans_b ? CblasTrans : CblasNoTrans, m, n, k, 1.0f, g->a, lda, g->b, ldb, 0.0f,
                g->c, ldc);
}
