/* Calibration and quantize tables: round trips, every error, and what they do to a module. */
#include "test/unit/check_main.h"
#include "test/unit/ir_case.h"
#include "test/unit/test_utils_dir.h"

#include "dialects/dialects.h"
#include "passes/calibration/cali_table.h"
#include "passes/calibration/methods.h"
#include "passes/lowering/qtable.h"
#include "utils/file.h"

#include <math.h>

static mica_error err;

static void begin(void) {
    setup();
    mica_register_dialects(context);
    err.text[0] = '\0';
}

static const char *write_text(const char *name_of_file, const char *text) {
    return scratch_write(name_of_file, text, strlen(text));
}

static bool says(const char *part) {
    if (strstr(err.text, part) != NULL) {
        return true;
    }
    printf("got: %s\nexpected: %s\n", err.text, part);
    return false;
}

/* --- calibration tables ------------------------------------------------------------------------- */

START_TEST(table_round_trip) {
    static const struct { const char *name; double th, min, max; } rows[] = {
        {"conv1", 2.5, -2.5, 1.25},
        {"name with spaces 3", 123456.789, 0.0, 123456.789},
        {"a/b:0", 1e-5, -1e-9, 3.0517578125e-5},
        {"zero", 1e-5, -0.0, 0.0},
        {"wide", 3.4028234e38, -3.4028234e38, 1.0},
    };
    mica_cali_table *table = mica_cali_table_create();
    for (size_t i = 0; i < MICA_COUNT(rows); ++i) {
        mica_cali_table_set(table, rows[i].name, rows[i].th, rows[i].min, rows[i].max);
    }
    mica_cali_table_set(table, "conv1", 2.625, -2.5, 1.25); /* replaces */
    mica_cali_table_add_line(table, MICA_CALI_ASYM_OP, "conv1");
    mica_cali_table_add_line(table, MICA_CALI_INT4_TH, "conv1 1.0 -1.0 1.0");
    const mica_cali_header header = {"model.mlir", "KL", 2032, 100, 0};
    ck_assert(mica_cali_table_write(table, scratch_path("t"), &header, &err) == MICA_OK);
    mica_cali_table *back = mica_cali_table_read(scratch_path("t"), &err);
    ck_assert_ptr_nonnull(back);
    ck_assert_uint_eq(mica_cali_table_count(back), MICA_COUNT(rows));
    for (size_t i = 0; i < MICA_COUNT(rows); ++i) {
        const mica_cali_row *row = mica_cali_table_at(back, i); /* same order */
        ck_assert_str_eq(row->name, rows[i].name);
        ck_assert_ptr_eq(row, mica_cali_table_get(back, rows[i].name));
        ck_assert_double_le(fabs(row->threshold - (i == 0 ? 2.625 : rows[i].th)), 1e-7 * row->threshold);
        ck_assert_double_le(fabs(row->min - rows[i].min), 1e-7 * fabs(row->min));
        ck_assert_double_le(fabs(row->max - rows[i].max), 1e-7 * fabs(row->max));
    }
    ck_assert(!signbit(mica_cali_table_get(back, "zero")->min));
    ck_assert_ptr_null(mica_cali_table_get(back, "conv2"));
    const char *const *lines = NULL;
    ck_assert_uint_eq(mica_cali_table_lines(back, MICA_CALI_ASYM_OP, &lines), 1);
    ck_assert_str_eq(lines[0], "conv1");
    ck_assert_uint_eq(mica_cali_table_lines(back, MICA_CALI_INT4_TH, &lines), 1);
    ck_assert_str_eq(lines[0], "conv1 1.0 -1.0 1.0");
    ck_assert_uint_eq(mica_cali_table_lines(back, MICA_CALI_INT4_OP, &lines), 0);
    /* writing what was read gives the same bytes */
    ck_assert(mica_cali_table_write(back, scratch_path("u"), &header, &err) == MICA_OK);
    char *first = NULL;
    char *second = NULL;
    ck_assert(mica_read_file(scratch_path("t"), 1 << 20, &first, NULL, &err) == MICA_OK);
    ck_assert(mica_read_file(scratch_path("u"), 1 << 20, &second, NULL, &err) == MICA_OK);
    ck_assert_str_eq(first, second);
    ck_assert(strstr(first, "# sample number: 100\n") != NULL);
    mica_free(first);
    mica_free(second);
    mica_cali_table_destroy(back);
    mica_cali_table_destroy(table);
    mica_cali_table_destroy(NULL);
}
END_TEST

