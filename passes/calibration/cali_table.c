#include "passes/calibration/cali_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "utils/arena.h"
#include "utils/file.h"
#include "utils/map.h"
#include "utils/strbuf.h"
#include "utils/strings.h"
#include "utils/vec.h"

enum { SECTIONS = 3, MAX_TABLE_BYTES = 256 << 20 };

static const char *const section_marks[SECTIONS] = {"#int4_th", "#int4_op", "#asym_op"};

struct mica_cali_table {
    mica_arena *arena;
    mica_map *rows; /* name -> mica_cali_row */
    mica_map *int4; /* the same of section #int4_th */
    MICA_VEC(const char *) lines[SECTIONS];
};

mica_cali_table *mica_cali_table_create(void) {
    mica_cali_table *table = mica_alloc(sizeof *table);
    table->arena = mica_arena_create();
    table->rows = mica_map_create();
    table->int4 = mica_map_create();
    return table;
}

void mica_cali_table_destroy(mica_cali_table *table) {
    if (table == NULL) {
        return;
    }
    for (int i = 0; i < SECTIONS; ++i) {
        mica_vec_free(&table->lines[i]);
    }
    mica_map_destroy(table->rows);
    mica_map_destroy(table->int4);
    mica_arena_destroy(table->arena);
    mica_free(table);
}

void mica_cali_table_set(mica_cali_table *table, const char *name, double threshold, double min,
                         double max) {
    mica_cali_row *row = mica_map_get(table->rows, name);
    if (row == NULL) {
        row = mica_arena_alloc(table->arena, sizeof *row);
        row->name = mica_arena_strdup(table->arena, name);
        mica_map_set(table->rows, name, row);
    }
    row->threshold = threshold;
    row->min = min;
    row->max = max;
}

const mica_cali_row *mica_cali_table_get(const mica_cali_table *table, const char *name) {
    return mica_map_get(table->rows, name);
}

size_t mica_cali_table_count(const mica_cali_table *table) { return mica_map_count(table->rows); }

const mica_cali_row *mica_cali_table_at(const mica_cali_table *table, size_t index) {
    void *row = NULL;
    return mica_map_at(table->rows, index, NULL, &row) ? row : NULL;
}

size_t mica_cali_table_lines(const mica_cali_table *table, mica_cali_section section,
                             const char *const **out_lines) {
    *out_lines = table->lines[section].data;
    return table->lines[section].len;
}

/* --- reading ------------------------------------------------------------------------------------ */

/* Cuts the last word off `line` and parses it. */
static bool take_number(char *line, double *out) {
    size_t end = strlen(line);
    while (end > 0 && strchr(" \t", line[end - 1]) != NULL) {
        line[--end] = '\0';
    }
    size_t begin = end;
    while (begin > 0 && strchr(" \t", line[begin - 1]) == NULL) {
        --begin;
    }
    const bool ok = begin > 0 && begin < end && mica_parse_f64(line + begin, out);
    line[begin] = '\0';
    return ok;
}

/* "name threshold min max"; cuts `line` up. */
static mica_status split_row(char *line, const char *copy, const char *where, mica_cali_row *out, mica_error *err) {
    double numbers[3] = {0};
    for (int i = 2; i >= 0; --i) {
        if (!take_number(line, &numbers[i])) {
            return mica_fail(err, "%s: expected 'name threshold min max', got '%s'", where, copy);
        }
    }
    size_t end = strlen(line);
    while (end > 0 && strchr(" \t", line[end - 1]) != NULL) {
        line[--end] = '\0';
    }
    if (end == 0) {
        return mica_fail(err, "%s: the tensor name is missing in '%s'", where, copy);
    }
    if (numbers[1] > numbers[2] || numbers[0] < 0.0) {
        return mica_fail(err, "%s: tensor '%s' needs threshold >= 0 and min <= max, got %g %g %g",
                         where, line, numbers[0], numbers[1], numbers[2]);
    }
    *out = (mica_cali_row){line, numbers[0], numbers[1], numbers[2]};
    return MICA_OK;
}

static mica_status read_row(mica_cali_table *table, char *line, const char *where, mica_error *err) {
    mica_cali_row row;
    MICA_TRY(split_row(line, mica_arena_strdup(table->arena, line), where, &row, err));
    if (mica_cali_table_get(table, row.name) != NULL) {
        return mica_fail(err, "%s: tensor '%s' has two rows", where, row.name);
    }
    mica_cali_table_set(table, row.name, row.threshold, row.min, row.max);
    return MICA_OK;
}

/* A line of section #int4_th, also as numbers. */
static mica_status read_int4(mica_cali_table *table, char *line, const char *where, mica_error *err) {
    mica_cali_row *row = mica_arena_alloc(table->arena, sizeof *row);
    MICA_TRY(split_row(mica_arena_strdup(table->arena, line), line, where, row, err));
    if (!mica_map_set(table->int4, row->name, row)) {
        return mica_fail(err, "%s: tensor '%s' has two rows", where, row->name);
    }
    mica_vec_push(&table->lines[MICA_CALI_INT4_TH], mica_arena_strdup(table->arena, line));
    return MICA_OK;
}

