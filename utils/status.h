/* Status and error text of every function that can fail on input.
 *
 * A function that can fail returns mica_status and takes a mica_error as its last argument. When it
 * returns MICA_FAIL the error holds one line: lower case, no final period, naming what was expected
 * and what was found. Out-parameters are written only on success. */
#ifndef MICA_UTILS_STATUS_H
#define MICA_UTILS_STATUS_H

#include "utils/compiler.h"

typedef enum { MICA_OK = 0, MICA_FAIL = 1 } mica_status;

/* One error message; a longer text is cut. Initialize with {0}. */
typedef struct mica_error {
    char text[1024];
} mica_error;

/* mica_status mica_fail(mica_error *err, const char *fmt, ...): formats the message into err (NULL:
 * dropped) and gives MICA_FAIL. The values may point into err->text itself, so that a caller can
 * prefix a message: mica_fail(e, "%s: %s", path, e->text).
 * A macro, so that compilers see the constant and know that code after it was not reached. */
#define mica_fail(err, ...) (mica_fail_text(err, __VA_ARGS__), mica_failed())

void mica_fail_text(mica_error *err, const char *fmt, ...) MICA_PRINTF(2, 3);

static inline mica_status mica_failed(void) { return MICA_FAIL; }

/* Returns MICA_FAIL from the calling function if expr is not MICA_OK. */
#define MICA_TRY(expr)                                                                             \
    do {                                                                                           \
        if ((expr) != MICA_OK) {                                                                   \
            return MICA_FAIL;                                                                      \
        }                                                                                          \
    } while (0)

#endif
