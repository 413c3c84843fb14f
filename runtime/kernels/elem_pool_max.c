/* pool_max: maximum over windows of x[N,C,spatial], any numeric type.
 *
 * Elements outside the input never take part; a window without any gives the lowest value of the
 * type (index -1). NaN wins over everything. out[1], when present, is the flat index of the first
 * largest element in x (row-major).
 *
 * Without indices an output row is made in two steps: the maximum over the rows of the window into
 * a line, padded with the lowest value, then over the columns of the window. Windows too wide for
 * the line are searched one by one, as with indices. */
#include "runtime/kernels/elem_util.h"

#include <math.h>
#include <string.h>

enum { LINE = 2048 }; /* elements */

typedef struct pool_axis {
    int64_t in, out, kernel, stride, dilation, pad;
} pool_axis;

typedef struct pool_job {
    pool_axis axis[3]; /* depth, height, width; unused leading ones have one entry */
    const mrt_tensor *x, *y;
    int64_t *indices;
    int64_t rows, rows_per_tile; /* output rows of all planes */
    int64_t piece;               /* outputs of a row that one line serves; 0: too wide */
} pool_job;

/* Positions [*first, *end) of window o that lie inside the input: never more than it has entries,
 * whatever the kernel size claims. */
static void taps(const pool_axis *a, int64_t o, int64_t *first, int64_t *end) {
    const int64_t base = o * a->stride - a->pad;
    *first = base < 0 ? mrt_div_up(-base, a->dilation) : 0;
    *end = base < a->in ? mrt_min64(a->kernel, mrt_div_up(a->in - base, a->dilation)) : 0;
}

static int64_t at(const pool_axis *a, int64_t o, int64_t k) {
    return o * a->stride - a->pad + k * a->dilation;
}

/* The window positions of one output row in depth and height. */
typedef struct tap_range {
    int64_t d0, d1, h0, h1;
} tap_range;

static tap_range row_taps(const pool_axis *a, int64_t od, int64_t oh) {
    tap_range r;
    taps(&a[0], od, &r.d0, &r.d1);
    taps(&a[1], oh, &r.h0, &r.h1);
    return r;
}

/* Folds n elements, `step` apart, into y. */
#define TAP(T, STEP)                                                                               \
    for (int64_t i = 0; i < n; i++) {                                                              \
        const T v = x[i * (STEP)];                                                                 \
        const T m = y[i];                                                                          \
        y[i] = v > m || v != v ? v : m;                                                            \
    }
