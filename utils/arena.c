#include "utils/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16, FIRST_BLOCK = 4096, LAST_BLOCK = 1 << 20 };

typedef struct block {
    struct block *next;
    size_t size, used; /* bytes after the header */
} block;

/* The header is padded so that what follows keeps the alignment of malloc. */
enum { HEADER = (sizeof(block) + ALIGN - 1) / ALIGN * ALIGN };

struct mica_arena {
    block *blocks;     /* the first one is being filled */
    size_t next_block; /* bytes of the next regular block */
};

void mica_out_of_memory(size_t bytes) {
    fprintf(stderr, "mica: out of memory (%zu bytes wanted)\n", bytes);
    exit(3);
}

void *mica_alloc(size_t bytes) {
    void *p = calloc(1, bytes > 0 ? bytes : 1);
    if (p == NULL) {
        mica_out_of_memory(bytes);
    }
    return p;
}

void *mica_alloc_aligned(size_t bytes, size_t align) {
    if (align < sizeof(void *)) {
        align = sizeof(void *);
    }
    if (bytes > SIZE_MAX - align) {
        mica_out_of_memory(bytes);
    }
    size_t rounded = (bytes + align - 1) / align * align;
    void *p = aligned_alloc(align, rounded > 0 ? rounded : align);
    if (p == NULL) {
        mica_out_of_memory(bytes);
    }
    return p;
}

void *mica_realloc(void *old, size_t bytes) {
    void *p = realloc(old, bytes > 0 ? bytes : 1);
    if (p == NULL) {
        mica_out_of_memory(bytes);
    }
    return p;
}

void mica_free(void *p) { free(p); }

char *mica_strdup(const char *text) {
    size_t n = strlen(text) + 1;
    return memcpy(mica_alloc(n), text, n);
}

mica_arena *mica_arena_create(void) {
    mica_arena *arena = mica_alloc(sizeof *arena);
    arena->next_block = FIRST_BLOCK;
    return arena;
}

void mica_arena_destroy(mica_arena *arena) {
    if (arena == NULL) {
        return;
    }
    block *b = arena->blocks;
    while (b != NULL) {
        block *next = b->next;
        mica_free(b);
        b = next;
    }
    mica_free(arena);
}

static block *new_block(size_t size) {
    if (size > SIZE_MAX - HEADER) {
        mica_out_of_memory(size);
    }
    block *b = mica_alloc(HEADER + size);
    b->size = size;
    return b;
}

void *mica_arena_alloc(mica_arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX - ALIGN) {
        mica_out_of_memory(bytes);
    }
    size_t need = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (need == 0) {
        need = ALIGN;
    }
    block *b = arena->blocks;
    if (b == NULL || b->size - b->used < need) {
        if (b != NULL && need > arena->next_block / 4) {
            /* A large piece gets its own block behind the current one, which stays in use. */
            block *own = new_block(need);
            own->used = need;
            own->next = b->next;
            b->next = own;
            return (char *)own + HEADER;
        }
        block *fresh = new_block(need > arena->next_block ? need : arena->next_block);
        fresh->next = b;
        arena->blocks = b = fresh;
        if (arena->next_block < LAST_BLOCK) {
            arena->next_block *= 2;
        }
    }
    void *p = (char *)b + HEADER + b->used;
    b->used += need;
    return p;
}

void *mica_arena_array(mica_arena *arena, size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) {
        mica_out_of_memory(SIZE_MAX);
    }
    return mica_arena_alloc(arena, count * size);
}

void *mica_arena_memdup(mica_arena *arena, const void *data, size_t bytes) {
    void *p = mica_arena_alloc(arena, bytes);
    if (bytes > 0) {
        memcpy(p, data, bytes);
    }
    return p;
}

char *mica_arena_strdup(mica_arena *arena, const char *text) {
    return text == NULL ? NULL : mica_arena_memdup(arena, text, strlen(text) + 1);
}

char *mica_arena_strndup(mica_arena *arena, const char *text, size_t len) {
    size_t n = strnlen(text, len);
    if (n == SIZE_MAX) {
        mica_out_of_memory(n);
    }
    char *p = mica_arena_alloc(arena, n + 1);
    memcpy(p, text, n);
    return p;
}

char *mica_arena_vprintf(mica_arena *arena, const char *fmt, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    char *p = mica_arena_alloc(arena, n < 0 ? 1 : (size_t)n + 1);
    if (n > 0) {
        vsnprintf(p, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return p;
}

char *mica_arena_printf(mica_arena *arena, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    char *p = mica_arena_vprintf(arena, fmt, args);
    va_end(args);
    return p;
}
