/* reduce: sums, extremes, norms and logs over a set of axes.
 *
 * Axes are joined into alternating kept and reduced groups. The innermost group decides the loop:
 * contiguous runs when it is reduced, blocks of columns when it is kept. Over nothing, sums are 0,
 * products 1, maxima the lowest and minima the highest value of the type (false and true for
 * bool), the mean of floats NaN. MAX and MIN give NaN when any element is NaN. */
#include "runtime/kernels/elem_reduce.h"

#include "runtime/kernels/elem_cast.h"
#include "runtime/kernels/elem_util.h"
#include "runtime/mrt_math.h"

static const mrt_fold_kind kind_of[] = {
    [MRT_REDUCE_SUM] = MRT_FOLD_SUM,       [MRT_REDUCE_MEAN] = MRT_FOLD_SUM,
    [MRT_REDUCE_MAX] = MRT_FOLD_MAX,       [MRT_REDUCE_MIN] = MRT_FOLD_MIN,
    [MRT_REDUCE_PROD] = MRT_FOLD_PROD,     [MRT_REDUCE_L1] = MRT_FOLD_ABS,
    [MRT_REDUCE_L2] = MRT_FOLD_SQUARE,     [MRT_REDUCE_SUM_SQUARE] = MRT_FOLD_SQUARE,
    [MRT_REDUCE_LOG_SUM] = MRT_FOLD_SUM,   [MRT_REDUCE_LOG_SUM_EXP] = MRT_FOLD_EXP,
};

/* The shape of y: reduced axes are 1, or absent. */
static mrt_status check_result_shape(const mrt_tensor *x, const mrt_tensor *y, int64_t axes,
                                     mrt_error *err) {
    mrt_shape kept = {.rank = x->shape.rank}, dropped = {.rank = 0};
    for (int i = 0; i < x->shape.rank; i++) {
        const bool reduced = axes >> i & 1;
        kept.dims[i] = reduced ? 1 : x->shape.dims[i];
        if (!reduced) {
            dropped.dims[dropped.rank++] = x->shape.dims[i];
        }
    }
    if (mrt_shape_equal(&y->shape, &dropped)) {
        return MRT_OK;
    }
    return mrt_check_shape(y, "y", &kept, err);
}

mrt_status mrt_reduce_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_reduce_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_param(p->mode, "mode", 0, MRT_REDUCE_LOG_SUM_EXP, err));
    MRT_TRY(mrt_elem_check_number(x, "x", err));
    MRT_TRY(mrt_check_same_dtype(y, "y", x, "x", err));
    MRT_TRY(mrt_check_param(p->axes, "axes", 0, (INT64_C(1) << x->shape.rank) - 1, err));
    if (mrt_fold_find(kind_of[p->mode], x->dtype) == NULL) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': no reduction %" PRId64 " of %s",
                        p->mode, mrt_dtype_name(x->dtype));
    }
    *out_scratch = 0;
    return check_result_shape(x, y, p->axes, err);
}

typedef struct axis_list {
    int n;
    int64_t count; /* product of dims */
    int64_t dims[MRT_MAX_RANK], stride[MRT_MAX_RANK];
} axis_list;

typedef struct reduce_job {
    axis_list kept, reduced; /* without the inner group */
    bool inner_reduced;
    int64_t inner;  /* size of the innermost group */
    int64_t total;  /* elements per result */
    int64_t block;  /* results made together: runs one after the other, or columns side by side */
    int64_t blocks; /* per kept entry (columns) or of all kept entries (runs) */
    int64_t items, items_per_tile;
    const mrt_fold *fold, *max; /* max: first pass of LOG_SUM_EXP */
    int64_t mode;
    const mrt_tensor *x, *y;
} reduce_job;

static void push_axis(axis_list *list, int64_t dim, int64_t stride) {
    list->dims[list->n] = dim;
    list->stride[list->n] = stride;
    list->n++;
    list->count *= dim;
}

/* Splits the axes of x into groups of neighbours of one kind. */
static void plan_axes(reduce_job *j, int64_t axes) {
    const mrt_shape *shape = &j->x->shape;
    j->kept.count = j->reduced.count = j->inner = j->total = 1;
    int64_t stride = 1;
    bool first = true;
    for (int i = shape->rank - 1; i >= 0;) {
        const bool reduced = axes >> i & 1;
        int64_t dim = 1;
        for (; i >= 0 && (axes >> i & 1) == reduced; i--) {
            dim *= shape->dims[i];
        }
        j->total *= reduced ? dim : 1;
        if (dim == 1 && !(first && i < 0)) {
            continue;
        }
        if (first) {
            j->inner = dim;
            j->inner_reduced = reduced;
        } else {
            push_axis(reduced ? &j->reduced : &j->kept, dim, stride);
        }
        first = false;
        stride *= dim;
    }
}

