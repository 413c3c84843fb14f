/* Attributes: uniqued constants attached to ops. */
#ifndef MICA_IR_ATTR_H
#define MICA_IR_ATTR_H

#include "ir/context.h"
#include "ir/type.h"

typedef enum mica_attr_kind {
    MICA_ATTR_UNIT,
    MICA_ATTR_BOOL,
    MICA_ATTR_INTEGER, /* 1 : i64 */
    MICA_ATTR_FLOAT,   /* 1.0 : f64 */
    MICA_ATTR_STRING,
    MICA_ATTR_ARRAY,   /* [a, b] */
    MICA_ATTR_DICT,    /* {k = v}, sorted by key */
    MICA_ATTR_TYPE,
    MICA_ATTR_SYMBOL,  /* @main */
    MICA_ATTR_I64S,    /* array<i64: 1, 2> */
    MICA_ATTR_I32S,    /* array<i32: ...> */
    MICA_ATTR_I8S,     /* array<i8: ...> */
    MICA_ATTR_F64S,    /* array<f64: ...> */
    MICA_ATTR_F32S,    /* array<f32: ...> */
    MICA_ATTR_ELEMENTS, /* dense<...> / dense_resource<...> : tensor type, kept as text */
    MICA_ATTR_OPAQUE,  /* #dialect.body, affine_map<...>: kept as text */
} mica_attr_kind;

typedef struct mica_named_attr {
    const char *name; /* interned */
    mica_attr value;
} mica_named_attr;

struct mica_attr_storage {
    mica_attr_kind kind;
    int64_t integer;          /* INTEGER, BOOL */
    double real;              /* FLOAT */
    mica_type type;           /* INTEGER, FLOAT, TYPE, ELEMENTS */
    const char *text;         /* STRING, SYMBOL (without @), ELEMENTS, OPAQUE: interned */
    size_t length;            /* STRING: bytes (may hold NUL) */
    const mica_attr *items;   /* ARRAY */
    const mica_named_attr *entries; /* DICT */
    const int64_t *integers;  /* I64S, I32S, I8S */
    const double *reals;      /* F64S, F32S */
    size_t count;             /* ARRAY, DICT, *S */
    uint32_t depth, weight; /* levels and parts when written out; bound what a text may ask for */
    mica_context *context;
};

mica_attr mica_attr_unit(mica_context *context);
mica_attr mica_attr_bool(mica_context *context, bool value);
/* The value is cut to the width of the type; an i1 gives the boolean attribute, as in MLIR. */
mica_attr mica_attr_integer(mica_context *context, int64_t value, mica_type type);
mica_attr mica_attr_i64(mica_context *context, int64_t value);
/* The value is rounded to the type. */
mica_attr mica_attr_float(mica_context *context, double value, mica_type type);
mica_attr mica_attr_f64(mica_context *context, double value);
mica_attr mica_attr_string(mica_context *context, const char *text);
mica_attr mica_attr_array(mica_context *context, const mica_attr *items, size_t count);
/* Any order; a key used twice is a bug of the caller. */
mica_attr mica_attr_dict(mica_context *context, const mica_named_attr *entries, size_t count);
mica_attr mica_attr_of_type(mica_context *context, mica_type type);
mica_attr mica_attr_symbol(mica_context *context, const char *name);
mica_attr mica_attr_i64s(mica_context *context, const int64_t *values, size_t count);
mica_attr mica_attr_i32s(mica_context *context, const int64_t *values, size_t count);
mica_attr mica_attr_f64s(mica_context *context, const double *values, size_t count);
mica_attr mica_attr_string_n(mica_context *context, const char *text, size_t length);
mica_attr mica_attr_i8s(mica_context *context, const int64_t *values, size_t count);
/* Values are rounded to f32. */
mica_attr mica_attr_f32s(mica_context *context, const double *values, size_t count);
/* `text` is everything before the type: "dense<[1, 2]>", "dense_resource<w0>". */
mica_attr mica_attr_elements(mica_context *context, const char *text, mica_type type);
/* `text` is the whole attribute: "#dialect.body<...>", "affine_map<(d0) -> (d0)>". */
mica_attr mica_attr_opaque(mica_context *context, const char *text);
/* Entry of a dictionary, or NULL. */
mica_attr mica_attr_dict_get(mica_attr dict, const char *key);
const char *mica_attr_text(mica_attr attr);

#endif
