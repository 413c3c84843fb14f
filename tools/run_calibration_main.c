/* run_calibration: ranges of all tensors from samples. */
#include "tools/calibration.h"
#include "tools/tool.h"

static const char *const program = "run_calibration";

/* All that can be said about the options before the model is read. */
static mica_status read_options(calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    if ((s->dataset != NULL) == (s->data_list != NULL)) {
        return mica_fail(err, "give exactly one of --dataset and --data_list");
    }
    if (s->input_num < 0) {
        return mica_fail(err, "--input_num %lld: expected 0 (all) or more", (long long)s->input_num);
    }
    MICA_TRY(calibration_read_method(job, err));
    MICA_TRY(calibration_read_processor(job, err));
    MICA_TRY(calibration_read_threshold(job, err));
    MICA_TRY(calibration_read_search(job, err));
    MICA_TRY(calibration_read_patterns(job, err));
    MICA_TRY(calibration_check_bins(job, err));
    MICA_TRY(calibration_read_recovery(job, err));
    MICA_TRY(calibration_read_cache(job, err));
    MICA_TRY(tool_check_output(s->table, err));
    if (s->per_channel && s->json == NULL && s->cache == NULL) {
        return mica_fail(err, "--per_channel_activation has no effect without --json or --cache");
    }
    MICA_TRY(s->json != NULL ? tool_check_output(s->json, err) : MICA_OK);
    return s->export_scales != NULL ? tool_check_output(s->export_scales, err) : MICA_OK;
}

static mica_status work(calibration_job *job, mica_error *err) {
    MICA_TRY(calibration_check_recovery(job, err));
    MICA_TRY(calibration_read_settings(job, err));
    MICA_TRY(calibration_doctor(job, err));
    MICA_TRY(calibration_collect(job, err));
    MICA_TRY(calibration_stability(job, err));
    job->table = mica_make_table_by(&job->statistics, &job->method, job->choices, job->threads);
    job->method_text = job->settings->method;
    job->table_samples = job->statistics.samples;
    MICA_TRY(job->thresholds ? calibration_search_threshold(job, err) : MICA_OK);
    MICA_TRY(job->recovers ? calibration_recover(job, err) : MICA_OK);
    MICA_TRY(job->settings->tune_num > 0 ? calibration_tune(job, err) : MICA_OK);
    calibration_part_asymmetric(job, job->table);
    MICA_TRY(calibration_write(job, err));
    MICA_TRY(calibration_patterns(job, err));
    return job->searches || job->settings->search->explain != NULL ? calibration_search(job, err) : MICA_OK;
}

static mica_status run(void *given, const mica_option_table *options, mica_context *context, mica_error *err) {
    calibration_settings *s = given;
    calibration_search_given(options, s->search);
    s->method_given = mica_option_given(options, "--cali_method");
    s->benchmark_given = mica_option_given(options, "--benchmark_method");
    s->bias_mode_given = mica_option_given(options, "--bc_mode");
    s->bias_samples_given = mica_option_given(options, "--bc_inference_num");
    s->processor_given = mica_option_given(options, "--processor");
    calibration_job job = {.settings = s, .arena = mica_context_arena(context), .threads = tool_threads(s->threads)};
    MICA_TRY(read_options(&job, err));
    job.module = tool_read_top(context, s->mlir, "calibration needs", err);
    if (job.module == NULL) {
        return MICA_FAIL;
    }
    job.dataset = mica_dataset_open(job.module, s->dataset, s->data_list, s->input_num, err);
    const mica_status status = job.dataset != NULL ? work(&job, err) : MICA_FAIL;
    mica_cali_table_destroy(job.table);
    mica_statistics_free(&job.statistics);
    mica_settings_destroy(job.choices);
    mica_qtable_destroy(job.recovery_rows);
    mica_dataset_close(job.dataset);
    mica_module_destroy(job.module);
    return status;
}

