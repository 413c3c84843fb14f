#include "runtime/kernels/nhwc_pool_bytes.h"

#include "runtime/mrt_clones.h"

#include <string.h>

/* Blocks of channels that stay in registers over all taps; 64 sums of bytes fit 16 bits. */
typedef uint8_t bytes32 __attribute__((vector_size(32)));
typedef uint8_t bytes8 __attribute__((vector_size(8)));
typedef uint16_t words32 __attribute__((vector_size(64)));
typedef uint16_t words8 __attribute__((vector_size(16)));

#define MAX_BLOCKS(TYPE)                                                                           \
    for (; i + (int64_t)sizeof(TYPE) <= count; i += (int64_t)sizeof(TYPE)) {                       \
        TYPE most, v;                                                                              \
        memcpy(&most, y + i, sizeof(TYPE));                                                        \
        for (int t = 0; t < taps; ++t) {                                                           \
            memcpy(&v, x + tap[t] + i, sizeof(TYPE));                                              \
            const TYPE more = (TYPE)(v > most);                                                    \
            most = (v & more) | (most & ~more);                                                    \
        }                                                                                          \
        memcpy(y + i, &most, sizeof(TYPE));                                                        \
    }

MRT_CLONES
void mrt_pool_max_bytes(const uint8_t *x, const int64_t *tap, int taps, int64_t count,
                        uint8_t *restrict y) {
    int64_t i = 0;
    MAX_BLOCKS(bytes32)
    MAX_BLOCKS(bytes8)
    for (; i < count; ++i) {
        for (int t = 0; t < taps; ++t) {
            y[i] = y[i] > x[tap[t] + i] ? y[i] : x[tap[t] + i];
        }
    }
}

#define ADD_BLOCKS(BYTES, WORDS)                                                                   \
    for (; i + (int64_t)sizeof(BYTES) <= count; i += (int64_t)sizeof(BYTES)) {                     \
        WORDS words = {0};                                                                         \
        uint16_t lanes[sizeof(BYTES)];                                                             \
        for (int t = 0; t < taps; ++t) {                                                           \
            BYTES v;                                                                               \
            memcpy(&v, x + tap[t] + i, sizeof(BYTES));                                             \
            words += __builtin_convertvector(v, WORDS);                                            \
        }                                                                                          \
        memcpy(lanes, &words, sizeof(WORDS));                                                      \
        for (int k = 0; k < (int)sizeof(BYTES); ++k) {                                             \
            sum[i + k] += lanes[k];                                                                \
        }                                                                                          \
    }

MRT_CLONES
void mrt_pool_add_bytes(const uint8_t *x, const int64_t *tap, int taps, int64_t count,
                        int32_t *restrict sum) {
    int64_t i = 0;
    ADD_BLOCKS(bytes32, words32)
    ADD_BLOCKS(bytes8, words8)
    for (; i < count; ++i) {
        for (int t = 0; t < taps; ++t) {
            sum[i] += x[tap[t] + i];
        }
    }
}
