/* Divergence by bins, as TPU-MLIR has it. */
#include <math.h>

#include "passes/calibration/methods.h"

enum { BINS = MICA_HISTOGRAM_BINS };

/* Divergence when |x| is clipped after `cut` bins and quantized to `levels` levels. P is the clipped
 * distribution with the tail in its last bin; Q spreads each level evenly over its bins that are not
 * empty. Level g covers bins [g * cut / levels, (g + 1) * cut / levels). */
static double divergence(const uint64_t *bins, int cut, int levels, double inside, double tail) {
    double sum = 0.0;
    const double total = inside + tail;
    for (int g = 0; g < levels; ++g) {
        const int begin = (int)((int64_t)g * cut / levels);
        const int end = (int)((int64_t)(g + 1) * cut / levels);
        double mass = 0.0;
        int filled = 0;
        for (int i = begin; i < end; ++i) {
            mass += (double)bins[i];
            filled += bins[i] != 0;
        }
        const double q = filled > 0 ? mass / filled / inside : 0.0;
        for (int i = begin; i < end; ++i) {
            const double p = ((double)bins[i] + (i == cut - 1 ? tail : 0.0)) / total;
            if (p > 0.0) {
                sum += p * (log10(p + 1e-30) - log10(bins[i] != 0 ? q + 1e-30 : 1e-30));
            }
        }
    }
    return sum;
}

/* The divergence alone rewards clipping of sharply peaked distributions without bound: with one bin per
 * level, Q equals P but for the tail. Therefore at least KL_KEEP of the values stay inside, and an
 * unsigned tensor is judged by the 256 levels that it really has. */
/* Adds up `group` bins each; returns how many there are then. */
static int join(uint64_t *bins, int n, int group) {
    for (int i = 0; i < n && group > 1; ++i) {
        const uint64_t count = bins[i];
        bins[i] = 0;
        bins[i / group] += count;
    }
    return (n - 1) / group + 1;
}

mica_range mica_method_kl(const mica_histogram *h, const mica_method_settings *settings) {
    const double KL_KEEP = 0.9999;
    enum { STEP = 8 };
    uint64_t bins[BINS];
    const int all_used = mica_histogram_magnitudes(h, true, bins);
    const int group = settings->kl_bins > 0 && settings->kl_bins < all_used ? (all_used - 1) / settings->kl_bins + 1 : 1;
    const int used = join(bins, all_used, group);
    const int levels = h->is_signed ? 1 << (settings->bits - 1) : 1 << settings->bits;
    if (used <= levels) {
        return mica_method_max(h, settings);
    }
    double all = 0.0;
    for (int i = 0; i < used; ++i) {
        all += (double)bins[i];
    }
    double inside = 0.0;
    double least = HUGE_VAL;
    int best = used;
    int at = 0;
    for (int cut = levels; cut <= used; cut += cut + STEP > used && cut < used ? used - cut : STEP) {
        for (; at < cut; ++at) {
            inside += (double)bins[at];
        }
        if (inside < KL_KEEP * all) {
            continue;
        }
        const double d = divergence(bins, cut, levels, inside, all - inside);
        if (d < least) {
            least = d;
            best = cut;
        }
    }
    return mica_range_of(h, best * group * mica_histogram_width(h));
}
