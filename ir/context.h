/* The context owns everything that is uniqued: strings, types, attributes, locations, and the table
 * of registered ops. It lives longer than every module made in it. One context is used by one
 * thread at a time; two contexts in one process do not know each other. */
#ifndef MICA_IR_CONTEXT_H
#define MICA_IR_CONTEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "utils/arena.h"
#include "utils/status.h"

typedef struct mica_context mica_context;
typedef const struct mica_type_storage *mica_type; /* uniqued: equal types are equal pointers */
typedef const struct mica_attr_storage *mica_attr; /* uniqued likewise */
typedef const struct mica_loc_storage *mica_loc;   /* uniqued likewise */
typedef struct mica_op mica_op;
typedef struct mica_value mica_value;
typedef struct mica_block mica_block;
typedef struct mica_region mica_region;
typedef struct mica_module mica_module;
typedef struct mica_op_info mica_op_info;

mica_context *mica_context_create(void);
void mica_context_destroy(mica_context *context);
mica_arena *mica_context_arena(mica_context *context);

/* Interned NUL-terminated string: equal text, equal pointer. */
const char *mica_intern(mica_context *context, const char *text);
const char *mica_intern_n(mica_context *context, const char *text, size_t length);

/* Registers a table of ops (static storage). Names must be new. */
void mica_register_ops(mica_context *context, const mica_op_info *table, size_t count);
/* Descriptor of "top.Conv"; NULL for an op that nobody registered. */
const mica_op_info *mica_find_op_info(const mica_context *context, const char *name);
/* Registered ops in registration order, for documentation and coverage tests. */
size_t mica_op_info_count(const mica_context *context);
const mica_op_info *mica_op_info_at(const mica_context *context, size_t index);

/* --- diagnostics ------------------------------------------------------------------------------ */
typedef enum mica_severity { MICA_ERROR, MICA_WARNING, MICA_NOTE, MICA_REMARK } mica_severity;

/* Called for every diagnostic; `text` has no newline. The default handler writes
 * "file:line:col: error: text" (or the op's name) to stderr, with source line and caret when the
 * source text is known. */
typedef void mica_diag_handler(void *user, mica_severity severity, mica_loc loc, const char *text);
void mica_set_diag_handler(mica_context *context, mica_diag_handler *handler, void *user);
/* Errors emitted so far. */
size_t mica_error_count(const mica_context *context);

/* Between begin and end, diagnostics are not shown and errors are not counted; the first error's
 * text is kept. For trying something that may fail. Captures nest. */
typedef struct mica_diag_capture {
    mica_diag_handler *handler;
    void *user;
    size_t errors;
    char text[640]; /* "" when nothing failed */
} mica_diag_capture;
void mica_diag_capture_begin(mica_context *context, mica_diag_capture *out);
void mica_diag_capture_end(mica_context *context, const mica_diag_capture *capture);

/* Emits an error and returns MICA_FAIL, so that callers can write `return mica_emit_error(...)`.
 * Text: lower case, states expected and actual, no final period. */
mica_status mica_emit_error(mica_context *context, mica_loc loc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void mica_emit(mica_context *context, mica_severity severity, mica_loc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Registers the text of a parsed file (borrowed), so that diagnostics can show its lines. */
void mica_register_source(mica_context *context, const char *file, const char *text, size_t length);

#endif
