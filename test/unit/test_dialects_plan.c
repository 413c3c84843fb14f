/* Plans of small functions: values against numbers worked out by hand, and error messages. */
#include "test/unit/check_main.h"
#include "test/unit/dialect_case.h"

#include "ir/weights.h"
#include "utils/compiler.h"

#include <math.h>
#include <stdlib.h>

/* --- running text ----------------------------------------------------------------------------- */

/* Named constant for a module. */
typedef struct constant {
    const char *name, *descr;
    int rank;
    int64_t dims[4];
    const void *data;
} constant;

static mica_module *parse(dialect_case *c, const char *text, const constant *constants, size_t n) {
    mica_module *module = mica_parse(c->context, text, strlen(text), "test.mlir");
    ck_assert_msg(module != NULL, "%s", c->last);
    for (size_t i = 0; i < n; i++) {
        mica_weights_set(module->weights, constants[i].name, constants[i].descr, constants[i].rank,
                         constants[i].dims, constants[i].data, true);
    }
    return module;
}

/* Runs @main on `input` (bytes of the only input) and copies the first output. */
static void run(const char *text, const constant *constants, size_t n, const void *input,
                void *output, size_t output_bytes) {
    dialect_case c;
    dialect_case_begin(&c);
    mica_module *module = parse(&c, text, constants, n);
    mrt_plan *plan = NULL;
    mrt_exec *exec = NULL;
    mrt_error err;
    ck_assert_msg(mica_plan_func(module, mica_module_func(module, "main"), NULL, &plan) == MICA_OK,
                  "%s", c.last);
    ck_assert_int_eq(mrt_exec_create(plan, NULL, &exec, &err), MRT_OK);
    ck_assert_int_eq(plan->n_inputs, 1);
    const int32_t in = plan->inputs[0], out = plan->outputs[0];
    memcpy(mrt_exec_tensor(exec, in)->data, input, (size_t)plan->tensors[in].bytes);
    mrt_exec_run(exec, NULL, NULL);
    ck_assert_uint_eq((size_t)plan->tensors[out].bytes, output_bytes);
    memcpy(output, mrt_exec_tensor(exec, out)->data, output_bytes);
    mrt_exec_destroy(exec);
    mrt_plan_destroy(plan);
    mica_module_destroy(module);
    dialect_case_end(&c);
}

static void check_f32(const float *got, const float *expected, size_t n) {
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(got[i] == expected[i] || (double)fabsf(got[i] - expected[i]) < 1e-6,
                      "element %zu: expected %g, got %g", i, (double)expected[i], (double)got[i]);
    }
}

/* The message that planning the text gives. */
static void check_error(const char *text, const constant *constants, size_t n,
                        const char *expected) {
    dialect_case c;
    dialect_case_begin(&c);
    mica_module *module = parse(&c, text, constants, n);
    mrt_plan *plan = NULL;
    ck_assert_int_eq(mica_plan_func(module, mica_module_func(module, "main"), NULL, &plan),
                     MICA_FAIL);
    ck_assert_msg(strstr(c.last, expected) != NULL, "expected %s, got %s", expected, c.last);
    ck_assert_uint_eq(mica_error_count(c.context), 1);
    mica_module_destroy(module);
    dialect_case_end(&c);
}

/* --- float ------------------------------------------------------------------------------------ */

