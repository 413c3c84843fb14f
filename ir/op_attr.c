/* Attributes of ops. */
#include "ir/context_impl.h"
#include "ir/op.h"
#include "ir/op_impl.h"

#include <assert.h>
#include <string.h>

/* Index of `name` in the sorted array, or where it belongs. */
static size_t lower_bound(const mica_named_attr *attrs, size_t count, const char *name) {
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(attrs[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

mica_attr mica_attrs_find(const mica_named_attr *attrs, size_t count, const char *name) {
    size_t i = lower_bound(attrs, count, name);
    return i < count && strcmp(attrs[i].name, name) == 0 ? attrs[i].value : NULL;
}

mica_attr mica_op_attr(const mica_op *op, const char *name) {
    return mica_attrs_find(op->attrs, op->n_attrs, name);
}

bool mica_op_has_attr(const mica_op *op, const char *name) {
    return mica_op_attr(op, name) != NULL;
}

const mica_attr_info *mica_op_info_attr(const mica_op_info *info, const char *name) {
    for (size_t i = 0; info && i < info->n_attrs; i++) {
        if (strcmp(info->attrs[i].name, name) == 0) {
            return &info->attrs[i];
        }
    }
    return NULL;
}

/* The op's attribute, else the row's default, else NULL. */
static mica_attr value_of(const mica_op *op, const char *name) {
    mica_attr value = mica_op_attr(op, name);
    if (value) {
        return value;
    }
    const mica_attr_info *row = mica_op_info_attr(op->info, name);
    return row ? mica_attr_default(mica_op_context(op), row) : NULL;
}

int64_t mica_op_i64(const mica_op *op, const char *name) {
    mica_attr value = value_of(op, name);
    return value ? value->integer : 0;
}

double mica_op_f64(const mica_op *op, const char *name) {
    mica_attr value = value_of(op, name);
    if (!value) {
        return 0.0;
    }
    return value->kind == MICA_ATTR_FLOAT ? value->real : (double)value->integer;
}

bool mica_op_bool(const mica_op *op, const char *name) {
    mica_attr value = value_of(op, name);
    return value && (value->integer != 0 || value->kind == MICA_ATTR_UNIT);
}

const char *mica_op_str(const mica_op *op, const char *name) {
    mica_attr value = value_of(op, name);
    return value && value->text ? value->text : "";
}

const int64_t *mica_op_i64s(const mica_op *op, const char *name, size_t *out_count) {
    mica_attr value = value_of(op, name);
    bool is_list = value && value->integers;
    *out_count = is_list ? value->count : 0;
    return is_list ? value->integers : NULL;
}

const double *mica_op_f64s(const mica_op *op, const char *name, size_t *out_count) {
    mica_attr value = value_of(op, name);
    bool is_list = value && value->reals;
    *out_count = is_list ? value->count : 0;
    return is_list ? value->reals : NULL;
}

/* --- changing --------------------------------------------------------------------------------- */

static void remove_at(mica_op *op, size_t i) {
    op->n_attrs--;
    memmove(&op->attrs[i], &op->attrs[i + 1], (op->n_attrs - i) * sizeof *op->attrs);
}

void mica_op_set_attr(mica_op *op, const char *name, mica_attr value) {
    size_t i = lower_bound(op->attrs, op->n_attrs, name);
    bool found = i < op->n_attrs && strcmp(op->attrs[i].name, name) == 0;
    if (!value) {
        if (found) {
            remove_at(op, i);
        }
        return;
    }
    if (found) {
        op->attrs[i].value = value;
        return;
    }
    if (op->n_attrs == op->attr_capacity) {
        uint32_t capacity = op->attr_capacity ? op->attr_capacity * 2 : 4;
        mica_named_attr *moved = mica_arena_array(op->owner->arena, capacity, sizeof *moved);
        if (op->n_attrs > 0) {
            memcpy(moved, op->attrs, op->n_attrs * sizeof *moved);
        }
        op->attrs = moved;
        op->attr_capacity = capacity;
    }
    memmove(&op->attrs[i + 1], &op->attrs[i], (op->n_attrs - i) * sizeof *op->attrs);
    op->attrs[i] = (mica_named_attr){mica_intern(mica_op_context(op), name), value};
    op->n_attrs++;
}

void mica_op_set_sorted_attrs(mica_op *op, const mica_named_attr *attrs, size_t count) {
    op->attrs = mica_arena_memdup(op->owner->arena, attrs, count * sizeof *attrs);
    op->n_attrs = op->attr_capacity = (uint32_t)count;
}

void mica_op_set_i64(mica_op *op, const char *name, int64_t value) {
    mica_op_set_attr(op, name, mica_attr_i64(mica_op_context(op), value));
}

void mica_op_set_f64(mica_op *op, const char *name, double value) {
    mica_op_set_attr(op, name, mica_attr_f64(mica_op_context(op), value));
}

void mica_op_set_bool(mica_op *op, const char *name, bool value) {
    mica_op_set_attr(op, name, mica_attr_bool(mica_op_context(op), value));
}

void mica_op_set_str(mica_op *op, const char *name, const char *value) {
    mica_op_set_attr(op, name, mica_attr_string(mica_op_context(op), value));
}

void mica_op_set_i64s(mica_op *op, const char *name, const int64_t *values, size_t count) {
    mica_op_set_attr(op, name, mica_attr_i64s(mica_op_context(op), values, count));
}

void mica_op_set_f64s(mica_op *op, const char *name, const double *values, size_t count) {
    mica_op_set_attr(op, name, mica_attr_f64s(mica_op_context(op), values, count));
}

/* --- forms ------------------------------------------------------------------------------------ */

static mica_attr as_i64s(mica_attr list) {
    int64_t *values = mica_alloc(list->count * sizeof *values);
    bool fits = true;
    for (size_t i = 0; fits && i < list->count; i++) {
        values[i] = list->items[i]->integer;
        fits = list->items[i]->kind == MICA_ATTR_INTEGER;
    }
    mica_attr result = fits ? mica_attr_i64s(list->context, values, list->count) : list;
    mica_free(values);
    return result;
}

static mica_attr as_f64s(mica_attr list) {
    double *values = mica_alloc(list->count * sizeof *values);
    bool fits = true;
    for (size_t i = 0; fits && i < list->count; i++) {
        values[i] = list->items[i]->real;
        fits = list->items[i]->kind == MICA_ATTR_FLOAT;
    }
    mica_attr result = fits ? mica_attr_f64s(list->context, values, list->count) : list;
    mica_free(values);
    return result;
}

mica_attr mica_attr_for_row(const mica_attr_info *row, mica_attr value) {
    if (value->kind != MICA_ATTR_ARRAY) {
        return value;
    }
    if (row->kind == MICA_A_I64S) {
        return as_i64s(value);
    }
    return row->kind == MICA_A_F64S ? as_f64s(value) : value;
}
