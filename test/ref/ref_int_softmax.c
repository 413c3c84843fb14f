/* softmax-int by 128-bit integers, element by element. */
#include "test/ref/ref_int.h"

__extension__ typedef __int128 wide;

void ref_int_softmax(const int32_t *x, int64_t size, const int32_t *table, int64_t multiplier,
                     int shift, int32_t zero_point, int32_t high, int32_t *y) {
    int32_t largest = x[0];
    int64_t sum = 0;
    for (int64_t i = 1; i < size; ++i) {
        largest = x[i] > largest ? x[i] : largest;
    }
    for (int64_t i = 0; i < size; ++i) {
        const int32_t d = largest - x[i];
        sum += ref_int_half_up((int64_t)table[d % 16] * table[16 + d / 16], 22);
    }
    const int64_t factor = (int64_t)((wide)multiplier * ((wide)1 << 22) / sum);
    for (int64_t i = 0; i < size; ++i) {
        const int32_t d = largest - x[i];
        const int64_t e = ref_int_half_up((int64_t)table[d % 16] * table[16 + d / 16], 22);
        const int64_t q = ref_int_half_up(e * factor, shift) + zero_point;
        y[i] = q > high ? high : (int32_t)q;
    }
}
