/* An n-dimensional array as stored in .npy and .npz files: C order, little endian. */
#ifndef MICA_UTILS_NDARRAY_H
#define MICA_UTILS_NDARRAY_H

#include "utils/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MICA_NDARRAY_MAX_RANK 8

typedef struct mica_ndarray {
    char *name;    /* key in the npz, without ".npy"; "" for a lone .npy; owned by the array */
    char descr[8]; /* numpy element type: "<f2" "<f4" "<f8" "|i1" "<i2" "<i4" "<i8" "|u1" "<u2"
                      "<u4" "<u8" "|b1"; always one of these */
    int rank;      /* 0 (one element) to MICA_NDARRAY_MAX_RANK */
    int64_t dims[MICA_NDARRAY_MAX_RANK];
    const void *data; /* C order, 64-byte aligned, read only, never NULL */
    size_t bytes;     /* element count times item size */
    void *owned;      /* heap block behind data, or NULL if data is borrowed */
} mica_ndarray;

/* Frees name and owned data and zeroes the struct; a zeroed struct is allowed. */
void mica_ndarray_free(mica_ndarray *array);

/* Item size in bytes of a supported numpy element type (list above; "<i1" and the like are taken
 * too), 0 if it is not supported. */
size_t mica_descr_size(const char *descr);
/* The spelling of the list above for a supported type ("<i1" -> "|i1"), else NULL. */
const char *mica_descr_canonical(const char *descr);

/* Number of elements: product of dims, 1 for rank 0. */
int64_t mica_ndarray_count(const mica_ndarray *array);
/* Byte size of rank dims of item_size bytes; false if a dim is negative, the rank is above
 * MICA_NDARRAY_MAX_RANK, or the size does not fit in int64_t. */
MICA_MUST_CHECK bool mica_shape_bytes(int rank, const int64_t *dims, size_t item_size,
                                      size_t *out);

/* Converts all elements to f32 into out[count] (round to nearest even from f64 and wide integers;
 * bool gives 0 or 1). Returns false only if descr is not a supported type. */
bool mica_ndarray_to_f32(const mica_ndarray *array, float *out);
/* Converts all elements to i64 into out[count]. Returns false, with out undefined, if the type is
 * not supported or a value is no integer in range (u64 too large, a fraction, NaN). */
MICA_MUST_CHECK bool mica_ndarray_to_i64(const mica_ndarray *array, int64_t *out);

#endif
