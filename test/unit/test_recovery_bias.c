/* Bias correction on nets whose error is known to the last digit, in all its forms. Weights, biases and inputs are
 * constants on their grids but for the weights' rounding, so that the means are exact. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "ir/weights.h"
#include "ir/builder.h"
#include "passes/recovery/layers.h"
#include "utils/npy.h"
#include "utils/prng.h"

#include <math.h>

static mica_error err;

static void begin(void) {
    setup();
    mica_register_dialects(context);
    scratch_clear();
    err.text[0] = '\0';
}

/* Rounding to steps of 0.01 takes 0.004 from three weights. The row is so long that its scale is not searched. */
enum { N = 68 };
static const float ROW[N] = {1.27f, 0.104f, 0.204f, 0.304f};

static void set(mica_module *module, const char *name, int rank, const int64_t *dims, const float *data) {
    mica_weights_set(module->weights, name, "<f4", rank, dims, data, true);
}

/* y = x w (+ b) */
static mica_module *one_layer(bool biased) {
    mica_module *module = parse(
        biased ? "func.func @main(%a: tensor<2x68xf32> loc(\"x\")) -> tensor<2x1xf32> {\n"
                 "  %0 = \"top.Input\"(%a) : (tensor<2x68xf32>) -> tensor<2x68xf32> loc(\"x\")\n"
                 "  %1 = \"top.Weight\"() : () -> tensor<68x1xf32> loc(\"w\")\n"
                 "  %2 = \"top.Weight\"() : () -> tensor<1xf32> loc(\"b\")\n"
                 "  %3 = \"top.MatMul\"(%0, %1, %2) : (tensor<2x68xf32>, tensor<68x1xf32>, tensor<1xf32>) -> tensor<2x1xf32> "
                 "loc(\"y\")\n"
                 "  return %3 : tensor<2x1xf32>\n}\n"
               : "func.func @main(%a: tensor<2x68xf32> loc(\"x\")) -> tensor<2x1xf32> {\n"
                 "  %n = \"top.None\"() : () -> none loc(unknown)\n"
                 "  %0 = \"top.Input\"(%a) : (tensor<2x68xf32>) -> tensor<2x68xf32> loc(\"x\")\n"
                 "  %1 = \"top.Weight\"() : () -> tensor<68x1xf32> loc(\"w\")\n"
                 "  %3 = \"top.MatMul\"(%0, %1, %n) : (tensor<2x68xf32>, tensor<68x1xf32>, none) -> tensor<2x1xf32> "
                 "loc(\"y\")\n"
                 "  return %3 : tensor<2x1xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    set(module, "w", 2, (int64_t[]){N, 1}, ROW);
    if (biased) {
        set(module, "b", 1, (int64_t[]){1}, (float[]){0.0f});
    }
    return module;
}

/* Two layers. The first takes 0.06 from each of its three results, which are then -0.03 instead of 0.03; of what
 * is there, the rounding of the second takes 0.012 times. */
static mica_module *two_layers(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<2x68xf32> loc(\"x\")) -> tensor<2x1xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<2x68xf32>) -> tensor<2x68xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<68x68xf32> loc(\"w1\")\n"
        "  %2 = \"top.Weight\"() : () -> tensor<68xf32> loc(\"b1\")\n"
        "  %3 = \"top.MatMul\"(%0, %1, %2) : (tensor<2x68xf32>, tensor<68x68xf32>, tensor<68xf32>) -> tensor<2x68xf32> "
        "loc(\"h\")\n"
        "  %4 = \"top.Weight\"() : () -> tensor<68x1xf32> loc(\"w2\")\n"
        "  %5 = \"top.Weight\"() : () -> tensor<1xf32> loc(\"b2\")\n"
        "  %6 = \"top.MatMul\"(%3, %4, %5) : (tensor<2x68xf32>, tensor<68x1xf32>, tensor<1xf32>) -> tensor<2x1xf32> "
        "loc(\"y\")\n"
        "  return %6 : tensor<2x1xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    float w1[N * N] = {0};
    for (int k = 0; k < 4; ++k) {
        for (int n = 1; n < 4; ++n) {
            w1[k * N + n] = ROW[k];
        }
    }
    set(module, "w1", 2, (int64_t[]){N, N}, w1);
    set(module, "b1", 1, (int64_t[]){N}, (float[N]){0.0f, -3.03f, -3.03f, -3.03f});
    set(module, "w2", 2, (int64_t[]){N, 1}, ROW);
    set(module, "b2", 1, (int64_t[]){1}, (float[]){0.0f});
    return module;
}

/* Rows 0, v, v, v with v = 5 always, or normal around 5. */
static void write_samples(int n, double spread) {
    mica_prng prng;
    mica_prng_seed(&prng, 3);
    for (int i = 0; i < n; ++i) {
        float data[2 * N] = {0};
        for (int r = 0; r < 2; ++r) {
            const float v = (float)(5.0 + spread * (double)mica_prng_normal(&prng));
            data[r * N + 1] = data[r * N + 2] = data[r * N + 3] = v;
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 2, (int64_t[]){2, N}, data, &err) == MICA_OK);
    }
}

/* Symmetric range whose step is `step`. */
static void set_step(mica_cali_table *table, const char *name, double step) {
    mica_cali_table_set(table, name, 127.0 * step, -127.0 * step, 127.0 * step);
}

static mica_status correct(mica_module *module, mica_bias_mode mode, int threads, const char *const *names,
                           const double *steps, mica_recovery_report *report) {
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    mica_recovery_options options = {.processor = mica_processor_find("bm1684x"), .method = mica_method_find("max"),
                                     .mode = MICA_MODE_INT8, .threads = threads, .quiet = true, .bias_mode = mode};
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        options.wanted[i] = strcmp(mica_recovery_name(i), "bias_correction") == 0;
    }
    mica_statistics statistics = {0};
    ck_assert(mica_collect_statistics(module, d, threads, true, &statistics, &err) == MICA_OK);
    mica_cali_table *table = mica_make_table(&statistics, options.method, threads);
    for (size_t i = 0; names[i] != NULL; ++i) {
        set_step(table, names[i], steps[i]);
    }
    const mica_status status = mica_recover(module, d, &options, &statistics, &table, report, &err);
    mica_cali_table_destroy(table);
    mica_statistics_free(&statistics);
    mica_dataset_close(d);
    return status;
}

