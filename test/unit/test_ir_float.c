/* The digits of floating-point numbers: the fast way agrees with the C library wherever it answers. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/float_format.h"
#include "test/unit/check_main.h"

static uint64_t state = 88172645463325252u;

static uint64_t rnd(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* The shortest %g that reads back, by trying. */
static void shortest(bool is_f64, double value, char *text) {
    const int most = is_f64 ? 17 : 9;
    for (int digits = is_f64 ? 15 : 6; digits <= most; ++digits) {
        snprintf(text, 64, "%.*g", digits, value);
        const double back = strtod(text, NULL);
        if ((is_f64 ? back : (double)(float)back) == value) {
            return;
        }
    }
}

static int answered;

static void check(bool is_f64, double value) {
    char got[64], expected[64];
    if (!mica_float_digits(is_f64 ? MICA_F64 : MICA_F32, value, got)) {
        return;
    }
    shortest(is_f64, value, expected);
    ck_assert_msg(strcmp(got, expected) == 0, "%.20g: %s, expected %s", value, got, expected);
    ++answered;
}

START_TEST(digits_of_any_number) {
    enum { ROUNDS = 300000 };
    answered = 0;
    for (int i = 0; i < ROUNDS; ++i) {
        const double value = ldexp(1.0 + (double)(rnd() >> 12) * 0x1p-52, (int)(rnd() % 46) - 28) *
                             (rnd() % 2 == 0 ? 1 : -1);
        check(true, value);
        check(true, (float)value);
        check(false, (float)value);
        check(false, value);
    }
    ck_assert_int_gt(answered, ROUNDS * 5 / 2); /* of 3: the last line is no f32 */
}
END_TEST

/* Numbers with few digits and their neighbours, powers of ten and of two. */
START_TEST(digits_of_round_numbers) {
    for (int i = 0; i < 200000; ++i) {
        const double value = (double)(rnd() % 100000) / pow(10.0, (double)(rnd() % 12));
        check(true, value);
        check(true, nextafter(value, 0.0));
        check(true, nextafter(value, 1e9));
        check(false, (float)value);
        check(false, nextafterf((float)value, 0.0f));
        check(false, nextafterf((float)value, 1e9f));
    }
    for (int e = -40; e < 30; ++e) {
        check(true, ldexp(1.0, e));
        check(false, ldexp(1.0, e));
        check(true, nextafter(pow(10.0, e), 0.0));
        check(true, pow(10.0, e));
    }
    const double other[] = {0.0, -0.0, (double)INFINITY, (double)NAN, 1e300, 5e-324};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; ++i) {
        char text[64];
        ck_assert(!mica_float_digits(MICA_F64, other[i], text));
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ir float");
    TCase *tcase = tcase_create("digits");
    tcase_add_test(tcase, digits_of_any_number);
    tcase_add_test(tcase, digits_of_round_numbers);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
