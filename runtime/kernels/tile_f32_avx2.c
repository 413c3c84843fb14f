/* AVX2 float tiles with fused multiply-add: up to 6 rows times 16 columns of sums in registers. */
#include "runtime/kernels/tile_f32.h"

#ifdef MRT_TILE_X86

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma")))
#define TARGET_INLINE static inline __attribute__((always_inline, target("avx2,fma")))

enum { ROWS = 6, HALF = MRT_TILE_BLOCK / 2 };

TARGET_INLINE __m256 finish(const mrt_tile_f32 *t, __m256 sum, int column) {
    __m256 v = _mm256_add_ps(sum, _mm256_loadu_ps(t->bias + column));
    /* the second operand is the result where one is NaN */
    v = _mm256_max_ps(_mm256_set1_ps(t->low), v);
    return _mm256_min_ps(_mm256_set1_ps(t->high), v);
}

/* A tile of constant size: all sums stay in registers. */
TARGET_INLINE void tile_rows(const mrt_tile_f32 *t, const int rows, int columns) {
    __m256 sum[ROWS][2];
    const float *w = t->w;
    const size_t stride = t->a_stride, ahead_step = t->ahead_step;
    const char *ahead = t->ahead;
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
        sum[r][0] = sum[r][1] = _mm256_setzero_ps();
    }
    for (int64_t i = 0; i < t->runs; ++i) {
        const float *a = t->a + t->run[i];
        for (int64_t k = t->depth; k > 0; --k, ++a, w += MRT_TILE_BLOCK) {
            _mm_prefetch(ahead, _MM_HINT_T1);
            ahead += ahead_step;
            const __m256 w_0 = _mm256_loadu_ps(w);
            const __m256 w_1 = _mm256_loadu_ps(w + HALF);
            _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
                const __m256 v = _mm256_set1_ps(a[(size_t)r * stride]);
                sum[r][0] = _mm256_fmadd_ps(v, w_0, sum[r][0]);
                sum[r][1] = _mm256_fmadd_ps(v, w_1, sum[r][1]);
            }
        }
    }
    _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {
        float *y = t->y + (size_t)r * t->y_stride;
        const __m256 v_0 = finish(t, sum[r][0], 0), v_1 = finish(t, sum[r][1], HALF);
        if (columns == MRT_TILE_BLOCK) {
            _mm256_storeu_ps(y, v_0);
            _mm256_storeu_ps(y + HALF, v_1);
        } else {
            float part[MRT_TILE_BLOCK];
            _mm256_storeu_ps(part, v_0);
            _mm256_storeu_ps(part + HALF, v_1);
            memcpy(y, part, (size_t)columns * sizeof(float));
        }
    }
}

TARGET static void tile(const mrt_tile_f32 *t, int rows, int columns) {
    switch (rows) {
    case 6: tile_rows(t, 6, columns); break;
    case 5: tile_rows(t, 5, columns); break;
    case 4: tile_rows(t, 4, columns); break;
    case 3: tile_rows(t, 3, columns); break;
    case 2: tile_rows(t, 2, columns); break;
    default: tile_rows(t, 1, columns); break;
    }
}

const mrt_tile_f32_isa mrt_tile_f32_isa_avx2 = {
    .name = "avx2",
    .features = MRT_TILE_AVX2,
    .blocks = 1,
    .heights = {6, 5, 4, 3, 2, 1, 0},
    .tile = tile,
};

#endif
