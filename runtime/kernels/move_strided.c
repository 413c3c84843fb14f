/* Strided copies by axis merging: memcpy runs, fills, plane transposes, or typed strided loops. */
#include "runtime/kernels/move_strided.h"

#include "runtime/kernels/move_transpose.h"

#include <stdbool.h>
#include <string.h>

enum {
    TILE_BYTES = 1 << 16, /* bytes that one tile of the pool moves, about */
    RUN_BYTES = 1 << 14,  /* longer contiguous runs stay an axis, so that they can be cut */
    BLOCK = 64,           /* chunks of a transpose are multiples: whole cache lines of any type */
};

/* A merged plan: byte strides; the last axis is the inner one; `lines` axes before it are walked by
 * the cursor. When transposing, the axis before the inner one is contiguous in the source. */
typedef struct job {
    mrt_strided p;
    int outer;          /* axes [0, outer) are walked */
    bool transpose;
    int64_t unit;       /* bytes moved together */
    int64_t split;      /* axis that is cut into chunks */
    int64_t chunk;      /* its entries per chunk */
    int64_t chunks;     /* per line */
    int64_t items;      /* lines * chunks */
    int64_t items_per_tile;
    const char *src;
    char *dst;
} job;

void mrt_strided_dense_dst(mrt_strided *plan) {
    int64_t stride = 1;
    for (int i = plan->rank - 1; i >= 0; i--) {
        plan->dst[i] = stride;
        stride *= plan->dims[i];
    }
}

#define FILL(type)                                                                                 \
    do {                                                                                           \
        type v;                                                                                    \
        memcpy(&v, value, sizeof v);                                                               \
        for (int64_t i = 0; i < count; i++) {                                                      \
            memcpy(out + i * (int64_t)sizeof v, &v, sizeof v);                                     \
        }                                                                                          \
    } while (0)

void mrt_move_fill(void *dst, const void *value, int64_t unit, int64_t count) {
    char *out = dst;
    switch (unit) {
    case 1:
        memset(out, *(const unsigned char *)value, (size_t)count);
        return;
    case 2:
        FILL(uint16_t);
        return;
    case 4:
        FILL(uint32_t);
        return;
    case 8:
        FILL(uint64_t);
        return;
    default:
        for (int64_t i = 0; i < count; i++) {
            memcpy(out + i * unit, value, (size_t)unit);
        }
    }
}

/* Inner loop with constant unit, so that memcpy becomes one load and one store. */
#define LINE(bytes)                                                                                \
    for (int64_t i = 0; i < count; i++) {                                                          \
        memcpy(dst + i * dst_stride, src + i * src_stride, bytes);                                 \
    }

static void copy_line(char *restrict dst, const char *restrict src, int64_t count,
                      int64_t dst_stride, int64_t src_stride, int64_t unit) {
    if (src_stride == unit && dst_stride == unit) {
        memcpy(dst, src, (size_t)(count * unit));
        return;
    }
    if (src_stride == 0 && dst_stride == unit) {
        mrt_move_fill(dst, src, unit, count);
        return;
    }
    switch (unit) {
    case 1:
        LINE(1)
        return;
    case 2:
        LINE(2)
        return;
    case 4:
        LINE(4)
        return;
    case 8:
        LINE(8)
        return;
    case 16:
        LINE(16)
        return;
    default:
        LINE((size_t)unit)
    }
}

static void run_item(const job *j, const char *src, char *dst, int64_t chunk) {
    const mrt_strided *p = &j->p;
    const int inner = p->rank - 1;
    const int64_t begin = chunk * j->chunk;
    const int64_t left = p->dims[j->split] - begin;
    const int64_t count = left < j->chunk ? left : j->chunk;
    const int64_t cols = j->split == inner ? count : p->dims[inner];
    src += begin * p->src[j->split];
    dst += begin * p->dst[j->split];
    if (j->transpose) {
        mrt_transpose_plane(dst, src, j->split == inner ? p->dims[inner - 1] : count, cols,
                            p->dst[inner - 1], p->src[inner], j->unit);
    } else {
        copy_line(dst, src, cols, p->dst[inner], p->src[inner], j->unit);
    }
}