static double constant(const mica_module *module, const char *name, size_t i) {
    const mica_ndarray *a = mica_weights_get(module->weights, name);
    ck_assert_msg(a != NULL, "no constant %s", name);
    return (double)((const float *)a->data)[i];
}

enum { MODES = 3 };
static const mica_bias_mode ALL_MODES[MODES] = {MICA_BIAS_ANALYTIC, MICA_BIAS_PARALLEL, MICA_BIAS_SEQUENTIAL};

/* 0.012 times 5 is lost; the result is 3.06, or 102 steps of 0.03. */
START_TEST(known_shift) {
    static const char *const names[] = {"x", "y", NULL};
    static const double steps[] = {1.0, 0.03};
    write_samples(8, 0.0);
    for (int biased = 0; biased < 2; ++biased) {
        mica_module *module = one_layer(biased);
        mica_recovery_report report;
        ck_assert_msg(correct(module, ALL_MODES[_i], 1, names, steps, &report) == MICA_OK, "%s", err.text);
        ck_assert(report.rows[0].kept);
        ck_assert_uint_eq(report.rows[0].changed, 1);
        ck_assert_double_eq_tol(constant(module, biased ? "b" : "y_bias_corrected", 0), 0.06, 1e-6);
        ck_assert_msg(report.rows[0].before < 35.0 && report.rows[0].after > 100.0, "%.1f -> %.1f dB", report.rows[0].before,
                      report.rows[0].after);
        mica_module_destroy(module);
    }
}
END_TEST

