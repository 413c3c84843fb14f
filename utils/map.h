/* Hash map from string to pointer that iterates in insertion order, so output never depends on
 * hashing or addresses. Keys are copied; values are borrowed and may be NULL. Expected O(1) get and
 * set, O(count) remove. */
#ifndef MICA_UTILS_MAP_H
#define MICA_UTILS_MAP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mica_map mica_map;

/* A new empty map, owned by the caller. */
mica_map *mica_map_create(void);
/* Frees the map and its keys, not the values; NULL is allowed. */
void mica_map_destroy(mica_map *map);

/* The value of key, NULL if absent (or if NULL was stored: see mica_map_has). */
void *mica_map_get(const mica_map *map, const char *key);
bool mica_map_has(const mica_map *map, const char *key);
/* Stores value under key and returns true if the key is new; an existing key keeps its place. */
bool mica_map_set(mica_map *map, const char *key, void *value);
/* Removes key; returns false if it was absent. Later entries keep their order. */
bool mica_map_remove(mica_map *map, const char *key);
size_t mica_map_count(const mica_map *map);
/* Entry i in insertion order, 0 <= i < count; returns false past the end. key and value may be
 * NULL. The key is borrowed until it is removed. Do not set or remove new keys while iterating. */
bool mica_map_at(const mica_map *map, size_t i, const char **key, void **value);

#endif
