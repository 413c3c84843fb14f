/* Memory: arenas for everything that dies together, and the checked heap below them.
 *
 * arena.c is the only file of the compiler that calls malloc. Running out of memory does not
 * return: it goes to mica_out_of_memory(). Sizes that come from input must therefore be bounded
 * before they get here. An arena must not be used by two threads at once. */
#ifndef MICA_UTILS_ARENA_H
#define MICA_UTILS_ARENA_H

#include "utils/compiler.h"

#include <stdarg.h>
#include <stddef.h>

typedef struct mica_arena mica_arena;

/* A new empty arena, owned by the caller. */
mica_arena *mica_arena_create(void);
/* Frees the arena and all that was allocated from it; NULL is allowed. */
void mica_arena_destroy(mica_arena *arena);

/* bytes of zeroed memory, 16-byte aligned, alive as long as the arena. Never NULL, also for 0. */
void *mica_arena_alloc(mica_arena *arena, size_t bytes);
/* count elements of size bytes each, zeroed; an overflow counts as out of memory. */
void *mica_arena_array(mica_arena *arena, size_t count, size_t size);
/* A copy of bytes at data; data may be NULL if bytes is 0. */
void *mica_arena_memdup(mica_arena *arena, const void *data, size_t bytes);
/* A copy of the string; NULL gives NULL. */
char *mica_arena_strdup(mica_arena *arena, const char *text);
/* A NUL-terminated copy of at most len bytes of text (less if a NUL comes first). */
char *mica_arena_strndup(mica_arena *arena, const char *text, size_t len);
/* A formatted string. */
char *mica_arena_printf(mica_arena *arena, const char *fmt, ...) MICA_PRINTF(2, 3);
char *mica_arena_vprintf(mica_arena *arena, const char *fmt, va_list args) MICA_PRINTF(2, 0);

/* bytes of zeroed heap memory, 16-byte aligned, never NULL; give back with mica_free(). */
void *mica_alloc(size_t bytes);
/* The same aligned to `align` bytes (a power of two), NOT zeroed. */
void *mica_alloc_aligned(size_t bytes, size_t align);
/* Resizes a block of mica_alloc (NULL: a new one); the part past the old size is NOT zeroed. */
void *mica_realloc(void *block, size_t bytes);
/* Frees a block of mica_alloc, mica_alloc_aligned or mica_realloc; NULL is allowed. */
void mica_free(void *block);
/* Heap copy of a string, to be freed with mica_free(). */
char *mica_strdup(const char *text);

/* The out-of-memory hook: one line on stderr, then exit status 3. */
MICA_NORETURN void mica_out_of_memory(size_t bytes);

#endif
