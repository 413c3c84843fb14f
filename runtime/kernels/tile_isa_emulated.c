/* Portable rows with byte tiles, for tests on any machine: "scalar-u8" is the reference of the layout
 * MRT_TILE_U8, and "amx-emulated" the row "amx" with its tile registers in memory. Named only; the row
 * "scalar" comes before them. */
#define MRT_AMX_EMULATED
#include "runtime/kernels/tile_amx.h"

static void tile_u8(const mrt_tile *t, int rows, int blocks) {
    const int width = MRT_TILE_BLOCKS * MRT_TILE_BLOCK;
    memset(t->c, 0, sizeof(int32_t) * (size_t)(rows * width));
    for (int r = 0; r < rows; ++r) {
        const uint8_t *row = (const uint8_t *)t->a + (size_t)r * t->a_stride;
        for (int b = 0; b < blocks; ++b) {
            const int8_t *w = (const int8_t *)t->w + (size_t)b * t->w_stride;
            int32_t *sum = t->c + r * width + b * MRT_TILE_BLOCK;
            for (int64_t i = 0; i < t->runs; ++i) {
                const uint8_t *a = row + t->run[i];
                for (int64_t q = 0; q < t->quads; ++q, a += 4, w += 4 * MRT_TILE_BLOCK) {
                    for (int n = 0; n < MRT_TILE_BLOCK; ++n) {
                        sum[n] += a[0] * w[4 * n] + a[1] * w[4 * n + 1] + a[2] * w[4 * n + 2] +
                                  a[3] * w[4 * n + 3];
                    }
                }
            }
        }
    }
}

static void depthwise_u8(const mrt_tile_depthwise *d, int32_t *acc) {
    const mrt_tile_isa layout = {.layout = MRT_TILE_U8};
    const int8_t *w = d->w;
    memset(acc, 0, sizeof(int32_t) * MRT_DEPTHWISE_BLOCK);
    for (int t = 0; t < d->groups * 4; ++t) {
        const uint8_t *x = d->x + d->tap[t];
        for (int c = 0; c < MRT_DEPTHWISE_BLOCK; ++c) {
            acc[c] += x[c] * w[mrt_tile_depthwise_index(&layout, t, c)];
        }
    }
}

static void tile_emulated(const mrt_tile *t, int rows, int blocks) {
    if (rows < AMX_ROWS) {
        tile_u8(t, rows, blocks);
    } else {
        amx_tile(t, rows, blocks);
    }
}

static void enter(void) { AMX_ENTER(); }
static void leave(void) { AMX_LEAVE(); }

const mrt_tile_isa mrt_tile_isa_scalar_u8 = {
    .name = "scalar-u8",
    .layout = MRT_TILE_U8,
    .unit = 1,
    .blocks = 2,
    .heights = {4, 2, 1, 0},
    .tile = tile_u8,
    .finish = mrt_tile_scalar_finish,
    .depthwise = depthwise_u8,
    .sum = mrt_tile_scalar_sum,
    .add = mrt_tile_scalar_add,
    .lut = mrt_tile_scalar_lut,
};

const mrt_tile_isa mrt_tile_isa_amx_emulated = {
    .name = "amx-emulated",
    .layout = MRT_TILE_U8,
    .unit = AMX_QUADS,
    .small = &mrt_tile_isa_scalar_u8,
    .blocks = 2,
    .heights = {32, 16, 14, 7, 4, 2, 1, 0},
    .enter = enter,
    .leave = leave,
    .tile = tile_emulated,
    .finish = mrt_tile_scalar_finish,
    .depthwise = depthwise_u8,
    .sum = mrt_tile_scalar_sum,
    .add = mrt_tile_scalar_add,
    .lut = mrt_tile_scalar_lut,
};
