#include "passes/calibration/methods.h"

#include <math.h>
#include <string.h>

#include "utils/strings.h"

/* --- table ------------------------------------------------------------------------------------- */

#define DEFAULTS {.percentile = 99.99, .mmse_range = 0.001, .outlier_factor = 1.0, .bits = 8}

static const mica_method methods[] = {
#define METHOD(name, summary) {#name, mica_method_##name, summary, DEFAULTS},
#include "passes/calibration/methods.def"
};

/* What users are told; percentile stands with the number that TPU-MLIR's option has. */
static const char *const names[] = {
#define METHOD(name, summary) #name,
#include "passes/calibration/methods.def"
};

enum { METHODS = sizeof methods / sizeof methods[0] };

const mica_method *mica_method_find(const char *name) {
    if (strncmp(name, "use_", 4) == 0) {
        name += 4;
    }
    if (strcmp(name, "percentile9999") == 0) {
        name = "percentile";
    }
    for (size_t i = 0; i < METHODS; ++i) {
        if (strcmp(methods[i].name, name) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

/* "9999" and "99.99" are 99.99, "100" is 100. */
static bool parse_percent(const char *digits, double *out) {
    char text[24] = {0};
    const size_t length = strlen(digits);
    if (length < 2 || length > 16 || strspn(digits, "0123456789.") != length) {
        return false;
    }
    if (strchr(digits, '.') == NULL && length > 2 && strcmp(digits, "100") != 0) {
        memcpy(text, digits, 2);
        text[2] = '.';
        memcpy(text + 3, digits + 2, length - 2);
    } else {
        memcpy(text, digits, length);
    }
    return mica_parse_f64(text, out) && *out >= 50.0 && *out <= 100.0;
}

bool mica_method_parse(const char *text, mica_method *out) {
    const mica_method *found = mica_method_find(text);
    if (found != NULL) {
        *out = *found;
        return true;
    }
    const char *rest = strncmp(text, "use_", 4) == 0 ? text + 4 : text;
    const char word[] = "percentile";
    if (strncmp(rest, word, sizeof word - 1) != 0) {
        return false;
    }
    rest += sizeof word - 1;
    *out = *mica_method_find(word);
    if (strncmp(rest, "_abs", 4) == 0) {
        out->settings.one_sided = true;
        rest += 4;
    }
    return (*rest == '\0' && out->settings.one_sided) || parse_percent(rest, &out->settings.percentile);
}

const char *const *mica_method_names(size_t *out_count) {
    *out_count = METHODS;
    return names;
}

mica_range mica_method_run(const mica_method *method, const mica_histogram *h) {
    return method->fn(h, &method->settings);
}

/* --- what methods share ------------------------------------------------------------------------- */

mica_range mica_range_of(const mica_histogram *h, double threshold) {
    const double largest = fmax(fabs((double)h->min), fabs((double)h->max));
    const double t = fmax(fmin(threshold, largest), MICA_MIN_THRESHOLD);
    return (mica_range){t, fmin(fmax(h->min, -t), t), fmax(fmin(h->max, t), -t)};
}

mica_range mica_range_pow2(const mica_histogram *h, mica_range range, int bits, bool whole) {
    mica_density d;
    mica_density_of(h, &d);
    const double levels = range.threshold / mica_symmetric_grid(d.is_signed, bits, range.threshold).step;
    const double above = exp2(ceil(log2(range.threshold / levels) - 1e-12)) * levels;
    const double below = 0.5 * above;
    const double error_above = mica_density_error(&d, mica_symmetric_grid(d.is_signed, bits, above));
    const double error_below = mica_density_error(&d, mica_symmetric_grid(d.is_signed, bits, below));
    const double largest = fmax(fabs((double)h->min), fabs((double)h->max));
    const bool reaches = largest <= below * (levels + 1.0) / levels; /* the extremes lose a step at most */
    const double t = (whole && !reaches) || error_above <= error_below ? above : below;
    return (mica_range){t, fmax(h->min, -t), fmin(h->max, t)};
}

double mica_quantization_error(const mica_histogram *h, double t) {
    mica_density d;
    mica_density_of(h, &d);
    return mica_density_error(&d, mica_symmetric_grid(d.is_signed, 8, t));
}

static double sqnr_of(const mica_density *d, mica_grid grid) {
    const double error = mica_density_error(d, grid);
    return error > 0.0 ? 10.0 * log10(d->power / error) : INFINITY;
}

double mica_predicted_sqnr(const mica_histogram *h, mica_range range, bool asymmetric) {
    mica_density d;
    mica_density_of(h, &d);
    return sqnr_of(&d, asymmetric ? mica_asymmetric_grid(range.min, range.max)
                                  : mica_symmetric_grid(d.is_signed, 8, range.threshold));
}

double mica_predicted_sqnr_bits(const mica_histogram *h, double threshold, int bits) {
    mica_density d;
    mica_density_of(h, &d);
    return sqnr_of(&d, mica_symmetric_grid(d.is_signed, bits, threshold));
}

double mica_search_threshold(double top, mica_threshold_cost *cost, const void *user) {
    enum { COARSE = 96, FINE = 128 };
    const double ratio = pow(1.0 / 256.0, 1.0 / COARSE);
    double best = top;
    double least = cost(user, top);
    double t = top;
    for (int i = 0; i < COARSE; ++i) {
        t *= ratio;
        const double here = cost(user, t);
        if (here < least) {
            least = here;
            best = t;
        }
    }
    const double low = best * ratio;
    const double high = fmin(best / ratio, top);
    for (int i = 0; i <= FINE; ++i) {
        t = low + (high - low) * i / FINE;
        const double here = cost(user, t);
        if (here < least) {
            least = here;
            best = t;
        }
    }
    return best;
}
