/* unary: element-wise functions of one tensor. One loop per (function, type), generated below; the
 * table says which exist. f32 goes through runtime/mrt_math.h and has the same bits on every
 * machine; f64 uses libm for the transcendental functions. Integers wrap on overflow. */
#include "runtime/kernels/elem_cast.h"
#include "runtime/kernels/elem_util.h"
#include "runtime/mrt_math.h"

/* Parameters converted to the element type; RELU has become CLIP. */
typedef struct coefs {
    unsigned char alpha[8], beta[8];
} coefs;

/* clang warns about every loop of MRT_IVDEP that it does not vectorize; some here cannot be. */
#if defined(__clang__)
#define ELEM_IVDEP
#else
#define ELEM_IVDEP MRT_IVDEP
#endif

/* y may be x. */
typedef void unary_fn(const void *x, void *y, int64_t n, const coefs *c);

#define UNARY_LOOP(ATTRIBUTE, OP, TAG, TX, TY, EXPR)                                               \
    ATTRIBUTE static void OP##_##TAG(const void *px, void *py, int64_t n, const coefs *c) {       \
        const TX *x = px;                                                                          \
        TY *y = py;                                                                                \
        TX alpha, beta;                                                                            \
        memcpy(&alpha, c->alpha, sizeof alpha);                                                    \
        memcpy(&beta, c->beta, sizeof beta);                                                       \
        (void)alpha;                                                                               \
        (void)beta;                                                                                \
        ELEM_IVDEP                                                                                 \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const TX v = x[i];                                                                     \
            y[i] = (TY)(EXPR);                                                                     \
        }                                                                                          \
    }
#define UNARY(OP, TAG, TX, TY, EXPR) UNARY_LOOP(MRT_CLONES, OP, TAG, TX, TY, EXPR)
#define UNARY_F64(OP, TAG, TX, TY, EXPR) UNARY_LOOP(, OP, TAG, TX, TY, EXPR)
#define UNARY_VEC(OP, NAME)                                                                        \
    static void OP##_F32(const void *x, void *y, int64_t n, const coefs *c) {                      \
        (void)c;                                                                                   \
        mrt_vec_##NAME(x, y, n);                                                                   \
    }

/* Functions that mrt_math.h has as arrays. */
#define VEC_LIST(X)                                                                                \
    X(SIGMOID, sigmoid) X(LOG_SIGMOID, log_sigmoid) X(MISH, mish) X(GELU, gelu)                    \
    X(GELU_TANH, gelu_tanh) X(SOFTPLUS, softplus) X(TANH, tanh) X(ERF, erf) X(EXP, exp)            \
    X(LOG, log) X(SIN, sin) X(COS, cos) X(TAN, tan) X(ASIN, asin) X(ACOS, acos) X(ATAN, atan)      \
    X(SINH, sinh) X(COSH, cosh) X(ASINH, asinh) X(ACOSH, acosh) X(ATANH, atanh)
#define X(OP, name) UNARY_VEC(OP, name)
VEC_LIST(X)
#undef X

