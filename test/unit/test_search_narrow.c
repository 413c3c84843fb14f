/* The search for 4 bits against runs of all mixes of a small network. */
#include "test/unit/check_main.h"
#include "test/unit/graph_case.h"
#include "test/unit/test_utils_dir.h"

#include "passes/calibration/calibrate.h"
#include "passes/search/narrow.h"
#include "passes/search/optimal.h"
#include "utils/compiler.h"
#include "utils/npy.h"

enum { SAMPLES = 8, LAYERS = 5 };

static mica_error err;

static const char NET[] =
    "x = Input 1x12x8x8\n"
    "a = Conv(x, w1:16x12x3x3, b1:16) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>, do_relu = true}\n"
    "b = Conv(a, w2:16x16x3x3, b2:16) {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>}\n"
    "s = Add(a, b)\n"
    "r = Relu(s)\n"
    "c = Conv(r, w3:24x16x1x1, b3:24) {kernel_shape = array<i64: 1, 1>}\n"
    "d = Conv(c, w4:24x1x3x3, _) {kernel_shape = array<i64: 3, 3>, group = 24}\n"
    "e = Conv(d, w5:20x24x3x3, _) {kernel_shape = array<i64: 3, 3>, do_relu = true}\n"
    "f = Reshape(e) {shape = array<i64: 1, 320>}\n"
    "y = MatMul(f, w6:320x10, b6:10)\n"
    "return y\n";
static const char *const names[LAYERS] = {"a", "b", "c", "e", "y"};

typedef struct bench {
    graph g;
    mica_dataset *dataset;
    mica_cali_table *table;
    mica_lowered *float_model;
    mica_net net;
    mica_compare compare;
    mica_search_job job;
    mica_real real;
} bench;

static void open_bench(bench *b, int threads) {
    memset(b, 0, sizeof *b);
    scratch_clear();
    graph_begin(&b->g, 11, NET);
    mica_prng prng;
    mica_prng_seed(&prng, 3);
    for (int i = 0; i < SAMPLES; i++) {
        float data[12 * 64];
        const int64_t dims[4] = {1, 12, 8, 8};
        for (int k = 0; k < 12 * 64; k++) {
            data[k] = mica_prng_normal(&prng);
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 4, dims, data, &err) == MICA_OK);
    }
    b->dataset = mica_dataset_open(b->g.module, scratch, NULL, 0, &err);
    ck_assert_msg(b->dataset != NULL, "%s", err.text);
    mica_statistics statistics = {0};
    ck_assert(mica_collect_statistics(b->g.module, b->dataset, threads, true, &statistics, &err) == MICA_OK);
    mica_method method = *mica_method_find("mse");
    method.settings.int4 = true;
    b->table = mica_make_table(&statistics, &method, threads);
    mica_statistics_free(&statistics);
    const mica_lowered_options options = {.keep_all = true};
    b->float_model = mica_lowered_open(b->g.module, &options, &err);
    ck_assert_msg(b->float_model != NULL, "%s", err.text);
    mica_net_make(b->g.module, b->float_model->plan, &b->net);
    ck_assert(mica_compare_make(&b->net, NULL, b->g.module->arena, &b->compare, &err) == MICA_OK);
    b->job = (mica_search_job){.module = b->g.module, .dataset = b->dataset, .samples = SAMPLES,
                               .processor = mica_processor_find("bm1688"), .threads = threads, .quiet = true,
                               .net = &b->net, .compare = &b->compare};
    ck_assert(mica_real_open(&b->job, NULL, &b->real, &err) == MICA_OK);
}

static void close_bench(bench *b) {
    mica_real_close(&b->real);
    mica_compare_free(&b->compare);
    mica_net_free(&b->net);
    mica_lowered_close(b->float_model);
    mica_cali_table_destroy(b->table);
    mica_dataset_close(b->dataset);
    graph_end(&b->g);
}

static mica_distance run_mix(bench *b, unsigned narrow, mica_mode mode) {
    mica_qtable *table = mica_qtable_create();
    for (int i = 0; i < LAYERS; i++) {
        mica_qtable_set(table, names[i], (narrow >> i & 1) != 0 ? mode : MICA_MODE_INT8);
    }
    mica_distance d;
    ck_assert_msg(mica_real_run(&b->real, b->table, table, &d, &err) == MICA_OK, "%s", err.text);
    mica_qtable_destroy(table);
    return d;
}

/* What a mix saves of the cost of INT8, in percent: by the words of docs/accuracy.md. */
static double cost_of(const bench *b, unsigned narrow, mica_mode mode) {
    double all = 0.0;
    double saved = 0.0;
    for (size_t k = 0; k < b->net.n_ops; k++) {
        const mica_net_op *op = &b->net.ops[k];
        all += op->macs > 0.0 ? op->macs : 8.0 * (double)op->elements;
        for (int i = 0; i < LAYERS; i++) {
            if (strcmp(op->name, names[i]) == 0 && (narrow >> i & 1) != 0) {
                saved += mode == MICA_MODE_INT4
                             ? 0.5 * op->macs - 8.0 * (double)b->net.edges[op->first_edge].elements
                             : 0.25 * op->macs;
            }
        }
    }
    return -100.0 * saved / all;
}

static unsigned narrow_of(const mica_narrow_result *r, const bench *b) {
    unsigned narrow = 0;
    for (size_t i = 0; i < r->count; i++) {
        for (int k = 0; k < LAYERS; k++) {
            const bool same = strcmp(b->net.ops[r->rows[i].op].name, names[k]) == 0;
            narrow |= same && r->rows[i].is_narrow ? 1u << k : 0u;
        }
    }
    return narrow;
}

