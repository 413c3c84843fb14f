/* run_calibration: recovery of the accuracy that INT8 costs. */
#include <stdio.h>
#include <string.h>

#include "passes/lowering/lowering.h"
#include "passes/recovery/log.h"
#include "tools/calibration.h"
#include "tools/tool.h"
#include "utils/strings.h"

/* Which steps of recovery.def the options ask for; false: none. */
static bool wanted_steps(const calibration_settings *s, mica_recovery_options *options) {
    bool any = false;
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        const char *name = mica_recovery_name(i);
        options->wanted[i] = (s->equalize && strcmp(name, "channel_equalization") == 0) ||
                             (s->smooth && strcmp(name, "smooth_quant") == 0) ||
                             (s->soften && strcmp(name, "softmax_correction") == 0) ||
                             (s->correct && strcmp(name, "bias_correction") == 0) ||
                             (s->finetune_level > 0 && strcmp(name, "weight_rounding") == 0) ||
                             (s->finetune_level > 1 && strcmp(name, "prefix_rounding") == 0) ||
                             (s->finetune_level > 2 && strcmp(name, "block_learning") == 0);
        any = any || options->wanted[i];
    }
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        const bool aligns = strcmp(mica_recovery_name(i), "scale_alignment") == 0;
        options->wanted[i] = options->wanted[i] || (aligns && any && options->pow2);
    }
    return any;
}

/* The changed module goes beside the old one, which stays as it is. */
static mica_status read_paths(calibration_job *job, mica_error *err) {
    const char *path = job->settings->recovered;
    if (path == NULL) {
        const char *mlir = job->settings->mlir;
        const size_t n = strlen(mlir) - (mica_ends_with(mlir, ".mlir") ? 5 : 0);
        path = mica_arena_printf(job->arena, "%.*s_recovered.mlir", (int)n, mlir);
    } else if (!mica_ends_with(path, ".mlir")) {
        return mica_fail(err, "--recovered '%s': expected a name that ends in .mlir", path);
    }
    job->recovered = path;
    job->recovered_weights =
        mica_arena_printf(job->arena, "%.*s_weights.npz", (int)(strlen(path) - 5), path);
    MICA_TRY(tool_check_output(job->recovered, err));
    return tool_check_output(job->recovered_weights, err);
}

static mica_status read_bias(const calibration_settings *s, mica_recovery_options *options, mica_error *err) {
    const char *idle = s->bias_mode_given ? "--bc_mode" : s->bias_samples_given ? "--bc_inference_num" : NULL;
    if (!s->correct && idle != NULL) {
        return mica_fail(err, "%s has no effect without --bc", idle);
    }
    if (s->bias_samples < 1) {
        return mica_fail(err, "--bc_inference_num %lld: expected 1 or more", (long long)s->bias_samples);
    }
    options->bias_samples = (size_t)s->bias_samples;
    options->bias_mode = strcmp(s->bias_mode, "analytic") == 0   ? MICA_BIAS_ANALYTIC
                         : strcmp(s->bias_mode, "parallel") == 0 ? MICA_BIAS_PARALLEL
                                                                 : MICA_BIAS_SEQUENTIAL;
    return MICA_OK;
}

mica_status calibration_read_recovery(calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    job->recovery = (mica_recovery_options){.processor = job->processor, .method = &job->method,
                                            .asymmetric = s->asymmetric, .pow2 = job->method.settings.pow2, .threads = job->threads,
                                            .quiet = s->quiet};
    (void)mica_mode_find(s->recover_mode, &job->recovery.mode);
    if (s->finetune_level < 0 || s->finetune_level > 3) {
        return mica_fail(err, "--finetune_level %lld: expected 0 (off), 1 (layers by themselves), 2 (layers behind what is quantized) or 3 (blocks)",
                         (long long)s->finetune_level);
    }
    job->recovers = wanted_steps(s, &job->recovery);
    MICA_TRY(read_bias(s, &job->recovery, err));
    if (!job->recovers) {
        const bool measures = job->searches || job->thresholds || s->search->explain != NULL;
        const bool other_mode = job->recovery.mode != MICA_MODE_INT8;
        const bool rows = s->search->common.pre_qtable != NULL;
        const char *idle = other_mode                                            ? "--recover_mode"
                           : rows && !job->searches && s->search->explain == NULL ? "--pre_qtable"
                           : s->recovered != NULL                                ? "--recovered"
                           : s->asymmetric && !measures                          ? "--asymmetric"
                           : s->processor_given && !measures && s->rules == NULL ? "--processor"
                                                                                 : NULL;
        return idle == NULL ? MICA_OK
                            : mica_fail(err, "%s has no effect without --we, --sq, --smc, --finetune_level%s", idle,
                                        s->recovered != NULL || other_mode ? " or --bc"
                                                                           : ", --bc, --search or --explain");
    }
    if (!mica_processor_has_mode(job->processor, job->recovery.mode)) {
        return mica_fail(err, "processor %s has no %s to recover for", s->processor, s->recover_mode);
    }
    return read_paths(job, err);
}

