/* Tables of 256 bytes looked up by vectors: the row `lut` of tile_isa.h. */
#include "runtime/kernels/tile_isa.h"

void mrt_tile_scalar_lut(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] = table[x[i]];
    }
}

#ifdef MRT_TILE_X86

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))
#define AVX512_INLINE                                                                              \
    static inline __attribute__((always_inline, target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))

enum { PART = 16, PARTS = 256 / PART };

/* Sixteen parts of the table; an index below a part has its top bit set there and adds nothing. Part
 * i holds what it changes of part i - 1, so that the exclusive or of all up to an index's own part is the
 * entry. The halves begin anew: saturation keeps an index of the other half negative. */
AVX2 void mrt_tile_avx2_lut(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count) {
    __m256i part[PARTS];
    int64_t i = 0;
    for (int p = 0; p < PARTS; ++p) {
        __m128i v = _mm_loadu_si128((const __m128i *)(table + p * PART));
        if (p % (PARTS / 2) != 0) {
            v = _mm_xor_si128(v, _mm_loadu_si128((const __m128i *)(table + (p - 1) * PART)));
        }
        part[p] = _mm256_broadcastsi128_si256(v);
    }
    const __m256i step = _mm256_set1_epi8(PART);
    for (; i + 32 <= count; i += 32) {
        __m256i low = _mm256_loadu_si256((const __m256i *)(x + i));
        __m256i high = _mm256_xor_si256(low, _mm256_set1_epi8((char)0x80));
        __m256i sum = _mm256_setzero_si256();
        for (int p = 0; p < PARTS / 2; ++p) {
            sum = _mm256_xor_si256(sum, _mm256_shuffle_epi8(part[p], low));
            sum = _mm256_xor_si256(sum, _mm256_shuffle_epi8(part[p + PARTS / 2], high));
            low = _mm256_subs_epi8(low, step);
            high = _mm256_subs_epi8(high, step);
        }
        _mm256_storeu_si256((__m256i *)(y + i), sum);
    }
    mrt_tile_scalar_lut(table, x + i, y + i, count - i);
}

typedef struct table512 {
    __m512i word[4]; /* pairs of entries */
} table512;

/* Entries of indices 0..255 that stand alone in words; the low byte of a word is the entry. */
AVX512_INLINE __m512i look_up(const table512 *t, __m512i index) {
    const __m512i pair = _mm512_srli_epi16(index, 1);
    const __mmask32 upper = _mm512_test_epi16_mask(index, _mm512_set1_epi16(0x80));
    const __m512i low = _mm512_permutex2var_epi16(t->word[0], pair, t->word[1]);
    const __m512i high = _mm512_permutex2var_epi16(t->word[2], pair, t->word[3]);
    const __m512i both = _mm512_mask_mov_epi16(low, upper, high);
    const __mmask32 odd = _mm512_test_epi16_mask(index, _mm512_set1_epi16(1));
    return _mm512_mask_srli_epi16(both, odd, both, 8);
}

AVX512 void mrt_tile_avx512_lut(const uint8_t *table, const uint8_t *x, uint8_t *y,
                                int64_t count) {
    const __m512i byte = _mm512_set1_epi16(0xff);
    table512 t;
    for (int i = 0; i < 4; ++i) {
        t.word[i] = _mm512_loadu_si512(table + 64 * i);
    }
    for (int64_t i = 0; i < count; i += 64) {
        const __mmask64 live = count - i >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (count - i)) - 1;
        const __m512i v = _mm512_maskz_loadu_epi8(live, x + i);
        const __m512i even = look_up(&t, _mm512_and_si512(v, byte));
        const __m512i odd = look_up(&t, _mm512_srli_epi16(v, 8));
        const __m512i r = _mm512_mask_mov_epi8(even, 0xaaaaaaaaaaaaaaaaull,
                                               _mm512_slli_epi16(odd, 8));
        _mm512_mask_storeu_epi8(y + i, live, r);
    }
}

#endif
