#include "utils/vec.h"

#include <stdint.h>

void *mica_vec_grow(void *data, size_t *cap, size_t need, size_t size) {
    size_t want = *cap < 4 ? 8 : *cap * 2;
    if (want < need) {
        want = need;
    }
    if (want > SIZE_MAX / size) {
        mica_out_of_memory(SIZE_MAX);
    }
    *cap = want;
    return mica_realloc(data, want * size);
}
