/* Sizes that depend on data, from the IR through the plan to the executor. */
#include "ir/verify.h"
#include "runtime/mrt_params.h"
#include "test/unit/check_main.h"
#include "test/unit/dialect_case.h"

typedef struct net {
    mica_context *context;
    mica_module *module;
    mrt_plan *plan;
    mrt_exec *exec;
    char last[1024];
} net;

static void keep_text(void *user, mica_severity severity, mica_loc loc, const char *text) {
    (void)severity;
    (void)loc;
    net *n = user;
    snprintf(n->last, sizeof n->last, "%s", text);
}

static mica_status net_plan(net *n, const char *text, bool keep_all) {
    memset(n, 0, sizeof *n);
    n->context = mica_context_create();
    mica_register_dialects(n->context);
    mica_set_diag_handler(n->context, keep_text, n);
    n->module = mica_parse(n->context, text, strlen(text), "test.mlir");
    ck_assert_msg(n->module != NULL, "%s", n->last);
    const mica_plan_options options = {.keep_all = keep_all};
    return mica_plan_func(n->module, mica_module_func(n->module, "main"), &options, &n->plan);
}

static void net_open(net *n, const char *text, bool keep_all) {
    mrt_error err = {{0}};
    ck_assert_msg(net_plan(n, text, keep_all) == MICA_OK, "%s", n->last);
    ck_assert_msg(mica_verify(n->module) == MICA_OK, "%s", n->last);
    ck_assert_msg(mrt_exec_create(n->plan, NULL, &n->exec, &err) == MRT_OK, "%s", err.text);
}

static void net_close(net *n) {
    mrt_exec_destroy(n->exec);
    mrt_plan_destroy(n->plan);
    mica_module_destroy(n->module);
    mica_context_destroy(n->context);
}

static const mrt_tensor *output(const net *n, int32_t i) {
    return mrt_exec_tensor(n->exec, n->plan->outputs[i]);
}

/* The values that are found, twice them, all of both in a row, their sum, how many, the first two. */
static const char found[] =
    "func.func @main(%x: tensor<12xf32> loc(\"x\")) -> "
    "(tensor<?xf32>, tensor<f32>, tensor<1xi64>, tensor<?xf32>) {\n"
    "  %1 = \"top.NonZero\"(%x) : (tensor<12xf32>) -> tensor<1x?xi64> loc(\"where\")\n"
    "  %2 = \"top.Reshape\"(%1) {shape = array<i64: -1>} : (tensor<1x?xi64>) -> tensor<?xi64> loc(\"index\")\n"
    "  %3 = \"top.Gather\"(%x, %2) {axis = 0 : i64} : (tensor<12xf32>, tensor<?xi64>) -> tensor<?xf32> loc(\"values\")\n"
    "  %4 = \"top.Add\"(%3, %3) {do_relu = true} : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32> loc(\"twice\")\n"
    "  %5 = \"top.Concat\"(%3, %4) {axis = 0 : i64, do_relu = true} : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32> loc(\"all\")\n"
    "  %6 = \"top.Reduce\"(%5) {axes = array<i64: 0>, keepdims = false, mode = \"ReduceSum\"} : (tensor<?xf32>) -> tensor<f32> loc(\"sum\")\n"
    "  %7 = \"top.Shape\"(%5) : (tensor<?xf32>) -> tensor<1xi64> loc(\"size\")\n"
    "  %8 = \"top.Slice\"(%3) {offset = array<i64: 0>, steps = array<i64: 1>, ends = array<i64: 2>} : (tensor<?xf32>) -> tensor<?xf32> loc(\"head\")\n"
    "  return %5, %6, %7, %8 : tensor<?xf32>, tensor<f32>, tensor<1xi64>, tensor<?xf32>\n"
    "}\n";

typedef struct seen {
    const mrt_plan *plan;
    int64_t values;
} seen;

static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    seen *s = user;
    if (strcmp(s->plan->tensors[id].info.name, "values") == 0) {
        s->values = tensor->shape.dims[0];
    }
}

