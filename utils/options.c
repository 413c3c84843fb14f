/* First all values are collected by row, then every row is converted, given or default. */
#include "utils/options.h"

#include "utils/strbuf.h"
#include "utils/strings.h"
#include "utils/vec.h"

#include <string.h>
#include <strings.h>

typedef enum { ROW_HELP = -1, ROW_MARKDOWN = -2, ROW_VERSION = -3, ROW_NONE = -4 } builtin_row;

typedef struct name_ref {
    const char *name;
    int row; /* index in the table or a builtin_row */
} name_ref;

typedef struct parser {
    const mica_option_table *table;
    mica_arena *scratch;
    MICA_VEC(name_ref) names;
    MICA_VEC(const char *) * values; /* of each row */
    size_t next_positional;          /* row to look at for the next positional value */
    int argc, at;
    char **argv;
    mica_error *err;
} parser;

static bool is_positional(const mica_option *row) { return row->name[0] != '-'; }

/* What to call a row in a message. */
static const char *noun(const mica_option *row) {
    return is_positional(row) ? "argument" : "option";
}

static void collect_names(parser *p) {
    for (size_t i = 0; i < p->table->count; i++) {
        const mica_option *row = &p->table->rows[i];
        if (is_positional(row)) {
            continue;
        }
        mica_vec_push(&p->names, (name_ref){row->name, (int)i});
        size_t n = 0;
        char **aliases = mica_split(p->scratch, row->alias != NULL ? row->alias : "", ',', &n);
        for (size_t k = 0; k < n; k++) {
            mica_vec_push(&p->names, (name_ref){aliases[k], (int)i});
        }
    }
    mica_vec_push(&p->names, (name_ref){"--help", ROW_HELP});
    mica_vec_push(&p->names, (name_ref){"-h", ROW_HELP});
    mica_vec_push(&p->names, (name_ref){"--help-markdown", ROW_MARKDOWN});
    mica_vec_push(&p->names, (name_ref){"--version", ROW_VERSION});
}

/* Equal up to '-' for '_'; len bytes of text against a whole name. */
static bool same_name(const char *text, size_t len, const char *name) {
    for (size_t i = 0; i < len; i++) {
        char a = text[i] == '_' ? '-' : text[i], b = name[i] == '_' ? '-' : name[i];
        if (a != b) {
            return false; /* also at the end of name */
        }
    }
    return name[len] == '\0';
}

static int find_row(const parser *p, const char *text, size_t len) {
    for (size_t i = 0; i < p->names.len; i++) {
        if (same_name(text, len, p->names.data[i].name)) {
            return p->names.data[i].row;
        }
    }
    return ROW_NONE;
}

/* True if an argument is to be read as an option, and so not as a value. */
static bool is_option(const parser *p, const char *arg) {
    return mica_starts_with(arg, "--") || find_row(p, arg, strlen(arg)) != ROW_NONE;
}

static mica_status fail_unknown(const parser *p, const char *arg, size_t len) {
    MICA_VEC(const char *) list = {0};
    for (size_t i = 0; i < p->names.len; i++) {
        mica_vec_push(&list, p->names.data[i].name);
    }
    char *name = mica_arena_strndup(p->scratch, arg, len);
    for (size_t i = 0; i < p->table->n_refusals; i++) {
        const mica_option_refusal *refusal = &p->table->refusals[i];
        if (strcmp(refusal->name, name) == 0) {
            mica_vec_free(&list);
            return mica_fail(p->err, "there is no option '%s': %s", name, refusal->reason);
        }
    }
    const char *near = mica_nearest(name, list.data, list.len);
    mica_vec_free(&list);
    if (near != NULL) {
        return mica_fail(p->err, "unknown option '%s', the nearest is '%s'", name, near);
    }
    return mica_fail(p->err, "unknown option '%s', see --help", name);
}

static mica_status take_positional(parser *p, const char *value) {
    for (size_t i = p->next_positional; i < p->table->count; i++) {
        mica_option *row = &p->table->rows[i];
        if (is_positional(row)) {
            p->next_positional = row->multi ? i : i + 1;
            row->given = true;
            mica_vec_push(&p->values[i], value);
            return MICA_OK;
        }
    }
    return mica_fail(p->err, "unexpected argument '%s'", value);
}

