/* What the npz reader and writer need to know of the zip format beside libzip: record layouts, and
 * where the bytes of an entry lie in the file, which libzip does not tell.
 * Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3. Internal to utils. */
#ifndef MICA_UTILS_ZIP_LAYOUT_H
#define MICA_UTILS_ZIP_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ZIP_LOCAL_SIG = 0x04034b50,
    ZIP_CENTRAL_SIG = 0x02014b50,
    ZIP_END_SIG = 0x06054b50,
    ZIP_END64_SIG = 0x06064b50,
    ZIP_LOCATOR64_SIG = 0x07064b50,
    ZIP_LOCAL_SIZE = 30, /* fixed parts, in bytes */
    ZIP_CENTRAL_SIZE = 46,
    ZIP_END_SIZE = 22,
    ZIP_END64_SIZE = 56,
    ZIP_LOCATOR64_SIZE = 20,
    ZIP_EXTRA64_ID = 0x0001,
    ZIP_STORED = 0,
    ZIP_DEFLATED = 8,
    ZIP_UTF8_NAME = 0x0800,  /* general purpose flag */
    ZIP_DATE_1980 = 0x0021,  /* 1980-01-01, the first date there is; the time 0:00 is 0 */
    ZIP_MAX_16 = 0xffff,     /* "see the zip64 record" */
};
#define ZIP_MAX_32 UINT64_C(0xffffffff)

/* Walks the central directory of an archive in memory. Returns false at its end or at anything
 * that does not fit; nothing outside [data, data + size) is read. */
typedef struct mica_zip_walk {
    const uint8_t *data;
    size_t size;
    size_t at, end; /* next record, end of the directory */
} mica_zip_walk;

typedef struct mica_zip_entry {
    const uint8_t *name; /* not terminated; points into the archive */
    size_t name_len;
    unsigned method;
    uint32_t crc;
    uint64_t packed_size, size;
    size_t data_at; /* first byte of the packed data; the whole of it lies inside the archive */
} mica_zip_entry;

bool mica_zip_walk_begin(mica_zip_walk *walk, const uint8_t *data, size_t size);
bool mica_zip_walk_next(mica_zip_walk *walk, mica_zip_entry *out);

#endif
