/* Entries lie in an array in insertion order; an open-addressing table of array positions finds
 * them. */
#include "utils/map.h"

#include "utils/arena.h"
#include "utils/vec.h"

#include <stdint.h>
#include <string.h>
#include <xxhash.h>

typedef struct entry {
    char *key;
    uint64_t hash;
    void *value;
} entry;

struct mica_map {
    MICA_VEC(entry) entries;
    size_t *slots; /* position in entries + 1, 0 = free */
    size_t size;   /* power of two, at least twice the entries; 0 at first */
};

static uint64_t hash_of(const char *key) { return XXH3_64bits(key, strlen(key)); }

mica_map *mica_map_create(void) { return mica_alloc(sizeof(mica_map)); }

void mica_map_destroy(mica_map *map) {
    if (map == NULL) {
        return;
    }
    for (size_t i = 0; i < map->entries.len; i++) {
        mica_free(map->entries.data[i].key);
    }
    mica_vec_free(&map->entries);
    mica_free(map->slots);
    mica_free(map);
}

/* The slot that holds key, or the free slot where it belongs. The map has slots. */
static size_t find_slot(const mica_map *map, const char *key, uint64_t hash) {
    size_t mask = map->size - 1;
    size_t at = (size_t)hash & mask;
    while (map->slots[at] != 0) {
        const entry *e = &map->entries.data[map->slots[at] - 1];
        if (e->hash == hash && strcmp(e->key, key) == 0) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

static entry *find(const mica_map *map, const char *key) {
    if (map->size == 0) {
        return NULL;
    }
    size_t position = map->slots[find_slot(map, key, hash_of(key))];
    return position == 0 ? NULL : &map->entries.data[position - 1];
}

static void index_all(mica_map *map) {
    memset(map->slots, 0, map->size * sizeof *map->slots);
    for (size_t i = 0; i < map->entries.len; i++) {
        const entry *e = &map->entries.data[i];
        map->slots[find_slot(map, e->key, e->hash)] = i + 1;
    }
}

void *mica_map_get(const mica_map *map, const char *key) {
    const entry *e = find(map, key);
    return e == NULL ? NULL : e->value;
}

bool mica_map_has(const mica_map *map, const char *key) { return find(map, key) != NULL; }

bool mica_map_set(mica_map *map, const char *key, void *value) {
    entry *e = find(map, key);
    if (e != NULL) {
        e->value = value;
        return false;
    }
    if (map->size < 2 * (map->entries.len + 1)) {
        map->size = map->size == 0 ? 16 : map->size * 2;
        mica_free(map->slots);
        map->slots = mica_alloc(map->size * sizeof *map->slots);
        index_all(map);
    }
    uint64_t hash = hash_of(key);
    size_t slot = find_slot(map, key, hash);
    mica_vec_push(&map->entries, (entry){mica_strdup(key), hash, value});
    map->slots[slot] = map->entries.len;
    return true;
}

bool mica_map_remove(mica_map *map, const char *key) {
    entry *e = find(map, key);
    if (e == NULL) {
        return false;
    }
    mica_free(e->key);
    size_t i = (size_t)(e - map->entries.data);
    memmove(e, e + 1, (map->entries.len - i - 1) * sizeof *e);
    map->entries.len--;
    index_all(map);
    return true;
}

size_t mica_map_count(const mica_map *map) { return map->entries.len; }

bool mica_map_at(const mica_map *map, size_t i, const char **key, void **value) {
    if (i >= map->entries.len) {
        return false;
    }
    const entry *e = &map->entries.data[i];
    if (key != NULL) {
        *key = e->key;
    }
    if (value != NULL) {
        *value = e->value;
    }
    return true;
}
