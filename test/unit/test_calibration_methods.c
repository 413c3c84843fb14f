/* Ranges from histograms: the mse method against an exhaustive search on the samples, and what every
 * method promises. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/calibration/methods.h"
#include "test/ref/ref_calibration.h"
#include "test/unit/check_main.h"

enum { SAMPLES = 16384 };

static mica_range by(const char *text, const mica_histogram *h) {
    mica_method method;
    ck_assert_msg(mica_method_parse(text, &method), "%s", text);
    return mica_method_run(&method, h);
}

static mica_range range_by(const char *method, const float *x, int64_t n) {
    mica_histogram *h = malloc(sizeof *h);
    mica_histogram_scratch *scratch = mica_histogram_scratch_create();
    mica_histogram_init(h);
    mica_histogram_add(h, x, n, scratch, NULL);
    const mica_range range = by(method, h);
    mica_histogram_scratch_destroy(scratch);
    free(h);
    return range;
}

static float *samples(ref_shape shape, float spread, uint64_t seed, int64_t n) {
    float *x = malloc((size_t)n * sizeof *x);
    ref_fill(shape, spread, seed, x, n);
    return x;
}

/* design: within 0.05 dB of exhaustive search */
START_TEST(mse_is_near_the_best) {
    const ref_shape shape = (ref_shape)_i;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        const float spread = seed == 1 ? 1.0f : (seed == 2 ? 0.0037f : 41.0f);
        float *x = samples(shape, spread, seed, SAMPLES);
        const double got = ref_sqnr(x, SAMPLES, range_by("mse", x, SAMPLES).threshold);
        double best_t = 0.0;
        const double best = ref_best_sqnr(x, SAMPLES, &best_t);
        ck_assert_msg(got >= best - 0.05, "%s, spread %g: %.3f dB at %g, best is %.3f dB at %g",
                      ref_shape_name(shape), (double)spread, got,
                      range_by("mse", x, SAMPLES).threshold, best, best_t);
        free(x);
    }
}
END_TEST

/* A value so far out that nearly all others share the bins beside 0: what is known of them there decides. */
START_TEST(mse_beside_a_far_outlier) {
    enum { N = 1 << 20, STEPS = 80 };
    const float far[] = {3e2f, 1e3f, 3e3f, 1e4f, 1e5f};
    const ref_shape shapes[] = {REF_GAUSS, REF_HALF_NORMAL, REF_LAPLACE};
    float *x = samples(shapes[_i % 3], 1.0f, 21, N);
    x[N / 3] = far[_i / 3];
    double best = -HUGE_VAL;
    for (int i = 0; i < STEPS; ++i) {
        best = fmax(best, ref_sqnr(x, N, far[_i / 3] * pow(1e-5, (double)i / STEPS)));
    }
    const mica_range r = range_by("mse", x, N);
    const double got = ref_sqnr(x, N, r.threshold);
    ck_assert_msg(got >= best - 0.05, "%s beside %g: %.3f dB at %g, best is %.3f dB",
                  ref_shape_name(shapes[_i % 3]), (double)far[_i / 3], got, r.threshold, best);
    mica_histogram *h = malloc(sizeof *h);
    mica_histogram_scratch *scratch = mica_histogram_scratch_create();
    mica_histogram_init(h);
    mica_histogram_add(h, x, N, scratch, NULL);
    const double predicted = mica_predicted_sqnr(h, r, false);
    ck_assert_msg(fabs(predicted - got) < 0.2, "predicted %.2f dB, real %.2f dB", predicted, got);
    mica_histogram_scratch_destroy(scratch);
    free(h);
    free(x);
}
END_TEST

/* The error that the method minimizes is that of the samples, at any threshold. */
START_TEST(error_of_the_histogram) {
    const ref_shape shape = (ref_shape)_i;
    float *x = samples(shape, 1.0f, 5, SAMPLES);
    mica_histogram *h = malloc(sizeof *h);
    mica_histogram_scratch *scratch = mica_histogram_scratch_create();
    mica_histogram_init(h);
    mica_histogram_add(h, x, SAMPLES, scratch, NULL);
    const double top = fmax(fabs((double)h->min), fabs((double)h->max));
    /* A bin wider than the bulk of the values counts them as spread over it. */
    const bool coarse = mica_histogram_width(h) > 0.1;
    for (double t = top; !coarse && t > 0.3 * top; t *= 0.9) {
        const double expected = ref_error(x, SAMPLES, t);
        const double got = mica_quantization_error(h, t);
        ck_assert_msg(fabs(got - expected) < 0.15 * expected, "%s at %g: error %g, from samples %g",
                      ref_shape_name(shape), t, got, expected);
    }
    mica_histogram_scratch_destroy(scratch);
    free(h);
    free(x);
}
END_TEST

