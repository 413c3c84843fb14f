/* AVX2 rows: int16 pairs (vpmaddwd), and bytes where weights allow it (vpmaddubsw). Both exact. */
#include "runtime/kernels/tile_256.h"
#include "runtime/kernels/tile_proof.h"

#ifdef MRT_TILE_X86

#define TARGET __attribute__((target("avx2")))
#define TARGET_INLINE AVX2_INLINE

TARGET_INLINE __m256i dot_i16(__m256i sum, __m256i a, __m256i w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, w));
}
DEFINE_TILE_256(tile, "avx2", dot_i16, 2)

#define V __m256i
#define REGS 2
#define HEAD(quads) mrt_tile_head(&mrt_tile_isa_avx2_bytes, quads)
#define ZERO _mm256_setzero_si256()
#define LOAD(p) load(p)
#define STORE(p, v) store(p, v)
#define BROADCAST(p) broadcast32(p)
#define SET16(v) _mm256_set1_epi16(v)
#define ADD32(a, b) _mm256_add_epi32(a, b)
#define ADD16(a, b) _mm256_add_epi16(a, b)
#define MADD16(a, b) _mm256_madd_epi16(a, b)
#define MADD8(a, b) _mm256_maddubs_epi16(a, b)
#define XOR(a, b) _mm256_xor_si256(a, b)
#define SHIFT_LEFT16(a, n) _mm256_slli_epi16(a, n)
#define SHIFT_RIGHT16(a, n) _mm256_srli_epi16(a, n)
#define SHIFT_RIGHT_SIGNED16(a, n) _mm256_srai_epi16(a, n)
#include "runtime/kernels/tile_bytes.inc"

TARGET static void tile_bytes(const mrt_tile *t, int rows, int blocks) {
    for (int b = 0; b < blocks; ++b) {
        const char *w = (const char *)t->w + (size_t)b * t->w_stride;
        int32_t *c = t->c + b * MRT_TILE_BLOCK;
        switch (rows) {
        case 4: tile_bytes_rows(t, w, c, 4); break;
        case 2: tile_bytes_rows(t, w, c, 2); break;
        default: tile_bytes_rows(t, w, c, 1); break;
        }
    }
}

/* floor of p / 2^shift for signed 64-bit p: flipping the sign bit makes it unsigned. */
TARGET_INLINE __m256i shift_signed(__m256i p, __m256i shift, __m256i sign) {
    const __m256i flipped = _mm256_srlv_epi64(_mm256_xor_si256(p, sign), shift);
    return _mm256_sub_epi64(flipped, _mm256_srlv_epi64(sign, shift));
}

TARGET_INLINE __m256i clamp64(__m256i v, __m256i low, __m256i high) {
    v = _mm256_blendv_epi8(v, low, _mm256_cmpgt_epi64(low, v));
    return _mm256_blendv_epi8(v, high, _mm256_cmpgt_epi64(v, high));
}

TARGET_INLINE __m256i scale(__m256i v, __m256i m, __m256i shift) {
    const __m256i one = _mm256_set1_epi64x(1);
    const __m256i add = _mm256_srli_epi64(_mm256_sllv_epi64(one, shift), 1);
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
    return shift_signed(_mm256_add_epi64(_mm256_mul_epi32(v, m), add), shift, sign);
}

/* Eight columns of one row. */
TARGET_INLINE __m256i requant8(const mrt_tile_end *e, const int32_t *c, int at) {
    const __m256i low = _mm256_set1_epi64x((int64_t)e->low - e->zero_point);
    const __m256i high = _mm256_set1_epi64x((int64_t)e->high - e->zero_point);
    const __m256i v = _mm256_add_epi32(load(c + at), load(e->base + at));
    const __m256i m = load(e->multiplier + at);
    const __m256i shift = load(e->shift + at);
    const __m256i even = scale(v, m, _mm256_and_si256(shift, _mm256_set1_epi64x(0xff)));
    const __m256i odd = scale(_mm256_srli_epi64(v, 32), _mm256_srli_epi64(m, 32),
                              _mm256_srli_epi64(shift, 32));
    const __m256i q = _mm256_blend_epi32(clamp64(even, low, high),
                                         _mm256_slli_epi64(clamp64(odd, low, high), 32), 0xaa);
    return _mm256_add_epi32(q, _mm256_set1_epi32(e->zero_point));
}

