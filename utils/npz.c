/* libzip reads the directory, inflates and checks; entries that are stored aligned are used in
 * place instead, after the same CRC check. */
#include "utils/npz.h"

#include "utils/arena.h"
#include "utils/file.h"
#include "utils/map.h"
#include "utils/npy.h"
#include "utils/strings.h"
#include "utils/zip_layout.h"

#include <string.h>
#include <zip.h>
#include <zlib.h>

/* Deflate cannot shrink further than this (258 bytes in 2 bits, and a margin). */
enum { MAX_DEFLATE_RATIO = 1032, DATA_ALIGN = 64 };

typedef struct entry {
    const char *key; /* in the map */
    uint64_t index;  /* in the archive */
    uint64_t size;   /* bytes of the npy, from the directory */
    uint32_t crc;
    size_t data_at; /* position in the file of a stored entry, 0 if it cannot be used in place */
    bool loaded;
    mica_ndarray array;
} entry;

struct mica_npz {
    char *path;
    mica_mapped file;
    zip_t *zip;
    entry *entries;
    size_t count;
    mica_map *keys; /* key -> entry */
};

void mica_npz_close(mica_npz *npz) {
    if (npz == NULL) {
        return;
    }
    for (size_t i = 0; i < npz->count; i++) {
        mica_ndarray_free(&npz->entries[i].array);
    }
    if (npz->zip != NULL) {
        zip_discard(npz->zip);
    }
    mica_free(npz->entries);
    mica_map_destroy(npz->keys);
    mica_unmap_file(&npz->file);
    mica_free(npz->path);
    mica_free(npz);
}

static mica_status open_zip(mica_npz *npz, mica_error *err) {
    if (npz->file.size < ZIP_END_SIZE) {
        return mica_fail(err, "'%s' is not a zip archive", npz->path);
    }
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(npz->file.data, npz->file.size, 0, &why);
    if (source != NULL) {
        npz->zip = zip_open_from_source(source, ZIP_RDONLY, &why);
        if (npz->zip == NULL) {
            zip_source_free(source);
        }
    }
    mica_status status = MICA_OK;
    if (npz->zip == NULL) {
        status = mica_fail(err, "cannot read '%s': %s", npz->path, zip_error_strerror(&why));
    }
    zip_error_fini(&why);
    return status;
}

