/* AVX-512 rows: int16 pairs (vpmaddwd), and bytes on processors with VNNI (vpdpbusd). Both exact. */
#include "runtime/kernels/int_isa.h"

#ifdef MRT_INT_X86

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))
#define TARGET_INLINE                                                                              \
    static inline __attribute__((always_inline, target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))
#define VNNI __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define VNNI_INLINE                                                                                \
    static inline                                                                                  \
        __attribute__((always_inline, target("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

TARGET_INLINE __m512i widen(__m256i bytes, bool is_signed) {
    return is_signed ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
}

/* The two rows of one pair, interleaved: 64 bytes in column order. */
TARGET_INLINE void interleave(const uint8_t *a, const uint8_t *b, __m256i *out_low,
                              __m256i *out_high) {
    const __m256i x = _mm256_loadu_si256((const __m256i *)a);
    const __m256i y = _mm256_loadu_si256((const __m256i *)b);
    const __m256i low = _mm256_unpacklo_epi8(x, y);
    const __m256i high = _mm256_unpackhi_epi8(x, y);
    *out_low = _mm256_permute2x128_si256(low, high, 0x20);
    *out_high = _mm256_permute2x128_si256(low, high, 0x31);
}

TARGET static void pack_i16(void *panel, const uint8_t *const row[4], bool is_signed, int32_t sub) {
    const __m512i minus = _mm512_set1_epi16((int16_t)sub);
    __m512i *out = panel;
    for (int pair = 0; pair < 2; ++pair) {
        __m256i low, high;
        interleave(row[2 * pair], row[2 * pair + 1], &low, &high);
        _mm512_storeu_si512(out++, _mm512_sub_epi16(widen(low, is_signed), minus));
        _mm512_storeu_si512(out++, _mm512_sub_epi16(widen(high, is_signed), minus));
    }
}

TARGET static void pack_u8(void *panel, const uint8_t *const row[4], bool is_signed, int32_t sub) {
    const __m256i flip = _mm256_set1_epi8((char)(is_signed ? 0x80 : 0));
    __m256i low[2], high[2];
    interleave(row[0], row[1], &low[0], &high[0]);
    interleave(row[2], row[3], &low[1], &high[1]);
    __m256i *out = panel;
    for (int half = 0; half < 2; ++half) {
        const __m256i a = _mm256_xor_si256(half ? high[0] : low[0], flip);
        const __m256i b = _mm256_xor_si256(half ? high[1] : low[1], flip);
        const __m256i x = _mm256_unpacklo_epi16(a, b);
        const __m256i y = _mm256_unpackhi_epi16(a, b);
        _mm256_storeu_si256(out++, _mm256_permute2x128_si256(x, y, 0x20));
        _mm256_storeu_si256(out++, _mm256_permute2x128_si256(x, y, 0x31));
    }
    (void)sub;
}

TARGET_INLINE __m512i broadcast32(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof(v));
    return _mm512_set1_epi32(v);
}

TARGET_INLINE void tile_i16_rows(const char *a, size_t a_stride, const int rows, const char *panel,
                                 int64_t pairs, int32_t *c) {
    __m512i sum[8][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
        sum[r][0] = sum[r][1] = _mm512_setzero_si512();
    }
    for (int64_t p = 0; p < pairs; ++p) {
        const __m512i b0 = _mm512_loadu_si512(panel + p * 128);
        const __m512i b1 = _mm512_loadu_si512(panel + p * 128 + 64);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            const __m512i w = broadcast32(a + (size_t)r * a_stride + p * 4);
            sum[r][0] = _mm512_add_epi32(sum[r][0], _mm512_madd_epi16(w, b0));
            sum[r][1] = _mm512_add_epi32(sum[r][1], _mm512_madd_epi16(w, b1));
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
        _mm512_storeu_si512(c + r * MRT_INT_COLUMNS, sum[r][0]);
        _mm512_storeu_si512(c + r * MRT_INT_COLUMNS + 16, sum[r][1]);
    }
}

TARGET static void tile_i16(const void *a, size_t a_stride, int rows, const void *panel,
                            int64_t quads, int32_t *c) {
    switch (rows) {
    case 1: tile_i16_rows(a, a_stride, 1, panel, quads * 2, c); break;
    case 2: tile_i16_rows(a, a_stride, 2, panel, quads * 2, c); break;
    case 3: tile_i16_rows(a, a_stride, 3, panel, quads * 2, c); break;
    case 4: tile_i16_rows(a, a_stride, 4, panel, quads * 2, c); break;
    case 5: tile_i16_rows(a, a_stride, 5, panel, quads * 2, c); break;
    case 6: tile_i16_rows(a, a_stride, 6, panel, quads * 2, c); break;
    case 7: tile_i16_rows(a, a_stride, 7, panel, quads * 2, c); break;
    default: tile_i16_rows(a, a_stride, 8, panel, quads * 2, c); break;
    }
}

VNNI_INLINE void tile_u8_rows(const char *a, size_t a_stride, const int rows, const char *panel,
                              int64_t quads, int32_t *c) {
    __m512i sum[8][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
        sum[r][0] = sum[r][1] = _mm512_setzero_si512();
    }
    for (int64_t q = 0; q < quads; ++q) {
        const __m512i b0 = _mm512_loadu_si512(panel + q * 128);
        const __m512i b1 = _mm512_loadu_si512(panel + q * 128 + 64);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            const __m512i w = broadcast32(a + (size_t)r * a_stride + q * 4);
            sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], b0, w);
            sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], b1, w);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
        _mm512_storeu_si512(c + r * MRT_INT_COLUMNS, sum[r][0]);
        _mm512_storeu_si512(c + r * MRT_INT_COLUMNS + 16, sum[r][1]);
    }
}