/* The low bytes of 16 values, at most `count` of them. */
TARGET_INLINE void store_bytes(uint8_t *y, __m256i a, __m256i b, int64_t count) {
    const __m256i byte = _mm256_set1_epi32(0xff);
    const __m256i mixed = _mm256_packus_epi32(_mm256_and_si256(a, byte), _mm256_and_si256(b, byte));
    const __m256i words = _mm256_permute4x64_epi64(mixed, 0xd8);
    const __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    if (count >= 16) {
        _mm_storeu_si128((__m128i *)y, bytes);
        return;
    }
    uint8_t rest[16];
    _mm_storeu_si128((__m128i *)rest, bytes);
    memcpy(y, rest, (size_t)count);
}

/* The short form: the high halves of the products hold all that matters. */
TARGET_INLINE __m256i requant8_narrow(const mrt_tile_end *e, const int32_t *c, int at) {
    const __m256i one = _mm256_set1_epi64x(1);
    const __m256i v = _mm256_add_epi32(load(c + at), load(e->base + at));
    const __m256i m = load(e->multiplier + at);
    const __m256i shift = load(e->shift + at);
    const __m256i shift_even = _mm256_and_si256(shift, _mm256_set1_epi64x(0xff));
    const __m256i shift_odd = _mm256_srli_epi64(shift, 32);
    const __m256i add_even = _mm256_sllv_epi64(one, _mm256_sub_epi64(shift_even, one));
    const __m256i add_odd = _mm256_sllv_epi64(one, _mm256_sub_epi64(shift_odd, one));
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(v, m), add_even);
    const __m256i odd = _mm256_add_epi64(
        _mm256_mul_epi32(_mm256_srli_epi64(v, 32), _mm256_srli_epi64(m, 32)), add_odd);
    __m256i q = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    q = _mm256_srav_epi32(q, _mm256_sub_epi32(shift, _mm256_set1_epi32(32)));
    q = _mm256_add_epi32(q, _mm256_set1_epi32(e->zero_point));
    q = _mm256_max_epi32(q, _mm256_set1_epi32(e->low));
    return _mm256_min_epi32(q, _mm256_set1_epi32(e->high));
}

TARGET static void finish(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows,
                          uint8_t *y, size_t y_stride, int columns) {
    for (int r = 0; r < rows; ++r, c += c_stride, y += y_stride) {
        for (int at = 0; at < columns; at += 16) {
            const __m256i a = e->narrow ? requant8_narrow(e, c, at) : requant8(e, c, at);
            const __m256i b = e->narrow ? requant8_narrow(e, c, at + 8) : requant8(e, c, at + 8);
            store_bytes(y + at, a, b, columns - at);
        }
    }
}

TARGET static void depthwise(const mrt_tile_depthwise *d, int32_t *acc) {
    for (int c = 0; c < MRT_DEPTHWISE_BLOCK; c += 16) {
        __m256i low = _mm256_setzero_si256(), high = low;
        const int16_t *w = (const int16_t *)d->w + 2 * c;
        for (int t = 0; t < d->groups * 4; t += 2, w += 2 * MRT_DEPTHWISE_BLOCK) {
            const __m128i x = _mm_loadu_si128((const __m128i *)(d->x + d->tap[t] + c));
            const __m128i y = _mm_loadu_si128((const __m128i *)(d->x + d->tap[t + 1] + c));
            const __m256i first = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(x, y));
            const __m256i second = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(x, y));
            low = _mm256_add_epi32(low, _mm256_madd_epi16(first, load(w)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(second, load(w + 16)));
        }
        _mm256_storeu_si256((__m256i *)(acc + c), low);
        _mm256_storeu_si256((__m256i *)(acc + c + 8), high);
    }
}

