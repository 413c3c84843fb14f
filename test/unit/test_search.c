/* Noise of single ops, shares of the error and the optimal choice against runs of whole models. */
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "ir/weights.h"
#include "passes/search/cross_front.h"
#include "passes/search/explain.h"
#include "passes/search/layers.h"
#include "passes/search/optimal.h"
#include "passes/search/part.h"
#include "runtime/mrt_exec.h"
#include "utils/npy.h"
#include "utils/prng.h"
#include "test/unit/check_main.h"

#include <math.h>

static mica_error err;

enum { SAMPLES = 8, MOST_OPS = 16 };

/* Two branches that meet, a concat of one of them with the sum, and an alias. */
static const char NET[] =
    "func.func @main(%a: tensor<1x4x6x6xf32> loc(\"x\")) -> tensor<1x5xf32> {\n"
    "  %0 = \"top.Input\"(%a) : (tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32> loc(\"x\")\n"
    "  %1 = \"top.Weight\"() : () -> tensor<8x4x3x3xf32> loc(\"w1\")\n"
    "  %2 = \"top.Weight\"() : () -> tensor<8xf32> loc(\"b1\")\n"
    "  %3 = \"top.Conv\"(%0, %1, %2) {kernel_shape = array<i64: 3, 3>, strides = array<i64: 1, 1>, pads = array<i64: 1, "
    "1, 1, 1>, dilations = array<i64: 1, 1>, group = 1 : i64, do_relu = true, relu_limit = -1.0 : f64} : "
    "(tensor<1x4x6x6xf32>, tensor<8x4x3x3xf32>, tensor<8xf32>) -> tensor<1x8x6x6xf32> loc(\"c1\")\n"
    "  %4 = \"top.Weight\"() : () -> tensor<8x1x3x3xf32> loc(\"w2\")\n"
    "  %5 = \"top.Conv\"(%3, %4, %2) {kernel_shape = array<i64: 3, 3>, strides = array<i64: 1, 1>, pads = array<i64: 1, "
    "1, 1, 1>, dilations = array<i64: 1, 1>, group = 8 : i64, do_relu = false, relu_limit = -1.0 : f64} : "
    "(tensor<1x8x6x6xf32>, tensor<8x1x3x3xf32>, tensor<8xf32>) -> tensor<1x8x6x6xf32> loc(\"c2\")\n"
    "  %6 = \"top.Add\"(%5, %3) : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32> loc(\"sum\")\n"
    "  %7 = \"top.SiLU\"(%6) : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32> loc(\"swish\")\n"
    "  %8 = \"top.Reshape\"(%7) {shape = array<i64: 1, 288>} : (tensor<1x8x6x6xf32>) -> tensor<1x288xf32> loc(\"flat\")\n"
    "  %9 = \"top.Weight\"() : () -> tensor<288x5xf32> loc(\"w3\")\n"
    "  %10 = \"top.Weight\"() : () -> tensor<5xf32> loc(\"b3\")\n"
    "  %11 = \"top.MatMul\"(%8, %9, %10) : (tensor<1x288xf32>, tensor<288x5xf32>, tensor<5xf32>) -> tensor<1x5xf32> "
    "loc(\"y\")\n"
    "  return %11 : tensor<1x5xf32>\n}\n";

static void set_weight(mica_module *module, mica_prng *prng, const char *name, int rank, const int64_t *dims, float scale) {
    float data[2048];
    int64_t count = 1;
    for (int i = 0; i < rank; ++i) {
        count *= dims[i];
    }
    for (int64_t i = 0; i < count; ++i) {
        data[i] = scale * mica_prng_normal(prng);
    }
    mica_weights_set(module->weights, name, "<f4", rank, dims, data, true);
}

typedef struct bench {
    mica_module *module;
    mica_dataset *dataset;
    mica_statistics statistics;
    mica_cali_table *table;
    mica_lowered *float_model;
    mica_net net;
    mica_compare compare;
    mica_search_job job;
} bench;

