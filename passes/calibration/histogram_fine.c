#include "passes/calibration/histogram_fine.h"

#include <math.h>
#include <string.h>

#include "runtime/mrt_clones.h"

enum { GROUP = 16, SHIFT = 23 - 2 /* two bits of the fraction number the counters of an octave */ };
#define FOUR_BITS 0x40800000u /* 4.0f */

static void count_one(float v, float inverse, uint32_t fine[2][MICA_FINE_COUNTERS]) {
    const float t = fabsf(v) * inverse;
    const int side = v < 0.0f;
    uint32_t bits = 0;
    memcpy(&bits, &t, sizeof bits);
    if (bits == 0) {
        return; /* the product underflowed: far below the last counter */
    }
    const uint32_t index = ((FOUR_BITS - 1) >> SHIFT) - ((bits - (uint32_t)side) >> SHIFT);
    if (index < MICA_FINE_COUNTERS) {
        ++fine[side][index];
    }
}

MRT_CLONES void mica_fine_count_portable(const float *x, int n, float inverse,
                                         uint32_t fine[2][MICA_FINE_COUNTERS]) {
    const float limit = MICA_FINE_PER_OCTAVE / inverse;
    for (int at = 0; at < n; at += GROUP) {
        const int piece = n - at < GROUP ? n - at : GROUP;
        int near = 0;
        for (int i = 0; i < piece; ++i) {
            near |= (fabsf(x[at + i]) <= limit) & (x[at + i] != 0.0f);
        }
        for (int i = 0; near && i < piece; ++i) {
            if (fabsf(x[at + i]) <= limit && x[at + i] != 0.0f) {
                count_one(x[at + i], inverse, fine);
            }
        }
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Numbers of 16 counters at once; those of values that have one are packed, then counted. */
__attribute__((target("avx512f,popcnt"))) static void
fine_count_avx512(const float *x, int n, float inverse, uint32_t fine[2][MICA_FINE_COUNTERS]) {
    uint32_t kept[GROUP];
    uint32_t *counters = fine[0];
    const __m512 zero = _mm512_setzero_ps();
    const __m512i top = _mm512_set1_epi32((int)((FOUR_BITS - 1) >> SHIFT));
    const __m512i limit = _mm512_set1_epi32(MICA_FINE_COUNTERS);
    for (int i = 0; i < n; i += GROUP) {
        const __mmask16 in = n - i < GROUP ? (__mmask16)((1u << (n - i)) - 1) : 0xffff;
        const __m512 v = _mm512_maskz_loadu_ps(in, x + i);
        const __m512 t = _mm512_mul_ps(_mm512_abs_ps(v), _mm512_set1_ps(inverse));
        const __mmask16 negative = _mm512_cmp_ps_mask(v, zero, _CMP_LT_OQ);
        __m512i bits = _mm512_castps_si512(t);
        const __mmask16 seen = _mm512_mask_test_epi32_mask(in, bits, bits);
        bits = _mm512_mask_sub_epi32(bits, negative, bits, _mm512_set1_epi32(1));
        __m512i index = _mm512_sub_epi32(top, _mm512_srli_epi32(bits, SHIFT));
        const __mmask16 near = _mm512_mask_cmplt_epu32_mask(seen, index, limit);
        if (near == 0) {
            continue;
        }
        index = _mm512_mask_add_epi32(index, negative, index, limit);
        _mm512_storeu_si512(kept, _mm512_maskz_compress_epi32(near, index));
        for (int k = 0; k < __builtin_popcount(near); ++k) {
            ++counters[kept[k]];
        }
    }
}

void mica_fine_count(const float *x, int n, float inverse, uint32_t fine[2][MICA_FINE_COUNTERS]) {
    if (__builtin_cpu_supports("avx512f")) {
        fine_count_avx512(x, n, inverse, fine);
    } else {
        mica_fine_count_portable(x, n, inverse, fine);
    }
}
#else
void mica_fine_count(const float *x, int n, float inverse, uint32_t fine[2][MICA_FINE_COUNTERS]) {
    mica_fine_count_portable(x, n, inverse, fine);
}
#endif

double mica_fine_begin(int index) {
    const int octave = index / MICA_FINE_PER_OCTAVE;
    const int from_top = index % MICA_FINE_PER_OCTAVE + 1;
    const double top = ldexp(MICA_FINE_PER_OCTAVE, -octave);
    return top - top / 2 * from_top / MICA_FINE_PER_OCTAVE;
}
