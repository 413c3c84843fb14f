/* run_calibration: searches for mixed precision. */
#include "tools/calibration_search.h"

#include <string.h>

#include "tools/calibration.h"
#include "utils/strings.h"

void calibration_search_given(const mica_option_table *table, calibration_search_settings *settings) {
    static const char *const names[] = {"--quantize_method_list", "--expected_cos", "--max_float_layers", "--fp_type",
                                        "--post_process", "--post_process_seconds", "--transformer",
                                        "--cluster", "--fast", "--mix_mode", "--max_cost", "--max_float_macs", "--pareto",
                                        "--quantize_table"};
    settings->common.expected_given = mica_option_given(table, "--expected_cos");
    settings->common.cost_given = mica_option_given(table, "--max_cost");
    settings->common.bins_given = mica_option_given(table, "--histogram_bin_num");
    settings->common.macs_given = mica_option_given(table, "--max_float_macs");
    settings->common.float_given = mica_option_given(table, "--fp_type");
    settings->measured = mica_option_given(table, "--inference_num")           ? "--inference_num"
                         : mica_option_given(table, "--global_compare_layers") ? "--global_compare_layers"
                                                                               : NULL;
    const bool parts = strcmp(settings->part, "none") != 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && settings->idle == NULL; ++i) {
        const bool used = parts && (strcmp(names[i], "--fp_type") == 0 || strcmp(names[i], "--quantize_table") == 0);
        settings->idle = mica_option_given(table, names[i]) && !used ? names[i] : NULL;
    }
}

bool calibration_mixes_narrow(const calibration_job *job, mica_mode *out_mode) {
    static const struct { const char *name; mica_mode mode; } mixes[] = {
        {"4_8", MICA_MODE_INT4}, {"wi4ai4_wi8ai8", MICA_MODE_INT4}, {"w4a8", MICA_MODE_W4INT8},
        {"wi4ai8_wi8ai8", MICA_MODE_W4INT8}};
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; ++i) {
        if (strcmp(job->settings->search->mix_mode, mixes[i].name) == 0) {
            *out_mode = mixes[i].mode;
            return true;
        }
    }
    return false;
}

/* Mixes with 4 bits have their own way of searching. */
static mica_status check_narrow(const calibration_job *job, mica_mode mode, mica_error *err) {
    const calibration_search_settings *s = job->settings->search;
    const search_settings *c = &s->common;
    const char *idle = c->float_given                        ? "--fp_type"
                       : c->methods != NULL                  ? "--quantize_method_list"
                       : c->max_float_layers > 0             ? "--max_float_layers"
                       : c->cluster                          ? "--cluster"
                       : c->fast                             ? "--fast"
                       : strcmp(s->transformer, "True") == 0 ? "--transformer"
                       : c->pareto != NULL                   ? "--pareto"
                       : c->macs_given                       ? "--max_float_macs"
                                                             : NULL;
    if (idle != NULL) {
        return mica_fail(err, "%s has no effect with --mix_mode %s", idle, s->mix_mode);
    }
    if (!mica_processor_has_mode(job->processor, mode)) {
        return mica_fail(err, "--mix_mode %s: processor %s does not execute %s; nearest is 8_16", s->mix_mode,
                         job->processor->name, mica_mode_name(mode));
    }
    if (c->cost_given && !(c->max_cost < 0.0 && c->max_cost >= -100.0)) {
        return mica_fail(err, "--max_cost %g: expected percent below 0, down to -100, with --mix_mode %s", c->max_cost,
                         s->mix_mode);
    }
    return c->cost_given && c->expected_given
               ? mica_fail(err, "--max_cost and --expected_cos exclude each other with --mix_mode %s", s->mix_mode)
               : MICA_OK;
}

