/* Blocked integer matrix product behind row-major conv_int and deconv_int, and matmul_int of any depth.
 *
 * Computes sums[batch][row][column] over a depth of `quads` * 4 in blocks of MRT_INT_COLUMNS columns
 * and MRT_INT_ROWS rows, by the tiles of tile_isa.h that take int16: the left operand's rows are int16
 * [quads * 4]. The caller's hooks bring panels in and take finished rows out. Work is cut
 * into at most MRT_INT_LANES lanes whose borders depend on the shape alone; each lane owns a slice
 * of scratch. Sums are exact: int32 while the depth fits one panel, else int32 per panel added up in
 * int64 [acc-bound]. */
#ifndef MRT_INT_GEMM_H
#define MRT_INT_GEMM_H

#include "runtime/kernels/tile_isa.h"
#include "runtime/mrt_pool.h"

#define MRT_INT_COLUMNS (MRT_TILE_BLOCKS * MRT_TILE_BLOCK)
/* Rows of the left operand per task. */
#define MRT_INT_ROWS 112
/* Depth of one panel in quads: int32 sums of 8192 * 255 * 255 are exact. */
#define MRT_INT_QUADS 2048
#define MRT_INT_LANES 16
#define MRT_INT_ROW_BYTES 64 /* a row buffer of the pack hook: MRT_INT_COLUMNS bytes and slack */

/* Where a panel comes from: columns col..col+cols-1 (cols <= MRT_INT_COLUMNS), quads first..last-1. */
typedef struct mrt_int_panel {
    int64_t batch, column, first, last;
    int columns;
    int16_t *out;     /* see mrt_int_pack_quad */
    uint8_t *row[4];  /* buffers of MRT_INT_ROW_BYTES, zero at first */
    int64_t *sum;     /* one word per column for the hooks' own use, kept with the panel */
} mrt_int_panel;

/* One finished row of a block: exactly one of acc and wide is set. */
typedef struct mrt_int_rows {
    int64_t batch, row, column;
    int columns;
    const int64_t *sum; /* of the panel */
    const int32_t *acc;
    const int64_t *wide;
} mrt_int_rows;

typedef struct mrt_int_gemm {
    const mrt_tile_isa *isa; /* mrt_tile_isa_words() */
    int64_t batches, rows, columns, quads;
    const void *context;
    const char *(*left)(const void *context, int64_t batch); /* rows of left_stride bytes */
    size_t left_stride;
    void (*pack)(const void *context, const mrt_int_panel *panel);
    void (*finish)(const void *context, const mrt_int_rows *rows);
    char *scratch; /* mrt_int_gemm_scratch bytes, 64-byte aligned */
} mrt_int_gemm;

/* Quad q of a panel from four byte rows of MRT_INT_COLUMNS each; values less `sub` are kept. */
static inline void mrt_int_pack_quad(const mrt_int_panel *panel, int64_t q,
                                     const uint8_t *const row[4], bool is_signed, int32_t sub) {
    const int64_t quads = panel->last - panel->first;
    for (int b = 0; b < MRT_TILE_BLOCKS; ++b) {
        const int at = b * MRT_TILE_BLOCK;
        const uint8_t *const part[4] = {row[0] + at, row[1] + at, row[2] + at, row[3] + at};
        mrt_tile_pack_words(panel->out + (b * quads + q - panel->first) * 4 * MRT_TILE_BLOCK, part,
                            is_signed, sub);
    }
}

/* Scratch for any instruction set. All sizes >= 0. */
size_t mrt_int_gemm_scratch(int64_t batches, int64_t rows, int64_t columns, int64_t quads);
void mrt_int_gemm_run(const mrt_int_gemm *gemm, mrt_pool *pool);

/* Number of lanes for `tasks` and the first task of a lane. */
static inline int64_t mrt_int_lanes(int64_t tasks) {
    return tasks < MRT_INT_LANES ? tasks : MRT_INT_LANES;
}
static inline int64_t mrt_int_lane_begin(int64_t tasks, int64_t lane) {
    const int64_t lanes = mrt_int_lanes(tasks);
    return tasks / lanes * lane + tasks % lanes * lane / lanes;
}

#endif
