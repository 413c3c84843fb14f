/* A typed growable array, as macros over mica_realloc.
 *
 *     MICA_VEC(int) v = {0};          // or: typedef MICA_VEC(mica_op *) mica_op_vec;
 *     mica_vec_push(&v, 3);
 *     for (size_t i = 0; i < v.len; i++) use(v.data[i]);
 *     mica_vec_free(&v);
 *
 * A zeroed vector is empty and valid. Pushing may move data. The vector argument is evaluated more
 * than once, the value once. */
#ifndef MICA_UTILS_VEC_H
#define MICA_UTILS_VEC_H

#include "utils/arena.h"

#include <stddef.h>

#define MICA_VEC(T)                                                                                \
    struct {                                                                                       \
        T *data;                                                                                   \
        size_t len, cap;                                                                           \
    }

/* Appends one value (a compound literal with commas is fine). */
#define mica_vec_push(v, ...)                                                                      \
    do {                                                                                           \
        mica_vec_reserve(v, (v)->len + 1);                                                         \
        (v)->data[(v)->len] = __VA_ARGS__;                                                         \
        (v)->len++;                                                                                \
    } while (0)

/* Makes room for at least n elements in all; len is unchanged, new elements are not zeroed. */
#define mica_vec_reserve(v, n)                                                                     \
    do {                                                                                           \
        if ((v)->cap < (n)) {                                                                      \
            (v)->data = mica_vec_grow((v)->data, &(v)->cap, (n), sizeof *(v)->data);               \
        }                                                                                          \
    } while (0)

/* Frees the elements and leaves a valid empty vector. */
#define mica_vec_free(v)                                                                           \
    do {                                                                                           \
        mica_free((v)->data);                                                                      \
        (v)->data = NULL;                                                                          \
        (v)->len = (v)->cap = 0;                                                                   \
    } while (0)

/* Helper of mica_vec_reserve: grows data to at least `need` elements of `size` bytes (at least
 * doubling, so pushes are amortized O(1)) and updates *cap. */
void *mica_vec_grow(void *data, size_t *cap, size_t need, size_t size);

#endif
