/* Oracles of where, cast, reduce, pooling and order. */
#include "test/ref/ref_elem_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ref_where(const mrt_tensor *c, const mrt_tensor *a, const mrt_tensor *b, mrt_tensor *y) {
    for (int64_t i = 0; i < ref_count(y); i++) {
        int64_t index[MRT_MAX_RANK];
        const int rank = y->shape.rank;
        ref_unravel(y, i, index);
        const bool first = ref_load_bits(c, ref_broadcast(c, index, rank)) != 0;
        const mrt_tensor *from = first ? a : b;
        ref_copy_elem(y, i, from, ref_broadcast(from, index, rank));
    }
}

static void reduce_one(int64_t mode, mrt_dtype dtype, const double *v, int64_t n, mrt_tensor *y,
                       int64_t to) {
    const bool real = ref_is_float(dtype);
    const double huge = (double)INFINITY;
    double high = -huge, low = huge;
    long double sum = 0, magnitude = 0, square = 0, product = 1, shifted = 0;
    bool nan = false;
    for (int64_t i = 0; i < n; i++) {
        high = fmax(high, v[i]);
        low = fmin(low, v[i]);
        sum += (long double)v[i];
        magnitude += (long double)fabs(v[i]);
        square += (long double)v[i] * (long double)v[i];
        product *= (long double)v[i];
        nan = nan || v[i] != v[i];
    }
    const double top = isinf(high) ? 0 : high;
    for (int64_t i = 0; i < n; i++) {
        shifted += expl((long double)v[i] - (long double)top);
    }
    const double results[] = {
        (double)sum, (double)(real ? sum / n : n > 0 ? truncl(sum / n) : 0), high, low,
        (double)product, (double)magnitude, (double)sqrtl(square), (double)square,
        (double)logl(sum), (double)(logl(shifted) + (long double)top)};
    double r = results[mode];
    if (nan) {
        r = (double)NAN;
    }
    if (n == 0 && !real && (mode == MRT_REDUCE_MAX || mode == MRT_REDUCE_MIN)) {
        /* the extremes of the type */
        const bool is_unsigned = ref_is_unsigned(dtype);
        const int bits = 8 * (int)ref_elem_bytes(dtype);
        const uint64_t ones = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
        const uint64_t max = dtype == MRT_BOOL ? 1 : is_unsigned ? ones : ones >> 1;
        ref_store_bits(y, to, mode == MRT_REDUCE_MIN ? max : is_unsigned ? 0 : max + 1);
        return;
    }
    if (real) {
        ref_store(y, to, r);
    } else if (isinf(r)) { /* the logarithm of an empty sum */
        const uint64_t lowest = UINT64_C(1) << (dtype == MRT_I32 ? 31 : 63);
        ref_store_bits(y, to, ref_is_unsigned(dtype) ? 0 : lowest);
    } else {
        ref_store(y, to, trunc(r));
    }
}

void ref_reduce(int64_t mode, int64_t axes, const mrt_tensor *x, mrt_tensor *y) {
    const int64_t total = ref_count(x), results = ref_count(y);
    const int64_t each = results > 0 ? total / results : 0;
    double *values = malloc((size_t)(total + 1) * sizeof *values);
    int64_t *used = calloc((size_t)results + 1, sizeof *used);
    for (int64_t i = 0; i < total; i++) {
        int64_t index[MRT_MAX_RANK];
        ref_unravel(x, i, index);
        for (int k = 0; k < x->shape.rank; k++) {
            index[k] = axes >> k & 1 ? 0 : index[k];
        }
        const int64_t o = ref_ravel(y, index);
        values[o * each + used[o]++] = ref_load(x, i);
    }
    for (int64_t o = 0; o < results; o++) {
        reduce_one(mode, x->dtype, values + o * each, each, y, o);
    }
    free(values);
    free(used);
}

