/* Ops in generic form, regions and blocks. */
#include "ir/parser.h"

#include "ir/context_impl.h"
#include "ir/op_impl.h"
#include "ir/text.h"

#include <string.h>

/* Names in front of '=': "%0:2" binds results first .. first + count - 1. */
typedef struct result_name {
    mica_token token;
    uint64_t count;
} result_name;
typedef MICA_VEC(result_name) result_list;

/* --- pieces ----------------------------------------------------------------------------------- */

mica_loc mica_parser_trailing_loc(mica_parser *parser, const mica_token *start) {
    if (!mica_token_is(&parser->token, "loc")) {
        return mica_parser_place(parser, start);
    }
    mica_loc loc = mica_parser_loc(parser);
    if (loc && loc->kind != MICA_LOC_FILE && loc->kind != MICA_LOC_UNKNOWN) {
        mica_loc_set_seen(loc, parser->file, start->line, mica_token_column(start));
    }
    return loc;
}

static bool parse_results(mica_parser *parser, result_list *out) {
    do {
        result_name name = {parser->token, 1};
        if (!mica_parser_expect(parser, MICA_TOK_PERCENT, "a value name")) {
            return false;
        }
        if (mica_parser_take(parser, ':')) {
            mica_token number = parser->token;
            if (!mica_parser_expect(parser, MICA_TOK_INT, "the number of results")) {
                return false;
            }
            if (!mica_token_u64(&number, &name.count) || name.count == 0 ||
                name.count > UINT32_MAX) {
                return mica_parser_fail(parser, &number, "number of results must be 1 or more");
            }
        }
        mica_vec_push(out, name);
    } while (mica_parser_take(parser, ','));
    return mica_parser_expect(parser, '=', "'=' after the result names");
}