START_TEST(promises_of_all_methods) {
    size_t n_methods = 0;
    const char *const *names = mica_method_names(&n_methods);
    ck_assert_uint_ge(n_methods, 4);
    const ref_shape shape = (ref_shape)_i;
    float *x = samples(shape, 1.0f, 9, SAMPLES);
    float *scaled = samples(shape, 1.0f, 9, SAMPLES);
    double low = 0.0;
    double high = 0.0;
    for (int64_t i = 0; i < SAMPLES; ++i) {
        scaled[i] *= 1024.0f;
        low = i == 0 ? x[i] : fmin(low, x[i]);
        high = i == 0 ? x[i] : fmax(high, x[i]);
    }
    for (size_t i = 0; i < n_methods; ++i) {
        const mica_range r = range_by(names[i], x, SAMPLES);
        ck_assert(r.threshold > 0.0 && r.threshold <= fmax(-low, high));
        ck_assert_msg(r.min >= low && r.max <= high && r.min <= r.max, "%s %s: [%g, %g] in [%g, %g]",
                      names[i], ref_shape_name(shape), r.min, r.max, low, high);
        ck_assert((r.min < 0.0) == (low < 0.0)); /* a signed tensor stays signed */
        ck_assert(fmax(fabs(r.min), fabs(r.max)) <= r.threshold * (1.0 + 1e-12));
        if (strcmp(names[i], "post_sigmoid") == 0) {
            continue; /* the sigmoid has a unit */
        }
        /* units do not matter */
        const mica_range s = range_by(names[i], scaled, SAMPLES);
        ck_assert_double_eq(s.threshold, r.threshold * 1024.0);
        ck_assert_double_eq(s.min, r.min * 1024.0);
        ck_assert_double_eq(s.max, r.max * 1024.0);
    }
    free(scaled);
    free(x);
}
END_TEST

START_TEST(max_clips_nothing) {
    const float x[] = {-3.25f, 0.0f, 1.5f, 2.0f};
    const mica_range r = range_by("max", x, 4);
    ck_assert_double_eq(r.threshold, 3.25);
    ck_assert_double_eq(r.min, -3.25);
    ck_assert_double_eq(r.max, 2.0);
    const float positive[] = {0.5f, 4.0f};
    const mica_range p = range_by("use_max", positive, 2);
    ck_assert_double_eq(p.threshold, 4.0);
    ck_assert_double_eq(p.min, 0.5);
    ck_assert_double_eq(p.max, 4.0);
}
END_TEST

/* Of the two powers of two the one of less error; at borders of the network the one that reaches the extremes, where
 * one step less is enough: pixels from -127 to 128. */
START_TEST(powers_of_two) {
    enum { N = 4096 };
    static const struct { float low, high; bool whole; double expected; } all[] = {
        {-127.0f, 128.0f, true, 127.0}, {-127.0f, 129.0f, true, 254.0}, {-127.0f, 129.0f, false, 127.0},
        {-127.0f, 200.0f, false, 254.0}, {0.0f, 255.5f, true, 255.0}, {0.0f, 6.0f, false, 255.0 / 32.0}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i) {
        float x[N];
        for (int k = 0; k < N; ++k) {
            x[k] = all[i].low + (all[i].high - all[i].low) * (float)k / (N - 1);
        }
        mica_histogram *h = malloc(sizeof *h);
        mica_histogram_scratch *scratch = mica_histogram_scratch_create();
        mica_histogram_init(h);
        mica_histogram_add(h, x, N, scratch, NULL);
        const mica_range range = mica_range_pow2(h, by("max", h), 8, all[i].whole);
        ck_assert_msg(fabs(range.threshold - all[i].expected) < 1e-6, "case %zu: %g", i, range.threshold);
        mica_histogram_scratch_destroy(scratch);
        free(h);
    }
}
END_TEST

START_TEST(percentile_follows_sorting) {
    enum { N = 200000 };
    float *x = samples(REF_HEAVY, 1.0f, 3, N);
    const mica_range r = range_by("percentile9999", x, N);
    const double low = ref_quantile(x, N, 1.0 - 0.9999);
    const double high = ref_quantile(x, N, 0.9999);
    ck_assert_msg(fabs(r.min - low) < 2.0 && fabs(r.max - high) < 2.0, "[%g, %g], sorted [%g, %g]", r.min,
                  r.max, low, high);
    ck_assert_double_eq(r.threshold, fmax(-r.min, r.max));
    free(x);
}
END_TEST

/* One value in a hundred thousand, a thousand times as large as the rest: kl and mse do not follow it
 * as max does, and kl keeps at least 99.99 % of the values. */
