/* Factors per channel: the noise that they predict, the search, and their application. */
#include "passes/recovery/factors.h"

#include <math.h>
#include <string.h>

#include "dialects/top/top.h"
#include "utils/arena.h"

enum { STEPS = 20 };
static const double WIDEST = 64.0; /* factors lie in [1 / WIDEST, WIDEST] around their mean */

/* Input channel of element k of row o. */
static int64_t channel_of(const mica_layer *l, int64_t o, int64_t k) {
    if (!l->is_conv) {
        return k;
    }
    const int64_t taps = l->kernel[0] * l->kernel[1];
    return o / (l->rows / l->groups) * (l->per / taps) + k / taps;
}

static double step_of(const mica_factors *f, const mica_channels *c, const double *s) {
    double low = 0.0;
    double high = 0.0;
    for (int64_t i = 0; i < c->count; ++i) {
        const double factor = s != NULL ? s[i] : 1.0;
        low = fmin(low, c->low[i] / factor);
        high = fmax(high, c->high[i] / factor);
    }
    if (f->asymmetric) {
        return (high - low) / 255.0;
    }
    return low < 0.0 ? fmax(-low, high) / 127.0 : high / 255.0;
}

static double reader_noise(const mica_factors *f, const mica_reader *r, const double *s) {
    const mica_layer *l = r->layer;
    const double step = step_of(f, r->channels, s);
    double noise = 0.0;
    for (int64_t o = 0; o < l->rows; ++o) {
        double absmax = 0.0;
        double passed = 0.0; /* of the input's rounding */
        double power = 0.0;  /* that meets the weights' rounding */
        for (int64_t k = 0; k < l->per; ++k) {
            const int64_t c = channel_of(l, o, k);
            const double factor = s != NULL ? s[c] : 1.0;
            const double w = fabs((double)l->filter[o * l->row_step + k * l->step]) * factor;
            absmax = fmax(absmax, w);
            passed += w * w;
            power += r->channels->power[c] / (factor * factor);
        }
        noise += (step * step * passed + absmax * absmax / (127.0 * 127.0) * power) / 12.0;
    }
    return noise;
}

double mica_factors_noise(const mica_factors *f, const double *s) {
    double noise = 0.0;
    for (size_t i = 0; i < f->n_readers; ++i) {
        noise += reader_noise(f, &f->readers[i], s);
    }
    return noise;
}

/* Largest weight that meets a channel. */
static void largest_weights(const mica_factors *f, double *out) {
    memset(out, 0, (size_t)f->count * sizeof *out);
    for (size_t i = 0; i < f->n_readers; ++i) {
        const mica_layer *l = f->readers[i].layer;
        for (int64_t o = 0; o < l->rows; ++o) {
            for (int64_t k = 0; k < l->per; ++k) {
                const int64_t c = channel_of(l, o, k);
                out[c] = fmax(out[c], fabs((double)l->filter[o * l->row_step + k * l->step]));
            }
        }
    }
}

/* Makes candidate `index` (0 .. 3 * (STEPS + 1) - 1); false: not a new one. */
static bool candidate(const mica_factors *f, const double *weights, int index, double *s, double *exponent) {
    const int family = index / (STEPS + 1);
    const double share = (double)(index % (STEPS + 1)) / STEPS;
    double largest = 0.0;
    for (int64_t c = 0; c < f->count; ++c) {
        largest = fmax(largest, f->range[c]);
    }
    if (share == 0.0 && family > 0) {
        return false;
    }
    *exponent = family < 2 ? share : -1.0;
    double mean = 0.0;
    int64_t used = 0;
    for (int64_t c = 0; c < f->count; ++c) {
        const double a = f->range[c];
        s[c] = 0.0;
        if (a > 0.0 && weights[c] > 0.0) {
            s[c] = family == 0   ? pow(a, share) / pow(weights[c], 1.0 - share)
                   : family == 1 ? pow(a, share)
                                 : fmax(1.0, a / (largest * share));
            mean += log(s[c]);
            used++;
        }
    }
    const double unit = exp(mean / (double)(used > 0 ? used : 1)); /* the geometric mean stays */
    for (int64_t c = 0; c < f->count; ++c) {
        const bool live = s[c] > 0.0 && unit > 0.0;
        s[c] = live ? fmin(fmax(s[c] / unit, 1.0 / WIDEST), WIDEST) : 1.0;
        s[c] = (double)(float)s[c];
    }
    return true;
}

double mica_factors_search(const mica_factors *f, double *s, double *exponent) {
    double *weights = mica_alloc((size_t)(f->count + 1) * sizeof *weights);
    double *tried = mica_alloc((size_t)(f->count + 1) * sizeof *tried);
    const double before = mica_factors_noise(f, NULL);
    double best = before;
    largest_weights(f, weights);
    for (int64_t c = 0; c < f->count; ++c) {
        s[c] = 1.0;
    }
    *exponent = -1.0;
    for (int i = 0; i < 3 * (STEPS + 1) && before > 0.0; ++i) {
        double x = -1.0;
        if (!candidate(f, weights, i, tried, &x)) {
            continue;
        }
        const double noise = mica_factors_noise(f, tried);
        if (noise < best) {
            best = noise;
            *exponent = x;
            memcpy(s, tried, (size_t)f->count * sizeof *s);
        }
    }
    mica_free(weights);
    mica_free(tried);
    return best > 0.0 ? before / best : 1.0;
}

void mica_scale_reader(mica_module *module, const mica_layer *l, const double *s) {
    float *filter = mica_alloc((size_t)(l->rows * l->per + 1) * sizeof *filter);
    const mica_value *value = mica_op_operand(l->op, 1);
    const float *now = mica_weight_data(value)->data; /* other sets may have changed it */
    for (int64_t o = 0; o < l->rows; ++o) {
        for (int64_t k = 0; k < l->per; ++k) {
            const int64_t at = o * l->row_step + k * l->step;
            filter[at] = (float)((double)now[at] * s[channel_of(l, o, k)]);
        }
    }
    mica_set_constant(module, value, filter);
    mica_free(filter);
}

void mica_scale_rows(mica_module *module, const mica_layer *l, const double *s) {
    float *filter = mica_alloc((size_t)(l->rows * l->per + 1) * sizeof *filter);
    const mica_value *value = mica_op_operand(l->op, 1);
    const float *now = mica_weight_data(value)->data;
    for (int64_t o = 0; o < l->rows; ++o) {
        for (int64_t k = 0; k < l->per; ++k) {
            const int64_t at = o * l->row_step + k * l->step;
            filter[at] = (float)((double)now[at] / s[o]);
        }
    }
    mica_set_constant(module, value, filter);
    mica_free(filter);
    const mica_value *bias = mica_op_present(l->op, 2);
    if (bias != NULL) {
        const float *old = mica_weight_data(bias)->data;
        float *moved = mica_alloc((size_t)(l->rows + 1) * sizeof *moved);
        for (int64_t o = 0; o < l->rows; ++o) {
            moved[o] = (float)((double)old[o] / s[o]);
        }
        mica_set_constant(module, bias, moved);
        mica_free(moved);
    }
}
