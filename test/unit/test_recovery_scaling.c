/* Recovery by factors per channel, on nets where the gain is known: channels of very different size that
 * all matter alike. The scaled net must be the same function; everything must be independent of threads. */
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "dialects/plan.h"
#include "dialects/top/top.h"
#include "ir/weights.h"
#include "passes/recovery/recovery.h"
#include "runtime/mrt_exec.h"
#include "utils/arena.h"
#include "utils/file.h"
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

static void set_weight(mica_module *module, const char *name, int rank, const int64_t *dims, const float *data) {
    mica_weights_set(module->weights, name, "<f4", rank, dims, data, true);
}

/* Normal numbers; row and column factors of a [rows][cols] matrix grow from 1 to their ends, geometrically. */
static void fill(mica_prng *prng, float *out, int rows, int cols, double rows_end, double cols_end) {
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < cols; ++j) {
            const double a = rows > 1 ? pow(rows_end, (double)i / (rows - 1)) : 1.0;
            const double b = cols > 1 ? pow(cols_end, (double)j / (cols - 1)) : 1.0;
            out[i * cols + j] = (float)(mica_prng_normal(prng) * a * b);
        }
    }
}

/* `period` > 0: elements that far apart are alike, as channels of a picture are. */
static void write_samples(int n, int rank, const int64_t *dims, int64_t period) {
    mica_prng prng;
    mica_prng_seed(&prng, 3);
    int64_t count = 1;
    for (int i = 0; i < rank; ++i) {
        count *= dims[i];
    }
    float *data = malloc((size_t)count * sizeof *data);
    for (int i = 0; i < n; ++i) {
        fill(&prng, data, 1, (int)count, 1.0, 1.0);
        for (int64_t k = period; period > 0 && k < count; ++k) {
            data[k] = data[k % period] + 0.2f * data[k];
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", rank, dims, data, &err) == MICA_OK);
    }
    free(data);
}

/* conv1 makes channels from 1 to 300, the depthwise conv keeps them, conv2 brings them back to one size. `cap`: the
 * upper clamp behind conv1, or -1. */
static mica_module *conv_net(double cap) {
    char text[2048];
    snprintf(text, sizeof text,
             "func.func @main(%%a: tensor<1x8x6x6xf32> loc(\"x\")) -> tensor<1x8x6x6xf32> {\n"
             "  %%n = \"top.None\"() : () -> none loc(unknown)\n"
             "  %%0 = \"top.Input\"(%%a) : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32> loc(\"x\")\n"
             "  %%1 = \"top.Weight\"() : () -> tensor<16x8x1x1xf32> loc(\"w1\")\n"
             "  %%b = \"top.Weight\"() : () -> tensor<16xf32> loc(\"b1\")\n"
             "  %%2 = \"top.Conv\"(%%0, %%1, %%b) {do_relu = true, relu_limit = %.1f : f64, kernel_shape = array<i64: 1, 1>} : "
             "(tensor<1x8x6x6xf32>, tensor<16x8x1x1xf32>, tensor<16xf32>) -> tensor<1x16x6x6xf32> loc(\"c1\")\n"
             "  %%3 = \"top.Weight\"() : () -> tensor<16x1x3x3xf32> loc(\"w2\")\n"
             "  %%4 = \"top.Conv\"(%%2, %%3, %%n) {group = 16 : i64, kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : "
             "(tensor<1x16x6x6xf32>, tensor<16x1x3x3xf32>, none) -> tensor<1x16x6x6xf32> loc(\"c2\")\n"
             "  %%5 = \"top.Weight\"() : () -> tensor<8x16x1x1xf32> loc(\"w3\")\n"
             "  %%6 = \"top.Conv\"(%%4, %%5, %%n) {kernel_shape = array<i64: 1, 1>} : "
             "(tensor<1x16x6x6xf32>, tensor<8x16x1x1xf32>, none) -> tensor<1x8x6x6xf32> loc(\"y\")\n"
             "  return %%6 : tensor<1x8x6x6xf32>\n}\n", cap);
    mica_module *module = parse(text);
    ck_assert_msg(module != NULL, "%s", last_diag);
    mica_prng prng;
    mica_prng_seed(&prng, 5);
    float w1[128], b1[16], w2[144], w3[128];
    fill(&prng, w1, 16, 8, 300.0, 1.0);
    fill(&prng, b1, 16, 1, 300.0, 1.0);
    fill(&prng, w2, 16, 9, 1.0, 1.0);
    fill(&prng, w3, 8, 16, 1.0, 1.0 / 300.0);
    set_weight(module, "w1", 4, (int64_t[]){16, 8, 1, 1}, w1);
    set_weight(module, "b1", 1, (int64_t[]){16}, b1);
    set_weight(module, "w2", 4, (int64_t[]){16, 1, 3, 3}, w2);
    set_weight(module, "w3", 4, (int64_t[]){8, 16, 1, 1}, w3);
    return module;
}

/* A normalization whose channel 7 is 60 times the others; a product and a residual sum read it. */
static mica_module *norm_net(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<8x64xf32> loc(\"x\")) -> (tensor<8x32xf32>, tensor<8x64xf32>) {\n"
        "  %n = \"top.None\"() : () -> none loc(unknown)\n"
        "  %0 = \"top.Input\"(%a) : (tensor<8x64xf32>) -> tensor<8x64xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<64xf32> loc(\"g\")\n"
        "  %2 = \"top.Weight\"() : () -> tensor<64xf32> loc(\"b\")\n"
        "  %3 = \"top.LayerNorm\"(%0, %1, %2) {axis = 1 : i64, eps = 1.0e-5 : f64} : (tensor<8x64xf32>, tensor<64xf32>, "
        "tensor<64xf32>) -> tensor<8x64xf32> loc(\"ln\")\n"
        "  %4 = \"top.Weight\"() : () -> tensor<64x32xf32> loc(\"w\")\n"
        "  %5 = \"top.MatMul\"(%3, %4, %n) : (tensor<8x64xf32>, tensor<64x32xf32>, none) -> tensor<8x32xf32> loc(\"y\")\n"
        "  %6 = \"top.Add\"(%3, %0) : (tensor<8x64xf32>, tensor<8x64xf32>) -> tensor<8x64xf32> loc(\"sum\")\n"
        "  return %5, %6 : tensor<8x32xf32>, tensor<8x64xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    mica_prng prng;
    mica_prng_seed(&prng, 6);
    float g[64], b[64], w[64 * 32];
    for (int i = 0; i < 64; ++i) {
        g[i] = i == 7 ? 60.0f : 1.0f;
        b[i] = 0.1f * mica_prng_normal(&prng);
    }
    fill(&prng, w, 64, 32, 1.0, 1.0);
    set_weight(module, "g", 1, (int64_t[]){64}, g);
    set_weight(module, "b", 1, (int64_t[]){64}, b);
    set_weight(module, "w", 2, (int64_t[]){64, 32}, w);
    return module;
}

static void recover(mica_module *module, const char *const *steps, int threads, mica_mode mode,
                    mica_recovery_report *report) {
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    mica_recovery_options options = {.processor = mica_processor_find("bm1684x"), .method = mica_method_find("max"),
                                     .mode = mode, .threads = threads, .quiet = true};
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        for (const char *const *step = steps; *step != NULL; ++step) {
            options.wanted[i] = options.wanted[i] || strcmp(mica_recovery_name(i), *step) == 0;
        }
    }
    mica_statistics statistics = {0};
    ck_assert(mica_collect_statistics(module, d, threads, true, &statistics, &err) == MICA_OK);
    mica_cali_table *table = mica_make_table(&statistics, options.method, threads);
    ck_assert_msg(mica_recover(module, d, &options, &statistics, &table, report, &err) == MICA_OK, "%s", err.text);
    mica_cali_table_destroy(table);
    mica_statistics_free(&statistics);
    mica_dataset_close(d);
}

/* All outputs of a float run on the first sample. */
static size_t outputs_of(mica_module *module, float *out, size_t room) {
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 1, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    mrt_plan *plan = NULL;
    mrt_exec *exec = NULL;
    mrt_error error;
    ck_assert(mica_plan_func(module, mica_module_func(module, "main"), &(mica_plan_options){0}, &plan) == MICA_OK);
    ck_assert(mrt_exec_create(plan, NULL, &exec, &error) == MRT_OK);
    mrt_tensor *input = mrt_exec_tensor(exec, plan->inputs[0]);
    ck_assert(mica_dataset_read(d, 0, &input, 1, &err) == MICA_OK);
    mrt_exec_run(exec, NULL, NULL);
    size_t n = 0;
    for (int32_t i = 0; i < plan->n_outputs; ++i) {
        const mrt_tensor *t = mrt_exec_tensor(exec, plan->outputs[i]);
        const size_t count = (size_t)mrt_shape_count(&t->shape);
        ck_assert_uint_le(n + count, room);
        memcpy(out + n, t->data, count * sizeof(float));
        n += count;
    }
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
    mica_dataset_close(d);
    return n;
}

static void check_same_function(const float *a, const float *b, size_t n) {
    double noise = 0.0;
    double signal = 0.0;
    for (size_t i = 0; i < n; ++i) {
        noise += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
        signal += (double)a[i] * (double)a[i];
    }
    ck_assert_msg(noise < 1e-10 * signal, "the network changed: %g of %g", noise, signal);
}

START_TEST(equalization) {
    static const char *const steps[] = {"channel_equalization", NULL};
    float before[1024], after[1024];
    write_samples(12, 4, (int64_t[]){1, 8, 6, 6}, 0);
    mica_module *module = conv_net(-1.0);
    const size_t n = outputs_of(module, before, 1024);
    mica_recovery_report report;
    recover(module, steps, 1, MICA_MODE_INT8, &report);
    ck_assert(report.rows[0].kept);
    ck_assert_uint_eq(report.rows[0].changed, 2); /* conv1 and the depthwise one make scaled channels */
    ck_assert_msg(report.rows[0].after > report.rows[0].before + 10.0, "%.2f -> %.2f", report.rows[0].before,
                  report.rows[0].after);
    ck_assert_uint_eq(outputs_of(module, after, 1024), n);
    check_same_function(before, after, n);
    mica_module_destroy(module);
}
END_TEST

/* Behind a cap only the depthwise result may be scaled. */
START_TEST(capped_set_is_left_alone) {
    static const char *const steps[] = {"channel_equalization", NULL};
    float before[1024], after[1024];
    write_samples(12, 4, (int64_t[]){1, 8, 6, 6}, 0);
    mica_module *module = conv_net(6.0);
    float w1[128];
    memcpy(w1, mica_weights_get(module->weights, "w1")->data, sizeof w1);
    const size_t n = outputs_of(module, before, 1024);
    mica_recovery_report report;
    recover(module, steps, 1, MICA_MODE_INT8, &report);
    ck_assert_uint_le(report.rows[0].changed, 1);
    ck_assert_int_eq(memcmp(w1, mica_weights_get(module->weights, "w1")->data, sizeof w1), 0);
    outputs_of(module, after, 1024);
    check_same_function(before, after, n);
    mica_module_destroy(module);
}
END_TEST

START_TEST(smoothing) {
    static const char *const steps[] = {"smooth_quant", NULL};
    static const mica_mode modes[] = {MICA_MODE_INT8, MICA_MODE_W8A8};
    float before[1024], after[1024];
    write_samples(12, 2, (int64_t[]){8, 64}, 0);
    mica_module *module = norm_net();
    const size_t n = outputs_of(module, before, 1024);
    mica_recovery_report report;
    recover(module, steps, 1, modes[_i], &report);
    ck_assert_uint_eq(report.rows[0].changed, 1);
    ck_assert_msg(report.rows[0].kept && report.rows[0].after > report.rows[0].before + (_i == 0 ? 1.0 : 3.0), "%.2f -> %.2f",
                  report.rows[0].before, report.rows[0].after);
    ck_assert_uint_eq(outputs_of(module, after, 1024), n);
    check_same_function(before, after, n);
    /* The sum reads the old normalization, the product its own. */
    int norms = 0;
    for (const mica_op *op = mica_func_body(mica_module_func(module, "main"))->first; op != NULL; op = op->next) {
        norms += mica_op_is(op, "top.LayerNorm");
    }
    ck_assert_int_eq(norms, 2);
    mica_module_destroy(module);
}
END_TEST

/* Enough rows, groups and inputs that every parallel loop has several tasks. */
static mica_module *large_net(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<1x48x12x12xf32> loc(\"x\")) -> tensor<1x96x12x12xf32> {\n"
        "  %n = \"top.None\"() : () -> none loc(unknown)\n"
        "  %0 = \"top.Input\"(%a) : (tensor<1x48x12x12xf32>) -> tensor<1x48x12x12xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<96x48x3x3xf32> loc(\"w1\")\n"
        "  %b = \"top.Weight\"() : () -> tensor<96xf32> loc(\"b1\")\n"
        "  %2 = \"top.Conv\"(%0, %1, %b) {do_relu = true, kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : "
        "(tensor<1x48x12x12xf32>, tensor<96x48x3x3xf32>, tensor<96xf32>) -> tensor<1x96x12x12xf32> loc(\"c1\")\n"
        "  %3 = \"top.Weight\"() : () -> tensor<96x1x3x3xf32> loc(\"w2\")\n"
        "  %c = \"top.Weight\"() : () -> tensor<96xf32> loc(\"b2\")\n"
        "  %4 = \"top.Conv\"(%2, %3, %c) {group = 96 : i64, kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : "
        "(tensor<1x96x12x12xf32>, tensor<96x1x3x3xf32>, tensor<96xf32>) -> tensor<1x96x12x12xf32> loc(\"c2\")\n"
        "  %5 = \"top.Weight\"() : () -> tensor<96x96x1x1xf32> loc(\"w3\")\n"
        "  %6 = \"top.Conv\"(%4, %5, %n) {kernel_shape = array<i64: 1, 1>} : "
        "(tensor<1x96x12x12xf32>, tensor<96x96x1x1xf32>, none) -> tensor<1x96x12x12xf32> loc(\"y\")\n"
        "  return %6 : tensor<1x96x12x12xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    static float w1[96 * 48 * 9], w3[96 * 96];
    float b[96], w2[96 * 9];
    mica_prng prng;
    mica_prng_seed(&prng, 8);
    fill(&prng, w1, 96, 48 * 9, 20.0, 1.0);
    fill(&prng, b, 96, 1, 20.0, 1.0);
    fill(&prng, w2, 96, 9, 1.0, 1.0);
    fill(&prng, w3, 96, 96, 1.0, 0.05);
    set_weight(module, "w1", 4, (int64_t[]){96, 48, 3, 3}, w1);
    set_weight(module, "b1", 1, (int64_t[]){96}, b);
    set_weight(module, "w2", 4, (int64_t[]){96, 1, 3, 3}, w2);
    set_weight(module, "b2", 1, (int64_t[]){96}, b);
    set_weight(module, "w3", 4, (int64_t[]){96, 96, 1, 1}, w3);
    return module;
}

START_TEST(threads_do_not_matter) {
    static const char *const steps[] = {"channel_equalization", "weight_rounding", "bias_correction", NULL};
    static const int threads[] = {1, 2, 4};
    char *first = NULL;
    size_t size = 0;
    write_samples(8, 4, (int64_t[]){1, 48, 12, 12}, 144);
    for (size_t i = 0; i < MICA_COUNT(threads); ++i) {
        mica_module *module = large_net();
        mica_recovery_report report;
        recover(module, steps, threads[i], MICA_MODE_INT8, &report);
        ck_assert_msg(report.rows[0].kept && report.rows[1].kept, "%.2f %.2f %.2f", report.rows[0].before, report.rows[0].after,
                      report.rows[1].after);
        const char *names[5];
        for (size_t k = 0; k < 5; ++k) {
            names[k] = (const char *const[]){"w1", "b1", "w2", "b2", "w3"}[k];
        }
        ck_assert(mica_weights_save(module->weights, names, 5, scratch_path("out.npz"), &err) == MICA_OK);
        char *bytes = NULL;
        size_t n = 0;
        ck_assert(mica_read_file(scratch_path("out.npz"), 1 << 30, &bytes, &n, &err) == MICA_OK);
        remove(scratch_path("out.npz"));
        ck_assert(i == 0 || (n == size && memcmp(first, bytes, n) == 0));
        if (i == 0) {
            first = bytes;
            size = n;
        } else {
            mica_free(bytes);
        }
        mica_module_destroy(module);
    }
    mica_free(first);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {equalization, capped_set_is_left_alone, threads_do_not_matter};
    Suite *suite = suite_create("recovery_scaling");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, begin, teardown);
    for (size_t i = 0; i < MICA_COUNT(tests); ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    tcase_add_loop_test(tcase, smoothing, 0, 2);
    suite_add_tcase(suite, tcase);
    scratch_make();
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    scratch_remove();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
