/* Inner loops of the float products, one table row per instruction set.
 *
 * Y[row][column] = clamp(sum over k of A[row][k] * W[k][column] + bias[column] + add[row][column]). A row
 * of the table is chosen once per plan as in tile_isa.h. The depth may be cut into pieces: a piece that
 * does not start takes the sum so far from Y, one that does not end leaves it there. Sums run over
 * increasing k, one chain per element, so they are the same bytes for every way to cut rows, columns
 * and depth; between table rows they differ in rounding (fused or not), which only steps of
 * MRT_ORDER_BLAS may use.
 *
 * Columns come in blocks of MRT_TILE_BLOCK; a packed block holds float [depth][MRT_TILE_BLOCK], zeros in
 * unused columns. A is a copy of a piece of few rows, in the first cache. */
#ifndef MRT_TILE_F32_H
#define MRT_TILE_F32_H

#include "runtime/kernels/tile_isa.h"

/* Most depth of a piece, and elements between rows of A: an odd number of cache lines. */
enum { MRT_TILE_F32_DEPTH = 192, MRT_TILE_F32_STRIDE = MRT_TILE_F32_DEPTH + 16 };
/* Most rows of a call of any table row. */
enum { MRT_TILE_F32_ROWS = 14 };

typedef struct mrt_tile_f32 {
    const float *a;    /* [rows][MRT_TILE_F32_STRIDE] */
    int64_t depth;     /* of the piece */
    const float *w;
    size_t w_stride;   /* elements between blocks */
    bool starts, ends; /* first and last piece */
    const float *bias; /* filled up to whole blocks */
    const float *add;  /* rows as those of y, or NULL */
    float low, high;   /* a NaN stays NaN */
    float *y;
    size_t y_stride;   /* elements between rows */
    const char *ahead; /* fetched into the second cache, a line per k: weights of tiles to come */
    size_t ahead_step; /* bytes per k; 0: nothing to fetch, ahead is any readable place */
} mrt_tile_f32;

typedef struct mrt_tile_f32_isa {
    const char *name;
    uint32_t features; /* as in mrt_tile_isa */
    int rows, blocks;  /* most of a call; at most MRT_TILE_F32_ROWS, MRT_TILE_BLOCKS */
    /* rows: 1 to most; columns: 1 to blocks * MRT_TILE_BLOCK. */
    void (*tile)(const mrt_tile_f32 *t, int rows, int columns);
} mrt_tile_f32_isa;

/* Columns that do not fill the one block of a row's calls: `whole` works on a copy beside y. */
typedef void mrt_tile_f32_whole(const mrt_tile_f32 *t, int rows);
void mrt_tile_f32_part(const mrt_tile_f32 *t, int rows, int columns, mrt_tile_f32_whole *whole);

/* As the functions without _f32 in tile_isa.h. MICA_ISA=vnni means avx512 here. */
const mrt_tile_f32_isa *mrt_tile_f32_isa_at(int i);
bool mrt_tile_f32_isa_available(const mrt_tile_f32_isa *isa);
const mrt_tile_f32_isa *mrt_tile_f32_isa_select(void);

/* As many calls as the rows need; t describes the first of them but for `ahead`. ahead: NULL, or weights
 * of the next calls, as far apart as t->w_stride. */
void mrt_tile_f32_rows(const mrt_tile_f32_isa *isa, const mrt_tile_f32 *t, int64_t rows, int columns,
                       const char *ahead);

#ifdef MRT_TILE_X86
extern const mrt_tile_f32_isa mrt_tile_f32_isa_avx2;
extern const mrt_tile_f32_isa mrt_tile_f32_isa_avx512;
#endif

#ifdef MRT_TILE_ARM
extern const mrt_tile_f32_isa mrt_tile_f32_isa_neon;
#endif

#endif
