/* Types. */
#include "ir/parser.h"

#include "ir/context_impl.h"
#include "ir/float_format.h"
#include "ir/text.h"
#include "utils/checked.h"

#include <math.h>
#include <string.h>

/* "i8", "si16", "ui32", and inside quantized types "u8": width 0 if the word is no integer type. */
static int integer_word(const mica_token *token, bool in_quant, mica_sign *out_sign) {
    const char *p = token->start;
    const char *end = token->end;
    *out_sign = *p == 's' ? MICA_SIGNED : *p == 'u' ? MICA_UNSIGNED : MICA_SIGNLESS;
    p += *out_sign != MICA_SIGNLESS;
    bool short_form = in_quant && *out_sign == MICA_UNSIGNED && p < end && *p != 'i';
    if (!short_form && (p == end || *p++ != 'i')) {
        return 0;
    }
    if (p == end || end - p > 7 || *p == '0') {
        return 0;
    }
    int width = 0;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9') {
            return 0;
        }
        width = width * 10 + (*p - '0');
    }
    return width;
}

/* --- tensors ---------------------------------------------------------------------------------- */

/* One dimension at the cursor, '?' or a number, then 'x'. Returns 1 if there was one, 0 if the
 * element type starts here, -1 after an error. By characters: 3x4xf32 and 0x4 are no tokens. */
static int parse_dim(mica_parser *parser, int64_t *out) {
    mica_lexer *lexer = &parser->lexer;
    mica_lexer_skip_space(lexer);
    mica_token at = {.kind = MICA_TOK_INT,
                     .start = lexer->cursor,
                     .end = lexer->cursor,
                     .line = lexer->line,
                     .line_start = lexer->line_start};
    const char *p = lexer->cursor;
    if (p < lexer->end && *p == '?') {
        *out = MICA_DYNAMIC;
        p++;
    } else {
        int64_t value = 0;
        while (p < lexer->end && *p >= '0' && *p <= '9') {
            if (!mica_mul_ok(value, 10, &value) || !mica_add_ok(value, *p - '0', &value)) {
                mica_parser_fail(parser, &at, "dimension does not fit in 64 bits");
                return -1;
            }
            p++;
        }
        *out = value;
    }
    if (p == lexer->cursor) {
        return 0;
    }
    lexer->cursor = p;
    mica_lexer_skip_space(lexer);
    if (lexer->cursor >= lexer->end || *lexer->cursor != 'x') {
        mica_parser_fail(parser, &at, "expected 'x' after a dimension");
        return -1;
    }
    lexer->cursor++;
    return 1;
}

/* Dimensions after '<', which is the next token; leaves the element type's first token next. */
static bool parse_dims(mica_parser *parser, int *out_rank, int64_t *dims) {
    mica_token at = parser->token;
    if (parser->token.kind != '<') {
        return mica_parser_expect(parser, '<', "'<'");
    }
    mica_lexer_skip_space(&parser->lexer);
    mica_lexer *lexer = &parser->lexer;
    if (lexer->end - lexer->cursor > 1 && lexer->cursor[0] == '*' && lexer->cursor[1] == 'x') {
        lexer->cursor += 2;
        *out_rank = -1;
        mica_parser_next(parser);
        return true;
    }
    int rank = 0;
    int64_t count = 1;
    for (;;) {
        int64_t dim;
        int found = parse_dim(parser, &dim);
        if (found < 0) {
            return false;
        }
        if (found == 0) {
            break;
        }
        if (rank == MICA_MAX_RANK) {
            return mica_parser_fail(parser, &at, "tensor has more than %d dimensions",
                                    MICA_MAX_RANK);
        }
        if (dim > 0 && !mica_mul_ok(count, dim, &count)) {
            return mica_parser_fail(parser, &at, "tensor has more than 2^63 elements");
        }
        dims[rank++] = dim;
    }
    *out_rank = rank;
    mica_parser_next(parser);
    return true;
}

static mica_type parse_tensor(mica_parser *parser) {
    int rank = 0;
    int64_t dims[MICA_MAX_RANK];
    if (!parse_dims(parser, &rank, dims)) {
        return NULL;
    }
    mica_token at = parser->token;
    mica_type element = mica_parser_type(parser);
    if (!element) {
        return NULL;
    }
    if (element->kind == MICA_TYPE_TENSOR || element->kind == MICA_TYPE_FUNCTION ||
        element->kind == MICA_TYPE_NONE) {
        mica_parser_fail(parser, &at, "type cannot be the element type of a tensor");
        return NULL;
    }
    mica_attr encoding = NULL;
    if (mica_parser_take(parser, ',')) {
        encoding = mica_parser_attr(parser);
        if (!encoding) {
            return NULL;
        }
    }
    if (!mica_parser_expect(parser, '>', "'>' at the end of the tensor type")) {
        return NULL;
    }
    return mica_type_tensor(parser->context, rank, dims, element, encoding);
}

/* --- quant ------------------------------------------------------------------------------------ */

typedef MICA_VEC(double) scale_list;
typedef MICA_VEC(int64_t) zero_list;

