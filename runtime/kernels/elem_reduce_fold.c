/* Accumulation loops of reduce; see elem_reduce.h for the order. */
#include "runtime/kernels/elem_reduce.h"

#include "runtime/kernels/elem_util.h"
#include "runtime/mrt_math.h"

#define LANES MRT_REDUCE_LANES

/* T: element, A: accumulator, TERM of v and s (shift), JOIN of accumulator a and term t. */
#define FOLD(ATTRIBUTE, KIND, TAG, T, A, FIRST, TERM, JOIN)                                        \
    static void init_##KIND##_##TAG(void *pacc, int64_t n) {                                       \
        A *acc = pacc;                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                          \
            acc[i] = FIRST;                                                                        \
        }                                                                                          \
    }                                                                                              \
    ATTRIBUTE static void run_##KIND##_##TAG(const void *px, int64_t n, void *pacc,                \
                                             const double *shift) {                                \
        const T *x = px;                                                                           \
        A *out = pacc;                                                                             \
        const double s = *shift;                                                                   \
        (void)s;                                                                                   \
        if (n < LANES) {                                                                           \
            A a = out[0];                                                                          \
            for (int64_t i = 0; i < n; i++) {                                                      \
                const T v = x[i];                                                                  \
                const A t = TERM;                                                                  \
                a = JOIN;                                                                          \
            }                                                                                      \
            out[0] = a;                                                                            \
            return;                                                                                \
        }                                                                                          \
        A acc[LANES];                                                                              \
        memcpy(acc, out, sizeof acc);                                                              \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= n; i += LANES) {                                                       \
            for (int l = 0; l < LANES; l++) {                                                      \
                const T v = x[i + l];                                                              \
                const A a = acc[l], t = TERM;                                                      \
                acc[l] = JOIN;                                                                     \
            }                                                                                      \
        }                                                                                          \
        for (int l = 0; i + l < n; l++) {                                                          \
            const T v = x[i + l];                                                                  \
            const A a = acc[l], t = TERM;                                                          \
            acc[l] = JOIN;                                                                         \
        }                                                                                          \
        memcpy(out, acc, sizeof acc);                                                              \
    }                                                                                              \
    ATTRIBUTE static void columns_##KIND##_##TAG(const void *px, int64_t n, void *pacc,            \
                                                 const double *shift) {                            \
        const T *restrict x = px;                                                                  \
        A *restrict acc = pacc;                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const double s = shift[i];                                                             \
            const T v = x[i];                                                                      \
            const A a = acc[i], t = TERM;                                                          \
            acc[i] = JOIN;                                                                         \
            (void)s;                                                                               \
        }                                                                                          \
    }                                                                                              \
    static void join_##KIND##_##TAG(void *pacc) {                                                  \
        A *acc = pacc;                                                                             \
        for (int step = LANES / 2; step > 0; step /= 2) {                                          \
            for (int l = 0; l < step; l++) {                                                       \
                const A a = acc[l], t = acc[l + step];                                             \
                acc[l] = JOIN;                                                                     \
            }                                                                                      \
        }                                                                                          \
    }

/* A NaN stays once it is in. */
#define MAX_JOIN t > a || t != t ? t : a
#define MIN_JOIN t < a || t != t ? t : a

/* The difference in the element type and one rounding of exp, as softmax has it. */
MRT_INLINE double exp_F32(float v, double s) { return (double)mrt_expf(v - (float)s); }
static inline double exp_F64(double v, double s) { return exp(v - s); }

