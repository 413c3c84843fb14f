#include "dialects/quant/quant.h"

#include "dialects/plan.h"
#include "runtime/mrt_quant.h"

bool mica_quant_of_type(mica_type element, mica_quant *out) {
    if (!element || element->kind != MICA_TYPE_UNIFORM || !(element->scales[0] > 0)) {
        return false;
    }
    const mrt_dtype storage = mica_dtype_of(element);
    int64_t low, high;
    if (!mrt_int_range(storage, &low, &high) || high > INT32_MAX) {
        return false;
    }
    low = element->storage_min > low ? element->storage_min : low;
    high = element->storage_max < high ? element->storage_max : high;
    if (low > high) {
        return false;
    }
    *out = (mica_quant){.storage = storage,
                        .scale = element->scales[0],
                        .zero_point = mrt_saturate_i32(element->zero_points[0]),
                        .low = (int32_t)low,
                        .high = (int32_t)high};
    return true;
}

bool mica_quant_of(const mica_value *value, mica_quant *out) {
    return value && mica_quant_of_type(mica_type_element(value->type), out);
}

bool mica_value_is_quant(const mica_value *value) {
    return value && mica_type_is_quant(mica_type_element(value->type));
}

int32_t mica_quantize(const mica_quant *quant, double real) {
    return mrt_quantize_value(real, quant->scale, quant->zero_point, quant->low, quant->high);
}

double mica_dequantize(const mica_quant *quant, int32_t q) {
    return ((double)q - quant->zero_point) * quant->scale;
}

void mica_quant_act_range(const mica_quant *quant, bool do_relu, double limit, int64_t *out_low,
                          int64_t *out_high) {
    *out_low = quant->low;
    *out_high = quant->high;
    if (do_relu) {
        *out_low = mica_quantize(quant, 0.0);
        if (limit >= 0) {
            *out_high = mica_quantize(quant, limit);
        }
    }
}
