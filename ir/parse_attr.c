/* Attributes. */
#include "ir/parser.h"

#include "ir/context_impl.h"
#include "ir/float_format.h"
#include "ir/text.h"

#include <stdlib.h>
#include <string.h>

/* --- numbers ---------------------------------------------------------------------------------- */

/* Whether the number fits the type as MLIR sees it: signless types take both readings. */
static bool fits(mica_type type, bool negative, uint64_t magnitude) {
    int width = type->width;
    uint64_t half = (uint64_t)1 << (width - 1);
    if (negative) {
        return type->sign != MICA_UNSIGNED && magnitude <= half;
    }
    if (type->sign == MICA_SIGNED || type->kind == MICA_TYPE_INDEX) {
        return magnitude < half;
    }
    return width >= 64 || magnitude >> width == 0;
}

static mica_attr integer_of(mica_parser *parser, const mica_token *token, bool negative,
                            mica_type type) {
    uint64_t magnitude;
    bool ok = mica_token_u64(token, &magnitude);
    if (type->kind == MICA_TYPE_FLOAT) {
        if (!mica_token_is_hex(token) || negative || !ok ||
            (type->width < 64 && magnitude >> type->width != 0)) {
            mica_parser_fail(parser, token, "a number of type %s needs a decimal point, or %d bits "
                             "in hexadecimal", mica_type_text(type), type->width);
            return NULL;
        }
        return mica_attr_float(parser->context, mica_float_from_bits(type->float_kind, magnitude),
                               type);
    }
    if (type->kind != MICA_TYPE_INTEGER && type->kind != MICA_TYPE_INDEX) {
        mica_parser_fail(parser, token, "a number cannot have type %s", mica_type_text(type));
        return NULL;
    }
    if (!ok || !fits(type, negative, magnitude)) {
        mica_parser_fail(parser, token, "integer does not fit in type %s", mica_type_text(type));
        return NULL;
    }
    return mica_attr_integer(parser->context,
                             negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude, type);
}

static mica_attr parse_number(mica_parser *parser) {
    bool negative = mica_parser_take(parser, '-');
    mica_token token = parser->token;
    bool is_float = token.kind == MICA_TOK_FLOAT;
    if (!is_float && token.kind != MICA_TOK_INT) {
        mica_parser_fail(parser, NULL, "expected a number after '-'");
        return NULL;
    }
    mica_parser_next(parser);
    if (!is_float && parser->token.kind == MICA_TOK_BARE && parser->token.start == token.end) {
        mica_parser_fail(parser, &token, "a number with an exponent needs a decimal point: 1.0e5");
        return NULL;
    }
    mica_context *context = parser->context;
    mica_type type = is_float ? mica_type_float(context, MICA_F64) : mica_type_i64(context);
    if (mica_parser_take(parser, ':')) {
        type = mica_parser_type(parser);
        if (!type) {
            return NULL;
        }
    }
    if (!is_float) {
        return integer_of(parser, &token, negative, type);
    }
    double value;
    if (type->kind != MICA_TYPE_FLOAT) {
        mica_parser_fail(parser, &token, "a floating point number cannot have type %s",
                         mica_type_text(type));
        return NULL;
    }
    if (!mica_parser_float_value(parser, &token, &value)) {
        return NULL;
    }
    return mica_attr_float(context, negative ? -value : value, type);
}

/* --- array<i64: ...> -------------------------------------------------------------------------- */

typedef MICA_VEC(int64_t) integer_list;
typedef MICA_VEC(double) real_list;

static bool parse_list_item(mica_parser *parser, mica_type type, integer_list *integers,
                            real_list *reals) {
    mica_token at = parser->token;
    bool negative = mica_parser_take(parser, '-');
    mica_token token = parser->token;
    mica_attr value = NULL;
    if (token.kind == MICA_TOK_INT) {
        mica_parser_next(parser);
        value = integer_of(parser, &token, negative, type);
    } else if (token.kind == MICA_TOK_FLOAT && type->kind == MICA_TYPE_FLOAT) {
        double real;
        mica_parser_next(parser);
        if (mica_parser_float_value(parser, &token, &real)) {
            value = mica_attr_float(parser->context, negative ? -real : real, type);
        }
    } else {
        mica_parser_fail(parser, &at, "expected a number of type %s", mica_type_text(type));
    }
    if (!value) {
        return false;
    }
    if (type->kind == MICA_TYPE_FLOAT) {
        mica_vec_push(reals, value->real);
    } else {
        mica_vec_push(integers, value->integer);
    }
    return true;
}