/* As TPU-MLIR writes it: comments, several blanks, Windows line ends, no end of line at the end. */
START_TEST(table_of_another_tool) {
    const char *path = write_text("t", "# genetated time: x\n###\n# op_name    threshold    min    max\r\n"
                                       "in  1.0000000 -1.0000000\t0.5000000  \r\n\n  x 2 0 2\n"
                                       "#asym_op\nx\n# a comment\ny");
    mica_cali_table *table = mica_cali_table_read(path, &err);
    ck_assert_msg(table != NULL, "%s", err.text);
    ck_assert_uint_eq(mica_cali_table_count(table), 2);
    ck_assert_double_eq(mica_cali_table_get(table, "in")->max, 0.5);
    ck_assert_double_eq(mica_cali_table_get(table, "x")->threshold, 2.0);
    const char *const *lines = NULL;
    ck_assert_uint_eq(mica_cali_table_lines(table, MICA_CALI_ASYM_OP, &lines), 2);
    mica_cali_table_destroy(table);
}
END_TEST

START_TEST(table_errors) {
    static const struct { const char *text, *error; } cases[] = {
        {"a 1 -1 1\nb 1 -1\n", "t:2: expected 'name threshold min max', got 'b 1 -1'"},
        {"a one -1 1\n", "t:1: expected 'name threshold min max'"},
        {"a 1 -1 nan\n", "t:1: expected 'name threshold min max'"},
        {"a inf -1 1\n", "t:1: expected 'name threshold min max'"},
        {"a 1e999 -1 1\n", "t:1: expected 'name threshold min max'"},
        {"1 -1 1\n", "t:1: expected 'name threshold min max'"},
        {"#x\n 2 1 -1 1 extra\n", "t:2: expected"},
        {"a 1 2 1\n", "t:1: tensor 'a' needs threshold >= 0 and min <= max, got 1 2 1"},
        {"a -1 -1 1\n", "t:1: tensor 'a' needs threshold >= 0"},
        {"a 1 -1 1\nb 1 -1 1\na 1 -1 1\n", "t:3: tensor 'a' has two rows"},
        {"# only comments\n", "calibration table has no row"},
        {"", "calibration table has no row"},
        {"#int4_op\nconv1\n", "calibration table has no row"},
    };
    for (size_t i = 0; i < MICA_COUNT(cases); ++i) {
        const char *path = write_text("t", cases[i].text);
        ck_assert_ptr_null(mica_cali_table_read(path, &err));
        ck_assert_msg(says(cases[i].error), "case %zu", i);
        ck_assert(strncmp(err.text, path, strlen(path)) == 0); /* names the file */
    }
    ck_assert_ptr_null(mica_cali_table_read(scratch_write("t", "a 1 -1 1\n\0b", 11), &err));
    ck_assert(says("not a text file"));
    ck_assert_ptr_null(mica_cali_table_read(scratch_path("absent"), &err));
    ck_assert(says("absent"));
    mica_cali_table *table = mica_cali_table_create();
    mica_cali_table_set(table, "a", 1, -1, 1);
    ck_assert(mica_cali_table_write(table, scratch_path("no/such/folder"), &(mica_cali_header){"", "", 0, 0, 0},
                                    &err) == MICA_FAIL);
    mica_cali_table_destroy(table);
}
END_TEST

/* --- import ------------------------------------------------------------------------------------- */

static mica_module *small_model(void) {
    mica_module *module = parse(
        "module attributes {module.state = \"TOP_F32\"} {\n"
        "  func.func @main(%a: tensor<1x4xf32> loc(\"x\")) -> (tensor<1x4xf32>, tensor<1x4xi64>) {\n"
        "    %0 = \"top.Input\"(%a) : (tensor<1x4xf32>) -> tensor<1x4xf32> loc(\"x\")\n"
        "    %1 = \"top.Relu\"(%0) : (tensor<1x4xf32>) -> tensor<1x4xf32> loc(\"relu\")\n"
        "    %2 = \"top.Weight\"() : () -> tensor<4xf32> loc(\"w\")\n"
        "    %3 = \"top.Add\"(%1, %2) : (tensor<1x4xf32>, tensor<4xf32>) -> tensor<1x4xf32> loc(\"sum\")\n"
        "    %4, %5 = \"top.TopK\"(%3) {k = 4 : i64} : (tensor<1x4xf32>) -> (tensor<1x4xf32>, "
        "tensor<1x4xi64>) loc(fused[\"best\", \"at\"])\n"
        "    return %4, %5 : tensor<1x4xf32>, tensor<1x4xi64>\n  }\n}\n");
    ck_assert_msg(module != NULL, "%s", last_diag);
    return module;
}

