/* Element types of ONNX models: packed data, casts, quantization, f64, moved elements. All nodes of
 * most models have constant operands, so that importing them computes them. */
#include "test/unit/check_main.h"
#include "test/unit/onnx_models.h"

#include <math.h>

/* TensorProto.DataType; the schema that the reader is made from ends before them. */
enum {
    UINT8 = 2, INT8 = 3, BOOL = 9, DOUBLE = 11, F8E4M3FN = 17, F8E5M2 = 19, F8E5M2FNUZ = 20,
    UINT4 = 21, INT4 = 22, F4E2M1 = 23, F8E8M0 = 24, UINT2 = 25, INT2 = 26, F6E2M3 = 27
};

static model m;
static void begin(void) { model_begin(&m, 28); }
static void end(void) { model_end(&m); }

static void import(void) {
    ck_assert_msg(model_import(&m, &(mica_onnx_options){0}), "%s", m.errors);
}

#define WEIGHT(name, type, data, ...)                                                              \
    do {                                                                                           \
        const int64_t dims_[] = {__VA_ARGS__};                                                     \
        model_weight(&m, name, type, (int)MICA_COUNT(dims_), dims_, data, sizeof(data));           \
    } while (0)

static const void *constant(const char *name, const char *type) {
    mica_op *op = model_find(&m, name);
    ck_assert_msg(op != NULL && mica_op_is(op, "top.Weight"), "%s is no constant", name);
    const mica_value *value = mica_op_result(op, 0);
    ck_assert_str_eq(mica_type_text(mica_type_element(value->type)), type);
    return mica_weight_data(value)->data;
}

static void floats_are(const char *name, const float *want, int count) {
    const float *got = constant(name, "f32");
    for (int i = 0; i < count; i++) {
        ck_assert_msg(got[i] == want[i] || (got[i] != got[i] && want[i] != want[i]),
                      "%s[%d] is %g, expected %g", name, i, (double)got[i], (double)want[i]);
    }
}

static void bytes_are(const char *name, const char *type, const unsigned char *want, size_t count) {
    const unsigned char *got = constant(name, type);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(got[i] == want[i], "%s[%zu] is %02x, expected %02x", name, i, got[i], want[i]);
    }
}

static void cast(const char *from, const char *to, int type) {
    model_attr_i(&m, model_node(&m, "Cast", to, from, to), "to", type);
    model_output(&m, to);
}

START_TEST(packed_data) {
    static const uint8_t four[] = {0x21, 0x8f, 0x07}, two[] = {0xe4, 0x02};
    static const uint8_t eight[] = {0x38, 0x7e, 0xff, 0x81}, six[] = {0x87, 0xf3, 0x21};
    WEIGHT("i4", INT4, four, 5);
    WEIGHT("u4", UINT4, four, 5);
    WEIGHT("f4", F4E2M1, four, 5);
    WEIGHT("i2", INT2, two, 5);
    WEIGHT("u2", UINT2, two, 5);
    WEIGHT("f8", F8E4M3FN, eight, 4);
    WEIGHT("f6", F6E2M3, six, 4);
    static const char *const names[] = {"i4", "u4", "f4", "i2", "u2", "f8", "f6"};
    for (size_t i = 0; i < MICA_COUNT(names); i++) {
        cast(names[i], mica_arena_printf(m.arena, "%s_out", names[i]), 1);
    }
    import();
    floats_are("i4_out", (const float[]){1, 2, -1, -8, 7}, 5);
    floats_are("u4_out", (const float[]){1, 2, 15, 8, 7}, 5);
    floats_are("f4_out", (const float[]){0.5f, 1, -6, 0, 6}, 5);
    floats_are("i2_out", (const float[]){0, 1, -2, -1, -2}, 5);
    floats_are("u2_out", (const float[]){0, 1, 2, 3, 2}, 5);
    floats_are("f8_out", (const float[]){1, 448, (float)NAN, -0x1p-9f}, 4);
    /* codes 07, 0e, 1f, 08 */
    floats_are("f6_out", (const float[]){0.875f, 1.75f, 7.5f, 1}, 4);
}
END_TEST

/* Typed fields: a packed byte, one element of 6 or 8 bits per int32. */
START_TEST(typed_fields) {
    static int32_t four[] = {0x21, 0x0f}, eight[] = {0x38, 0xc0}, six[] = {0x3f};
    static const struct {
        const char *name;
        int type;
        int32_t *data;
        size_t n;
        int64_t count;
    } rows[] = {{"a", INT4, four, 2, 3}, {"b", F8E4M3FN, eight, 2, 2}, {"c", F6E2M3, six, 1, 1}};
    for (size_t i = 0; i < MICA_COUNT(rows); i++) {
        Onnx__TensorProto *t =
            model_weight(&m, rows[i].name, rows[i].type, 1, &rows[i].count, NULL, 0);
        t->int32_data = rows[i].data;
        t->n_int32_data = rows[i].n;
        cast(rows[i].name, mica_arena_printf(m.arena, "%s_out", rows[i].name), 1);
    }
    import();
    floats_are("a_out", (const float[]){1, 2, -1}, 3);
    floats_are("b_out", (const float[]){1, -2}, 2);
    floats_are("c_out", (const float[]){-7.5f}, 1);
}
END_TEST

