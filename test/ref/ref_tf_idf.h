/* Oracle of the tf_idf kernel: looks at every place for every n-gram. */
#ifndef REF_TF_IDF_H
#define REF_TF_IDF_H

#include <stdint.h>

/* N-gram g has lengths[g] items, the first at items[at[g]]. */
typedef struct ref_tf_idf {
    int64_t grams, min_length, max_length, max_skip, width, size;
    const int64_t *lengths, *at, *items, *columns;
    const float *weights;
    char mode; /* 't' counts, 'i' weights of what occurs, 'b' both */
} ref_tf_idf;
/* x[width] -> y[size] */
void ref_tf_idf_run(const ref_tf_idf *r, const int64_t *x, double *y);

#endif
