/* Own sequential zip writer. libzip keeps every entry until it closes the archive and then writes
 * all at once, which would hold a second copy of the weights, and it cannot align data; here each
 * array goes to the file as it is added, its size and CRC known before, nothing patched later. */
#include "utils/npz.h"

#include "utils/arena.h"
#include "utils/file.h"
#include "utils/map.h"
#include "utils/npy.h"
#include "utils/vec.h"
#include "utils/zip_layout.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { EXTRA64_SIZE = 2 + 2 + 8 + 8 }; /* extra field of a local header with 64-bit sizes */

typedef struct record {
    char *name; /* key + ".npy" */
    unsigned method;
    bool zip64; /* sizes are in the extra field, see WIDE_FROM */
    uint32_t crc;
    uint64_t packed_size, size, offset;
} record;

/* Arrays of this many bytes get 64-bit sizes. Somewhat below 4 GiB, so that neither the npy header
 * nor data that deflate cannot shrink (0.03 % longer) comes near the limit, and the length of the
 * local header is known before them. */
#define WIDE_FROM (UINT64_C(0xffffffff) - (UINT64_C(1) << 24))

struct mica_npz_writer {
    mica_atomic_file file;
    bool compress;
    uint64_t offset; /* bytes written */
    mica_map *keys;  /* set: values are not used */
    MICA_VEC(record) records;
};

/* A record being put together; the fixed parts and extra fields are small. */
typedef struct bytes {
    uint8_t data[ZIP_END64_SIZE + ZIP_LOCATOR64_SIZE + ZIP_END_SIZE];
    size_t len;
} bytes;

static void put(bytes *b, uint64_t value, int count) {
    for (int i = 0; i < count; i++) {
        b->data[b->len++] = (uint8_t)(value >> 8 * i);
    }
}

static uint64_t cap32(uint64_t v) { return v < ZIP_MAX_32 ? v : ZIP_MAX_32; }

static mica_status write_bytes(mica_npz_writer *w, const void *data, size_t n, mica_error *err) {
    if (n > 0 && fwrite(data, 1, n, w->file.stream) != n) {
        return mica_fail(err, "cannot write '%s': %s", w->file.path, strerror(errno));
    }
    w->offset += n;
    return MICA_OK;
}

mica_npz_writer *mica_npz_create(const char *path, bool compress, mica_error *err) {
    mica_atomic_file file;
    if (mica_atomic_open(&file, path, err) != MICA_OK) {
        return NULL;
    }
    mica_npz_writer *w = mica_alloc(sizeof *w);
    w->file = file;
    w->compress = compress;
    w->keys = mica_map_create();
    return w;
}

static void free_writer(mica_npz_writer *w) {
    for (size_t i = 0; i < w->records.len; i++) {
        mica_free(w->records.data[i].name);
    }
    mica_vec_free(&w->records);
    mica_map_destroy(w->keys);
    mica_free(w);
}

void mica_npz_discard(mica_npz_writer *w) {
    if (w != NULL) {
        mica_atomic_abort(&w->file);
        free_writer(w);
    }
}

/* Names outside ASCII are declared to be UTF-8. */
static unsigned name_flags(const char *name) {
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x80) {
            return ZIP_UTF8_NAME;
        }
    }
    return 0;
}

/* Fields that the local and the central header share, from "version needed" to "name length". */
static void put_common(bytes *b, const record *r) {
    put(b, r->zip64 ? 45 : 20, 2);
    put(b, name_flags(r->name), 2);
    put(b, r->method, 2);
    put(b, 0, 2);
    put(b, ZIP_DATE_1980, 2);
    put(b, r->crc, 4);
    put(b, r->zip64 ? ZIP_MAX_32 : r->packed_size, 4);
    put(b, r->zip64 ? ZIP_MAX_32 : r->size, 4);
    put(b, strlen(r->name), 2);
}

