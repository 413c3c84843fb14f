/* Is the calibration data what the model was trained on? Looks at the first samples before the pass, and
 * at how much thresholds still move after it. Rules: docs/calibration.md. */
#ifndef MICA_CALIBRATION_DOCTOR_H
#define MICA_CALIBRATION_DOCTOR_H

#include "passes/calibration/calibrate.h"
#include "utils/strbuf.h"

/* Appends one line per finding: "kind: what, where, what to do". Errors: a sample or the model that
 * cannot be used. The result does not depend on the number of threads. */
mica_status mica_doctor_check(mica_module *module, const mica_dataset *dataset, int threads,
                              mica_strbuf *findings, mica_error *err);

/* How far thresholds of sets of samples lie from those of all. */
typedef struct mica_stability {
    size_t tensors;     /* looked at; 0: nothing can be said */
    size_t samples;     /* in a set of which thresholds are stable; 0: not even all */
    double deviation;   /* relative, between sets of that size, or of all samples */
    size_t wanted;      /* samples: about so many would be enough */
} mica_stability;

/* Thresholds of sets that are drawn, with replacement, from the groups of the statistics. */
mica_stability mica_doctor_stability(const mica_statistics *statistics, const mica_method *method,
                                     int threads);

/* --- parts -------------------------------------------------------------------------------------- */

enum {
    MICA_DOCTOR_SAMPLES = 16, /* are read */
    MICA_DOCTOR_RUNS = 4,     /* are run */
};

mica_status mica_doctor_files(const mica_module *module, const mica_dataset *dataset,
                              mica_strbuf *findings, mica_error *err);
mica_status mica_doctor_inputs(mica_module *module, const mica_dataset *dataset, int threads,
                               mica_strbuf *findings, bool *out_order_known, mica_error *err);
/* Means that people copy are ordered as the channels are; for models whose first layer does not tell. */
void mica_doctor_order(const mica_module *module, const mica_dataset *dataset, mica_strbuf *findings);

/* The one real input of a model. */
typedef struct mica_doctor_layer {
    const mica_dataset *dataset;
    const char *input; /* its name */
    float low, high;   /* of the samples that were read */
    double mean, deviation; /* of the same */
    mica_strbuf *findings;
    bool order_known; /* out: the layer tells red from blue */
} mica_doctor_layer;

/* The first Conv or MatMul, with the first `samples` samples. */
mica_status mica_doctor_layer_check(mica_module *module, mica_doctor_layer *layer, size_t samples, int threads,
                                    mica_error *err);

#endif
