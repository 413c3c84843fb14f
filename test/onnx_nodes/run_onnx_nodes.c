/* Runs the ONNX backend node cases: every folder with a model.onnx and test_data_set_* folders is
 * imported, planned, run, and its results compared with the given ones.
 *
 *     onnx_nodes [--list FILE | --all] [--excluded FILE] [--write FILE] [--units N] [--only TEXT]
 *                [-v] ROOT
 *
 * Each case runs in a child with a time limit, so that one that crashes counts as one failure.
 * Without --list the exit status is 0 whatever fails; with it, a case named in FILE (one per line,
 * '#' starts a comment) that fails or is missing gives exit status 1; with --all any case does.
 * --excluded names cases that are left out, each with its reason: then every case must be in one of
 * both lists, and one that is left out must fail. --write writes the names of the cases that pass. --units lets integers of 8 bits differ by so much:
 * other programs requantize in another order. The compiler computes half and double floats in f32: such inputs are
 * converted, such results compared as numbers. Inputs that a model needs while importing (shapes,
 * axes, repeats) are given as constants, as few as possible. */
#include "dialects/dialects.h"
#include "dialects/plan.h"
#include "frontends/onnx/onnx_internal.h"
#include "runtime/mrt_exec.h"
#include "test/onnx_nodes/case_data.h"
#include "test/onnx_nodes/case_lists.h"
#include "utils/file.h"
#include "utils/half.h"
#include "utils/strings.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIME_LIMIT = 30, LEVELS = 6 };

/* Last diagnostic of the import in this process. */
typedef struct message {
    char text[600];
} message;

typedef struct test_case {
    mica_arena *arena;
    const char *folder;
    message *msg;
    Onnx__ModelProto *model; /* for the names and types of inputs and outputs */
    int level;               /* of constant inputs that was needed */
    int units;               /* by which 8-bit integers may differ */
} test_case;

static void keep_error(void *user, mica_severity severity, mica_loc loc, const char *text) {
    message *m = user;
    (void)loc;
    if (severity == MICA_ERROR && m->text[0] == '\0') {
        snprintf(m->text, sizeof m->text, "%s", text);
    }
}

static bool fail(test_case *c, const char *format, ...) MICA_PRINTF(2, 3);
static bool fail(test_case *c, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(c->msg->text, sizeof c->msg->text, format, args);
    va_end(args);
    return false;
}

/* --- import ---------------------------------------------------------------------------------- */
static const char *descr(mrt_dtype dtype) {
#define X(name, code, bytes, text, descr_text)                                                     \
    if (dtype == MRT_##name) {                                                                     \
        return descr_text;                                                                         \
    }
    MRT_DTYPE_LIST(X)
#undef X
    return "";
}

/* Inputs that are constants at a level: none, small integer ones behind the first, small integer
 * ones, small ones, all but the first, all. */
static bool is_fixed(int level, size_t index, const mica_onnx_tensor *t) {
    const bool flat = t->shape.rank <= 1, integer = !mrt_dtype_is_float(t->dtype);
    switch (level) {
    case 0:
        return false;
    case 1:
        return flat && integer && index > 0;
    case 2:
        return flat && integer;
    case 3:
        return flat;
    case 4:
        return index > 0;
    default:
        return true;
    }
}

static bool import(test_case *c, mica_context *context, const case_data *inputs,
                   mica_module **out) {
    const char *path = mica_path_join(c->arena, c->folder, "model.onnx");
    message first = {""};
    for (int level = 0; level < LEVELS; level++) {
        mica_ndarray constants[CASE_MAX_ITEMS] = {0};
        mica_onnx_options options = {.constants = constants, .input_shapes = inputs->shapes};
        for (size_t i = 0; i < inputs->count; i++) {
            const mica_onnx_tensor *t = &inputs->items[i].tensor;
            if (is_fixed(level, i, t)) {
                mica_ndarray *a = &constants[options.n_constants++];
                a->name = inputs->items[i].name;
                snprintf(a->descr, sizeof a->descr, "%s", descr(t->dtype));
                a->rank = t->shape.rank;
                memcpy(a->dims, t->shape.dims, sizeof t->shape.dims);
                a->data = t->data;
            }
        }
        c->msg->text[0] = '\0';
        if (mica_onnx_import(context, path, &options, out) == MICA_OK) {
            c->level = level;
            return true;
        }
        if (level == 0) {
            first = *c->msg;
        }
    }
    *c->msg = first;
    return false;
}

/* --- comparison ------------------------------------------------------------------------------ */
static double element(mrt_dtype dtype, const void *data, int64_t i) {
    switch (dtype) {
    case MRT_F32:
        return (double)((const float *)data)[i];
    case MRT_F64:
        return ((const double *)data)[i];
    case MRT_F16:
        return (double)mica_f16_to_f32(((const uint16_t *)data)[i]);
    default:
        return (double)mica_bf16_to_f32(((const uint16_t *)data)[i]);
    }
}

