/* Files: bounded reading, read-only mapping, atomic output, directories.
 *
 * Errors name the path and the reason. Output files appear under their name only when complete:
 * they are written to a temporary file beside the target, which is renamed on commit. */
#ifndef MICA_UTILS_FILE_H
#define MICA_UTILS_FILE_H

#include "utils/arena.h"
#include "utils/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Reads the whole file (at most max_bytes, else refused) into *out, with a NUL appended that
 * *out_len (may be NULL) does not count. The caller frees *out with mica_free(). */
MICA_MUST_CHECK mica_status mica_read_file(const char *path, size_t max_bytes, char **out,
                                           size_t *out_len, mica_error *err);

/* A file mapped read-only; page-aligned. Another process that truncates the file while it is mapped
 * can crash the reader, which is why our own writers replace files and never rewrite them. */
typedef struct mica_mapped {
    const uint8_t *data; /* not NULL even for an empty file */
    size_t size;         /* bytes */
} mica_mapped;

MICA_MUST_CHECK mica_status mica_map_file(const char *path, mica_mapped *out, mica_error *err);
/* Unmaps and zeroes; a zeroed struct is allowed. */
void mica_unmap_file(mica_mapped *mapped);
/* Gives back the memory behind bytes that are not needed soon; they are read again when they are.
 * Bytes outside of the mapping are ignored. */
void mica_map_drop(const mica_mapped *mapped, const void *from, size_t bytes);

/* Output that replaces `path` only on commit. If the target exists and is not a regular file
 * (/dev/stdout, a pipe) there is nothing to replace, and bytes go to it directly. */
typedef struct mica_atomic_file {
    FILE *stream; /* write here */
    char *path;   /* target, links resolved; owned */
    char *temp;   /* temporary beside it, NULL when writing directly; owned */
} mica_atomic_file;

/* Opens the temporary file. On failure *out is zeroed and nothing is left behind. */
MICA_MUST_CHECK mica_status mica_atomic_open(mica_atomic_file *out, const char *path,
                                             mica_error *err);
/* Flushes, syncs and renames. On failure the temporary file is removed and the old target, if any,
 * is untouched. Either way *file is closed and zeroed. */
MICA_MUST_CHECK mica_status mica_atomic_commit(mica_atomic_file *file, mica_error *err);
/* Closes and removes the temporary file; a zeroed struct is allowed. */
void mica_atomic_abort(mica_atomic_file *file);

/* Writes len bytes as the new content of path, atomically. */
MICA_MUST_CHECK mica_status mica_write_file_atomic(const char *path, const void *data, size_t len,
                                                   mica_error *err);

bool mica_file_exists(const char *path);
bool mica_is_dir(const char *path);
/* Names (not paths) in the directory without "." and "..", sorted by byte value, in the arena and
 * followed by NULL; *n is their number. */
MICA_MUST_CHECK mica_status mica_list_dir(const char *path, mica_arena *arena, char ***out,
                                          size_t *n, mica_error *err);

#endif
