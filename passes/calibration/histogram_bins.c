#include "passes/calibration/histogram_bins.h"

#include <math.h>

#include "runtime/mrt_clones.h"

/* Beyond every bin, and still a whole number that a float holds. */
#define FAR 65536.0f

MRT_CLONES mica_bin_piece mica_bin_values_portable(const float *x, int n, float inverse,
                                                   int32_t offset, uint16_t *bins) {
    mica_bin_piece piece = {.written = n, .low = INFINITY, .high = -INFINITY};
    for (int i = 0; i < n; ++i) {
        const float v = x[i];
        float t = v * inverse;
        t = t < -FAR ? -FAR : t;
        t = t < FAR ? t : FAR; /* NaN too */
        const int32_t toward_zero = (int32_t)t;
        /* The product of a tiny negative number may underflow to -0, whose floor is -1 all the same. */
        const int below = ((float)toward_zero > t) | ((toward_zero == 0) & (v < 0.0f));
        const uint32_t bin = (uint32_t)(toward_zero - below + offset);
        bins[i] = (uint16_t)bin;
        piece.most = bin > piece.most ? bin : piece.most;
        piece.low = v < piece.low ? v : piece.low;
        piece.high = v > piece.high ? v : piece.high;
        piece.zeros += v == 0.0f;
    }
    return piece;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,popcnt")))

typedef struct totals {
    __m512 low, high;
    __m512i most;
    uint16_t *end;
} totals;

/* Up to 16 values, those of the mask. Zeros, of which ReLU makes many, get no number: they would all
 * wait for one counter. */
TARGET static inline void bin_16(__m512 v, __mmask16 in, __m512 inverse, __m512i offset, totals *t) {
    const __m512 zero = _mm512_setzero_ps();
    const __m512 down = _mm512_roundscale_ps(_mm512_mul_ps(v, inverse),
                                             _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512i bin = _mm512_cvttps_epi32(down); /* 2^31 for what does not fit, NaN too */
    const __mmask16 negative = _mm512_cmp_ps_mask(v, zero, _CMP_LT_OQ);
    bin = _mm512_mask_min_epi32(bin, negative, bin, _mm512_set1_epi32(-1));
    bin = _mm512_add_epi32(bin, offset);
    t->most = _mm512_mask_max_epu32(t->most, in, t->most, bin);
    t->low = _mm512_mask_min_ps(t->low, in, t->low, v);
    t->high = _mm512_mask_max_ps(t->high, in, t->high, v);
    const __mmask16 keep = _mm512_mask_cmp_ps_mask(in, v, zero, _CMP_NEQ_UQ);
    const __m512i kept = _mm512_maskz_compress_epi32(keep, bin);
    _mm256_storeu_si256((__m256i *)(void *)t->end, _mm512_cvtepi32_epi16(kept));
    t->end += __builtin_popcount(keep);
}

TARGET static mica_bin_piece bin_values_avx512(const float *x, int n, float inverse, int32_t offset,
                                               uint16_t *bins) {
    const __m512 factor = _mm512_set1_ps(inverse);
    const __m512i start = _mm512_set1_epi32(offset);
    totals t = {.low = _mm512_set1_ps(INFINITY), .high = _mm512_set1_ps(-INFINITY),
                .most = _mm512_setzero_si512(), .end = bins};
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        bin_16(_mm512_loadu_ps(x + i), 0xffff, factor, start, &t);
    }
    if (i < n) {
        const __mmask16 in = (__mmask16)((1u << (n - i)) - 1);
        bin_16(_mm512_maskz_loadu_ps(in, x + i), in, factor, start, &t);
    }
    const int written = (int)(t.end - bins);
    return (mica_bin_piece){.written = written, .zeros = n - written,
                            .low = _mm512_reduce_min_ps(t.low), .high = _mm512_reduce_max_ps(t.high),
                            .most = _mm512_reduce_max_epu32(t.most)};
}

mica_bin_piece mica_bin_values(const float *x, int n, float inverse, int32_t offset, uint16_t *bins) {
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        return bin_values_avx512(x, n, inverse, offset, bins);
    }
    return mica_bin_values_portable(x, n, inverse, offset, bins);
}
#else
mica_bin_piece mica_bin_values(const float *x, int n, float inverse, int32_t offset, uint16_t *bins) {
    return mica_bin_values_portable(x, n, inverse, offset, bins);
}
#endif
