/* run_calibration: the best among methods, for the model and for each tensor, and auto-tune. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/calibration/report.h"
#include "passes/search/tune.h"
#include "tools/calibration.h"
#include "tools/search.h"
#include "utils/file.h"
#include "utils/progress.h"
#include "utils/strings.h"

/* One method with the statistics of so many samples. */
typedef struct candidate {
    const char *name;
    mica_method method;
    size_t samples;
    mica_cali_table *table;
    mica_distance distance;
    double predicted; /* dB, of the middle tensor */
    bool failed;
    char reason[128];
} candidate;

typedef MICA_VEC(candidate) candidates;

static mica_status read_counts(calibration_job *job, mica_error *err) {
    const char *text = job->settings->sample_counts;
    char **parts = text != NULL ? mica_split(job->arena, text, ',', &job->n_counts) : NULL;
    job->counts = mica_arena_array(job->arena, job->n_counts + 1, sizeof *job->counts);
    for (size_t i = 0; i < job->n_counts; ++i) {
        int64_t n = 0;
        if (!mica_parse_i64(parts[i], &n) || n < 1 || (i > 0 && (size_t)n <= job->counts[i - 1])) {
            return mica_fail(err, "--sample_counts '%s': expected rising numbers from 1", text);
        }
        job->counts[i] = (size_t)n;
    }
    return MICA_OK;
}

mica_status calibration_read_threshold(calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    const calibration_search_settings *search = s->search;
    job->thresholds = strcmp(search->kind, "search_threshold") == 0;
    if (s->tune_num < 0) {
        return mica_fail(err, "--tune_num %lld: expected 0 (off) or more", (long long)s->tune_num);
    }
    if (s->tune_list != NULL && s->tune_num == 0) {
        return mica_fail(err, "--tune_list has no effect without --tune_num");
    }
    if (!job->thresholds) {
        const char *idle = s->sample_counts != NULL ? "--sample_counts" : s->benchmark_given ? "--benchmark_method" : NULL;
        return idle == NULL ? MICA_OK : mica_fail(err, "%s has no effect without --search search_threshold", idle);
    }
    if (search->idle != NULL && strcmp(search->idle, "--quantize_method_list") != 0) {
        return mica_fail(err, "%s has no effect with --search search_threshold", search->idle);
    }
    if (s->method_given) {
        return mica_fail(err, "--cali_method has no effect with --search search_threshold; see --quantize_method_list");
    }
    mica_mode mode = MICA_MODE_F32;
    MICA_TRY(search_check(&search->common, job->processor, &mode, err));
    return read_counts(job, err);
}

enum { MIX_SAMPLES = 12 };
static const double WORST = 1.1;

/* --- the ranking -------------------------------------------------------------------------------- */

static const char *const DEFAULTS =
    "kl,max,percentile9999,mse,kl_v2,octav,mmse,aciq_gauss,aciq_laplace,joint,moving_average";

/* Tables of all methods from these statistics. */
static void add_candidates(const calibration_job *job, const mica_statistics *statistics, const mica_method *methods,
                           const char *const *names, size_t n, candidates *list) {
    for (size_t i = 0; i < n; ++i) {
        candidate c = {.name = names[i], .method = methods[i], .samples = statistics->samples};
        c.table = mica_make_table_by(statistics, &methods[i], job->choices, job->threads);
        mica_vec_push(list, c);
    }
}

/* Statistics of the first counts[i] samples, each going on from those before. */
static mica_status add_parts(const calibration_job *job, const mica_method *methods, const char *const *names, size_t n,
                             candidates *list, mica_error *err) {
    mica_statistics before = {0};
    mica_status status = MICA_OK;
    for (size_t i = 0; i < job->n_counts && status == MICA_OK; ++i) {
        const size_t end = job->counts[i];
        if (end > job->statistics.samples) {
            status = mica_fail(err, "--sample_counts: %zu is more than the %zu samples", end, job->statistics.samples);
        } else if (end == job->statistics.samples) {
            continue; /* is always there */
        } else {
            mica_statistics part = {0};
            const mica_collect_options options = {.threads = job->threads, .quiet = true, .end = end,
                                                  .begun = before.count > 0 ? &before : NULL};
            status = mica_collect(job->module, job->dataset, &options, &part, err);
            if (status == MICA_OK) {
                add_candidates(job, &part, methods, names, n, list);
            }
            mica_statistics_free(&before);
            before = part;
        }
    }
    mica_statistics_free(&before);
    return status;
}

static double loss_of(const calibration_job *job, const candidate *c) {
    const double loss = strcmp(job->settings->benchmark, "snr") == 0 ? c->distance.nsr : 1.0 - c->distance.cosine;
    return c->failed ? HUGE_VAL : loss;
}

