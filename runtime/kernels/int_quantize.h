/* Runs of the steps quantize and dequantize with AVX-512, 8-bit types; the same bytes as the loops of
 * int_quantize.c. */
#ifndef MRT_INT_QUANTIZE_H
#define MRT_INT_QUANTIZE_H

#include "runtime/kernels/tile_isa.h"

/* From f32 by a scale that is an f32 [quantize]; zero_point within the type. */
typedef void mrt_quantize_fn(const float *x, uint8_t *y, int64_t count, double scale,
                             int32_t zero_point);
/* To f32 [dequantize]. */
typedef void mrt_dequantize_fn(const uint8_t *x, float *y, int64_t count, double scale,
                               int32_t zero_point);

#ifdef MRT_TILE_X86
mrt_quantize_fn mrt_quantize_i8_avx512, mrt_quantize_u8_avx512;
mrt_dequantize_fn mrt_dequantize_i8_avx512, mrt_dequantize_u8_avx512;
#endif

#endif
