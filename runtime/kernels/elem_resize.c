/* resize_f32: linear and cubic interpolation of any number of axes, one axis after the other from
 * the last to the first; nearest mode is resize_nearest.
 *
 * One pass computes y[o] = ((w0*x[f] + w1*x[f+1]) + w2*x[f+2]) + ... in f32, f and the weights from
 * move_resize_axis.h. Two linear axes at the end (images) are done together, plane by plane, with
 * the same operations in the same order. */
#include "runtime/kernels/elem_resize.h"

#include "runtime/kernels/elem_util.h"
#include "runtime/kernels/move_resize_axis.h"

#include <string.h>

/* The scratch: the table of every changed axis, then two buffers for results between passes. */
typedef struct layout {
    int n;                        /* changed axes, from the last one */
    int axis[MRT_MAX_RANK];
    int64_t window[MRT_MAX_RANK]; /* taps per result */
    size_t table[MRT_MAX_RANK];   /* offset of int64_t first[out], then float weights[out*window] */
    size_t buffer[2];
    size_t bytes;
    bool image;                   /* the two last axes, two taps each, nothing extrapolated */
} layout;

static bool add_bytes(size_t *total, uint64_t count, size_t size) {
    size_t bytes;
    if (!mrt_mul_bytes(count, size, &bytes) || bytes > SIZE_MAX / 4) {
        return false;
    }
    return !__builtin_add_overflow(*total, mrt_align64(bytes), total);
}

/* Reserves the buffers between passes. */
static bool plan_buffers(layout *l, const mrt_shape *x, const mrt_shape *y) {
    mrt_shape middle = *x;
    uint64_t most[2] = {0, 0};
    for (int k = 0; k + 1 < l->n; k++) {
        middle.dims[l->axis[k]] = y->dims[l->axis[k]];
        int64_t bytes;
        if (!mrt_shape_bytes(&middle, MRT_F32, &bytes)) {
            return false;
        }
        most[k % 2] = (uint64_t)mrt_max64((int64_t)most[k % 2], bytes);
    }
    for (int i = 0; i < 2; i++) {
        l->buffer[i] = l->bytes;
        if (!add_bytes(&l->bytes, most[i], 1)) {
            return false;
        }
    }
    return true;
}

static mrt_status plan(const mrt_call *call, layout *l, mrt_error *err) {
    const mrt_resize_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    memset(l, 0, sizeof *l);
    bool fits = true;
    for (int i = x->shape.rank - 1; i >= 0; i--) {
        const mrt_resize_axis a = mrt_resize_axis_of(p, x, y, i);
        if (mrt_resize_is_identity(p, &a)) {
            continue;
        }
        if (mrt_resize_reach(p, &a) / 4 > a.in + 16) {
            return mrt_fail(err, MRT_UNSUPPORTED,
                            "parameter 'scale': axis %d: %g is too small for %" PRId64 " entries",
                            i, a.scale, a.in);
        }
        const int64_t window = mrt_resize_window(p, &a);
        l->axis[l->n] = i;
        l->window[l->n] = window;
        l->table[l->n++] = l->bytes;
        fits = fits && add_bytes(&l->bytes, (uint64_t)a.out, sizeof(int64_t)) &&
               window < (INT64_C(1) << 32) && a.out < (INT64_C(1) << 31) &&
               add_bytes(&l->bytes, (uint64_t)a.out * (uint64_t)window, sizeof(float));
    }
    l->image = l->n == 2 && l->axis[0] == x->shape.rank - 1 && l->axis[1] == l->axis[0] - 1 &&
               l->window[0] == 2 && l->window[1] == 2 && p->coord != MRT_COORD_TF_CROP;
    if (!fits || (!l->image && !plan_buffers(l, &x->shape, &y->shape))) {
        return mrt_fail(err, MRT_INVALID, "operand 'y': shape %s is too large",
                        mrt_shape_text(&y->shape).text);
    }
    return MRT_OK;
}

mrt_status mrt_resize_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_resize_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_resize_check_params(p, x, y, err));
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    if (p->mode == MRT_RESIZE_NEAREST) {
        return mrt_resize_nearest_check(call, out_scratch, err);
    }
    *out_scratch = 0;
    if (mrt_shape_count(&y->shape) == 0) {
        return MRT_OK;
    }
    layout l;
    MRT_TRY(plan(call, &l, err));
    *out_scratch = l.bytes;
    return MRT_OK;
}

/* Fills the tables in scratch; first is 0 (and *out_outside set) for extrapolated entries. */
static mrt_resize_table make_table(const mrt_call *call, const layout *l, int k) {
    char *memory = (char *)call->scratch + l->table[k];
    const mrt_resize_axis a =
        mrt_resize_axis_of(call->params, call->in[0], call->out[0], l->axis[k]);
    int64_t *first = (int64_t *)(void *)memory;
    float *weights = (float *)(void *)(memory + mrt_align64((size_t)a.out * sizeof *first));
    for (int64_t o = 0; o < a.out; o++) {
        first[o] = mrt_resize_taps(call->params, &a, o, l->window[k], weights + o * l->window[k]);
    }
    const mrt_resize_table t = {a.in, a.out, l->window[k], first, weights};
    return t;
}