/* The option of row i; `inlined` is the text after "=", or NULL. */
static mica_status take_option(parser *p, size_t i, const char *inlined) {
    mica_option *row = &p->table->rows[i];
    if (row->given) {
        return mica_fail(p->err, "option '%s' is given twice", row->name);
    }
    row->given = true;
    if (row->kind == MICA_OPT_FLAG) {
        return inlined == NULL ? MICA_OK
                               : mica_fail(p->err, "option '%s' takes no value, got '%s'",
                                           row->name, inlined);
    }
    if (inlined != NULL) {
        mica_vec_push(&p->values[i], inlined);
        return MICA_OK;
    }
    do {
        if (p->at + 1 >= p->argc || is_option(p, p->argv[p->at + 1])) {
            break;
        }
        mica_vec_push(&p->values[i], p->argv[++p->at]);
    } while (row->multi);
    if (p->values[i].len == 0) {
        return mica_fail(p->err, "option '%s' expects a value", row->name);
    }
    return MICA_OK;
}

static mica_options_result show_builtin(const mica_option_table *table, int row) {
    FILE *out = table->out != NULL ? table->out : stdout;
    if (row == ROW_HELP) {
        mica_options_print_help(table, out);
    } else if (row == ROW_MARKDOWN) {
        mica_options_print_markdown(table, out);
    } else {
        fprintf(out, "%s %s\n", table->program, table->version != NULL ? table->version : "");
    }
    return MICA_OPTIONS_HELP_SHOWN;
}

static mica_options_result collect_values(parser *p) {
    bool only_positional = false;
    for (p->at = 1; p->at < p->argc; p->at++) {
        const char *arg = p->argv[p->at];
        double number;
        mica_status status;
        if (!only_positional && strcmp(arg, "--") == 0) {
            only_positional = true;
            continue;
        }
        const char *equals = mica_starts_with(arg, "--") ? strchr(arg, '=') : NULL;
        size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
        int row = only_positional ? ROW_NONE : find_row(p, arg, len);
        if (row >= 0) {
            status = take_option(p, (size_t)row, equals != NULL ? equals + 1 : NULL);
        } else if (row != ROW_NONE) {
            return show_builtin(p->table, row);
        } else if (!only_positional && arg[0] == '-' && len > 1 && !mica_parse_f64(arg, &number)) {
            status = fail_unknown(p, arg, len);
        } else {
            status = take_positional(p, arg);
        }
        if (status != MICA_OK) {
            return MICA_OPTIONS_ERROR;
        }
    }
    return MICA_OPTIONS_RUN;
}

/* The spelling in the table of a choice, or NULL with err set. */
static const char *match_choice(const parser *p, const mica_option *row, const char *text) {
    size_t n = 0;
    char **choices = mica_split(p->scratch, row->choices, ',', &n);
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(choices[i], text) == 0) {
            /* In the arena of the caller, for the destination keeps it. */
            return mica_arena_strdup(p->table->arena, choices[i]);
        }
    }
    mica_strbuf list = {0};
    for (size_t i = 0; i < n; i++) {
        mica_strbuf_printf(&list, "%s%s", i == 0 ? "" : ", ", choices[i]);
    }
    const char *near = mica_nearest(text, (const char *const *)choices, n);
    (void)mica_fail(p->err, "%s '%s': '%s' is not one of %s%s%s%s", noun(row), row->name, text,
                    mica_strbuf_text(&list), near != NULL ? "; the nearest is '" : "",
                    near != NULL ? near : "", near != NULL ? "'" : "");
    mica_strbuf_free(&list);
    return NULL;
}

/* Checks one value of any kind; *out is the text to store. */
static mica_status check_value(const parser *p, const mica_option *row, const char *text,
                               const char **out) {
    int64_t integer;
    double number;
    *out = text;
    if (row->kind == MICA_OPT_INT && !mica_parse_i64(text, &integer)) {
        return mica_fail(p->err, "%s '%s': expected an integer, got '%s'", noun(row), row->name,
                         text);
    }
    if (row->kind == MICA_OPT_FLOAT && !mica_parse_f64(text, &number)) {
        return mica_fail(p->err, "%s '%s': expected a number, got '%s'", noun(row), row->name,
                         text);
    }
    if (row->kind == MICA_OPT_CHOICE) {
        *out = match_choice(p, row, text);
        return *out != NULL ? MICA_OK : MICA_FAIL;
    }
    return MICA_OK;
}

