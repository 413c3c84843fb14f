/* Methods that minimize the mean squared error. */
#include <math.h>

#include "passes/calibration/methods.h"

static bool is_dead(const mica_density *d) {
    return d->n_pieces == 0 || d->largest <= MICA_MIN_THRESHOLD;
}

static double error_at(const void *user, double t) {
    const mica_density *d = user;
    return mica_density_error(d, mica_symmetric_grid(d->is_signed, d->bits, t));
}

mica_range mica_method_mse(const mica_histogram *h, const mica_method_settings *settings) {
    mica_density d;
    mica_density_of(h, &d);
    d.bits = settings->bits;
    if (is_dead(&d)) {
        return mica_method_max(h, settings);
    }
    return mica_range_of(h, mica_search_threshold(d.largest, error_at, &d));
}

/* t' = sum of the magnitudes above t / (c * values up to t + values above t), c = (s / t)^2 / 12. An unsigned
 * tensor has half the step, so a quarter of the noise. */
mica_range mica_method_octav(const mica_histogram *h, const mica_method_settings *settings) {
    enum { STEPS = 50 };
    mica_density d;
    mica_density_of(h, &d);
    d.bits = settings->bits;
    if (is_dead(&d)) {
        return mica_method_max(h, settings);
    }
    const double levels = ldexp(1.0, d.is_signed ? d.bits - 1 : d.bits) - 1.0;
    const double c = 1.0 / (12.0 * levels * levels);
    double t = 2.0 * mica_density_moments(&d).magnitude;
    for (int i = 0; i < STEPS; ++i) {
        const mica_tail tail = mica_density_tail(&d, t);
        const double next = tail.sum / (c * (d.nonzero - tail.count) + tail.count);
        const bool done = fabs(next - t) < 1e-9 * t;
        t = next;
        if (done) {
            break;
        }
    }
    return mica_range_of(h, t);
}

/* --- mmse --------------------------------------------------------------------------------------- */

typedef struct mmse_search {
    const mica_density *density;
    double factor;
    double low, high; /* the range to be scaled */
} mmse_search;

static double weighted(const mmse_search *m, mica_grid grid) {
    const mica_noise noise = mica_density_noise(m->density, grid);
    return noise.rounding + m->factor * noise.clipping;
}

static double weighted_at(const void *user, double t) {
    const mmse_search *m = user;
    return weighted(m, mica_symmetric_grid(m->density->is_signed, m->density->bits, t));
}

/* Best of even steps from `from` to `to` for one end of the asymmetric range. */
static double search_end(const mmse_search *m, bool upper, double from, double to) {
    enum { STEPS = 48 };
    double best = from;
    double least = HUGE_VAL;
    for (int i = 0; i <= STEPS; ++i) {
        const double end = from + (to - from) * i / STEPS;
        const double here = weighted(m, upper ? mica_asymmetric_grid(m->low, end)
                                              : mica_asymmetric_grid(end, m->high));
        if (here < least) {
            least = here;
            best = end;
        }
    }
    return best;
}

/* Thresholds that clip at most a share `mmse_range` of the values; both ends of the asymmetric range in turn. */
mica_range mica_method_mmse(const mica_histogram *h, const mica_method_settings *settings) {
    enum { FINE = 128, ROUNDS = 3 };
    mica_density d;
    mica_density_of(h, &d);
    d.bits = settings->bits;
    if (is_dead(&d)) {
        return mica_method_max(h, settings);
    }
    const double share = fmin(fmax(settings->mmse_range, 0.0), 1.0);
    mmse_search m = {&d, settings->outlier_factor, h->min, h->max};
    const double from = fmax(mica_density_quantile(&d, 1.0 - share), d.largest / 256.0);
    double best = d.largest;
    double least = weighted_at(&m, best);
    for (int i = 0; i < FINE; ++i) {
        const double t = from * pow(d.largest / from, (double)i / FINE);
        const double here = weighted_at(&m, t);
        if (here < least) {
            least = here;
            best = t;
        }
    }
    mica_range range = mica_range_of(h, best);
    const double low = fmin(mica_histogram_quantile(h, share), 0.0);
    const double high = fmax(mica_histogram_quantile(h, 1.0 - share), 0.0);
    for (int round = 0; round < ROUNDS; ++round) {
        m.high = search_end(&m, true, high, fmax(h->max, 0.0));
        m.low = search_end(&m, false, low, fmin(h->min, 0.0));
    }
    range.min = fmin(fmax(range.min, m.low), range.max);
    range.max = fmax(fmin(range.max, m.high), range.min);
    return range;
}
