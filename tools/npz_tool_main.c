/* npz_tool: comparing, showing and converting npz files. */
#include "tools/npz_tool.h"

#include "utils/strbuf.h"

#include <string.h>

static const struct {
    const char *name, *alias, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
#define NPZ_COMMAND(name, alias, summary) {#name, alias, summary, npz_##name##_main},
#include "tools/npz_commands.def"
#undef NPZ_COMMAND
};

/* Runs the command called `name`; false when there is none. */
static bool run_command(const char *name, int argc, char **argv, int *out_exit) {
    for (size_t i = 0; i < MICA_COUNT(commands); i++) {
        const char *alias = commands[i].alias;
        if (strcmp(commands[i].name, name) == 0 || (alias != NULL && strcmp(alias, name) == 0)) {
            *out_exit = commands[i].run(argc, argv);
            return true;
        }
    }
    return false;
}

static void print_commands(void) {
    puts("\ncommands (npz_tool COMMAND --help shows its options):");
    for (size_t i = 0; i < MICA_COUNT(commands); i++) {
        printf("  %-16s%s\n", commands[i].name, commands[i].summary);
    }
}

static void print_all_markdown(const mica_option_table *table) {
    char markdown[] = "--help-markdown";
    char *args[] = {markdown, markdown, NULL};
    mica_options_print_markdown(table, stdout);
    for (size_t i = 0; i < MICA_COUNT(commands); i++) {
        putchar('\n');
        (void)commands[i].run(2, args);
    }
}

int main(int argc, char **argv) {
    int code = TOOL_OK;
    if (argc > 1 && run_command(argv[1], argc - 1, argv + 1, &code)) {
        return code;
    }
    mica_arena *arena = mica_arena_create();
    mica_strbuf choices = {0};
    for (size_t i = 0; i < MICA_COUNT(commands); i++) {
        mica_strbuf_printf(&choices, "%s%s", i > 0 ? "," : "", commands[i].name);
    }
    const char *command = NULL, *rest = NULL;
    mica_option rows[] = {
        {.name = "command", .kind = MICA_OPT_CHOICE, .choices = choices.data, .required = true,
         .help = "what to do", .dest = &command},
        {.name = "arguments", .kind = MICA_OPT_STRING, .multi = true,
         .help = "files and options of the command", .dest = &rest},
    };
    mica_option_table table = {
        .program = "npz_tool",
        .version = MICA_VERSION,
        .summary = "Compares, shows and converts npz files.",
        .rows = rows,
        .count = MICA_COUNT(rows),
        .arena = arena,
    };
    const char *first = argc > 1 ? argv[1] : "";
    if (strcmp(first, "--help-markdown") == 0) {
        print_all_markdown(&table);
    } else if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        mica_options_print_help(&table, stdout);
        print_commands();
    } else if (tool_options(&table, argc, argv, &code) &&
               !run_command(command, argc - 1, argv + 1, &code)) {
        code = TOOL_USAGE;
    }
    mica_strbuf_free(&choices);
    mica_arena_destroy(arena);
    return code;
}
