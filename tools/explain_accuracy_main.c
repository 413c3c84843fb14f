/* explain_accuracy: where the error of a model with finished tables comes from. */
#include "tools/search.h"

static const char *const program = "explain_accuracy";

typedef struct settings {
    search_settings search;
    const char *mlir, *dataset, *data_list, *table, *qtable, *processor, *method, *output;
    int64_t threads;
    bool asymmetric, quiet;
} settings;

static mica_status explain_with(const settings *s, search_job *job, const mica_qtable *qtable, mica_error *err) {
    mica_dataset *dataset = mica_dataset_open(job->module, s->dataset, s->data_list, s->search.inference_num, err);
    if (dataset == NULL) {
        return MICA_FAIL;
    }
    const mica_collect_options options = {.threads = job->threads, .quiet = s->quiet, .per_channel = true};
    mica_statistics statistics = {0};
    job->dataset = dataset;
    mica_status status = mica_collect(job->module, dataset, &options, &statistics, err);
    if (status == MICA_OK) {
        status = search_explain(job, qtable, &statistics, s->output, err);
        mica_statistics_free(&statistics);
    }
    mica_dataset_close(dataset);
    return status;
}

static mica_status explain(const settings *s, mica_module *module, const mica_processor *processor, mica_error *err) {
    const char *method = "table";
    mica_cali_table *base = mica_cali_table_read(s->table, err);
    mica_qtable *qtable = base != NULL && s->qtable != NULL ? mica_qtable_read(s->qtable, err) : NULL;
    mica_status status = base != NULL && (s->qtable == NULL || qtable != NULL) ? MICA_OK : MICA_FAIL;
    if (status == MICA_OK && qtable != NULL) {
        status = mica_qtable_check(qtable, mica_module_func(module, "main"), err);
    }
    if (status == MICA_OK) {
        search_job job = {.settings = &s->search, .module = module, .processor = processor, .mlir = s->mlir, .base = base,
                          .methods = &method, .n_methods = 1, .arena = mica_context_arena(module->context),
                          .threads = tool_threads(s->threads), .asymmetric = s->asymmetric, .quiet = s->quiet};
        status = explain_with(s, &job, qtable, err);
    }
    mica_cali_table_destroy(base);
    mica_qtable_destroy(qtable);
    return status;
}

static mica_status run(void *given, const mica_option_table *options, mica_context *context, mica_error *err) {
    const settings *s = given;
    (void)options;
    if ((s->dataset != NULL) == (s->data_list != NULL)) {
        return mica_fail(err, "give exactly one of --dataset and --data_list");
    }
    if (s->search.inference_num < 1) {
        return mica_fail(err, "--inference_num %lld: expected at least 1", (long long)s->search.inference_num);
    }
    const mica_processor *processor = NULL;
    MICA_TRY(tool_processor(s->processor, &processor, err));
    MICA_TRY(tool_check_output(s->output, err));
    mica_module *module = tool_read_top(context, s->mlir, "explain_accuracy needs", err);
    if (module == NULL) {
        return MICA_FAIL;
    }
    const mica_status status = explain(s, module, processor, err);
    mica_module_destroy(module);
    return status;
}

int main(int argc, char **argv) {
    settings s = {0};
    mica_option rows[] = {
        {.name = "mlir_file", .kind = MICA_OPT_STRING, .metavar = "MLIR", .required = true, .dest = &s.mlir,
         .help = "module of the top dialect that the tables belong to"},
        TOOL_SAMPLE_ROWS(s.dataset, s.data_list),
        {.name = "--inference_num", .kind = MICA_OPT_INT, .default_text = "12", .dest = &s.search.inference_num,
         .help = "samples to measure with"},
        {.name = "--calibration_table", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true, .dest = &s.table,
         .help = "ranges, as run_calibration wrote them"},
        {.name = "--quantize_table", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.qtable,
         .help = "modes of ops that are not INT8"},
        {.name = "--processor", .alias = "--chip", .kind = MICA_OPT_STRING, .metavar = "NAME", .default_text = "bm1684x",
         .dest = &s.processor, .help = "target: bm1684x, bm1688, bm1690, cv186x, cpu, ..."},
        {.name = "--global_compare_layers", .kind = MICA_OPT_STRING, .metavar = "NAMES", .dest = &s.search.compare_layers,
         .help = "tensors whose error is explained instead of that of the outputs: a,b or a:0.3,b:0.7"},
        {.name = "--output", .alias = "-o", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true, .dest = &s.output,
         .help = "output: one line per op, the largest share first; FILE.json for programs"},
        {.name = "--asymmetric", .kind = MICA_OPT_FLAG, .dest = &s.asymmetric, .help = "as for model_deploy --asymmetric"},
        {.name = "--threads", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.threads,
         .help = "threads; 0: MICA_NUM_THREADS, else one per core; results do not depend on it"},
        {.name = "--quiet", .kind = MICA_OPT_FLAG, .dest = &s.quiet, .help = "no progress lines"},
    };
    const tool_program self = {.name = program, .rows = rows, .count = sizeof rows / sizeof rows[0], .run = run,
                               .settings = &s,
                               .summary = "Says op by op where the error of a quantized model comes from, why, and what would help."};
    return tool_main(&self, argc, argv);
}