static bool within_units(const test_case *c, mrt_dtype dtype, const char *a, const char *b) {
    const int x = dtype == MRT_I8 ? *(const int8_t *)a : *(const uint8_t *)a;
    const int y = dtype == MRT_I8 ? *(const int8_t *)b : *(const uint8_t *)b;
    return (dtype == MRT_I8 || dtype == MRT_U8) && abs(x - y) <= c->units;
}

static bool compare(test_case *c, const char *name, const mrt_tensor *got,
                    const mica_onnx_tensor *want) {
    const bool single = got->dtype == MRT_F32 && mrt_dtype_is_float(want->dtype);
    if (got->dtype != want->dtype && !single) {
        return fail(c, "output '%s' has type %s, expected %s", name, mrt_dtype_name(got->dtype),
                    mrt_dtype_name(want->dtype));
    }
    if (!mrt_shape_equal(&got->shape, &want->shape)) {
        return fail(c, "output '%s' has another shape (rank %d, %lld elements; expected rank %d, "
                       "%lld elements)", name, got->shape.rank,
                    (long long)mrt_shape_count(&got->shape), want->shape.rank,
                    (long long)want->count);
    }
    const size_t item = mrt_dtype_bytes(want->dtype);
    /* ONNX's own tolerance is rtol 1e-3, atol 1e-7; half types have steps of 2^-10 and 2^-7. */
    const double rtol = want->dtype == MRT_BF16 ? 1e-2 : want->dtype == MRT_F16 ? 2e-3 : 1e-3;
    for (int64_t i = 0; i < want->count; i++) {
        const char *a = (const char *)got->data + (size_t)i * item;
        const char *b = (const char *)want->data + (size_t)i * item;
        if (got->dtype == want->dtype && memcmp(a, b, item) == 0) {
            continue;
        }
        if (within_units(c, want->dtype, a, b)) {
            continue;
        }
        if (!mrt_dtype_is_float(want->dtype)) {
            return fail(c, "output '%s' differs at element %lld", name, (long long)i);
        }
        const double x = element(got->dtype, got->data, i), y = element(want->dtype, want->data, i);
        if ((isnan(x) && isnan(y)) || x == y || fabs(x - y) <= 1e-5 + rtol * fabs(y)) {
            continue;
        }
        return fail(c, "output '%s' is %.9g at element %lld, expected %.9g", name, x, (long long)i,
                    y);
    }
    return true;
}

/* --- one data set ---------------------------------------------------------------------------- */
/* Some step or output reads the tensor. The data of an input that nobody reads do not matter: the
 * second one of CastLike gives its type alone, and in some cases has another shape than the model
 * says. */
static bool is_read(const mrt_plan *plan, int32_t id) {
    for (int32_t i = 0; i < plan->n_tensors; i++) {
        if (plan->tensors[i].alias_of == id) {
            return true;
        }
    }
    for (int32_t i = 0; i < plan->n_steps; i++) {
        for (int32_t k = 0; k < plan->steps[i].n_in; k++) {
            if (plan->steps[i].in[k] == id) {
                return true;
            }
        }
    }
    for (int32_t i = 0; i < plan->n_outputs; i++) {
        if (plan->outputs[i] == id) {
            return true;
        }
    }
    return false;
}

static bool fill_inputs(test_case *c, const mrt_plan *plan, mrt_exec *exec,
                        const case_data *inputs) {
    for (int32_t k = 0; k < plan->n_inputs; k++) {
        mrt_tensor *t = mrt_exec_tensor(exec, plan->inputs[k]);
        if (!is_read(plan, plan->inputs[k])) {
            continue;
        }
        size_t i = 0;
        while (i < inputs->count && strcmp(inputs->items[i].name, t->name) != 0) {
            i++;
        }
        const mica_onnx_tensor *in = i < inputs->count ? &inputs->items[i].tensor : NULL;
        if (in != NULL && t->dtype == MRT_F32 && mrt_dtype_is_float(in->dtype) &&
            mrt_shape_equal(&in->shape, &t->shape)) {
            for (int64_t e = 0; e < in->count; e++) {
                ((float *)t->data)[e] = (float)element(in->dtype, in->data, e);
            }
            continue;
        }
        if (in == NULL || in->dtype != t->dtype || !mrt_shape_equal(&in->shape, &t->shape)) {
            return fail(c, "the data for input '%s' do not fit", t->name);
        }
        if (in->count > 0) {
            memcpy(t->data, in->data, (size_t)in->count * mrt_dtype_bytes(t->dtype));
        }
    }
    return true;
}