static bool parse_list(mica_parser *parser, mica_type type, integer_list *integers,
                       real_list *reals) {
    if (mica_parser_take(parser, '>')) {
        return true;
    }
    if (!mica_parser_expect(parser, ':', "':' or '>'")) {
        return false;
    }
    do {
        if (!parse_list_item(parser, type, integers, reals)) {
            return false;
        }
    } while (mica_parser_take(parser, ','));
    return mica_parser_expect(parser, '>', "'>' at the end of the array");
}

static mica_attr make_list(mica_parser *parser, const mica_token *at, mica_type type,
                           const integer_list *integers, const real_list *reals) {
    mica_context *context = parser->context;
    bool signless = type->kind == MICA_TYPE_INTEGER && type->sign == MICA_SIGNLESS;
    if (signless && type->width == 64) {
        return mica_attr_i64s(context, integers->data, integers->len);
    }
    if (signless && type->width == 32) {
        return mica_attr_i32s(context, integers->data, integers->len);
    }
    if (signless && type->width == 8) {
        return mica_attr_i8s(context, integers->data, integers->len);
    }
    if (mica_type_is_float(type, MICA_F64)) {
        return mica_attr_f64s(context, reals->data, reals->len);
    }
    if (mica_type_is_float(type, MICA_F32)) {
        return mica_attr_f32s(context, reals->data, reals->len);
    }
    mica_parser_fail(parser, at, "array elements must be i8, i32, i64, f32 or f64, got %s",
                     mica_type_text(type));
    return NULL;
}

static mica_attr parse_array_of(mica_parser *parser) {
    mica_parser_next(parser); /* array */
    if (!mica_parser_expect(parser, '<', "'<'")) {
        return NULL;
    }
    mica_token at = parser->token;
    mica_type type = mica_parser_type(parser);
    /* Refuses element types before reading elements. */
    integer_list integers = {0};
    real_list reals = {0};
    mica_attr attr = type ? make_list(parser, &at, type, &integers, &reals) : NULL;
    if (attr) {
        bool ok = parse_list(parser, type, &integers, &reals);
        attr = ok ? make_list(parser, &at, type, &integers, &reals) : NULL;
    }
    mica_vec_free(&integers);
    mica_vec_free(&reals);
    return attr;
}

/* --- dense<...> ------------------------------------------------------------------------------- */

/* One element or bracket of dense<...>; text of one token with its sign. */
typedef MICA_VEC(mica_token) token_list;

static bool collect_dense(mica_parser *parser, token_list *tokens) {
    if (!mica_parser_expect(parser, '<', "'<'")) {
        return false;
    }
    int depth = 0;
    for (;; mica_parser_next(parser)) {
        mica_token token = parser->token;
        switch (token.kind) {
        case '[':
            depth++;
            break;
        case ']':
            depth--;
            break;
        case '>':
            if (depth == 0) {
                mica_parser_next(parser);
                return true;
            }
            return mica_parser_fail(parser, NULL, "expected ']'");
        case ',':
        case '-':
        case MICA_TOK_INT:
        case MICA_TOK_FLOAT:
        case MICA_TOK_STRING:
        case MICA_TOK_BARE:
            break;
        default:
            return mica_parser_fail(parser, NULL, "expected an element or '>'");
        }
        if (depth < 0 || depth > MICA_MAX_RANK) {
            return mica_parser_fail(parser, NULL, "unbalanced or too many brackets");
        }
        mica_vec_push(tokens, token);
    }
}

