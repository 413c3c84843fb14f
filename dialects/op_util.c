#include "dialects/op_util.h"

#include "utils/checked.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mica_op_error_text(const mica_op *op, const char *format, ...) {
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mica_emit(mica_op_context(op), MICA_ERROR, op->loc, "'%s' op %s", op->name, text);
}

mica_shape_string mica_shape_text(const mica_shape *shape) {
    mica_shape_string s = {"["};
    size_t used = 1;
    for (int i = 0; i < shape->rank; i++) {
        used += (size_t)snprintf(s.text + used, sizeof s.text - used, i ? ", %" PRId64 : "%" PRId64,
                                 shape->dims[i]);
    }
    snprintf(s.text + used, sizeof s.text - used, "]");
    return s;
}

/* 8 bytes per element must fit, and a dimension of 0 must not hide an overflow. */
static bool count_fits(int rank, const int64_t *dims) {
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || !mica_mul_ok(count, dims[i] > 1 ? dims[i] : 1, &count) ||
            count > INT64_MAX / 16) {
            return false;
        }
    }
    return true;
}

bool mica_shape_of(const mica_value *value, mica_shape *out) {
    if (!value || !mica_type_is_static(value->type) || value->type->rank > MICA_MAX_RANK ||
        !count_fits(value->type->rank, value->type->dims)) {
        return false;
    }
    *out = (mica_shape){.rank = value->type->rank};
    if (out->rank > 0) {
        memcpy(out->dims, value->type->dims, (size_t)out->rank * sizeof out->dims[0]);
    }
    return true;
}

bool mica_operand_shape(const mica_op *op, uint32_t i, mica_shape *out) {
    return mica_shape_of(mica_op_present(op, i), out);
}

bool mica_shapes_equal(const mica_shape *a, const mica_shape *b) {
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}

int64_t mica_dims_product(const mica_shape *shape, int first, int last) {
    int64_t product = 1;
    for (int i = first; i < last; i++) {
        product *= shape->dims[i];
    }
    return product;
}

bool mica_shape_broadcast(const mica_shape *a, const mica_shape *b, mica_shape *out) {
    mica_shape result = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 0; i < result.rank; i++) {
        const int ia = i - (result.rank - a->rank), ib = i - (result.rank - b->rank);
        const int64_t da = ia < 0 ? 1 : a->dims[ia], db = ib < 0 ? 1 : b->dims[ib];
        if (da != db && da != 1 && db != 1) {
            return false;
        }
        result.dims[i] = da == 1 ? db : da;
    }
    *out = result;
    return true;
}

mica_status mica_op_axis(const mica_op *op, const char *attr, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank) {
        return mica_op_error(op, "expects attribute '%s' in [%d, %d) for rank %d, got %" PRId64,
                             attr, -rank, rank, rank, axis);
    }
    *out = (int)(axis < 0 ? axis + rank : axis);
    return MICA_OK;
}

int mica_op_axis_of(const mica_op *op) {
    mica_shape x = {0};
    mica_operand_shape(op, 0, &x);
    const int64_t axis = mica_op_i64(op, "axis");
    return (int)(axis < 0 ? axis + x.rank : axis);
}

static size_t list_count(const mica_op *op, const char *attr) {
    const mica_attr value = mica_op_attr(op, attr);
    return value ? value->count : 0;
}

mica_status mica_op_list(const mica_op *op, const char *attr, size_t count) {
    const size_t got = list_count(op, attr);
    if (got != count) {
        return mica_op_error(op, "expects %zu values in attribute '%s', got %zu", count, attr, got);
    }
    return MICA_OK;
}

int64_t mica_op_i64_at(const mica_op *op, const char *attr, size_t i, int64_t fallback) {
    size_t count;
    const int64_t *values = mica_op_i64s(op, attr, &count);
    return i < count ? values[i] : fallback;
}

mica_type mica_result_element(const mica_op *op, const mica_value *from) {
    const mica_type element = mica_type_element(from->type);
    const bool strip = mica_type_is_calibrated(element) && strncmp(op->name, "top.", 4) == 0;
    return strip ? element->element : element;
}

mica_status mica_infer_unranked(const mica_op *op, mica_type *out_results) {
    mica_context *context = mica_op_context(op);
    mica_type element = mica_type_f32(context);
    if (op->n_operands > 0 && mica_type_is_tensor(mica_op_operand(op, 0)->type)) {
        element = mica_result_element(op, mica_op_operand(op, 0));
    }
    for (uint32_t i = 0; i < op->n_results; i++) {
        out_results[i] = mica_type_tensor(context, -1, NULL, element, NULL);
    }
    return MICA_OK;
}

mica_status mica_infer_shape_result(const mica_op *op, const mica_shape *shape, mica_type element,
                                    mica_type *out) {
    if (shape->rank > MICA_MAX_RANK) {
        return mica_op_error(op, "has a result of rank %d, more than %d", shape->rank,
                             MICA_MAX_RANK);
    }
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0) {
            return mica_op_error(op, "has a result of shape %s with negative dimension %d",
                                 mica_shape_text(shape).text, i);
        }
    }
    if (!count_fits(shape->rank, shape->dims)) {
        return mica_op_error(op, "has a result of shape %s, which has too many elements",
                             mica_shape_text(shape).text);
    }
    *out = mica_type_tensor(mica_op_context(op), shape->rank, shape->dims, element, NULL);
    return MICA_OK;
}

int mica_choice_index(const char *choices, const char *name) {
    const size_t length = strlen(name);
    int index = 0;
    for (const char *at = choices; *at;) {
        const size_t part = strcspn(at, "|");
        if (part == length && memcmp(at, name, length) == 0) {
            return index;
        }
        at += part + (at[part] == '|');
        index++;
    }
    return -1;
}