static bool run_plan(test_case *c, const mrt_plan *plan, const case_data *inputs,
                     const case_data *outputs) {
    mrt_exec *exec = NULL;
    mrt_error err = {""};
    if (mrt_exec_create(plan, NULL, &exec, &err) != MRT_OK) {
        return fail(c, "%s", err.text);
    }
    if (!fill_inputs(c, plan, exec, inputs)) {
        return false;
    }
    mrt_exec_run(exec, NULL, NULL);
    if ((size_t)plan->n_outputs != outputs->count) {
        return fail(c, "%d outputs, expected %zu", plan->n_outputs, outputs->count);
    }
    for (size_t i = 0; i < outputs->count; i++) {
        const case_item *want = &outputs->items[i];
        const mrt_tensor *got = mrt_exec_tensor(exec, plan->outputs[i]);
        if (strcmp(got->name, want->name) != 0) {
            return fail(c, "output %zu is '%s', expected '%s'", i, got->name, want->name);
        }
        if (!compare(c, want->name, got, &want->tensor)) {
            return false;
        }
    }
    mrt_exec_destroy(exec);
    return true;
}

static bool run_set(test_case *c, const char *set) {
    const Onnx__GraphProto *graph = c->model->graph;
    case_data inputs, outputs;
    mica_error err = {0};
    const bool data =
        case_data_read(c->arena, set, "input", graph->input, graph->n_input, &inputs, &err) &&
        case_data_read(c->arena, set, "output", graph->output, graph->n_output, &outputs, &err);
    mica_context *context = mica_context_create();
    mica_module *module = NULL;
    mrt_plan *plan = NULL;
    const mica_plan_options options = {0};
    mica_register_dialects(context);
    mica_set_diag_handler(context, keep_error, c->msg);
    /* Data that cannot be read (strings): the importer says what is wrong. */
    const case_data none = {.shapes = ""};
    if (!import(c, context, data ? &inputs : &none, &module)) {
        return false;
    }
    if (!data) {
        return fail(c, "its data: %s", err.text);
    }
    if (mica_plan_func(module, mica_module_func(module, "main"), &options, &plan) != MICA_OK) {
        return false;
    }
    const bool ok = run_plan(c, plan, &inputs, &outputs);
    mrt_plan_destroy(plan);
    mica_module_destroy(module);
    mica_context_destroy(context);
    return ok;
}

static bool run_case(test_case *c) {
    mica_error err = {0};
    char *bytes = NULL, **names = NULL;
    size_t size = 0, n = 0, sets = 0;
    const char *path = mica_path_join(c->arena, c->folder, "model.onnx");
    if (mica_read_file(path, (size_t)1 << 30, &bytes, &size, &err) != MICA_OK ||
        mica_list_dir(c->folder, c->arena, &names, &n, &err) != MICA_OK) {
        return fail(c, "%s", err.text);
    }
    c->model = onnx__model_proto__unpack(NULL, size, (uint8_t *)bytes);
    mica_free(bytes);
    for (size_t i = 0; i < n; i++) {
        if (mica_starts_with(names[i], "test_data_set_")) {
            sets++;
            if (!run_set(c, mica_path_join(c->arena, c->folder, names[i]))) {
                return false;
            }
        }
    }
    return sets > 0 || fail(c, "no test_data_set_* folder");
}

/* --- children -------------------------------------------------------------------------------- */
typedef struct result {
    bool passed;
    int level;
    char op[64]; /* of the model's only node, or "(several)" */
    message msg;
} result;

static void child(const char *folder, int units, int pipe_end) {
    result r = {.level = 0};
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes of addresses */
    struct rlimit limit = {(rlim_t)16 << 30, (rlim_t)16 << 30};
    setrlimit(RLIMIT_AS, &limit);
#endif
    alarm(TIME_LIMIT);
    test_case c = {.arena = mica_arena_create(), .folder = folder, .msg = &r.msg,
                   .units = units};
    r.passed = run_case(&c);
    r.level = c.level;
    const Onnx__GraphProto *graph = c.model != NULL ? c.model->graph : NULL;
    snprintf(r.op, sizeof r.op, "%s",
             graph != NULL && graph->n_node == 1 ? graph->node[0]->op_type : "(several)");
    if (write(pipe_end, &r, sizeof r) != (ssize_t)sizeof r) {
        _exit(2);
    }
    _exit(0);
}