static void open_bench(bench *b, int threads) {
    mica_prng prng;
    setup();
    mica_register_dialects(context);
    scratch_clear();
    err.text[0] = '\0';
    b->module = parse(NET);
    ck_assert_msg(b->module != NULL, "%s", last_diag);
    mica_prng_seed(&prng, 5);
    set_weight(b->module, &prng, "w1", 4, (const int64_t[]){8, 4, 3, 3}, 0.3f);
    set_weight(b->module, &prng, "b1", 1, (const int64_t[]){8}, 0.1f);
    set_weight(b->module, &prng, "w2", 4, (const int64_t[]){8, 1, 3, 3}, 0.5f);
    set_weight(b->module, &prng, "w3", 2, (const int64_t[]){288, 5}, 0.1f);
    set_weight(b->module, &prng, "b3", 1, (const int64_t[]){5}, 0.1f);
    for (int i = 0; i < SAMPLES; ++i) {
        float data[144];
        const int64_t dims[4] = {1, 4, 6, 6};
        for (int k = 0; k < 144; ++k) {
            data[k] = mica_prng_normal(&prng);
        }
        char file[32];
        snprintf(file, sizeof file, "s%02d.npy", i);
        ck_assert(mica_npy_write(scratch_path(file), "<f4", 4, dims, data, &err) == MICA_OK);
    }
    b->dataset = mica_dataset_open(b->module, scratch, NULL, 0, &err);
    ck_assert_msg(b->dataset != NULL, "%s", err.text);
    b->statistics = (mica_statistics){0};
    ck_assert(mica_collect_statistics(b->module, b->dataset, threads, true, &b->statistics, &err) == MICA_OK);
    b->table = mica_make_table(&b->statistics, mica_method_find("mse"), threads);
    const mica_lowered_options options = {.keep_all = true};
    b->float_model = mica_lowered_open(b->module, &options, &err);
    ck_assert_msg(b->float_model != NULL, "%s", err.text);
    mica_net_make(b->module, b->float_model->plan, &b->net);
    ck_assert(mica_compare_make(&b->net, NULL, b->module->arena, &b->compare, &err) == MICA_OK);
    b->job = (mica_search_job){.module = b->module, .dataset = b->dataset, .samples = SAMPLES,
                               .processor = mica_processor_find("bm1684x"), .threads = threads, .quiet = true,
                               .net = &b->net, .compare = &b->compare};
}

static void close_bench(bench *b) {
    mica_compare_free(&b->compare);
    mica_net_free(&b->net);
    mica_lowered_close(b->float_model);
    mica_cali_table_destroy(b->table);
    mica_statistics_free(&b->statistics);
    mica_dataset_close(b->dataset);
    mica_module_destroy(b->module);
    teardown();
}

static mica_lowered *open_int8(const bench *b, mica_mode mode) {
    const mica_lowered_options options = {.processor = b->job.processor, .table = b->table, .mode = mode,
                                          .keep_all = true};
    mica_lowered *l = mica_lowered_open(b->module, &options, &err);
    ck_assert_msg(l != NULL, "%s", err.text);
    return l;
}

/* A quantize table with one bit per op: 1 stays INT8. */
static mica_qtable *table_of(const bench *b, unsigned integer, mica_mode mode) {
    mica_qtable *table = mica_qtable_create();
    for (size_t k = 0; k < b->net.n_ops; ++k) {
        if ((integer >> k & 1) == 0) {
            mica_qtable_set(table, b->net.ops[k].name, mode);
        }
    }
    return table;
}

static mica_distance run_real(mica_real *real, const bench *b, unsigned integer, mica_mode mode) {
    mica_distance d;
    mica_qtable *table = table_of(b, integer, mode);
    ck_assert_msg(mica_real_run(real, b->table, table, &d, &err) == MICA_OK, "%s", err.text);
    mica_qtable_destroy(table);
    return d;
}

/* A product or sum that integers read in an INT8 model: alone among float ops its result is f32. */
static bool gives_real(const bench *b, size_t k) {
    const char *type = b->net.ops[k].type;
    return k + 1 < b->net.n_ops && (strcmp(type, "top.Conv") == 0 || strcmp(type, "top.MatMul") == 0 || strcmp(type, "top.Add") == 0);
}