static void run_tile(void *context, int64_t tile) {
    const job *j = context;
    const mrt_strided *p = &j->p;
    const int64_t first = tile * j->items_per_tile;
    const int64_t end = first + j->items_per_tile < j->items ? first + j->items_per_tile : j->items;
    int64_t line = first / j->chunks;
    int64_t chunk = first % j->chunks;
    int64_t index[MRT_STRIDED_RANK];
    const char *src = j->src;
    char *dst = j->dst;
    for (int i = j->outer - 1; i >= 0; i--) {
        index[i] = line % p->dims[i];
        line /= p->dims[i];
        src += index[i] * p->src[i];
        dst += index[i] * p->dst[i];
    }
    for (int64_t item = first; item < end; item++) {
        run_item(j, src, dst, chunk);
        if (++chunk < j->chunks) {
            continue;
        }
        chunk = 0;
        for (int i = j->outer - 1; i >= 0; i--) {
            src += p->src[i];
            dst += p->dst[i];
            if (++index[i] < p->dims[i]) {
                break;
            }
            src -= index[i] * p->src[i];
            dst -= index[i] * p->dst[i];
            index[i] = 0;
        }
    }
}

/* Drops axes of one entry and joins neighbours that are one axis in both tensors. */
static void merge_axes(mrt_strided *p) {
    int n = 0;
    for (int i = 0; i < p->rank; i++) {
        if (p->dims[i] == 1) {
            continue;
        }
        if (n > 0 && p->src[n - 1] == p->src[i] * p->dims[i] &&
            p->dst[n - 1] == p->dst[i] * p->dims[i]) {
            p->dims[n - 1] *= p->dims[i];
            p->src[n - 1] = p->src[i];
            p->dst[n - 1] = p->dst[i];
            continue;
        }
        p->dims[n] = p->dims[i];
        p->src[n] = p->src[i];
        p->dst[n] = p->dst[i];
        n++;
    }
    p->rank = n;
}

static void swap_axes(mrt_strided *p, int a, int b) {
    for (int i = a; i < b; i++) { /* rotates axis a to place b, keeping the order of the others */
        const int64_t dim = p->dims[i], src = p->src[i], dst = p->dst[i];
        p->dims[i] = p->dims[i + 1];
        p->src[i] = p->src[i + 1];
        p->dst[i] = p->dst[i + 1];
        p->dims[i + 1] = dim;
        p->src[i + 1] = src;
        p->dst[i + 1] = dst;
    }
}

/* Chooses the unit, the inner kernel and the axis to cut. Strides become bytes. */
static void plan_job(job *j) {
    mrt_strided *p = &j->p;
    merge_axes(p);
    j->unit = p->elem;
    const int last = p->rank - 1;
    if (p->rank > 1 && p->src[last] == 1 && p->dst[last] == 1 &&
        p->dims[last] * p->elem <= RUN_BYTES) {
        j->unit = p->dims[last] * p->elem;
        p->rank--;
    }
    for (int i = 0; i < p->rank; i++) {
        p->src[i] *= p->elem;
        p->dst[i] *= p->elem;
    }
    if (p->rank == 0) {
        mrt_strided_push(p, 1, j->unit, j->unit);
    }
    const int inner = p->rank - 1;
    const bool small = j->unit == 1 || j->unit == 2 || j->unit == 4 || j->unit == 8;
    if (small && p->dst[inner] == j->unit && p->src[inner] != 0 &&
        p->src[inner] != j->unit) {
        for (int i = 0; i < inner && !j->transpose; i++) {
            if (p->src[i] == j->unit) {
                swap_axes(p, i, inner - 1);
                j->transpose = true;
            }
        }
    }
    j->outer = j->transpose ? inner - 1 : inner;
    /* Of a plane the longer side is cut. */
    const bool wide = j->transpose && p->dims[inner] > p->dims[inner - 1];
    j->split = wide ? inner : j->outer;
    const int64_t entry = j->transpose ? p->dims[wide ? inner - 1 : inner] * j->unit : j->unit;
    int64_t chunk = TILE_BYTES / (entry < TILE_BYTES ? entry : TILE_BYTES);
    if (j->transpose) {
        chunk = (chunk + BLOCK - 1) / BLOCK * BLOCK;
    }
    j->chunk = chunk < p->dims[j->split] ? chunk : p->dims[j->split];
    j->chunks = (p->dims[j->split] + j->chunk - 1) / j->chunk;
    j->items = j->chunks;
    for (int i = 0; i < j->outer; i++) {
        j->items *= p->dims[i];
    }
    const int64_t item_bytes = j->chunk * entry;
    j->items_per_tile = item_bytes >= TILE_BYTES ? 1 : TILE_BYTES / item_bytes;
}

void mrt_strided_copy(mrt_pool *pool, mrt_strided plan, const void *src, void *dst) {
    for (int i = 0; i < plan.rank; i++) {
        if (plan.dims[i] == 0) {
            return;
        }
    }
    job j = {.p = plan, .src = src, .dst = dst};
    plan_job(&j);
    mrt_parallel_for(pool, (j.items + j.items_per_tile - 1) / j.items_per_tile, run_tile, &j);
}
