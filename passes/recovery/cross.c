#include "passes/recovery/cross.h"

#include <string.h>

#include "dialects/top/top.h"
#include "runtime/kernels/float_gemm.h"
#include "runtime/mrt_params.h"
#include "utils/arena.h"

enum { WIDE_POSITIONS = 192, SMALL_POSITIONS = 48, SMALL = 64, ROWS = 64 };

typedef struct gather {
    const mica_layer *layer;
    mica_cross *to;         /* of this batch */
    int64_t positions, all; /* per sample: taken, and those there are */
    int64_t elements;       /* of the input */
    size_t first, count;    /* samples of this batch */
    const float *want[MICA_PREFIX_BATCH], *got[MICA_PREFIX_BATCH];
    float *rounded;         /* [MICA_PREFIX_BATCH][elements]: got as the layer reads it */
    mica_levels grid;
    float *q, *d;           /* rows of the only group; NULL: every group has its own */
    const float *want_beside[MICA_PREFIX_BATCH], *got_beside[MICA_PREFIX_BATCH];
    float *e;               /* [rows of q][rows of the layer] */
} gather;

static void round_input(void *context, int64_t i) {
    const gather *g = context;
    mica_levels_round(&g->grid, g->got[i], g->rounded + i * g->elements, g->elements);
}

static int64_t position(const gather *g, int64_t i, int64_t r) {
    /* Evenly spread, shifted from sample to sample. */
    return (r * g->all / g->positions + (int64_t)(g->first + (size_t)i) * 7) % g->all;
}

/* Rows of a group of sample i: x_q and x_f - x_q. */
static void fetch(const gather *g, int64_t group, int64_t i, float *q, float *d) {
    const mica_layer *l = g->layer;
    for (int64_t r = 0; r < g->positions; ++r) {
        const int64_t at = position(g, i, r);
        mica_layer_inputs(l, g->rounded + i * g->elements, group, at, q + r * l->per);
        mica_layer_inputs(l, g->want[i], group, at, d + r * l->per);
        for (int64_t k = 0; k < l->per; ++k) {
            d[r * l->per + k] -= q[r * l->per + k];
        }
    }
}

/* What the value beside the result lacks, rows [first, last) of the layer, of sample i. */
static void fetch_beside(const gather *g, int64_t i, int64_t first, int64_t last, float *e) {
    const mica_layer *l = g->layer;
    const float *want = g->want_beside[i];
    const float *got = g->got_beside[i];
    for (int64_t r = 0; r < g->positions; ++r) {
        const int64_t at = position(g, i, r);
        for (int64_t o = first; o < last; ++o) {
            const int64_t k = l->is_conv ? o * g->all + at : at * l->rows + o;
            e[r * (last - first) + o - first] = want[k] - got[k];
        }
    }
}

static void fetch_sample(void *context, int64_t i) {
    const gather *g = context;
    const int64_t at = i * g->positions * g->layer->per;
    fetch(g, 0, i, g->q + at, g->d + at);
    if (g->to->beside != NULL) {
        fetch_beside(g, i, 0, g->layer->rows, g->e + i * g->positions * g->layer->rows);
    }
}

static void add_sums(double *sums, const float *x, int64_t n, int64_t per, int64_t first, int64_t last) {
    for (int64_t r = 0; r < n; ++r) {
        for (int64_t k = first; k < last; ++k) {
            sums[k] += (double)x[r * per + k];
        }
    }
}

/* to[i][j] += sum over rows of a[i] b[j] for i of [first, last), j < width. */
static void add_products(float *to, const float *a, const float *b, int64_t n, int64_t per, int64_t first,
                         int64_t last, int64_t width) {
    float *sums = mica_alloc((size_t)((last - first) * width) * sizeof *sums);
    const mrt_gemm gemm = {.order = MRT_ORDER_BLAS, .m = last - first, .n = width, .k = n, .a = a + first, .lda = per,
                           .trans_a = true, .b = b, .ldb = per, .c = sums, .ldc = width};
    mrt_gemm_f32(&gemm);
    for (int64_t i = first; i < last; ++i) {
        for (int64_t k = 0; k < width; ++k) {
            to[i * per + k] += sums[(i - first) * width + k];
        }
    }
    mica_free(sums);
}

/* Rows [first, last) of the moments of a group. */
static void add_rows(const gather *g, int64_t group, const float *q, const float *d, int64_t n, int64_t first, int64_t last) {
    const mica_cross *to = g->to;
    const int64_t per = g->layer->per;
    add_sums(to->sums + group * per, q, n, per, first, last);
    add_sums(to->shift + group * per, d, n, per, first, last);
    add_products(to->squares + group * per * per, q, q, n, per, first, last, last);
    add_products(to->cross + group * per * per, d, q, n, per, first, last, per);
}