static result run_in_child(const char *folder, int units) {
    result r = {.op = "(crash)"};
    int ends[2], status = 0;
    if (pipe(ends) != 0) {
        return r;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(folder, units, ends[1]);
    }
    close(ends[1]);
    if (read(ends[0], &r, sizeof r) != (ssize_t)sizeof r) {
        memset(&r, 0, sizeof r);
        snprintf(r.op, sizeof r.op, "(crash)");
    }
    close(ends[0]);
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) {
        r.passed = false;
        snprintf(r.msg.text, sizeof r.msg.text, "%s", WTERMSIG(status) == SIGALRM
                                                          ? "time limit" : "crash");
    }
    return r;
}

/* --- the whole ------------------------------------------------------------------------------- */
typedef struct tally {
    size_t passed, failed;
} tally;

typedef struct runner {
    mica_arena *arena;
    const char *root, *only;
    bool verbose, all_required;
    int units;
    mica_map *ops;      /* op -> tally */
    case_lists lists;
    FILE *write;
    tally all;
    size_t levels[LEVELS];
} runner;

static void count(runner *run, const char *op, bool passed) {
    tally *t = mica_map_get(run->ops, op);
    if (t == NULL) {
        t = mica_arena_alloc(run->arena, sizeof *t);
        mica_map_set(run->ops, op, t);
    }
    t->passed += passed;
    t->failed += !passed;
    run->all.passed += passed;
    run->all.failed += !passed;
}

static void one(runner *run, const char *name) {
    const char *folder = mica_path_join(run->arena, run->root, name);
    if (!mica_file_exists(mica_path_join(run->arena, folder, "model.onnx"))) {
        return;
    }
    fflush(NULL);
    if (run->all_required) {
        case_lists_require(&run->lists, name);
    }
    const result r = run_in_child(folder, run->units);
    count(run, r.op, r.passed);
    case_lists_result(&run->lists, name, r.passed);
    if (r.passed) {
        run->levels[r.level]++;
        if (run->write != NULL) {
            fprintf(run->write, "%s\n", name);
        }
    } else {
        const bool left_out = case_lists_rule(&run->lists, name) != NULL;
        printf("%s %s: %s\n", left_out ? "left out" : "FAIL", name, r.msg.text);
    }
    if (r.passed && run->verbose) {
        printf("pass %s (level %d)\n", name, r.level);
    }
}

static int report(runner *run) {
    const char *name = NULL;
    void *value = NULL;
    printf("\noperator: passed / all\n");
    for (size_t i = 0; mica_map_at(run->ops, i, &name, &value); i++) {
        const tally *t = value;
        printf("  %-28s %zu / %zu\n", name, t->passed, t->passed + t->failed);
    }
    printf("\npassed without constant inputs: %zu; with some: %zu, %zu, %zu, %zu, %zu\n",
           run->levels[0], run->levels[1], run->levels[2], run->levels[3], run->levels[4],
           run->levels[5]);
    const bool good = case_lists_report(&run->lists, run->only == NULL);
    printf("%zu passed, %zu failed\n", run->all.passed, run->all.failed);
    return good ? 0 : 1;
}

int main(int argc, char **argv) {
    runner run = {.arena = mica_arena_create(), .ops = mica_map_create(),
                  .lists = case_lists_create()};
    char **names = NULL;
    size_t n = 0;
    mica_error err = {0};
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (strcmp(argv[i], "--list") == 0 && more) {
            if (!case_lists_read_required(&run.lists, argv[++i])) {
                return 2;
            }
        } else if (strcmp(argv[i], "--excluded") == 0 && more) {
            if (!case_lists_read_excluded(&run.lists, argv[++i])) {
                return 2;
            }
        } else if (strcmp(argv[i], "--all") == 0) {
            run.all_required = true;
        } else if (strcmp(argv[i], "--units") == 0 && more) {
            run.units = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--write") == 0 && more) {
            run.write = fopen(argv[++i], "w");
        } else if (strcmp(argv[i], "--only") == 0 && more) {
            run.only = argv[++i];
        } else if (strcmp(argv[i], "-v") == 0) {
            run.verbose = true;
        } else {
            run.root = argv[i];
        }
    }
    if (run.root == NULL) {
        fprintf(stderr, "usage: onnx_nodes [--list FILE | --all] [--excluded FILE] [--write FILE] "
                        "[--units N] [--only TEXT] [-v] ROOT\n");
        return 2;
    }
    if (mica_list_dir(run.root, run.arena, &names, &n, &err) != MICA_OK) {
        fprintf(stderr, "onnx_nodes: %s\n", err.text);
        return 2;
    }
    for (size_t i = 0; i < n; i++) {
        if (run.only == NULL || strstr(names[i], run.only) != NULL) {
            one(&run, names[i]);
        }
    }
    if (run.write != NULL) {
        fclose(run.write);
    }
    const int status = report(&run);
    mica_map_destroy(run.ops);
    case_lists_destroy(&run.lists);
    mica_arena_destroy(run.arena);
    return status;
}
