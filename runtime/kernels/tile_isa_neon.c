/* ARM rows. "neon": int16 pairs by widening multiply-add, on every 64-bit ARM. "dotprod" and "i8mm": four
 * bytes at a time. sdot wants both signed: it gets a - 128, and 128 * sum(w), summed beside, is taken
 * back; usdot takes a as it is. All modulo 2^32 and exact. */
#include "runtime/kernels/tile_isa.h"

#ifdef MRT_TILE_ARM

#include <arm_neon.h>
#include <string.h>

#define BASE_INLINE static inline __attribute__((always_inline))

enum { WIDTH = MRT_TILE_BLOCKS * MRT_TILE_BLOCK, PARTS = MRT_TILE_BLOCK / 4 };

/* --- every 64-bit ARM --------------------------------------------------------------------------- */

BASE_INLINE void tile_i16_rows(const mrt_tile *t, const int rows) {
    int32x4_t sum[4][PARTS];
    const int16_t *w = t->w;
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
        sum[r][0] = sum[r][1] = sum[r][2] = sum[r][3] = vdupq_n_s32(0);
    }
    for (int64_t i = 0; i < t->runs; ++i) {
        const char *a = (const char *)t->a + t->run[i] * 2;
        for (int64_t k = t->quads * 2; k > 0; --k, a += 4, w += 2 * MRT_TILE_BLOCK) {
            const int16x8x2_t w0 = vld2q_s16(w); /* of even k, of odd k */
            const int16x8x2_t w1 = vld2q_s16(w + MRT_TILE_BLOCK);
#pragma GCC unroll 4
            for (int r = 0; r < rows; ++r) {
                int16_t pair[4] = {0};
                memcpy(pair, a + (size_t)r * t->a_stride, 4);
                const int16x4_t v = vld1_s16(pair);
                sum[r][0] = vmlal_lane_s16(sum[r][0], vget_low_s16(w0.val[0]), v, 0);
                sum[r][1] = vmlal_high_lane_s16(sum[r][1], w0.val[0], v, 0);
                sum[r][2] = vmlal_lane_s16(sum[r][2], vget_low_s16(w1.val[0]), v, 0);
                sum[r][3] = vmlal_high_lane_s16(sum[r][3], w1.val[0], v, 0);
                sum[r][0] = vmlal_lane_s16(sum[r][0], vget_low_s16(w0.val[1]), v, 1);
                sum[r][1] = vmlal_high_lane_s16(sum[r][1], w0.val[1], v, 1);
                sum[r][2] = vmlal_lane_s16(sum[r][2], vget_low_s16(w1.val[1]), v, 1);
                sum[r][3] = vmlal_high_lane_s16(sum[r][3], w1.val[1], v, 1);
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
        for (int p = 0; p < PARTS; ++p) {
            vst1q_s32(t->c + r * WIDTH + 4 * p, sum[r][p]);
        }
    }
}

static void tile_i16(const mrt_tile *t, int rows, int blocks) {
    (void)blocks; /* one */
    switch (rows) {
    case 4: tile_i16_rows(t, 4); break;
    case 2: tile_i16_rows(t, 2); break;
    default: tile_i16_rows(t, 1); break;
    }
}

static void depthwise_i16(const mrt_tile_depthwise *d, int32_t *acc) {
    for (int c = 0; c < MRT_DEPTHWISE_BLOCK; c += 8) {
        int32x4_t low = vdupq_n_s32(0), high = low;
        const int16_t *w = (const int16_t *)d->w + 2 * c;
        for (int t = 0; t < d->groups * 4; t += 2, w += 2 * MRT_DEPTHWISE_BLOCK) {
            const int16x8_t x = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(d->x + d->tap[t] + c)));
            const int16x8_t y = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(d->x + d->tap[t + 1] + c)));
            const int16x8x2_t both = vld2q_s16(w);
            low = vmlal_s16(low, vget_low_s16(x), vget_low_s16(both.val[0]));
            high = vmlal_high_s16(high, x, both.val[0]);
            low = vmlal_s16(low, vget_low_s16(y), vget_low_s16(both.val[1]));
            high = vmlal_high_s16(high, y, both.val[1]);
        }
        vst1q_s32(acc + c, low);
        vst1q_s32(acc + c + 4, high);
    }
}