/* Bits of the nearest 16-bit float, ties to even. */
static uint16_t half_bits(long double v, int exponent_bits) {
    const int mantissa_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    const uint16_t sign = signbit(v) ? 0x8000 : 0;
    const uint16_t infinity = (uint16_t)(((1 << exponent_bits) - 1) << mantissa_bits);
    const long double a = fabsl(v);
    if (isinf(v)) {
        return sign | infinity;
    }
    int exponent = a == 0 ? 1 - bias : ilogbl(a);
    exponent = exponent < 1 - bias ? 1 - bias : exponent;
    const long double steps = rintl(ldexpl(a, mantissa_bits - exponent));
    /* steps counts from the start of the binade (or from 0 below the normals) */
    const long double code =
        steps + ((long double)(exponent + bias - 1)) * (long double)(1 << mantissa_bits);
    return sign | (code >= infinity ? infinity : (uint16_t)code);
}

static void cast_one(const mrt_tensor *x, int64_t i, mrt_tensor *y) {
    const bool real = ref_is_float(x->dtype);
    const long double v = real ? (long double)ref_load(x, i)
                          : ref_is_unsigned(x->dtype) ? (long double)ref_load_bits(x, i)
                                                      : (long double)(int64_t)ref_load_bits(x, i);
    const int bits = 8 * (int)ref_elem_bytes(y->dtype);
    switch (y->dtype) {
    case MRT_BOOL:
        ref_store_bits(y, i, v != 0);
        return;
    case MRT_F32:
        ((float *)y->data)[i] = (float)v;
        return;
    case MRT_F64:
        ((double *)y->data)[i] = (double)v;
        return;
    case MRT_F16:
        ref_store_bits(y, i, half_bits(v, 5));
        return;
    case MRT_BF16:
        ref_store_bits(y, i, half_bits(v, 8));
        return;
    default:
        break;
    }
    if (!real) {
        ref_store_bits(y, i, ref_load_bits(x, i));
        return;
    }
    const bool is_unsigned = ref_is_unsigned(y->dtype);
    const long double end = ldexpl(1, is_unsigned ? bits : bits - 1);
    const long double low = is_unsigned ? 0 : -end;
    const uint64_t ones = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    if (v != v) {
        ref_store_bits(y, i, 0);
    } else if (v >= end) {
        ref_store_bits(y, i, is_unsigned ? ones : ones >> 1);
    } else if (v <= low) {
        ref_store_bits(y, i, is_unsigned ? 0 : ~(ones >> 1));
    } else {
        ref_store_bits(y, i, is_unsigned ? (uint64_t)v : (uint64_t)(int64_t)v);
    }
}

void ref_cast(const mrt_tensor *x, mrt_tensor *y) {
    for (int64_t i = 0; i < ref_count(x); i++) {
        cast_one(x, i, y);
    }
}

void ref_pool_max(const mrt_pool_params *p, const mrt_tensor *x, mrt_tensor *y,
                  mrt_tensor *indices) {
    const int n = (int)p->spatial;
    int64_t taps = 1;
    for (int k = 0; k < n; k++) {
        taps *= p->kernel[k];
    }
    for (int64_t i = 0; i < ref_count(y); i++) {
        int64_t index[MRT_MAX_RANK], best = -1;
        ref_unravel(y, i, index);
        for (int64_t t = 0; t < taps; t++) {
            int64_t at[MRT_MAX_RANK] = {index[0], index[1]}, rest = t;
            bool inside = true;
            for (int k = n - 1; k >= 0; k--) {
                at[k + 2] = index[k + 2] * p->stride[k] - p->pad_begin[k] +
                            rest % p->kernel[k] * p->dilation[k];
                rest /= p->kernel[k];
                inside = inside && at[k + 2] >= 0 && at[k + 2] < x->shape.dims[k + 2];
            }
            const int64_t where = inside ? ref_ravel(x, at) : -1;
            const double v = inside ? ref_load(x, where) : 0;
            const double m = best >= 0 ? ref_load(x, best) : 0;
            if (inside && (best < 0 || (m == m && (v > m || v != v)))) {
                best = where;
            }
        }
        if (best >= 0) {
            ref_copy_elem(y, i, x, best);
        } else if (ref_is_float(y->dtype)) {
            ref_store(y, i, -(double)INFINITY);
        } else {
            const int bits = 8 * (int)ref_elem_bytes(y->dtype);
            ref_store_bits(y, i, ref_is_unsigned(y->dtype) ? 0 : UINT64_C(1) << (bits - 1));
        }
        if (indices != NULL) {
            ref_store_bits(indices, i, (uint64_t)best);
        }
    }
}