/* Input -> Conv with relu -> Add of itself -> Concat with relu limit, returned after a Reshape. */
static const char float_text[] =
    "func.func @main(%arg0: tensor<1x1x2x3xf32> loc(\"x\")) -> tensor<8xf32> {\n"
    "  %n = \"top.None\"() : () -> none loc(unknown)\n"
    "  %0 = \"top.Input\"(%arg0) : (tensor<1x1x2x3xf32>) -> tensor<1x1x2x3xf32> loc(\"in\")\n"
    "  %w = \"top.Weight\"() : () -> tensor<1x1x1x2xf32> loc(\"w\")\n"
    "  %1 = \"top.Conv\"(%0, %w, %n) {kernel_shape = array<i64: 1, 2>, do_relu = true} :"
    " (tensor<1x1x2x3xf32>, tensor<1x1x1x2xf32>, none) -> tensor<1x1x2x2xf32> loc(\"conv\")\n"
    "  %2 = \"top.Add\"(%1, %1) : (tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>) ->"
    " tensor<1x1x2x2xf32> loc(\"add\")\n"
    "  %3 = \"top.Concat\"(%1, %2) {axis = 1 : i64, do_relu = true, relu_limit = 7.0 : f64} :"
    " (tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>) -> tensor<1x2x2x2xf32> loc(\"cat\")\n"
    "  %4 = \"top.Reshape\"(%3) {shape = array<i64: -1>} : (tensor<1x2x2x2xf32>) -> tensor<8xf32>"
    " loc(\"out\")\n"
    "  return %4 : tensor<8xf32> loc(unknown)\n"
    "} loc(unknown)\n";

START_TEST(test_float_graph) {
    const float w[2] = {1, -1}, x[6] = {5, 1, 2, 9, 0, -1};
    const constant constants[] = {{"w", "<f4", 4, {1, 1, 1, 2}, w}};
    const float expected[8] = {4, 0, 7, 1, 7, 0, 7, 2};
    float got[8];
    run(float_text, constants, 1, x, got, sizeof got);
    check_f32(got, expected, 8);
}
END_TEST

START_TEST(test_names) {
    dialect_case c;
    dialect_case_begin(&c);
    const float w[2] = {1, -1};
    const constant constants[] = {{"w", "<f4", 4, {1, 1, 1, 2}, w}};
    mica_module *module = parse(&c, float_text, constants, 1);
    mrt_plan *plan = NULL;
    const mica_plan_options keep = {.keep_all = true};
    ck_assert_int_eq(mica_plan_func(module, mica_module_func(module, "main"), &keep, &plan),
                     MICA_OK);
    ck_assert_int_eq(mrt_plan_find(plan, "in"), plan->inputs[0]);
    ck_assert_int_ge(mrt_plan_find(plan, "conv"), 0);
    ck_assert_int_eq(mrt_plan_find(plan, "out"), plan->outputs[0]);
    ck_assert_int_eq(mrt_plan_find(plan, "x"), -1);
    ck_assert_str_eq(plan->steps[0].op, "conv");
    /* Constants are borrowed from the module. */
    ck_assert_ptr_eq(plan->tensors[mrt_plan_find(plan, "w")].info.data,
                     mica_weights_get(module->weights, "w")->data);
    mrt_plan_destroy(plan);
    mica_module_destroy(module);
    dialect_case_end(&c);
}
END_TEST

/* Vector times matrix with a bias, as numpy: [3] x [3, 2] + [2]. */
START_TEST(test_vector_matmul) {
    const char *text =
        "func.func @main(%x: tensor<3xf32> loc(\"x\")) -> tensor<2xf32> {\n"
        "  %w = \"top.Weight\"() : () -> tensor<3x2xf32> loc(\"w\")\n"
        "  %b = \"top.Weight\"() : () -> tensor<2xf32> loc(\"b\")\n"
        "  %1 = \"top.MatMul\"(%x, %w, %b) : (tensor<3xf32>, tensor<3x2xf32>, tensor<2xf32>) ->"
        " tensor<2xf32> loc(\"y\")\n"
        "  return %1 : tensor<2xf32> loc(unknown)\n"
        "} loc(unknown)\n";
    const float w[6] = {1, 2, 3, 4, 5, 6}, b[2] = {10, 20}, x[3] = {1, 0, 2};
    const constant constants[] = {{"w", "<f4", 2, {3, 2}, w}, {"b", "<f4", 1, {2}, b}};
    const float expected[2] = {21, 34};
    float got[2];
    run(text, constants, 2, x, got, sizeof got);
    check_f32(got, expected, 2);
}
END_TEST

