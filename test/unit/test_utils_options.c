/* Option tables: parsing, messages, help. */
#include "utils/arena.h"
#include "utils/options.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef struct values {
    const char *input, *more, *output, *mode, *shapes, *sizes, *modes;
    bool verbose;
    int64_t count;
    double ratio;
} values;

enum { ROWS = 10 };

typedef struct fixture {
    values v;
    mica_option rows[ROWS];
    mica_option_table table;
    mica_error err;
} fixture;

static fixture f;

static void setup(void) {
    f = (fixture){.v.more = "kept"};
    const mica_option rows[ROWS] = {
        {.name = "input", .help = "model to read", .kind = MICA_OPT_STRING, .required = true,
         .dest = &f.v.input},
        {.name = "more", .help = "other files", .kind = MICA_OPT_STRING, .multi = true,
         .dest = &f.v.more},
        {.name = "--output", .alias = "-o,--out", .kind = MICA_OPT_STRING, .metavar = "FILE",
         .help = "file to write", .required = true, .dest = &f.v.output},
        {.name = "--mode", .alias = "--quantize", .kind = MICA_OPT_CHOICE,
         .choices = "F32,BF16,INT8", .default_text = "F32", .help = "number type",
         .dest = &f.v.mode},
        {.name = "--input_shapes", .kind = MICA_OPT_STRING, .multi = true, .metavar = "SHAPE",
         .help = "shape of each input", .dest = &f.v.shapes},
        {.name = "--sizes", .kind = MICA_OPT_INT, .multi = true, .default_text = "1,2",
         .help = "sizes in pixels a|b", .dest = &f.v.sizes},
        {.name = "--modes", .kind = MICA_OPT_CHOICE, .multi = true, .choices = "kld,max",
         .help = "methods", .dest = &f.v.modes},
        {.name = "--verbose", .alias = "-v", .kind = MICA_OPT_FLAG, .help = "say more",
         .dest = &f.v.verbose},
        {.name = "--count", .kind = MICA_OPT_INT, .default_text = "100", .help = "samples",
         .dest = &f.v.count},
        {.name = "--ratio", .kind = MICA_OPT_FLOAT, .default_text = "0.5", .help = "part, 0 to 1",
         .dest = &f.v.ratio},
    };
    memcpy(f.rows, rows, sizeof rows);
    f.table = (mica_option_table){.program = "tool",
                                  .version = "1.2",
                                  .summary = "Does things.",
                                  .rows = f.rows,
                                  .count = ROWS,
                                  .arena = mica_arena_create()};
}

static void teardown(void) { mica_arena_destroy(f.table.arena); }

/* Parses a command line whose arguments are separated by spaces. */
static mica_options_result parse(const char *line) {
    size_t n;
    char **words = mica_arena_alloc(f.table.arena, 64 * sizeof *words);
    char *copy = mica_arena_printf(f.table.arena, "tool %s", line);
    n = 0;
    for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " ")) {
        words[n++] = w;
    }
    return mica_options_parse(&f.table, (int)n, words, &f.err);
}

START_TEST(defaults) {
    ck_assert_msg(parse("m.onnx --output x") == MICA_OPTIONS_RUN, "%s", f.err.text);
    ck_assert_str_eq(f.v.input, "m.onnx");
    ck_assert_str_eq(f.v.more, "kept");
    ck_assert_str_eq(f.v.output, "x");
    ck_assert_str_eq(f.v.mode, "F32");
    ck_assert_ptr_null(f.v.shapes);
    ck_assert_str_eq(f.v.sizes, "1,2");
    ck_assert(!f.v.verbose && f.v.count == 100 && f.v.ratio == 0.5);
    ck_assert(mica_option_given(&f.table, "--output"));
    ck_assert(!mica_option_given(&f.table, "--mode"));
    ck_assert(!mica_option_given(&f.table, "--nothing"));
}
END_TEST

START_TEST(spellings) {
    ck_assert_msg(parse("--out=a=b --quantize int8 --input-shapes [1,3] [2] -v m.onnx p q") ==
                      MICA_OPTIONS_RUN,
                  "%s", f.err.text);
    ck_assert_str_eq(f.v.input, "m.onnx");
    ck_assert_str_eq(f.v.output, "a=b");
    ck_assert_str_eq(f.v.mode, "INT8");
    ck_assert_str_eq(f.v.shapes, "[1,3],[2]");
    ck_assert_str_eq(f.v.more, "p,q");
    ck_assert(f.v.verbose);
    ck_assert(mica_option_given(&f.table, "--mode"));
    ck_assert_msg(parse("-o -x --sizes 3 4,-5 --count -7 --ratio -1e-3 --modes MAX,kld -- -m") ==
                      MICA_OPTIONS_RUN,
                  "%s", f.err.text);
    ck_assert_str_eq(f.v.output, "-x");
    ck_assert_str_eq(f.v.sizes, "3,4,-5");
    ck_assert_str_eq(f.v.modes, "max,kld");
    ck_assert_str_eq(f.v.input, "-m");
    ck_assert(f.v.count == -7 && f.v.ratio == -1e-3 && !f.v.verbose);
    ck_assert_int_eq(parse("- --output= "), MICA_OPTIONS_RUN);
    ck_assert_str_eq(f.v.input, "-");
    ck_assert_str_eq(f.v.output, "");
}
END_TEST

typedef struct bad_line {
    const char *line, *message;
} bad_line;

