/* Overflow-checked integer arithmetic for values that come from input. Each function returns true
 * and writes *out if the exact result fits, else returns false and leaves *out alone. */
#ifndef MICA_UTILS_CHECKED_H
#define MICA_UTILS_CHECKED_H

#include "utils/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

MICA_MUST_CHECK static inline bool mica_mul_ok(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    if (__builtin_mul_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

MICA_MUST_CHECK static inline bool mica_add_ok(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    if (__builtin_add_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

MICA_MUST_CHECK static inline bool mica_sub_ok(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    if (__builtin_sub_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

MICA_MUST_CHECK static inline bool mica_size_mul_ok(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

MICA_MUST_CHECK static inline bool mica_size_add_ok(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

#endif