/* One step of a bidirectional RNN whose activations differ by direction. */
START_TEST(test_rnn_directions) {
    const char *text =
        "func.func @main(%x: tensor<1x1x1xf32> loc(\"x\")) -> tensor<1x2x1x1xf32> {\n"
        "  %n = \"top.None\"() : () -> none loc(unknown)\n"
        "  %w = \"top.Weight\"() : () -> tensor<2x1x1xf32> loc(\"w\")\n"
        "  %r = \"top.Weight\"() : () -> tensor<2x1x1xf32> loc(\"r\")\n"
        "  %y:2 = \"top.RNN\"(%x, %w, %r, %n, %n, %n) {hidden_size = 1 : i64,"
        " direction = \"bidirectional\", activations = \"LeakyRelu,Relu\","
        " activation_alpha = array<f64: 0.5>} :"
        " (tensor<1x1x1xf32>, tensor<2x1x1xf32>, tensor<2x1x1xf32>, none, none, none) ->"
        " (tensor<1x2x1x1xf32>, tensor<2x1x1xf32>) loc(fused[\"y\", \"h\"])\n"
        "  return %y#0 : tensor<1x2x1x1xf32> loc(unknown)\n"
        "} loc(unknown)\n";
    const float w[2] = {-3, 2}, r[2] = {1, 1}, x[1] = {4};
    const constant constants[] = {{"w", "<f4", 3, {2, 1, 1}, w}, {"r", "<f4", 3, {2, 1, 1}, r}};
    const float expected[2] = {-6, 8};
    float got[2];
    run(text, constants, 2, x, got, sizeof got);
    check_f32(got, expected, 2);
}
END_TEST

/* --- integers --------------------------------------------------------------------------------- */

#define Q_IN "!quant.uniform<i8:f32, 0.5:-10>"
#define Q_OUT "!quant.uniform<i8:f32, 1.0:5>"

/* f32 -> i8 (zero point -10) -> Conv2D -> f32. Filter {2, -1}, bias 3 - (-10) * (2 - 1) = 13 in
 * units of 0.5 * 0.25; result unit 1: multiplier * 2^-shift = 0.125. relu with limit 4. */
START_TEST(test_integer_conv) {
    const char *text =
        "func.func @main(%x: tensor<1x1x1x3xf32> loc(\"x\")) -> tensor<1x1x1x2xf32> {\n"
        "  %w = \"top.Weight\"() : () -> tensor<1x1x1x2x!quant.uniform<i8:f32:0, {0.25}>>"
        " loc(\"w\")\n"
        "  %b = \"top.Weight\"() : () -> tensor<1xi32> loc(\"b\")\n"
        "  %q = \"tpu.Cast\"(%x) : (tensor<1x1x1x3xf32>) -> tensor<1x1x1x3x" Q_IN "> loc(\"q\")\n"
        "  %c = \"tpu.Conv2D\"(%q, %w, %b) {kernel_shape = array<i64: 1, 2>,"
        " multiplier = array<i64: 1073741824>, rshift = array<i64: 33>, do_relu = true,"
        " relu_limit = 4.0 : f64} : (tensor<1x1x1x3x" Q_IN ">,"
        " tensor<1x1x1x2x!quant.uniform<i8:f32:0, {0.25}>>, tensor<1xi32>) ->"
        " tensor<1x1x1x2x" Q_OUT "> loc(\"c\")\n"
        "  %y = \"tpu.Cast\"(%c) : (tensor<1x1x1x2x" Q_OUT ">) -> tensor<1x1x1x2xf32> loc(\"y\")\n"
        "  return %y : tensor<1x1x1x2xf32> loc(unknown)\n"
        "} loc(unknown)\n";
    const int8_t w[2] = {2, -1};
    const int32_t b[1] = {13};
    const constant constants[] = {{"w", "|i1", 4, {1, 1, 1, 2}, w}, {"b", "<i4", 1, {1}, b}};
    /* Real: 0.5*5 - 0.25*1 + 0.375 = 2.625 -> 3; 0.5*1 - 0.25*20 + 0.375 < 0 -> 0. */
    const float x[3] = {5, 1, 20}, expected[2] = {3, 0};
    float got[2];
    run(text, constants, 2, x, got, sizeof got);
    check_f32(got, expected, 2);
    const float large[3] = {30, 0, 0}, limited[2] = {4, 0};
    run(text, constants, 2, large, got, sizeof got);
    check_f32(got, limited, 2);
}
END_TEST

