/* run_calibration in parts: what they share. Each part checks its options before any work
 * (calibration_read_*) and does its work later on the job. */
#ifndef MICA_TOOLS_CALIBRATION_H
#define MICA_TOOLS_CALIBRATION_H

#include "passes/calibration/calibrate.h"
#include "passes/calibration/statistics_cache.h"
#include "passes/recovery/recovery.h"
#include "tools/calibration_search.h"

/* The command line. */
typedef struct calibration_settings {
    const char *mlir, *dataset, *data_list, *method, *table, *json;
    double mmse_range, outlier_factor;
    const char *processor, *recovered, *cache, *rules, *import_scales, *export_scales, *quantize_mode, *doctor;
    const char *benchmark, *sample_counts, *tune_list, *recover_mode, *scale, *bias_mode;
    int64_t input_num, threads, finetune_level, tune_num, bias_samples;
    bool processor_given, method_given, benchmark_given, bias_mode_given, bias_samples_given; /* else they have their defaults */
    bool int4, quiet, correct, equalize, smooth, soften, asymmetric, resume, per_channel;
    calibration_search_settings *search;
} calibration_settings;

/* One call of the command. What is not known yet is NULL or zero. */
typedef struct calibration_job {
    const calibration_settings *settings;
    mica_arena *arena;
    int threads;
    mica_method method;                /* calibration_read_method */
    const mica_processor *processor;   /* calibration_read_processor */
    mica_recovery_options recovery;    /* calibration_read_recovery */
    bool recovers;                     /* a recovery step is wanted */
    mica_qtable *recovery_rows;        /* of --pre_qtable, when it recovers */
    bool searches;                     /* calibration_read_search */
    bool thresholds;                   /* calibration_read_threshold: --search search_threshold */
    size_t *counts, n_counts;          /* --sample_counts */
    const char *recovered, *recovered_weights; /* files that recovery writes */
    mica_module *module;               /* top; replaced by recovery */
    mica_dataset *dataset;
    mica_settings *choices;            /* of single tensors; NULL: none */
    mica_statistics statistics;
    const char *cache; /* file; NULL: none */
    bool cached;       /* the statistics came from it */
    mica_cali_table *table;
    const char *method_text; /* what the table was made by */
    size_t table_samples, tuned;
} calibration_job;

/* --cali_method and what belongs to it. */
mica_status calibration_read_method(calibration_job *job, mica_error *err);
/* --processor: fails when it is unknown. */
mica_status calibration_read_processor(calibration_job *job, mica_error *err);
/* Options of the recovery; needs the processor and the method. */
mica_status calibration_read_recovery(calibration_job *job, mica_error *err);

/* --settings, --import_scales, --quantize_mode: reads the files into job->choices; needs the module. */
mica_status calibration_read_settings(calibration_job *job, mica_error *err);
/* --cache, --resume. */
mica_status calibration_read_cache(calibration_job *job, mica_error *err);

/* Model and samples, for the files that --cache keeps. */
mica_status calibration_cache_key(const calibration_job *job, mica_cache_key *out, mica_error *err);

/* --doctor: findings about the first samples; with strict they are a failure. */
mica_status calibration_doctor(const calibration_job *job, mica_error *err);
/* How much thresholds still move; needs statistics. */
mica_status calibration_stability(const calibration_job *job, mica_error *err);
/* Statistics of all samples, from the cache where it fits; writes the cache. */
mica_status calibration_collect(calibration_job *job, mica_error *err);
/* Options of search_threshold and of auto-tune. */
mica_status calibration_read_threshold(calibration_job *job, mica_error *err);
/* Replaces table, method and choices by the best of many. */
mica_status calibration_search_threshold(calibration_job *job, mica_error *err);
/* Raises thresholds of the table where that helps the ops behind. */
mica_status calibration_tune(calibration_job *job, mica_error *err);
/* Fails when a step finds nothing in the model that it could act on. */
mica_status calibration_check_recovery(calibration_job *job, mica_error *err);
/* Changes module and table, writes the changed module. */
mica_status calibration_recover(calibration_job *job, mica_error *err);
/* Writes --calibration_table and --json, prints the totals. */
mica_status calibration_write(const calibration_job *job, mica_error *err);

#endif
