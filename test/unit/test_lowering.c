/* Lowering of every op family in every mode: the tpu op it becomes, how near its results are, why it
 * falls back, and that the bundle computes the same bits. */
#include "test/unit/check_main.h"
#include "test/unit/lowering_case.h"
#include "test/unit/test_utils_dir.h"

#include "backends/bundle/bundle_from_module.h"
#include "passes/tpu/tpu_passes.h"
#include "runtime/mrt_quant.h"

typedef struct lowering_case {
    const char *op;     /* integer tpu op, or NULL */
    const char *reason; /* of the fallback, or NULL */
    double sqnr;
    const char *text;
} lowering_case;

static const lowering_case cases[] = {
#define INT8(op, sqnr, text) {op, NULL, sqnr, text},
#define FLOAT(reason, text) {NULL, reason, 100.0, text},
#include "test/unit/lowering_cases.def"
};

/* Least SQNR over the outputs of the lowered module on a calibrated sample. */
static double sqnr_of(graph *g, mica_module *tpu, uint64_t seed) {
    graph_run a = graph_execute(g, g->module, seed, false);
    graph_run b = graph_execute(g, tpu, seed, false);
    double least = HUGE_VAL;
    ck_assert_int_eq(a.plan->n_outputs, b.plan->n_outputs);
    for (int32_t i = 0; i < a.plan->n_outputs; ++i) {
        const mrt_tolerance tolerance = {.dequantize = true, .sqnr_db = -HUGE_VAL};
        mrt_verdict verdict;
        mrt_metrics metrics;
        mrt_error error;
        ck_assert(mrt_compare(graph_output(&a, i), graph_output(&b, i), &tolerance, &verdict, &metrics, &error) ==
                  MRT_OK);
        ck_assert_int_eq(metrics.mismatched, 0);
        least = fmin(least, metrics.sqnr_db);
    }
    graph_run_end(&a);
    graph_run_end(&b);
    return least;
}

static bool is_integer_op(const mica_op *op) {
    return mica_type_is_quant(mica_type_element(op->results[0].type));
}

