/* run_sensitive_layer: layers that lose most in INT8, and the quantize table that keeps them in float. */
#include <string.h>

#include "tools/search.h"

static const char *const program = "run_sensitive_layer";

typedef struct settings {
    search_settings search;
    const char *mlir, *dataset, *data_list, *table, *processor;
    int64_t input_num, threads;
    bool asymmetric, quiet, unreached;
} settings;

/* One table per method from the statistics of the samples. */
static mica_status search_with(const settings *s, search_job *job, const mica_method *methods, mica_error *err) {
    mica_dataset *dataset = mica_dataset_open(job->module, s->dataset, s->data_list, s->input_num, err);
    mica_statistics statistics = {0};
    if (dataset == NULL) {
        return MICA_FAIL;
    }
    mica_status status = mica_collect_statistics(job->module, dataset, job->threads, s->quiet, &statistics, err);
    mica_dataset_close(dataset);
    if (status != MICA_OK) {
        return MICA_FAIL;
    }
    mica_cali_table **tables = mica_arena_array(job->arena, job->n_methods, sizeof *tables);
    for (size_t i = 0; i < job->n_methods; ++i) {
        tables[i] = mica_make_table(&statistics, &methods[i], job->threads);
    }
    job->tables = (const mica_cali_table *const *)tables;
    status = search_run_layers(job, "SensitiveLayerSearch", "success sensitive layer search", err);
    for (size_t i = 0; i < job->n_methods; ++i) {
        mica_cali_table_destroy(tables[i]);
    }
    mica_statistics_free(&statistics);
    return status;
}

static mica_status search(settings *s, mica_module *module, const mica_processor *processor, mica_error *err) {
    mica_method *methods = NULL;
    const char **names = NULL;
    search_job job = {.settings = &s->search, .module = module, .processor = processor, .mlir = s->mlir,
                      .arena = mica_context_arena(module->context), .threads = tool_threads(s->threads),
                      .asymmetric = s->asymmetric, .quiet = s->quiet, .by_loss = true, .unreached = &s->unreached};
    MICA_TRY(search_methods("--quantize_method_list", s->search.methods, s->search.kl_bins, job.arena, &methods, &names,
                            &job.n_methods, err));
    MICA_TRY(search_check_bins(&s->search, methods, job.n_methods, err));
    job.methods = names;
    mica_cali_table *base = mica_cali_table_read(s->table, err);
    if (base == NULL) {
        return MICA_FAIL;
    }
    mica_dataset *dataset = mica_dataset_open(module, s->dataset, s->data_list, s->search.inference_num, err);
    job.base = base;
    job.dataset = dataset;
    const mica_status status = dataset != NULL ? search_with(s, &job, methods, err) : MICA_FAIL;
    mica_dataset_close(dataset);
    mica_cali_table_destroy(base);
    return status;
}

static mica_status run(void *given, const mica_option_table *options, mica_context *context, mica_error *err) {
    settings *s = given;
    s->search.bins_given = mica_option_given(options, "--histogram_bin_num");
    if ((s->dataset != NULL) == (s->data_list != NULL)) {
        return mica_fail(err, "give exactly one of --dataset and --data_list");
    }
    if (s->input_num < 0) {
        return mica_fail(err, "--input_num %lld: expected 0 (all) or more", (long long)s->input_num);
    }
    const mica_processor *processor = NULL;
    MICA_TRY(tool_processor(s->processor, &processor, err));
    mica_mode mode = MICA_MODE_F32;
    MICA_TRY(search_check(&s->search, processor, &mode, err));
    mica_module *module = tool_read_top(context, s->mlir, "run_sensitive_layer needs", err);
    if (module == NULL) {
        return MICA_FAIL;
    }
    const mica_status status = search(s, module, processor, err);
    mica_module_destroy(module);
    return status;
}

int main(int argc, char **argv) {
    settings s = {0};
    mica_option rows[] = {
        {.name = "mlir_file", .kind = MICA_OPT_STRING, .metavar = "MLIR", .required = true, .dest = &s.mlir,
         .help = "module of the top dialect, as model_transform writes it"},
        TOOL_SAMPLE_ROWS(s.dataset, s.data_list),
        {.name = "--input_num", .kind = MICA_OPT_INT, .default_text = "10", .dest = &s.input_num,
         .help = "samples for the thresholds of the methods; 0: all"},
        {.name = "--calibration_table", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true, .dest = &s.table,
         .help = "table that run_calibration wrote"},
        {.name = "--quantize_method_list", .kind = MICA_OPT_STRING, .metavar = "METHODS",
         .default_text = "MAX,Percentile9999,KL", .dest = &s.search.methods,
         .help = "methods that compete for the threshold of every layer"},
        {.name = "--processor", .alias = "--chip", .kind = MICA_OPT_STRING, .metavar = "NAME", .required = true,
         .dest = &s.processor, .help = "target: bm1684x, bm1688, bm1690, cv186x, cpu, ..."},
        {.name = "--quantize_table", .alias = "-o", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true,
         .dest = &s.search.qtable,
         .help = "output: one 'op_name MODE' row per float layer; new_cali_table.txt and SensitiveLayerSearch go beside it"},
        SEARCH_OPTION_ROWS(s.search, "10"),
        {.name = "--asymmetric", .kind = MICA_OPT_FLAG, .dest = &s.asymmetric,
         .help = "search for model_deploy --asymmetric"},
        {.name = "--threads", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.threads,
         .help = "threads; 0: MICA_NUM_THREADS, else one per core; results do not depend on it"},
        {.name = "--quiet", .kind = MICA_OPT_FLAG, .dest = &s.quiet, .help = "no progress lines"},
    };
    static const char tuned[] = "thresholds compete by --quantize_method_list; run_calibration --tune_num tunes the table before";
    static const mica_option_refusal refusals[] = {SEARCH_REFUSALS, {"--tune_num", tuned}, {"--tune_list", tuned}};
    const tool_program self = {.refusals = refusals, .n_refusals = sizeof refusals / sizeof refusals[0],
                               .name = program, .rows = rows, .count = sizeof rows / sizeof rows[0], .run = run,
                               .settings = &s, .unreached = &s.unreached,
                               .summary = "Finds the layers that lose most in INT8 and keeps them in float."};
    return tool_main(&self, argc, argv);
}
