/* Broadcast iteration over merged axes; see elem_walk.h. */
#include "runtime/kernels/elem_walk.h"

#include "runtime/kernels/elem_util.h"

#include <string.h>

/* Entries of input t along axis i of an output of rank `rank`. */
static int64_t input_dim(const mrt_tensor *t, int i, int rank) {
    const int k = i - (rank - t->shape.rank);
    return k < 0 ? 1 : t->shape.dims[k];
}

mrt_status mrt_walk_check(const mrt_tensor *y, const mrt_tensor *const *in, int n_in,
                          mrt_error *err) {
    static const char *const names[MRT_WALK_IN] = {"a", "b", "c"};
    MRT_TRY(mrt_check_present(y, "y", err));
    for (int t = 0; t < n_in; t++) {
        MRT_TRY(mrt_check_rank(in[t], names[t], 0, y->shape.rank, err));
    }
    for (int i = 0; i < y->shape.rank; i++) {
        int64_t expected = 1;
        for (int t = 0; t < n_in; t++) {
            const int64_t dim = input_dim(in[t], i, y->shape.rank);
            expected = dim == 1 ? expected : dim;
        }
        for (int t = 0; t < n_in; t++) {
            const int64_t dim = input_dim(in[t], i, y->shape.rank);
            if (dim != 1 && dim != expected) {
                return mrt_fail(err, MRT_INVALID, "operand '%s': shape %s does not broadcast to %s",
                                names[t], mrt_shape_text(&in[t]->shape).text,
                                mrt_shape_text(&y->shape).text);
            }
        }
        MRT_TRY(mrt_check_dim(y, "y", i, expected, err));
    }
    return MRT_OK;
}

typedef struct axes {
    int n;
    int64_t dims[MRT_MAX_RANK];
    int64_t stride[MRT_WALK_IN][MRT_MAX_RANK];
} axes;

static bool joins(const axes *a, int n_in, const int64_t *stride, int64_t dim) {
    for (int t = 0; t < n_in; t++) {
        if (a->stride[t][a->n - 1] != stride[t] * dim) {
            return false;
        }
    }
    return true;
}

/* Output axes from the outermost in, without those of one entry, neighbours joined. */
static void merge(axes *a, const mrt_shape *y, const mrt_tensor *const *in, int n_in) {
    int64_t dense[MRT_WALK_IN][MRT_MAX_RANK];
    for (int t = 0; t < n_in; t++) {
        int64_t step = 1;
        for (int i = y->rank - 1; i >= 0; i--) {
            const int64_t dim = input_dim(in[t], i, y->rank);
            dense[t][i] = dim == 1 ? 0 : step;
            step *= dim;
        }
    }
    a->n = 0;
    for (int i = 0; i < y->rank; i++) {
        int64_t stride[MRT_WALK_IN];
        for (int t = 0; t < n_in; t++) {
            stride[t] = dense[t][i];
        }
        if (y->dims[i] == 1) {
            continue;
        }
        if (a->n > 0 && joins(a, n_in, stride, y->dims[i])) {
            a->dims[a->n - 1] *= y->dims[i];
        } else {
            a->dims[a->n++] = y->dims[i];
        }
        for (int t = 0; t < n_in; t++) {
            a->stride[t][a->n - 1] = stride[t];
        }
    }
}

void mrt_walk_init(mrt_walk *walk, const mrt_shape *y, const mrt_tensor *const *in, int n_in) {
    memset(walk, 0, sizeof *walk);
    walk->n_in = n_in;
    if (mrt_shape_count(y) == 0) {
        return;
    }
    axes a;
    merge(&a, y, in, n_in);
    walk->rows = a.n > 1 ? a.dims[a.n - 2] : 1;
    walk->cols = a.n > 0 ? a.dims[a.n - 1] : 1;
    walk->outer = a.n > 2 ? a.n - 2 : 0;
    walk->lines = walk->rows;
    for (int i = 0; i < walk->outer; i++) {
        walk->dims[i] = a.dims[i];
        walk->lines *= a.dims[i];
    }
    for (int t = 0; t < n_in; t++) {
        memcpy(walk->stride[t], a.stride[t], sizeof a.stride[t]);
        walk->row_stride[t] = a.n > 1 ? a.stride[t][a.n - 2] : 0;
        walk->col_stride[t] = a.n > 0 ? a.stride[t][a.n - 1] : 0;
    }
    walk->lines_per_tile = mrt_max64(1, MRT_ELEM_TILE / walk->cols);
    walk->tiles_per_line = mrt_div_up(walk->cols, MRT_ELEM_TILE);
    walk->tiles = walk->tiles_per_line > 1 ? walk->lines * walk->tiles_per_line
                                           : mrt_div_up(walk->lines, walk->lines_per_tile);
}

void mrt_walk_tile(const mrt_walk *walk, int64_t tile, mrt_walk_fn *fn, void *context) {
    const bool cut = walk->tiles_per_line > 1;
    int64_t line = cut ? tile / walk->tiles_per_line : tile * walk->lines_per_tile;
    const int64_t end = cut ? line + 1 : mrt_min64(line + walk->lines_per_tile, walk->lines);
    const int64_t col = cut ? tile % walk->tiles_per_line * MRT_ELEM_TILE : 0;
    const int64_t cols = mrt_min64(walk->cols - col, cut ? MRT_ELEM_TILE : walk->cols);
    while (line < end) {
        const int64_t row = line % walk->rows;
        mrt_walk_block block = {.out = line * walk->cols + col,
                                .rows = mrt_min64(walk->rows - row, end - line),
                                .cols = cols};
        for (int t = 0; t < walk->n_in; t++) {
            block.in[t] = row * walk->row_stride[t] + col * walk->col_stride[t];
        }
        int64_t rest = line / walk->rows;
        for (int i = walk->outer - 1; i >= 0; i--) {
            const int64_t index = rest % walk->dims[i];
            rest /= walk->dims[i];
            for (int t = 0; t < walk->n_in; t++) {
                block.in[t] += index * walk->stride[t][i];
            }
        }
        fn(context, walk, &block);
        line += block.rows;
    }
}
