/* 16-bit floats. Values are passed as bit patterns in uint16_t.
 *
 * Rule, both formats: f32 -> 16 bit rounds to nearest, ties to even, computed on the bits, so it
 * does not depend on the FPU mode; overflow gives infinity of the same sign; subnormals are kept
 * (no flushing); a NaN stays a NaN with its sign and upper payload bits, made quiet.
 * 16 bit -> f32 is exact; a NaN keeps its payload and is made quiet.
 * Source: IEEE 754-2008 binary16; bfloat16 is the upper half of binary32. */
#ifndef MICA_UTILS_HALF_H
#define MICA_UTILS_HALF_H

#include <stdint.h>

uint16_t mica_f32_to_f16(float value);
float mica_f16_to_f32(uint16_t bits);
uint16_t mica_f32_to_bf16(float value);
float mica_bf16_to_f32(uint16_t bits);

#endif
