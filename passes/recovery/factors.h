/* Factors per channel: dividing channel c of a tensor by s[c] and multiplying what reads it by s[c]
 * changes no result, but how well eight bits hold the tensor and the weights behind it. */
#ifndef MICA_RECOVERY_FACTORS_H
#define MICA_RECOVERY_FACTORS_H

#include "passes/recovery/layers.h"

/* What the samples say about the channels of one tensor. */
typedef struct mica_channels {
    const mica_value *value;
    int axis;
    int64_t count;            /* channels */
    double *low, *high;       /* [count], 0 included */
    double *power;            /* [count], mean square */
} mica_channels;

/* Memory for the statistics of `value`; released by mica_channels_free. */
void mica_channels_init(mica_channels *channels, const mica_value *value, int axis);
void mica_channels_free(mica_channels *channels);
/* Runs the float model over the job's samples and fills `n` statistics. */
mica_status mica_channels_measure(mica_module *module, const mica_recovery_job *job, mica_channels *list,
                                  size_t n, mica_error *err);

/* A layer that reads a tensor. */
typedef struct mica_reader {
    const mica_layer *layer;
    const mica_channels *channels;
} mica_reader;

/* Factors wanted for one set of tensors with common channels. */
typedef struct mica_factors {
    const mica_reader *readers;
    size_t n_readers;
    const double *range;      /* [count] largest magnitude of a channel over the tensors of the set */
    int64_t count;
    bool asymmetric;
} mica_factors;

/* Predicted noise at the readers: of their rounded inputs plus of their rounded weights, in power. `s`
 * NULL: all 1. Independent errors of a uniform step. */
double mica_factors_noise(const mica_factors *f, const double *s);
/* The best of 62 candidates (SmoothQuant's a^x / w^(1-x), x in steps of 0.05, with and without the weights'
 * part, and clipping of channels beyond a share of the largest). Returns the predicted gain, noise before over
 * noise after; 1: `s` is all 1. *exponent: the x taken, or -1. */
double mica_factors_search(const mica_factors *f, double *s, double *exponent);

/* Multiplies what `layer` reads of channel c by s[c]. */
void mica_scale_reader(mica_module *module, const mica_layer *layer, const double *s);
/* Divides row o of a layer's filter and its bias by s[o]. */
void mica_scale_rows(mica_module *module, const mica_layer *layer, const double *s);

/* Notes that the value of `channels`, now called `name`, was divided by s[c], channel by channel. [recovery-range]
 * The range in the job's table is taken along: an end e goes to e * max_c(min(e, x_c) / s_c) / min(e, max_c x_c), x_c
 * being the extreme value of channel c towards that end. So what was inside stays inside, what was clipped stays clipped as far
 * as one range can do that, and room beyond the extremes keeps its ratio; with one factor for all it is e / s. */
void mica_moves_add(const mica_recovery_job *job, const char *name, const mica_channels *channels, const double *s);

#endif
