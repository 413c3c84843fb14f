/* run_calibration: the table, its JSON and the summary. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "passes/calibration/report.h"
#include "tools/calibration.h"
#include "tools/tool.h"
#include "utils/file.h"
#include "utils/progress.h"
#include "utils/strings.h"

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

static int compare_numbers(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* kl looks at the shape of a distribution, not at the error: says where that costs a lot. */
static void print_better(const calibration_job *job, const mica_calibration_quality *now) {
    static const double MIDDLE = 0.5;
    static const double ONE = 3.0; /* dB */
    const mica_statistics *statistics = &job->statistics;
    mica_method mse = *mica_method_find("mse");
    if (job->method.fn != mica_method_kl || job->method.settings.pow2) {
        return;
    }
    mica_cali_table *table = mica_make_table_by(statistics, &mse, job->choices, job->threads);
    mica_calibration_quality *q = mica_calibration_qualities(statistics, table, job->threads);
    double *gains = mica_alloc((statistics->count + 1) * sizeof *gains);
    size_t n = 0;
    size_t most = 0;
    double top = 0.0;
    for (size_t i = 0; i < statistics->count; ++i) {
        const double gain = q[i].symmetric - now[i].symmetric;
        if (!statistics->tensors[i].is_border && isfinite(gain)) {
            gains[n++] = gain;
            most = gain > top ? i : most;
            top = fmax(top, gain);
        }
    }
    qsort(gains, n, sizeof *gains, compare_numbers);
    if (n > 0 && (gains[n / 2] >= MIDDLE || top >= ONE)) {
        printf("kl holds values worse than mse, by %.1f dB in the median tensor and %.1f dB in '%s'; --search search_threshold "
               "tells what that does to the outputs\n", gains[n / 2], top, statistics->tensors[most].name);
    }
    mica_free(gains);
    mica_free(q);
    mica_cali_table_destroy(table);
}

static void print_totals(const calibration_job *job) {
    const mica_statistics *statistics = &job->statistics;
    char arena_text[16];
    char peak_text[16];
    mica_human_bytes((uint64_t)statistics->arena_bytes, arena_text);
    mica_human_bytes(mica_peak_rss_bytes(), peak_text);
    printf("%zu tensors from %zu samples ", statistics->count, statistics->samples);
    if (job->cached) {
        printf("of the cache '%s', peak memory %s\n", job->cache, peak_text);
    } else {
        printf("in %.2f s (%.1f samples/s), activations %s, peak memory %s\n", statistics->seconds,
               (double)statistics->samples / statistics->seconds, arena_text, peak_text);
    }
}

/* --export_scales, --quantize_table. */
static mica_status write_extras(const calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    if (s->export_scales != NULL) {
        mica_strbuf json = {0};
        mica_scales_json(job->table, &json);
        const mica_status status =
            mica_write_file_atomic(s->export_scales, mica_strbuf_text(&json), json.len, err);
        mica_strbuf_free(&json);
        MICA_TRY(status);
    }
    if (s->search->common.qtable != NULL && s->rules != NULL && !job->searches) {
        return mica_qtable_write(mica_settings_precisions(job->choices), s->search->common.qtable,
                                 "# precisions of the settings\n", err);
    }
    return MICA_OK;
}

mica_status calibration_write(const calibration_job *job, mica_error *err) {
    const calibration_settings *s = job->settings;
    const mica_statistics *statistics = &job->statistics;
    char name[32] = {0};
    const char *text = strncasecmp(job->method_text, "use_", 4) == 0 ? job->method_text + 4 : job->method_text;
    for (size_t i = 0; i < sizeof name - 1 && text[i] != '\0'; ++i) {
        name[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 32) : text[i];
    }
    const mica_cali_header header = {.model = mica_path_base(job->arena, s->mlir), .method = name,
                                     .histogram_bins = MICA_HISTOGRAM_BINS,
                                     .samples = job->table_samples, .tuned = job->tuned};
    MICA_TRY(mica_cali_table_write(job->table, s->table, &header, err));
    mica_calibration_quality *q = mica_calibration_qualities(statistics, job->table, job->threads);
    mica_status status = MICA_OK;
    if (s->json != NULL) {
        mica_strbuf json = {0};
        mica_calibration_json(statistics, job->table, q, &job->method, text, job->choices, &json);
        status = mica_write_file_atomic(s->json, mica_strbuf_text(&json), json.len, err);
        mica_strbuf_free(&json);
    }
    status = status == MICA_OK ? write_extras(job, err) : status;
    if (status == MICA_OK) {
        print_totals(job);
        print_better(job, q);
        print_quality(statistics, q);
    }
    mica_free(q);
    return status;
}
