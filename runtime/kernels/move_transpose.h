/* Transposing planes of 1, 2, 4 or 8-byte elements (private; the heart of permute). */
#ifndef MRT_MOVE_TRANSPOSE_H
#define MRT_MOVE_TRANSPOSE_H

#include <stdint.h>

/* dst[r*dst_step + c*unit] = src[r*unit + c*src_step] for r < rows, c < cols; steps in bytes (the
 * source's may be negative), unit 1, 2, 4 or 8. The planes do not overlap. */
void mrt_transpose_plane(char *dst, const char *src, int64_t rows, int64_t cols, int64_t dst_step,
                         int64_t src_step, int64_t unit);

#endif
