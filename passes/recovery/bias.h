/* Bias correction from runs: means of layers in the float and in the quantized model. */
#ifndef MICA_RECOVERY_BIAS_H
#define MICA_RECOVERY_BIAS_H

#include "passes/recovery/layers.h"

/* What the runs tell about one layer. Means are over the positions of a sample, one per row. */
typedef struct mica_bias_part {
    const mica_layer *layer;
    const char *input, *output; /* names of values in both models */
    bool bounded;               /* an activation cuts the results at `low` 0 and `high` */
    double high;                /* infinity: no cap */
    double range[2], noise;     /* of the input: what is not clipped; mean square of rounding */
    float *weights;             /* of a product: [samples][positions]; of others NULL */
    int64_t positions;
    double *want, *got;         /* [samples][rows] */
    double *live;               /* [rows] share of float results that nothing cuts, summed over samples */
    size_t wants, gots;         /* samples that were seen */
} mica_bias_part;

typedef struct mica_bias_parts {
    mica_bias_part *list; /* layers that can be corrected: the input has a range */
    size_t count, samples;
} mica_bias_parts;

void mica_bias_parts_make(const mica_recovery_job *job, mica_bias_parts *out);
void mica_bias_parts_free(mica_bias_parts *parts);

/* [bias-weights] The input `x` of a product on one sample: a position (row) counts as the inverse of the noise that its
 * quantization makes: 1 / (1 + clipping / rounding). A token that reaches far beyond the range would else lay its
 * error on all others. Positions of convolutions count alike. To be called before the results of the sample are added. */
void mica_bias_weigh(mica_bias_part *part, size_t sample, size_t samples, const float *x, int64_t count);

/* Adds means of the float results `y` of one sample to want (and to live), or of `y` to got. */
void mica_bias_add_want(mica_bias_part *part, size_t sample, const float *y, int64_t count);
void mica_bias_add_got(mica_bias_part *part, size_t sample, const float *y, int64_t count);

/* [bias-means] What the bias of each row has to grow by. With d_s the difference of means of sample s, m and v
 * its mean and variance over n samples: m * m^2 / (m^2 + v / n) over the share of results that nothing cuts,
 * at least 1/16. The factor keeps chance out: a mean that differs from 0 by less than its own error hardly
 * counts. */
void mica_bias_deltas(const mica_bias_part *part, size_t samples, double *delta);

/* Sum over the rows of the squares of the mean differences. */
double mica_bias_distance(const mica_bias_part *part, size_t samples);

/* n zeros. */
double *mica_bias_zeros(size_t n);

/* A value of any plan in f32: what f32, f16, bf16 and quantized tensors stand for. */
const float *mica_bias_values(const mrt_tensor *tensor, float **room);

/* Fills want and got of the parts; what MICA_BIAS_PARALLEL and MICA_BIAS_SEQUENTIAL mean. */
mica_status mica_bias_parallel(mica_module *module, const mica_recovery_job *job, mica_bias_parts *parts,
                               size_t *changed, mica_error *err);
mica_status mica_bias_sequential(mica_module *module, const mica_recovery_job *job, mica_bias_parts *parts,
                                 size_t *changed, mica_error *err);

#endif
