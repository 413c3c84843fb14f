#include "ir/lexer.h"

#include <limits.h>
#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_bare(char c) {
    return is_letter(c) || is_digit(c) || c == '$' || c == '.';
}

static bool is_suffix(char c) {
    return is_bare(c) || c == '-';
}

static void count_line(mica_lexer *lexer) {
    if (lexer->line < INT_MAX) {
        lexer->line++;
    }
    lexer->line_start = lexer->cursor + 1;
}

void mica_lexer_skip_space(mica_lexer *lexer) {
    while (lexer->cursor < lexer->end) {
        char c = *lexer->cursor;
        if (c == '\n') {
            count_line(lexer);
        } else if (c == '/' && lexer->end - lexer->cursor > 1 && lexer->cursor[1] == '/') {
            const char *stop = memchr(lexer->cursor, '\n', (size_t)(lexer->end - lexer->cursor));
            lexer->cursor = stop ? stop : lexer->end;
            continue;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            return;
        }
        lexer->cursor++;
    }
}

/* End of the string that starts at the quote, or NULL if it does not end on its line or holds a NUL
 * character (which must be written as an escape). */
static const char *string_end(const char *quote, const char *end) {
    for (const char *p = quote + 1; p < end && *p != '\n' && *p != '\0'; p++) {
        if (*p == '\\' && p + 1 < end && p[1] > '\n') {
            p++;
        } else if (*p == '"') {
            return p + 1;
        }
    }
    return NULL;
}

/* #name and the like: digits only, or a word that starts with no digit. */
static const char *suffix_end(const char *p, const char *end) {
    if (p < end && is_digit(*p)) {
        while (p < end && is_digit(*p)) {
            p++;
        }
        return p;
    }
    while (p < end && is_suffix(*p)) {
        p++;
    }
    return p;
}

static void lex_number(mica_lexer *lexer, mica_token *token) {
    const char *p = token->start;
    const char *end = lexer->end;
    token->kind = MICA_TOK_INT;
    if (*p == '0' && end - p > 2 && p[1] == 'x' && is_hex(p[2])) {
        p += 2;
        while (p < end && is_hex(*p)) {
            p++;
        }
        token->end = p;
        return;
    }
    while (p < end && is_digit(*p)) {
        p++;
    }
    if (p < end && *p == '.') {
        token->kind = MICA_TOK_FLOAT;
        p++;
        while (p < end && is_digit(*p)) {
            p++;
        }
        const char *q = p;
        if (q < end && (*q == 'e' || *q == 'E')) {
            q++;
            q += q < end && (*q == '+' || *q == '-');
            if (q < end && is_digit(*q)) {
                while (q < end && is_digit(*q)) {
                    q++;
                }
                p = q;
            }
        }
    }
    token->end = p;
}

static void fail(mica_token *token, const char *error) {
    token->kind = MICA_TOK_ERROR;
    token->error = error;
}

static void lex_string(mica_lexer *lexer, mica_token *token, const char *quote, int kind) {
    const char *end = string_end(quote, lexer->end);
    if (!end) {
        fail(token, "string does not end on its line");
        return;
    }
    token->kind = kind;
    token->end = end;
}

static void lex_prefixed(mica_lexer *lexer, mica_token *token, int kind) {
    const char *p = token->start + 1;
    if (kind == MICA_TOK_AT && p < lexer->end && *p == '"') {
        lex_string(lexer, token, p, kind);
        return;
    }
    token->kind = kind;
    token->end = suffix_end(p, lexer->end);
    if (token->end == p) {
        fail(token, "expected a name after this character");
    }
}

static int prefix_kind(char c) {
    switch (c) {
    case '@':
        return MICA_TOK_AT;
    case '#':
        return MICA_TOK_HASH;
    case '!':
        return MICA_TOK_BANG;
    case '%':
        return MICA_TOK_PERCENT;
    case '^':
        return MICA_TOK_CARET;
    default:
        return 0;
    }
}

mica_token mica_lexer_next(mica_lexer *lexer) {
    mica_lexer_skip_space(lexer);
    const char *p = lexer->cursor;
    mica_token token = {
        .start = p, .end = p + 1, .line = lexer->line, .line_start = lexer->line_start};
    if (p >= lexer->end) {
        token.kind = MICA_TOK_EOF;
        token.end = p;
        return token;
    }
    char c = *p;
    int kind = prefix_kind(c);
    if (kind) {
        lex_prefixed(lexer, &token, kind);
    } else if (is_letter(c)) {
        token.kind = MICA_TOK_BARE;
        while (token.end < lexer->end && is_bare(*token.end)) {
            token.end++;
        }
    } else if (is_digit(c)) {
        lex_number(lexer, &token);
    } else if (c == '"') {
        lex_string(lexer, &token, p, MICA_TOK_STRING);
    } else if (c == '-' && lexer->end - p > 1 && p[1] == '>') {
        token.kind = MICA_TOK_ARROW;
        token.end = p + 2;
    } else if (c != '\0' && strchr("()[]{}<>,:=*?-+|", c)) {
        token.kind = c;
    } else {
        fail(&token, "unexpected character");
    }
    lexer->cursor = token.end;
    return token;
}

bool mica_lexer_skip_balanced(mica_lexer *lexer) {
    char stack[200];
    size_t depth = 0;
    while (lexer->cursor < lexer->end) {
        char c = *lexer->cursor;
        if (c == '"') {
            const char *end = string_end(lexer->cursor, lexer->end);
            if (!end) {
                return false;
            }
            lexer->cursor = end;
            continue;
        }
        if (c == '\n') {
            count_line(lexer);
        } else if (c == '-' && lexer->end - lexer->cursor > 1 && lexer->cursor[1] == '>') {
            lexer->cursor++;
        } else if (c != '\0' && strchr("<([{", c)) {
            if (depth == sizeof stack) {
                return false;
            }
            stack[depth++] = c;
        } else if (c == '>' || c == ')' || c == ']' || c == '}') {
            char open = c == ')' ? '(' : (char)(c - 2); /* in ASCII: <> [] {} are 2 apart */
            if (depth == 0 || stack[depth - 1] != open) {
                return false;
            }
            depth--;
        }
        lexer->cursor++;
        if (depth == 0) {
            return true;
        }
    }
    return false;
}

/* --- tokens ----------------------------------------------------------------------------------- */

bool mica_token_is(const mica_token *token, const char *text) {
    size_t length = strlen(text);
    return token->kind == MICA_TOK_BARE && mica_token_length(token) == length &&
           memcmp(token->start, text, length) == 0;
}

bool mica_token_is_hex(const mica_token *token) {
    return mica_token_length(token) > 2 && token->start[1] == 'x';
}

bool mica_token_u64(const mica_token *token, uint64_t *out) {
    bool hex = mica_token_is_hex(token);
    uint64_t value = 0;
    for (const char *p = token->start + (hex ? 2 : 0); p < token->end; p++) {
        unsigned digit = is_digit(*p) ? (unsigned)(*p - '0') : ((unsigned)*p | 32u) - 'a' + 10u;
        if (__builtin_mul_overflow(value, hex ? 16u : 10u, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

int mica_token_column(const mica_token *token) {
    ptrdiff_t column = token->start - token->line_start + 1;
    return column > INT_MAX ? INT_MAX : (int)column;
}
