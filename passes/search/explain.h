/* Where the error of a lowered model comes from, op by op, why, and what would help. */
#ifndef MICA_SEARCH_EXPLAIN_H
#define MICA_SEARCH_EXPLAIN_H

#include "passes/calibration/calibrate.h"
#include "passes/search/noise.h"
#include "utils/strbuf.h"

typedef struct mica_explain_row {
    const char *name, *type;
    mica_mode mode;
    double threshold;      /* of the first result; 0: none */
    const char *method;    /* that chose it */
    double predicted_db;   /* of 8 bits, from its histogram */
    double real_db;        /* of its results in the lowered model, all errors before it included */
    double kurtosis;       /* of its values; 3: Gauss */
    double share;          /* of the whole error, in percent; may be negative */
    char why[160], help[160]; /* "" for ops that matter little */
    double gain_db;        /* of the outputs, if that removes what it can */
} mica_explain_row;

typedef struct mica_explain {
    mica_explain_row *rows; /* in execution order */
    size_t count;
    double nsr;        /* measured */
    double share_sum;  /* percent */
    size_t samples;
} mica_explain;

typedef struct mica_explain_options {
    const mica_cali_table *table;
    const mica_qtable *qtable;          /* or NULL */
    const mica_statistics *statistics;  /* of the model, with channels where known */
    const char *method;
} mica_explain_options;

mica_status mica_explain_model(const mica_search_job *job, const mica_explain_options *options, mica_explain *out,
                               mica_error *err);
void mica_explain_free(mica_explain *explain);

/* A table, and JSON [explain JSON in docs/file_formats.md]. */
void mica_explain_text(const mica_explain *explain, mica_strbuf *out);
void mica_explain_json(const mica_explain *explain, mica_strbuf *out);

#endif
