/* Kinds of models by their graph, and the ops that stay in float there. */
#include "test/unit/ir_case.h"

#include "dialects/dialects.h"
#include "passes/search/family.h"
#include "utils/strbuf.h"

#include <stdlib.h>

static mica_strbuf text;
static int next;

static void begin(void) {
    setup();
    mica_register_dialects(context);
    next = 0;
}

/* One op; returns the number of its result. */
static int op(const char *kind, const char *operands, const char *attrs, const char *types, const char *result) {
    mica_strbuf_printf(&text, "  %%%d = \"top.%s\"(%s) {%s} : (%s) -> %s loc(\"%s%d\")\n", next, kind, operands, attrs, types,
                       result, kind, next);
    return next++;
}

#define T "tensor<1x4x8xf32>"
#define MAP "tensor<1x8x4x4xf32>"

static const char *ref(int value) {
    static char names[4][16];
    static int at;
    at = (at + 1) % 4;
    snprintf(names[at], sizeof names[at], "%%%d", value);
    return names[at];
}

static const char *pair(int a, int b) {
    static char names[32];
    snprintf(names, sizeof names, "%%%d, %%%d", a, b);
    return names;
}

static int dense(int x) {
    const int w = op("Weight", "", "", "", "tensor<8x8xf32>");
    return op("MatMul", pair(x, w), "", T ", tensor<8x8xf32>", T);
}

/* Softmax over a product, times a third one. */
static int attention(int x) {
    const int q = dense(x);
    const int v = dense(x);
    const int scores = op("MatMul", pair(q, dense(x)), "right_transpose = true", T ", " T, "tensor<1x4x4xf32>");
    const int soft = op("Softmax", ref(scores), "axis = 2 : i64", "tensor<1x4x4xf32>", "tensor<1x4x4xf32>");
    return op("MatMul", pair(soft, v), "", "tensor<1x4x4xf32>, " T, T);
}

static int norm(int x) { return op("LayerNorm", ref(x), "axis = 2 : i64", T, T); }
static int add(int a, int b) { return op("Add", pair(a, b), "", T ", " T, T); }

static int conv(int x, const char *from, const char *to, const char *filter, int kernel, int stride) {
    char attrs[256];
    char types[128];
    const int w = op("Weight", "", "", "", filter);
    const int b = op("Weight", "", "", "", "tensor<8xf32>");
    char operands[48];
    snprintf(operands, sizeof operands, "%%%d, %%%d, %%%d", x, w, b);
    snprintf(attrs, sizeof attrs,
             "kernel_shape = array<i64: %d, %d>, strides = array<i64: %d, %d>, pads = array<i64: 0, 0, 0, 0>, dilations = "
             "array<i64: 1, 1>, group = 1 : i64", kernel, kernel, stride, stride);
    snprintf(types, sizeof types, "%s, %s, tensor<8xf32>", from, filter);
    return op("Conv", operands, attrs, types, to);
}

static int conv1(int x) { return conv(x, MAP, MAP, "tensor<8x8x1x1xf32>", 1, 1); }

static int block(int x, const char *gate, bool before) {
    const int sum = add(x, attention(before ? norm(x) : x));
    const int y = norm(sum);
    int hidden = dense(y);
    const int activated = op(gate, ref(hidden), "", T, T);
    hidden = strcmp(gate, "SiLU") == 0 ? op("Mul", pair(activated, dense(y)), "", T ", " T, T) : activated;
    return norm(add(before ? sum : y, dense(hidden)));
}

static const char *finish(const char *type, int a, const char *a_type, int b, mica_qtable *table) {
    mica_strbuf module = {0};
    mica_strbuf said = {0};
    const char *family = NULL;
    if (b >= 0) {
        mica_strbuf_printf(&module, "func.func @main(%%a: %s loc(\"x\")) -> (%s, %s) {\n%s  return %%%d, %%%d : %s, %s\n}\n",
                           type, a_type, a_type, mica_strbuf_text(&text), a, b, a_type, a_type);
    } else {
        mica_strbuf_printf(&module, "func.func @main(%%a: %s loc(\"x\")) -> %s {\n%s  return %%%d : %s\n}\n", type, a_type,
                           mica_strbuf_text(&text), a, a_type);
    }
    mica_module *m = parse(mica_strbuf_text(&module));
    ck_assert_msg(m != NULL, "%s", last_diag);
    mica_family_table(m, MICA_MODE_F16, table, &family, &said);
    ck_assert((family != NULL) == (said.len > 0));
    mica_module_destroy(m);
    mica_strbuf_free(&module);
    mica_strbuf_free(&said);
    mica_strbuf_free(&text);
    return family;
}

