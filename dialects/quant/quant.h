/* Quantization of a value as integer code needs it. */
#ifndef MICA_DIALECTS_QUANT_H
#define MICA_DIALECTS_QUANT_H

#include "ir/op.h"
#include "runtime/mrt_tensor.h"

/* real = scale * (q - zero_point), low <= q <= high. */
typedef struct mica_quant {
    mrt_dtype storage;
    double scale;
    int32_t zero_point;
    int32_t low, high;
} mica_quant;

/* True when the element type is !quant.uniform with one scale and a storage type of at most 32 bits
 * that the runtime knows. */
bool mica_quant_of_type(mica_type element, mica_quant *out);
/* The same for a value's element type; false for NULL. */
bool mica_quant_of(const mica_value *value, mica_quant *out);
/* True when the value has any quantized type, per axis included; false for NULL. */
bool mica_value_is_quant(const mica_value *value);

/* clamp(zero_point + half_even(real / scale), low, high): rule quantize. */
int32_t mica_quantize(const mica_quant *quant, double real);
/* (q - zero_point) * scale: rule dequantize. */
double mica_dequantize(const mica_quant *quant, int32_t q);

/* Range that a result with the attributes do_relu and relu_limit is clamped to: the quantized 0 and the
 * quantized limit, else the storage range. */
void mica_quant_act_range(const mica_quant *quant, bool do_relu, double limit, int64_t *out_low,
                          int64_t *out_high);

#endif
