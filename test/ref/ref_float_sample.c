#include "test/ref/ref_float_sample.h"

#include <math.h>

/* --- grid sample --- */

/* Bounces off the borders until inside. */
static double bounce(double v, double low, double high) {
    if (low >= high) {
        return low;
    }
    while (v < low || v > high) {
        v = v < low ? 2 * low - v : 2 * high - v;
    }
    return v;
}

static double low_of(const ref_sample *g) {
    return g->align ? 0 : -0.5;
}
static double high_of(const ref_sample *g, int axis) {
    return (double)g->size[axis] - 1 - low_of(g);
}

/* Value at integer indices, all axes at once. */
static double pixel(const ref_sample *g, const float *plane, const int64_t *at) {
    int64_t place = 0;
    for (int i = 0; i < g->axes; i++) {
        int64_t k = at[i];
        const bool outside = k < 0 || k >= g->size[i];
        if (outside && g->padding == 'z') {
            return 0;
        }
        if (outside && g->padding == 'b') {
            k = k < 0 ? 0 : g->size[i] - 1;
        }
        if (outside && g->padding == 'r') {
            k = (int64_t)bounce((double)k, low_of(g), high_of(g, i));
        }
        place = place * g->size[i] + k;
    }
    return (double)plane[place];
}

/* Weight of an element at distance d from the position. */
static double kernel(char mode, double d) {
    const double a = -0.75;
    d = fabs(d);
    if (mode == 'l') {
        return d < 1 ? 1 - d : 0;
    }
    if (d <= 1) {
        return (a + 2) * d * d * d - (a + 3) * d * d + 1;
    }
    return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}

static double between(const ref_sample *g, const float *plane, const double *at) {
    double sum = 0;
    int64_t total = 1;
    for (int i = 0; i < g->axes; i++) {
        total *= 4;
    }
    for (int64_t tap = 0; tap < total; tap++) {
        int64_t place[3], rest = tap;
        double weight = 1;
        for (int i = 0; i < g->axes; i++) {
            place[i] = (int64_t)floor(at[i]) - 1 + rest % 4;
            rest /= 4;
            weight *= kernel(g->mode, at[i] - (double)place[i]);
        }
        sum += weight == 0 ? 0 : weight * pixel(g, plane, place);
    }
    return sum;
}

static double sample_one(const ref_sample *g, const float *plane, const float *coordinates) {
    double at[3];
    int64_t whole[3];
    for (int i = 0; i < g->axes; i++) {
        const double u = ((double)coordinates[g->axes - 1 - i] + 1) / 2;
        const double size = (double)g->size[i];
        at[i] = g->align ? u * (size - 1) : u * size - 0.5;
        if (g->mode == 'n') {
            const double down = floor(at[i]), part = at[i] - down;
            const bool up = part > 0.5 || (part == 0.5 && fmod(down, 2) != 0);
            at[i] = up ? down + 1 : down;
        }
        const bool outside = at[i] < low_of(g) || at[i] > high_of(g, i);
        if (outside && g->padding == 'b' && g->mode != 'c') {
            at[i] = fmin(fmax(at[i], 0), size - 1);
        }
        if (outside && g->padding == 'r') {
            at[i] = bounce(at[i], low_of(g), high_of(g, i));
        }
        whole[i] = (int64_t)at[i];
    }
    return g->mode == 'n' ? pixel(g, plane, whole) : between(g, plane, at);
}

void ref_grid_sample_run(const ref_sample *g, const float *x, const float *grid, double *y) {
    int64_t plane = 1;
    for (int i = 0; i < g->axes; i++) {
        plane *= g->size[i];
    }
    for (int64_t i = 0; i < g->n * g->c * g->points; i++) {
        const int64_t point = i % g->points, n = i / g->points / g->c;
        y[i] = sample_one(g, x + i / g->points * plane, grid + (n * g->points + point) * g->axes);
    }
}

/* --- boxes --- */

static double at_2d(const float *x, int64_t h, int64_t w, int64_t i, int64_t k) {
    return i < 0 || i >= h || k < 0 || k >= w ? 0 : (double)x[i * w + k];
}

static double roi_sample(const ref_roi *g, const float *x, float fy, float fx) {
    if (fy < -1 || fy > (float)g->h || fx < -1 || fx > (float)g->w) {
        return 0;
    }
    const double py = fmin(fmax((double)fy, 0), (double)g->h - 1);
    const double px = fmin(fmax((double)fx, 0), (double)g->w - 1);
    double sum = 0, best = -(double)INFINITY;
    for (int q = 0; q < 4; q++) {
        const int64_t i = (int64_t)py + q / 2, k = (int64_t)px + q % 2;
        const double weight = (1 - fabs(py - (double)i)) * (1 - fabs(px - (double)k));
        const double term = weight * at_2d(x, g->h, g->w, i, k);
        sum += term;
        best = fmax(best, term);
    }
    return g->max ? best : sum;
}

