/* Average pooling and linear resize by definition. */
#include "test/ref/ref_int.h"

#include <math.h>

static void split(int64_t index, const int64_t *dims, int64_t *out) {
    out[2] = index % dims[2];
    out[1] = index / dims[2] % dims[1];
    out[0] = index / dims[2] / dims[1];
}

void ref_int_pool_run(const ref_int_pool *r, int32_t *y) {
    const int64_t volume = r->kernel[0] * r->kernel[1] * r->kernel[2];
    for (int64_t p = 0; p < r->out[0] * r->out[1] * r->out[2]; ++p) {
        int64_t o[3];
        int64_t sum = 0;
        int64_t divisor = 0;
        split(p, r->out, o);
        for (int64_t t = 0; t < volume; ++t) {
            int64_t k[3];
            int64_t at = 0;
            int inside = 1;
            int padded = 1;
            split(t, r->kernel, k);
            for (int i = 0; i < 3; ++i) {
                const int64_t q = o[i] * r->stride[i] - r->pad[i] + k[i] * r->dilation[i];
                inside = inside && q >= 0 && q < r->in[i];
                padded = padded && q < r->in[i] + r->pad_end[i];
                at = at * r->in[i] + q;
            }
            sum += inside ? r->x[at] - r->zero_point_in : 0;
            divisor += r->include_pad ? padded : inside;
        }
        int64_t q = divisor == 0 ? 0
                                 : ref_int_ratio(sum, r->multiplier, volume, divisor, r->shift);
        q += r->zero_point_out;
        y[p] = (int32_t)(q < r->low ? r->low : (q > r->high ? r->high : q));
    }
}

static void tap(int64_t o, int64_t in, int64_t out, int align_corners, int64_t *low, int64_t *high,
                int64_t *weight) {
    double x = 0.0;
    if (in == out) {
        x = (double)o;
    } else if (align_corners) {
        x = out > 1 ? (double)o * (double)(in - 1) / (double)(out - 1) : 0.0;
    } else {
        x = ((double)o + 0.5) / ((double)out / (double)in) - 0.5;
    }
    *weight = (int64_t)nearbyint((x - floor(x)) * 2048.0);
    *low = (int64_t)floor(x);
    *high = *low + 1;
    *low = *low < 0 ? 0 : (*low > in - 1 ? in - 1 : *low);
    *high = *high < 0 ? 0 : (*high > in - 1 ? in - 1 : *high);
}

void ref_int_resize(const int32_t *x, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w,
                    int align_corners, int32_t *y) {
    for (int64_t h = 0; h < out_h; ++h) {
        for (int64_t w = 0; w < out_w; ++w) {
            int64_t h0, h1, wh, w0, w1, ww;
            tap(h, in_h, out_h, align_corners, &h0, &h1, &wh);
            tap(w, in_w, out_w, align_corners, &w0, &w1, &ww);
            const int64_t sum = x[h0 * in_w + w0] * (2048 - wh) * (2048 - ww) +
                                x[h0 * in_w + w1] * (2048 - wh) * ww +
                                x[h1 * in_w + w0] * wh * (2048 - ww) +
                                x[h1 * in_w + w1] * wh * ww;
            y[h * out_w + w] = (int32_t)ref_int_half_up(sum, 22);
        }
    }
}
