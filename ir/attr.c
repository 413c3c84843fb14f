/* Attributes: uniqued on the context. */
#include "ir/attr.h"

#include "ir/context_impl.h"
#include "ir/float_format.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static mica_extent extent_of(const struct mica_attr_storage *attr) {
    mica_extent extent = {1, 1};
    if (attr->type) {
        mica_extent_add(&extent, attr->type->depth, attr->type->weight);
    }
    for (size_t i = 0; attr->items && i < attr->count; i++) {
        mica_extent_add(&extent, attr->items[i]->depth, attr->items[i]->weight);
    }
    for (size_t i = 0; attr->entries && i < attr->count; i++) {
        mica_attr value = attr->entries[i].value;
        mica_extent_add(&extent, value->depth, value->weight);
    }
    if (attr->integers || attr->reals) {
        mica_extent_add(&extent, 0, (uint32_t)attr->count);
    }
    /* Long texts count too: 16 characters as one part. */
    mica_extent_add(&extent, 0, attr->text ? (uint32_t)(strlen(attr->text) / 16) : 0);
    return extent;
}

static mica_attr store(mica_context *context, struct mica_attr_storage value) {
    size_t n_integers = value.integers ? value.count : 0;
    size_t n_reals = value.reals ? value.count : 0;
    size_t n_items = value.items ? value.count : 0;
    size_t n_entries = value.entries ? value.count : 0;
    mica_key_begin(context, MICA_KEY_ATTR);
    mica_key_int(context, value.kind);
    mica_key_int(context, value.integer);
    mica_key_real(context, value.real);
    mica_key_pointer(context, value.type);
    mica_key_pointer(context, value.text);
    mica_key_int(context, (int64_t)value.length);
    mica_key_bytes(context, value.items, n_items * sizeof *value.items);
    mica_key_bytes(context, value.entries, n_entries * sizeof *value.entries);
    mica_key_bytes(context, value.integers, n_integers * sizeof *value.integers);
    mica_key_bytes(context, value.reals, n_reals * sizeof *value.reals);
    mica_attr found = mica_key_find(context);
    if (found) {
        return found;
    }
    mica_arena *arena = context->arena;
    struct mica_attr_storage *attr = mica_arena_alloc(arena, sizeof *attr);
    *attr = value;
    attr->context = context;
    attr->items = mica_arena_memdup(arena, value.items, n_items * sizeof *value.items);
    attr->entries = mica_arena_memdup(arena, value.entries, n_entries * sizeof *value.entries);
    attr->integers = mica_arena_memdup(arena, value.integers, n_integers * sizeof *value.integers);
    attr->reals = mica_arena_memdup(arena, value.reals, n_reals * sizeof *value.reals);
    mica_extent extent = extent_of(&value);
    attr->depth = extent.depth;
    attr->weight = extent.weight;
    mica_key_store(context, attr);
    return attr;
}

mica_attr mica_attr_unit(mica_context *context) {
    return store(context, (struct mica_attr_storage){.kind = MICA_ATTR_UNIT});
}

mica_attr mica_attr_bool(mica_context *context, bool value) {
    return store(context,
                 (struct mica_attr_storage){.kind = MICA_ATTR_BOOL, .integer = value ? 1 : 0});
}

/* Keeps the low bits of the value, sign-extended unless the type is unsigned. */
static int64_t wrap(int64_t value, int width, bool is_unsigned) {
    if (width >= 64) {
        return value;
    }
    uint64_t bits = (uint64_t)value & (((uint64_t)1 << width) - 1);
    if (!is_unsigned && (bits >> (width - 1) & 1)) {
        bits |= ~(uint64_t)0 << width;
    }
    return (int64_t)bits;
}

mica_attr mica_attr_integer(mica_context *context, int64_t value, mica_type type) {
    assert(type->kind == MICA_TYPE_INTEGER || type->kind == MICA_TYPE_INDEX);
    if (type->width == 1 && type->sign == MICA_SIGNLESS) {
        return mica_attr_bool(context, value & 1);
    }
    value = wrap(value, type->width, type->sign == MICA_UNSIGNED);
    return store(context, (struct mica_attr_storage){
                              .kind = MICA_ATTR_INTEGER, .integer = value, .type = type});
}

mica_attr mica_attr_i64(mica_context *context, int64_t value) {
    return mica_attr_integer(context, value, mica_type_i64(context));
}

