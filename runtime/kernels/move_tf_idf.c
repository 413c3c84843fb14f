/* tf_idf: how often each n-gram of a pool occurs in every row of x[C] or x[N,C], ONNX
 * TfIdfVectorizer. Items of an n-gram may lie 1 to max_skip + 1 places apart, all of them by the same
 * distance; a single item is counted once. Weights are added in the order length, distance, place.
 *
 * pool holds all n-grams of one item, then those of two, ...; starts[n - 1] is where those of n items
 * begin. N-grams of one length are sorted, so that they are found by halving. A pool that breaks
 * these rules gives wrong counts, never an access outside of it. */
#include "runtime/kernels/move_util.h"

#include <assert.h>

typedef struct tf_idf_job {
    const mrt_call *call;
    int64_t rows, width, size;
} tf_idf_job;

/* N-grams of one length. */
typedef struct tf_idf_grams {
    const int64_t *items;
    int64_t length, count;
    int64_t first; /* number of the first one among all */
} tf_idf_grams;

static mrt_status resolve(const mrt_call *call, tf_idf_job *j, mrt_error *err) {
    const mrt_tf_idf_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *columns = mrt_in(call, 3), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype2(x, "x", MRT_I64, MRT_I32, err));
    MRT_TRY(mrt_check_rank(x, "x", 1, 2, err));
    MRT_TRY(mrt_check_dtype(mrt_in(call, 1), "pool", MRT_I64, err));
    MRT_TRY(mrt_check_rank(mrt_in(call, 1), "pool", 1, 1, err));
    MRT_TRY(mrt_check_dtype(mrt_in(call, 2), "starts", MRT_I64, err));
    MRT_TRY(mrt_check_rank(mrt_in(call, 2), "starts", 1, 1, err));
    MRT_TRY(mrt_check_dtype(columns, "columns", MRT_I64, err));
    MRT_TRY(mrt_check_rank(columns, "columns", 1, 1, err));
    MRT_TRY(mrt_check_dtype(mrt_in(call, 4), "weights", MRT_F32, err));
    MRT_TRY(mrt_check_shape1(mrt_in(call, 4), "weights", columns->shape.dims[0], err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(y, "y", x->shape.rank, x->shape.rank, err));
    if (x->shape.rank == 2) {
        MRT_TRY(mrt_check_dim(y, "y", 0, x->shape.dims[0], err));
    }
    MRT_TRY(mrt_check_param(p->mode, "mode", MRT_TF, MRT_TF_IDF, err));
    MRT_TRY(mrt_check_param(p->min_length, "min_length", 1, INT32_MAX, err));
    MRT_TRY(mrt_check_param(p->max_length, "max_length", p->min_length, INT32_MAX, err));
    MRT_TRY(mrt_check_param(p->max_skip, "max_skip", 0, INT32_MAX, err));
    const int last = x->shape.rank - 1;
    *j = (tf_idf_job){call, last == 0 ? 1 : x->shape.dims[0], x->shape.dims[last],
                      y->shape.dims[last]};
    return MRT_OK;
}

/* False when the pool has none of this length, which is at most the number of starts. */
static bool grams_of(const mrt_call *call, int64_t length, tf_idf_grams *g) {
    const int64_t *starts = call->in[2]->data;
    const int64_t lengths = call->in[2]->shape.dims[0], total = call->in[1]->shape.dims[0];
    const int64_t known = call->in[3]->shape.dims[0];
    *g = (tf_idf_grams){.length = length};
    int64_t end = 0;
    for (int64_t n = 1; n <= length; n++) {
        const int64_t begin = starts[n - 1];
        end = n < lengths ? starts[n] : total;
        if (begin < 0 || end < begin || end > total) {
            return false;
        }
        g->first += g->count;
        g->count = (end - begin) / n;
        g->items = (const int64_t *)call->in[1]->data + begin;
    }
    g->count = mrt_min64(g->count, known - g->first);
    return g->count > 0;
}

static int64_t item_at(const mrt_tensor *x, int64_t i) {
    return x->dtype == MRT_I64 ? ((const int64_t *)x->data)[i] : ((const int32_t *)x->data)[i];
}

/* Number of the n-gram at x[at], x[at + distance], ... among all; -1: not in the pool. */
static int64_t find(const tf_idf_grams *g, const mrt_tensor *x, int64_t at, int64_t distance) {
    int64_t low = 0, high = g->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const int64_t *gram = g->items + middle * g->length;
        int64_t i = 0;
        while (i < g->length && gram[i] == item_at(x, at + i * distance)) {
            i++;
        }
        if (i == g->length) {
            return g->first + middle;
        }
        if (gram[i] < item_at(x, at + i * distance)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return -1;
}

static void count_row(void *context, int64_t row) {
    const tf_idf_job *j = context;
    const mrt_tf_idf_params *p = j->call->params;
    const int64_t *columns = j->call->in[3]->data;
    const float *weights = j->call->in[4]->data;
    float *y = (float *)j->call->out[0]->data + row * j->size;
    for (int64_t i = 0; i < j->size; i++) {
        y[i] = 0.0f;
    }
    const int64_t longest = mrt_min64(p->max_length, j->call->in[2]->shape.dims[0]);
    for (int64_t n = p->min_length; n <= longest; n++) {
        tf_idf_grams g;
        if (!grams_of(j->call, n, &g)) {
            continue;
        }
        const int64_t farthest = n == 1 ? 1 : mrt_min64(p->max_skip + 1, (j->width - 1) / (n - 1));
        for (int64_t distance = 1; distance <= farthest; distance++) {
            for (int64_t i = 0; i + distance * (n - 1) < j->width; i++) {
                const int64_t id = find(&g, j->call->in[0], row * j->width + i, distance);
                if (id < 0 || columns[id] < 0 || columns[id] >= j->size) {
                    continue;
                }
                float *out = &y[columns[id]];
                *out = p->mode == MRT_IDF ? weights[id]
                                          : *out + (p->mode == MRT_TF ? 1.0f : weights[id]);
            }
        }
    }
}

mrt_status mrt_tf_idf_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    tf_idf_job j;
    *out_scratch = 0;
    return resolve(call, &j, err);
}

void mrt_tf_idf_run(const mrt_call *call) {
    tf_idf_job j;
    const mrt_status status = resolve(call, &j, NULL);
    assert(status == MRT_OK);
    (void)status;
    mrt_parallel_for(call->pool, j.rows, count_row, &j);
}
