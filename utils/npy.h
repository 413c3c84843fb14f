/* The .npy format: magic, version, header text, raw elements.
 *
 * Read: versions 1, 2 and 3, little endian, the element types of utils/ndarray.h. Fortran order is
 * converted to C order. The declared size must equal the bytes present, and is checked before any
 * memory is taken. Written: version 1, C order.
 * Source: numpy.lib.format documentation. */
#ifndef MICA_UTILS_NPY_H
#define MICA_UTILS_NPY_H

#include "utils/ndarray.h"
#include "utils/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mica_npy_header {
    char descr[8]; /* canonical, see mica_ndarray */
    bool fortran;  /* elements are in Fortran (first index fastest) order */
    int rank;
    int64_t dims[MICA_NDARRAY_MAX_RANK];
    size_t data_offset; /* bytes from the magic to the first element */
    size_t data_bytes;
} mica_npy_header;

/* Longest header that is read, in bytes with magic: far above what 8 dimensions need. */
#define MICA_NPY_MAX_HEADER 4096

/* Parses the header from the first `avail` bytes of a .npy of `total` bytes in all (avail may stop
 * at MICA_NPY_MAX_HEADER) and checks that total is exactly header plus data. */
MICA_MUST_CHECK mica_status mica_npy_parse_header(const uint8_t *bytes, size_t avail, size_t total,
                                                  mica_npy_header *out, mica_error *err);

/* Writes a version 1 header, magic included, into out and returns its length, a multiple of 64.
 * descr must be supported, rank and dims valid (see mica_shape_bytes). With lead > 0 the header is
 * padded so that lead + length is a multiple of 64 (used to align data inside a zip). */
#define MICA_NPY_WRITE_MAX 384
size_t mica_npy_build_header(const char *descr, int rank, const int64_t *dims, size_t lead,
                             uint8_t out[MICA_NPY_WRITE_MAX]);

/* Copies elements from Fortran to C order; src and dst must not overlap. */
void mica_npy_fortran_to_c(const mica_npy_header *header, const void *src, void *dst);

/* Reads a .npy file; the caller frees *out with mica_ndarray_free(). */
MICA_MUST_CHECK mica_status mica_npy_read(const char *path, mica_ndarray *out, mica_error *err);
/* Writes a .npy file atomically. data: C order, little endian. */
MICA_MUST_CHECK mica_status mica_npy_write(const char *path, const char *descr, int rank,
                                           const int64_t *dims, const void *data, mica_error *err);

#endif