static bool append_element(mica_parser *parser, mica_strbuf *out, const mica_token *token,
                           bool negative, mica_type element) {
    double value;
    mica_strbuf text = {0};
    bool ok = true;
    if (token->kind == MICA_TOK_FLOAT && element->kind == MICA_TYPE_FLOAT) {
        ok = mica_parser_float_value(parser, token, &value);
        if (ok) {
            value = mica_float_round(element->float_kind, negative ? -value : value);
            mica_float_print(&text, element->float_kind, value);
        }
    } else {
        mica_strbuf_append(&text, negative ? "-" : "");
        mica_strbuf_appendn(&text, token->start, mica_token_length(token));
    }
    mica_strbuf_appendn(out, mica_strbuf_text(&text), text.len);
    mica_strbuf_free(&text);
    return ok;
}

/* Writes the elements in one spelling. Equal elements are written once, as upstream does. */
static bool write_dense(mica_parser *parser, const token_list *tokens, mica_type element,
                        mica_strbuf *out) {
    mica_strbuf first = {0};
    mica_strbuf leaf = {0};
    bool ok = true;
    bool all_equal = true;
    size_t count = 0;
    for (size_t i = 0; ok && i < tokens->len; i++) {
        const mica_token *token = &tokens->data[i];
        if (token->kind == '[' || token->kind == ']' || token->kind == ',') {
            mica_strbuf_appendn(out, token->start, 1);
            mica_strbuf_append(out, token->kind == ',' ? " " : "");
            continue;
        }
        bool negative = token->kind == '-';
        if (negative && ++i == tokens->len) {
            break;
        }
        leaf.len = 0;
        ok = append_element(parser, &leaf, &tokens->data[i], negative, element);
        mica_strbuf_appendn(out, mica_strbuf_text(&leaf), leaf.len);
        if (count++ == 0) {
            mica_strbuf_appendn(&first, mica_strbuf_text(&leaf), leaf.len);
        }
        all_equal = all_equal && first.len == leaf.len &&
                    strcmp(mica_strbuf_text(&first), mica_strbuf_text(&leaf)) == 0;
    }
    if (ok && count > 0 && all_equal) {
        out->len = 0;
        mica_strbuf_append(out, mica_strbuf_text(&first));
    }
    mica_strbuf_free(&first);
    mica_strbuf_free(&leaf);
    return ok;
}

static mica_type parse_elements_type(mica_parser *parser) {
    if (!mica_parser_expect(parser, ':', "':' and the tensor type")) {
        return NULL;
    }
    mica_token at = parser->token;
    mica_type type = mica_parser_type(parser);
    if (type && !(mica_type_is_tensor(type) && mica_type_is_static(type))) {
        mica_parser_fail(parser, &at, "elements must have a tensor type of known shape, got '%s'",
                         mica_type_text(type));
        return NULL;
    }
    return type;
}

static mica_attr parse_dense(mica_parser *parser) {
    mica_parser_next(parser); /* dense */
    token_list tokens = {0};
    mica_attr attr = NULL;
    mica_type type = NULL;
    if (collect_dense(parser, &tokens)) {
        type = parse_elements_type(parser);
    }
    if (type) {
        mica_strbuf body = {0};
        if (write_dense(parser, &tokens, type->element, &body)) {
            const char *text = mica_arena_printf(parser->arena, "dense<%s>",
                                                 mica_strbuf_text(&body));
            attr = mica_attr_elements(parser->context, text, type);
        }
        mica_strbuf_free(&body);
    }
    mica_vec_free(&tokens);
    return attr;
}

static mica_attr parse_dense_resource(mica_parser *parser) {
    mica_parser_next(parser); /* dense_resource */
    if (!mica_parser_expect(parser, '<', "'<'")) {
        return NULL;
    }
    mica_token key = parser->token;
    if (key.kind != MICA_TOK_BARE && key.kind != MICA_TOK_STRING) {
        mica_parser_fail(parser, NULL, "expected the name of a resource");
        return NULL;
    }
    mica_parser_next(parser);
    if (!mica_parser_expect(parser, '>', "'>'")) {
        return NULL;
    }
    mica_type type = parse_elements_type(parser);
    if (!type) {
        return NULL;
    }
    const char *text = mica_arena_printf(parser->arena, "dense_resource<%.*s>",
                                         (int)mica_token_length(&key), key.start);
    return mica_attr_elements(parser->context, text, type);
}

/* --- containers ------------------------------------------------------------------------------- */

typedef MICA_VEC(mica_attr) attr_items;