/* Add, change of scale to an unsigned type, max pool with relu, padding with real zero. */
START_TEST(test_integer_chain) {
    const char *text =
        "func.func @main(%x: tensor<1x1x4xf32> loc(\"x\")) -> tensor<1x1x3xf32> {\n"
        "  %q = \"tpu.Cast\"(%x) : (tensor<1x1x4xf32>) -> tensor<1x1x4x" Q_IN "> loc(\"q\")\n"
        "  %a = \"tpu.Sub\"(%q, %q) {multiplier = array<i64: 3, -1>, rshift = array<i64: 1>} :"
        " (tensor<1x1x4x" Q_IN ">, tensor<1x1x4x" Q_IN ">) -> tensor<1x1x4x" Q_IN "> loc(\"a\")\n"
        "  %p = \"tpu.Pool1D\"(%a) {pool_mode = \"Max\", kernel_shape = array<i64: 2>,"
        " strides = array<i64: 2>, do_relu = true} :"
        " (tensor<1x1x4x" Q_IN ">) -> tensor<1x1x2x" Q_IN "> loc(\"p\")\n"
        "  %d = \"tpu.Pad\"(%p) {paddings = array<i64: 0, 0, 1, 0, 0, 0>} :"
        " (tensor<1x1x2x" Q_IN ">) -> tensor<1x1x3x" Q_IN "> loc(\"d\")\n"
        "  %u = \"tpu.Cast\"(%d) : (tensor<1x1x3x" Q_IN ">) ->"
        " tensor<1x1x3x!quant.uniform<u8:f32, 2.0>> loc(\"u\")\n"
        "  %h = \"tpu.Cast\"(%u) : (tensor<1x1x3x!quant.uniform<u8:f32, 2.0>>) ->"
        " tensor<1x1x3xf16> loc(\"h\")\n"
        "  %y = \"tpu.Cast\"(%h) : (tensor<1x1x3xf16>) -> tensor<1x1x3xf32> loc(\"y\")\n"
        "  return %y : tensor<1x1x3xf32> loc(unknown)\n"
        "} loc(unknown)\n";
    /* 3/2 x - 1/2 x = x; maxima 9.5 and -3 -> 0; in units of 2: 4.75 -> 5 -> 10. */
    const float x[4] = {1, 9.5f, -3, -7}, expected[3] = {0, 10, 0};
    float got[3];
    run(text, NULL, 0, x, got, sizeof got);
    check_f32(got, expected, 3);
}
END_TEST

/* MatMul by diag(1, 2), its square, the mean of that, all joined with relu and limit 8, negated by a
 * table. The table is indexed by the byte: entry of q is 10 - q, which is -x for zero point 5. */
