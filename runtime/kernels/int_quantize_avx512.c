/* quantize and dequantize with AVX-512; the arithmetic is that of mrt_quant.h, operation by operation. */
#include "runtime/kernels/int_quantize.h"

#ifdef MRT_TILE_X86

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))
#define TARGET_INLINE                                                                              \
    static inline __attribute__((always_inline, target("avx2,avx512f,avx512bw,avx512vl,avx512dq")))

TARGET_INLINE __mmask16 first_16(int64_t n) {
    return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

/* mrt_quantize_f32 of 8 elements without the zero point; the last rounding is that of the conversion. */
TARGET_INLINE __m256i quotients(__m256 x, __m512d inverse, __m512d low, __m512d high) {
    const __m512d snap = _mm512_set1_pd(6291456.0); /* 1.5 * 2^22 */
    __m512d r = _mm512_mul_pd(_mm512_cvtps_pd(x), inverse);
    r = _mm512_min_pd(_mm512_max_pd(r, low), high);
    r = _mm512_sub_pd(_mm512_add_pd(r, snap), snap);
    return _mm512_cvt_roundpd_epi32(r, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

TARGET_INLINE void quantize(const float *x, uint8_t *y, int64_t count, double scale,
                            int32_t zero_point, int32_t low, int32_t high) {
    const __m512d inverse = _mm512_set1_pd(1.0 / scale);
    const __m512d r_low = _mm512_set1_pd((double)low - zero_point);
    const __m512d r_high = _mm512_set1_pd((double)high - zero_point);
    const __m512i zero = _mm512_set1_epi32(zero_point);
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 live = first_16(count - i);
        const __m512 given = _mm512_maskz_loadu_ps(live, x + i);
        const __m512 v = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(given, given, _CMP_ORD_Q), given);
        const __m256i a = quotients(_mm512_castps512_ps256(v), inverse, r_low, r_high);
        const __m256i b = quotients(_mm512_extractf32x8_ps(v, 1), inverse, r_low, r_high);
        const __m512i q = _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
        _mm512_mask_cvtepi32_storeu_epi8(y + i, live, _mm512_add_epi32(q, zero));
    }
}

TARGET void mrt_quantize_i8_avx512(const float *x, uint8_t *y, int64_t count, double scale,
                                   int32_t zero_point) {
    quantize(x, y, count, scale, zero_point, -128, 127);
}
TARGET void mrt_quantize_u8_avx512(const float *x, uint8_t *y, int64_t count, double scale,
                                   int32_t zero_point) {
    quantize(x, y, count, scale, zero_point, 0, 255);
}

TARGET_INLINE void dequantize(const uint8_t *x, float *y, int64_t count, double scale,
                              int32_t zero_point, bool is_signed) {
    const __m512d factor = _mm512_set1_pd(scale);
    const __m512i zero = _mm512_set1_epi32(zero_point);
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 live = first_16(count - i);
        const __m128i bytes = _mm_maskz_loadu_epi8(live, x + i);
        const __m512i q = is_signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes);
        const __m512i d = _mm512_sub_epi32(q, zero);
        const __m512d a = _mm512_cvtepi32_pd(_mm512_castsi512_si256(d));
        const __m512d b = _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(d, 1));
        const __m256 low = _mm512_cvtpd_ps(_mm512_mul_pd(a, factor));
        const __m256 high = _mm512_cvtpd_ps(_mm512_mul_pd(b, factor));
        _mm512_mask_storeu_ps(y + i, live,
                              _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1));
    }
}

TARGET void mrt_dequantize_i8_avx512(const uint8_t *x, float *y, int64_t count, double scale,
                                     int32_t zero_point) {
    dequantize(x, y, count, scale, zero_point, true);
}
TARGET void mrt_dequantize_u8_avx512(const uint8_t *x, float *y, int64_t count, double scale,
                                     int32_t zero_point) {
    dequantize(x, y, count, scale, zero_point, false);
}

#endif
