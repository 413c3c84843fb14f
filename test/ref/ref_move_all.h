/* Oracles of the movement kernels: one element at a time, from the ONNX definitions. */
#ifndef REF_MOVE_ALL_H
#define REF_MOVE_ALL_H

#include "test/ref/ref_elem_tensor.h"

void ref_permute(const mrt_tensor *x, const int64_t *order, mrt_tensor *y);
void ref_concat(const mrt_tensor *const *x, int n, int axis, mrt_tensor *y);
void ref_slice(const mrt_tensor *x, const int64_t *start, const int64_t *step, mrt_tensor *y);
/* mode: 0 constant, 1 reflect, 2 edge, 3 wrap */
void ref_pad(const mrt_tensor *x, int mode, const int64_t *begin, double value, mrt_tensor *y);
void ref_expand(const mrt_tensor *x, mrt_tensor *y);
void ref_tile(const mrt_tensor *x, mrt_tensor *y);
void ref_gather(const mrt_tensor *x, const mrt_tensor *indices, int axis, int batch, mrt_tensor *y);
void ref_gather_elements(const mrt_tensor *x, const mrt_tensor *indices, int axis, mrt_tensor *y);
void ref_gather_nd(const mrt_tensor *x, const mrt_tensor *indices, int batch, mrt_tensor *y);
/* reduction: 0 none, 1 add, 2 mul, 3 max, 4 min; values below 2^53, floats f32 or f64 */
void ref_scatter_elements(const mrt_tensor *x, const mrt_tensor *indices,
                          const mrt_tensor *updates, int axis, int reduction, mrt_tensor *y);
void ref_scatter_nd(const mrt_tensor *x, const mrt_tensor *indices, const mrt_tensor *updates,
                    int reduction, mrt_tensor *y);
void ref_depth_to_space(const mrt_tensor *x, int64_t block, bool crd, mrt_tensor *y);
void ref_space_to_depth(const mrt_tensor *x, int64_t block, bool crd, mrt_tensor *y);
void ref_trilu(const mrt_tensor *x, int64_t k, bool upper, mrt_tensor *y);
void ref_one_hot(const mrt_tensor *indices, const mrt_tensor *values, int axis, mrt_tensor *y);

#endif