/* The op in its place of a float model, lowered with all others in F32, gives the same. */
START_TEST(alone_as_in_a_whole_model) {
    bench b;
    open_bench(&b, 2);
    mica_real real;
    ck_assert(mica_real_open(&b.job, NULL, &real, &err) == MICA_OK);
    mica_lowered *l = open_int8(&b, MICA_MODE_INT8);
    const mica_noise_variant variants[2] = {{.lowered = l, .samples = SAMPLES},
                                            {.lowered = l, .samples = SAMPLES, .parts = true}};
    mica_noise_result r[2];
    ck_assert_msg(mica_noise_measure(&b.job, variants, 2, r, &err) == MICA_OK, "%s", err.text);
    ck_assert_uint_eq(b.net.n_ops, 6);
    for (size_t k = 0; k < b.net.n_ops; ++k) {
        ck_assert_msg(r[0].has[k], "%s", b.net.ops[k].name);
        if (strcmp(b.net.ops[k].name, "flat") == 0) {
            ck_assert_double_eq(r[1].own[k].nsr, 0.0); /* it only moves, and has the type of what it reads */
            continue;
        }
        const mica_distance d = run_real(&real, &b, 1u << k, MICA_MODE_F32);
        const double whole = r[0].alone[k].nsr;
        if (gives_real(&b, k)) { /* the rounding of its result, which it has between integers, is not made [float-out] */
            ck_assert_msg(d.nsr < whole, "%s: %g, alone %g", b.net.ops[k].name, d.nsr, whole);
        } else {
            ck_assert_double_eq_tol(whole, d.nsr, 1e-4 * d.nsr + 1e-12);
            ck_assert_double_eq_tol(r[0].alone[k].cosine, d.cosine, 1e-6);
        }
        /* sum of own noise and that of the inputs, to first order */
        ck_assert_double_eq_tol(r[1].alone[k].nsr, whole, 0.05 * whole + 1e-12);
    }
    mica_noise_free(r, 2);
    mica_lowered_close(l);
    mica_real_close(&real);
    close_bench(&b);
}
END_TEST

START_TEST(shares_sum_to_the_error) {
    bench b;
    open_bench(&b, 2);
    mica_real real;
    ck_assert(mica_real_open(&b.job, NULL, &real, &err) == MICA_OK);
    mica_lowered *l = open_int8(&b, MICA_MODE_INT8);
    mica_noise_shares shares;
    ck_assert(mica_noise_chain(&b.job, l, SAMPLES, &shares, &err) == MICA_OK);
    const mica_distance d = run_real(&real, &b, ~0u, MICA_MODE_F32);
    ck_assert_double_eq_tol(shares.nsr, d.nsr, 1e-9 * d.nsr);
    double sum = 0.0;
    for (size_t k = 0; k < b.net.n_ops; ++k) {
        sum += shares.share[k];
    }
    ck_assert_double_eq_tol(sum, d.nsr, 1e-4 * d.nsr);
    ck_assert_double_eq_tol(shares.reached[b.net.n_ops - 1], d.nsr, 1e-4 * d.nsr);
    mica_noise_shares_free(&shares);

    const mica_explain_options options = {.table = b.table, .statistics = &b.statistics, .method = "mse"};
    mica_explain e;
    ck_assert(mica_explain_model(&b.job, &options, &e, &err) == MICA_OK);
    ck_assert_double_eq_tol(e.share_sum, 100.0, 1.0);
    mica_strbuf text = {0};
    mica_explain_text(&e, &text);
    ck_assert_ptr_nonnull(strstr(mica_strbuf_text(&text), "sum to 100.0 %"));
    mica_strbuf_free(&text);
    mica_explain_free(&e);
    mica_lowered_close(l);
    mica_real_close(&real);
    close_bench(&b);
}
END_TEST

