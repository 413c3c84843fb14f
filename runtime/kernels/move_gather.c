/* gather, gather_elements, gather_nd: elements picked by index tensors (i32 or i64).
 *
 * A negative index counts from the end of its axis. An index out of range never reads: the element
 * (or run of elements) it asks for becomes zero. */
#include "runtime/kernels/move_util.h"

enum { TILE_BYTES = 65536 };

static mrt_status check_indices(const mrt_tensor *indices, mrt_error *err) {
    return mrt_check_dtype2(indices, "indices", MRT_I32, MRT_I64, err);
}

/* y[b, pre, i, run] = x[b, pre, index[b, i], run] */
typedef struct gather_job {
    const char *x;
    char *y;
    const mrt_tensor *indices;
    int64_t pre, n_index, dim, unit; /* unit: bytes of a run */
    int64_t items, items_per_tile;
} gather_job;

mrt_status mrt_gather_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_gather_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *indices = mrt_in(call, 1), *y = mrt_out(call, 0);
    MRT_TRY(mrt_move_check_pair(call, err));
    MRT_TRY(check_indices(indices, err));
    MRT_TRY(mrt_check_axis(p->axis, x, err));
    MRT_TRY(mrt_check_param(p->batch_dims, "batch_dims", 0,
                            mrt_min64(p->axis, indices->shape.rank), err));
    const int axis = (int)p->axis, batch = (int)p->batch_dims;
    mrt_shape expected = {.rank = x->shape.rank - 1 + indices->shape.rank - batch};
    MRT_TRY(mrt_check_rank(y, "y", expected.rank, expected.rank, err));
    int n = 0;
    for (int i = 0; i < axis; i++) {
        expected.dims[n++] = x->shape.dims[i];
    }
    for (int i = 0; i < indices->shape.rank; i++) {
        if (i < batch) {
            MRT_TRY(mrt_check_dim(indices, "indices", i, x->shape.dims[i], err));
        } else {
            expected.dims[n++] = indices->shape.dims[i];
        }
    }
    for (int i = axis + 1; i < x->shape.rank; i++) {
        expected.dims[n++] = x->shape.dims[i];
    }
    *out_scratch = 0;
    return mrt_check_shape(y, "y", &expected, err);
}

static void gather_tile(void *context, int64_t tile) {
    const gather_job *j = context;
    const int64_t end = mrt_min64((tile + 1) * j->items_per_tile, j->items);
    for (int64_t item = tile * j->items_per_tile; item < end;) {
        int64_t i = item % j->n_index;
        const int64_t line = item / j->n_index; /* b * pre + pre index */
        const int64_t stop = mrt_min64(end - item + i, j->n_index);
        const int64_t index0 = line / j->pre * j->n_index;
        const char *x = j->x + line * j->dim * j->unit;
        for (; i < stop; i++, item++) {
            const int64_t at =
                mrt_move_index(j->indices->data, j->indices->dtype, index0 + i, j->dim);
            char *y = j->y + item * j->unit;
            if (at < 0) {
                memset(y, 0, (size_t)j->unit);
            } else {
                mrt_move_unit(y, x + at * j->unit, j->unit);
            }
        }
    }
}

void mrt_gather_run(const mrt_call *call) {
    const mrt_gather_params *p = call->params;
    const mrt_tensor *x = call->in[0], *indices = call->in[1], *y = call->out[0];
    if (mrt_shape_count(&y->shape) == 0) {
        return;
    }
    const int axis = (int)p->axis, batch = (int)p->batch_dims;
    gather_job j = {.x = x->data, .y = y->data, .indices = indices, .dim = x->shape.dims[axis]};
    j.pre = mrt_shape_range(&x->shape, batch, axis);
    j.n_index = mrt_shape_range(&indices->shape, batch, indices->shape.rank);
    j.unit = mrt_shape_range(&x->shape, axis + 1, x->shape.rank) * mrt_move_elem(x);
    j.items = mrt_shape_range(&x->shape, 0, axis) * j.n_index;
    j.items_per_tile = mrt_max64(1, TILE_BYTES / j.unit);
    mrt_parallel_for(call->pool, mrt_div_up(j.items, j.items_per_tile), gather_tile, &j);
}

mrt_status mrt_gather_elements_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_gather_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *indices = mrt_in(call, 1);
    MRT_TRY(mrt_move_check_pair(call, err));
    MRT_TRY(check_indices(indices, err));
    MRT_TRY(mrt_check_axis(p->axis, x, err));
    MRT_TRY(mrt_check_param(p->batch_dims, "batch_dims", 0, 0, err));
    MRT_TRY(mrt_check_rank(indices, "indices", x->shape.rank, x->shape.rank, err));
    MRT_TRY(mrt_check_same_shape(call->out[0], "y", indices, "indices", err));
    for (int i = 0; i < x->shape.rank; i++) {
        if (i != p->axis && indices->shape.dims[i] > x->shape.dims[i]) {
            return mrt_fail(err, MRT_INVALID, "operand 'indices': shape %s exceeds shape %s of 'x'",
                            mrt_shape_text(&indices->shape).text, mrt_shape_text(&x->shape).text);
        }
    }
    *out_scratch = 0;
    return MRT_OK;
}

typedef struct elements_job {
    const mrt_tensor *x, *indices, *y;
    int64_t stride[MRT_MAX_RANK]; /* of x, elements */
    int axis;
    int64_t lines, lines_per_tile;
} elements_job;

