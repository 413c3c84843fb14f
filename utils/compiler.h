/* Compiler attributes used by the public headers; the only place that names GNU extensions. */
#ifndef MICA_UTILS_COMPILER_H
#define MICA_UTILS_COMPILER_H

#define MICA_MUST_CHECK __attribute__((warn_unused_result))
#define MICA_NORETURN __attribute__((noreturn))
/* The format string is argument f, its first value argument a (both counted from 1). */
#define MICA_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Number of elements of a true array (not of a pointer). */
#define MICA_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
