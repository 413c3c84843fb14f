/* --help and --help-markdown. */
#include "utils/options.h"

#include "utils/strbuf.h"

#include <string.h>

enum { LINE = 100, LEFT_MAX = 36 }; /* columns of the text; widest left column */

static const mica_option builtins[] = {
    {.name = "--help", .alias = "-h", .kind = MICA_OPT_FLAG, .help = "show this help and exit"},
    {.name = "--help-markdown", .kind = MICA_OPT_FLAG, .help = "show the options as Markdown"},
    {.name = "--version", .kind = MICA_OPT_FLAG, .help = "show the version and exit"},
};

static bool is_positional(const mica_option *row) { return row->name[0] != '-'; }

/* The metavar, or the name in capitals without its dashes. */
static void append_metavar(mica_strbuf *out, const mica_option *row) {
    if (row->metavar != NULL) {
        mica_strbuf_append(out, row->metavar);
    } else {
        for (const char *c = row->name + strspn(row->name, "-"); *c != '\0'; c++) {
            char up = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
            mica_strbuf_appendn(out, &up, 1);
        }
    }
    if (row->multi) {
        mica_strbuf_append(out, " ...");
    }
}

/* "a,b" as "a, b"; each between quotes. */
static void append_list(mica_strbuf *out, const char *list, const char *quote) {
    while (*list != '\0') {
        size_t n = strcspn(list, ",");
        mica_strbuf_append(out, quote);
        mica_strbuf_appendn(out, list, n);
        mica_strbuf_append(out, quote);
        list += n + (list[n] == ',');
        mica_strbuf_append(out, *list != '\0' ? ", " : "");
    }
}

/* "-o, --output FILE" */
static void append_left(mica_strbuf *out, const mica_option *row) {
    mica_strbuf_append(out, row->name);
    if (row->alias != NULL) {
        mica_strbuf_append(out, ", ");
        append_list(out, row->alias, "");
    }
    if (row->kind != MICA_OPT_FLAG && !is_positional(row)) {
        mica_strbuf_append(out, " ");
        append_metavar(out, row);
    } else if (row->multi) {
        mica_strbuf_append(out, " ...");
    }
}

static void append_meaning(mica_strbuf *out, const mica_option *row, const char *quote) {
    mica_strbuf_append(out, row->help != NULL ? row->help : "");
    if (row->kind == MICA_OPT_CHOICE) {
        mica_strbuf_append(out, "; one of ");
        append_list(out, row->choices, quote);
    }
}

/* Writes text from column `indent` on, broken at spaces; the cursor stands at column `at`. */
static void print_wrapped(FILE *out, const char *text, int indent, int at) {
    fprintf(out, "%*s", indent > at ? indent - at : 0, "");
    int column = indent;
    while (*text != '\0') {
        int n = (int)strcspn(text, " ");
        if (column > indent && column + 1 + n > LINE) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(out, "%s%.*s", column > indent ? " " : "", n, text);
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_row(const mica_option *row, int left, FILE *out) {
    mica_strbuf name = {0}, meaning = {0};
    append_left(&name, row);
    append_meaning(&meaning, row, "");
    if (row->required) {
        mica_strbuf_append(&meaning, " (required)");
    } else if (row->default_text != NULL && row->default_text[0] != '\0') {
        mica_strbuf_printf(&meaning, " (default: %s)", row->default_text);
    }
    int at = fprintf(out, "  %s", name.data);
    if (at + 2 > left) {
        fputc('\n', out);
        at = 0;
    }
    print_wrapped(out, meaning.data, left, at);
    mica_strbuf_free(&name);
    mica_strbuf_free(&meaning);
}

/* Column where the meanings start: beyond all names that are not very long. */
static int left_column(const mica_option_table *table) {
    size_t widest = strlen("--help-markdown");
    for (size_t i = 0; i < table->count; i++) {
        mica_strbuf name = {0};
        append_left(&name, &table->rows[i]);
        if (name.len > widest && name.len <= LEFT_MAX) {
            widest = name.len;
        }
        mica_strbuf_free(&name);
    }
    return (int)widest + 4;
}

static void print_usage(const mica_option_table *table, FILE *out) {
    mica_strbuf line = {0};
    for (size_t i = 0; i < table->count; i++) {
        const mica_option *row = &table->rows[i];
        if (!is_positional(row) && row->required) {
            mica_strbuf_printf(&line, "%s ", row->name);
            append_metavar(&line, row);
            mica_strbuf_append(&line, " ");
        }
    }
    mica_strbuf_append(&line, "[options]");
    for (size_t i = 0; i < table->count; i++) {
        const mica_option *row = &table->rows[i];
        if (is_positional(row)) {
            mica_strbuf_printf(&line, row->required ? " %s%s" : " [%s%s]", row->name,
                               row->multi ? " ..." : "");
        }
    }
    int at = fprintf(out, "usage: %s ", table->program);
    print_wrapped(out, line.data, at, at);
    mica_strbuf_free(&line);
}

void mica_options_print_help(const mica_option_table *table, FILE *out) {
    print_usage(table, out);
    if (table->summary != NULL) {
        fputc('\n', out);
        print_wrapped(out, table->summary, 0, 0);
    }
    int left = left_column(table);
    bool titled = false;
    for (size_t i = 0; i < table->count; i++) {
        if (is_positional(&table->rows[i])) {
            fputs(titled ? "" : "\narguments:\n", out);
            titled = true;
            print_row(&table->rows[i], left, out);
        }
    }
    fputs("\noptions:\n", out);
    for (size_t i = 0; i < table->count; i++) {
        if (!is_positional(&table->rows[i])) {
            print_row(&table->rows[i], left, out);
        }
    }
    for (size_t i = 0; i < MICA_COUNT(builtins); i++) {
        print_row(&builtins[i], left, out);
    }
}

/* '|' would end the cell, '<' begin a tag. */
static void put_cell(const char *text, FILE *out) {
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '<') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
}

static void put_markdown_row(const mica_option *row, FILE *out) {
    mica_strbuf names = {0}, value = {0}, meaning = {0};
    mica_strbuf_printf(&names, "`%s`", row->name);
    if (row->alias != NULL) {
        mica_strbuf_append(&names, ", ");
        append_list(&names, row->alias, "`");
    }
    if (row->kind != MICA_OPT_FLAG) {
        mica_strbuf_append(&value, "`");
        append_metavar(&value, row);
        mica_strbuf_append(&value, "`");
    }
    append_meaning(&meaning, row, "`");
    bool has_default = row->default_text != NULL && row->default_text[0] != '\0';
    const char *quote = has_default && !row->required ? "`" : "";
    fputs("| ", out);
    put_cell(names.data, out);
    fputs(" | ", out);
    put_cell(mica_strbuf_text(&value), out);
    fprintf(out, " | %s", quote);
    put_cell(row->required ? "required" : has_default ? row->default_text : "", out);
    fprintf(out, "%s | ", quote);
    put_cell(mica_strbuf_text(&meaning), out);
    fputs(" |\n", out);
    mica_strbuf_free(&names);
    mica_strbuf_free(&value);
    mica_strbuf_free(&meaning);
}

void mica_options_print_markdown(const mica_option_table *table, FILE *out) {
    fprintf(out, "## %s\n\n", table->program);
    if (table->summary != NULL) {
        fprintf(out, "%s\n\n", table->summary);
    }
    fputs("| option | value | default | meaning |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < table->count; i++) {
        put_markdown_row(&table->rows[i], out);
    }
    for (size_t i = 0; i < MICA_COUNT(builtins); i++) {
        put_markdown_row(&builtins[i], out);
    }
}
