/* The rewrite driver. */
#include "test/unit/ir_case.h"

#include "ir/rewrite.h"
#include "utils/progress.h"

#include <stdio.h>
/* neg(neg(x)) -> x */
static bool fold_neg_neg(mica_rewriter *rewriter, mica_op *op) {
    mica_op *inner = mica_op_operand(op, 0)->def;
    if (!inner || !mica_op_is(inner, "test.neg")) {
        return false;
    }
    mica_value *value = mica_op_operand(inner, 0);
    mica_rewriter_replace(rewriter, op, &value, 1);
    return true;
}

/* id(x) -> x */
static bool drop_id(mica_rewriter *rewriter, mica_op *op) {
    mica_value *value = mica_op_operand(op, 0);
    mica_rewriter_replace(rewriter, op, &value, 1);
    return true;
}

/* add(x, x) -> neg(neg(x)), to see that new ops are visited. */
static bool expand_add(mica_rewriter *rewriter, mica_op *op) {
    mica_builder *b = mica_rewriter_builder(rewriter, op);
    mica_value *value = mica_op_operand(op, 0);
    for (int i = 0; i < 2; i++) {
        mica_op *neg = mica_build_op(b, "test.neg", op->loc, &value, 1, 1);
        mica_op_infer(neg);
        value = mica_op_result(neg, 0);
    }
    mica_rewriter_replace(rewriter, op, &value, 1);
    return true;
}

static char visited[4096];
static bool note_visit(mica_rewriter *rewriter, mica_op *op) {
    (void)rewriter;
    strncat(visited, mica_loc_get_name(op->loc), 64);
    strcat(visited, " ");
    return false;
}

static bool never_done(mica_rewriter *rewriter, mica_op *op) {
    mica_op_set_i64(op, "count", mica_op_i64(op, "count") ^ 1);
    mica_rewriter_touch(rewriter, op);
    return true;
}

static const mica_pattern patterns[] = {
    {"fold-neg-neg", "test.neg", fold_neg_neg, ""},
    {"drop-id", "test.id", drop_id, ""},
    {"expand-add", "test.add", expand_add, ""},
};

START_TEST(rewrites_to_fixpoint) {
    mica_module *module =
        parse("%0 = \"test.source\"() : () -> f32\n"
              "%1 = \"test.add\"(%0, %0) : (f32, f32) -> f32\n"
              "%2 = \"test.id\"(%1) : (f32) -> f32\n"
              "%3 = \"test.neg\"(%2) : (f32) -> f32\n"
              "%4 = \"test.neg\"(%2) : (f32) -> f32\n" /* dead */
              "\"test.sink\"(%3) : (f32) -> ()\n");
    ck_assert_ptr_nonnull(module);
    uint64_t counts[3] = {0};
    mica_rewrite_options options = {.counts = counts};
    ck_assert_int_eq(mica_rewrite_greedy(module, module->op, patterns, 3, &options), MICA_OK);
    char *text = text_of(module);
    ck_assert_str_eq(text, "module {\n"
                           "  %0 = \"test.source\"() : () -> f32\n"
                           "  %1 = \"test.neg\"(%0) : (f32) -> f32\n"
                           "  \"test.sink\"(%1) : (f32) -> ()\n"
                           "}\n");
    ck_assert_uint_eq(counts[0], 1);
    ck_assert_uint_eq(counts[1], 1);
    ck_assert_uint_eq(counts[2], 1);
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    mica_free(text);
    mica_module_destroy(module);
}
END_TEST

START_TEST(disabled_patterns) {
    mica_module *module = parse("%0 = \"test.source\"() : () -> f32\n"
                                "%1 = \"test.id\"(%0) : (f32) -> f32\n"
                                "\"test.sink\"(%1) : (f32) -> ()\n");
    const char *off[] = {"drop-id"};
    mica_rewrite_options options = {.disabled = off, .n_disabled = 1};
    ck_assert_int_eq(mica_rewrite_greedy(module, module->op, patterns, 3, &options), MICA_OK);
    ck_assert(mica_op_is(mica_module_body(module)->first->next, "test.id"));
    mica_module_destroy(module);
}
END_TEST

START_TEST(dead_code_inside_out) {
    mica_module *module = parse("%0 = \"test.source\"() : () -> f32\n"
                                "%1 = \"test.neg\"(%0) : (f32) -> f32\n"
                                "%2 = \"test.id\"(%1) : (f32) -> f32\n"
                                "%3 = \"other.unknown\"(%0) : (f32) -> f32\n");
    ck_assert_int_eq(mica_rewrite_greedy(module, module->op, NULL, 0, NULL), MICA_OK);
    mica_op *first = mica_module_body(module)->first;
    ck_assert(mica_op_is(first, "test.source")); /* not pure: stays */
    ck_assert(mica_op_is(first->next, "other.unknown") && !first->next->next);
    mica_module_destroy(module);
}
END_TEST

START_TEST(program_order) {
    mica_module *module =
        parse("%0 = \"test.source\"() : () -> f32 loc(\"a\")\n"
              "\"o.region\"() ({\n"
              "  \"test.sink\"(%0) : (f32) -> () loc(\"c\")\n"
              "}) : () -> () loc(\"b\")\n"
              "\"test.sink\"(%0) : (f32) -> () loc(\"d\")\n");
    static const mica_pattern all[] = {{"note", NULL, note_visit, ""}};
    visited[0] = '\0';
    ck_assert_int_eq(mica_rewrite_greedy(module, module->op, all, 1, NULL), MICA_OK);
    ck_assert_str_eq(visited, "a b c d ");
    mica_module_destroy(module);
}
END_TEST

START_TEST(divergence_is_an_error) {
    mica_module *module = parse("%0 = \"test.source\"() : () -> f32\n"
                                "%1 = \"test.neg\"(%0) : (f32) -> f32\n"
                                "\"test.sink\"(%1) : (f32) -> ()\n");
    static const mica_pattern bad[] = {{"never-done", "test.neg", never_done, ""}};
    ck_assert_int_eq(mica_rewrite_greedy(module, module->op, bad, 1, NULL), MICA_FAIL);
    ck_assert_ptr_nonnull(strstr(last_diag, "never-done"));
    mica_module_destroy(module);
}
END_TEST

/* 10,000 ops of which half fold away, one by one: must take linear time. */
START_TEST(long_chain) {
    mica_module *module = mica_module_create(context, name("m"));
    mica_builder b = mica_builder_at_end(module, mica_module_body(module));
    mica_value *value = mica_op_result(add_op(&b, "test.source", NULL, 1), 0);
    for (int i = 0; i < 10000; i++) {
        value = mica_op_result(add_op(&b, i % 2 ? "test.id" : "test.neg", value, 1), 0);
    }
    add_op(&b, "test.sink", value, 0);
    double start = mica_seconds();
    ck_assert_int_eq(mica_rewrite_greedy(module, module->op, patterns, 3, NULL), MICA_OK);
    double seconds = mica_seconds() - start;
    mica_op *first = mica_module_body(module)->first;
    ck_assert(mica_op_is(first->next, "test.sink"));
    ck_assert_msg(seconds < 0.2, "took %g s", seconds);
    mica_module_destroy(module);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {rewrites_to_fixpoint,   disabled_patterns, dead_code_inside_out,
                                  program_order, divergence_is_an_error, long_chain};
    return run_suite("ir_rewrite", tests, MICA_COUNT(tests));
}
