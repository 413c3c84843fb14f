/* AVX-512 rows: int16 pairs (vpmaddwd); bytes on processors with VNNI (vpdpbusd), and without
 * (vpmaddubsw where weights allow it). All exact. */
#include "runtime/kernels/tile_isa.h"
#include "runtime/kernels/tile_proof.h"

#ifdef MRT_TILE_X86

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))
#define TARGET_INLINE                                                                              \
    static inline __attribute__((always_inline, target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))
#define VNNI __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define VNNI_INLINE                                                                                \
    static inline                                                                                  \
        __attribute__((always_inline, target("avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

enum { WIDTH = MRT_TILE_BLOCKS * MRT_TILE_BLOCK };

TARGET_INLINE __m512i broadcast32(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof(v));
    return _mm512_set1_epi32(v);
}

/* sum += products of four (VNNI) or two neighbouring values. */
VNNI_INLINE __m512i dot_u8(__m512i sum, __m512i a, __m512i w) {
    return _mm512_dpbusd_epi32(sum, a, w);
}
TARGET_INLINE __m512i dot_i16(__m512i sum, __m512i a, __m512i w) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, w));
}

/* A tile of constant size: all sums stay in registers. STEPS is what a quad takes: 1 or 2. */
#define DEFINE_TILE(NAME, TARGET_KIND, DOT, STEPS)                                                 \
    TARGET_KIND##_INLINE void NAME##_rows(const mrt_tile *t, const int rows, const int blocks) {   \
        __m512i sum[MRT_TILE_ROWS][MRT_TILE_BLOCKS];                                               \
        const char *w = t->w;                                                                      \
        const char *w1 = w + (blocks > 1 ? t->w_stride : 0);                                       \
        _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {                                  \
            sum[r][0] = sum[r][1] = _mm512_setzero_si512();                                        \
        }                                                                                          \
        for (int64_t i = 0; i < t->runs; ++i) {                                                    \
            const char *a = (const char *)t->a + t->run[i] * (STEPS);                              \
            for (int64_t k = t->quads * (STEPS); k > 0; --k, a += 4, w += 64, w1 += 64) {          \
                const __m512i w_0 = _mm512_loadu_si512(w);                                         \
                const __m512i w_1 = blocks > 1 ? _mm512_loadu_si512(w1) : w_0;                     \
                _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {                          \
                    const __m512i v = broadcast32(a + (size_t)r * t->a_stride);                    \
                    sum[r][0] = DOT(sum[r][0], v, w_0);                                            \
                    if (blocks > 1) {                                                              \
                        sum[r][1] = DOT(sum[r][1], v, w_1);                                        \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {                                  \
            _mm512_storeu_si512(t->c + r * WIDTH, sum[r][0]);                                      \
            if (blocks > 1) {                                                                      \
                _mm512_storeu_si512(t->c + r * WIDTH + MRT_TILE_BLOCK, sum[r][1]);                 \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    TARGET_KIND##_INLINE void NAME##_blocks(const mrt_tile *t, int rows, const int blocks) {       \
        switch (rows) {                                                                            \
        case 14: NAME##_rows(t, 14, blocks); break;                                                \
        case 7: NAME##_rows(t, 7, blocks); break;                                                  \
        case 4: NAME##_rows(t, 4, blocks); break;                                                  \
        case 2: NAME##_rows(t, 2, blocks); break;                                                  \
        default: NAME##_rows(t, 1, blocks); break;                                                 \
        }                                                                                          \
    }                                                                                              \
    TARGET_KIND static void NAME(const mrt_tile *t, int rows, int blocks) {                        \
        if (blocks > 1) {                                                                          \
            NAME##_blocks(t, rows, 2);                                                             \
        } else {                                                                                   \
            NAME##_blocks(t, rows, 1);                                                             \
        }                                                                                          \
    }

DEFINE_TILE(tile_u8, VNNI, dot_u8, 1)
DEFINE_TILE(tile_i16, TARGET, dot_i16, 2)

#define V __m512i
#define REGS 1
#define HEAD(quads) mrt_tile_head(&mrt_tile_isa_avx512_bytes, quads)
#define ZERO _mm512_setzero_si512()
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, v) _mm512_storeu_si512(p, v)
#define BROADCAST(p) broadcast32(p)
#define SET16(v) _mm512_set1_epi16(v)
#define ADD32(a, b) _mm512_add_epi32(a, b)
#define ADD16(a, b) _mm512_add_epi16(a, b)
#define MADD16(a, b) _mm512_madd_epi16(a, b)
#define MADD8(a, b) _mm512_maddubs_epi16(a, b)
#define XOR(a, b) _mm512_xor_si512(a, b)
#define SHIFT_LEFT16(a, n) _mm512_slli_epi16(a, n)
#define SHIFT_RIGHT16(a, n) _mm512_srli_epi16(a, n)
#define SHIFT_RIGHT_SIGNED16(a, n) _mm512_srai_epi16(a, n)
#include "runtime/kernels/tile_bytes.inc"

TARGET static void tile_bytes(const mrt_tile *t, int rows, int blocks) {
    for (int b = 0; b < blocks; ++b) {
        const char *w = (const char *)t->w + (size_t)b * t->w_stride;
        int32_t *c = t->c + b * MRT_TILE_BLOCK;
        switch (rows) {
        case 28: tile_bytes_rows(t, w, c, 28); break;
        case 14: tile_bytes_rows(t, w, c, 14); break;
        case 7: tile_bytes_rows(t, w, c, 7); break;
        case 4: tile_bytes_rows(t, w, c, 4); break;
        case 2: tile_bytes_rows(t, w, c, 2); break;
        default: tile_bytes_rows(t, w, c, 1); break;
        }
    }
}

/* Parameters of 16 columns in the two halves that 64-bit products need. */
typedef struct end16 {
    __m512i base, multiplier, multiplier_odd, add_even, add_odd, shift_even, shift_odd;
} end16;

TARGET_INLINE __m512i half(__m512i shift) { /* 2^shift / 2, 0 for shift 0 */
    return _mm512_srli_epi64(_mm512_sllv_epi64(_mm512_set1_epi64(1), shift), 1);
}

TARGET_INLINE end16 load_end(const mrt_tile_end *e, int at) {
    end16 r;
    const __m512i shift = _mm512_loadu_si512(e->shift + at);
    r.base = _mm512_loadu_si512(e->base + at);
    r.multiplier = _mm512_loadu_si512(e->multiplier + at);
    r.multiplier_odd = _mm512_srli_epi64(r.multiplier, 32);
    r.shift_even = _mm512_and_si512(shift, _mm512_set1_epi64(0xff));
    r.shift_odd = _mm512_srli_epi64(shift, 32);
    r.add_even = half(r.shift_even);
    r.add_odd = half(r.shift_odd);
    return r;
}

/* The low bytes of 16 values, at most `count` of them. */
TARGET_INLINE void store_bytes(uint8_t *y, __m512i q, int64_t count) {
    const __m128i bytes = _mm512_cvtepi32_epi8(q);
    if (count >= 16) {
        _mm_storeu_si128((__m128i *)y, bytes);
    } else {
        _mm_mask_storeu_epi8(y, (__mmask16)((1 << count) - 1), bytes);
    }
}

/* The short form: the high halves of the products hold all that matters. */
TARGET_INLINE void finish_narrow(const mrt_tile_end *e, const int32_t *c, size_t c_stride,
                                 int rows, uint8_t *y, size_t y_stride, int columns) {
    const __m512i low = _mm512_set1_epi32(e->low);
    const __m512i high = _mm512_set1_epi32(e->high);
    const __m512i zero_point = _mm512_set1_epi32(e->zero_point);
    for (int at = 0; at < columns; at += 16) {
        const end16 p = load_end(e, at);
        const __m512i shift =
            _mm512_sub_epi32(_mm512_loadu_si512(e->shift + at), _mm512_set1_epi32(32));
        for (int r = 0; r < rows; ++r) {
            const __m512i v =
                _mm512_add_epi32(_mm512_loadu_si512(c + (size_t)r * c_stride + at), p.base);
            const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(v, p.multiplier), p.add_even);
            const __m512i odd = _mm512_add_epi64(
                _mm512_mul_epi32(_mm512_srli_epi64(v, 32), p.multiplier_odd), p.add_odd);
            __m512i q = _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
            q = _mm512_add_epi32(_mm512_srav_epi32(q, shift), zero_point);
            q = _mm512_min_epi32(_mm512_max_epi32(q, low), high);
            store_bytes(y + (size_t)r * y_stride + at, q, columns - at);
        }
    }
}

TARGET static void finish(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows,
                          uint8_t *y, size_t y_stride, int columns) {
    if (e->narrow) {
        finish_narrow(e, c, c_stride, rows, y, y_stride, columns);
        return;
    }
    const __m512i low = _mm512_set1_epi64((int64_t)e->low - e->zero_point);
    const __m512i high = _mm512_set1_epi64((int64_t)e->high - e->zero_point);
    const __m512i zero_point = _mm512_set1_epi32(e->zero_point);
    for (int at = 0; at < columns; at += 16) {
        const end16 p = load_end(e, at);
        for (int r = 0; r < rows; ++r) {
            const __m512i v =
                _mm512_add_epi32(_mm512_loadu_si512(c + (size_t)r * c_stride + at), p.base);
            __m512i even = _mm512_add_epi64(_mm512_mul_epi32(v, p.multiplier), p.add_even);
            __m512i odd = _mm512_add_epi64(
                _mm512_mul_epi32(_mm512_srli_epi64(v, 32), p.multiplier_odd), p.add_odd);
            even = _mm512_srav_epi64(even, p.shift_even);
            odd = _mm512_srav_epi64(odd, p.shift_odd);
            even = _mm512_min_epi64(_mm512_max_epi64(even, low), high);
            odd = _mm512_min_epi64(_mm512_max_epi64(odd, low), high);
            const __m512i q = _mm512_mask_shuffle_epi32(even, 0xaaaa, odd, _MM_PERM_CCAA);
            store_bytes(y + (size_t)r * y_stride + at, _mm512_add_epi32(q, zero_point),
                        columns - at);
        }
    }
}

/* Four registers of 16 sums whose 128-bit lanes are scattered: lane j of register i holds channels
 * 16 * j + 4 * i. Stored in channel order. */
TARGET_INLINE void store_lanes(int32_t *acc, __m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab_low = _mm512_shuffle_i32x4(a, b, 0x44);
    const __m512i ab_high = _mm512_shuffle_i32x4(a, b, 0xee);
    const __m512i cd_low = _mm512_shuffle_i32x4(c, d, 0x44);
    const __m512i cd_high = _mm512_shuffle_i32x4(c, d, 0xee);
    _mm512_storeu_si512(acc, _mm512_shuffle_i32x4(ab_low, cd_low, 0x88));
    _mm512_storeu_si512(acc + 16, _mm512_shuffle_i32x4(ab_low, cd_low, 0xdd));
    _mm512_storeu_si512(acc + 32, _mm512_shuffle_i32x4(ab_high, cd_high, 0x88));
    _mm512_storeu_si512(acc + 48, _mm512_shuffle_i32x4(ab_high, cd_high, 0xdd));
}

/* Four taps of each of 64 channels. */
typedef struct taps512 {
    __m512i x[4]; /* see store_lanes */
} taps512;
TARGET_INLINE taps512 load_taps(const uint8_t *x, const int64_t *tap) {
    const __m512i x0 = _mm512_loadu_si512(x + tap[0]), x1 = _mm512_loadu_si512(x + tap[1]);
    const __m512i x2 = _mm512_loadu_si512(x + tap[2]), x3 = _mm512_loadu_si512(x + tap[3]);
    const __m512i low01 = _mm512_unpacklo_epi8(x0, x1);
    const __m512i high01 = _mm512_unpackhi_epi8(x0, x1);
    const __m512i low23 = _mm512_unpacklo_epi8(x2, x3);
    const __m512i high23 = _mm512_unpackhi_epi8(x2, x3);
    return (taps512){
        {_mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
         _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)}};
}

VNNI static void depthwise_u8(const mrt_tile_depthwise *d, int32_t *acc) {
    __m512i sum[4] = {_mm512_setzero_si512()};
    const char *w = d->w;
    sum[1] = sum[2] = sum[3] = sum[0];
    for (int g = 0; g < d->groups; ++g, w += 256) {
        const taps512 taps = load_taps(d->x, d->tap + 4 * g);
        for (int i = 0; i < 4; ++i) {
            sum[i] = dot_u8(sum[i], taps.x[i], _mm512_loadu_si512(w + 64 * i));
        }
    }
    store_lanes(acc, sum[0], sum[1], sum[2], sum[3]);
}

TARGET static void depthwise_bytes(const mrt_tile_depthwise *d, int32_t *acc) {
    __m512i sum[4] = {_mm512_setzero_si512()};
    const uint8_t *need = d->w;
    const char *w = (const char *)d->w + HEAD(d->groups);
    const size_t masks = (size_t)d->groups * 4 * MRT_DEPTHWISE_BLOCK;
    sum[1] = sum[2] = sum[3] = sum[0];
    for (int g = 0; g < d->groups; ++g, w += 256) {
        const taps512 taps = load_taps(d->x, d->tap + 4 * g);
        for (int i = 0; i < 4; ++i) {
            const __m512i v = LOAD(w + 64 * i);
            const __m512i x = XOR(taps.x[i], LOAD(w + masks + 64 * i));
            sum[i] = (need[g] & MRT_NEED_WIDE) != 0 ? add_wide(sum[i], x, v)
                                                     : add_pairs(sum[i], MADD8(x, v));
        }
    }
    store_lanes(acc, sum[0], sum[1], sum[2], sum[3]);
}

TARGET static void depthwise_i16(const mrt_tile_depthwise *d, int32_t *acc) {
    for (int c = 0; c < MRT_DEPTHWISE_BLOCK; c += 32) {
        __m512i low = _mm512_setzero_si512(), high = low;
        const int16_t *w = (const int16_t *)d->w + 2 * c;
        for (int t = 0; t < d->groups * 4; t += 2, w += 2 * MRT_DEPTHWISE_BLOCK) {
            const __m256i x = _mm256_loadu_si256((const __m256i *)(d->x + d->tap[t] + c));
            const __m256i y = _mm256_loadu_si256((const __m256i *)(d->x + d->tap[t + 1] + c));
            /* lanes of 8 channels change places, so that both halves come out in order */
            const __m256i a = _mm256_permute4x64_epi64(x, 0xd8);
            const __m256i b = _mm256_permute4x64_epi64(y, 0xd8);
            const __m512i first = _mm512_cvtepu8_epi16(_mm256_unpacklo_epi8(a, b));
            const __m512i second = _mm512_cvtepu8_epi16(_mm256_unpackhi_epi8(a, b));
            low = dot_i16(low, first, _mm512_loadu_si512(w));
            high = dot_i16(high, second, _mm512_loadu_si512(w + 32));
        }
        _mm512_storeu_si512(acc + c, low);
        _mm512_storeu_si512(acc + c + 16, high);
    }
}

TARGET static void sum(const mrt_tile_sum *s, const int32_t *a, const int32_t *b, uint8_t *y,
                       int64_t count) {
    const __m512i ma = _mm512_set1_epi64(s->multiplier_a);
    const __m512i mb = _mm512_set1_epi64(s->multiplier_b);
    const __m512i add = _mm512_set1_epi64(s->shift ? (int64_t)1 << (s->shift - 1) : 0);
    const __m128i shift = _mm_cvtsi32_si128(s->shift);
    const __m512i low = _mm512_set1_epi64((int64_t)s->low - s->zero_point);
    const __m512i high = _mm512_set1_epi64((int64_t)s->high - s->zero_point);
    const __m512i zero_point = _mm512_set1_epi32(s->zero_point);
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 live = (__mmask16)(count - i >= 16 ? 0xffff : (1 << (count - i)) - 1);
        const __m512i va = _mm512_maskz_loadu_epi32(live, a + i);
        const __m512i vb = _mm512_maskz_loadu_epi32(live, b + i);
        const __m512i va_odd = _mm512_srli_epi64(va, 32);
        const __m512i vb_odd = _mm512_srli_epi64(vb, 32);
        __m512i even = _mm512_add_epi64(_mm512_mul_epi32(va, ma), _mm512_mul_epi32(vb, mb));
        __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(va_odd, ma), _mm512_mul_epi32(vb_odd, mb));
        even = _mm512_sra_epi64(_mm512_add_epi64(even, add), shift);
        odd = _mm512_sra_epi64(_mm512_add_epi64(odd, add), shift);
        even = _mm512_min_epi64(_mm512_max_epi64(even, low), high);
        odd = _mm512_min_epi64(_mm512_max_epi64(odd, low), high);
        const __m512i q = _mm512_mask_shuffle_epi32(even, 0xaaaa, odd, _MM_PERM_CCAA);
        const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_add_epi32(q, zero_point));
        _mm_mask_storeu_epi8(y + i, live, bytes);
    }
}