/* "i8", "u8" or with a range "i8<-127:127>". */
static bool parse_storage(mica_parser *parser, mica_type *out, int64_t *out_min, int64_t *out_max) {
    mica_token token = parser->token;
    mica_sign sign = MICA_SIGNED;
    int width = token.kind == MICA_TOK_BARE ? integer_word(&token, true, &sign) : 0;
    if (width < 1 || width > 32) {
        return mica_parser_fail(parser, &token,
                                "expected a storage type like i8 or u8 of at most 32 bits");
    }
    mica_parser_next(parser);
    *out = mica_type_integer(parser->context, width,
                             sign == MICA_UNSIGNED ? MICA_UNSIGNED : MICA_SIGNED);
    mica_type_integer_range(*out, out_min, out_max);
    if (parser->token.kind != '<') {
        return true;
    }
    mica_token at = parser->token;
    mica_parser_next(parser);
    int64_t low, high;
    if (!mica_parser_i64(parser, &low) || !mica_parser_expect(parser, ':', "':'") ||
        !mica_parser_i64(parser, &high) || !mica_parser_expect(parser, '>', "'>'")) {
        return false;
    }
    if (low < *out_min || high > *out_max || low >= high) {
        return mica_parser_fail(parser, &at, "storage range %lld:%lld is empty or not inside %s",
                                (long long)low, (long long)high, mica_type_text(*out));
    }
    *out_min = low;
    *out_max = high;
    return true;
}

static mica_type parse_expressed(mica_parser *parser) {
    mica_token at = parser->token;
    mica_type type = mica_parser_type(parser);
    if (type && type->kind != MICA_TYPE_FLOAT) {
        mica_parser_fail(parser, &at, "expected a float type, got '%s'", mica_type_text(type));
        return NULL;
    }
    return type;
}

static bool parse_scale(mica_parser *parser, double *out_scale, int64_t *out_zero) {
    mica_token at = parser->token;
    if (!mica_parser_f64(parser, out_scale)) {
        return false;
    }
    if (!(*out_scale > 0.0) || isinf(*out_scale)) {
        return mica_parser_fail(parser, &at, "scale must be above zero, got %g", *out_scale);
    }
    *out_zero = 0;
    return !mica_parser_take(parser, ':') || mica_parser_i64(parser, out_zero);
}

static bool parse_scale_list(mica_parser *parser, scale_list *scales, zero_list *zeros) {
    do {
        double scale;
        int64_t zero;
        if (!parse_scale(parser, &scale, &zero)) {
            return false;
        }
        mica_vec_push(scales, scale);
        mica_vec_push(zeros, zero);
    } while (mica_parser_take(parser, ','));
    return true;
}

/* After "!quant.uniform<storage:expressed": the axis and scales up to '>'. */
static bool parse_uniform_rest(mica_parser *parser, int64_t *out_axis, scale_list *scales,
                               zero_list *zeros) {
    *out_axis = -1;
    mica_token at = parser->token;
    if (mica_parser_take(parser, ':')) {
        if (!mica_parser_i64(parser, out_axis)) {
            return false;
        }
        if (*out_axis < 0 || *out_axis >= MICA_MAX_RANK) {
            return mica_parser_fail(parser, &at, "quantized axis must be 0 to %d, got %lld",
                                    MICA_MAX_RANK - 1, (long long)*out_axis);
        }
    }
    if (!mica_parser_expect(parser, ',', "','")) {
        return false;
    }
    bool braces = *out_axis >= 0;
    if (braces && !mica_parser_expect(parser, '{', "'{' before the scales of the axis")) {
        return false;
    }
    if (!parse_scale_list(parser, scales, zeros)) {
        return false;
    }
    if (braces && !mica_parser_expect(parser, '}', "'}' after the scales")) {
        return false;
    }
    if (!braces && scales->len != 1) {
        return mica_parser_fail(parser, &at, "several scales need an axis");
    }
    return mica_parser_expect(parser, '>', "'>' at the end of the quantized type");
}

static mica_type parse_uniform(mica_parser *parser) {
    mica_type storage = NULL;
    mica_type expressed;
    mica_type type = NULL;
    int64_t min = 0;
    int64_t max = 0;
    int64_t axis = -1;
    if (!mica_parser_expect(parser, '<', "'<'") || !parse_storage(parser, &storage, &min, &max) ||
        !mica_parser_expect(parser, ':', "':'") || !(expressed = parse_expressed(parser))) {
        return NULL;
    }
    scale_list scales = {0};
    zero_list zeros = {0};
    if (parse_uniform_rest(parser, &axis, &scales, &zeros)) {
        type = mica_type_uniform_ranged(parser->context, storage, expressed, (int)axis, scales.data,
                                        zeros.data, scales.len, min, max);
    }
    mica_vec_free(&scales);
    mica_vec_free(&zeros);
    return type;
}

