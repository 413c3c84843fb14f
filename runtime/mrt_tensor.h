/* Element types, shapes and tensors: the vocabulary that kernels, plans and bundles share. */
#ifndef MRT_TENSOR_H
#define MRT_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name, pinned code (stored in bundles), bytes per element, text (as in IR), numpy descr. The types
 * behind BOOL are only stored, moved and converted (runtime/mrt_small.h): tables of functions end
 * with BOOL. */
#define MRT_DTYPE_LIST(X)                                                                          \
    X(F32, 1, 4, "f32", "<f4")                                                                     \
    X(F16, 2, 2, "f16", "<f2")                                                                     \
    X(BF16, 3, 2, "bf16", "<u2")                                                                   \
    X(F64, 4, 8, "f64", "<f8")                                                                     \
    X(I8, 5, 1, "i8", "|i1")                                                                       \
    X(U8, 6, 1, "u8", "|u1")                                                                       \
    X(I16, 7, 2, "i16", "<i2")                                                                     \
    X(U16, 8, 2, "u16", "<u2")                                                                     \
    X(I32, 9, 4, "i32", "<i4")                                                                     \
    X(U32, 10, 4, "u32", "<u4")                                                                    \
    X(I64, 11, 8, "i64", "<i8")                                                                    \
    X(U64, 12, 8, "u64", "<u8")                                                                    \
    X(BOOL, 13, 1, "i1", "|b1")                                                                    \
    X(F8E4M3FN, 14, 1, "f8E4M3FN", "|u1")                                                          \
    X(F8E4M3FNUZ, 15, 1, "f8E4M3FNUZ", "|u1")                                                      \
    X(F8E5M2, 16, 1, "f8E5M2", "|u1")                                                              \
    X(F8E5M2FNUZ, 17, 1, "f8E5M2FNUZ", "|u1")                                                      \
    X(F8E8M0FNU, 18, 1, "f8E8M0FNU", "|u1")                                                        \
    X(F6E2M3FN, 19, 1, "f6E2M3FN", "|u1")                                                          \
    X(F6E3M2FN, 20, 1, "f6E3M2FN", "|u1")                                                          \
    X(F4E2M1FN, 21, 1, "f4E2M1FN", "|u1")                                                          \
    X(I4, 22, 1, "i4", "|i1")                                                                      \
    X(U4, 23, 1, "u4", "|u1")                                                                      \
    X(I2, 24, 1, "i2", "|i1")                                                                      \
    X(U2, 25, 1, "u2", "|u1")

typedef enum mrt_dtype {
    MRT_DTYPE_NONE = 0,
#define X(name, code, bytes, text, descr) MRT_##name = code,
    MRT_DTYPE_LIST(X)
#undef X
} mrt_dtype;

/* Bytes per element; 0 for an unknown code. */
size_t mrt_dtype_bytes(mrt_dtype dtype);
/* Text form ("f32", "u8", ...); "?" for an unknown code. */
const char *mrt_dtype_name(mrt_dtype dtype);
/* True for f32, f16, bf16, f64: the floats that are computed with. */
bool mrt_dtype_is_float(mrt_dtype dtype);
/* True for the types that kernels compute with: all up to BOOL. */
bool mrt_dtype_is_number(mrt_dtype dtype);

#define MRT_MAX_RANK 8

/* Row-major shape. rank 0 is a scalar of one element; a dimension may be 0. */
typedef struct mrt_shape {
    int32_t rank;
    int64_t dims[MRT_MAX_RANK];
} mrt_shape;

/* Number of elements. Shapes in a checked plan never overflow. */
int64_t mrt_shape_count(const mrt_shape *shape);
/* False when a dimension is negative, the rank is out of range, or the bytes overflow int64. */
bool mrt_shape_bytes(const mrt_shape *shape, mrt_dtype dtype, int64_t *out_bytes);
bool mrt_shape_equal(const mrt_shape *a, const mrt_shape *b);
/* Product of dims[first..last). */
int64_t mrt_shape_range(const mrt_shape *shape, int first, int last);

/* A dense row-major tensor on somebody else's memory. A quantized tensor has scale > 0 and means
 * real = scale * (q - zero_point); scale 0 marks a plain tensor. */
typedef struct mrt_tensor {
    const char *name;
    mrt_dtype dtype;
    mrt_shape shape;
    double scale;
    int32_t zero_point;
    int32_t bits; /* 4: an I8 or U8 tensor whose values lie in 4 bits; else 0 */
    void *data; /* NULL while only shapes are known */
} mrt_tensor;

#endif
