/* Comparison metrics against values computed by hand, and their borders. */
#include "runtime/mrt_compare.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static mrt_tensor vector(mrt_dtype dtype, const void *data, int64_t count) {
    return (mrt_tensor){.name = "t",
                        .dtype = dtype,
                        .shape = {.rank = 1, .dims = {count}},
                        .data = (void *)(uintptr_t)data};
}

static const mrt_tolerance usual = {.cosine = 0.99, .euclid = 0.9, .sqnr_db = -INFINITY};

static mrt_verdict verdict_of(const mrt_tensor *r, const mrt_tensor *g, const mrt_tolerance *t,
                              mrt_metrics *m) {
    mrt_verdict verdict = MRT_VERDICT_NOT_EQUAL;
    mrt_error err = {{0}};
    ck_assert_msg(mrt_compare(r, g, t, &verdict, m, &err) == MRT_OK, "%s", err.text);
    return verdict;
}

static mrt_verdict floats(const float *r, const float *g, int64_t n, mrt_metrics *m) {
    const mrt_tensor ref = vector(MRT_F32, r, n), got = vector(MRT_F32, g, n);
    return verdict_of(&ref, &got, &usual, m);
}

START_TEST(by_hand) {
    /* r = (3, 4), g = (4, 3): |r| = |g| = 5, r.g = 24, d = (1, -1), (r+g)/2 = (3.5, 3.5). */
    const float r[] = {3, 4}, g[] = {4, 3};
    mrt_metrics m;
    mrt_metrics_f32(r, g, 2, &m);
    ck_assert_double_eq_tol(m.cosine, 24.0 / 25.0, 1e-15);
    ck_assert_double_eq_tol(m.euclid, 1 - 1 / 3.5, 1e-15);
    ck_assert_double_eq_tol(m.sqnr_db, 10 * log10(12.5), 1e-12);
    /* Around the means: r has 0.5, d has 2. */
    ck_assert_double_eq_tol(m.sqnr0_db, 10 * log10(0.25), 1e-12);
    ck_assert_double_eq_tol(m.nsr, 2 / (25 + 1e-7), 1e-15);
    ck_assert_double_eq(m.mse, 1);
    ck_assert_double_eq(m.max_abs_diff, 1);
    ck_assert_int_eq(m.max_index, 0);
    ck_assert_double_eq(m.max_abs_ref, 4);
    ck_assert_int_eq(m.different, 2);
    ck_assert_int_eq(m.first_index, 0);
    ck_assert_int_eq(m.close_digits, 0);
    ck_assert_int_eq(floats(r, g, 2, &m), MRT_VERDICT_NOT_SIMILAR);
}
END_TEST

START_TEST(verdicts) {
    mrt_metrics m;
    const float r[] = {1, -2, 3}, same[] = {1, -2, 3};
    ck_assert_int_eq(floats(r, same, 3, &m), MRT_VERDICT_EQUAL);
    ck_assert_double_eq(m.cosine, 1);
    ck_assert(isinf(m.sqnr_db) && m.sqnr_db > 0);
    ck_assert_int_eq(m.max_index, -1);
    const float close[] = {1.00005f, -2, 3};
    ck_assert_int_eq(floats(r, close, 3, &m), MRT_VERDICT_CLOSE);
    ck_assert_int_eq(m.close_digits, 4);
    const float similar[] = {1.01f, -2, 3};
    ck_assert_int_eq(floats(r, similar, 3, &m), MRT_VERDICT_SIMILAR);
    const float negative_zero[] = {0.0f, -0.0f}, zero[] = {0.0f, 0.0f};
    ck_assert_int_eq(floats(zero, negative_zero, 2, &m), MRT_VERDICT_CLOSE);
    ck_assert_int_eq(m.different, 0);
    const mrt_tolerance strict = {.cosine = -2, .euclid = -10, .sqnr_db = 60};
    const mrt_tensor a = vector(MRT_F32, r, 3), b = vector(MRT_F32, similar, 3);
    ck_assert_int_eq(verdict_of(&a, &b, &strict, &m), MRT_VERDICT_NOT_SIMILAR);
    ck_assert_str_eq(mrt_verdict_text(MRT_VERDICT_NOT_SIMILAR), "NOT_SIMILAR");
    ck_assert(mrt_verdict_passes(MRT_VERDICT_SIMILAR));
    ck_assert(!mrt_verdict_passes(MRT_VERDICT_NOT_EQUAL));
}
END_TEST

