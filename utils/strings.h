/* Small string helpers: strict number parsing, lists, paths, nearest name for error messages. */
#ifndef MICA_UTILS_STRINGS_H
#define MICA_UTILS_STRINGS_H

#include "utils/arena.h"
#include "utils/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The entry of list[0..n) nearest to word by edit distance (letter case ignored), or NULL if none
 * is near enough to be a plausible misspelling (more than a third of the letters differ). Ties go
 * to the first. Used for "unknown X 'wrod'; did you mean 'word'?". */
const char *mica_nearest(const char *word, const char *const *list, size_t n);

/* Parses the whole string as a decimal integer with optional sign; no spaces, no base prefix.
 * Returns false (out untouched) if malformed or out of range. */
MICA_MUST_CHECK bool mica_parse_i64(const char *text, int64_t *out);
/* Parses the whole string as a finite decimal number ("1", "-0.5", "1e-3"), always with '.' as the
 * decimal point whatever the locale. No spaces, hexadecimal, "inf" or "nan"; too large: false. */
MICA_MUST_CHECK bool mica_parse_f64(const char *text, double *out);

/* Splits at every sep and trims white space around each part. *n parts are returned in the arena,
 * followed by NULL; empty parts are kept ("a,,b" has 3), but a blank text has 0 parts. */
char **mica_split(mica_arena *arena, const char *text, char sep, size_t *n);

bool mica_starts_with(const char *text, const char *prefix);
bool mica_ends_with(const char *text, const char *suffix);

/* dir + "/" + name; just name if it is absolute or dir is empty. */
char *mica_path_join(mica_arena *arena, const char *dir, const char *name);
/* "a/b/c.npz" -> "a/b"; "c.npz" -> "."; "/c" -> "/". */
char *mica_path_dir(mica_arena *arena, const char *path);
/* "a/b/c.npz" -> "c.npz". */
char *mica_path_base(mica_arena *arena, const char *path);
/* Extension with its dot, in lower case: "a/b.c/D.NPZ" -> ".npz"; "" if there is none. */
char *mica_path_ext(mica_arena *arena, const char *path);

/* "0 B", "1023 B", "1.0 KiB", "3.4 MiB" ... written to out, which is returned. */
const char *mica_human_bytes(uint64_t bytes, char out[16]);

#endif
