/* Choice of the float tiles, and their portable form. */
#include "runtime/kernels/tile_f32.h"

#include "runtime/mrt_clones.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 4 };

MRT_INLINE void tile_rows(const mrt_tile_f32 *t, const int rows, int columns) {
    float sum[ROWS][MRT_TILE_BLOCK] = {{0}};
    const float *w = t->w, *a = t->a;
    for (int r = 0; r < rows && !t->starts; ++r) {
        memcpy(sum[r], t->y + (size_t)r * t->y_stride, (size_t)columns * sizeof(float));
    }
    for (int64_t k = 0; k < t->depth; ++k, w += MRT_TILE_BLOCK) {
        for (int r = 0; r < rows; ++r) {
            const float v = a[r * MRT_TILE_F32_STRIDE + k];
            for (int n = 0; n < MRT_TILE_BLOCK; ++n) {
                sum[r][n] += v * w[n];
            }
        }
    }
    for (int r = 0; r < rows; ++r) {
        float *y = t->y + (size_t)r * t->y_stride;
        const float *add = t->add ? t->add + (size_t)r * t->y_stride : NULL;
        for (int n = 0; n < columns; ++n) {
            float v = sum[r][n];
            if (t->ends) {
                v += t->bias[n];
                v += add ? add[n] : -0.0f; /* adding -0 changes nothing */
                v = v < t->low ? t->low : v;
                v = v > t->high ? t->high : v;
            }
            y[n] = v;
        }
    }
}

static void tile_portable(const mrt_tile_f32 *t, int rows, int columns) {
    switch (rows) {
    case 4: tile_rows(t, 4, columns); break;
    case 3: tile_rows(t, 3, columns); break;
    case 2: tile_rows(t, 2, columns); break;
    default: tile_rows(t, 1, columns); break;
    }
}

void mrt_tile_f32_part(const mrt_tile_f32 *t, int rows, int columns, mrt_tile_f32_whole *whole) {
    float y[MRT_TILE_F32_ROWS * MRT_TILE_BLOCK], add[MRT_TILE_F32_ROWS * MRT_TILE_BLOCK] = {0};
    const size_t bytes = (size_t)columns * sizeof(float);
    mrt_tile_f32 part = *t;
    part.y = y;
    part.add = t->add ? add : NULL;
    part.y_stride = MRT_TILE_BLOCK;
    for (int r = 0; r < rows; ++r) {
        float *row = y + r * MRT_TILE_BLOCK;
        memset(row, 0, MRT_TILE_BLOCK * sizeof(float));
        if (!t->starts) {
            memcpy(row, t->y + (size_t)r * t->y_stride, bytes);
        }
        if (t->add && t->ends) {
            memcpy(add + r * MRT_TILE_BLOCK, t->add + (size_t)r * t->y_stride, bytes);
        }
    }
    whole(&part, rows);
    for (int r = 0; r < rows; ++r) {
        memcpy(t->y + (size_t)r * t->y_stride, y + r * MRT_TILE_BLOCK, bytes);
    }
}

static const mrt_tile_f32_isa portable_isa = {
    .name = "scalar", .rows = ROWS, .blocks = 1, .tile = tile_portable};

static const mrt_tile_f32_isa *const isa_table[] = {
#ifdef MRT_TILE_X86
    &mrt_tile_f32_isa_avx512, &mrt_tile_f32_isa_avx2,
#endif
#ifdef MRT_TILE_ARM
    &mrt_tile_f32_isa_neon,
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

void mrt_tile_f32_rows(const mrt_tile_f32_isa *isa, const mrt_tile_f32 *t, int64_t rows, int columns,
                       const char *ahead) {
    const int64_t tiles = (rows + isa->rows - 1) / isa->rows;
    const int64_t blocks = (columns + MRT_TILE_BLOCK - 1) / MRT_TILE_BLOCK;
    mrt_tile_f32 part = *t;
    for (int64_t i = 0; i < tiles; ++i) {
        const int64_t row = rows * i / tiles, end = rows * (i + 1) / tiles;
        const bool fetches = ahead && i < blocks;
        part.a = t->a + row * MRT_TILE_F32_STRIDE;
        part.y = t->y + (size_t)row * t->y_stride;
        part.add = t->add ? t->add + (size_t)row * t->y_stride : NULL;
        part.ahead = fetches ? ahead + (size_t)i * t->w_stride * sizeof(float) : (const char *)t->w;
        part.ahead_step = fetches ? 64 : 0;
        isa->tile(&part, (int)(end - row), columns);
    }
}
