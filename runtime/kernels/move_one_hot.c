/* one_hot: y is values[1] where its position on `axis` equals the index, values[0] elsewhere. The
 * depth is the output's dimension. Indices are of any numeric type (floats truncate); negative ones
 * count from the end; one out of range marks nothing. */
#include "runtime/kernels/elem_cast.h"
#include "runtime/kernels/move_util.h"

mrt_status mrt_one_hot_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *indices = mrt_in(call, 0), *values = mrt_in(call, 1), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_rank(indices, "indices", 0, MRT_MAX_RANK - 1, err));
    MRT_TRY(mrt_check_shape1(values, "values", 2, err));
    MRT_TRY(mrt_check_same_dtype(y, "y", values, "values", err));
    if (mrt_dtype_bytes(indices->dtype) == 0 || mrt_dtype_bytes(y->dtype) == 0) {
        return mrt_fail(err, MRT_INVALID, "operands 'indices' and 'y': unknown element type");
    }
    MRT_TRY(mrt_check_rank(y, "y", indices->shape.rank + 1, indices->shape.rank + 1, err));
    MRT_TRY(mrt_check_axis(p->axis, y, err));
    for (int i = 0; i < indices->shape.rank; i++) {
        MRT_TRY(mrt_check_dim(y, "y", i + (i >= p->axis), indices->shape.dims[i], err));
    }
    *out_scratch = 0;
    return MRT_OK;
}

void mrt_one_hot_run(const mrt_call *call) {
    enum { CHUNK = 256 };
    const mrt_axis_params *p = call->params;
    const mrt_tensor *indices = call->in[0], *values = call->in[1], *y = call->out[0];
    const int64_t elem = mrt_move_elem(y), depth = y->shape.dims[p->axis];
    const int64_t inner = mrt_shape_range(&y->shape, (int)p->axis + 1, y->shape.rank);
    const int64_t count = mrt_shape_count(&indices->shape);
    mrt_move_fill(y->data, values->data, elem, mrt_shape_count(&y->shape));
    const char *on = (const char *)values->data + elem;
    for (int64_t i = 0; i < count; i += CHUNK) {
        int64_t index[CHUNK];
        const int64_t n = mrt_min64(CHUNK, count - i);
        const char *from = (const char *)indices->data + i * mrt_move_elem(indices);
        mrt_cast_array(indices->dtype, from, MRT_I64, index, n);
        for (int64_t k = 0; k < n; k++) {
            const int64_t at = mrt_move_index(index, MRT_I64, k, depth);
            if (at >= 0) {
                const int64_t outer = (i + k) / inner, column = (i + k) % inner;
                const int64_t to = (outer * depth + at) * inner + column;
                mrt_move_unit((char *)y->data + to * elem, on, elem);
            }
        }
    }
}