/* Position in x of entry k of the line of result `index` along `axis`. */
static int64_t on_line(const mrt_tensor *x, const int64_t *index, int axis, int64_t k) {
    int64_t at[MRT_MAX_RANK];
    memcpy(at, index, sizeof at);
    at[axis] = k;
    return ref_ravel(x, at);
}

/* a comes before b when looking for the largest; NaN is largest. */
static bool larger(double a, double b) { return a > b || (a != a && b == b); }
static bool smaller(double a, double b, bool nan_last) {
    return nan_last ? a < b || (a == a && b != b) : a < b || (a != a && b == b);
}

void ref_arg(const mrt_tensor *x, int axis, bool smallest, bool last, mrt_tensor *y) {
    for (int64_t i = 0; i < ref_count(y); i++) {
        int64_t index[MRT_MAX_RANK] = {0}, best = 0;
        ref_unravel(y, i, index);
        for (int64_t k = 1; k < x->shape.dims[axis]; k++) {
            const double v = ref_load(x, on_line(x, index, axis, k));
            const double m = ref_load(x, on_line(x, index, axis, best));
            const bool wins = smallest ? smaller(v, m, false) : larger(v, m);
            const bool loses = smallest ? smaller(m, v, false) : larger(m, v);
            best = wins || (last && !loses) ? k : best;
        }
        ref_store_bits(y, i, (uint64_t)best);
    }
}

void ref_topk(const mrt_tensor *x, int axis, bool largest, mrt_tensor *values,
              mrt_tensor *indices) {
    const int64_t n = x->shape.dims[axis];
    for (int64_t i = 0; i < ref_count(values); i++) {
        int64_t index[MRT_MAX_RANK];
        ref_unravel(values, i, index);
        for (int64_t k = 0; k < n; k++) { /* entry k whose rank is the wanted one */
            int64_t rank = 0;
            const double v = ref_load(x, on_line(x, index, axis, k));
            for (int64_t o = 0; o < n; o++) {
                const double w = ref_load(x, on_line(x, index, axis, o));
                const bool before = largest ? larger(w, v) : smaller(w, v, true);
                const bool after = largest ? larger(v, w) : smaller(v, w, true);
                rank += before || (!after && o < k);
            }
            if (rank == index[axis]) {
                ref_copy_elem(values, i, x, on_line(x, index, axis, k));
                ref_store_bits(indices, i, (uint64_t)k);
            }
        }
    }
}

void ref_cumsum(const mrt_tensor *x, int axis, bool exclusive, bool reverse, mrt_tensor *y) {
    for (int64_t i = 0; i < ref_count(y); i++) {
        int64_t index[MRT_MAX_RANK];
        ref_unravel(y, i, index);
        double sum = 0;
        uint64_t bits = 0;
        for (int64_t k = 0; k < x->shape.dims[axis]; k++) {
            const bool before = reverse ? k > index[axis] : k < index[axis];
            if (before || (k == index[axis] && !exclusive)) {
                sum += ref_is_float(x->dtype) ? ref_load(x, on_line(x, index, axis, k)) : 0;
                bits += ref_load_bits(x, on_line(x, index, axis, k));
            }
        }
        if (ref_is_float(x->dtype)) {
            ref_store(y, i, sum);
        } else {
            ref_store_bits(y, i, bits);
        }
    }
}
