#include "ir/float_format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FN: no infinity, the pattern of all ones is the NaN. Source: OCP 8-bit floating point. */
typedef struct float_format {
    const char *name;
    int width, mantissa, bias;
    bool finite_only;
} float_format;

static const float_format formats[] = {
    [MICA_F16] = {"f16", 16, 10, 15, false},         [MICA_BF16] = {"bf16", 16, 7, 127, false},
    [MICA_F32] = {"f32", 32, 23, 127, false},        [MICA_F64] = {"f64", 64, 52, 1023, false},
    [MICA_F8E4M3FN] = {"f8E4M3FN", 8, 3, 7, true},   [MICA_F8E5M2] = {"f8E5M2", 8, 2, 15, false},
};

int mica_float_width(mica_float_kind kind) {
    return formats[kind].width;
}

const char *mica_float_name(mica_float_kind kind) {
    return formats[kind].name;
}

bool mica_float_by_name(const char *name, size_t length, mica_float_kind *out) {
    for (size_t i = 0; i < MICA_COUNT(formats); i++) {
        if (strlen(formats[i].name) == length && memcmp(formats[i].name, name, length) == 0) {
            *out = (mica_float_kind)i;
            return true;
        }
    }
    return false;
}

static uint64_t exponent_mask(const float_format *format) {
    return ((uint64_t)1 << (format->width - 1 - format->mantissa)) - 1;
}

static double largest(const float_format *format) {
    /* FN uses the top exponent for numbers and loses only the last mantissa value to NaN. */
    double mantissa = 2.0 - ldexp(format->finite_only ? 2.0 : 1.0, -format->mantissa);
    int exponent = (int)exponent_mask(format) - (format->finite_only ? 0 : 1) - format->bias;
    return ldexp(mantissa, exponent);
}

double mica_float_round(mica_float_kind kind, double value) {
    const float_format *format = &formats[kind];
    if (kind == MICA_F64 || value == 0.0 || isnan(value)) {
        return value;
    }
    double rounded = value;
    if (!isinf(value)) {
        int exponent = ilogb(value);
        if (exponent < 1 - format->bias) {
            exponent = 1 - format->bias;
        }
        rounded = ldexp(nearbyint(ldexp(value, format->mantissa - exponent)),
                        exponent - format->mantissa);
    }
    if (fabs(rounded) > largest(format)) {
        return copysign(format->finite_only ? (double)NAN : (double)INFINITY, value);
    }
    return rounded;
}

double mica_float_from_bits(mica_float_kind kind, uint64_t bits) {
    const float_format *format = &formats[kind];
    uint64_t sign = (bits >> (format->width - 1)) & 1;
    uint64_t exponent = (bits >> format->mantissa) & exponent_mask(format);
    uint64_t mantissa = bits & (((uint64_t)1 << format->mantissa) - 1);
    bool top = exponent == exponent_mask(format);
    if (format->finite_only) {
        top = top && mantissa == ((uint64_t)1 << format->mantissa) - 1;
    }
    if (top) {
        uint64_t wide = sign << 63 | (uint64_t)0x7FF << 52 | mantissa << (52 - format->mantissa);
        double value;
        memcpy(&value, &wide, sizeof value);
        return value;
    }
    if (exponent > 0) {
        mantissa |= (uint64_t)1 << format->mantissa;
    } else {
        exponent = 1;
    }
    double value = ldexp((double)mantissa, (int)exponent - format->bias - format->mantissa);
    return sign ? -value : value;
}

uint64_t mica_float_special_bits(mica_float_kind kind, double value) {
    const float_format *format = &formats[kind];
    uint64_t wide;
    memcpy(&wide, &value, sizeof wide);
    uint64_t sign = wide >> 63 << (format->width - 1);
    if (format->finite_only) {
        return sign | (((uint64_t)1 << (format->width - 1)) - 1);
    }
    uint64_t mantissa = (wide & (((uint64_t)1 << 52) - 1)) >> (52 - format->mantissa);
    if (isnan(value) && mantissa == 0) {
        mantissa = (uint64_t)1 << (format->mantissa - 1);
    }
    return sign | exponent_mask(format) << format->mantissa | mantissa;
}

void mica_float_print(mica_strbuf *out, mica_float_kind kind, double value) {
    if (isnan(value) || isinf(value)) {
        mica_strbuf_printf(out, "0x%0*llX", formats[kind].width / 4,
                           (unsigned long long)mica_float_special_bits(kind, value));
        return;
    }
    char text[40];
    int digits = kind == MICA_F64 ? 15 : 6;
    int most = kind == MICA_F64 ? 17 : 9;
    for (;; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (digits == most || mica_float_round(kind, back) == value) {
            break;
        }
    }
    /* A process may run in a locale with a decimal comma. */
    char *comma = strchr(text, ',');
    if (comma) {
        *comma = '.';
    }
    char *exponent = strchr(text, 'e');
    if (strchr(text, '.')) {
        mica_strbuf_append(out, text);
    } else if (exponent) {
        mica_strbuf_printf(out, "%.*s.0%s", (int)(exponent - text), text, exponent);
    } else {
        mica_strbuf_printf(out, "%s.0", text);
    }
}
