/* Rows of softmax_int [softmax-int], one function per instruction set; all give the same bytes. */
#ifndef MRT_INT_SOFTMAX_H
#define MRT_INT_SOFTMAX_H

#include "runtime/kernels/tile_isa.h"
#include "runtime/mrt_params.h"

typedef struct mrt_softmax_rows {
    const uint32_t *table; /* [32]: exp(-d scale), then exp(-16 d scale), d < 16; 1 is 2^MRT_SOFTMAX_BITS */
    const uint32_t *every; /* [256]: exp(-d scale), products of those */
    int64_t size;          /* elements of a row */
    uint8_t flip;          /* makes bytes of x rise with their values */
    uint64_t multiplier;   /* below 2^31 */
    int32_t shift, zero_point, high;
} mrt_softmax_rows;

/* Exponentials of a chunk add up to at most 2^31. */
enum { MRT_SOFTMAX_CHUNK = 512 };

/* floor(multiplier * 2^MRT_SOFTMAX_BITS / sum): the dividend and the result are exact in double, so the
 * rounded quotient is at most one too large. sum >= 2^MRT_SOFTMAX_BITS. */
static inline uint32_t mrt_softmax_factor(const mrt_softmax_rows *s, uint64_t sum) {
    const uint64_t whole = s->multiplier << MRT_SOFTMAX_BITS;
    const uint64_t q = (uint64_t)((double)whole / (double)sum);
    return (uint32_t)(q - (q * sum > whole));
}

/* Rows lie one after the other; sizes are not 0. */
typedef void mrt_softmax_rows_fn(const mrt_softmax_rows *s, const uint8_t *x, uint8_t *y,
                                 int64_t rows);
mrt_softmax_rows_fn mrt_softmax_rows_plain;
#ifdef MRT_TILE_X86
mrt_softmax_rows_fn mrt_softmax_rows_avx512;
#endif

#endif