START_TEST(int8) {
    const lowering_case *c = &cases[_i / 2];
    const bool asymmetric = _i % 2 != 0;
    graph g;
    graph_begin(&g, 31, c->text);
    graph_calibrate(&g, asymmetric, NULL);
    lowered l = graph_lower(&g, MICA_MODE_INT8, asymmetric, NULL);
    char *text = graph_text(l.tpu);
    const mica_lower_row *row = lowered_row(&l, "y");
    const mica_op *op = lowered_op(&l, "y");
    ck_assert_msg(op != NULL, "nothing makes y\n%s", text);
    if (c->op != NULL) {
        ck_assert_msg(row->reason == NULL && row->mode == MICA_MODE_INT8, "%s", row->reason);
        ck_assert_msg(mica_op_is(op, c->op) && is_integer_op(op), "not a %s of integers\n%s", c->op, text);
    } else {
        ck_assert_msg(row->reason != NULL && strcmp(row->reason, c->reason) == 0, "reason is '%s', expected '%s'\n%s",
                      row->reason, c->reason, text);
        ck_assert(row->mode == MICA_MODE_F32 && !is_integer_op(op));
    }
    ck_assert_uint_eq(l.report.n_uncalibrated, 0);
    const double sqnr = sqnr_of(&g, l.tpu, 2);
    /* other ops of the graph may be integers */
    const double least = c->op != NULL ? c->sqnr : (strchr(c->reason, '?') || strstr(c->text, "Relu(") ? 20.0 : 100.0);
    ck_assert_msg(sqnr > least, "case %d%s: %.1f dB\n%s", _i / 2, asymmetric ? ", asymmetric" : "", sqnr, text);
    free(text);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

/* W8A8: products of integers with float results, convolutions as in INT8, everything else float. */
START_TEST(w8a8) {
    static const struct { const char *text, *op; bool integers, quantized; double sqnr; } all[] = {
        {"x = Input 5x32\ny = MatMul(x, w:32x7, b:7)\nreturn y\n", "tpu.MatMul", true, false, 35.0},
        {"x = Input 5x32\ny = MatMul(x, w:32x7, b:7) {do_relu = true}\nreturn y\n", "tpu.MatMul", true, false, 35.0},
        {"x = Input 3x5x32\ny = MatMul(x, w:7x32, _) {right_transpose = true}\nreturn y\n", "tpu.MatMul", true, false, 35.0},
        {"x = Input 2x5x16\nz = Input 2x16x6\ny = MatMul(x, z, _)\nreturn y\n", "tpu.MatMul", true, false, 35.0},
        {"x = Input 32\ny = MatMul(x, w:32x7, b:7)\nreturn y\n", "tpu.MatMul", true, false, 35.0},
        {"x = Input 1x3x8x8\ny = Conv(x, w:4x3x3x3, b:4) {kernel_shape = array<i64: 3, 3>}\nreturn y\n", "tpu.Conv2D",
         true, true, 30.0},
        {"x = Input 5x32\nm = MatMul(x, w:32x7, b:7)\ny = GELU(m)\nreturn y\n", "tpu.Active", false, false, 30.0},
    };
    graph g;
    graph_begin(&g, 31, all[_i / 2].text);
    graph_calibrate(&g, _i % 2 != 0, NULL);
    lowered l = graph_lower(&g, MICA_MODE_W8A8, _i % 2 != 0, NULL);
    char *text = graph_text(l.tpu);
    const mica_op *op = lowered_op(&l, "y");
    ck_assert_msg(op != NULL && mica_op_is(op, all[_i / 2].op), "%s", text);
    ck_assert_int_eq(mica_type_is_quant(mica_type_element(mica_op_operand(op, 0)->type)), all[_i / 2].integers);
    ck_assert_msg(is_integer_op(op) == all[_i / 2].quantized, "%s", text);
    ck_assert(lowered_row(&l, "y")->reason == NULL);
    const double sqnr = sqnr_of(&g, l.tpu, 2);
    ck_assert_msg(sqnr > all[_i / 2].sqnr, "case %d: %.1f dB\n%s", _i, sqnr, text);
    free(text);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

/* Results that nobody needs in 8 bits are f32 [float-out]; `p` is the product or sum that is looked at. */
#define CONV "x = Input 1x4x6x6\np = Conv(x, w:8x4x3x3, b:8) {kernel_shape = array<i64: 3, 3>}\n"
#define PRODUCT "x = Input 5x16\np = MatMul(x, w:16x8, b:8)\n"
static const struct { const char *text; bool f32; } outs[] = {
    {CONV "return p\n", true},
    {"x = Input 1x4x6x6\np = Conv(x, w:8x4x3x3, b:8) {kernel_shape = array<i64: 3, 3>, do_relu = true, "
     "relu_limit = 0.5}\nreturn p\n", true},
    {"x = Input 1x4x6\np = Deconv(x, w:4x8x3, b:8) {kernel_shape = array<i64: 3>, strides = array<i64: 2>}\n"
     "return p\n", true},
    {"x = Input 1x4x6\np = Scale(x, w:4, b:4)\nreturn p\n", true},
    {PRODUCT "return p\n", true},
    {"x = Input 2x5x16\nz = Input 2x16x6\np = MatMul(x, z, _)\nreturn p\n", true},
    {PRODUCT "y = Softmax(p) {axis = -1}\nreturn y\n", true},
    /* behind ops that move */
    {CONV "r = Reshape(p) {shape = array<i64: 8, 16>}\nt = Permute(r) {order = array<i64: 1, 0>}\n"
     "a, b = Split(t) {axis = 1, split_size = array<i64: 3, 5>}\ny = Softmax(a) {axis = -1}\nreturn y b\n", true},
    {CONV "q = Conv(x, v:2x4x3x3, c:2) {kernel_shape = array<i64: 3, 3>}\ny = Concat(p, q) {axis = 1}\nreturn y\n", true},
    {CONV "y = Interp(p) {mode = \"nearest\", shape = array<i64: 1, 8, 8, 8>}\nreturn y\n", true},
    /* and functions; a head with two kinds of results */
    {CONV "a, b = Split(p) {axis = 1, split_size = array<i64: 3, 5>}\ns = Sigmoid(a)\ny = Concat(s, b) {axis = 1}\n"
     "return y\n", true},
    {CONV "g = Clip(p) {min = 0.0, max = 1.0}\ny = Div(g, k:1=6)\nreturn y\n", true},
    /* sums that run in float, one behind another */
    {"x = Input 5x16\np = MatMul(x, w:16x16, b:16)\ns = Add(x, p)\nn = LayerNorm(s, g:16, h:16) {axis = 1}\n"
     "m = MatMul(n, v:16x16, c:16)\nt = Add(s, m)\ny = LayerNorm(t, i:16, j:16) {axis = 1}\nreturn y\n", true},
    {PRODUCT "s = Mul(p, k:1=2.5)\ny = Softmax(s) {axis = -1}\nreturn y\n", true},
    /* integers are needed */
    {CONV "y = Conv(p, v:2x8x1x1, c:2) {kernel_shape = array<i64: 1, 1>}\nreturn y\n", false},
    {CONV "y = Conv(p, v:2x8x1x1, c:2) {kernel_shape = array<i64: 1, 1>}\nreturn y p\n", false},
    {CONV "g = GELU(p)\ny = Conv(g, v:2x8x1x1, c:2) {kernel_shape = array<i64: 1, 1>}\nreturn y\n", false},
    {CONV "m = MaxPool(x) {kernel_shape = array<i64: 3, 3>}\ny = Concat(p, m) {axis = 1}\nreturn y\n", false},
    {CONV "a, b = Split(p) {axis = 1, split_size = array<i64: 3, 5>}\ny = Conv(b, v:2x5x1x1, c:2) {kernel_shape = "
     "array<i64: 1, 1>}\nreturn a y\n", false},
    {PRODUCT "s = Softmax(p) {axis = -1}\ny = MatMul(s, v:8x8, c:8)\nreturn y\n", false},
};

START_TEST(float_out) {
    const int at = _i / 3;
    const mica_lowering_options options = {
        .processor = mica_processor_find(_i % 3 == 2 ? "bm1688" : "bm1684x"), .mode = MICA_MODE_INT8,
        .asymmetric = _i % 3 == 1, .requantize_all = _i % 3 == 2};
    graph g;
    graph_begin(&g, 31, outs[at].text);
    graph_calibrate(&g, options.asymmetric, NULL);
    lowered l = graph_lower_with(&g, &options);
    lowered all = graph_lower(&g, MICA_MODE_INT8, options.asymmetric, NULL);
    char *text = graph_text(l.tpu);
    const bool f32 = outs[at].f32 && !options.requantize_all;
    const mica_op *op = lowered_op(&l, "p");
    ck_assert_msg(op != NULL && is_integer_op(op) == !f32, "case %d\n%s", at, text);
    ck_assert_msg(mica_type_is_quant(mica_type_element(mica_op_operand(op, 0)->type)), "%s", text);
    ck_assert_int_eq(lowered_row(&l, "p")->is_real, f32);
    ck_assert_int_eq(lowered_row(&l, "p")->mode, MICA_MODE_INT8);
    const double needed = sqnr_of(&g, l.tpu, 2), before = sqnr_of(&g, all.tpu, 2);
    ck_assert_msg(needed >= before - 1.5, "case %d: %.1f dB, all requantized %.1f\n%s", at, needed, before, text);
    ck_assert_msg(!f32 || needed > 28.0, "case %d: %.1f dB\n%s", at, needed, text);
    free(text);
    lowered_end(&l);
    lowered_end(&all);
    graph_end(&g);
}
END_TEST

/* What keeps the rule away: a row of the quantize table that makes a reader INT8, outputs that stay integer. */
START_TEST(float_out_by_options) {
    graph g;
    graph_begin(&g, 31, PRODUCT "q = MatMul(p, v:8x6, c:6)\nreturn q\n");
    graph_calibrate(&g, false, NULL);
    mica_qtable *table = mica_qtable_create();
    mica_qtable_set(table, "q", MICA_MODE_F16);
    lowered l = graph_lower_needed(&g, MICA_MODE_INT8, false, table);
    ck_assert(lowered_row(&l, "p")->is_real && !lowered_row(&l, "q")->is_real);
    lowered_end(&l);
    mica_qtable_set(table, "q", MICA_MODE_INT8);
    mica_qtable_set(table, "p", MICA_MODE_INT8);
    l = graph_lower_needed(&g, MICA_MODE_F32, false, table);
    ck_assert(!lowered_row(&l, "p")->is_real && lowered_row(&l, "q")->is_real);
    lowered_end(&l);
    mica_qtable_destroy(table);
    const bool out[1] = {true};
    const mica_lowering_options options = {.processor = mica_processor_find("cpu"), .mode = MICA_MODE_INT8,
                                           .quant_output = out};
    l = graph_lower_with(&g, &options);
    ck_assert(is_integer_op(lowered_op(&l, "q")) && !lowered_row(&l, "q")->is_real);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

/* Float modes: no quantized type, no calibration needed; bounds by the precision of the type. */
START_TEST(float_modes) {
    static const struct { mica_mode mode; mica_float_kind kind; double sqnr; } modes[] = {
        {MICA_MODE_F32, MICA_F32, 110.0}, {MICA_MODE_F16, MICA_F16, 48.0}, {MICA_MODE_BF16, MICA_BF16, 33.0}};
    const lowering_case *c = &cases[_i];
    for (size_t m = 0; m < MICA_COUNT(modes); ++m) {
        graph g;
        graph_begin(&g, 31, c->text);
        lowered l = graph_lower(&g, modes[m].mode, false, NULL);
        char *text = graph_text(l.tpu);
        ck_assert_msg(strstr(text, "!quant") == NULL, "%s", text);
        const mica_op *op = lowered_op(&l, "y");
        ck_assert_msg(mica_type_is_float(mica_type_element(op->results[0].type), modes[m].kind), "%s", text);
        ck_assert(lowered_row(&l, "y")->reason == NULL);
        const double sqnr = sqnr_of(&g, l.tpu, 2);
        ck_assert_msg(sqnr > modes[m].sqnr, "case %d in %s: %.1f dB\n%s", _i, mica_mode_name(modes[m].mode), sqnr,
                      text);
        free(text);
        lowered_end(&l);
        graph_end(&g);
    }
}
END_TEST

/* Same bits from the module and from the bundle made of it, every tensor. */
START_TEST(bundle_is_bit_true) {
    static const struct { mica_mode mode; bool asymmetric, needed; } ways[] = {
        {MICA_MODE_INT8, false, false}, {MICA_MODE_INT8, true, false}, {MICA_MODE_INT8, false, true},
        {MICA_MODE_INT8, true, true}, {MICA_MODE_W8A8, false, false}, {MICA_MODE_W8A8, true, true},
        {MICA_MODE_F16, false, false}, {MICA_MODE_F32, false, false}};
    graph g;
    graph_begin(&g, 31, cases[_i].text);
    for (size_t w = 0; w < MICA_COUNT(ways); ++w) {
        graph_calibrate(&g, ways[w].asymmetric, NULL);
        lowered l = (ways[w].needed ? graph_lower_needed : graph_lower)(&g, ways[w].mode, ways[w].asymmetric, NULL);
        mica_error err = {0};
        mrt_error error = {0};
        mrt_bundle *bundle = NULL;
        mrt_exec *exec = NULL;
        const char *path = scratch_path("x.bmodel");
        ck_assert_msg(mica_bundle_from_module(l.tpu, NULL, 0, NULL, path, &err) == MICA_OK, "%s", err.text);
        ck_assert_msg(mrt_bundle_open(path, MRT_BUNDLE_KEEP_ALL, &bundle, &error) == MRT_OK, "%s", error.text);
        const mrt_plan *plan = mrt_bundle_plan(bundle);
        ck_assert(mrt_exec_create(plan, NULL, &exec, &error) == MRT_OK);
        graph_run a = graph_execute(&g, l.tpu, 3, true);
        for (int32_t i = 0; i < plan->n_inputs; ++i) {
            const mrt_tensor *from = mrt_exec_tensor(a.exec, a.plan->inputs[i]);
            memcpy(mrt_exec_tensor(exec, plan->inputs[i])->data, from->data,
                   (size_t)mrt_shape_count(&from->shape) * mrt_dtype_bytes(from->dtype));
        }
        mrt_exec_run(exec, NULL, NULL);
        int compared = 0;
        for (int32_t id = 0; id < plan->n_tensors; ++id) {
            const mrt_tensor *t = mrt_exec_tensor(exec, id);
            const int32_t other = t->name != NULL && t->name[0] != '\0' ? mrt_plan_find(a.plan, t->name) : -1;
            if (other < 0 || plan->tensors[id].kind == MRT_CONST) {
                continue;
            }
            const size_t bytes = (size_t)mrt_shape_count(&t->shape) * mrt_dtype_bytes(t->dtype);
            ck_assert_msg(memcmp(t->data, mrt_exec_tensor(a.exec, other)->data, bytes) == 0, "%s differs", t->name);
            ++compared;
        }
        ck_assert_int_gt(compared, 1);
        graph_run_end(&a);
        mrt_exec_destroy(exec);
        mrt_bundle_close(bundle);
        lowered_end(&l);
    }
    graph_end(&g);
}
END_TEST

/* --- casts and tables --------------------------------------------------------------------------- */

static const char chain[] = "x = Input 4x25\nz = Input 4x25\n"
                            "a = Add(x, z)\nb = Mul(x, z)\nc = Sub(x, a)\nd = Add(b, c)\ne = Max(a, c)\nf = Min(a, e)\n"
                            "g = Add(d, f)\nh = Relu(g)\nreturn h g\n";

/* One cast per value and type, though x, z, a and c have several users that need it. */
START_TEST(casts_are_shared) {
    graph g;
    graph_begin(&g, 5, chain);
    graph_calibrate(&g, false, NULL);
    lowered l = graph_lower(&g, MICA_MODE_INT8, false, NULL);
    for (mica_op *op = mica_func_body(mica_module_func(l.tpu, "main"))->first; op != NULL; op = op->next) {
        for (mica_op *other = op->next; mica_op_is(op, "tpu.Cast") && other != NULL; other = other->next) {
            ck_assert_msg(!mica_op_is(other, "tpu.Cast") || mica_op_operand(other, 0) != mica_op_operand(op, 0) ||
                              other->results[0].type != op->results[0].type,
                          "%s is cast twice to %s", mica_value_name(mica_op_operand(op, 0)),
                          mica_type_text(op->results[0].type));
        }
        /* no cast is undone */
        ck_assert(!mica_op_is(op, "tpu.Cast") || mica_op_operand(op, 0)->def == NULL ||
                  !mica_op_is(mica_op_operand(op, 0)->def, "tpu.Cast"));
    }
    /* x, z to integers; a, c to float; f back; h, g to float */
    ck_assert_uint_eq(lowered_count(&l, "tpu.Cast"), 7);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

START_TEST(quantize_table) {
    graph g;
    graph_begin(&g, 5, chain);
    graph_calibrate(&g, false, NULL);
    mica_qtable *table = mica_qtable_create();
    mica_qtable_set(table, "b", MICA_MODE_F16);
    mica_qtable_set(table, "c", MICA_MODE_BF16);
    mica_qtable_set(table, "d", MICA_MODE_F32);
    lowered l = graph_lower(&g, MICA_MODE_INT8, false, table);
    static const struct { const char *op; mica_mode mode; mica_float_kind kind; } wanted[] = {
        {"b", MICA_MODE_F16, MICA_F16}, {"c", MICA_MODE_BF16, MICA_BF16}, {"d", MICA_MODE_F32, MICA_F32}};
    for (size_t i = 0; i < MICA_COUNT(wanted); ++i) {
        ck_assert_int_eq(lowered_row(&l, wanted[i].op)->mode, wanted[i].mode);
        ck_assert_ptr_null(lowered_row(&l, wanted[i].op)->reason);
        const mica_op *op = lowered_op(&l, wanted[i].op);
        ck_assert(mica_type_is_float(mica_type_element(op->results[0].type), wanted[i].kind));
    }
    ck_assert(is_integer_op(lowered_op(&l, "a")) && is_integer_op(lowered_op(&l, "g")));
    ck_assert_double_gt(sqnr_of(&g, l.tpu, 2), 20.0);
    lowered_end(&l);
    mica_qtable_destroy(table);
    /* the other way: all float but one op */
    table = mica_qtable_create();
    mica_qtable_set(table, "a", MICA_MODE_INT8);
    l = graph_lower(&g, MICA_MODE_F16, false, table);
    ck_assert(is_integer_op(lowered_op(&l, "a")));
    ck_assert(mica_type_is_float(mica_type_element(lowered_op(&l, "b")->results[0].type), MICA_F16));
    ck_assert_double_gt(sqnr_of(&g, l.tpu, 2), 25.0);
    lowered_end(&l);
    mica_qtable_destroy(table);
    graph_end(&g);
}
END_TEST

/* A row may name any op that was fused. */
START_TEST(names_of_fused_ops) {
    graph g;
    graph_begin(&g, 5, "x = Input 4x25\nz = Input 4x25\ny, part = Split(x) {axis = 1, split_size = array<i64: 20, 5>}\nreturn y part\n");
    graph_calibrate(&g, false, NULL);
    mica_qtable *table = mica_qtable_create();
    mica_error err = {0};
    mica_qtable_set(table, "part", MICA_MODE_F16);
    ck_assert_msg(mica_qtable_check(table, mica_module_func(g.module, "main"), &err) == MICA_OK, "%s", err.text);
    lowered l = graph_lower(&g, MICA_MODE_INT8, false, table);
    ck_assert_int_eq(lowered_row(&l, "y")->mode, MICA_MODE_F16);
    lowered_end(&l);
    mica_qtable_destroy(table);
    graph_end(&g);
}
END_TEST

/* Ranges that are missing are reported with their names, each once. */
START_TEST(uncalibrated) {
    graph g;
    graph_begin(&g, 5, chain);
    graph_calibrate(&g, false, "a");
    lowered l = graph_lower(&g, MICA_MODE_INT8, false, NULL);
    ck_assert_uint_eq(l.report.n_uncalibrated, 1);
    ck_assert_str_eq(l.report.uncalibrated[0], "a");
    ck_assert_str_eq(lowered_row(&l, "a")->reason, "no calibration for an operand or the result");
    ck_assert_double_gt(sqnr_of(&g, l.tpu, 2), 20.0);
    lowered_end(&l);
    graph_end(&g);
    /* ops that never are integers do not miss theirs */
    graph_begin(&g, 5, "x = Input 3x8\ny = Softmax(x) {axis = 1}\nz = Reshape(y) {shape = array<i64: 24>}\nreturn z\n");
    l = graph_lower(&g, MICA_MODE_INT8, false, NULL);
    ck_assert_uint_eq(l.report.n_uncalibrated, 0);
    lowered_end(&l);
    graph_end(&g);
    graph_begin(&g, 5, "x = Input 1x3x8\ny = MaxPool(x) {kernel_shape = array<i64: 2>}\nreturn y\n");
    l = graph_lower(&g, MICA_MODE_INT8, false, NULL);
    ck_assert_str_eq(lowered_row(&l, "y")->reason, "no calibration for its input");
    ck_assert_uint_eq(l.report.n_uncalibrated, 1);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

/* Weights far too large for the range of the result cannot be rescaled: an error that names the channel. */
START_TEST(impossible_range) {
    graph g;
    graph_begin(&g, 5, "x = Input 1x2x8\ny = Conv(x, w:2x2x1=1e30, _) {kernel_shape = array<i64: 1>}\nreturn y\n");
    mica_cali_table *table = mica_cali_table_create();
    mica_error err = {0};
    mica_cali_table_set(table, "x", 1.0, -1.0, 1.0);
    mica_cali_table_set(table, "y", 1e-5, -1e-5, 1e-5);
    ck_assert(mica_import_calibration(g.module, table, false, &err) == MICA_OK);
    mica_module *tpu = NULL;
    const mica_lowering_options options = {.processor = mica_processor_find("cpu"), .mode = MICA_MODE_INT8,
                                           .requantize_all = true};
    ck_assert(mica_lower_module(g.module, &options, &tpu, NULL) == MICA_FAIL);
    ck_assert_ptr_null(tpu);
    ck_assert_msg(strstr(g.diags, "channel 0 has weights too large for its output range") != NULL, "%s", g.diags);
    mica_cali_table_destroy(table);
    graph_end(&g);
}
END_TEST

/* --- sums of powers of two [add-ties] -------------------------------------------------------------- */

#define TIE_IN "x = Input 4x4x16x16\n"
#define TIE_WEIGHTS "=0.4137,-0.3651,0.2873,0.4391,0.3319,0.4177,-0.4523,0.2391,-0.3787,0.3083,0.4611,-0.3429,0.4057,0.3541,0.2719,-0.4283"
#define TIE_CONV "Conv(x, w:4x4x1x1" TIE_WEIGHTS ", b:4=0.031,-0.123,0.277,0.019) {kernel_shape = array<i64: 1, 1>"

/* Exponents of the steps of x, z and their sum y; what the sum is off in the mean, in its steps. */
static const struct {
    int x, z, y;
    double bias;
    const char *text;
} tie_cases[] = {
    {-5, -5, -4, 0.0, TIE_IN "z = " TIE_CONV "}\ny = Add(x, z)\nreturn y\n"},
    {-5, -4, -3, 0.0, TIE_IN "z = " TIE_CONV "}\ny = Add(z, x)\nreturn y\n"},
    {-5, -3, -4, 0.0, TIE_IN "z = " TIE_CONV "}\ny = Add(z, x) {do_relu = true}\nreturn y\n"},
    {-4, -4, -4, 0.0, TIE_IN "z = " TIE_CONV "}\ny = Add(x, z)\nreturn y\n"},
    {-5, -5, -4, 0.0, TIE_IN "c = Relu(x)\nz = " TIE_CONV "}\ny = Add(c, z)\nreturn y\n"},
    {-5, -5, -4, 0.0, TIE_IN "v = " TIE_CONV "}\nz = " TIE_CONV "}\ny = Add(v, z)\nreturn y\n"},
    {-5, -5, -4, 0.0, "x = Input 256x4\nz = MatMul(x, w:4x4" TIE_WEIGHTS ", _)\ny = Add(x, z)\nreturn y\n"},
    /* no bias that could take it, or one that others would see */
    {-5, -5, -4, 0.25, TIE_IN "z = Input 4x4x16x16\ny = Add(x, z)\nreturn y\n"},
    {-5, -5, -4, 0.25, TIE_IN "z = " TIE_CONV "}\ny = Add(x, z)\nreturn y z\n"},
};

static void set_step(graph *g, mica_cali_table *table, const char *name, int exponent) {
    const double threshold = 127.0 * exp2(exponent);
    if (graph_find(g, name) != NULL) {
        mica_cali_table_set(table, name, threshold, -threshold, threshold);
    }
}

START_TEST(ties_of_sums) {
    graph g;
    graph_begin(&g, 5, tie_cases[_i].text);
    graph_calibrate(&g, false, NULL);
    mica_cali_table *table = mica_cali_table_create();
    mica_error err = {0};
    set_step(&g, table, "x", tie_cases[_i].x);
    set_step(&g, table, "c", tie_cases[_i].x);
    set_step(&g, table, "v", tie_cases[_i].z);
    set_step(&g, table, "z", tie_cases[_i].z);
    set_step(&g, table, "y", tie_cases[_i].y);
    ck_assert(mica_import_calibration(g.module, table, false, &err) == MICA_OK);
    lowered l = {0};
    const mica_lowering_options options = {.processor = mica_processor_find("cpu"), .mode = MICA_MODE_INT8, .pow2 = true,
                                           .requantize_all = true};
    ck_assert_msg(mica_lower_module(g.module, &options, &l.tpu, &l.report) == MICA_OK, "%s", g.diags);
    ck_assert(is_integer_op(lowered_op(&l, "y")));
    double error = 0.0;
    double count = 0.0;
    for (uint64_t seed = 1; seed <= 4; ++seed) {
        graph_run a = graph_execute(&g, g.module, seed, false);
        graph_run b = graph_execute(&g, l.tpu, seed, false);
        const float *want = graph_output(&a, 0)->data;
        const float *got = graph_output(&b, 0)->data;
        for (int64_t i = 0; i < mrt_shape_count(&graph_output(&a, 0)->shape); ++i) {
            error += want[i] > 0.0f && want[i] < 3.0f ? (double)got[i] - (double)want[i] : 0.0;
            count += want[i] > 0.0f && want[i] < 3.0f;
        }
        graph_run_end(&a);
        graph_run_end(&b);
    }
    const double bias = error / count / exp2(tie_cases[_i].y);
    ck_assert_msg(fabs(bias - tie_cases[_i].bias) < 0.04, "case %d: %.3f steps, not %.3f", _i, bias, tie_cases[_i].bias);
    mica_cali_table_destroy(table);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

/* --- borders and addresses ---------------------------------------------------------------------- */

START_TEST(integer_borders) {
    graph g;
    graph_begin(&g, 5, "x = Input 1x3x8\nz = Input 1x3x8\ny = Add(x, z)\ns = Relu(z)\nm = Softmax(z)\nreturn y m s\n");
    graph_calibrate(&g, true, NULL);
    lowered l = graph_lower(&g, MICA_MODE_INT8, true, NULL);
    mica_op *func = mica_module_func(l.tpu, "main");
    const bool in[2] = {true, true};
    const bool out[3] = {true, true, false};
    ck_assert(mica_strip_io_quant(l.tpu, in, 2, out, 3) == MICA_OK);
    ck_assert_msg(mica_verify(l.tpu) == MICA_OK, "%s", g.diags);
    const mica_block *body = mica_func_body(func);
    /* x goes to integers only; z is needed in float too, so it stays */
    ck_assert(mica_type_is_quant(mica_type_element(body->args[0]->type)));
    ck_assert(mica_type_is_float(mica_type_element(body->args[1]->type), MICA_F32));
    const mica_op *ret = body->last;
    ck_assert(mica_type_is_quant(mica_type_element(mica_op_operand(ret, 0)->type)));
    ck_assert(mica_type_is_float(mica_type_element(mica_op_operand(ret, 1)->type), MICA_F32)); /* was float */
    ck_assert(mica_type_is_float(mica_type_element(mica_op_operand(ret, 2)->type), MICA_F32)); /* not asked */
    const mica_attr type = mica_op_attr(func, "function_type");
    ck_assert_ptr_eq(type->type->inputs[0], body->args[0]->type);
    ck_assert_ptr_eq(type->type->results[0], mica_op_operand(ret, 0)->type);
    /* none: nothing changes */
    char *before = graph_text(l.tpu);
    ck_assert(mica_strip_io_quant(l.tpu, NULL, 0, NULL, 0) == MICA_OK);
    char *after = graph_text(l.tpu);
    ck_assert_str_eq(before, after);
    free(after);
    free(before);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

START_TEST(border_lists) {
    bool flags[3];
    mica_error err = {0};
    ck_assert(mica_parse_io_list("all", flags, 3, "--x", &err) == MICA_OK && flags[0] && flags[2]);
    ck_assert(mica_parse_io_list("none", flags, 3, "--x", &err) == MICA_OK && !flags[0] && !flags[2]);
    ck_assert(mica_parse_io_list("1,3", flags, 3, "--x", &err) == MICA_OK && flags[0] && !flags[1] && flags[2]);
    ck_assert(mica_parse_io_list("2|3", flags, 3, "--x", &err) == MICA_OK && !flags[0] && flags[1] && flags[2]);
    static const char *const bad[] = {"0", "4", "a", "1,,2", "-1", "1;2"};
    for (size_t i = 0; i < MICA_COUNT(bad); ++i) {
        ck_assert(mica_parse_io_list(bad[i], flags, 3, "--x", &err) == MICA_FAIL);
        ck_assert_msg(strncmp(err.text, "--x '", 5) == 0 && strstr(err.text, "no number from 1 to 3") != NULL, "%s",
                      err.text);
    }
}
END_TEST

static int64_t address_of(const mica_value *value) {
    return value->type->encoding != NULL ? value->type->encoding->integer : -1;
}

START_TEST(addresses) {
    graph g;
    graph_begin(&g, 5,
                "x = Input 1x3x8x8\na = Conv(x, w:5x3x3x3, b:5) {kernel_shape = array<i64: 3, 3>}\n"
                "c = Conv(a, v:5x5x1x1, d:5) {kernel_shape = array<i64: 1, 1>}\ne = Add(a, c)\n"
                "f = Reshape(e) {shape = array<i64: 1, 180>}\ng = MatMul(f, u:180x4, _)\nreturn g\n");
    graph_calibrate(&g, false, NULL);
    lowered l = graph_lower(&g, MICA_MODE_INT8, false, NULL);
    graph_run a = graph_execute(&g, l.tpu, 1, false);
    ck_assert_msg(mica_assign_address(l.tpu) == MICA_OK && mica_verify(l.tpu) == MICA_OK, "%s", g.diags);
    const int64_t coeff_size = mica_op_attr(l.tpu->op, "module.coeff_size")->integer;
    const int64_t neuron = mica_op_attr(l.tpu->op, "module.neuron_addr")->integer;
    const int64_t neuron_size = mica_op_attr(l.tpu->op, "module.neuron_size")->integer;
    ck_assert(neuron >= coeff_size && neuron % 4096 == 0 && neuron_size > 0);
    int64_t next = 0;
    for (mica_op *op = mica_func_body(mica_module_func(l.tpu, "main"))->first; op != NULL; op = op->next) {
        if (mica_op_is(op, "top.Weight")) { /* one after the other */
            ck_assert_int_eq(address_of(&op->results[0]), next);
            next = (next + (int64_t)mica_weight_data(&op->results[0])->bytes + 63) / 64 * 64;
        } else if (op->n_results == 1 && !mica_op_is(op, "top.None")) {
            const int64_t at = address_of(&op->results[0]);
            ck_assert_msg(at >= neuron && at < neuron + neuron_size, "%s at %lld", mica_value_name(&op->results[0]),
                          (long long)at);
        }
    }
    ck_assert_int_eq(next, coeff_size);
    /* a is alive until e: c must not lie on it; f is e */
    const int64_t at_a = address_of(&lowered_op(&l, "a")->results[0]);
    const int64_t at_c = address_of(&lowered_op(&l, "c")->results[0]);
    ck_assert(at_a + 180 <= at_c || at_c + 180 <= at_a);
    ck_assert_int_eq(address_of(&lowered_op(&l, "e")->results[0]), address_of(&lowered_op(&l, "f")->results[0]));
    /* addresses change nothing of what is computed */
    graph_run b = graph_execute(&g, l.tpu, 1, false);
    graph_check_equal(&a, &b, 0.0, "addressed");
    graph_run_end(&b);
    graph_run_end(&a);
    lowered_end(&l);
    graph_end(&g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("lowering");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, int8, 0, 2 * MICA_COUNT(cases));
    tcase_add_loop_test(tcase, w8a8, 0, 14);
    tcase_add_loop_test(tcase, float_out, 0, 3 * MICA_COUNT(outs));
    tcase_add_loop_test(tcase, float_modes, 0, MICA_COUNT(cases));
    tcase_add_loop_test(tcase, bundle_is_bit_true, 0, MICA_COUNT(cases));
    tcase_add_loop_test(tcase, ties_of_sums, 0, (int)MICA_COUNT(tie_cases));
    const TTest *const tests[] = {casts_are_shared, quantize_table, names_of_fused_ops, uncalibrated,
                                  impossible_range, integer_borders, border_lists, addresses,
                                  float_out_by_options};
    for (size_t i = 0; i < MICA_COUNT(tests); ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
