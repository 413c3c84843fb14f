/* Oracles of the element-wise kernels: one element at a time with libm in double or wider. */
#ifndef REF_ELEM_OPS_H
#define REF_ELEM_OPS_H

#include "runtime/mrt_params.h"
#include "test/ref/ref_elem_tensor.h"

/* One value of a binary function; floats as double (of operands of `dtype`), integers as bits. */
double ref_binary_float(int64_t op, mrt_dtype dtype, double a, double b);
uint64_t ref_binary_int(int64_t op, mrt_dtype dtype, uint64_t a, uint64_t b);
void ref_binary(int64_t op, const mrt_tensor *a, const mrt_tensor *b, mrt_tensor *y);

/* Real function in double; parameters as in mrt_unary_params. */
double ref_unary_float(const mrt_unary_params *p, double v);
uint64_t ref_unary_int(const mrt_unary_params *p, mrt_dtype dtype, uint64_t v);

void ref_where(const mrt_tensor *c, const mrt_tensor *a, const mrt_tensor *b, mrt_tensor *y);
/* y has the reduced axes with one entry. */
void ref_reduce(int64_t mode, int64_t axes, const mrt_tensor *x, mrt_tensor *y);
/* Element i of x in the type of y, bits as stored. */
void ref_cast(const mrt_tensor *x, mrt_tensor *y);
/* indices may be NULL */
void ref_pool_max(const mrt_pool_params *p, const mrt_tensor *x, mrt_tensor *y,
                  mrt_tensor *indices);
void ref_arg(const mrt_tensor *x, int axis, bool smallest, bool last, mrt_tensor *y);
void ref_topk(const mrt_tensor *x, int axis, bool largest, mrt_tensor *values,
              mrt_tensor *indices);
void ref_cumsum(const mrt_tensor *x, int axis, bool exclusive, bool reverse, mrt_tensor *y);
/* All modes, f32; exact element copies in nearest mode. */
void ref_resize(const mrt_resize_params *p, const mrt_tensor *x, mrt_tensor *y);

#endif
