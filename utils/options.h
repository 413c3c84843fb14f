/* Command lines from a table: one row per option drives parsing, --help and the documentation.
 *
 *     const char *model = NULL;
 *     bool verbose = false;
 *     mica_option rows[] = {
 *         {.name = "--model", .alias = "-m", .kind = MICA_OPT_STRING, .metavar = "FILE",
 *          .help = "ONNX model to read", .required = true, .dest = &model},
 *         {.name = "--verbose", .kind = MICA_OPT_FLAG, .help = "say more", .dest = &verbose},
 *     };
 *     mica_option_table table = {.program = "tool", .version = "0.1", .summary = "...",
 *                                .rows = rows, .count = MICA_COUNT(rows), .arena = arena};
 *     switch (mica_options_parse(&table, argc, argv, &err)) { ... }
 *
 * Accepted: "--name value", "--name=value", "-o value", aliases, '-' for '_' inside long names,
 * positional values anywhere, and "--" after which everything is positional. A value may start with
 * '-' unless it starts with "--" or is a known option. A .multi option takes all values up to the
 * next option. --help (-h), --help-markdown and --version always exist and end the parsing. */
#ifndef MICA_UTILS_OPTIONS_H
#define MICA_UTILS_OPTIONS_H

#include "utils/arena.h"
#include "utils/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Kind and type of the destination. With .multi the destination is always const char **. */
typedef enum {
    MICA_OPT_FLAG,   /* bool: false, and true when given; takes no value */
    MICA_OPT_STRING, /* const char *, pointing into argv or default_text */
    MICA_OPT_INT,    /* int64_t */
    MICA_OPT_FLOAT,  /* double */
    MICA_OPT_CHOICE, /* const char *: one of .choices, matched without regard to letter case and
                        stored in the spelling of the table */
} mica_option_kind;

typedef struct mica_option {
    const char *name;  /* "--input_shapes"; a positional row has a name without dashes */
    const char *alias; /* other names separated by commas, "-o,--out", or NULL */
    mica_option_kind kind;
    const char *metavar;      /* value in the help, "FILE"; NULL: made from the name */
    const char *default_text; /* parsed into dest before the command line; NULL: dest is kept */
    const char *help;         /* what it does, with units */
    const char *choices;      /* "a,b,c" for MICA_OPT_CHOICE */
    bool required;            /* must be given */
    bool multi;               /* takes one or more values, stored joined by ','; numbers and choices
                                 are checked one by one (a value may itself hold commas) */
    void *dest;               /* see mica_option_kind; may be NULL if only `given` matters */
    bool given;               /* set by mica_options_parse */
} mica_option;

/* An option that users of other programs look for, and why it is not here; not shown in the help. */
typedef struct mica_option_refusal {
    const char *name, *reason;
} mica_option_refusal;

typedef struct mica_option_table {
    const char *program; /* name in the usage line */
    const char *version; /* for --version */
    const char *summary; /* one sentence for the help */
    mica_option *rows;
    size_t count;
    mica_arena *arena; /* holds joined lists; must outlive the destinations */
    FILE *out;         /* where help goes; NULL: stdout */
    const mica_option_refusal *refusals; /* or NULL */
    size_t n_refusals;
} mica_option_table;

typedef enum {
    MICA_OPTIONS_RUN,        /* destinations are filled: go on */
    MICA_OPTIONS_HELP_SHOWN, /* help or version was printed: exit 0 */
    MICA_OPTIONS_ERROR,      /* err tells: exit 2 */
} mica_options_result;

/* Parses argv[1..argc). Errors: unknown option (names the nearest), option given twice, missing
 * required option, missing or bad value (names option, value and what is expected). */
MICA_MUST_CHECK mica_options_result mica_options_parse(const mica_option_table *table, int argc,
                                                       char **argv, mica_error *err);
/* True if the option (by its row name) was on the command line, false if it has its default. */
bool mica_option_given(const mica_option_table *table, const char *name);

/* Usage line and aligned table. */
void mica_options_print_help(const mica_option_table *table, FILE *out);
/* The same rows as a Markdown table. */
void mica_options_print_markdown(const mica_option_table *table, FILE *out);

#endif