/* floor(v / 2^-shift + 1/2), as the instruction rounds. */
BASE_INLINE int32x2_t rounded(int64x2_t v, int64x2_t minus_shift) {
    return vqmovn_s64(vrshlq_s64(v, minus_shift)); /* beyond int32 all are clamped alike */
}

BASE_INLINE int32x4_t clamped(int32x4_t q, int32_t zero_point, int32_t low, int32_t high) {
    q = vqaddq_s32(q, vdupq_n_s32(zero_point));
    return vminq_s32(vmaxq_s32(q, vdupq_n_s32(low)), vdupq_n_s32(high));
}

BASE_INLINE int32x4_t requant4(const mrt_tile_end *e, const int32_t *c, int at) {
    const int32x4_t v = vaddq_s32(vld1q_s32(c + at), vld1q_s32(e->base + at));
    const int32x4_t m = vld1q_s32(e->multiplier + at);
    const int32x4_t shift = vnegq_s32(vld1q_s32(e->shift + at));
    const int32x2_t low = rounded(vmull_s32(vget_low_s32(v), vget_low_s32(m)),
                                  vmovl_s32(vget_low_s32(shift)));
    const int32x2_t high = rounded(vmull_high_s32(v, m), vmovl_high_s32(shift));
    return clamped(vcombine_s32(low, high), e->zero_point, e->low, e->high);
}

/* The low bytes of eight values, at most `count` of them. */
BASE_INLINE void store_bytes(uint8_t *y, int32x4_t a, int32x4_t b, int64_t count) {
    const int16x8_t words = vcombine_s16(vmovn_s32(a), vmovn_s32(b));
    const uint8x8_t bytes = vreinterpret_u8_s8(vmovn_s16(words));
    if (count >= 8) {
        vst1_u8(y, bytes);
        return;
    }
    uint8_t rest[8];
    vst1_u8(rest, bytes);
    memcpy(y, rest, (size_t)count);
}

static void finish(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows, uint8_t *y,
                   size_t y_stride, int columns) {
    for (int r = 0; r < rows; ++r, c += c_stride, y += y_stride) {
        for (int at = 0; at < columns; at += 8) {
            store_bytes(y + at, requant4(e, c, at), requant4(e, c, at + 4), columns - at);
        }
    }
}

BASE_INLINE int32x4_t sum4(const mrt_tile_sum *s, const int32_t *a, const int32_t *b) {
    const int32x4_t va = vld1q_s32(a), vb = vld1q_s32(b);
    const int32x4_t ma = vdupq_n_s32(s->multiplier_a), mb = vdupq_n_s32(s->multiplier_b);
    const int64x2_t shift = vdupq_n_s64(-(int64_t)s->shift);
    const int64x2_t low = vmlal_s32(vmull_s32(vget_low_s32(va), vget_low_s32(ma)),
                                    vget_low_s32(vb), vget_low_s32(mb));
    const int64x2_t high = vmlal_high_s32(vmull_high_s32(va, ma), vb, mb);
    const int32x4_t q = vcombine_s32(rounded(low, shift), rounded(high, shift));
    return clamped(q, s->zero_point, s->low, s->high);
}

static void sum(const mrt_tile_sum *s, const int32_t *a, const int32_t *b, uint8_t *y,
                int64_t count) {
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        store_bytes(y + i, sum4(s, a + i, b + i), sum4(s, a + i + 4, b + i + 4), 8);
    }
    mrt_tile_scalar_sum(s, a + i, b + i, y + i, count - i);
}