#define FLOAT_LIST(X, CLONES, TAG, T)                                                              \
    X(CLONES, SUM, TAG, T, double, 0, v, a + t)                                                    \
    X(CLONES, ABS, TAG, T, double, 0, fabs((double)v), a + t)                                      \
    X(CLONES, SQUARE, TAG, T, double, 0, (double)v *(double)v, a + t)                              \
    X(, PROD, TAG, T, double, 1, v, a *t)                                                          \
    X(CLONES, MAX, TAG, T, T, -(T)INFINITY, v, MAX_JOIN)                                           \
    X(CLONES, MIN, TAG, T, T, (T)INFINITY, v, MIN_JOIN)                                            \
    X(CLONES, EXP, TAG, T, double, 0, exp_##TAG(v, s), a + t)
#define ORDER_LIST(X, TAG, T, LOW, HIGH)                                                           \
    X(, MAX, TAG, T, T, LOW, v, t > a ? t : a)                                                     \
    X(, MIN, TAG, T, T, HIGH, v, t < a ? t : a)
#define INT_LIST(X, TAG, T)                                                                        \
    X(, SUM, TAG, T, uint64_t, 0, (uint64_t)v, a + t)                                              \
    X(, ABS, TAG, T, uint64_t, 0, v < 1 ? 0 - (uint64_t)v : (uint64_t)v, a + t)                    \
    X(, SQUARE, TAG, T, uint64_t, 0, (uint64_t)v *(uint64_t)v, a + t)                              \
    X(, PROD, TAG, T, uint64_t, 1, (uint64_t)v, a *t)                                              \
    X(, EXP, TAG, T, double, 0, exp((double)v - s), a + t)

FLOAT_LIST(FOLD, MRT_CLONES, F32, float)
FLOAT_LIST(FOLD, , F64, double)
INT_LIST(FOLD, I32, int32_t)
INT_LIST(FOLD, I64, int64_t)
INT_LIST(FOLD, U32, uint32_t)
INT_LIST(FOLD, U64, uint64_t)
ORDER_LIST(FOLD, I8, int8_t, INT8_MIN, INT8_MAX)
ORDER_LIST(FOLD, I16, int16_t, INT16_MIN, INT16_MAX)
ORDER_LIST(FOLD, I32, int32_t, INT32_MIN, INT32_MAX)
ORDER_LIST(FOLD, I64, int64_t, INT64_MIN, INT64_MAX)
ORDER_LIST(FOLD, U8, uint8_t, 0, UINT8_MAX)
ORDER_LIST(FOLD, U16, uint16_t, 0, UINT16_MAX)
ORDER_LIST(FOLD, U32, uint32_t, 0, UINT32_MAX)
ORDER_LIST(FOLD, U64, uint64_t, 0, UINT64_MAX)
ORDER_LIST(FOLD, BOOL, uint8_t, 0, 1)

#define ENTRY(CLONES, KIND, TAG, T, A, FIRST, TERM, JOIN)                                          \
    [MRT_FOLD_##KIND][MRT_##TAG] = {init_##KIND##_##TAG, run_##KIND##_##TAG,                       \
                                    columns_##KIND##_##TAG, join_##KIND##_##TAG},
static const mrt_fold folds[MRT_FOLD_KINDS][MRT_BOOL + 1] = {
    FLOAT_LIST(ENTRY, , F32, )
    FLOAT_LIST(ENTRY, , F64, )
    INT_LIST(ENTRY, I32, )
    INT_LIST(ENTRY, I64, )
    INT_LIST(ENTRY, U32, )
    INT_LIST(ENTRY, U64, )
    ORDER_LIST(ENTRY, I8, , , )
    ORDER_LIST(ENTRY, I16, , , )
    ORDER_LIST(ENTRY, I32, , , )
    ORDER_LIST(ENTRY, I64, , , )
    ORDER_LIST(ENTRY, U8, , , )
    ORDER_LIST(ENTRY, U16, , , )
    ORDER_LIST(ENTRY, U32, , , )
    ORDER_LIST(ENTRY, U64, , , )
    ORDER_LIST(ENTRY, BOOL, , , )
};

const mrt_fold *mrt_fold_find(mrt_fold_kind kind, mrt_dtype dtype) {
    if (dtype > MRT_BOOL || folds[kind][dtype].run == NULL) {
        return NULL;
    }
    return &folds[kind][dtype];
}