START_TEST(test_follow) {
    net n;
    net_open(&n, found, _i == 1);
    for (int mask = 0; mask < 4096; mask += mask < 64 ? 1 : 37) {
        float *x = mrt_exec_tensor(n.exec, n.plan->inputs[0])->data;
        float values[12], sum = 0.0f;
        int64_t count = 0;
        for (int i = 0; i < 12; i++) {
            x[i] = mask >> i & 1 ? (float)(i + 1) : 0.0f;
            if (x[i] != 0.0f) {
                values[count++] = x[i];
                sum += 3.0f * x[i];
            }
        }
        seen s = {n.plan, -1};
        mrt_exec_run(n.exec, observe, &s);
        ck_assert_ptr_null(mrt_exec_problem(n.exec));
        ck_assert_int_eq(s.values, count);
        ck_assert_int_eq(output(&n, 0)->shape.dims[0], 2 * count);
        for (int64_t i = 0; i < 2 * count; i++) {
            const float expected = i < count ? values[i] : 2.0f * values[i - count];
            ck_assert_float_eq(((float *)output(&n, 0)->data)[i], expected);
        }
        ck_assert_float_eq(*(float *)output(&n, 1)->data, sum);
        ck_assert_int_eq(*(int64_t *)output(&n, 2)->data, 2 * count);
        ck_assert_int_eq(output(&n, 3)->shape.dims[0], count < 2 ? count : 2);
    }
    net_close(&n);
}
END_TEST

/* --- what the plan refuses ------------------------------------------------------------------- */

static void expect_refused(const char *text, const char *reason) {
    net n;
    ck_assert_msg(net_plan(&n, text, false) != MICA_OK, "planned, expected: %s", reason);
    ck_assert_msg(strstr(n.last, reason) != NULL, "%s", n.last);
    net_close(&n);
}

START_TEST(test_refused) {
    /* Counting from the end of what is found: the first element would differ for every size. */
    expect_refused(
        "func.func @main(%x: tensor<12xf32>) -> tensor<1x?xi64> {\n"
        "  %1 = \"top.NonZero\"(%x) : (tensor<12xf32>) -> tensor<1x?xi64> loc(\"where\")\n"
        "  %2 = \"top.Slice\"(%1) {offset = array<i64: 0, -3>, steps = array<i64: 1, 1>, ends = array<i64: 1, 12>} : (tensor<1x?xi64>) -> tensor<1x?xi64>\n"
        "  return %2 : tensor<1x?xi64>\n"
        "}\n", "'top.Slice' op cannot take operand 'where'");
    expect_refused(
        "func.func @main(%x: tensor<12xf32>) -> tensor<12xi64> {\n"
        "  %1 = \"top.NonZero\"(%x) : (tensor<12xf32>) -> tensor<1x?xi64> loc(\"where\")\n"
        "  %2 = \"top.Reshape\"(%1) {shape = array<i64: 12>} : (tensor<1x?xi64>) -> tensor<12xi64>\n"
        "  return %2 : tensor<12xi64>\n"
        "}\n", "cut the model before this op with output_names");
}
END_TEST

/* --- what finalize refuses: plans also come from files ------------------------------------------ */

typedef struct claim {
    mrt_live_symbol symbol;
    mrt_live_term term;
    const char *reason; /* NULL: fine */
} claim;

/* Tensors: 0 x[6], 1 found[1, 6], 2 = sqrt of x [6], 3 = the same again. */
static mrt_plan *small_plan(void) {
    mrt_plan *plan = mrt_plan_create();
    const mrt_tensor x = {.name = "x", .dtype = MRT_F32, .shape = {1, {6}}};
    const mrt_tensor where = {.name = "found", .dtype = MRT_I64, .shape = {2, {1, 6}}};
    const int32_t in = mrt_plan_add_tensor(plan, &x, MRT_INPUT);
    const int32_t out = mrt_plan_add_tensor(plan, &where, MRT_VALUE);
    const int32_t root = mrt_plan_add_tensor(plan, &x, MRT_VALUE);
    const int32_t again = mrt_plan_add_tensor(plan, &x, MRT_VALUE);
    const mrt_unary_params sqrt_of = {.op = MRT_UNARY_SQRT};
    mrt_plan_add_step(plan, MRT_K_unary, &sqrt_of, &in, 1, &root, 1, "sqrt");
    mrt_plan_add_step(plan, MRT_K_non_zero, NULL, &in, 1, &out, 1, "where");
    mrt_plan_add_step(plan, MRT_K_unary, &sqrt_of, &root, 1, &again, 1, "again");
    mrt_plan_add_output(plan, out);
    mrt_plan_add_output(plan, again);
    return plan;
}

