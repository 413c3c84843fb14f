/* Alignment of powers of two: thresholds and caps meet the steps, sums keep their operands' steps, and the float
 * network stays the same function. The oracle quantizes the very values, one by one. */
#include "test/unit/check_main.h"
#include "test/unit/graph_case.h"
#include "test/unit/test_utils_dir.h"

#include "passes/recovery/recovery.h"
#include "utils/compiler.h"
#include "utils/npy.h"

#include <math.h>

enum { SAMPLES = 8, SIDE = 12 };

static mica_error err;

/* Samples as graph_execute makes them from seeds 1 to SAMPLES. */
static void write_samples(void) {
    static float data[8 * SIDE * SIDE];
    const int64_t dims[4] = {1, 8, SIDE, SIDE};
    scratch_clear();
    for (uint64_t seed = 1; seed <= SAMPLES; ++seed) {
        mica_prng prng;
        mica_prng_seed(&prng, seed);
        for (size_t i = 0; i < MICA_COUNT(data); ++i) {
            data[i] = mica_prng_normal(&prng);
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", (int)seed);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 4, dims, data, &err) == MICA_OK);
    }
}

typedef struct result {
    mica_recovery_report report;
    mica_cali_table *before, *after;
} result;

/* `fixed`: a tensor whose range the user gives; or NULL. */
static result align(graph *g, int threads, const char *fixed) {
    static const mica_range RANGE = {3.0, -3.0, 3.0};
    result r = {0};
    mica_dataset *d = mica_dataset_open(g->module, scratch, NULL, 0, &err);
    ck_assert_msg(d != NULL, "%s", err.text);
    mica_method method = *mica_method_find("mse");
    method.settings.pow2 = true;
    mica_settings *settings = mica_settings_create();
    if (fixed != NULL) {
        mica_settings_make(settings, fixed)->range = &RANGE;
    }
    mica_recovery_options options = {.processor = mica_processor_find("bm1684x"), .method = &method, .mode = MICA_MODE_INT8,
                                     .settings = settings, .pow2 = true, .threads = threads, .quiet = true};
    for (size_t i = 0; i < mica_recovery_steps(); ++i) {
        options.wanted[i] = strcmp(mica_recovery_name(i), "scale_alignment") == 0;
    }
    mica_statistics statistics = {0};
    ck_assert(mica_collect_statistics(g->module, d, threads, true, &statistics, &err) == MICA_OK);
    r.before = mica_make_table_by(&statistics, &method, settings, threads);
    r.after = mica_make_table_by(&statistics, &method, settings, threads);
    ck_assert_msg(mica_recover(g->module, d, &options, &statistics, &r.after, &r.report, &err) == MICA_OK, "%s", err.text);
    mica_statistics_free(&statistics);
    mica_settings_destroy(settings);
    mica_dataset_close(d);
    return r;
}

static void result_end(result *r) {
    mica_cali_table_destroy(r->before);
    mica_cali_table_destroy(r->after);
}

/* All values of a tensor over the samples; *count of them. */
static float *values_of(graph *g, const char *name, size_t *count) {
    float *all = NULL;
    *count = 0;
    for (uint64_t seed = 1; seed <= SAMPLES; ++seed) {
        graph_run run = graph_execute(g, g->module, seed, true);
        for (int32_t id = 0; id < run.plan->n_tensors; ++id) {
            const mrt_tensor *t = mrt_exec_tensor(run.exec, id);
            if (t->name != NULL && strcmp(t->name, name) == 0 && run.plan->tensors[id].kind != MRT_CONST) {
                const size_t n = (size_t)mrt_shape_count(&t->shape);
                all = realloc(all, (*count + n) * sizeof *all);
                memcpy(all + *count, t->data, n * sizeof *all);
                *count += n;
                break;
            }
        }
        graph_run_end(&run);
    }
    ck_assert_msg(*count > 0, "no %s", name);
    return all;
}

/* SQNR of rounding values to multiples of a step. */
static double sqnr(const float *x, size_t n, double step, bool is_signed) {
    double noise = 1e-30;
    double signal = 0.0;
    for (size_t i = 0; i < n; ++i) {
        const double q = fmin(fmax(rint((double)x[i] / step), is_signed ? -128.0 : 0.0), is_signed ? 127.0 : 255.0);
        noise += ((double)x[i] - q * step) * ((double)x[i] - q * step);
        signal += (double)x[i] * (double)x[i];
    }
    return 10.0 * log10(signal / noise);
}

static double step_in(const mica_cali_table *table, const char *name, bool is_signed) {
    return mica_cali_table_get(table, name)->threshold / (is_signed ? 127.0 : 255.0);
}

static bool is_power_of_two(double step) {
    int exponent = 0;
    return frexp(step, &exponent) == 0.5;
}

/* Outputs of the float network on one sample, before or after. */
static graph_run run_float(graph *g) {
    return graph_execute(g, g->module, 3, false);
}

#define INPUT "x = Input 1x8x12x12\n"
#define POINT "{kernel_shape = array<i64: 1, 1>"
#define DEPTH "{kernel_shape = array<i64: 3, 3>, group = 16, pads = array<i64: 1, 1, 1, 1>"
#define RELU6 ", do_relu = true, relu_limit = 6.0}\n"
static const char mobile[] = INPUT "a = Conv(x, w1:16x8x1x1, b1:16) " POINT RELU6
                             "b = Conv(a, w2:16x1x3x3, b2:16) " DEPTH RELU6 "p = Conv(b, w3:8x16x1x1, b3:8) " POINT "}\n"
                             "y = Conv(p, w4:8x8x1x1, b4:8) " POINT "}\nreturn y\n";

/* Every tensor alone in its set gets, with a step that is a power of two, what any step could give. */
START_TEST(single_tensors) {
    graph g;
    write_samples();
    graph_begin(&g, 31, mobile);
    graph_run was = run_float(&g);
    result r = align(&g, 1, NULL);
    ck_assert_msg(r.report.rows[0].kept, "%zu changed, %.2f -> %.2f", r.report.rows[0].changed,
                  r.report.rows[0].before, r.report.rows[0].after);
    ck_assert_msg(r.report.rows[0].after > r.report.rows[0].before + 0.5, "%.2f -> %.2f", r.report.rows[0].before,
                  r.report.rows[0].after);
    static const struct { const char *name; bool is_signed; } open[] = {{"a", false}, {"b", false}, {"p", true}};
    for (size_t i = 0; i < MICA_COUNT(open); ++i) {
        const double step = step_in(r.after, open[i].name, open[i].is_signed);
        size_t n = 0;
        float *x = values_of(&g, open[i].name, &n);
        double best = 0.0;
        for (int k = -300; k <= 300; ++k) {
            best = fmax(best, sqnr(x, n, step * exp2(k / 200.0), open[i].is_signed));
        }
        const double got = sqnr(x, n, step, open[i].is_signed);
        ck_assert_msg(is_power_of_two(step) && got > best - 0.15, "%s: %.2f of %.2f dB", open[i].name, got, best);
        free(x);
    }
    for (int i = 0; i < 2; ++i) { /* the caps fill the range */
        const double cap = mica_op_f64(graph_find(&g, open[i].name)->def, "relu_limit");
        const double threshold = mica_cali_table_get(r.after, open[i].name)->threshold;
        ck_assert_msg(fabs(cap / threshold - 1.0) < 0.05, "%s: %g of %g", open[i].name, cap, threshold);
    }
    static const char *const borders[] = {"x", "y"};
    for (size_t i = 0; i < MICA_COUNT(borders); ++i) {
        ck_assert(mica_cali_table_get(r.after, borders[i])->threshold == mica_cali_table_get(r.before, borders[i])->threshold);
    }
    graph_run is = run_float(&g);
    graph_check_equal(&was, &is, 1e-5, "aligned");
    graph_run_end(&is);
    graph_run_end(&was);
    result_end(&r);
    graph_end(&g);
}
END_TEST

/* A residual sum, pooled: one factor for all that it ties together, and a step of the sum with which it is exact or its
 * operands finer. */
START_TEST(tied_tensors) {
    graph g;
    write_samples();
    graph_begin(&g, 7, INPUT "a = Conv(x, w1:16x8x1x1, b1:16) " POINT "}\nb = Conv(a, w2:16x16x1x1, b2:16) " POINT "}\n"
                             "s = Add(a, b)\nm = MaxPool(s) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>}\n"
                             "y = Conv(m, w3:8x16x1x1, b3:8) " POINT "}\nreturn y\n");
    static const char *const tied[] = {"a", "b", "s"};
    float *old[MICA_COUNT(tied)];
    size_t n = 0;
    for (size_t i = 0; i < MICA_COUNT(tied); ++i) {
        old[i] = values_of(&g, tied[i], &n);
    }
    graph_run was = run_float(&g);
    result r = align(&g, 1, NULL);
    ck_assert(r.report.rows[0].kept);
    double factor = 0.0;
    for (size_t i = 0; i < MICA_COUNT(tied); ++i) {
        float *now = values_of(&g, tied[i], &n);
        const double f = (double)now[5] / (double)old[i][5];
        factor = i == 0 ? f : factor;
        ck_assert_msg(fabs(f / factor - 1.0) < 1e-4 && f >= 1.0 && f < 2.0, "%s: factor %g, not %g", tied[i], f, factor);
        ck_assert(is_power_of_two(step_in(r.after, tied[i], true)));
        free(now);
        free(old[i]);
    }
    ck_assert(step_in(r.after, "m", true) == step_in(r.after, "s", true));
    graph_run is = run_float(&g);
    graph_check_equal(&was, &is, 1e-5, "aligned");
    graph_run_end(&is);
    graph_run_end(&was);
    result_end(&r);
    graph_end(&g);
}
END_TEST

#define CLOSED_BEGIN INPUT "a = Conv(x, w1:8x8x1x1, b1:8) " POINT "}\n"
/* What may not be scaled: tensors that are no multiple behind some op, that the user gave a range, weights of two users. */
static const struct { const char *text, *fixed, *name; } closed[] = {
    {CLOSED_BEGIN "t = Sigmoid(a)\ny = Conv(t, w2:8x8x1x1, b2:8) " POINT "}\nreturn y\n", NULL, "a"},
    {CLOSED_BEGIN "y = Conv(a, w2:8x8x1x1, b2:8) " POINT "}\nreturn y a\n", NULL, "a"},
    {CLOSED_BEGIN "y = Conv(a, w2:8x8x1x1, b2:8) " POINT "}\nreturn y\n", "a", "a"},
    {CLOSED_BEGIN "c = Add(a, k:8x1x1)\ny = Conv(c, w2:8x8x1x1, b2:8) " POINT "}\nreturn y\n", NULL, "c"},
    {CLOSED_BEGIN "z = Mul(a, a)\ny = Conv(z, w2:8x8x1x1, b2:8) " POINT "}\nreturn y\n", NULL, "a"},
};

START_TEST(closed_sets) {
    graph g;
    write_samples();
    graph_begin(&g, 9, closed[_i].text);
    size_t n = 0;
    float *old = values_of(&g, closed[_i].name, &n);
    result r = align(&g, 1, closed[_i].fixed);
    float *now = values_of(&g, closed[_i].name, &n);
    ck_assert_int_eq(memcmp(old, now, n * sizeof *now), 0);
    ck_assert(mica_cali_table_get(r.after, closed[_i].name)->threshold ==
              mica_cali_table_get(r.before, closed[_i].name)->threshold);
    free(old);
    free(now);
    result_end(&r);
    graph_end(&g);
}
END_TEST

START_TEST(threads_do_not_matter) {
    char *first = NULL;
    write_samples();
    for (int threads = 1; threads <= 3; ++threads) {
        graph g;
        graph_begin(&g, 31, mobile);
        result r = align(&g, threads, NULL);
        graph_run run = run_float(&g);
        char text[256];
        snprintf(text, sizeof text, "%.17g %.17g %.17g %.9g", r.report.rows[0].after, mica_cali_table_get(r.after, "a")->threshold,
                 mica_cali_table_get(r.after, "p")->max, (double)((const float *)graph_output(&run, 0)->data)[7]);
        ck_assert(first == NULL || strcmp(first, text) == 0);
        free(first);
        first = strdup(text);
        graph_run_end(&run);
        result_end(&r);
        graph_end(&g);
    }
    free(first);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recovery: alignment");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, single_tensors);
    tcase_add_test(tcase, tied_tensors);
    tcase_add_loop_test(tcase, closed_sets, 0, (int)MICA_COUNT(closed));
    tcase_add_test(tcase, threads_do_not_matter);
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