static mica_attr parse_array(mica_parser *parser) {
    mica_parser_next(parser); /* [ */
    attr_items items = {0};
    bool ok = true;
    if (!mica_parser_take(parser, ']')) {
        do {
            mica_attr item = mica_parser_attr(parser);
            ok = item != NULL;
            if (ok) {
                mica_vec_push(&items, item);
            }
        } while (ok && mica_parser_take(parser, ','));
        ok = ok && mica_parser_expect(parser, ']', "']' at the end of the list");
    }
    mica_attr attr = ok ? mica_attr_array(parser->context, items.data, items.len) : NULL;
    mica_vec_free(&items);
    return attr;
}

static const char *parse_attr_name(mica_parser *parser) {
    mica_token token = parser->token;
    if (token.kind == MICA_TOK_BARE) {
        mica_parser_next(parser);
        return mica_intern_n(parser->context, token.start, mica_token_length(&token));
    }
    if (token.kind != MICA_TOK_STRING) {
        mica_parser_expect(parser, MICA_TOK_BARE, "an attribute name");
        return NULL;
    }
    mica_parser_next(parser);
    if (!mica_parser_string(parser, &token)) {
        return NULL;
    }
    if (parser->scratch.len == 0 ||
        memchr(parser->scratch.data, '\0', parser->scratch.len)) {
        mica_parser_fail(parser, &token, "attribute name is empty or contains a NUL character");
        return NULL;
    }
    return mica_intern_n(parser->context, parser->scratch.data, parser->scratch.len);
}

bool mica_parser_dict(mica_parser *parser, mica_attr_list *out) {
    if (!mica_parser_expect(parser, '{', "'{'")) {
        return false;
    }
    if (mica_parser_take(parser, '}')) {
        return true;
    }
    do {
        mica_named_attr entry = {parse_attr_name(parser), NULL};
        if (!entry.name) {
            return false;
        }
        if (mica_parser_take(parser, '=')) {
            entry.value = mica_parser_attr(parser);
        } else {
            entry.value = mica_attr_unit(parser->context);
        }
        if (!entry.value) {
            return false;
        }
        mica_vec_push(out, entry);
    } while (mica_parser_take(parser, ','));
    return mica_parser_expect(parser, '}', "'}' after the attributes");
}

static int compare_names(const void *a, const void *b) {
    const mica_named_attr *left = a;
    const mica_named_attr *right = b;
    return strcmp(left->name, right->name);
}

bool mica_parser_sort_attrs(mica_parser *parser, mica_attr_list *list, const mica_token *at) {
    if (list->len > 1) {
        qsort(list->data, list->len, sizeof *list->data, compare_names);
    }
    for (size_t i = 1; i < list->len; i++) {
        if (list->data[i - 1].name == list->data[i].name) {
            return mica_parser_fail(parser, at, "attribute '%s' is given twice",
                                    list->data[i].name);
        }
    }
    return true;
}

static mica_attr parse_dict_attr(mica_parser *parser) {
    mica_token at = parser->token;
    mica_attr_list list = {0};
    mica_attr attr = NULL;
    if (mica_parser_dict(parser, &list) && mica_parser_sort_attrs(parser, &list, &at)) {
        attr = mica_attr_dict(parser->context, list.data, list.len);
    }
    mica_vec_free(&list);
    return attr;
}

/* --- the rest --------------------------------------------------------------------------------- */

/* "#dialect.body<...>", "affine_map<...>": kept as text. The cursor is behind the first token. */
static mica_attr parse_opaque(mica_parser *parser) {
    const char *start = parser->token.start;
    mica_token at = parser->token;
    if (parser->lexer.cursor < parser->lexer.end && *parser->lexer.cursor == '<') {
        if (!mica_lexer_skip_balanced(&parser->lexer)) {
            mica_parser_fail(parser, &at, "attribute body has unbalanced brackets");
            return NULL;
        }
    }
    size_t length = (size_t)(parser->lexer.cursor - start);
    mica_parser_next(parser);
    if (memchr(start, '\0', length)) {
        mica_parser_fail(parser, &at, "attribute body contains a NUL character");
        return NULL;
    }
    return mica_attr_opaque(parser->context, mica_intern_n(parser->context, start, length));
}

