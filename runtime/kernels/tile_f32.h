/* Inner loops of the float products, one table row per instruction set.
 *
 * Y[row][column] = clamp(sum over k of A[row][k] * W[k][column] + bias[column]). A row is chosen once per
 * plan as in tile_isa.h. Sums run over increasing k, each in one register, so they are the same bytes
 * for every way to cut rows and columns into tiles; between table rows they differ in rounding
 * (fused or not), which only steps of MRT_ORDER_BLAS may use.
 *
 * The depth is cut into runs of consecutive k as in tile_isa.h. Columns come in blocks of
 * MRT_TILE_BLOCK; a packed block holds float [runs * depth][MRT_TILE_BLOCK], zeros in unused columns. */
#ifndef MRT_TILE_F32_H
#define MRT_TILE_F32_H

#include "runtime/kernels/tile_isa.h"

typedef struct mrt_tile_f32 {
    const float *a;
    size_t a_stride;     /* elements between rows */
    const int64_t *run;  /* offset of each run from a row's start, in elements */
    int64_t runs, depth; /* depth of a run */
    const float *w;
    size_t w_stride;     /* elements between blocks */
    const float *bias;   /* filled up to whole blocks */
    float low, high;     /* a NaN stays NaN */
    float *y;
    size_t y_stride;     /* elements between rows */
    const char *ahead;   /* fetched into the second cache, a line per k: weights of tiles to come */
    size_t ahead_step;   /* 64, or 0: nothing to fetch, ahead is any readable place */
} mrt_tile_f32;

typedef struct mrt_tile_f32_isa {
    const char *name;
    uint32_t features; /* as in mrt_tile_isa */
    int blocks;        /* of a call, at most MRT_TILE_BLOCKS */
    int heights[8];    /* row counts that tile takes, falling, ends with 1 and 0 */
    /* columns: 1 to blocks * MRT_TILE_BLOCK. */
    void (*tile)(const mrt_tile_f32 *t, int rows, int columns);
} mrt_tile_f32_isa;

/* As the functions without _f32 in tile_isa.h. MICA_ISA=vnni means avx512 here. */
const mrt_tile_f32_isa *mrt_tile_f32_isa_at(int i);
bool mrt_tile_f32_isa_available(const mrt_tile_f32_isa *isa);
const mrt_tile_f32_isa *mrt_tile_f32_isa_select(void);

#ifdef MRT_TILE_X86
extern const mrt_tile_f32_isa mrt_tile_f32_isa_avx2;
extern const mrt_tile_f32_isa mrt_tile_f32_isa_avx512;
#endif

#endif
