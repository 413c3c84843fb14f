#include "ir/float_format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which patterns are no numbers. Source: IEEE 754; OCP OFP8 and MX; MLIR's builtin types. */
typedef enum specials {
    IEEE,    /* the top exponent is infinity and NaN */
    ONE_NAN, /* FN: all bits set but the sign is NaN, no infinity */
    UZ,      /* FNUZ: the pattern of -0 is NaN, no infinity */
    FINITE,  /* neither infinity nor NaN */
    POWERS,  /* FNU: an exponent alone, without sign and zero; 255 is NaN */
} specials;

typedef struct float_format {
    const char *name;
    int width, mantissa, bias;
    specials specials;
} float_format;

static const float_format formats[] = {
    [MICA_F16] = {"f16", 16, 10, 15, IEEE},
    [MICA_BF16] = {"bf16", 16, 7, 127, IEEE},
    [MICA_F32] = {"f32", 32, 23, 127, IEEE},
    [MICA_F64] = {"f64", 64, 52, 1023, IEEE},
    [MICA_F8E4M3FN] = {"f8E4M3FN", 8, 3, 7, ONE_NAN},
    [MICA_F8E5M2] = {"f8E5M2", 8, 2, 15, IEEE},
    [MICA_F8E4M3FNUZ] = {"f8E4M3FNUZ", 8, 3, 8, UZ},
    [MICA_F8E5M2FNUZ] = {"f8E5M2FNUZ", 8, 2, 16, UZ},
    [MICA_F8E8M0FNU] = {"f8E8M0FNU", 8, 0, 127, POWERS},
    [MICA_F6E2M3FN] = {"f6E2M3FN", 6, 3, 1, FINITE},
    [MICA_F6E3M2FN] = {"f6E3M2FN", 6, 2, 3, FINITE},
    [MICA_F4E2M1FN] = {"f4E2M1FN", 4, 1, 1, FINITE},
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
    /* IEEE loses the top exponent, FN the last mantissa value of it, POWERS the last exponent. */
    const bool lost = format->specials == IEEE || format->specials == POWERS;
    const double last = format->specials == ONE_NAN ? 2.0 : 1.0;
    const int width = format->specials == POWERS ? 255 : (int)exponent_mask(format);
    return ldexp(2.0 - ldexp(last, -format->mantissa), width - (lost ? 1 : 0) - format->bias);
}

/* The power of two that is nearest; ties go up. */
static double nearest_power(double value) {
    int exponent = 0;
    const double digits = frexp(fabs(value), &exponent); /* in [1/2, 1) */
    exponent = digits >= 0.75 ? exponent : exponent - 1;
    return exponent > 127 ? (double)NAN : ldexp(1.0, exponent < -127 ? -127 : exponent);
}

double mica_float_round(mica_float_kind kind, double value) {
    const float_format *format = &formats[kind];
    if (format->specials == POWERS && !isnan(value) && !isinf(value)) {
        return value == 0.0 ? 0x1p-127 : nearest_power(value);
    }
    if (kind == MICA_F64 || isnan(value)) {
        return value;
    }
    if (value == 0.0) {
        return format->specials == UZ ? 0.0 : value;
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
        const double beyond = format->specials == IEEE     ? (double)INFINITY
                              : format->specials == FINITE ? largest(format)
                                                           : (double)NAN;
        return copysign(beyond, value);
    }
    return format->specials == UZ && rounded == 0.0 ? 0.0 : rounded;
}

/* The pattern stands for an infinity or a NaN. */
static bool is_special(const float_format *format, uint64_t bits) {
    const uint64_t sign = (uint64_t)1 << (format->width - 1);
    const uint64_t top = exponent_mask(format) << format->mantissa;
    switch (format->specials) {
    case IEEE:
        return (bits & top) == top;
    case ONE_NAN:
        return (bits & (sign - 1)) == sign - 1;
    case UZ:
        return bits == sign;
    case POWERS:
        return bits == 255;
    default:
        return false;
    }
}

double mica_float_from_bits(mica_float_kind kind, uint64_t bits) {
    const float_format *format = &formats[kind];
    uint64_t sign = (bits >> (format->width - 1)) & 1;
    uint64_t exponent = (bits >> format->mantissa) & exponent_mask(format);
    uint64_t mantissa = bits & (((uint64_t)1 << format->mantissa) - 1);
    if (is_special(format, bits)) {
        const bool nameless = format->specials == UZ || format->specials == POWERS;
        const uint64_t payload =
            nameless ? (uint64_t)1 << 51 : mantissa << (52 - format->mantissa);
        uint64_t wide = (nameless ? 0 : sign) << 63 | (uint64_t)0x7FF << 52 | payload;
        double value;
        memcpy(&value, &wide, sizeof value);
        return value;
    }
    if (format->specials == POWERS) {
        return ldexp(1.0, (int)(bits & 255) - format->bias);
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
    const uint64_t sign_bit = (uint64_t)1 << (format->width - 1);
    uint64_t sign = wide >> 63 ? sign_bit : 0;
    switch (format->specials) {
    case ONE_NAN:
        return sign | (sign_bit - 1);
    case UZ:
        return sign_bit;
    case POWERS:
        return 255;
    case FINITE: /* has neither: the largest number, and 0 for NaN */
        return isnan(value) ? sign : sign | (sign_bit - 1);
    default:
        break;
    }
    uint64_t mantissa = (wide & (((uint64_t)1 << 52) - 1)) >> (52 - format->mantissa);
    if (isnan(value) && mantissa == 0) {
        mantissa = (uint64_t)1 << (format->mantissa - 1);
    }
    return sign | exponent_mask(format) << format->mantissa | mantissa;
}

static void search_digits(mica_float_kind kind, double value, char *text, size_t room) {
    const int most = kind == MICA_F64 ? 17 : 9;
    for (int digits = kind == MICA_F64 ? 15 : 6;; digits++) {
        snprintf(text, room, "%.*g", digits, value);
        if (digits == most || mica_float_round(kind, strtod(text, NULL)) == value) {
            return;
        }
    }
}

void mica_float_print(mica_strbuf *out, mica_float_kind kind, double value) {
    if (isnan(value) || isinf(value)) {
        mica_strbuf_printf(out, "0x%0*llX", (formats[kind].width + 3) / 4,
                           (unsigned long long)mica_float_special_bits(kind, value));
        return;
    }
    char text[40];
    if (!mica_float_digits(kind, value, text)) {
        search_digits(kind, value, text, sizeof text);
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
