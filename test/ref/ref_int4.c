/* Products with narrow weights, number by number. */
#include "test/ref/ref_int4.h"

#include <math.h>
#include <stdlib.h>

#include "test/ref/ref_int.h"

static double at_least(double scale) {
    const double least = 1.0 / 1073741824.0;
    return scale > least ? (double)(float)scale : least;
}

ref_int4_grid ref_int4_range(double min, double max, int bits, int asymmetric) {
    const int32_t steps = (1 << bits) - 1;
    ref_int4_grid grid = {.low = min < 0.0 ? -(1 << (bits - 1)) : 0};
    grid.high = grid.low + steps;
    if (asymmetric) {
        const double low = fmin(min, 0.0);
        const double high = fmax(max, 0.0);
        grid.scale = at_least((high - low) / steps);
        grid.zero = (int32_t)nearbyint(grid.low - low / grid.scale);
        grid.zero = grid.zero < grid.low ? grid.low : grid.zero > grid.high ? grid.high : grid.zero;
    } else {
        grid.scale = at_least(fmax(fabs(min), fabs(max)) / grid.high);
    }
    return grid;
}

ref_int4_grid ref_int4_input(double min, double max, double threshold, int asymmetric) {
    if (threshold <= 0.0) {
        return ref_int4_range(min, max, 4, asymmetric);
    }
    return asymmetric ? ref_int4_range(fmax(min, -threshold), fmin(max, threshold), 4, 1)
                      : ref_int4_range(min < 0.0 ? -threshold : 0.0, threshold, 4, 0);
}

int32_t ref_int4_requantize(int32_t q, const ref_int4_grid *from, const ref_int4_grid *to) {
    const float real = (float)((double)(q - from->zero) * from->scale);
    return ref_int_quantize((double)real, to->scale, to->zero, to->low, to->high);
}

static void derive(double ratio, int64_t *multiplier, int *shift) {
    int exponent = 0;
    const double part = frexp(ratio, &exponent);
    *multiplier = (int64_t)nearbyint(ldexp(part, 31));
    if (*multiplier == INT64_C(1) << 31) {
        *multiplier /= 2;
        exponent++;
    }
    *shift = 31 - exponent;
}

/* [weight-balance] flip after flip, the one that lowers the loss most. */
static void balance(const float *w, int32_t *q, int64_t k, double scale, int32_t most) {
    for (;;) {
        double sum = 0.0;
        for (int64_t i = 0; i < k; i++) {
            sum += (double)w[i] / scale - q[i];
        }
        int64_t best = -1;
        double gain = 0.0;
        int32_t by = sum > 0.0 ? 1 : -1;
        for (int64_t i = 0; i < k; i++) {
            const double e = (double)w[i] / scale - q[i];
            const double found = e * e - (e - by) * (e - by) + sum * sum - (sum - by) * (sum - by);
            if (e * by > 0.0 && found > gain && abs(q[i] + by) <= most) {
                gain = found;
                best = i;
            }
        }
        if (best < 0) {
            return;
        }
        q[best] += by;
    }
}

/* The sum in steps of *scale times that of the input. */
static int64_t sum_of(const int32_t *x, const float *w, int64_t k, double bias, int bits, const ref_int4_grid *in,
                      double *scale) {
    const int32_t most = bits == 4 ? 7 : 127;
    double absmax = 0.0;
    for (int64_t i = 0; i < k; i++) {
        absmax = fmax(absmax, fabs((double)w[i]));
    }
    *scale = at_least(fmax(absmax / most, fabs(bias) / (in->scale * 1073741824.0)));
    int64_t sum = (int64_t)nearbyint(bias / (in->scale * *scale));
    int32_t *q = malloc((size_t)(k + 1) * sizeof *q);
    for (int64_t i = 0; i < k; i++) {
        q[i] = ref_int_quantize((double)w[i], *scale, 0, -most, most);
    }
    if (in->low == 0 && in->zero == 0) {
        balance(w, q, k, *scale, most);
    }
    for (int64_t i = 0; i < k; i++) {
        sum += (int64_t)(x[i] - in->zero) * q[i];
    }
    free(q);
    return sum;
}

float ref_int4_real(const int32_t *x, const float *w, int64_t k, double bias, int bits, const ref_int4_grid *in) {
    double scale = 0.0;
    const int64_t sum = sum_of(x, w, k, bias, bits, in, &scale);
    return (float)((double)sum * (in->scale * scale));
}

int32_t ref_int4_product(const int32_t *x, const float *w, int64_t k, double bias, int bits, const ref_int4_grid *in,
                         const ref_int4_grid *out, int relu) {
    double scale = 0.0;
    const int64_t sum = sum_of(x, w, k, bias, bits, in, &scale);
    int64_t multiplier = 0;
    int shift = 0;
    derive(in->scale * scale / out->scale, &multiplier, &shift);
    const int64_t y = ref_int_requant(sum, multiplier, shift) + out->zero;
    const int64_t low = relu && out->zero > out->low ? out->zero : out->low;
    return (int32_t)(y < low ? low : y > out->high ? out->high : y);
}