static mica_status write_local(mica_npz_writer *w, const record *r, mica_error *err) {
    bytes b = {0}, extra = {0};
    if (r->zip64) {
        put(&extra, ZIP_EXTRA64_ID, 2);
        put(&extra, 16, 2);
        put(&extra, r->size, 8);
        put(&extra, r->packed_size, 8);
    }
    put(&b, ZIP_LOCAL_SIG, 4);
    put_common(&b, r);
    put(&b, extra.len, 2);
    MICA_TRY(write_bytes(w, b.data, b.len, err));
    MICA_TRY(write_bytes(w, r->name, strlen(r->name), err));
    return write_bytes(w, extra.data, extra.len, err);
}

static mica_status write_central(mica_npz_writer *w, const record *r, mica_error *err) {
    bool sizes = r->zip64, far = r->offset >= ZIP_MAX_32;
    bytes b = {0}, extra = {0};
    if (sizes || far) {
        put(&extra, ZIP_EXTRA64_ID, 2);
        put(&extra, (sizes ? 16u : 0u) + (far ? 8u : 0u), 2);
        if (sizes) {
            put(&extra, r->size, 8);
            put(&extra, r->packed_size, 8);
        }
        if (far) {
            put(&extra, r->offset, 8);
        }
    }
    put(&b, ZIP_CENTRAL_SIG, 4);
    put(&b, 3 << 8 | 45, 2); /* made by: Unix, version 4.5 */
    put_common(&b, r);
    put(&b, extra.len, 2);
    put(&b, 0, 2 + 2 + 2);               /* comment, disk, internal attributes */
    put(&b, UINT64_C(0100644) << 16, 4); /* a regular file, rw-r--r-- */
    put(&b, cap32(r->offset), 4);
    MICA_TRY(write_bytes(w, b.data, b.len, err));
    MICA_TRY(write_bytes(w, r->name, strlen(r->name), err));
    return write_bytes(w, extra.data, extra.len, err);
}

/* Feeds n bytes to the deflater in pieces its 32-bit counters can hold; the output is appended. */
typedef MICA_VEC(uint8_t) packed_bytes;

static bool deflate_part(z_stream *z, const uint8_t *data, size_t n, int flush,
                         packed_bytes *out) {
    do {
        uInt step = n < (1u << 30) ? (uInt)n : 1u << 30;
        z->next_in = (z_const Bytef *)(uintptr_t)data;
        z->avail_in = step;
        data += step;
        n -= step;
        int mode = n == 0 ? flush : Z_NO_FLUSH;
        do {
            mica_vec_reserve(out, out->len + (1u << 16));
            size_t room = out->cap - out->len;
            z->next_out = out->data + out->len;
            z->avail_out = room < (1u << 30) ? (uInt)room : 1u << 30;
            uInt before = z->avail_out;
            if (deflate(z, mode) == Z_STREAM_ERROR) {
                return false;
            }
            out->len += before - z->avail_out;
        } while (z->avail_out == 0);
    } while (n > 0);
    return true;
}

static mica_status pack(const uint8_t *head, size_t head_len, const void *data, size_t n,
                        packed_bytes *out, mica_error *err) {
    z_stream z = {0};
    /* Negative window bits: raw deflate, as zip wants it. */
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return mica_fail(err, "cannot start the compressor");
    }
    bool ok = deflate_part(&z, head, head_len, Z_NO_FLUSH, out) &&
              deflate_part(&z, n > 0 ? data : head, n, Z_FINISH, out); /* never NULL */
    deflateEnd(&z);
    return ok ? MICA_OK : mica_fail(err, "the compressor failed");
}

/* Appends header and elements under r->name, then files the record. */
static mica_status write_entry(mica_npz_writer *w, record *r, const uint8_t *head, size_t head_len,
                               const void *data, size_t n, mica_error *err) {
    r->crc = (uint32_t)crc32_z(0, head, head_len);
    if (n > 0) { /* a NULL buffer would restart the sum */
        r->crc = (uint32_t)crc32_z(r->crc, data, n);
    }
    if (!w->compress) {
        r->method = ZIP_STORED;
        r->packed_size = r->size;
        MICA_TRY(write_local(w, r, err));
        MICA_TRY(write_bytes(w, head, head_len, err));
        return write_bytes(w, data, n, err);
    }
    packed_bytes out = {0};
    mica_status status = pack(head, head_len, data, n, &out, err);
    if (status == MICA_OK) {
        r->method = ZIP_DEFLATED;
        r->packed_size = out.len;
        status = write_local(w, r, err);
    }
    if (status == MICA_OK) {
        status = write_bytes(w, out.data, out.len, err);
    }
    mica_vec_free(&out);
    return status;
}

