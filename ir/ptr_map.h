/* Map from pointer to 64-bit number or pointer: open addressing. No iteration, so
 * output cannot depend on addresses. */
#ifndef MICA_IR_PTR_MAP_H
#define MICA_IR_PTR_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mica_ptr_entry {
    const void *key;
    uint64_t value;
} mica_ptr_entry;

/* A zeroed map is empty and valid. */
typedef struct mica_ptr_map {
    mica_ptr_entry *entries;
    size_t capacity, count;
} mica_ptr_map;

void mica_ptr_map_set(mica_ptr_map *map, const void *key, uint64_t value);
/* False if the key was never set; *out is then unchanged. */
bool mica_ptr_map_get(const mica_ptr_map *map, const void *key, uint64_t *out);
void mica_ptr_map_free(mica_ptr_map *map);

static inline void mica_ptr_map_set_pointer(mica_ptr_map *map, const void *key, void *value) {
    mica_ptr_map_set(map, key, (uint64_t)(uintptr_t)value);
}
/* NULL if absent. */
static inline void *mica_ptr_map_get_pointer(const mica_ptr_map *map, const void *key) {
    uint64_t value = 0;
    return mica_ptr_map_get(map, key, &value) ? (void *)(uintptr_t)value : NULL;
}

#endif
