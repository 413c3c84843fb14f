/* mica-opt: reads MLIR text, runs passes, prints MLIR text. The tool that text tests drive. */
#include "dialects/dialects.h"
#include "ir/equal.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ir/weights.h"
#include "passes/passes.h"
#include "tools/mica_opt_diag.h"
#include "tools/mica_opt_docs.h"
#include "tools/tool.h"
#include "utils/file.h"
#include "utils/strbuf.h"
#include "utils/strings.h"
#include "utils/vec.h"

#include <stdlib.h>
#include <string.h>

#define MAX_INPUT_BYTES ((size_t)1 << 30)

typedef struct settings {
    const char *input, *output, *weights;
    const char *print_before, *print_after;
    bool print_before_all, print_after_all, timing, verify_diagnostics, split_input, show_dialects,
        show_operators, list_passes, verify_roundtrip, allow_unregistered, debuginfo, no_debuginfo, generic,
        no_verify;
    MICA_VEC(const char *) pipelines; /* in command-line order */
    mica_arena *arena;
} settings;

static int fail(const char *text) {
    fprintf(stderr, "mica-opt: error: %s\n", text);
    return TOOL_FAILED;
}

/* --- command line ----------------------------------------------------------------------------- */

/* "k=v,k2=a,b" -> name{k="v" k2="a,b"}: a comma splits only where a key follows. */
static const char *step_text(settings *s, const char *name, const char *options) {
    mica_strbuf text = {0};
    mica_strbuf_printf(&text, "%s{", name);
    for (const char *p = options; *p;) {
        size_t key = strcspn(p, "=,");
        const char *value = p[key] == '=' ? p + key + 1 : NULL;
        mica_strbuf_appendn(&text, p, key);
        p += key;
        if (value) {
            const char *end = value;
            do {
                end += strcspn(end, ",");
                const char *next = end + (*end == ',');
                if (!*end || next[strcspn(next, "=,")] == '=') {
                    break;
                }
                end = next;
            } while (true);
            char quote = memchr(value, '"', (size_t)(end - value)) ? '\'' : '"';
            mica_strbuf_printf(&text, "=%c%.*s%c", quote, (int)(end - value), value, quote);
            p = end;
        }
        mica_strbuf_append(&text, " ");
        p += *p == ',';
    }
    mica_strbuf_append(&text, "}");
    const char *kept = mica_arena_strdup(s->arena, mica_strbuf_text(&text));
    mica_strbuf_free(&text);
    return kept;
}

static const mica_pass_info *find_pass(const char *name, size_t length) {
    size_t count;
    const mica_pass_info *passes = mica_passes(&count);
    for (size_t i = 0; i < count; i++) {
        if (strlen(passes[i].name) == length && memcmp(passes[i].name, name, length) == 0) {
            return &passes[i];
        }
    }
    return NULL;
}

