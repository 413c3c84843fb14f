/* onnx_ops.def as a table. */
#include "frontends/onnx/onnx_internal.h"

#include "utils/strings.h"

#include <string.h>

/* Rows that are not supported have the stem NONE. */
#define mica_onnx_convert_NONE NULL

static const mica_onnx_row rows[] = {
#define ONNX_OP(domain, gaps, op, since, until, min_in, max_in, min_out, max_out, stem, detail)    \
    {domain, gaps,    #op,     since,   until,                                                     \
     min_in, max_in,  min_out, max_out, mica_onnx_convert_##stem, detail},
#include "frontends/onnx/onnx_ops.def"
};

/* How the default domain is called where a name must be seen. */
static const char *const DEFAULT_DOMAIN = "ai.onnx";

static const char *shown(const char *domain) {
    return domain[0] == '\0' ? DEFAULT_DOMAIN : domain;
}

size_t mica_onnx_op_count(void) { return MICA_COUNT(rows); }

mica_onnx_op_info mica_onnx_op_at(size_t i) {
    return (mica_onnx_op_info){shown(rows[i].domain), rows[i].op, rows[i].since, rows[i].until,
                               rows[i].convert == NULL ? rows[i].detail : NULL};
}

const char *mica_onnx_domain(const char *domain) {
    return domain == NULL || strcmp(domain, DEFAULT_DOMAIN) == 0 ? "" : domain;
}

bool mica_onnx_domain_known(const char *domain) {
    for (size_t i = 0; i < MICA_COUNT(rows); i++) {
        if (strcmp(rows[i].domain, mica_onnx_domain(domain)) == 0) {
            return true;
        }
    }
    return false;
}

const char *mica_onnx_domain_list(mica_arena *arena) {
    const char *list = NULL, *last = NULL; /* rows of one domain stand together */
    for (size_t i = 0; i < MICA_COUNT(rows); i++) {
        if (last == NULL || strcmp(last, rows[i].domain) != 0) {
            last = rows[i].domain;
            list = list == NULL ? shown(last)
                                : mica_arena_printf(arena, "%s, %s", list, shown(last));
        }
    }
    return list;
}

const char *mica_onnx_full_name(mica_arena *arena, const char *domain, const char *op) {
    domain = mica_onnx_domain(domain);
    return domain[0] == '\0' ? op : mica_arena_printf(arena, "%s.%s", domain, op);
}

const mica_onnx_row *mica_onnx_find_row(const char *domain, const char *op, const char **nearest) {
    const char *names[MICA_COUNT(rows)];
    size_t n = 0;
    for (size_t i = 0; i < MICA_COUNT(rows); i++) {
        if (strcmp(rows[i].domain, mica_onnx_domain(domain)) != 0) {
            continue;
        }
        if (strcmp(rows[i].op, op) == 0) {
            return &rows[i];
        }
        names[n++] = rows[i].op;
    }
    if (nearest != NULL) {
        *nearest = mica_nearest(op, names, n);
    }
    return NULL;
}
