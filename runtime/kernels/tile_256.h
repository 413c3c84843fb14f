/* What rows with 256-bit vectors share: tiles over any dot product, four taps of 32 channels. */
#ifndef MRT_TILE_256_H
#define MRT_TILE_256_H

#include "runtime/kernels/tile_isa.h"

#ifdef MRT_TILE_X86

#include <immintrin.h>
#include <string.h>

#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2")))

AVX2_INLINE __m256i broadcast32(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof(v));
    return _mm256_set1_epi32(v);
}

AVX2_INLINE __m256i load(const void *p) { return _mm256_loadu_si256(p); }
AVX2_INLINE void store(int32_t *p, __m256i v) { _mm256_storeu_si256((__m256i *)p, v); }

/* tile(t, rows, blocks) of mrt_tile_isa for one block and 6, 4, 2 or 1 rows. DOT(sum, a, w) adds products
 * of 4 bytes, STEPS = 1, or of 2 words, STEPS = 2. TARGET: features of these functions. */
#define DEFINE_TILE_256(NAME, TARGET, DOT, STEPS)                                                  \
    __attribute__((always_inline, target(TARGET))) static inline void NAME##_rows(                 \
        const mrt_tile *t, const int rows) {                                                       \
        __m256i sum[6][2];                                                                         \
        const char *w = t->w;                                                                      \
        _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {                                   \
            sum[r][0] = sum[r][1] = _mm256_setzero_si256();                                        \
        }                                                                                          \
        for (int64_t i = 0; i < t->runs; ++i) {                                                    \
            const char *a = (const char *)t->a + t->run[i] * (STEPS);                              \
            for (int64_t k = t->quads * (STEPS); k > 0; --k, a += 4, w += 64) {                    \
                const __m256i w0 = load(w);                                                        \
                const __m256i w1 = load(w + 32);                                                   \
                _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {                           \
                    const __m256i v = broadcast32(a + (size_t)r * t->a_stride);                    \
                    sum[r][0] = DOT(sum[r][0], v, w0);                                             \
                    sum[r][1] = DOT(sum[r][1], v, w1);                                             \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {                                   \
            store(t->c + r * MRT_TILE_BLOCKS * MRT_TILE_BLOCK, sum[r][0]);                         \
            store(t->c + r * MRT_TILE_BLOCKS * MRT_TILE_BLOCK + 8, sum[r][1]);                     \
        }                                                                                          \
    }                                                                                              \
    __attribute__((target(TARGET))) static void NAME(const mrt_tile *t, int rows, int blocks) {    \
        (void)blocks;                                                                              \
        switch (rows) {                                                                            \
        case 6: NAME##_rows(t, 6); break;                                                          \
        case 4: NAME##_rows(t, 4); break;                                                          \
        case 2: NAME##_rows(t, 2); break;                                                          \
        default: NAME##_rows(t, 1); break;                                                         \
        }                                                                                          \
    }

/* Four taps of each of 32 channels: lane j of register i holds channels 16 * j + 4 * i. */
typedef struct taps256 {
    __m256i x[4];
} taps256;
AVX2_INLINE taps256 load_taps(const uint8_t *x, const int64_t *tap) {
    const __m256i x0 = load(x + tap[0]), x1 = load(x + tap[1]);
    const __m256i x2 = load(x + tap[2]), x3 = load(x + tap[3]);
    const __m256i low01 = _mm256_unpacklo_epi8(x0, x1);
    const __m256i high01 = _mm256_unpackhi_epi8(x0, x1);
    const __m256i low23 = _mm256_unpacklo_epi8(x2, x3);
    const __m256i high23 = _mm256_unpackhi_epi8(x2, x3);
    return (taps256){
        {_mm256_unpacklo_epi16(low01, low23), _mm256_unpackhi_epi16(low01, low23),
         _mm256_unpacklo_epi16(high01, high23), _mm256_unpackhi_epi16(high01, high23)}};
}

/* Those lanes in channel order. */
AVX2_INLINE void store_lanes(int32_t *acc, const __m256i sum[4]) {
    for (int i = 0; i < 4; i += 2) {
        store(acc + 4 * i, _mm256_permute2x128_si256(sum[i], sum[i + 1], 0x20));
        store(acc + 4 * i + 16, _mm256_permute2x128_si256(sum[i], sum[i + 1], 0x31));
    }
}

#endif
#endif
