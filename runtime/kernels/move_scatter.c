/* scatter_elements and scatter_nd: a copy of the data with updates written, added, multiplied or
 * taken as extremes at indexed places (indices i32 or i64).
 *
 * Updates are applied one after the other in row-major order of the indices, so that the last of
 * several wins and float sums have one order. A negative index counts from the end; an update whose
 * index is out of range is dropped. f16 and bf16 compute in f32 and round after every update;
 * integers wrap. MAX and MIN give NaN when either side is NaN. */
#include "runtime/kernels/move_util.h"
#include "runtime/mrt_half.h"

/* Combines n updates into n contiguous elements. */
typedef void update_fn(void *y, const void *update, int64_t n);

#define UPDATE(OP, TAG, T, LOAD, STORE, EXPR)                                                      \
    static void OP##_##TAG(void *py, const void *pu, int64_t n) {                                  \
        T *y = py;                                                                                 \
        const T *update = pu;                                                                      \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const LOAD(a, y[i]);                                                                   \
            const LOAD(b, update[i]);                                                              \
            y[i] = STORE(EXPR);                                                                    \
        }                                                                                          \
    }
#define UPDATE_ALL(TAG, T, LOAD, STORE, W)                                                         \
    UPDATE(ADD, TAG, T, LOAD, STORE, (W)a + (W)b)                                                  \
    UPDATE(MUL, TAG, T, LOAD, STORE, (W)a *(W)b)                                                   \
    UPDATE(MAX, TAG, T, LOAD, STORE, a > b || a != a ? a : b)                                      \
    UPDATE(MIN, TAG, T, LOAD, STORE, a < b || a != a ? a : b)

#define TYPES(X)                                                                                   \
    X(F32, float, float) X(F64, double, double) X(I8, int8_t, uint32_t) X(U8, uint8_t, uint32_t)   \
    X(I16, int16_t, uint32_t) X(U16, uint16_t, uint32_t) X(I32, int32_t, uint32_t)                 \
    X(U32, uint32_t, uint32_t) X(I64, int64_t, uint64_t) X(U64, uint64_t, uint64_t)
#define LOAD_PLAIN(name, value) __typeof__(value) name = value
#define LOAD_F16(name, value) float name = mrt_f16_to_f32(value)
#define LOAD_BF16(name, value) float name = mrt_bf16_to_f32(value)
#define X(TAG, T, W) UPDATE_ALL(TAG, T, LOAD_PLAIN, (T), W)
TYPES(X)
#undef X
UPDATE_ALL(F16, uint16_t, LOAD_F16, mrt_f32_to_f16, float)
UPDATE_ALL(BF16, uint16_t, LOAD_BF16, mrt_f32_to_bf16, float)

static update_fn *const updates[MRT_SCATTER_MIN + 1][MRT_BOOL + 1] = {
#define ROW(OP)                                                                                    \
    [MRT_SCATTER_##OP] = {TYPES(X)[MRT_F16] = OP##_F16, [MRT_BF16] = OP##_BF16}
#define X(TAG, T, W) [MRT_##TAG] = ADD_##TAG,
    ROW(ADD),
#undef X
#define X(TAG, T, W) [MRT_##TAG] = MUL_##TAG,
    ROW(MUL),
#undef X
#define X(TAG, T, W) [MRT_##TAG] = MAX_##TAG,
    ROW(MAX),
#undef X
#define X(TAG, T, W) [MRT_##TAG] = MIN_##TAG,
    ROW(MIN),
#undef X
};

static mrt_status check_operands(const mrt_call *call, mrt_error *err) {
    const mrt_scatter_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_move_check_pair(call, err));
    MRT_TRY(mrt_check_same_shape(y, "y", x, "x", err));
    MRT_TRY(mrt_check_dtype2(mrt_in(call, 1), "indices", MRT_I32, MRT_I64, err));
    MRT_TRY(mrt_check_same_dtype(mrt_in(call, 2), "updates", x, "x", err));
    MRT_TRY(mrt_check_param(p->reduction, "reduction", MRT_SCATTER_NONE, MRT_SCATTER_MIN, err));
    if (mrt_dtype_bytes(x->dtype) == 0 ||
        (p->reduction != MRT_SCATTER_NONE &&
         (!mrt_dtype_is_number(x->dtype) || updates[p->reduction][x->dtype] == NULL))) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': no scatter reduction %" PRId64 " of %s",
                        p->reduction, mrt_dtype_name(x->dtype));
    }
    return MRT_OK;
}

