/* run_calibration: ranges of all tensors from samples. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "passes/calibration/calibrate.h"
#include "passes/calibration/report.h"
#include "passes/recovery/recovery.h"
#include "tools/tool.h"
#include "utils/file.h"
#include "utils/progress.h"
#include "utils/strings.h"

static const char *const program = "run_calibration";

typedef struct settings {
    const char *mlir, *dataset, *data_list, *method, *table, *json;
    double mmse_range, outlier_factor;
    const char *processor, *recovered;
    int64_t input_num, threads, finetune_level;
    bool quiet, correct, asymmetric;
} settings;

static mica_status read_method(const settings *s, mica_method *out, mica_error *err) {
    if (!mica_method_parse(s->method, out)) {
        size_t n = 0;
        const char *const *names = mica_method_names(&n);
        const char *nearest = mica_nearest(s->method, names, n);
        mica_strbuf list = {0};
        for (size_t i = 0; i < n; ++i) {
            mica_strbuf_printf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
        }
        const mica_status status =
            mica_fail(err, "unknown --cali_method '%s'%s%s (methods: %s; percentile with a number from 50 to 100, as in percentile9999 or percentile_abs99.9)",
                      s->method, nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "",
                      mica_strbuf_text(&list));
        mica_strbuf_free(&list);
        return status;
    }
    if (!(s->mmse_range >= 0.0 && s->mmse_range <= 1.0)) {
        return mica_fail(err, "--mmse_range %g: expected a share from 0 to 1", s->mmse_range);
    }
    if (!(s->outlier_factor > 0.0 && s->outlier_factor <= 1e6)) {
        return mica_fail(err, "--outlier_factor %g: expected above 0, up to 1e6", s->outlier_factor);
    }
    out->settings.mmse_range = s->mmse_range;
    out->settings.outlier_factor = s->outlier_factor;
    return MICA_OK;
}

static int compare_quality(const void *a, const void *b) {
    const double x = ((const mica_calibration_quality *)a)->symmetric;
    const double y = ((const mica_calibration_quality *)b)->symmetric;
    return (x > y) - (x < y);
}

/* The tensor that loses most, and the middle one. Sorts the qualities. */
static void print_quality(const mica_statistics *statistics, mica_calibration_quality *q) {
    size_t worst = 0;
    for (size_t i = 0; i < statistics->count; ++i) {
        worst = q[i].symmetric < q[worst].symmetric ? i : worst;
    }
    if (statistics->count > 0 && isfinite(q[worst].symmetric)) {
        const double least = q[worst].symmetric;
        qsort(q, statistics->count, sizeof *q, compare_quality);
        printf("predicted SQNR of 8 bits, symmetric: worst %.1f dB in '%s', median %.1f dB\n", least,
               statistics->tensors[worst].name, q[statistics->count / 2].symmetric);
    }
}

static void print_totals(const mica_statistics *statistics) {
    char arena_text[16];
    char peak_text[16];
    printf("%zu tensors from %zu samples in %.2f s (%.1f samples/s), activations %s, peak memory %s\n",
           statistics->count, statistics->samples, statistics->seconds,
           (double)statistics->samples / statistics->seconds,
           mica_human_bytes((uint64_t)statistics->arena_bytes, arena_text),
           mica_human_bytes(mica_peak_rss_bytes(), peak_text));
}

/* Which steps of recovery.def the options ask for; false: none. */
static bool wanted_steps(const settings *s, mica_recovery_options *options) {
    bool any = false;
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        const char *name = mica_recovery_name(i);
        options->wanted[i] = (s->correct && strcmp(name, "bias_correction") == 0) ||
                             (s->finetune_level > 0 && strcmp(name, "weight_rounding") == 0);
        any = any || options->wanted[i];
    }
    return any;
}

static void print_recovery(const mica_recovery_report *report) {
    printf("recovery: learned from %zu samples, checked on %zu others\n", report->trained, report->held_back);
    for (size_t i = 0; i < report->count; ++i) {
        const mica_recovery_row *row = &report->rows[i];
        printf("  %-20s %4zu ops  %6.2f -> %6.2f dB  %s (%.1f s)\n", row->name, row->changed, row->before,
               row->after, row->kept ? "kept" : row->changed > 0 ? "undone" : "nothing to do", row->seconds);
    }
}

/* The changed module goes beside the old one, which stays as it is. */
static mica_status recover(const settings *s, mica_recovery_options *options, mica_module *module,
                           const mica_dataset *dataset, mica_cali_table **table, mica_error *err) {
    mica_recovery_report report;
    MICA_TRY(mica_recover(module, dataset, options, table, &report, err));
    print_recovery(&report);
    mica_arena *arena = mica_context_arena(module->context);
    const size_t n = strlen(s->mlir);
    const char *stem = mica_arena_printf(arena, "%.*s", (int)(n > 5 ? n - 5 : n), s->mlir);
    const char *path = s->recovered != NULL ? s->recovered : mica_arena_printf(arena, "%s_recovered.mlir", stem);
    const size_t m = strlen(path);
    const char *npz = mica_arena_printf(arena, "%.*s_weights.npz", (int)(m > 5 ? m - 5 : m), path);
    MICA_TRY(tool_save_module(module, path, npz, NULL, err));
    printf("wrote %s; give it to model_deploy together with the table\n", path);
    return MICA_OK;
}

