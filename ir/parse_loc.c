/* Locations and aliases. */
#include "ir/parser.h"

#include "ir/context_impl.h"

#include <limits.h>
#include <string.h>

static mica_loc parse_inner(mica_parser *parser);

/* --- aliases ---------------------------------------------------------------------------------- */

static mica_alias *add_alias(mica_parser *parser, const char *name, const mica_lexer *at) {
    mica_alias *alias = mica_arena_alloc(parser->arena, sizeof *alias);
    alias->at = *at;
    mica_map_set(parser->aliases, name, alias);
    return alias;
}

/* Finds the definitions further down. Each stands at the start of a line as "#name =", which
 * nothing else in valid text does. */
static void scan_aliases(mica_parser *parser) {
    mica_lexer lexer = parser->lexer;
    parser->aliases_scanned = true;
    for (;;) {
        const char *stop = memchr(lexer.cursor, '\n', (size_t)(lexer.end - lexer.cursor));
        if (!stop) {
            return;
        }
        lexer.cursor = stop;
        mica_lexer_skip_space(&lexer);
        if (lexer.cursor >= lexer.end || (*lexer.cursor != '#' && *lexer.cursor != '!')) {
            continue;
        }
        mica_lexer probe = lexer;
        mica_token name = mica_lexer_next(&probe);
        mica_token equals = mica_lexer_next(&probe);
        if (name.kind != MICA_TOK_HASH && name.kind != MICA_TOK_BANG) {
            continue;
        }
        const char *text = mica_arena_strndup(parser->arena, name.start, mica_token_length(&name));
        if (equals.kind == '=' && !mica_map_has(parser->aliases, text)) {
            add_alias(parser, text, &probe);
        }
    }
}

/* Reads the value; the next token is its first. */
static bool parse_value(mica_parser *parser, mica_alias *alias, bool is_type) {
    if (alias->state == MICA_ALIAS_ACTIVE) {
        return mica_parser_fail(parser, NULL, "alias is defined by itself");
    }
    alias->state = MICA_ALIAS_ACTIVE;
    if (is_type) {
        alias->type = mica_parser_type(parser);
    } else if (mica_token_is(&parser->token, "loc")) {
        alias->loc = mica_parser_loc(parser);
    } else {
        alias->attr = mica_parser_attr(parser);
    }
    alias->state = MICA_ALIAS_DONE;
    return alias->type || alias->loc || alias->attr;
}

/* An alias stands for its value written out here. What few lines can ask for by aliases of aliases
 * has no bound, so depth and total size are limited. */
static bool check_expansion(mica_parser *parser, const mica_token *at, const mica_alias *alias) {
    mica_extent extent = {0, 0};
    if (alias->type) {
        extent = (mica_extent){alias->type->depth, alias->type->weight};
    } else if (alias->attr) {
        extent = (mica_extent){alias->attr->depth, alias->attr->weight};
    } else if (alias->loc) {
        extent = (mica_extent){alias->loc->depth, alias->loc->weight};
    }
    if (parser->depth + (int)extent.depth > MICA_PARSER_MAX_DEPTH) {
        return mica_parser_fail(parser, at, "nested more than %d levels deep",
                                MICA_PARSER_MAX_DEPTH);
    }
    parser->expansion += extent.weight;
    if (parser->expansion > MICA_PARSER_MAX_EXPANSION) {
        return mica_parser_fail(parser, at, "aliases expand to too much text");
    }
    return true;
}

const mica_alias *mica_parser_alias(mica_parser *parser) {
    mica_token token = parser->token;
    const char *name = mica_arena_strndup(parser->arena, token.start, mica_token_length(&token));
    mica_alias *alias = mica_map_get(parser->aliases, name);
    if (!alias && !parser->aliases_scanned) {
        scan_aliases(parser);
        alias = mica_map_get(parser->aliases, name);
    }
    if (!alias) {
        mica_parser_fail(parser, &token, "alias '%.80s' is not defined", name);
        return NULL;
    }
    if (alias->state == MICA_ALIAS_ACTIVE) {
        mica_parser_fail(parser, &token, "alias '%.80s' is defined by itself", name);
        return NULL;
    }
    if (alias->state == MICA_ALIAS_SEEN) {
        mica_lexer back = parser->lexer;
        parser->lexer = alias->at;
        mica_parser_next(parser);
        bool ok = parse_value(parser, alias, token.kind == MICA_TOK_BANG);
        parser->lexer = back;
        if (!ok) {
            return NULL;
        }
    }
    if (!check_expansion(parser, &token, alias)) {
        return NULL;
    }
    mica_parser_next(parser);
    return alias;
}

