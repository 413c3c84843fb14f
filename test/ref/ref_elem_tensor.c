#include "test/ref/ref_elem_tensor.h"

#include <math.h>
#include <string.h>

int64_t ref_count(const mrt_tensor *t) {
    int64_t n = 1;
    for (int i = 0; i < t->shape.rank; i++) {
        n *= t->shape.dims[i];
    }
    return n;
}

int64_t ref_elem_bytes(mrt_dtype dtype) {
    if (dtype > MRT_BOOL) {
        return 1; /* the types below 16 bits */
    }
    switch (dtype) {
    case MRT_I8:
    case MRT_U8:
    case MRT_BOOL:
        return 1;
    case MRT_F16:
    case MRT_BF16:
    case MRT_I16:
    case MRT_U16:
        return 2;
    case MRT_F32:
    case MRT_I32:
    case MRT_U32:
        return 4;
    default:
        return 8;
    }
}

bool ref_is_float(mrt_dtype dtype) {
    return dtype == MRT_F32 || dtype == MRT_F64 || dtype == MRT_F16 || dtype == MRT_BF16;
}

bool ref_is_unsigned(mrt_dtype dtype) {
    return dtype == MRT_U8 || dtype == MRT_U16 || dtype == MRT_U32 || dtype == MRT_U64 ||
           dtype == MRT_BOOL;
}

static double half_value(uint16_t bits, int exponent_bits) {
    const int mantissa_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
    const double mantissa = bits & ((1 << mantissa_bits) - 1);
    double v;
    if (exponent == (1 << exponent_bits) - 1) {
        v = mantissa != 0 ? (double)NAN : (double)INFINITY;
    } else if (exponent == 0) {
        v = ldexp(mantissa, 1 - bias - mantissa_bits);
    } else {
        v = ldexp(mantissa + ldexp(1, mantissa_bits), exponent - bias - mantissa_bits);
    }
    return bits >> 15 ? -v : v;
}

double ref_load(const mrt_tensor *t, int64_t i) {
    switch (t->dtype) {
    case MRT_F32:
        return ((const float *)t->data)[i];
    case MRT_F64:
        return ((const double *)t->data)[i];
    case MRT_F16:
        return half_value(((const uint16_t *)t->data)[i], 5);
    case MRT_BF16:
        return half_value(((const uint16_t *)t->data)[i], 8);
    default:
        return ref_is_unsigned(t->dtype) ? (double)ref_load_bits(t, i)
                                         : (double)(int64_t)ref_load_bits(t, i);
    }
}

uint64_t ref_load_bits(const mrt_tensor *t, int64_t i) {
    const int64_t bytes = ref_elem_bytes(t->dtype);
    uint64_t bits = 0;
    memcpy(&bits, (const char *)t->data + i * bytes, (size_t)bytes); /* little-endian */
    if (bytes < 8 && !ref_is_unsigned(t->dtype) && !ref_is_float(t->dtype) &&
        bits >> (8 * bytes - 1)) {
        bits |= ~UINT64_C(0) << (8 * bytes);
    }
    return bits;
}

void ref_store_bits(mrt_tensor *t, int64_t i, uint64_t bits) {
    const int64_t bytes = ref_elem_bytes(t->dtype);
    memcpy((char *)t->data + i * bytes, &bits, (size_t)bytes);
}

void ref_store(mrt_tensor *t, int64_t i, double value) {
    if (t->dtype == MRT_F32) {
        ((float *)t->data)[i] = (float)value;
    } else if (t->dtype == MRT_F64) {
        ((double *)t->data)[i] = value;
    } else if (t->dtype == MRT_U64) {
        ref_store_bits(t, i, (uint64_t)value);
    } else {
        ref_store_bits(t, i, (uint64_t)(int64_t)value);
    }
}

void ref_copy_elem(mrt_tensor *to, int64_t i, const mrt_tensor *from, int64_t k) {
    const int64_t bytes = ref_elem_bytes(to->dtype);
    memcpy((char *)to->data + i * bytes, (const char *)from->data + k * bytes, (size_t)bytes);
}

void ref_zero_elem(mrt_tensor *to, int64_t i) {
    const int64_t bytes = ref_elem_bytes(to->dtype);
    memset((char *)to->data + i * bytes, 0, (size_t)bytes);
}

void ref_unravel(const mrt_tensor *t, int64_t i, int64_t *index) {
    for (int k = t->shape.rank - 1; k >= 0; k--) {
        index[k] = i % t->shape.dims[k];
        i /= t->shape.dims[k];
    }
}

int64_t ref_ravel(const mrt_tensor *t, const int64_t *index) {
    int64_t i = 0;
    for (int k = 0; k < t->shape.rank; k++) {
        i = i * t->shape.dims[k] + index[k];
    }
    return i;
}

int64_t ref_broadcast(const mrt_tensor *t, const int64_t *index, int rank) {
    int64_t i = 0;
    for (int k = 0; k < t->shape.rank; k++) {
        const int64_t at = index[rank - t->shape.rank + k];
        i = i * t->shape.dims[k] + (t->shape.dims[k] == 1 ? 0 : at);
    }
    return i;
}