int main(int argc, char **argv) {
    calibration_search_settings search = {0};
    calibration_settings s = {.search = &search};
    mica_option rows[] = {
        {.name = "mlir_file", .kind = MICA_OPT_STRING, .metavar = "MLIR", .required = true, .dest = &s.mlir,
         .help = "module of the top dialect, as model_transform writes it"},
        TOOL_SAMPLE_ROWS(s.dataset, s.data_list),
        {.name = "--input_num", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.input_num,
         .help = "number of samples; 0: all"},
        {.name = "--cali_method", .kind = MICA_OPT_STRING, .metavar = "METHOD", .default_text = "kl", .dest = &s.method,
         .help = "kl, kl_v2, max, moving_average, percentile9999 (any number: percentile99.9, percentile_abs99.9), mse, octav, mmse, aciq_gauss, aciq_laplace or joint; also with the prefix use_"},
        {.name = "--mmse_range", .kind = MICA_OPT_FLOAT, .default_text = "0.001", .dest = &s.mmse_range,
         .help = "largest share of the values that mmse clips"},
        {.name = "--outlier_factor", .kind = MICA_OPT_FLOAT, .default_text = "1", .dest = &s.outlier_factor,
         .help = "weight of clipping against rounding in the error that mmse minimizes"},
        {.name = "--scale", .kind = MICA_OPT_CHOICE, .choices = "free,pow2", .default_text = "free", .dest = &s.scale,
         .help = "pow2: thresholds whose steps are powers of two, for model_deploy --scale pow2"},
        {.name = "--int4", .kind = MICA_OPT_FLAG, .dest = &s.int4,
         .help = "thresholds for 4 bits, too (section #int4_th), for model_deploy --quantize INT4"},
        {.name = "--calibration_table", .alias = "-o", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true,
         .dest = &s.table, .help = "output: one row per tensor: name, threshold, min, max"},
        {.name = "--json", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.json,
         .help = "output: range, method and predicted SQNR of every tensor"},
        {.name = "--per_channel_activation", .kind = MICA_OPT_FLAG, .dest = &s.per_channel,
         .help = "statistics of each channel of the activations in --json (the ranges stay per tensor)"},
        {.name = "--cache", .kind = MICA_OPT_STRING, .metavar = "FILE|DIR", .dest = &s.cache,
         .help = "statistics of the samples: read when they fit model, samples and options, else written; in a folder: <mlir_file>.statistics"},
        {.name = "--resume", .kind = MICA_OPT_FLAG, .dest = &s.resume,
         .help = "go on with the pass whose unfinished statistics the cache holds"},
        {.name = "--settings", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.rules,
         .help = "JSON: method, percentile, range, bits or precision of single tensors and ops"},
        {.name = "--import_scales", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.import_scales,
         .help = "JSON: ranges of tensors, instead of those of the method"},
        {.name = "--export_scales", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.export_scales,
         .help = "output: the ranges as JSON"},
        {.name = "--doctor", .kind = MICA_OPT_CHOICE, .choices = "off,warn,strict", .default_text = "warn", .dest = &s.doctor,
         .help = "looks for duplicates, constant or saturated inputs, wrong channel order or normalization, unlike sizes, too few samples; strict: a finding is an error"},
        {.name = "--quantize_mode", .kind = MICA_OPT_CHOICE, .choices = "default,post_sigmoid", .default_text = "default",
         .dest = &s.quantize_mode, .help = "post_sigmoid: the outputs were sigmoids that were cut off; their range is that of least error behind them"},
        {.name = "--we", .kind = MICA_OPT_FLAG, .dest = &s.equalize,
         .help = "recovery: channels between convolutions brought to one size (weight equalization)"},
        {.name = "--sq", .kind = MICA_OPT_FLAG, .dest = &s.smooth,
         .help = "recovery: large channels of normalizations moved into the matrices behind them (SmoothQuant)"},
        {.name = "--smc", .kind = MICA_OPT_FLAG, .dest = &s.soften,
         .help = "recovery: matrices behind attention make up for quantized softmax rows that do not sum to 1 (softmax correction)"},
        {.name = "--finetune_level", .kind = MICA_OPT_INT, .metavar = "0|1|2|3", .default_text = "0",
         .dest = &s.finetune_level,
         .help = "recovery: 1: weights rounded for the least output error of each layer; 2: and made to take back the errors of the layers before; 3: and learned block by block; levels 2 and 3 take at most 1 GiB for values of samples; with --cache and --resume an interrupted call goes on"},
        {.name = "--bc", .kind = MICA_OPT_FLAG, .dest = &s.correct,
         .help = "recovery: means of quantized layers made those of float ones (bias correction)"},
        {.name = "--bc_mode", .kind = MICA_OPT_CHOICE, .choices = "analytic,parallel,sequential", .default_text = "sequential",
         .dest = &s.bias_mode,
         .help = "bias correction from the rounding of the weights, from one run for all layers at once, or layer after layer"},
        {.name = "--bc_inference_num", .kind = MICA_OPT_INT, .default_text = "30", .dest = &s.bias_samples,
         .help = "samples that bias correction learns from"},
        {.name = "--recover_mode", .kind = MICA_OPT_CHOICE, .choices = "INT8,W8A8,INT4,W4INT8,W4A8", .default_text = "INT8",
         .dest = &s.recover_mode, .help = "model_deploy --quantize that recovery is for"},
        {.name = "--processor", .alias = "--chip", .kind = MICA_OPT_STRING, .default_text = "bm1684x", .dest = &s.processor,
         .help = "processor on which recovery and searches measure"},
        {.name = "--asymmetric", .kind = MICA_OPT_FLAG, .dest = &s.asymmetric,
         .help = "recovery and searches for model_deploy --asymmetric"},
        {.name = "--recovered", .kind = MICA_OPT_STRING, .metavar = "MLIR", .dest = &s.recovered,
         .help = "where recovery writes the changed module, a name that ends in .mlir; without: mlir_file with _recovered"},
        CALIBRATION_SEARCH_ROWS(search),
        {.name = "--benchmark_method", .kind = MICA_OPT_CHOICE, .choices = "cos,snr", .default_text = "cos", .dest = &s.benchmark,
         .help = "what search_threshold ranks by: cosine or noise of the outputs"},
        {.name = "--sample_counts", .kind = MICA_OPT_STRING, .metavar = "N,N", .dest = &s.sample_counts,
         .help = "search_threshold also ranks tables of the first N samples"},
        {.name = "--tune_num", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.tune_num,
         .help = "auto-tune: samples with which thresholds are raised where that helps the ops behind; 0: off"},
        {.name = "--tune_list", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.tune_list,
         .help = "samples for auto-tune; without: those of the calibration"},
        {.name = "--threads", .kind = MICA_OPT_INT, .default_text = "0", .dest = &s.threads,
         .help = "threads; 0: MICA_NUM_THREADS, else one per core; the table does not depend on it"},
        {.name = "--quiet", .kind = MICA_OPT_FLAG, .dest = &s.quiet, .help = "no progress line"},
    };
    static const mica_option_refusal refusals[] = {
        SEARCH_REFUSALS,
        {"--kurtosis_analysis", "--explain prints the kurtosis of every tensor, --per_channel_activation that of channels"},
        {"--min_layer_cos", "--bc corrects every layer, and all of it is undone when the outputs do not gain"},
    };
    const tool_program self = {.refusals = refusals, .n_refusals = sizeof refusals / sizeof refusals[0],
                               .name = program, .rows = rows, .count = sizeof rows / sizeof rows[0], .run = run,
                               .settings = &s, .unreached = &search.unreached,
                               .summary = "Runs samples through a top module and writes the range of every tensor."};
    return tool_main(&self, argc, argv);
}
