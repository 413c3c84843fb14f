/* The .npz format: a zip of .npy files, one per key (entry name = key + ".npy").
 *
 * Reader: entries are listed at open and loaded at first use. An uncompressed entry whose elements
 * lie 64-byte aligned in the file (all that our writer writes) is used in place from the mapping;
 * others are read into memory. Every size is checked against the file before memory is taken and
 * every entry against its CRC. Writer: sequential, deterministic (same input, same bytes), atomic.
 * numpy.load reads the result. A reader or writer belongs to one thread at a time. */
#ifndef MICA_UTILS_NPZ_H
#define MICA_UTILS_NPZ_H

#include "utils/ndarray.h"
#include "utils/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mica_npz mica_npz;
typedef struct mica_npz_writer mica_npz_writer;

/* Opens an archive; NULL with err set on failure. Entries that do not end in ".npy" are ignored;
 * a repeated key is an error. Close with mica_npz_close(). */
mica_npz *mica_npz_open(const char *path, mica_error *err);
/* Frees the reader and every array it gave out; NULL is allowed. */
void mica_npz_close(mica_npz *npz);

/* Number of keys. */
size_t mica_npz_count(const mica_npz *npz);
/* Key i in file order, NULL past the end; borrowed. */
const char *mica_npz_key(const mica_npz *npz, size_t i);
bool mica_npz_has(const mica_npz *npz, const char *key);
/* The array under key, loaded at the first call; owned by the reader. NULL with err set if the key
 * does not exist (the message names the nearest one) or the entry is damaged. */
const mica_ndarray *mica_npz_get(mica_npz *npz, const char *key, mica_error *err);
/* Frees the memory of one loaded array (pointers to it become invalid); it loads again on the next
 * get. For walking through archives larger than memory. */
void mica_npz_release(mica_npz *npz, const char *key);

/* Starts an archive that replaces path at mica_npz_finish(); NULL with err set on failure.
 * compress: deflate the entries (slower, smaller), else store them (aligned, usable in place). */
mica_npz_writer *mica_npz_create(const char *path, bool compress, mica_error *err);
/* Appends one array. data: C order, little endian; it is written out before the call returns, so
 * it may be freed right after. A repeated key, an unsupported descr or a bad shape is an error;
 * after an error only mica_npz_discard() makes sense. data may be NULL if the array is empty. */
MICA_MUST_CHECK mica_status mica_npz_add(mica_npz_writer *writer, const char *key,
                                         const char *descr, int rank, const int64_t *dims,
                                         const void *data, mica_error *err);
/* Completes the file and frees the writer, also on failure (then nothing is left behind). */
MICA_MUST_CHECK mica_status mica_npz_finish(mica_npz_writer *writer, mica_error *err);
/* Drops the writer and its temporary file; NULL is allowed. */
void mica_npz_discard(mica_npz_writer *writer);

#endif