/* All layers at once: the second layer's bias is that of inputs that are no more. One after another: exact. */
START_TEST(sequential_sees_what_was_corrected) {
    static const char *const names[] = {"x", "h", "y", NULL};
    static const double steps[] = {1.0, 0.01, 0.00018};
    static const double second[MODES] = {0.00036, -0.00036, 0.00036};
    double reached[MODES];
    write_samples(8, 0.0);
    for (int i = 0; i < MODES; ++i) {
        mica_module *module = two_layers();
        mica_recovery_report report;
        ck_assert_msg(correct(module, ALL_MODES[i], 1, names, steps, &report) == MICA_OK, "%s", err.text);
        ck_assert(report.rows[0].kept);
        for (size_t k = 1; k < 4; ++k) {
            ck_assert_double_eq_tol(constant(module, "b1", k), -2.97, 1e-5);
        }
        ck_assert_double_eq_tol(constant(module, "b2", 0), second[i], 2e-6);
        reached[i] = report.rows[0].after;
        mica_module_destroy(module);
    }
    /* Sums of 176 units instead of 183.6, and 184. */
    ck_assert_double_eq_tol(reached[1], 20.0 * log10(183.6 / 7.6), 0.6);
    ck_assert_msg(reached[2] > 50.0 && reached[0] > 50.0, "%.1f %.1f", reached[0], reached[2]);
}
END_TEST

/* Noise of mean 0 teaches nothing that is wrong: never worse than before, and the bias stays near. */
START_TEST(never_worse) {
    static const char *const names[] = {NULL};
    write_samples(16, 2.0);
    for (int threads = 1; threads <= 3; ++threads) {
        static float first[5];
        float now[5];
        mica_module *module = two_layers();
        mica_recovery_report report;
        ck_assert_msg(correct(module, ALL_MODES[_i], threads, names, NULL, &report) == MICA_OK, "%s", err.text);
        ck_assert(!report.rows[0].kept || report.rows[0].after > report.rows[0].before);
        for (size_t k = 0; k < 4; ++k) {
            now[k] = (float)constant(module, "b1", k);
        }
        now[4] = (float)constant(module, "b2", 0);
        if (threads == 1) {
            memcpy(first, now, sizeof first);
        }
        ck_assert_int_eq(memcmp(first, now, sizeof now), 0);
        mica_module_destroy(module);
    }
}
END_TEST

/* A row that an activation holds at 0 half of the time: its mean moves by half of what the bias does. */
START_TEST(behind_an_activation) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<2x68xf32> loc(\"x\")) -> tensor<2x1xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<2x68xf32>) -> tensor<2x68xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<68x1xf32> loc(\"w\")\n"
        "  %2 = \"top.Weight\"() : () -> tensor<1xf32> loc(\"b\")\n"
        "  %3 = \"top.MatMul\"(%0, %1, %2) {do_relu = true} : (tensor<2x68xf32>, tensor<68x1xf32>, tensor<1xf32>) -> "
        "tensor<2x1xf32> loc(\"y\")\n"
        "  return %3 : tensor<2x1xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    static const char *const names[] = {"x", NULL};
    static const double steps[] = {1.0};
    set(module, "w", 2, (int64_t[]){N, 1}, ROW);
    set(module, "b", 1, (int64_t[]){1}, (float[]){0.0f});
    for (int i = 0; i < 8; ++i) { /* row 0 is 5, row 1 is -5 */
        const float data[2 * N] = {[1] = 5.0f, 5.0f, 5.0f, [N + 1] = -5.0f, -5.0f, -5.0f};
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 2, (int64_t[]){2, N}, data, &err) == MICA_OK);
    }
    mica_recovery_report report;
    ck_assert_msg(correct(module, _i == 0 ? MICA_BIAS_PARALLEL : MICA_BIAS_SEQUENTIAL, 1, names, steps, &report) == MICA_OK,
                  "%s", err.text);
    ck_assert(report.rows[0].kept);
    ck_assert_double_eq_tol(constant(module, "b", 0), 0.06, 0.012 / 2.0 + 1e-6); /* within half a step of y */
    mica_module_destroy(module);
}
END_TEST

