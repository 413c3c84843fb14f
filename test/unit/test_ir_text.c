/* The reader against hostile text, files with weights, and printing. */
#include "test/unit/ir_case.h"

#include "ir/location.h"
#include "ir/weights.h"
#include "utils/file.h"
#include "utils/npz.h"
#include "utils/progress.h"

#include <stdio.h>
#include <unistd.h>

static const char sample[] =
    "#loc1 = loc(\"a\")\n"
    "!t = tensor<1x3xf32>\n"
    "module @net attributes {module.chip = \"ALL\", module.n = [1, 2.5e-3, array<i8: 1>]} {\n"
    "  func.func private @f(%arg0: !t loc(#loc1)) -> (tensor<1x3xf32>, none) attributes {u} {\n"
    "    %0:2 = \"o.x\"(%arg0) <{p = @s}> ({\n"
    "    ^bb0(%b: f32):\n"
    "      \"o.y\"(%b) : (f32) -> () loc(fused<1>[#loc2, \"f\":1:2])\n"
    "    }) {d = dense<[1, -2]> : tensor<2xi64>, q = #d.b<[{()}]>} : (!t) -> (!t, none) // c\n"
    "    return %0#0, %0#1 : !t, none loc(unknown)\n"
    "  }\n"
    "}\n"
    "#loc2 = loc(\"b\"(#loc1))\n";

START_TEST(sample_reads) {
    mica_module *module = parse(sample);
    ck_assert_ptr_nonnull(module);
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    mica_module_destroy(module);
}
END_TEST

/* Every prefix, and every single byte replaced: an error or a module, never a crash. */
START_TEST(damaged_text) {
    static const char bytes[] = "\0\n\"(<{[#!%@^:,-0x9";
    for (size_t i = 0; i < sizeof sample; i++) {
        mica_module *module = mica_parse(context, sample, i, "prefix");
        mica_module_destroy(module);
    }
    char text[sizeof sample];
    for (size_t i = 0; i < sizeof sample - 1; i++) {
        for (size_t k = 0; k < sizeof bytes - 1; k++) {
            memcpy(text, sample, sizeof text);
            text[i] = bytes[k];
            mica_module *module = mica_parse(context, text, sizeof sample - 1, "damaged");
            if (module) {
                mica_verify(module);
            }
            mica_module_destroy(module);
        }
    }
}
END_TEST

static char *repeat(const char *before, const char *unit, size_t count, const char *after) {
    mica_strbuf text = {0};
    mica_strbuf_append(&text, before);
    for (size_t i = 0; i < count; i++) {
        mica_strbuf_append(&text, unit);
    }
    mica_strbuf_append(&text, after);
    return mica_strbuf_take(&text);
}

static void expect_error(char *text, const char *message) {
    last_diag[0] = '\0';
    mica_module *module = mica_parse(context, text, strlen(text), "bad");
    ck_assert_ptr_null(module);
    ck_assert_msg(strstr(last_diag, message), "got '%s', expected '%s'", last_diag, message);
    mica_free(text);
}

START_TEST(nesting_is_bounded) {
    static const char message[] = "nested more than 200 levels";
    expect_error(repeat("\"a\"() {a = ", "[", 100000, ""), message);
    expect_error(repeat("\"a\"() {a = ", "{a = ", 100000, ""), message);
    expect_error(repeat("\"a\"() : () -> ", "(", 100000, ""), message);
    expect_error(repeat("\"a\"() : () -> ", "tensor<1x", 100000, ""), message);
    expect_error(repeat("", "\"a\"() ({", 100000, ""), message);
    expect_error(repeat("", "module {", 100000, ""), message);
    expect_error(repeat("\"a\"() : () -> () loc(", "\"a\"(", 100000, ""), message);
    expect_error(repeat("\"a\"() : () -> () loc(", "fused[", 100000, ""), message);
    expect_error(repeat("\"a\"() {a = #a", "<", 100000, ""), "unbalanced");
}
END_TEST

