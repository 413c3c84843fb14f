/* AVX2 float tiles with fused multiply-add: up to 6 rows times 16 columns of sums in registers. */
#include "runtime/kernels/tile_f32.h"

#ifdef MRT_TILE_X86

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define TARGET_INLINE static inline __attribute__((always_inline, target("avx2,fma")))

enum { ROWS = 6, HALF = MRT_TILE_BLOCK / 2 };

TARGET_INLINE __m256 finish(const mrt_tile_f32 *t, __m256 sum, const float *add, int column) {
    __m256 v = _mm256_add_ps(sum, _mm256_loadu_ps(t->bias + column));
    if (t->add) {
        v = _mm256_add_ps(v, _mm256_loadu_ps(add + column));
    }
    /* the second operand is the result where one is NaN */
    v = _mm256_max_ps(_mm256_set1_ps(t->low), v);
    return _mm256_min_ps(_mm256_set1_ps(t->high), v);
}

/* A tile of constant size: all sums stay in registers. */
TARGET_INLINE void tile_rows(const mrt_tile_f32 *t, const int rows) {
    __m256 sum[ROWS][2];
    const float *w = t->w, *a = t->a;
    const size_t ahead_step = t->ahead_step, y_stride = t->y_stride;
    const char *ahead = t->ahead;
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
        sum[r][0] = sum[r][1] = _mm256_setzero_ps();
        if (!t->starts) {
            sum[r][0] = _mm256_loadu_ps(t->y + (size_t)r * y_stride);
            sum[r][1] = _mm256_loadu_ps(t->y + (size_t)r * y_stride + HALF);
        }
    }
    for (int64_t k = t->depth; k > 0; --k, ++a, w += MRT_TILE_BLOCK, ahead += ahead_step) {
        _mm_prefetch(ahead, _MM_HINT_T1);
        const __m256 w_0 = _mm256_loadu_ps(w);
        const __m256 w_1 = _mm256_loadu_ps(w + HALF);
        _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
            const __m256 v = _mm256_set1_ps(a[r * MRT_TILE_F32_STRIDE]);
            sum[r][0] = _mm256_fmadd_ps(v, w_0, sum[r][0]);
            sum[r][1] = _mm256_fmadd_ps(v, w_1, sum[r][1]);
        }
    }
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
        float *y = t->y + (size_t)r * y_stride;
        if (t->ends) {
            const float *add = t->add ? t->add + (size_t)r * y_stride : NULL;
            sum[r][0] = finish(t, sum[r][0], add, 0);
            sum[r][1] = finish(t, sum[r][1], add, HALF);
        }
        _mm256_storeu_ps(y, sum[r][0]);
        _mm256_storeu_ps(y + HALF, sum[r][1]);
    }
}

TARGET static void tile_whole(const mrt_tile_f32 *t, int rows) {
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

const mrt_tile_f32_isa mrt_tile_f32_isa_avx2 = {
    .name = "avx2",
    .features = MRT_TILE_AVX2,
    .rows = ROWS,
    .blocks = 1,
    .tile = tile,
};

#endif
