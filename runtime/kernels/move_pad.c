/* pad: constant, reflect, edge and wrap borders; negative pads crop.
 *
 * Every axis gets a map from output entry to input entry (-1: border of constant mode). Trailing
 * axes without pads move together as one unit. Rows of the last padded axis are a left border, a
 * memcpy and a right border. */
#include "runtime/kernels/elem_cast.h"
#include "runtime/kernels/move_util.h"

void mrt_move_scalar(mrt_dtype dtype, double value, void *out) {
    mrt_cast_array(MRT_F64, &value, dtype, out, 1);
}

/* Input entry of position `at` (may lie outside [0, dim)); -1 for the constant border. Repeated
 * reflection and wrapping are allowed. dim >= 1 unless constant. */
static int64_t pad_source(int64_t mode, int64_t at, int64_t dim) {
    if (at >= 0 && at < dim) {
        return at;
    }
    switch (mode) {
    case MRT_PAD_EDGE:
        return at < 0 ? 0 : dim - 1;
    case MRT_PAD_WRAP:
        at %= dim;
        return at < 0 ? at + dim : at;
    case MRT_PAD_REFLECT: {
        const int64_t period = dim > 1 ? 2 * (dim - 1) : 1;
        at %= period;
        at = at < 0 ? at + period : at;
        return at < dim ? at : period - at;
    }
    default:
        return -1;
    }
}

mrt_status mrt_pad_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_move_check_pair(call, err));
    const mrt_pad_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    MRT_TRY(mrt_check_rank(y, "y", x->shape.rank, x->shape.rank, err));
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_PAD_CONSTANT, MRT_PAD_WRAP, err));
    size_t bytes = 0;
    for (int i = 0; i < x->shape.rank; i++) {
        const int64_t limit = INT64_MAX / 4, dim = x->shape.dims[i];
        MRT_TRY(mrt_check_param(p->begin[i], "begin", -limit, limit, err));
        MRT_TRY(mrt_check_param(p->end[i], "end", -limit, limit, err));
        MRT_TRY(mrt_check_param(dim, "dimension", 0, limit, err));
        const int64_t n = dim + p->begin[i] + p->end[i];
        MRT_TRY(mrt_check_dim(y, "y", i, n, err));
        if (dim == 0 && n > 0 && p->mode != MRT_PAD_CONSTANT) {
            return mrt_fail(err, MRT_INVALID,
                            "operand 'x': dimension %d is empty, nothing to repeat", i);
        }
        size_t map;
        if (n < 0 || !mrt_mul_bytes((size_t)n, sizeof(int64_t), &map) ||
            __builtin_add_overflow(bytes, map, &bytes)) {
            return mrt_fail(err, MRT_INVALID, "operand 'y': dimension %d is out of range", i);
        }
    }
    *out_scratch = mrt_shape_count(&y->shape) == 0 ? 0 : bytes;
    return MRT_OK;
}

typedef struct pad_job {
    const int64_t *map[MRT_MAX_RANK];
    int64_t stride[MRT_MAX_RANK]; /* of x, bytes */
    int inner;                    /* last padded axis, or 0 */
    int64_t unit;                 /* bytes of one entry of the inner axis */
    int64_t left, middle, right;  /* entries of a row */
    int64_t rows, rows_per_tile;
    const mrt_shape *y_shape;
    unsigned char value[8];
    int64_t elem;
    const char *x;
    char *y;
} pad_job;

/* Entries [first, first + count) of a border. */
static void pad_border(const pad_job *j, const char *src, char *dst, int64_t first, int64_t count) {
    const int64_t *map = j->map[j->inner] + first;
    if (count > 0 && map[0] < 0) {
        mrt_move_fill(dst, j->value, j->elem, count * j->unit / j->elem);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        mrt_move_unit(dst + i * j->unit, src + map[i] * j->unit, j->unit);
    }
}

static void pad_row(const pad_job *j, const char *src, char *dst) {
    const int64_t n = j->left + j->middle + j->right;
    if (src == NULL) {
        mrt_move_fill(dst, j->value, j->elem, n * j->unit / j->elem);
        return;
    }
    pad_border(j, src, dst, 0, j->left);
    dst += j->left * j->unit;
    if (j->middle > 0) {
        memcpy(dst, src + j->map[j->inner][j->left] * j->unit, (size_t)(j->middle * j->unit));
    }
    pad_border(j, src, dst + j->middle * j->unit, j->left + j->middle, j->right);
}

static void pad_tile(void *context, int64_t tile) {
    const pad_job *j = context;
    const int64_t first = tile * j->rows_per_tile;
    const int64_t end = mrt_min64(first + j->rows_per_tile, j->rows);
    const int64_t row_bytes = j->y_shape->dims[j->inner] * j->unit;
    for (int64_t row = first; row < end; row++) {
        int64_t rest = row, offset = 0;
        bool border = false;
        for (int i = j->inner - 1; i >= 0; i--) {
            const int64_t from = j->map[i][rest % j->y_shape->dims[i]];
            rest /= j->y_shape->dims[i];
            border = border || from < 0;
            offset += from * j->stride[i];
        }
        pad_row(j, border ? NULL : j->x + offset, j->y + row * row_bytes);
    }
}

/* Cuts the inner axis into border, straight run, border. */
static void split_row(pad_job *j, int64_t begin, int64_t in, int64_t out) {
    j->left = mrt_min64(mrt_max64(begin, 0), out);
    const int64_t stop = mrt_min64(out, begin + in); /* first entry behind the input */
    j->middle = mrt_max64(stop - j->left, 0);
    j->right = out - j->left - j->middle;
}

void mrt_pad_run(const mrt_call *call) {
    const mrt_pad_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    const int rank = x->shape.rank;
    if (mrt_shape_count(&y->shape) == 0) {
        return;
    }
    pad_job j = {.y_shape = &y->shape, .elem = mrt_move_elem(x), .x = x->data, .y = y->data};
    mrt_move_scalar(x->dtype, p->value, j.value);
    if (rank == 0) {
        memcpy(y->data, x->data, (size_t)j.elem);
        return;
    }
    int64_t *map = call->scratch;
    mrt_move_strides(&x->shape, j.stride);
    for (int i = 0; i < rank; i++) {
        j.stride[i] *= j.elem;
        j.map[i] = map;
        if (p->begin[i] != 0 || p->end[i] != 0) {
            j.inner = i;
        }
        for (int64_t k = 0; k < y->shape.dims[i]; k++) {
            *map++ = pad_source(p->mode, k - p->begin[i], x->shape.dims[i]);
        }
    }
    j.unit = j.elem * mrt_shape_range(&y->shape, j.inner + 1, rank);
    split_row(&j, p->begin[j.inner], x->shape.dims[j.inner], y->shape.dims[j.inner]);
    j.rows = mrt_shape_range(&y->shape, 0, j.inner);
    j.rows_per_tile = mrt_max64(1, 65536 / (y->shape.dims[j.inner] * j.unit));
    mrt_parallel_for(call->pool, mrt_div_up(j.rows, j.rows_per_tile), pad_tile, &j);
}
