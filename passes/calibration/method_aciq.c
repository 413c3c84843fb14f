/* Closed forms: the threshold of least error, as a multiple of the spread, for 8 bits of either sign. A
 * tensor without negative values is one half of a symmetric distribution with 9 bits. */
#include <math.h>

#include "passes/calibration/methods.h"

/* Roots of d/dt (t^2 / (3 * 4^bits) + clipping error). */
#define GAUSS_8 3.9240354863567264
#define GAUSS_9 4.2163297635703100
#define LAPLACE_8 9.8967597737625550
#define LAPLACE_9 11.162685025322340

/* A distribution away from 0 reaches as far as its mean and its spread together. */
mica_range mica_method_aciq_gauss(const mica_histogram *h, const mica_method_settings *settings) {
    (void)settings;
    mica_density d;
    mica_density_of(h, &d);
    const mica_moments m = mica_density_moments(&d);
    if (!d.is_signed) {
        return mica_range_of(h, GAUSS_9 * sqrt(m.square));
    }
    const double variance = fmax(m.square - m.mean * m.mean, 0.0);
    return mica_range_of(h, fabs(m.mean) + GAUSS_8 * sqrt(variance));
}

static double mean_deviation(const mica_density *d, double mean) {
    double sum = 0.0;
    for (int i = 0; i < d->n_pieces; ++i) {
        const mica_piece *p = &d->pieces[i];
        const double sign = i < d->n_positive ? 1.0 : -1.0;
        sum += p->count * fabs(sign * 0.5 * (p->begin + p->end) - mean);
    }
    return sum / fmax(d->nonzero, 1.0);
}

mica_range mica_method_aciq_laplace(const mica_histogram *h, const mica_method_settings *settings) {
    (void)settings;
    mica_density d;
    mica_density_of(h, &d);
    const mica_moments m = mica_density_moments(&d);
    if (!d.is_signed) {
        return mica_range_of(h, LAPLACE_9 * m.magnitude);
    }
    return mica_range_of(h, fabs(m.mean) + LAPLACE_8 * mean_deviation(&d, m.mean));
}
