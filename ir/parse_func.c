/* Pretty forms: module, func.func, return. */
#include "ir/parser.h"

#include "ir/context_impl.h"
#include "ir/op_impl.h"

#include <string.h>

static mica_op *create(mica_parser *parser, const char *name, size_t n_regions) {
    return mica_op_create(parser->module,
                          &(mica_op_state){.name = name,
                                           .loc = mica_loc_unknown(parser->context),
                                           .n_regions = n_regions});
}

static void push_attr(mica_parser *parser, mica_attr_list *attrs, const char *name,
                      mica_attr value) {
    mica_vec_push(attrs, (mica_named_attr){mica_intern(parser->context, name), value});
}

/* Sorts and stores the attributes and frees the list. */
static bool store_attrs(mica_parser *parser, mica_op *op, mica_attr_list *attrs, bool ok,
                        const mica_token *at) {
    ok = ok && mica_parser_sort_attrs(parser, attrs, at);
    if (ok) {
        mica_op_set_sorted_attrs(op, attrs->data, attrs->len);
    }
    mica_vec_free(attrs);
    return ok;
}

/* --- module ----------------------------------------------------------------------------------- */

mica_op *mica_parser_module(mica_parser *parser) {
    mica_token at = parser->token;
    mica_op *op = create(parser, "builtin.module", 1);
    mica_attr_list attrs = {0};
    bool ok = true;
    if (parser->token.kind == MICA_TOK_AT) {
        const char *name = mica_parser_symbol(parser);
        ok = name != NULL;
        if (ok) {
            push_attr(parser, &attrs, "sym_name", mica_attr_string(parser->context, name));
        }
    }
    if (ok && mica_parser_take_word(parser, "attributes")) {
        ok = mica_parser_dict(parser, &attrs);
    }
    if (!store_attrs(parser, op, &attrs, ok, &at)) {
        return NULL;
    }
    mica_region_add_block(op->regions[0]);
    mica_scope scope = mica_parser_push_scope(parser, true);
    if (!mica_parser_region(parser, op->regions[0])) {
        return NULL;
    }
    mica_parser_pop_scope(parser, scope);
    if (op->regions[0]->first->next) {
        mica_parser_fail(parser, &at, "'builtin.module' op must have one region of one block");
        return NULL;
    }
    return op;
}

/* --- functions -------------------------------------------------------------------------------- */

typedef MICA_VEC(mica_attr) dict_list;
typedef MICA_VEC(mica_loc) loc_list;
typedef MICA_VEC(mica_token) name_list;

typedef struct signature {
    mica_type_list inputs, results;
    dict_list arg_dicts, result_dicts;
    loc_list locs;
    name_list names; /* empty for a declaration */
    bool any_arg_dict, any_result_dict;
} signature;

static void free_signature(signature *s) {
    mica_vec_free(&s->inputs);
    mica_vec_free(&s->results);
    mica_vec_free(&s->arg_dicts);
    mica_vec_free(&s->result_dicts);
    mica_vec_free(&s->locs);
    mica_vec_free(&s->names);
}

/* Optional "{...}" behind an argument or result. */
static bool parse_dict(mica_parser *parser, dict_list *out, bool *any) {
    mica_attr dict;
    if (parser->token.kind == '{') {
        dict = mica_parser_attr(parser);
        *any = true;
    } else {
        dict = mica_attr_dict(parser->context, NULL, 0);
    }
    if (dict) {
        mica_vec_push(out, dict);
    }
    return dict != NULL;
}

static bool parse_argument(mica_parser *parser, signature *s) {
    mica_token start = parser->token;
    bool named = start.kind == MICA_TOK_PERCENT;
    if (named != (s->names.len > 0) && s->inputs.len > 0) {
        return mica_parser_fail(parser, NULL, "either all arguments have names or none");
    }
    if (named) {
        mica_parser_next(parser);
        mica_vec_push(&s->names, start);
        if (!mica_parser_expect(parser, ':', "':' and the argument's type")) {
            return false;
        }
    }
    mica_type type = mica_parser_type(parser);
    if (!type || !parse_dict(parser, &s->arg_dicts, &s->any_arg_dict)) {
        return false;
    }
    mica_loc loc = mica_parser_trailing_loc(parser, &start);
    if (!loc) {
        return false;
    }
    mica_vec_push(&s->inputs, type);
    mica_vec_push(&s->locs, loc);
    return true;
}

static bool parse_arguments(mica_parser *parser, signature *s) {
    if (!mica_parser_expect(parser, '(', "'(' and the arguments")) {
        return false;
    }
    if (mica_parser_take(parser, ')')) {
        return true;
    }
    do {
        if (!parse_argument(parser, s)) {
            return false;
        }
    } while (mica_parser_take(parser, ','));
    return mica_parser_expect(parser, ')', "')' after the arguments");
}

static bool parse_result(mica_parser *parser, signature *s) {
    mica_type type = mica_parser_type(parser);
    if (type) {
        mica_vec_push(&s->results, type);
    }
    return type != NULL;
}

