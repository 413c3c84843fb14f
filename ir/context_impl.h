/* Inside of the context; for files of ir/ only. */
#ifndef MICA_IR_CONTEXT_IMPL_H
#define MICA_IR_CONTEXT_IMPL_H

#include "ir/context.h"
#include "ir/op_info.h"
#include "utils/map.h"
#include "utils/strbuf.h"
#include "utils/vec.h"

/* One uniqued thing: its key bytes (kind tag, fields, arrays) and what stands for it. */
typedef struct mica_unique_entry {
    uint64_t hash;
    const char *key;
    size_t length;
    const void *storage;
} mica_unique_entry;

typedef struct mica_source {
    const char *file; /* interned */
    const char *text;
    size_t length;
    char *owned; /* heap block to free with the context, or NULL */
} mica_source;

struct mica_context {
    mica_arena *arena;
    mica_unique_entry *entries; /* open addressing, capacity is a power of two */
    size_t capacity, count;
    mica_strbuf key; /* key under construction */
    mica_map *ops_by_name;
    MICA_VEC(const mica_op_info *) ops;
    mica_diag_handler *handler;
    void *handler_user;
    size_t errors;
    MICA_VEC(mica_source) sources;
};

/* What a key describes; the first byte of every key. */
typedef enum mica_key_tag { MICA_KEY_STRING, MICA_KEY_TYPE, MICA_KEY_ATTR, MICA_KEY_LOC,
                            MICA_KEY_DEFAULT } mica_key_tag;

/* Uniquing: begin a key, add all fields, look it up, and if it is new create the storage (on the
 * context's arena, without starting another key) and store it. Children are uniqued themselves, so
 * their addresses stand for them. */
void mica_key_begin(mica_context *context, mica_key_tag tag);
void mica_key_int(mica_context *context, int64_t value);
void mica_key_real(mica_context *context, double value);
void mica_key_pointer(mica_context *context, const void *pointer);
void mica_key_bytes(mica_context *context, const void *data, size_t bytes);
const void *mica_key_find(mica_context *context);
/* Returns the lasting copy of the key's bytes, NUL-terminated. */
const char *mica_key_store(mica_context *context, const void *storage);

/* Depth and weight (see the storage structs) of something with these children; weight saturates. */
typedef struct mica_extent {
    uint32_t depth, weight;
} mica_extent;
static inline void mica_extent_add(mica_extent *extent, uint32_t depth, uint32_t weight) {
    extent->depth = depth + 1 > extent->depth ? depth + 1 : extent->depth;
    extent->weight =
        extent->weight > UINT32_MAX - weight ? UINT32_MAX : extent->weight + weight;
}

/* Default value of an attribute row, parsed at registration; NULL if the row has none. */
mica_attr mica_attr_default(mica_context *context, const mica_attr_info *row);

/* Registers a source text whose memory the context takes over (heap block of utils/arena.h). */
void mica_take_source(mica_context *context, const char *file, char *text, size_t length);
void mica_forget_source(mica_context *context, const char *file);
const mica_source *mica_find_source(const mica_context *context, const char *file);

/* Remembers that `loc` was read from a text at this place, so that a diagnostic at a named location
 * can still show file and line. The latest place wins. */
void mica_loc_set_seen(mica_loc loc, const char *file, int line, int column);

#endif
