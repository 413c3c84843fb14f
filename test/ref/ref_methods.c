#include "test/ref/ref_methods.h"

#include <math.h>
#include <stdlib.h>

static bool has_negative(const float *x, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        if (x[i] < 0.0f) {
            return true;
        }
    }
    return false;
}

static double quantized(double v, double t, bool is_signed) {
    const double levels = is_signed ? 127.0 : 255.0;
    const double step = t / levels;
    return fmin(fmax(rint(v / step), is_signed ? -128.0 : 0.0), levels) * step;
}

/* --- closed forms ------------------------------------------------------------------------------- */

static double slope(bool laplace, int bits, double t) {
    const double rounding = 2.0 * t / (3.0 * pow(4.0, bits));
    return laplace ? rounding - 2.0 * exp(-t)
                   : rounding + 2.0 * t * erfc(t / sqrt(2.0)) - 2.0 * sqrt(2.0 / 3.14159265358979323846) * exp(-0.5 * t * t);
}

double ref_aciq_factor(bool laplace, int bits) {
    double low = 1.0;
    double high = laplace ? 40.0 : 10.0;
    for (int i = 0; i < 100; ++i) {
        const double middle = 0.5 * (low + high);
        *(slope(laplace, bits, middle) > 0.0 ? &high : &low) = middle;
    }
    return low;
}

double ref_aciq(const float *x, int64_t n, bool laplace) {
    const bool is_signed = has_negative(x, n);
    double mean = 0.0;
    double count = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        mean += (double)x[i];
        count += x[i] != 0.0f;
    }
    mean = is_signed ? mean / count : 0.0;
    double spread = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        const double d = (double)x[i] - mean;
        spread += x[i] != 0.0f ? (laplace ? fabs(d) : d * d) : 0.0;
    }
    spread = laplace ? spread / count : sqrt(spread / count);
    return fabs(mean) + ref_aciq_factor(laplace, is_signed ? 8 : 9) * spread;
}

double ref_octav(const float *x, int64_t n) {
    const double levels = has_negative(x, n) ? 127.0 : 255.0;
    double t = 0.0;
    double count = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        t += fabs((double)x[i]);
        count += x[i] != 0.0f;
    }
    t = 2.0 * t / count;
    for (int step = 0; step < 50; ++step) {
        double above = 0.0;
        double sum = 0.0;
        for (int64_t i = 0; i < n; ++i) {
            const double a = fabs((double)x[i]);
            above += a > t;
            sum += a > t ? a : 0.0;
        }
        t = sum / ((count - above) / (12.0 * levels * levels) + above);
    }
    return t;
}

/* --- divergence --------------------------------------------------------------------------------- */

double ref_divergence(const float *x, int64_t n, double t, int bins, bool by_magnitude) {
    enum { LEVELS = 600 };
    const bool is_signed = has_negative(x, n);
    const double step = t / (is_signed ? 127.0 : 255.0);
    const double edge = t + 0.5 * step;
    const double lower_edge = is_signed ? edge + step : 0.5 * step;
    double largest = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        largest = fmax(largest, fabs((double)x[i]));
    }
    /* Bins are centred on the half steps, so that each belongs to one step of the grid. */
    const double width = step / bins;
    const int64_t half = (int64_t)ceil(largest / width) + bins;
    double *mass = calloc((size_t)(2 * half + 2), sizeof *mass);
    double cells[LEVELS] = {0.0};
    double filled[LEVELS] = {0.0};
    double total = 0.0;
    double number = 0.0;
    for (int64_t i = 0; i < n && mass != NULL; ++i) {
        const double v = (double)x[i];
        const double weight = by_magnitude ? fabs(v) : v != 0.0;
        number += v != 0.0;
        total += weight;
        mass[(int64_t)floor(v / width + 0.5 * bins) + half] += weight;
        if (v <= edge && v >= -lower_edge) {
            cells[(int)floor(v / step + 0.5) + LEVELS / 2] += weight;
        }
    }
    double sum = 0.0;
    double tail = 0.0;
    double entropy = 0.0;
    for (int64_t b = 0; b < 2 * half + 2 && mass != NULL; ++b) {
        const double middle = ((double)(b - half) + 0.5 - 0.5 * bins) * width;
        if (mass[b] > 0.0 && (middle > edge || middle < -lower_edge)) {
            tail += mass[b] / total;
            entropy += mass[b] / total * log(mass[b] / total / width);
        } else if (mass[b] > 0.0) {
            const int cell = (int)floor((double)(b - half) / bins) + LEVELS / 2;
            sum += mass[b] / total * log(mass[b] * bins / cells[cell]);
            filled[cell] += 1.0;
        }
    }
    /* Chance alone adds half a value per bin but the first. */
    for (int c = 0; c < LEVELS; ++c) {
        sum -= filled[c] > 1.0 ? 0.5 * (filled[c] - 1.0) / number : 0.0;
    }
    free(mass);
    if (tail <= 0.0) {
        return sum;
    }
    const double reach = fmax(largest - edge, step) * (is_signed ? 2.0 : 1.0);
    return sum + (1.0 - tail) * log((1.0 - tail) / (1.0 - 1e-4)) + entropy - tail * log(1e-4 / reach);
}

/* --- errors ------------------------------------------------------------------------------------- */

double ref_weighted_error(const float *x, int64_t n, double t, double factor) {
    const bool is_signed = has_negative(x, n);
    const double step = t / (is_signed ? 127.0 : 255.0);
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        const double v = (double)x[i];
        const double e = v - quantized(v, t, is_signed);
        const bool clipped = v > t + 0.5 * step || v < -(t + 1.5 * step);
        sum += e * e * (clipped ? factor : 1.0);
    }
    return sum / (double)n;
}

double ref_clipped(const float *x, int64_t n, double t) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
        count += fabs((double)x[i]) > t;
    }
    return (double)count / (double)n;
}

double ref_sigmoid_error(const float *x, int64_t n, double t) {
    const bool is_signed = has_negative(x, n);
    double sum = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        const double v = (double)x[i];
        const double e = 1.0 / (1.0 + exp(-v)) - 1.0 / (1.0 + exp(-quantized(v, t, is_signed)));
        sum += e * e;
    }
    return sum / (double)n;
}
