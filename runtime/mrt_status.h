/* Status codes and error text of the runtime.
 *
 * A function that can fail returns mrt_status and, on anything but MRT_OK, has written one line
 * into the caller's mrt_error. Nothing in the runtime prints, exits or aborts. */
#ifndef MRT_STATUS_H
#define MRT_STATUS_H

/* name, pinned number, text */
#define MRT_STATUS_LIST(X)                                                                         \
    X(OK, 0, "success")                                                                            \
    X(INVALID, 1, "invalid argument, model or parameter")                                          \
    X(NO_MEMORY, 2, "out of memory")                                                               \
    X(IO, 3, "file cannot be read")                                                                \
    X(CORRUPT, 10, "file is damaged")                                                              \
    X(VERSION, 11, "file needs a newer runtime")                                                   \
    X(UNSUPPORTED, 12, "not supported by this runtime")

typedef enum mrt_status {
#define X(name, number, text) MRT_##name = number,
    MRT_STATUS_LIST(X)
#undef X
} mrt_status;

/* One line of error text, owned by the caller. */
typedef struct mrt_error {
    char text[512];
} mrt_error;

/* Writes a formatted line into `err` (may be NULL) and returns `status`. */
mrt_status mrt_fail(mrt_error *err, mrt_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Short constant text of a status code. */
const char *mrt_status_text(mrt_status status);

#define MRT_TRY(expr)                                                                              \
    do {                                                                                           \
        const mrt_status mrt_try_status_ = (expr);                                                 \
        if (mrt_try_status_ != MRT_OK) {                                                           \
            return mrt_try_status_;                                                                \
        }                                                                                          \
    } while (0)

#endif
