/* Windows of uint8 pixels: maximum and sum over a list of taps, for neighbouring channels. */
#ifndef MRT_NHWC_POOL_BYTES_H
#define MRT_NHWC_POOL_BYTES_H

#include <stdint.h>

/* Most taps of one call; larger windows take several. */
enum { MRT_POOL_TAPS = 64 };

/* y[i] = the largest of y[i] and x[tap[t] + i]. */
void mrt_pool_max_bytes(const uint8_t *x, const int64_t *tap, int taps, int64_t count,
                        uint8_t *restrict y);
/* sum[i] += sum over t of x[tap[t] + i]. */
void mrt_pool_add_bytes(const uint8_t *x, const int64_t *tap, int taps, int64_t count,
                        int32_t *restrict sum);

#endif