static mica_value *value_called(mica_module *module, const char *wanted) {
    for (mica_op *op = mica_func_body(mica_module_func(module, "main"))->first; op; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; ++i) {
            if (strcmp(mica_value_name(&op->results[i]), wanted) == 0) {
                return &op->results[i];
            }
        }
    }
    return NULL;
}

static void check_range(mica_module *module, const char *of, double min, double max) {
    const mica_type element = mica_type_element(value_called(module, of)->type);
    ck_assert_msg(mica_type_is_calibrated(element), "%s has no range", of);
    ck_assert_double_eq(element->min, min);
    ck_assert_double_eq(element->max, max);
}

static mica_cali_table *some_rows(void) {
    mica_cali_table *table = mica_cali_table_create();
    mica_cali_table_set(table, "x", 2.0, -1.5, 3.0);
    mica_cali_table_set(table, "relu", 4.0, 0.0, 4.5);
    mica_cali_table_set(table, "sum", 0.0, 0.0, 0.0); /* dead */
    mica_cali_table_set(table, "at", 3.0, 0.0, 3.0);  /* integers: left alone */
    mica_cali_table_set(table, "w", 3.0, 0.0, 3.0);   /* a constant: left alone */
    return table;
}

START_TEST(import_symmetric) {
    mica_module *module = small_model();
    mica_cali_table *table = some_rows();
    ck_assert_msg(mica_import_calibration(module, table, false, &err) == MICA_OK, "%s", err.text);
    check_range(module, "x", -2.0, 2.0);
    check_range(module, "relu", 0.0, 4.0);
    check_range(module, "sum", 0.0, MICA_MIN_THRESHOLD);
    ck_assert(!mica_type_is_calibrated(mica_type_element(value_called(module, "best")->type)));
    ck_assert(!mica_type_is_calibrated(mica_type_element(value_called(module, "at")->type)));
    ck_assert(!mica_type_is_calibrated(mica_type_element(value_called(module, "w")->type)));
    ck_assert_str_eq(mica_op_str(module->op, "module.state"), "TOP_CALIBRATED");
    ck_assert_msg(mica_verify(module) == MICA_OK, "%s", last_diag);
    mica_cali_table_destroy(table);
    mica_module_destroy(module);
}
END_TEST

START_TEST(import_asymmetric) {
    mica_module *module = small_model();
    mica_cali_table *table = some_rows();
    ck_assert(mica_import_calibration(module, table, false, &err) == MICA_OK);
    mica_cali_table_set(table, "best", 9.0, 5.0, 9.0); /* widened to hold 0 */
    mica_cali_table_set(table, "sum", 9.0, -9.0, -5.0);
    ck_assert(mica_import_calibration(module, table, true, &err) == MICA_OK); /* replaces ranges */
    check_range(module, "x", -1.5, 3.0);
    check_range(module, "relu", 0.0, 4.5);
    check_range(module, "best", 0.0, 9.0);
    check_range(module, "sum", -9.0, 0.0);
    mica_cali_table_destroy(table);
    mica_module_destroy(module);
}
END_TEST

START_TEST(import_of_another_model) {
    mica_module *module = small_model();
    mica_cali_table *table = some_rows();
    mica_cali_table_set(table, "rleu", 1.0, 0.0, 1.0);
    ck_assert(mica_import_calibration(module, table, false, &err) == MICA_FAIL);
    ck_assert(says("calibration table has a row for 'rleu', which the model does not have (nearest is "
                   "'relu'); was it made for another model?"));
    mica_cali_table_destroy(table);
    mica_module_destroy(module);
}
END_TEST

/* --- quantize tables ---------------------------------------------------------------------------- */

