/* Divergence of densities: no bins at fixed places, so no empty ones, and the tail has its own part. */
#include <math.h>

#include "passes/calibration/methods.h"

/* Share of the magnitudes, not of the values, that stays inside at least. */
static const double KEEP = 0.995;

/* Values weighted by their magnitude: what is lost at the ends of a heavy tail is most of the signal, however
 * few values they are, and the flat bottom of the distribution near 0 hardly matters. */
static void weight_by_magnitude(mica_density *d) {
    double sum = 0.0;
    for (int i = 0; i < d->n_pieces; ++i) {
        mica_piece *p = &d->pieces[i];
        p->count *= sqrt((p->begin * p->begin + p->begin * p->end + p->end * p->end) / 3.0);
        sum += p->count;
    }
    for (int i = 0; i < d->n_pieces; ++i) {
        d->pieces[i].count *= d->nonzero / sum;
    }
}

static double divergence_at(const void *user, double t) {
    const mica_density *d = user;
    if (mica_density_tail(d, t).count > (1.0 - KEEP) * d->nonzero) {
        return HUGE_VAL;
    }
    return mica_density_divergence(d, mica_symmetric_grid(d->is_signed, d->bits, t));
}

mica_range mica_method_kl_v2(const mica_histogram *h, const mica_method_settings *settings) {
    mica_density d;
    mica_density_of(h, &d);
    d.bits = settings->bits;
    if (d.n_pieces == 0 || d.largest <= MICA_MIN_THRESHOLD) {
        return mica_method_max(h, settings);
    }
    weight_by_magnitude(&d);
    return mica_range_of(h, mica_search_threshold(d.largest, divergence_at, &d));
}