/* A look-up of an index past its 64 entries keeps what is there, or gives 0. */
static void lut(const uint8_t *table, const uint8_t *x, uint8_t *y, int64_t count) {
    const uint8x16x4_t first = vld1q_u8_x4(table), second = vld1q_u8_x4(table + 64);
    const uint8x16x4_t third = vld1q_u8_x4(table + 128), fourth = vld1q_u8_x4(table + 192);
    const uint8x16_t step = vdupq_n_u8(64);
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        uint8x16_t index = vld1q_u8(x + i);
        uint8x16_t v = vqtbl4q_u8(first, index);
        v = vqtbx4q_u8(v, second, index = vsubq_u8(index, step));
        v = vqtbx4q_u8(v, third, index = vsubq_u8(index, step));
        v = vqtbx4q_u8(v, fourth, vsubq_u8(index, step));
        vst1q_u8(y + i, v);
    }
    mrt_tile_scalar_lut(table, x + i, y + i, count - i);
}

const mrt_tile_isa mrt_tile_isa_neon = {
    .name = "neon",
    .features = MRT_TILE_NEON,
    .layout = MRT_TILE_I16,
    .unit = 1,
    .blocks = 1,
    .heights = {4, 2, 1, 0},
    .tile = tile_i16,
    .finish = finish,
    .depthwise = depthwise_i16,
    .sum = sum,
    .add = mrt_tile_scalar_add,
    .lut = lut,
};

/* --- dot products of bytes ----------------------------------------------------------------------- */

#ifdef MRT_TILE_ARM_DOT

#define DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#define DOTPROD_INLINE                                                                             \
    static inline __attribute__((always_inline, target("arch=armv8.2-a+dotprod")))
#define I8MM __attribute__((target("arch=armv8.2-a+i8mm")))
#define I8MM_INLINE static inline __attribute__((always_inline, target("arch=armv8.2-a+i8mm")))

DOTPROD_INLINE int32x4_t dot_signed(int32x4_t sum, uint8x16_t a, int8x16_t w) {
    return vdotq_s32(sum, vreinterpretq_s8_u8(veorq_u8(a, vdupq_n_u8(0x80))), w);
}
DOTPROD_INLINE int32x4_t dot_ones(int32x4_t sum, int8x16_t w) {
    return vdotq_s32(sum, vdupq_n_s8(1), w);
}
I8MM_INLINE int32x4_t dot_mixed(int32x4_t sum, uint8x16_t a, int8x16_t w) {
    return vusdotq_s32(sum, a, w);
}
I8MM_INLINE int32x4_t dot_nothing(int32x4_t sum, int8x16_t w) {
    (void)w;
    return sum;
}

BASE_INLINE uint8x16_t repeat4(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return vreinterpretq_u8_u32(vdupq_n_u32(v));
}

