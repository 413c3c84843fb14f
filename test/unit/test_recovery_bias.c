/* Bias correction on nets whose error is known to the last digit, in all its forms. Weights, biases and inputs are
 * constants on their grids but for the weights' rounding, so that the means are exact. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "ir/weights.h"
#include "passes/recovery/recovery.h"
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

/* Rounding to steps of 0.01 takes 0.004 from three of the four weights. */
static const float ROW[4] = {1.27f, 0.104f, 0.204f, 0.304f};

static void set(mica_module *module, const char *name, int rank, const int64_t *dims, const float *data) {
    mica_weights_set(module->weights, name, "<f4", rank, dims, data, true);
}

/* y = x w (+ b) */
static mica_module *one_layer(bool biased) {
    mica_module *module = parse(
        biased ? "func.func @main(%a: tensor<2x4xf32> loc(\"x\")) -> tensor<2x1xf32> {\n"
                 "  %0 = \"top.Input\"(%a) : (tensor<2x4xf32>) -> tensor<2x4xf32> loc(\"x\")\n"
                 "  %1 = \"top.Weight\"() : () -> tensor<4x1xf32> loc(\"w\")\n"
                 "  %2 = \"top.Weight\"() : () -> tensor<1xf32> loc(\"b\")\n"
                 "  %3 = \"top.MatMul\"(%0, %1, %2) : (tensor<2x4xf32>, tensor<4x1xf32>, tensor<1xf32>) -> tensor<2x1xf32> "
                 "loc(\"y\")\n"
                 "  return %3 : tensor<2x1xf32>\n}\n"
               : "func.func @main(%a: tensor<2x4xf32> loc(\"x\")) -> tensor<2x1xf32> {\n"
                 "  %n = \"top.None\"() : () -> none loc(unknown)\n"
                 "  %0 = \"top.Input\"(%a) : (tensor<2x4xf32>) -> tensor<2x4xf32> loc(\"x\")\n"
                 "  %1 = \"top.Weight\"() : () -> tensor<4x1xf32> loc(\"w\")\n"
                 "  %3 = \"top.MatMul\"(%0, %1, %n) : (tensor<2x4xf32>, tensor<4x1xf32>, none) -> tensor<2x1xf32> "
                 "loc(\"y\")\n"
                 "  return %3 : tensor<2x1xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    set(module, "w", 2, (int64_t[]){4, 1}, ROW);
    if (biased) {
        set(module, "b", 1, (int64_t[]){1}, (float[]){0.0f});
    }
    return module;
}

/* Two layers. The first takes 0.06 from each of its three results, which are then -0.03 instead of 0.03; of what
 * is there, the rounding of the second takes 0.012 times. */
static mica_module *two_layers(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<2x4xf32> loc(\"x\")) -> tensor<2x1xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<2x4xf32>) -> tensor<2x4xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<4x4xf32> loc(\"w1\")\n"
        "  %2 = \"top.Weight\"() : () -> tensor<4xf32> loc(\"b1\")\n"
        "  %3 = \"top.MatMul\"(%0, %1, %2) : (tensor<2x4xf32>, tensor<4x4xf32>, tensor<4xf32>) -> tensor<2x4xf32> "
        "loc(\"h\")\n"
        "  %4 = \"top.Weight\"() : () -> tensor<4x1xf32> loc(\"w2\")\n"
        "  %5 = \"top.Weight\"() : () -> tensor<1xf32> loc(\"b2\")\n"
        "  %6 = \"top.MatMul\"(%3, %4, %5) : (tensor<2x4xf32>, tensor<4x1xf32>, tensor<1xf32>) -> tensor<2x1xf32> "
        "loc(\"y\")\n"
        "  return %6 : tensor<2x1xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    float w1[16] = {0};
    for (int k = 0; k < 4; ++k) {
        for (int n = 1; n < 4; ++n) {
            w1[k * 4 + n] = ROW[k];
        }
    }
    set(module, "w1", 2, (int64_t[]){4, 4}, w1);
    set(module, "b1", 1, (int64_t[]){4}, (float[]){0.0f, -3.03f, -3.03f, -3.03f});
    set(module, "w2", 2, (int64_t[]){4, 1}, ROW);
    set(module, "b2", 1, (int64_t[]){1}, (float[]){0.0f});
    return module;
}

/* Rows 0, v, v, v with v = 5 always, or normal around 5. */
static void write_samples(int n, double spread) {
    mica_prng prng;
    mica_prng_seed(&prng, 3);
    for (int i = 0; i < n; ++i) {
        float data[8] = {0};
        for (int r = 0; r < 2; ++r) {
            const float v = (float)(5.0 + spread * (double)mica_prng_normal(&prng));
            data[r * 4 + 1] = data[r * 4 + 2] = data[r * 4 + 3] = v;
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 2, (int64_t[]){2, 4}, data, &err) == MICA_OK);
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
    /* 98 steps instead of 102, and 102. */
    ck_assert_double_eq_tol(reached[1], 20.0 * log10(102.0 / 4.0), 0.1);
    ck_assert_msg(reached[2] > 80.0 && reached[0] > 80.0, "%.1f %.1f", reached[0], reached[2]);
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
        "func.func @main(%a: tensor<2x4xf32> loc(\"x\")) -> tensor<2x1xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<2x4xf32>) -> tensor<2x4xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<4x1xf32> loc(\"w\")\n"
        "  %2 = \"top.Weight\"() : () -> tensor<1xf32> loc(\"b\")\n"
        "  %3 = \"top.MatMul\"(%0, %1, %2) {do_relu = true} : (tensor<2x4xf32>, tensor<4x1xf32>, tensor<1xf32>) -> "
        "tensor<2x1xf32> loc(\"y\")\n"
        "  return %3 : tensor<2x1xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    static const char *const names[] = {"x", NULL};
    static const double steps[] = {1.0};
    set(module, "w", 2, (int64_t[]){4, 1}, ROW);
    set(module, "b", 1, (int64_t[]){1}, (float[]){0.0f});
    for (int i = 0; i < 8; ++i) { /* row 0 is 5, row 1 is -5 */
        const float data[8] = {0.0f, 5.0f, 5.0f, 5.0f, 0.0f, -5.0f, -5.0f, -5.0f};
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 2, (int64_t[]){2, 4}, data, &err) == MICA_OK);
    }
    mica_recovery_report report;
    ck_assert_msg(correct(module, _i == 0 ? MICA_BIAS_PARALLEL : MICA_BIAS_SEQUENTIAL, 1, names, steps, &report) == MICA_OK,
                  "%s", err.text);
    ck_assert(report.rows[0].kept);
    ck_assert_double_eq_tol(constant(module, "b", 0), 0.06, 0.012 / 2.0 + 1e-6); /* within half a step of y */
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
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