static void print_recovery(const mica_recovery_report *report, size_t ranges) {
    printf("recovery: learned from %zu samples, checked on %zu others\n", report->trained, report->held_back);
    for (size_t i = 0; i < report->count; ++i) {
        const mica_recovery_row *row = &report->rows[i];
        printf("  %-20s %4zu ops  %6.2f -> %6.2f dB  %s (%.1f s)\n", row->name, row->changed, row->before,
               row->after, row->kept ? "kept" : row->changed > 0 ? "undone" : "nothing to do", row->seconds);
        if (row->note[0] != '\0') {
            printf("  %-20s %s\n", "", row->note);
        }
        if (row->kept && row->measured + row->taken > 0) {
            printf("  %-20s %zu of %zu ranges measured again and %zu given ones taken along: their channels were scaled\n",
                   "", row->measured, ranges, row->taken);
        }
    }
}

/* Rows of the quantize table that the model is recovered for. */
static mica_status read_rows(calibration_job *job, mica_error *err) {
    job->recovery_rows = mica_qtable_read(job->settings->search->common.pre_qtable, err);
    if (job->recovery_rows == NULL) {
        return MICA_FAIL;
    }
    job->recovery.qtable = job->recovery_rows;
    const mica_lowering_options lowering = {.processor = job->processor, .mode = job->recovery.mode,
                                            .qtable = job->recovery_rows};
    MICA_TRY(mica_lowering_check(&lowering, err));
    return mica_qtable_check(job->recovery_rows, mica_module_func(job->module, "main"), err);
}

mica_status calibration_check_recovery(calibration_job *job, mica_error *err) {
    if (job->recovers && job->settings->search->common.pre_qtable != NULL) {
        MICA_TRY(read_rows(job, err));
    }
    return job->settings->soften && !mica_has_softmax_to_correct(job->module)
               ? mica_fail(err, "--smc: the model has no softmax whose product with other values goes to a constant matrix only")
               : MICA_OK;
}

/* Says what the log of finished layers and blocks was good for. */
static mica_status use_log(const calibration_job *job, const char *path, mica_cache_state state, const mica_error *why,
                           mica_error *err) {
    const bool resume = job->settings->resume;
    if (state == MICA_CACHE_FOREIGN) {
        return mica_fail(err, "--cache: %s", why->text);
    }
    if (state == MICA_CACHE_REFUSED && resume) {
        fprintf(stderr, "run_calibration: warning: recovery log '%s' refused: %s; all layers are done again\n", path, why->text);
    } else if (state == MICA_CACHE_PART && resume) {
        printf("resumed recovery after %zu layers and blocks\n", mica_log_taken(job->recovery.log));
    }
    return MICA_OK;
}

/* Levels of --finetune_level take long: beside the statistics of --cache lies what finished of them. */
static mica_status open_log(calibration_job *job, mica_error *err) {
    mica_cache_key inputs = {0};
    char key[MICA_HASH_HEX];
    const char *path = mica_arena_printf(job->arena, "%s.recovery", job->cache);
    MICA_TRY(calibration_cache_key(job, &inputs, err));
    mica_log_key(&inputs, &job->recovery, job->table, key);
    mica_cache_key_free(&inputs);
    mica_cache_state state;
    mica_error why = {0};
    job->recovery.log = mica_log_open(path, key, job->settings->resume, &state, &why);
    return use_log(job, path, state, &why, err);
}

static mica_status run_recovery(calibration_job *job, mica_recovery_report *report, mica_error *err) {
    const bool logs = job->cache != NULL && job->settings->finetune_level > 0;
    mica_status status = logs ? open_log(job, err) : MICA_OK;
    if (status == MICA_OK) {
        status = mica_recover(job->module, job->dataset, &job->recovery, &job->statistics, &job->table, report, err);
    }
    mica_error second;
    const mica_status closed = mica_log_close(job->recovery.log, status == MICA_OK ? err : &second);
    job->recovery.log = NULL;
    return status == MICA_OK ? closed : status;
}

mica_status calibration_recover(calibration_job *job, mica_error *err) {
    job->recovery.settings = job->choices;
    mica_recovery_report report;
    MICA_TRY(run_recovery(job, &report, err));
    print_recovery(&report, job->statistics.count);
    MICA_TRY(tool_save_module(job->module, job->recovered, job->recovered_weights, NULL, err));
    printf("wrote %s; give it to model_deploy together with the table\n", job->recovered);
    return MICA_OK;
}