START_TEST(same_for_any_threads) {
    mica_distance first[MOST_OPS];
    double share[MOST_OPS];
    for (int threads = 1; threads <= 3; ++threads) {
        bench b;
        open_bench(&b, threads);
        mica_lowered *l = open_int8(&b, MICA_MODE_INT8);
        const mica_noise_variant variant = {.lowered = l, .samples = 5, .parts = true};
        mica_noise_result r;
        mica_noise_shares s;
        ck_assert(mica_noise_measure(&b.job, &variant, 1, &r, &err) == MICA_OK);
        ck_assert(mica_noise_chain(&b.job, l, 5, &s, &err) == MICA_OK);
        if (threads == 1) {
            memcpy(first, r.own, b.net.n_ops * sizeof *first);
            memcpy(share, s.share, b.net.n_ops * sizeof *share);
        }
        ck_assert_int_eq(memcmp(first, r.own, b.net.n_ops * sizeof *first), 0);
        ck_assert_int_eq(memcmp(share, s.share, b.net.n_ops * sizeof *share), 0);
        mica_noise_free(&r, 1);
        mica_noise_shares_free(&s);
        mica_lowered_close(l);
        close_bench(&b);
    }
}
END_TEST

/* The swish, whose negative side is short, gets a zero point and nearly twice the steps; nothing else does. */
START_TEST(asymmetric_in_part) {
    bench b;
    open_bench(&b, 1);
    mica_real real;
    mica_distance before;
    mica_distance after;
    ck_assert(mica_real_open(&b.job, NULL, &real, &err) == MICA_OK);
    ck_assert(mica_real_run(&real, b.table, NULL, &before, &err) == MICA_OK);
    ck_assert_uint_eq(mica_part_asymmetric(b.module, b.table), 1);
    const char *const *lines = NULL;
    ck_assert_uint_eq(mica_cali_table_lines(b.table, MICA_CALI_ASYM_OP, &lines), 1);
    ck_assert_str_eq(lines[0], "swish");
    ck_assert(mica_real_run(&real, b.table, NULL, &after, &err) == MICA_OK);
    ck_assert_double_lt(after.nsr, before.nsr);
    mica_lowered *l = open_int8(&b, MICA_MODE_INT8);
    const mrt_tensor *swish = &l->plan->tensors[mrt_plan_find(l->plan, "swish")].info;
    const mrt_tensor *sum = &l->plan->tensors[mrt_plan_find(l->plan, "sum")].info;
    const mica_cali_row *row = mica_cali_table_get(b.table, "swish");
    ck_assert_int_ne(swish->zero_point, 0);
    ck_assert_int_eq(sum->zero_point, 0);
    ck_assert_double_eq_tol(swish->scale, (row->max - row->min) / 255.0, 1e-6 * swish->scale);
    mica_lowered_close(l);
    mica_real_close(&real);
    close_bench(&b);
}
END_TEST

/* Compares every tensor that the observer is shown with what the executor gives afterwards. */
typedef struct seen {
    mrt_exec *first, *second;
    const mrt_plan *plan;
    size_t tensors;
} seen;

static void compare_tensor(void *user, int32_t id, const mrt_tensor *tensor) {
    seen *s = user;
    const size_t bytes = (size_t)s->plan->tensors[id].bytes;
    uint8_t *got = mica_alloc(bytes + 1);
    mrt_exec_get(s->second, id, got);
    ck_assert_int_eq(memcmp(got, tensor->data, bytes), 0);
    mica_free(got);
    s->tensors++;
}

