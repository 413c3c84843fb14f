/* Tokens and errors for the parts of the parser. */
#include "ir/parser.h"

#include "ir/context_impl.h"
#include "utils/strings.h"

#include <stdio.h>
#include <string.h>

void mica_parser_init(mica_parser *parser, mica_context *context, const char *text, size_t length,
                      const char *file) {
    *parser = (mica_parser){
        .context = context,
        .file = mica_intern(context, file),
        .lexer = {.cursor = text, .end = text + length, .line = 1, .line_start = text},
        .arena = mica_arena_create(),
        .aliases = mica_map_create(),
        .names = mica_map_create(),
        .text = text,
    };
    mica_parser_next(parser);
}

void mica_parser_deinit(mica_parser *parser) {
    mica_arena_destroy(parser->arena);
    mica_map_destroy(parser->aliases);
    mica_map_destroy(parser->names);
    mica_vec_free(&parser->undo);
    mica_strbuf_free(&parser->scratch);
}

mica_loc mica_parser_place(mica_parser *parser, const mica_token *token) {
    return mica_loc_file(parser->context, parser->file, token->line, mica_token_column(token));
}

void mica_parser_next(mica_parser *parser) {
    parser->token = mica_lexer_next(&parser->lexer);
}


/* A broken token explains itself better than what was expected instead of it. */
bool mica_parser_fail(mica_parser *parser, const mica_token *at, const char *format, ...) {
    const mica_token *token = at ? at : &parser->token;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *message = token->kind == MICA_TOK_ERROR ? token->error : text;
    mica_emit_error(parser->context, mica_parser_place(parser, token), "%s", message);
    return false;
}

bool mica_parser_take(mica_parser *parser, int kind) {
    if (parser->token.kind != kind) {
        return false;
    }
    mica_parser_next(parser);
    return true;
}

bool mica_parser_take_word(mica_parser *parser, const char *word) {
    if (!mica_token_is(&parser->token, word)) {
        return false;
    }
    mica_parser_next(parser);
    return true;
}

bool mica_parser_expect(mica_parser *parser, int kind, const char *what) {
    if (mica_parser_take(parser, kind)) {
        return true;
    }
    if (parser->token.kind == MICA_TOK_EOF) {
        return mica_parser_fail(parser, NULL, "expected %s, got end of text", what);
    }
    size_t length = mica_token_length(&parser->token);
    return mica_parser_fail(parser, NULL, "expected %s, got '%.*s'", what,
                            (int)(length > 40 ? 40 : length), parser->token.start);
}

bool mica_parser_enter(mica_parser *parser) {
    if (parser->depth >= MICA_PARSER_MAX_DEPTH) {
        return mica_parser_fail(parser, NULL, "nested more than %d levels deep",
                                MICA_PARSER_MAX_DEPTH);
    }
    parser->depth++;
    return true;
}

void mica_parser_leave(mica_parser *parser) {
    parser->depth--;
}

/* --- literals --------------------------------------------------------------------------------- */

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 32);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Decodes one escape whose backslash is at p[0]; returns its length, 0 if it is none. */
static size_t decode_escape(const char *p, const char *end, char *out) {
    static const char from[] = "\"\\nt";
    static const char to[] = "\"\\\n\t";
    const char *simple = end - p > 1 && p[1] ? strchr(from, p[1]) : NULL;
    if (simple) {
        *out = to[simple - from];
        return 2;
    }
    if (end - p > 2 && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
        *out = (char)(hex_value(p[1]) * 16 + hex_value(p[2]));
        return 3;
    }
    return 0;
}

bool mica_parser_string(mica_parser *parser, const mica_token *token) {
    const char *p = token->start + (token->kind == MICA_TOK_AT ? 2 : 1);
    const char *end = token->end - 1;
    parser->scratch.len = 0;
    mica_strbuf_append(&parser->scratch, "");
    while (p < end) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        stop = stop ? stop : end;
        mica_strbuf_appendn(&parser->scratch, p, (size_t)(stop - p));
        p = stop;
        if (p < end) {
            char c;
            size_t length = decode_escape(p, end, &c);
            if (length == 0) {
                return mica_parser_fail(parser, token, "unknown escape in string");
            }
            mica_strbuf_appendn(&parser->scratch, &c, 1);
            p += length;
        }
    }
    return true;
}

bool mica_parser_i64(mica_parser *parser, int64_t *out) {
    mica_token at = parser->token;
    bool negative = mica_parser_take(parser, '-');
    mica_token token = parser->token;
    uint64_t value;
    if (!mica_parser_expect(parser, MICA_TOK_INT, "an integer")) {
        return false;
    }
    if (!mica_token_u64(&token, &value) || value > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return mica_parser_fail(parser, &at, "integer does not fit in 64 bits");
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool mica_parser_float_value(mica_parser *parser, const mica_token *token, double *out) {
    char small[64];
    size_t length = mica_token_length(token);
    char *text = small;
    if (length >= sizeof small) {
        text = mica_arena_strndup(parser->arena, token->start, length);
    } else {
        memcpy(small, token->start, length);
        small[length] = '\0';
    }
    if (!mica_parse_f64(text, out)) {
        return mica_parser_fail(parser, token, "floating point number is too large");
    }
    return true;
}

bool mica_parser_f64(mica_parser *parser, double *out) {
    bool negative = mica_parser_take(parser, '-');
    mica_token token = parser->token;
    double value;
    if (!mica_parser_expect(parser, MICA_TOK_FLOAT, "a number with a decimal point") ||
        !mica_parser_float_value(parser, &token, &value)) {
        return false;
    }
    *out = negative ? -value : value;
    return true;
}

const char *mica_parser_symbol(mica_parser *parser) {
    mica_token token = parser->token;
    if (!mica_parser_expect(parser, MICA_TOK_AT, "a symbol name like @main")) {
        return NULL;
    }
    if (token.start[1] != '"') {
        return mica_intern_n(parser->context, token.start + 1, mica_token_length(&token) - 1);
    }
    if (!mica_parser_string(parser, &token)) {
        return NULL;
    }
    if (memchr(parser->scratch.data, '\0', parser->scratch.len)) {
        mica_parser_fail(parser, &token, "symbol name contains a NUL character");
        return NULL;
    }
    return mica_intern_n(parser->context, parser->scratch.data, parser->scratch.len);
}