START_TEST(qtable_round_trip) {
    mica_qtable *table = mica_qtable_create();
    mica_qtable_set(table, "conv1", MICA_MODE_F16);
    mica_qtable_set(table, "name with spaces", MICA_MODE_INT8);
    mica_qtable_set(table, "c", MICA_MODE_F32);
    mica_qtable_set(table, "c", MICA_MODE_BF16); /* replaces */
    ck_assert(mica_qtable_write(table, scratch_path("q"), "# why\n", &err) == MICA_OK);
    mica_qtable *back = mica_qtable_read(scratch_path("q"), &err);
    ck_assert_msg(back != NULL, "%s", err.text);
    ck_assert_uint_eq(mica_qtable_count(back), 3);
    mica_mode mode = MICA_MODE_F32;
    ck_assert_str_eq(mica_qtable_at(back, 0, &mode), "conv1");
    ck_assert_int_eq(mode, MICA_MODE_F16);
    ck_assert(mica_qtable_get(back, "name with spaces", &mode) && mode == MICA_MODE_INT8);
    ck_assert(mica_qtable_get(back, "c", &mode) && mode == MICA_MODE_BF16);
    ck_assert(!mica_qtable_get(back, "d", &mode));
    ck_assert_ptr_null(mica_qtable_at(back, 3, &mode));
    mica_qtable_destroy(back);
    mica_qtable_destroy(table);
    mica_qtable_destroy(NULL);
}
END_TEST

START_TEST(qtable_errors) {
    static const struct { const char *text, *error; } cases[] = {
        {"# op_name   quantize_mode\nconv1\n", "q:2: expected 'op_name MODE', got 'conv1'"},
        {"conv1 INT9\n", "q:1: unknown mode 'INT9' of op 'conv1'; nearest is INT8 (modes: F32 F16 BF16 INT8 W8A8 INT4 W4INT8 W4A8)"},
        {"conv1 whatever\n", "q:1: unknown mode 'whatever' of op 'conv1' (modes"},
        {"a F32\na F32\na F16\n", "q:3: op 'a' has two modes, F32 and F16"},
    };
    for (size_t i = 0; i < MICA_COUNT(cases); ++i) {
        ck_assert_ptr_null(mica_qtable_read(write_text("q", cases[i].text), &err));
        ck_assert_msg(says(cases[i].error), "case %zu", i);
    }
    ck_assert_ptr_null(mica_qtable_read(scratch_write("q", "a F32\n\0", 8), &err));
    ck_assert(says("not a text file"));
    ck_assert_ptr_null(mica_qtable_read(scratch_path("absent"), &err));
    mica_qtable *empty = mica_qtable_read(write_text("q", "\n# nothing\n  a  int8 \r\n"), &err);
    ck_assert_msg(empty != NULL, "%s", err.text);
    mica_mode mode = MICA_MODE_F32;
    ck_assert(mica_qtable_get(empty, "a", &mode) && mode == MICA_MODE_INT8); /* letter case ignored */
    mica_qtable_destroy(empty);
}
END_TEST

START_TEST(qtable_of_another_model) {
    mica_module *module = small_model();
    mica_op *func = mica_module_func(module, "main");
    mica_qtable *table = mica_qtable_create();
    mica_qtable_set(table, "relu", MICA_MODE_F16);
    mica_qtable_set(table, "at", MICA_MODE_F16);
    ck_assert_msg(mica_qtable_check(table, func, &err) == MICA_OK, "%s", err.text);
    mica_qtable_set(table, "rleu", MICA_MODE_F16);
    ck_assert(mica_qtable_check(table, func, &err) == MICA_FAIL);
    ck_assert(says("quantize table names op 'rleu', which the model does not have; nearest is 'relu'"));
    mica_qtable_destroy(table);
    table = mica_qtable_create();
    mica_qtable_set(table, "w", MICA_MODE_F16);
    ck_assert(mica_qtable_check(table, func, &err) == MICA_FAIL); /* a constant is no op with a mode */
    mica_qtable_destroy(table);
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        table_round_trip, table_of_another_tool, table_errors, import_symmetric, import_asymmetric,
        import_of_another_model, qtable_round_trip, qtable_errors, qtable_of_another_model};
    Suite *suite = suite_create("calibration tables");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, begin, teardown);
    for (size_t i = 0; i < MICA_COUNT(tests); ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    scratch_make();
    const int status = check_run(suite);
    scratch_remove();
    return status;
}