static int64_t offset_of(const axis_list *list, int64_t index) {
    int64_t offset = 0;
    for (int i = 0; i < list->n; i++) { /* the lists run from the innermost axis out */
        offset += index % list->dims[i] * list->stride[i];
        index /= list->dims[i];
    }
    return offset;
}

/* Folds all reduced entries: `n` columns, or one run of n elements. */
static void fold_all(const reduce_job *j, const mrt_fold *fold, int64_t base, int64_t n, void *acc,
                     const double *shift) {
    if (j->total == 0) {
        return;
    }
    int64_t index[MRT_MAX_RANK] = {0};
    for (int64_t r = 0; r < j->reduced.count; r++) {
        const void *x = mrt_elem_at(j->x, base);
        if (j->inner_reduced) {
            fold->run(x, n, acc, shift);
        } else {
            fold->columns(x, n, acc, shift);
        }
        for (int i = 0; i < j->reduced.n; i++) {
            base += j->reduced.stride[i];
            if (++index[i] < j->reduced.dims[i]) {
                break;
            }
            base -= index[i] * j->reduced.stride[i];
            index[i] = 0;
        }
    }
}

/* A double from an accumulator: sums of integers are signed unless the type is not. */
static double as_double(mrt_dtype dtype, mrt_fold_kind kind, const void *acc, int64_t i) {
    if (mrt_dtype_is_float(dtype) || kind == MRT_FOLD_EXP) {
        return ((const double *)acc)[i];
    }
    const uint64_t bits = ((const uint64_t *)acc)[i];
    return dtype == MRT_U32 || dtype == MRT_U64 ? (double)bits : (double)(int64_t)bits;
}

static double finish_double(const reduce_job *j, double v, double shift) {
    const bool single = j->x->dtype == MRT_F32;
    switch (j->mode) {
    case MRT_REDUCE_MEAN:
        return v / (double)j->total;
    case MRT_REDUCE_L2:
        return sqrt(v);
    case MRT_REDUCE_LOG_SUM:
        return single ? mrt_d_log_(v) : log(v);
    case MRT_REDUCE_LOG_SUM_EXP:
        return shift + (single ? mrt_d_log_(v) : log(v));
    default:
        return v;
    }
}

/* Integer results that are exact: the low bits, or the quotient toward zero. */
static uint64_t finish_int(const reduce_job *j, uint64_t bits) {
    if (j->mode != MRT_REDUCE_MEAN) {
        return bits;
    }
    if (j->total == 0) {
        return 0;
    }
    const bool is_unsigned = j->x->dtype == MRT_U32 || j->x->dtype == MRT_U64;
    return is_unsigned ? bits / (uint64_t)j->total : (uint64_t)((int64_t)bits / j->total);
}

/* Writes n results from their accumulators. */
static void finish(const reduce_job *j, const void *acc, const double *shift, int64_t n, void *y) {
    const mrt_dtype dtype = j->x->dtype;
    const mrt_fold_kind kind = kind_of[j->mode];
    if (kind == MRT_FOLD_MAX || kind == MRT_FOLD_MIN) {
        memcpy(y, acc, (size_t)n * mrt_dtype_bytes(dtype));
        return;
    }
    const bool real = mrt_dtype_is_float(dtype) || j->mode == MRT_REDUCE_L2 ||
                      j->mode == MRT_REDUCE_LOG_SUM || j->mode == MRT_REDUCE_LOG_SUM_EXP;
    double values[MRT_REDUCE_BLOCK];
    uint64_t *bits = (uint64_t *)(void *)values;
    for (int64_t i = 0; i < n; i++) {
        if (real) {
            values[i] = finish_double(j, as_double(dtype, kind, acc, i), shift[i]);
        } else {
            bits[i] = finish_int(j, ((const uint64_t *)acc)[i]);
        }
    }
    mrt_cast_array(real ? MRT_F64 : MRT_U64, values, dtype, y, n);
}

static void clear_infinite(double *shift, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        shift[i] = isfinite(shift[i]) ? shift[i] : 0;
    }
}