/* Parts of a run: values out, values in, single steps; in float and in INT8, with their channels-last forms. */
START_TEST(parts_of_a_run) {
    bench b;
    open_bench(&b, 1);
    mica_lowered *l = open_int8(&b, MICA_MODE_INT8);
    const mrt_plan *plans[2] = {b.float_model->plan, l->plan};
    for (int p = 0; p < 2; ++p) {
        const mrt_plan *plan = plans[p];
        mrt_error error;
        seen s = {.plan = plan};
        ck_assert(mrt_exec_create(plan, NULL, &s.first, &error) == MRT_OK);
        ck_assert(mrt_exec_create(plan, NULL, &s.second, &error) == MRT_OK);
        mrt_tensor *input = mrt_exec_tensor(s.first, plan->inputs[0]);
        ck_assert(mica_dataset_read(b.dataset, 0, &input, 1, &err) == MICA_OK);
        mrt_exec_set(s.second, plan->inputs[0], input->data);
        mrt_exec_run(s.second, NULL, NULL);
        mrt_exec_run(s.first, compare_tensor, &s);
        ck_assert_uint_ge(s.tensors, 7);
        bool *wanted = mica_alloc((size_t)plan->n_steps + 1);
        uint8_t *value = mica_alloc(4096);
        uint8_t *zeros = mica_alloc(4096);
        memset(zeros, 0, 4096);
        for (int32_t id = 0; id < plan->n_tensors; ++id) {
            const mrt_plan_tensor *t = &plan->tensors[id];
            ck_assert_int_le(t->kind == MRT_CONST ? 0 : t->bytes, 4096);
            if (t->kind != MRT_VALUE || t->root != id) {
                continue;
            }
            /* disturbed, run on, and brought back: as before */
            mrt_exec_get(s.second, id, value);
            for (int32_t k = 0; k < plan->n_steps; ++k) {
                wanted[k] = k > t->def_step;
            }
            mrt_exec_set(s.second, id, zeros);
            mrt_exec_run_steps(s.second, wanted);
            mrt_exec_set(s.second, id, value);
            mrt_exec_run_steps(s.second, wanted);
            mrt_exec_run(s.first, compare_tensor, &s);
        }
        mica_free(wanted);
        mica_free(value);
        mica_free(zeros);
        mrt_exec_destroy(s.first);
        mrt_exec_destroy(s.second);
    }
    mica_lowered_close(l);
    close_bench(&b);
}
END_TEST

/* Cost of a choice of INT8 (bit 1) and F16, by the rules of optimal.h. */
static double cost_of(const bench *b, unsigned integer) {
    double cost = 0.0;
    for (size_t k = 0; k < b->net.n_ops; ++k) {
        const mica_net_op *op = &b->net.ops[k];
        const double work = op->macs > 0.0 ? op->macs : 8.0 * (double)op->elements;
        cost += (integer >> k & 1) != 0 ? work : 2.0 * work;
    }
    for (size_t e = 0; e < b->net.n_edges; ++e) {
        const mica_net_edge *edge = &b->net.edges[e];
        const bool differs = edge->from >= 0 && ((integer >> edge->from ^ integer >> edge->to) & 1) != 0;
        cost += differs ? 8.0 * (double)edge->elements : 0.0;
    }
    return cost;
}

/* All mixtures really run; the chosen one is within 0.5 dB of the best that the budget allows. */
START_TEST(optimal_against_all_runs) {
    bench b;
    open_bench(&b, 2);
    mica_real real;
    ck_assert(mica_real_open(&b.job, NULL, &real, &err) == MICA_OK);
    const unsigned all = (1u << b.net.n_ops) - 1;
    const double int8 = cost_of(&b, all);
    double *nsr = mica_alloc((all + 1) * sizeof *nsr);
    for (unsigned m = 0; m <= all; ++m) {
        nsr[m] = run_real(&real, &b, m, MICA_MODE_F16).nsr;
    }
    static const double budgets[] = {0.0, 15.0, 40.0, 80.0};
    for (size_t i = 0; i < 4; ++i) {
        const mica_optimal_options options = {.table = b.table, .max_cost = budgets[i]};
        mica_optimal_result r;
        ck_assert_msg(mica_search_optimal(&real, &options, &r, &err) == MICA_OK, "%s", err.text);
        double best = INFINITY;
        for (unsigned m = 0; m <= all; ++m) {
            best = cost_of(&b, m) <= int8 * (1.0 + budgets[i] / 100.0) * (1.0 + 1e-9) ? fmin(best, nsr[m]) : best;
        }
        const mica_optimal_point *p = &r.points[r.chosen];
        ck_assert_double_le(p->cost, budgets[i] + 1e-6);
        ck_assert_double_le(mica_nsr_to_db(best) - mica_nsr_to_db(p->real.nsr), 0.5);
        ck_assert_double_ge(p->sum, p->bound - 1e-15);
        ck_assert_uint_le(r.runs, 6);
        mica_optimal_result_free(&r);
    }
    mica_free(nsr);
    mica_real_close(&real);
    close_bench(&b);
}
END_TEST

/* Mean over samples of the square of the sum of all errors that a choice makes, by the definition: every op whose type is its
 * own, and every edge whose reader rounds what its producer has not rounded as much. */
