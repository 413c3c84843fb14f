/* Choice of the float tiles, and their portable form. */
#include "runtime/kernels/tile_f32.h"

#include "runtime/mrt_clones.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 4 };

MRT_INLINE void tile_rows(const mrt_tile_f32 *t, const int rows, int columns) {
    float sum[ROWS][MRT_TILE_BLOCK] = {{0}};
    const float *w = t->w;
    for (int64_t i = 0; i < t->runs; ++i) {
        const float *a = t->a + t->run[i];
        for (int64_t k = 0; k < t->depth; ++k, w += MRT_TILE_BLOCK) {
            for (int r = 0; r < rows; ++r) {
                const float v = a[(size_t)r * t->a_stride + (size_t)k];
                for (int n = 0; n < MRT_TILE_BLOCK; ++n) {
                    sum[r][n] += v * w[n];
                }
            }
        }
    }
    for (int r = 0; r < rows; ++r) {
        float *y = t->y + (size_t)r * t->y_stride;
        for (int n = 0; n < columns; ++n) {
            float v = sum[r][n] + t->bias[n];
            v = v < t->low ? t->low : v;
            y[n] = v > t->high ? t->high : v;
        }
    }
}

static void tile_portable(const mrt_tile_f32 *t, int rows, int columns) {
    switch (rows) {
    case 4: tile_rows(t, 4, columns); break;
    case 2: tile_rows(t, 2, columns); break;
    default: tile_rows(t, 1, columns); break;
    }
}

static const mrt_tile_f32_isa portable_isa = {
    .name = "scalar", .blocks = 1, .heights = {4, 2, 1, 0}, .tile = tile_portable};

static const mrt_tile_f32_isa *const isa_table[] = {
#ifdef MRT_TILE_X86
    &mrt_tile_f32_isa_avx512, &mrt_tile_f32_isa_avx2,
#endif
    &portable_isa,
};
enum { ISA_COUNT = sizeof(isa_table) / sizeof(isa_table[0]) };

const mrt_tile_f32_isa *mrt_tile_f32_isa_at(int i) {
    return i >= 0 && i < ISA_COUNT ? isa_table[i] : NULL;
}

bool mrt_tile_f32_isa_available(const mrt_tile_f32_isa *isa) {
#ifdef MRT_TILE_X86
    __builtin_cpu_init();
    if ((isa->features & MRT_TILE_AVX2) && !__builtin_cpu_supports("fma")) {
        return false;
    }
#endif
    const mrt_tile_isa same = {.features = isa->features};
    return mrt_tile_isa_available(&same);
}

/* The name of the integer row that was chosen, which knows MICA_ISA, decides. */
const mrt_tile_f32_isa *mrt_tile_f32_isa_select(void) {
    const mrt_tile_isa *chosen = mrt_tile_isa_select();
    for (int i = 0; i < ISA_COUNT; ++i) {
        const bool below = (isa_table[i]->features & ~chosen->features) == 0;
        if (below && mrt_tile_f32_isa_available(isa_table[i])) {
            return isa_table[i];
        }
    }
    return &portable_isa;
}
