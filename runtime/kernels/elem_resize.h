/* Interpolation tables and the image path of resize_f32 (private). */
#ifndef MRT_ELEM_RESIZE_H
#define MRT_ELEM_RESIZE_H

#include "runtime/mrt_pool.h"

/* Result o of an axis = sum of weights[o*window + t] * x[first[o] + t]; first < 0: extrapolated. */
typedef struct mrt_resize_table {
    int64_t in, out, window;
    const int64_t *first;
    const float *weights;
} mrt_resize_table;

/* Linear interpolation (windows of 2, nothing extrapolated) of `planes` planes [h.in, w.in]: along
 * the width, then along the height. */
void mrt_resize_image(mrt_pool *pool, const mrt_resize_table *h, const mrt_resize_table *w,
                      const float *x, float *y, int64_t planes);

#endif