static mica_attr parse_hash(mica_parser *parser) {
    mica_token token = parser->token;
    size_t length = mica_token_length(&token);
    if (memchr(token.start, '.', length) || (token.end < parser->lexer.end && *token.end == '<')) {
        return parse_opaque(parser);
    }
    const mica_alias *alias = mica_parser_alias(parser);
    if (alias && !alias->attr) {
        mica_parser_fail(parser, &token, "alias is not an attribute");
    }
    return alias ? alias->attr : NULL;
}

static mica_attr parse_string(mica_parser *parser) {
    mica_token token = parser->token;
    mica_parser_next(parser);
    if (!mica_parser_string(parser, &token)) {
        return NULL;
    }
    if (parser->token.kind == ':') {
        mica_parser_fail(parser, NULL, "strings with a type are not supported");
        return NULL;
    }
    return mica_attr_string_n(parser->context, parser->scratch.data, parser->scratch.len);
}

static mica_attr parse_symbol(mica_parser *parser) {
    const char *name = mica_parser_symbol(parser);
    if (name && parser->token.kind == ':') {
        mica_parser_fail(parser, NULL, "nested symbol names are not supported");
        return NULL;
    }
    return name ? mica_attr_symbol(parser->context, name) : NULL;
}

static mica_attr parse_word(mica_parser *parser) {
    static const char *const refused[] = {"loc", "distinct", "sparse", "opaque", "strided"};
    const mica_token *token = &parser->token;
    if (mica_token_is(token, "true") || mica_token_is(token, "false")) {
        bool value = *token->start == 't';
        mica_parser_next(parser);
        return mica_attr_bool(parser->context, value);
    }
    if (mica_parser_take_word(parser, "unit")) {
        return mica_attr_unit(parser->context);
    }
    if (mica_token_is(token, "array")) {
        return parse_array_of(parser);
    }
    if (mica_token_is(token, "dense")) {
        return parse_dense(parser);
    }
    if (mica_token_is(token, "dense_resource")) {
        return parse_dense_resource(parser);
    }
    if (mica_token_is(token, "affine_map") || mica_token_is(token, "affine_set")) {
        return parse_opaque(parser);
    }
    for (size_t i = 0; i < MICA_COUNT(refused); i++) {
        if (mica_token_is(token, refused[i])) {
            mica_parser_fail(parser, NULL, "unsupported attribute '%s'", refused[i]);
            return NULL;
        }
    }
    mica_type type = mica_parser_type(parser);
    return type ? mica_attr_of_type(parser->context, type) : NULL;
}

static mica_attr parse_any(mica_parser *parser) {
    switch (parser->token.kind) {
    case '-':
    case MICA_TOK_INT:
    case MICA_TOK_FLOAT:
        return parse_number(parser);
    case MICA_TOK_STRING:
        return parse_string(parser);
    case MICA_TOK_AT:
        return parse_symbol(parser);
    case MICA_TOK_HASH:
        return parse_hash(parser);
    case MICA_TOK_BARE:
        return parse_word(parser);
    case '[':
        return parse_array(parser);
    case '{':
        return parse_dict_attr(parser);
    case '(':
    case MICA_TOK_BANG: {
        mica_type type = mica_parser_type(parser);
        return type ? mica_attr_of_type(parser->context, type) : NULL;
    }
    default:
        mica_parser_expect(parser, MICA_TOK_STRING, "an attribute");
        return NULL;
    }
}

mica_attr mica_parser_attr(mica_parser *parser) {
    if (!mica_parser_enter(parser)) {
        return NULL;
    }
    mica_attr attr = parse_any(parser);
    mica_parser_leave(parser);
    return attr;
}

mica_attr mica_parse_attr(mica_context *context, const char *text) {
    mica_parser parser;
    mica_parser_init(&parser, context, text, strlen(text), "<attribute>");
    mica_attr attr = mica_parser_attr(&parser);
    if (attr && parser.token.kind != MICA_TOK_EOF) {
        mica_parser_fail(&parser, NULL, "unexpected text after the attribute");
        attr = NULL;
    }
    mica_parser_deinit(&parser);
    return attr;
}
