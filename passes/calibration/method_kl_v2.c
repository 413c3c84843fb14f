/* Divergence of densities: no bins at fixed places, so no empty ones, and the tail has its own part. */
#include <math.h>

#include "passes/calibration/methods.h"

static double divergence_at(const void *user, double t) {
    const mica_density *d = user;
    return mica_density_divergence(d, mica_symmetric_grid(d->is_signed, d->bits, t));
}

mica_range mica_method_kl_v2(const mica_histogram *h, const mica_method_settings *settings) {
    mica_density d;
    mica_density_of(h, &d);
    d.bits = settings->bits;
    if (d.n_pieces == 0 || d.largest <= MICA_MIN_THRESHOLD) {
        return mica_method_max(h, settings);
    }
    return mica_range_of(h, mica_search_threshold(d.largest, divergence_at, &d));
}
