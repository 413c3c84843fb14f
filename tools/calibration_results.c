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
        print_quality(statistics, q);
    }
    mica_free(q);
    return status;
}
