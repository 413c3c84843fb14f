/* The histogram: equal to counting all values in one go, whatever the order, the split, the merge and
 * the number of threads. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/calibration/histogram.h"
#include "passes/calibration/histogram_bins.h"
#include "test/ref/ref_calibration.h"
#include "test/unit/check_main.h"

enum { LEAST_EXPONENT = -100 };

static mica_histogram_scratch *scratch;

static void setup(void) { scratch = mica_histogram_scratch_create(); }

static void teardown(void) { mica_histogram_scratch_destroy(scratch); }

static uint64_t state = 88172645463325252u;

static uint64_t rnd(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Comparable as bytes. */
static mica_histogram *fresh(void) {
    mica_histogram *h = calloc(1, sizeof *h);
    mica_histogram_init(h);
    return h;
}

static mica_histogram *count(const float *x, int64_t n, mrt_pool *pool) {
    mica_histogram *h = fresh();
    mica_histogram_add(h, x, n, scratch, pool);
    return h;
}

/* The same values, in whatever calls. */
static void check_same(const mica_histogram *a, const mica_histogram *b) {
    static mica_histogram parts[2];
    memcpy(&parts[0], a, sizeof *a);
    memcpy(&parts[1], b, sizeof *b);
    for (int i = 0; i < 2; ++i) {
        parts[i].parts = 0;
        parts[i].sum_min = parts[i].sum_max = 0;
    }
    ck_assert_int_eq(memcmp(&parts[0], &parts[1], sizeof *parts), 0);
}

/* Counters near 0 against the definition, in long double. */
static void check_fine(const mica_histogram *h, const float *x, int64_t n) {
    uint64_t fine[2][MICA_FINE_COUNTERS] = {{0}};
    const long double w = ldexpl(1.0L, h->exponent);
    for (int64_t i = 0; i < n; ++i) {
        const int side = x[i] < 0.0f;
        const long double m = fabsl((long double)x[i]) / w;
        for (int k = 0; isfinite(x[i]) && k < MICA_FINE_COUNTERS; ++k) {
            const long double begin = mica_fine_begin(k);
            const long double end = k > 0 ? mica_fine_begin(k - 1) : MICA_FINE_PER_OCTAVE;
            fine[side][k] += side == 0 ? m >= begin && m < end : m > begin && m <= end;
        }
    }
    ck_assert_int_eq(memcmp(fine, h->fine, sizeof fine), 0);
}

static void check_against_oracle(const float *x, int64_t n) {
    mica_histogram *h = count(x, n, NULL);
    static uint64_t bins[MICA_HISTOGRAM_BINS];
    const ref_histogram r = ref_histogram_of(x, n, MICA_HISTOGRAM_BINS, LEAST_EXPONENT, bins);
    ck_assert_int_eq(h->exponent, r.exponent);
    ck_assert_int_eq(h->is_signed, r.is_signed);
    ck_assert_uint_eq(h->count, r.count);
    ck_assert_uint_eq(h->zeros, r.zeros);
    ck_assert_uint_eq(h->nonfinite, r.nonfinite);
    ck_assert_float_eq(h->min, r.min);
    ck_assert_float_eq(h->max, r.max);
    for (int i = 0; i < MICA_HISTOGRAM_BINS; ++i) {
        ck_assert_msg(h->bins[i] == bins[i], "bin %d: %llu, expected %llu", i,
                      (unsigned long long)h->bins[i], (unsigned long long)bins[i]);
    }
    check_fine(h, x, n);
    free(h);
}

/* Values of wild magnitudes, both signs, zeros of both signs, and what is not finite. */
static float wild(int kind) {
    const uint64_t r = rnd();
    const float mantissa = 1.0f + (float)(r >> 44) / 1048576.0f;
    const float sign = kind % 2 == 0 && (r & 1) != 0 ? -1.0f : 1.0f;
    switch ((r >> 1) % 16) {
    case 0:
        return sign * 0.0f;
    case 1:
        return kind >= 4 ? (r & 8 ? NAN : sign * INFINITY) : 0.5f;
    case 2:
        return kind >= 2 ? sign * ldexpf(mantissa, (int)((r >> 8) % 250) - 140) : mantissa;
    default:
        return sign * ldexpf(mantissa, (int)((r >> 8) % 8) - 4);
    }
}

START_TEST(equals_counting_in_one_go) {
    float x[500];
    for (int round = 0; round < 300; ++round) {
        const int n = 1 + (int)(rnd() % 500);
        for (int i = 0; i < n; ++i) {
            x[i] = wild(round % 6);
        }
        check_against_oracle(x, n);
    }
}
END_TEST

