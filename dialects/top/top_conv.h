/* What the float and integer forms of convolutions share. */
#ifndef MICA_DIALECTS_TOP_CONV_H
#define MICA_DIALECTS_TOP_CONV_H

#include "dialects/top/window.h"

/* Output channels of a convolution (or transposed convolution) with that filter. */
int64_t mica_conv_channels(const mica_op *op, const mica_shape *filter, bool transposed);
/* Kernel parameters of a verified op. */
void mica_conv_params(const mica_op *op, mica_planner *planner, mrt_conv_params *out);

#endif
