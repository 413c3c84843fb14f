/* Named constants. Arrays point into sources (an opened npz, a copy) that are counted, so that
 * stores can share them. */
#include "ir/weights.h"

#include "utils/arena.h"
#include "utils/map.h"
#include "utils/npz.h"
#include "utils/vec.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

typedef struct source {
    size_t users;
    mica_npz *npz;
    void *object;
    void (*release)(void *);
} source;

typedef struct weight {
    source *source; /* what the data lies in; NULL: borrowed */
    bool in_npz;    /* `array` is not filled: ask the npz for the name */
    mica_ndarray array;
} weight;

struct mica_weights {
    mica_map *by_name; /* name -> weight */
    MICA_VEC(source *) kept;
};

/* --- sources ---------------------------------------------------------------------------------- */

static source *source_create(mica_npz *npz, void *object, void (*release)(void *)) {
    source *made = mica_alloc(sizeof *made);
    *made = (source){.users = 1, .npz = npz, .object = object, .release = release};
    return made;
}

static source *source_share(source *shared) {
    if (shared) {
        shared->users++;
    }
    return shared;
}

static void source_drop(source *dropped) {
    if (!dropped || --dropped->users > 0) {
        return;
    }
    mica_npz_close(dropped->npz);
    if (dropped->release) {
        dropped->release(dropped->object);
    }
    mica_free(dropped);
}

/* --- store ------------------------------------------------------------------------------------ */

mica_weights *mica_weights_create(void) {
    mica_weights *weights = mica_alloc(sizeof *weights);
    weights->by_name = mica_map_create();
    return weights;
}

static void weight_destroy(weight *entry) {
    if (entry) {
        source_drop(entry->source);
        mica_free(entry->array.name);
        mica_free(entry);
    }
}

void mica_weights_destroy(mica_weights *weights) {
    if (!weights) {
        return;
    }
    void *entry;
    for (size_t i = 0; mica_map_at(weights->by_name, i, NULL, &entry); i++) {
        weight_destroy(entry);
    }
    mica_map_destroy(weights->by_name);
    for (size_t i = 0; i < weights->kept.len; i++) {
        source_drop(weights->kept.data[i]);
    }
    mica_vec_free(&weights->kept);
    mica_free(weights);
}

static void put(mica_weights *weights, const char *name, weight value) {
    weight *old = mica_map_get(weights->by_name, name);
    weight *entry = mica_alloc(sizeof *entry);
    *entry = value;
    entry->array.name = mica_strdup(name);
    mica_map_set(weights->by_name, name, entry);
    weight_destroy(old);
}

mica_weights *mica_weights_clone(const mica_weights *weights) {
    mica_weights *copy = mica_weights_create();
    const char *name;
    void *entry;
    for (size_t i = 0; mica_map_at(weights->by_name, i, &name, &entry); i++) {
        weight shared = *(const weight *)entry;
        source_share(shared.source);
        put(copy, name, shared);
    }
    for (size_t i = 0; i < weights->kept.len; i++) {
        mica_vec_push(&copy->kept, source_share(weights->kept.data[i]));
    }
    return copy;
}

const mica_ndarray *mica_weights_get(const mica_weights *weights, const char *name) {
    const weight *entry = mica_map_get(weights->by_name, name);
    if (!entry) {
        return NULL;
    }
    return entry->in_npz ? mica_npz_get(entry->source->npz, name, NULL) : &entry->array;
}

size_t mica_weights_count(const mica_weights *weights) {
    return mica_map_count(weights->by_name);
}

const char *mica_weights_name_at(const mica_weights *weights, size_t index) {
    const char *name = NULL;
    mica_map_at(weights->by_name, index, &name, NULL);
    return name;
}

void mica_weights_set(mica_weights *weights, const char *name, const char *descr, int rank,
                      const int64_t *dims, const void *data, bool copy) {
    const char *canonical = mica_descr_canonical(descr);
    assert(canonical && rank >= 0 && rank <= MICA_NDARRAY_MAX_RANK);
    weight value = {.array = {.rank = rank, .data = data}};
    snprintf(value.array.descr, sizeof value.array.descr, "%s", canonical);
    for (int i = 0; i < rank; i++) {
        value.array.dims[i] = dims[i];
    }
    bool fits = mica_shape_bytes(rank, dims, mica_descr_size(canonical), &value.array.bytes);
    assert(fits && "shape of a constant is too large");
    (void)fits;
    if (copy || !data) {
        void *block = mica_alloc_aligned(value.array.bytes, 64);
        if (value.array.bytes > 0) {
            memcpy(block, data, value.array.bytes);
        }
        value.array.data = block;
        value.source = source_create(NULL, block, mica_free);
    }
    put(weights, name, value);
}

void mica_weights_remove(mica_weights *weights, const char *name) {
    weight *entry = mica_map_get(weights->by_name, name);
    if (entry) {
        mica_map_remove(weights->by_name, name);
        weight_destroy(entry);
    }
}

void mica_weights_keep(mica_weights *weights, void *object, void (*release)(void *)) {
    mica_vec_push(&weights->kept, source_create(NULL, object, release));
}

/* --- files ------------------------------------------------------------------------------------ */

mica_status mica_weights_load(mica_weights *weights, const char *path, mica_error *err) {
    mica_npz *npz = mica_npz_open(path, err);
    if (!npz) {
        return MICA_FAIL;
    }
    source *opened = source_create(npz, NULL, NULL);
    for (size_t i = 0; i < mica_npz_count(npz); i++) {
        weight value = {.source = source_share(opened), .in_npz = true};
        put(weights, mica_npz_key(npz, i), value);
    }
    source_drop(opened);
    return MICA_OK;
}

static mica_status add_all(mica_npz_writer *writer, const mica_weights *weights,
                           const char *const *names, size_t count, mica_error *err) {
    for (size_t i = 0; i < count; i++) {
        const mica_ndarray *array = mica_weights_get(weights, names[i]);
        if (!array) {
            return mica_fail(err, "constant '%s' is missing or damaged", names[i]);
        }
        MICA_TRY(mica_npz_add(writer, names[i], array->descr, array->rank, array->dims,
                              array->data, err));
    }
    return MICA_OK;
}

mica_status mica_weights_save(const mica_weights *weights, const char *const *names, size_t count,
                              const char *path, mica_error *err) {
    mica_npz_writer *writer = mica_npz_create(path, false, err);
    if (!writer) {
        return MICA_FAIL;
    }
    if (add_all(writer, weights, names, count, err) != MICA_OK) {
        mica_npz_discard(writer);
        return MICA_FAIL;
    }
    return mica_npz_finish(writer, err);
}
