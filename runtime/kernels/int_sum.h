/* Sum of bytes, shared by the averaging kernels. */
#ifndef MRT_INT_SUM_H
#define MRT_INT_SUM_H

#include <stdbool.h>
#include <stdint.h>

/* Exact sum of count i8 or u8 elements, `step` elements apart. */
int64_t mrt_int_sum(const uint8_t *x, int64_t count, int64_t step, bool is_signed);

#endif
