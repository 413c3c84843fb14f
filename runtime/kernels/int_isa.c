/* Choice of the inner loops, and their portable reference. */
#include "runtime/kernels/int_isa.h"

#include "runtime/mrt_quant.h"

#include <stdlib.h>
#include <string.h>

void mrt_int_scalar_pack(void *panel, const uint8_t *const row[4], bool is_signed, int32_t sub) {
    int16_t *out = panel;
    for (int pair = 0; pair < 2; ++pair) {
        for (int j = 0; j < MRT_INT_COLUMNS; ++j) {
            for (int k = 0; k < 2; ++k) {
                const uint8_t byte = row[2 * pair + k][j];
                const int32_t v = is_signed ? (int8_t)byte : byte;
                *out++ = (int16_t)(v - sub);
            }
        }
    }
}

void mrt_int_scalar_tile(const void *a, size_t a_stride, int rows, const void *panel,
                         int64_t quads, int32_t *c) {
    memset(c, 0, sizeof(int32_t) * (size_t)rows * MRT_INT_COLUMNS);
    for (int r = 0; r < rows; ++r) {
        const int16_t *row = (const int16_t *)((const char *)a + (size_t)r * a_stride);
        const int16_t *b = panel;
        int32_t *sum = c + r * MRT_INT_COLUMNS;
        for (int64_t k = 0; k < quads * 4; k += 2) {
            for (int j = 0; j < MRT_INT_COLUMNS; ++j) {
                sum[j] += row[k] * b[2 * j] + row[k + 1] * b[2 * j + 1];
            }
            b += 2 * MRT_INT_COLUMNS;
        }
    }
}

void mrt_int_scalar_requant(const mrt_int_requant *r, const int32_t *acc, uint8_t *y,
                            int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        /* acc may hold an excess of a multiple of 2^32 that base takes back */
        const int32_t sum = (int32_t)((uint32_t)acc[i] + (uint32_t)r->base);
        y[i] = (uint8_t)mrt_requant_clamp(sum, r->multiplier, r->shift, r->zero_point, r->low,
                                          r->high);
    }
}

void mrt_int_scalar_depthwise(const mrt_int_depthwise *d, int32_t *acc, int64_t count) {
    const int64_t padded = (count + 15) / 16 * 16;
    memset(acc, 0, sizeof(int32_t) * (size_t)padded);
    for (int t = 0; t < d->taps; ++t) {
        const uint8_t *x = d->x + d->offset[t];
        const int32_t w = d->weight[t];
        for (int64_t i = 0; i < count; ++i) {
            acc[i] += w * (d->is_signed ? (int8_t)x[i] : x[i]);
        }
    }
}

static const mrt_int_isa scalar_isa = {
    .name = "scalar",
    .features = 0,
    .layout = MRT_PANEL_I16,
    .rows = 4,
    .pack = mrt_int_scalar_pack,
    .tile = mrt_int_scalar_tile,
    .requant = mrt_int_scalar_requant,
    .depthwise = mrt_int_scalar_depthwise,
};

static const mrt_int_isa *const isa_table[] = {
#ifdef MRT_INT_X86
    &mrt_int_isa_vnni, &mrt_int_isa_avx512, &mrt_int_isa_avx2,
#endif
    &scalar_isa,
};
enum { ISA_COUNT = sizeof(isa_table) / sizeof(isa_table[0]) };

static uint32_t cpu_features(void) {
    uint32_t features = 0;
#ifdef MRT_INT_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        features |= MRT_CPU_AVX2;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        features |= MRT_CPU_AVX512;
    }
    if (__builtin_cpu_supports("avx512vnni")) {
        features |= MRT_CPU_VNNI;
    }
#endif
    return features;
}

const mrt_int_isa *mrt_int_isa_at(int i) { return i >= 0 && i < ISA_COUNT ? isa_table[i] : NULL; }

bool mrt_int_isa_available(const mrt_int_isa *isa) {
    return (isa->features & ~cpu_features()) == 0;
}

const mrt_int_isa *mrt_int_isa_select(void) {
    const char *wanted = getenv("MICA_ISA");
    const mrt_int_isa *best = NULL;
    for (int i = 0; i < ISA_COUNT; ++i) {
        if (!mrt_int_isa_available(isa_table[i])) {
            continue;
        }
        if (wanted && strcmp(wanted, isa_table[i]->name) == 0) {
            return isa_table[i];
        }
        best = best ? best : isa_table[i];
    }
    return best;
}
