/* Doctor: how the first layer answers to the samples. Networks that were trained have learned what they were
 * given: its weights tell the spread, the mean and the order of the channels that they expect. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/calibration/doctor.h"
#include "passes/calibration/preprocess.h"
#include "passes/recovery/layers.h"
#include "utils/arena.h"

/* Between these the standard deviation of a channel of the first layer lies in networks that were trained: the
 * layer is followed by, or has swallowed, a normalization, or was initialized to keep the variance. */
static const double LEAST_RESPONSE = 0.02;
static const double MOST_RESPONSE = 30.0;
/* Of red against blue below which channels are swapped, as photographs hold less in blue that tells things apart. Four
 * networks for photographs and text have 1.6 to 3.3, with swapped channels 0.3 to 0.64. */
static const double LEAST_RED = 0.8;
/* The mean of an input this many standard errors, and standard deviations of the input, off the one that the biases speak
 * of. Four networks with their normalization: up to 3.7 and 1.0; without its mean 4.6 and 1.35 at least. */
static const double MOST_ERRORS = 4.0;
static const double MOST_OFFSET = 1.25;

enum { MOST_INPUTS_PER_ROW = 4096, CHANNELS = 3 };

static int compare_doubles(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(double *list, size_t n) {
    qsort(list, n, sizeof *list, compare_doubles);
    return n == 0 ? 0.0 : list[n / 2];
}

/* Variance of what inputs [first, first + n) of row o add to it: w' E[x x'] w - (w' E[x])^2. */
static double variance_of(const mica_layer *l, int64_t o, int64_t first, int64_t n) {
    const int64_t group = o * l->groups / l->rows;
    const float *squares = l->squares + group * l->per * l->per;
    const double *sums = l->sums + group * l->per;
    const float *w = l->filter + o * l->row_step;
    const double count = (double)l->count;
    double power = 0.0;
    double mean = 0.0;
    for (int64_t i = first; i < first + n; ++i) {
        const double wi = (double)w[i * l->step];
        mean += wi * sums[i] / count;
        for (int64_t k = first; k <= i; ++k) {
            power += (i == k ? 1.0 : 2.0) * wi * (double)w[k * l->step] * (double)squares[i * l->per + k] / count;
        }
    }
    return fmax(power - mean * mean, 0.0);
}

/* --- spread ------------------------------------------------------------------------------------- */

/* Median over the rows of their standard deviation, in front of any activation that was fused. */
static double response_of(const mica_layer *l) {
    double *list = mica_alloc((size_t)(l->rows + 1) * sizeof *list);
    for (int64_t o = 0; o < l->rows; ++o) {
        list[o] = sqrt(variance_of(l, o, 0, l->per));
    }
    const double middle = median(list, (size_t)l->rows);
    mica_free(list);
    return middle;
}

static bool tell_response(const mica_doctor_layer *d, const mica_layer *l) {
    const double response = response_of(l);
    if (response >= LEAST_RESPONSE && response <= MOST_RESPONSE) {
        return false;
    }
    mica_strbuf_printf(d->findings, "normalization: %s: input '%s' reaches from %g to %g, and the first layer '%s' answers with a deviation of %.3g where trained ones have about 1; check --mean and --scale\n",
                       response > MOST_RESPONSE ? "missing" : "done twice or too strong", d->input, (double)d->low,
                       (double)d->high, mica_loc_get_name_at(l->op->loc, 0), response);
    return true;
}

/* --- order of channels -------------------------------------------------------------------------- */

/* What the layer takes from channel `c` against channel `other`: the middle of the rows' answers, and weights per pixel
 * value, in the geometric mean. 0: cannot be said. */
static double preference(const mica_layer *l, const mica_preprocess *p, int c, int other) {
    const int64_t taps = l->per / CHANNELS;
    double *ratios = mica_alloc((size_t)(l->rows + 1) * sizeof *ratios);
    double energy[2] = {0};
    size_t n = 0;
    for (int64_t o = 0; o < l->rows; ++o) {
        const double a = variance_of(l, o, c * taps, taps);
        const double b = variance_of(l, o, other * taps, taps);
        if (a > 0.0 && b > 0.0) {
            ratios[n++] = a / b;
        }
        for (int64_t i = 0; i < taps; ++i) {
            const double x = (double)l->filter[o * l->row_step + (c * taps + i) * l->step] * (double)p->scale[c];
            const double y = (double)l->filter[o * l->row_step + (other * taps + i) * l->step] * (double)p->scale[other];
            energy[0] += x * x;
            energy[1] += y * y;
        }
    }
    const double answer = median(ratios, n);
    mica_free(ratios);
    return n >= 8 && energy[0] > 0.0 && energy[1] > 0.0 ? sqrt(answer * energy[0] / energy[1]) : 0.0;
}

static bool reads_input(const mica_layer *l) {
    const mica_op *from = l->op->operands[0].value->def;
    return l->is_conv && l->groups == 1 && from != NULL && mica_op_is(from, "top.Input");
}

/* Only for pictures, where red and blue mean something. */
static void tell_order(mica_doctor_layer *d, const mica_layer *l) {
    mica_preprocess p;
    mica_error none = {0};
    const bool picture = mica_dataset_image(d->dataset, 0, 0) != NULL && reads_input(l) &&
                         mica_preprocess_of(l->op->operands[0].value->def, &p, &none) == MICA_OK && p.channels == CHANNELS &&
                         l->in_dims[1] == CHANNELS;
    const int red = picture && p.is_bgr ? 2 : 0;
    const double taken = picture ? preference(l, &p, red, 2 - red) : 0.0;
    d->order_known = taken > 0.0 && (taken < LEAST_RED || taken > 1.0 / LEAST_RED);
    if (taken > 0.0 && taken < LEAST_RED) {
        mica_strbuf_printf(d->findings, "channels: the first layer '%s' makes %.2g times as much of red as of blue when '%s' is %s, and %.2g times in %s order, where trained networks make more of red; check --pixel_format\n",
                           mica_loc_get_name_at(l->op->loc, 0), taken, d->input, p.is_bgr ? "bgr" : "rgb", 1.0 / taken,
                           p.is_bgr ? "rgb" : "bgr");
    }
}

/* --- mean --------------------------------------------------------------------------------------- */

/* A normalization that was folded into the layer has left -w' m in its bias, with m the mean of the inputs in training,
 * beside what is free. The least squares of bias on the sums of weights (all channels together) give m. */
static void tell_mean(const mica_doctor_layer *d, const mica_layer *l) {
    if (l->bias == NULL || !reads_input(l) || l->rows < 8) {
        return;
    }
    const double n = (double)l->rows;
    double sw = 0.0, sb = 0.0, sww = 0.0, swb = 0.0, sbb = 0.0;
    for (int64_t o = 0; o < l->rows; ++o) {
        double w = 0.0;
        for (int64_t i = 0; i < l->per; ++i) {
            w += (double)l->filter[o * l->row_step + i * l->step];
        }
        const double b = -(double)l->bias[o];
        sw += w;
        sb += b;
        sww += w * w;
        swb += w * b;
        sbb += b * b;
    }
    const double vw = sww - sw * sw / n;
    const double slope = vw > 0.0 ? (swb - sw * sb / n) / vw : 0.0;
    const double rest = fmax(sbb - sb * sb / n - slope * slope * vw, 0.0) / (n - 2.0);
    const double error = vw > 0.0 ? sqrt(rest / vw) : INFINITY;
    if (fabs(d->mean - slope) > MOST_ERRORS * error && fabs(d->mean - slope) > MOST_OFFSET * d->deviation) {
        mica_strbuf_printf(d->findings, "normalization: the mean of input '%s' is %.3g, the biases of the first layer '%s' expect %.3g (+- %.2g); check --mean\n",
                           d->input, d->mean, mica_loc_get_name_at(l->op->loc, 0), slope, error);
    }
}

mica_status mica_doctor_layer_check(mica_module *module, mica_doctor_layer *d, size_t samples, int threads,
                                    mica_error *err) {
    mica_layers layers = {0};
    mica_layers_find(module, &layers);
    mica_status status = MICA_OK;
    if (layers.count > 0 && layers.list[0].per <= MOST_INPUTS_PER_ROW) {
        layers.count = 1;
        status = mica_layers_moments(module, &layers, d->dataset, samples, true, threads, true, err);
        const mica_layer *l = &layers.list[0];
        if (status == MICA_OK && l->count > 1) {
            if (!tell_response(d, l)) {
                tell_mean(d, l);
            }
            tell_order(d, l);
        }
    }
    mica_layers_free(&layers);
    return status;
}
