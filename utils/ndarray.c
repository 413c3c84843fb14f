#include "utils/ndarray.h"

#include "utils/arena.h"
#include "utils/checked.h"
#include "utils/half.h"

#include <math.h>
#include <string.h>

typedef struct element_type {
    const char *descr; /* canonical */
    size_t size;       /* bytes */
} element_type;

static const element_type types[] = {
    {"<f4", 4}, {"|i1", 1}, {"|u1", 1}, {"<f2", 2}, {"<f8", 8}, {"<i2", 2},
    {"<i4", 4}, {"<i8", 8}, {"<u2", 2}, {"<u4", 4}, {"<u8", 8}, {"|b1", 1},
};

static const element_type *find_type(const char *descr) {
    if (strlen(descr) != 3) {
        return NULL;
    }
    for (size_t i = 0; i < MICA_COUNT(types); i++) {
        const element_type *t = &types[i];
        /* Byte order says nothing about single bytes. */
        bool order = descr[0] == t->descr[0] || (t->size == 1 && strchr("<>=|", descr[0]) != NULL);
        if (order && strcmp(descr + 1, t->descr + 1) == 0) {
            return t;
        }
    }
    return NULL;
}

size_t mica_descr_size(const char *descr) {
    const element_type *t = find_type(descr);
    return t == NULL ? 0 : t->size;
}

const char *mica_descr_canonical(const char *descr) {
    const element_type *t = find_type(descr);
    return t == NULL ? NULL : t->descr;
}

void mica_ndarray_free(mica_ndarray *array) {
    mica_free(array->name);
    mica_free(array->owned);
    *array = (mica_ndarray){0};
}

int64_t mica_ndarray_count(const mica_ndarray *array) {
    int64_t n = 1;
    for (int i = 0; i < array->rank; i++) {
        n *= array->dims[i];
    }
    return n;
}

bool mica_shape_bytes(int rank, const int64_t *dims, size_t item_size, size_t *out) {
    if (rank < 0 || rank > MICA_NDARRAY_MAX_RANK || item_size > INT64_MAX) {
        return false;
    }
    int64_t n = (int64_t)item_size;
    for (int i = 0; i < rank; i++) {
        /* Also [huge, huge, 0] is refused: partial products of the shape must be usable. */
        if (dims[i] < 0 || !mica_mul_ok(n, dims[i] == 0 ? 1 : dims[i], &n)) {
            return false;
        }
    }
    for (int i = 0; i < rank; i++) {
        if (dims[i] == 0) {
            n = 0;
        }
    }
    if ((uint64_t)n > SIZE_MAX) {
        return false;
    }
    *out = (size_t)n;
    return true;
}

/* One loop per element type: `value` is the element loaded as ctype x. */
#define CONVERT(tag, ctype, value)                                                                 \
    if (strcmp(array->descr, tag) == 0) {                                                          \
        const ctype *in = array->data;                                                             \
        for (int64_t i = 0; i < n; i++) {                                                          \
            ctype x = in[i];                                                                       \
            out[i] = (float)(value);                                                               \
        }                                                                                          \
        return true;                                                                               \
    }

bool mica_ndarray_to_f32(const mica_ndarray *array, float *out) {
    int64_t n = mica_ndarray_count(array);
    if (strcmp(array->descr, "<f4") == 0) {
        if (n > 0) {
            memcpy(out, array->data, (size_t)n * sizeof *out);
        }
        return true;
    }
    CONVERT("<f2", uint16_t, mica_f16_to_f32(x))
    CONVERT("<f8", double, x)
    CONVERT("|i1", int8_t, x)
    CONVERT("|u1", uint8_t, x)
    CONVERT("<i2", int16_t, x)
    CONVERT("<u2", uint16_t, x)
    CONVERT("<i4", int32_t, x)
    CONVERT("<u4", uint32_t, x)
    CONVERT("<i8", int64_t, x)
    CONVERT("<u8", uint64_t, x)
    CONVERT("|b1", uint8_t, x != 0)
    return false;
}

static bool f64_to_i64(double x, int64_t *out) {
    if (!(x >= -0x1p63 && x < 0x1p63) || x != floor(x)) {
        return false;
    }
    *out = (int64_t)x;
    return true;
}

#define CONVERT_INTEGER(tag, ctype, value)                                                         \
    if (strcmp(array->descr, tag) == 0) {                                                          \
        const ctype *in = array->data;                                                             \
        for (int64_t i = 0; i < n; i++) {                                                          \
            ctype x = in[i];                                                                       \
            out[i] = (value);                                                                      \
        }                                                                                          \
        return true;                                                                               \
    }

#define CONVERT_CHECKED(tag, ctype, ok)                                                            \
    if (strcmp(array->descr, tag) == 0) {                                                          \
        const ctype *in = array->data;                                                             \
        for (int64_t i = 0; i < n; i++) {                                                          \
            ctype x = in[i];                                                                       \
            if (!(ok)) {                                                                           \
                return false;                                                                      \
            }                                                                                      \
        }                                                                                          \
        return true;                                                                               \
    }

bool mica_ndarray_to_i64(const mica_ndarray *array, int64_t *out) {
    int64_t n = mica_ndarray_count(array);
    CONVERT_INTEGER("|i1", int8_t, x)
    CONVERT_INTEGER("|u1", uint8_t, x)
    CONVERT_INTEGER("<i2", int16_t, x)
    CONVERT_INTEGER("<u2", uint16_t, x)
    CONVERT_INTEGER("<i4", int32_t, x)
    CONVERT_INTEGER("<u4", uint32_t, x)
    CONVERT_INTEGER("<i8", int64_t, x)
    CONVERT_INTEGER("|b1", uint8_t, x != 0)
    CONVERT_CHECKED("<u8", uint64_t, x <= INT64_MAX && (out[i] = (int64_t)x, true))
    CONVERT_CHECKED("<f4", float, f64_to_i64(x, &out[i]))
    CONVERT_CHECKED("<f8", double, f64_to_i64(x, &out[i]))
    CONVERT_CHECKED("<f2", uint16_t, f64_to_i64(mica_f16_to_f32(x), &out[i]))
    return false;
}