/* Options of one search that another does not read. */
static mica_status check_kind(const calibration_search_settings *s, mica_error *err) {
    const bool optimal = strcmp(s->kind, "optimal") == 0;
    const search_settings *c = &s->common;
    const char *idle = !optimal                  ? c->pareto != NULL ? "--pareto"
                                                   : c->cost_given   ? "--max_cost"
                                                   : c->macs_given   ? "--max_float_macs"
                                                                     : NULL
                       : c->float_given          ? "--fp_type"
                       : c->methods != NULL      ? "--quantize_method_list"
                       : c->max_float_layers > 0 ? "--max_float_layers"
                       : c->cluster              ? "--cluster"
                       : c->fast                 ? "--fast"
                                                 : NULL;
    if (idle != NULL) {
        return mica_fail(err, "%s has no effect with --search %s", idle, s->kind);
    }
    if (!(c->max_cost >= 0.0 && c->max_cost <= 1e4)) {
        return mica_fail(err, "--max_cost %g: expected percent from 0 to 10000", c->max_cost);
    }
    if (c->macs_given && !(c->max_float_macs > 0.0 && c->max_float_macs <= 100.0)) {
        return mica_fail(err, "--max_float_macs %g: expected percent above 0, up to 100", c->max_float_macs);
    }
    if (c->macs_given && c->cost_given) {
        return mica_fail(err, "--max_float_macs and --max_cost are both budgets: give one of them");
    }
    return c->pareto != NULL ? tool_check_output(c->pareto, err) : MICA_OK;
}

mica_status calibration_read_search(calibration_job *job, mica_error *err) {
    const calibration_search_settings *s = job->settings->search;
    mica_mode mode = MICA_MODE_F32;
    job->searches = strcmp(s->kind, "False") != 0 && !job->thresholds;
    MICA_TRY(s->explain != NULL ? tool_check_output(s->explain, err) : MICA_OK);
    MICA_TRY(s->explain != NULL ? search_check(&s->common, job->processor, &mode, err) : MICA_OK);
    if (job->thresholds) {
        return MICA_OK; /* finds a table, not modes */
    }
    if (!job->searches) {
        if (s->measured != NULL && s->explain == NULL) {
            return mica_fail(err, "%s has no effect without --search or --explain", s->measured);
        }
        const bool for_settings = job->settings->rules != NULL && s->common.qtable != NULL;
        MICA_TRY(for_settings ? tool_check_output(s->common.qtable, err) : MICA_OK);
        return s->idle == NULL || (for_settings && strcmp(s->idle, "--quantize_table") == 0)
                   ? MICA_OK
                   : mica_fail(err, "%s has no effect without --search", s->idle);
    }
    if (s->common.qtable == NULL) {
        return mica_fail(err, "--search %s needs --quantize_table", s->kind);
    }
    mica_mode narrow;
    MICA_TRY(calibration_mixes_narrow(job, &narrow) ? check_narrow(job, narrow, err) : check_kind(s, err));
    MICA_TRY(search_check(&s->common, job->processor, &mode, err));
    mica_method *methods = NULL;
    const char **names = NULL;
    size_t n = 0;
    return s->common.methods == NULL ? MICA_OK
                                     : search_methods("--quantize_method_list", s->common.methods, s->common.kl_bins, job->arena,
                                                      &methods, &names, &n, err);
}

mica_status calibration_check_bins(const calibration_job *job, mica_error *err) {
    const search_settings *s = &job->settings->search->common;
    mica_method *methods = NULL;
    const char **names = NULL;
    size_t n = 0;
    const mica_method kl = *mica_method_find("kl");
    if (s->methods == NULL) { /* search_threshold has kl in its own list */
        return search_check_bins(s, job->thresholds ? &kl : &job->method, 1, err);
    }
    MICA_TRY(search_methods("--quantize_method_list", s->methods, s->kl_bins, job->arena, &methods, &names, &n, err));
    return job->method.fn == kl.fn ? search_check_bins(s, &kl, 1, err) : search_check_bins(s, methods, n, err);
}

/* Tables of the listed methods; ranges of a recovered model are measured again. */
static mica_status search_list(calibration_job *job, search_job *search, mica_error *err) {
    mica_method *methods = NULL;
    const char **names = NULL;
    MICA_TRY(search_methods("--quantize_method_list", job->settings->search->common.methods,
                            job->settings->search->common.kl_bins, job->arena, &methods, &names,
                            &search->n_methods, err));
    mica_statistics fresh = {0};
    if (job->recovers) {
        MICA_TRY(mica_collect_statistics(job->module, job->dataset, job->threads, job->settings->quiet, &fresh, err));
    }
    const mica_statistics *statistics = job->recovers ? &fresh : &job->statistics;
    mica_cali_table **tables = mica_arena_array(job->arena, search->n_methods, sizeof *tables);
    for (size_t i = 0; i < search->n_methods; ++i) {
        tables[i] = mica_make_table_by(statistics, &methods[i], job->choices, job->threads);
        calibration_part_asymmetric(job, tables[i]);
    }
    search->tables = (const mica_cali_table *const *)tables;
    search->methods = names;
    const mica_status status = search_run_layers(search, "Search_Qtable", "success search qtable", err);
    for (size_t i = 0; i < search->n_methods; ++i) {
        mica_cali_table_destroy(tables[i]);
    }
    mica_statistics_free(&fresh);
    return status;
}

