/* Tokens of MLIR's text; for ir/ only. The lexer makes one token at a time from any position, so
 * the parser can jump (aliases defined later) and read shapes like 1x3x224x224 character by
 * character. */
#ifndef MICA_IR_LEXER_H
#define MICA_IR_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Punctuation has its character as kind. */
enum {
    MICA_TOK_EOF = 256,
    MICA_TOK_ERROR,
    MICA_TOK_BARE,    /* word, also with dots: func.func */
    MICA_TOK_AT,      /* @name or @"name" */
    MICA_TOK_HASH,    /* #name */
    MICA_TOK_BANG,    /* !name */
    MICA_TOK_PERCENT, /* %name */
    MICA_TOK_CARET,   /* ^name */
    MICA_TOK_INT,     /* 12 or 0xFF */
    MICA_TOK_FLOAT,   /* 1.5e-3 */
    MICA_TOK_STRING,  /* with its quotes */
    MICA_TOK_ARROW,   /* -> */
};

typedef struct mica_token {
    int kind;
    const char *start, *end;
    int line;
    const char *line_start;
    const char *error; /* ERROR: what is wrong */
} mica_token;

typedef struct mica_lexer {
    const char *cursor, *end;
    int line;
    const char *line_start;
} mica_lexer;

mica_token mica_lexer_next(mica_lexer *lexer);
/* Moves past white space and comments. */
void mica_lexer_skip_space(mica_lexer *lexer);
/* Moves past text with balanced brackets that starts at an opening one; strings and -> are taken
 * whole. Returns false if it does not end or nests more than 200 deep. */
bool mica_lexer_skip_balanced(mica_lexer *lexer);

static inline size_t mica_token_length(const mica_token *token) {
    return (size_t)(token->end - token->start);
}
bool mica_token_is(const mica_token *token, const char *text);
/* Value of an INT token; false if it needs more than 64 bits. */
bool mica_token_u64(const mica_token *token, uint64_t *out);
bool mica_token_is_hex(const mica_token *token);
/* Column of a token, from 1. */
int mica_token_column(const mica_token *token);

#endif
