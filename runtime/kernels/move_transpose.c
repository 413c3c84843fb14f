/* Plane transposes in blocks of one cache line on both sides, made of 16-byte register blocks.
 *
 * A block of N x N elements (N * unit = 16 bytes) is N vectors along the rows; log2(N) rounds of
 * interleaving vector i with vector i + N/2 turn them into N vectors along the columns. */
#include "runtime/kernels/move_transpose.h"

#include <string.h>

enum { LINE = 64 };

typedef uint8_t v_uint8_t __attribute__((vector_size(16)));
typedef uint16_t v_uint16_t __attribute__((vector_size(16)));
typedef uint32_t v_uint32_t __attribute__((vector_size(16)));
typedef uint64_t v_uint64_t __attribute__((vector_size(16)));

#define LOW_uint8_t 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_uint8_t 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOW_uint16_t 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_uint16_t 4, 12, 5, 13, 6, 14, 7, 15
#define LOW_uint32_t 0, 4, 1, 5
#define HIGH_uint32_t 2, 6, 3, 7
#define LOW_uint64_t 0, 2
#define HIGH_uint64_t 1, 3

#define TRANSPOSE(T, N)                                                                            \
    static inline void tile_##T(char *dst, const char *src, int64_t dst_step, int64_t src_step) {  \
        v_##T v[N], w[N];                                                                          \
        for (int i = 0; i < N; i++) {                                                              \
            memcpy(&v[i], src + i * src_step, sizeof v[i]);                                        \
        }                                                                                          \
        for (int round = 1; round < N; round *= 2) {                                               \
            for (int i = 0; i < N / 2; i++) {                                                      \
                w[2 * i] = __builtin_shufflevector(v[i], v[i + N / 2], LOW_##T);                   \
                w[2 * i + 1] = __builtin_shufflevector(v[i], v[i + N / 2], HIGH_##T);              \
            }                                                                                      \
            memcpy(v, w, sizeof v);                                                                \
        }                                                                                          \
        for (int i = 0; i < N; i++) {                                                              \
            memcpy(dst + i * dst_step, &v[i], sizeof v[i]);                                        \
        }                                                                                          \
    }                                                                                              \
    static void edge_##T(char *dst, const char *src, int64_t rows, int64_t cols,                   \
                         int64_t dst_step, int64_t src_step) {                                     \
        for (int64_t r = 0; r < rows; r++) {                                                       \
            for (int64_t c = 0; c < cols; c++) {                                                   \
                memcpy(dst + r * dst_step + c * (int64_t)sizeof(T),                                \
                       src + r * (int64_t)sizeof(T) + c * src_step, sizeof(T));                    \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void plane_##T(char *dst, const char *src, int64_t rows, int64_t cols,                  \
                          int64_t dst_step, int64_t src_step) {                                    \
        const int64_t unit = (int64_t)sizeof(T), block = LINE / unit;                              \
        const int64_t full_rows = rows / N * N, full_cols = cols / N * N;                          \
        for (int64_t r0 = 0; r0 < full_rows; r0 += block) {                                        \
            const int64_t r1 = r0 + block < full_rows ? r0 + block : full_rows;                    \
            for (int64_t c0 = 0; c0 < full_cols; c0 += block) {                                    \
                const int64_t c1 = c0 + block < full_cols ? c0 + block : full_cols;                \
                for (int64_t r = r0; r < r1; r += N) {                                             \
                    for (int64_t c = c0; c < c1; c += N) {                                         \
                        tile_##T(dst + r * dst_step + c * unit, src + r * unit + c * src_step,     \
                                 dst_step, src_step);                                              \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
            edge_##T(dst + r0 * dst_step + full_cols * unit,                                       \
                     src + r0 * unit + full_cols * src_step, r1 - r0, cols - full_cols, dst_step,  \
                     src_step);                                                                    \
        }                                                                                          \
        edge_##T(dst + full_rows * dst_step, src + full_rows * unit, rows - full_rows, cols,       \
                 dst_step, src_step);                                                              \
    }
TRANSPOSE(uint8_t, 16)
TRANSPOSE(uint16_t, 8)
TRANSPOSE(uint32_t, 4)
TRANSPOSE(uint64_t, 2)

void mrt_transpose_plane(char *dst, const char *src, int64_t rows, int64_t cols, int64_t dst_step,
                         int64_t src_step, int64_t unit) {
    switch (unit) {
    case 1:
        plane_uint8_t(dst, src, rows, cols, dst_step, src_step);
        return;
    case 2:
        plane_uint16_t(dst, src, rows, cols, dst_step, src_step);
        return;
    case 4:
        plane_uint32_t(dst, src, rows, cols, dst_step, src_step);
        return;
    default:
        plane_uint64_t(dst, src, rows, cols, dst_step, src_step);
    }
}