static int input(const char *type) { return op("Input", "%a", "", type, type); }

/* How many rows begin with the kind. */
static size_t rows(const mica_qtable *table, const char *kind) {
    size_t n = 0;
    for (size_t i = 0; i < mica_qtable_count(table); ++i) {
        mica_mode mode;
        n += strncmp(mica_qtable_at(table, i, &mode), kind, strlen(kind)) == 0;
        ck_assert_int_eq(mode, MICA_MODE_F16);
    }
    return n;
}

/* Patches of an image as a sequence. */
static int patches(void) {
    const int x = input("tensor<1x3x8x8xf32>");
    const int p = conv(x, "tensor<1x3x8x8xf32>", "tensor<1x8x2x2xf32>", "tensor<8x3x4x4xf32>", 4, 4);
    const int flat = op("Reshape", ref(p), "shape = array<i64: 1, 8, 4>", "tensor<1x8x2x2xf32>", "tensor<1x8x4xf32>");
    return op("Permute", ref(flat), "order = array<i64: 0, 2, 1>", "tensor<1x8x4xf32>", T);
}

START_TEST(bert) {
    mica_qtable *table = mica_qtable_create();
    const int ids = input("tensor<1x4xi64>");
    const int words = op("Weight", "", "", "", "tensor<30x8xf32>");
    const int x = op("Gather", pair(words, ids), "axis = 0 : i64", "tensor<30x8xf32>, tensor<1x4xi64>", T);
    ck_assert_str_eq(finish("tensor<1x4xi64>", block(x, "GELU", false), T, -1, table), "bert");
    ck_assert_uint_eq(rows(table, "GELU"), 1);
    ck_assert_uint_eq(rows(table, "LayerNorm"), 2);
    ck_assert_uint_eq(rows(table, "Add"), 2);
    ck_assert_uint_eq(rows(table, "MatMul"), 1);
    mica_qtable_destroy(table);
}
END_TEST

START_TEST(vit_and_eva) {
    mica_qtable *table = mica_qtable_create();
    ck_assert_str_eq(finish("tensor<1x3x8x8xf32>", block(patches(), "GELU", true), T, -1, table), "vit");
    ck_assert_uint_eq(rows(table, "MatMul"), 2); /* behind Softmax and GELU */
    ck_assert_uint_eq(rows(table, "Softmax"), 0);
    mica_qtable_destroy(table);
    table = mica_qtable_create();
    next = 0;
    ck_assert_str_eq(finish("tensor<1x3x8x8xf32>", block(patches(), "SiLU", true), T, -1, table), "eva");
    ck_assert_uint_eq(rows(table, "SiLU"), 1);
    ck_assert_uint_eq(rows(table, "Add"), 2);
    ck_assert_uint_eq(rows(table, "MatMul"), 1);
    mica_qtable_destroy(table);
}
END_TEST

START_TEST(deit) {
    mica_qtable *table = mica_qtable_create();
    const int x = patches();
    const int half = op("Slice", ref(x), "offset = array<i64: 0, 0, 0>, steps = array<i64: 1, 1, 1>, ends = array<i64: 1, 2, "
                        "8>", T, "tensor<1x2x8xf32>");
    const int tokens = op("Weight", "", "", "", "tensor<1x2x8xf32>");
    const int all = op("Concat", pair(tokens, half), "axis = 1 : i64", "tensor<1x2x8xf32>, tensor<1x2x8xf32>", T);
    ck_assert_str_eq(finish("tensor<1x3x8x8xf32>", block(all, "GELU", true), T, -1, table), "deit");
    ck_assert_uint_eq(rows(table, "MatMul"), 0);
    ck_assert_uint_eq(rows(table, "GELU"), 1);
    mica_qtable_destroy(table);
}
END_TEST

