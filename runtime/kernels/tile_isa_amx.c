/* AMX row: tiles of 16 or 32 rows by tdpbusd, all else as the row "vnni", whose packed blocks these are. */
#include "runtime/kernels/tile_isa.h"

#ifdef MRT_TILE_X86

#include "runtime/kernels/tile_amx.h"

static void tile(const mrt_tile *t, int rows, int blocks) {
    if (rows < AMX_ROWS) {
        mrt_tile_isa_vnni.tile(t, rows, blocks);
    } else {
        amx_tile(t, rows, blocks);
    }
}

static void enter(void) { AMX_ENTER(); }
static void leave(void) { AMX_LEAVE(); }

static void finish(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows, uint8_t *y,
                   size_t y_stride, int columns) {
    mrt_tile_isa_vnni.finish(e, c, c_stride, rows, y, y_stride, columns);
}

static void depthwise(const mrt_tile_depthwise *d, int32_t *acc) {
    mrt_tile_isa_vnni.depthwise(d, acc);
}

static void sum(const mrt_tile_sum *s, const int32_t *a, const int32_t *b, uint8_t *y,
                int64_t count) {
    mrt_tile_isa_vnni.sum(s, a, b, y, count);
}

const mrt_tile_isa mrt_tile_isa_amx = {
    .name = "amx",
    .features = MRT_TILE_AVX2 | MRT_TILE_AVX512 | MRT_TILE_VNNI | MRT_TILE_AMX,
    .layout = MRT_TILE_U8,
    .unit = AMX_QUADS,
    .small = &mrt_tile_isa_vnni,
    .blocks = 2,
    .heights = {32, 16, 14, 7, 4, 2, 1, 0},
    .enter = enter,
    .leave = leave,
    .tile = tile,
    .finish = finish,
    .depthwise = depthwise,
    .sum = sum,
    .add = mrt_tile_avx512_add,
    .lut = mrt_tile_avx512_lut,
};

#else
typedef int mrt_tile_isa_amx_is_empty; /* ISO C wants a declaration */
#endif
