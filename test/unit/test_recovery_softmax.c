/* Softmax correction on an attention whose quantized rows sum to a known number, on one that a random net gives, and
 * what it does not act on. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "ir/weights.h"
#include "passes/recovery/recovery.h"
#include "utils/npy.h"
#include "utils/prng.h"

#include <math.h>

enum { HEADS = 2, TOKENS = 4, LONG = 8, CHANNELS = HEADS * TOKENS };

static mica_error err;

static void begin(void) {
    setup();
    mica_register_dialects(context);
    scratch_clear();
    err.text[0] = '\0';
}

/* y = W [heads side by side](softmax(x) x'). read_twice: the heads are an output, too. */
static mica_module *attention(const float *w, bool read_twice) {
    char text[2560];
    snprintf(text, sizeof text,
             "func.func @main(%%a: tensor<1x2x4x8xf32> loc(\"x\")) -> (tensor<1x4x8xf32>%s) {\n"
             "  %%n = \"top.None\"() : () -> none loc(unknown)\n"
             "  %%0 = \"top.Input\"(%%a) : (tensor<1x2x4x8xf32>) -> tensor<1x2x4x8xf32> loc(\"x\")\n"
             "  %%1 = \"top.Softmax\"(%%0) {axis = 3 : i64} : (tensor<1x2x4x8xf32>) -> tensor<1x2x4x8xf32> loc(\"p\")\n"
             "  %%2 = \"top.Permute\"(%%0) {order = array<i64: 0, 1, 3, 2>} : (tensor<1x2x4x8xf32>) -> tensor<1x2x8x4xf32> "
             "loc(\"v\")\n"
             "  %%3 = \"top.MatMul\"(%%1, %%2, %%n) : (tensor<1x2x4x8xf32>, tensor<1x2x8x4xf32>, none) -> tensor<1x2x4x4xf32> "
             "loc(\"h\")\n"
             "  %%4 = \"top.Permute\"(%%3) {order = array<i64: 0, 2, 1, 3>} : (tensor<1x2x4x4xf32>) -> tensor<1x4x2x4xf32> "
             "loc(\"t\")\n"
             "  %%5 = \"top.Reshape\"(%%4) {shape = array<i64: 1, 4, 8>} : (tensor<1x4x2x4xf32>) -> tensor<1x4x8xf32> "
             "loc(\"r\")\n"
             "  %%6 = \"top.Weight\"() : () -> tensor<8x8xf32> loc(\"w\")\n"
             "  %%7 = \"top.MatMul\"(%%5, %%6, %%n) : (tensor<1x4x8xf32>, tensor<8x8xf32>, none) -> tensor<1x4x8xf32> "
             "loc(\"y\")\n"
             "  return %%7%s : tensor<1x4x8xf32>%s\n}\n",
             read_twice ? ", tensor<1x2x4x4xf32>" : "", read_twice ? ", %3" : "", read_twice ? ", tensor<1x2x4x4xf32>" : "");
    mica_module *module = parse(text);
    ck_assert_msg(module != NULL, "%s", last_diag);
    mica_weights_set(module->weights, "w", "<f4", 2, (int64_t[]){CHANNELS, CHANNELS}, w, true);
    return module;
}

static void write_sample(int i, const float *x) {
    char file[32];
    snprintf(file, sizeof file, "s%02d.npy", i);
    ck_assert(mica_npy_write(scratch_path(file), "<f4", 4, (int64_t[]){1, HEADS, TOKENS, LONG}, x, &err) == MICA_OK);
}

/* Rows "name step", unsigned when the step is negative. */
typedef struct step {
    const char *name;
    double step;
} step;

static mica_status correct(mica_module *module, int threads, const step *steps, size_t n, mica_recovery_report *report) {
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    mica_recovery_options options = {.processor = mica_processor_find("bm1684x"), .method = mica_method_find("max"),
                                     .mode = MICA_MODE_INT8, .threads = threads, .quiet = true};
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        options.wanted[i] = strcmp(mica_recovery_name(i), "softmax_correction") == 0;
    }
    mica_statistics statistics = {0};
    ck_assert(mica_collect_statistics(module, d, threads, true, &statistics, &err) == MICA_OK);
    mica_cali_table *table = mica_make_table(&statistics, options.method, threads);
    for (size_t i = 0; i < n; ++i) {
        const double s = fabs(steps[i].step);
        const bool is_signed = steps[i].step > 0.0;
        mica_cali_table_set(table, steps[i].name, s * (is_signed ? 127.0 : 255.0), is_signed ? -127.0 * s : 0.0,
                            s * (is_signed ? 127.0 : 255.0));
    }
    const mica_status status = mica_recover(module, d, &options, &statistics, &table, report, &err);
    mica_cali_table_destroy(table);
    mica_statistics_free(&statistics);
    mica_dataset_close(d);
    return status;
}

