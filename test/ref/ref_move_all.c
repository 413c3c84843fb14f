#include "test/ref/ref_move_all.h"

#include <math.h>
#include <string.h>

#define FOR_EACH(y, index)                                                                         \
    int64_t index[MRT_MAX_RANK + 1];                                                               \
    for (int64_t i = 0; i < ref_count(y) && (ref_unravel(y, i, index), true); i++)

void ref_permute(const mrt_tensor *x, const int64_t *order, mrt_tensor *y) {
    FOR_EACH(y, index) {
        int64_t from[MRT_MAX_RANK] = {0};
        for (int k = 0; k < x->shape.rank; k++) {
            from[order[k]] = index[k];
        }
        ref_copy_elem(y, i, x, ref_ravel(x, from));
    }
}

void ref_concat(const mrt_tensor *const *x, int n, int axis, mrt_tensor *y) {
    FOR_EACH(y, index) {
        int t = 0;
        for (; t < n - 1 && index[axis] >= x[t]->shape.dims[axis]; t++) {
            index[axis] -= x[t]->shape.dims[axis];
        }
        ref_copy_elem(y, i, x[t], ref_ravel(x[t], index));
    }
}

void ref_slice(const mrt_tensor *x, const int64_t *start, const int64_t *step, mrt_tensor *y) {
    FOR_EACH(y, index) {
        for (int k = 0; k < x->shape.rank; k++) {
            index[k] = start[k] + index[k] * step[k];
        }
        ref_copy_elem(y, i, x, ref_ravel(x, index));
    }
}

void ref_pad(const mrt_tensor *x, int mode, const int64_t *begin, double value, mrt_tensor *y) {
    FOR_EACH(y, index) {
        bool inside = true;
        for (int k = 0; k < x->shape.rank; k++) {
            const int64_t dim = x->shape.dims[k];
            int64_t at = index[k] - begin[k];
            while (mode != 0 && (at < 0 || at >= dim)) {
                if (mode == 1) {
                    at = dim == 1 ? 0 : at < 0 ? -at : 2 * (dim - 1) - at;
                } else if (mode == 2) {
                    at = at < 0 ? 0 : dim - 1;
                } else {
                    at += at < 0 ? dim : -dim;
                }
            }
            inside = inside && at >= 0 && at < dim;
            index[k] = at;
        }
        if (inside) {
            ref_copy_elem(y, i, x, ref_ravel(x, index));
        } else {
            ref_store(y, i, value);
        }
    }
}

void ref_expand(const mrt_tensor *x, mrt_tensor *y) {
    FOR_EACH(y, index) { ref_copy_elem(y, i, x, ref_broadcast(x, index, y->shape.rank)); }
}

void ref_tile(const mrt_tensor *x, mrt_tensor *y) {
    FOR_EACH(y, index) {
        for (int k = 0; k < x->shape.rank; k++) {
            index[k] %= x->shape.dims[k];
        }
        ref_copy_elem(y, i, x, ref_ravel(x, index));
    }
}

/* Index i of the tensor, wrapped; -1 when out of range. */
static int64_t wrapped(const mrt_tensor *indices, int64_t i, int64_t dim) {
    int64_t at = (int64_t)ref_load_bits(indices, i);
    at = at < 0 ? at + dim : at;
    return at >= 0 && at < dim ? at : -1;
}

void ref_gather(const mrt_tensor *x, const mrt_tensor *indices, int axis, int batch,
                mrt_tensor *y) {
    const int n = indices->shape.rank;
    FOR_EACH(y, index) {
        int64_t where[MRT_MAX_RANK], from[MRT_MAX_RANK];
        for (int k = 0; k < n; k++) {
            where[k] = k < batch ? index[k] : index[axis + k - batch];
        }
        const int64_t at = wrapped(indices, ref_ravel(indices, where), x->shape.dims[axis]);
        for (int k = 0; k < x->shape.rank; k++) {
            from[k] = k < axis ? index[k] : k == axis ? at : index[k - 1 + n - batch];
        }
        if (at < 0) {
            ref_zero_elem(y, i);
        } else {
            ref_copy_elem(y, i, x, ref_ravel(x, from));
        }
    }
}

void ref_gather_elements(const mrt_tensor *x, const mrt_tensor *indices, int axis, mrt_tensor *y) {
    FOR_EACH(y, index) {
        index[axis] = wrapped(indices, i, x->shape.dims[axis]);
        if (index[axis] < 0) {
            ref_zero_elem(y, i);
        } else {
            ref_copy_elem(y, i, x, ref_ravel(x, index));
        }
    }
}

