/* What quantizing one op does to the outputs, measured by running only the part of the model behind it.
 *
 * The float model runs once per sample and all its values are kept. For an op in a lowered form, that op
 * alone runs on the float values; the difference it makes is added to its float result and the float steps
 * that depend on it run again. Lanes take samples; means are summed in the order of the samples, so
 * results do not depend on the number of threads. Memory: per lane the values of one sample, twice in float
 * and once per variant. */
#ifndef MICA_SEARCH_NOISE_H
#define MICA_SEARCH_NOISE_H

#include "passes/calibration/dataset.h"
#include "passes/search/compare.h"
#include "passes/search/lowered.h"

/* What all measurements share; everything is borrowed. */
typedef struct mica_search_job {
    mica_module *module; /* top dialect, without calibrated types */
    const mica_dataset *dataset;
    size_t samples; /* of the dataset, evenly spread; at most as many as it has */
    const mica_processor *processor;
    bool asymmetric;
    int threads;
    bool quiet; /* no progress line */
    const mica_net *net;
    const mica_compare *compare;
} mica_search_job;

/* The sample of the dataset that is number i of the job. */
static inline size_t mica_search_sample(const mica_search_job *job, size_t i) {
    return i * mica_dataset_count(job->dataset) / job->samples;
}

/* A lowered form of the whole model, with keep_all, whose ops are measured one by one. */
typedef struct mica_noise_variant {
    const mica_lowered *lowered;
    size_t samples; /* of those of the job, evenly spread */
    bool parts;     /* separates `own` from `edges`: one run per op and one per edge instead of one per op */
    bool vectors;   /* with parts: keeps the errors that they make; edges that an earlier such variant with as many
                     * samples rounds alike are taken from there, and are missing in `alone` */
} mica_noise_variant;

/* Means over the samples; nsr 0 and cosine 1 where nothing changes. */
typedef struct mica_noise_result {
    bool *has;            /* per op: it has this form (no fallback) */
    mica_distance *alone; /* per op: it alone is quantized, reading float values that it quantizes itself */
    /* With `parts` only: */
    mica_distance *own;   /* per op: its inputs are quantized values to begin with */
    mica_distance *edges; /* per edge: quantizing it for its reader */
    double *local;        /* per op: `own` noise over signal, at its results */
    /* With `vectors` only: errors of own parts, then of edges: [samples][n_ops + n_edges][width]. Scalar
     * products of errors over the sum of the samples' are parts of the NSR, to 1 / sqrt(width) where the points hold more
     * values than that. */
    float *vectors;
    size_t width, samples;
} mica_noise_result;

/* results: one per variant, freed with mica_noise_free. */
mica_status mica_noise_measure(const mica_search_job *job, const mica_noise_variant *variants, size_t n,
                               mica_noise_result *results, mica_error *err);
void mica_noise_free(mica_noise_result *results, size_t n);

/* Where the error of a lowered model comes from: op after op takes the value that the lowered model has
 * there, the float model behind it runs on. The change that op k makes, projected on the whole error, is its
 * share: shares sum to the error of the lowered model. */
typedef struct mica_noise_shares {
    double *share;   /* per op, NSR; may be negative: it undoes others' errors */
    double *reached; /* per op: NSR of its results in the lowered model */
    double nsr;      /* of the lowered model, measured */
} mica_noise_shares;

/* `lowered` has keep_all; `samples` of those of the job, evenly spread. */
mica_status mica_noise_chain(const mica_search_job *job, const mica_lowered *lowered, size_t samples,
                             mica_noise_shares *out, mica_error *err);
void mica_noise_shares_free(mica_noise_shares *shares);

#endif
