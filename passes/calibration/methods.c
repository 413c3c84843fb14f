#include "passes/calibration/methods.h"

#include <math.h>
#include <string.h>

enum { BINS = MICA_HISTOGRAM_BINS };

static double absmax(const mica_histogram *h) {
    return fmax(fabs((double)h->min), fabs((double)h->max));
}

/* The symmetric threshold with the observed range clipped to it. */
static mica_range range_of(const mica_histogram *h, double threshold) {
    const double t = fmax(fmin(threshold, absmax(h)), MICA_MIN_THRESHOLD);
    return (mica_range){t, fmax(h->min, -t), fmin(h->max, t)};
}

static mica_range method_max(const mica_histogram *h) { return range_of(h, absmax(h)); }

static mica_range method_percentile9999(const mica_histogram *h) {
    const double low = mica_histogram_quantile(h, 1.0 - 0.9999);
    const double high = mica_histogram_quantile(h, 0.9999);
    const double t = fmax(fmax(fabs(low), fabs(high)), MICA_MIN_THRESHOLD);
    return (mica_range){t, low, high};
}

/* --- kl ----------------------------------------------------------------------------------------- */

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
static mica_range method_kl(const mica_histogram *h) {
    const double KL_KEEP = 0.9999;
    enum { STEP = 8 };
    uint64_t bins[BINS];
    const int used = mica_histogram_magnitudes(h, true, bins);
    const int levels = h->is_signed ? 128 : 256;
    if (used <= levels) {
        return method_max(h);
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
    return range_of(h, best * mica_histogram_width(h));
}

/* --- mse ----------------------------------------------------------------------------------------- */

/* Integral from 0 to x of (u - s * round(u / s))^2 du. */
static double rounding_integral(double x, double s) {
    const double k = floor(x / s + 0.5);
    const double r = x - k * s;
    return k * (s * s * s) / 12.0 + r * r * r / 3.0;
}

static double clip_integral(double begin, double end, double top) {
    const double a = begin - top;
    const double b = end - top;
    return (b * b * b - a * a * a) / 3.0;
}

/* Sum over one side of the distribution; `levels` steps of size s reach from 0 to levels * s. */
static double side_error(const uint64_t *bins, int used, double w, double s, int levels) {
    const double top = levels * s;
    const double edge = top + 0.5 * s; /* beyond it, rounding becomes clipping */
    double sum = 0.0;
    for (int i = 0; i < used; ++i) {
        if (bins[i] == 0) {
            continue;
        }
        const double begin = i * w;
        const double end = begin + w;
        const double middle = fmin(fmax(edge, begin), end);
        double error = 0.0;
        if (middle > begin) {
            error += rounding_integral(middle, s) - rounding_integral(begin, s);
        }
        if (end > middle) {
            error += clip_integral(middle, end, top);
        }
        sum += (double)bins[i] * error / w;
    }
    return sum;
}

/* Both sides as magnitudes; zeros quantize without error and are left out. */
typedef struct sides {
    uint64_t positive[BINS], negative[BINS];
    int n_positive, n_negative;
    double w, count;
} sides;

static void split_sides(const mica_histogram *h, sides *out) {
    memset(out, 0, sizeof *out);
    const int middle = h->is_signed ? BINS / 2 : 0;
    for (int i = 0; i < BINS; ++i) {
        if (i >= middle) {
            out->positive[i - middle] = h->bins[i] - (i == middle ? h->zeros : 0);
        } else {
            out->negative[middle - 1 - i] = h->bins[i];
        }
    }
    out->n_positive = BINS - middle;
    out->n_negative = middle;
    while (out->n_positive > 0 && out->positive[out->n_positive - 1] == 0) {
        --out->n_positive;
    }
    while (out->n_negative > 0 && out->negative[out->n_negative - 1] == 0) {
        --out->n_negative;
    }
    out->w = mica_histogram_width(h);
    out->count = (double)(h->count > 0 ? h->count : 1);
}

static double error_at(const sides *side, bool is_signed, double t) {
    const double s = t / (is_signed ? 127.0 : 255.0);
    return (side_error(side->positive, side->n_positive, side->w, s, is_signed ? 127 : 255) +
            side_error(side->negative, side->n_negative, side->w, s, 128)) /
           side->count;
}

double mica_quantization_error(const mica_histogram *h, double t) {
    sides side;
    split_sides(h, &side);
    return error_at(&side, h->is_signed, t);
}

/* The error over t has a few shallow local minima, so: a geometric scan, then a finer one between
 * the neighbours of the best. */
static mica_range method_mse(const mica_histogram *h) {
    enum { COARSE = 96, FINE = 128 };
    const double top = absmax(h);
    if (h->count == 0 || top <= MICA_MIN_THRESHOLD) {
        return method_max(h);
    }
    sides side;
    split_sides(h, &side);
    const double ratio = pow(1.0 / 256.0, 1.0 / COARSE);
    double best = top;
    double least = error_at(&side, h->is_signed, top);
    double t = top;
    for (int i = 0; i < COARSE; ++i) {
        t *= ratio;
        const double error = error_at(&side, h->is_signed, t);
        if (error < least) {
            least = error;
            best = t;
        }
    }
    const double low = best * ratio;
    const double high = fmin(best / ratio, top);
    for (int i = 0; i <= FINE; ++i) {
        t = low + (high - low) * i / FINE;
        const double error = error_at(&side, h->is_signed, t);
        if (error < least) {
            least = error;
            best = t;
        }
    }
    return range_of(h, best);
}

/* --- table ------------------------------------------------------------------------------------- */

static const mica_method methods[] = {
#define METHOD(name, function, summary) {#name, method_##function, summary},
#include "passes/calibration/methods.def"
};

static const char *const names[] = {
#define METHOD(name, function, summary) #name,
#include "passes/calibration/methods.def"
};

const mica_method *mica_method_find(const char *name) {
    if (strncmp(name, "use_", 4) == 0) {
        name += 4;
    }
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; ++i) {
        if (strcmp(methods[i].name, name) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

const char *const *mica_method_names(size_t *out_count) {
    *out_count = sizeof names / sizeof names[0];
    return names;
}
