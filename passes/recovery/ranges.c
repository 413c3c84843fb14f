#include "passes/recovery/ranges.h"

#include <math.h>
#include <string.h>

#include "passes/recovery/factors.h"
#include "utils/compiler.h"
#include "utils/strbuf.h"

/* The end `e` >= 0 of a range, when channel c reaches up to x[c] >= 0 (sign 1), or to -x[c] (sign -1). */
static double image_of(double e, const mica_channels *c, const double *s, int side) {
    double top = 0.0;
    double image = 0.0;
    for (int64_t i = 0; i < c->count; ++i) {
        const double up = fmax(c->high[i], 0.0);
        const double down = fmax(-c->low[i], 0.0);
        const double x = side > 0 ? up : side < 0 ? down : fmax(up, down);
        top = fmax(top, x);
        image = fmax(image, fmin(e, x) / s[i]);
    }
    return top > 0.0 && e > 0.0 ? e * image / fmin(e, top) : e;
}

void mica_moves_add(const mica_recovery_job *job, const char *name, const mica_channels *c, const double *s) {
    const char *origin = mica_value_name(c->value);
    const mica_cali_row *row = mica_cali_table_get(job->table, origin);
    mica_moved moved = {.name = name, .origin = origin};
    if (row != NULL) {
        moved.image = (mica_range){.threshold = image_of(row->threshold, c, s, 0),
                                   .min = row->min < 0.0 ? -image_of(-row->min, c, s, -1) : row->min,
                                   .max = row->max > 0.0 ? image_of(row->max, c, s, 1) : row->max};
    }
    mica_vec_push(job->moves, moved);
}

static const mica_range *given_range(const mica_recovery_options *options, const mica_moved *moved) {
    const mica_tensor_choice *choice = mica_settings_get(options->settings, moved->origin);
    return choice != NULL ? choice->range : NULL;
}

/* Rows of the moved values by the method, under the names that the settings know. */
static mica_cali_table *measured_rows(const mica_statistics *all, const mica_map *moved,
                                      const mica_recovery_options *options) {
    mica_statistics some = {.tensors = mica_alloc((all->count + 1) * sizeof *some.tensors)};
    for (size_t i = 0; i < all->count; ++i) {
        const mica_moved *m = mica_map_get(moved, all->tensors[i].name);
        if (m != NULL) {
            some.tensors[some.count] = all->tensors[i];
            some.tensors[some.count++].name = m->origin;
        }
    }
    mica_cali_table *rows = mica_make_table_by(&some, options->method, options->settings, options->threads);
    mica_free(some.tensors);
    return rows;
}

/* Name of a line "name threshold min max" is `name`. */
static bool line_is_of(const char *line, const char *name) {
    const size_t n = strlen(name);
    return strncmp(line, name, n) == 0 && line[n] == ' ';
}

/* The 4-bit line of one value under its new name, from a table that has it under the old one. */
static void move_line(mica_cali_table *to, const mica_cali_table *from, const mica_moved *m, const mica_range *given) {
    const char *const *lines = NULL;
    const size_t n = mica_cali_table_lines(from, MICA_CALI_INT4_TH, &lines);
    for (size_t i = 0; i < n; ++i) {
        if (line_is_of(lines[i], m->origin)) {
            mica_strbuf line = {0};
            mica_strbuf_printf(&line, "%s", m->name);
            if (given != NULL) {
                mica_strbuf_printf(&line, " %.7f %.7f %.7f", m->image.threshold, m->image.min, m->image.max);
            } else {
                mica_strbuf_printf(&line, "%s", lines[i] + strlen(m->origin));
            }
            mica_cali_table_add_line(to, MICA_CALI_INT4_TH, mica_strbuf_text(&line));
            mica_strbuf_free(&line);
        }
    }
}

