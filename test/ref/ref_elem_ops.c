#include "test/ref/ref_elem_ops.h"

#include <math.h>

static float as_f32(double v) { return (float)v; }

double ref_binary_float(int64_t op, mrt_dtype dtype, double a, double b) {
    double r;
    switch (op) {
    case MRT_BINARY_ADD:
        r = a + b;
        break;
    case MRT_BINARY_SUB:
        r = a - b;
        break;
    case MRT_BINARY_MUL:
        r = a * b;
        break;
    case MRT_BINARY_DIV:
        r = a / b;
        break;
    case MRT_BINARY_POW:
        r = pow(a, b);
        break;
    case MRT_BINARY_MAX:
        r = a != a || b != b ? (double)NAN : fmax(a, b);
        break;
    case MRT_BINARY_MIN:
        r = a != a || b != b ? (double)NAN : fmin(a, b);
        break;
    case MRT_BINARY_MOD:
        r = fmod(a, b);
        if (r != 0 && (r < 0) != (b < 0)) {
            r = dtype == MRT_F32 ? (double)as_f32(r + b) : r + b;
        } else if (r == 0) {
            r = copysign(0.0, b);
        }
        break;
    case MRT_BINARY_FMOD:
        r = fmod(a, b);
        break;
    case MRT_BINARY_PRELU:
        r = a < 0 ? a * b : a;
        break;
    default:
        r = atan2(a, b);
    }
    /* double has more than twice the digits of float: one more rounding changes nothing */
    return dtype == MRT_F32 ? (double)as_f32(r) : r;
}

static int width(mrt_dtype dtype) { return 8 * (int)ref_elem_bytes(dtype); }

static uint64_t int_divide(int64_t op, bool is_signed, uint64_t a, uint64_t b) {
    if (b == 0) {
        return 0;
    }
    if (!is_signed) {
        return op == MRT_BINARY_DIV ? a / b : a % b;
    }
    /* On magnitudes, then signs. */
    const bool na = a >> 63, nb = b >> 63;
    const uint64_t ua = na ? 0 - a : a, ub = nb ? 0 - b : b;
    if (op == MRT_BINARY_DIV) {
        return na != nb ? 0 - ua / ub : ua / ub;
    }
    const uint64_t rest = ua % ub;
    const uint64_t r = na ? 0 - rest : rest;
    return op == MRT_BINARY_MOD && rest != 0 && na != nb ? r + b : r;
}

static uint64_t int_power(bool is_signed, uint64_t a, uint64_t b) {
    if (is_signed && b >> 63) {
        return a == 1 ? 1 : a == UINT64_MAX ? (b & 1 ? a : 1) : 0;
    }
    uint64_t r = 1;
    for (uint64_t i = 0; i < b && i < 300; i++) {
        r *= a;
    }
    return r;
}

uint64_t ref_binary_int(int64_t op, mrt_dtype dtype, uint64_t a, uint64_t b) {
    const bool is_signed = !ref_is_unsigned(dtype);
    const bool less = is_signed ? (int64_t)a < (int64_t)b : a < b;
    switch (op) {
    case MRT_BINARY_ADD:
        return a + b;
    case MRT_BINARY_SUB:
        return a - b;
    case MRT_BINARY_MUL:
        return a * b;
    case MRT_BINARY_DIV:
    case MRT_BINARY_MOD:
    case MRT_BINARY_FMOD:
        return int_divide(op, is_signed, a, b);
    case MRT_BINARY_POW:
        return int_power(is_signed, a, b);
    case MRT_BINARY_MAX:
        return less ? b : a;
    case MRT_BINARY_MIN:
        return less ? a : b;
    case MRT_BINARY_AND:
    case MRT_BINARY_BIT_AND:
        return a & b;
    case MRT_BINARY_OR:
    case MRT_BINARY_BIT_OR:
        return a | b;
    case MRT_BINARY_XOR:
    case MRT_BINARY_BIT_XOR:
        return a ^ b;
    case MRT_BINARY_SHIFT_LEFT:
        return b >= (uint64_t)width(dtype) ? 0 : a << b;
    case MRT_BINARY_SHIFT_RIGHT:
        if (b >= (uint64_t)width(dtype)) {
            return is_signed && a >> 63 ? UINT64_MAX : 0;
        }
        return is_signed ? (uint64_t)((int64_t)a >> b) : a >> b;
    default: /* PRELU */
        return is_signed && a >> 63 ? a * b : a;
    }
}

static bool compare(int64_t op, bool less, bool equal, bool greater) {
    switch (op) {
    case MRT_BINARY_EQ:
        return equal;
    case MRT_BINARY_NE:
        return !equal;
    case MRT_BINARY_LT:
        return less;
    case MRT_BINARY_LE:
        return less || equal;
    case MRT_BINARY_GT:
        return greater;
    default:
        return greater || equal;
    }
}

void ref_binary(int64_t op, const mrt_tensor *a, const mrt_tensor *b, mrt_tensor *y) {
    const bool compares = op >= MRT_BINARY_EQ && op <= MRT_BINARY_GE;
    for (int64_t i = 0; i < ref_count(y); i++) {
        int64_t index[MRT_MAX_RANK];
        ref_unravel(y, i, index);
        const int64_t ia = ref_broadcast(a, index, y->shape.rank);
        const int64_t ib = ref_broadcast(b, index, y->shape.rank);
        if (ref_is_float(a->dtype)) {
            const double u = ref_load(a, ia), v = ref_load(b, ib);
            if (compares) {
                ref_store(y, i, compare(op, u < v, u == v, u > v));
            } else {
                ref_store(y, i, ref_binary_float(op, a->dtype, u, v));
            }
            continue;
        }
        const uint64_t u = ref_load_bits(a, ia), v = ref_load_bits(b, ib);
        const bool less = ref_is_unsigned(a->dtype) ? u < v : (int64_t)u < (int64_t)v;
        ref_store_bits(y, i, compares ? (uint64_t)compare(op, less, u == v, !less && u != v)
                                      : ref_binary_int(op, a->dtype, u, v));
    }
}