START_TEST(kl_clips_outliers_only) {
    enum { N = 400000 };
    float *x = samples(REF_GAUSS, 1.0f, 11, N);
    x[7] = 20.0f;
    x[8] = -20.0f;
    const double t = range_by("kl", x, N).threshold;
    ck_assert_msg(t < 8.0 && t > ref_quantile(x, N, 0.9995), "threshold %g", t);
    free(x);
    /* a bounded distribution is not clipped by more than a few bins */
    float *u = samples(REF_UNIFORM, 1.0f, 12, N);
    ck_assert_double_gt(range_by("kl", u, N).threshold, 0.98);
    free(u);
}
END_TEST

/* Fewer bins than levels: nothing to decide. */
START_TEST(kl_of_few_bins) {
    const float x[] = {-1.0f, 1.0f, 0.5f, 0.0f};
    ck_assert_double_eq(range_by("kl", x, 4).threshold, 1.0);
    const float one[] = {3.0f, 3.0f, 3.0f};
    const mica_range r = range_by("kl", one, 3);
    ck_assert_double_eq(r.threshold, 3.0);
    ck_assert_double_eq(r.max, 3.0);
}
END_TEST

/* Tensors that are always 0, or were never seen, get a usable range. */
/* Fewer bins: thresholds end at joined ones, and are those of a histogram with wider bins. */
START_TEST(kl_of_joined_bins) {
    enum { N = 20000 };
    float *x = samples(REF_LAPLACE, 1.0f, 3, N);
    mica_histogram *h = malloc(sizeof *h);
    mica_histogram_init(h);
    mica_histogram_scratch *scratch = mica_histogram_scratch_create();
    mica_histogram_add(h, x, N, scratch, NULL);
    mica_method kl = *mica_method_find("kl");
    const double all = mica_method_run(&kl, h).threshold;
    kl.settings.kl_bins = 65536;
    ck_assert_double_eq(mica_method_run(&kl, h).threshold, all);
    uint64_t bins[MICA_HISTOGRAM_BINS];
    const int used = mica_histogram_magnitudes(h, true, bins);
    kl.settings.kl_bins = (used + 2) / 3;
    const double joined = mica_method_run(&kl, h).threshold;
    ck_assert_int_gt(used, 300);
    const double wide = 3.0 * mica_histogram_width(h);
    const double end = fmin(ceil(joined / wide - 1e-6) * wide, fmax(-(double)h->min, (double)h->max));
    ck_assert_double_eq_tol(joined, end, 1e-6 * end);
    ck_assert_double_eq_tol(joined, all, 0.2 * all);
    mica_histogram_scratch_destroy(scratch);
    free(h);
    free(x);
}
END_TEST

START_TEST(dead_tensors) {
    size_t n = 0;
    const char *const *names = mica_method_names(&n);
    const float zeros[5] = {0.0f, -0.0f, 0.0f, 0.0f, 0.0f};
    const float tiny[2] = {-1e-30f, 1e-38f};
    const float bad[2] = {NAN, INFINITY};
    for (size_t i = 0; i < n; ++i) {
        const mica_range r[4] = {range_by(names[i], zeros, 5), range_by(names[i], zeros, 0),
                                 range_by(names[i], bad, 2), range_by(names[i], tiny, 2)};
        for (int k = 0; k < 4; ++k) {
            ck_assert_double_eq(r[k].threshold, MICA_MIN_THRESHOLD);
            ck_assert(r[k].min <= r[k].max && fabs(r[k].min) < 1e-5 && fabs(r[k].max) < 1e-5);
        }
    }
}
END_TEST

START_TEST(names) {
    ck_assert_ptr_nonnull(mica_method_find("kl"));
    ck_assert_ptr_eq(mica_method_find("kl"), mica_method_find("use_kl"));
    ck_assert_ptr_null(mica_method_find("KL2"));
    ck_assert_ptr_null(mica_method_find(""));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("calibration methods");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, mse_is_near_the_best, 0, REF_SHAPES);
    tcase_add_loop_test(tcase, mse_beside_a_far_outlier, 0, 15);
    tcase_add_loop_test(tcase, error_of_the_histogram, 0, REF_SHAPES);
    tcase_add_loop_test(tcase, promises_of_all_methods, 0, REF_SHAPES);
    tcase_add_test(tcase, max_clips_nothing);
    tcase_add_test(tcase, powers_of_two);
    tcase_add_test(tcase, percentile_follows_sorting);
    tcase_add_test(tcase, kl_clips_outliers_only);
    tcase_add_test(tcase, kl_of_few_bins);
    tcase_add_test(tcase, kl_of_joined_bins);
    tcase_add_test(tcase, dead_tensors);
    tcase_add_test(tcase, names);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