START_TEST(zero_vectors) {
    mrt_metrics m;
    const float zero[] = {0, 0}, one[] = {1, 0}, minus[] = {-1, 0};
    mrt_metrics_f32(zero, zero, 2, &m);
    ck_assert_double_eq(m.cosine, 1);
    ck_assert_double_eq(m.euclid, 1);
    ck_assert_double_eq(m.nsr, 0);
    mrt_metrics_f32(zero, one, 2, &m);
    ck_assert_double_eq(m.cosine, 0);
    ck_assert_double_eq(m.euclid, -1);
    ck_assert(isinf(m.sqnr_db) && m.sqnr_db < 0);
    mrt_metrics_f32(one, zero, 2, &m);
    ck_assert_double_eq(m.cosine, 0);
    ck_assert_double_eq(m.euclid, -1);
    ck_assert_double_eq(m.sqnr_db, 0);
    mrt_metrics_f32(one, minus, 2, &m);
    ck_assert_double_eq(m.cosine, -1);
    ck_assert(isinf(m.euclid) && m.euclid < 0);
    const float flat[] = {5, 5, 5}, off[] = {5, 5, 6};
    mrt_metrics_f32(flat, off, 3, &m);
    ck_assert(isinf(m.sqnr0_db) && m.sqnr0_db < 0);
    ck_assert_int_eq(floats(zero, zero, 0, &m), MRT_VERDICT_EQUAL);
    ck_assert_double_eq(m.cosine, 1);
}
END_TEST

START_TEST(not_finite) {
    mrt_metrics m;
    const float r[] = {NAN, INFINITY, 1, 2}, g[] = {-NAN, INFINITY, 1, 2};
    ck_assert_int_eq(floats(r, r, 4, &m), MRT_VERDICT_EQUAL);
    ck_assert_int_eq(floats(r, g, 4, &m), MRT_VERDICT_CLOSE);
    ck_assert_int_eq(m.mismatched, 0);
    ck_assert_double_eq(m.max_abs_ref, 2);
    const float bad[] = {NAN, INFINITY, 1, NAN}, flip[] = {NAN, -INFINITY, 1, 2};
    ck_assert_int_eq(floats(r, bad, 4, &m), MRT_VERDICT_NOT_SIMILAR);
    ck_assert_int_eq(m.mismatched, 1);
    ck_assert_int_eq(m.max_index, 3);
    ck_assert(isinf(m.max_abs_diff));
    ck_assert_double_eq(m.cosine, 1); /* over the finite places */
    ck_assert_int_eq(floats(r, flip, 4, &m), MRT_VERDICT_NOT_SIMILAR);
    ck_assert_int_eq(m.first_index, 1);
    const double huge[] = {1e308, 1}, minus[] = {-1e308, 1};
    const mrt_tensor a = vector(MRT_F64, huge, 2), b = vector(MRT_F64, minus, 2);
    ck_assert_int_eq(verdict_of(&a, &b, &usual, &m), MRT_VERDICT_NOT_SIMILAR);
    ck_assert_int_eq(m.max_index, 0);
}
END_TEST