static void add_tile(void *context, int64_t tile) {
    const gather *g = context;
    const int64_t last = (tile + 1) * ROWS < g->layer->per ? (tile + 1) * ROWS : g->layer->per;
    add_rows(g, 0, g->q, g->d, (int64_t)g->count * g->positions, tile * ROWS, last);
}

/* Rows [first, last) of the layer against x of their group: e is [n][width], from column `from` on. */
static void add_beside(const gather *g, const float *e, int64_t width, int64_t from, const float *q, int64_t n,
                       int64_t first, int64_t last) {
    const int64_t per = g->layer->per;
    const mica_cross *to = g->to;
    float *sums = mica_alloc((size_t)((last - first) * per + 1) * sizeof *sums);
    const mrt_gemm gemm = {.order = MRT_ORDER_BLAS, .m = last - first, .n = per, .k = n, .a = e + from, .lda = width,
                           .trans_a = true, .b = q, .ldb = per, .c = sums, .ldc = per};
    mrt_gemm_f32(&gemm);
    for (int64_t i = 0; i < (last - first) * per; ++i) {
        to->beside[first * per + i] += sums[i];
    }
    for (int64_t r = 0; r < n; ++r) {
        for (int64_t o = first; o < last; ++o) {
            to->beside_shift[o] += (double)e[r * width + from + o - first];
        }
    }
    mica_free(sums);
}

static void add_group(void *context, int64_t group) {
    const gather *g = context;
    const int64_t per = g->layer->per;
    const int64_t n = (int64_t)g->count * g->positions;
    float *q = mica_alloc((size_t)(2 * n * per) * sizeof *q);
    float *d = q + n * per;
    for (size_t i = 0; i < g->count; ++i) {
        const int64_t at = (int64_t)i * g->positions * per;
        fetch(g, group, (int64_t)i, q + at, d + at);
    }
    add_rows(g, group, q, d, n, 0, per);
    if (g->to->beside != NULL) {
        const int64_t each = g->layer->rows / g->layer->groups;
        float *e = mica_alloc((size_t)(n * each + 1) * sizeof *e);
        for (size_t i = 0; i < g->count; ++i) {
            fetch_beside(g, (int64_t)i, group * each, (group + 1) * each, e + (int64_t)i * g->positions * each);
        }
        add_beside(g, e, each, 0, q, n, group * each, (group + 1) * each);
        mica_free(e);
    }
    mica_free(q);
}

static void add_beside_tile(void *context, int64_t tile) {
    const gather *g = context;
    const int64_t rows = g->layer->rows;
    const int64_t last = (tile + 1) * ROWS < rows ? (tile + 1) * ROWS : rows;
    add_beside(g, g->e, rows, tile * ROWS, g->q, (int64_t)g->count * g->positions, tile * ROWS, last);
}

static void add_batch(gather *g, mrt_pool *pool) {
    mrt_parallel_for(pool, (int64_t)g->count, round_input, g);
    if (g->layer->groups > 1) {
        mrt_parallel_for(pool, g->layer->groups, add_group, g);
    } else {
        mrt_parallel_for(pool, (int64_t)g->count, fetch_sample, g);
        mrt_parallel_for(pool, (g->layer->per + ROWS - 1) / ROWS, add_tile, g);
        mrt_parallel_for(pool, g->to->beside != NULL ? (g->layer->rows + ROWS - 1) / ROWS : 0, add_beside_tile, g);
    }
    g->to->count += (int64_t)g->count * g->positions;
}

/* --- a layer ------------------------------------------------------------------------------------ */

static void *zeros(size_t bytes) { return memset(mica_alloc(bytes + 1), 0, bytes + 1); }

void mica_cross_init(mica_cross *c, const mica_layer *l, bool beside) {
    const size_t n = (size_t)(l->groups * l->per);
    *c = (mica_cross){.squares = zeros(n * (size_t)l->per * sizeof(float)), .sums = zeros(n * sizeof(double)),
                      .cross = zeros(n * (size_t)l->per * sizeof(float)), .shift = zeros(n * sizeof(double))};
    c->beside = beside ? zeros((size_t)(l->rows * l->per) * sizeof(float)) : NULL;
    c->beside_shift = beside ? zeros((size_t)l->rows * sizeof(double)) : NULL;
}