START_TEST(aliases_are_bounded) {
    mica_strbuf text = {0};
    mica_strbuf_append(&text, "#a0 = [1, 2]\n");
    for (int i = 1; i < 60; i++) {
        mica_strbuf_printf(&text, "#a%d = [#a%d, #a%d]\n", i, i - 1, i - 1);
    }
    mica_strbuf_append(&text, "\"a\"() {a = #a59} : () -> ()\n");
    expect_error(mica_strbuf_take(&text), "aliases expand to too much");
    mica_strbuf_append(&text, "#a0 = loc(\"a\")\n");
    for (int i = 1; i < 1000; i++) {
        mica_strbuf_printf(&text, "#a%d = loc(\"b\"(#a%d))\n", i, i - 1);
    }
    expect_error(mica_strbuf_take(&text), "nested more than 200");
    mica_strbuf_append(&text, "\"a\"() : () -> () loc(#a0)\n"); /* the same, forward */
    for (int i = 0; i < 1000; i++) {
        mica_strbuf_printf(&text, "#a%d = loc(\"b\"(#a%d))\n", i, i + 1);
    }
    mica_strbuf_append(&text, "#a1000 = loc(\"a\")\n");
    expect_error(mica_strbuf_take(&text), "nested more than 200");
}
END_TEST

START_TEST(deepest_allowed_reads_back) {
    mica_strbuf text = {0};
    mica_strbuf_append(&text, "#a0 = [1]\n");
    for (int i = 1; i < 190; i++) {
        mica_strbuf_printf(&text, "#a%d = [#a%d]\n", i, i - 1);
    }
    mica_strbuf_append(&text, "\"a\"() {a = #a189} : () -> ()\n");
    mica_module *module = parse(mica_strbuf_text(&text));
    ck_assert_ptr_nonnull(module);
    mica_strbuf printed = {0};
    mica_print(&printed, module->op);
    mica_module *again = parse(mica_strbuf_text(&printed));
    ck_assert_ptr_nonnull(again);
    ck_assert(mica_module_equal(module, again, NULL));
    mica_module_destroy(again);
    mica_module_destroy(module);
    mica_strbuf_free(&printed);
    mica_strbuf_free(&text);
}
END_TEST

/* Large but honest: many attributes, fused parts, aliases and ops must take linear time. */
START_TEST(large_text_is_fast) {
    mica_strbuf text = {0};
    mica_strbuf_append(&text, "\"a\"() {");
    for (int i = 0; i < 50000; i++) {
        mica_strbuf_printf(&text, "%sa%d = %d", i ? ", " : "", i, i);
    }
    mica_strbuf_append(&text, "} : () -> () loc(fused[");
    for (int i = 0; i < 50000; i++) {
        mica_strbuf_printf(&text, "%s\"l%d\"", i ? ", " : "", i);
    }
    mica_strbuf_append(&text, "])\n");
    for (int i = 0; i < 50000; i++) {
        mica_strbuf_printf(&text, "%%%d = \"a\"() : () -> f32 loc(#loc%d)\n", i, i);
    }
    for (int i = 0; i < 50000; i++) {
        mica_strbuf_printf(&text, "#loc%d = loc(\"n%d\")\n", i, i);
    }
    double start = mica_seconds();
    mica_module *module = parse(mica_strbuf_text(&text));
    ck_assert_msg(mica_seconds() - start < 10.0, "took %g s", mica_seconds() - start);
    ck_assert_ptr_nonnull(module);
    ck_assert_str_eq(mica_loc_get_name(mica_module_body(module)->last->loc), "n49999");
    mica_module_destroy(module);
    mica_strbuf_free(&text);
}
END_TEST

