#include "passes/lowering/qtable.h"

#include <string.h>

#include "utils/arena.h"
#include "utils/file.h"
#include "utils/strbuf.h"
#include "utils/strings.h"
#include "utils/vec.h"

struct mica_qtable {
    mica_map *rows; /* op name -> mode + 1 */
};

enum { MAX_TABLE_BYTES = 64 << 20 };

mica_qtable *mica_qtable_create(void) {
    mica_qtable *table = mica_alloc(sizeof *table);
    table->rows = mica_map_create();
    return table;
}

void mica_qtable_destroy(mica_qtable *table) {
    if (table != NULL) {
        mica_map_destroy(table->rows);
        mica_free(table);
    }
}

void mica_qtable_set(mica_qtable *table, const char *op, mica_mode mode) {
    mica_map_set(table->rows, op, (void *)((uintptr_t)mode + 1));
}

bool mica_qtable_get(const mica_qtable *table, const char *op, mica_mode *out_mode) {
    const uintptr_t found = (uintptr_t)mica_map_get(table->rows, op);
    if (found == 0) {
        return false;
    }
    *out_mode = (mica_mode)(found - 1);
    return true;
}

size_t mica_qtable_count(const mica_qtable *table) { return mica_map_count(table->rows); }

const char *mica_qtable_at(const mica_qtable *table, size_t index, mica_mode *out_mode) {
    const char *key = NULL;
    void *value = NULL;
    if (!mica_map_at(table->rows, index, &key, &value)) {
        return NULL;
    }
    *out_mode = (mica_mode)((uintptr_t)value - 1);
    return key;
}

/* "op_name MODE": the mode is the last word, so names may hold spaces. */
static mica_status read_row(mica_qtable *table, char *line, const char *path, size_t number,
                            mica_error *err) {
    char *end = line + strlen(line);
    while (end > line && strchr(" \t\r", end[-1]) != NULL) {
        *--end = '\0';
    }
    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#') {
        return MICA_OK;
    }
    char *mode_text = end;
    while (mode_text > line && strchr(" \t", mode_text[-1]) == NULL) {
        --mode_text;
    }
    if (mode_text == line) {
        return mica_fail(err, "%s:%zu: expected 'op_name MODE', got '%s'", path, number, line);
    }
    mica_mode mode = MICA_MODE_F32;
    if (!mica_mode_find(mode_text, &mode)) {
        size_t count = 0;
        const char *const *names = mica_mode_names(&count);
        const char *nearest = mica_nearest(mode_text, names, count);
        return mica_fail(err, "%s:%zu: unknown mode '%s' of op '%.*s'%s%s (modes: F32 F16 BF16 INT8 W8A8 INT4 W4INT8 W4A8)",
                         path, number, mode_text, (int)(mode_text - line - 1), line,
                         nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "");
    }
    char *name_end = mode_text;
    while (name_end > line && strchr(" \t", name_end[-1]) != NULL) {
        *--name_end = '\0';
    }
    mica_mode old = mode;
    if (mica_qtable_get(table, line, &old) && old != mode) {
        return mica_fail(err, "%s:%zu: op '%s' has two modes, %s and %s", path, number, line,
                         mica_mode_name(old), mica_mode_name(mode));
    }
    mica_qtable_set(table, line, mode);
    return MICA_OK;
}

mica_qtable *mica_qtable_read(const char *path, mica_error *err) {
    char *text = NULL;
    size_t length = 0;
    if (mica_read_file(path, (size_t)MAX_TABLE_BYTES, &text, &length, err) != MICA_OK) {
        return NULL;
    }
    if (memchr(text, '\0', length) != NULL) {
        mica_free(text);
        (void)!mica_fail(err, "%s: not a text file", path);
        return NULL;
    }
    mica_qtable *table = mica_qtable_create();
    size_t number = 0;
    for (char *line = text; line != NULL;) {
        char *next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (read_row(table, line, path, ++number, err) != MICA_OK) {
            mica_qtable_destroy(table);
            table = NULL;
            break;
        }
        line = next;
    }
    mica_free(text);
    return table;
}

mica_status mica_qtable_write(const mica_qtable *table, const char *path, const char *header,
                              mica_error *err) {
    mica_strbuf text = {0};
    if (header != NULL) {
        mica_strbuf_append(&text, header);
    }
    mica_strbuf_append(&text, "# op_name   quantize_mode\n###\n");
    mica_mode mode = MICA_MODE_F32;
    for (size_t i = 0; i < mica_qtable_count(table); ++i) {
        const char *name = mica_qtable_at(table, i, &mode);
        mica_strbuf_printf(&text, "%s %s\n", name, mica_mode_name(mode));
    }
    const mica_status status = mica_write_file_atomic(path, mica_strbuf_text(&text), text.len, err);
    mica_strbuf_free(&text);
    return status;
}

mica_status mica_qtable_check(const mica_qtable *table, const mica_op *func, mica_error *err) {
    mica_map *names = mica_map_create();
    MICA_VEC(const char *) list = {0};
    for (const mica_op *op = mica_func_body((mica_op *)func)->first; op != NULL; op = op->next) {
        /* Constants have no mode; a fused op answers to the names of all its parts. */
        const bool is_fused = op->loc->kind == MICA_LOC_FUSED;
        const size_t count = op->n_results == 0 || mica_op_has_trait(op, MICA_IS_CONSTANT) ? 0
                             : is_fused ? op->loc->n_parts
                                        : 1;
        for (size_t i = 0; i < count; ++i) {
            const char *name = mica_loc_get_name_at(op->loc, i);
            if (mica_map_set(names, name, NULL)) {
                mica_vec_push(&list, name);
            }
        }
    }
    mica_status status = MICA_OK;
    mica_mode mode = MICA_MODE_F32;
    for (size_t i = 0; status == MICA_OK && i < mica_qtable_count(table); ++i) {
        const char *name = mica_qtable_at(table, i, &mode);
        if (!mica_map_has(names, name)) {
            const char *nearest = mica_nearest(name, list.data, list.len);
            status = mica_fail(err, "quantize table names op '%s', which the model does not have%s%s%s",
                               name, nearest != NULL ? "; nearest is '" : "",
                               nearest != NULL ? nearest : "", nearest != NULL ? "'" : "");
        }
    }
    mica_vec_free(&list);
    mica_map_destroy(names);
    return status;
}
