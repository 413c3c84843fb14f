/* AVX-512 float tiles: up to 14 rows times 32 columns of sums in registers. */
#include "runtime/kernels/tile_f32.h"

#ifdef MRT_TILE_X86

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")))
#define TARGET_INLINE                                                                              \
    static inline                                                                                  \
        __attribute__((always_inline, target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")))

enum { ROWS = 14 };

TARGET_INLINE void finish(const mrt_tile_f32 *t, __m512 sum, int column, int columns, float *y) {
    const int left = columns - column;
    const __mmask16 mask = left >= MRT_TILE_BLOCK ? 0xffff : (__mmask16)((1u << left) - 1);
    __m512 v = _mm512_add_ps(sum, _mm512_loadu_ps(t->bias + column));
    /* the second operand is the result where one is NaN */
    v = _mm512_max_ps(_mm512_set1_ps(t->low), v);
    v = _mm512_min_ps(_mm512_set1_ps(t->high), v);
    _mm512_mask_storeu_ps(y + column, mask, v);
}

/* A tile of constant size: all sums stay in registers. */
TARGET_INLINE void tile_rows(const mrt_tile_f32 *t, const int rows, const int blocks,
                             int columns) {
    __m512 sum[ROWS][2];
    const float *w = t->w;
    const float *w1 = w + (blocks > 1 ? t->w_stride : 0);
    const size_t stride = t->a_stride, ahead_step = t->ahead_step;
    const char *ahead = t->ahead;
    _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {
        sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    }
    for (int64_t i = 0; i < t->runs; ++i) {
        const float *a = t->a + t->run[i];
        for (int64_t k = t->depth; k > 0; --k, ++a, w += MRT_TILE_BLOCK, w1 += MRT_TILE_BLOCK) {
            _mm_prefetch(ahead, _MM_HINT_T1);
            ahead += ahead_step;
            const __m512 w_0 = _mm512_loadu_ps(w);
            const __m512 w_1 = blocks > 1 ? _mm512_loadu_ps(w1) : w_0;
            _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {
                const __m512 v = _mm512_set1_ps(a[(size_t)r * stride]);
                sum[r][0] = _mm512_fmadd_ps(v, w_0, sum[r][0]);
                if (blocks > 1) {
                    sum[r][1] = _mm512_fmadd_ps(v, w_1, sum[r][1]);
                }
            }
        }
    }
    _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {
        float *y = t->y + (size_t)r * t->y_stride;
        finish(t, sum[r][0], 0, columns, y);
        if (blocks > 1) {
            finish(t, sum[r][1], MRT_TILE_BLOCK, columns, y);
        }
    }
}

TARGET_INLINE void tile_blocks(const mrt_tile_f32 *t, int rows, const int blocks, int columns) {
    switch (rows) {
    case 14: tile_rows(t, 14, blocks, columns); break;
    case 12: tile_rows(t, 12, blocks, columns); break;
    case 10: tile_rows(t, 10, blocks, columns); break;
    case 7: tile_rows(t, 7, blocks, columns); break;
    case 4: tile_rows(t, 4, blocks, columns); break;
    case 2: tile_rows(t, 2, blocks, columns); break;
    default: tile_rows(t, 1, blocks, columns); break;
    }
}

TARGET static void tile(const mrt_tile_f32 *t, int rows, int columns) {
    if (columns > MRT_TILE_BLOCK) {
        tile_blocks(t, rows, 2, columns);
    } else {
        tile_blocks(t, rows, 1, columns);
    }
}

const mrt_tile_f32_isa mrt_tile_f32_isa_avx512 = {
    .name = "avx512",
    .features = MRT_TILE_AVX2 | MRT_TILE_AVX512,
    .blocks = 2,
    .heights = {14, 12, 10, 7, 4, 2, 1, 0},
    .tile = tile,
};

#endif
