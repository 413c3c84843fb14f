#include "utils/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mica_fail_text(mica_error *err, const char *fmt, ...) {
    if (err == NULL) {
        return;
    }
    /* Through a local buffer, for the values may point into err->text. */
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0) {
        text[0] = '\0';
    }
    memcpy(err->text, text, strlen(text) + 1);
}