START_TEST(integers) {
    mrt_metrics m;
    mrt_tolerance exact = usual;
    exact.exact_integers = true;
    const int8_t r[] = {100, -100, 50, 1}, g[] = {100, -100, 50, 2};
    const mrt_tensor a = vector(MRT_I8, r, 4), b = vector(MRT_I8, g, 4);
    ck_assert_int_eq(verdict_of(&a, &b, &exact, &m), MRT_VERDICT_NOT_EQUAL);
    ck_assert_int_eq(m.first_index, 3);
    ck_assert_int_eq(verdict_of(&a, &b, &usual, &m), MRT_VERDICT_SIMILAR);
    ck_assert_int_eq(verdict_of(&a, &a, &exact, &m), MRT_VERDICT_EQUAL);
    /* The same value at other widths is no byte equality, but close. */
    const int32_t wide[] = {100, -100, 50, 1};
    const mrt_tensor c = vector(MRT_I32, wide, 4);
    ck_assert_int_eq(verdict_of(&a, &c, &exact, &m), MRT_VERDICT_CLOSE);
    const int64_t big[] = {INT64_C(9007199254740992)}, next[] = {INT64_C(9007199254740993)};
    const mrt_tensor d = vector(MRT_I64, big, 1), e = vector(MRT_I64, next, 1);
    ck_assert_int_eq(verdict_of(&d, &e, &exact, &m), MRT_VERDICT_NOT_EQUAL);
    ck_assert_int_eq(m.first_index, 0);
}
END_TEST

START_TEST(dequantized) {
    mrt_metrics m;
    mrt_tolerance t = usual;
    t.dequantize = true;
    const uint8_t q[] = {128, 130, 126};
    const float r[] = {0, 1, -1};
    mrt_tensor got = vector(MRT_U8, q, 3);
    const mrt_tensor ref = vector(MRT_F32, r, 3);
    got.scale = 0.5;
    got.zero_point = 128;
    ck_assert_int_eq(verdict_of(&ref, &got, &t, &m), MRT_VERDICT_CLOSE);
    ck_assert_int_eq(m.different, 0);
    /* The same bytes under two scales are different values. */
    mrt_tensor other = got;
    other.scale = 0.25;
    ck_assert_int_ne(verdict_of(&got, &other, &t, &m), MRT_VERDICT_EQUAL);
    ck_assert_int_eq(verdict_of(&got, &other, &usual, &m), MRT_VERDICT_EQUAL);
}
END_TEST

START_TEST(long_arrays_and_types) {
    const int64_t n = 5000;
    float *r = malloc((size_t)n * sizeof r[0]), *g = malloc((size_t)n * sizeof g[0]);
    double rg = 0, rr = 0, gg = 0;
    for (int64_t i = 0; i < n; i++) {
        r[i] = (float)sin((double)i);
        g[i] = r[i] + (i == 4321 ? 0.25f : 0.0f);
        rr += (double)r[i] * r[i];
        gg += (double)g[i] * g[i];
        rg += (double)r[i] * g[i];
    }
    mrt_metrics m;
    mrt_metrics_f32(r, g, n, &m);
    ck_assert_double_eq_tol(m.cosine, rg / sqrt(rr * gg), 1e-14);
    ck_assert_int_eq(m.max_index, 4321);
    ck_assert_int_eq(m.first_index, 4321);
    ck_assert_int_eq(m.different, 1);
    free(r);
    free(g);
    const uint16_t half[] = {0x3c00, 0xc000}, brain[] = {0x3f80, 0xc000};
    const mrt_tensor a = vector(MRT_F16, half, 2), b = vector(MRT_BF16, brain, 2);
    ck_assert_int_eq(verdict_of(&a, &b, &usual, &m), MRT_VERDICT_CLOSE);
    ck_assert_int_eq(m.different, 0);
    mrt_verdict verdict;
    mrt_error err;
    const mrt_tensor shorter = vector(MRT_F16, half, 1), unknown = vector(MRT_DTYPE_NONE, half, 2);
    ck_assert_int_eq(mrt_compare(&a, &shorter, &usual, &verdict, NULL, &err), MRT_INVALID);
    ck_assert_int_eq(mrt_compare(&a, &unknown, &usual, &verdict, NULL, &err), MRT_INVALID);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("compare");
    TCase *tests = tcase_create("compare");
    tcase_add_test(tests, by_hand);
    tcase_add_test(tests, verdicts);
    tcase_add_test(tests, zero_vectors);
    tcase_add_test(tests, not_finite);
    tcase_add_test(tests, integers);
    tcase_add_test(tests, dequantized);
    tcase_add_test(tests, long_arrays_and_types);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
