/* Sums of two byte tensors in 32 bits: the row `add` of tile_isa.h. */
#include "runtime/kernels/tile_isa.h"

#include "runtime/mrt_quant.h"

#include <stdlib.h>

enum { LIMIT = 1 << 30 };

static bool split(int64_t multiplier, int16_t *out_high, int16_t *out_low) {
    *out_low = (int16_t)(uint16_t)(uint64_t)multiplier;
    const int64_t high = (multiplier - *out_low) / 65536;
    *out_high = (int16_t)high;
    return high >= INT16_MIN && high <= INT16_MAX;
}

bool mrt_tile_add_init(const mrt_tile_sum *s, int32_t zero_a, int32_t zero_b, mrt_tile_add *out) {
    const int shift = s->shift;
    if (shift < 17 || shift > 46 || !split(s->multiplier_a, &out->high_a, &out->low_a) ||
        !split(s->multiplier_b, &out->high_b, &out->low_b)) {
        return false;
    }
    const int64_t all = ((int64_t)1 << (shift - 1)) + s->zero_point * ((int64_t)1 << shift) -
                        (int64_t)zero_a * s->multiplier_a - (int64_t)zero_b * s->multiplier_b;
    out->add_low = (int32_t)(all & 0xffff);
    const int64_t high = (all - out->add_low) / 65536;
    if (llabs(high) > LIMIT) {
        return false;
    }
    out->add_high = (int32_t)high;
    out->shift = shift - 16;
    out->low = s->low;
    out->high = s->high;
    return true;
}

static int32_t add_one(const mrt_tile_add *t, int32_t a, int32_t b) {
    const int32_t low = a * t->low_a + b * t->low_b + t->add_low;
    const int32_t high = a * t->high_a + b * t->high_b + t->add_high;
    return (int32_t)mrt_clamp_i64((high + (low >> 16)) >> t->shift, t->low, t->high);
}

void mrt_tile_scalar_add(const mrt_tile_add *t, const uint8_t *a, const uint8_t *b, uint8_t *y,
                         int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] = (uint8_t)add_one(t, a[i] ^ t->flip_a, b[i] ^ t->flip_b);
    }
}

#ifdef MRT_TILE_X86

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))

/* Two multipliers side by side, for pairs of a and b. */
static int32_t pair(int16_t a, int16_t b) {
    return (int32_t)((uint32_t)(uint16_t)a | (uint32_t)(uint16_t)b << 16);
}
static int32_t flip_of(const mrt_tile_add *t) { return t->flip_a | t->flip_b << 16; }

AVX2 void mrt_tile_avx2_add(const mrt_tile_add *t, const uint8_t *a, const uint8_t *b, uint8_t *y,
                            int64_t count) {
    const __m256i high_m = _mm256_set1_epi32(pair(t->high_a, t->high_b));
    const __m256i low_m = _mm256_set1_epi32(pair(t->low_a, t->low_b));
    const __m256i flip = _mm256_set1_epi32(flip_of(t));
    const __m256i add_low = _mm256_set1_epi32(t->add_low);
    const __m256i add_high = _mm256_set1_epi32(t->add_high);
    const __m256i low = _mm256_set1_epi32(t->low);
    const __m256i high = _mm256_set1_epi32(t->high);
    const __m128i shift = _mm_cvtsi32_si128(t->shift);
    /* the low bytes of the words of a lane, and the two lanes side by side */
    const __m256i bytes = _mm256_set1_epi32(0x0c080400);
    const __m256i lanes = _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4);
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256i va = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(a + i)));
        const __m256i vb = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(b + i)));
        const __m256i v =
            _mm256_xor_si256(_mm256_or_si256(va, _mm256_slli_epi32(vb, 16)), flip);
        const __m256i l = _mm256_add_epi32(_mm256_madd_epi16(v, low_m), add_low);
        __m256i q = _mm256_add_epi32(_mm256_madd_epi16(v, high_m), add_high);
        q = _mm256_sra_epi32(_mm256_add_epi32(q, _mm256_srai_epi32(l, 16)), shift);
        q = _mm256_min_epi32(_mm256_max_epi32(q, low), high);
        q = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(q, bytes), lanes);
        _mm_storel_epi64((__m128i *)(y + i), _mm256_castsi256_si128(q));
    }
    mrt_tile_scalar_add(t, a + i, b + i, y + i, count - i);
}

AVX512 void mrt_tile_avx512_add(const mrt_tile_add *t, const uint8_t *a, const uint8_t *b,
                                uint8_t *y, int64_t count) {
    const __m512i high_m = _mm512_set1_epi32(pair(t->high_a, t->high_b));
    const __m512i low_m = _mm512_set1_epi32(pair(t->low_a, t->low_b));
    const __m512i flip = _mm512_set1_epi32(flip_of(t));
    const __m512i add_low = _mm512_set1_epi32(t->add_low);
    const __m512i add_high = _mm512_set1_epi32(t->add_high);
    const __m512i low = _mm512_set1_epi32(t->low);
    const __m512i high = _mm512_set1_epi32(t->high);
    const __m128i shift = _mm_cvtsi32_si128(t->shift);
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 live = (__mmask16)(count - i >= 16 ? 0xffff : (1 << (count - i)) - 1);
        const __m512i va = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(live, a + i));
        const __m512i vb = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(live, b + i));
        const __m512i v =
            _mm512_xor_si512(_mm512_or_si512(va, _mm512_slli_epi32(vb, 16)), flip);
        const __m512i l = _mm512_add_epi32(_mm512_madd_epi16(v, low_m), add_low);
        __m512i q = _mm512_add_epi32(_mm512_madd_epi16(v, high_m), add_high);
        q = _mm512_sra_epi32(_mm512_add_epi32(q, _mm512_srai_epi32(l, 16)), shift);
        q = _mm512_min_epi32(_mm512_max_epi32(q, low), high);
        _mm_mask_storeu_epi8(y + i, live, _mm512_cvtepi32_epi8(q));
    }
}

#endif