static int compare_numbers(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* By the histograms, as for the table that is written. */
static double middle_quality(const calibration_job *job, const mica_cali_table *table) {
    const mica_statistics *statistics = &job->statistics;
    mica_calibration_quality *q = mica_calibration_qualities(statistics, table, job->threads);
    double *list = mica_alloc((statistics->count + 1) * sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < statistics->count; ++i) {
        const double dB = job->settings->asymmetric ? q[i].asymmetric : q[i].symmetric;
        list[n] = dB;
        n += isfinite(dB) ? 1 : 0;
    }
    qsort(list, n, sizeof *list, compare_numbers);
    const double middle = n > 0 ? list[n / 2] : 0.0;
    mica_free(list);
    mica_free(q);
    return middle;
}

/* A combination that cannot be lowered or run is marked and passed over. */
static void measure(const calibration_job *job, search_session *session, candidate *c) {
    mica_error error = {0};
    c->predicted = middle_quality(job, c->table);
    if (mica_real_run(&session->real, c->table, session->fixed, &c->distance, &error) != MICA_OK) {
        snprintf(c->reason, sizeof c->reason, "%.120s", error.text);
        c->failed = true;
    } else if (c->distance.nsr * (double)session->job.samples >= MICA_NSR_MOST) {
        snprintf(c->reason, sizeof c->reason, "outputs are not finite, or noise a thousand times the signal");
        c->failed = true;
    }
}

/* For every tensor the method whose range disturbs the ops behind it least, of those that are not far
 * behind the best for the whole model: what a few samples tell of one tensor is not all. */
static mica_status mix(calibration_job *job, const candidates *list, size_t n, candidate *out, mica_error *err) {
    const mica_statistics *statistics = &job->statistics;
    const size_t total = statistics->count;
    mica_tune_tensor *tensors = mica_alloc((total + 1) * sizeof *tensors);
    size_t *owners = mica_alloc((total + 1) * MICA_TUNE_MOST * sizeof *owners);
    size_t count = 0;
    double least = HUGE_VAL;
    for (size_t k = 0; k < n; ++k) {
        least = fmin(least, loss_of(job, &list->data[list->len - n + k]));
    }
    for (size_t i = 0; i < total; ++i) {
        const mica_tensor_statistics *t = &statistics->tensors[i];
        mica_tune_tensor *to = &tensors[count];
        const mica_tensor_choice *choice = mica_settings_get(job->choices, t->name);
        if (t->is_border || (choice != NULL && (choice->method != NULL || choice->range != NULL))) {
            continue;
        }
        *to = (mica_tune_tensor){.name = t->name, .is_signed = t->histogram.is_signed};
        for (size_t k = 0; k < n && to->n < MICA_TUNE_MOST; ++k) {
            const candidate *c = &list->data[list->len - n + k];
            const bool near = loss_of(job, c) <= WORST * least;
            const mica_cali_row *row = near ? mica_cali_table_get(c->table, t->name) : NULL;
            if (row != NULL) {
                owners[count * MICA_TUNE_MOST + to->n] = k;
                to->candidates[to->n++] = (mica_range){row->threshold, row->min, row->max};
            }
        }
        count += to->n > 0;
    }
    const size_t have = mica_dataset_count(job->dataset);
    const size_t samples = have < MIX_SAMPLES ? have : MIX_SAMPLES;
    mica_status status = mica_tune(job->module, job->dataset, samples, job->settings->asymmetric, job->threads,
                                   job->settings->quiet, tensors, count, err);
    if (status == MICA_OK) {
        job->choices = job->choices != NULL ? job->choices : mica_settings_create();
        for (size_t i = 0; i < count; ++i) {
            const size_t k = owners[i * MICA_TUNE_MOST + tensors[i].best];
            mica_method *method = mica_arena_alloc(mica_settings_arena(job->choices), sizeof *method);
            *method = list->data[list->len - n + k].method;
            mica_settings_make(job->choices, tensors[i].name)->method = method;
        }
        *out = (candidate){.name = "mixed", .samples = statistics->samples};
        out->table = mica_make_table_by(statistics, &job->method, job->choices, job->threads);
    }
    mica_free(owners);
    mica_free(tensors);
    return status;
}

static void print_ranking(const calibration_job *job, const candidates *list, size_t best, mica_strbuf *log) {
    mica_strbuf_printf(log, "# search_threshold by %s on %lld samples\n", job->settings->benchmark,
                       (long long)job->settings->search->common.inference_num < (long long)mica_dataset_count(job->dataset)
                           ? (long long)job->settings->search->common.inference_num
                           : (long long)mica_dataset_count(job->dataset));
    mica_strbuf_printf(log, "%-18s %8s %13s %10s %10s\n", "method", "samples", "predicted, dB", "cos", "SQNR, dB");
    for (size_t i = 0; i < list->len; ++i) {
        const candidate *c = &list->data[i];
        if (c->failed) {
            mica_strbuf_printf(log, "%-18s %8zu %13.2f failed: %s\n", c->name, c->samples, c->predicted, c->reason);
        } else {
            mica_strbuf_printf(log, "%-18s %8zu %13.2f %10.6f %10.2f%s\n", c->name, c->samples, c->predicted, c->distance.cosine,
                               mica_nsr_to_db(c->distance.nsr), i == best ? "  best" : "");
        }
    }
}

/* Makes the best candidate the table of the job. */
static mica_status choose(calibration_job *job, candidates *list, bool mixed, mica_error *err) {
    size_t best = 0;
    for (size_t i = 1; i < list->len; ++i) {
        best = loss_of(job, &list->data[i]) < loss_of(job, &list->data[best]) ? i : best;
    }
    mica_strbuf log = {0};
    print_ranking(job, list, best, &log);
    fputs(mica_strbuf_text(&log), stdout);
    const char *path = mica_path_join(job->arena, mica_path_dir(job->arena, job->settings->table), "Search_Threshold");
    mica_status status = mica_write_file_atomic(path, mica_strbuf_text(&log), log.len, err);
    mica_strbuf_free(&log);
    MICA_TRY(status);
    candidate *winner = &list->data[best];
    if (winner->failed) {
        return mica_fail(err, "--search search_threshold: no method could be measured: %s", winner->reason);
    }
    if (mixed && best + 1 != list->len) {
        mica_settings_destroy(job->choices); /* the choices of the mix did not win */
        job->choices = NULL;
        MICA_TRY(calibration_read_settings(job, err));
    }
    job->method = mixed && best + 1 == list->len ? job->method : winner->method;
    job->method_text = winner->name;
    job->table_samples = winner->samples;
    mica_cali_table_destroy(job->table);
    job->table = winner->table;
    winner->table = NULL;
    return MICA_OK;
}

mica_status calibration_search_threshold(calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    mica_method *methods = NULL;
    const char **names = NULL;
    size_t n = 0;
    const char *text = s->search->common.methods != NULL ? s->search->common.methods : DEFAULTS;
    MICA_TRY(search_methods("--quantize_method_list", text, s->search->common.kl_bins, job->arena, &methods, &names, &n, err));
    search_job search = {.settings = &s->search->common, .module = job->module, .dataset = job->dataset,
                         .processor = job->processor, .mlir = s->mlir, .base = job->table, .arena = job->arena,
                         .threads = job->threads, .asymmetric = s->asymmetric, .quiet = s->quiet,
                         .pinned = job->choices != NULL ? mica_settings_precisions(job->choices) : NULL};
    search_session session;
    MICA_TRY(search_session_open(&search, &session, err));
    candidates list = {0};
    mica_status status = add_parts(job, methods, names, n, &list, err);
    if (status == MICA_OK) {
        add_candidates(job, &job->statistics, methods, names, n, &list);
    }
    for (size_t i = 0; i < list.len && status == MICA_OK; ++i) {
        measure(job, &session, &list.data[i]);
    }
    candidate mixed = {0};
    const bool mixes = n > 1 && status == MICA_OK;
    if (mixes) {
        status = mix(job, &list, n, &mixed, err);
    }
    if (mixes && status == MICA_OK) {
        measure(job, &session, &mixed);
        mica_vec_push(&list, mixed);
    }
    search_session_close(&session);
    status = status == MICA_OK ? choose(job, &list, mixes, err) : status;
    for (size_t i = 0; i < list.len; ++i) {
        mica_cali_table_destroy(list.data[i].table);
    }
    mica_vec_free(&list);
    return status;
}

/* --- auto-tune ---------------------------------------------------------------------------------- */

static mica_dataset *tune_samples(const calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    return s->tune_list != NULL ? mica_dataset_open(job->module, NULL, s->tune_list, s->tune_num, err)
                                : mica_dataset_open(job->module, s->dataset, s->data_list, s->tune_num, err);
}

mica_status calibration_tune(calibration_job *job, mica_error *err) {
    const mica_statistics *statistics = &job->statistics;
    mica_dataset *dataset = tune_samples(job, err);
    if (dataset == NULL) {
        return MICA_FAIL;
    }
    mica_tune_tensor *tensors = mica_alloc((statistics->count + 1) * sizeof *tensors);
    size_t count = 0;
    for (size_t i = 0; i < statistics->count; ++i) {
        const mica_tensor_statistics *t = &statistics->tensors[i];
        const mica_cali_row *row = mica_cali_table_get(job->table, t->name);
        const mica_tensor_choice *choice = mica_settings_get(job->choices, t->name);
        if (row != NULL && !t->is_border && (choice == NULL || choice->range == NULL)) {
            mica_tune_steps(t, row->threshold, &tensors[count++]);
        }
    }
    const double start = mica_seconds();
    job->tuned = mica_dataset_count(dataset);
    mica_status status = mica_tune(job->module, dataset, job->tuned, false, job->threads, job->settings->quiet,
                                   tensors, count, err);
    size_t changed = 0;
    for (size_t i = 0; i < count && status == MICA_OK; ++i) {
        const mica_range *r = &tensors[i].candidates[tensors[i].best];
        changed += tensors[i].best > 0;
        if (tensors[i].best > 0) {
            mica_cali_table_set(job->table, tensors[i].name, r->threshold, r->min, r->max);
        }
    }
    if (status == MICA_OK) {
        printf("tuned with %zu samples: %zu of %zu thresholds raised (%.1f s)\n", job->tuned, changed, count,
               mica_seconds() - start);
    }
    mica_free(tensors);
    mica_dataset_close(dataset);
    return status;
}
