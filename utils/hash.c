#include "utils/hash.h"

#include "utils/file.h"

#include <stdio.h>
#include <xxhash.h>

void mica_hash_hex(const void *data, size_t bytes, char out[MICA_HASH_HEX]) {
    XXH128_hash_t h = XXH3_128bits(data, bytes);
    snprintf(out, MICA_HASH_HEX, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
}

mica_status mica_hash_file_hex(const char *path, char out[MICA_HASH_HEX], mica_error *err) {
    mica_mapped file;
    MICA_TRY(mica_map_file(path, &file, err));
    mica_hash_hex(file.data, file.size, out);
    mica_unmap_file(&file);
    return MICA_OK;
}