/* Lines of sections that speak of values that were not moved. */
static void keep_lines(mica_cali_table *to, const mica_cali_table *from, const mica_moves *moves) {
    static const mica_cali_section sections[] = {MICA_CALI_INT4_TH, MICA_CALI_INT4_OP, MICA_CALI_ASYM_OP};
    for (size_t k = 0; k < MICA_COUNT(sections); ++k) {
        const char *const *lines = NULL;
        const size_t n = mica_cali_table_lines(from, sections[k], &lines);
        for (size_t i = 0; i < n; ++i) {
            bool again = false;
            for (size_t j = 0; j < moves->len && sections[k] == MICA_CALI_INT4_TH; ++j) {
                again = again || line_is_of(lines[i], moves->data[j].name);
            }
            if (!again) {
                mica_cali_table_add_line(to, sections[k], lines[i]);
            }
        }
    }
}

static void fill_table(const mica_moves *moves, const mica_map *moved, const mica_recovery_options *options,
                       const mica_cali_table *before, mica_ranges *out) {
    mica_cali_table *rows = measured_rows(&out->statistics, moved, options);
    for (size_t i = 0; i < out->statistics.count; ++i) {
        const char *name = out->statistics.tensors[i].name;
        const mica_moved *m = mica_map_get(moved, name);
        const mica_range *given = m != NULL ? given_range(options, m) : NULL;
        const bool chosen = m != NULL && m->chosen;
        const mica_cali_row *row = m != NULL ? mica_cali_table_get(rows, m->origin) : mica_cali_table_get(before, name);
        if (given != NULL || chosen) {
            mica_cali_table_set(out->table, name, m->image.threshold, m->image.min, m->image.max);
        } else if (row != NULL) {
            mica_cali_table_set(out->table, name, row->threshold, row->min, row->max);
        }
        out->taken += given != NULL;
        out->measured += m != NULL && given == NULL;
    }
    keep_lines(out->table, before, moves);
    for (size_t i = 0; i < moves->len; ++i) {
        move_line(out->table, rows, &moves->data[i], given_range(options, &moves->data[i]));
    }
    mica_cali_table_destroy(rows);
}

mica_status mica_ranges_again(mica_module *module, const mica_dataset *dataset, const mica_recovery_options *options,
                              const mica_moves *moves, const mica_statistics *before, const mica_cali_table *table,
                              mica_ranges *out, mica_error *err) {
    *out = (mica_ranges){0};
    mica_map *moved = mica_map_create();
    for (size_t i = 0; i < moves->len; ++i) {
        mica_map_set(moved, moves->data[i].name, &moves->data[i]);
    }
    bool per_channel = false;
    for (size_t i = 0; i < before->count; ++i) {
        per_channel = per_channel || before->tensors[i].n_channels > 0;
    }
    const mica_collect_options collect = {.threads = options->threads, .quiet = true, .per_channel = per_channel,
                                          .known = before, .again = moved};
    const mica_status status = mica_collect(module, dataset, &collect, &out->statistics, err);
    if (status == MICA_OK) {
        out->table = mica_cali_table_create();
        fill_table(moves, moved, options, table, out);
    }
    mica_map_destroy(moved);
    return status;
}

void mica_ranges_settle(const mica_recovery_options *options, const mica_moves *moves) {
    for (size_t i = 0; i < moves->len; ++i) {
        const mica_moved *m = &moves->data[i];
        const mica_tensor_choice *old = mica_settings_get(options->settings, m->origin);
        if (old != NULL) {
            const mica_tensor_choice kept = *old;
            mica_tensor_choice *now = mica_settings_make(options->settings, m->name);
            *now = kept;
            if (kept.range != NULL) {
                mica_range *range = mica_arena_alloc(mica_settings_arena(options->settings), sizeof *range);
                *range = m->image;
                now->range = range;
            }
        }
    }
}

void mica_ranges_free(mica_ranges *ranges) {
    mica_statistics_free(&ranges->statistics);
    if (ranges->table != NULL) {
        mica_cali_table_destroy(ranges->table);
    }
    *ranges = (mica_ranges){0};
}
