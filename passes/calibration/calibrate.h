/* The statistics pass: runs the float plan over the samples and keeps a histogram per tensor. */
#ifndef MICA_CALIBRATE_H
#define MICA_CALIBRATE_H

#include "passes/calibration/cali_table.h"
#include "passes/calibration/dataset.h"
#include "passes/calibration/histogram.h"
#include "passes/calibration/methods.h"
#include "passes/calibration/settings.h"
#include "runtime/mrt_plan.h"
#include "utils/map.h"

/* Moments of one channel. Sums are exact: they do not depend on the order of the samples. */
typedef struct mica_channel {
    float min, max;  /* of the finite values; 0, 0 while count is 0 */
    uint64_t count;
    mica_exact_sum sum, square, fourth; /* of x, x^2, x^4 of each sample, saturated at 2^62 */
} mica_channel;

enum {
    MICA_SAMPLE_GROUPS = 8,    /* sample i belongs to group i % 8 */
    MICA_GROUPED_TENSORS = 16, /* keep a histogram per group, to tell how much thresholds still move */
};

/* Statistics of one real tensor. */
typedef struct mica_tensor_statistics {
    const char *name; /* borrowed from the module */
    bool is_border;   /* network input or output: never clipped */
    mica_histogram histogram;
    mica_histogram *groups; /* MICA_SAMPLE_GROUPS, or NULL */
    mica_channel *channels; /* NULL: not asked for; aliases have none */
    int64_t n_channels;
    int channel_axis;
} mica_tensor_statistics;

typedef struct mica_statistics {
    mica_tensor_statistics *tensors; /* in execution order, aliases included */
    size_t count;
    size_t samples;
    int64_t arena_bytes; /* activations of the plan */
    double seconds;
} mica_statistics;

typedef struct mica_collect_options {
    int threads;
    bool quiet;
    bool per_channel; /* moments of the channels: axis 1 of tensors of rank 2 and from 4 on, else the last */
    bool groups;      /* see MICA_GROUPED_TENSORS */
    size_t end;       /* sample after the last one to run; 0: all */
    const mica_statistics *begun; /* of the first samples: they are not run again; or NULL */
    /* Statistics of all samples for an earlier form of the model, and names of the tensors that differ: only these
     * are counted, the others are copied. Both or none. */
    const mica_statistics *known;
    const mica_map *again;
    /* Called after about so many seconds with the statistics so far; or NULL. */
    double checkpoint_seconds;
    mica_status (*checkpoint)(void *user, const mica_statistics *so_far, mica_error *err);
    void *user;
} mica_collect_options;

/* Runs all samples through function main of a top module. Memory: the plan's arena and one histogram
 * per tensor for each thread, whatever the number of samples (arenas of more than 128 MiB: one for all
 * threads); results do not depend on threads, sample order or interruptions. Of several bad samples the
 * first is told. Progress with ETA goes to stderr unless `quiet`. Errors: unreadable sample, tensor with
 * values that are not finite (names sample and tensor). */
mica_status mica_collect(mica_module *module, const mica_dataset *dataset,
                         const mica_collect_options *options, mica_statistics *out, mica_error *err);
/* The same with nothing but histograms. */
mica_status mica_collect_statistics(mica_module *module, const mica_dataset *dataset, int threads,
                                    bool quiet, mica_statistics *out, mica_error *err);
void mica_statistics_free(mica_statistics *statistics);

/* The float plan that samples run through: of *out_front, what lies in front of a cut, when that is not
 * NULL (to be destroyed after the plan), else of the module. Fails with a diagnostic. */
mica_status mica_calibration_plan(mica_module *module, mica_module **out_front, mrt_plan **out_plan);

/* A deep copy; names are borrowed. */
mica_statistics mica_statistics_copy(const mica_statistics *from);
mica_tensor_statistics mica_tensor_copy(const mica_tensor_statistics *from);
/* Adds statistics of other samples of the same model: the result is that of all samples in one. Fails
 * when the tensors differ. */
mica_status mica_statistics_merge(mica_statistics *to, const mica_statistics *from, mica_error *err);

/* Parts of it. The tensors have the same channels and groups. */
void mica_tensor_merge(mica_tensor_statistics *to, const mica_tensor_statistics *from);
void mica_tensor_clear(mica_tensor_statistics *t);
void mica_channels_make(mica_tensor_statistics *t, const mrt_shape *shape);
void mica_channels_add(mica_tensor_statistics *t, const mrt_tensor *tensor);

/* One row per tensor by `method`. Network inputs and outputs keep their whole range. */
mica_cali_table *mica_make_table(const mica_statistics *statistics, const mica_method *method,
                                 int threads);
/* The same but for the tensors that have settings (may be NULL). Tensors with 4 bits have a line in the
 * int4 section beside their row. */
mica_cali_table *mica_make_table_by(const mica_statistics *statistics, const mica_method *method,
                                    const mica_settings *settings, int threads);
/* How the row of tensor i was made: the name of a method, or "given". */
const char *mica_tensor_method(const mica_tensor_statistics *t, const mica_method *method,
                               const mica_settings *settings);

#endif