/* One line along the last axis; x is where the line starts at index 0 of the axis. */
static void elements_line(const elements_job *j, const char *x, int64_t line, int64_t n) {
    const int last = j->y->shape.rank - 1;
    const int64_t elem = mrt_move_elem(j->x), dim = j->x->shape.dims[j->axis];
    const int64_t step = j->stride[j->axis] * elem, move = j->axis == last ? 0 : elem;
    char *y = (char *)j->y->data + line * n * elem;
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = mrt_move_index(j->indices->data, j->indices->dtype, line * n + i, dim);
        if (at < 0) {
            memset(y + i * elem, 0, (size_t)elem);
        } else {
            mrt_move_unit(y + i * elem, x + at * step + i * move, elem);
        }
    }
}

static void elements_tile(void *context, int64_t tile) {
    const elements_job *j = context;
    const mrt_shape *shape = &j->y->shape;
    const int last = shape->rank - 1;
    const int64_t end = mrt_min64((tile + 1) * j->lines_per_tile, j->lines);
    for (int64_t line = tile * j->lines_per_tile; line < end; line++) {
        int64_t rest = line, offset = 0;
        for (int i = last - 1; i >= 0; i--) {
            offset += i == j->axis ? 0 : rest % shape->dims[i] * j->stride[i];
            rest /= shape->dims[i];
        }
        elements_line(j, (const char *)j->x->data + offset * mrt_move_elem(j->x), line,
                      shape->dims[last]);
    }
}

void mrt_gather_elements_run(const mrt_call *call) {
    const mrt_gather_params *p = call->params;
    elements_job j = {.x = call->in[0], .indices = call->in[1], .y = call->out[0],
                      .axis = (int)p->axis};
    const int64_t count = mrt_shape_count(&j.y->shape);
    if (count == 0) {
        return;
    }
    mrt_move_strides(&j.x->shape, j.stride);
    const int64_t n = j.y->shape.dims[j.y->shape.rank - 1];
    j.lines = count / n;
    j.lines_per_tile = mrt_max64(1, TILE_BYTES / 4 / n);
    mrt_parallel_for(call->pool, mrt_div_up(j.lines, j.lines_per_tile), elements_tile, &j);
}

mrt_status mrt_gather_nd_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_gather_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *indices = mrt_in(call, 1), *y = mrt_out(call, 0);
    MRT_TRY(mrt_move_check_pair(call, err));
    MRT_TRY(check_indices(indices, err));
    MRT_TRY(mrt_check_rank(indices, "indices", 1, MRT_MAX_RANK, err));
    const int lead = indices->shape.rank - 1;
    MRT_TRY(mrt_check_param(p->batch_dims, "batch_dims", 0, mrt_min64(x->shape.rank, lead), err));
    const int batch = (int)p->batch_dims;
    const int64_t depth = indices->shape.dims[lead];
    MRT_TRY(mrt_check_param(depth, "index depth", 1, (int64_t)x->shape.rank - batch, err));
    const int run = batch + (int)depth; /* first axis of a run */
    mrt_shape expected = {.rank = lead + x->shape.rank - run};
    MRT_TRY(mrt_check_rank(y, "y", expected.rank, expected.rank, err));
    for (int i = 0; i < lead; i++) {
        expected.dims[i] = indices->shape.dims[i];
        if (i < batch) {
            MRT_TRY(mrt_check_dim(indices, "indices", i, x->shape.dims[i], err));
        }
    }
    for (int i = run; i < x->shape.rank; i++) {
        expected.dims[lead + i - run] = x->shape.dims[i];
    }
    *out_scratch = 0;
    return mrt_check_shape(y, "y", &expected, err);
}

typedef struct nd_job {
    const mrt_tensor *x, *indices, *y;
    int batch, depth;
    int64_t per_batch; /* index tuples per batch entry */
    int64_t slab;      /* elements of x per batch entry */
    int64_t unit;      /* bytes of a run */
    int64_t items, items_per_tile;
} nd_job;

static void nd_tile(void *context, int64_t tile) {
    const nd_job *j = context;
    const int64_t elem = mrt_move_elem(j->x);
    const int64_t end = mrt_min64((tile + 1) * j->items_per_tile, j->items);
    for (int64_t item = tile * j->items_per_tile; item < end; item++) {
        char *y = (char *)j->y->data + item * j->unit;
        const int64_t offset = mrt_move_tuple(j->indices, item, j->depth,
                                              j->x->shape.dims + j->batch);
        if (offset < 0) {
            memset(y, 0, (size_t)j->unit);
            continue;
        }
        const char *x = (const char *)j->x->data + item / j->per_batch * j->slab * elem;
        mrt_move_unit(y, x + offset * j->unit, j->unit);
    }
}

void mrt_gather_nd_run(const mrt_call *call) {
    const mrt_gather_params *p = call->params;
    nd_job j = {.x = call->in[0], .indices = call->in[1], .y = call->out[0],
                .batch = (int)p->batch_dims};
    if (mrt_shape_count(&j.y->shape) == 0) {
        return;
    }
    const int lead = j.indices->shape.rank - 1;
    j.depth = (int)j.indices->shape.dims[lead];
    j.items = mrt_shape_range(&j.indices->shape, 0, lead);
    j.per_batch = mrt_shape_range(&j.indices->shape, j.batch, lead);
    j.slab = mrt_shape_range(&j.x->shape, j.batch, j.x->shape.rank);
    j.unit = mrt_shape_range(&j.x->shape, j.batch + j.depth, j.x->shape.rank) *
             mrt_move_elem(j.x);
    j.items_per_tile = mrt_max64(1, TILE_BYTES / j.unit);
    mrt_parallel_for(call->pool, mrt_div_up(j.items, j.items_per_tile), nd_tile, &j);
}