#define POOL(CLONES, TAG, T, LOW)                                                                  \
    MRT_INLINE void tap_##TAG(const T *restrict x, T *restrict y, int64_t n, int64_t step) {       \
        if (step == 1) {                                                                           \
            TAP(T, 1)                                                                              \
        } else if (step == 2) {                                                                    \
            TAP(T, 2)                                                                              \
        } else {                                                                                   \
            TAP(T, step)                                                                           \
        }                                                                                          \
    }                                                                                              \
    /* Outputs [first, end) of row (od, oh): `line` gets the maxima over the rows of the window,   \
       with the lowest value where a column lies outside. */                                       \
    CLONES static void row_##TAG(const pool_job *j, const void *plane, int64_t od, int64_t oh,     \
                                     int64_t first, int64_t end, void *out) {                      \
        const pool_axis *a = j->axis;                                                              \
        T line[LINE], *y = (T *)out + first;                                                       \
        const int64_t left = at(&a[2], first, 0); /* column of line[0] */                          \
        const int64_t width = at(&a[2], end - 1, a[2].kernel - 1) + 1 - left;                      \
        const int64_t begin = mrt_max64(0, -left);                                                 \
        const int64_t stop = mrt_max64(begin, mrt_min64(width, a[2].in - left));                   \
        for (int64_t i = 0; i < width; i++) {                                                      \
            line[i] = (T)(LOW);                                                                    \
        }                                                                                          \
        const tap_range r = row_taps(a, od, oh);                                                   \
        for (int64_t kd = r.d0; kd < r.d1; kd++) {                                                 \
            for (int64_t kh = r.h0; kh < r.h1; kh++) {                                             \
                const T *x = (const T *)plane + left + begin +                                     \
                             (at(&a[0], od, kd) * a[1].in + at(&a[1], oh, kh)) * a[2].in;          \
                tap_##TAG(x, line + begin, stop - begin, 1);                                       \
            }                                                                                      \
        }                                                                                          \
        for (int64_t i = 0; i < end - first; i++) {                                                \
            y[i] = line[i * a[2].stride];                                                          \
        }                                                                                          \
        for (int64_t kw = 1; kw < a[2].kernel; kw++) {                                             \
            tap_##TAG(line + kw * a[2].dilation, y, end - first, a[2].stride);                     \
        }                                                                                          \
    }                                                                                              \
    /* The same with the index of the first largest element; `base` is that of the plane. */       \
    static void indexed_##TAG(const pool_job *j, const void *data, int64_t base, int64_t od,       \
                              int64_t oh, void *out, int64_t *indices) {                           \
        const pool_axis *a = j->axis;                                                              \
        const T *x = data;                                                                         \
        T *y = out;                                                                                \
        const tap_range r = row_taps(a, od, oh);                                                   \
        for (int64_t ow = 0; ow < a[2].out; ow++) {                                                \
            T m = (T)(LOW);                                                                        \
            int64_t best = -1, w0, w1;                                                             \
            taps(&a[2], ow, &w0, &w1);                                                             \
            for (int64_t kd = r.d0; kd < r.d1; kd++) {                                             \
                for (int64_t kh = r.h0; kh < r.h1; kh++) {                                         \
                    const int64_t line =                                                           \
                        base + (at(&a[0], od, kd) * a[1].in + at(&a[1], oh, kh)) * a[2].in;        \
                    for (int64_t kw = w0; kw < w1; kw++) {                                         \
                        const int64_t i = line + at(&a[2], ow, kw);                                \
                        const T v = x[i];                                                          \
                        if (best < 0 || v > m || (v != v && m == m)) {                             \
                            m = v;                                                                 \
                            best = i;                                                              \
                        }                                                                          \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
            y[ow] = m;                                                                             \
            if (indices != NULL) {                                                                 \
                indices[ow] = best;                                                                \
            }                                                                                      \
        }                                                                                          \
    }

#define TYPES(X)                                                                                   \
    X(MRT_CLONES, F32, float, -INFINITY) X(MRT_CLONES, I8, int8_t, INT8_MIN)                       \
    X(MRT_CLONES, U8, uint8_t, 0) X(, F64, double, -INFINITY) X(, I16, int16_t, INT16_MIN)         \
    X(, U16, uint16_t, 0) X(, I32, int32_t, INT32_MIN) X(, U32, uint32_t, 0)                       \
    X(, I64, int64_t, INT64_MIN) X(, U64, uint64_t, 0)
TYPES(POOL)

typedef struct pool_fns {
    void (*row)(const pool_job *j, const void *plane, int64_t od, int64_t oh, int64_t first,
                int64_t end, void *y);
    void (*indexed)(const pool_job *j, const void *x, int64_t base, int64_t od, int64_t oh,
                    void *y, int64_t *indices);
} pool_fns;
static const pool_fns functions[MRT_BOOL + 1] = {
#define X(CLONES, TAG, T, LOW) [MRT_##TAG] = {row_##TAG, indexed_##TAG},
    TYPES(X)
#undef X
};

mrt_status mrt_pool_max_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_pool_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0), *indices = mrt_out(call, 1);
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_POOL_MAX, MRT_POOL_MAX, err));
    MRT_TRY(mrt_check_param(p->spatial, "spatial", 1, MRT_MAX_SPATIAL, err));
    MRT_TRY(mrt_check_param(p->act, "act", MRT_ACT_NONE, MRT_ACT_NONE, err));
    const int rank = (int)p->spatial + 2;
    MRT_TRY(mrt_check_rank(x, "x", rank, rank, err));
    MRT_TRY(mrt_check_rank(y, "y", rank, rank, err));
    MRT_TRY(mrt_elem_check_number(x, "x", err));
    MRT_TRY(mrt_check_same_dtype(y, "y", x, "x", err));
    if (functions[x->dtype].row == NULL) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': no maximum pooling of %s",
                        mrt_dtype_name(x->dtype));
    }
    MRT_TRY(mrt_check_dim(y, "y", 0, x->shape.dims[0], err));
    MRT_TRY(mrt_check_dim(y, "y", 1, x->shape.dims[1], err));
    for (int i = 0; i < p->spatial; i++) {
        const mrt_window w = {x->shape.dims[i + 2], y->shape.dims[i + 2], p->kernel[i],
                              p->stride[i], p->dilation[i], p->pad_begin[i], p->pad_end[i]};
        MRT_TRY(mrt_check_window(&w, true, err));
    }
    if (indices != NULL) {
        MRT_TRY(mrt_check_dtype(indices, "indices", MRT_I64, err));
        MRT_TRY(mrt_check_same_shape(indices, "indices", y, "y", err));
    }
    *out_scratch = 0;
    return MRT_OK;
}

