/* The end of sums that become floats [conv-real, matmul-real]: the same code for every instruction set. */
#include "runtime/kernels/tile_isa.h"

#include "runtime/mrt_clones.h"
#include "runtime/mrt_params.h"

#include <math.h>

mrt_real_range mrt_real_range_of(int64_t act, double limit) {
    return act == MRT_ACT_RELU ? (mrt_real_range){0.0, limit >= 0.0 ? limit : HUGE_VAL}
                               : (mrt_real_range){-HUGE_VAL, HUGE_VAL};
}

/* c + base fits by the caller's proof; it wraps on the way. The loop without a clamp is one of its own: compilers
 * keep comparisons of floats out of vectors. */
MRT_CLONES
static void finish_row(const int32_t *restrict c, const int32_t *restrict base,
                       const double *restrict scale, double low, double high, float *restrict y,
                       int columns) {
    if (low == -HUGE_VAL && high == HUGE_VAL) {
        for (int i = 0; i < columns; ++i) {
            const int32_t sum = (int32_t)((uint32_t)c[i] + (uint32_t)base[i]);
            y[i] = (float)((double)sum * scale[i]);
        }
        return;
    }
    for (int i = 0; i < columns; ++i) {
        const int32_t sum = (int32_t)((uint32_t)c[i] + (uint32_t)base[i]);
        y[i] = mrt_real_value(sum, scale[i], low, high);
    }
}

void mrt_tile_finish_real(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows,
                          uint8_t *y, size_t y_stride, int columns) {
    for (int r = 0; r < rows; ++r) {
        finish_row(c + (size_t)r * c_stride, e->base, e->scale, e->real_low, e->real_high,
                   (float *)(void *)(y + (size_t)r * y_stride), columns);
    }
}