static mica_type parse_calibrated(mica_parser *parser) {
    mica_type expressed;
    double min, max;
    if (!mica_parser_expect(parser, '<', "'<'") || !(expressed = parse_expressed(parser)) ||
        !mica_parser_expect(parser, '<', "'<'")) {
        return NULL;
    }
    mica_token at = parser->token;
    if (!mica_parser_f64(parser, &min) || !mica_parser_expect(parser, ':', "':'") ||
        !mica_parser_f64(parser, &max) || !mica_parser_expect(parser, '>', "'>'") ||
        !mica_parser_expect(parser, '>', "'>'")) {
        return NULL;
    }
    if (!(min < max)) {
        mica_parser_fail(parser, &at, "calibrated range must have min < max, got %g and %g", min,
                         max);
        return NULL;
    }
    return mica_type_calibrated(parser->context, expressed, min, max);
}

/* --- all types -------------------------------------------------------------------------------- */

static mica_type parse_bang(mica_parser *parser) {
    mica_token token = parser->token;
    size_t length = mica_token_length(&token);
    if (length == 14 && memcmp(token.start, "!quant.uniform", 14) == 0) {
        mica_parser_next(parser);
        return parse_uniform(parser);
    }
    if (length == 17 && memcmp(token.start, "!quant.calibrated", 17) == 0) {
        mica_parser_next(parser);
        return parse_calibrated(parser);
    }
    if (memchr(token.start, '.', length) || (token.end < parser->lexer.end && *token.end == '<')) {
        mica_parser_fail(parser, NULL, "unsupported type '%.*s'",
                         (int)(length > 60 ? 60 : length), token.start);
        return NULL;
    }
    const mica_alias *alias = mica_parser_alias(parser);
    if (alias && !alias->type) {
        mica_parser_fail(parser, &token, "alias is not a type");
    }
    return alias ? alias->type : NULL;
}

static mica_type parse_word(mica_parser *parser) {
    mica_token token = parser->token;
    mica_context *context = parser->context;
    mica_sign sign;
    mica_float_kind kind;
    mica_type type = NULL;
    int width = integer_word(&token, false, &sign);
    if (mica_token_is(&token, "tensor")) {
        mica_parser_next(parser);
        return parse_tensor(parser);
    }
    if (width >= 1 && width <= 64) {
        type = mica_type_integer(context, width, sign);
    } else if (mica_token_is(&token, "index")) {
        type = mica_type_index(context);
    } else if (mica_token_is(&token, "none")) {
        type = mica_type_none(context);
    } else if (mica_float_by_name(token.start, mica_token_length(&token), &kind)) {
        type = mica_type_float(context, kind);
    } else {
        size_t length = mica_token_length(&token);
        mica_parser_fail(parser, NULL, "unsupported type '%.*s'", (int)(length > 60 ? 60 : length),
                         token.start);
        return NULL;
    }
    mica_parser_next(parser);
    return type;
}

mica_type mica_parser_type(mica_parser *parser) {
    if (!mica_parser_enter(parser)) {
        return NULL;
    }
    mica_type type = NULL;
    if (parser->token.kind == '(') {
        type = mica_parser_function_type(parser);
    } else if (parser->token.kind == MICA_TOK_BANG) {
        type = parse_bang(parser);
    } else if (parser->token.kind == MICA_TOK_BARE) {
        type = parse_word(parser);
    } else {
        mica_parser_fail(parser, NULL, "expected a type");
    }
    mica_parser_leave(parser);
    return type;
}

bool mica_parser_type_list(mica_parser *parser, mica_type_list *out) {
    if (!mica_parser_expect(parser, '(', "'('")) {
        return false;
    }
    if (mica_parser_take(parser, ')')) {
        return true;
    }
    do {
        mica_type type = mica_parser_type(parser);
        if (!type) {
            return false;
        }
        mica_vec_push(out, type);
    } while (mica_parser_take(parser, ','));
    return mica_parser_expect(parser, ')', "')' after the types");
}

static bool parse_function_parts(mica_parser *parser, mica_type_list *inputs,
                                 mica_type_list *results) {
    if (!mica_parser_type_list(parser, inputs) ||
        !mica_parser_expect(parser, MICA_TOK_ARROW, "'->'")) {
        return false;
    }
    if (parser->token.kind == '(') {
        return mica_parser_type_list(parser, results);
    }
    mica_type type = mica_parser_type(parser);
    if (type) {
        mica_vec_push(results, type);
    }
    return type != NULL;
}

mica_type mica_parser_function_type(mica_parser *parser) {
    mica_type_list inputs = {0};
    mica_type_list results = {0};
    mica_type type = NULL;
    if (parse_function_parts(parser, &inputs, &results)) {
        type = mica_type_function(parser->context, inputs.data, inputs.len, results.data,
                                  results.len);
    }
    mica_vec_free(&inputs);
    mica_vec_free(&results);
    return type;
}

mica_type mica_parse_type(mica_context *context, const char *text) {
    mica_parser parser;
    mica_parser_init(&parser, context, text, strlen(text), "<type>");
    mica_type type = mica_parser_type(&parser);
    if (type && parser.token.kind != MICA_TOK_EOF) {
        mica_parser_fail(&parser, NULL, "unexpected text after the type");
        type = NULL;
    }
    mica_parser_deinit(&parser);
    return type;
}
