/* onnx_ops.def as a table. */
#include "frontends/onnx/onnx_internal.h"

#include "utils/strings.h"

#include <string.h>

/* Rows that are not supported have the stem NONE. */
#define mica_onnx_convert_NONE NULL

static const mica_onnx_row rows[] = {
#define ONNX(op, since, until, min_in, max_in, min_out, max_out, stem, detail)                     \
    {#op, since, until, min_in, max_in, min_out, max_out, mica_onnx_convert_##stem, detail},
#include "frontends/onnx/onnx_ops.def"
};

size_t mica_onnx_op_count(void) { return MICA_COUNT(rows); }

mica_onnx_op_info mica_onnx_op_at(size_t i) {
    return (mica_onnx_op_info){rows[i].op, rows[i].since, rows[i].until,
                               rows[i].convert == NULL ? rows[i].detail : NULL};
}

const mica_onnx_row *mica_onnx_find_row(const char *op, const char **nearest) {
    for (size_t i = 0; i < MICA_COUNT(rows); i++) {
        if (strcmp(rows[i].op, op) == 0) {
            return &rows[i];
        }
    }
    if (nearest != NULL) {
        const char *names[MICA_COUNT(rows)];
        for (size_t i = 0; i < MICA_COUNT(rows); i++) {
            names[i] = rows[i].op;
        }
        *nearest = mica_nearest(op, names, MICA_COUNT(rows));
    }
    return NULL;
}
