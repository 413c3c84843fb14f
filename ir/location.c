/* Locations: uniqued, normalized the way upstream MLIR normalizes them. */
#include "ir/location.h"

#include "ir/context_impl.h"
#include "ir/ptr_map.h"

#include <string.h>

static mica_loc store(mica_context *context, struct mica_loc_storage value) {
    mica_key_begin(context, MICA_KEY_LOC);
    mica_key_int(context, value.kind);
    mica_key_pointer(context, value.name);
    mica_key_int(context, value.line);
    mica_key_int(context, value.column);
    mica_key_pointer(context, value.child);
    mica_key_bytes(context, value.parts, value.n_parts * sizeof *value.parts);
    mica_loc found = mica_key_find(context);
    if (found) {
        return found;
    }
    struct mica_loc_storage *loc = mica_arena_alloc(context->arena, sizeof *loc);
    *loc = value;
    loc->parts =
        mica_arena_memdup(context->arena, value.parts, value.n_parts * sizeof *value.parts);
    loc->context = context;
    mica_extent extent = {1, 1};
    if (value.child) {
        mica_extent_add(&extent, value.child->depth, value.child->weight);
    }
    for (size_t i = 0; i < value.n_parts; i++) {
        mica_extent_add(&extent, value.parts[i]->depth, value.parts[i]->weight);
    }
    loc->depth = extent.depth;
    loc->weight = extent.weight;
    mica_key_store(context, loc);
    return loc;
}

mica_loc mica_loc_unknown(mica_context *context) {
    return store(context, (struct mica_loc_storage){.kind = MICA_LOC_UNKNOWN});
}

mica_loc mica_loc_file(mica_context *context, const char *file, int line, int column) {
    return store(context, (struct mica_loc_storage){.kind = MICA_LOC_FILE,
                                                    .name = mica_intern(context, file),
                                                    .line = line,
                                                    .column = column});
}

mica_loc mica_loc_name(mica_context *context, const char *name, mica_loc child) {
    if (child && child->kind == MICA_LOC_UNKNOWN) {
        child = NULL;
    }
    return store(context, (struct mica_loc_storage){.kind = MICA_LOC_NAME,
                                                    .name = mica_intern(context, name),
                                                    .child = child});
}

/* Distinct known parts, in order. */
typedef struct part_list {
    mica_loc *parts;
    size_t count;
    mica_ptr_map seen;
} part_list;

static void add_part(part_list *list, mica_loc loc) {
    uint64_t index;
    if (loc->kind != MICA_LOC_UNKNOWN && !mica_ptr_map_get(&list->seen, loc, &index)) {
        mica_ptr_map_set(&list->seen, loc, list->count);
        list->parts[list->count++] = loc;
    }
}

mica_loc mica_loc_fused(mica_context *context, const mica_loc *parts, size_t n_parts) {
    size_t most = 0;
    for (size_t i = 0; i < n_parts; i++) {
        most += parts[i]->kind == MICA_LOC_FUSED ? parts[i]->n_parts : 1;
    }
    part_list list = {.parts = mica_alloc(most * sizeof *list.parts)};
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i]->kind != MICA_LOC_FUSED) {
            add_part(&list, parts[i]);
            continue;
        }
        /* Its parts are never fused themselves. */
        for (size_t k = 0; k < parts[i]->n_parts; k++) {
            add_part(&list, parts[i]->parts[k]);
        }
    }
    mica_ptr_map_free(&list.seen);
    size_t count = list.count;
    mica_loc *flat = list.parts;
    mica_loc loc;
    if (count == 0) {
        loc = mica_loc_unknown(context);
    } else if (count == 1) {
        loc = flat[0];
    } else {
        loc = store(context, (struct mica_loc_storage){
                                 .kind = MICA_LOC_FUSED, .parts = flat, .n_parts = count});
    }
    mica_free(flat);
    return loc;
}

void mica_loc_set_seen(mica_loc loc, const char *file, int line, int column) {
    /* Storage is handed out as const, but it is the context's own memory. */
    struct mica_loc_storage *storage = (struct mica_loc_storage *)loc;
    storage->seen_file = mica_intern(loc->context, file);
    storage->seen_line = line;
    storage->seen_column = column;
}

const char *mica_loc_get_name(mica_loc loc) {
    if (!loc) {
        return "";
    }
    if (loc->kind == MICA_LOC_NAME) {
        return loc->name;
    }
    for (size_t i = 0; loc->kind == MICA_LOC_FUSED && i < loc->n_parts; i++) {
        if (loc->parts[i]->kind == MICA_LOC_NAME) {
            return loc->parts[i]->name;
        }
    }
    return "";
}

const char *mica_loc_get_name_at(mica_loc loc, size_t index) {
    if (loc && loc->kind == MICA_LOC_FUSED) {
        if (index >= loc->n_parts || loc->parts[index]->kind != MICA_LOC_NAME) {
            return "";
        }
        return loc->parts[index]->name;
    }
    return index == 0 ? mica_loc_get_name(loc) : "";
}
