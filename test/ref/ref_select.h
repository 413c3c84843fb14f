/* Oracles of the kernels that find how large their result is, from the ONNX definitions. Results are
 * written densely, their sizes returned; the caller has room for all elements. */
#ifndef REF_SELECT_H
#define REF_SELECT_H

#include "test/ref/ref_elem_tensor.h"

/* Index tuples of elements that are not 0: n of them, out[k * rank + axis]. */
int64_t ref_non_zero(const mrt_tensor *x, int64_t *out);
/* Slices of x along an axis that are taken: picked[], n of them. */
int64_t ref_compress(int64_t dim, const uint8_t *condition, int64_t n_condition, int64_t *picked);
/* first[]: the slice where each different one came first, in the order of the result. */
int64_t ref_unique(const mrt_tensor *x, int axis, bool sorted, int64_t *first, int64_t *inverse,
                   int64_t *counts);
/* boxes [n, 4] as corners in any order, or centers and sizes; low NULL: no threshold. */
int64_t ref_nms(const float *boxes, const float *scores, int64_t n, int64_t most, float iou,
                const float *low, bool centers, int64_t *out);

#endif
