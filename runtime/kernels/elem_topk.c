/* topk: the k largest or smallest elements along one axis, best first (also when `sorted` is 0); of
 * equal ones the lower index comes first. NaN counts as larger than everything, -0 equals +0.
 *
 * Elements become 64-bit keys whose unsigned order is the wanted order, so that one heap selection
 * serves all types. */
#include "runtime/kernels/elem_util.h"
#include "runtime/kernels/move_util.h"

#include <string.h>

enum { MAX_TILES = 16, CHUNK = 256 };

typedef struct entry {
    uint64_t key;
    int64_t index;
} entry;

typedef struct topk_job {
    const mrt_tensor *x;
    char *values;
    int64_t *indices;
    int64_t n, k, inner, rows, rows_per_tile;
    uint64_t flip; /* all ones to select the smallest */
    void (*keys)(const void *x, int64_t first, int64_t step, int64_t count, uint64_t *out);
    entry *heap;   /* k entries per tile */
} topk_job;

static uint64_t key_F64(double v) {
    uint64_t bits;
    const double plain = v == 0 ? 0 : v; /* -0 is 0 */
    memcpy(&bits, &plain, sizeof bits);
    return v != v ? UINT64_MAX : bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}
static uint64_t key_F32(float v) { return key_F64(v); }
static uint64_t signed_key(int64_t v) { return (uint64_t)v ^ UINT64_C(1) << 63; }
static uint64_t unsigned_key(uint64_t v) { return v; }

#define TYPES(X)                                                                                   \
    X(F32, float, key_F32) X(F64, double, key_F64) X(I8, int8_t, signed_key)                       \
    X(U8, uint8_t, unsigned_key) X(I16, int16_t, signed_key) X(U16, uint16_t, unsigned_key)        \
    X(I32, int32_t, signed_key) X(U32, uint32_t, unsigned_key) X(I64, int64_t, signed_key)         \
    X(U64, uint64_t, unsigned_key)
#define KEYS(TAG, T, KEY)                                                                          \
    static void keys_##TAG(const void *px, int64_t first, int64_t step, int64_t count,             \
                           uint64_t *out) {                                                        \
        const T *x = (const T *)px + first;                                                        \
        for (int64_t i = 0; i < count; i++) {                                                      \
            out[i] = KEY(x[i * step]);                                                             \
        }                                                                                          \
    }
TYPES(KEYS)
static void (*const key_fns[MRT_BOOL + 1])(const void *, int64_t, int64_t, int64_t, uint64_t *) = {
#define X(TAG, T, KEY) [MRT_##TAG] = keys_##TAG,
    TYPES(X)
#undef X
};

/* a comes after b in the result. */
static inline bool worse(const entry *a, const entry *b) {
    return a->key < b->key || (a->key == b->key && a->index > b->index);
}

/* Lets the entry at `at` sink; the worst entry is at the root. */
static void sink(entry *heap, int64_t size, int64_t at) {
    const entry e = heap[at];
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= size) {
            break;
        }
        if (child + 1 < size && worse(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!worse(&heap[child], &e)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = e;
}

/* Leaves the k best entries of the line in the heap, best first. */
static void select_line(const topk_job *j, int64_t base, entry *heap) {
    uint64_t keys[CHUNK];
    for (int64_t i = 0; i < j->n; i += CHUNK) {
        const int64_t count = mrt_min64(CHUNK, j->n - i);
        j->keys(j->x->data, base + i * j->inner, j->inner, count, keys);
        for (int64_t c = 0; c < count; c++) {
            const entry e = {keys[c] ^ j->flip, i + c};
            if (e.index < j->k) {
                heap[e.index] = e;
                if (e.index == j->k - 1) {
                    for (int64_t at = j->k / 2; at-- > 0;) {
                        sink(heap, j->k, at);
                    }
                }
            } else if (e.key > heap[0].key) { /* an equal key has a lower index already */
                heap[0] = e;
                sink(heap, j->k, 0);
            }
        }
    }
    for (int64_t size = j->k - 1; size > 0; size--) {
        const entry worst = heap[0];
        heap[0] = heap[size];
        heap[size] = worst;
        sink(heap, size, 0);
    }
}

static void topk_tile(void *context, int64_t tile) {
    const topk_job *j = context;
    const int64_t elem = (int64_t)mrt_dtype_bytes(j->x->dtype);
    const int64_t end = mrt_min64((tile + 1) * j->rows_per_tile, j->rows);
    entry *heap = j->heap + tile * j->k;
    for (int64_t row = tile * j->rows_per_tile; row < end; row++) {
        const int64_t outer = row / j->inner, column = row % j->inner;
        const int64_t base = outer * j->n * j->inner + column;
        const char *x = mrt_elem_at(j->x, base);
        select_line(j, base, heap);
        for (int64_t i = 0; i < j->k; i++) {
            const int64_t to = (outer * j->k + i) * j->inner + column;
            mrt_move_unit(j->values + to * elem, x + heap[i].index * j->inner * elem, elem);
            j->indices[to] = heap[i].index;
        }
    }
}

mrt_status mrt_topk_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_topk_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0), *indices = mrt_out(call, 1);
    MRT_TRY(mrt_elem_check_number(x, "x", err));
    MRT_TRY(mrt_check_same_dtype(y, "values", x, "x", err));
    MRT_TRY(mrt_check_rank(y, "values", x->shape.rank, x->shape.rank, err));
    MRT_TRY(mrt_check_dtype(indices, "indices", MRT_I64, err));
    MRT_TRY(mrt_check_same_shape(indices, "indices", y, "values", err));
    MRT_TRY(mrt_check_axis(p->axis, x, err));
    if (key_fns[x->dtype] == NULL) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': no order of %s",
                        mrt_dtype_name(x->dtype));
    }
    for (int i = 0; i < x->shape.rank; i++) {
        if (i != p->axis) {
            MRT_TRY(mrt_check_dim(y, "values", i, x->shape.dims[i], err));
        }
    }
    const int64_t k = y->shape.dims[p->axis];
    MRT_TRY(mrt_check_param(k, "k", 0, x->shape.dims[p->axis], err));
    const int64_t rows = k == 0 ? 0 : mrt_shape_count(&y->shape) / k;
    if (!mrt_mul_bytes((size_t)k, sizeof(entry) * (size_t)mrt_min64(rows, MAX_TILES),
                       out_scratch)) {
        return mrt_fail(err, MRT_INVALID, "operand 'values': too large");
    }
    return MRT_OK;
}

void mrt_topk_run(const mrt_call *call) {
    const mrt_topk_params *p = call->params;
    const mrt_tensor *x = call->in[0], *y = call->out[0];
    const int64_t count = mrt_shape_count(&y->shape);
    if (count == 0) {
        return;
    }
    topk_job j = {.x = x, .values = y->data, .indices = call->out[1]->data,
                  .n = x->shape.dims[p->axis], .k = y->shape.dims[p->axis],
                  .flip = p->largest ? 0 : UINT64_MAX, .keys = key_fns[x->dtype],
                  .heap = call->scratch};
    j.inner = mrt_shape_range(&x->shape, (int)p->axis + 1, x->shape.rank);
    j.rows = count / j.k;
    j.rows_per_tile = mrt_div_up(j.rows, MAX_TILES);
    mrt_parallel_for(call->pool, mrt_div_up(j.rows, j.rows_per_tile), topk_tile, &j);
}
