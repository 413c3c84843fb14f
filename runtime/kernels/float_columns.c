/* Gathering of input columns for convolution as a matrix product. */
#include "runtime/kernels/float_conv.h"

#include "runtime/mrt_clones.h"

#include <string.h>

/* One row of the columns (one channel and tap): positions [low, high) of a grid row read inside the
 * input, the others are 0. */
typedef struct column_row {
    const float *x; /* channel */
    int64_t at[3];  /* input index at grid position 0 */
    int64_t low, high;
} column_row;

static column_row make_row(const mrt_columns *c, const float *x, const int64_t tap[3]) {
    column_row r = {.x = x};
    for (int i = 0; i < 3; i++) {
        r.at[i] = c->first[i] + tap[i] * c->tap_step[i];
    }
    const int64_t at = r.at[2], step = c->step[2], n = c->grid[2];
    r.low = at < 0 ? mrt_min64(mrt_div_up(-at, step), n) : 0;
    r.high = at < c->in[2] ? mrt_min64((c->in[2] - 1 - at) / step + 1, n) : 0;
    r.high = mrt_max64(r.low, r.high);
    return r;
}

/* dst[i] = x[i * step] */
MRT_INLINE void copy_run(const float *x, int64_t step, int64_t n, float *dst) {
    if (step == 1) {
        for (int64_t i = 0; i < n; i++) {
            dst[i] = x[i];
        }
    } else if (step == 2) {
        for (int64_t i = 0; i < n; i++) {
            dst[i] = x[2 * i];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            dst[i] = x[i * step];
        }
    }
}

/* Grid positions [w, end) of one grid row. */
MRT_INLINE void fill_run(const mrt_columns *c, const column_row *r, const float *x, int64_t w,
                         int64_t end, float *dst) {
    const int64_t low = mrt_min64(mrt_max64(r->low, w), end);
    const int64_t high = mrt_min64(mrt_max64(r->high, low), end);
    for (int64_t i = w; i < low; i++) {
        dst[i - w] = 0.0f;
    }
    if (high > low) {
        copy_run(x + r->at[2] + low * c->step[2], c->step[2], high - low, dst + (low - w));
    }
    for (int64_t i = high; i < end; i++) {
        dst[i - w] = 0.0f;
    }
}

/* Positions [begin, begin + n) of one row. */
MRT_INLINE void fill_row(const mrt_columns *c, const column_row *r, int64_t begin, int64_t n,
                         float *dst) {
    int64_t w = begin % c->grid[2];
    int64_t h = begin / c->grid[2] % c->grid[1];
    int64_t d = begin / c->grid[2] / c->grid[1];
    while (n > 0) {
        const int64_t end = mrt_min64(c->grid[2], w + n);
        const int64_t id = d * c->step[0] + r->at[0];
        const int64_t ih = h * c->step[1] + r->at[1];
        if (id < 0 || id >= c->in[0] || ih < 0 || ih >= c->in[1]) {
            memset(dst, 0, (size_t)(end - w) * sizeof(float));
        } else {
            fill_run(c, r, r->x + (id * c->in[1] + ih) * c->in[2], w, end, dst);
        }
        dst += end - w;
        n -= end - w;
        w = 0;
        h++;
        if (h == c->grid[1]) {
            h = 0;
            d++;
        }
    }
}

MRT_CLONES void mrt_gather_columns(const mrt_columns *c, const float *x, int64_t begin, int64_t end,
                                   float *dst) {
    const int64_t in_size = c->in[0] * c->in[1] * c->in[2];
    for (int64_t channel = 0; channel < c->channels; channel++) {
        int64_t tap[3];
        for (tap[0] = 0; tap[0] < c->taps[0]; tap[0]++) {
            for (tap[1] = 0; tap[1] < c->taps[1]; tap[1]++) {
                for (tap[2] = 0; tap[2] < c->taps[2]; tap[2]++) {
                    const column_row row = make_row(c, x + channel * in_size, tap);
                    fill_row(c, &row, begin, end - begin, dst);
                    dst += end - begin;
                }
            }
        }
    }
}