START_TEST(sizes_are_checked) {
    static const uint8_t data[] = {0x21, 0x0f};
    const int64_t five = 5;
    model_weight(&m, "x", INT4, 1, &five, data, sizeof data);
    cast("x", "y", 1);
    model_refuses(&m, &(mica_onnx_options){0}, "2 bytes of data for 3 bytes of 5 elements i4");
}
END_TEST

START_TEST(cast_rules) {
    static const float x[] = {3, 465, -1e9f, 0.7f};
    WEIGHT("x", 1, x, 4);
    cast("x", "up", F8E8M0);
    model_attr_s(&m, model_node(&m, "Cast", "down", "x", "down"), "round_mode", "down");
    model_attr_i(&m, m.graph.node[1], "to", F8E8M0);
    model_output(&m, "down");
    cast("x", "saturated", F8E4M3FN);
    model_attr_i(&m, model_node(&m, "Cast", "open", "x", "open"), "saturate", 0);
    model_attr_i(&m, m.graph.node[3], "to", F8E4M3FN);
    model_output(&m, "open");
    cast("x", "i4", INT4);
    import();
    bytes_are("up", "f8E8M0FNU", (const uint8_t[]){0x81, 0x88, 0x9d, 0x7f}, 4);
    bytes_are("down", "f8E8M0FNU", (const uint8_t[]){0x80, 0x87, 0x9c, 0x7e}, 4);
    bytes_are("saturated", "f8E4M3FN", (const uint8_t[]){0x44, 0x7e, 0xfe, 0x33}, 4);
    bytes_are("open", "f8E4M3FN", (const uint8_t[]){0x44, 0x7f, 0xff, 0x33}, 4);
    bytes_are("i4", "i4", (const uint8_t[]){3, 0xff, 0, 0}, 4);
}
END_TEST

START_TEST(dequantize_blocks) {
    static const uint8_t x[] = {0x21, 0x43, 0xfe, 0x7c}; /* 1 2 3 4 / -2 -1 -4 7 */
    static const float scale[] = {1, 10, 0.5f, 2};
    static const uint8_t zero[] = {0x01, 0x0f}; /* 1 0 / -1 0 */
    WEIGHT("x", INT4, x, 2, 4);
    WEIGHT("scale", 1, scale, 2, 2);
    WEIGHT("zero", INT4, zero, 2, 2);
    model_attr_i(&m, model_node(&m, "DequantizeLinear", "a", "x,scale,zero", "a"), "block_size", 2);
    model_output(&m, "a");
    model_attr_i(&m, model_node(&m, "DequantizeLinear", "b", "x,scale", "b"), "block_size", 3);
    model_output(&m, "b");
    import();
    floats_are("a", (const float[]){0, 1, 30, 40, -0.5f, 0, -8, 14}, 8);
    floats_are("b", (const float[]){1, 2, 3, 40, -1, -0.5f, -2, 14}, 8);
}
END_TEST

START_TEST(wrong_blocks_are_refused) {
    static const uint8_t x[] = {1, 2, 3, 4};
    static const float scale[] = {1, 10, 5};
    WEIGHT("x", UINT8, x, 1, 4);
    WEIGHT("scale", 1, scale, 1, 3);
    model_attr_i(&m, model_node(&m, "DequantizeLinear", "a", "x,scale", "a"), "block_size", 2);
    model_output(&m, "a");
    model_refuses(&m, &(mica_onnx_options){0},
                  "blocked scales or zero points have 3 elements on axis 1 (rank 2), expected 2");
}
END_TEST

START_TEST(quantize_types) {
    static const float x[] = {-3, 0.24f, 2.5f, 300}, scale[] = {0.5f};
    static const uint8_t zero[] = {0x05};
    const int64_t one = 1;
    WEIGHT("x", 1, x, 4);
    WEIGHT("scale", 1, scale, 1);
    model_weight(&m, "zero", UINT4, 1, &one, zero, 1);
    model_node(&m, "QuantizeLinear", "u4", "x,scale,zero", "u4");
    model_output(&m, "u4");
    static const int types[] = {INT2, F8E5M2, F4E2M1};
    static const char *const names[] = {"i2", "f8", "f4"};
    for (size_t i = 0; i < 3; i++) {
        model_attr_i(&m, model_node(&m, "QuantizeLinear", names[i], "x,scale", names[i]),
                     "output_dtype", types[i]);
        model_output(&m, names[i]);
    }
    import();
    bytes_are("u4", "ui4", (const uint8_t[]){0, 5, 10, 15}, 4);
    bytes_are("i2", "i2", (const uint8_t[]){0xfe, 0, 1, 1}, 4);
    /* -6, 0.48 (-> 0.5), 5, 600 (between 512 and 640) */
    bytes_are("f8", "f8E5M2", (const uint8_t[]){0xc6, 0x38, 0x45, 0x61}, 4);
    bytes_are("f4", "f4E2M1FN", (const uint8_t[]){0xf, 1, 6, 7}, 4);
}
END_TEST

