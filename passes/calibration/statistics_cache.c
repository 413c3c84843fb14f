#include "passes/calibration/statistics_cache.h"

#include <stdlib.h>
#include <string.h>

#include "passes/calibration/statistics_bytes.h"
#include "utils/arena.h"
#include "utils/file.h"
#include "utils/strbuf.h"

enum {
    FORMAT = 1,              /* grows with every change of the layout or of what is counted */
    MAGIC_BYTES = 8,
    HEAD = MAGIC_BYTES + MICA_HASH_HEX,
};
static const char MAGIC[MAGIC_BYTES + 1] = "micastat";
static const size_t MOST_BYTES = (size_t)1 << 32;

/* --- key ---------------------------------------------------------------------------------------- */

mica_status mica_cache_key_make(const char *mlir, const char *weights, const mica_dataset *dataset,
                                bool per_channel, mica_cache_key *out, mica_error *err) {
    char both[2][MICA_HASH_HEX] = {{0}};
    MICA_TRY(mica_hash_file_hex(mlir, both[0], err));
    MICA_TRY(weights != NULL ? mica_hash_file_hex(weights, both[1], err) : MICA_OK);
    mica_cache_key key = {.per_channel = per_channel, .n_samples = mica_dataset_count(dataset)};
    mica_hash_hex(both, sizeof both, key.model);
    key.samples = mica_alloc((key.n_samples + 1) * sizeof *key.samples);
    for (size_t i = 0; i < key.n_samples; ++i) {
        if (mica_dataset_hash(dataset, i, key.samples[i], err) != MICA_OK) {
            mica_cache_key_free(&key);
            return MICA_FAIL;
        }
    }
    *out = key;
    return MICA_OK;
}

void mica_cache_key_free(mica_cache_key *key) {
    mica_free(key->samples);
    memset(key, 0, sizeof *key);
}

static int compare_hashes(const void *a, const void *b) { return strcmp(a, b); }

static void *sorted(const mica_cache_key *key) {
    void *list = mica_alloc((key->n_samples + 1) * MICA_HASH_HEX);
    memcpy(list, key->samples, key->n_samples * MICA_HASH_HEX);
    qsort(list, key->n_samples, MICA_HASH_HEX, compare_hashes);
    return list;
}

/* How many samples only one of two sets has. */
static void differences(const mica_cache_key *old, const mica_cache_key *new, size_t *removed,
                        size_t *added) {
    char(*a)[MICA_HASH_HEX] = sorted(old);
    char(*b)[MICA_HASH_HEX] = sorted(new);
    size_t i = 0;
    size_t k = 0;
    *removed = *added = 0;
    while (i < old->n_samples || k < new->n_samples) {
        const int order = i == old->n_samples   ? 1
                          : k == new->n_samples ? -1
                                                : strcmp(a[i], b[k]);
        *removed += order < 0;
        *added += order > 0;
        i += order <= 0;
        k += order >= 0;
    }
    mica_free(a);
    mica_free(b);
}

/* The statistics do not depend on the order of the samples, but what was done of a part does. */
static mica_status check_key(const mica_cache_key *old, const mica_cache_key *now, size_t done,
                             mica_error *err) {
    if (strcmp(old->model, now->model) != 0) {
        return mica_fail(err, "it belongs to another model");
    }
    if (old->per_channel != now->per_channel) {
        return mica_fail(err, "it was made %s --per_channel_activation",
                         old->per_channel ? "with" : "without");
    }
    size_t removed = 0;
    size_t added = 0;
    differences(old, now, &removed, &added);
    if (removed + added > 0) {
        return mica_fail(err, "the samples changed (%zu of it are gone, %zu are new)", removed, added);
    }
    if (done < now->n_samples && memcmp(old->samples, now->samples, done * MICA_HASH_HEX) != 0) {
        return mica_fail(err, "it is of an interrupted pass and the order of the samples changed");
    }
    return MICA_OK;
}

/* --- file --------------------------------------------------------------------------------------- */

