#include "runtime/mrt_status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

mrt_status mrt_fail(mrt_error *err, mrt_status status, const char *format, ...) {
    if (err != NULL) {
        /* Formatted beside the target, so that a caller may prefix err->text with itself. */
        mrt_error line;
        va_list args;
        va_start(args, format);
        if (vsnprintf(line.text, sizeof line.text, format, args) < 0) {
            line.text[0] = '\0';
        }
        va_end(args);
        memcpy(err->text, line.text, strlen(line.text) + 1);
    }
    return status;
}

const char *mrt_status_text(mrt_status status) {
    switch (status) {
#define X(name, number, text)                                                                      \
    case MRT_##name:                                                                               \
        return text;
        MRT_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}