static bool bind_results(mica_parser *parser, mica_op *op, const result_list *names) {
    uint64_t first = 0;
    for (size_t i = 0; i < names->len; i++) {
        const result_name *name = &names->data[i];
        if (first + name->count > op->n_results) {
            return mica_parser_fail(parser, &name->token,
                                    "'%s' op has %u results, but more are named", op->name,
                                    op->n_results);
        }
        mica_binding binding = {
            .op = op, .first = (uint32_t)first, .count = (uint32_t)name->count};
        if (!mica_parser_define(parser, &name->token, binding)) {
            return false;
        }
        first += name->count;
    }
    if (names->len > 0 && first != op->n_results) {
        return mica_parser_fail(parser, &names->data[0].token,
                                "'%s' op has %u results, but %llu are named", op->name,
                                op->n_results, (unsigned long long)first);
    }
    return true;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static bool parse_block_args(mica_parser *parser, mica_block *block) {
    if (!mica_parser_take(parser, '(')) {
        return true;
    }
    if (mica_parser_take(parser, ')')) {
        return true;
    }
    do {
        mica_token name = parser->token;
        if (!mica_parser_expect(parser, MICA_TOK_PERCENT, "a block argument") ||
            !mica_parser_expect(parser, ':', "':' and the argument's type")) {
            return false;
        }
        mica_type type = mica_parser_type(parser);
        mica_loc loc = type ? mica_parser_trailing_loc(parser, &name) : NULL;
        if (!loc) {
            return false;
        }
        mica_value *arg = mica_block_add_arg(block, type, loc);
        if (!mica_parser_define(parser, &name, (mica_binding){.arg = arg, .count = 1})) {
            return false;
        }
    } while (mica_parser_take(parser, ','));
    return mica_parser_expect(parser, ')', "')' after the block arguments");
}

static bool parse_label(mica_parser *parser, mica_region *region, mica_block **out) {
    mica_parser_next(parser); /* nothing refers to a label: there are no successors */
    *out = mica_region_add_block(region);
    return parse_block_args(parser, *out) &&
           mica_parser_expect(parser, ':', "':' after the block label");
}

bool mica_parser_region(mica_parser *parser, mica_region *region) {
    if (!mica_parser_expect(parser, '{', "'{'") || !mica_parser_enter(parser)) {
        return false;
    }
    mica_block *block = region->first;
    while (parser->token.kind != '}') {
        if (parser->token.kind == MICA_TOK_CARET) {
            if (!parse_label(parser, region, &block)) {
                return false;
            }
            continue;
        }
        if (parser->token.kind == MICA_TOK_EOF) {
            return mica_parser_fail(parser, NULL, "expected '}' before the end of text");
        }
        block = block ? block : mica_region_add_block(region);
        if (!mica_parser_op(parser, block)) {
            return false;
        }
    }
    mica_parser_leave(parser);
    mica_parser_next(parser);
    return true;
}

/* --- generic ops ------------------------------------------------------------------------------ */

static bool parse_operands(mica_parser *parser, mica_op *op) {
    if (!mica_parser_expect(parser, '(', "'(' and operands")) {
        return false;
    }
    if (!mica_parser_take(parser, ')')) {
        do {
            mica_value *value = mica_parser_use(parser);
            if (!value) {
                return false;
            }
            mica_op_append_operand(op, value);
        } while (mica_parser_take(parser, ','));
        if (!mica_parser_expect(parser, ')', "')' after the operands")) {
            return false;
        }
    }
    if (parser->token.kind == '[') {
        return mica_parser_fail(parser, NULL, "ops with successor blocks are not supported");
    }
    return true;
}

typedef MICA_VEC(mica_region *) region_list;

static bool parse_one_region(mica_parser *parser, mica_op *op, region_list *regions) {
    mica_region *region = mica_arena_alloc(parser->module->arena, sizeof *region);
    region->parent = op;
    mica_vec_push(regions, region);
    bool isolated = mica_op_is(op, "builtin.module") || mica_op_is(op, "func.func");
    mica_scope scope = mica_parser_push_scope(parser, isolated);
    if (!mica_parser_region(parser, region)) {
        return false;
    }
    mica_parser_pop_scope(parser, scope);
    return true;
}

static bool parse_regions(mica_parser *parser, mica_op *op) {
    if (!mica_parser_take(parser, '(')) {
        return true;
    }
    region_list regions = {0};
    bool ok;
    do {
        ok = parse_one_region(parser, op, &regions);
    } while (ok && mica_parser_take(parser, ','));
    ok = ok && mica_parser_expect(parser, ')', "')' after the regions");
    op->n_regions = (uint32_t)regions.len;
    op->regions =
        mica_arena_memdup(parser->module->arena, regions.data, regions.len * sizeof *regions.data);
    mica_vec_free(&regions);
    return ok;
}

/* Properties "<{...}>" come before the regions and attributes "{...}" behind; they are one set. */
static bool parse_properties(mica_parser *parser, mica_attr_list *attrs) {
    if (!mica_parser_take(parser, '<')) {
        return true;
    }
    return mica_parser_dict(parser, attrs) &&
           mica_parser_expect(parser, '>', "'>' after the properties");
}

static bool finish_attrs(mica_parser *parser, mica_op *op, mica_attr_list *attrs,
                         const mica_token *at) {
    if (!mica_parser_sort_attrs(parser, attrs, at)) {
        return false;
    }
    for (size_t i = 0; i < attrs->len; i++) {
        const mica_attr_info *row = mica_op_info_attr(op->info, attrs->data[i].name);
        if (row) {
            attrs->data[i].value = mica_attr_for_row(row, attrs->data[i].value);
        }
    }
    mica_op_set_sorted_attrs(op, attrs->data, attrs->len);
    return true;
}

static bool parse_signature(mica_parser *parser, mica_op *op) {
    mica_token at = parser->token;
    if (!mica_parser_expect(parser, ':', "':' and the op's type")) {
        return false;
    }
    mica_type type = mica_parser_function_type(parser);
    if (!type) {
        return false;
    }
    if (type->n_inputs != op->n_operands) {
        return mica_parser_fail(parser, &at, "'%s' op has %u operands, but %zu operand types",
                                op->name, op->n_operands, type->n_inputs);
    }
    for (uint32_t i = 0; i < op->n_operands; i++) {
        mica_type actual = op->operands[i].value->type;
        if (actual != type->inputs[i]) {
            return mica_parser_fail(parser, &at, "operand %u of '%s' op has type %s, not %s", i,
                                    op->name, mica_type_text(actual),
                                    mica_type_text(type->inputs[i]));
        }
    }
    mica_op_set_results(op, type->results, type->n_results);
    return true;
}

/* mica_module_body() relies on this shape. */
static bool check_module(mica_parser *parser, mica_op *op, const mica_token *at) {
    if (op->n_regions != 1 || op->n_operands > 0 || op->n_results > 0 ||
        (op->regions[0]->first && op->regions[0]->first->next)) {
        return mica_parser_fail(parser, at,
                                "'builtin.module' op must have one region of one block");
    }
    if (!op->regions[0]->first) {
        mica_region_add_block(op->regions[0]);
    }
    return true;
}

static bool parse_generic_rest(mica_parser *parser, mica_op *op, const mica_token *at,
                               mica_attr_list *attrs) {
    if (!parse_operands(parser, op) || !parse_properties(parser, attrs) ||
        !parse_regions(parser, op)) {
        return false;
    }
    if (parser->token.kind == '{' && !mica_parser_dict(parser, attrs)) {
        return false;
    }
    return finish_attrs(parser, op, attrs, at) && parse_signature(parser, op);
}

static mica_op *parse_generic(mica_parser *parser) {
    mica_token token = parser->token;
    mica_parser_next(parser);
    if (!mica_parser_string(parser, &token)) {
        return NULL;
    }
    if (parser->scratch.len == 0 || memchr(parser->scratch.data, '\0', parser->scratch.len)) {
        mica_parser_fail(parser, &token, "op name is empty or contains a NUL character");
        return NULL;
    }
    mica_op *op = mica_op_create(
        parser->module, &(mica_op_state){.name = parser->scratch.data,
                                         .loc = mica_loc_unknown(parser->context)});
    mica_attr_list attrs = {0};
    bool ok = parse_generic_rest(parser, op, &token, &attrs);
    mica_vec_free(&attrs);
    if (ok && mica_op_is(op, "builtin.module")) {
        ok = check_module(parser, op, &token);
    }
    return ok ? op : NULL;
}

/* --- all ops ---------------------------------------------------------------------------------- */

static mica_op *parse_pretty(mica_parser *parser) {
    if (mica_parser_take_word(parser, "module") ||
        mica_parser_take_word(parser, "builtin.module")) {
        return mica_parser_module(parser);
    }
    if (mica_parser_take_word(parser, "func.func")) {
        return mica_parser_func(parser);
    }
    if (mica_parser_take_word(parser, "return") || mica_parser_take_word(parser, "func.return")) {
        return mica_parser_return(parser);
    }
    size_t length = mica_token_length(&parser->token);
    mica_parser_fail(parser, NULL, "'%.*s' has no short form: write the op's name in quotes",
                     (int)(length > 60 ? 60 : length), parser->token.start);
    return NULL;
}

static bool parse_named(mica_parser *parser, mica_block *block, const result_list *names,
                        const mica_token *start) {
    mica_op *op = NULL;
    if (parser->token.kind == MICA_TOK_STRING) {
        op = parse_generic(parser);
    } else if (parser->token.kind == MICA_TOK_BARE) {
        op = parse_pretty(parser);
    } else {
        return mica_parser_expect(parser, MICA_TOK_STRING, "an op");
    }
    if (!op) {
        return false;
    }
    mica_loc loc = mica_parser_trailing_loc(parser, start);
    if (!loc) {
        return false;
    }
    op->loc = loc;
    mica_op_insert(op, block, NULL);
    return bind_results(parser, op, names);
}

bool mica_parser_op(mica_parser *parser, mica_block *block) {
    result_list names = {0};
    mica_token start = parser->token;
    bool ok = start.kind != MICA_TOK_PERCENT || parse_results(parser, &names);
    start = parser->token; /* the place of an op is its name, as upstream has it */
    ok = ok && parse_named(parser, block, &names, &start);
    mica_vec_free(&names);
    return ok;
}
