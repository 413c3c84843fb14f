/* run_calibration: ranges of all tensors from samples. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "passes/calibration/calibrate.h"
#include "tools/tool.h"
#include "utils/progress.h"
#include "utils/strings.h"

static const char *const program = "run_calibration";

typedef struct settings {
    const char *mlir, *dataset, *data_list, *method, *table;
    int64_t input_num, threads;
    bool quiet;
} settings;

static mica_status run(const settings *s, mica_context *context, mica_error *err) {
    if ((s->dataset != NULL) == (s->data_list != NULL)) {
        return mica_fail(err, "give exactly one of --dataset and --data_list");
    }
    if (s->input_num < 0) {
        return mica_fail(err, "--input_num %lld: expected 0 (all) or more", (long long)s->input_num);
    }
    const mica_method *method = mica_method_find(s->method);
    if (method == NULL) {
        size_t n = 0;
        const char *const *names = mica_method_names(&n);
        const char *nearest = mica_nearest(s->method, names, n);
        return mica_fail(err, "unknown --cali_method '%s'%s%s (methods: kl, max, percentile9999, mse)",
                         s->method, nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "");
    }
    MICA_TRY(tool_check_output(s->table, err));
    mica_module *module = tool_read_top(context, s->mlir, "calibration needs", err);
    if (module == NULL) {
        return MICA_FAIL;
    }
    mica_dataset *dataset = mica_dataset_open(module, s->dataset, s->data_list, s->input_num, err);
    mica_statistics statistics = {0};
    mica_status status = dataset != NULL ? mica_collect_statistics(module, dataset, tool_threads(s->threads), s->quiet,
                                                       &statistics, err)
                             : MICA_FAIL;
    if (status == MICA_OK) {
        char name[32] = {0};
        for (size_t i = 0; i < sizeof name - 1 && method->name[i] != '\0'; ++i) {
            name[i] = method->name[i] >= 'a' && method->name[i] <= 'z' ? (char)(method->name[i] - 32)
                                                                       : method->name[i];
        }
        const mica_cali_header header = {.model = mica_path_base(mica_context_arena(context), s->mlir),
                                         .method = name,
                                         .histogram_bins = MICA_HISTOGRAM_BINS,
                                         .samples = statistics.samples};
        mica_cali_table *table = mica_make_table(&statistics, method, tool_threads(s->threads));
        status = mica_cali_table_write(table, s->table, &header, err);
        char arena_text[16];
        char peak_text[16];
        printf("%zu tensors from %zu samples in %.2f s (%.1f samples/s), activations %s, peak memory %s\n",
               mica_cali_table_count(table), statistics.samples, statistics.seconds,
               (double)statistics.samples / statistics.seconds,
               mica_human_bytes((uint64_t)statistics.arena_bytes, arena_text),
               mica_human_bytes(mica_peak_rss_bytes(), peak_text));
        mica_cali_table_destroy(table);
        mica_statistics_free(&statistics);
    }
    mica_dataset_close(dataset);
    mica_module_destroy(module);
    return status;
}

int main(int argc, char **argv) {
    settings s = {0};
    mica_option rows[] = {
        {.name = "mlir_file", .kind = MICA_OPT_STRING, .metavar = "MLIR", .required = true, .dest = &s.mlir,
         .help = "module of the top dialect, as model_transform writes it"},
        {.name = "--dataset", .kind = MICA_OPT_STRING, .metavar = "DIR", .dest = &s.dataset,
         .help = "folder of jpg, png, npy or npz samples, taken in the order of their names"},
        {.name = "--data_list", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.data_list,
         .help = "text file with one sample per line, files of several inputs joined by commas, relative to the list"},
        {.name = "--input_num", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.input_num,
         .help = "number of samples; 0: all"},
        {.name = "--cali_method", .kind = MICA_OPT_STRING, .metavar = "METHOD", .default_text = "kl", .dest = &s.method,
         .help = "kl, max, percentile9999 or mse (also with the prefix use_)"},
        {.name = "--calibration_table", .alias = "-o", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true,
         .dest = &s.table, .help = "output: one row per tensor: name, threshold, min, max"},
        {.name = "--threads", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.threads,
         .help = "threads; 0: MICA_NUM_THREADS, else one per core; the table does not depend on it"},
        {.name = "--quiet", .kind = MICA_OPT_FLAG, .dest = &s.quiet, .help = "no progress line"},
    };
    mica_arena *arena = mica_arena_create();
    const mica_option_table table = {.program = program, .version = MICA_VERSION, .rows = rows,
                                     .count = sizeof rows / sizeof rows[0], .arena = arena,
                                     .summary = "Runs samples through a top module and writes the range of every tensor."};
    int code = TOOL_OK;
    if (tool_options(&table, argc, argv, &code)) {
        mica_error err = {0};
        mica_context *context = tool_context();
        if (run(&s, context, &err) != MICA_OK) {
            code = tool_failed(program, &err);
        }
        mica_context_destroy(context);
    }
    mica_arena_destroy(arena);
    return code;
}
