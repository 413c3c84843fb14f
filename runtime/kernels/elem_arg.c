/* arg: index of the largest (flag 0) or smallest (flag 1) element along one axis; of several equal
 * ones the first, or the last when flag2 is 1. A NaN beats everything, as in numpy. */
#include "runtime/kernels/elem_util.h"

#include <string.h>

enum { COLUMNS = 64 };

typedef struct arg_job {
    const mrt_tensor *x;
    int64_t *y;
    int64_t n, inner, blocks;
    int64_t items, items_per_tile;
    void (*fn)(const struct arg_job *j, int64_t base, int64_t columns, int64_t *out);
} arg_job;

/* v replaces m. */
#define FIRST_MAX v > m || (v != v && m == m)
#define LAST_MAX v >= m || v != v
#define FIRST_MIN v < m || (v != v && m == m)
#define LAST_MIN v <= m || v != v

#define ARG(RULE, TAG, T)                                                                          \
    static void RULE##_##TAG(const arg_job *j, int64_t base, int64_t columns, int64_t *out) {      \
        const T *x = (const T *)j->x->data + base;                                                 \
        T best[COLUMNS];                                                                           \
        memcpy(best, x, (size_t)columns * sizeof(T));                                              \
        memset(out, 0, (size_t)columns * sizeof *out);                                             \
        if (j->inner == 1) {                                                                       \
            T m = x[0];                                                                            \
            int64_t at = 0;                                                                        \
            for (int64_t i = 1; i < j->n; i++) {                                                   \
                const T v = x[i];                                                                  \
                if (RULE) {                                                                        \
                    m = v;                                                                         \
                    at = i;                                                                        \
                }                                                                                  \
            }                                                                                      \
            *out = at;                                                                             \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 1; i < j->n; i++) {                                                       \
            x += j->inner;                                                                         \
            for (int64_t c = 0; c < columns; c++) {                                                \
                const T v = x[c], m = best[c];                                                     \
                const bool wins = RULE;                                                            \
                best[c] = wins ? v : m;                                                            \
                out[c] = wins ? i : out[c];                                                        \
            }                                                                                      \
        }                                                                                          \
    }
#define ARG_ALL(TAG, T)                                                                            \
    ARG(FIRST_MAX, TAG, T)                                                                         \
    ARG(LAST_MAX, TAG, T)                                                                          \
    ARG(FIRST_MIN, TAG, T)                                                                         \
    ARG(LAST_MIN, TAG, T)
#define TYPES(X)                                                                                   \
    X(F32, float) X(F64, double) X(I8, int8_t) X(U8, uint8_t) X(I16, int16_t) X(U16, uint16_t)     \
    X(I32, int32_t) X(U32, uint32_t) X(I64, int64_t) X(U64, uint64_t)
TYPES(ARG_ALL)

/* [flag * 2 + flag2][type] */
static void (*const functions[4][MRT_BOOL + 1])(const arg_job *j, int64_t base, int64_t columns,
                                                int64_t *out) = {
#define X(TAG, T) [MRT_##TAG] = FIRST_MAX_##TAG,
    {TYPES(X)},
#undef X
#define X(TAG, T) [MRT_##TAG] = LAST_MAX_##TAG,
    {TYPES(X)},
#undef X
#define X(TAG, T) [MRT_##TAG] = FIRST_MIN_##TAG,
    {TYPES(X)},
#undef X
#define X(TAG, T) [MRT_##TAG] = LAST_MIN_##TAG,
    {TYPES(X)},
#undef X
};

mrt_status mrt_arg_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_elem_check_number(x, "x", err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_I64, err));
    MRT_TRY(mrt_check_axis(p->axis, x, err));
    MRT_TRY(mrt_check_param(p->flag, "flag", 0, 1, err));
    MRT_TRY(mrt_check_param(p->flag2, "flag2", 0, 1, err));
    if (functions[0][x->dtype] == NULL) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': no index of extremes of %s",
                        mrt_dtype_name(x->dtype));
    }
    mrt_shape kept = x->shape, dropped = {.rank = x->shape.rank - 1};
    kept.dims[p->axis] = 1;
    for (int i = 0; i < dropped.rank; i++) {
        dropped.dims[i] = x->shape.dims[i + (i >= p->axis)];
    }
    if (x->shape.dims[p->axis] == 0 && mrt_shape_count(&y->shape) != 0) {
        return mrt_fail(err, MRT_INVALID, "operand 'x': axis %" PRId64 " is empty", p->axis);
    }
    *out_scratch = 0;
    if (mrt_shape_equal(&y->shape, &dropped)) {
        return MRT_OK;
    }
    return mrt_check_shape(y, "y", &kept, err);
}

static void arg_tile(void *context, int64_t tile) {
    const arg_job *j = context;
    const int64_t first = tile * j->items_per_tile;
    const int64_t end = mrt_min64(first + j->items_per_tile, j->items);
    for (int64_t item = first; item < end; item++) {
        const int64_t outer = item / j->blocks, column = item % j->blocks * COLUMNS;
        j->fn(j, outer * j->n * j->inner + column, mrt_min64(COLUMNS, j->inner - column),
              j->y + outer * j->inner + column);
    }
}

void mrt_arg_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = call->in[0];
    if (mrt_shape_count(&call->out[0]->shape) == 0) {
        return;
    }
    const int axis = (int)p->axis;
    arg_job j = {.x = x, .y = call->out[0]->data, .n = x->shape.dims[axis],
                 .fn = functions[p->flag * 2 + p->flag2][x->dtype]};
    j.inner = mrt_shape_range(&x->shape, axis + 1, x->shape.rank);
    j.blocks = mrt_div_up(j.inner, COLUMNS);
    j.items = mrt_shape_range(&x->shape, 0, axis) * j.blocks;
    j.items_per_tile = mrt_max64(1, MRT_ELEM_TILE / (j.n * mrt_min64(j.inner, COLUMNS)));
    mrt_parallel_for(call->pool, mrt_div_up(j.items, j.items_per_tile), arg_tile, &j);
}