/* One formula for both float types: F(name) is the function of the type, v the element. */
#define F_F32(name) mrt_##name##f
#define F_F64(name) name
#define MATH_LIST(X, TAG, T, F)                                                                    \
    X(LEAKY_RELU, TAG, T, T, v < 0 ? alpha * v : v)                                                \
    X(ELU, TAG, T, T, v < 0 ? alpha *F(expm1)(v) : v)                                              \
    X(SELU, TAG, T, T, v > 0 ? beta * v : beta * (alpha * F(expm1)(v)))                            \
    X(CELU, TAG, T, T, v < 0 ? alpha *F(expm1)(v / alpha) : v)                                     \
    X(THRESHOLDED_RELU, TAG, T, T, v > alpha ? v : 0)                                              \
    X(HARD_SIGMOID, TAG, T, T, unit_##TAG(alpha *v + beta))                                        \
    X(HARD_SWISH, TAG, T, T, v *(six_##TAG(v + 3) * (T)(1.0 / 6.0)))                               \
    X(SWISH, TAG, T, T, swish_##TAG(v, alpha))                                                     \
    X(QUICK_GELU, TAG, T, T, swish_##TAG(v, 1.702))                                                \
    X(SOFTSIGN, TAG, T, T, v / (1 + (v < 0 ? -v : v)))                                             \
    X(SQRT, TAG, T, T, root_##TAG(v))                                                              \
    X(RSQRT, TAG, T, T, 1.0 / sqrt((double)v))                                                     \
    X(RECIPROCAL, TAG, T, T, 1 / v)                                                                \
    X(ABS, TAG, T, T, magnitude_##TAG(v))                                                          \
    X(NEG, TAG, T, T, -v)                                                                          \
    X(SIGN, TAG, T, T, v > 0 ? 1 : v < 0 ? -1 : v)                                                 \
    X(CEIL, TAG, T, T, ceil_##TAG(v))                                                              \
    X(FLOOR, TAG, T, T, floor_##TAG(v))                                                            \
    X(ROUND, TAG, T, T, rint_##TAG(v))                                                             \
    X(CLIP, TAG, T, T, v < alpha ? alpha : v > beta ? beta : v)                                    \
    X(SQUARE, TAG, T, T, v *v)                                                                     \
    X(SHRINK, TAG, T, T, v < -alpha ? v + beta : v > alpha ? v - beta : 0)                         \
    X(IS_NAN, TAG, T, uint8_t, v != v)                                                             \
    X(IS_INF, TAG, T, uint8_t, (v == (T)INFINITY && beta != 0) || (v == -(T)INFINITY && alpha != 0))

#define FLOAT_HELPERS(TAG, T, SUFFIX)                                                              \
    MRT_INLINE T unit_##TAG(T v) { return v < 0 ? 0 : v > 1 ? 1 : v; }                             \
    MRT_INLINE T six_##TAG(T v) { return v < 0 ? 0 : v > 6 ? 6 : v; }                              \
    MRT_INLINE T root_##TAG(T v) { return sqrt##SUFFIX(v); }                                       \
    MRT_INLINE T magnitude_##TAG(T v) { return fabs##SUFFIX(v); }                                  \
    MRT_INLINE T ceil_##TAG(T v) { return ceil##SUFFIX(v); }                                       \
    MRT_INLINE T floor_##TAG(T v) { return floor##SUFFIX(v); }                                     \
    MRT_INLINE T rint_##TAG(T v) { return rint##SUFFIX(v); } /* half to even */
FLOAT_HELPERS(F32, float, f)
FLOAT_HELPERS(F64, double, )

/* v / (1 + e^(-alpha v)) in double, one rounding; 0 at -infinity. */
MRT_INLINE float swish_F32(float v, double alpha) {
    const double d = mrt_pick_((double)v < -(double)FLT_MAX, -(double)FLT_MAX, (double)v);
    return mrt_round_(d / (1.0 + mrt_d_exp_(mrt_clamp_(-alpha * d, -300.0, 300.0))));
}
static double swish_F64(double v, double alpha) { return v / (1.0 + exp(-alpha * v)); }

static double sigmoid(double v) { return 1.0 / (1.0 + exp(-v)); }
static double softplus(double v) { return (v > 0 ? v : 0) + log1p(exp(-fabs(v))); }

MATH_LIST(UNARY, F32, float, F_F32)
MATH_LIST(UNARY_F64, F64, double, F_F64)
#define F64_LIST(X)                                                                                \
    X(SIGMOID, sigmoid(v))                                                                         \
    X(LOG_SIGMOID, -softplus(-v))                                                                  \
    X(MISH, v *tanh(softplus(v)))                                                                  \
    X(GELU, 0.5 * v * (1 + erf(v * 0x1.6a09e667f3bcdp-1)))                                         \
    X(GELU_TANH, v *sigmoid(0x1.9884533d43651p+0 * (v + 0.044715 * v * v * v)))                    \
    X(SOFTPLUS, softplus(v)) X(TANH, tanh(v)) X(ERF, erf(v)) X(EXP, exp(v)) X(LOG, log(v))         \
    X(SIN, sin(v)) X(COS, cos(v)) X(TAN, tan(v)) X(ASIN, asin(v)) X(ACOS, acos(v))                 \
    X(ATAN, atan(v)) X(SINH, sinh(v)) X(COSH, cosh(v)) X(ASINH, asinh(v)) X(ACOSH, acosh(v))       \
    X(ATANH, atanh(v))
#define X(OP, EXPR) UNARY_F64(OP, F64, double, double, EXPR)
F64_LIST(X)
#undef X

/* Integers: U is an unsigned type of at least that width that is not promoted to int. */
#define INT_LIST(X, TAG, T, U)                                                                     \
    X(ABS, TAG, T, T, v < 0 ? 0 - (U)v : (U)v)                                                     \
    X(NEG, TAG, T, T, 0 - (U)v)                                                                    \
    X(SIGN, TAG, T, T, (v > 0) - (v < 0))                                                          \
    X(CLIP, TAG, T, T, v < alpha ? alpha : v > beta ? beta : v)                                    \
    X(SQUARE, TAG, T, T, (U)v *(U)v)                                                               \
    X(BIT_NOT, TAG, T, T, ~v)
#define UINT_LIST(X, TAG, T, U)                                                                    \
    X(ABS, TAG, T, T, v)                                                                           \
    X(NEG, TAG, T, T, 0 - (U)v)                                                                    \
    X(SIGN, TAG, T, T, v > 0)                                                                      \
    X(CLIP, TAG, T, T, v < alpha ? alpha : v > beta ? beta : v)                                    \
    X(SQUARE, TAG, T, T, (U)v *(U)v)                                                               \
    X(BIT_NOT, TAG, T, T, ~v)
INT_LIST(UNARY, I8, int8_t, uint32_t)
INT_LIST(UNARY, I16, int16_t, uint32_t)
INT_LIST(UNARY, I32, int32_t, uint32_t)
INT_LIST(UNARY, I64, int64_t, uint64_t)
UINT_LIST(UNARY, U8, uint8_t, uint32_t)
UINT_LIST(UNARY, U16, uint16_t, uint32_t)
UINT_LIST(UNARY, U32, uint32_t, uint32_t)
UINT_LIST(UNARY, U64, uint64_t, uint64_t)
UNARY(NOT, BOOL, uint8_t, uint8_t, v == 0)

#define ENTRY(OP, TAG, TX, TY, EXPR) [MRT_UNARY_##OP][MRT_##TAG] = OP##_##TAG,
#define ENTRY_VEC(OP, name) [MRT_UNARY_##OP][MRT_F32] = OP##_F32,
#define ENTRY_F64(OP, EXPR) [MRT_UNARY_##OP][MRT_F64] = OP##_F64,
enum {
#define X(OP, code) + 1
    N_OPS = MRT_UNARY_LIST(X)
#undef X
};
static unary_fn *const functions[N_OPS][MRT_BOOL + 1] = {
    MATH_LIST(ENTRY, F32, float, F_F32)
    MATH_LIST(ENTRY, F64, double, F_F64)
    VEC_LIST(ENTRY_VEC)
    F64_LIST(ENTRY_F64)
    INT_LIST(ENTRY, I8, , )
    INT_LIST(ENTRY, I16, , )
    INT_LIST(ENTRY, I32, , )
    INT_LIST(ENTRY, I64, , )
    UINT_LIST(ENTRY, U8, , )
    UINT_LIST(ENTRY, U16, , )
    UINT_LIST(ENTRY, U32, , )
    UINT_LIST(ENTRY, U64, , )
    ENTRY(NOT, BOOL, , , )
};

/* RELU is CLIP from 0 to its limit. */
static int64_t base_op(const mrt_unary_params *p) {
    return p->op == MRT_UNARY_RELU ? MRT_UNARY_CLIP : p->op;
}

mrt_status mrt_unary_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_unary_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_param(p->op, "op", 0, N_OPS - 1, err));
    MRT_TRY(mrt_check_same_shape(y, "y", x, "x", err));
    MRT_TRY(mrt_elem_check_number(x, "x", err));
    if (functions[base_op(p)][x->dtype] == NULL) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': no unary function %" PRId64 " of %s",
                        p->op, mrt_dtype_name(x->dtype));
    }
    const bool test = p->op == MRT_UNARY_IS_NAN || p->op == MRT_UNARY_IS_INF;
    *out_scratch = 0;
    return mrt_check_dtype(y, "y", test ? MRT_BOOL : x->dtype, err);
}

typedef struct unary_job {
    const mrt_tensor *x, *y;
    unary_fn *fn;
    coefs c;
} unary_job;

/* Few, so that functions that take long are shared out. */
enum { TILE = 4096 };

static void unary_tile(void *context, int64_t tile) {
    const unary_job *j = context;
    const int64_t first = tile * TILE;
    const int64_t count = mrt_min64(mrt_shape_count(&j->x->shape) - first, TILE);
    j->fn(mrt_elem_at(j->x, first), mrt_elem_at(j->y, first), count, &j->c);
}

void mrt_unary_run(const mrt_call *call) {
    const mrt_unary_params *p = call->params;
    const bool relu = p->op == MRT_UNARY_RELU;
    const double alpha = relu ? 0 : p->alpha;
    const double beta = relu && p->beta < 0 ? (double)INFINITY : p->beta;
    unary_job j = {.x = call->in[0], .y = call->out[0],
                   .fn = functions[base_op(p)][call->in[0]->dtype]};
    mrt_cast_array(MRT_F64, &alpha, j.x->dtype, j.c.alpha, 1);
    mrt_cast_array(MRT_F64, &beta, j.x->dtype, j.c.beta, 1);
    const int64_t count = mrt_shape_count(&j.x->shape);
    mrt_parallel_for(call->pool, mrt_div_up(count, TILE), unary_tile, &j);
}
