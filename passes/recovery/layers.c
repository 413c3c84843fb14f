/* Layers with constant filters, and running modules. */
#include <math.h>
#include <string.h>

#include "dialects/plan.h"
#include "dialects/top/top.h"
#include "ir/builder.h"
#include "passes/lowering/lowering.h"
#include "passes/lowering/weight_row.h"
#include "passes/recovery/layers.h"
#include "runtime/mrt_quant.h"
#include "utils/arena.h"

static bool conv_layer(mica_layer *l, const mica_ndarray *w) {
    const mica_type in = mica_op_operand(l->op, 0)->type;
    const mica_type out = l->op->results[0].type;
    if (w->rank != 4 || in->rank != 4) {
        return false;
    }
    l->is_conv = true;
    l->groups = mica_op_i64(l->op, "group");
    l->rows = w->dims[0];
    l->per = w->dims[1] * w->dims[2] * w->dims[3];
    l->row_step = l->per;
    l->step = 1;
    size_t n = 0;
    const int64_t *strides = mica_op_i64s(l->op, "strides", &n);
    const int64_t *pads = mica_op_i64s(l->op, "pads", &n);
    const int64_t *dilations = mica_op_i64s(l->op, "dilations", &n);
    for (int i = 0; i < 2; ++i) {
        l->kernel[i] = w->dims[2 + i];
        l->strides[i] = strides != NULL ? strides[i] : 1;
        l->pads[i] = pads != NULL ? pads[i] : 0;
        l->dilations[i] = dilations != NULL ? dilations[i] : 1;
    }
    for (int i = 0; i < 4; ++i) {
        l->in_dims[i] = in->dims[i];
        l->out_dims[i] = out->dims[i];
        if (in->dims[i] <= 0 || out->dims[i] <= 0) {
            return false;
        }
    }
    return true;
}

static bool matmul_layer(mica_layer *l, const mica_ndarray *w) {
    if (w->rank != 2) {
        return false;
    }
    const bool transposed = mica_op_bool(l->op, "right_transpose");
    l->groups = 1;
    l->per = w->dims[transposed ? 1 : 0];
    l->rows = w->dims[transposed ? 0 : 1];
    l->row_step = transposed ? l->per : 1;
    l->step = transposed ? 1 : l->rows;
    return true;
}

static bool layer_of(mica_op *op, mica_layer *l) {
    const bool conv = mica_op_is(op, "top.Conv");
    if ((!conv && !mica_op_is(op, "top.MatMul")) || !mica_is_weight(mica_op_operand(op, 1)) ||
        mica_is_weight(mica_op_operand(op, 0))) {
        return false;
    }
    const mica_ndarray *w = mica_weight_data(mica_op_operand(op, 1));
    const mica_value *bias = mica_op_present(op, 2);
    const mica_ndarray *b = bias != NULL ? mica_weight_data(bias) : NULL;
    if (w == NULL || strcmp(w->descr, "<f4") != 0 || (bias != NULL && b == NULL)) {
        return false;
    }
    *l = (mica_layer){.op = op, .filter = w->data, .bias = b != NULL ? b->data : NULL};
    if (!(conv ? conv_layer(l, w) : matmul_layer(l, w))) {
        return false;
    }
    return b == NULL || (mica_ndarray_count(b) == l->rows && strcmp(b->descr, "<f4") == 0);
}

void mica_layers_find(mica_module *module, mica_layers *out) {
    mica_op *func = mica_module_func(module, "main");
    size_t n = 0;
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        n++;
    }
    out->list = mica_alloc((n + 1) * sizeof *out->list);
    out->count = 0;
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        out->count += layer_of(op, &out->list[out->count]);
    }
}

bool mica_layer_is_own(const mica_layer *l) {
    return mica_value_has_one_use(mica_op_operand(l->op, 1)) &&
           (l->bias == NULL || mica_value_has_one_use(mica_op_present(l->op, 2)));
}

void mica_layers_free(mica_layers *layers) {
    for (size_t i = 0; i < layers->count; ++i) {
        mica_free(layers->list[i].squares);
        mica_free(layers->list[i].sums);
    }
    mica_free(layers->list);
    memset(layers, 0, sizeof *layers);
}

void mica_set_constant(mica_module *module, const mica_value *value, const float *data) {
    const mica_ndarray *old = mica_weight_data(value);
    int64_t dims[MICA_NDARRAY_MAX_RANK];
    memcpy(dims, old->dims, sizeof dims);
    mica_weights_set(module->weights, mica_value_name(value), "<f4", old->rank, dims, data, true);
}

static mica_mode mode_of(const mica_recovery_job *job, const mica_layer *l) {
    mica_mode mode = job->options->mode;
    if (job->options->qtable != NULL) {
        (void)mica_qtable_get(job->options->qtable, mica_value_name(&l->op->results[0]), &mode);
    }
    return mica_lower_narrow(l->op, mode);
}

int mica_layer_bits(const mica_recovery_job *job, const mica_layer *l) {
    return mica_mode_is_narrow(mode_of(job, l)) ? 4 : 8;
}