TARGET static void depthwise_bytes(const mrt_tile_depthwise *d, int32_t *acc) {
    const uint8_t *need = d->w;
    const size_t masks = (size_t)d->groups * 4 * MRT_DEPTHWISE_BLOCK;
    for (int c = 0; c < MRT_DEPTHWISE_BLOCK; c += 32) {
        const char *w = (const char *)d->w + HEAD(d->groups) + c;
        __m256i sum[4] = {_mm256_setzero_si256()};
        sum[1] = sum[2] = sum[3] = sum[0];
        for (int g = 0; g < d->groups; ++g, w += 4 * MRT_DEPTHWISE_BLOCK) {
            const taps256 taps = load_taps(d->x + c, d->tap + 4 * g);
            for (int i = 0; i < 4; ++i) {
                const __m256i v = load(w + 64 * i);
                const __m256i x = XOR(taps.x[i], load(w + masks + 64 * i));
                sum[i] = (need[g] & MRT_NEED_WIDE) != 0
                             ? add_wide(sum[i], x, v)
                             : add_pairs(sum[i], MADD8(x, v));
            }
        }
        store_lanes(acc + c, sum);
    }
}

TARGET_INLINE __m256i sum8(const mrt_tile_sum *s, const int32_t *a, const int32_t *b) {
    const __m256i ma = _mm256_set1_epi64x(s->multiplier_a);
    const __m256i mb = _mm256_set1_epi64x(s->multiplier_b);
    const __m256i add = _mm256_set1_epi64x(s->shift ? (int64_t)1 << (s->shift - 1) : 0);
    const __m256i shift = _mm256_set1_epi64x(s->shift);
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
    const __m256i low = _mm256_set1_epi64x((int64_t)s->low - s->zero_point);
    const __m256i high = _mm256_set1_epi64x((int64_t)s->high - s->zero_point);
    const __m256i va = load(a);
    const __m256i vb = load(b);
    __m256i even = _mm256_add_epi64(_mm256_mul_epi32(va, ma), _mm256_mul_epi32(vb, mb));
    __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(va, 32), ma),
                                   _mm256_mul_epi32(_mm256_srli_epi64(vb, 32), mb));
    even = clamp64(shift_signed(_mm256_add_epi64(even, add), shift, sign), low, high);
    odd = clamp64(shift_signed(_mm256_add_epi64(odd, add), shift, sign), low, high);
    const __m256i q = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    return _mm256_add_epi32(q, _mm256_set1_epi32(s->zero_point));
}

TARGET static void sum(const mrt_tile_sum *s, const int32_t *a, const int32_t *b, uint8_t *y,
                       int64_t count) {
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        store_bytes(y + i, sum8(s, a + i, b + i), sum8(s, a + i + 8, b + i + 8), 16);
    }
    mrt_tile_scalar_sum(s, a + i, b + i, y + i, count - i);
}

const mrt_tile_isa mrt_tile_isa_avx2_bytes = {
    .name = "avx2",
    .features = MRT_TILE_AVX2,
    .layout = MRT_TILE_U8,
    .unit = 1,
    .proves = true,
    .blocks = 1,
    .heights = {4, 2, 1, 0},
    .tile = tile_bytes,
    .finish = finish,
    .depthwise = depthwise_bytes,
    .sum = sum,
    .add = mrt_tile_avx2_add,
    .lut = mrt_tile_avx2_lut,
};

const mrt_tile_isa mrt_tile_isa_avx2 = {
    .name = "avx2",
    .features = MRT_TILE_AVX2,
    .layout = MRT_TILE_I16,
    .unit = 1,
    .bytes = &mrt_tile_isa_avx2_bytes,
    .blocks = 1,
    .heights = {6, 4, 2, 1, 0},
    .tile = tile,
    .finish = finish,
    .depthwise = depthwise,
    .sum = sum,
    .add = mrt_tile_avx2_add,
    .lut = mrt_tile_avx2_lut,
};

#else
typedef int mrt_tile_isa_avx2_is_empty; /* ISO C wants a declaration */
#endif