START_TEST(order_and_split_do_not_matter) {
    enum { N = 400 };
    float x[N];
    for (int round = 0; round < 50; ++round) {
        for (int i = 0; i < N; ++i) {
            x[i] = wild(round % 6);
        }
        mica_histogram *whole = count(x, N, NULL);
        mica_histogram *pieces = fresh();
        mica_histogram *merged = fresh();
        mica_histogram *one_by_one = fresh();
        for (int i = N - 1; i > 0; --i) { /* shuffle */
            const int k = (int)(rnd() % (uint64_t)(i + 1));
            const float t = x[i];
            x[i] = x[k];
            x[k] = t;
        }
        for (int at = 0; at < N;) {
            const int n = 1 + (int)(rnd() % 60) < N - at ? 1 + (int)(rnd() % 60) : N - at;
            const int take = n < N - at ? n : N - at;
            mica_histogram_add(pieces, x + at, take, scratch, NULL);
            mica_histogram *part = count(x + at, take, NULL);
            mica_histogram_merge(merged, part);
            free(part);
            at += take;
        }
        for (int i = 0; i < N; ++i) {
            mica_histogram_add(one_by_one, &x[i], 1, scratch, NULL);
        }
        check_same(whole, pieces);
        check_same(whole, merged);
        check_same(whole, one_by_one);
        free(one_by_one);
        free(merged);
        free(pieces);
        free(whole);
    }
}
END_TEST

/* Merging is commutative: sign and range may come from either side. */
/* The chosen variant gives the bins of the reference, but for those of zeros, which it may leave out. */
START_TEST(variants_agree) {
    enum { MOST = 100 };
    float x[MOST];
    uint16_t want[MOST + 32], got[MOST + 32];
    for (int round = 0; round < 20000; ++round) {
        const int n = (int)(rnd() % MOST);
        const int32_t offset = round % 2 == 0 ? MICA_HISTOGRAM_BINS / 2 : 0;
        const float inverse = ldexpf(1.0f, (int)(rnd() % 218) - 117);
        for (int i = 0; i < n; ++i) {
            x[i] = wild(_i);
        }
        const mica_bin_piece a = mica_bin_values_portable(x, n, inverse, offset, want);
        const mica_bin_piece b = mica_bin_values(x, n, inverse, offset, got);
        ck_assert_int_eq(a.most >= MICA_HISTOGRAM_BINS, b.most >= MICA_HISTOGRAM_BINS);
        if (a.most >= MICA_HISTOGRAM_BINS) {
            continue;
        }
        ck_assert_uint_eq(a.most, b.most);
        ck_assert(a.zeros == b.zeros && a.low == b.low && a.high == b.high && a.written == n);
        ck_assert(b.written == n || b.written == n - b.zeros);
        int at = 0;
        for (int i = 0; i < n; ++i) {
            if (b.written == n || x[i] != 0.0f) {
                ck_assert_uint_eq(want[i], got[at++]);
            }
        }
    }
}
END_TEST

START_TEST(merge_either_way) {
    for (int round = 0; round < 200; ++round) {
        float a[40];
        float b[40];
        const float big = ldexpf(1.0f, (int)(rnd() % 60) - 30);
        for (int i = 0; i < 40; ++i) {
            a[i] = fabsf(wild(0));
            b[i] = wild(0) * big;
        }
        mica_histogram *left = count(a, 40, NULL);
        mica_histogram *right = count(b, 40, NULL);
        mica_histogram *ab = fresh();
        mica_histogram_merge(ab, left);
        mica_histogram_merge(ab, right);
        mica_histogram_merge(right, left);
        check_same(ab, right);
        free(ab);
        free(right);
        free(left);
    }
}
END_TEST

START_TEST(threads_do_not_matter) {
    enum { N = 300001 };
    float *x = malloc(N * sizeof *x);
    ref_fill(REF_HEAVY, 3.0f, 4, x, N);
    x[1000] = NAN;
    x[N - 1] = -INFINITY;
    mica_histogram *alone = count(x, N, NULL);
    for (int threads = 1; threads <= 5; ++threads) {
        mrt_pool *pool = mrt_pool_create(threads);
        mica_histogram *shared = count(x, N, pool);
        check_same(alone, shared);
        free(shared);
        mrt_pool_destroy(pool);
    }
    check_against_oracle(x, N);
    free(alone);
    free(x);
}
END_TEST

