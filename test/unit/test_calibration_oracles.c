/* Each method against its rule on the samples themselves: what the histogram loses must not show. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "passes/calibration/methods.h"
#include "test/ref/ref_calibration.h"
#include "test/ref/ref_methods.h"

enum { SAMPLES = 1 << 15, CANDIDATES = 48 };

static float *x;
static mica_histogram *h;

static void fill(ref_shape shape) {
    x = malloc(SAMPLES * sizeof *x);
    h = malloc(sizeof *h);
    mica_histogram_scratch *scratch = mica_histogram_scratch_create();
    ref_fill(shape, 1.0f, 31, x, SAMPLES);
    mica_histogram_init(h);
    mica_histogram_add(h, x, SAMPLES, scratch, NULL);
    mica_histogram_scratch_destroy(scratch);
}

static void drop(void) {
    free(x);
    free(h);
}

static double threshold_by(const char *name) {
    return mica_method_run(mica_method_find(name), h).threshold;
}

static double largest(void) { return fmax(fabs((double)h->min), fabs((double)h->max)); }

/* The outlier of 1000 beside values of 1: the bins there are a whole standard deviation wide. */
static bool is_coarse(ref_shape shape) { return shape == REF_ONE_OUTLIER; }

static void check_near(ref_shape shape, const char *name, double got, double want, double tolerance) {
    want = fmin(want, largest());
    ck_assert_msg(fabs(got - want) <= tolerance * want, "%s of %s: %g, from the samples %g", name,
                  ref_shape_name(shape), got, want);
}

START_TEST(closed_forms) {
    const ref_shape shape = (ref_shape)_i;
    fill(shape);
    check_near(shape, "aciq_gauss", threshold_by("aciq_gauss"), ref_aciq(x, SAMPLES, false), is_coarse(shape) ? 0.2 : 0.01);
    check_near(shape, "aciq_laplace", threshold_by("aciq_laplace"), ref_aciq(x, SAMPLES, true), is_coarse(shape) ? 0.2 : 0.01);
    drop();
}
END_TEST

/* For 4 and 16 bits, too. */
START_TEST(factors) {
    fill(REF_GAUSS);
    for (int bits = 4; bits <= 16; bits *= 2) {
        mica_method m = *mica_method_find("aciq_gauss");
        m.settings.bits = bits;
        const double eight = ref_aciq(x, SAMPLES, false) / ref_aciq_factor(false, 8);
        check_near(REF_GAUSS, "aciq_gauss", mica_method_run(&m, h).threshold, eight * ref_aciq_factor(false, bits), 0.01);
        m = *mica_method_find("aciq_laplace");
        m.settings.bits = bits;
        const double mean = ref_aciq(x, SAMPLES, true) / ref_aciq_factor(true, 8);
        check_near(REF_GAUSS, "aciq_laplace", mica_method_run(&m, h).threshold, mean * ref_aciq_factor(true, bits), 0.01);
    }
    drop();
}
END_TEST

START_TEST(octav) {
    const ref_shape shape = (ref_shape)_i;
    fill(shape);
    const double want = fmin(ref_octav(x, SAMPLES), largest());
    const double got = threshold_by("octav");
    const double loss = ref_sqnr(x, SAMPLES, want) - ref_sqnr(x, SAMPLES, got);
    ck_assert_msg(fabs(got - want) <= 0.05 * want || fabs(loss) < 0.1 || is_coarse(shape), "%s: %g, from the samples %g (%.2f dB)",
                  ref_shape_name(shape), got, want, loss);
    drop();
}
END_TEST

/* The divergence that the method reaches is near the least of all thresholds that keep 99.5 % of the magnitudes. */
START_TEST(kl_v2) {
    const ref_shape shape = (ref_shape)_i;
    if (is_coarse(shape)) {
        return;
    }
    fill(shape);
    const double t = threshold_by("kl_v2");
    double sum = 0.0;
    for (int64_t i = 0; i < SAMPLES; ++i) {
        sum += fabs((double)x[i]);
    }
    double least = HUGE_VAL;
    double at = 0.0;
    for (int i = 0; i <= CANDIDATES; ++i) {
        const double c = largest() * pow(1.0 / 64.0, (double)i / CANDIDATES);
        double outside = 0.0;
        for (int64_t k = 0; k < SAMPLES; ++k) {
            outside += fabs((double)x[k]) > c ? fabs((double)x[k]) : 0.0;
        }
        const double here = outside <= 0.005 * sum ? ref_divergence(x, SAMPLES, c, 4, true) : HUGE_VAL;
        at = here < least ? c : at;
        least = fmin(least, here);
    }
    const double got = ref_divergence(x, SAMPLES, t, 4, true);
    ck_assert_msg(got <= least + 0.06, "%s: divergence %g at %g, least %g at %g", ref_shape_name(shape), got, t, least,
                  at);
    drop();
}
END_TEST

