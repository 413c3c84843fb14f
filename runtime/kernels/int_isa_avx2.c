/* AVX2 rows: exact products of int16 pairs (vpmaddwd). */
#include "runtime/kernels/int_isa.h"

#ifdef MRT_INT_X86

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2")))
#define TARGET_INLINE static inline __attribute__((always_inline, target("avx2")))

TARGET_INLINE __m256i widen(__m128i bytes, bool is_signed) {
    return is_signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
}

TARGET static void pack(void *panel, const uint8_t *const row[4], bool is_signed, int32_t sub) {
    const __m256i minus = _mm256_set1_epi16((int16_t)sub);
    __m256i *out = panel;
    for (int pair = 0; pair < 2; ++pair) {
        for (int j = 0; j < MRT_INT_COLUMNS; j += 16) {
            const __m128i a = _mm_loadu_si128((const __m128i *)(row[2 * pair] + j));
            const __m128i b = _mm_loadu_si128((const __m128i *)(row[2 * pair + 1] + j));
            const __m256i low = widen(_mm_unpacklo_epi8(a, b), is_signed);
            const __m256i high = widen(_mm_unpackhi_epi8(a, b), is_signed);
            _mm256_storeu_si256(out++, _mm256_sub_epi16(low, minus));
            _mm256_storeu_si256(out++, _mm256_sub_epi16(high, minus));
        }
    }
}

TARGET_INLINE __m256i broadcast_pair(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof(v));
    return _mm256_set1_epi32(v);
}

/* Half of the columns: 2 registers per row. */
TARGET_INLINE void tile_rows(const char *a, size_t a_stride, const int rows, const int16_t *panel,
                             int64_t pairs, int32_t *c) {
    __m256i sum[6][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; ++r) {
        sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    }
    for (int64_t p = 0; p < pairs; ++p) {
        const __m256i b0 = _mm256_loadu_si256((const __m256i *)panel);
        const __m256i b1 = _mm256_loadu_si256((const __m256i *)(panel + 16));
        panel += 2 * MRT_INT_COLUMNS;
#pragma GCC unroll 6
        for (int r = 0; r < rows; ++r) {
            const __m256i w = broadcast_pair(a + (size_t)r * a_stride + p * 4);
            sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(w, b0));
            sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(w, b1));
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; ++r) {
        _mm256_storeu_si256((__m256i *)(c + r * MRT_INT_COLUMNS), sum[r][0]);
        _mm256_storeu_si256((__m256i *)(c + r * MRT_INT_COLUMNS + 8), sum[r][1]);
    }
}

TARGET static void tile(const void *a, size_t a_stride, int rows, const void *panel, int64_t quads,
                        int32_t *c) {
    const int64_t pairs = quads * 2;
    for (int half = 0; half < 2; ++half) {
        const int16_t *b = (const int16_t *)panel + half * MRT_INT_COLUMNS;
        int32_t *out = c + half * (MRT_INT_COLUMNS / 2);
        switch (rows) {
        case 1: tile_rows(a, a_stride, 1, b, pairs, out); break;
        case 2: tile_rows(a, a_stride, 2, b, pairs, out); break;
        case 3: tile_rows(a, a_stride, 3, b, pairs, out); break;
        case 4: tile_rows(a, a_stride, 4, b, pairs, out); break;
        case 5: tile_rows(a, a_stride, 5, b, pairs, out); break;
        default: tile_rows(a, a_stride, 6, b, pairs, out); break;
        }
    }
}

/* 4 products: (v * m + round) >> shift for the low halves of 64-bit lanes, arithmetic through a
 * logical shift of the value with its sign bit flipped. Valid low 32 bits for shift >= 31. */
TARGET_INLINE __m256i scale_even(__m256i v, __m256i m, __m256i add, __m128i shift, __m256i back) {
    const __m256i product = _mm256_add_epi64(_mm256_mul_epi32(v, m), add);
    return _mm256_sub_epi64(_mm256_srl_epi64(product, shift), back);
}

TARGET static void requant(const mrt_int_requant *r, const int32_t *acc, uint8_t *y,
                           int64_t count) {
    int64_t i = 0;
    if (r->shift >= 31 && r->multiplier != INT32_MIN) {
        const uint64_t sign = (uint64_t)1 << 63;
        const __m256i base = _mm256_set1_epi32(r->base);
        const __m256i m = _mm256_set1_epi32(r->multiplier);
        const __m256i add = _mm256_set1_epi64x((int64_t)(sign + ((uint64_t)1 << (r->shift - 1))));
        const __m256i back = _mm256_set1_epi64x((int64_t)(sign >> r->shift));
        const __m128i shift = _mm_cvtsi32_si128(r->shift);
        const __m256i low = _mm256_set1_epi32(r->low - r->zero_point);
        const __m256i high = _mm256_set1_epi32(r->high - r->zero_point);
        const __m256i zero_point = _mm256_set1_epi32(r->zero_point);
        const __m256i bytes = _mm256_set1_epi32(0x0c080400);
        for (; i + 8 <= count; i += 8) {
            const __m256i v =
                _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(acc + i)), base);
            const __m256i even = scale_even(v, m, add, shift, back);
            const __m256i odd = scale_even(_mm256_srli_epi64(v, 32), m, add, shift, back);
            __m256i q = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
            q = _mm256_min_epi32(_mm256_max_epi32(q, low), high);
            q = _mm256_shuffle_epi8(_mm256_add_epi32(q, zero_point), bytes);
            const uint32_t part[2] = {(uint32_t)_mm256_extract_epi32(q, 0),
                                      (uint32_t)_mm256_extract_epi32(q, 4)};
            memcpy(y + i, part, 8);
        }
    }
    mrt_int_scalar_requant(r, acc + i, y + i, count - i);
}

TARGET_INLINE void depthwise_any(const mrt_int_depthwise *d, int32_t *acc, int64_t count,
                                 const bool is_signed) {
    for (int64_t i = 0; i < count; i += 16) {
        __m256i low = _mm256_setzero_si256();
        __m256i high = _mm256_setzero_si256();
        const uint8_t *x = d->x + i;
        for (int t = 0; t < d->taps; t += 2) {
            const __m256i w = broadcast_pair(d->weight + t);
            const __m128i a = _mm_loadu_si128((const __m128i *)(x + d->offset[t]));
            const __m128i b = _mm_loadu_si128((const __m128i *)(x + d->offset[t + 1]));
            const __m256i x0 = widen(_mm_unpacklo_epi8(a, b), is_signed);
            const __m256i x1 = widen(_mm_unpackhi_epi8(a, b), is_signed);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(x0, w));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(x1, w));
        }
        _mm256_storeu_si256((__m256i *)(acc + i), low);
        _mm256_storeu_si256((__m256i *)(acc + i + 8), high);
    }
}

TARGET static void depthwise(const mrt_int_depthwise *d, int32_t *acc, int64_t count) {
    if (d->is_signed) {
        depthwise_any(d, acc, count, true);
    } else {
        depthwise_any(d, acc, count, false);
    }
}

const mrt_int_isa mrt_int_isa_avx2 = {
    .name = "avx2",
    .features = MRT_CPU_AVX2,
    .layout = MRT_PANEL_I16,
    .rows = 6,
    .pack = pack,
    .tile = tile,
    .requant = requant,
    .depthwise = depthwise,
};

#else
typedef int mrt_int_isa_avx2_is_empty; /* ISO C wants a declaration */
#endif