static double square_of(const bench *b, const mica_noise_result *r, const int32_t *leader, const uint8_t *modes) {
    const mica_noise_result *any = &r[MICA_MODE_INT8];
    double noise = 0.0;
    for (size_t s = 0; s < any->samples; ++s) {
        for (size_t i = 0; i < any->width; ++i) {
            double sum = 0.0;
            for (size_t part = 0; part < b->net.n_ops + b->net.n_edges; ++part) {
                const mica_net_edge *edge = part < b->net.n_ops ? NULL : &b->net.edges[part - b->net.n_ops];
                const int32_t op = edge != NULL ? edge->to : (int32_t)part;
                const int32_t from = edge != NULL && edge->from >= 0 ? leader[edge->from] : -1;
                const bool rounded = from >= 0 && modes[from] == MICA_MODE_INT8;
                const float *v = r[modes[op]].vectors;
                if (leader[op] == op && v != NULL && !(edge != NULL && rounded)) {
                    sum += (double)v[(s * (b->net.n_ops + b->net.n_edges) + part) * any->width + i];
                }
            }
            noise += sum * sum / (double)any->samples;
        }
    }
    return noise;
}

/* Cross terms against all choices of INT8, W8A8 and F32. */
START_TEST(cross_terms_by_enumeration) {
    bench b;
    open_bench(&b, 2);
    mica_lowered *l[2] = {open_int8(&b, MICA_MODE_INT8), open_int8(&b, MICA_MODE_W8A8)};
    const mica_noise_variant variants[2] = {{.lowered = l[0], .samples = 6, .parts = true, .vectors = true},
                                            {.lowered = l[1], .samples = 6, .parts = true, .vectors = true}};
    mica_noise_result found[2];
    ck_assert_msg(mica_noise_measure(&b.job, variants, 2, found, &err) == MICA_OK, "%s", err.text);
    mica_noise_result results[MICA_MODE_COUNT] = {[MICA_MODE_INT8] = found[0], [MICA_MODE_W8A8] = found[1]};
    mica_model model;
    mica_model_make(&b.net, results, MICA_MODE_F32, &model);
    for (size_t k = 0; k < b.net.n_ops; ++k) {
        for (int m = 0; m < MICA_MODE_COUNT && model.leader[k] == (int32_t)k; ++m) {
            model.ops[k].cost[m] = m == MICA_MODE_F32 ? 1.0 + (double)(k * 7 % 5) : m == MICA_MODE_W8A8 ? 0.4 : 0.0;
        }
    }
    mica_cross *cross = mica_cross_create(&b.net, &model, results, NULL, 2);
    mica_solve_front sums;
    mica_solve_front front;
    static const double budgets[] = {1.0, 3.0, 5.0, 8.0};
    mica_solve(&model.problem, &sums);
    mica_cross_front(cross, &model, &sums, budgets, 4, 2, &front);
    double least[4] = {INFINITY, INFINITY, INFINITY, INFINITY};
    uint8_t modes[MOST_OPS] = {0};
    size_t choices = 0;
    for (size_t k = 0; k < b.net.n_ops;) {
        double cost = 0.0;
        double ignored = 0.0;
        bool allowed = true;
        for (size_t i = 0; i < b.net.n_ops; ++i) {
            allowed = allowed && model.ops[i].allowed[modes[i]];
        }
        if (allowed) {
            const double noise = square_of(&b, results, model.leader, modes);
            mica_solve_sums(&model.problem, modes, &cost, &ignored);
            ck_assert_double_eq_tol(mica_cross_noise(cross, modes), noise, 1e-5 * noise + 1e-12);
            for (int i = 0; i < 4; ++i) {
                least[i] = cost <= budgets[i] ? fmin(least[i], noise) : least[i];
            }
            choices++;
        }
        for (k = 0; k < b.net.n_ops && ++modes[k] == MICA_MODE_COUNT; ++k) {
            modes[k] = 0;
        }
    }
    ck_assert_uint_ge(choices, 32);
    for (int i = 0; i < 4; ++i) {
        const int64_t at = mica_solve_best(&front, budgets[i]);
        ck_assert_int_ge(at, 0);
        ck_assert_double_eq_tol(front.points[at].noise, least[i], 1e-4 * least[i]);
    }
    mica_solve_free(&front);
    mica_solve_free(&sums);
    mica_cross_destroy(cross);
    mica_model_free(&model);
    mica_noise_free(found, 2);
    mica_lowered_close(l[0]);
    mica_lowered_close(l[1]);
    close_bench(&b);
}
END_TEST

