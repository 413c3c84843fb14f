/* Bilinear resizing of image planes. Output rows go top down; the (at most two) input rows that a
 * row needs are interpolated along the width once and kept on the stack, column block by block. */
#include "runtime/kernels/elem_resize.h"

#include "runtime/kernels/elem_util.h"

enum {
    COLUMNS = 1024,     /* of a block */
    ROWS_PER_TILE = 64, /* output rows of a plane per tile */
};

typedef struct image_job {
    const mrt_resize_table *h, *w;
    const float *x;
    float *y;
    int64_t tiles_per_plane;
} image_job;

MRT_CLONES static void blend(const float *a, const float *b, float wa, float wb,
                             float *restrict y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = wa * a[i] + wb * b[i];
    }
}

MRT_CLONES static void stretch_row(const mrt_resize_table *w, const float *x, int64_t first,
                                   float *restrict y, int64_t n) {
    const int64_t *from = w->first + first;
    const float *weights = w->weights + 2 * first;
    for (int64_t i = 0; i < n; i++) {
        y[i] = weights[2 * i] * x[from[i]] + weights[2 * i + 1] * x[from[i] + 1];
    }
}

static void image_tile(void *context, int64_t tile) {
    const image_job *j = context;
    const mrt_resize_table *h = j->h, *w = j->w;
    const int64_t plane = tile / j->tiles_per_plane;
    const int64_t row0 = tile % j->tiles_per_plane * ROWS_PER_TILE;
    const int64_t row1 = mrt_min64(row0 + ROWS_PER_TILE, h->out);
    const float *x = j->x + plane * h->in * w->in;
    float *y = j->y + plane * h->out * w->out;
    float rows[2][COLUMNS];
    for (int64_t column = 0; column < w->out; column += COLUMNS) {
        const int64_t n = mrt_min64(COLUMNS, w->out - column);
        int64_t held[2] = {-1, -1}; /* neighbours have different parity, so different slots */
        for (int64_t row = row0; row < row1; row++) {
            const int64_t top = h->first[row];
            for (int64_t r = top; r < top + 2; r++) {
                if (held[r & 1] != r) {
                    stretch_row(w, x + r * w->in, column, rows[r & 1], n);
                    held[r & 1] = r;
                }
            }
            blend(rows[top & 1], rows[(top + 1) & 1], h->weights[2 * row],
                  h->weights[2 * row + 1], y + row * w->out + column, n);
        }
    }
}

void mrt_resize_image(mrt_pool *pool, const mrt_resize_table *h, const mrt_resize_table *w,
                      const float *x, float *y, int64_t planes) {
    image_job j = {h, w, x, y, mrt_div_up(h->out, ROWS_PER_TILE)};
    mrt_parallel_for(pool, planes * j.tiles_per_plane, image_tile, &j);
}
