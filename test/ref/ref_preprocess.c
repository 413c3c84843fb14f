#include "test/ref/ref_preprocess.h"

#include <math.h>

/* --- the resize rule of 8-bit bilinear interpolation --------------------------------------------- */

typedef struct tap {
    int first, second; /* source elements */
    int w0, w1;        /* weights of 2048 */
} tap;

static int clamp(int v, int low, int high) { return v < low ? low : (v > high ? high : v); }

static tap tap_of(int i, int n, int m, bool horizontal) {
    const double k = 1.0 / ((double)m / n);
    const float p = (float)((i + 0.5) * k - 0.5);
    int s = (int)floorf(p);
    float f = p - (float)s;
    if (horizontal && p < 0.0f) {
        s = 0;
        f = 0.0f;
    }
    if (horizontal && s >= n - 1) {
        s = n - 1;
        f = 0.0f;
    }
    return (tap){clamp(s, 0, n - 1), clamp(s + 1, 0, n - 1), (int)rintf((1.0f - f) * 2048.0f),
                 (int)rintf(f * 2048.0f)};
}

static int resized(const ref_preprocess *p, const uint8_t *pixels, int w, int h, int x, int y, int c) {
    if (w == p->width && h == p->height) {
        return pixels[(y * p->width + x) * p->channels + c];
    }
    const tap tx = tap_of(x, p->width, w, true);
    const tap ty = tap_of(y, p->height, h, false);
    int row[2];
    for (int i = 0; i < 2; ++i) {
        const uint8_t *line = pixels + (i == 0 ? ty.first : ty.second) * p->width * p->channels;
        row[i] = line[tx.first * p->channels + c] * tx.w0 + line[tx.second * p->channels + c] * tx.w1;
    }
    return clamp(((((row[0] >> 4) * ty.w0) >> 16) + (((row[1] >> 4) * ty.w1) >> 16) + 2) >> 2, 0, 255);
}

/* --- the frame ----------------------------------------------------------------------------------- */

/* Value of channel c of the frame of resize_width x resize_height. */
static int framed(const ref_preprocess *p, const uint8_t *pixels, int x, int y, int c) {
    if (p->resize == REF_STRETCH) {
        return resized(p, pixels, p->resize_width, p->resize_height, x, y, c);
    }
    const double by_width = (double)p->resize_width / p->width;
    const double by_height = (double)p->resize_height / p->height;
    const bool fill = p->resize == REF_SHORT_SIDE;
    const double ratio = (by_width > by_height) == fill ? by_width : by_height;
    int w = (int)floor(p->width * ratio + 0.5);
    int h = (int)floor(p->height * ratio + 0.5);
    if (fill) {
        w = w < p->resize_width ? p->resize_width : w;
        h = h < p->resize_height ? p->resize_height : h;
        return resized(p, pixels, w, h, x + (w - p->resize_width) / 2, y + (h - p->resize_height) / 2, c);
    }
    w = clamp(w, 1, p->resize_width);
    h = clamp(h, 1, p->resize_height);
    const int left = p->pad_center ? (p->resize_width - w) / 2 : 0;
    const int top = p->pad_center ? (p->resize_height - h) / 2 : 0;
    if (x < left || x >= left + w || y < top || y >= top + h) {
        return p->pad_value;
    }
    return resized(p, pixels, w, h, x - left, y - top, c);
}

void ref_preprocess_run(const ref_preprocess *p, const uint8_t *pixels, float *out) {
    const int left = (p->resize_width - p->net_width) / 2;
    const int top = (p->resize_height - p->net_height) / 2;
    for (int c = 0; c < p->net_channels; ++c) {
        for (int y = 0; y < p->net_height; ++y) {
            for (int x = 0; x < p->net_width; ++x) {
                int v = 0;
                if (p->channels == 1) {
                    v = framed(p, pixels, x + left, y + top, 0);
                } else if (p->net_channels == 1) {
                    const int r = framed(p, pixels, x + left, y + top, 0);
                    const int g = framed(p, pixels, x + left, y + top, 1);
                    const int b = framed(p, pixels, x + left, y + top, 2);
                    v = (r * 4899 + g * 9617 + b * 1868 + 8192) / 16384;
                } else {
                    v = framed(p, pixels, x + left, y + top, p->bgr ? 2 - c : c);
                }
                const int at = p->nhwc ? (y * p->net_width + x) * p->net_channels + c
                                       : (c * p->net_height + y) * p->net_width + x;
                out[at] = ((float)v - p->mean[c]) * p->scale[c];
            }
        }
    }
}