/* Scalar products of errors are kept, exactly where there is room and about right where there is not. */
START_TEST(sketch_of_an_error) {
    enum { N = 5000, WIDTH = 1024 };
    mica_compare_point points[2] = {{.weight = 0.75, .first = 0, .count = 2000}, {.weight = 0.25, .first = 2000, .count = 3000}};
    const mica_compare compare = {.points = points, .count = 2, .total = N};
    float *want = mica_alloc(N * sizeof *want);
    float *got = mica_alloc(N * sizeof *got);
    float *out = mica_alloc(N * sizeof *out);
    mica_prng prng;
    mica_prng_seed(&prng, 9);
    for (int i = 0; i < N; ++i) {
        want[i] = mica_prng_normal(&prng);
        got[i] = want[i] + 0.1f * mica_prng_normal(&prng);
    }
    const double nsr = mica_compare_vectors(&compare, want, got).nsr;
    for (int round = 0; round < 2; ++round) {
        const size_t width = round == 0 ? N : WIDTH;
        double square = 0.0;
        mica_compare_sketch(&compare, want, got, width, out);
        for (size_t i = 0; i < width; ++i) {
            square += (double)out[i] * (double)out[i];
        }
        ck_assert_double_eq_tol(square, nsr, (round == 0 ? 1e-5 : 0.15) * nsr);
    }
    mica_free(want);
    mica_free(got);
    mica_free(out);
}
END_TEST

/* The least number of float layers that reaches a cosine, as brute force finds it. */
START_TEST(layers_against_all_runs) {
    bench b;
    open_bench(&b, 2);
    mica_real real;
    ck_assert(mica_real_open(&b.job, NULL, &real, &err) == MICA_OK);
    const unsigned all = (1u << b.net.n_ops) - 1;
    double best[MOST_OPS];
    for (int i = 0; i < MOST_OPS; ++i) {
        best[i] = -1.0;
    }
    for (unsigned m = 0; m <= all; ++m) {
        const int floats = (int)b.net.n_ops - __builtin_popcount(m);
        best[floats] = fmax(best[floats], run_real(&real, &b, m, MICA_MODE_F16).cosine);
    }
    const mica_cali_table *table = b.table;
    const char *method = "mse";
    for (size_t floats = 1; floats <= 3; ++floats) {
        /* above what fewer layers can do, within what this many can */
        const double wanted = best[floats] - 0.2 * (best[floats] - best[floats - 1]);
        const mica_layers_options options = {.base = table, .tables = &table, .methods = &method, .n_methods = 1,
                                             .mlir = "net", .float_mode = MICA_MODE_F16, .expected_cos = wanted,
                                             .max_float = 5};
        mica_layers_result r;
        ck_assert_msg(mica_search_layers(&real, &options, &r, &err) == MICA_OK, "%s", err.text);
        ck_assert(r.reached && r.mixed.cosine >= wanted);
        ck_assert_uint_le(r.n_float, floats + 1);
        mica_layers_result_free(&r);
    }
    mica_real_close(&real);
    close_bench(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("search");
    TCase *cases = tcase_create("search");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, alone_as_in_a_whole_model);
    tcase_add_test(cases, shares_sum_to_the_error);
    tcase_add_test(cases, same_for_any_threads);
    tcase_add_test(cases, parts_of_a_run);
    tcase_add_test(cases, asymmetric_in_part);
    tcase_add_test(cases, optimal_against_all_runs);
    tcase_add_test(cases, cross_terms_by_enumeration);
    tcase_add_test(cases, sketch_of_an_error);
    tcase_add_test(cases, layers_against_all_runs);
    suite_add_tcase(suite, cases);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