mica_attr mica_attr_float(mica_context *context, double value, mica_type type) {
    assert(type->kind == MICA_TYPE_FLOAT);
    return store(context,
                 (struct mica_attr_storage){.kind = MICA_ATTR_FLOAT,
                                            .real = mica_float_round(type->float_kind, value),
                                            .type = type});
}

mica_attr mica_attr_f64(mica_context *context, double value) {
    return mica_attr_float(context, value, mica_type_float(context, MICA_F64));
}

mica_attr mica_attr_string_n(mica_context *context, const char *text, size_t length) {
    return store(context,
                 (struct mica_attr_storage){.kind = MICA_ATTR_STRING,
                                            .text = mica_intern_n(context, text, length),
                                            .length = length});
}

mica_attr mica_attr_string(mica_context *context, const char *text) {
    return mica_attr_string_n(context, text, strlen(text));
}

mica_attr mica_attr_array(mica_context *context, const mica_attr *items, size_t count) {
    return store(context, (struct mica_attr_storage){
                              .kind = MICA_ATTR_ARRAY, .items = items, .count = count});
}

static int compare_names(const void *a, const void *b) {
    const mica_named_attr *left = a;
    const mica_named_attr *right = b;
    return strcmp(left->name, right->name);
}

mica_attr mica_attr_dict(mica_context *context, const mica_named_attr *entries, size_t count) {
    mica_named_attr *sorted = mica_alloc(count * sizeof *sorted);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = (mica_named_attr){mica_intern(context, entries[i].name), entries[i].value};
    }
    if (count > 1) {
        qsort(sorted, count, sizeof *sorted, compare_names);
    }
    for (size_t i = 1; i < count; i++) {
        assert(sorted[i - 1].name != sorted[i].name && "key used twice");
    }
    mica_attr dict = store(context, (struct mica_attr_storage){
                                        .kind = MICA_ATTR_DICT, .entries = sorted, .count = count});
    mica_free(sorted);
    return dict;
}

mica_attr mica_attr_of_type(mica_context *context, mica_type type) {
    return store(context, (struct mica_attr_storage){.kind = MICA_ATTR_TYPE, .type = type});
}

mica_attr mica_attr_symbol(mica_context *context, const char *name) {
    return store(context, (struct mica_attr_storage){.kind = MICA_ATTR_SYMBOL,
                                                     .text = mica_intern(context, name)});
}

static mica_attr integers(mica_context *context, mica_attr_kind kind, int width,
                          const int64_t *values, size_t count) {
    int64_t *copy = mica_alloc(count * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = wrap(values[i], width, false);
    }
    mica_attr attr = store(
        context, (struct mica_attr_storage){.kind = kind, .integers = copy, .count = count});
    mica_free(copy);
    return attr;
}

mica_attr mica_attr_i64s(mica_context *context, const int64_t *values, size_t count) {
    return integers(context, MICA_ATTR_I64S, 64, values, count);
}

mica_attr mica_attr_i32s(mica_context *context, const int64_t *values, size_t count) {
    return integers(context, MICA_ATTR_I32S, 32, values, count);
}

mica_attr mica_attr_i8s(mica_context *context, const int64_t *values, size_t count) {
    return integers(context, MICA_ATTR_I8S, 8, values, count);
}

mica_attr mica_attr_f64s(mica_context *context, const double *values, size_t count) {
    double none = 0.0;
    return store(context, (struct mica_attr_storage){.kind = MICA_ATTR_F64S,
                                                     .reals = values ? values : &none,
                                                     .count = count});
}

mica_attr mica_attr_f32s(mica_context *context, const double *values, size_t count) {
    double *copy = mica_alloc(count * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = mica_float_round(MICA_F32, values[i]);
    }
    mica_attr attr = store(context, (struct mica_attr_storage){
                                        .kind = MICA_ATTR_F32S, .reals = copy, .count = count});
    mica_free(copy);
    return attr;
}

mica_attr mica_attr_elements(mica_context *context, const char *text, mica_type type) {
    return store(context, (struct mica_attr_storage){.kind = MICA_ATTR_ELEMENTS,
                                                     .text = mica_intern(context, text),
                                                     .type = type});
}

mica_attr mica_attr_opaque(mica_context *context, const char *text) {
    return store(context, (struct mica_attr_storage){.kind = MICA_ATTR_OPAQUE,
                                                     .text = mica_intern(context, text)});
}

mica_attr mica_attr_dict_get(mica_attr dict, const char *key) {
    assert(dict->kind == MICA_ATTR_DICT);
    size_t low = 0;
    size_t high = dict->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(dict->entries[middle].name, key);
        if (order == 0) {
            return dict->entries[middle].value;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}
