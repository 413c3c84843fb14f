#include "passes/calibration/density.h"

#include <math.h>

enum { BINS = MICA_HISTOGRAM_BINS, HALF = BINS / 2, K = MICA_FINE_PER_OCTAVE };

/* --- pieces ------------------------------------------------------------------------------------- */

static void add_piece(mica_density *d, double begin, double end, double count, double least,
                      double most) {
    if (count <= 0.0) {
        return;
    }
    begin = fmin(fmax(begin, least), most);
    end = fmax(fmin(end, most), begin);
    d->pieces[d->n_pieces++] = (mica_piece){begin, end, count};
    d->nonzero += count;
    d->power += count * (begin * begin + begin * end + end * end) / 3.0;
}

/* Magnitude bin i of a side. */
static double bin_at(const mica_histogram *h, int side, int i) {
    if (!h->is_signed) {
        return (double)h->bins[i];
    }
    return (double)h->bins[side == 0 ? HALF + i : HALF - 1 - i];
}

/* Values of a side have magnitudes in [least, most]. */
static void add_side(mica_density *d, const mica_histogram *h, int side, double least, double most) {
    const double w = mica_histogram_width(h);
    double below = side == 0 ? -(double)h->zeros : 0.0;
    for (int i = 0; i < K; ++i) {
        below += bin_at(h, side, i);
    }
    for (int i = 0; i < MICA_FINE_COUNTERS; ++i) {
        below -= (double)h->fine[side][i];
    }
    add_piece(d, 0.0, mica_fine_begin(MICA_FINE_COUNTERS - 1) * w, below, least, most);
    for (int i = MICA_FINE_COUNTERS - 1; i >= 0; --i) {
        const double end = i > 0 ? mica_fine_begin(i - 1) : K;
        add_piece(d, mica_fine_begin(i) * w, end * w, (double)h->fine[side][i], least, most);
    }
    for (int i = K; i < (h->is_signed ? HALF : BINS); ++i) {
        add_piece(d, i * w, (i + 1) * w, bin_at(h, side, i), least, most);
    }
}

void mica_density_of(const mica_histogram *h, mica_density *out) {
    out->n_pieces = 0;
    out->bits = 8;
    out->nonzero = out->power = 0.0;
    out->is_signed = h->is_signed;
    out->count = (double)(h->count > 0 ? h->count : 1);
    out->largest = fmax(fabs((double)h->min), fabs((double)h->max));
    add_side(out, h, 0, fmax(h->min, 0.0), fmax(h->max, 0.0));
    out->n_positive = out->n_pieces;
    if (h->is_signed) {
        add_side(out, h, 1, fmax(-(double)h->max, 0.0), -(double)h->min);
    }
    out->power /= out->count;
}

/* --- noise -------------------------------------------------------------------------------------- */

mica_grid mica_symmetric_grid(bool is_signed, int bits, double t) {
    const int half = 1 << (bits - 1);
    return is_signed ? (mica_grid){t / (half - 1), half - 1, half}
                     : (mica_grid){t / (2 * half - 1), 2 * half - 1, 0};
}

mica_grid mica_asymmetric_grid(double min, double max) {
    const double low = fmin(min, 0.0);
    const double step = fmax((fmax(max, 0.0) - low) / 255.0, 1e-30);
    const int negative = (int)fmin(rint(-low / step), 255.0);
    return (mica_grid){step, 255 - negative, negative};
}

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

static void add_side_noise(const mica_piece *piece, const mica_piece *end, double s, int levels,
                           mica_noise *out) {
    const double top = levels * s;
    const double edge = top + 0.5 * s; /* beyond it, rounding becomes clipping */
    for (; piece < end; ++piece) {
        const double length = piece->end - piece->begin;
        if (length <= 1e-9 * piece->end) { /* a point; the integrals would cancel */
            const double r = piece->begin - fmin(floor(piece->begin / s + 0.5), levels) * s;
            *(piece->begin > edge ? &out->clipping : &out->rounding) += piece->count * r * r;
            continue;
        }
        const double middle = fmin(fmax(edge, piece->begin), piece->end);
        const double each = piece->count / length;
        if (middle > piece->begin) {
            out->rounding +=
                each * (rounding_integral(middle, s) - rounding_integral(piece->begin, s));
        }
        if (piece->end > middle) {
            out->clipping += each * clip_integral(middle, piece->end, top);
        }
    }
}

mica_noise mica_density_noise(const mica_density *d, mica_grid grid) {
    mica_noise noise = {0.0, 0.0};
    const mica_piece *middle = d->pieces + d->n_positive;
    add_side_noise(d->pieces, middle, grid.step, grid.positive, &noise);
    add_side_noise(middle, d->pieces + d->n_pieces, grid.step, grid.negative, &noise);
    return (mica_noise){noise.rounding / d->count, noise.clipping / d->count};
}

double mica_density_error(const mica_density *d, mica_grid grid) {
    const mica_noise noise = mica_density_noise(d, grid);
    return noise.rounding + noise.clipping;
}

/* --- moments ------------------------------------------------------------------------------------ */