static mica_status store_list(const parser *p, const mica_option *row, const char *const *values,
                              size_t count) {
    mica_strbuf joined = {0};
    mica_status status = MICA_OK;
    for (size_t i = 0; i < count && status == MICA_OK; i++) {
        /* Text is kept as it is written; a list of numbers or choices is looked into. */
        size_t n = 1;
        char *whole = mica_arena_strdup(p->scratch, values[i]), **parts = &whole;
        if (row->kind != MICA_OPT_STRING) {
            parts = mica_split(p->scratch, values[i], ',', &n);
        }
        for (size_t k = 0; k < n && status == MICA_OK; k++) {
            const char *text;
            status = check_value(p, row, parts[k], &text);
            if (status == MICA_OK) {
                mica_strbuf_printf(&joined, "%s%s", joined.len == 0 ? "" : ",", text);
            }
        }
    }
    if (status == MICA_OK && row->dest != NULL) {
        *(const char **)row->dest = mica_arena_strdup(p->table->arena, mica_strbuf_text(&joined));
    }
    mica_strbuf_free(&joined);
    return status;
}

static mica_status store(const parser *p, const mica_option *row, const char *const *values,
                         size_t count) {
    if (row->multi) {
        return store_list(p, row, values, count);
    }
    const char *text;
    MICA_TRY(check_value(p, row, values[0], &text));
    if (row->dest == NULL) {
        return MICA_OK;
    }
    bool ok = true;
    if (row->kind == MICA_OPT_INT) {
        ok = mica_parse_i64(text, (int64_t *)row->dest);
    } else if (row->kind == MICA_OPT_FLOAT) {
        ok = mica_parse_f64(text, (double *)row->dest);
    } else {
        *(const char **)row->dest = text;
    }
    return ok ? MICA_OK : MICA_FAIL; /* check_value has refused bad numbers already */
}

static mica_status store_all(const parser *p) {
    for (size_t i = 0; i < p->table->count; i++) {
        const mica_option *row = &p->table->rows[i];
        if (row->kind == MICA_OPT_FLAG) {
            if (row->dest != NULL) {
                *(bool *)row->dest = row->given;
            }
        } else if (row->given) {
            MICA_TRY(store(p, row, p->values[i].data, p->values[i].len));
        } else if (row->default_text != NULL) {
            MICA_TRY(store(p, row, &row->default_text, 1));
        }
    }
    return MICA_OK;
}

static mica_status check_required(const parser *p) {
    mica_strbuf list = {0};
    size_t missing = 0;
    const char *what = "option";
    for (size_t i = 0; i < p->table->count; i++) {
        const mica_option *row = &p->table->rows[i];
        if (row->required && !row->given) {
            mica_strbuf_printf(&list, "%s'%s'", missing == 0 ? "" : ", ", row->name);
            what = missing++ == 0 ? noun(row) : "options";
        }
    }
    mica_status status = MICA_OK;
    if (missing > 0) {
        status = mica_fail(p->err, "missing required %s %s", what, list.data);
    }
    mica_strbuf_free(&list);
    return status;
}

mica_options_result mica_options_parse(const mica_option_table *table, int argc, char **argv,
                                       mica_error *err) {
    parser p = {.table = table, .argc = argc, .argv = argv, .err = err};
    p.scratch = mica_arena_create();
    p.values = mica_arena_array(p.scratch, table->count, sizeof *p.values);
    for (size_t i = 0; i < table->count; i++) {
        table->rows[i].given = false;
    }
    collect_names(&p);
    mica_options_result result = collect_values(&p);
    if (result == MICA_OPTIONS_RUN &&
        (check_required(&p) != MICA_OK || store_all(&p) != MICA_OK)) {
        result = MICA_OPTIONS_ERROR;
    }
    for (size_t i = 0; i < table->count; i++) {
        mica_vec_free(&p.values[i]);
    }
    mica_vec_free(&p.names);
    mica_arena_destroy(p.scratch);
    return result;
}

bool mica_option_given(const mica_option_table *table, const char *name) {
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->rows[i].name, name) == 0) {
            return table->rows[i].given;
        }
    }
    return false;
}