static void pool_tile(void *context, int64_t tile) {
    const pool_job *j = context;
    const pool_axis *a = j->axis;
    const int64_t plane_size = a[0].in * a[1].in * a[2].in;
    const int64_t end = mrt_min64((tile + 1) * j->rows_per_tile, j->rows);
    const pool_fns *fns = &functions[j->x->dtype];
    for (int64_t row = tile * j->rows_per_tile; row < end; row++) {
        const int64_t oh = row % a[1].out, od = row / a[1].out % a[0].out;
        const int64_t plane = row / (a[1].out * a[0].out);
        void *y = mrt_elem_at(j->y, row * a[2].out);
        if (j->indices != NULL || j->piece == 0) {
            fns->indexed(j, j->x->data, plane * plane_size, od, oh, y,
                         j->indices != NULL ? j->indices + row * a[2].out : NULL);
            continue;
        }
        const void *x = mrt_elem_at(j->x, plane * plane_size);
        for (int64_t first = 0; first < a[2].out; first += j->piece) {
            fns->row(j, x, od, oh, first, mrt_min64(first + j->piece, a[2].out), y);
        }
    }
}

void mrt_pool_max_run(const mrt_call *call) {
    const mrt_pool_params *p = call->params;
    pool_job j = {.x = call->in[0], .y = call->out[0]};
    const mrt_tensor *indices = mrt_out(call, 1);
    j.indices = indices != NULL ? indices->data : NULL;
    const int64_t count = mrt_shape_count(&j.y->shape);
    if (count == 0) {
        return;
    }
    const int lead = 3 - (int)p->spatial;
    for (int i = 0; i < 3; i++) {
        const int k = i - lead;
        j.axis[i] = k < 0 ? (pool_axis){1, 1, 1, 1, 1, 0}
                          : (pool_axis){j.x->shape.dims[k + 2], j.y->shape.dims[k + 2],
                                        p->kernel[k], p->stride[k], p->dilation[k],
                                        p->pad_begin[k]};
    }
    j.rows = count / j.axis[2].out;
    const pool_axis *w = &j.axis[2];
    const int64_t reach = (w->kernel - 1) * w->dilation + 1;
    j.piece = reach > LINE ? 0 : (LINE - reach) / w->stride + 1;
    const int64_t rows_read = mrt_min64(w[-1].kernel, w[-1].in) * mrt_min64(w[-2].kernel, w[-2].in);
    const int64_t row_work =
        mrt_min64(w->in + w->out, 1 << 20) * mrt_max64(1, mrt_min64(rows_read, 1 << 20));
    j.rows_per_tile = mrt_max64(1, 2 * MRT_ELEM_TILE / row_work);
    mrt_parallel_for(call->pool, mrt_div_up(j.rows, j.rows_per_tile), pool_tile, &j);
}
