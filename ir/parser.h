/* The parser's state and its parts; for ir/ only. A function that fails has emitted one error and
 * returns NULL or false; the caller then returns at once. */
#ifndef MICA_IR_PARSER_H
#define MICA_IR_PARSER_H

#include "ir/lexer.h"
#include "ir/op.h"
#include "utils/map.h"
#include "utils/strbuf.h"
#include "utils/vec.h"

/* Nesting of types, attributes, locations and regions together. */
#define MICA_PARSER_MAX_DEPTH 200
/* Parts that all uses of aliases together may stand for. */
#define MICA_PARSER_MAX_EXPANSION (1u << 24)

typedef MICA_VEC(mica_named_attr) mica_attr_list;
typedef MICA_VEC(mica_type) mica_type_list;
typedef MICA_VEC(mica_value *) mica_value_list;

typedef enum mica_alias_state {
    MICA_ALIAS_SEEN,
    MICA_ALIAS_ACTIVE, /* being read */
    MICA_ALIAS_DONE
} mica_alias_state;

/* "#name = ..." or "!name = ...": where it is defined, and its value when that was read. */
typedef struct mica_alias {
    mica_alias_state state;
    mica_lexer at; /* just behind the '=' */
    mica_loc loc;
    mica_attr attr;
    mica_type type;
} mica_alias;

/* What a value name means now: results of an op or a block argument. */
typedef struct mica_binding {
    mica_op *op;
    mica_value *arg;
    uint32_t first, count; /* results first .. first + count - 1 */
    int scope;             /* region depth of the definition; 0: not defined */
} mica_binding;

typedef struct mica_undo {
    mica_binding *binding;
    mica_binding old;
} mica_undo;

typedef struct mica_parser {
    mica_context *context;
    mica_module *module; /* NULL when only a type or attribute is read */
    const char *file;
    mica_lexer lexer;
    mica_token token; /* the next token */
    int depth;
    mica_arena *arena; /* scratch, dies with the parser */
    mica_map *aliases; /* "#name" -> mica_alias */
    bool aliases_scanned;
    uint64_t expansion; /* parts that aliases stood for so far */
    const char *text;
    mica_map *names; /* value name -> mica_binding */
    MICA_VEC(mica_undo) undo;
    int scope, isolated_scope; /* names of scopes below isolated_scope are not visible */
    mica_strbuf scratch;
} mica_parser;

void mica_parser_init(mica_parser *parser, mica_context *context, const char *text, size_t length,
                      const char *file);
void mica_parser_deinit(mica_parser *parser);

/* --- tokens: parser.c --- */
void mica_parser_next(mica_parser *parser);
/* Emits an error at the token (NULL: the next one); returns false. */
bool mica_parser_fail(mica_parser *parser, const mica_token *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes the next token if it is of this kind. */
bool mica_parser_take(mica_parser *parser, int kind);
/* The same for a word. */
bool mica_parser_take_word(mica_parser *parser, const char *word);
/* Takes it or fails with "expected <what>". */
bool mica_parser_expect(mica_parser *parser, int kind, const char *what);
/* Counts one more level of nesting; fails at the limit. Leave after success. */
bool mica_parser_enter(mica_parser *parser);
void mica_parser_leave(mica_parser *parser);
/* Decodes a STRING or quoted AT token into the scratch buffer. */
bool mica_parser_string(mica_parser *parser, const mica_token *token);
/* Optional '-' and an INT token that fits int64_t. */
bool mica_parser_i64(mica_parser *parser, int64_t *out);
/* Optional '-' and a FLOAT token. */
bool mica_parser_f64(mica_parser *parser, double *out);
bool mica_parser_float_value(mica_parser *parser, const mica_token *token, double *out);
/* Name in an '@' token, interned; NULL after an error. Takes the token. */
const char *mica_parser_symbol(mica_parser *parser);
/* Location of a token in the file. */
mica_loc mica_parser_place(mica_parser *parser, const mica_token *token);

/* --- types: parse_type.c --- */
mica_type mica_parser_type(mica_parser *parser);
/* "(t, t)"; appends. */
bool mica_parser_type_list(mica_parser *parser, mica_type_list *out);
/* "(t, t) -> t" or "(t, t) -> (t, t)". */
mica_type mica_parser_function_type(mica_parser *parser);

/* --- attributes: parse_attr.c --- */
mica_attr mica_parser_attr(mica_parser *parser);
/* "{name = attr, name}"; appends, unsorted. */
bool mica_parser_dict(mica_parser *parser, mica_attr_list *out);
/* Sorts by name; fails at `at` if a name comes twice. */
bool mica_parser_sort_attrs(mica_parser *parser, mica_attr_list *list, const mica_token *at);

/* --- locations and aliases: parse_loc.c --- */
/* "loc(...)"; the next token must be the word loc. */
mica_loc mica_parser_loc(mica_parser *parser);
/* "#name = ..." or "!name = ..." at the top level. */
bool mica_parser_alias_definition(mica_parser *parser);
/* Alias of the HASH or BANG token that is next, read now if it is defined later in the text; takes
 * the token. NULL after an error. */
const mica_alias *mica_parser_alias(mica_parser *parser);

/* --- values: parse_value.c --- */
bool mica_parser_define(mica_parser *parser, const mica_token *name, mica_binding binding);
/* "%name" or "%name#1"; NULL after an error. */
mica_value *mica_parser_use(mica_parser *parser);
/* A scope per region; pop_scope takes what push_scope returned. */
typedef struct mica_scope {
    size_t undo_length;
    int isolated_scope;
} mica_scope;
mica_scope mica_parser_push_scope(mica_parser *parser, bool isolated);
void mica_parser_pop_scope(mica_parser *parser, mica_scope scope);

/* --- ops: parse_op.c, parse_func.c --- */
bool mica_parser_op(mica_parser *parser, mica_block *block);
/* "{ ... }" into `region`, in the current scope. Ops before the first label go into the region's
 * first block, which is made if there is none. */
bool mica_parser_region(mica_parser *parser, mica_region *region);
/* Trailing "loc(...)" or the place of `start`. */
mica_loc mica_parser_trailing_loc(mica_parser *parser, const mica_token *start);
/* Pretty forms; the word that names the op is taken already. */
mica_op *mica_parser_module(mica_parser *parser);
mica_op *mica_parser_func(mica_parser *parser);
mica_op *mica_parser_return(mica_parser *parser);

#endif