const mrt_tile_isa mrt_tile_isa_avx512_bytes = {
    .name = "avx512",
    .features = MRT_TILE_AVX2 | MRT_TILE_AVX512,
    .layout = MRT_TILE_U8,
    .unit = 1,
    .proves = true,
    .blocks = 2,
    .heights = {28, 14, 7, 4, 2, 1, 0},
    .tile = tile_bytes,
    .finish = finish,
    .depthwise = depthwise_bytes,
    .sum = sum,
    .add = mrt_tile_avx512_add,
    .lut = mrt_tile_avx512_lut,
};

const mrt_tile_isa mrt_tile_isa_avx512 = {
    .name = "avx512",
    .features = MRT_TILE_AVX2 | MRT_TILE_AVX512,
    .layout = MRT_TILE_I16,
    .unit = 1,
    .bytes = &mrt_tile_isa_avx512_bytes,
    .blocks = 2,
    .heights = {14, 7, 4, 2, 1, 0},
    .tile = tile_i16,
    .finish = finish,
    .depthwise = depthwise_i16,
    .sum = sum,
    .add = mrt_tile_avx512_add,
    .lut = mrt_tile_avx512_lut,
};

const mrt_tile_isa mrt_tile_isa_vnni = {
    .name = "vnni",
    .features = MRT_TILE_AVX2 | MRT_TILE_AVX512 | MRT_TILE_VNNI,
    .layout = MRT_TILE_U8,
    .unit = 1,
    .blocks = 2,
    .heights = {14, 7, 4, 2, 1, 0},
    .tile = tile_u8,
    .finish = finish,
    .depthwise = depthwise_u8,
    .sum = sum,
    .add = mrt_tile_avx512_add,
    .lut = mrt_tile_avx512_lut,
};

#else
typedef int mrt_tile_isa_avx512_is_empty; /* ISO C wants a declaration */
#endif