START_TEST(range_doubles) {
    mica_histogram *h = fresh();
    float x = 1.0f;
    mica_histogram_add(h, &x, 1, scratch, NULL);
    ck_assert_double_eq(mica_histogram_low(h), 0.0);
    const double first = mica_histogram_width(h);
    ck_assert_double_gt(MICA_HISTOGRAM_BINS * first, 1.0);
    ck_assert_double_le(MICA_HISTOGRAM_BINS / 2 * first, 1.0);
    x = 1024.0f;
    mica_histogram_add(h, &x, 1, scratch, NULL);
    ck_assert_double_eq(mica_histogram_width(h), 1024.0 * first);
    x = -1.0f; /* sign change: the width doubles to make room below 0 */
    mica_histogram_add(h, &x, 1, scratch, NULL);
    ck_assert(h->is_signed);
    ck_assert_double_eq(mica_histogram_width(h), 2048.0 * first);
    ck_assert_double_eq(mica_histogram_low(h), -MICA_HISTOGRAM_BINS / 2 * mica_histogram_width(h));
    ck_assert_uint_eq(h->count, 3);
    ck_assert_uint_eq(h->bins[MICA_HISTOGRAM_BINS / 2], 1);
    ck_assert_uint_eq(h->bins[MICA_HISTOGRAM_BINS / 2 - 1], 1);
    free(h);
}
END_TEST

/* Edges: a value on the upper end doubles the range, one on the lower end of a signed one does not. */
START_TEST(edges) {
    const float powers[] = {1.0f, 2.0f, 1016.0f, 2032.0f, 2031.0f, 2048.0f, -1016.0f, -2032.0f, -1.0f};
    for (size_t i = 0; i < sizeof powers / sizeof powers[0]; ++i) {
        for (size_t k = 0; k < sizeof powers / sizeof powers[0]; ++k) {
            const float x[4] = {powers[i], powers[k], nextafterf(powers[i], INFINITY),
                                nextafterf(powers[k], -INFINITY)};
            check_against_oracle(x, 4);
        }
    }
    const float ends[4] = {3.4028234e38f, -3.4028234e38f, 1e-45f, -1e-45f};
    check_against_oracle(ends, 4);
    check_against_oracle(ends, 1);
    check_against_oracle(ends + 2, 2);
}
END_TEST

/* A mask's lowest f32 beside tiny negative numbers: their product with 1 / width underflows. */
START_TEST(tiny_beside_huge) {
    const float x[3] = {-3.4028234e38f, -1e-20f, 1e-20f};
    mica_histogram *together = count(x, 3, NULL);
    mica_histogram *parts = count(x + 1, 2, NULL);
    mica_histogram_add(parts, x, 1, scratch, NULL);
    check_same(together, parts);
    free(parts);
    free(together);
}
END_TEST

START_TEST(zeros_of_either_sign) {
    const float plus_first[3] = {0.0f, -0.0f, 1.0f};
    const float minus_first[3] = {-0.0f, 0.0f, 1.0f};
    mica_histogram *a = count(plus_first, 3, NULL);
    mica_histogram *b = count(minus_first, 3, NULL);
    check_same(a, b);
    ck_assert_uint_eq(a->zeros, 2);
    ck_assert(!a->is_signed);
    ck_assert(!signbit(a->min));
    free(b);
    free(a);
}
END_TEST

START_TEST(what_is_not_finite) {
    const float x[6] = {NAN, INFINITY, -INFINITY, 2.0f, NAN, -1.0f};
    mica_histogram *h = count(x, 6, NULL);
    ck_assert_uint_eq(h->nonfinite, 4);
    ck_assert_uint_eq(h->count, 2);
    ck_assert_float_eq(h->min, -1.0f);
    ck_assert_float_eq(h->max, 2.0f);
    mica_histogram *none = count(x, 3, NULL);
    ck_assert_uint_eq(none->nonfinite, 3);
    ck_assert_uint_eq(none->count, 0);
    mica_histogram_merge(h, none);
    ck_assert_uint_eq(h->nonfinite, 7);
    ck_assert_uint_eq(h->count, 2);
    mica_histogram_add(h, x, 0, scratch, NULL);
    ck_assert_uint_eq(h->count, 2);
    free(none);
    free(h);
}
END_TEST