static bool parse_results(mica_parser *parser, signature *s) {
    if (!mica_parser_take(parser, MICA_TOK_ARROW)) {
        return true;
    }
    if (!mica_parser_take(parser, '(')) {
        mica_vec_push(&s->result_dicts, mica_attr_dict(parser->context, NULL, 0));
        return parse_result(parser, s);
    }
    if (mica_parser_take(parser, ')')) {
        return true;
    }
    do {
        if (!parse_result(parser, s) ||
            !parse_dict(parser, &s->result_dicts, &s->any_result_dict)) {
            return false;
        }
    } while (mica_parser_take(parser, ','));
    return mica_parser_expect(parser, ')', "')' after the results");
}

/* Everything up to the body. */
static bool parse_head(mica_parser *parser, signature *s, mica_attr_list *attrs) {
    static const char *const visibilities[] = {"private", "public", "nested"};
    mica_context *context = parser->context;
    for (size_t i = 0; i < MICA_COUNT(visibilities); i++) {
        if (mica_parser_take_word(parser, visibilities[i])) {
            push_attr(parser, attrs, "sym_visibility", mica_attr_string(context, visibilities[i]));
            break;
        }
    }
    const char *name = mica_parser_symbol(parser);
    if (!name || !parse_arguments(parser, s) || !parse_results(parser, s)) {
        return false;
    }
    mica_type type = mica_type_function(context, s->inputs.data, s->inputs.len, s->results.data,
                                        s->results.len);
    push_attr(parser, attrs, "sym_name", mica_attr_string(context, name));
    push_attr(parser, attrs, "function_type", mica_attr_of_type(context, type));
    if (s->any_arg_dict) {
        push_attr(parser, attrs, "arg_attrs",
                  mica_attr_array(context, s->arg_dicts.data, s->arg_dicts.len));
    }
    if (s->any_result_dict) {
        push_attr(parser, attrs, "res_attrs",
                  mica_attr_array(context, s->result_dicts.data, s->result_dicts.len));
    }
    return !mica_parser_take_word(parser, "attributes") || mica_parser_dict(parser, attrs);
}

static bool parse_body(mica_parser *parser, mica_op *op, const signature *s) {
    if (parser->token.kind != '{') {
        return true;
    }
    if (s->inputs.len > 0 && s->names.len == 0) {
        return mica_parser_fail(parser, NULL, "a function with a body needs names of arguments");
    }
    mica_block *body = mica_region_add_block(op->regions[0]);
    mica_scope scope = mica_parser_push_scope(parser, true);
    for (size_t i = 0; i < s->inputs.len; i++) {
        mica_value *arg = mica_block_add_arg(body, s->inputs.data[i], s->locs.data[i]);
        mica_binding binding = {.arg = arg, .count = 1};
        if (!mica_parser_define(parser, &s->names.data[i], binding)) {
            return false;
        }
    }
    if (!mica_parser_region(parser, op->regions[0])) {
        return false;
    }
    mica_parser_pop_scope(parser, scope);
    return true;
}

mica_op *mica_parser_func(mica_parser *parser) {
    mica_token at = parser->token;
    mica_op *op = create(parser, "func.func", 1);
    mica_attr_list attrs = {0};
    signature s = {0};
    bool ok = parse_head(parser, &s, &attrs);
    ok = store_attrs(parser, op, &attrs, ok, &at) && parse_body(parser, op, &s);
    free_signature(&s);
    return ok ? op : NULL;
}

/* --- return ----------------------------------------------------------------------------------- */

static bool parse_return_operands(mica_parser *parser, mica_op *op) {
    do {
        mica_value *value = mica_parser_use(parser);
        if (!value) {
            return false;
        }
        mica_op_append_operand(op, value);
    } while (mica_parser_take(parser, ','));
    if (!mica_parser_expect(parser, ':', "':' and the types of the operands")) {
        return false;
    }
    for (uint32_t i = 0; i < op->n_operands; i++) {
        mica_token at = parser->token;
        if (i > 0 && !mica_parser_expect(parser, ',', "',' and one type for each operand")) {
            return false;
        }
        mica_type type = mica_parser_type(parser);
        if (!type) {
            return false;
        }
        if (type != op->operands[i].value->type) {
            return mica_parser_fail(parser, &at, "operand %u of 'func.return' op has type %s, "
                                    "not %s", i, mica_type_text(op->operands[i].value->type),
                                    mica_type_text(type));
        }
    }
    return true;
}

mica_op *mica_parser_return(mica_parser *parser) {
    mica_token at = parser->token;
    mica_op *op = create(parser, "func.return", 0);
    if (parser->token.kind == '{') {
        mica_attr_list attrs = {0};
        bool ok = mica_parser_dict(parser, &attrs);
        if (!store_attrs(parser, op, &attrs, ok, &at)) {
            return NULL;
        }
    }
    if (parser->token.kind == MICA_TOK_PERCENT && !parse_return_operands(parser, op)) {
        return NULL;
    }
    return op;
}