/* Checks what the directory says of an entry before anything is made of it. */
static mica_status check_stat(const mica_npz *npz, const char *name, const zip_stat_t *st,
                              mica_error *err) {
    const zip_uint64_t need =
        ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_CRC;
    if ((st->valid & need) != need) {
        return mica_fail(err, "'%s': entry '%s' has no size", npz->path, name);
    }
    if ((st->valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && st->encryption_method != ZIP_EM_NONE) {
        return mica_fail(err, "'%s': entry '%s' is encrypted", npz->path, name);
    }
    if (st->comp_method != ZIP_CM_STORE && st->comp_method != ZIP_CM_DEFLATE) {
        return mica_fail(err, "'%s': entry '%s' has the unsupported compression method %u",
                         npz->path, name, st->comp_method);
    }
    if (st->comp_size > npz->file.size ||
        (st->comp_method == ZIP_CM_STORE && st->size != st->comp_size) ||
        st->size / MAX_DEFLATE_RATIO > st->comp_size) {
        return mica_fail(err, "'%s': entry '%s' declares an impossible size of %llu bytes",
                         npz->path, name, (unsigned long long)st->size);
    }
    return MICA_OK;
}

static mica_status add_entry(mica_npz *npz, uint64_t index, const mica_zip_entry *where,
                             uint64_t *total, mica_error *err) {
    zip_stat_t st;
    const char *name = zip_get_name(npz->zip, index, ZIP_FL_ENC_RAW);
    if (name == NULL || zip_stat_index(npz->zip, index, 0, &st) != 0) {
        return mica_fail(err, "'%s': entry %llu is damaged", npz->path,
                         (unsigned long long)index);
    }
    size_t n = strlen(name);
    if (!mica_ends_with(name, ".npy")) {
        return MICA_OK;
    }
    MICA_TRY(check_stat(npz, name, &st, err));
    *total += st.comp_size; /* no overflow: each is at most the file, and there are few enough */
    if (*total > npz->file.size) {
        return mica_fail(err, "'%s': entries overlap", npz->path);
    }
    entry *e = &npz->entries[npz->count];
    char *key = mica_alloc(n - 3);
    memcpy(key, name, n - 4);
    bool fresh = mica_map_set(npz->keys, key, e);
    mica_free(key);
    if (!fresh) {
        return mica_fail(err, "'%s': entry '%s' is there twice", npz->path, name);
    }
    mica_map_at(npz->keys, npz->count++, &e->key, NULL);
    e->index = index;
    e->size = st.size;
    e->crc = st.crc;
    /* In place only if libzip and our own reading of the directory agree on the entry. */
    if (where != NULL && st.comp_method == ZIP_CM_STORE && where->method == ZIP_STORED &&
        where->crc == st.crc && where->size == st.size && where->packed_size == st.size &&
        where->name_len == n && memcmp(where->name, name, n) == 0) {
        e->data_at = where->data_at;
    }
    return MICA_OK;
}

static mica_status list_entries(mica_npz *npz, mica_error *err) {
    zip_int64_t count = zip_get_num_entries(npz->zip, 0);
    if (count < 0 || (uint64_t)count > npz->file.size / ZIP_CENTRAL_SIZE) {
        return mica_fail(err, "'%s' declares an impossible number of entries", npz->path);
    }
    npz->entries = mica_alloc((size_t)count * sizeof *npz->entries);
    npz->keys = mica_map_create();
    mica_zip_walk walk;
    bool walking = mica_zip_walk_begin(&walk, npz->file.data, npz->file.size);
    uint64_t total = 0;
    for (zip_int64_t i = 0; i < count; i++) {
        mica_zip_entry where;
        walking = walking && mica_zip_walk_next(&walk, &where);
        MICA_TRY(add_entry(npz, (uint64_t)i, walking ? &where : NULL, &total, err));
    }
    return MICA_OK;
}

mica_npz *mica_npz_open(const char *path, mica_error *err) {
    mica_mapped file;
    if (mica_map_file(path, &file, err) != MICA_OK) {
        return NULL;
    }
    mica_npz *npz = mica_alloc(sizeof *npz);
    npz->path = mica_strdup(path);
    npz->file = file;
    if (open_zip(npz, err) != MICA_OK || list_entries(npz, err) != MICA_OK) {
        mica_npz_close(npz);
        return NULL;
    }
    return npz;
}

size_t mica_npz_count(const mica_npz *npz) { return npz->count; }

const char *mica_npz_key(const mica_npz *npz, size_t i) {
    return i < npz->count ? npz->entries[i].key : NULL;
}

bool mica_npz_has(const mica_npz *npz, const char *key) { return mica_map_has(npz->keys, key); }

static void set_array(entry *e, const mica_npy_header *h, const void *data, void *owned) {
    e->array = (mica_ndarray){.name = mica_strdup(e->key),
                              .rank = h->rank,
                              .data = data,
                              .bytes = h->data_bytes,
                              .owned = owned};
    memcpy(e->array.descr, h->descr, sizeof e->array.descr);
    memcpy(e->array.dims, h->dims, sizeof e->array.dims);
    e->loaded = true;
}

/* Uses a stored entry from the mapping; *done is false if its data is not aligned. */
static mica_status load_in_place(const mica_npz *npz, entry *e, bool *done, mica_error *err) {
    const uint8_t *bytes = npz->file.data + e->data_at;
    size_t size = (size_t)e->size;
    mica_npy_header h;
    MICA_TRY(mica_npy_parse_header(bytes, size, size, &h, err));
    *done = !h.fortran && (e->data_at + h.data_offset) % DATA_ALIGN == 0;
    if (!*done) {
        return MICA_OK;
    }
    if (crc32_z(0, bytes, size) != e->crc) {
        return mica_fail(err, "CRC error: the data is damaged");
    }
    set_array(e, &h, bytes + h.data_offset, NULL);
    return MICA_OK;
}

/* Exactly n bytes, or a failure with the reason. */
static mica_status read_bytes(zip_file_t *file, void *out, size_t n, mica_error *err) {
    size_t done = 0;
    while (done < n) {
        zip_int64_t got = zip_fread(file, (char *)out + done, n - done);
        if (got < 0) {
            return mica_fail(err, "%s", zip_error_strerror(zip_file_get_error(file)));
        }
        if (got == 0) {
            return mica_fail(err, "the data ends early");
        }
        done += (size_t)got;
    }
    return MICA_OK;
}

/* The elements after the `have` bytes that were read into head, then the end of the entry, where
 * libzip compares the CRC. */
static mica_status read_data(zip_file_t *file, const mica_npy_header *h, const uint8_t *head,
                             size_t have, uint8_t *data, mica_error *err) {
    size_t early = have - h->data_offset;
    if (early > 0) {
        memcpy(data, head + h->data_offset, early);
    }
    MICA_TRY(read_bytes(file, data + early, h->data_bytes - early, err));
    char end;
    zip_int64_t got = zip_fread(file, &end, 1);
    if (got != 0) {
        return mica_fail(err, "%s", got < 0 ? zip_error_strerror(zip_file_get_error(file))
                                            : "data after the end of the array");
    }
    return MICA_OK;
}

static mica_status load_copy(zip_file_t *file, entry *e, mica_error *err) {
    uint8_t head[MICA_NPY_MAX_HEADER];
    size_t have = e->size < sizeof head ? (size_t)e->size : sizeof head;
    MICA_TRY(read_bytes(file, head, have, err));
    mica_npy_header h;
    MICA_TRY(mica_npy_parse_header(head, have, (size_t)e->size, &h, err));
    uint8_t *data = mica_alloc_aligned(h.data_bytes, DATA_ALIGN);
    if (read_data(file, &h, head, have, data, err) != MICA_OK) {
        mica_free(data);
        return MICA_FAIL;
    }
    if (h.fortran) {
        uint8_t *turned = mica_alloc_aligned(h.data_bytes, DATA_ALIGN);
        mica_npy_fortran_to_c(&h, data, turned);
        mica_free(data);
        data = turned;
    }
    set_array(e, &h, data, data);
    return MICA_OK;
}

static mica_status load(mica_npz *npz, entry *e, mica_error *err) {
    bool done = false;
    if (e->data_at != 0) {
        MICA_TRY(load_in_place(npz, e, &done, err));
    }
    if (done) {
        return MICA_OK;
    }
    zip_file_t *file = zip_fopen_index(npz->zip, e->index, 0);
    if (file == NULL) {
        return mica_fail(err, "%s", zip_strerror(npz->zip));
    }
    mica_status status = load_copy(file, e, err);
    zip_fclose(file);
    return status;
}

static void fail_missing(const mica_npz *npz, const char *key, mica_error *err) {
    const char **keys = mica_alloc((npz->count + 1) * sizeof *keys);
    for (size_t i = 0; i < npz->count; i++) {
        keys[i] = npz->entries[i].key;
    }
    const char *near = mica_nearest(key, keys, npz->count);
    if (near != NULL) {
        (void)mica_fail(err, "'%s' has no key '%s', the nearest is '%s'", npz->path, key, near);
    } else {
        (void)mica_fail(err, "'%s' has no key '%s'", npz->path, key);
    }
    mica_free(keys);
}

const mica_ndarray *mica_npz_get(mica_npz *npz, const char *key, mica_error *err) {
    entry *e = mica_map_get(npz->keys, key);
    if (e == NULL) {
        fail_missing(npz, key, err);
        return NULL;
    }
    mica_error why = {0};
    if (!e->loaded && load(npz, e, &why) != MICA_OK) {
        (void)mica_fail(err, "'%s': key '%s': %s", npz->path, key, why.text);
        return NULL;
    }
    return &e->array;
}

void mica_npz_release(mica_npz *npz, const char *key) {
    entry *e = mica_map_get(npz->keys, key);
    if (e != NULL && e->loaded) {
        mica_ndarray_free(&e->array);
        e->loaded = false;
    }
}
