/* Sum of bytes: see int_sum.h. */
#include "runtime/kernels/int_sum.h"

#include "runtime/mrt_clones.h"

enum { BLOCK = 65536 }; /* 255 * 2^16 fits int32 with room */

MRT_CLONES
static int64_t sum_dense(const uint8_t *x, int64_t count, bool is_signed) {
    int64_t total = 0;
    for (int64_t at = 0; at < count; at += BLOCK) {
        const int n = (int)(count - at < BLOCK ? count - at : BLOCK);
        int32_t sum = 0;
        if (is_signed) {
            for (int i = 0; i < n; ++i) {
                sum += (int8_t)x[at + i];
            }
        } else {
            for (int i = 0; i < n; ++i) {
                sum += x[at + i];
            }
        }
        total += sum;
    }
    return total;
}

int64_t mrt_int_sum(const uint8_t *x, int64_t count, int64_t step, bool is_signed) {
    if (step == 1 && count >= 8) {
        return sum_dense(x, count, is_signed);
    }
    int64_t sum = 0;
    for (int64_t i = 0; i < count; ++i) {
        sum += is_signed ? (int8_t)x[i * step] : x[i * step];
    }
    return sum;
}
