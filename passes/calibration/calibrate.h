/* The statistics pass: runs the float plan over the samples and keeps a histogram per tensor. */
#ifndef MICA_CALIBRATE_H
#define MICA_CALIBRATE_H

#include "passes/calibration/cali_table.h"
#include "passes/calibration/dataset.h"
#include "passes/calibration/histogram.h"
#include "passes/calibration/methods.h"

/* Statistics of one real tensor. */
typedef struct mica_tensor_statistics {
    const char *name; /* borrowed from the module */
    bool is_border;   /* network input or output: never clipped */
    mica_histogram histogram;
} mica_tensor_statistics;

typedef struct mica_statistics {
    mica_tensor_statistics *tensors; /* in execution order, aliases included */
    size_t count;
    size_t samples;
    int64_t arena_bytes; /* activations of the plan */
    double seconds;
} mica_statistics;

/* Runs all samples through function main of a top module. Memory: the plan's arena and one histogram
 * per tensor for each thread, whatever the number of samples (arenas of more than 128 MiB: one for all
 * threads); results do not depend on threads or sample order. Of several bad samples the first is told.
 * Progress with ETA goes to stderr unless `quiet`. Errors: unreadable sample, tensor with values that
 * are not finite (names sample and tensor). */
mica_status mica_collect_statistics(mica_module *module, const mica_dataset *dataset, int threads,
                                    bool quiet, mica_statistics *out, mica_error *err);
void mica_statistics_free(mica_statistics *statistics);

/* One row per tensor by `method`. Network inputs and outputs keep their whole range. */
mica_cali_table *mica_make_table(const mica_statistics *statistics, const mica_method *method,
                                 int threads);

#endif