/* The cheapest of all 32 mixes that reaches the cosine costs at most a twentieth of INT8 less than the one found. */
START_TEST(cheapest_of_all) {
    static const double targets[] = {0.0, 0.985, 0.99, 0.995, 0.998};
    const mica_mode mode = _i % 2 != 0 ? MICA_MODE_W4INT8 : MICA_MODE_INT4;
    bench b;
    open_bench(&b, 2);
    mica_distance all[1u << LAYERS];
    for (unsigned m = 0; m < 1u << LAYERS; m++) {
        all[m] = run_mix(&b, m, mode);
    }
    const mica_narrow_options options = {.table = b.table, .mlir = "net", .mode = mode, .expected_cos = targets[_i / 2]};
    mica_narrow_result r;
    ck_assert_msg(mica_search_narrow(&b.real, &options, &r, &err) == MICA_OK, "%s", err.text);
    ck_assert(r.reached);
    ck_assert_double_eq(r.int8.cosine, all[0].cosine);
    const double target = targets[_i / 2] > 0.0 ? targets[_i / 2] : 0.95 * all[0].cosine;
    const unsigned found = narrow_of(&r, &b);
    ck_assert_double_eq(r.mixed.cosine, all[found].cosine);
    ck_assert_double_ge(r.mixed.cosine, target);
    ck_assert_double_eq_tol(r.cost, cost_of(&b, found, mode), 1e-9);
    double least = 0.0;
    for (unsigned m = 0; m < 1u << LAYERS; m++) {
        const double cost = cost_of(&b, m, mode);
        least = all[m].cosine >= target && cost < least ? cost : least;
    }
    ck_assert_msg(r.cost <= least + 5.0, "cost %.2f %%, best %.2f %%", r.cost, least);
    for (size_t i = 1; i < r.count; i++) {
        ck_assert(r.rows[i - 1].loss >= r.rows[i].loss);
    }
    mica_narrow_result_free(&r);
    close_bench(&b);
}
END_TEST

/* Under a budget: nearly the least noise of all mixes that meet it. */
START_TEST(best_within_budget) {
    static const double budgets[] = {-5.0, -12.0, -20.0};
    bench b;
    open_bench(&b, 1);
    const mica_narrow_options options = {.table = b.table, .mlir = "net", .mode = MICA_MODE_W4INT8,
                                         .max_cost = budgets[_i]};
    mica_narrow_result r;
    ck_assert_msg(mica_search_narrow(&b.real, &options, &r, &err) == MICA_OK, "%s", err.text);
    ck_assert(r.reached && r.cost <= budgets[_i]);
    double least = HUGE_VAL;
    for (unsigned m = 0; m < 1u << LAYERS; m++) {
        const double nsr = cost_of(&b, m, MICA_MODE_W4INT8) <= budgets[_i] ? run_mix(&b, m, MICA_MODE_W4INT8).nsr : HUGE_VAL;
        least = nsr < least ? nsr : least;
    }
    ck_assert_msg(mica_nsr_to_db(r.mixed.nsr) >= mica_nsr_to_db(least) - 1.0, "%.2f dB, best %.2f dB",
                  mica_nsr_to_db(r.mixed.nsr), mica_nsr_to_db(least));
    mica_narrow_result_free(&r);
    close_bench(&b);
}
END_TEST

/* What cannot be reached is said; fixed rows stay. */
START_TEST(limits) {
    bench b;
    open_bench(&b, 1);
    mica_qtable *fixed = mica_qtable_create();
    mica_qtable_set(fixed, "b", MICA_MODE_F16);
    mica_narrow_options options = {.table = b.table, .mlir = "net", .mode = MICA_MODE_INT4, .fixed = fixed,
                                   .max_cost = -80.0};
    mica_narrow_result r;
    ck_assert_msg(mica_search_narrow(&b.real, &options, &r, &err) == MICA_OK, "%s", err.text);
    ck_assert(!r.reached && r.cost == r.least_cost && r.n_narrow == r.count);
    mica_mode mode;
    ck_assert(mica_qtable_get(r.qtable, "b", &mode) && mode == MICA_MODE_F16);
    ck_assert(mica_qtable_get(r.qtable, "a", &mode) && mode == MICA_MODE_INT4);
    ck_assert(!mica_qtable_get(r.qtable, "d", &mode));
    mica_narrow_result_free(&r);
    options.max_cost = 0.0;
    options.expected_cos = 1.0;
    ck_assert(mica_search_narrow(&b.real, &options, &r, &err) == MICA_OK);
    ck_assert(!r.reached && r.n_narrow == 0 && r.mixed.cosine == r.int8.cosine);
    mica_narrow_result_free(&r);
    for (int i = 0; i < LAYERS; i++) {
        mica_qtable_set(fixed, names[i], MICA_MODE_INT8);
    }
    ck_assert(mica_search_narrow(&b.real, &options, &r, &err) == MICA_FAIL);
    ck_assert_str_eq(err.text, "no layer is left to search: none has weights of 4 bits that save anything");
    mica_qtable_destroy(fixed);
    close_bench(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("search_narrow");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, cheapest_of_all, 0, 10);
    tcase_add_loop_test(tcase, best_within_budget, 0, 3);
    tcase_add_test(tcase, limits);
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
