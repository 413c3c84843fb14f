/* Outputs whose sigmoid was cut off: what counts is the error behind it. */
#include <math.h>

#include "passes/calibration/methods.h"

/* The sigmoid is flat where errors of the grid are large, so a coarse look at each piece is enough. */
enum { POINTS = 4 };

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

static double side_error(const mica_piece *piece, const mica_piece *end, double sign, double s, int levels) {
    double sum = 0.0;
    for (; piece < end; ++piece) {
        double inside = 0.0;
        for (int i = 0; i < POINTS; ++i) {
            const double x = piece->begin + (piece->end - piece->begin) * (i + 0.5) / POINTS;
            const double q = fmin(floor(x / s + 0.5), levels) * s;
            const double e = sigmoid(sign * x) - sigmoid(sign * q);
            inside += e * e;
        }
        sum += piece->count * inside / POINTS;
    }
    return sum;
}

static double error_behind(const void *user, double t) {
    const mica_density *d = user;
    const mica_grid grid = mica_symmetric_grid(d->is_signed, d->bits, t);
    const mica_piece *middle = d->pieces + d->n_positive;
    return side_error(d->pieces, middle, 1.0, grid.step, grid.positive) +
           side_error(middle, d->pieces + d->n_pieces, -1.0, grid.step, grid.negative);
}

mica_range mica_method_post_sigmoid(const mica_histogram *h, const mica_method_settings *settings) {
    mica_density d;
    mica_density_of(h, &d);
    d.bits = settings->bits;
    if (d.n_pieces == 0 || d.largest <= MICA_MIN_THRESHOLD) {
        return mica_method_max(h, settings);
    }
    return mica_range_of(h, mica_search_threshold(d.largest, error_behind, &d));
}
