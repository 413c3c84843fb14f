/* Recovery and the range table: only what a step has scaled is measured again, what the user fixed is taken along. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "ir/weights.h"
#include "passes/recovery/recovery.h"
#include "utils/npy.h"
#include "utils/prng.h"

#include <math.h>

enum { ROWS = 8, WIDTH = 64, SAMPLES = 12, TRAINED = 9 };

static mica_error err;
static float samples[SAMPLES][ROWS * WIDTH];
static float gains[WIDTH], biases[WIDTH];

static void begin(void) {
    setup();
    mica_register_dialects(context);
    scratch_clear();
    err.text[0] = '\0';
}

/* A normalization whose channel 7 is 60 times the others; a product and a sum read it. */
static mica_module *net(void) {
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
    static float w[WIDTH * 32];
    for (int i = 0; i < WIDTH; ++i) {
        gains[i] = i == 7 ? 60.0f : 1.0f;
        biases[i] = 0.1f * mica_prng_normal(&prng);
    }
    for (int i = 0; i < WIDTH * 32; ++i) {
        w[i] = mica_prng_normal(&prng);
    }
    mica_weights_set(module->weights, "g", "<f4", 1, (int64_t[]){WIDTH}, gains, true);
    mica_weights_set(module->weights, "b", "<f4", 1, (int64_t[]){WIDTH}, biases, true);
    mica_weights_set(module->weights, "w", "<f4", 2, (int64_t[]){WIDTH, 32}, w, true);
    for (int i = 0; i < SAMPLES; ++i) {
        for (int k = 0; k < ROWS * WIDTH; ++k) {
            samples[i][k] = mica_prng_normal(&prng);
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 2, (int64_t[]){ROWS, WIDTH}, samples[i], &err) == MICA_OK);
    }
    return module;
}

/* Largest magnitude of each channel of the normalization over the first samples, from its definition. */
static void channel_tops(int count, double *tops) {
    memset(tops, 0, WIDTH * sizeof *tops);
    for (int r = 0; r < count * ROWS; ++r) {
        const float *x = samples[r / ROWS] + r % ROWS * WIDTH;
        double mean = 0.0;
        double variance = 0.0;
        for (int i = 0; i < WIDTH; ++i) {
            mean += (double)x[i] / WIDTH;
        }
        for (int i = 0; i < WIDTH; ++i) {
            variance += ((double)x[i] - mean) * ((double)x[i] - mean) / WIDTH;
        }
        for (int i = 0; i < WIDTH; ++i) {
            const double y = ((double)x[i] - mean) / sqrt(variance + 1e-5) * (double)gains[i] + (double)biases[i];
            tops[i] = fmax(tops[i], fabs(y));
        }
    }
}

typedef struct outcome {
    mica_recovery_report report;
    mica_statistics statistics;
    mica_cali_table *table;
    mica_settings *settings;
} outcome;

/* Smooths; `range`: threshold that the settings give for the normalization, 0: none. */
static void smooth(mica_module *module, double range, const char *step, outcome *out) {
    mica_dataset *d = mica_dataset_open(module, scratch, NULL, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    *out = (outcome){.settings = mica_settings_create()};
    if (range > 0.0) {
        mica_range *given = mica_arena_alloc(mica_settings_arena(out->settings), sizeof *given);
        *given = (mica_range){range, -range, range};
        mica_settings_make(out->settings, "ln")->range = given;
    }
    mica_recovery_options options = {.processor = mica_processor_find("bm1684x"), .method = mica_method_find("max"),
                                     .mode = MICA_MODE_W8A8, .threads = 1, .quiet = true, .settings = out->settings};
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        options.wanted[i] = strcmp(mica_recovery_name(i), step) == 0;
    }
    const mica_collect_options collect = {.threads = 1, .quiet = true, .per_channel = true};
    ck_assert(mica_collect(module, d, &collect, &out->statistics, &err) == MICA_OK);
    out->table = mica_make_table_by(&out->statistics, options.method, out->settings, 1);
    mica_cali_table_set(out->table, "sum", 77.25, -77.25, 77.25); /* as auto-tune or a user's hand leave it */
    ck_assert_msg(mica_recover(module, d, &options, &out->statistics, &out->table, &out->report, &err) == MICA_OK, "%s",
                  err.text);
    mica_dataset_close(d);
}

static void release(outcome *out) {
    mica_statistics_free(&out->statistics);
    mica_cali_table_destroy(out->table);
    mica_settings_destroy(out->settings);
}