/* n columns from element `base` on. */
static void fold_columns(const reduce_job *j, int64_t base, int64_t n, void *acc, double *shift) {
    if (j->max != NULL) {
        j->max->init(acc, n);
        fold_all(j, j->max, base, n, acc, shift);
        mrt_cast_array(j->x->dtype, acc, MRT_F64, shift, n);
        clear_infinite(shift, n);
    }
    j->fold->init(acc, n);
    fold_all(j, j->fold, base, n, acc, shift);
}

/* One run; its result is in the first lane. */
static void fold_run(const reduce_job *j, const mrt_fold *fold, int64_t base, void *lanes,
                     const double *shift) {
    const bool wide = j->inner >= MRT_REDUCE_LANES;
    fold->init(lanes, wide ? MRT_REDUCE_LANES : 1);
    fold_all(j, fold, base, j->inner, lanes, shift);
    if (wide) {
        fold->join(lanes);
    }
}

/* The runs of kept entries [first, first + n). */
static void fold_runs(const reduce_job *j, int64_t first, int64_t n, void *acc, double *shift) {
    const mrt_fold_kind kind = kind_of[j->mode];
    const bool own_type = kind == MRT_FOLD_MAX || kind == MRT_FOLD_MIN;
    const size_t size = own_type ? mrt_dtype_bytes(j->x->dtype) : sizeof(uint64_t);
    uint64_t lanes[MRT_REDUCE_LANES];
    for (int64_t i = 0; i < n; i++) {
        const int64_t base = offset_of(&j->kept, first + i);
        if (j->max != NULL) {
            fold_run(j, j->max, base, lanes, &shift[i]);
            mrt_cast_array(j->x->dtype, lanes, MRT_F64, &shift[i], 1);
            clear_infinite(&shift[i], 1);
        }
        fold_run(j, j->fold, base, lanes, &shift[i]);
        memcpy((char *)acc + (size_t)i * size, lanes, size);
    }
}

static void reduce_tile(void *context, int64_t tile) {
    const reduce_job *j = context;
    const int64_t first = tile * j->items_per_tile;
    const int64_t end = mrt_min64(first + j->items_per_tile, j->items);
    uint64_t acc[MRT_REDUCE_BLOCK];
    double shift[MRT_REDUCE_BLOCK] = {0};
    for (int64_t item = first; item < end; item++) {
        int64_t out, n;
        if (j->inner_reduced) {
            out = item * j->block;
            n = mrt_min64(j->block, j->kept.count - out);
            fold_runs(j, out, n, acc, shift);
        } else {
            const int64_t entry = item / j->blocks, column = item % j->blocks * j->block;
            out = entry * j->inner + column;
            n = mrt_min64(j->block, j->inner - column);
            fold_columns(j, offset_of(&j->kept, entry) + column, n, acc, shift);
        }
        finish(j, acc, shift, n, mrt_elem_at(j->y, out));
    }
}

void mrt_reduce_run(const mrt_call *call) {
    const mrt_reduce_params *p = call->params;
    const mrt_dtype dtype = call->in[0]->dtype;
    if (mrt_shape_count(&call->out[0]->shape) == 0) {
        return;
    }
    reduce_job j = {.mode = p->mode, .x = call->in[0], .y = call->out[0],
                    .fold = mrt_fold_find(kind_of[p->mode], dtype)};
    if (p->mode == MRT_REDUCE_LOG_SUM_EXP) {
        j.max = mrt_fold_find(MRT_FOLD_MAX, dtype);
    }
    plan_axes(&j, p->axes);
    /* Long runs are items of their own, short ones share one so that the finish is paid once. */
    const int64_t side = j.inner_reduced ? j.kept.count : j.inner;
    const int64_t work = mrt_max64(1, j.total);
    j.block = j.inner_reduced ? mrt_max64(1, mrt_min64(MRT_REDUCE_BLOCK, MRT_ELEM_TILE / work))
                              : MRT_REDUCE_BLOCK;
    j.blocks = mrt_div_up(side, j.block);
    j.items = j.inner_reduced ? j.blocks : j.kept.count * j.blocks;
    const int64_t item_work = work < MRT_ELEM_TILE ? work * mrt_min64(j.block, side) : work;
    j.items_per_tile = mrt_max64(1, MRT_ELEM_TILE / item_work);
    mrt_parallel_for(call->pool, mrt_div_up(j.items, j.items_per_tile), reduce_tile, &j);
}