START_TEST(swin) {
    mica_qtable *table = mica_qtable_create();
    const int x = patches();
    const int r = op("Reshape", ref(x), "shape = array<i64: 1, 2, 1, 2, 1, 8>", T, "tensor<1x2x1x2x1x8xf32>");
    const int p = op("Permute", ref(r), "order = array<i64: 0, 1, 3, 2, 4, 5>", "tensor<1x2x1x2x1x8xf32>",
                     "tensor<1x2x2x1x1x8xf32>");
    const int y = op("Reshape", ref(p), "shape = array<i64: 1, 4, 8>", "tensor<1x2x2x1x1x8xf32>", T);
    ck_assert_str_eq(finish("tensor<1x3x8x8xf32>", block(y, "GELU", true), T, -1, table), "swin");
    ck_assert_uint_eq(rows(table, "Permute"), 1); /* its Reshape leads to a LayerNorm */
    ck_assert_uint_eq(rows(table, "Add"), 2);
    mica_qtable_destroy(table);
}
END_TEST

START_TEST(detr) {
    mica_qtable *table = mica_qtable_create();
    int x = input(MAP);
    for (int i = 0; i < 10; ++i) {
        x = conv1(x);
    }
    x = op("Reshape", ref(x), "shape = array<i64: 1, 16, 8>", MAP, "tensor<1x16x8xf32>");
    x = op("Slice", ref(x), "offset = array<i64: 0, 0, 0>, steps = array<i64: 1, 1, 1>, ends = array<i64: 1, 4, 8>",
           "tensor<1x16x8xf32>", T);
    const int a = block(x, "GELU", false);
    ck_assert_str_eq(finish(MAP, a, T, block(a, "GELU", false), table), "detr");
    ck_assert_uint_eq(rows(table, "Conv"), 0);
    ck_assert_uint_eq(rows(table, "Softmax"), 2);
    ck_assert_uint_eq(rows(table, "Reshape"), 0);
    mica_qtable_destroy(table);
}
END_TEST

/* Pools in a row, joined; behind the last convolutions everything is float. */
static int pyramid(int x) {
    static const char pool[] = "kernel_shape = array<i64: 3, 3>, strides = array<i64: 1, 1>, pads = array<i64: 1, 1, 1, 1>";
    char operands[48];
    const int a = op("MaxPool", ref(x), pool, MAP, MAP);
    const int b = op("MaxPool", ref(a), pool, MAP, MAP);
    const int c = op("MaxPool", ref(b), pool, MAP, MAP);
    snprintf(operands, sizeof operands, "%%%d, %%%d, %%%d, %%%d", x, a, b, c);
    const int all = op("Concat", operands, "axis = 1 : i64", MAP ", " MAP ", " MAP ", " MAP, "tensor<1x32x4x4xf32>");
    return conv(all, "tensor<1x32x4x4xf32>", MAP, "tensor<8x32x1x1xf32>", 1, 1);
}

START_TEST(yolo) {
    mica_qtable *table = mica_qtable_create();
    const int x = conv1(pyramid(conv1(input(MAP))));
    const int head = conv1(op("SiLU", ref(x), "", MAP, MAP));
    const int y = op("Sigmoid", ref(head), "", MAP, MAP);
    ck_assert_str_eq(finish(MAP, y, MAP, -1, table), "yolov5_7_10");
    ck_assert_uint_eq(mica_qtable_count(table), 1);
    ck_assert_uint_eq(rows(table, "Sigmoid"), 1);
    mica_qtable_destroy(table);
    table = mica_qtable_create();
    next = 0;
    const int z = conv1(conv1(pyramid(conv1(input(MAP)))));
    const int soft = op("Softmax", ref(z), "axis = 1 : i64", MAP, MAP);
    ck_assert_str_eq(finish(MAP, soft, MAP, -1, table), "yolov6_8_9_11_12");
    mica_qtable_destroy(table);
}
END_TEST

START_TEST(none) {
    mica_qtable *table = mica_qtable_create();
    ck_assert_ptr_null(finish(MAP, conv1(conv1(input(MAP))), MAP, -1, table));
    ck_assert_uint_eq(mica_qtable_count(table), 0);
    mica_qtable_destroy(table);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {bert, vit_and_eva, deit, swin, detr, yolo, none};
    Suite *suite = suite_create("search_family");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, begin, teardown);
    for (size_t i = 0; i < MICA_COUNT(tests); ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
