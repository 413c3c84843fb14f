/* Doctor: the values of the inputs. */
#include <math.h>
#include <string.h>

#include "passes/calibration/doctor.h"
#include "utils/arena.h"

enum { MAX_INPUTS = 16, LEAST_ELEMENTS = 16 };

/* What was found out about one f32 input. */
typedef struct input_facts {
    float low, high;       /* of all samples */
    double sum, squares, count;
    size_t constant;       /* samples of one value only */
    const char *constant_name;
    float value;
    float own_low[MICA_DOCTOR_SAMPLES], own_high[MICA_DOCTOR_SAMPLES];
    double at_low[MICA_DOCTOR_SAMPLES], at_high[MICA_DOCTOR_SAMPLES]; /* shares at own_low and own_high */
} input_facts;

typedef struct doctor {
    mica_module *module;
    const mica_dataset *dataset;
    mrt_plan *plan;
    mrt_tensor inputs[MAX_INPUTS];
    mrt_tensor *pointers[MAX_INPUTS];
    input_facts facts[MAX_INPUTS];
    size_t samples;
    mica_strbuf *findings;
} doctor;

/* --- values ------------------------------------------------------------------------------------- */

static void look_at(input_facts *f, const mrt_tensor *t, size_t sample, const char *name) {
    const float *x = t->data;
    const int64_t n = mrt_shape_count(&t->shape);
    float low = x[0];
    float high = x[0];
    for (int64_t i = 1; i < n; ++i) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    int64_t lowest = 0;
    int64_t highest = 0;
    double sum = 0.0;
    double squares = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        lowest += x[i] == low;
        highest += x[i] == high;
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    f->sum += sum;
    f->squares += squares;
    f->count += (double)n;
    f->low = sample == 0 ? low : fminf(f->low, low);
    f->high = sample == 0 ? high : fmaxf(f->high, high);
    f->own_low[sample] = low;
    f->own_high[sample] = high;
    f->at_low[sample] = (double)lowest / (double)n;
    f->at_high[sample] = (double)highest / (double)n;
    if (low == high) {
        f->constant += 1;
        if (f->constant_name == NULL) {
            f->constant_name = name;
            f->value = low;
        }
    }
}

/* A sample is saturated when nearly all of it lies at the ends of what the set has. */
static void tell_values(const doctor *d, int32_t k) {
    const double SATURATED = 0.98;
    const input_facts *f = &d->facts[k];
    const char *input = d->plan->tensors[d->plan->inputs[k]].info.name;
    if (f->constant_name != NULL) {
        mica_strbuf_printf(d->findings, "constant: input '%s' has one value only in %zu of the first %zu samples; in '%s' it is %g\n", input,
                           f->constant, d->samples, f->constant_name, (double)f->value);
    }
    size_t saturated = 0;
    size_t first = 0;
    for (size_t i = 0; i < d->samples; ++i) {
        const double share = (f->own_low[i] == f->low ? f->at_low[i] : 0.0) +
                             (f->own_high[i] == f->high ? f->at_high[i] : 0.0);
        if (share > SATURATED && f->own_low[i] < f->own_high[i] && saturated++ == 0) {
            first = i;
        }
    }
    if (saturated > 0) {
        mica_strbuf_printf(d->findings, "saturated: more than %g %% of input '%s' lie at its ends %g and %g in %zu of the first %zu samples, as in '%s'\n",
                           100.0 * SATURATED, input, (double)f->low, (double)f->high, saturated, d->samples,
                           mica_dataset_name(d->dataset, first));
    }
}

/* Only where the one input is real: indices have no normalization. */
static mica_status check_layer(doctor *d, int threads, bool *out_order_known, mica_error *err) {
    if (d->plan->n_inputs != 1 || d->inputs[0].dtype != MRT_F32) {
        return MICA_OK;
    }
    const input_facts *f = &d->facts[0];
    if (f->count == 0.0) {
        return MICA_OK;
    }
    const double mean = f->sum / f->count;
    mica_doctor_layer layer = {.mean = mean, .deviation = sqrt(fmax(f->squares / f->count - mean * mean, 0.0)),
                               .dataset = d->dataset, .findings = d->findings, .low = d->facts[0].low,
                                     .high = d->facts[0].high, .input = d->plan->tensors[d->plan->inputs[0]].info.name};
    const size_t samples = d->samples < MICA_DOCTOR_RUNS ? d->samples : MICA_DOCTOR_RUNS;
    const mica_status status = mica_doctor_layer_check(d->module, &layer, samples, threads, err);
    *out_order_known = layer.order_known;
    return status;
}

static bool is_looked_at(const mrt_tensor *t) {
    return t->dtype == MRT_F32 && mrt_shape_count(&t->shape) >= LEAST_ELEMENTS;
}

static mica_status check_values(doctor *d, mica_error *err) {
    const int32_t n = d->plan->n_inputs;
    for (size_t i = 0; i < d->samples; ++i) {
        MICA_TRY(mica_dataset_read(d->dataset, i, d->pointers, (size_t)n, err));
        for (int32_t k = 0; k < n; ++k) {
            if (is_looked_at(&d->inputs[k])) {
                look_at(&d->facts[k], &d->inputs[k], i, mica_dataset_name(d->dataset, i));
            }
        }
    }
    for (int32_t k = 0; k < n; ++k) {
        if (is_looked_at(&d->inputs[k])) {
            tell_values(d, k);
        }
    }
    return MICA_OK;
}

static mica_status check(doctor *d, int threads, bool *out_order_known, mica_error *err) {
    for (int32_t k = 0; k < d->plan->n_inputs; ++k) {
        d->inputs[k] = d->plan->tensors[d->plan->inputs[k]].info;
        d->inputs[k].data = mica_alloc((size_t)mrt_shape_count(&d->inputs[k].shape) * mrt_dtype_bytes(d->inputs[k].dtype) + 1);
        d->pointers[k] = &d->inputs[k];
    }
    mica_status status = check_values(d, err);
    status = status == MICA_OK ? check_layer(d, threads, out_order_known, err) : status;
    for (int32_t k = 0; k < d->plan->n_inputs; ++k) {
        mica_free(d->inputs[k].data);
    }
    return status;
}

mica_status mica_doctor_inputs(mica_module *module, const mica_dataset *dataset, int threads,
                               mica_strbuf *findings, bool *out_order_known, mica_error *err) {
    const size_t have = mica_dataset_count(dataset);
    doctor *d = mica_alloc(sizeof *d);
    *d = (doctor){.module = module, .dataset = dataset, .findings = findings,
                  .samples = have < MICA_DOCTOR_SAMPLES ? have : MICA_DOCTOR_SAMPLES};
    mica_module *front = NULL;
    mica_status status = mica_calibration_plan(module, &front, &d->plan);
    if (status != MICA_OK) {
        status = mica_fail(err, "the model cannot be executed (see the messages above)");
    } else if (d->plan->n_inputs <= MAX_INPUTS) {
        status = check(d, threads, out_order_known, err);
    }
    mrt_plan_destroy(d->plan);
    mica_module_destroy(front);
    mica_free(d);
    return status;
}
