/* ARM float tiles with fused multiply-add: up to 6 rows times 16 columns of sums in registers. */
#include "runtime/kernels/tile_f32.h"

#ifdef MRT_TILE_ARM

#include <arm_neon.h>
#include <string.h>

enum { ROWS = 6, PARTS = MRT_TILE_BLOCK / 4 };

#define BASE_INLINE static inline __attribute__((always_inline))

BASE_INLINE float32x4_t finish(const mrt_tile_f32 *t, float32x4_t sum, int column) {
    float32x4_t v = vaddq_f32(sum, vld1q_f32(t->bias + column));
    const float32x4_t low = vdupq_n_f32(t->low), high = vdupq_n_f32(t->high);
    v = vbslq_f32(vcltq_f32(v, low), low, v); /* a NaN stays */
    return vbslq_f32(vcgtq_f32(v, high), high, v);
}

/* A tile of constant size: all sums stay in registers. */
BASE_INLINE void tile_rows(const mrt_tile_f32 *t, const int rows, int columns) {
    float32x4_t sum[ROWS][PARTS];
    const float *w = t->w;
    const char *ahead = t->ahead;
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
        sum[r][0] = sum[r][1] = sum[r][2] = sum[r][3] = vdupq_n_f32(0);
    }
    for (int64_t i = 0; i < t->runs; ++i) {
        const float *a = t->a + t->run[i];
        for (int64_t k = t->depth; k > 0; --k, ++a, w += MRT_TILE_BLOCK) {
            __builtin_prefetch(ahead, 0, 2);
            ahead += t->ahead_step;
            const float32x4x4_t v = vld1q_f32_x4(w);
            _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
                const float32x4_t x = vld1q_dup_f32(a + (size_t)r * t->a_stride);
                _Pragma("GCC unroll 4") for (int p = 0; p < PARTS; ++p) {
                    sum[r][p] = vfmaq_f32(sum[r][p], x, v.val[p]);
                }
            }
        }
    }
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
        float *y = t->y + (size_t)r * t->y_stride;
        float part[MRT_TILE_BLOCK];
        float *to = columns == MRT_TILE_BLOCK ? y : part;
        for (int p = 0; p < PARTS; ++p) {
            vst1q_f32(to + 4 * p, finish(t, sum[r][p], 4 * p));
        }
        if (to == part) {
            memcpy(y, part, (size_t)columns * sizeof(float));
        }
    }
}

static void tile(const mrt_tile_f32 *t, int rows, int columns) {
    switch (rows) {
    case 6: tile_rows(t, 6, columns); break;
    case 5: tile_rows(t, 5, columns); break;
    case 4: tile_rows(t, 4, columns); break;
    case 3: tile_rows(t, 3, columns); break;
    case 2: tile_rows(t, 2, columns); break;
    default: tile_rows(t, 1, columns); break;
    }
}

const mrt_tile_f32_isa mrt_tile_f32_isa_neon = {
    .name = "neon",
    .features = MRT_TILE_NEON,
    .blocks = 1,
    .heights = {6, 5, 4, 3, 2, 1, 0},
    .tile = tile,
};

#else
typedef int mrt_tile_f32_neon_is_empty; /* ISO C wants a declaration */
#endif
