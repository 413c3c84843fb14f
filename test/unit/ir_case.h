/* A small dialect and fixtures for the tests of ir/. */
#ifndef MICA_TEST_IR_CASE_H
#define MICA_TEST_IR_CASE_H

#include "ir/builder.h"
#include "ir/equal.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "test/unit/check_main.h"
#include "utils/compiler.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mica_context *context;
static char last_diag[2048]; /* text of the latest diagnostic */
static char all_diags[8192]; /* all of them, a line each */

static void record_diag(void *user, mica_severity severity, mica_loc loc, const char *text) {
    (void)user;
    (void)severity;
    (void)loc;
    snprintf(last_diag, sizeof last_diag, "%s", text);
    size_t used = strlen(all_diags);
    snprintf(all_diags + used, sizeof all_diags - used, "%s\n", text);
}

static mica_status infer_same(const mica_op *op, mica_type *out_results) {
    out_results[0] = mica_op_operand(op, 0)->type;
    return MICA_OK;
}

static const mica_operand_info one_operand[] = {{"input", MICA_ONE}};
static const mica_operand_info two_operands[] = {{"lhs", MICA_ONE}, {"rhs", MICA_OPTIONAL}};
static const mica_attr_info some_attrs[] = {
    {"count", MICA_A_I64, false, "3", NULL, ""},
    {"scale", MICA_A_F64, false, "0.5", NULL, ""},
    {"flag", MICA_A_BOOL, false, "true", NULL, ""},
    {"mode", MICA_A_STR, false, "\"a\"", "a|b", ""},
    {"pads", MICA_A_I64S, false, "array<i64: 1, 2>", NULL, ""},
    {"mean", MICA_A_F64S, false, NULL, NULL, ""},
    {"axis", MICA_A_I64, false, NULL, NULL, ""},
};
static const mica_op_info test_rows[] = {
    {.name = "test.source", .n_results = 1},
    {.name = "test.sink", .operands = one_operand, .n_operands = 1},
    {.name = "test.id", .traits = MICA_PURE, .operands = one_operand, .n_operands = 1,
     .n_results = 1, .infer = infer_same},
    {.name = "test.neg", .traits = MICA_PURE, .operands = one_operand, .n_operands = 1,
     .n_results = 1, .attrs = some_attrs, .n_attrs = MICA_COUNT(some_attrs), .infer = infer_same},
    {.name = "test.add", .traits = MICA_PURE, .operands = two_operands, .n_operands = 2,
     .n_results = 1, .infer = infer_same},
};

static void setup(void) {
    context = mica_context_create();
    mica_set_diag_handler(context, record_diag, NULL);
    mica_register_ops(context, test_rows, MICA_COUNT(test_rows));
    last_diag[0] = all_diags[0] = '\0';
}

static void teardown(void) {
    mica_context_destroy(context);
}

static inline mica_module *parse(const char *text) {
    return mica_parse(context, text, strlen(text), "test.mlir");
}

static inline mica_loc name(const char *text) {
    return mica_loc_name(context, text, NULL);
}

/* An op of one result without operands or with one, types as the operand or f32. */
static inline mica_op *add_op(mica_builder *builder, const char *op_name, mica_value *operand,
                              size_t n_results) {
    mica_op *op =
        mica_build_op(builder, op_name, name(op_name), &operand, operand ? 1 : 0, n_results);
    for (size_t i = 0; i < n_results; i++) {
        op->results[i].type = mica_type_f32(context);
    }
    return op;
}

static inline char *text_of(const mica_module *module) {
    mica_strbuf text = {0};
    mica_print_with(&text, module->op, MICA_PRINT_NO_LOCS);
    return mica_strbuf_take(&text);
}

static inline int run_suite(const char *suite_name, const TTest *const *tests, size_t count) {
    Suite *suite = suite_create(suite_name);
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}

#endif