/* Row 1 reaches 16 times beyond the range: what is cut off there (a mean of -75 * 0.61 over both rows) is not laid
 * on row 0, which loses 0.06 by rounding. */
START_TEST(clipped_rows_hardly_count) {
    static const char *const names[] = {"x", "y", NULL};
    static const double steps[] = {5.0 / 127.0, 0.03};
    for (int i = 0; i < 8; ++i) {
        const float data[2 * N] = {[1] = 5.0f, 5.0f, 5.0f, [N + 1] = 80.0f, 80.0f, 80.0f};
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 2, (int64_t[]){2, N}, data, &err) == MICA_OK);
    }
    mica_module *module = one_layer(true);
    mica_recovery_report report;
    ck_assert_msg(correct(module, _i == 0 ? MICA_BIAS_PARALLEL : MICA_BIAS_SEQUENTIAL, 1, names, steps, &report) == MICA_OK,
                  "%s", err.text);
    /* Kept or not, the bias is never that of the mean over both rows. */
    ck_assert_double_lt(fabs(constant(module, "b", 0) - (report.rows[0].kept ? 0.06 : 0.0)), 0.03);
    mica_module_destroy(module);
}
END_TEST

/* --- a random net, measured by whole runs --- */

enum { PICTURES = 12, LEARNED = 9, SIDE = 6, WIDTH = 8 };
static const char *const LAYERS[] = {"c1", "c2", "y"};

static mica_module *conv_net(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<1x4x6x6xf32> loc(\"x\")) -> tensor<1x8x6x6xf32> {\n"
        "  %n = \"top.None\"() : () -> none loc(unknown)\n"
        "  %0 = \"top.Input\"(%a) : (tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<8x4x3x3xf32> loc(\"w1\")\n"
        "  %2 = \"top.Conv\"(%0, %1, %n) {do_relu = true, relu_limit = 6.0 : f64, kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, "
        "1>} : (tensor<1x4x6x6xf32>, tensor<8x4x3x3xf32>, none) -> tensor<1x8x6x6xf32> loc(\"c1\")\n"
        "  %3 = \"top.Weight\"() : () -> tensor<8x1x3x3xf32> loc(\"w2\")\n"
        "  %4 = \"top.Conv\"(%2, %3, %n) {group = 8 : i64, do_relu = true, kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, "
        "1>} : (tensor<1x8x6x6xf32>, tensor<8x1x3x3xf32>, none) -> tensor<1x8x6x6xf32> loc(\"c2\")\n"
        "  %5 = \"top.Weight\"() : () -> tensor<8x8x1x1xf32> loc(\"w3\")\n"
        "  %6 = \"top.Conv\"(%4, %5, %n) {kernel_shape = array<i64: 1, 1>} : (tensor<1x8x6x6xf32>, tensor<8x8x1x1xf32>, none) -> "
        "tensor<1x8x6x6xf32> loc(\"y\")\n"
        "  return %6 : tensor<1x8x6x6xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    mica_prng prng;
    mica_prng_seed(&prng, 21);
    float w[8 * 36];
    const int64_t dims[3][4] = {{8, 4, 3, 3}, {8, 1, 3, 3}, {8, 8, 1, 1}};
    static const char *const names[3] = {"w1", "w2", "w3"};
    for (int k = 0; k < 3; ++k) {
        const int64_t per = dims[k][1] * dims[k][2] * dims[k][3];
        for (int64_t i = 0; i < 8 * per; ++i) { /* one large weight per row: the others lose by rounding */
            w[i] = i % per == 0 ? 8.0f : 0.3f + 0.1f * mica_prng_normal(&prng);
        }
        set(module, names[k], 4, dims[k], w);
    }
    for (int i = 0; i < PICTURES; ++i) {
        float x[4 * SIDE * SIDE];
        for (int k = 0; k < 4 * SIDE * SIDE; ++k) {
            x[k] = k < SIDE * SIDE ? 0.02f * mica_prng_normal(&prng) : 0.5f + 0.3f * mica_prng_normal(&prng);
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 4, (int64_t[]){1, 4, SIDE, SIDE}, x, &err) == MICA_OK);
    }
    return module;
}

