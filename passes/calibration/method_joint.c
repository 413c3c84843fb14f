/* Divergence and squared error in one loss. */
#include <math.h>

#include "passes/calibration/methods.h"

enum { CANDIDATES = 193, CALM = 10 };

/* The weight makes both terms equal where the error is small: the root mean square of their ratio over the
 * candidates of least error. */
static double weight_of(const double *kl, const double *error) {
    bool taken[CANDIDATES] = {false};
    double sum = 0.0;
    for (int k = 0; k < CALM; ++k) {
        int best = -1;
        for (int i = 0; i < CANDIDATES; ++i) {
            if (!taken[i] && (best < 0 || error[i] < error[best])) {
                best = i;
            }
        }
        taken[best] = true;
        const double ratio = error[best] > 0.0 ? kl[best] / error[best] : 0.0;
        sum += ratio * ratio;
    }
    return sqrt(sum / CALM);
}

mica_range mica_method_joint(const mica_histogram *h, const mica_method_settings *settings) {
    mica_density d;
    mica_density_of(h, &d);
    d.bits = settings->bits;
    if (d.n_pieces == 0 || d.largest <= MICA_MIN_THRESHOLD) {
        return mica_method_max(h, settings);
    }
    double kl[CANDIDATES];
    double error[CANDIDATES];
    double t[CANDIDATES];
    for (int i = 0; i < CANDIDATES; ++i) {
        t[i] = d.largest * pow(1.0 / 256.0, (double)i / (CANDIDATES - 1));
        const mica_grid grid = mica_symmetric_grid(d.is_signed, d.bits, t[i]);
        kl[i] = fmax(mica_density_divergence(&d, grid), 0.0);
        error[i] = mica_density_error(&d, grid);
    }
    const double weight = weight_of(kl, error);
    int best = 0;
    for (int i = 1; i < CANDIDATES; ++i) {
        if (kl[i] + weight * error[i] < kl[best] + weight * error[best]) {
            best = i;
        }
    }
    return mica_range_of(h, t[best]);
}