static const float *weights_of(const mica_module *module) {
    return mica_weights_get(module->weights, "w")->data;
}

/* Head 0: eight equal logits, probabilities 0.125 that become one step of 0.1: the rows sum to 0.8. Head 1: one
 * probability of 1. So what head 0 gives to W has to count 1.25 times, what head 1 gives once. */
START_TEST(known_sum) {
    float x[HEADS * TOKENS * LONG] = {0};
    float w[CHANNELS * CHANNELS] = {0};
    for (int i = 0; i < TOKENS * LONG; ++i) {
        x[i] = 5.0f;
        x[TOKENS * LONG + i] = i % LONG == 0 ? 60.0f : 0.0f;
    }
    for (int i = 0; i < CHANNELS * CHANNELS; ++i) {
        w[i] = 0.01f * (float)(i % 100);
    }
    for (int i = 0; i < 8; ++i) {
        write_sample(i, x);
    }
    static const step steps[] = {{"x", 1.0}, {"p", -0.1}, {"v", 1.0}, {"h", 1.0}, {"t", 1.0}, {"r", 1.0}};
    mica_module *module = attention(w, false);
    mica_recovery_report report;
    ck_assert(mica_has_softmax_to_correct(module));
    ck_assert_msg(correct(module, 1, steps, MICA_COUNT(steps), &report) == MICA_OK, "%s", err.text);
    ck_assert_uint_eq(report.rows[0].changed, 1);
    ck_assert_msg(report.rows[0].kept && report.rows[0].after > report.rows[0].before + 6.0, "%.2f -> %.2f",
                  report.rows[0].before, report.rows[0].after);
    for (int k = 0; k < CHANNELS; ++k) {
        for (int n = 0; n < CHANNELS; ++n) {
            const float expected = w[k * CHANNELS + n] * (k < TOKENS ? 1.25f : 1.0f);
            ck_assert_float_eq_tol(weights_of(module)[k * CHANNELS + n], expected, 1e-6f);
        }
    }
    mica_module_destroy(module);
}
END_TEST

/* Never worse, and the same for any number of threads. */
START_TEST(random_attention) {
    static float first[CHANNELS * CHANNELS];
    float w[CHANNELS * CHANNELS];
    mica_prng prng;
    mica_prng_seed(&prng, 9);
    for (int i = 0; i < CHANNELS * CHANNELS; ++i) {
        w[i] = mica_prng_normal(&prng);
    }
    for (int i = 0; i < 12; ++i) {
        float x[HEADS * TOKENS * LONG];
        for (int k = 0; k < HEADS * TOKENS * LONG; ++k) {
            x[k] = mica_prng_normal(&prng);
        }
        write_sample(i, x);
    }
    static const step steps[] = {{"p", -0.05}};
    for (int threads = 1; threads <= 3; ++threads) {
        mica_module *module = attention(w, false);
        mica_recovery_report report;
        ck_assert_msg(correct(module, threads, steps, MICA_COUNT(steps), &report) == MICA_OK, "%s", err.text);
        ck_assert(!report.rows[0].kept || report.rows[0].after > report.rows[0].before);
        ck_assert(report.rows[0].kept == (memcmp(w, weights_of(module), sizeof w) != 0));
        if (threads == 1) {
            memcpy(first, weights_of(module), sizeof first);
        }
        ck_assert_int_eq(memcmp(first, weights_of(module), sizeof first), 0);
        mica_module_destroy(module);
    }
}
END_TEST

/* Something else reads the heads: a factor in W would not reach it. */
START_TEST(nothing_to_act_on) {
    static const float w[CHANNELS * CHANNELS] = {1.0f};
    mica_module *module = attention(w, true);
    ck_assert(!mica_has_softmax_to_correct(module));
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {known_sum, random_attention, nothing_to_act_on};
    Suite *suite = suite_create("recovery_softmax");
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