typedef struct means {
    const mrt_plan *plan;
    double of[3][WIDTH];
} means;

static void add_means(void *user, int32_t id, const mrt_tensor *t) {
    means *m = user;
    for (int k = 0; k < 3; ++k) {
        for (int i = 0; id == mrt_plan_find(m->plan, LAYERS[k]) && i < WIDTH * SIDE * SIDE; ++i) {
            const double value = t->dtype == MRT_F32  ? (double)((const float *)t->data)[i]
                                 : t->dtype == MRT_I8 ? (((const int8_t *)t->data)[i] - t->zero_point) * t->scale
                                                      : (((const uint8_t *)t->data)[i] - t->zero_point) * t->scale;
            m->of[k][i / (SIDE * SIDE)] += value / (SIDE * SIDE * LEARNED);
        }
    }
}

static means run_means(mica_module *module, const mica_cali_table *table, const mica_dataset *d,
                       const mica_recovery_options *options) {
    mica_runner *runner = mica_runner_open(module, table, options, &err);
    ck_assert_msg(runner != NULL, "%s", err.text);
    means m = {.plan = mica_runner_plan(runner)};
    for (size_t i = 0; i < LEARNED; ++i) {
        ck_assert(mica_runner_run(runner, d, i, add_means, &m, &err) == MICA_OK);
    }
    mica_runner_close(runner);
    return m;
}

static double distance(const double *a, const double *b) {
    double sum = 0.0;
    for (int i = 0; i < WIDTH; ++i) {
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return sqrt(sum);
}

/* After one layer after another, the means of all layers of a whole run are near those of the float model: what was
 * assumed of later layers on the way is what lowering makes of the new biases. */
START_TEST(means_agree) {
    mica_module *module = conv_net();
    mica_module *original = mica_module_clone(module);
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    mica_recovery_options options = {.processor = mica_processor_find("bm1684x"), .method = mica_method_find("max"),
                                     .mode = MICA_MODE_INT8, .asymmetric = _i == 1, .threads = 1, .quiet = true,
                                     .bias_mode = MICA_BIAS_SEQUENTIAL};
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        options.wanted[i] = strcmp(mica_recovery_name(i), "bias_correction") == 0;
    }
    mica_statistics statistics = {0};
    ck_assert(mica_collect_statistics(module, d, 1, true, &statistics, &err) == MICA_OK);
    mica_cali_table *table = mica_make_table(&statistics, options.method, 1);
    const means want = run_means(original, NULL, d, &options);
    const means before = run_means(original, table, d, &options);
    mica_recovery_report report;
    ck_assert_msg(mica_recover(module, d, &options, &statistics, &table, &report, &err) == MICA_OK, "%s", err.text);
    ck_assert(report.rows[0].kept);
    ck_assert_uint_eq(report.rows[0].changed, 3);
    const means after = run_means(module, table, d, &options);
    for (int k = 0; k < 3; ++k) {
        const double was = distance(want.of[k], before.of[k]);
        const double is = distance(want.of[k], after.of[k]);
        ck_assert_msg(is < 0.2 * was, "%s: %g -> %g", LAYERS[k], was, is);
    }
    mica_cali_table_destroy(table);
    mica_statistics_free(&statistics);
    mica_dataset_close(d);
    mica_module_destroy(original);
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recovery_bias");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, begin, teardown);
    tcase_add_loop_test(tcase, known_shift, 0, MODES);
    tcase_add_test(tcase, sequential_sees_what_was_corrected);
    tcase_add_loop_test(tcase, never_worse, 0, MODES);
    tcase_add_loop_test(tcase, behind_an_activation, 0, 2);
    tcase_add_loop_test(tcase, clipped_rows_hardly_count, 0, 2);
    tcase_add_loop_test(tcase, means_agree, 0, 2);
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