VNNI static void tile_u8(const void *a, size_t a_stride, int rows, const void *panel, int64_t quads,
                         int32_t *c) {
    switch (rows) {
    case 1: tile_u8_rows(a, a_stride, 1, panel, quads, c); break;
    case 2: tile_u8_rows(a, a_stride, 2, panel, quads, c); break;
    case 3: tile_u8_rows(a, a_stride, 3, panel, quads, c); break;
    case 4: tile_u8_rows(a, a_stride, 4, panel, quads, c); break;
    case 5: tile_u8_rows(a, a_stride, 5, panel, quads, c); break;
    case 6: tile_u8_rows(a, a_stride, 6, panel, quads, c); break;
    case 7: tile_u8_rows(a, a_stride, 7, panel, quads, c); break;
    default: tile_u8_rows(a, a_stride, 8, panel, quads, c); break;
    }
}

/* clamp((v * m + round) >> shift) of the low halves of 64-bit lanes. */
TARGET_INLINE __m512i scale_even(__m512i v, __m512i m, __m512i add, __m128i shift, __m512i low,
                                 __m512i high) {
    const __m512i product = _mm512_add_epi64(_mm512_mul_epi32(v, m), add);
    return _mm512_min_epi64(_mm512_max_epi64(_mm512_sra_epi64(product, shift), low), high);
}

TARGET static void requant(const mrt_int_requant *r, const int32_t *acc, uint8_t *y,
                           int64_t count) {
    const __m512i base = _mm512_set1_epi32(r->base);
    const __m512i m = _mm512_set1_epi32(r->multiplier);
    const __m512i add = _mm512_set1_epi64(r->shift ? (int64_t)1 << (r->shift - 1) : 0);
    const __m128i shift = _mm_cvtsi32_si128(r->shift);
    const __m512i low = _mm512_set1_epi64((int64_t)r->low - r->zero_point);
    const __m512i high = _mm512_set1_epi64((int64_t)r->high - r->zero_point);
    const __m512i zero_point = _mm512_set1_epi32(r->zero_point);
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 live = (__mmask16)(count - i >= 16 ? 0xffff : (1 << (count - i)) - 1);
        const __m512i v = _mm512_add_epi32(_mm512_maskz_loadu_epi32(live, acc + i), base);
        const __m512i even = scale_even(v, m, add, shift, low, high);
        const __m512i odd = scale_even(_mm512_srli_epi64(v, 32), m, add, shift, low, high);
        const __m512i q = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
        _mm512_mask_cvtepi32_storeu_epi8(y + i, live, _mm512_add_epi32(q, zero_point));
    }
}

TARGET_INLINE void depthwise_any(const mrt_int_depthwise *d, int32_t *acc, int64_t count,
                                 const bool is_signed) {
    for (int64_t i = 0; i < count; i += 16) {
        __m512i sum = _mm512_setzero_si512();
        const uint8_t *x = d->x + i;
        for (int t = 0; t < d->taps; t += 2) {
            const __m128i a = _mm_loadu_si128((const __m128i *)(x + d->offset[t]));
            const __m128i b = _mm_loadu_si128((const __m128i *)(x + d->offset[t + 1]));
            const __m256i ab =
                _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(a, b)),
                                        _mm_unpackhi_epi8(a, b), 1);
            const __m512i w = broadcast32(d->weight + t);
            sum = _mm512_add_epi32(sum, _mm512_madd_epi16(widen(ab, is_signed), w));
        }
        _mm512_storeu_si512(acc + i, sum);
    }
}

TARGET static void depthwise(const mrt_int_depthwise *d, int32_t *acc, int64_t count) {
    if (d->is_signed) {
        depthwise_any(d, acc, count, true);
    } else {
        depthwise_any(d, acc, count, false);
    }
}

const mrt_int_isa mrt_int_isa_avx512 = {
    .name = "avx512",
    .features = MRT_CPU_AVX2 | MRT_CPU_AVX512,
    .layout = MRT_PANEL_I16,
    .rows = 8,
    .pack = pack_i16,
    .tile = tile_i16,
    .requant = requant,
    .depthwise = depthwise,
};

const mrt_int_isa mrt_int_isa_vnni = {
    .name = "vnni",
    .features = MRT_CPU_AVX2 | MRT_CPU_AVX512 | MRT_CPU_VNNI,
    .layout = MRT_PANEL_U8,
    .rows = 8,
    .pack = pack_u8,
    .tile = tile_u8,
    .requant = requant,
    .depthwise = depthwise,
};

#else
typedef int mrt_int_isa_avx512_is_empty; /* ISO C wants a declaration */
#endif
