/* Parts of quantized operators, written with float ops on small integers. */
#ifndef MICA_FRONTENDS_ONNX_QUANT_H
#define MICA_FRONTENDS_ONNX_QUANT_H

#include "frontends/onnx/onnx_internal.h"

/* A per-axis parameter of `count` elements as [1,..,count,..,1]; scalars, also [1], get rank 0. */
mica_value *mica_onnx_along_axis(mica_onnx_node *node, const char *suffix, mica_value *p,
                                 const mrt_shape *x, int64_t axis);
/* x - zero point (NULL: 0) as f32. */
mica_value *mica_onnx_centred(mica_onnx_node *node, const char *name, mica_value *x,
                              mica_value *zero, int64_t axis);
/* saturate(round(x / scale) + zero) as `type`, under the name of output 0 or a suffix. */
mica_value *mica_onnx_quantized(mica_onnx_node *node, const char *suffix, mica_value *x,
                                mica_value *scale, mica_value *zero, mrt_dtype type);
/* Exact product of two matrices of centred 8-bit numbers as i32. */
mica_value *mica_onnx_integer_product(mica_onnx_node *node, const char *suffix, mica_value *a,
                                      mica_value *b);

/* A float tensor in 255 steps of its own range, 0 in it. */
typedef struct mica_onnx_dynamic {
    mica_value *y, *scale, *zero; /* u8, f32, u8 */
} mica_onnx_dynamic;
mica_onnx_dynamic mica_onnx_quantize_by_range(mica_onnx_node *node, mica_value *x);

#endif
