#include "tools/tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ir/text.h"
#include "ir/weights.h"
#include "runtime/mrt_cpu.h"
#include "utils/file.h"
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

mica_status tool_reported(mica_error *err) {
    err->text[0] = '\0';
    return MICA_FAIL;
}

int tool_failed(const char *program, const mica_error *err) {
    return err->text[0] != '\0' ? tool_error(program, "%s", err->text) : TOOL_FAILED;
}

/* A number of threads, 0 for "choose". */
static bool good_threads(int64_t threads) { return threads >= 0 && threads <= MRT_CPU_MOST_THREADS; }

/* What the environment says must mean something, in every tool and before any work; --threads too. */
static mica_status check_settings(const mica_option_table *table, mica_error *err) {
    mrt_error error;
    int64_t threads = 0;
    const char *text = getenv("MICA_NUM_THREADS");
    if (text != NULL && *text != '\0' && (!mica_parse_i64(text, &threads) || !good_threads(threads))) {
        return mica_fail(err, "MICA_NUM_THREADS is '%.40s'; expected a number from 0 (one per core) to %d", text,
                         MRT_CPU_MOST_THREADS);
    }
    for (size_t i = 0; i < table->count; ++i) {
        const mica_option *row = &table->rows[i];
        if (strcmp(row->name, "--threads") == 0 && !good_threads(*(const int64_t *)row->dest)) {
            return mica_fail(err, "--threads is %lld; expected 0 to %d", (long long)*(const int64_t *)row->dest,
                             MRT_CPU_MOST_THREADS);
        }
    }
    return mrt_cpu_check_isa(&error) == MRT_OK ? MICA_OK : mica_fail(err, "%s", error.text);
}

bool tool_options(const mica_option_table *table, int argc, char **argv, int *out_exit) {
    mica_error err;
    switch (mica_options_parse(table, argc, argv, &err)) {
    case MICA_OPTIONS_RUN:
        if (check_settings(table, &err) == MICA_OK) {
            return true;
        }
        (void)tool_error(table->program, "%s", err.text);
        *out_exit = TOOL_USAGE;
        return false;
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

mica_status tool_processor(const char *name, const mica_processor **out, mica_error *err) {
    *out = mica_processor_find(name);
    if (*out != NULL) {
        return MICA_OK;
    }
    size_t n = 0;
    const char *const *names = mica_processor_names(&n);
    const char *nearest = mica_nearest(name, names, n);
    return mica_fail(err, "unknown processor '%s'%s%s", name, nearest != NULL ? "; nearest is " : "",
                     nearest != NULL ? nearest : "");
}

int tool_threads(int64_t option) {
    int64_t threads = option;
    const char *text = getenv("MICA_NUM_THREADS");
    if (threads <= 0 && (text == NULL || !mica_parse_i64(text, &threads))) {
        threads = 0;
    }
    return threads <= 0 || !good_threads(threads) ? mrt_cpu_threads() : (int)threads;
}

const char *tool_stem(mica_arena *arena, const char *path) {
    char *base = mica_path_base(arena, path);
    char *dot = strrchr(base, '.');
    if (dot != NULL && dot != base) {
        *dot = '\0';
    }
    return base;
}

mica_status tool_check_output(const char *path, mica_error *err) {
    mica_arena *arena = mica_arena_create();
    const char *dir = mica_path_dir(arena, path);
    mica_status status = MICA_OK;
    if (mica_is_dir(path)) {
        status = mica_fail(err, "cannot write '%s': it is a folder", path);
    } else if (!mica_is_dir(dir)) {
        status = mica_fail(err, "cannot write '%s': there is no folder '%s'", path, dir);
    } else if (!mica_file_exists(path) && access(dir, W_OK) != 0) {
        status = mica_fail(err, "cannot write '%s': %s", path, strerror(errno));
    }
    mica_arena_destroy(arena);
    return status;
}

void tool_outputs_add(tool_outputs *outputs, const char *path) {
    if (outputs != NULL) {
        mica_vec_push(&outputs->paths, mica_strdup(path));
    }
}

static void remove_file(const char *path) {
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISREG(info.st_mode)) {
        (void)unlink(path);
    }
}

void tool_outputs_remove(tool_outputs *outputs, const char *path) {
    size_t kept = 0;
    for (size_t i = 0; i < outputs->paths.len; ++i) {
        char *at = outputs->paths.data[i];
        if (path == NULL || strcmp(at, path) == 0) {
            remove_file(at);
            mica_free(at);
        } else {
            outputs->paths.data[kept++] = at;
        }
    }
    outputs->paths.len = kept;
    if (kept == 0) {
        mica_vec_free(&outputs->paths);
    }
}

void tool_outputs_keep(tool_outputs *outputs) {
    for (size_t i = 0; i < outputs->paths.len; ++i) {
        mica_free(outputs->paths.data[i]);
    }
    mica_vec_free(&outputs->paths);
}

mica_status tool_save_module(mica_module *module, const char *mlir_path, const char *npz_path,
                             tool_outputs *outputs, mica_error *err) {
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
        tool_outputs_add(outputs, npz_path);
        status = mica_print_file(module, mlir_path, err);
    }
    if (status == MICA_OK) {
        tool_outputs_add(outputs, mlir_path);
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

int tool_main(const tool_program *program, int argc, char **argv) {
    mica_arena *arena = mica_arena_create();
    const mica_option_table table = {.program = program->name, .version = MICA_VERSION, .rows = program->rows,
                                     .count = program->count, .arena = arena, .summary = program->summary,
                                     .refusals = program->refusals, .n_refusals = program->n_refusals};
    int code = TOOL_OK;
    if (tool_options(&table, argc, argv, &code)) {
        mica_error err = {0};
        mica_context *context = tool_context();
        if (program->run(program->settings, &table, context, &err) != MICA_OK) {
            code = tool_failed(program->name, &err);
            code = program->unreached != NULL && *program->unreached ? TOOL_UNREACHED : code;
        }
        mica_context_destroy(context);
    }
    mica_arena_destroy(arena);
    return code;
}
