/* Doctor: the values of the inputs, and how the model answers to them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/calibration/doctor.h"
#include "passes/recovery/layers.h"
#include "utils/arena.h"

/* Between these the standard deviation of a channel of the first layer lies in networks that were trained: the
 * layer is followed by, or has swallowed, a normalization, or was initialized to keep the variance. */
static const double LEAST_RESPONSE = 0.02;
static const double MOST_RESPONSE = 30.0;

enum { MAX_INPUTS = 16, LEAST_ELEMENTS = 16 };

/* What was found out about one f32 input. */
typedef struct input_facts {
    float low, high;       /* of all samples */
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
    for (int64_t i = 0; i < n; ++i) {
        lowest += x[i] == low;
        highest += x[i] == high;
    }
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

/* --- answer of the first layer ------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Variance of row o of the layer: w' E[x x'] w - (w' E[x])^2. */
static double variance_of(const mica_layer *l, int64_t o) {
    const int64_t group = o * l->groups / l->rows;
    const float *squares = l->squares + group * l->per * l->per;
    const double *sums = l->sums + group * l->per;
    const float *w = l->filter + o * l->row_step;
    const double n = (double)l->count;
    double power = 0.0;
    double mean = 0.0;
    for (int64_t i = 0; i < l->per; ++i) {
        const double wi = (double)w[i * l->step];
        mean += wi * sums[i] / n;
        for (int64_t k = 0; k <= i; ++k) {
            power += (i == k ? 1.0 : 2.0) * wi * (double)w[k * l->step] * (double)squares[i * l->per + k] / n;
        }
    }
    return fmax(power - mean * mean, 0.0);
}

/* Median over the rows of their standard deviation, in front of any activation that was fused. */
static double response_of(const mica_layer *l) {
    double *list = mica_alloc((size_t)(l->rows + 1) * sizeof *list);
    for (int64_t o = 0; o < l->rows; ++o) {
        list[o] = sqrt(variance_of(l, o));
    }
    qsort(list, (size_t)l->rows, sizeof *list, compare_doubles);
    const double middle = list[l->rows / 2];
    mica_free(list);
    return middle;
}

static void tell_response(const doctor *d, const mica_layer *l) {
    const double response = response_of(l);
    if (response >= LEAST_RESPONSE && response <= MOST_RESPONSE) {
        return;
    }
    const input_facts *f = &d->facts[0];
    mica_strbuf_printf(d->findings, "normalization: %s: input '%s' reaches from %g to %g, and the first layer '%s' answers with a deviation of %.3g where trained ones have about 1; check --mean and --scale\n",
                       response > MOST_RESPONSE ? "missing" : "done twice or too strong",
                       d->plan->tensors[d->plan->inputs[0]].info.name, (double)f->low, (double)f->high,
                       mica_loc_get_name_at(l->op->loc, 0), response);
}

/* Only where the one input is real: indices have no normalization. */
static mica_status check_response(doctor *d, int threads, mica_error *err) {
    enum { MOST_INPUTS_PER_ROW = 4096 };
    if (d->plan->n_inputs != 1 || d->inputs[0].dtype != MRT_F32) {
        return MICA_OK;
    }
    mica_layers layers = {0};
    mica_layers_find(d->module, &layers);
    mica_status status = MICA_OK;
    if (layers.count > 0 && layers.list[0].per <= MOST_INPUTS_PER_ROW) {
        const size_t runs = d->samples < MICA_DOCTOR_RUNS ? d->samples : MICA_DOCTOR_RUNS;
        layers.count = 1;
        status = mica_layers_moments(d->module, &layers, d->dataset, runs, true, threads, true, err);
        if (status == MICA_OK && layers.list[0].count > 1) {
            tell_response(d, &layers.list[0]);
        }
    }
    mica_layers_free(&layers);
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

static mica_status check(doctor *d, int threads, mica_error *err) {
    for (int32_t k = 0; k < d->plan->n_inputs; ++k) {
        d->inputs[k] = d->plan->tensors[d->plan->inputs[k]].info;
        d->inputs[k].data = mica_alloc((size_t)mrt_shape_count(&d->inputs[k].shape) * mrt_dtype_bytes(d->inputs[k].dtype) + 1);
        d->pointers[k] = &d->inputs[k];
    }
    mica_status status = check_values(d, err);
    status = status == MICA_OK ? check_response(d, threads, err) : status;
    for (int32_t k = 0; k < d->plan->n_inputs; ++k) {
        mica_free(d->inputs[k].data);
    }
    return status;
}

mica_status mica_doctor_inputs(mica_module *module, const mica_dataset *dataset, int threads,
                               mica_strbuf *findings, mica_error *err) {
    const size_t have = mica_dataset_count(dataset);
    doctor *d = mica_alloc(sizeof *d);
    *d = (doctor){.module = module, .dataset = dataset, .findings = findings,
                  .samples = have < MICA_DOCTOR_SAMPLES ? have : MICA_DOCTOR_SAMPLES};
    mica_module *front = NULL;
    mica_status status = mica_calibration_plan(module, &front, &d->plan);
    if (status != MICA_OK) {
        status = mica_fail(err, "the model cannot be executed (see the messages above)");
    } else if (d->plan->n_inputs <= MAX_INPUTS) {
        status = check(d, threads, err);
    }
    mrt_plan_destroy(d->plan);
    mica_module_destroy(front);
    mica_free(d);
    return status;
}