START_TEST(one_bin) {
    float x[100];
    for (int i = 0; i < 100; ++i) {
        x[i] = 0.75f;
    }
    mica_histogram *h = count(x, 100, NULL);
    uint64_t bins[MICA_HISTOGRAM_BINS];
    const int used = mica_histogram_magnitudes(h, true, bins);
    ck_assert_int_gt(used, 0);
    ck_assert_uint_eq(bins[used - 1], 100);
    for (double p = 0.0; p <= 1.0; p += 0.125) {
        ck_assert_double_eq(mica_histogram_quantile(h, p), 0.75);
    }
    free(h);
}
END_TEST

START_TEST(magnitudes) {
    const float x[6] = {-3.0f, 3.0f, 0.0f, -0.0f, 1.0f, -7.5f};
    mica_histogram *h = count(x, 6, NULL);
    uint64_t bins[MICA_HISTOGRAM_BINS];
    const int used = mica_histogram_magnitudes(h, true, bins);
    uint64_t sum = 0;
    for (int i = 0; i < MICA_HISTOGRAM_BINS; ++i) {
        sum += bins[i];
        ck_assert(i < used || bins[i] == 0);
    }
    ck_assert_uint_eq(sum, 4);
    ck_assert_uint_eq(bins[used - 1], 1); /* -7.5 on its lower edge */
    const int with_zeros = mica_histogram_magnitudes(h, false, bins);
    ck_assert_int_eq(with_zeros, used);
    ck_assert_uint_eq(bins[0], 2);
    free(h);
}
END_TEST

/* Within one bin of the value that sorting gives. */
START_TEST(quantiles) {
    enum { N = 20000 };
    float *x = malloc(N * sizeof *x);
    ref_fill((ref_shape)_i, 2.5f, 21, x, N);
    mica_histogram *h = count(x, N, NULL);
    const double w = mica_histogram_width(h);
    double last = -HUGE_VAL;
    for (double p = 0.0; p <= 1.0; p += 1.0 / 16.0) {
        const double got = mica_histogram_quantile(h, p);
        const double expected = ref_quantile(x, N, p);
        ck_assert_msg(fabs(got - expected) <= w, "%s, %g: %g, sorted %g, bins of %g",
                      ref_shape_name((ref_shape)_i), p, got, expected, w);
        ck_assert_double_ge(got, last);
        last = got;
    }
    ck_assert_double_eq(mica_histogram_quantile(h, 0.0), h->min);
    ck_assert_double_eq(mica_histogram_quantile(h, 1.0), h->max);
    free(h);
    free(x);
}
END_TEST

START_TEST(fine_variants_agree) {
    static float x[777];
    for (int kind = 0; kind < 4; ++kind) {
        for (int i = 0; i < 777; ++i) {
            x[i] = wild(kind);
        }
        for (int exponent = -100; exponent <= 100; exponent += 20) {
            uint32_t a[2][MICA_FINE_COUNTERS] = {{0}};
            uint32_t b[2][MICA_FINE_COUNTERS] = {{0}};
            mica_fine_count(x, 777, ldexpf(1.0f, -exponent), a);
            mica_fine_count_portable(x, 777, ldexpf(1.0f, -exponent), b);
            ck_assert_int_eq(memcmp(a, b, sizeof a), 0);
        }
    }
}
END_TEST

START_TEST(parts_are_calls) {
    mica_histogram *h = fresh();
    const float x[] = {0.5f, -1.0f, 3.0f, 2.0f, 4.0f};
    mica_histogram_add(h, x, 3, scratch, NULL);
    mica_histogram_add(h, x + 3, 2, scratch, NULL);
    ck_assert_uint_eq(h->parts, 2);
    ck_assert_double_eq(ldexp((double)h->sum_min, -64), -1.0);
    ck_assert_double_eq(ldexp((double)h->sum_max, -64), 7.0);
    free(h);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("calibration histogram");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, fine_variants_agree);
    tcase_add_test(tcase, parts_are_calls);
    tcase_add_test(tcase, equals_counting_in_one_go);
    tcase_add_test(tcase, order_and_split_do_not_matter);
    tcase_add_loop_test(tcase, variants_agree, 0, 6);
    tcase_add_test(tcase, merge_either_way);
    tcase_add_test(tcase, threads_do_not_matter);
    tcase_add_test(tcase, range_doubles);
    tcase_add_test(tcase, edges);
    tcase_add_test(tcase, tiny_beside_huge);
    tcase_add_test(tcase, zeros_of_either_sign);
    tcase_add_test(tcase, what_is_not_finite);
    tcase_add_test(tcase, one_bin);
    tcase_add_test(tcase, magnitudes);
    tcase_add_loop_test(tcase, quantiles, 0, REF_SHAPES);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