/* DOT adds products of four; ONES what is missing of them, divided by 128. */
#define DEFINE_DOT(NAME, KIND, ROWS, DOT, ONES)                                                    \
    KIND##_INLINE void tile_##NAME##_rows(const mrt_tile *t, const int rows) {                     \
        int32x4_t sum[ROWS][PARTS], rest[PARTS];                                                   \
        const int8_t *w = t->w;                                                                    \
        rest[0] = rest[1] = rest[2] = rest[3] = vdupq_n_s32(0);                                    \
        _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {                                   \
            sum[r][0] = sum[r][1] = sum[r][2] = sum[r][3] = vdupq_n_s32(0);                        \
        }                                                                                          \
        for (int64_t i = 0; i < t->runs; ++i) {                                                    \
            const uint8_t *a = (const uint8_t *)t->a + t->run[i];                                  \
            for (int64_t k = t->quads; k > 0; --k, a += 4, w += 4 * MRT_TILE_BLOCK) {              \
                const int8x16x4_t v = vld1q_s8_x4(w);                                              \
                _Pragma("GCC unroll 4") for (int p = 0; p < PARTS; ++p) {                          \
                    rest[p] = ONES(rest[p], v.val[p]);                                             \
                }                                                                                  \
                _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {                           \
                    const uint8x16_t x = repeat4(a + (size_t)r * t->a_stride);                     \
                    _Pragma("GCC unroll 4") for (int p = 0; p < PARTS; ++p) {                      \
                        sum[r][p] = DOT(sum[r][p], x, v.val[p]);                                   \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        _Pragma("GCC unroll 6") for (int r = 0; r < rows; ++r) {                                   \
            for (int p = 0; p < PARTS; ++p) {                                                      \
                vst1q_s32(t->c + r * WIDTH + 4 * p,                                                \
                          vaddq_s32(sum[r][p], vshlq_n_s32(rest[p], 7)));                          \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    KIND static void tile_##NAME(const mrt_tile *t, int rows, int blocks) {                        \
        (void)blocks; /* one */                                                                    \
        switch (rows) {                                                                            \
        case ROWS: tile_##NAME##_rows(t, ROWS); break;                                             \
        case 2: tile_##NAME##_rows(t, 2); break;                                                   \
        default: tile_##NAME##_rows(t, 1); break;                                                  \
        }                                                                                          \
    }                                                                                              \
    /* Byte unpacking leaves four channels out of 16 in turn: see mrt_tile_depthwise. */           \
    KIND static void depthwise_##NAME(const mrt_tile_depthwise *d, int32_t *acc) {                 \
        for (int c = 0; c < MRT_DEPTHWISE_BLOCK; c += 16) {                                        \
            int32x4_t s[PARTS], rest[PARTS];                                                       \
            const int8_t *w = (const int8_t *)d->w + c;                                            \
            s[0] = s[1] = s[2] = s[3] = vdupq_n_s32(0);                                            \
            rest[0] = rest[1] = rest[2] = rest[3] = vdupq_n_s32(0);                                \
            for (int t = 0; t < d->groups * 4; t += 4, w += 4 * MRT_DEPTHWISE_BLOCK) {             \
                const uint8_t *x = d->x + c;                                                       \
                const uint8x16x2_t a = vzipq_u8(vld1q_u8(x + d->tap[t]),                           \
                                                vld1q_u8(x + d->tap[t + 1]));                      \
                const uint8x16x2_t b = vzipq_u8(vld1q_u8(x + d->tap[t + 2]),                       \
                                                vld1q_u8(x + d->tap[t + 3]));                      \
                for (int half = 0; half < 2; ++half) {                                             \
                    const uint16x8x2_t q = vzipq_u16(vreinterpretq_u16_u8(a.val[half]),            \
                                                     vreinterpretq_u16_u8(b.val[half]));           \
                    for (int k = 0; k < 2; ++k) {                                                  \
                        const int p = 2 * half + k;                                                \
                        const int8x16_t v = vld1q_s8(w + p * MRT_DEPTHWISE_BLOCK);                 \
                        s[p] = DOT(s[p], vreinterpretq_u8_u16(q.val[k]), v);                       \
                        rest[p] = ONES(rest[p], v);                                                \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
            for (int p = 0; p < PARTS; ++p) {                                                      \
                vst1q_s32(acc + c + 4 * p, vaddq_s32(s[p], vshlq_n_s32(rest[p], 7)));              \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    const mrt_tile_isa mrt_tile_isa_##NAME = {                                                     \
        .name = #NAME,                                                                             \
        .features = MRT_TILE_NEON | MRT_TILE_##KIND,                                               \
        .layout = MRT_TILE_U8,                                                                     \
        .unit = 1,                                                                                 \
        .blocks = 1,                                                                               \
        .heights = {ROWS, 2, 1, 0},                                                                \
        .tile = tile_##NAME,                                                                       \
        .finish = finish,                                                                          \
        .depthwise = depthwise_##NAME,                                                             \
        .sum = sum,                                                                                \
        .add = mrt_tile_scalar_add,                                                                \
        .lut = lut,                                                                                \
    };

DEFINE_DOT(dotprod, DOTPROD, 4, dot_signed, dot_ones)
DEFINE_DOT(i8mm, I8MM, 6, dot_mixed, dot_nothing)

#endif

#else
typedef int mrt_tile_isa_neon_is_empty; /* ISO C wants a declaration */
#endif