static double sigmoid(double v) { return 1 / (1 + exp(-v)); }
static double softplus(double v) { return fmax(v, 0) + log1p(exp(-fabs(v))); }

static double ref_activation(const mrt_unary_params *p, double v) {
    const double a = p->alpha, b = p->beta;
    switch (p->op) {
    case MRT_UNARY_RELU:
        return v != v ? v : b >= 0 ? fmin(fmax(v, 0), b) : fmax(v, 0);
    case MRT_UNARY_LEAKY_RELU:
        return v < 0 ? a * v : v;
    case MRT_UNARY_ELU:
        return v < 0 ? a * expm1(v) : v;
    case MRT_UNARY_SELU:
        return v > 0 ? b * v : b * a * expm1(v);
    case MRT_UNARY_CELU:
        return v != v ? v : fmax(0, v) + fmin(0, a * expm1(v / a));
    case MRT_UNARY_THRESHOLDED_RELU:
        return v > a ? v : 0;
    case MRT_UNARY_SIGMOID:
        return sigmoid(v);
    case MRT_UNARY_HARD_SIGMOID:
        return v != v ? v : fmax(0, fmin(1, a * v + b));
    case MRT_UNARY_HARD_SWISH:
        return v != v ? v : v * fmax(0, fmin(1, v / 6 + 0.5));
    case MRT_UNARY_SWISH:
        return v * sigmoid(a * v);
    case MRT_UNARY_QUICK_GELU:
        return v * sigmoid(1.702 * v);
    case MRT_UNARY_MISH:
        return v * tanh(softplus(v));
    case MRT_UNARY_GELU:
        return 0.5 * v * erfc(-v / sqrt(2));
    case MRT_UNARY_GELU_TANH:
        return v * sigmoid(2 * sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v));
    case MRT_UNARY_SOFTPLUS:
        return softplus(v);
    case MRT_UNARY_LOG_SIGMOID:
        return -softplus(-v);
    case MRT_UNARY_SOFTSIGN:
        return v / (1 + fabs(v));
    case MRT_UNARY_CLIP:
        return v != v ? v : v < a ? a : v > b ? b : v;
    case MRT_UNARY_SHRINK:
        return v < -a ? v + b : v > a ? v - b : 0;
    default:
        return v;
    }
}

double ref_unary_float(const mrt_unary_params *p, double v) {
    switch (p->op) {
    case MRT_UNARY_TANH:
        return tanh(v);
    case MRT_UNARY_ERF:
        return erf(v);
    case MRT_UNARY_EXP:
        return exp(v);
    case MRT_UNARY_LOG:
        return log(v);
    case MRT_UNARY_SQRT:
        return sqrt(v);
    case MRT_UNARY_RSQRT:
        return 1 / sqrt(v);
    case MRT_UNARY_RECIPROCAL:
        return 1 / v;
    case MRT_UNARY_ABS:
        return fabs(v);
    case MRT_UNARY_NEG:
        return -v;
    case MRT_UNARY_SIGN:
        return v != v ? v : (double)((v > 0) - (v < 0));
    case MRT_UNARY_CEIL:
        return ceil(v);
    case MRT_UNARY_FLOOR:
        return floor(v);
    case MRT_UNARY_ROUND:
        return v - remainder(v, 1);
    case MRT_UNARY_SIN:
        return sin(v);
    case MRT_UNARY_COS:
        return cos(v);
    case MRT_UNARY_TAN:
        return tan(v);
    case MRT_UNARY_ASIN:
        return asin(v);
    case MRT_UNARY_ACOS:
        return acos(v);
    case MRT_UNARY_ATAN:
        return atan(v);
    case MRT_UNARY_SINH:
        return sinh(v);
    case MRT_UNARY_COSH:
        return cosh(v);
    case MRT_UNARY_ASINH:
        return asinh(v);
    case MRT_UNARY_ACOSH:
        return acosh(v);
    case MRT_UNARY_ATANH:
        return atanh(v);
    case MRT_UNARY_SQUARE:
        return v * v;
    case MRT_UNARY_IS_NAN:
        return v != v;
    case MRT_UNARY_IS_INF:
        return isinf(v) && (v > 0 ? p->beta != 0 : p->alpha != 0);
    default:
        return ref_activation(p, v);
    }
}

uint64_t ref_unary_int(const mrt_unary_params *p, mrt_dtype dtype, uint64_t v) {
    const bool negative = !ref_is_unsigned(dtype) && v >> 63;
    switch (p->op) {
    case MRT_UNARY_ABS:
        return negative ? 0 - v : v;
    case MRT_UNARY_NEG:
        return 0 - v;
    case MRT_UNARY_SIGN:
        return negative ? UINT64_MAX : v != 0;
    case MRT_UNARY_SQUARE:
        return v * v;
    case MRT_UNARY_BIT_NOT:
        return ~v;
    case MRT_UNARY_NOT:
        return v == 0;
    case MRT_UNARY_RELU:
        return negative ? 0 : p->beta >= 0 && v > (uint64_t)p->beta ? (uint64_t)p->beta : v;
    default: { /* CLIP with bounds and values below 2^53 */
        const double x = ref_is_unsigned(dtype) ? (double)v : (double)(int64_t)v;
        const double y = fmin(fmax(x, p->alpha), p->beta);
        return ref_is_unsigned(dtype) ? (uint64_t)fmax(y, 0) : (uint64_t)(int64_t)y;
    }
    }
}