void mica_cali_table_add_line(mica_cali_table *table, mica_cali_section section, const char *line) {
    char *copy = mica_arena_strdup(table->arena, line);
    if (section == MICA_CALI_INT4_TH) {
        mica_error err;
        (void)read_int4(table, copy, "#int4_th", &err);
    } else {
        mica_vec_push(&table->lines[section], copy);
    }
}

const mica_cali_row *mica_cali_table_get_int4(const mica_cali_table *table, const char *name) {
    return mica_map_get(table->int4, name);
}

const mica_cali_row *mica_cali_table_int4_at(const mica_cali_table *table, size_t index) {
    void *row = NULL;
    return mica_map_at(table->int4, index, NULL, &row) ? row : NULL;
}

static int section_of(const char *line) {
    for (int i = 0; i < SECTIONS; ++i) {
        if (strcmp(line, section_marks[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static mica_status read_lines(mica_cali_table *table, char *text, const char *path,
                              mica_error *err) {
    size_t number = 0;
    int section = -1;
    for (char *line = text; line != NULL;) {
        char *next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        ++number;
        size_t end = strlen(line);
        while (end > 0 && strchr(" \t\r", line[end - 1]) != NULL) {
            line[--end] = '\0';
        }
        line += strspn(line, " \t");
        if (section_of(line) >= 0) {
            section = section_of(line);
        } else if (*line != '\0' && *line != '#' && section >= 0) {
            const char *where = mica_arena_printf(table->arena, "%s:%zu", path, number);
            if (section == MICA_CALI_INT4_TH) {
                MICA_TRY(read_int4(table, line, where, err));
            } else {
                mica_cali_table_add_line(table, (mica_cali_section)section, line);
            }
        } else if (*line != '\0' && *line != '#') {
            MICA_TRY(read_row(table, line, mica_arena_printf(table->arena, "%s:%zu", path, number), err));
        }
        line = next;
    }
    if (mica_cali_table_count(table) == 0) {
        return mica_fail(err, "%s: calibration table has no row", path);
    }
    return MICA_OK;
}

mica_cali_table *mica_cali_table_read(const char *path, mica_error *err) {
    char *text = NULL;
    size_t length = 0;
    if (mica_read_file(path, MAX_TABLE_BYTES, &text, &length, err) != MICA_OK) {
        return NULL;
    }
    mica_cali_table *table = mica_cali_table_create();
    const mica_status status = memchr(text, '\0', length) == NULL
                                   ? read_lines(table, text, path, err)
                                   : mica_fail(err, "%s: not a text file", path);
    if (status != MICA_OK) {
        mica_cali_table_destroy(table);
        table = NULL;
    }
    mica_free(text);
    return table;
}

/* --- writing ------------------------------------------------------------------------------------ */

/* %.7f as TPU-MLIR writes it; more digits where that would lose the value. */
static void print_number(mica_strbuf *text, double v) {
    const bool tiny = v != 0.0 && fabs(v) < 0.1;
    mica_strbuf_printf(text, tiny ? " %.9g" : " %.7f", v + 0.0); /* no "-0" */
}

mica_status mica_cali_table_write(const mica_cali_table *table, const char *path,
                                  const mica_cali_header *header, mica_error *err) {
    mica_strbuf text = {0};
    mica_strbuf_printf(&text, "# mlir: %s\n# method: %s\n# histogram number: %zu\n", header->model,
                       header->method, header->histogram_bins);
    mica_strbuf_printf(&text, "# sample number: %zu\n# tune number: %zu\n###\n", header->samples,
                       header->tuned);
    mica_strbuf_append(&text, "# op_name    threshold    min    max\n");
    for (size_t i = 0; i < mica_cali_table_count(table); ++i) {
        const mica_cali_row *row = mica_cali_table_at(table, i);
        mica_strbuf_append(&text, row->name);
        print_number(&text, row->threshold);
        print_number(&text, row->min);
        print_number(&text, row->max);
        mica_strbuf_append(&text, "\n");
    }
    for (int s = 0; s < SECTIONS; ++s) {
        if (table->lines[s].len > 0) {
            mica_strbuf_printf(&text, "%s\n", section_marks[s]);
        }
        for (size_t i = 0; i < table->lines[s].len; ++i) {
            mica_strbuf_printf(&text, "%s\n", table->lines[s].data[i]);
        }
    }
    const mica_status status = mica_write_file_atomic(path, mica_strbuf_text(&text), text.len, err);
    mica_strbuf_free(&text);
    return status;
}

mica_cali_table *mica_cali_table_copy(const mica_cali_table *from) {
    mica_cali_table *table = mica_cali_table_create();
    for (size_t i = 0; i < mica_cali_table_count(from); ++i) {
        const mica_cali_row *row = mica_cali_table_at(from, i);
        mica_cali_table_set(table, row->name, row->threshold, row->min, row->max);
    }
    for (int section = 0; section < SECTIONS; ++section) {
        for (size_t i = 0; i < from->lines[section].len; ++i) {
            mica_cali_table_add_line(table, (mica_cali_section)section, from->lines[section].data[i]);
        }
    }
    return table;
}