/* Elements move as they are; nobody computes with them. */
START_TEST(moved_elements) {
    model_input(&m, "x", F8E5M2, 2, 3);
    model_i64s(&m, "pick", 1, 0, 1);
    model_i64s(&m, "first", 0);
    model_i64s(&m, "last", 2);
    model_attr_ints(&m, model_node(&m, "Transpose", "t", "x", "t"), "perm", 1, 0);
    model_node(&m, "Slice", "s", "t,first,last", "s");
    model_attr_i(&m, model_node(&m, "Gather", "g", "s,pick", "g"), "axis", 1);
    model_attr_i(&m, model_node(&m, "Concat", "y", "g,g", "y"), "axis", 0);
    model_output(&m, "y");
    import();
    mrt_plan *plan = NULL;
    ck_assert(mica_plan_func(m.module, mica_module_func(m.module, "main"),
                             &(mica_plan_options){0}, &plan) == MICA_OK);
    ck_assert_str_eq(mica_type_text(mica_op_result(model_find(&m, "y"), 0)->type),
                     "tensor<4x3xf8E5M2>");
    mrt_plan_destroy(plan);
}
END_TEST

START_TEST(double_stays) {
    static const double y[] = {1e200, -2};
    static const float z[] = {1.0f};
    model_input(&m, "x", DOUBLE, 2);
    WEIGHT("y", DOUBLE, y, 2);
    WEIGHT("z", 1, z, 1);
    model_node(&m, "Add", "sum", "x,y", "sum");
    model_node(&m, "Mul", "double", "y,y", "double");
    cast("z", "wide", DOUBLE);
    model_output(&m, "sum");
    model_output(&m, "double");
    import();
    ck_assert_str_eq(mica_type_text(mica_op_result(model_find(&m, "sum"), 0)->type),
                     "tensor<2xf64>");
    const double *product = constant("double", "f64");
    ck_assert(isinf(product[0]) && product[1] == 4.0);
    ck_assert(((const double *)constant("wide", "f64"))[0] == 1.0);
}
END_TEST

START_TEST(bit_cast) {
    static const float x[] = {1.0f, -0.0f};
    static const uint8_t four[] = {0x9f};
    WEIGHT("x", 1, x, 2);
    WEIGHT("f", UINT4, four, 2);
    model_attr_i(&m, model_node(&m, "BitCast", "bits", "x", "bits"), "to", 6);
    model_attr_i(&m, model_node(&m, "BitCast", "signed", "f", "signed"), "to", INT4);
    model_attr_i(&m, model_node(&m, "BitCast", "back", "signed", "back"), "to", UINT4);
    model_output(&m, "bits");
    model_output(&m, "signed");
    model_output(&m, "back");
    import();
    const int32_t *bits = constant("bits", "i32");
    ck_assert(bits[0] == 0x3f800000 && bits[1] == INT32_MIN);
    bytes_are("signed", "i4", (const uint8_t[]){0xff, 0xf9}, 2);
    bytes_are("back", "ui4", (const uint8_t[]){0x0f, 0x09}, 2);
}
END_TEST

START_TEST(bit_cast_keeps_the_width) {
    static const float x[] = {1.0f};
    WEIGHT("x", 1, x, 1);
    model_attr_i(&m, model_node(&m, "BitCast", "y", "x", "y"), "to", 7);
    model_output(&m, "y");
    model_refuses(&m, &(mica_onnx_options){0},
                  "expects an element type of 32 bits in attribute 'to', got \"i64\"");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("onnx_types");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, packed_data);
    tcase_add_test(tcase, typed_fields);
    tcase_add_test(tcase, sizes_are_checked);
    tcase_add_test(tcase, cast_rules);
    tcase_add_test(tcase, dequantize_blocks);
    tcase_add_test(tcase, wrong_blocks_are_refused);
    tcase_add_test(tcase, quantize_types);
    tcase_add_test(tcase, moved_elements);
    tcase_add_test(tcase, double_stays);
    tcase_add_test(tcase, bit_cast);
    tcase_add_test(tcase, bit_cast_keeps_the_width);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
