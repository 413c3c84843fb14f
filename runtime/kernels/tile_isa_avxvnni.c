/* AVX-VNNI row: vpdpbusd on 256 bits in its VEX form, for processors without AVX-512. Its twin, in the
 * EVEX form that AVX-512 VNNI has, is for tests on such machines: named only. All else as "avx2". */
#include "runtime/kernels/tile_256.h"

#ifdef MRT_TILE_X86

#define VEX "avx2,avxvnni"
#define EVEX "avx2,avx512f,avx512vl,avx512vnni"

DEFINE_TILE_256(tile_vex, VEX, _mm256_dpbusd_avx_epi32, 1)
DEFINE_TILE_256(tile_evex, EVEX, _mm256_dpbusd_epi32, 1)

#define DEFINE_DEPTHWISE(NAME, TARGET, DOT)                                                        \
    __attribute__((target(TARGET))) static void NAME(const mrt_tile_depthwise *d, int32_t *acc) {  \
        for (int c = 0; c < MRT_DEPTHWISE_BLOCK; c += 32) {                                        \
            const char *w = (const char *)d->w + c;                                                \
            __m256i sum[4] = {_mm256_setzero_si256()};                                             \
            sum[1] = sum[2] = sum[3] = sum[0];                                                     \
            for (int g = 0; g < d->groups; ++g, w += 4 * MRT_DEPTHWISE_BLOCK) {                    \
                const taps256 taps = load_taps(d->x + c, d->tap + 4 * g);                          \
                for (int i = 0; i < 4; ++i) {                                                      \
                    sum[i] = DOT(sum[i], taps.x[i], load(w + 64 * i));                             \
                }                                                                                  \
            }                                                                                      \
            store_lanes(acc + c, sum);                                                             \
        }                                                                                          \
    }

DEFINE_DEPTHWISE(depthwise_vex, VEX, _mm256_dpbusd_avx_epi32)
DEFINE_DEPTHWISE(depthwise_evex, EVEX, _mm256_dpbusd_epi32)

static void finish(const mrt_tile_end *e, const int32_t *c, size_t c_stride, int rows, uint8_t *y,
                   size_t y_stride, int columns) {
    mrt_tile_isa_avx2.finish(e, c, c_stride, rows, y, y_stride, columns);
}

static void sum(const mrt_tile_sum *s, const int32_t *a, const int32_t *b, uint8_t *y,
                int64_t count) {
    mrt_tile_isa_avx2.sum(s, a, b, y, count);
}

#define ROW(NAME, FEATURES, TILE, DEPTHWISE)                                                       \
    {                                                                                              \
        .name = NAME, .features = FEATURES, .layout = MRT_TILE_U8, .unit = 1, .blocks = 1,         \
        .heights = {6, 4, 2, 1, 0}, .tile = TILE, .finish = finish, .depthwise = DEPTHWISE,        \
        .sum = sum, .add = mrt_tile_avx2_add, .lut = mrt_tile_avx2_lut,                            \
    }

const mrt_tile_isa mrt_tile_isa_avxvnni =
    ROW("avxvnni", MRT_TILE_AVX2 | MRT_TILE_AVX_VNNI, tile_vex, depthwise_vex);
const mrt_tile_isa mrt_tile_isa_avxvnni_evex =
    ROW("avxvnni-evex", MRT_TILE_AVX2 | MRT_TILE_AVX512 | MRT_TILE_VNNI, tile_evex, depthwise_evex);

#else
typedef int mrt_tile_isa_avxvnni_is_empty; /* ISO C wants a declaration */
#endif
