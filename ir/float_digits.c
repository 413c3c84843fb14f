/* Shortest decimals without the C library's exact (and slow) conversions: 64-bit mantissas hold all that
 * is needed, except where a rounding error could decide; those cases are left to the caller. */
#include "ir/float_format.h"

#include <float.h>
#include <math.h>

/* Smaller numbers have two digits of exponent that are not 0. */
#define LEAST_SIZE 1.001e-9

enum { MOST_POWER = 27 /* 10^27 has 63 bits: exact in 64 */, MOST_DIGITS = 17,
       LEAST_PLAIN = -4 /* below: with an exponent */ };

/* 10^power, 0 <= power <= MOST_POWER. */
static long double power_of_10(int power) {
    long double result = 1.0L;
    for (int i = 0; i < power; i++) {
        result *= 10.0L;
    }
    return result;
}

static long double scale_by(long double x, int power) {
    return power >= 0 ? x * power_of_10(power) : x / power_of_10(-power);
}

typedef enum verdict { NO, YES, UNSURE } verdict;

/* The nearest number with `n` digits is *out * 10^-power; has it n digits, and is it that beyond doubt? */
static verdict round_to(double value, int power, int n, uint64_t *out) {
    const long double scaled = scale_by(value, power); /* off by 2^-7 at most */
    const long double limit = power_of_10(n);
    if (scaled >= limit) {
        return NO;
    }
    const uint64_t down = (uint64_t)scaled;
    const long double rest = scaled - (long double)down;
    if (fabsl(rest - 0.5L) < 0x1p-6L || down < (uint64_t)limit / 10 || scaled > limit - 1.0L) {
        return UNSURE;
    }
    *out = down + (rest > 0.5L);
    return YES;
}

/* digits * 10^-power, rounded to the type, gives value back. */
static verdict reads_back(mica_float_kind kind, double value, uint64_t digits, int power) {
    int exponent = 0;
    const double mantissa = frexp(value, &exponent);
    const long double half = ldexpl(1.0L, exponent - (kind == MICA_F64 ? 54 : 25));
    const long double distance = fabsl(scale_by((long double)digits, -power) - (long double)value);
    if (mantissa == 0.5 || fabsl(distance - half) < half * 0x1p-6L) {
        return UNSURE;
    }
    return distance < half ? YES : NO;
}

/* As printf writes %.<n>g: digits * 10^(exponent - n + 1), without zeros at the end. */
static void write_digits(char *out, uint64_t digits, int n, int exponent) {
    char text[MOST_DIGITS];
    for (int i = n - 1; i >= 0; i--) {
        text[i] = (char)('0' + digits % 10);
        digits /= 10;
    }
    while (n > 1 && text[n - 1] == '0') {
        n--;
    }
    const int before_point = exponent < LEAST_PLAIN ? 0 : exponent; /* last digit before the point */
    for (int i = 0; i > before_point; i--) {
        *out++ = '0';
        if (i == 0) {
            *out++ = '.';
        }
    }
    for (int i = 0; i < n || i <= before_point; i++) {
        *out++ = i < n ? text[i] : '0';
        if (i == before_point && i + 1 < n) {
            *out++ = '.';
        }
    }
    if (exponent < LEAST_PLAIN) {
        *out++ = 'e';
        *out++ = '-';
        *out++ = '0';
        *out++ = (char)('0' - exponent);
    }
    *out = '\0';
}

bool mica_float_digits(mica_float_kind kind, double value, char *out) {
    const double size = fabs(value);
    const int most = kind == MICA_F64 ? MOST_DIGITS : 9;
    if (LDBL_MANT_DIG < 64 || (kind != MICA_F64 && kind != MICA_F32) || !(size >= LEAST_SIZE) ||
        size > 9e5 || (kind == MICA_F32 && (double)(float)value != value)) {
        return false;
    }
    int exponent = (int)floor(log10(size));
    uint64_t digits = 0;
    for (int n = kind == MICA_F64 ? 15 : 6; n <= most; n++) {
        const int power = n - 1 - exponent;
        if (round_to(size, power, n, &digits) != YES) {
            return false;
        }
        const verdict back = n == most ? YES : reads_back(kind, size, digits, power);
        if (back == UNSURE) {
            return false;
        }
        if (back == YES) {
            if (value < 0.0) {
                *out++ = '-';
            }
            write_digits(out, digits, n, exponent);
            return true;
        }
    }
    return false;
}