START_TEST(test_integer_tail) {
    const char *text =
        "func.func @main(%x: tensor<1x2xf32> loc(\"x\")) -> tensor<1x5xf32> {\n"
        "  %n = \"top.None\"() : () -> none loc(unknown)\n"
        "  %w = \"top.Weight\"() : () -> tensor<2x2x!quant.uniform<i8:f32:1, {0.25, 0.25}>>"
        " loc(\"w\")\n"
        "  %b = \"top.Weight\"() : () -> tensor<2xi32> loc(\"b\")\n"
        "  %t = \"top.Weight\"() : () -> tensor<256x" Q_OUT "> loc(\"t\")\n"
        "  %q = \"tpu.Cast\"(%x) : (tensor<1x2xf32>) -> tensor<1x2x" Q_IN "> loc(\"q\")\n"
        "  %m = \"tpu.MatMul\"(%q, %w, %b) {multiplier = array<i64: 1073741824, 1073741824>,"
        " rshift = array<i64: 33, 33>} : (tensor<1x2x" Q_IN ">,"
        " tensor<2x2x!quant.uniform<i8:f32:1, {0.25, 0.25}>>, tensor<2xi32>) ->"
        " tensor<1x2x" Q_OUT "> loc(\"m\")\n"
        "  %s = \"tpu.Mul\"(%m, %m) {multiplier = array<i64: 1073741824>, rshift = array<i64: 30>} :"
        " (tensor<1x2x" Q_OUT ">, tensor<1x2x" Q_OUT ">) -> tensor<1x2x" Q_OUT "> loc(\"s\")\n"
        "  %r = \"tpu.Reduce\"(%s) {mode = \"ReduceMean\", axes = array<i64: 1>,"
        " multiplier = array<i64: 1073741824>, rshift = array<i64: 31>} :"
        " (tensor<1x2x" Q_OUT ">) -> tensor<1x1x" Q_OUT "> loc(\"r\")\n"
        "  %c = \"tpu.Concat\"(%m, %s, %r) {axis = 1 : i64, do_relu = true, relu_limit = 8.0 : f64} :"
        " (tensor<1x2x" Q_OUT ">, tensor<1x2x" Q_OUT ">, tensor<1x1x" Q_OUT ">) ->"
        " tensor<1x5x" Q_OUT "> loc(\"c\")\n"
        "  %l = \"tpu.Lut\"(%c, %t) : (tensor<1x5x" Q_OUT ">, tensor<256x" Q_OUT ">) ->"
        " tensor<1x5x" Q_OUT "> loc(\"l\")\n"
        "  %y = \"tpu.Cast\"(%l) : (tensor<1x5x" Q_OUT ">) -> tensor<1x5xf32> loc(\"y\")\n"
        "  return %y : tensor<1x5xf32> loc(unknown)\n"
        "} loc(unknown)\n";
    const int8_t w[4] = {4, 0, 0, 8};
    const int32_t b[2] = {10 * 4, 10 * 8};
    int8_t table[256];
    for (int byte = 0; byte < 256; byte++) {
        const int q = 10 - (int8_t)byte;
        table[byte] = (int8_t)(q > 127 ? 127 : q);
    }
    const constant constants[] = {{"w", "|i1", 2, {2, 2}, w},
                                  {"b", "<i4", 1, {2}, b},
                                  {"t", "|i1", 1, {256}, table}};
    /* 3, -2; 9, 4; 6.5 rounded up */
    const float x[2] = {3, -1}, expected[5] = {-3, 0, -8, -4, -7};
    float got[5];
    run(text, constants, 3, x, got, sizeof got);
    check_f32(got, expected, 5);
}
END_TEST

/* --- errors ----------------------------------------------------------------------------------- */

START_TEST(test_errors) {
    const float w[2] = {1, -1};
    const constant narrow[] = {{"w", "<f4", 4, {1, 1, 1, 1}, w}};
    const constant other[] = {{"w", "<i4", 4, {1, 1, 1, 2}, w}};
    check_error(float_text, NULL, 0, "needs constant 'w', which is not among the weights");
    check_error(float_text, narrow, 1, "the weights hold 4 bytes of <f4");
    check_error(float_text, other, 1, "the weights hold 8 bytes of <i4");
    check_error("func.func @main(%x: tensor<1xi64> loc(\"x\")) -> tensor<4xf32> {\n"
                "  %1 = \"top.ConstantFill\"(%x) : (tensor<1xi64>) -> tensor<4xf32> loc(\"y\")\n"
                "  return %1 : tensor<4xf32> loc(unknown)\n} loc(unknown)\n",
                NULL, 0, "'top.ConstantFill' op has no executable form");
    check_error("func.func @main(%x: tensor<3xf32> loc(\"x\")) -> tensor<4xf32> {\n"
                "  %1 = \"top.Relu\"(%x) : (tensor<3xf32>) -> tensor<4xf32> loc(\"y\")\n"
                "  return %1 : tensor<4xf32> loc(unknown)\n} loc(unknown)\n",
                NULL, 0, "'top.Relu' op cannot run: operand 'y': expected shape [3], got [4]");
    check_error("func.func @main(%x: tensor<3xf32> loc(\"x\")) -> tensor<?xf32> {\n"
                "  %1 = \"top.Relu\"(%x) : (tensor<3xf32>) -> tensor<?xf32> loc(\"y\")\n"
                "  return %1 : tensor<?xf32> loc(unknown)\n} loc(unknown)\n",
                NULL, 0, "value 'y' has type tensor<?xf32>");
    check_error("func.func @main(%x: tensor<3x" Q_IN "> loc(\"x\")) -> tensor<3x" Q_IN "> {\n"
                "  %1 = \"tpu.Div\"(%x, %x) : (tensor<3x" Q_IN ">, tensor<3x" Q_IN ">) -> tensor<3x"
                Q_IN "> loc(\"y\")\n"
                "  return %1 : tensor<3x" Q_IN "> loc(unknown)\n} loc(unknown)\n",
                NULL, 0, "'tpu.Div' op has no form for operand 0");
}
END_TEST

