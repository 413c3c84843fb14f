/* Geometry shared by conv_int, deconv_int and their depthwise path.
 *
 * A convolution runs over planes: one input channel with its padding written out as the input's zero
 * point [pad-zero-point]. A transposed convolution is the same with stride 1, the kernel mirrored
 * and insert - 1 zero points between elements. Columns of a plane are stored by phase
 * (column % stride), so that neighbouring outputs read neighbouring bytes for every tap. */
#ifndef MRT_INT_CONV_PLAN_H
#define MRT_INT_CONV_PLAN_H

#include "runtime/kernels/int_gemm.h"
#include "runtime/mrt_kernel.h"
#include "runtime/mrt_params.h"

#define MRT_PLANE_SLACK 64 /* bytes that may be read past a plane */

typedef struct mrt_conv_plan {
    int64_t batch, channels, out_channels, group, group_in, group_out;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3]; /* D, H, W; unused leading axes 1 */
    int64_t begin[3];  /* position of element 0 in the padded axis; negative crops */
    int64_t insert[3]; /* distance of input elements in the padded axis */
    int64_t padded[3];
    int64_t phase;     /* bytes per phase of a row: ceil(padded width / stride) */
    int64_t plane;     /* bytes per plane */
    int64_t taps, depth, positions, in_plane;
    bool transposed;
    bool direct;       /* the input itself serves as planes */
    bool depthwise;
} mrt_conv_plan;

/* True for conv_real and deconv_real: operand 3 is a scale in f64, y is f32, and the activation is that
 * of params->conv. */
static inline bool mrt_conv_is_real(const mrt_call *call) { return call->in[3]->dtype == MRT_F64; }

/* Checks a conv_int, conv_real, deconv_int or deconv_real call and fills the plan. */
mrt_status mrt_conv_plan_check(const mrt_call *call, bool transposed, mrt_conv_plan *out_plan,
                               mrt_error *err);
/* The plan of a call that was checked. */
mrt_conv_plan mrt_conv_plan_get(const mrt_call *call, bool transposed);

/* Offset in a plane of output position `index` (row-major in `out`) for tap 0. */
int64_t mrt_conv_position(const mrt_conv_plan *plan, int64_t index);
/* Offset of tap `tap` (row-major in `kernel`) from tap 0. */
int64_t mrt_conv_tap(const mrt_conv_plan *plan, int64_t tap);
/* Writes one plane from one input channel, padding as `zero_point` bytes. */
void mrt_conv_fill_plane(const mrt_conv_plan *plan, const uint8_t *x, uint8_t zero_point,
                         uint8_t *plane);
/* Index in the stored weights of output channel `oc` (in all), channel `c` of its group, `tap`. */
int64_t mrt_conv_weight(const mrt_conv_plan *plan, int64_t oc, int64_t c, int64_t tap);

/* y = clamp(requant(acc + bias)) of a row of one output channel; sums fit int32, acc may be read up to
 * a multiple of MRT_INT_COLUMNS. */
void mrt_conv_finish_row(const mrt_tile_isa *isa, const mrt_conv_int_params *p, int32_t bias,
                         int32_t multiplier, int32_t shift, const int32_t *acc, uint8_t *y,
                         int64_t count);

/* y = f32((acc + bias) * scale) of such a row [conv-real]. */
void mrt_conv_finish_real(const mrt_conv_int_params *p, int64_t bias, double scale, const int32_t *acc,
                          const int64_t *wide, float *y, int64_t count);

/* The depthwise path (one input channel per group). */
size_t mrt_conv_depthwise_scratch(const mrt_conv_plan *plan);
void mrt_conv_depthwise_run(const mrt_conv_plan *plan, const mrt_call *call);

#endif
