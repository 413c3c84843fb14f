/* Naive element access for oracles: any type as double, one index at a time. Oracles share only the
 * vocabulary of mrt_tensor.h with the kernels, never code. */
#ifndef REF_ELEM_TENSOR_H
#define REF_ELEM_TENSOR_H

#include "runtime/mrt_tensor.h"

int64_t ref_count(const mrt_tensor *t);
int64_t ref_elem_bytes(mrt_dtype dtype);
bool ref_is_float(mrt_dtype dtype);
bool ref_is_unsigned(mrt_dtype dtype);

/* Element i as double (f16 and bf16 included); 64-bit integers must be below 2^53. */
double ref_load(const mrt_tensor *t, int64_t i);
/* Integer element i, sign- or zero-extended. */
uint64_t ref_load_bits(const mrt_tensor *t, int64_t i);
/* Stores a value that the type can hold (floats round). Not for f16 and bf16. */
void ref_store(mrt_tensor *t, int64_t i, double value);
/* Stores the low bits of an integer type. */
void ref_store_bits(mrt_tensor *t, int64_t i, uint64_t bits);
void ref_copy_elem(mrt_tensor *to, int64_t i, const mrt_tensor *from, int64_t k);
void ref_zero_elem(mrt_tensor *to, int64_t i);

/* Row-major position <-> multi-index. */
void ref_unravel(const mrt_tensor *t, int64_t i, int64_t *index);
int64_t ref_ravel(const mrt_tensor *t, const int64_t *index);
/* Position in t of output multi-index `index` of rank `rank`, numpy broadcasting. */
int64_t ref_broadcast(const mrt_tensor *t, const int64_t *index, int rank);

#endif