/* --- folding ---------------------------------------------------------------------------------- */

static mica_value *weight_i64(mica_builder *b, const char *name, int64_t count,
                              const int64_t *values) {
    return mica_top_weight(b, name, mica_type_i64(b->module->context), 1, &count, values);
}

START_TEST(test_fold) {
    dialect_case c;
    dialect_case_begin(&c);
    mica_block *body = mica_func_body(c.func);
    mica_builder b = mica_builder_at_end(c.module, body);
    mica_value *x = mica_block_add_arg(body, mica_parse_type(c.context, "tensor<2x3x4xf32>"),
                                       mica_loc_name(c.context, "x", NULL));
    mica_op *shape = mica_build_op(&b, "top.Shape", mica_loc_name(c.context, "s", NULL), &x, 1, 1);
    ck_assert_int_eq(mica_op_infer(shape), MICA_OK);
    mica_value *add_in[2] = {mica_op_result(shape, 0), weight_i64(&b, "two", 1, (int64_t[]){2})};
    mica_op *add = mica_build_op(&b, "top.Mul", mica_loc_name(c.context, "m", NULL), add_in, 2, 1);
    ck_assert_int_eq(mica_op_infer(add), MICA_OK);
    mica_value *split_in[1] = {mica_op_result(add, 0)};
    const mica_loc parts[2] = {mica_loc_name(c.context, "p", NULL),
                               mica_loc_name(c.context, "q", NULL)};
    mica_op *split = mica_build_op(&b, "top.Split", mica_loc_fused(c.context, parts, 2), split_in,
                                   1, 2);
    mica_op_set_i64s(split, "split_size", (int64_t[]){1, 2}, 2);
    ck_assert_int_eq(mica_op_infer(split), MICA_OK);
    mica_value *kept[2] = {mica_op_result(split, 0), mica_op_result(split, 1)};
    mica_op *ret = mica_build_return(&b, kept, 2, mica_loc_unknown(c.context));

    ck_assert(!mica_top_can_fold(add));
    ck_assert(mica_top_can_fold(shape));
    ck_assert_int_eq(mica_top_fold(c.module, shape), MICA_OK);
    ck_assert_int_eq(mica_eval_op(split), MICA_FAIL);
    ck_assert_int_eq(mica_eval_op(add), MICA_OK);
    mica_weights_remove(c.module->weights, "m");
    ck_assert_int_eq(mica_top_fold(c.module, add), MICA_OK);
    ck_assert_int_eq(mica_top_fold(c.module, split), MICA_OK);
    int64_t n = 0;
    const int64_t *p = mica_weight_i64(mica_op_operand(ret, 0), &n);
    ck_assert(p != NULL && n == 1 && p[0] == 4);
    const double *q = mica_weight_f64(mica_op_operand(ret, 1), &n);
    ck_assert(q != NULL && n == 2 && (int)q[0] == 6 && (int)q[1] == 8);
    ck_assert_str_eq(mica_value_name(mica_op_operand(ret, 0)), "p");
    ck_assert_str_eq(mica_value_name(mica_op_operand(ret, 1)), "q");
    double one;
    ck_assert(mica_weight_scalar(mica_op_operand(ret, 0), &one) && (int)one == 4);
    ck_assert(!mica_weight_scalar(mica_op_operand(ret, 1), &one));
    ck_assert_uint_eq(mica_error_count(c.context), 0);
    dialect_case_end(&c);
}
END_TEST

