/* Ranges by the error of the ops behind: against sums over the samples, and where they differ from the tensor's own. */
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "ir/weights.h"
#include "passes/search/tune.h"
#include "utils/npy.h"
#include "utils/prng.h"
#include "test/unit/check_main.h"

#include <math.h>

enum { SAMPLES = 3, VALUES = 32 };

static mica_error err;
static float data[SAMPLES][VALUES];

/* The last value is an outlier that the matrix does not look at. */
static void begin(void) {
    setup();
    mica_register_dialects(context);
    scratch_clear();
    err.text[0] = '\0';
    mica_prng prng;
    mica_prng_seed(&prng, 5);
    for (int s = 0; s < SAMPLES; ++s) {
        char file[16];
        for (int i = 0; i < VALUES; ++i) {
            data[s][i] = i == VALUES - 1 ? 50.0f : mica_prng_normal(&prng);
        }
        snprintf(file, sizeof file, "s%d.npy", s);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 2, (const int64_t[]){1, VALUES}, data[s], &err) == MICA_OK);
    }
}

static mica_module *model(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<1x32xf32> loc(\"x\")) -> (tensor<1x2xf32>, tensor<1x32xf32>) {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<1x32xf32>) -> tensor<1x32xf32> loc(\"x\")\n"
        "  %1 = \"top.Neg\"(%0) : (tensor<1x32xf32>) -> tensor<1x32xf32> loc(\"y\")\n"
        "  %2 = \"top.Weight\"() : () -> tensor<32x2xf32> loc(\"w\")\n"
        "  %3 = \"top.None\"() : () -> none loc(unknown)\n"
        "  %4 = \"top.MatMul\"(%1, %2, %3) : (tensor<1x32xf32>, tensor<32x2xf32>, none) -> tensor<1x2xf32> loc(\"product\")\n"
        "  %5 = \"top.Neg\"(%0) : (tensor<1x32xf32>) -> tensor<1x32xf32> loc(\"z\")\n"
        "  %6 = \"top.Neg\"(%5) : (tensor<1x32xf32>) -> tensor<1x32xf32> loc(\"out\")\n"
        "  return %4, %6 : tensor<1x2xf32>, tensor<1x32xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    float w[VALUES * 2];
    for (int i = 0; i < VALUES; ++i) {
        w[2 * i] = i == VALUES - 1 ? 0.0f : 1.0f;
        w[2 * i + 1] = i == VALUES - 1 ? 0.0f : (float)(i % 3) - 1.0f;
    }
    mica_weights_set(module->weights, "w", "<f4", 2, (const int64_t[]){VALUES, 2}, w, true);
    return module;
}

static double rounded(double v, double t) {
    const double step = t / 127.0;
    return fmin(fmax(rint(v / step), -128.0), 127.0) * step;
}

/* Sum over the samples of noise over signal behind `y` (the product) or `z` (its negative). */
static double expected(double t, bool product) {
    double sum = 0.0;
    for (int s = 0; s < SAMPLES; ++s) {
        double noise = 0.0;
        double signal = 0.0;
        double want[2] = {0.0, 0.0};
        double got[2] = {0.0, 0.0};
        for (int i = 0; i < VALUES; ++i) {
            const double v = -(double)data[s][i];
            const double q = rounded(v, t);
            noise += (v - q) * (v - q);
            signal += v * v;
            for (int o = 0; o < 2 && i < VALUES - 1; ++o) {
                want[o] += (o == 0 ? 1.0 : (double)(i % 3) - 1.0) * v;
                got[o] += (o == 0 ? 1.0 : (double)(i % 3) - 1.0) * q;
            }
        }
        sum += product ? (pow(want[0] - got[0], 2.0) + pow(want[1] - got[1], 2.0)) / (want[0] * want[0] + want[1] * want[1])
                       : noise / signal;
    }
    return sum;
}

START_TEST(errors_behind) {
    mica_module *module = model();
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    const double thresholds[] = {50.0, 25.0, 8.0, 4.0, 2.0, 1.0};
    enum { N = sizeof thresholds / sizeof thresholds[0] };
    for (int threads = 1; threads <= 3; ++threads) {
        mica_tune_tensor t[3] = {{.name = "y", .is_signed = true}, {.name = "z", .is_signed = true},
                                 {.name = "out", .is_signed = true}};
        for (int i = 0; i < 3; ++i) {
            for (size_t k = 0; k < N; ++k) {
                t[i].candidates[t[i].n++] = (mica_range){thresholds[k], -thresholds[k], thresholds[k]};
            }
        }
        ck_assert_msg(mica_tune(module, d, SAMPLES, false, threads, true, t, 3, &err) == MICA_OK, "%s", err.text);
        size_t best[2] = {0, 0};
        for (size_t k = 0; k < N; ++k) {
            for (int i = 0; i < 2; ++i) {
                const double want = expected(thresholds[k], i == 0);
                ck_assert_msg(fabs(t[i].losses[k] - want) <= 1e-3 * want + 1e-9, "%s at %g: %g, expected %g", t[i].name,
                              thresholds[k], t[i].losses[k], want);
                best[i] = want < expected(thresholds[best[i]], i == 0) ? k : best[i];
            }
        }
        ck_assert_uint_eq(t[0].best, best[0]);
        ck_assert_uint_eq(t[1].best, best[1]);
        ck_assert_double_lt(thresholds[t[0].best], 5.0);   /* the outlier does not matter behind the product */
        ck_assert_double_gt(thresholds[t[1].best], 20.0);  /* and does behind the negative */
        ck_assert_uint_eq(t[2].best, 0);                   /* nothing reads an output */
    }
    mica_dataset_close(d);
    mica_module_destroy(module);
}
END_TEST

START_TEST(steps_of_auto_tune) {
    mica_tensor_statistics t = {.name = "y"};
    mica_histogram_scratch *scratch_memory = mica_histogram_scratch_create();
    mica_histogram_init(&t.histogram);
    mica_histogram_add(&t.histogram, data[0], VALUES, scratch_memory, NULL);
    mica_histogram_scratch_destroy(scratch_memory);
    mica_tune_tensor *out = calloc(1, sizeof *out);
    mica_tune_steps(&t, 8.0, out);
    ck_assert_uint_eq(out->n, 22);
    ck_assert(out->is_signed);
    ck_assert_double_eq(out->candidates[0].threshold, 8.0);
    ck_assert_double_eq_tol(out->candidates[1].threshold, 10.0, 1e-12);
    ck_assert_double_eq(out->candidates[21].threshold, 50.0);
    mica_tune_steps(&t, 49.9, out);
    ck_assert_uint_eq(out->n, 1);
    free(out);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {errors_behind, steps_of_auto_tune};
    Suite *suite = suite_create("calibration tune");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, begin, teardown);
    for (size_t i = 0; i < MICA_COUNT(tests); ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
