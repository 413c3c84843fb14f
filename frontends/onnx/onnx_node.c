/* What a converter may ask about its node: operands, constants, shapes, axes; and its errors. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

mica_status mica_onnx_error(mica_onnx_node *node, const char *format, ...) {
    char text[900];
    va_list args;
    if (node->failed) {
        return MICA_FAIL; /* one line a node: what follows from the first error is no news */
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    node->failed = true;
    const char *op = node->proto->op_type != NULL ? node->proto->op_type : "";
    return mica_emit_error(node->importer->context, node->importer->loc,
                           "node '%s' (%s, opset %d): %s", node->name,
                           mica_onnx_full_name(node->importer->arena, node->proto->domain, op),
                           node->version, text);
}

size_t mica_onnx_n_in(const mica_onnx_node *node) { return node->proto->n_input; }
size_t mica_onnx_n_out(const mica_onnx_node *node) { return node->proto->n_output; }

const char *mica_onnx_in_name(const mica_onnx_node *node, size_t i) {
    return i < node->proto->n_input ? node->proto->input[i] : "";
}

const char *mica_onnx_out_name(const mica_onnx_node *node, size_t i) {
    return i < node->proto->n_output ? node->proto->output[i] : "";
}

bool mica_onnx_has_out(const mica_onnx_node *node, size_t i) {
    return mica_onnx_out_name(node, i)[0] != '\0';
}

mica_onnx_entry *mica_onnx_in_entry(mica_onnx_node *node, size_t i) {
    const char *name = mica_onnx_in_name(node, i);
    if (name[0] == '\0' || node->failed) {
        return NULL;
    }
    mica_onnx_entry *entry = mica_onnx_lookup(node->importer->scope, name);
    if (entry == NULL) {
        mica_onnx_error(node, "input %zu ('%s') does not exist", i, name);
        return NULL;
    }
    const bool tensor = entry->sequence == NULL && !entry->absent;
    if (tensor && mica_onnx_entry_value(node->importer, name, entry) == NULL) {
        node->failed = true;
        return NULL;
    }
    return entry;
}

mica_value *mica_onnx_in(mica_onnx_node *node, size_t i) {
    const mica_onnx_entry *entry = mica_onnx_in_entry(node, i);
    if (entry != NULL && entry->value == NULL) {
        mica_onnx_error(node, "input %zu ('%s') is %s, expected a tensor", i,
                        mica_onnx_in_name(node, i), mica_onnx_entry_kind(entry));
    }
    return entry != NULL ? entry->value : NULL;
}

mica_status mica_onnx_finish(const mica_onnx_node *node) {
    return node->failed ? MICA_FAIL : MICA_OK;
}

/* --- constants ------------------------------------------------------------------------------- */
static void not_constant(mica_onnx_node *node, size_t i, const char *what) {
    if (!node->failed) {
        mica_onnx_error(node, "input %zu ('%s') must be %s known at import; it depends on the "
                              "data of a graph input; cut the model with input_names or "
                              "output_names", i, mica_onnx_in_name(node, i), what);
    }
}

const int64_t *mica_onnx_const_i64s(mica_onnx_node *node, size_t i, int64_t *out_count) {
    mica_value *value = mica_onnx_in(node, i);
    *out_count = 0;
    const int64_t *data = value != NULL ? mica_weight_i64(value, out_count) : NULL;
    if (data == NULL) {
        *out_count = 0;
        if (value != NULL && mica_is_weight(value)) {
            mica_onnx_error(node, "input %zu ('%s') holds values that are no integers", i,
                            mica_onnx_in_name(node, i));
        }
        not_constant(node, i, "integers");
    }
    return data;
}

const double *mica_onnx_const_f64s(mica_onnx_node *node, size_t i, int64_t *out_count) {
    mica_value *value = mica_onnx_in(node, i);
    *out_count = 0;
    const double *data = value != NULL ? mica_weight_f64(value, out_count) : NULL;
    if (data == NULL) {
        *out_count = 0;
        not_constant(node, i, "numbers");
    }
    return data;
}

static bool one_element(mica_onnx_node *node, size_t i, int64_t count) {
    if (count == 1) {
        return true;
    }
    if (!node->failed) {
        mica_onnx_error(node, "input %zu ('%s') has %" PRId64 " elements, expected 1", i,
                        mica_onnx_in_name(node, i), count);
    }
    return false;
}

int64_t mica_onnx_const_i64(mica_onnx_node *node, size_t i, int64_t fallback) {
    if (mica_onnx_in_name(node, i)[0] == '\0') {
        return fallback;
    }
    int64_t count = 0;
    const int64_t *data = mica_onnx_const_i64s(node, i, &count);
    return one_element(node, i, count) ? data[0] : fallback;
}

double mica_onnx_const_f64(mica_onnx_node *node, size_t i, double fallback) {
    if (mica_onnx_in_name(node, i)[0] == '\0') {
        return fallback;
    }
    int64_t count = 0;
    const double *data = mica_onnx_const_f64s(node, i, &count);
    return one_element(node, i, count) ? data[0] : fallback;
}

/* --- shapes and axes ------------------------------------------------------------------------- */
mrt_shape mica_onnx_shape(const mica_value *value) {
    mrt_shape shape = {0};
    if (value != NULL && mica_type_is_tensor(value->type) && value->type->rank >= 0) {
        shape.rank = value->type->rank;
        for (int i = 0; i < shape.rank; i++) {
            shape.dims[i] = value->type->dims[i] < 0 ? -1 : value->type->dims[i];
        }
    }
    return shape;
}

mrt_dtype mica_onnx_type(const mica_value *value) {
    return value != NULL ? mica_dtype_of(mica_type_element(value->type)) : MRT_DTYPE_NONE;
}

bool mica_onnx_is_float(const mica_value *value) {
    return mrt_dtype_is_float(mica_onnx_type(value));
}

int mica_onnx_axis(mica_onnx_node *node, int64_t axis, int rank) {
    if (node->failed) {
        return 0;
    }
    if (axis < -rank || axis >= rank) {
        mica_onnx_error(node, "axis %" PRId64 " is outside of rank %d, expected %d..%d", axis, rank,
                        -rank, rank - 1);
        return 0;
    }
    return (int)(axis < 0 ? axis + rank : axis);
}

uint32_t mica_onnx_axes(mica_onnx_node *node, const int64_t *axes, int64_t count, int rank) {
    uint32_t set = 0;
    for (int64_t i = 0; i < count && !node->failed; i++) {
        const uint32_t bit = 1u << mica_onnx_axis(node, axes[i], rank);
        if (!node->failed && (set & bit) != 0) {
            mica_onnx_error(node, "axis %" PRId64 " is named twice", axes[i]);
        }
        set |= bit;
    }
    return set;
}
