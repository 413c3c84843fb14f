/* Searches for mixed precision: what run_calibration --search and run_sensitive_layer share. */
#ifndef MICA_TOOLS_SEARCH_H
#define MICA_TOOLS_SEARCH_H

#include "passes/calibration/calibrate.h"
#include "passes/search/layers.h"
#include "tools/tool.h"

/* Options of both commands. */
typedef struct search_settings {
    const char *qtable, *fp_type, *compare_layers, *post_process, *methods, *pre_qtable, *pareto;
    double expected_cos, post_seconds, max_cost, max_float_macs;
    bool bins_given;
    bool expected_given, cost_given, macs_given, float_given; /* the option is on the command line */
    int64_t inference_num, max_float_layers, kl_bins;
    bool transformer, cluster, fast;
} search_settings;

/* Rows of the option table for them; s: the search_settings. */
#define SEARCH_OPTION_ROWS(s, default_inference)                                                                      \
    {.name = "--inference_num", .kind = MICA_OPT_INT, .default_text = default_inference, .dest = &(s).inference_num, \
     .help = "samples that the search measures with, evenly spread over those given"},                                                               \
    {.name = "--expected_cos", .kind = MICA_OPT_FLOAT, .default_text = "0.99", .dest = &(s).expected_cos,             \
     .help = "cosine between mixed and float outputs to reach, from 0 to 1"},                                        \
    {.name = "--max_float_layers", .kind = MICA_OPT_INT, .dest = &(s).max_float_layers,                               \
     .help = "most layers in float; without: 5, or a fifth of all when 5 are not enough"},                           \
    {.name = "--fp_type", .kind = MICA_OPT_CHOICE, .choices = "auto,F16,F32,BF16", .default_text = "auto",            \
     .dest = &(s).fp_type, .help = "mode of the float layers; auto: F16 where the processor has it, else BF16, else F32"}, \
    {.name = "--post_process", .kind = MICA_OPT_STRING, .metavar = "PROGRAM", .dest = &(s).post_process,              \
     .help = "program IN.npz OUT.npz between outputs and comparison; samples are stacked along a new first axis"},   \
    {.name = "--post_process_seconds", .kind = MICA_OPT_FLOAT, .default_text = "60", .dest = &(s).post_seconds,       \
     .help = "time limit of one call of that program"},                                                              \
    {.name = "--global_compare_layers", .kind = MICA_OPT_STRING, .metavar = "NAMES", .dest = &(s).compare_layers,     \
     .help = "tensors to compare instead of the outputs: a,b or a:0.3,b:0.7 with weights that sum to 1"},            \
    {.name = "--histogram_bin_num", .kind = MICA_OPT_INT, .default_text = "2048", .dest = &(s).kl_bins,               \
     .help = "most bins of the magnitudes that the method kl looks at, from 256; histograms have up to 1920"},       \
    {.name = "--pre_qtable", .kind = MICA_OPT_STRING, .metavar = "FILE", .dest = &(s).pre_qtable,                     \
     .help = "quantize table whose rows are kept and not searched; recovery is for a model with these rows"}

/* Options of TPU-MLIR that run_calibration and run_sensitive_layer do not have, and why. */
#define SEARCH_REFUSALS                                                                                                \
    {"--debug_cmd", "what its keys do has options of its own: --cali_method, --settings, --import_scales, --tune_num"}, \
    {"--debug_log", "there is one level of messages; --quiet leaves out the progress"}

/* One search on a model. */
typedef struct search_job {
    const search_settings *settings;
    mica_module *module;
    const mica_dataset *dataset;
    const mica_processor *processor;
    const char *mlir;
    const mica_cali_table *base;
    const mica_qtable *pinned; /* rows that are kept, besides --pre_qtable; or NULL */
    const mica_cali_table *const *tables; /* one per method */
    const char *const *methods;
    size_t n_methods;
    mica_arena *arena;
    int threads;
    bool asymmetric, quiet, by_loss;
    bool *unreached; /* set when the target was not reached */
} search_job;

/* Checks the options before any work; *out_float: mode of float layers. */
mica_status search_check(const search_settings *s, const mica_processor *processor, mica_mode *out_float,
                         mica_error *err);
/* --histogram_bin_num. */
mica_status search_check_bins(const search_settings *s, const mica_method *methods, size_t n, mica_error *err);
/* The methods of a comma-separated list, as --cali_method names them, with `bins` for kl; *out_names as printed. */
mica_status search_methods(const char *option, const char *list, int64_t bins, mica_arena *arena, mica_method **out_methods,
                           const char ***out_names, size_t *out_count, mica_error *err);

/* Everything that measurements need. */
typedef struct search_session {
    mica_search_job job;
    mica_lowered *float_model;
    mica_net net;
    mica_compare compare;
    mica_post_process post;
    mica_real real;
    mica_qtable *fixed; /* of --pre_qtable and pinned, or NULL */
} search_session;

mica_status search_session_open(const search_job *job, search_session *out, mica_error *err);
void search_session_close(search_session *session);

/* search_qtable: prints layers and summary, writes the quantize table, new_cali_table.txt and `log` beside it. */
mica_status search_run_layers(const search_job *job, const char *log, const char *done, mica_error *err);

/* optimal: prints the front and what was chosen, writes the quantize table and --pareto. */
mica_status search_run_optimal(const search_job *job, mica_error *err);

/* --mix_mode 4_8 and w4a8: prints layers and summary, writes the quantize table, new_cali_table.txt with the section
 * #int4_op, and `log` beside it. */
mica_status search_run_narrow(const search_job *job, mica_mode mode, const char *log, const char *done, mica_error *err);

/* Explains the model with table job->base and `qtable` (may be NULL): writes `path` and `path`.json, prints the worst
 * ops. Statistics are those of the model, with channels. */
mica_status search_explain(const search_job *job, const mica_qtable *qtable, const mica_statistics *statistics,
                           const char *path, mica_error *err);

#endif
