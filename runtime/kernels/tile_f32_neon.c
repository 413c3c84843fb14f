/* ARM float tiles with fused multiply-add: up to 6 rows times 16 columns of sums in registers. */
#include "runtime/kernels/tile_f32.h"

#ifdef MRT_TILE_ARM

#include <arm_neon.h>

#define BASE_INLINE static inline __attribute__((always_inline))

enum { ROWS = 6, PARTS = MRT_TILE_BLOCK / 4 };

BASE_INLINE float32x4_t finish(const mrt_tile_f32 *t, float32x4_t sum, const float *add,
                               int column) {
    float32x4_t v = vaddq_f32(sum, vld1q_f32(t->bias + column));
    if (add) {
        v = vaddq_f32(v, vld1q_f32(add + column));
    }
    const float32x4_t low = vdupq_n_f32(t->low), high = vdupq_n_f32(t->high);
    v = vbslq_f32(vcltq_f32(v, low), low, v); /* a NaN stays */
    return vbslq_f32(vcgtq_f32(v, high), high, v);
}

/* A tile of constant size: all sums stay in registers. */
BASE_INLINE void tile_rows(const mrt_tile_f32 *t, const int rows) {
    float32x4_t sum[ROWS][PARTS];
    const float *w = t->w, *a = t->a;
    const char *ahead = t->ahead;
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
        _Pragma("GCC unroll 4") for (int p = 0; p < PARTS; ++p) {
            sum[r][p] = t->starts ? vdupq_n_f32(0)
                                  : vld1q_f32(t->y + (size_t)r * t->y_stride + 4 * p);
        }
    }
    for (int64_t k = t->depth; k > 0; --k, ++a, w += MRT_TILE_BLOCK, ahead += t->ahead_step) {
        __builtin_prefetch(ahead, 0, 2);
        const float32x4x4_t v = vld1q_f32_x4(w);
        _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
            const float32x4_t x = vld1q_dup_f32(a + r * MRT_TILE_F32_STRIDE);
            _Pragma("GCC unroll 4") for (int p = 0; p < PARTS; ++p) {
                sum[r][p] = vfmaq_f32(sum[r][p], x, v.val[p]);
            }
        }
    }
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
        float *y = t->y + (size_t)r * t->y_stride;
        const float *add = t->add ? t->add + (size_t)r * t->y_stride : NULL;
        _Pragma("GCC unroll 4") for (int p = 0; p < PARTS; ++p) {
            vst1q_f32(y + 4 * p, t->ends ? finish(t, sum[r][p], add, 4 * p) : sum[r][p]);
        }
    }
}

static void tile_whole(const mrt_tile_f32 *t, int rows) {
    switch (rows) {
    case 6: tile_rows(t, 6); break;
    case 5: tile_rows(t, 5); break;
    case 4: tile_rows(t, 4); break;
    case 3: tile_rows(t, 3); break;
    case 2: tile_rows(t, 2); break;
    default: tile_rows(t, 1); break;
    }
}

static void tile(const mrt_tile_f32 *t, int rows, int columns) {
    if (columns == MRT_TILE_BLOCK) {
        tile_whole(t, rows);
    } else {
        mrt_tile_f32_part(t, rows, columns, tile_whole);
    }
}

const mrt_tile_f32_isa mrt_tile_f32_isa_neon = {
    .name = "neon",
    .features = MRT_TILE_NEON,
    .rows = ROWS,
    .blocks = 1,
    .tile = tile,
};

#else
typedef int mrt_tile_f32_neon_is_empty; /* ISO C wants a declaration */
#endif
