/* Diagnostics and the source texts that they quote. */
#include "ir/context_impl.h"

#include "ir/location.h"

#include <stdio.h>
#include <string.h>

static const char *const severity_names[] = {
    [MICA_ERROR] = "error",
    [MICA_WARNING] = "warning",
    [MICA_NOTE] = "note",
    [MICA_REMARK] = "remark",
};

/* --- sources ---------------------------------------------------------------------------------- */

const mica_source *mica_find_source(const mica_context *context, const char *file) {
    for (size_t i = context->sources.len; i-- > 0;) {
        if (strcmp(context->sources.data[i].file, file) == 0) {
            return &context->sources.data[i];
        }
    }
    return NULL;
}

static void set_source(mica_context *context, const char *file, const char *text, size_t length,
                       char *owned) {
    mica_forget_source(context, file);
    mica_vec_push(&context->sources,
                  (mica_source){mica_intern(context, file), text, length, owned});
}

void mica_register_source(mica_context *context, const char *file, const char *text,
                          size_t length) {
    set_source(context, file, text, length, NULL);
}

void mica_take_source(mica_context *context, const char *file, char *text, size_t length) {
    set_source(context, file, text, length, text);
}

void mica_forget_source(mica_context *context, const char *file) {
    for (size_t i = 0; i < context->sources.len; i++) {
        mica_source *source = &context->sources.data[i];
        if (strcmp(source->file, file) == 0) {
            mica_free(source->owned);
            size_t after = context->sources.len - i - 1;
            memmove(source, source + 1, after * sizeof *source);
            context->sources.len--;
            return;
        }
    }
}

/* --- the default handler ---------------------------------------------------------------------- */

/* First line/column known for a location: its own, or where its name was read from text. */
bool mica_loc_find_place(mica_loc loc, const char **file, int *line, int *column) {
    while (loc) {
        if (loc->kind == MICA_LOC_FILE) {
            *file = loc->name;
            *line = loc->line;
            *column = loc->column;
            return true;
        }
        if (loc->seen_file) {
            *file = loc->seen_file;
            *line = loc->seen_line;
            *column = loc->seen_column;
            return true;
        }
        if (loc->kind == MICA_LOC_FUSED) {
            loc = loc->n_parts > 0 ? loc->parts[0] : NULL;
        } else {
            loc = loc->child;
        }
    }
    return false;
}


/* Shows the source line and a caret; very long lines are shown around the column. */
static void print_line(const mica_source *source, int line, int column) {
    const char *p = source->text;
    const char *end = p + source->length;
    for (int i = 1; i < line && p; i++) {
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    if (!p || line < 1 || column < 1) {
        return;
    }
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    int length = (int)((stop ? stop : end) - p);
    if (column > length + 1) {
        return;
    }
    int from = column > 120 ? column - 100 : 0;
    int to = length - from > 160 ? from + 160 : length;
    for (int i = from; i < to; i++) {
        unsigned char c = (unsigned char)p[i];
        fputc(c >= 0x20 ? c : ' ', stderr);
    }
    fprintf(stderr, "\n%*s^\n", column - 1 - from, "");
}

static void default_handler(mica_context *context, mica_severity severity, mica_loc loc,
                            const char *text) {
    const char *file;
    int line, column;
    const char *name = loc ? mica_loc_get_name(loc) : "";
    if (loc && mica_loc_find_place(loc, &file, &line, &column)) {
        fprintf(stderr, "%s:%d:%d: %s: %s\n", file, line, column, severity_names[severity], text);
        const mica_source *source = mica_find_source(context, file);
        if (source) {
            print_line(source, line, column);
        }
    } else if (name[0]) {
        fprintf(stderr, "\"%s\": %s: %s\n", name, severity_names[severity], text);
    } else {
        fprintf(stderr, "%s: %s\n", severity_names[severity], text);
    }
}

/* --- emitting --------------------------------------------------------------------------------- */

void mica_set_diag_handler(mica_context *context, mica_diag_handler *handler, void *user) {
    context->handler = handler;
    context->handler_user = user;
}

static void keep_first(void *user, mica_severity severity, mica_loc loc, const char *text) {
    mica_diag_capture *capture = user;
    (void)loc;
    if (severity == MICA_ERROR && capture->text[0] == '\0') {
        snprintf(capture->text, sizeof capture->text, "%s", text);
    }
}

void mica_diag_capture_begin(mica_context *context, mica_diag_capture *out) {
    *out = (mica_diag_capture){context->handler, context->handler_user, context->errors, ""};
    mica_set_diag_handler(context, keep_first, out);
}

void mica_diag_capture_end(mica_context *context, const mica_diag_capture *capture) {
    mica_set_diag_handler(context, capture->handler, capture->user);
    context->errors = capture->errors;
}

size_t mica_error_count(const mica_context *context) {
    return context->errors;
}

static void emit(mica_context *context, mica_severity severity, mica_loc loc, const char *format,
                 va_list args) {
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    for (char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20) {
            *p = ' ';
        }
    }
    if (severity == MICA_ERROR) {
        context->errors++;
    }
    if (context->handler) {
        context->handler(context->handler_user, severity, loc, text);
    } else {
        default_handler(context, severity, loc, text);
    }
}

mica_status mica_emit_error(mica_context *context, mica_loc loc, const char *format, ...) {
    va_list args;
    va_start(args, format);
    emit(context, MICA_ERROR, loc, format, args);
    va_end(args);
    return MICA_FAIL;
}

void mica_emit(mica_context *context, mica_severity severity, mica_loc loc, const char *format,
               ...) {
    va_list args;
    va_start(args, format);
    emit(context, severity, loc, format, args);
    va_end(args);
}
