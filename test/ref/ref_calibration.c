#include "test/ref/ref_calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- samples ------------------------------------------------------------------------------------ */

static double uniform(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint64_t z = *state;
    z = (z ^ (z >> 33)) * 0xff51afd7ed558ccdu;
    z ^= z >> 33;
    return ((double)(z >> 11) + 0.5) / 9007199254740992.0;
}

static double gauss(uint64_t *state) {
    const double r = sqrt(-2.0 * log(uniform(state)));
    return r * cos(6.283185307179586 * uniform(state));
}

/* t with 2 degrees of freedom by inversion. */
static double student2(uint64_t *state) {
    const double u = uniform(state);
    return (2.0 * u - 1.0) / sqrt(2.0 * u * (1.0 - u));
}

static double sample(ref_shape shape, uint64_t *s) {
    double v = 0.0;
    switch (shape) {
    case REF_GAUSS:
    case REF_ONE_OUTLIER:
        return gauss(s);
    case REF_LAPLACE:
        v = uniform(s) - 0.5;
        return v < 0.0 ? log(1.0 + 2.0 * v) : -log(1.0 - 2.0 * v);
    case REF_UNIFORM:
        return 2.0 * uniform(s) - 1.0;
    case REF_BIMODAL:
        return 0.3 * gauss(s) + (uniform(s) < 0.5 ? -3.0 : 3.0);
    case REF_RELU:
        return fmax(gauss(s), 0.0);
    case REF_HALF_NORMAL:
        return fabs(gauss(s));
    case REF_EXPONENTIAL:
        return -log(uniform(s));
    case REF_HEAVY:
        return student2(s);
    case REF_HEAVY_RELU:
        return fmax(student2(s), 0.0);
    case REF_OUTLIERS:
        return gauss(s) * (uniform(s) < 0.001 ? 100.0 : 1.0);
    case REF_SKEWED:
        v = 2.0 * gauss(s);
        return v / (1.0 + exp(-v));
    case REF_SHIFTED:
        return 10.0 + gauss(s);
    case REF_SPARSE:
        return uniform(s) < 0.2 ? gauss(s) : 0.0;
    default:
        return 0.0;
    }
}

const char *ref_shape_name(ref_shape shape) {
    static const char *const names[REF_SHAPES] = {
        "gauss", "laplace", "uniform", "bimodal", "relu", "half normal", "exponential", "heavy",
        "heavy relu", "outliers", "one outlier", "skewed", "shifted", "sparse"};
    return names[shape];
}

void ref_fill(ref_shape shape, float spread, uint64_t seed, float *x, int64_t n) {
    uint64_t state = seed * 2862933555777941757u + 3037000493u;
    for (int64_t i = 0; i < n; ++i) {
        x[i] = (float)(spread * sample(shape, &state));
    }
    if (shape == REF_ONE_OUTLIER && n > 0) {
        x[n / 2] = 1000.0f * spread;
    }
}

/* --- histogram ---------------------------------------------------------------------------------- */

static bool holds(const ref_histogram *r, int bins, int exponent) {
    const long double w = ldexpl(1.0L, exponent);
    const long double low = r->is_signed ? -(bins / 2) * w : 0.0L;
    const long double high = (r->is_signed ? bins / 2 : bins) * w;
    return r->min >= low && r->max < high;
}

ref_histogram ref_histogram_of(const float *x, int64_t n, int bins, int least, uint64_t *out) {
    ref_histogram r = {.exponent = least};
    memset(out, 0, (size_t)bins * sizeof *out);
    for (int64_t i = 0; i < n; ++i) {
        if (!isfinite(x[i])) {
            ++r.nonfinite;
            continue;
        }
        r.min = r.count == 0 || x[i] < r.min ? x[i] : r.min;
        r.max = r.count == 0 || x[i] > r.max ? x[i] : r.max;
        r.zeros += x[i] == 0.0f;
        r.is_signed = r.is_signed || x[i] < 0.0f;
        ++r.count;
    }
    while (!holds(&r, bins, r.exponent)) {
        ++r.exponent;
    }
    for (int64_t i = 0; i < n; ++i) {
        if (isfinite(x[i])) {
            const long double at = floorl(ldexpl((long double)x[i], -r.exponent));
            ++out[(int)at + (r.is_signed ? bins / 2 : 0)];
        }
    }
    return r;
}

static int compare_float(const void *a, const void *b) {
    const float x = *(const float *)a;
    const float y = *(const float *)b;
    return (x > y) - (x < y);
}

double ref_quantile(const float *x, int64_t n, double p) {
    float *sorted = malloc((size_t)n * sizeof *sorted + 1);
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (isfinite(x[i])) {
            sorted[count++] = x[i];
        }
    }
    qsort(sorted, (size_t)count, sizeof *sorted, compare_float);
    int64_t rank = (int64_t)ceil(p * (double)count) - 1;
    rank = rank < 0 ? 0 : (rank >= count ? count - 1 : rank);
    const double value = count > 0 ? sorted[rank] : 0.0;
    free(sorted);
    return value;
}

/* --- errors ------------------------------------------------------------------------------------- */

static bool has_negative(const float *x, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        if (x[i] < 0.0f) {
            return true;
        }
    }
    return false;
}

static double error_of(const float *x, int64_t n, double t, bool is_signed) {
    const double s = t / (is_signed ? 127.0 : 255.0);
    const double low = is_signed ? -128.0 : 0.0;
    const double high = is_signed ? 127.0 : 255.0;
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        double q = rint(x[i] / s);
        q = q < low ? low : (q > high ? high : q);
        sum += (x[i] - q * s) * (x[i] - q * s);
    }
    return sum / (double)n;
}

double ref_error(const float *x, int64_t n, double t) {
    return error_of(x, n, t, has_negative(x, n));
}

static double power(const float *x, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        sum += (double)x[i] * x[i];
    }
    return sum / (double)n;
}

double ref_sqnr(const float *x, int64_t n, double t) {
    return 10.0 * log10(power(x, n) / ref_error(x, n, t));
}

double ref_best_sqnr(const float *x, int64_t n, double *out_t) {
    enum { COARSE = 900, FINE = 60 };
    const bool is_signed = has_negative(x, n);
    double top = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        top = fmax(top, fabs((double)x[i]));
    }
    const double ratio = pow(1.0 / 3000.0, 1.0 / COARSE);
    double best = top;
    double least = HUGE_VAL;
    for (int i = 0; i <= COARSE; ++i) {
        const double t = top * pow(ratio, i);
        const double error = error_of(x, n, t, is_signed);
        if (error < least) {
            least = error;
            best = t;
        }
    }
    const double middle = best;
    for (int i = -FINE; i <= FINE; ++i) {
        const double t = fmin(middle * pow(ratio, (double)i / FINE), top);
        const double error = error_of(x, n, t, is_signed);
        if (error < least) {
            least = error;
            best = t;
        }
    }
    *out_t = best;
    return 10.0 * log10(power(x, n) / least);
}