bool mica_parser_alias_definition(mica_parser *parser) {
    mica_token token = parser->token;
    const char *name = mica_arena_strndup(parser->arena, token.start, mica_token_length(&token));
    if (memchr(token.start, '.', mica_token_length(&token))) {
        return mica_parser_fail(parser, NULL, "alias name '%.80s' contains a dot", name);
    }
    mica_parser_next(parser);
    if (parser->token.kind != '=') {
        return mica_parser_expect(parser, '=', "'=' after the alias name");
    }
    mica_lexer here = parser->lexer;
    mica_alias *alias = mica_map_get(parser->aliases, name);
    if (alias && alias->at.cursor != here.cursor) {
        return mica_parser_fail(parser, &token, "alias '%.80s' is defined twice", name);
    }
    if (!alias) {
        alias = add_alias(parser, name, &here);
    }
    mica_parser_next(parser);
    /* Read again even if a use further up has read it: this moves past the text. */
    return parse_value(parser, alias, token.kind == MICA_TOK_BANG);
}

/* --- locations -------------------------------------------------------------------------------- */

static bool parse_position(mica_parser *parser, int *out) {
    mica_token at = parser->token;
    int64_t value;
    if (at.kind == '-' || !mica_parser_i64(parser, &value)) {
        return at.kind == '-' ? mica_parser_fail(parser, &at, "expected a line or column") : false;
    }
    if (value > INT_MAX) {
        return mica_parser_fail(parser, &at, "line or column is too large");
    }
    *out = (int)value;
    return true;
}

/* "name", "name"(loc) or "file":1:2. */
static mica_loc parse_named(mica_parser *parser) {
    mica_token token = parser->token;
    mica_parser_next(parser);
    if (!mica_parser_string(parser, &token)) {
        return NULL;
    }
    const char *name = mica_intern_n(parser->context, mica_strbuf_text(&parser->scratch),
                                     parser->scratch.len);
    if (strlen(name) != parser->scratch.len) {
        mica_parser_fail(parser, &token, "name contains a NUL character");
        return NULL;
    }
    if (mica_parser_take(parser, ':')) {
        int line, column;
        if (!parse_position(parser, &line) || !mica_parser_expect(parser, ':', "':'") ||
            !parse_position(parser, &column)) {
            return NULL;
        }
        return mica_loc_file(parser->context, name, line, column);
    }
    mica_loc child = NULL;
    if (mica_parser_take(parser, '(')) {
        child = parse_inner(parser);
        if (!child || !mica_parser_expect(parser, ')', "')' after the location")) {
            return NULL;
        }
    }
    return mica_loc_name(parser->context, name, child);
}

typedef MICA_VEC(mica_loc) loc_list;

static bool parse_parts(mica_parser *parser, loc_list *parts) {
    if (!mica_parser_expect(parser, '[', "'['")) {
        return false;
    }
    if (mica_parser_take(parser, ']')) {
        return true;
    }
    do {
        mica_loc part = parse_inner(parser);
        if (!part) {
            return false;
        }
        mica_vec_push(parts, part);
    } while (mica_parser_take(parser, ','));
    return mica_parser_expect(parser, ']', "']' after the fused locations");
}

/* The metadata of fused<...> is read and dropped. */
static mica_loc parse_fused(mica_parser *parser) {
    mica_parser_next(parser); /* fused */
    if (mica_parser_take(parser, '<')) {
        if (!mica_parser_attr(parser) || !mica_parser_expect(parser, '>', "'>'")) {
            return NULL;
        }
    }
    loc_list parts = {0};
    mica_loc loc = NULL;
    if (parse_parts(parser, &parts)) {
        loc = mica_loc_fused(parser->context, parts.data, parts.len);
    }
    mica_vec_free(&parts);
    return loc;
}

static mica_loc parse_one(mica_parser *parser) {
    if (parser->token.kind == MICA_TOK_STRING) {
        return parse_named(parser);
    }
    if (mica_parser_take_word(parser, "unknown")) {
        return mica_loc_unknown(parser->context);
    }
    if (mica_token_is(&parser->token, "fused")) {
        return parse_fused(parser);
    }
    if (mica_token_is(&parser->token, "loc")) {
        return mica_parser_loc(parser);
    }
    if (parser->token.kind == MICA_TOK_HASH) {
        mica_token token = parser->token;
        const mica_alias *alias = mica_parser_alias(parser);
        if (alias && !alias->loc) {
            mica_parser_fail(parser, &token, "alias is not a location");
        }
        return alias ? alias->loc : NULL;
    }
    if (mica_token_is(&parser->token, "callsite")) {
        mica_parser_fail(parser, NULL, "callsite locations are not supported");
        return NULL;
    }
    mica_parser_expect(parser, MICA_TOK_STRING, "a location");
    return NULL;
}

static mica_loc parse_inner(mica_parser *parser) {
    if (!mica_parser_enter(parser)) {
        return NULL;
    }
    mica_loc loc = parse_one(parser);
    mica_parser_leave(parser);
    return loc;
}

mica_loc mica_parser_loc(mica_parser *parser) {
    if (!mica_parser_take_word(parser, "loc")) {
        mica_parser_fail(parser, NULL, "expected a location");
        return NULL;
    }
    if (!mica_parser_expect(parser, '(', "'(' after loc")) {
        return NULL;
    }
    mica_loc loc = parse_inner(parser);
    if (loc && !mica_parser_expect(parser, ')', "')' at the end of the location")) {
        return NULL;
    }
    return loc;
}
