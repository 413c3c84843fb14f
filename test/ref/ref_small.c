#include "test/ref/ref_small.h"

#include <math.h>

typedef struct shape {
    mrt_dtype dtype;
    int bits, mantissa;
    double smallest;     /* value of code 1 */
    unsigned largest;    /* code of the largest number */
    int infinity, nan;   /* codes, -1: none */
    bool negative_zero;
} shape;

/* Largest numbers and special codes as the OCP OFP8 and MX documents and ONNX list them. */
static const shape shapes[] = {
    {MRT_F8E4M3FN, 8, 3, 0x1p-9, 0x7e, -1, 0x7f, true},
    {MRT_F8E4M3FNUZ, 8, 3, 0x1p-10, 0x7f, -1, 0x80, false},
    {MRT_F8E5M2, 8, 2, 0x1p-16, 0x7b, 0x7c, 0x7e, true},
    {MRT_F8E5M2FNUZ, 8, 2, 0x1p-17, 0x7f, -1, 0x80, false},
    {MRT_F8E8M0FNU, 8, 0, 0, 0xfe, -1, 0xff, false},
    {MRT_F6E2M3FN, 6, 3, 0.125, 0x1f, -1, -1, true},
    {MRT_F6E3M2FN, 6, 2, 0.0625, 0x1f, -1, -1, true},
    {MRT_F4E2M1FN, 4, 1, 0.5, 7, -1, -1, true},
    {MRT_I4, 4, 0, 0, 0, -1, -1, false},
    {MRT_U4, 4, 0, 0, 0, -1, -1, false},
    {MRT_I2, 2, 0, 0, 0, -1, -1, false},
    {MRT_U2, 2, 0, 0, 0, -1, -1, false},
};

static const shape *find(mrt_dtype dtype) {
    const shape *s = shapes;
    while (s->dtype != dtype) {
        s++;
    }
    return s;
}

int ref_small_bits(mrt_dtype dtype) {
    return find(dtype)->bits;
}

/* Steps are equal within a block of codes that share an exponent; the first two blocks have the
 * same, then it doubles from block to block. One code beyond the largest is allowed. */
static double magnitude(const shape *s, unsigned code) {
    const unsigned block = 1u << s->mantissa;
    double value = 0, unit = s->smallest;
    for (unsigned c = 0; c < code; c++) {
        if (c >= 2 * block && c % block == 0) {
            unit *= 2;
        }
        value += unit;
    }
    return value;
}

double ref_small_value(mrt_dtype dtype, unsigned code) {
    const shape *s = find(dtype);
    const unsigned sign = 1u << (s->bits - 1);
    if (dtype == MRT_F8E8M0FNU) {
        return code == 0xff ? (double)NAN : pow(2.0, (double)code - 127.0);
    }
    const double flip = code & sign ? -1.0 : 1.0;
    if ((code & (sign - 1)) <= s->largest && (int)code != s->nan) {
        return flip * magnitude(s, code & (sign - 1));
    }
    return (int)(code & (sign - 1)) == s->infinity ? flip * (double)INFINITY : (double)NAN;
}

/* The first of two powers of two that x lies between decides with the rounding. */
static unsigned power_code(double x, bool saturate, int round) {
    if (x != x || (!saturate && (isinf(x) || x < 0x1p-127))) {
        return 0xff;
    }
    unsigned low = 0;
    double a = 0x1p-127;
    while (low < 255 && 2 * a <= x) {
        a *= 2;
        low++;
    }
    const bool up = round == REF_UP ? x > a : round == REF_NEAREST && x >= 1.5 * a;
    const unsigned code = low + up;
    return code < 255 ? code : saturate ? 254 : 255;
}

unsigned ref_small_code(mrt_dtype dtype, double x, bool saturate, int round) {
    const shape *s = find(dtype);
    const unsigned sign = signbit(x) ? 1u << (s->bits - 1) : 0;
    if (dtype == MRT_F8E8M0FNU) {
        return power_code(x, saturate, round);
    }
    if (x != x) {
        return s->nan == 0x80 ? 0x80u : s->nan < 0 ? 1u << (s->bits - 1) : sign | (unsigned)s->nan;
    }
    /* Walks up to the first value that is not below |x|; that or the one before is nearest. */
    const double target = fabs(x);
    const unsigned block = 1u << s->mantissa;
    double value = 0, unit = s->smallest;
    unsigned best = 0;
    while (value < target && best <= s->largest) {
        unit *= best >= 2 * block && best % block == 0 ? 2 : 1;
        const double next = value + unit;
        if (next > target && (next - target > target - value ||
                              (next - target == target - value && best % 2 == 0))) {
            break;
        }
        value = next;
        best++;
    }
    if (isinf(x) || best > s->largest) {
        if (saturate || s->nan < 0) {
            return sign | s->largest;
        }
        return s->infinity >= 0 ? sign | (unsigned)s->infinity
               : s->nan == 0x80 ? 0x80u
                                : sign | (unsigned)s->nan;
    }
    return best == 0 && !s->negative_zero ? 0 : sign | best;
}

unsigned char ref_small_int(mrt_dtype dtype, int64_t value) {
    const int64_t range = (int64_t)1 << find(dtype)->bits;
    int64_t rest = value % range;
    rest += rest < 0 ? range : 0;
    const bool is_signed = dtype == MRT_I4 || dtype == MRT_I2;
    return (unsigned char)(is_signed && rest >= range / 2 ? rest - range : rest);
}
