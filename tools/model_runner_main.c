/* model_runner: executes any model and saves its tensors; on a labelled dataset, counts hits; measures
 * speed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/model_profile.h"
#include "tools/tool.h"
#include "utils/file.h"
#include "utils/map.h"
#include "utils/progress.h"
#include "utils/strings.h"

static const char *const program = "model_runner";

enum { PROFILE_RUNS = 20, PROFILE_MOST_RUNS = 1000 };

typedef struct settings {
    const char *model, *input, *output, *input_shapes, *dataset, *data_list, *labels;
    const char *profile_order, *trace, *json;
    bool dump_all, out_fixed, profile, profile_order_given;
    int64_t input_num, bench, threads;
} settings;

/* Label number of each sample file, from lines "file label". */
static mica_map *read_labels(const char *path, mica_arena *arena, mica_error *err) {
    char *text = NULL;
    size_t length = 0;
    if (mica_read_file(path, (size_t)64 << 20, &text, &length, err) != MICA_OK) {
        return NULL;
    }
    mica_map *labels = mica_map_create();
    size_t n = 0;
    char **lines = mica_split(arena, text, '\n', &n);
    mica_free(text);
    for (size_t i = 0; i < n; ++i) {
        size_t words = 0;
        char **word = mica_split(arena, lines[i], ' ', &words);
        int64_t label = 0;
        if (words == 0) {
            continue;
        }
        if (words != 2 || !mica_parse_i64(word[1], &label) || label < 0) {
            (void)!mica_fail(err, "%s:%zu: expected 'file label', got '%s'", path, i + 1, lines[i]);
            mica_map_destroy(labels);
            return NULL;
        }
        mica_map_set(labels, word[0], (void *)(uintptr_t)(label + 1));
    }
    return labels;
}

/* Index of the largest real value of the first output. */
static int64_t best_class(tool_model *model) {
    const mrt_tensor *t = mrt_exec_tensor(model->exec, model->plan->outputs[0]);
    const int64_t n = mrt_shape_count(&t->shape);
    int64_t best = 0;
    for (int64_t i = 1; i < n; ++i) {
        const bool larger = t->dtype == MRT_F32   ? ((float *)t->data)[i] > ((float *)t->data)[best]
                            : t->dtype == MRT_I8 ? ((int8_t *)t->data)[i] > ((int8_t *)t->data)[best]
                                                  : ((uint8_t *)t->data)[i] > ((uint8_t *)t->data)[best];
        best = larger ? i : best;
    }
    return best;
}

