/* The pass manager: pipeline text, options, verification between passes. */
#include "test/unit/ir_case.h"

#include "ir/pass.h"

#include <stdio.h>

static char trace[512];

static mica_status run_note(mica_module *module, const mica_pass_options *options) {
    (void)module;
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "note(%s,%s)", mica_pass_option(options, "a"),
             mica_pass_option(options, "b") ? mica_pass_option(options, "b") : "unset");
    ck_assert_ptr_null(mica_pass_option(options, "c"));
    return MICA_OK;
}

static mica_status run_fail(mica_module *module, const mica_pass_options *options) {
    (void)module;
    (void)options;
    return MICA_FAIL;
}

static mica_status run_break(mica_module *module, const mica_pass_options *options) {
    (void)options;
    mica_op_set_i64(mica_module_body(module)->first, "cuont", 1);
    return MICA_OK;
}

static const mica_pass_option_info note_options[] = {{"a", "1", ""}, {"b", NULL, ""}};
static const mica_pass_info passes[] = {
    {"note", "", run_note, note_options, MICA_COUNT(note_options)},
    {"fail", "", run_fail, NULL, 0},
    {"break", "", run_break, NULL, 0},
};

static mica_status run(const char *pipeline, const char *text, mica_error *err) {
    mica_pass_config config = {.verify_each = true};
    mica_pass_manager *manager =
        mica_pass_manager_create(context, passes, MICA_COUNT(passes), &config);
    mica_module *module = parse(text);
    trace[0] = all_diags[0] = '\0';
    mica_status status = mica_pass_manager_add(manager, pipeline, err);
    if (status == MICA_OK) {
        status = mica_pass_manager_run(manager, module);
    }
    mica_module_destroy(module);
    mica_pass_manager_destroy(manager);
    return status;
}

static const char good[] = "%0 = \"test.source\"() : () -> f32\n"
                           "\"test.sink\"(%0) : (f32) -> ()\n";

START_TEST(pipelines) {
    static const char *const texts[][2] = {
        {"note", "note(1,unset)"},
        {"", ""},
        {"builtin.module()", ""},
        {" note , note{a=2} ", "note(1,unset)note(2,unset)"},
        {"builtin.module(note{b=x a=\"p q\"})", "note(p q,x)"},
        {"note{a='' b}", "note(,true)"},
        {"note{a={x y} b=[1,2]}", "note({x y},[1,2])"},
    };
    for (size_t i = 0; i < MICA_COUNT(texts); i++) {
        mica_error err = {0};
        ck_assert_msg(run(texts[i][0], good, &err) == MICA_OK, "%s: %s", texts[i][0], err.text);
        ck_assert_str_eq(trace, texts[i][1]);
    }
}
END_TEST

START_TEST(bad_pipelines) {
    static const char *const texts[][2] = {
        {"noet", "did you mean 'note'"},
        {"zzzzzzzz", "unknown pass 'zzzzzzzz'"},
        {"note{c=1}", "unknown option of pass 'note': 'c'"},
        {"note{a=1", "expected an option or '}'"},
        {"note{a=\"1}", "lacks its closing"},
        {"note,", "expected the name of a pass"},
        {",note", "expected the name of a pass"},
        {"builtin.module(note", "lacks the closing ')'"},
        {"note)", "unexpected text ')'"},
    };
    for (size_t i = 0; i < MICA_COUNT(texts); i++) {
        mica_error err = {0};
        ck_assert_int_eq(run(texts[i][0], good, &err), MICA_FAIL);
        ck_assert_msg(strstr(err.text, texts[i][1]), "%s: got '%s'", texts[i][0], err.text);
        ck_assert_str_eq(trace, "");
    }
}
END_TEST

START_TEST(failures) {
    mica_error err = {0};
    ck_assert_int_eq(run("note,fail,note", good, &err), MICA_FAIL);
    ck_assert_str_eq(trace, "note(1,unset)");
    ck_assert_str_eq(all_diags, "pass 'fail' failed\n");
}
END_TEST

START_TEST(invalid_between_passes) {
    mica_error err = {0};
    ck_assert_int_eq(run("break,note", good, &err), MICA_FAIL);
    ck_assert_str_eq(trace, "");
    ck_assert_ptr_nonnull(strstr(all_diags, "'test.source' op has no attribute 'cuont'"));
    ck_assert_ptr_nonnull(strstr(all_diags, "the IR is invalid after pass 'break'"));
    ck_assert_int_eq(run("note", "\"test.sink\"() : () -> ()", &err), MICA_FAIL);
    ck_assert_str_eq(trace, "");
}
END_TEST

int main(void) {
    const TTest *const tests[] = {pipelines, bad_pipelines, failures, invalid_between_passes};
    return run_suite("ir_pass", tests, MICA_COUNT(tests));
}
