/* Value names and their scopes. */
#include "ir/parser.h"

#include <limits.h>

mica_scope mica_parser_push_scope(mica_parser *parser, bool isolated) {
    mica_scope scope = {parser->undo.len, parser->isolated_scope};
    parser->scope++;
    if (isolated) {
        parser->isolated_scope = parser->scope;
    }
    return scope;
}

void mica_parser_pop_scope(mica_parser *parser, mica_scope scope) {
    while (parser->undo.len > scope.undo_length) {
        mica_undo undo = parser->undo.data[--parser->undo.len];
        *undo.binding = undo.old;
    }
    parser->isolated_scope = scope.isolated_scope;
    parser->scope--;
}

static bool is_visible(const mica_parser *parser, const mica_binding *binding) {
    return binding->scope > 0 && binding->scope >= parser->isolated_scope;
}

/* Binding of a name, made when it is new. The name is copied for the map, which wants a NUL. */
static mica_binding *find(mica_parser *parser, const mica_token *name, bool make) {
    parser->scratch.len = 0;
    mica_strbuf_appendn(&parser->scratch, name->start, mica_token_length(name));
    mica_binding *binding = mica_map_get(parser->names, parser->scratch.data);
    if (!binding && make) {
        binding = mica_arena_alloc(parser->arena, sizeof *binding);
        mica_map_set(parser->names, parser->scratch.data, binding);
    }
    return binding;
}

bool mica_parser_define(mica_parser *parser, const mica_token *name, mica_binding binding) {
    mica_binding *entry = find(parser, name, true);
    if (is_visible(parser, entry)) {
        return mica_parser_fail(parser, name, "value '%.80s' is defined twice",
                                mica_strbuf_text(&parser->scratch));
    }
    mica_vec_push(&parser->undo, (mica_undo){entry, *entry});
    *entry = binding;
    entry->scope = parser->scope;
    return true;
}

/* "#1" of "%0#1". */
static bool parse_index(mica_parser *parser, uint64_t *out) {
    mica_token token = parser->token;
    mica_token digits = token;
    digits.start++;
    mica_parser_next(parser);
    if (*digits.start < '0' || *digits.start > '9' || !mica_token_u64(&digits, out)) {
        return mica_parser_fail(parser, &token, "expected a result number after '#'");
    }
    return true;
}

mica_value *mica_parser_use(mica_parser *parser) {
    mica_token token = parser->token;
    if (!mica_parser_expect(parser, MICA_TOK_PERCENT, "a value name")) {
        return NULL;
    }
    const mica_binding *binding = find(parser, &token, false);
    if (!binding || !is_visible(parser, binding)) {
        mica_parser_fail(parser, &token, "value '%.80s' is used before it is defined",
                         mica_strbuf_text(&parser->scratch));
        return NULL;
    }
    uint64_t index = 0;
    if (parser->token.kind == MICA_TOK_HASH && !parse_index(parser, &index)) {
        return NULL;
    }
    if (index >= binding->count) {
        mica_parser_fail(parser, &token, "result %llu does not exist: '%.*s' has %u",
                         (unsigned long long)index, (int)mica_token_length(&token), token.start,
                         binding->count);
        return NULL;
    }
    return binding->op ? &binding->op->results[binding->first + index] : binding->arg;
}