static int compare_double(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs every sample; prints accuracy when there are labels. */
static mica_status run_dataset(const settings *s, tool_model *model, mica_error *err) {
    mica_arena *arena = mica_context_arena(model->context);
    mica_map *labels = NULL;
    if (s->labels != NULL && (labels = read_labels(s->labels, arena, err)) == NULL) {
        return MICA_FAIL;
    }
    mica_dataset *dataset = tool_model_dataset(model, NULL, s->dataset, s->data_list, s->input_num, err);
    mica_status status = dataset != NULL ? MICA_OK : MICA_FAIL;
    const size_t n = dataset != NULL ? mica_dataset_count(dataset) : 0;
    double *seconds = mica_alloc((n + 1) * sizeof *seconds);
    size_t hits = 0;
    for (size_t i = 0; i < n && status == MICA_OK; ++i) {
        status = tool_model_run(model, dataset, i, err);
        if (status != MICA_OK || labels == NULL) {
            continue;
        }
        const char *name = mica_path_base(arena, mica_dataset_name(dataset, i));
        const uintptr_t label = (uintptr_t)mica_map_get(labels, name);
        if (label == 0) {
            status = mica_fail(err, "'%s' has no label in '%s'", name, s->labels);
        }
        hits += best_class(model) == (int64_t)label - 1;
    }
    if (status == MICA_OK) {
        /* Speed without reading the samples: the last one again and again. */
        const size_t repeats = n < 50 ? n : 50;
        for (size_t i = 0; i < repeats; ++i) {
            const double start = mica_seconds();
            mrt_exec_run(model->exec, NULL, NULL);
            seconds[i] = mica_seconds() - start;
        }
        qsort(seconds, repeats, sizeof *seconds, compare_double);
        if (labels != NULL) {
            printf("accuracy %.2f %% (%zu of %zu samples), ", 100.0 * (double)hits / (double)n, hits, n);
        }
        printf("median %.3f ms per sample\n", 1e3 * seconds[repeats / 2]);
    }
    mica_free(seconds);
    mica_dataset_close(dataset);
    mica_map_destroy(labels);
    return status;
}

/* Repeats the run; `json` gets every time. */
static void run_bench(const settings *s, tool_model *model, json_t *json) {
    double *seconds = mica_alloc((size_t)s->bench * sizeof *seconds);
    json_t *times = json_array();
    for (int64_t i = 0; i < s->bench; ++i) {
        const double start = mica_seconds();
        mrt_exec_run(model->exec, NULL, NULL);
        seconds[i] = mica_seconds() - start;
        json_array_append_new(times, json_real(1e3 * seconds[i]));
    }
    json_object_set_new(json, "runs_ms", times);
    qsort(seconds, (size_t)s->bench, sizeof *seconds, compare_double);
    printf("%lld runs: min %.3f ms, median %.3f ms, p99 %.3f ms\n", (long long)s->bench, 1e3 * seconds[0],
           1e3 * seconds[s->bench / 2], 1e3 * seconds[(s->bench - 1) * 99 / 100]);
    mica_free(seconds);
}

static mica_status save_json(json_t *value, const char *path, mica_error *err) {
    char *text = value != NULL ? json_dumps(value, JSON_INDENT(1)) : NULL;
    const mica_status status = text != NULL ? mica_write_file_atomic(path, text, strlen(text), err)
                                            : mica_fail(err, "cannot write '%s': no JSON", path);
    free(text);
    return status;
}

/* The runs behind --bench, --profile, --trace and --json. */
static mica_status run_measured(const settings *s, tool_model *model, mica_error *err) {
    json_t *json = json_object();
    mica_status status = MICA_OK;
    if (s->bench > 0) {
        run_bench(s, model, json);
    }
    if (s->profile || s->trace != NULL) {
        profile p = {0};
        const int64_t wanted = s->bench > 0 ? s->bench : s->profile ? PROFILE_RUNS : 2;
        status = profile_measure(model, wanted < PROFILE_MOST_RUNS ? wanted : PROFILE_MOST_RUNS, &p, err);
        if (status == MICA_OK && s->profile) {
            profile_print(&p, strcmp(s->profile_order, "time") == 0);
            json_object_set_new(json, "profile", profile_json(&p));
        }
        if (status == MICA_OK && s->trace != NULL) {
            json_t *trace = profile_trace(&p, s->model);
            status = save_json(trace, s->trace, err);
            json_decref(trace);
        }
        profile_free(&p);
    }
    if (status == MICA_OK && s->json != NULL) {
        status = save_json(json, s->json, err);
    }
    json_decref(json);
    return status;
}

static mica_status run_single(const settings *s, tool_model *model, mica_error *err) {
    mica_dataset *sample = tool_model_dataset(model, s->input, NULL, NULL, 0, err);
    mica_status status = sample != NULL ? tool_model_run(model, sample, 0, err) : MICA_FAIL;
    mica_dataset_close(sample);
    if (status == MICA_OK) {
        status = tool_save_tensors(model, s->dump_all, s->out_fixed, s->output, err);
    }
    return status == MICA_OK ? run_measured(s, model, err) : status;
}

static mica_status check(const settings *s, mica_error *err) {
    const bool many = s->dataset != NULL || s->data_list != NULL;
    if ((s->input != NULL) == many || (s->dataset != NULL && s->data_list != NULL)) {
        return mica_fail(err, "give exactly one of --input, --dataset and --data_list");
    }
    if (many && (s->dump_all || s->out_fixed || s->bench > 0 || s->profile || s->trace != NULL)) {
        return mica_fail(err, "--dump_all_tensors, --out_fixed, --bench, --profile and --trace go with --input");
    }
    if (s->json != NULL && s->bench == 0 && !s->profile) {
        return mica_fail(err, "--json goes with --bench or --profile");
    }
    if (s->profile_order_given && !s->profile) {
        return mica_fail(err, "--profile_order goes with --profile");
    }
    if (!many && (s->labels != NULL || s->input_num != 0)) {
        return mica_fail(err, "--labels and --input_num go with --dataset or --data_list");
    }
    if (!many) {
        MICA_TRY(tool_check_output(s->output, err));
        MICA_TRY(s->trace != NULL ? tool_check_output(s->trace, err) : MICA_OK);
        MICA_TRY(s->json != NULL ? tool_check_output(s->json, err) : MICA_OK);
    }
    if (s->bench < 0 || s->bench > 1000000 || s->input_num < 0) {
        return mica_fail(err, "--bench and --input_num must be 0 or more (--bench at most 1000000)");
    }
    return MICA_OK;
}

int main(int argc, char **argv) {
    settings s = {0};
    mica_option rows[] = {
        {.name = "--model", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true, .dest = &s.model,
         .help = ".onnx, .mlir (top, tpu or final) or .bmodel"},
        {.name = "--input", .kind = MICA_OPT_STRING, .multi = true, .metavar = "FILES", .dest = &s.input,
         .help = "one sample: npz with the input names as keys, npy, or jpg/png"},
        {.name = "--output", .kind = MICA_OPT_STRING, .metavar = "NPZ", .default_text = "_output.npz", .dest = &s.output,
         .help = "output: the network's outputs"},
        {.name = "--dump_all_tensors", .kind = MICA_OPT_FLAG, .dest = &s.dump_all, .help = "save every tensor, not only the outputs"},
        {.name = "--out_fixed", .kind = MICA_OPT_FLAG, .dest = &s.out_fixed, .help = "keep integers of quantized tensors instead of real values"},
        {.name = "--input_shapes", .kind = MICA_OPT_STRING, .metavar = "SHAPES", .dest = &s.input_shapes,
         .help = "for .onnx with open dimensions, as in model_transform"},
        {.name = "--dataset", .kind = MICA_OPT_STRING, .metavar = "DIR", .dest = &s.dataset, .help = "run every sample of a folder"},
        {.name = "--data_list", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.data_list, .help = "run every sample of a list"},
        {.name = "--input_num", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.input_num, .help = "number of samples; 0: all"},
        {.name = "--labels", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.labels,
         .help = "lines 'file label': prints the share of samples whose largest output is the label"},
        {.name = "--bench", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.bench, .help = "run N more times and print min, median and p99 in ms"},
        {.name = "--profile", .kind = MICA_OPT_FLAG, .dest = &s.profile,
         .help = "table of time, MACs, bytes and share of the machine's limit per step, over as many runs as --bench (at most 1000) or 20"},
        {.name = "--profile_order", .kind = MICA_OPT_CHOICE, .choices = "plan,time", .default_text = "plan", .dest = &s.profile_order,
         .help = "rows of --profile: as executed, or the slowest first"},
        {.name = "--trace", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.trace,
         .help = "output: one run as trace events (JSON) for Chrome's tracing page and Perfetto"},
        {.name = "--json", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.json,
         .help = "output: figures of --profile and the time of every run of --bench"},
        {.name = "--threads", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.threads, .help = "threads; 0: MICA_NUM_THREADS, else one per core"},
    };
    mica_arena *arena = mica_arena_create();
    const mica_option_table table = {.program = program, .version = MICA_VERSION, .rows = rows,
                                     .count = sizeof rows / sizeof rows[0], .arena = arena,
                                     .summary = "Executes a model and saves its results."};
    int code = TOOL_OK;
    if (tool_options(&table, argc, argv, &code)) {
        mica_error err = {0};
        tool_model model = {0};
        s.profile_order_given = mica_option_given(&table, "--profile_order");
        mica_status status = check(&s, &err);
        if (status == MICA_OK) {
            status = tool_model_open(s.model, s.input_shapes, s.dump_all, tool_threads(s.threads), &model, &err);
        }
        if (status == MICA_OK) {
            status = s.input != NULL ? run_single(&s, &model, &err) : run_dataset(&s, &model, &err);
        }
        if (status != MICA_OK) {
            code = tool_failed(program, &err);
        }
        tool_model_close(&model);
    }
    mica_arena_destroy(arena);
    return code;
}
