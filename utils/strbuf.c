#include "utils/strbuf.h"

#include "utils/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Room for `extra` more bytes and the NUL. */
static void reserve(mica_strbuf *buf, size_t extra) {
    if (extra >= SIZE_MAX / 2 - buf->len) {
        mica_out_of_memory(extra);
    }
    size_t need = buf->len + extra + 1;
    if (need > buf->cap) {
        size_t cap = buf->cap < 32 ? 64 : buf->cap * 2;
        buf->cap = cap < need ? need : cap;
        buf->data = mica_realloc(buf->data, buf->cap);
    }
}

void mica_strbuf_appendn(mica_strbuf *buf, const char *bytes, size_t len) {
    reserve(buf, len);
    if (len > 0) {
        memcpy(buf->data + buf->len, bytes, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void mica_strbuf_append(mica_strbuf *buf, const char *text) {
    mica_strbuf_appendn(buf, text, strlen(text));
}

void mica_strbuf_printf(mica_strbuf *buf, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    reserve(buf, 0);
    size_t room = buf->cap - buf->len;
    int n = vsnprintf(buf->data + buf->len, room, fmt, args);
    if (n >= 0 && (size_t)n >= room) {
        reserve(buf, (size_t)n);
        vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, again);
    }
    if (n > 0) {
        buf->len += (size_t)n;
    }
    buf->data[buf->len] = '\0';
    va_end(again);
    va_end(args);
}

const char *mica_strbuf_text(const mica_strbuf *buf) { return buf->data != NULL ? buf->data : ""; }

char *mica_strbuf_take(mica_strbuf *buf) {
    char *text = buf->data != NULL ? buf->data : mica_alloc(1);
    *buf = (mica_strbuf){0};
    return text;
}

void mica_strbuf_free(mica_strbuf *buf) {
    mica_free(buf->data);
    *buf = (mica_strbuf){0};
}