/* Checks the recovery options before any work; *out_any: one is set. */
static mica_status read_recovery(const settings *s, const mica_method *method, mica_recovery_options *out,
                                 bool *out_any, mica_error *err) {
    *out = (mica_recovery_options){.processor = mica_processor_find(s->processor), .method = method,
                                   .asymmetric = s->asymmetric, .threads = tool_threads(s->threads),
                                   .quiet = s->quiet};
    if (out->processor == NULL) {
        size_t n = 0;
        const char *const *names = mica_processor_names(&n);
        const char *nearest = mica_nearest(s->processor, names, n);
        return mica_fail(err, "unknown --processor '%s'%s%s", s->processor,
                         nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "");
    }
    if (s->finetune_level < 0 || s->finetune_level > 1) {
        return mica_fail(err, "--finetune_level %lld: expected 0 (off) or 1 (layer by layer)",
                         (long long)s->finetune_level);
    }
    *out_any = wanted_steps(s, out);
    if (!*out_any && (s->recovered != NULL || s->asymmetric)) {
        return mica_fail(err, "%s has no effect without --finetune_level or --bc",
                         s->recovered != NULL ? "--recovered" : "--asymmetric");
    }
    if (*out_any && out->processor != NULL && !mica_processor_has_mode(out->processor, MICA_MODE_INT8)) {
        return mica_fail(err, "processor %s has no INT8 to recover for", s->processor);
    }
    return MICA_OK;
}

/* What recovery needs beside its options; module NULL: nothing is recovered. */
typedef struct recovery_input {
    mica_module *module;
    const mica_dataset *dataset;
    mica_recovery_options options;
} recovery_input;

static mica_status write_results(const settings *s, const mica_method *method, const mica_statistics *statistics,
                                 const char *model, recovery_input *in, mica_error *err) {
    char name[32] = {0};
    const char *text = strncasecmp(s->method, "use_", 4) == 0 ? s->method + 4 : s->method;
    for (size_t i = 0; i < sizeof name - 1 && text[i] != '\0'; ++i) {
        name[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 32) : text[i];
    }
    const mica_cali_header header = {.model = model, .method = name, .histogram_bins = MICA_HISTOGRAM_BINS,
                                     .samples = statistics->samples};
    const int threads = tool_threads(s->threads);
    mica_cali_table *table = mica_make_table(statistics, method, threads);
    mica_status status =
        in->module != NULL ? recover(s, &in->options, in->module, in->dataset, &table, err) : MICA_OK;
    if (status != MICA_OK || mica_cali_table_write(table, s->table, &header, err) != MICA_OK) {
        mica_cali_table_destroy(table);
        return MICA_FAIL;
    }
    mica_calibration_quality *q = mica_calibration_qualities(statistics, table, threads);
    if (status == MICA_OK && s->json != NULL) {
        mica_strbuf json = {0};
        mica_calibration_json(statistics, table, q, text, &json);
        status = mica_write_file_atomic(s->json, mica_strbuf_text(&json), json.len, err);
        mica_strbuf_free(&json);
    }
    print_totals(statistics);
    print_quality(statistics, q);
    mica_free(q);
    mica_cali_table_destroy(table);
    return status;
}

static mica_status run(const settings *s, mica_context *context, mica_error *err) {
    if ((s->dataset != NULL) == (s->data_list != NULL)) {
        return mica_fail(err, "give exactly one of --dataset and --data_list");
    }
    if (s->input_num < 0) {
        return mica_fail(err, "--input_num %lld: expected 0 (all) or more", (long long)s->input_num);
    }
    mica_method method;
    MICA_TRY(read_method(s, &method, err));
    recovery_input recovery = {0};
    bool any_recovery = false;
    MICA_TRY(read_recovery(s, &method, &recovery.options, &any_recovery, err));
    MICA_TRY(tool_check_output(s->table, err));
    if (s->json != NULL) {
        MICA_TRY(tool_check_output(s->json, err));
    }
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
        recovery.module = any_recovery ? module : NULL;
        recovery.dataset = dataset;
        status = write_results(s, &method, &statistics, mica_path_base(mica_context_arena(context), s->mlir),
                               &recovery, err);
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
         .help = "kl, kl_v2, max, moving_average, percentile9999 (any number: percentile99.9, percentile_abs99.9), mse, octav, mmse, aciq_gauss, aciq_laplace or joint; also with the prefix use_"},
        {.name = "--mmse_range", .kind = MICA_OPT_FLOAT, .default_text = "0.001", .dest = &s.mmse_range,
         .help = "largest share of the values that mmse clips"},
        {.name = "--outlier_factor", .kind = MICA_OPT_FLOAT, .default_text = "1", .dest = &s.outlier_factor,
         .help = "weight of clipping against rounding in the error that mmse minimizes"},
        {.name = "--calibration_table", .alias = "-o", .kind = MICA_OPT_STRING, .metavar = "FILE", .required = true,
         .dest = &s.table, .help = "output: one row per tensor: name, threshold, min, max"},
        {.name = "--json", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &s.json,
         .help = "output: range, method and predicted SQNR of every tensor"},
        {.name = "--finetune_level", .kind = MICA_OPT_INT, .metavar = "0|1", .default_text = "0",
         .dest = &s.finetune_level,
         .help = "recovery: 1: weights rounded for the least output error of each layer"},
        {.name = "--bc", .kind = MICA_OPT_FLAG, .dest = &s.correct,
         .help = "recovery: means of quantized layers made those of float ones (bias correction)"},
        {.name = "--processor", .kind = MICA_OPT_STRING, .default_text = "bm1684x", .dest = &s.processor,
         .help = "processor on which recovery measures"},
        {.name = "--asymmetric", .kind = MICA_OPT_FLAG, .dest = &s.asymmetric,
         .help = "recovery for model_deploy --asymmetric"},
        {.name = "--recovered", .kind = MICA_OPT_STRING, .metavar = "MLIR", .dest = &s.recovered,
         .help = "where recovery writes the changed module; without: mlir_file with _recovered"},
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
