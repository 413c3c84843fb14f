#include "tools/tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ir/text.h"
#include "ir/weights.h"
#include "utils/strings.h"
#include "utils/vec.h"

int tool_error(const char *program, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "%s: error: ", program);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return TOOL_FAILED;
}

bool tool_options(const mica_option_table *table, int argc, char **argv, int *out_exit) {
    mica_error err;
    switch (mica_options_parse(table, argc, argv, &err)) {
    case MICA_OPTIONS_RUN:
        return true;
    case MICA_OPTIONS_HELP_SHOWN:
        *out_exit = TOOL_OK;
        return false;
    default:
        (void)tool_error(table->program, "%s", err.text);
        *out_exit = TOOL_USAGE;
        return false;
    }
}

mica_context *tool_context(void) {
    mica_context *context = mica_context_create();
    mica_register_dialects(context);
    return context;
}

int tool_threads(int64_t option) {
    int64_t threads = option;
    const char *text = getenv("MICA_NUM_THREADS");
    if (threads <= 0 && (text == NULL || !mica_parse_i64(text, &threads))) {
        threads = 0;
    }
    if (threads <= 0) {
        threads = sysconf(_SC_NPROCESSORS_ONLN);
    }
    return (int)(threads < 1 ? 1 : (threads > 256 ? 256 : threads));
}

const char *tool_stem(mica_arena *arena, const char *path) {
    char *base = mica_path_base(arena, path);
    char *dot = strrchr(base, '.');
    if (dot != NULL && dot != base) {
        *dot = '\0';
    }
    return base;
}

mica_status tool_save_module(mica_module *module, const char *mlir_path, const char *npz_path,
                             mica_error *err) {
    mica_arena *arena = mica_arena_create();
    mica_op *func = mica_module_func(module, "main");
    MICA_VEC(const char *) names = {0};
    for (const mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        if (mica_op_has_trait(op, MICA_IS_CONSTANT)) {
            mica_vec_push(&names, mica_value_name(&op->results[0]));
        }
    }
    mica_op_set_str(module->op, "module.weight_file", mica_path_base(arena, npz_path));
    mica_status status = mica_weights_save(module->weights, names.data, names.len, npz_path, err);
    if (status == MICA_OK) {
        status = mica_print_file(module, mlir_path, err);
    }
    mica_vec_free(&names);
    mica_arena_destroy(arena);
    return status;
}

mica_status tool_parse_tolerance(const char *text, mrt_tolerance *out, mica_error *err) {
    mica_arena *arena = mica_arena_create();
    size_t n = 0;
    char **parts = mica_split(arena, text, ',', &n);
    double values[2] = {0.0, 0.0};
    bool ok = n == 2;
    for (size_t i = 0; ok && i < n; ++i) {
        ok = mica_parse_f64(parts[i], &values[i]) && values[i] <= 1.0 && values[i] >= -1.0;
    }
    mica_arena_destroy(arena);
    if (!ok) {
        return mica_fail(err, "tolerance '%s': expected 'cos,euclid' with values from -1 to 1, for "
                              "example 0.99,0.90", text);
    }
    *out = (mrt_tolerance){.cosine = values[0], .euclid = values[1], .sqnr_db = -1.0 / 0.0};
    return MICA_OK;
}