double mica_input_scale(const mica_recovery_job *job, const mica_layer *l) {
    const char *name = mica_value_name(mica_op_operand(l->op, 0));
    const mica_cali_row *row = mica_cali_table_get(job->table, name);
    if (row == NULL) {
        return 0.0;
    }
    const bool narrow = mode_of(job, l) == MICA_MODE_INT4;
    const mica_cali_row *four = narrow ? mica_cali_table_get_int4(job->table, name) : NULL;
    const double clip = four != NULL ? four->threshold : 0.0;
    if (job->options->asymmetric) {
        const double low = clip > 0.0 ? fmax(row->min, -clip) : row->min;
        const double high = clip > 0.0 ? fmin(row->max, clip) : row->max;
        return (fmax(high, 0.0) - fmin(low, 0.0)) / (narrow ? 15.0 : 255.0);
    }
    const double steps = row->min >= 0.0 ? (narrow ? 15.0 : 255.0) : (narrow ? 7.0 : 127.0);
    const double scale = (clip > 0.0 ? clip : row->threshold) / steps;
    return job->options->pow2 ? mrt_pow2_nearest(scale) : scale;
}

double mica_row_scale(const mica_recovery_job *job, const mica_layer *l, double absmax, double bias, double in_scale) {
    const double scale = mrt_weight_scale_to(absmax, fabs(bias), in_scale, mrt_weight_most(mica_layer_bits(job, l)));
    return job->options->pow2 ? mrt_pow2_above(scale) : scale;
}

int64_t mica_layer_row(const mica_recovery_job *job, const mica_layer *l, int64_t o, int8_t *q, double *scale) {
    const mica_value *input = mica_op_operand(l->op, 0);
    const mica_cali_row *range = mica_cali_table_get(job->table, mica_value_name(input));
    const mica_row_rule rule = {.bias = l->bias != NULL ? (double)l->bias[o] : 0.0,
                                .scale_in = mica_input_scale(job, l),
                                .bits = mica_layer_bits(job, l),
                                .pow2 = job->options->pow2,
                                .positive = (range != NULL && range->min >= 0.0) || mica_mostly_positive(input)};
    float *w = mica_alloc((size_t)(l->per + 1) * sizeof *w);
    for (int64_t k = 0; k < l->per; ++k) {
        w[k] = l->filter[o * l->row_step + k * l->step];
    }
    const int64_t sum = mica_quantize_row(&rule, w, l->per, q, scale);
    mica_free(w);
    return sum;
}

struct mica_runner {
    mica_module *top, *tpu; /* copies; NULL in a float runner's tpu */
    mrt_plan *plan;
    mrt_pool *pool;
    mrt_exec *exec;
    mrt_tensor **inputs;
};

static mica_status lower(mica_runner *r, const mica_cali_table *table,
                         const mica_recovery_options *options, mica_error *err) {
    const mica_lowering_options lowering = {.processor = options->processor, .mode = options->mode, .qtable = options->qtable,
                                            .asymmetric = options->asymmetric, .pow2 = options->pow2};
    MICA_TRY(mica_import_calibration(r->top, table, options->asymmetric, err));
    return mica_lower_module(r->top, &lowering, &r->tpu, NULL) == MICA_OK
               ? MICA_OK
               : mica_fail(err, "the model cannot be quantized (see the messages above)");
}

mica_runner *mica_runner_open(mica_module *module, const mica_cali_table *table,
                              const mica_recovery_options *options, mica_error *err) {
    mica_runner *r = mica_alloc(sizeof *r);
    memset(r, 0, sizeof *r);
    r->top = mica_module_clone(module);
    bool ok = table == NULL || lower(r, table, options, err) == MICA_OK;
    mica_module *run = r->tpu != NULL ? r->tpu : r->top;
    if (ok && mica_plan_func(run, mica_module_func(run, "main"), &(mica_plan_options){0}, &r->plan) !=
                  MICA_OK) {
        ok = mica_fail(err, "the model cannot be executed (see the messages above)") == MICA_OK;
    }
    r->pool = options->threads > 1 ? mrt_pool_create(options->threads) : NULL;
    mrt_error error;
    if (ok && mrt_exec_create(r->plan, r->pool, &r->exec, &error) != MRT_OK) {
        ok = mica_fail(err, "%s", error.text) == MICA_OK;
    }
    if (!ok) {
        mica_runner_close(r);
        return NULL;
    }
    r->inputs = mica_alloc(((size_t)r->plan->n_inputs + 1) * sizeof *r->inputs);
    for (int32_t i = 0; i < r->plan->n_inputs; ++i) {
        r->inputs[i] = mrt_exec_tensor(r->exec, r->plan->inputs[i]);
    }
    return r;
}

void mica_runner_close(mica_runner *r) {
    if (r == NULL) {
        return;
    }
    if (r->exec != NULL) {
        mrt_exec_destroy(r->exec);
    }
    mrt_pool_destroy(r->pool);
    if (r->plan != NULL) {
        mrt_plan_destroy(r->plan);
    }
    if (r->tpu != NULL) {
        mica_module_destroy(r->tpu);
    }
    mica_module_destroy(r->top);
    mica_free(r->inputs);
    mica_free(r);
}

mica_status mica_runner_run(mica_runner *r, const mica_dataset *dataset, size_t sample,
                            mrt_observer_fn *observer, void *user, mica_error *err) {
    MICA_TRY(mica_dataset_read(dataset, sample, r->inputs, (size_t)r->plan->n_inputs, err));
    mrt_exec_run(r->exec, observer, user);
    return MICA_OK;
}

const mrt_plan *mica_runner_plan(const mica_runner *r) {
    return r->plan;
}

const mrt_tensor *mica_runner_output(mica_runner *r, int32_t i) {
    return mrt_exec_tensor(r->exec, r->plan->outputs[i]);
}
