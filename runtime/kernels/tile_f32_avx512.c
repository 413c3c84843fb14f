/* AVX-512 float tiles: up to 14 rows times 32 columns of sums in registers. */
#include "runtime/kernels/tile_f32.h"

#ifdef MRT_TILE_X86

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,prfchw")))
#define TARGET_INLINE                                                                              \
    static inline                                                                                  \
        __attribute__((always_inline, target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,prfchw")))

enum { ROWS = MRT_TILE_F32_ROWS };

TARGET_INLINE __mmask16 mask_of(int column, int columns) {
    const int left = columns - column;
    return left >= MRT_TILE_BLOCK ? 0xffff : (__mmask16)((1u << left) - 1);
}

TARGET_INLINE void finish(const mrt_tile_f32 *t, __m512 sum, int column, __mmask16 mask,
                          size_t row) {
    float *y = t->y + row + column;
    if (t->ends) {
        sum = _mm512_add_ps(sum, _mm512_loadu_ps(t->bias + column));
        if (t->add) {
            sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, t->add + row + column));
        }
        /* the second operand is the result where one is NaN */
        sum = _mm512_max_ps(_mm512_set1_ps(t->low), sum);
        sum = _mm512_min_ps(_mm512_set1_ps(t->high), sum);
    }
    _mm512_mask_storeu_ps(y, mask, sum);
}

/* A tile of constant size: all sums stay in registers. */
TARGET_INLINE void tile_rows(const mrt_tile_f32 *t, const int rows, const int blocks,
                             int columns) {
    __m512 sum[ROWS][2];
    const float *w = t->w, *a = t->a;
    const size_t w_stride = t->w_stride, ahead_step = t->ahead_step, y_stride = t->y_stride;
    const char *ahead = t->ahead;
    const __mmask16 mask_0 = mask_of(0, columns);
    const __mmask16 mask_1 = blocks > 1 ? mask_of(MRT_TILE_BLOCK, columns) : 0;
    _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {
        const float *y = t->y + (size_t)r * y_stride;
        sum[r][0] = sum[r][1] = _mm512_setzero_ps();
        __builtin_prefetch(y, 1);
        if (blocks > 1) {
            __builtin_prefetch(y + MRT_TILE_BLOCK, 1);
        }
        if (!t->starts) {
            sum[r][0] = _mm512_maskz_loadu_ps(mask_0, y);
            if (blocks > 1) {
                sum[r][1] = _mm512_maskz_loadu_ps(mask_1, y + MRT_TILE_BLOCK);
            }
        }
    }
    for (int64_t k = t->depth; k > 0; --k, ++a, w += MRT_TILE_BLOCK, ahead += ahead_step) {
        _mm_prefetch(ahead, _MM_HINT_T1);
        const __m512 w_0 = _mm512_loadu_ps(w);
        const __m512 w_1 = blocks > 1 ? _mm512_loadu_ps(w + w_stride) : w_0;
        _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {
            const __m512 v = _mm512_set1_ps(a[r * MRT_TILE_F32_STRIDE]);
            sum[r][0] = _mm512_fmadd_ps(v, w_0, sum[r][0]);
            if (blocks > 1) {
                sum[r][1] = _mm512_fmadd_ps(v, w_1, sum[r][1]);
            }
        }
    }
    _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {
        finish(t, sum[r][0], 0, mask_0, (size_t)r * y_stride);
        if (blocks > 1) {
            finish(t, sum[r][1], MRT_TILE_BLOCK, mask_1, (size_t)r * y_stride);
        }
    }
}

TARGET static void tile(const mrt_tile_f32 *t, int rows, int columns) {
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        if (columns > MRT_TILE_BLOCK) {                                                            \
            tile_rows(t, n, 2, columns);                                                           \
        } else {                                                                                   \
            tile_rows(t, n, 1, columns);                                                           \
        }                                                                                          \
        break;
    switch (rows) {
        CASE(14) CASE(13) CASE(12) CASE(11) CASE(10) CASE(9) CASE(8)
        CASE(7) CASE(6) CASE(5) CASE(4) CASE(3) CASE(2)
    default:
        tile_rows(t, 1, columns > MRT_TILE_BLOCK ? 2 : 1, columns);
    }
#undef CASE
}

const mrt_tile_f32_isa mrt_tile_f32_isa_avx512 = {
    .name = "avx512",
    .features = MRT_TILE_AVX2 | MRT_TILE_AVX512,
    .rows = ROWS,
    .blocks = 2,
    .tile = tile,
};

#endif