void ref_roi_align_run(const ref_roi *g, const float *x, const float *rois, const int64_t *index,
                       double *y) {
    const float shift = g->half_pixel ? 0.5f : 0;
    for (int64_t i = 0; i < g->boxes * g->c * g->out_h * g->out_w; i++) {
        const int64_t kw = i % g->out_w, kh = i / g->out_w % g->out_h;
        const int64_t box = i / g->out_w / g->out_h / g->c, c = i / g->out_w / g->out_h % g->c;
        y[i] = 0;
        if (index[box] < 0 || index[box] >= g->n) {
            continue;
        }
        const float *r = rois + 4 * box, *plane = x + (index[box] * g->c + c) * g->h * g->w;
        const float x0 = r[0] * g->scale - shift, y0 = r[1] * g->scale - shift;
        float width = r[2] * g->scale - shift - x0, height = r[3] * g->scale - shift - y0;
        width = g->half_pixel ? width : fmaxf(width, 1);
        height = g->half_pixel ? height : fmaxf(height, 1);
        const float bw = width / (float)g->out_w, bh = height / (float)g->out_h;
        const int64_t nw = g->ratio ? g->ratio : (int64_t)fmaxf(ceilf(bw), 0);
        const int64_t nh = g->ratio ? g->ratio : (int64_t)fmaxf(ceilf(bh), 0);
        double sum = 0, best = -(double)INFINITY;
        for (int64_t s = 0; s < nh * nw; s++) {
            const float fy = y0 + (float)kh * bh + ((float)(s / nw) + 0.5f) * bh / (float)nh;
            const float fx = x0 + (float)kw * bw + ((float)(s % nw) + 0.5f) * bw / (float)nw;
            const double v = roi_sample(g, plane, fy, fx);
            sum += v;
            best = fmax(best, v);
        }
        y[i] = nh * nw == 0 ? 0 : g->max ? best : sum / (double)(nh * nw);
    }
}

void ref_roi_max_pool_run(const ref_roi *g, const float *x, const float *rois, double *y) {
    for (int64_t i = 0; i < g->boxes * g->c * g->out_h * g->out_w; i++) {
        const int64_t kw = i % g->out_w, kh = i / g->out_w % g->out_h;
        const int64_t box = i / g->out_w / g->out_h / g->c, c = i / g->out_w / g->out_h % g->c;
        const float *r = rois + 5 * box;
        y[i] = 0;
        if (r[0] < 0 || r[0] >= (float)g->n) {
            continue;
        }
        const float *plane = x + ((int64_t)r[0] * g->c + c) * g->h * g->w;
        const double x0 = (double)roundf(r[1] * g->scale), y0 = (double)roundf(r[2] * g->scale);
        const double bw = fmax((double)roundf(r[3] * g->scale) - x0 + 1, 1) / (double)g->out_w;
        const double bh = fmax((double)roundf(r[4] * g->scale) - y0 + 1, 1) / (double)g->out_h;
        double best = -(double)INFINITY;
        for (int64_t at = 0; at < g->h * g->w; at++) {
            const double h = (double)(at / g->w) - y0, w = (double)(at % g->w) - x0;
            const bool inside = h >= floor((double)kh * bh) && h < ceil((double)(kh + 1) * bh) &&
                                w >= floor((double)kw * bw) && w < ceil((double)(kw + 1) * bw);
            best = inside ? fmax(best, (double)plane[at]) : best;
        }
        y[i] = isinf(best) ? 0 : best;
    }
}

/* --- moved windows --- */

void ref_deform_run(const ref_deform *g, const float *x, const float *offset, const float *mask,
                    double *y) {
    const int64_t taps = g->kernel[0] * g->kernel[1], points = g->out_h * g->out_w;
    for (int64_t i = 0; i < g->n * g->c * taps * points; i++) {
        const int64_t p = i % points, k = i / points % taps, c = i / points / taps % g->c;
        const int64_t n = i / points / taps / g->c;
        const int64_t place = (n * g->groups + c / (g->c / g->groups)) * taps + k;
        const double h = (double)(p / g->out_w * g->stride[0] - g->pad[0] +
                                  k / g->kernel[1] * g->dilation[0]) +
                         (double)offset[2 * place * points + p];
        const double w = (double)(p % g->out_w * g->stride[1] - g->pad[1] +
                                  k % g->kernel[1] * g->dilation[1]) +
                         (double)offset[(2 * place + 1) * points + p];
        double sum = 0;
        for (int64_t at = 0; at < g->h * g->w; at++) {
            const double down = fmax(0, 1 - fabs(h - (double)(at / g->w)));
            const double across = fmax(0, 1 - fabs(w - (double)(at % g->w)));
            sum += down * across * (double)x[(n * g->c + c) * g->h * g->w + at];
        }
        y[i] = sum * (mask ? (double)mask[place * points + p] : 1);
    }
}
