/* Closed forms: the threshold of least error, as a multiple of the spread. A
 * tensor without negative values is one half of a symmetric distribution with one bit more. */
#include <math.h>

#include "passes/calibration/methods.h"

/* Roots of d/dt (t^2 / (3 * 4^bits) + clipping error). */
typedef struct factors {
    int bits;
    double gauss, laplace;
} factors;

static const factors FACTORS[] = {
    {4, 2.5591364619753363, 5.0286401362362135},  {5, 2.9362006121084434, 6.2047663340133205},
    {8, 3.9240354898807824, 9.8967597700175283},  {9, 4.2163298257040171, 11.162685017743998},
    {16, 5.9382480846120542, 20.270171638543903}, {17, 6.1509378324648715, 21.593236296475389},
};

/* One half of a symmetric distribution counts as one bit more. */
static const factors *factors_of(const mica_density *d, const mica_method_settings *settings) {
    const int bits = settings->bits + (d->is_signed ? 0 : 1);
    size_t i = 0;
    while (FACTORS[i].bits < bits) {
        ++i;
    }
    return &FACTORS[i];
}

/* A distribution away from 0 reaches as far as its mean and its spread together. */
mica_range mica_method_aciq_gauss(const mica_histogram *h, const mica_method_settings *settings) {
    mica_density d;
    mica_density_of(h, &d);
    const factors *f = factors_of(&d, settings);
    const mica_moments m = mica_density_moments(&d);
    if (!d.is_signed) {
        return mica_range_of(h, f->gauss * sqrt(m.square));
    }
    const double variance = fmax(m.square - m.mean * m.mean, 0.0);
    return mica_range_of(h, fabs(m.mean) + f->gauss * sqrt(variance));
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
    mica_density d;
    mica_density_of(h, &d);
    const factors *f = factors_of(&d, settings);
    const mica_moments m = mica_density_moments(&d);
    if (!d.is_signed) {
        return mica_range_of(h, f->laplace * m.magnitude);
    }
    return mica_range_of(h, fabs(m.mean) + f->laplace * mean_deviation(&d, m.mean));
}
