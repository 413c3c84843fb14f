/* String builder. A zeroed mica_strbuf is empty and valid; data is NULL until the first append and
 * NUL-terminated from then on. */
#ifndef MICA_UTILS_STRBUF_H
#define MICA_UTILS_STRBUF_H

#include "utils/compiler.h"

#include <stddef.h>

typedef struct mica_strbuf {
    char *data; /* len bytes and a NUL; owned */
    size_t len; /* bytes without the NUL */
    size_t cap;
} mica_strbuf;

/* Appends formatted text. */
void mica_strbuf_printf(mica_strbuf *buf, const char *fmt, ...) MICA_PRINTF(2, 3);
/* Appends a string. */
void mica_strbuf_append(mica_strbuf *buf, const char *text);
/* Appends len bytes, which may hold NULs. */
void mica_strbuf_appendn(mica_strbuf *buf, const char *bytes, size_t len);
/* The text as a C string, "" when nothing was appended; borrowed until the next append. */
const char *mica_strbuf_text(const mica_strbuf *buf);
/* Hands the text (never NULL) to the caller, who frees it with mica_free(); buf becomes empty. */
char *mica_strbuf_take(mica_strbuf *buf);
/* Frees the text and leaves a valid empty builder. */
void mica_strbuf_free(mica_strbuf *buf);

#endif
