/* What the runtime uses of OpenBLAS, as plain loops: cross-built tests need no such library. */
#ifndef NEON_CBLAS_H
#define NEON_CBLAS_H

enum CBLAS_ORDER { CblasRowMajor = 101 };
enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 };

static inline int openblas_get_num_threads(void) { return 1; }
static inline void openblas_set_num_threads(int threads) { (void)threads; }

static inline void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE trans_a,
                               enum CBLAS_TRANSPOSE trans_b, int m, int n, int k, float alpha,
                               const float *a, int lda, const float *b, int ldb, float beta,
                               float *c, int ldc) {
    (void)order;
    for (long i = 0; i < m; ++i) {
        for (long j = 0; j < n; ++j) {
            float sum = 0;
            for (long d = 0; d < k; ++d) {
                sum += a[trans_a == CblasTrans ? d * lda + i : i * lda + d] *
                       b[trans_b == CblasTrans ? j * ldb + d : d * ldb + j];
            }
            /* c is not read where it does not count */
            c[i * ldc + j] = alpha * sum + (beta == 0.0f ? 0.0f : beta * c[i * ldc + j]);
        }
    }
}

static inline void cblas_sgemv(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE trans, int m, int n,
                               float alpha, const float *a, int lda, const float *x, int x_step,
                               float beta, float *y, int y_step) {
    const int rows = trans == CblasTrans ? n : m, depth = trans == CblasTrans ? m : n;
    (void)order;
    for (long i = 0; i < rows; ++i) {
        float sum = 0;
        for (long d = 0; d < depth; ++d) {
            sum += a[trans == CblasTrans ? d * lda + i : i * lda + d] * x[d * x_step];
        }
        y[i * y_step] = alpha * sum + (beta == 0.0f ? 0.0f : beta * y[i * y_step]);
    }
}

#endif
