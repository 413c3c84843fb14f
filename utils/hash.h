/* XXH3-128 in its canonical hexadecimal form (32 lower-case digits, as printed by xxh128sum). */
#ifndef MICA_UTILS_HASH_H
#define MICA_UTILS_HASH_H

#include "utils/status.h"

#include <stddef.h>

#define MICA_HASH_HEX 33 /* 32 digits and a NUL */

void mica_hash_hex(const void *data, size_t bytes, char out[MICA_HASH_HEX]);
MICA_MUST_CHECK mica_status mica_hash_file_hex(const char *path, char out[MICA_HASH_HEX],
                                               mica_error *err);

#endif