START_TEST(named_locations_know_their_line) {
    mica_module *module = parse("\"a\"() : () -> ()\n  \"b\"() : () -> () loc(\"n\")\n");
    const char *file;
    int line, column;
    const mica_op *op = mica_module_body(module)->last;
    ck_assert(mica_loc_find_place(op->loc, &file, &line, &column));
    ck_assert_str_eq(file, "test.mlir");
    ck_assert_int_eq(line, 2);
    ck_assert_int_eq(column, 3);
    mica_module_destroy(module);
}
END_TEST

START_TEST(attributes_and_types_alone) {
    ck_assert_ptr_null(mica_parse_attr(context, "1 2"));
    ck_assert_ptr_null(mica_parse_attr(context, ""));
    ck_assert_ptr_null(mica_parse_type(context, "f32 x"));
    ck_assert_ptr_null(mica_parse_type(context, "!quant.uniform<i8:f32, -1.0>"));
    ck_assert_ptr_eq(mica_parse_type(context, "f32"), mica_type_f32(context));
}
END_TEST

START_TEST(file_with_weights) {
    char folder[] = "/tmp/mica_ir_XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char mlir[64], npz[64];
    snprintf(mlir, sizeof mlir, "%s/m.mlir", folder);
    snprintf(npz, sizeof npz, "%s/w.npz", folder);
    static const char text[] = "module attributes {module.weight_file = \"w.npz\"} {\n}\n";
    mica_error err = {0};
    ck_assert_int_eq(mica_write_file_atomic(mlir, text, strlen(text), &err), MICA_OK);
    ck_assert_ptr_null(mica_parse_file(context, mlir, true)); /* no npz yet */
    ck_assert_ptr_nonnull(strstr(last_diag, "w.npz"));
    mica_weights *w = mica_weights_create();
    int64_t dims[] = {3};
    mica_weights_set(w, "k", "|i1", 1, dims, "abc", true);
    const char *names[] = {"k"};
    ck_assert_int_eq(mica_weights_save(w, names, 1, npz, &err), MICA_OK);
    mica_weights_destroy(w);
    mica_module *module = mica_parse_file(context, mlir, true);
    ck_assert_ptr_nonnull(module);
    ck_assert_int_eq(((const char *)mica_weights_get(module->weights, "k")->data)[2], 'c');
    ck_assert_int_eq(mica_print_file(module, mlir, &err), MICA_OK);
    mica_module_destroy(module);
    module = mica_parse_file(context, mlir, false);
    ck_assert_uint_eq(mica_weights_count(module->weights), 0);
    mica_module_destroy(module);
    ck_assert_ptr_null(mica_parse_file(context, "/does/not/exist.mlir", false));
    unlink(mlir);
    unlink(npz);
    rmdir(folder);
}
END_TEST

/* Dumps of invalid IR must work too. */
START_TEST(invalid_ir_prints) {
    mica_module *module = parse("func.func @f(%a: f32) -> f32 {\n  return %a : f32\n}\n");
    mica_op *func = mica_module_func(module, "f");
    mica_op_set_attr(func, "function_type", NULL);
    mica_op *ret = mica_func_body(func)->last;
    mica_module *other = parse("%0 = \"a\"() : () -> f32\n");
    mica_op_set_operand(ret, 0, mica_op_result(mica_module_body(other)->first, 0));
    char *text = text_of(module);
    ck_assert_ptr_nonnull(strstr(text, "\"func.return\"(%undefined)"));
    ck_assert_int_eq(mica_verify(module), MICA_FAIL);
    mica_op_set_operand(ret, 0, mica_func_body(func)->args[0]);
    mica_free(text);
    mica_module_destroy(other);
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        sample_reads,
        damaged_text,
        nesting_is_bounded,
        aliases_are_bounded,
        deepest_allowed_reads_back,
        large_text_is_fast,
        named_locations_know_their_line,
        attributes_and_types_alone,
        file_with_weights,
        invalid_ir_prints,
    };
    return run_suite("ir_text", tests, MICA_COUNT(tests));
}