static const mica_tensor_statistics *statistics_of(const outcome *out, const char *name) {
    for (size_t i = 0; i < out->statistics.count; ++i) {
        if (strcmp(out->statistics.tensors[i].name, name) == 0) {
            return &out->statistics.tensors[i];
        }
    }
    ck_abort_msg("no statistics of %s", name);
}

static void factors(const mica_module *module, double *s) {
    const mica_ndarray *g = mica_weights_get(module->weights, "ln_smooth1");
    ck_assert_ptr_nonnull(g);
    for (int i = 0; i < WIDTH; ++i) {
        s[i] = (double)gains[i] / (double)((const float *)g->data)[i];
    }
}

START_TEST(only_what_was_scaled) {
    double s[WIDTH], tops[WIDTH];
    outcome out;
    mica_module *module = net();
    smooth(module, 0.0, "smooth_quant", &out);
    ck_assert(out.report.rows[0].kept);
    ck_assert_uint_eq(out.report.rows[0].measured, 1);
    ck_assert_uint_eq(out.report.rows[0].taken, 0);
    ck_assert_double_eq(mica_cali_table_get(out.table, "sum")->threshold, 77.25);
    factors(module, s);
    channel_tops(SAMPLES, tops);
    double top = 0.0;
    for (int i = 0; i < WIDTH; ++i) {
        top = fmax(top, tops[i] / s[i]);
    }
    ck_assert_double_eq_tol(mica_cali_table_get(out.table, "ln_smooth")->threshold, top, 1e-4 * top);
    const mica_tensor_statistics *t = statistics_of(&out, "ln_smooth");
    ck_assert_double_eq_tol(fmax(fabs((double)t->histogram.min), fabs((double)t->histogram.max)), top, 1e-4 * top);
    ck_assert_int_eq(t->n_channels, WIDTH);
    ck_assert_double_gt((double)statistics_of(&out, "ln")->histogram.max, 60.0);
    /* In execution order. */
    ck_assert_uint_eq(out.statistics.count, 5);
    ck_assert_str_eq(out.statistics.tensors[0].name, "x");
    ck_assert_str_eq(mica_cali_table_at(out.table, 0)->name, "x");
    release(&out);
    mica_module_destroy(module);
}
END_TEST

/* The image of a given range, from its definition: the ends of what was inside, per channel. */
START_TEST(given_range_is_taken_along) {
    static const double ranges[] = {5.0, 400.0}; /* clips one channel; wider than all */
    const double range = ranges[_i];
    double s[WIDTH], tops[WIDTH];
    outcome out;
    mica_module *module = net();
    smooth(module, range, "smooth_quant", &out);
    ck_assert(_i == 0 || out.report.rows[0].kept);
    if (!out.report.rows[0].kept) { /* clipping decides: nothing may have moved */
        ck_assert_ptr_null(mica_cali_table_get(out.table, "ln_smooth"));
        ck_assert_double_eq(mica_cali_table_get(out.table, "ln")->threshold, range);
    } else {
        ck_assert_uint_eq(out.report.rows[0].measured, 0);
        ck_assert_uint_eq(out.report.rows[0].taken, 1);
        factors(module, s);
        channel_tops(TRAINED, tops);
        double widest = 0.0;
        double image = 0.0;
        for (int i = 0; i < WIDTH; ++i) {
            widest = fmax(widest, tops[i]);
            image = fmax(image, (tops[i] < range ? tops[i] : range) / s[i]);
        }
        image *= range > widest ? range / widest : 1.0;
        ck_assert_double_eq_tol(mica_cali_table_get(out.table, "ln_smooth")->threshold, image, 1e-4 * image);
        ck_assert_double_eq_tol(mica_settings_get(out.settings, "ln_smooth")->range->threshold, image, 1e-4 * image);
        ck_assert_double_eq(mica_settings_get(out.settings, "ln")->range->threshold, range);
    }
    release(&out);
    mica_module_destroy(module);
}
END_TEST

/* Steps that scale nothing leave table and statistics alone. */
START_TEST(nothing_moves) {
    outcome out;
    mica_module *module = net();
    smooth(module, 0.0, "bias_correction", &out);
    ck_assert_uint_eq(out.report.rows[0].measured + out.report.rows[0].taken, 0);
    ck_assert_uint_eq(out.statistics.count, 4);
    ck_assert_uint_eq(mica_cali_table_count(out.table), 4);
    ck_assert_double_eq(mica_cali_table_get(out.table, "sum")->threshold, 77.25);
    release(&out);
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recovery_ranges");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, begin, teardown);
    tcase_add_test(tcase, only_what_was_scaled);
    tcase_add_loop_test(tcase, given_range_is_taken_along, 0, 2);
    tcase_add_test(tcase, nothing_moves);
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
