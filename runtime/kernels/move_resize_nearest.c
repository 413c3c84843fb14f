/* resize_nearest: every output element is one input element, any type.
 *
 * Every axis gets a map from output entry to input entry (-1: extrapolation value of
 * tf_crop_and_resize). Trailing unchanged axes move together as one unit. */
#include "runtime/kernels/move_resize_axis.h"
#include "runtime/kernels/move_util.h"

mrt_status mrt_resize_nearest_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_resize_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_resize_check_params(p, x, y, err));
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_RESIZE_NEAREST, MRT_RESIZE_NEAREST, err));
    size_t bytes = 0, map;
    for (int i = 0; i < y->shape.rank; i++) {
        if (!mrt_mul_bytes((size_t)y->shape.dims[i], sizeof(int64_t), &map) ||
            __builtin_add_overflow(bytes, map, &bytes)) {
            return mrt_fail(err, MRT_INVALID, "operand 'y': dimension %d is out of range", i);
        }
    }
    *out_scratch = mrt_shape_count(&y->shape) == 0 ? 0 : bytes;
    return MRT_OK;
}

typedef struct nearest_job {
    const int64_t *map[MRT_MAX_RANK];
    int64_t stride[MRT_MAX_RANK]; /* of x, bytes */
    const mrt_shape *shape;       /* of y */
    int inner;                    /* last changed axis, or 0 */
    int64_t unit;                 /* bytes of one entry of the inner axis */
    int64_t rows, rows_per_tile;
    unsigned char value[8];
    int64_t elem;
    const char *x;
    char *y;
} nearest_job;

#define LINE(bytes)                                                                                \
    for (int64_t i = 0; i < count; i++) {                                                          \
        memcpy(y + i * (bytes), x + map[i] * (bytes), (size_t)(bytes));                            \
    }

static void nearest_row(const nearest_job *j, const char *x, char *y) {
    const int64_t *map = j->map[j->inner];
    const int64_t n = j->shape->dims[j->inner], per_unit = j->unit / j->elem;
    /* Positions are monotone: entries without a source are at the ends of the row. */
    int64_t first = 0, last = n;
    while (first < n && map[first] < 0) {
        first++;
    }
    while (last > first && map[last - 1] < 0) {
        last--;
    }
    mrt_move_fill(y, j->value, j->elem, first * per_unit);
    mrt_move_fill(y + last * j->unit, j->value, j->elem, (n - last) * per_unit);
    const int64_t count = last - first;
    y += first * j->unit;
    map += first;
    switch (j->unit) {
    case 1:
        LINE(1)
        return;
    case 2:
        LINE(2)
        return;
    case 4:
        LINE(4)
        return;
    case 8:
        LINE(8)
        return;
    default:
        LINE(j->unit)
    }
}

static void nearest_tile(void *context, int64_t tile) {
    const nearest_job *j = context;
    const int64_t first = tile * j->rows_per_tile;
    const int64_t end = mrt_min64(first + j->rows_per_tile, j->rows);
    const int64_t n = j->shape->dims[j->inner], row_bytes = n * j->unit;
    const char *previous = NULL;
    for (int64_t row = first; row < end; row++) {
        char *y = j->y + row * row_bytes;
        int64_t rest = row, offset = 0;
        bool outside = false;
        for (int i = j->inner - 1; i >= 0; i--) {
            const int64_t from = j->map[i][rest % j->shape->dims[i]];
            rest /= j->shape->dims[i];
            outside = outside || from < 0;
            offset += from * j->stride[i];
        }
        if (outside) {
            mrt_move_fill(y, j->value, j->elem, row_bytes / j->elem);
            previous = NULL;
        } else if (j->x + offset == previous) { /* the row above has the same source */
            memcpy(y, y - row_bytes, (size_t)row_bytes);
        } else {
            previous = j->x + offset;
            nearest_row(j, previous, y);
        }
    }
}

void mrt_resize_nearest_run(const mrt_call *call) {
    const mrt_resize_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    const int rank = x->shape.rank;
    if (mrt_shape_count(&y->shape) == 0) {
        return;
    }
    nearest_job j = {.shape = &y->shape, .elem = mrt_move_elem(x), .x = x->data, .y = y->data};
    if (rank == 0) {
        memcpy(y->data, x->data, (size_t)j.elem);
        return;
    }
    mrt_move_scalar(x->dtype, p->extrapolation, j.value);
    mrt_move_strides(&x->shape, j.stride);
    int64_t *map = call->scratch;
    for (int i = 0; i < rank; i++) {
        const mrt_resize_axis axis = mrt_resize_axis_of(p, x, y, i);
        const bool identity = mrt_resize_is_identity(p, &axis);
        j.stride[i] *= j.elem;
        j.map[i] = map;
        j.inner = identity ? j.inner : i;
        for (int64_t k = 0; k < axis.out; k++) {
            *map++ = identity ? k : mrt_resize_nearest_entry(p, &axis, k);
        }
    }
    j.unit = j.elem * mrt_shape_range(&y->shape, j.inner + 1, rank);
    j.rows = mrt_shape_range(&y->shape, 0, j.inner);
    j.rows_per_tile = mrt_max64(1, 65536 / (y->shape.dims[j.inner] * j.unit));
    mrt_parallel_for(call->pool, mrt_div_up(j.rows, j.rows_per_tile), nearest_tile, &j);
}
