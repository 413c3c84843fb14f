/* Rounding of rows against all roundings there are [weight-scale, weight-balance]. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/lowering/weight_row.h"
#include "runtime/mrt_quant.h"
#include "dialects/dialects.h"
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"

enum { MOST = 9, ROUNDS = 60 };

static double uniform(unsigned *seed) {
    *seed = *seed * 1664525U + 1013904223U;
    return (double)(*seed >> 8) / (double)(1U << 24);
}

static double bell(unsigned *seed) {
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) {
        sum += uniform(seed);
    }
    return sum;
}

/* Mean square error behind inputs of variance 1 and mean 1 or 0. */
static double loss(const float *w, int n, const int *q, double scale, bool positive) {
    double squares = 0.0;
    double sum = 0.0;
    for (int i = 0; i < n; ++i) {
        const double e = (double)w[i] - scale * q[i];
        squares += e * e;
        sum += e;
    }
    return squares + (positive ? sum * sum : 0.0);
}

/* The least loss of all ways to round each weight down or up. */
static double least(const float *w, int n, double scale, bool positive) {
    double best = INFINITY;
    for (int way = 0; way < 1 << n; ++way) {
        int q[MOST];
        bool fits = true;
        for (int i = 0; i < n; ++i) {
            q[i] = (int)floor((double)w[i] / scale) + (way >> i & 1);
            fits = fits && abs(q[i]) <= 127;
        }
        const double found = fits ? loss(w, n, q, scale, positive) : INFINITY;
        best = found < best ? found : best;
    }
    return best;
}

static double of_row(const mica_row_rule *rule, const float *w, int n, double *scale) {
    int8_t q[MOST];
    int wide[MOST];
    int64_t sum = 0;
    const int64_t told = mica_quantize_row(rule, w, n, q, scale);
    for (int i = 0; i < n; ++i) {
        wide[i] = q[i];
        sum += q[i];
        ck_assert_int_le(abs(q[i]), 127);
    }
    ck_assert_int_eq(told, sum);
    return loss(w, n, wide, *scale, rule->positive);
}

static void fill(float *w, int n, unsigned *seed) {
    for (int i = 0; i < n; ++i) {
        w[i] = (float)bell(seed);
    }
}

/* The row's loss is the least one over 32 scales and all roundings; it is that of the first scale for powers of two. */
START_TEST(all_roundings) {
    unsigned seed = 1;
    for (int round = 0; round < ROUNDS; ++round) {
        float w[MOST];
        const int n = 1 + round % MOST;
        fill(w, n, &seed);
        const double absmax = mrt_weights_absmax(w, n);
        mica_row_rule rule = {.scale_in = 0.02, .bits = 8, .positive = round % 2 == 0};
        double best = INFINITY;
        for (int levels = 127; levels >= 96; --levels) {
            best = fmin(best, least(w, n, (float)(absmax / levels), rule.positive));
        }
        double scale = 0.0;
        ck_assert_double_eq_tol(of_row(&rule, w, n, &scale), best, 1e-6 * best + 1e-12);
        rule.pow2 = true;
        const double found = of_row(&rule, w, n, &scale);
        ck_assert_double_eq(scale, exp2(ceil(log2(absmax / 127.0))));
        ck_assert_double_eq_tol(found, least(w, n, scale, rule.positive), 1e-6 * best + 1e-12);
    }
}
END_TEST

/* A bias that decides the scale leaves nothing to choose; the sum of errors cancels all the same. */
START_TEST(bias_decides) {
    const float w[3] = {0.30F, 0.40F, -0.45F};
    const mica_row_rule rule = {.bias = 1e6, .scale_in = 1e-3, .bits = 8, .positive = true};
    double scale = 0.0;
    int8_t q[3];
    (void)mica_quantize_row(&rule, w, 3, q, &scale);
    ck_assert_double_eq(scale, mrt_weight_scale(0.45, 1e6, 1e-3));
}
END_TEST

/* Weights that lie on a grid are found again, whatever their largest integer from 96 to 127. */
START_TEST(grids_stay) {
    unsigned seed = 7;
    for (int most = 96; most <= 127; ++most) {
        float w[40];
        int8_t q[40];
        for (int i = 0; i < 40; ++i) {
            const int k = i == 0 ? most : (int)(uniform(&seed) * (2 * most + 1)) - most;
            w[i] = (float)(0.0123 * k);
        }
        double scale = 0.0;
        (void)mica_quantize_row(&(mica_row_rule){.scale_in = 1.0, .bits = 8, .positive = true}, w, 40, q, &scale);
        for (int i = 0; i < 40; ++i) {
            ck_assert_double_eq_tol((double)w[i], scale * q[i], 1e-6);
        }
    }
}
END_TEST

/* Long rows keep absmax / 127; behind a ReLU their errors sum to at most one step, else they are rounded to nearest. */
START_TEST(long_rows) {
    unsigned seed = 3;
    for (int n = MICA_ROW_SEARCHED + 1; n < 3000; n = n * 2 + 1) {
        float *w = malloc((size_t)n * sizeof *w);
        int8_t *q = malloc((size_t)n);
        fill(w, n, &seed);
        for (int positive = 0; positive < 2; ++positive) {
            double scale = 0.0;
            (void)mica_quantize_row(&(mica_row_rule){.scale_in = 1.0, .bits = 8, .positive = positive == 1}, w, n, q, &scale);
            double sum = 0.0;
            double worst = 0.0;
            for (int i = 0; i < n; ++i) {
                const double e = (double)w[i] / scale - q[i];
                sum += e;
                worst = fmax(worst, fabs(e));
            }
            ck_assert_double_eq(scale, mrt_weight_scale(mrt_weights_absmax(w, n), 0.0, 1.0));
            ck_assert_double_le(worst, positive == 1 ? 1.0 : 0.5);
            ck_assert(positive == 0 || fabs(sum) <= 1.0);
        }
        free(w);
        free(q);
    }
}
END_TEST

