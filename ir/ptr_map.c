#include "ir/ptr_map.h"

#include "utils/arena.h"

static size_t slot_of(const mica_ptr_map *map, const void *key) {
    uint64_t hash = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(hash >> 20) & (map->capacity - 1);
    while (map->entries[i].key && map->entries[i].key != key) {
        i = (i + 1) & (map->capacity - 1);
    }
    return i;
}

static void grow(mica_ptr_map *map) {
    mica_ptr_map old = *map;
    map->capacity = old.capacity ? old.capacity * 2 : 64;
    map->entries = mica_alloc(map->capacity * sizeof *map->entries);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].key) {
            map->entries[slot_of(map, old.entries[i].key)] = old.entries[i];
        }
    }
    mica_free(old.entries);
}

void mica_ptr_map_set(mica_ptr_map *map, const void *key, uint64_t value) {
    if ((map->count + 1) * 2 > map->capacity) {
        grow(map);
    }
    mica_ptr_entry *entry = &map->entries[slot_of(map, key)];
    map->count += entry->key ? 0 : 1;
    *entry = (mica_ptr_entry){key, value};
}

bool mica_ptr_map_get(const mica_ptr_map *map, const void *key, uint64_t *out) {
    if (map->capacity == 0) {
        return false;
    }
    const mica_ptr_entry *entry = &map->entries[slot_of(map, key)];
    if (!entry->key) {
        return false;
    }
    *out = entry->value;
    return true;
}

void mica_ptr_map_free(mica_ptr_map *map) {
    mica_free(map->entries);
    *map = (mica_ptr_map){0};
}