/* No shape loses more than 2 dB against the best threshold: heavy tails neither. */
START_TEST(kl_v2_and_heavy_tails) {
    const ref_shape shape = (ref_shape)_i;
    fill(shape);
    double t = 0.0;
    const double best = ref_best_sqnr(x, SAMPLES, &t);
    const double got = ref_sqnr(x, SAMPLES, threshold_by("kl_v2"));
    ck_assert_msg(got >= best - 2.0, "%s: %.2f dB, best %.2f dB", ref_shape_name(shape), got, best);
    drop();
}
END_TEST

/* At most the share is clipped, and of the thresholds that are left none is much better. */
START_TEST(mmse) {
    const ref_shape shape = (ref_shape)_i;
    fill(shape);
    const double ranges[] = {0.0, 0.001, 0.05};
    const double outlier_factors[] = {1.0, 3.0, 30.0};
    for (int k = 0; k < 3; ++k) {
        mica_method m = *mica_method_find("mmse");
        m.settings.mmse_range = ranges[k];
        m.settings.outlier_factor = outlier_factors[k];
        const double t = mica_method_run(&m, h).threshold;
        ck_assert_msg(ref_clipped(x, SAMPLES, t) <= 1.2 * ranges[k] + 2e-3 /* a bin */, "%s: %g clips %g", ref_shape_name(shape), t,
                      ref_clipped(x, SAMPLES, t));
        const double got = ref_weighted_error(x, SAMPLES, t, outlier_factors[k]);
        for (int i = 0; i <= CANDIDATES; ++i) {
            const double c = largest() * pow(1.0 / 64.0, (double)i / CANDIDATES);
            if (ref_clipped(x, SAMPLES, c) <= 0.8 * ranges[k]) {
                const double here = ref_weighted_error(x, SAMPLES, c, outlier_factors[k]);
                ck_assert_msg(got <= 1.05 * here || is_coarse(shape), "%s, range %g: error %g at %g, %g at %g",
                              ref_shape_name(shape), ranges[k], got, t, here, c);
            }
        }
    }
    drop();
}
END_TEST

/* Sum of divergence and k times error, k from the ten candidates of least error. */
START_TEST(joint) {
    const ref_shape shape = (ref_shape)_i;
    if (is_coarse(shape)) {
        return;
    }
    fill(shape);
    double kl[CANDIDATES + 1];
    double error[CANDIDATES + 1];
    bool taken[CANDIDATES + 1] = {false};
    for (int i = 0; i <= CANDIDATES; ++i) {
        const double c = largest() * pow(1.0 / 256.0, (double)i / CANDIDATES);
        kl[i] = fmax(ref_divergence(x, SAMPLES, c, 4, false), 0.0);
        error[i] = ref_error(x, SAMPLES, c);
    }
    enum { CALM = 3 }; /* of 49 candidates as ten of 193 */
    double weight = 0.0;
    for (int k = 0; k < CALM; ++k) {
        int best = -1;
        for (int i = 0; i <= CANDIDATES; ++i) {
            best = !taken[i] && (best < 0 || error[i] < error[best]) ? i : best;
        }
        taken[best] = true;
        weight += pow(kl[best] / error[best], 2.0) / CALM;
    }
    weight = sqrt(weight);
    const double t = threshold_by("joint");
    const double got = fmax(ref_divergence(x, SAMPLES, t, 4, false), 0.0) + weight * ref_error(x, SAMPLES, t);
    for (int i = 0; i <= CANDIDATES; ++i) {
        ck_assert_msg(got <= 1.3 * (kl[i] + weight * error[i]) + 0.02, "%s: loss %g at %g, %g at candidate %d",
                      ref_shape_name(shape), got, t, kl[i] + weight * error[i], i);
    }
    drop();
}
END_TEST

START_TEST(post_sigmoid) {
    const ref_shape shape = (ref_shape)_i;
    fill(shape);
    const double got = ref_sigmoid_error(x, SAMPLES, threshold_by("post_sigmoid"));
    for (int i = 0; i <= CANDIDATES; ++i) {
        const double c = largest() * pow(1.0 / 256.0, (double)i / CANDIDATES);
        const double here = ref_sigmoid_error(x, SAMPLES, c);
        ck_assert_msg(got <= 1.15 * here + 1e-9 || is_coarse(shape), "%s: %g, %g at %g", ref_shape_name(shape), got, here, c);
    }
    drop();
}
END_TEST

int main(void) {
    const TTest *const tests[] = {closed_forms, octav, kl_v2, kl_v2_and_heavy_tails, mmse, joint, post_sigmoid};
    Suite *suite = suite_create("calibration oracles");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 30);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; ++i) {
        tcase_add_loop_test(tcase, tests[i], 0, REF_SHAPES);
    }
    tcase_add_test(tcase, factors);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
