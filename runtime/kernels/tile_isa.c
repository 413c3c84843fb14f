/* Choice of the inner loops, and their portable reference. */
#include "runtime/kernels/tile_isa.h"

#include "runtime/mrt_clones.h"
#include "runtime/mrt_cpu.h"
#include "runtime/mrt_quant.h"

#include <stdlib.h>
#include <string.h>

void mrt_tile_scalar(const mrt_tile *t, int rows, int blocks) {
    const int width = MRT_TILE_BLOCKS * MRT_TILE_BLOCK;
    for (int r = 0; r < rows; ++r) {
        const int16_t *row = (const int16_t *)((const char *)t->a + (size_t)r * t->a_stride);
        for (int b = 0; b < blocks; ++b) {
            const int16_t *w = (const int16_t *)((const char *)t->w + (size_t)b * t->w_stride);
            int32_t *sum = t->c + r * width + b * MRT_TILE_BLOCK;
            memset(sum, 0, sizeof(int32_t) * MRT_TILE_BLOCK);
            for (int64_t i = 0; i < t->runs; ++i) {
                const int16_t *a = row + t->run[i];
                for (int64_t pair = 0; pair < t->quads * 2; ++pair, w += 2 * MRT_TILE_BLOCK) {
                    for (int n = 0; n < MRT_TILE_BLOCK; ++n) {
                        sum[n] += a[2 * pair] * w[2 * n] + a[2 * pair + 1] * w[2 * n + 1];
                    }
                }
            }
        }
    }
}

void mrt_tile_scalar_finish(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows,
                            uint8_t *y, size_t y_stride, int columns) {
    for (int r = 0; r < rows; ++r) {
        for (int n = 0; n < columns; ++n) {
            /* c may hold an excess of a multiple of 2^32 that base takes back */
            const int32_t sum = (int32_t)((uint32_t)c[n] + (uint32_t)e->base[n]);
            y[n] = (uint8_t)mrt_requant_clamp(sum, e->multiplier[n], e->shift[n], e->zero_point,
                                              e->low, e->high);
        }
        c += c_stride;
        y += y_stride;
    }
}

void mrt_tile_scalar_depthwise(const mrt_tile_depthwise *d, int32_t *acc) {
    const int16_t *w = d->w;
    memset(acc, 0, sizeof(int32_t) * MRT_DEPTHWISE_BLOCK);
    for (int t = 0; t < d->groups * 4; t += 2, w += 2 * MRT_DEPTHWISE_BLOCK) {
        const uint8_t *x = d->x + d->tap[t];
        const uint8_t *next = d->x + d->tap[t + 1];
        for (int c = 0; c < MRT_DEPTHWISE_BLOCK; ++c) {
            acc[c] += x[c] * w[2 * c] + next[c] * w[2 * c + 1];
        }
    }
}

void mrt_tile_scalar_sum(const mrt_tile_sum *s, const int32_t *a, const int32_t *b, uint8_t *y,
                         int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        const int64_t v = (int64_t)a[i] * s->multiplier_a + (int64_t)b[i] * s->multiplier_b;
        y[i] = (uint8_t)mrt_clamp_i64(mrt_rshift_half_up(v, s->shift) + s->zero_point, s->low,
                                      s->high);
    }
}

static const mrt_tile_isa scalar_isa = {
    .name = "scalar",
    .features = 0,
    .layout = MRT_TILE_I16,
    .unit = 1,
    .blocks = 1,
    .heights = {4, 2, 1, 0},
    .tile = mrt_tile_scalar,
    .finish = mrt_tile_scalar_finish,
    .depthwise = mrt_tile_scalar_depthwise,
    .sum = mrt_tile_scalar_sum,
    .add = mrt_tile_scalar_add,
    .lut = mrt_tile_scalar_lut,
};

static const mrt_tile_isa *const isa_table[] = {
#ifdef MRT_TILE_X86
    &mrt_tile_isa_amx,    &mrt_tile_isa_vnni, &mrt_tile_isa_avxvnni,
    &mrt_tile_isa_avx512, &mrt_tile_isa_avx2,
#endif
#ifdef MRT_TILE_ARM_DOT
    &mrt_tile_isa_i8mm, &mrt_tile_isa_dotprod,
#endif
#ifdef MRT_TILE_ARM
    &mrt_tile_isa_neon,
#endif
    &scalar_isa, &mrt_tile_isa_scalar_u8, &mrt_tile_isa_amx_emulated,
#ifdef MRT_TILE_X86
    &mrt_tile_isa_avxvnni_evex,
#endif
};
enum { ISA_COUNT = sizeof(isa_table) / sizeof(isa_table[0]) };

static uint32_t cpu_features(void) {
    uint32_t features = 0;
#ifdef MRT_TILE_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        features |= MRT_TILE_AVX2;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        features |= MRT_TILE_AVX512;
    }
    if (__builtin_cpu_supports("avx512vnni")) {
        features |= MRT_TILE_VNNI;
    }
    features |= (mrt_cpu_avx_vnni() ? MRT_TILE_AVX_VNNI : 0) | (mrt_cpu_tiles() ? MRT_TILE_AMX : 0);
#endif
#ifdef MRT_TILE_ARM
    features |= MRT_TILE_NEON | (mrt_cpu_dotprod() ? MRT_TILE_DOTPROD : 0) |
                (mrt_cpu_i8mm() ? MRT_TILE_I8MM : 0);
#endif
    return features;
}

const mrt_tile_isa *mrt_tile_isa_at(int i) { return i >= 0 && i < ISA_COUNT ? isa_table[i] : NULL; }

bool mrt_tile_isa_available(const mrt_tile_isa *isa) {
    return (isa->features & ~cpu_features()) == 0;
}

const mrt_tile_isa *mrt_tile_isa_select(void) {
    const char *wanted = getenv("MICA_ISA");
    const mrt_tile_isa *best = NULL;
    for (int i = 0; i < ISA_COUNT; ++i) {
        if (!mrt_tile_isa_available(isa_table[i])) {
            continue;
        }
        if (wanted && strcmp(wanted, isa_table[i]->name) == 0) {
            return isa_table[i];
        }
        best = best ? best : isa_table[i];
    }
    return best;
}

const mrt_tile_isa *mrt_tile_isa_words(void) {
    const mrt_tile_isa *isa = mrt_tile_isa_select();
    for (int i = 0; isa->layout != MRT_TILE_I16; ++i) { /* the row "scalar" ends it */
        isa = isa_table[i]->layout == MRT_TILE_I16 && mrt_tile_isa_available(isa_table[i])
                  ? isa_table[i]
                  : isa;
    }
    return isa;
}

MRT_CLONES
void mrt_tile_pack_words(int16_t *restrict out, const uint8_t *const row[4], bool is_signed,
                         int32_t sub) {
    const uint8_t flip = is_signed ? 0x80 : 0; /* makes v + 128 of signed v */
    const int32_t zero = sub + flip;
    for (int half = 0; half < 2; ++half, out += 2 * MRT_TILE_BLOCK) {
        const uint8_t *restrict even = row[2 * half], *restrict odd = row[2 * half + 1];
        for (int n = 0; n < MRT_TILE_BLOCK; ++n) {
            out[2 * n] = (int16_t)((even[n] ^ flip) - zero);
            out[2 * n + 1] = (int16_t)((odd[n] ^ flip) - zero);
        }
    }
}
