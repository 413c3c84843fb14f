/* Building ops from text for the tests of the dialects. */
#ifndef MICA_TEST_DIALECT_CASE_H
#define MICA_TEST_DIALECT_CASE_H

#include "dialects/dialects.h"
#include "dialects/plan.h"
#include "dialects/top/top.h"
#include "runtime/mrt_exec.h"
#include "ir/builder.h"
#include "ir/text.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

typedef struct dialect_case {
    mica_context *context;
    mica_module *module;
    mica_op *func;
    char last[1024]; /* text of the last diagnostic */
} dialect_case;

static inline void dialect_case_diag(void *user, mica_severity severity, mica_loc loc,
                                     const char *text) {
    (void)severity;
    (void)loc;
    dialect_case *c = user;
    snprintf(c->last, sizeof c->last, "%s", text);
}

static inline void dialect_case_begin(dialect_case *c) {
    memset(c, 0, sizeof *c);
    c->context = mica_context_create();
    mica_register_dialects(c->context);
    mica_set_diag_handler(c->context, dialect_case_diag, c);
    c->module = mica_module_create(c->context, mica_loc_unknown(c->context));
    mica_builder builder = mica_builder_at_end(c->module, mica_module_body(c->module));
    c->func = mica_build_func(&builder, "main", NULL, NULL, 0, NULL, 0,
                              mica_loc_unknown(c->context));
}

static inline void dialect_case_end(dialect_case *c) {
    mica_module_destroy(c->module);
    mica_context_destroy(c->context);
}

/* An op at the end of the function. types: operand types separated by '|', each a new block
 * argument ("none": the None value). attrs: the inside of an attribute dictionary. Results are unranked f32. */
static inline mica_op *dialect_case_op(dialect_case *c, const char *name, const char *attrs,
                                       const char *types, size_t n_results) {
    char text[2048];
    mica_value *operands[16];
    size_t n = 0;
    mica_block *body = mica_func_body(c->func);
    snprintf(text, sizeof text, "%s", types);
    for (char *save = NULL, *part = strtok_r(text, "|", &save); part;
         part = strtok_r(NULL, "|", &save)) {
        if (strcmp(part, "none") == 0) {
            mica_builder at = mica_builder_at_end(c->module, body);
            operands[n++] = mica_top_none(&at);
            continue;
        }
        const mica_type type = mica_parse_type(c->context, part);
        ck_assert_msg(type != NULL, "type %s: %s", part, c->last);
        operands[n++] = mica_block_add_arg(body, type, mica_loc_name(c->context, "arg", NULL));
    }
    mica_builder builder = mica_builder_at_end(c->module, body);
    mica_op *op = mica_build_op(&builder, name, mica_loc_name(c->context, "y", NULL), operands, n,
                                n_results);
    ck_assert_msg(op->info != NULL, "%s is not registered", name);
    snprintf(text, sizeof text, "{%s}", attrs);
    const mica_attr dict = mica_parse_attr(c->context, text);
    ck_assert_msg(dict != NULL, "attributes %s: %s", text, c->last);
    for (size_t i = 0; i < dict->count; i++) {
        mica_op_set_attr(op, dict->entries[i].name, dict->entries[i].value);
    }
    return op;
}

/* Returns all results of the op and plans the function. */
static inline mica_status dialect_case_plan(dialect_case *c, mica_op *op, mrt_plan **out_plan) {
    mica_value *results[8];
    for (uint32_t i = 0; i < op->n_results; i++) {
        results[i] = mica_op_result(op, i);
    }
    mica_builder builder = mica_builder_at_end(c->module, mica_func_body(c->func));
    mica_build_return(&builder, results, op->n_results, mica_loc_unknown(c->context));
    const mica_plan_options options = {.keep_all = false};
    return mica_plan_func(c->module, c->func, &options, out_plan);
}

#endif
