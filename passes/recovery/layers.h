/* What the steps share: layers with constant filters, moments of their inputs, quantized runs. */
#ifndef MICA_RECOVERY_LAYERS_H
#define MICA_RECOVERY_LAYERS_H

#include "passes/recovery/recovery.h"
#include "runtime/mrt_exec.h"
#include "runtime/mrt_pool.h"
#include "utils/vec.h"

/* A Conv of two spatial axes or a MatMul with a constant matrix. Row o has `per` weights; element k of
 * row o lies at o * row_step + k * step. */
typedef struct mica_layer {
    mica_op *op;
    const float *filter;
    const float *bias; /* per row, or NULL */
    int64_t groups, rows, per, row_step, step;
    bool is_conv;
    int64_t kernel[2], strides[2], pads[2], dilations[2], in_dims[4], out_dims[4];
    /* Moments of the inputs of a row, per group: sums over positions of x x' (lower triangle, rows of
     * `per`) and of x. */
    float *squares;
    double *sums;
    int64_t count;
} mica_layer;

typedef struct mica_layers {
    mica_layer *list;
    size_t count;
} mica_layers;

void mica_layers_find(mica_module *module, mica_layers *out);
void mica_layers_free(mica_layers *layers);

/* Runs the float model over samples [0, samples) and fills the moments of every layer: sums, and with
 * `with_squares` the products too. */
mica_status mica_layers_moments(mica_module *module, mica_layers *layers, const mica_dataset *dataset,
                                size_t samples, bool with_squares, int threads, bool quiet, mica_error *err);
/* Sums only, of `count` samples spread evenly over [0, samples). */
mica_status mica_layers_means(mica_module *module, mica_layers *layers, const mica_dataset *dataset, size_t samples,
                              size_t count, int threads, bool quiet, mica_error *err);
/* Sample i of `count` that are spread evenly over [0, samples). */
size_t mica_spread_sample(size_t i, size_t count, size_t samples);

/* The inputs of row `at` of a group, of one sample's input x; padding is 0. */
void mica_layer_inputs(const mica_layer *layer, const float *x, int64_t group, int64_t at, float *row);
/* How many rows a sample has. `elements` of its input. */
int64_t mica_layer_positions(const mica_layer *layer, int64_t elements);
/* False when a constant of the layer has other users too, which rounding for this one would spoil. */
bool mica_layer_is_own(const mica_layer *layer);

/* Replaces the constant behind a value by `data` of the same shape. */
void mica_set_constant(mica_module *module, const mica_value *value, const float *data);

/* Adds delta[rows] to the bias of a layer of `module`, which gets one when it has none. Returns whether it
 * changed. */
bool mica_layer_add_bias(mica_module *module, const mica_layer *layer, const double *delta);

/* A value whose channels a step has scaled. */
typedef struct mica_moved {
    const char *name, *origin; /* now and before; different when others keep the old value */
    mica_range image;          /* the old range seen through the factors */
    bool chosen;               /* the image is the range, whatever the method would say */
} mica_moved;

typedef MICA_VEC(mica_moved) mica_moves;

/* What a step works with. */
typedef struct mica_recovery_job {
    const mica_recovery_options *options;
    const mica_dataset *dataset;
    const mica_cali_table *table;
    const mica_statistics *statistics; /* that the table was made from */
    size_t trained; /* samples [0, trained) may be used */
    mica_module *reference; /* the function that the model had at first, in the shape of the module */
    mica_module *layerwise; /* the module before its weights were rounded: what each layer should do */
    mica_moves *moves; /* steps that move ranges put here what they scaled */
    char *note; /* MICA_RECOVERY_NOTE bytes for the row of the step; or NULL */
    mica_layers *layers; /* of the module given to the step; with moments when asked for */
} mica_recovery_job;

/* Changes constants of `module`; *changed: ops. */
typedef mica_status mica_step_fn(mica_module *module, const mica_recovery_job *job, size_t *changed,
                                 mica_error *err);
#define STEP(name, fn, moments, keeps, summary) mica_step_fn fn;
#include "passes/recovery/recovery.def"
#undef STEP

/* Rounds the rows of a layer against its moments and stores them, and the bias, in the module. */
void mica_round_layer(mica_module *module, const mica_recovery_job *job, const mica_layer *l, mrt_pool *pool);

/* Bits that the weights of a layer get in the mode of the options: 8 or 4. */
int mica_layer_bits(const mica_recovery_job *job, const mica_layer *layer);

/* Scale that the input of a layer gets from the table; 0 without a row. */
double mica_input_scale(const mica_recovery_job *job, const mica_layer *layer);

/* Scale that the lowering gives to weights of a row. */
double mica_row_scale(const mica_recovery_job *job, const mica_layer *layer, double absmax, double bias,
                      double in_scale);

/* The integers that the lowering makes of row o, in the order of the layer's inputs; returns their sum. The input
 * has a row in the table. */
int64_t mica_layer_row(const mica_recovery_job *job, const mica_layer *l, int64_t o, int8_t *q, double *scale);

/* A module that runs: float, or lowered to INT8 with the table. */
typedef struct mica_runner mica_runner;
mica_runner *mica_runner_open(mica_module *module, const mica_cali_table *table,
                              const mica_recovery_options *options, mica_error *err);
void mica_runner_close(mica_runner *runner);
/* observer may be NULL. */
mica_status mica_runner_run(mica_runner *runner, const mica_dataset *dataset, size_t sample,
                            mrt_observer_fn *observer, void *user, mica_error *err);
const mrt_plan *mica_runner_plan(const mica_runner *runner);
/* Output i after a run. */
const mrt_tensor *mica_runner_output(mica_runner *runner, int32_t i);

#endif
