#include "utils/zip_layout.h"


static unsigned get16(const uint8_t *p) { return p[0] | (unsigned)p[1] << 8; }
static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

/* Position of the end record: the last one whose comment reaches exactly to the end of the file. */
static bool find_end(const uint8_t *data, size_t size, size_t *out) {
    if (size < ZIP_END_SIZE) {
        return false;
    }
    size_t first = size - ZIP_END_SIZE;
    size_t last = first > ZIP_MAX_16 ? first - ZIP_MAX_16 : 0;
    for (size_t at = first + 1; at-- > last;) {
        if (get32(data + at) == ZIP_END_SIG && get16(data + at + 20) == first - at) {
            *out = at;
            return true;
        }
    }
    return false;
}

bool mica_zip_walk_begin(mica_zip_walk *walk, const uint8_t *data, size_t size) {
    size_t end;
    if (!find_end(data, size, &end)) {
        return false;
    }
    uint64_t bytes = get32(data + end + 12), from = get32(data + end + 16);
    if (end >= ZIP_LOCATOR64_SIZE &&
        get32(data + end - ZIP_LOCATOR64_SIZE) == ZIP_LOCATOR64_SIG) {
        uint64_t at = get64(data + end - ZIP_LOCATOR64_SIZE + 8);
        if (size < ZIP_END64_SIZE || at > size - ZIP_END64_SIZE ||
            get32(data + at) != ZIP_END64_SIG) {
            return false;
        }
        bytes = get64(data + at + 40);
        from = get64(data + at + 48);
    }
    if (from > size || bytes > size - from) {
        return false;
    }
    *walk = (mica_zip_walk){data, size, (size_t)from, (size_t)(from + bytes)};
    return true;
}

/* Replaces the 32-bit fields that hold the escape value by those of the zip64 extra field, which
 * holds just the escaped ones, in this order. */
static bool apply_extra64(const uint8_t *extra, size_t len, uint64_t *const fields[3]) {
    while (len >= 4) {
        size_t n = get16(extra + 2);
        if (n > len - 4) {
            return false;
        }
        if (get16(extra) == ZIP_EXTRA64_ID) {
            const uint8_t *p = extra + 4, *stop = p + n;
            for (int i = 0; i < 3; i++) {
                if (*fields[i] == ZIP_MAX_32) {
                    if (stop - p < 8) {
                        return false;
                    }
                    *fields[i] = get64(p);
                    p += 8;
                }
            }
            return true;
        }
        extra += 4 + n;
        len -= 4 + n;
    }
    return true;
}

bool mica_zip_walk_next(mica_zip_walk *walk, mica_zip_entry *out) {
    const uint8_t *p = walk->data + walk->at;
    if (walk->end - walk->at < ZIP_CENTRAL_SIZE || get32(p) != ZIP_CENTRAL_SIG) {
        return false;
    }
    size_t name_len = get16(p + 28), extra_len = get16(p + 30);
    size_t record = ZIP_CENTRAL_SIZE + name_len + extra_len + get16(p + 32);
    if (walk->end - walk->at < record) {
        return false;
    }
    uint64_t packed = get32(p + 20), size = get32(p + 24), local = get32(p + 42);
    uint64_t *const fields[3] = {&size, &packed, &local};
    if (!apply_extra64(p + ZIP_CENTRAL_SIZE + name_len, extra_len, fields)) {
        return false;
    }
    if (walk->size < ZIP_LOCAL_SIZE || local > walk->size - ZIP_LOCAL_SIZE) {
        return false;
    }
    const uint8_t *head = walk->data + local;
    size_t at = (size_t)local + ZIP_LOCAL_SIZE + get16(head + 26) + get16(head + 28);
    if (get32(head) != ZIP_LOCAL_SIG || at > walk->size || packed > walk->size - at) {
        return false;
    }
    *out = (mica_zip_entry){.name = p + ZIP_CENTRAL_SIZE,
                            .name_len = name_len,
                            .method = get16(p + 10),
                            .crc = get32(p + 16),
                            .packed_size = packed,
                            .size = size,
                            .data_at = at};
    walk->at += record;
    return true;
}
