/* softmax_int with AVX-512: 16 exponentials at a time. */
#include "runtime/kernels/int_softmax.h"

#ifdef MRT_TILE_X86

#include <immintrin.h>

#define TARGET_INLINE                                                                              \
    static inline __attribute__((always_inline, target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))

enum {
    MOST_ROWS = 16,
    ROOM = 1024 /* exponentials of those rows, 8 KiB */
};

TARGET_INLINE __mmask64 first_64(int64_t n) {
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}
TARGET_INLINE __mmask16 first_16(int64_t n) {
    return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

TARGET_INLINE int32_t largest(const mrt_softmax_rows *s, const uint8_t *x) {
    const __m512i flip = _mm512_set1_epi8((char)s->flip);
    __m512i m = _mm512_setzero_si512();
    for (int64_t i = 0; i < s->size; i += 64) {
        const __mmask64 live = first_64(s->size - i);
        const __m512i v = _mm512_xor_si512(_mm512_maskz_loadu_epi8(live, x + i), flip);
        m = _mm512_mask_max_epu8(m, live, m, v);
    }
    const __m256i half = _mm256_max_epu8(_mm512_castsi512_si256(m), _mm512_extracti64x4_epi64(m, 1));
    const __m128i rest =
        _mm_max_epu8(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    /* the smallest complement, found among 16-bit elements of pairs */
    const __m128i low = _mm_xor_si128(rest, _mm_set1_epi8(-1));
    const __m128i pairs = _mm_min_epu8(low, _mm_srli_epi16(low, 8));
    const __m128i least = _mm_minpos_epu16(_mm_and_si128(pairs, _mm_set1_epi16(0xff)));
    return 255 - (_mm_cvtsi128_si32(least) & 0xff);
}

/* Exponentials of 16 elements, those of even and of odd index in 64-bit elements. */
typedef struct sixteen {
    __m512i even, odd;
} sixteen;

TARGET_INLINE __m512i half_up(__m512i v, __m512i half, __m128i shift) {
    return _mm512_srl_epi64(_mm512_add_epi64(v, half), shift);
}

/* Exponentials of n <= MRT_SOFTMAX_CHUNK elements, filled up with zeros; adds them to sum. */
TARGET_INLINE __m512i look_up(const mrt_softmax_rows *s, const uint8_t *x, int64_t n, int32_t m,
                              sixteen *e, __m512i sum) {
    const __m512i fine = _mm512_loadu_si512(s->table), coarse = _mm512_loadu_si512(s->table + 16);
    const __m512i top = _mm512_set1_epi32(m);
    const __m512i half = _mm512_set1_epi64((int64_t)1 << (MRT_SOFTMAX_BITS - 1));
    const __m128i shift = _mm_cvtsi32_si128(MRT_SOFTMAX_BITS);
    const __m128i flip = _mm_set1_epi8((char)s->flip);
    for (int64_t i = 0; i < n; i += 16, ++e) {
        const __mmask16 live = first_16(n - i);
        const __m128i v = _mm_xor_si128(_mm_maskz_loadu_epi8(live, x + i), flip);
        const __m512i d = _mm512_sub_epi32(top, _mm512_cvtepu8_epi32(v));
        const __m512i a = _mm512_maskz_permutexvar_epi32(live, d, fine);
        const __m512i b = _mm512_permutexvar_epi32(_mm512_srli_epi32(d, 4), coarse);
        e->even = half_up(_mm512_mul_epu32(a, b), half, shift);
        e->odd = half_up(_mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32)), half,
                         shift);
        sum = _mm512_add_epi64(sum, _mm512_add_epi64(e->even, e->odd));
    }
    return sum;
}

TARGET_INLINE void finish(const mrt_softmax_rows *s, const sixteen *e, uint32_t factor, int64_t n,
                          uint8_t *y) {
    const __m512i times = _mm512_set1_epi64(factor);
    const __m512i half = _mm512_set1_epi64((int64_t)1 << (s->shift - 1));
    const __m512i zero_point = _mm512_set1_epi32(s->zero_point);
    const __m512i high = _mm512_set1_epi32(s->high);
    const __m128i shift = _mm_cvtsi32_si128(s->shift);
    for (int64_t i = 0; i < n; i += 16, ++e) {
        const __m512i even = half_up(_mm512_mul_epu32(e->even, times), half, shift);
        const __m512i odd = half_up(_mm512_mul_epu32(e->odd, times), half, shift);
        __m512i q = _mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32));
        q = _mm512_min_epi32(_mm512_add_epi32(q, zero_point), high);
        _mm512_mask_cvtepi32_storeu_epi8(y + i, first_16(n - i), q);
    }
}

#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))

/* A row of more than a chunk: exponentials are looked up twice. */
TARGET static void long_row(const mrt_softmax_rows *s, const uint8_t *x, uint8_t *y) {
    sixteen e[MRT_SOFTMAX_CHUNK / 16];
    const int32_t m = largest(s, x);
    __m512i sum = _mm512_setzero_si512();
    for (int64_t i = 0; i < s->size; i += MRT_SOFTMAX_CHUNK) {
        const int64_t left = s->size - i;
        sum = look_up(s, x + i, left < MRT_SOFTMAX_CHUNK ? left : MRT_SOFTMAX_CHUNK, m, e, sum);
    }
    const uint32_t factor = mrt_softmax_factor(s, (uint64_t)_mm512_reduce_add_epi64(sum));
    for (int64_t i = 0; i < s->size; i += MRT_SOFTMAX_CHUNK) {
        const int64_t left = s->size - i;
        const int64_t n = left < MRT_SOFTMAX_CHUNK ? left : MRT_SOFTMAX_CHUNK;
        look_up(s, x + i, n, m, e, sum);
        finish(s, e, factor, n, y + i);
    }
}

/* Several rows pass by pass: the long chains at the end of a row overlap with the next row's. */
TARGET static void short_rows(const mrt_softmax_rows *s, const uint8_t *x, uint8_t *y, int rows) {
    sixteen e[ROOM / 16];
    int32_t m[MOST_ROWS];
    uint32_t factor[MOST_ROWS];
    const int64_t step = (s->size + 15) / 16;
    for (int r = 0; r < rows; ++r) {
        m[r] = largest(s, x + r * s->size);
    }
    for (int r = 0; r < rows; ++r) {
        const __m512i sum = look_up(s, x + r * s->size, s->size, m[r], e + r * step,
                                    _mm512_setzero_si512());
        factor[r] = mrt_softmax_factor(s, (uint64_t)_mm512_reduce_add_epi64(sum));
    }
    for (int r = 0; r < rows; ++r) {
        finish(s, e + r * step, factor[r], s->size, y + r * s->size);
    }
}

TARGET void mrt_softmax_rows_avx512(const mrt_softmax_rows *s, const uint8_t *x, uint8_t *y,
                                    int64_t rows) {
    const int64_t fit = s->size > MRT_SOFTMAX_CHUNK ? 1 : ROOM / ((s->size + 15) / 16 * 16);
    const int64_t most = fit < MOST_ROWS ? fit : MOST_ROWS;
    for (int64_t r = 0; r < rows; r += most) {
        const int64_t n = rows - r < most ? rows - r : most;
        if (s->size > MRT_SOFTMAX_CHUNK) {
            long_row(s, x + r * s->size, y + r * s->size);
        } else {
            short_rows(s, x + r * s->size, y + r * s->size, (int)n);
        }
    }
}

#endif
