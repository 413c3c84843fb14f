/* cumsum: running sums or products along one axis; `flag` bit 0 exclusive, bit 1 products, `flag2`
 * from the end.
 *
 * Floats run in double, one rounding per result; integers wrap. */
#include "runtime/kernels/elem_util.h"

typedef struct cumsum_job {
    const mrt_tensor *x, *y;
    int64_t outer, n, inner;
    int64_t blocks; /* per outer entry, of COLUMNS columns */
    bool exclusive, reverse;
    void (*fn)(const struct cumsum_job *j, int64_t base, int64_t columns);
} cumsum_job;

enum { COLUMNS = 64 };

#define CUMULATE(NAME, TAG, T, A, NEUTRAL, OP)                                                     \
    static void NAME##_##TAG(const cumsum_job *j, int64_t base, int64_t columns) {                 \
        A acc[COLUMNS];                                                                            \
        for (int64_t c = 0; c < columns; c++) {                                                    \
            acc[c] = NEUTRAL;                                                                      \
        }                                                                                          \
        for (int64_t i = 0; i < j->n; i++) {                                                       \
            const int64_t row = base + (j->reverse ? j->n - 1 - i : i) * j->inner;                 \
            const T *x = (const T *)j->x->data + row;                                              \
            T *y = (T *)j->y->data + row;                                                          \
            for (int64_t c = 0; c < columns; c++) {                                                \
                const A next = acc[c] OP (A)x[c];                                                  \
                y[c] = (T)(j->exclusive ? acc[c] : next);                                          \
                acc[c] = next;                                                                     \
            }                                                                                      \
        }                                                                                          \
    }
#define TYPES(X)                                                                                   \
    X(F32, float, double) X(F64, double, double) X(I8, int8_t, uint32_t) X(U8, uint8_t, uint32_t)  \
    X(I16, int16_t, uint32_t) X(U16, uint16_t, uint32_t) X(I32, int32_t, uint32_t)                 \
    X(U32, uint32_t, uint32_t) X(I64, int64_t, uint64_t) X(U64, uint64_t, uint64_t)
#define X(TAG, T, A) CUMULATE(sum, TAG, T, A, 0, +) CUMULATE(product, TAG, T, A, 1, *)
TYPES(X)
#undef X

typedef void cumulate_fn(const cumsum_job *j, int64_t base, int64_t columns);
static cumulate_fn *const functions[MRT_BOOL + 1][2] = {
#define X(TAG, T, A) [MRT_##TAG] = {sum_##TAG, product_##TAG},
    TYPES(X)
#undef X
};

mrt_status mrt_cumsum_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_elem_check_number(x, "x", err));
    MRT_TRY(mrt_check_same_dtype(y, "y", x, "x", err));
    MRT_TRY(mrt_check_same_shape(y, "y", x, "x", err));
    MRT_TRY(mrt_check_param(p->flag, "flag", 0, 3, err));
    if (functions[x->dtype][0] == NULL) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': no cumulative sum of %s",
                        mrt_dtype_name(x->dtype));
    }
    *out_scratch = 0;
    return mrt_check_axis(p->axis, x, err);
}

static void cumsum_tile(void *context, int64_t tile) {
    const cumsum_job *j = context;
    const int64_t column = tile % j->blocks * COLUMNS;
    j->fn(j, tile / j->blocks * j->n * j->inner + column,
          mrt_min64(COLUMNS, j->inner - column));
}

void mrt_cumsum_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = call->in[0];
    cumsum_job j = {.x = x, .y = call->out[0], .exclusive = (p->flag & 1) != 0,
                    .reverse = p->flag2 != 0, .fn = functions[x->dtype][p->flag >> 1]};
    const int axis = (int)p->axis;
    j.outer = mrt_shape_range(&x->shape, 0, axis);
    j.n = x->shape.dims[axis];
    j.inner = mrt_shape_range(&x->shape, axis + 1, x->shape.rank);
    j.blocks = mrt_div_up(j.inner, COLUMNS);
    mrt_parallel_for(call->pool, j.outer * j.blocks, cumsum_tile, &j);
}