/* Takes pass flags and pipelines out of argv, in order; returns the new argc. */
static int take_passes(settings *s, int argc, char **argv) {
    int kept = 1;
    for (int i = 1; i < argc; i++) {
        const char *name = mica_starts_with(argv[i], "--") ? argv[i] + 2 : "";
        size_t length = strcspn(name, "=");
        const mica_pass_info *pass = find_pass(name, length);
        if (pass) {
            const char *options = name[length] ? name + length + 1 : "";
            mica_vec_push(&s->pipelines, step_text(s, pass->name, options));
        } else if (mica_starts_with(name, "pass-pipeline=")) {
            mica_vec_push(&s->pipelines, name + length + 1);
        } else if (strcmp(name, "pass-pipeline") == 0 && i + 1 < argc) {
            mica_vec_push(&s->pipelines, argv[++i]);
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    return kept;
}

/* A misspelled pass: named here, because the option table does not know passes. */
static bool check_names(const mica_option_table *table, int argc, char **argv) {
    size_t count;
    const mica_pass_info *passes = mica_passes(&count);
    const char **names = mica_arena_array(table->arena, count + table->count, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = passes[i].name;
    }
    for (size_t i = 0; i < table->count; i++) {
        bool option = mica_starts_with(table->rows[i].name, "--");
        names[count + i] = table->rows[i].name + (option ? 2 : 0);
    }
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *word = mica_starts_with(argv[i], "--") ? argv[i] + 2 : "";
        word = mica_arena_strndup(table->arena, word, strcspn(word, "="));
        const char *nearest = *word ? mica_nearest(word, names, count + table->count) : NULL;
        if (nearest && strcmp(nearest, word) != 0 && find_pass(nearest, strlen(nearest))) {
            fprintf(stderr, "mica-opt: error: unknown pass '--%s'; did you mean '--%s'?\n", word,
                    nearest);
            return false;
        }
    }
    return true;
}

static bool read_command_line(settings *s, int argc, char **argv, int *out_exit) {
#define FLAG(option, field, text)                                                                  \
    {.name = option, .kind = MICA_OPT_FLAG, .help = text, .dest = &s->field}
#define TEXT(option, field, what, text)                                                            \
    {.name = option, .kind = MICA_OPT_STRING, .metavar = what, .help = text, .dest = &s->field}
    mica_option rows[] = {
        TEXT("input", input, "FILE", "MLIR text to read; - is standard input (default)"),
        {.name = "-o", .alias = "--output", .kind = MICA_OPT_STRING, .metavar = "FILE",
         .help = "where to write the text (default: standard output)", .dest = &s->output},
        TEXT("--weights", weights, "FILE", "with -o: write the constants to this npz too"),
        /* Taken out of argv before; the row is for the help and for a missing value. */
        {.name = "--pass-pipeline", .kind = MICA_OPT_STRING, .metavar = "TEXT",
         .help = "passes to run: name{key=value},name,..."},
        FLAG("--verify-diagnostics", verify_diagnostics, "check expected-error comments"),
        FLAG("--split-input-file", split_input, "treat parts between '// -----' lines separately"),
        TEXT("--print-ir-before", print_before, "NAMES", "print the IR before these passes"),
        TEXT("--print-ir-after", print_after, "NAMES", "print the IR after these passes"),
        FLAG("--print-ir-before-all", print_before_all, "print the IR before each pass"),
        FLAG("--print-ir-after-all", print_after_all, "print the IR after each pass"),
        FLAG("--timing", timing, "print the time of each pass"),
        FLAG("--show-dialects", show_dialects, "print the op reference as Markdown"),
        FLAG("--show-onnx-operators", show_operators, "print the supported ONNX operators as Markdown"),
        FLAG("--list-passes", list_passes, "print all passes and their options"),
        FLAG("--verify-roundtrip", verify_roundtrip, "check that printed text reads back the same"),
        FLAG("--allow-unregistered-dialect", allow_unregistered, "always on"),
        FLAG("--mlir-print-debuginfo", debuginfo, "print locations (always on)"),
        FLAG("--no-debuginfo", no_debuginfo, "leave locations out of the printed text"),
        FLAG("--mlir-print-op-generic", generic, "print all ops in generic form"),
        FLAG("--no-verify", no_verify, "do not verify the IR before and between passes"),
    };
    mica_option_table table = {.program = "mica-opt",
                               .version = MICA_VERSION,
                               .summary = "Reads MLIR text, runs passes, prints MLIR text. Each "
                                          "pass is an option: --name or --name=key=value,...; "
                                          "passes run in the order given (--list-passes).",
                               .rows = rows,
                               .count = MICA_COUNT(rows),
                               .arena = s->arena};
    argc = take_passes(s, argc, argv);
    if (!check_names(&table, argc, argv)) {
        *out_exit = TOOL_USAGE;
        return false;
    }
    return tool_options(&table, argc, argv, out_exit);
}

/* --- one part of the input -------------------------------------------------------------------- */

static mica_status roundtrip_form(mica_module *module, unsigned flags, const char *form) {
    mica_context *context = module->context;
    mica_strbuf text = {0};
    mica_strbuf again = {0};
    mica_error why = {0};
    mica_status status = MICA_OK;
    mica_print_with(&text, module->op, flags);
    mica_module *copy = mica_parse(context, text.data, text.len, form);
    if (!copy) {
        status = mica_emit_error(context, module->op->loc, "printed text does not parse");
    } else if (!mica_module_equal(module, copy, &why)) {
        status = mica_emit_error(context, module->op->loc, "%s is another module: %s", form,
                                 why.text);
    } else {
        mica_print_with(&again, copy->op, flags);
        if (strcmp(mica_strbuf_text(&text), mica_strbuf_text(&again)) != 0) {
            status = mica_emit_error(context, module->op->loc, "%s prints differently", form);
        }
    }
    mica_module_destroy(copy);
    mica_strbuf_free(&text);
    mica_strbuf_free(&again);
    return status;
}

/* Constants beside the file; a text without its npz is still good for most passes. */
static mica_status load_weights(const settings *s, mica_module *module) {
    mica_attr file = mica_op_attr(module->op, "module.weight_file");
    if (!file || file->kind != MICA_ATTR_STRING || strcmp(s->input, "-") == 0) {
        return MICA_OK;
    }
    const char *path =
        mica_path_join(module->arena, mica_path_dir(module->arena, s->input), file->text);
    mica_error err = {0};
    if (!mica_file_exists(path)) {
        return MICA_OK;
    }
    if (mica_weights_load(module->weights, path, &err) != MICA_OK) {
        return mica_emit_error(module->context, module->op->loc, "%s", err.text);
    }
    return MICA_OK;
}

static mica_status run_passes(const settings *s, mica_module *module) {
    size_t count;
    const mica_pass_info *passes = mica_passes(&count);
    mica_pass_config config = {.verify_each = !s->no_verify,
                               .print_before_all = s->print_before_all,
                               .print_after_all = s->print_after_all,
                               .print_before = s->print_before,
                               .print_after = s->print_after,
                               .timing = s->timing};
    mica_pass_manager *manager =
        mica_pass_manager_create(module->context, passes, count, &config);
    mica_status status = MICA_OK;
    for (size_t i = 0; status == MICA_OK && i < s->pipelines.len; i++) {
        mica_error err = {0};
        status = mica_pass_manager_add(manager, s->pipelines.data[i], &err);
        if (status != MICA_OK) {
            fail(err.text);
        }
    }
    status = status == MICA_OK ? mica_pass_manager_run(manager, module) : status;
    mica_pass_manager_destroy(manager);
    return status;
}

static mica_status process(const settings *s, mica_context *context, const char *text,
                           size_t length, const char *file, mica_strbuf *out) {
    mica_register_source(context, file, text, length);
    mica_module *module = mica_parse(context, text, length, file);
    if (!module) {
        return MICA_FAIL;
    }
    mica_status status = load_weights(s, module);
    if (status == MICA_OK && s->verify_roundtrip) {
        status = roundtrip_form(module, 0, "printed text");
        if (status == MICA_OK) {
            status = roundtrip_form(module, MICA_PRINT_GENERIC, "printed generic text");
        }
    }
    status = status == MICA_OK ? run_passes(s, module) : status;
    if (status == MICA_OK && s->output && s->weights) {
        mica_error err = {0};
        status = tool_save_module(module, s->output, s->weights, NULL, &err);
        if (status != MICA_OK) {
            fail(err.text);
        }
    } else if (status == MICA_OK) {
        unsigned flags = (s->no_debuginfo ? MICA_PRINT_NO_LOCS : 0u) |
                         (s->generic ? MICA_PRINT_GENERIC : 0u);
        mica_print_with(out, module->op, flags);
    }
    mica_module_destroy(module);
    return status;
}

/* One part of the input in a context of its own. Line numbers are those of the whole file: the
 * part is parsed behind as many empty lines as come before it. */
static mica_status process_part(const settings *s, const char *text, size_t length, int line,
                                const char *file, mica_strbuf *out) {
    mica_strbuf padded = {0};
    for (int i = 1; i < line; i++) {
        mica_strbuf_append(&padded, "\n");
    }
    mica_strbuf_appendn(&padded, text, length);
    mica_context *context = mica_context_create();
    mica_register_dialects(context);
    mica_opt_expectations *expected = NULL;
    if (s->verify_diagnostics) {
        expected = mica_opt_expect(padded.data, padded.len, 1);
        mica_set_diag_handler(context, mica_opt_expect_handler, expected);
    }
    mica_status status = process(s, context, padded.data, padded.len, file, out);
    if (expected) {
        status = mica_opt_expect_finish(expected, file) == 0 ? MICA_OK : MICA_FAIL;
        mica_opt_expect_destroy(expected);
    }
    mica_context_destroy(context);
    mica_strbuf_free(&padded);
    return status;
}

/* --- whole input ------------------------------------------------------------------------------ */

static const char *next_separator(const char *text, const char *end) {
    static const char mark[] = "// -----";
    for (const char *p = text; p < end;) {
        const char *found = memmem(p, (size_t)(end - p), mark, strlen(mark));
        if (!found || found == text || found[-1] == '\n') {
            return found;
        }
        p = found + 1;
    }
    return NULL;
}

static mica_status process_all(const settings *s, const char *text, size_t length,
                               const char *file, mica_strbuf *out) {
    const char *end = text + length;
    mica_status status = MICA_OK;
    int line = 1;
    for (;;) {
        const char *stop = s->split_input ? next_separator(text, end) : NULL;
        size_t part = (size_t)((stop ? stop : end) - text);
        if (process_part(s, text, part, line, file, out) != MICA_OK) {
            status = MICA_FAIL;
        }
        if (!stop) {
            return status;
        }
        mica_strbuf_append(out, "// -----\n");
        const char *newline = memchr(stop, '\n', (size_t)(end - stop));
        newline = newline ? newline + 1 : end;
        for (const char *p = text; p < newline; p++) {
            line += *p == '\n';
        }
        text = newline;
    }
}

static int write_output(const settings *s, const mica_strbuf *out) {
    mica_error err = {0};
    if (!s->output || strcmp(s->output, "-") == 0) {
        fwrite(mica_strbuf_text(out), 1, out->len, stdout);
        return fflush(stdout) == 0 ? TOOL_OK : fail("cannot write to standard output");
    }
    if (mica_write_file_atomic(s->output, mica_strbuf_text(out), out->len, &err) != MICA_OK) {
        return fail(err.text);
    }
    return TOOL_OK;
}

static mica_status read_stdin(char **out, size_t *out_length, mica_error *err) {
    mica_strbuf text = {0};
    char block[65536];
    size_t n;
    while ((n = fread(block, 1, sizeof block, stdin)) > 0) {
        if (text.len + n > MAX_INPUT_BYTES) {
            mica_strbuf_free(&text);
            return mica_fail(err, "standard input is larger than %zu bytes", MAX_INPUT_BYTES);
        }
        mica_strbuf_appendn(&text, block, n);
    }
    if (ferror(stdin)) {
        mica_strbuf_free(&text);
        return mica_fail(err, "cannot read standard input");
    }
    *out_length = text.len;
    *out = mica_strbuf_take(&text);
    return MICA_OK;
}

static int run(const settings *s) {
    char *text = NULL;
    size_t length = 0;
    mica_error err = {0};
    bool from_stdin = strcmp(s->input, "-") == 0;
    mica_status status =
        from_stdin ? read_stdin(&text, &length, &err)
                   : mica_read_file(s->input, MAX_INPUT_BYTES, &text, &length, &err);
    if (status != MICA_OK) {
        return fail(err.text);
    }
    mica_strbuf out = {0};
    status = process_all(s, text, length, from_stdin ? "<stdin>" : s->input, &out);
    int code = status == MICA_OK ? TOOL_OK : TOOL_FAILED;
    if (status == MICA_OK && !s->verify_diagnostics && !(s->output && s->weights)) {
        code = write_output(s, &out);
    }
    mica_strbuf_free(&out);
    mica_free(text);
    return code;
}

static int run_or_show(const settings *s) {
    if (s->show_dialects) {
        mica_context *context = mica_context_create();
        mica_register_dialects(context);
        mica_opt_show_dialects(context, stdout);
        mica_context_destroy(context);
        return TOOL_OK;
    }
    if (s->show_operators) {
        mica_opt_show_operators(stdout);
        return TOOL_OK;
    }
    if (s->list_passes) {
        size_t count;
        const mica_pass_info *passes = mica_passes(&count);
        mica_opt_list_passes(passes, count, stdout);
        return TOOL_OK;
    }
    if (s->weights && (!s->output || s->split_input)) {
        fail("--weights needs -o and no --split-input-file");
        return TOOL_USAGE;
    }
    return run(s);
}

int main(int argc, char **argv) {
    settings s = {.input = "-", .arena = mica_arena_create()};
    int code = TOOL_OK;
    if (read_command_line(&s, argc, argv, &code)) {
        code = run_or_show(&s);
    }
    mica_vec_free(&s.pipelines);
    mica_arena_destroy(s.arena);
    return code;
}
