/* unique: the different slices of x along an axis; where each came first, which one every slice
 * is, and how often each occurs. Sorted, slices are compared element by element in row-major order,
 * NaNs as the largest value and equal to each other; unsorted, they keep the order of x. */
#include "runtime/kernels/move_util.h"
#include "runtime/mrt_half.h"

mrt_status mrt_unique_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    static const char *const names[] = {"y", "indices", "inverse", "counts"};
    const mrt_axis_params *p = call->params;
    MRT_TRY(mrt_move_check_pair(call, err));
    const mrt_tensor *x = call->in[0];
    MRT_TRY(mrt_check_rank(x, "x", 1, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_axis(p->axis, x, err));
    const int64_t n = x->shape.dims[p->axis];
    for (int k = 0; k < call->n_out; k++) {
        const mrt_tensor *y = call->out[k];
        const int axis = k == 0 ? (int)p->axis : 0;
        MRT_TRY(k == 0 ? MRT_OK : mrt_check_dtype(y, names[k], MRT_I64, err));
        MRT_TRY(mrt_check_rank(y, names[k], k == 0 ? x->shape.rank : 1,
                               k == 0 ? x->shape.rank : 1, err));
        if (k == 2 ? y->shape.dims[0] != n : y->shape.dims[axis] < n) {
            return mrt_fail(err, MRT_INVALID, "operand '%s': expected room for %" PRId64
                            " slices, got %" PRId64, names[k], n, y->shape.dims[axis]);
        }
    }
    for (int i = 0; i < x->shape.rank; i++) {
        if (i != p->axis) {
            MRT_TRY(mrt_check_dim(call->out[0], "y", i, x->shape.dims[i], err));
        }
    }
    if (!mrt_mul_bytes((size_t)n, 4 * sizeof(int64_t), out_scratch)) {
        return mrt_fail(err, MRT_INVALID, "operand 'x': too many slices");
    }
    return MRT_OK;
}

/* --- order of slices -------------------------------------------------------------------------- */

typedef struct slices {
    const void *data;
    mrt_dtype dtype;
    int64_t outer, dim, inner; /* slice i: elements (o, i, k) */
} slices;

static double as_double(mrt_dtype dtype, const void *data, int64_t i) {
    switch (dtype) {
    case MRT_F32:
        return (double)((const float *)data)[i];
    case MRT_F16:
        return (double)mrt_f16_to_f32(((const uint16_t *)data)[i]);
    case MRT_BF16:
        return (double)mrt_bf16_to_f32(((const uint16_t *)data)[i]);
    default:
        return ((const double *)data)[i];
    }
}

static int order_f64(double a, double b) {
    if (a != a || b != b) {
        return (a != a) - (b != b);
    }
    return (a > b) - (a < b);
}

#define ORDER(type)                                                                                \
    ((((const type *)data)[i] > ((const type *)data)[j]) -                                         \
     (((const type *)data)[i] < ((const type *)data)[j]))

static int order_elements(mrt_dtype dtype, const void *data, int64_t i, int64_t j) {
    switch (dtype) {
    case MRT_I8:
        return ORDER(int8_t);
    case MRT_I16:
        return ORDER(int16_t);
    case MRT_I32:
        return ORDER(int32_t);
    case MRT_I64:
        return ORDER(int64_t);
    case MRT_U16:
        return ORDER(uint16_t);
    case MRT_U32:
        return ORDER(uint32_t);
    case MRT_U64:
        return ORDER(uint64_t);
    case MRT_F32:
    case MRT_F64:
    case MRT_F16:
    case MRT_BF16:
        return order_f64(as_double(dtype, data, i), as_double(dtype, data, j));
    default:
        return ORDER(uint8_t);
    }
}

static int order_slices(const slices *s, int64_t a, int64_t b) {
    for (int64_t o = 0; o < s->outer; o++) {
        for (int64_t k = 0; k < s->inner; k++) {
            const int order = order_elements(s->dtype, s->data, (o * s->dim + a) * s->inner + k,
                                             (o * s->dim + b) * s->inner + k);
            if (order != 0) {
                return order;
            }
        }
    }
    return 0;
}

/* Stable, so that the first of equal slices comes first. Returns the buffer that is sorted. */
static int64_t *merge_sort(const slices *s, int64_t *from, int64_t *to) {
    const int64_t n = s->dim;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t low = 0; low < n; low += 2 * width) {
            const int64_t middle = mrt_min64(low + width, n), high = mrt_min64(low + 2 * width, n);
            int64_t a = low, b = middle;
            for (int64_t i = low; i < high; i++) {
                const bool left =
                    a < middle && (b >= high || order_slices(s, from[a], from[b]) <= 0);
                to[i] = left ? from[a++] : from[b++];
            }
        }
        int64_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

/* --- results ---------------------------------------------------------------------------------- */

static void write_slices(const slices *s, int64_t item, const int64_t *first, int64_t n,
                         char *out) {
    const int64_t bytes = s->inner * item;
    const char *data = s->data;
    for (int64_t o = 0; o < s->outer; o++) {
        for (int64_t i = 0; i < n; i++) {
            mrt_move_unit(out + (o * n + i) * bytes, data + (o * s->dim + first[i]) * bytes, bytes);
        }
    }
}

void mrt_unique_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = call->in[0];
    const int axis = (int)p->axis;
    const slices s = {x->data, x->dtype, mrt_shape_range(&x->shape, 0, axis),
                      x->shape.dims[axis], mrt_shape_range(&x->shape, axis + 1, x->shape.rank)};
    const int64_t n = s.dim;
    int64_t *order = call->scratch, *spare = order + n, *first_of = spare + n, *id = first_of + n;
    for (int64_t i = 0; i < n; i++) {
        order[i] = i;
    }
    int64_t *sorted = merge_sort(&s, order, spare);
    int64_t *firsts = sorted == order ? spare : order, found = 0;
    for (int64_t i = 0; i < n; i++) {
        const bool same = i > 0 && order_slices(&s, sorted[i - 1], sorted[i]) == 0;
        first_of[sorted[i]] = same ? first_of[sorted[i - 1]] : sorted[i];
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t slice = p->flag != 0 ? sorted[i] : i;
        if (first_of[slice] == slice) {
            id[slice] = found;
            firsts[found++] = slice;
        }
    }
    write_slices(&s, mrt_move_elem(x), firsts, found, call->out[0]->data);
    call->out[0]->shape.dims[axis] = found;
    if (call->n_out > 1) {
        memcpy(call->out[1]->data, firsts, (size_t)found * sizeof *firsts);
        call->out[1]->shape.dims[0] = found;
    }
    int64_t *inverse = call->n_out > 2 ? call->out[2]->data : NULL;
    int64_t *counts = call->n_out > 3 ? call->out[3]->data : NULL;
    for (int64_t i = 0; i < found && counts != NULL; i++) {
        counts[i] = 0;
    }
    for (int64_t i = 0; i < n && inverse != NULL; i++) {
        inverse[i] = id[first_of[i]];
        if (counts != NULL) {
            counts[inverse[i]]++;
        }
    }
    if (counts != NULL) {
        call->out[3]->shape.dims[0] = found;
    }
}
