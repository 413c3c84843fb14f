#include "test/ref/ref_tf_idf.h"

static int64_t occurrences(const ref_tf_idf *r, int64_t g, const int64_t *x) {
    const int64_t n = r->lengths[g];
    int64_t count = 0;
    for (int64_t start = 0; start < r->width; start++) {
        for (int64_t skip = 0; skip <= (n == 1 ? 0 : r->max_skip); skip++) {
            int64_t same = 0;
            while (same < n && start + same * (skip + 1) < r->width &&
                   x[start + same * (skip + 1)] == r->items[r->at[g] + same]) {
                same++;
            }
            count += same == n;
        }
    }
    return count;
}

void ref_tf_idf_run(const ref_tf_idf *r, const int64_t *x, double *y) {
    for (int64_t i = 0; i < r->size; i++) {
        y[i] = 0;
    }
    for (int64_t g = 0; g < r->grams; g++) {
        if (r->lengths[g] < r->min_length || r->lengths[g] > r->max_length) {
            continue;
        }
        const double count = (double)occurrences(r, g, x), weight = (double)r->weights[g];
        y[r->columns[g]] += r->mode == 't' ? count : r->mode == 'i' ? (count > 0 ? weight : 0)
                                                                     : count * weight;
    }
}
