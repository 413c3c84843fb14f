/* Recovery steps on a net whose best rounding is known, over threads, and undone when it harms. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "dialects/top/top.h"
#include "ir/weights.h"
#include "passes/recovery/recovery.h"
#include "utils/npy.h"
#include "utils/prng.h"

#include <math.h>

static mica_error err;

/* Row 0 has its largest weight on an input that is always 0; the other three inputs are equal. Nearest
 * rounding takes 0.4 steps from each of them, 1.2 in all; rounded together 0.2 remain. */
enum { N = 68 }; /* so long that its scale is not searched */
static const float FILTER[N] = {127.0f, 10.4f, 20.4f, 30.4f};
static const float BIAS[1] = {0.0f};

static void begin(void) {
    setup();
    mica_register_dialects(context);
    scratch_clear();
    err.text[0] = '\0';
}

static mica_module *net(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<8x68xf32> loc(\"x\")) -> tensor<8x1xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<8x68xf32>) -> tensor<8x68xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<68x1xf32> loc(\"w\")\n"
        "  %2 = \"top.Weight\"() : () -> tensor<1xf32> loc(\"b\")\n"
        "  %3 = \"top.MatMul\"(%0, %1, %2) : (tensor<8x68xf32>, tensor<68x1xf32>, tensor<1xf32>) -> "
        "tensor<8x1xf32> loc(\"y\")\n"
        "  return %3 : tensor<8x1xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    const int64_t dims[2] = {N, 1};
    mica_weights_set(module->weights, "w", "<f4", 2, dims, FILTER, true);
    mica_weights_set(module->weights, "b", "<f4", 1, dims + 1, BIAS, true);
    return module;
}

static void write_samples(int n) {
    mica_prng prng;
    mica_prng_seed(&prng, 3);
    for (int i = 0; i < n; ++i) {
        float data[8 * N] = {0};
        const int64_t dims[2] = {8, N};
        for (int r = 0; r < 8; ++r) {
            data[r * N + 1] = data[r * N + 2] = data[r * N + 3] = mica_prng_normal(&prng);
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 2, dims, data, &err) == MICA_OK);
    }
}

static mica_status recover(mica_module *module, const char *step, int threads,
                           mica_recovery_report *report) {
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    mica_recovery_options options = {.processor = mica_processor_find("bm1684x"),
                                     .method = mica_method_find("max"), .mode = MICA_MODE_INT8,
                                     .threads = threads, .quiet = true};
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        options.wanted[i] = strcmp(mica_recovery_name(i), step) == 0;
    }
    mica_statistics statistics = {0};
    ck_assert(mica_collect_statistics(module, d, threads, true, &statistics, &err) == MICA_OK);
    mica_cali_table *table = mica_make_table(&statistics, options.method, threads);
    const mica_status status = mica_recover(module, d, &options, &statistics, &table, report, &err);
    mica_cali_table_destroy(table);
    mica_statistics_free(&statistics);
    mica_dataset_close(d);
    return status;
}

START_TEST(rounding_together) {
    write_samples(12);
    float first[N] = {0};
    for (int threads = 1; threads <= 3; ++threads) {
        mica_module *module = net();
        mica_recovery_report report;
        ck_assert_msg(recover(module, "weight_rounding", threads, &report) == MICA_OK, "%s", err.text);
        ck_assert_uint_eq(report.count, 1);
        ck_assert_uint_eq(report.held_back, 3);
        ck_assert(report.rows[0].kept);
        ck_assert_double_gt(report.rows[0].after, report.rows[0].before + 3.0);
        float w[N];
        memcpy(w, mica_weights_get(module->weights, "w")->data, sizeof w);
        const float sum = FILTER[1] + FILTER[2] + FILTER[3];
        ck_assert_double_lt(fabs((double)(w[1] + w[2] + w[3] - sum)), 0.3);
        if (threads == 1) {
            memcpy(first, w, sizeof w);
        }
        ck_assert_int_eq(memcmp(first, w, sizeof w), 0);
        mica_module_destroy(module);
    }
}
END_TEST

/* The inputs have mean 0: the mean of the error says nothing, and what does not help is undone. */
START_TEST(undone_or_better) {
    write_samples(12);
    mica_module *module = net();
    mica_recovery_report report;
    ck_assert_msg(recover(module, "bias_correction", 1, &report) == MICA_OK, "%s", err.text);
    const float b = *(const float *)mica_weights_get(module->weights, "b")->data;
    ck_assert(report.rows[0].kept == (b != 0.0f));
    ck_assert(!report.rows[0].kept || report.rows[0].after > report.rows[0].before);
    mica_module_destroy(module);
}
END_TEST

START_TEST(one_sample) {
    write_samples(1);
    mica_module *module = net();
    mica_recovery_report report;
    ck_assert(recover(module, "bias_correction", 1, &report) == MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(err.text, "at least two samples"));
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {rounding_together, undone_or_better, one_sample};
    Suite *suite = suite_create("recovery");
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