static const bad_line bad_lines[] = {
    {"m --outptu x", "unknown option '--outptu', the nearest is '--output'"},
    {"m --zzzzzzzz", "unknown option '--zzzzzzzz', see --help"},
    {"m -o x -q", "unknown option '-q', the nearest is '-o'"},
    {"m", "missing required option '--output'"},
    {"-o x", "missing required argument 'input'"},
    {"", "missing required options 'input', '--output'"},
    {"m -o x --out y", "option '--output' is given twice"},
    {"m -o x -v -v", "option '--verbose' is given twice"},
    {"m -o", "option '--output' expects a value"},
    {"m -o --verbose", "option '--output' expects a value"},
    {"m -o -v", "option '--output' expects a value"},
    {"m -o x --sizes --verbose", "option '--sizes' expects a value"},
    {"m -o x --verbose=1", "option '--verbose' takes no value, got '1'"},
    {"m -o x --count 1.5", "option '--count': expected an integer, got '1.5'"},
    {"m -o x --sizes 1 2,x", "option '--sizes': expected an integer, got 'x'"},
    {"m -o x --ratio half", "option '--ratio': expected a number, got 'half'"},
    {"m -o x --mode int9",
     "option '--mode': 'int9' is not one of F32, BF16, INT8; the nearest is 'INT8'"},
    {"m -o x --mode q", "option '--mode': 'q' is not one of F32, BF16, INT8"},
    {"m -o x --modes max percent", "option '--modes': 'percent' is not one of kld, max"},
};

START_TEST(bad_command_line) {
    ck_assert_int_eq(parse(bad_lines[_i].line), MICA_OPTIONS_ERROR);
    ck_assert_str_eq(f.err.text, bad_lines[_i].message);
}
END_TEST

START_TEST(too_many_arguments) {
    f.rows[1].multi = false;
    ck_assert_int_eq(parse("a b c -o x"), MICA_OPTIONS_ERROR);
    ck_assert_str_eq(f.err.text, "unexpected argument 'c'");
}
END_TEST

/* What a command line prints. */
static char *shown(const char *line) {
    char *text = NULL;
    size_t len = 0;
    f.table.out = open_memstream(&text, &len);
    ck_assert_int_eq(parse(line), MICA_OPTIONS_HELP_SHOWN);
    fclose(f.table.out);
    return text;
}

START_TEST(help_text) {
    char *text = shown("--help");
    ck_assert_str_eq(
        text,
        "usage: tool --output FILE [options] input [more ...]\n"
        "\n"
        "Does things.\n"
        "\n"
        "arguments:\n"
        "  input                     model to read (required)\n"
        "  more ...                  other files\n"
        "\n"
        "options:\n"
        "  --output, -o, --out FILE  file to write (required)\n"
        "  --mode, --quantize MODE   number type; one of F32, BF16, INT8 (default: F32)\n"
        "  --input_shapes SHAPE ...  shape of each input\n"
        "  --sizes SIZES ...         sizes in pixels a|b (default: 1,2)\n"
        "  --modes MODES ...         methods; one of kld, max\n"
        "  --verbose, -v             say more\n"
        "  --count COUNT             samples (default: 100)\n"
        "  --ratio RATIO             part, 0 to 1 (default: 0.5)\n"
        "  --help, -h                show this help and exit\n"
        "  --help-markdown           show the options as Markdown\n"
        "  --version                 show the version and exit\n");
    free(text);
    text = shown("m --version");
    ck_assert_str_eq(text, "tool 1.2\n");
    free(text);
}
END_TEST

START_TEST(help_wraps) {
    f.rows[9].help = "a very long explanation that does not fit into one line of one hundred "
                     "columns and so is continued below, aligned";
    f.rows[9].metavar = "A_VERY_LONG_NAME_OF_A_VALUE";
    f.rows[9].alias = "--another_name_of_it";
    char *text = shown("-h");
    ck_assert_ptr_nonnull(strstr(text, "--another_name_of_it A_VERY_LONG_NAME_OF_A_VALUE\n"
                                       "                            a very long"));
    for (const char *line = text; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        ck_assert_uint_le(n, 100);
        line += n + 1;
    }
    free(text);
}
END_TEST

START_TEST(markdown_text) {
    char *text = shown("--help-markdown");
    ck_assert(strncmp(text, "## tool\n\nDoes things.\n\n| option | value | default | meaning |\n"
                            "|---|---|---|---|\n"
                            "| `input` | `INPUT` | required | model to read |\n",
                      60) == 0);
    ck_assert_ptr_nonnull(strstr(
        text, "| `--output`, `-o`, `--out` | `FILE` | required | file to write |\n"
              "| `--mode`, `--quantize` | `MODE` | `F32` | number type; one of `F32`, `BF16`, "
              "`INT8` |\n"));
    ck_assert_ptr_nonnull(strstr(text, "| sizes in pixels a\\|b |\n"));
    ck_assert_ptr_nonnull(strstr(text, "| `--verbose`, `-v` |  |  | say more |\n"));
    free(text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("utils_options");
    TCase *tests = tcase_create("options");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, defaults);
    tcase_add_test(tests, spellings);
    tcase_add_loop_test(tests, bad_command_line, 0, (int)MICA_COUNT(bad_lines));
    tcase_add_test(tests, too_many_arguments);
    tcase_add_test(tests, help_text);
    tcase_add_test(tests, help_wraps);
    tcase_add_test(tests, markdown_text);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