void ref_gather_nd(const mrt_tensor *x, const mrt_tensor *indices, int batch, mrt_tensor *y) {
    const int lead = indices->shape.rank - 1;
    const int depth = (int)indices->shape.dims[lead];
    FOR_EACH(y, index) {
        int64_t where[MRT_MAX_RANK], from[MRT_MAX_RANK];
        memcpy(where, index, sizeof where);
        bool inside = true;
        for (int k = 0; k < x->shape.rank; k++) {
            if (k < batch) {
                from[k] = index[k];
            } else if (k < batch + depth) {
                where[lead] = k - batch;
                from[k] = wrapped(indices, ref_ravel(indices, where), x->shape.dims[k]);
                inside = inside && from[k] >= 0;
            } else {
                from[k] = index[lead + k - batch - depth];
            }
        }
        if (inside) {
            ref_copy_elem(y, i, x, ref_ravel(x, from));
        } else {
            ref_zero_elem(y, i);
        }
    }
}

static void update(mrt_tensor *y, int64_t to, const mrt_tensor *updates, int64_t from,
                   int reduction) {
    const double a = ref_load(y, to), b = ref_load(updates, from);
    switch (reduction) {
    case 0:
        ref_copy_elem(y, to, updates, from);
        return;
    case 1:
        if (ref_is_float(y->dtype)) {
            ref_store(y, to, a + b);
        } else {
            ref_store_bits(y, to, ref_load_bits(y, to) + ref_load_bits(updates, from));
        }
        return;
    case 2:
        if (ref_is_float(y->dtype)) {
            ref_store(y, to, a * b);
        } else {
            ref_store_bits(y, to, ref_load_bits(y, to) * ref_load_bits(updates, from));
        }
        return;
    case 3:
        ref_store(y, to, fmax(a, b));
        return;
    default:
        ref_store(y, to, fmin(a, b));
    }
}

void ref_scatter_elements(const mrt_tensor *x, const mrt_tensor *indices,
                          const mrt_tensor *updates, int axis, int reduction, mrt_tensor *y) {
    for (int64_t i = 0; i < ref_count(x); i++) {
        ref_copy_elem(y, i, x, i);
    }
    FOR_EACH(indices, index) {
        index[axis] = wrapped(indices, i, x->shape.dims[axis]);
        if (index[axis] >= 0) {
            update(y, ref_ravel(y, index), updates, i, reduction);
        }
    }
}

void ref_scatter_nd(const mrt_tensor *x, const mrt_tensor *indices, const mrt_tensor *updates,
                    int reduction, mrt_tensor *y) {
    const int lead = indices->shape.rank - 1;
    const int depth = (int)indices->shape.dims[lead];
    for (int64_t i = 0; i < ref_count(x); i++) {
        ref_copy_elem(y, i, x, i);
    }
    FOR_EACH(updates, index) {
        int64_t where[MRT_MAX_RANK], to[MRT_MAX_RANK];
        memcpy(where, index, sizeof where);
        bool inside = true;
        for (int k = 0; k < x->shape.rank; k++) {
            if (k < depth) {
                where[lead] = k;
                to[k] = wrapped(indices, ref_ravel(indices, where), x->shape.dims[k]);
                inside = inside && to[k] >= 0;
            } else {
                to[k] = index[lead + k - depth];
            }
        }
        if (inside) {
            update(y, ref_ravel(y, to), updates, i, reduction);
        }
    }
}

/* Position in the deep tensor [N,D,H,W] of pixel `index` of the wide tensor. */
static int64_t deep_position(const mrt_tensor *deep, const mrt_tensor *wide, const int64_t *index,
                             int64_t block, bool crd) {
    const int64_t i = index[2] % block, j = index[3] % block, channels = wide->shape.dims[1];
    const int64_t channel = crd ? (index[1] * block + i) * block + j
                                : (i * block + j) * channels + index[1];
    const int64_t at[4] = {index[0], channel, index[2] / block, index[3] / block};
    return ref_ravel(deep, at);
}

void ref_depth_to_space(const mrt_tensor *x, int64_t block, bool crd, mrt_tensor *y) {
    FOR_EACH(y, index) { ref_copy_elem(y, i, x, deep_position(x, y, index, block, crd)); }
}

void ref_space_to_depth(const mrt_tensor *x, int64_t block, bool crd, mrt_tensor *y) {
    FOR_EACH(x, index) { ref_copy_elem(y, deep_position(y, x, index, block, crd), x, i); }
}

void ref_trilu(const mrt_tensor *x, int64_t k, bool upper, mrt_tensor *y) {
    const int rank = x->shape.rank;
    FOR_EACH(y, index) {
        const int64_t diagonal = index[rank - 1] - index[rank - 2];
        if (upper ? diagonal >= k : diagonal <= k) {
            ref_copy_elem(y, i, x, i);
        } else {
            ref_zero_elem(y, i);
        }
    }
}

void ref_one_hot(const mrt_tensor *indices, const mrt_tensor *values, int axis, mrt_tensor *y) {
    FOR_EACH(y, index) {
        int64_t where[MRT_MAX_RANK];
        for (int k = 0; k < indices->shape.rank; k++) {
            where[k] = index[k + (k >= axis)];
        }
        const int64_t depth = y->shape.dims[axis];
        double at = ref_load(indices, ref_ravel(indices, where));
        at = at < 0 ? at + (double)depth : at;
        ref_copy_elem(y, i, values, at == (double)index[axis]);
    }
}
