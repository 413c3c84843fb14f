/* What convolution and deconvolution share: geometry, checks, gathering input columns. */
#ifndef MRT_FLOAT_CONV_H
#define MRT_FLOAT_CONV_H

#include "runtime/kernels/float_gemm.h"
#include "runtime/kernels/float_util.h"

/* Geometry with three spatial axes; missing ones have size 1. `x` is the operand with C channels,
 * `y` the one with OC. */
typedef struct mrt_conv_geo {
    int64_t batch, c, oc, group;
    int64_t cg, ocg; /* channels of one group */
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3]; /* pad: before the axis */
    int64_t in_size, out_size, taps; /* products over the spatial axes */
} mrt_conv_geo;

/* Validates types, shapes and parameters of conv_f32 (or deconv_f32) and fills the geometry. */
mrt_status mrt_conv_resolve(const mrt_call *call, bool deconv, mrt_conv_geo *geo, mrt_error *err);
/* Number of output elements is zero: nothing to do. */
bool mrt_conv_empty(const mrt_conv_geo *g);

/* A grid of positions at which input columns are gathered. Tap t at grid position q reads, axis by
 * axis, input index q * step + first + t * tap_step; outside the input stands 0. */
typedef struct mrt_columns {
    int64_t grid[3], step[3];
    int64_t in[3];
    int64_t taps[3], first[3], tap_step[3];
    int64_t channels;
} mrt_columns;

/* Writes columns [begin, end) of the grid (row-major position): dst[k, q - begin] with
 * k = (channel, tap) row-major. x is the first channel of the group. */
void mrt_gather_columns(const mrt_columns *c, const float *x, int64_t begin, int64_t end,
                        float *dst);

/* Columns per block, so that a block of k rows stays in the second-level cache. */
int64_t mrt_column_block(int64_t k, int64_t positions);
/* Rows per block, so that `blocks` column blocks give enough work for several threads. */
int64_t mrt_row_block(int64_t rows, int64_t blocks);

/* Direct form for one input channel per group: rows of the output are sums of shifted rows. */
bool mrt_depthwise_fits(const mrt_conv_geo *g);
mrt_status mrt_depthwise_scratch(const mrt_conv_geo *g, size_t *out_scratch, mrt_error *err);
void mrt_depthwise_run(const mrt_call *call, const mrt_conv_geo *g);

#endif