START_TEST(test_fold_fill) {
    dialect_case c;
    dialect_case_begin(&c);
    mica_builder b = mica_builder_at_end(c.module, mica_func_body(c.func));
    mica_value *dims = weight_i64(&b, "d", 2, (int64_t[]){2, 2});
    static const struct {
        const char *dtype;
        double value, expected;
    } cases[] = {{"f32", 1.5, 1.5}, {"f16", -2.25, -2.25}, {"bf16", 3.0, 3.0}, {"i8", -7.0, -7.0},
                 {"ui8", 200.0, 200.0}, {"i64", -1e15, -1e15}, {"i1", 3.0, 1.0}, {"f64", 0.1, 0.1}};
    for (size_t i = 0; i < MICA_COUNT(cases); i++) {
        mica_op *op = mica_build_op(&b, "top.ConstantFill", mica_loc_name(c.context, "f", NULL),
                                    &dims, 1, 1);
        mica_op_set_str(op, "dtype", cases[i].dtype);
        mica_op_set_f64(op, "value", cases[i].value);
        ck_assert_int_eq(mica_op_infer(op), MICA_OK);
        mica_value *result = mica_op_result(op, 0);
        mica_op *keep = mica_build_return(&b, &result, 1, mica_loc_unknown(c.context));
        ck_assert_int_eq(mica_top_fold(c.module, op), MICA_OK);
        int64_t n;
        const double *values = mica_weight_f64(mica_op_operand(keep, 0), &n);
        ck_assert(values != NULL && n == 4);
        ck_assert_msg(values[3] == cases[i].expected, "%s: %g", cases[i].dtype, values[3]);
    }
    /* Names are unique although all locations are "f". */
    ck_assert(mica_weights_get(c.module->weights, "f_7") != NULL);
    /* A shape that nobody wants as a constant. */
    mica_value *huge = weight_i64(&b, "h", 2, (int64_t[]){1000000, 1000000});
    mica_op *op = mica_build_op(&b, "top.ConstantFill", mica_loc_name(c.context, "g", NULL), &huge,
                                1, 1);
    ck_assert_int_eq(mica_op_infer(op), MICA_OK);
    ck_assert(!mica_top_can_fold(op));
    ck_assert_uint_eq(mica_error_count(c.context), 0);
    dialect_case_end(&c);
}
END_TEST

START_TEST(test_none) {
    dialect_case c;
    dialect_case_begin(&c);
    mica_builder b = mica_builder_at_end(c.module, mica_func_body(c.func));
    weight_i64(&b, "w", 1, (int64_t[]){1});
    mica_value *none = mica_top_none(&b);
    ck_assert_ptr_eq(mica_top_none(&b), none);
    ck_assert_ptr_eq(mica_func_body(c.func)->first, none->def);
    ck_assert(mica_type_is_none(none->type));
    ck_assert(!mica_is_weight(none));
    dialect_case_end(&c);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("dialects_plan");
    TCase *tests = tcase_create("plan");
    tcase_add_test(tests, test_float_graph);
    tcase_add_test(tests, test_names);
    tcase_add_test(tests, test_vector_matmul);
    tcase_add_test(tests, test_rnn_directions);
    tcase_add_test(tests, test_integer_conv);
    tcase_add_test(tests, test_integer_chain);
    tcase_add_test(tests, test_integer_tail);
    tcase_add_test(tests, test_errors);
    tcase_add_test(tests, test_fold);
    tcase_add_test(tests, test_fold_fill);
    tcase_add_test(tests, test_none);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
