#include "runtime/mrt_plan_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCK_BYTES = 64 * 1024, LARGE_PAGES = 4 * 1024 * 1024 };

struct mrt_bump_block {
    mrt_bump_block *next;
    uint8_t *data; /* MRT_ALIGN-aligned, behind this header */
    size_t size, used;
};

/* Large pages where the system has them: a fault for 2 MiB instead of 512. Only advice. */
static void want_large_pages(void *memory, size_t bytes) {
#if defined(MADV_HUGEPAGE)
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = ((uintptr_t)memory + page - 1) / page * page;
    const uintptr_t last = ((uintptr_t)memory + bytes) / page * page;
    if (bytes >= LARGE_PAGES && last > first) {
        (void)madvise((void *)first, last - first, MADV_HUGEPAGE);
    }
#else
    (void)memory;
    (void)bytes;
#endif
}

/* Zeroed; large blocks come from the system page by page, when and where they are first written. */
static mrt_bump_block *new_block(size_t bytes) {
    mrt_bump_block *block = calloc(1, sizeof(mrt_bump_block) + MRT_ALIGN + bytes);
    if (block == NULL) {
        return NULL;
    }
    const uintptr_t end = (uintptr_t)block + sizeof *block;
    want_large_pages(block, sizeof *block + MRT_ALIGN + bytes);
    block->next = NULL;
    block->data = (uint8_t *)block + sizeof *block + (MRT_ALIGN - end % MRT_ALIGN) % MRT_ALIGN;
    block->size = bytes;
    block->used = 0;
    return block;
}

void *mrt_bump_alloc(mrt_bump *bump, size_t bytes) {
    if (bytes > (size_t)MRT_MAX_BYTES) {
        bump->failed = true;
        return NULL;
    }
    const size_t rounded = (size_t)mrt_align_up((int64_t)bytes);
    mrt_bump_block *block = bump->blocks;
    if (block == NULL || block->size - block->used < rounded) {
        const bool large = rounded > BLOCK_BYTES / 4;
        block = new_block(large ? rounded : BLOCK_BYTES);
        if (block == NULL) {
            bump->failed = true;
            return NULL;
        }
        /* A large request gets a block of its own; the current one stays in front. */
        if (large && bump->blocks != NULL) {
            block->next = bump->blocks->next;
            bump->blocks->next = block;
        } else {
            block->next = bump->blocks;
            bump->blocks = block;
        }
    }
    void *result = block->data + block->used;
    block->used += rounded;
    return result;
}

void *mrt_bump_array(mrt_bump *bump, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        bump->failed = true;
        return NULL;
    }
    return mrt_bump_alloc(bump, bytes);
}

char *mrt_bump_string(mrt_bump *bump, const char *text) {
    const size_t bytes = text != NULL ? strlen(text) + 1 : 1;
    char *copy = mrt_bump_alloc(bump, bytes);
    if (copy != NULL && text != NULL) {
        memcpy(copy, text, bytes);
    }
    return copy;
}

void mrt_bump_free(mrt_bump *bump) {
    while (bump->blocks != NULL) {
        mrt_bump_block *next = bump->blocks->next;
        free(bump->blocks);
        bump->blocks = next;
    }
}