/* Explains what the search left in its files. */
static mica_status explain_result(calibration_job *job, search_job *search, mica_error *err) {
    const search_settings *s = search->settings;
    const char *path = mica_path_join(job->arena, mica_path_dir(job->arena, s->qtable), "new_cali_table.txt");
    mica_qtable *qtable = mica_qtable_read(s->qtable, err);
    mica_cali_table *table = strcmp(job->settings->search->kind, "optimal") == 0 ? NULL : mica_cali_table_read(path, err);
    mica_status status = qtable != NULL ? MICA_OK : MICA_FAIL;
    if (status == MICA_OK) {
        search->base = table != NULL ? table : job->table;
        status = search_explain(search, qtable, &job->statistics, job->settings->search->explain, err);
    }
    mica_cali_table_destroy(table);
    mica_qtable_destroy(qtable);
    return status;
}

static mica_status run_search(calibration_job *job, search_job *search, mica_error *err) {
    mica_mode narrow;
    if (calibration_mixes_narrow(job, &narrow)) {
        const bool optimal = strcmp(job->settings->search->kind, "optimal") == 0;
        return search_run_narrow(search, narrow, "Search_Qtable",
                                 optimal ? "success search optimal" : "success search qtable", err);
    }
    if (strcmp(job->settings->search->kind, "optimal") == 0) {
        return search_run_optimal(search, err);
    }
    return search->settings->methods != NULL ? search_list(job, search, err)
                                             : search_run_layers(search, "Search_Qtable", "success search qtable", err);
}

/* Rows that no search changes: of the settings, and of the kind of transformer that the model is. */
static mica_qtable *pinned_rows(const calibration_job *job) {
    mica_qtable *table = mica_qtable_create();
    if (job->searches && strcmp(job->settings->search->transformer, "True") == 0) {
        calibration_add_family(job, table);
    }
    const mica_qtable *own = job->choices != NULL ? mica_settings_precisions(job->choices) : NULL;
    for (size_t i = 0; own != NULL && i < mica_qtable_count(own); ++i) {
        mica_mode mode;
        const char *op = mica_qtable_at(own, i, &mode);
        mica_qtable_set(table, op, mode);
    }
    return table;
}

static mica_status search_with(calibration_job *job, const mica_qtable *pinned, mica_error *err) {
    const calibration_settings *s = job->settings;
    const mica_cali_table *own = job->table;
    const char *name = s->method;
    search_settings common = s->search->common;
    common.transformer = strcmp(s->search->transformer, "True") == 0;
    search_job search = {.settings = &common, .module = job->module, .dataset = job->dataset,
                         .processor = job->processor, .mlir = s->mlir, .base = job->table, .tables = &own,
                         .methods = &name, .n_methods = 1, .arena = job->arena, .threads = job->threads,
                         .pinned = pinned,
                         .asymmetric = s->asymmetric, .quiet = s->quiet, .unreached = &s->search->unreached};
    if (!job->searches) {
        return search_explain(&search, search.pinned, &job->statistics, s->search->explain, err);
    }
    mica_error why = {0};
    const mica_status status = run_search(job, &search, &why);
    search.methods = &name;
    if (s->search->explain != NULL && (status == MICA_OK || s->search->unreached)) {
        MICA_TRY(explain_result(job, &search, err));
    }
    *err = status == MICA_OK ? *err : why;
    return status;
}

mica_status calibration_search(calibration_job *job, mica_error *err) {
    mica_qtable *pinned = pinned_rows(job);
    const mica_status status = search_with(job, pinned, err);
    mica_qtable_destroy(pinned);
    return status;
}
