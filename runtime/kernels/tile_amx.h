/* Tile registers of 16 rows of 64 bytes, and the integer tiles written with them.
 *
 * Included once by each of two files, which say by MRT_AMX_EMULATED what a tile operation is: the
 * instructions (AMX-INT8), or the same on arrays. So the loops that the processor runs are those that every
 * machine can test. Registers: 0 to 3 hold sums, int32 [16 rows][16 columns], 2 x 2 of them; 4 and 5
 * hold A, uint8 [16 rows][64 of k]; 6 and 7 hold W, int8 [16 quads][16 columns][4], which is 16 quads
 * of a packed block of tile_isa.h as they lie there. Operations:
 *   AMX_ZERO(t)             t = 0
 *   AMX_LOAD(t, p, stride)  16 rows of 64 bytes, `stride` bytes apart
 *   AMX_STORE(t, p, stride) likewise
 *   AMX_DOT(c, a, w)        c[m][n] += sum over k of a[m][k] * w[k / 4][n][k % 4], modulo 2^32
 * t, c, a, w are literal numbers. Only between AMX_ENTER() and AMX_LEAVE() of the same thread. */
#ifndef MRT_TILE_AMX_H
#define MRT_TILE_AMX_H

#include "runtime/kernels/tile_isa.h"

#include <string.h>

enum { AMX_ROWS = 16, AMX_BYTES = 64, AMX_QUADS = 16 };

#ifdef MRT_AMX_EMULATED

typedef union amx_register {
    uint8_t u8[AMX_ROWS][AMX_BYTES];
    int8_t s8[AMX_ROWS][AMX_BYTES];
    int32_t s32[AMX_ROWS][AMX_BYTES / 4];
} amx_register;

/* The registers of a thread, as the processor has them. Without a configuration results are wrong,
 * where the processor would stop the program. */
typedef struct amx_state {
    amx_register tile[8];
    bool configured;
} amx_state;

static _Thread_local amx_state amx;

static inline void amx_load(amx_register *t, const void *p, size_t stride) {
    for (int r = 0; r < AMX_ROWS; ++r) {
        memcpy(t->u8[r], (const char *)p + (size_t)r * stride, AMX_BYTES);
    }
}

static inline void amx_store(const amx_register *t, void *p, size_t stride) {
    for (int r = 0; r < AMX_ROWS; ++r) {
        memcpy((char *)p + (size_t)r * stride, t->u8[r], AMX_BYTES);
    }
}

static inline void amx_dot(amx_register *restrict c, const amx_register *a, const amx_register *w) {
    for (int m = 0; m < AMX_ROWS && amx.configured; ++m) {
        for (int q = 0; q < AMX_QUADS; ++q) {
            for (int n = 0; n < AMX_BYTES / 4; ++n) {
                uint32_t sum = (uint32_t)c->s32[m][n];
                for (int k = 0; k < 4; ++k) {
                    sum += (uint32_t)(a->u8[m][4 * q + k] * w->s8[q][4 * n + k]);
                }
                c->s32[m][n] = (int32_t)sum;
            }
        }
    }
}

#define AMX_ENTER() ((void)(amx.configured = true))
#define AMX_LEAVE() ((void)(amx.configured = false))
#define AMX_ZERO(t) ((void)memset(&amx.tile[t], 0, sizeof amx.tile[t]))
#define AMX_LOAD(t, p, stride) amx_load(&amx.tile[t], p, stride)
#define AMX_STORE(t, p, stride) amx_store(&amx.tile[t], p, stride)
#define AMX_DOT(c, a, w) amx_dot(&amx.tile[c], &amx.tile[a], &amx.tile[w])

#else

/* Operand of ldtilecfg: all eight registers are whole. */
typedef struct amx_configuration {
    uint8_t palette, start_row, unused[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} amx_configuration;

static inline void amx_enter(void) {
    amx_configuration c = {.palette = 1};
    for (int t = 0; t < 8; ++t) {
        c.bytes[t] = AMX_BYTES;
        c.rows[t] = AMX_ROWS;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(c));
}

/* The compiler's own functions do not say that they touch memory (gcc 12), so these are written out. */
#define AMX_ENTER() amx_enter()
#define AMX_LEAVE() __asm__ volatile("tilerelease" : : : "memory")
#define AMX_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : :)
#define AMX_LOAD(t, p, stride)                                                                     \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t                                               \
                     : : "r"((const void *)(p)), "r"((size_t)(stride)) : "memory")
#define AMX_STORE(t, p, stride)                                                                    \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)"                                           \
                     : : "r"((void *)(p)), "r"((size_t)(stride)) : "memory")
#define AMX_DOT(c, a, w) __asm__ volatile("tdpbusd %%tmm" #w ", %%tmm" #a ", %%tmm" #c : :)

#endif

/* 16 or 32 rows times one or two blocks. */
static inline __attribute__((always_inline)) void amx_rows(const mrt_tile *t, const bool tall,
                                                           const bool wide) {
    const size_t stride = t->a_stride, c_stride = MRT_TILE_BLOCKS * MRT_TILE_BLOCK * sizeof(int32_t);
    const char *w = t->w;
    const char *w1 = w + (wide ? t->w_stride : 0);
    AMX_ZERO(0);
    if (wide) {
        AMX_ZERO(1);
    }
    if (tall) {
        AMX_ZERO(2);
    }
    if (tall && wide) {
        AMX_ZERO(3);
    }
    for (int64_t i = 0; i < t->runs; ++i) {
        const char *a = (const char *)t->a + t->run[i];
        for (int64_t q = 0; q < t->quads; q += AMX_QUADS, a += AMX_BYTES) {
            AMX_LOAD(6, w, AMX_BYTES);
            AMX_LOAD(4, a, stride);
            AMX_DOT(0, 4, 6);
            if (wide) {
                AMX_LOAD(7, w1, AMX_BYTES);
                AMX_DOT(1, 4, 7);
            }
            if (tall) {
                AMX_LOAD(5, a + AMX_ROWS * stride, stride);
                AMX_DOT(2, 5, 6);
            }
            if (tall && wide) {
                AMX_DOT(3, 5, 7);
            }
            w += AMX_ROWS * AMX_BYTES;
            w1 += AMX_ROWS * AMX_BYTES;
        }
    }
    AMX_STORE(0, t->c, c_stride);
    if (wide) {
        AMX_STORE(1, t->c + MRT_TILE_BLOCK, c_stride);
    }
    if (tall) {
        AMX_STORE(2, t->c + AMX_ROWS * MRT_TILE_BLOCKS * MRT_TILE_BLOCK, c_stride);
    }
    if (tall && wide) {
        AMX_STORE(3, t->c + (AMX_ROWS * MRT_TILE_BLOCKS + 1) * MRT_TILE_BLOCK, c_stride);
    }
}

/* rows is 16 or 32; blocks 1 or 2. */
static inline void amx_tile(const mrt_tile *t, int rows, int blocks) {
    if (rows > AMX_ROWS) {
        blocks > 1 ? amx_rows(t, true, true) : amx_rows(t, true, false);
    } else {
        blocks > 1 ? amx_rows(t, false, true) : amx_rows(t, false, false);
    }
}

#endif