void mica_cross_free(mica_cross *c) {
    mica_free(c->squares);
    mica_free(c->cross);
    mica_free(c->sums);
    mica_free(c->shift);
    mica_free(c->beside);
    mica_free(c->beside_shift);
    *c = (mica_cross){0};
}

void mica_cross_add(mica_cross *to, const mica_cross *from, const mica_layer *l) {
    const int64_t n = l->groups * l->per;
    for (int64_t i = 0; i < n * l->per; ++i) {
        to->squares[i] += from->squares[i];
        to->cross[i] += from->cross[i];
    }
    for (int64_t i = 0; i < n; ++i) {
        to->sums[i] += from->sums[i];
        to->shift[i] += from->shift[i];
    }
    for (int64_t i = 0; to->beside != NULL && i < l->rows * l->per; ++i) {
        to->beside[i] += from->beside[i];
    }
    for (int64_t i = 0; to->beside != NULL && i < l->rows; ++i) {
        to->beside_shift[i] += from->beside_shift[i];
    }
    to->count += from->count;
}

const mica_value *mica_cross_beside(const mica_prefix *p, size_t place) {
    const mica_value *result = &p->ops[place]->results[0];
    const mica_op *sum = mica_value_has_one_use(result) ? result->first_use->user : NULL;
    if (sum == NULL || !mica_op_is(sum, "top.Add") || mica_op_bool(p->ops[place], "do_relu")) {
        return NULL;
    }
    const mica_value *other = mica_op_operand(sum, mica_op_operand(sum, 0) == result ? 1 : 0);
    bool same = other->def != NULL && !mica_is_weight(other) && other->type->rank == result->type->rank &&
                (mica_op_is(other->def, "top.Input") || other->def->order < place);
    for (int i = 0; same && i < result->type->rank; ++i) {
        same = other->type->dims[i] == result->type->dims[i];
    }
    return same && mica_type_is_float(mica_type_element(other->type), MICA_F32) ? other : NULL;
}

static void prepare(gather *g, const mica_prefix *p, const mica_value *input) {
    const mica_layer *l = g->layer;
    g->elements = 1;
    for (int i = 0; i < input->type->rank; ++i) {
        g->elements *= input->type->dims[i];
    }
    g->grid = mica_prefix_grid(p, input, l);
    g->all = mica_layer_positions(l, g->elements);
    const int64_t most = l->groups > 1 && l->per <= SMALL ? SMALL_POSITIONS : WIDE_POSITIONS;
    g->positions = g->all < most ? g->all : most;
    const size_t rows = (size_t)(MICA_PREFIX_BATCH * g->positions * l->per);
    g->q = mica_alloc((l->groups > 1 ? 0 : rows) * sizeof *g->q + 1);
    g->d = mica_alloc((l->groups > 1 ? 0 : rows) * sizeof *g->d + 1);
    g->e = mica_alloc((l->groups > 1 ? 0 : rows / (size_t)l->per * (size_t)l->rows) * sizeof *g->e + 1);
    g->rounded = mica_alloc((size_t)g->elements * MICA_PREFIX_BATCH * sizeof *g->rounded + 1);
}

mica_status mica_cross_gather(mica_prefix *p, size_t place, const mica_layer *layer, mica_cross *fit,
                              mica_cross *check, mica_error *err) {
    const mica_value *input = mica_op_operand(p->ops[place], 0);
    const mica_value *other = fit->beside != NULL ? mica_cross_beside(p, place) : NULL;
    mica_view *view = mica_view_open(p, place, input, MICA_WANT | MICA_GOT, err);
    mica_view *beside = view != NULL && other != NULL ? mica_view_open(p, place, other, MICA_WANT | MICA_GOT, err) : NULL;
    if (view == NULL || (other != NULL && beside == NULL)) {
        mica_view_close(view);
        return MICA_FAIL;
    }
    gather g = {.layer = layer};
    prepare(&g, p, input);
    for (g.first = 0; g.first < p->samples; g.first += MICA_PREFIX_BATCH) {
        g.count = p->samples - g.first < MICA_PREFIX_BATCH ? p->samples - g.first : MICA_PREFIX_BATCH;
        g.to = g.first / MICA_PREFIX_BATCH % 3 == 1 ? check : fit;
        mica_view_load(view, g.first, g.count, g.want, g.got);
        if (beside != NULL) {
            mica_view_load(beside, g.first, g.count, g.want_beside, g.got_beside);
        }
        add_batch(&g, p->pool);
    }
    mica_view_close(view);
    mica_view_close(beside);
    mica_free(g.q);
    mica_free(g.d);
    mica_free(g.e);
    mica_free(g.rounded);
    return MICA_OK;
}