static mica_status check_key(const mica_npz_writer *w, const char *key, mica_error *err) {
    size_t n = strlen(key);
    if (n == 0 || n + 4 > ZIP_MAX_16) {
        return mica_fail(err, "'%s': a key of %zu bytes cannot be stored", w->file.path, n);
    }
    if (mica_map_has(w->keys, key)) {
        return mica_fail(err, "'%s': key '%s' is added twice", w->file.path, key);
    }
    return MICA_OK;
}

mica_status mica_npz_add(mica_npz_writer *w, const char *key, const char *descr, int rank,
                         const int64_t *dims, const void *data, mica_error *err) {
    MICA_TRY(check_key(w, key, err));
    size_t n;
    if (mica_descr_size(descr) == 0) {
        return mica_fail(err, "'%s': key '%s': element type '%s' is not supported", w->file.path,
                         key, descr);
    }
    if (!mica_shape_bytes(rank, dims, mica_descr_size(descr), &n)) {
        return mica_fail(err, "'%s': key '%s': bad shape", w->file.path, key);
    }
    record r = {.offset = w->offset, .zip64 = n >= WIDE_FROM};
    size_t name_room = strlen(key) + 5;
    r.name = mica_alloc(name_room);
    snprintf(r.name, name_room, "%s.npy", key);
    uint64_t start = r.offset + ZIP_LOCAL_SIZE + strlen(r.name) + (r.zip64 ? EXTRA64_SIZE : 0);
    size_t lead = w->compress ? 0 : (size_t)(start % 64);
    uint8_t head[MICA_NPY_WRITE_MAX];
    size_t head_len = mica_npy_build_header(descr, rank, dims, lead, head);
    r.size = (uint64_t)n + head_len;
    mica_status status = write_entry(w, &r, head, head_len, data, n, err);
    if (status != MICA_OK) {
        mica_free(r.name);
        return MICA_FAIL;
    }
    mica_vec_push(&w->records, r);
    mica_map_set(w->keys, key, NULL);
    return MICA_OK;
}

static mica_status write_end(mica_npz_writer *w, mica_error *err) {
    uint64_t from = w->offset, count = w->records.len;
    for (size_t i = 0; i < w->records.len; i++) {
        MICA_TRY(write_central(w, &w->records.data[i], err));
    }
    uint64_t length = w->offset - from, end64 = w->offset;
    bytes b = {0};
    if (count >= ZIP_MAX_16 || from >= ZIP_MAX_32 || length >= ZIP_MAX_32) {
        put(&b, ZIP_END64_SIG, 4);
        put(&b, ZIP_END64_SIZE - 12, 8);
        put(&b, 3 << 8 | 45, 2);
        put(&b, 45, 2);
        put(&b, 0, 4 + 4); /* disks */
        put(&b, count, 8);
        put(&b, count, 8);
        put(&b, length, 8);
        put(&b, from, 8);
        put(&b, ZIP_LOCATOR64_SIG, 4);
        put(&b, 0, 4);
        put(&b, end64, 8);
        put(&b, 1, 4);
    }
    put(&b, ZIP_END_SIG, 4);
    put(&b, 0, 2 + 2); /* disks */
    put(&b, count < ZIP_MAX_16 ? count : ZIP_MAX_16, 2);
    put(&b, count < ZIP_MAX_16 ? count : ZIP_MAX_16, 2);
    put(&b, cap32(length), 4);
    put(&b, cap32(from), 4);
    put(&b, 0, 2); /* comment */
    return write_bytes(w, b.data, b.len, err);
}

mica_status mica_npz_finish(mica_npz_writer *w, mica_error *err) {
    if (write_end(w, err) != MICA_OK) {
        mica_npz_discard(w);
        return MICA_FAIL;
    }
    mica_status status = mica_atomic_commit(&w->file, err);
    free_writer(w);
    return status;
}
