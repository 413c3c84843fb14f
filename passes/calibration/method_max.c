/* Methods that look at extreme values only. */
#include <math.h>

#include "passes/calibration/methods.h"

mica_range mica_method_max(const mica_histogram *h, const mica_method_settings *settings) {
    (void)settings;
    return mica_range_of(h, INFINITY);
}

static double mean_of(mica_exact_sum sum, uint64_t parts) {
    return ldexp((double)sum, -64) / (double)parts;
}

/* A moving average with weights 1 / k is the mean, whatever the order of the samples. */
mica_range mica_method_moving_average(const mica_histogram *h, const mica_method_settings *settings) {
    if (h->parts == 0) {
        return mica_method_max(h, settings);
    }
    const double low = mean_of(h->sum_min, h->parts);
    const double high = mean_of(h->sum_max, h->parts);
    mica_range range = mica_range_of(h, fmax(-low, high));
    range.min = fmin(fmax(range.min, low), range.max);
    range.max = fmax(fmin(range.max, high), range.min);
    return range;
}

/* Two-sided: quantiles of the values; one-sided: of the magnitudes. */
mica_range mica_method_percentile(const mica_histogram *h, const mica_method_settings *settings) {
    const double p = settings->percentile / 100.0;
    if (settings->one_sided) {
        mica_density d;
        mica_density_of(h, &d);
        return mica_range_of(h, mica_density_quantile(&d, p));
    }
    const double low = mica_histogram_quantile(h, 1.0 - p);
    const double high = mica_histogram_quantile(h, p);
    const double t = fmax(fmax(fabs(low), fabs(high)), MICA_MIN_THRESHOLD);
    return (mica_range){t, low, high};
}
