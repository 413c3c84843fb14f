/* The context: interning, uniquing and the table of registered ops. */
#include "ir/context_impl.h"

#include "ir/text.h"

#include <assert.h>
#include <string.h>

/* Mixes 8 bytes at a time; only speed depends on its quality, never any output. */
static uint64_t hash_bytes(const char *data, size_t length) {
    uint64_t h = 0x9E3779B97F4A7C15u ^ length;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        h = (h ^ word) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
        data += 8;
        length -= 8;
    }
    uint64_t tail = 0;
    memcpy(&tail, data, length);
    h = (h ^ tail) * 0xC4CEB9FE1A85EC53u;
    return h ^ (h >> 29);
}

mica_context *mica_context_create(void) {
    mica_context *context = mica_alloc(sizeof *context);
    context->arena = mica_arena_create();
    context->capacity = 1024;
    context->entries = mica_alloc(context->capacity * sizeof *context->entries);
    context->ops_by_name = mica_map_create();
    return context;
}

void mica_context_destroy(mica_context *context) {
    if (!context) {
        return;
    }
    for (size_t i = 0; i < context->sources.len; i++) {
        mica_free(context->sources.data[i].owned);
    }
    mica_vec_free(&context->sources);
    mica_vec_free(&context->ops);
    mica_map_destroy(context->ops_by_name);
    mica_strbuf_free(&context->key);
    mica_free(context->entries);
    mica_arena_destroy(context->arena);
    mica_free(context);
}

mica_arena *mica_context_arena(mica_context *context) {
    return context->arena;
}

/* --- uniquing --------------------------------------------------------------------------------- */

void mica_key_begin(mica_context *context, mica_key_tag tag) {
    char byte = (char)tag;
    context->key.len = 0;
    mica_strbuf_appendn(&context->key, &byte, 1);
}

void mica_key_int(mica_context *context, int64_t value) {
    mica_strbuf_appendn(&context->key, (const char *)&value, sizeof value);
}

void mica_key_real(mica_context *context, double value) {
    mica_strbuf_appendn(&context->key, (const char *)&value, sizeof value);
}

void mica_key_pointer(mica_context *context, const void *pointer) {
    mica_strbuf_appendn(&context->key, (const char *)&pointer, sizeof pointer);
}

void mica_key_bytes(mica_context *context, const void *data, size_t bytes) {
    if (bytes > 0) {
        mica_strbuf_appendn(&context->key, data, bytes);
    }
}

/* Entry of the key, or the free slot where it belongs. */
static mica_unique_entry *find_slot(const mica_context *context, const char *key, size_t length,
                                    uint64_t hash) {
    size_t mask = context->capacity - 1;
    size_t i = hash & mask;
    for (;;) {
        mica_unique_entry *entry = &context->entries[i];
        if (!entry->key) {
            return entry;
        }
        if (entry->hash == hash && entry->length == length &&
            memcmp(entry->key, key, length) == 0) {
            return entry;
        }
        i = (i + 1) & mask;
    }
}

const void *mica_key_find(mica_context *context) {
    const mica_strbuf *key = &context->key;
    const mica_unique_entry *entry =
        find_slot(context, key->data, key->len, hash_bytes(key->data, key->len));
    return entry->key ? entry->storage : NULL;
}

static void grow(mica_context *context) {
    mica_unique_entry *old = context->entries;
    size_t old_capacity = context->capacity;
    context->capacity *= 2;
    context->entries = mica_alloc(context->capacity * sizeof *context->entries);
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].key) {
            *find_slot(context, old[i].key, old[i].length, old[i].hash) = old[i];
        }
    }
    mica_free(old);
}

const char *mica_key_store(mica_context *context, const void *storage) {
    if (context->count * 2 >= context->capacity) {
        grow(context);
    }
    const mica_strbuf *key = &context->key;
    char *copy = mica_arena_alloc(context->arena, key->len + 1);
    memcpy(copy, key->data, key->len);
    uint64_t hash = hash_bytes(copy, key->len);
    mica_unique_entry *entry = find_slot(context, copy, key->len, hash);
    *entry = (mica_unique_entry){hash, copy, key->len, storage ? storage : copy + 1};
    context->count++;
    return copy;
}

const char *mica_intern_n(mica_context *context, const char *text, size_t length) {
    mica_key_begin(context, MICA_KEY_STRING);
    mica_key_bytes(context, text, length);
    const char *found = mica_key_find(context);
    return found ? found : mica_key_store(context, NULL) + 1;
}

const char *mica_intern(mica_context *context, const char *text) {
    return mica_intern_n(context, text, strlen(text));
}

/* --- registered ops --------------------------------------------------------------------------- */

static void register_default(mica_context *context, const mica_op_info *info,
                             const mica_attr_info *row) {
    if (!row->fallback) {
        return;
    }
    mica_attr value = mica_parse_attr(context, row->fallback);
    if (!value) {
        mica_emit_error(context, NULL, "bad default '%s' of attribute '%s' of '%s'", row->fallback,
                        row->name, info->name);
        assert(!"default of an attribute row must parse");
        return;
    }
    mica_key_begin(context, MICA_KEY_DEFAULT);
    mica_key_pointer(context, row);
    if (!mica_key_find(context)) {
        mica_key_store(context, value);
    }
}

void mica_register_ops(mica_context *context, const mica_op_info *table, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const mica_op_info *info = &table[i];
        bool is_new = mica_map_set(context->ops_by_name, info->name, (void *)info);
        assert(is_new && "op registered twice");
        (void)is_new;
        mica_vec_push(&context->ops, info);
        for (size_t a = 0; a < info->n_attrs; a++) {
            register_default(context, info, &info->attrs[a]);
        }
    }
}

mica_attr mica_attr_default(mica_context *context, const mica_attr_info *row) {
    if (!row->fallback) {
        return NULL;
    }
    mica_key_begin(context, MICA_KEY_DEFAULT);
    mica_key_pointer(context, row);
    return mica_key_find(context);
}

const mica_op_info *mica_find_op_info(const mica_context *context, const char *name) {
    return mica_map_get(context->ops_by_name, name);
}

size_t mica_op_info_count(const mica_context *context) {
    return context->ops.len;
}

const mica_op_info *mica_op_info_at(const mica_context *context, size_t index) {
    return index < context->ops.len ? context->ops.data[index] : NULL;
}