mica_moments mica_density_moments(const mica_density *d) {
    double sum[2] = {0.0, 0.0};
    for (int i = 0; i < d->n_pieces; ++i) {
        const mica_piece *p = &d->pieces[i];
        sum[i >= d->n_positive] += p->count * 0.5 * (p->begin + p->end);
    }
    const double n = fmax(d->nonzero, 1.0);
    return (mica_moments){.mean = (sum[0] - sum[1]) / n,
                          .magnitude = (sum[0] + sum[1]) / n,
                          .square = d->power * d->count / n};
}

mica_tail mica_density_tail(const mica_density *d, double t) {
    mica_tail tail = {0.0, 0.0};
    for (int i = 0; i < d->n_pieces; ++i) {
        const mica_piece *p = &d->pieces[i];
        if (p->end <= t) {
            continue;
        }
        const double begin = fmax(p->begin, t);
        const double share = p->end > p->begin ? (p->end - begin) / (p->end - p->begin) : 1.0;
        tail.count += share * p->count;
        tail.sum += share * p->count * 0.5 * (begin + p->end);
    }
    return tail;
}

double mica_density_quantile(const mica_density *d, double p) {
    const double above = (1.0 - p) * d->count; /* values that may exceed the result */
    int last[2] = {d->n_positive - 1, d->n_pieces - 1};
    const int first[2] = {0, d->n_positive};
    double passed = 0.0;
    double value = 0.0;
    while (last[0] >= first[0] || last[1] >= first[1]) {
        /* The side whose piece begins higher: its begin is the next magnitude to come down to. */
        const int side = last[1] < first[1] || (last[0] >= first[0] &&
                         d->pieces[last[0]].begin >= d->pieces[last[1]].begin) ? 0 : 1;
        const mica_piece *piece = &d->pieces[last[side]--];
        if (passed + piece->count > above) {
            value = piece->end - (piece->end - piece->begin) * (above - passed) / piece->count;
            break;
        }
        passed += piece->count;
    }
    return fmin(value, d->largest);
}

/* --- divergence --------------------------------------------------------------------------------- */

/* What one step of the grid holds. */
typedef struct cell {
    double mass, length, entropy; /* entropy: sum of mass * log(density) */
    int pieces;
} cell;

static double settle_cell(cell *c, double n) {
    double d = 0.0;
    if (c->mass > 0.0 && c->length > 0.0) {
        d = c->entropy - c->mass * log(c->mass / c->length) - 0.5 * (c->pieces - 1) / n;
    }
    *c = (cell){0};
    return d;
}

typedef struct side_divergence {
    double sum, tail_mass, tail_entropy;
} side_divergence;

static void add_tail(side_divergence *out, double mass, double length) {
    out->tail_mass += mass;
    out->tail_entropy += mass * log(mass / length);
}

static void add_side_divergence(const mica_piece *piece, const mica_piece *end, double s, int levels,
                                double n, side_divergence *out) {
    cell c = {0};
    double at = -1.0;
    const double edge = (levels + 0.5) * s;
    for (; piece < end; ++piece) {
        const double length = fmax(piece->end - piece->begin, 1e-6 * piece->end);
        double begin = piece->begin;
        const double stop = begin + length;
        while (begin < stop) {
            const double k = fmin(floor(begin / s + 0.5), (double)levels + 1.0);
            if (k != at) {
                out->sum += settle_cell(&c, n);
                at = k;
            }
            double next = k > levels ? stop : fmin((k + 0.5) * s, stop);
            next = next > begin ? next : stop; /* rounding must not stop the walk */
            const double share = (next - begin) / length;
            const double mass = piece->count * share / n;
            if (begin >= edge) {
                add_tail(out, mass, next - begin);
            } else if (mass > 0.0) {
                c.mass += mass;
                c.length += next - begin;
                c.entropy += mass * log(mass / (next - begin));
                c.pieces += 1;
            }
            begin = next;
        }
    }
    out->sum += settle_cell(&c, n);
}

double mica_density_divergence(const mica_density *d, mica_grid grid) {
    const double TAIL = 1e-4;
    const double n = fmax(d->nonzero, 1.0);
    const mica_piece *middle = d->pieces + d->n_positive;
    side_divergence both = {0.0, 0.0, 0.0};
    add_side_divergence(d->pieces, middle, grid.step, grid.positive, n, &both);
    add_side_divergence(middle, d->pieces + d->n_pieces, grid.step, grid.negative, n, &both);
    const double top = (fmax(grid.positive, grid.negative) + 0.5) * grid.step;
    if (both.tail_mass <= 0.0) {
        return both.sum;
    }
    /* The inside of Q is (1 - TAIL) / (1 - tail) times that of P. */
    const double inside = 1.0 - both.tail_mass;
    const double scale = inside > 0.0 ? inside * log(inside / (1.0 - TAIL)) : 0.0;
    const double reach = fmax(d->largest - top, grid.step) * (d->is_signed ? 2.0 : 1.0);
    return both.sum + scale + both.tail_entropy - both.tail_mass * log(TAIL / reach);
}