static const claim claims[] = {
    {{1, 1}, {3, 0, 0, 1}, NULL},
    {{1, 2}, {3, 0, 0, 1}, "cannot be dimension 2"},
    {{9, 1}, {3, 0, 0, 1}, "unknown tensor 9"},
    {{0, 0}, {3, 0, 0, 1}, "cannot be dimension 0 of 'x'"},
    {{2, 0}, {3, 0, 0, 1}, "cannot depend on data"},
    {{1, 1}, {3, 0, 0, 2}, "would get negative"},
    {{1, 1}, {3, 0, 0, INT64_MAX}, "would get negative"},
    {{1, 1}, {3, 0, 0, 0}, "malformed"},
    {{1, 1}, {3, 0, 0, -1}, "malformed"},
    {{1, 1}, {3, 0, 1, 1}, "malformed"},
    {{1, 1}, {7, 0, 0, 1}, "malformed"},
    {{1, 1}, {3, 1, 0, 1}, "cannot follow"},
    {{1, 1}, {0, 0, 0, 1}, "cannot follow"},
    {{1, 1}, {2, 0, 0, 1}, "cannot follow"}, /* computed before */
    {{1, 1}, {1, 1, 0, 1}, "would get negative"}, /* twice the same dimension */
};

START_TEST(test_claims) {
    const claim *c = &claims[_i];
    mrt_plan *plan = small_plan();
    mrt_error err = {{0}};
    mrt_plan_add_symbol(plan, c->symbol.tensor, c->symbol.axis);
    mrt_plan_add_term(plan, &c->term);
    const mrt_status status = mrt_plan_finalize(plan, false, &err);
    if (c->reason != NULL) {
        ck_assert_int_ne(status, MRT_OK);
        ck_assert_msg(strstr(err.text, c->reason) != NULL, "%s", err.text);
        mrt_plan_destroy(plan);
        return;
    }
    /* "again" claims to follow, but its operand does not: found out at the half size. */
    ck_assert_int_ne(status, MRT_OK);
    ck_assert_msg(strstr(err.text, "op 'again'") != NULL, "%s", err.text);
    mrt_plan_destroy(plan);
}
END_TEST

/* Two sizes that are equal while halved together: only the run can see that they differ. */
START_TEST(test_other_sizes) {
    mrt_plan *plan = mrt_plan_create();
    const mrt_tensor x = {.name = "x", .dtype = MRT_F32, .shape = {1, {6}}};
    const mrt_tensor where = {.name = "found", .dtype = MRT_I64, .shape = {2, {1, 6}}};
    const int32_t in[2] = {mrt_plan_add_tensor(plan, &x, MRT_INPUT),
                           mrt_plan_add_tensor(plan, &x, MRT_INPUT)};
    const int32_t found_at[2] = {mrt_plan_add_tensor(plan, &where, MRT_VALUE),
                                 mrt_plan_add_tensor(plan, &where, MRT_VALUE)};
    const int32_t sum = mrt_plan_add_tensor(plan, &where, MRT_VALUE);
    const mrt_binary_params add = {.op = MRT_BINARY_ADD, .act_limit = -1.0};
    for (int i = 0; i < 2; i++) {
        mrt_plan_add_step(plan, MRT_K_non_zero, NULL, &in[i], 1, &found_at[i], 1, "where");
        mrt_plan_add_symbol(plan, found_at[i], 1);
    }
    mrt_plan_add_step(plan, MRT_K_binary, &add, found_at, 2, &sum, 1, "sum");
    mrt_plan_add_term(plan, &(mrt_live_term){sum, 1, 0, 1});
    mrt_plan_add_output(plan, sum);
    mrt_error err = {{0}};
    mrt_exec *exec = NULL;
    ck_assert_msg(mrt_plan_finalize(plan, false, &err) == MRT_OK, "%s", err.text);
    ck_assert_int_eq(mrt_exec_create(plan, NULL, &exec, &err), MRT_OK);
    for (int other = 2; other < 5; other++) {
        float *a = mrt_exec_tensor(exec, in[0])->data, *b = mrt_exec_tensor(exec, in[1])->data;
        for (int i = 0; i < 6; i++) {
            a[i] = i < 3;
            b[i] = i < other;
        }
        mrt_exec_run(exec, NULL, NULL);
        const mrt_tensor *y = mrt_exec_tensor(exec, sum);
        ck_assert_int_eq(y->shape.dims[1], 3);
        ck_assert_int_eq(mrt_exec_problem(exec) == NULL, other == 3);
        ck_assert_int_eq(((int64_t *)y->data)[2], other == 3 ? 4 : 0);
    }
    ck_assert_ptr_nonnull(strstr(mrt_exec_problem(exec), "op 'sum'"));
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("live_sizes");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, test_follow, 0, 2);
    tcase_add_test(all, test_refused);
    tcase_add_test(all, test_other_sizes);
    tcase_add_loop_test(all, test_claims, 0, (int)(sizeof claims / sizeof claims[0]));
    suite_add_tcase(suite, all);
    return check_run(suite);
}