/* Not a number and infinity give some integers. */
START_TEST(not_finite) {
    const float w[4] = {NAN, INFINITY, 1.0F, -2.0F};
    int8_t q[4];
    double scale = 0.0;
    (void)mica_quantize_row(&(mica_row_rule){.scale_in = 1.0, .bits = 8, .positive = true}, w, 4, q, &scale);
    ck_assert_int_eq(q[0], 0);
}
END_TEST

/* Who makes the input decides: a leaky rectifier, also before moves and joins; not a steep one, not a join with something else. */
START_TEST(mostly_positive) {
    setup();
    mica_register_dialects(context);
    mica_module *module = parse(
        "func.func @main(%a: tensor<1x4x4x4xf32> loc(\"x\")) -> tensor<1x8x4x4xf32> {\n"
        "  %0 = \"top.Input\"(%a) : (tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32> loc(\"x\")\n"
        "  %1 = \"top.LeakyRelu\"(%0) {alpha = 0.1 : f64} : (tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32> loc(\"leaky\")\n"
        "  %2 = \"top.LeakyRelu\"(%0) {alpha = 0.5 : f64} : (tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32> loc(\"steep\")\n"
        "  %3 = \"top.SiLU\"(%0) : (tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32> loc(\"silu\")\n"
        "  %4 = \"top.Permute\"(%3) {order = array<i64: 0, 1, 3, 2>} : (tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32> loc(\"moved\")\n"
        "  %5 = \"top.Concat\"(%1, %4) {axis = 1 : i64} : (tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x8x4x4xf32> loc(\"join\")\n"
        "  %6 = \"top.Concat\"(%1, %2) {axis = 1 : i64} : (tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x8x4x4xf32> loc(\"mixed\")\n"
        "  %7 = \"top.Add\"(%5, %6) : (tensor<1x8x4x4xf32>, tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32> loc(\"sum\")\n"
        "  return %7 : tensor<1x8x4x4xf32>\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    static const struct {
        const char *name;
        bool positive;
    } want[] = {{"x", false},   {"leaky", true}, {"steep", false}, {"silu", true},
                {"moved", true}, {"join", true},  {"mixed", false}, {"sum", false}};
    size_t found = 0;
    const mica_block *body = mica_func_body(mica_module_func(module, "main"));
    for (const mica_op *op = body->first; op != NULL; op = op->next) {
        for (size_t i = 0; i < sizeof want / sizeof want[0] && op->n_results > 0; ++i) {
            if (strcmp(mica_value_name(&op->results[0]), want[i].name) == 0) {
                ck_assert_msg(mica_mostly_positive(&op->results[0]) == want[i].positive, "%s", want[i].name);
                found += 1;
            }
        }
    }
    ck_assert_uint_eq(found, sizeof want / sizeof want[0]);
    mica_module_destroy(module);
    teardown();
}
END_TEST

/* Joins of joins of one value, four operands each, twelve deep: 4^12 ways back, of which few are walked. */
START_TEST(joins_of_joins) {
    setup();
    mica_register_dialects(context);
    char text[16384];
    int at = snprintf(text, sizeof text,
                      "func.func @main(%%a: tensor<1x0xf32> loc(\"x\")) -> tensor<1x0xf32> {\n"
                      "  %%0 = \"top.Input\"(%%a) : (tensor<1x0xf32>) -> tensor<1x0xf32> loc(\"x\")\n"
                      "  %%1 = \"top.LeakyRelu\"(%%0) {alpha = 0.1 : f64} : (tensor<1x0xf32>) -> tensor<1x0xf32> loc(\"l\")\n");
    for (int i = 2; i < 14; ++i) {
        at += snprintf(text + at, sizeof text - (size_t)at,
                       "  %%%d = \"top.Concat\"(%%%d, %%%d, %%%d, %%%d) {axis = 1 : i64} : (tensor<1x0xf32>, tensor<1x0xf32>, "
                       "tensor<1x0xf32>, tensor<1x0xf32>) -> tensor<1x0xf32> loc(\"c%d\")\n",
                       i, i - 1, i - 1, i - 1, i - 1, i);
    }
    snprintf(text + at, sizeof text - (size_t)at, "  return %%13 : tensor<1x0xf32>\n}\n");
    mica_module *module = parse(text);
    ck_assert_msg(module != NULL, "%s", last_diag);
    const mica_op *last = mica_func_body(mica_module_func(module, "main"))->last;
    ck_assert(!mica_mostly_positive(mica_op_operand(last, 0)));
    mica_module_destroy(module);
    teardown();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("weight_row");
    tcase_add_test(tests, all_roundings);
    tcase_add_test(tests, bias_decides);
    tcase_add_test(tests, grids_stay);
    tcase_add_test(tests, long_rows);
    tcase_add_test(tests, not_finite);
    tcase_add_test(tests, mostly_positive);
    tcase_add_test(tests, joins_of_joins);
    Suite *suite = suite_create("weight_row");
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
