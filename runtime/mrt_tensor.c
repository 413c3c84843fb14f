#include "runtime/mrt_tensor.h"

typedef struct dtype_row {
    uint8_t bytes;
    bool is_float;
    const char *text;
} dtype_row;

/* Indexed by the pinned code; is_float follows from the first letter of the text. */
static const dtype_row rows[] = {
#define X(name, code, bytes, text, descr)                                                          \
    [code] = {bytes, (text[0] == 'f' || text[0] == 'b') && bytes > 1, text},
    MRT_DTYPE_LIST(X)
#undef X
};

static const dtype_row *find(mrt_dtype dtype) {
    const size_t code = (size_t)dtype;
    if (code >= sizeof rows / sizeof rows[0] || rows[code].bytes == 0) {
        return NULL;
    }
    return &rows[code];
}

size_t mrt_dtype_bytes(mrt_dtype dtype) {
    const dtype_row *row = find(dtype);
    return row != NULL ? row->bytes : 0;
}

const char *mrt_dtype_name(mrt_dtype dtype) {
    const dtype_row *row = find(dtype);
    return row != NULL ? row->text : "?";
}

bool mrt_dtype_is_float(mrt_dtype dtype) {
    const dtype_row *row = find(dtype);
    return row != NULL && row->is_float;
}

bool mrt_dtype_is_number(mrt_dtype dtype) {
    return dtype > MRT_DTYPE_NONE && dtype <= MRT_BOOL;
}

int64_t mrt_shape_range(const mrt_shape *shape, int first, int last) {
    int64_t product = 1;
    for (int i = first; i < last; i++) {
        product *= shape->dims[i];
    }
    return product;
}

int64_t mrt_shape_count(const mrt_shape *shape) {
    return mrt_shape_range(shape, 0, shape->rank);
}

bool mrt_shape_bytes(const mrt_shape *shape, mrt_dtype dtype, int64_t *out_bytes) {
    const int64_t size = (int64_t)mrt_dtype_bytes(dtype);
    if (size == 0 || shape->rank < 0 || shape->rank > MRT_MAX_RANK) {
        return false;
    }
    /* The product of the non-zero dimensions must fit too: kernels multiply partial ranges. */
    int64_t bytes = size;
    bool empty = false;
    for (int i = 0; i < shape->rank; i++) {
        const int64_t dim = shape->dims[i];
        if (dim < 0) {
            return false;
        }
        if (dim == 0) {
            empty = true;
        } else if (__builtin_mul_overflow(bytes, dim, &bytes)) {
            return false;
        }
    }
    *out_bytes = empty ? 0 : bytes;
    return true;
}

bool mrt_shape_equal(const mrt_shape *a, const mrt_shape *b) {
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}