mica_status mica_cache_write(const char *path, const mica_cache_key *key,
                             const mica_statistics *statistics, mica_error *err) {
    mica_strbuf body = {0};
    mica_put_u64(&body, FORMAT);
    mica_put_u64(&body, MICA_HISTOGRAM_BINS);
    mica_put_text(&body, key->model);
    mica_put_u64(&body, key->per_channel);
    mica_put_u64(&body, key->n_samples);
    for (size_t i = 0; i < key->n_samples; ++i) {
        mica_put_text(&body, key->samples[i]);
    }
    mica_put_statistics(&body, statistics);
    char hash[MICA_HASH_HEX];
    mica_hash_hex(body.data, body.len, hash);
    mica_atomic_file file;
    mica_status status = mica_atomic_open(&file, path, err);
    if (status == MICA_OK) {
        if (fwrite(MAGIC, 1, MAGIC_BYTES, file.stream) == MAGIC_BYTES &&
            fwrite(hash, 1, sizeof hash, file.stream) == sizeof hash &&
            fwrite(body.data, 1, body.len, file.stream) == body.len) {
            status = mica_atomic_commit(&file, err);
        } else {
            mica_atomic_abort(&file);
            status = mica_fail(err, "cannot write '%s'", path);
        }
    }
    mica_strbuf_free(&body);
    return status;
}

static void read_hash(mica_byte_reader *in, char out[MICA_HASH_HEX]) {
    const char *text = mica_get_text(in, MICA_HASH_HEX - 1);
    memset(out, 0, MICA_HASH_HEX);
    strncpy(out, text, MICA_HASH_HEX - 1);
}

static void read_key(mica_byte_reader *in, mica_cache_key *out) {
    read_hash(in, out->model);
    out->per_channel = mica_get_u64(in) != 0;
    const uint64_t n = mica_get_u64(in);
    if (n > mica_bytes_left(in) / MICA_HASH_HEX) {
        in->bad = true;
        return;
    }
    out->samples = mica_alloc((size_t)(n + 1) * sizeof *out->samples);
    out->n_samples = (size_t)n;
    for (size_t i = 0; i < out->n_samples; ++i) {
        read_hash(in, out->samples[i]);
    }
}

static mica_cache_state read_body(mica_byte_reader *in, const mica_cache_key *key, mica_arena *arena,
                                  mica_statistics *out, mica_error *err) {
    if (mica_get_u64(in) != FORMAT || mica_get_u64(in) != MICA_HISTOGRAM_BINS) {
        (void)!mica_fail(err, "another version of this program wrote it");
        return MICA_CACHE_REFUSED;
    }
    mica_cache_key old = {0};
    read_key(in, &old);
    if (!in->bad) {
        mica_get_statistics(in, arena, out);
    }
    const bool bad = in->bad || mica_bytes_left(in) != 0 || out->samples > old.n_samples;
    mica_status status = bad ? mica_fail(err, "it is damaged")
                             : check_key(&old, key, out->samples, err);
    const bool whole = out->samples == old.n_samples;
    mica_cache_key_free(&old);
    if (status != MICA_OK) {
        mica_statistics_free(out);
        return MICA_CACHE_REFUSED;
    }
    return whole ? MICA_CACHE_WHOLE : MICA_CACHE_PART;
}

mica_cache_state mica_cache_read(const char *path, const mica_cache_key *key, mica_arena *arena,
                                 mica_statistics *out, mica_error *err) {
    memset(out, 0, sizeof *out);
    if (!mica_file_exists(path)) {
        return MICA_CACHE_ABSENT;
    }
    char *bytes = NULL;
    size_t size = 0;
    if (mica_read_file(path, MOST_BYTES, &bytes, &size, err) != MICA_OK) {
        return MICA_CACHE_FOREIGN;
    }
    mica_cache_state state = MICA_CACHE_REFUSED;
    char hash[MICA_HASH_HEX];
    if (size < MAGIC_BYTES || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0) {
        (void)!mica_fail(err, "'%s' is no statistics cache", path);
        state = MICA_CACHE_FOREIGN;
    } else if (size < HEAD) {
        (void)!mica_fail(err, "it is damaged");
    } else {
        mica_hash_hex(bytes + HEAD, size - HEAD, hash);
        if (memcmp(hash, bytes + MAGIC_BYTES, MICA_HASH_HEX) != 0) {
            (void)!mica_fail(err, "it is damaged");
        } else {
            mica_byte_reader in = {.at = (const uint8_t *)bytes + HEAD, .end = (const uint8_t *)bytes + size};
            state = read_body(&in, key, arena, out, err);
        }
    }
    mica_free(bytes);
    return state;
}
