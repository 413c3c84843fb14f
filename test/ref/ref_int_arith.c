/* 128-bit arithmetic of the integer rules. */
#include "test/ref/ref_int.h"

#include <math.h>

__extension__ typedef __int128 wide;

static wide floor_div(wide num, wide den) {
    wide q = num / den;
    if (num % den < 0) {
        q -= 1;
    }
    return q;
}

int64_t ref_int_half_up(int64_t v, int shift) {
    const wide den = (wide)1 << shift;
    return (int64_t)floor_div(2 * (wide)v + den, 2 * den);
}

int64_t ref_int_half_away(int64_t v, int shift) {
    const wide den = (wide)1 << shift;
    const wide magnitude = v < 0 ? -(wide)v : (wide)v;
    const wide q = floor_div(2 * magnitude + den, 2 * den);
    return (int64_t)(v < 0 ? -q : q);
}

int64_t ref_int_half_even(int64_t v, int shift) {
    const wide den = (wide)1 << shift;
    const wide low = floor_div(v, den);
    const wide twice = 2 * ((wide)v - low * den);
    if (twice == den) {
        return (int64_t)(low % 2 == 0 ? low : low + 1);
    }
    return (int64_t)(twice > den ? low + 1 : low);
}

int64_t ref_int_requant(int64_t acc, int64_t multiplier, int shift) {
    wide v = acc;
    v = v > INT32_MAX ? INT32_MAX : v;
    v = v < INT32_MIN ? INT32_MIN : v;
    const wide den = (wide)1 << shift;
    return (int64_t)floor_div(2 * v * multiplier + den, 2 * den);
}

int64_t ref_int_ratio(int64_t value, int64_t multiplier, int64_t factor, int64_t divisor,
                      int shift) {
    const wide den = (wide)divisor << shift;
    return (int64_t)floor_div(2 * (wide)value * multiplier * factor + den, 2 * den);
}

int32_t ref_int_quantize(double x, double scale, int32_t zero_point, int32_t low, int32_t high) {
    if (isnan(x)) {
        return zero_point;
    }
    const double q = nearbyint(x / scale) + zero_point;
    if (q <= low) {
        return low;
    }
    return q >= high ? high : (int32_t)q;
}

int32_t ref_int_finish(const ref_int_end *end, int64_t acc, int64_t channel) {
    const int64_t at = end->per_channel ? channel : 0;
    const int64_t q =
        ref_int_requant(acc, end->multiplier[at], end->shift[at]) + end->zero_point;
    return (int32_t)(q < end->low ? end->low : (q > end->high ? end->high : q));
}
