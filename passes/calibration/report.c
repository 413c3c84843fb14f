#include "passes/calibration/report.h"

#include <jansson.h>
#include <math.h>

#include "utils/arena.h"

typedef struct quality_job {
    const mica_statistics *statistics;
    const mica_cali_table *table;
    mica_calibration_quality *out;
} quality_job;

static void rate(void *context, int64_t i) {
    const quality_job *job = context;
    const mica_tensor_statistics *t = &job->statistics->tensors[i];
    const mica_cali_row *row = mica_cali_table_get(job->table, t->name);
    const mica_range range = {row->threshold, row->min, row->max};
    job->out[i].symmetric = mica_predicted_sqnr(&t->histogram, range, false);
    job->out[i].asymmetric = mica_predicted_sqnr(&t->histogram, range, true);
}

mica_calibration_quality *mica_calibration_qualities(const mica_statistics *statistics,
                                                     const mica_cali_table *table, int threads) {
    quality_job job = {statistics, table, NULL};
    job.out = mica_alloc((statistics->count + 1) * sizeof *job.out);
    mrt_pool *pool = mrt_pool_create(threads);
    mrt_parallel_for(pool, (int64_t)statistics->count, rate, &job);
    mrt_pool_destroy(pool);
    return job.out;
}

/* JSON has no infinity. */
static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

/* Names need not be UTF-8; JSON must. */
static json_t *text(const char *s) {
    json_t *value = json_string(s);
    if (value == NULL) {
        char *plain = mica_strdup(s);
        for (char *c = plain; *c != '\0'; ++c) {
            *c = (unsigned char)*c > 126 ? '?' : *c;
        }
        value = json_string(plain);
        mica_free(plain);
    }
    return value;
}

static double real(mica_exact_sum sum) { return ldexp((double)sum, -64); }

/* Arrays with one number per channel. */
static json_t *channels(const mica_tensor_statistics *t) {
    json_t *low = json_array();
    json_t *high = json_array();
    json_t *mean = json_array();
    json_t *deviation = json_array();
    json_t *kurtosis = json_array();
    for (int64_t i = 0; i < t->n_channels; ++i) {
        const mica_channel *c = &t->channels[i];
        const double n = (double)(c->count > 0 ? c->count : 1);
        const double m = real(c->sum) / n;
        const double square = real(c->square) / n;
        json_array_append_new(low, json_real((double)c->min));
        json_array_append_new(high, json_real((double)c->max));
        json_array_append_new(mean, json_real(m));
        json_array_append_new(deviation, json_real(sqrt(fmax(square - m * m, 0.0))));
        json_array_append_new(kurtosis, number(real(c->fourth) / n / (square * square)));
    }
    return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o}", "axis", t->channel_axis, "min", low, "max", high,
                     "mean", mean, "deviation", deviation, "kurtosis", kurtosis);
}

static json_t *tensor(const mica_tensor_statistics *t, const mica_cali_row *range,
                      const mica_calibration_quality *q, const char *method) {
    const mica_histogram *h = &t->histogram;
    json_t *row = json_pack("{s:o, s:s, s:f, s:f, s:f, s:o, s:o, s:{s:f, s:f, s:I, s:I, s:I}}", "name",
                     text(t->name), "method", method, "threshold",
                     range->threshold, "min", range->min, "max", range->max, "sqnr_db",
                     number(q->symmetric), "sqnr_db_asymmetric", number(q->asymmetric), "observed",
                     "min", (double)h->min, "max", (double)h->max, "count", (json_int_t)h->count,
                     "zeros", (json_int_t)h->zeros, "nonfinite", (json_int_t)h->nonfinite);
    if (t->n_channels > 0) {
        json_object_set_new(row, "channels", channels(t));
    }
    return row;
}

static int append(const char *bytes, size_t n, void *out) {
    mica_strbuf_appendn(out, bytes, n);
    return 0;
}

/* Takes the value. */
static void dump(json_t *value, mica_strbuf *out) {
    json_dump_callback(value, append, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    mica_strbuf_append(out, "\n");
    json_decref(value);
}

void mica_calibration_json(const mica_statistics *statistics, const mica_cali_table *table,
                           const mica_calibration_quality *qualities, const mica_method *method,
                           const char *method_text, const mica_settings *settings, mica_strbuf *out) {
    json_t *tensors = json_array();
    for (size_t i = 0; i < statistics->count; ++i) {
        const mica_tensor_statistics *t = &statistics->tensors[i];
        json_array_append_new(
            tensors, tensor(t, mica_cali_table_get(table, t->name), &qualities[i],
                            mica_tensor_method(t, method, settings)));
    }
    json_t *all = json_pack("{s:s, s:I, s:o}", "method", method_text, "samples",
                            (json_int_t)statistics->samples, "tensors", tensors);
    dump(all, out);
}

void mica_scales_json(const mica_cali_table *table, mica_strbuf *out) {
    json_t *tensors = json_object();
    for (size_t i = 0; i < mica_cali_table_count(table); ++i) {
        const mica_cali_row *row = mica_cali_table_at(table, i);
        json_t *name = text(row->name);
        json_object_set_new(tensors, json_string_value(name),
                            json_pack("{s:f, s:f, s:f, s:f}", "threshold", row->threshold, "min", row->min, "max",
                                      row->max, "scale", row->threshold / (row->min >= 0.0 ? 255.0 : 127.0)));
        json_decref(name);
    }
    dump(json_pack("{s:o}", "tensors", tensors), out);
}