static void copy_data(const mrt_call *call) {
    mrt_strided plan = {.elem = mrt_move_elem(call->in[0])};
    mrt_strided_push(&plan, mrt_shape_count(&call->in[0]->shape), 1, 1);
    mrt_strided_copy(call->pool, plan, call->in[0]->data, call->out[0]->data);
}

static void apply(update_fn *update, char *y, const char *from, int64_t unit, int64_t n) {
    if (update == NULL) {
        mrt_move_unit(y, from, unit);
    } else {
        update(y, from, n);
    }
}

mrt_status mrt_scatter_elements_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_scatter_params *p = call->params;
    MRT_TRY(check_operands(call, err));
    const mrt_tensor *x = call->in[0], *indices = call->in[1];
    MRT_TRY(mrt_check_axis(p->axis, x, err));
    MRT_TRY(mrt_check_rank(indices, "indices", x->shape.rank, x->shape.rank, err));
    MRT_TRY(mrt_check_same_shape(call->in[2], "updates", indices, "indices", err));
    for (int i = 0; i < x->shape.rank; i++) {
        if (i != p->axis && indices->shape.dims[i] > x->shape.dims[i]) {
            return mrt_fail(err, MRT_INVALID, "operand 'indices': shape %s exceeds shape %s of 'x'",
                            mrt_shape_text(&indices->shape).text, mrt_shape_text(&x->shape).text);
        }
    }
    *out_scratch = 0;
    return MRT_OK;
}

void mrt_scatter_elements_run(const mrt_call *call) {
    const mrt_scatter_params *p = call->params;
    const mrt_tensor *x = call->in[0], *indices = call->in[1];
    const mrt_shape *shape = &indices->shape;
    const int axis = (int)p->axis, last = shape->rank - 1;
    const int64_t elem = mrt_move_elem(x), count = mrt_shape_count(shape);
    update_fn *update = updates[p->reduction][x->dtype];
    int64_t stride[MRT_MAX_RANK];
    mrt_move_strides(&x->shape, stride);
    copy_data(call);
    const char *from = call->in[2]->data;
    for (int64_t first = 0; first < count; first += shape->dims[last]) {
        int64_t rest = first / shape->dims[last], offset = 0;
        for (int i = last - 1; i >= 0; i--) {
            offset += i == axis ? 0 : rest % shape->dims[i] * stride[i];
            rest /= shape->dims[i];
        }
        for (int64_t i = 0; i < shape->dims[last]; i++, from += elem) {
            const int64_t at =
                mrt_move_index(indices->data, indices->dtype, first + i, x->shape.dims[axis]);
            if (at >= 0) {
                const int64_t to = offset + at * stride[axis] + (axis == last ? 0 : i);
                apply(update, (char *)call->out[0]->data + to * elem, from, elem, 1);
            }
        }
    }
}

mrt_status mrt_scatter_nd_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(check_operands(call, err));
    const mrt_tensor *x = call->in[0], *indices = call->in[1];
    MRT_TRY(mrt_check_rank(indices, "indices", 1, MRT_MAX_RANK, err));
    const int lead = indices->shape.rank - 1;
    const int64_t depth = indices->shape.dims[lead];
    MRT_TRY(mrt_check_param(depth, "index depth", 1, x->shape.rank, err));
    mrt_shape expected = {.rank = lead + x->shape.rank - (int)depth};
    MRT_TRY(mrt_check_rank(call->in[2], "updates", expected.rank, expected.rank, err));
    for (int i = 0; i < lead; i++) {
        expected.dims[i] = indices->shape.dims[i];
    }
    for (int i = (int)depth; i < x->shape.rank; i++) {
        expected.dims[lead + i - depth] = x->shape.dims[i];
    }
    *out_scratch = 0;
    return mrt_check_shape(call->in[2], "updates", &expected, err);
}

void mrt_scatter_nd_run(const mrt_call *call) {
    const mrt_scatter_params *p = call->params;
    const mrt_tensor *x = call->in[0], *indices = call->in[1];
    const int lead = indices->shape.rank - 1, depth = (int)indices->shape.dims[lead];
    const int64_t n = mrt_shape_range(&x->shape, depth, x->shape.rank);
    const int64_t unit = n * mrt_move_elem(x), items = mrt_shape_range(&indices->shape, 0, lead);
    update_fn *update = updates[p->reduction][x->dtype];
    copy_data(call);
    if (n == 0) {
        return;
    }
    for (int64_t item = 0; item < items; item++) {
        const int64_t at = mrt_move_tuple(indices, item, depth, x->shape.dims);
        if (at >= 0) {
            apply(update, (char *)call->out[0]->data + at * unit,
                  (const char *)call->in[2]->data + item * unit, unit, n);
        }
    }
}
