/* Level 2 of recovery: running in parts is running the whole, moments and weights against naive ones, a net where
 * an accurate channel can stand in for a coarse one. */
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "ir/weights.h"
#include "passes/recovery/cross.h"
#include "passes/recovery/log.h"
#include "runtime/mrt_quant.h"
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

static void set_random(mica_module *module, const char *name, int rank, const int64_t *dims, uint64_t seed) {
    mica_prng prng;
    mica_prng_seed(&prng, seed);
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) {
        n *= dims[i];
    }
    float *data = malloc((size_t)n * sizeof *data);
    for (int64_t i = 0; i < n; ++i) {
        data[i] = 0.4f * mica_prng_normal(&prng);
    }
    mica_weights_set(module->weights, name, "<f4", rank, dims, data, true);
    free(data);
}

static void write_samples(int n, int rank, const int64_t *dims) {
    mica_prng prng;
    mica_prng_seed(&prng, 11);
    int64_t count = 1;
    for (int i = 0; i < rank; ++i) {
        count *= dims[i];
    }
    float *data = malloc((size_t)count * sizeof *data);
    for (int i = 0; i < n; ++i) {
        for (int64_t k = 0; k < count; ++k) {
            data[k] = mica_prng_normal(&prng);
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", rank, dims, data, &err) == MICA_OK);
    }
    free(data);
}

/* Two convolutions, the second depthwise, a sum around them, a last product per position. */
static mica_module *conv_net(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<1x4x6x6xf32> loc(\"x\")) -> tensor<1x3x6x6xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<4x4x1x1xf32> loc(\"w1\")\n"
        "  %2 = \"top.Weight\"() : () -> tensor<4xf32> loc(\"b1\")\n"
        "  %3 = \"top.Conv\"(%0, %1, %2) {do_relu = true, kernel_shape = array<i64: 1, 1>} : (tensor<1x4x6x6xf32>, "
        "tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<1x4x6x6xf32> loc(\"c1\")\n"
        "  %4 = \"top.Weight\"() : () -> tensor<4x1x3x3xf32> loc(\"w2\")\n"
        "  %5 = \"top.Weight\"() : () -> tensor<4xf32> loc(\"b2\")\n"
        "  %6 = \"top.Conv\"(%3, %4, %5) {group = 4 : i64, kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>} : "
        "(tensor<1x4x6x6xf32>, tensor<4x1x3x3xf32>, tensor<4xf32>) -> tensor<1x4x6x6xf32> loc(\"c2\")\n"
        "  %7 = \"top.Add\"(%6, %3) : (tensor<1x4x6x6xf32>, tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32> loc(\"s\")\n"
        "  %8 = \"top.Weight\"() : () -> tensor<3x4x1x1xf32> loc(\"w3\")\n"
        "  %9 = \"top.Weight\"() : () -> tensor<3xf32> loc(\"b3\")\n"
        "  %10 = \"top.Conv\"(%7, %8, %9) {kernel_shape = array<i64: 1, 1>} : (tensor<1x4x6x6xf32>, tensor<3x4x1x1xf32>, "
        "tensor<3xf32>) -> tensor<1x3x6x6xf32> loc(\"y\")\n"
        "  return %10 : tensor<1x3x6x6xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    set_random(module, "w1", 4, (const int64_t[]){4, 4, 1, 1}, 1);
    set_random(module, "b1", 1, (const int64_t[]){4}, 2);
    set_random(module, "w2", 4, (const int64_t[]){4, 1, 3, 3}, 3);
    set_random(module, "b2", 1, (const int64_t[]){4}, 4);
    set_random(module, "w3", 4, (const int64_t[]){3, 4, 1, 1}, 5);
    set_random(module, "b3", 1, (const int64_t[]){3}, 6);
    return module;
}

typedef struct work {
    mica_module *module;
    mica_dataset *dataset;
    mica_statistics statistics;
    mica_cali_table *table;
    mica_recovery_options options;
    mica_recovery_job job;
    mica_layers layers;
} work;

static void open_work(work *w, mica_module *module, int threads) {
    *w = (work){.module = module};
    w->dataset = mica_dataset_open(module, scratch, NULL, 0, &err);
    ck_assert_msg(w->dataset != NULL, "%s", err.text);
    w->options = (mica_recovery_options){.processor = mica_processor_find("bm1684x"), .mode = MICA_MODE_INT8,
                                         .method = mica_method_find("max"), .threads = threads, .quiet = true};
    ck_assert(mica_collect_statistics(module, w->dataset, threads, true, &w->statistics, &err) == MICA_OK);
    w->table = mica_make_table(&w->statistics, w->options.method, threads);
    mica_layers_find(module, &w->layers);
    w->job = (mica_recovery_job){.reference = module, .options = &w->options, .dataset = w->dataset, .table = w->table,
                                 .trained = mica_dataset_count(w->dataset), .layers = &w->layers};
}

static void close_work(work *w) {
    mica_layers_free(&w->layers);
    mica_cali_table_destroy(w->table);
    mica_statistics_free(&w->statistics);
    mica_dataset_close(w->dataset);
}

/* Outputs of the whole models on a sample. */
static void check_outputs(work *w, const mica_cali_table *table, size_t sample, const float *values) {
    mica_runner *runner = mica_runner_open(w->module, table, &w->options, &err);
    ck_assert_msg(runner != NULL, "%s", err.text);
    ck_assert(mica_runner_run(runner, w->dataset, sample, NULL, NULL, &err) == MICA_OK);
    const mrt_tensor *out = mica_runner_output(runner, 0);
    ck_assert_int_eq(memcmp(out->data, values, (size_t)mrt_shape_count(&out->shape) * sizeof(float)), 0);
    mica_runner_close(runner);
}

/* Step by step, and in one step from the beginning. */
START_TEST(parts_are_the_whole) {
    write_samples(5, 4, (const int64_t[]){1, 4, 6, 6});
    mica_module *module = conv_net();
    for (int stepwise = 0; stepwise < 2; ++stepwise) {
        work w;
        open_work(&w, module, 2);
        mica_prefix p;
        ck_assert_msg(mica_prefix_open(&p, module, module, &w.job, &err) == MICA_OK, "%s", err.text);
        ck_assert_uint_eq(p.n_ops, 4);
        for (size_t at = 1; stepwise == 1 && at <= p.n_ops; ++at) {
            ck_assert_msg(mica_prefix_advance(&p, at, &err) == MICA_OK, "%s", err.text);
            ck_assert_uint_eq(p.at, at);
            ck_assert_uint_eq(p.n_live, at == 2 ? 2 : 1);
        }
        mica_view *view = mica_view_open(&p, p.n_ops, &p.ops[3]->results[0], MICA_WANT | MICA_GOT, &err);
        ck_assert_msg(view != NULL, "%s", err.text);
        const float *want[3];
        const float *got[3];
        mica_view_load(view, 2, 3, want, got);
        for (size_t i = 0; i < 3; ++i) {
            check_outputs(&w, NULL, 2 + i, want[i]);
            check_outputs(&w, w.table, 2 + i, got[i]);
        }
        mica_view_close(view);
        mica_prefix_close(&p);
        close_work(&w);
    }
    mica_module_destroy(module);
}
END_TEST

/* Moments of the depthwise layer by their definition. */
START_TEST(moments) {
    write_samples(12, 4, (const int64_t[]){1, 4, 6, 6});
    mica_module *module = conv_net();
    work w;
    open_work(&w, module, 3);
    mica_prefix p;
    ck_assert(mica_prefix_open(&p, module, module, &w.job, &err) == MICA_OK);
    const mica_layer *layer = &w.layers.list[1];
    mica_cross fit;
    mica_cross check;
    mica_cross_init(&fit, layer, true);
    mica_cross_init(&check, layer, true);
    ck_assert_msg(mica_cross_gather(&p, 1, layer, &fit, &check, &err) == MICA_OK, "%s", err.text);
    ck_assert_int_eq(fit.count, 8 * 36);
    ck_assert_int_eq(check.count, 4 * 36); /* the second four samples */
    mica_view *view = mica_view_open(&p, 1, &p.ops[0]->results[0], MICA_WANT | MICA_GOT, &err);
    double squares = 0.0;
    double cross = 0.0;
    double shift = 0.0;
    for (size_t s = 4; s < 8; ++s) { /* channel 2: x(dy -1, dx 0) against x(0, 1) */
        const float *want;
        const float *got;
        mica_view_load(view, s, 1, &want, &got);
        for (int y = 0; y < 6; ++y) {
            for (int x = 0; x < 6; ++x) {
                const double q = y > 0 ? (double)got[72 + (y - 1) * 6 + x] : 0.0;
                const double d = x < 5 ? (double)(want[72 + y * 6 + x + 1] - got[72 + y * 6 + x + 1]) : 0.0;
                const double other = x < 5 ? (double)got[72 + y * 6 + x + 1] : 0.0;
                squares += q * other;
                cross += d * q;
                shift += d;
            }
        }
    }
    ck_assert_double_eq_tol((double)check.squares[2 * 81 + 5 * 9 + 1], squares, 1e-4 * fabs(squares) + 1e-4);
    ck_assert_double_eq_tol((double)check.cross[2 * 81 + 5 * 9 + 1], cross, 1e-3 * fabs(cross) + 1e-4);
    ck_assert_double_eq_tol(check.shift[2 * 9 + 5], shift, 1e-4);
    mica_view_close(view);
    mica_cross_free(&fit);
    mica_cross_free(&check);
    mica_prefix_close(&p);
    close_work(&w);
    mica_module_destroy(module);
}
END_TEST

/* d = B x in every position, and the value beside row 1 lacks g x: W + W B, and g in row 1, are exact but for what
 * the damping leaves. */
START_TEST(exact_target) {
    enum { PER = 3, ROWS = 2, N = 4000 };
    static const double b[PER][PER] = {{0.1, 0.02, 0.0}, {-0.05, 0.0, 0.04}, {0.0, 0.1, -0.1}};
    static const double g[PER] = {0.0, 0.2, -0.1};
    const float filter[ROWS * PER] = {1.0f, -2.0f, 0.5f, 0.0f, 3.0f, 1.0f};
    const float bias[ROWS] = {0.5f, -1.0f};
    const mica_layer layer = {.filter = filter, .bias = bias, .groups = 1, .rows = ROWS, .per = PER, .row_step = PER,
                              .step = 1};
    mica_cross sets[2];
    mica_prng prng;
    mica_prng_seed(&prng, 7);
    for (int k = 0; k < 2; ++k) {
        mica_cross_init(&sets[k], &layer, true);
        for (int i = 0; i < N; ++i) {
            double x[PER];
            double d[PER] = {0.3, 0.0, -0.2}; /* and a constant part */
            for (int j = 0; j < PER; ++j) {
                x[j] = 2.0 + (double)mica_prng_normal(&prng);
            }
            for (int j = 0; j < PER; ++j) {
                for (int m = 0; m < PER; ++m) {
                    d[j] += b[j][m] * x[m];
                }
            }
            const double e = 0.7 + g[0] * x[0] + g[1] * x[1] + g[2] * x[2];
            sets[k].beside_shift[1] += e;
            for (int j = 0; j < PER; ++j) {
                sets[k].beside[PER + j] += (float)(e * x[j]);
                sets[k].sums[j] += x[j];
                sets[k].shift[j] += d[j];
                for (int m = 0; m < PER; ++m) {
                    sets[k].cross[j * PER + m] += (float)(d[j] * x[m]);
                    sets[k].squares[j * PER + m] += m <= j ? (float)(x[j] * x[m]) : 0.0f;
                }
            }
            sets[k].count++;
        }
    }
    float got[ROWS * PER];
    float got_bias[ROWS];
    double part = 0.0;
    mica_target_find(&layer, &sets[0], &sets[1], NULL, got, got_bias, &part);
    ck_assert_double_gt(part, 0.98);
    for (int o = 0; o < ROWS; ++o) {
        double want_bias = (double)bias[o] + (o == 1 ? 0.7 : 0.0) + (double)filter[o * PER] * 0.3 + (double)filter[o * PER + 2] * -0.2;
        for (int m = 0; m < PER; ++m) {
            double want = (double)filter[o * PER + m] + (o == 1 ? g[m] : 0.0);
            for (int j = 0; j < PER; ++j) {
                want += (double)filter[o * PER + j] * b[j][m];
            }
            ck_assert_double_eq_tol((double)got[o * PER + m], want, 0.004);
            want_bias += (want - (double)got[o * PER + m]) * 2.0; /* what is left of the way is left at the mean, too */
        }
        ck_assert_double_eq_tol((double)got_bias[o], want_bias, 0.004);
    }
    mica_cross_free(&sets[0]);
    mica_cross_free(&sets[1]);
}
END_TEST

/* h1 = 100 x, h2 = 3 x; both share one range, so that h2 is -3 .. 3 steps. y = h2 can be
 * read off h1. */
static mica_module *two_layers(void) {
    mica_module *module = parse(
        "func.func @main(%a: tensor<64x1xf32> loc(\"x\")) -> tensor<64x1xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<64x1xf32>) -> tensor<64x1xf32> loc(\"x\")\n"
        "  %1 = \"top.Weight\"() : () -> tensor<1x2xf32> loc(\"w1\")\n"
        "  %2 = \"top.Weight\"() : () -> tensor<2xf32> loc(\"b1\")\n"
        "  %3 = \"top.MatMul\"(%0, %1, %2) : (tensor<64x1xf32>, tensor<1x2xf32>, tensor<2xf32>) -> tensor<64x2xf32> loc(\"h\")\n"
        "  %4 = \"top.Weight\"() : () -> tensor<2x1xf32> loc(\"w2\")\n"
        "  %5 = \"top.Weight\"() : () -> tensor<1xf32> loc(\"b2\")\n"
        "  %6 = \"top.MatMul\"(%3, %4, %5) : (tensor<64x2xf32>, tensor<2x1xf32>, tensor<1xf32>) -> tensor<64x1xf32> loc(\"y\")\n"
        "  return %6 : tensor<64x1xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    const float zero[2] = {0.0f, 0.0f};
    mica_weights_set(module->weights, "w1", "<f4", 2, (const int64_t[]){1, 2}, (const float[]){100.0f, 3.0f}, true);
    mica_weights_set(module->weights, "b1", "<f4", 1, (const int64_t[]){2}, zero, true);
    mica_weights_set(module->weights, "w2", "<f4", 2, (const int64_t[]){2, 1}, (const float[]){0.0f, 1.0f}, true);
    mica_weights_set(module->weights, "b2", "<f4", 1, (const int64_t[]){1}, zero, true);
    return module;
}

START_TEST(accurate_channel) {
    write_samples(16, 2, (const int64_t[]){64, 1});
    float first[2] = {0};
    for (int threads = 1; threads <= 3; ++threads) {
        mica_module *module = two_layers();
        work w;
        open_work(&w, module, threads);
        for (size_t i = 0; i < mica_recovery_steps(); ++i) {
            const char *step = mica_recovery_name(i);
            w.options.wanted[i] = strcmp(step, "weight_rounding") == 0 || strcmp(step, "prefix_rounding") == 0;
        }
        mica_recovery_report report;
        ck_assert_msg(mica_recover(module, w.dataset, &w.options, &w.statistics, &w.table, &report, &err) == MICA_OK, "%s", err.text);
        ck_assert_uint_eq(report.count, 2);
        ck_assert_double_lt(report.rows[1].before, 16.0);
        ck_assert(report.rows[1].kept);
        ck_assert_double_gt(report.rows[1].after, report.rows[1].before + 15.0);
        float got[2];
        memcpy(got, mica_weights_get(module->weights, "w2")->data, sizeof got);
        ck_assert_float_eq_tol(100.0f * got[0] + 3.0f * got[1], 3.0f, 0.05f);
        ck_assert_float_lt(got[1], 0.25f);
        if (threads == 1) {
            memcpy(first, got, sizeof got);
        }
        ck_assert_int_eq(memcmp(first, got, sizeof got), 0);
        close_work(&w);
        mica_module_destroy(module);
    }
}
END_TEST

/* A log is taken for its own key only, and only whole. */
START_TEST(logs) {
    mica_module *module = conv_net();
    mica_layers layers = {0};
    mica_layers_find(module, &layers);
    const mica_op *op = layers.list[0].op;
    const char *path = scratch_path("a.recovery");
    const char *key = "0123456789abcdef0123456789abcdef";
    const char *other = "1123456789abcdef0123456789abcdef";
    mica_cache_state state;
    uint64_t number = 0;
    mica_recovery_log *log = mica_log_open(path, key, true, &state, &err);
    ck_assert_int_eq(state, MICA_CACHE_ABSENT);
    ck_assert(!mica_log_replay(log, module, "step", "c1", op, &number));
    ck_assert(mica_log_add(log, "step", "c1", op, 7, &err) == MICA_OK);
    ck_assert(mica_log_add(log, "step", "block", NULL, 1, &err) == MICA_OK);
    ck_assert(mica_log_close(log, &err) == MICA_OK);
    float before[16];
    memcpy(before, mica_weights_get(module->weights, "w1")->data, sizeof before);
    set_random(module, "w1", 4, (const int64_t[]){4, 4, 1, 1}, 77);
    log = mica_log_open(path, key, true, &state, &err);
    ck_assert_int_eq(state, MICA_CACHE_PART);
    ck_assert_uint_eq(mica_log_taken(log), 2);
    ck_assert(mica_log_replay(log, module, "step", "c1", op, &number));
    ck_assert_uint_eq(number, 7);
    ck_assert_int_eq(memcmp(before, mica_weights_get(module->weights, "w1")->data, sizeof before), 0);
    ck_assert(mica_log_replay(log, module, "step", "block", NULL, &number));
    ck_assert(!mica_log_replay(log, module, "step", "c1", layers.list[1].op, &number)); /* another layer's constants */
    ck_assert(mica_log_close(log, &err) == MICA_OK);
    log = mica_log_open(path, key, false, &state, &err);
    ck_assert_uint_eq(mica_log_taken(log), 0);
    ck_assert(mica_log_close(log, &err) == MICA_OK);
    log = mica_log_open(path, other, true, &state, &err);
    ck_assert_int_eq(state, MICA_CACHE_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "another model, table, options or samples"));
    ck_assert(mica_log_close(log, &err) == MICA_OK);
    char *bytes = NULL;
    size_t size = 0;
    ck_assert(mica_read_file(path, 1 << 20, &bytes, &size, &err) == MICA_OK);
    for (size_t cut = 0; cut < size; cut += 13) {
        ck_assert(mica_write_file_atomic(path, bytes, cut, &err) == MICA_OK);
        log = mica_log_open(path, key, true, &state, &err);
        ck_assert(state == (cut < 8 ? MICA_CACHE_FOREIGN : MICA_CACHE_REFUSED));
        ck_assert_uint_eq(mica_log_taken(log), 0);
        ck_assert(mica_log_close(log, &err) == MICA_OK);
    }
    bytes[size / 2] ^= 1;
    ck_assert(mica_write_file_atomic(path, bytes, size, &err) == MICA_OK);
    log = mica_log_open(path, key, true, &state, &err);
    ck_assert_int_eq(state, MICA_CACHE_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "it is damaged"));
    ck_assert(mica_log_close(log, &err) == MICA_OK);
    mica_free(bytes);
    mica_layers_free(&layers);
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {parts_are_the_whole, moments, exact_target, accurate_channel, logs};
    Suite *suite = suite_create("recovery in parts");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, begin, teardown);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < MICA_COUNT(tests); ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