typedef struct pass_job {
    const mrt_resize_table *table;
    int64_t outer, inner;
    int64_t rows_per_tile;
    const float *x;
    float *y;
} pass_job;

MRT_CLONES static void weigh_rows(const mrt_resize_table *t, const float *x, float *restrict y,
                                  int64_t inner, int64_t o) {
    const float *w = t->weights + o * t->window;
    x += mrt_max64(t->first[o], 0) * inner;
    for (int64_t i = 0; i < inner; i++) {
        y[i] = w[0] * x[i];
    }
    for (int64_t k = 1; k < t->window; k++) {
        const float *row = x + k * inner;
        const float weight = w[k];
        for (int64_t i = 0; i < inner; i++) {
            y[i] = y[i] + weight * row[i];
        }
    }
}

static void weigh_line(const mrt_resize_table *t, const float *x, float *y) {
    for (int64_t o = 0; o < t->out; o++) {
        const float *w = t->weights + o * t->window, *from = x + mrt_max64(t->first[o], 0);
        float sum = w[0] * from[0];
        for (int64_t k = 1; k < t->window; k++) {
            sum = sum + w[k] * from[k];
        }
        y[o] = sum;
    }
}

/* A row: one entry of the axis with all inner elements, or a whole line when inner is 1. */
static void pass_tile(void *context, int64_t tile) {
    const pass_job *j = context;
    const mrt_resize_table *t = j->table;
    const int64_t rows = j->inner == 1 ? j->outer : j->outer * t->out;
    const int64_t end = mrt_min64((tile + 1) * j->rows_per_tile, rows);
    for (int64_t row = tile * j->rows_per_tile; row < end; row++) {
        if (j->inner == 1) {
            weigh_line(t, j->x + row * t->in, j->y + row * t->out);
        } else {
            const int64_t outer = row / t->out;
            weigh_rows(t, j->x + outer * t->in * j->inner, j->y + row * j->inner, j->inner,
                       row % t->out);
        }
    }
}

static void run_pass(const mrt_call *call, const mrt_resize_table *t, const mrt_shape *shape,
                     int axis, const float *x, float *y) {
    pass_job j = {.table = t, .x = x, .y = y, .outer = mrt_shape_range(shape, 0, axis),
                  .inner = mrt_shape_range(shape, axis + 1, shape->rank)};
    const int64_t rows = j.inner == 1 ? j.outer : j.outer * t->out;
    const int64_t row_work = t->window * (j.inner == 1 ? t->out : j.inner);
    j.rows_per_tile = mrt_max64(1, 2 * MRT_ELEM_TILE / row_work);
    mrt_parallel_for(call->pool, mrt_div_up(rows, j.rows_per_tile), pass_tile, &j);
}

/* Writes the extrapolation value over every element that is outside on some axis. */
static void extrapolate(const mrt_call *call, const layout *l, const mrt_resize_table *tables) {
    const mrt_resize_params *p = call->params;
    const mrt_shape *shape = &call->out[0]->shape;
    float *y = call->out[0]->data;
    for (int k = 0; k < l->n; k++) {
        const int axis = l->axis[k];
        const int64_t inner = mrt_shape_range(shape, axis + 1, shape->rank);
        const int64_t rows = mrt_shape_range(shape, 0, axis + 1);
        for (int64_t row = 0; row < rows; row++) {
            if (tables[k].first[row % tables[k].out] < 0) {
                for (int64_t i = 0; i < inner; i++) {
                    y[row * inner + i] = (float)p->extrapolation;
                }
            }
        }
    }
}

void mrt_resize_f32_run(const mrt_call *call) {
    const mrt_resize_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    if (p->mode == MRT_RESIZE_NEAREST) {
        mrt_resize_nearest_run(call);
        return;
    }
    layout l;
    if (mrt_shape_count(&y->shape) == 0 || plan(call, &l, NULL) != MRT_OK) {
        return;
    }
    if (l.n == 0) {
        memcpy(y->data, x->data, (size_t)mrt_shape_count(&y->shape) * sizeof(float));
        return;
    }
    mrt_resize_table tables[MRT_MAX_RANK];
    for (int k = 0; k < l.n; k++) {
        tables[k] = make_table(call, &l, k);
    }
    if (l.image) {
        mrt_resize_image(call->pool, &tables[1], &tables[0], x->data, y->data,
                         mrt_shape_range(&x->shape, 0, l.axis[1]));
        return;
    }
    mrt_shape shape = x->shape;
    const float *from = x->data;
    for (int k = 0; k < l.n; k++) {
        float *to = k + 1 == l.n ? y->data : (void *)((char *)call->scratch + l.buffer[k % 2]);
        run_pass(call, &tables[k], &shape, l.axis[k], from, to);
        shape.dims[l.axis[k]] = tables[k].out;
        from = to;
    }
    if (p->coord == MRT_COORD_TF_CROP) {
        extrapolate(call, &l, tables);
    }
}
