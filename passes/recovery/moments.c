/* Moments of layer inputs: sums of x x' and x over positions of the training samples. */
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/layers.h"
#include "runtime/kernels/float_gemm.h"
#include "runtime/mrt_params.h"
#include "utils/arena.h"
#include "utils/map.h"
#include "utils/progress.h"

enum { POSITIONS = 192, BLOCK = 64, SMALL = 64 };

typedef struct gather {
    mica_layers *layers;
    mica_layer **by_tensor; /* [tensor * 4 + i]: layers that read a tensor of the plan */
    const mrt_plan *plan;
    mrt_pool *pool;
    float *rows; /* POSITIONS inputs of one group */
    size_t sample;
} gather;

/* Inputs of position `at` of group g as one row; padding is 0. */
static void conv_row(const mica_layer *l, const float *x, int64_t g, int64_t at, float *row) {
    const int64_t per_image = l->out_dims[2] * l->out_dims[3];
    const int64_t channels = l->in_dims[1] / l->groups;
    const int64_t h = l->in_dims[2];
    const int64_t w = l->in_dims[3];
    const float *image = x + ((at / per_image) * l->in_dims[1] + g * channels) * h * w;
    const int64_t y0 = at % per_image / l->out_dims[3] * l->strides[0] - l->pads[0];
    const int64_t x0 = at % l->out_dims[3] * l->strides[1] - l->pads[1];
    for (int64_t c = 0; c < channels; ++c) {
        for (int64_t i = 0; i < l->kernel[0]; ++i) {
            for (int64_t j = 0; j < l->kernel[1]; ++j) {
                const int64_t yy = y0 + i * l->dilations[0];
                const int64_t xx = x0 + j * l->dilations[1];
                const bool inside = yy >= 0 && yy < h && xx >= 0 && xx < w;
                *row++ = inside ? image[(c * h + yy) * w + xx] : 0.0F;
            }
        }
    }
}

/* One layer's positions of one sample. */
typedef struct product {
    const gather *gather;
    mica_layer *layer;
    const float *x;
    int64_t all, n; /* positions there are, and taken */
    float *rows;    /* [n][per]; NULL: every group has its own */
} product;

void mica_layer_inputs(const mica_layer *l, const float *x, int64_t group, int64_t at, float *row) {
    if (l->is_conv) {
        conv_row(l, x, group, at, row);
    } else {
        memcpy(row, x + at * l->per, (size_t)l->per * sizeof *row);
    }
}

int64_t mica_layer_positions(const mica_layer *l, int64_t elements) {
    return l->is_conv ? l->out_dims[0] * l->out_dims[2] * l->out_dims[3] : elements / l->per;
}

static void fetch_row(const product *p, int64_t group, int64_t i, float *row) {
    /* Evenly spread, shifted from sample to sample. */
    mica_layer_inputs(p->layer, p->x, group, (i * p->all / p->n + (int64_t)p->gather->sample * 7) % p->all, row);
}

/* A group of few inputs, such as a channel of a depthwise convolution. */
static void add_group(void *context, int64_t group) {
    const product *p = context;
    mica_layer *l = p->layer;
    float row[SMALL];
    float *squares = l->squares != NULL ? l->squares + group * l->per * l->per : NULL;
    for (int64_t r = 0; r < p->n; ++r) {
        fetch_row(p, group, r, row);
        for (int64_t i = 0; i < l->per; ++i) {
            l->sums[group * l->per + i] += (double)row[i];
            for (int64_t j = 0; squares != NULL && j <= i; ++j) {
                squares[i * l->per + j] += row[i] * row[j];
            }
        }
    }
}

static void fetch_tile(void *context, int64_t tile) {
    const product *p = context;
    for (int64_t i = tile * BLOCK; i < (tile + 1) * BLOCK && i < p->n; ++i) {
        fetch_row(p, 0, i, p->rows + i * p->layer->per);
    }
}

/* Rows [tile * BLOCK, ...) of the lower triangle, and their sums. */
static void add_block(void *context, int64_t tile) {
    const product *p = context;
    mica_layer *l = p->layer;
    const int64_t first = tile * BLOCK;
    const int64_t last = first + BLOCK < l->per ? first + BLOCK : l->per;
    for (int64_t r = 0; r < p->n; ++r) {
        for (int64_t i = first; i < last; ++i) {
            l->sums[i] += (double)p->rows[r * l->per + i];
        }
    }
    if (l->squares == NULL) {
        return;
    }
    float *sums = mica_alloc((size_t)((last - first) * last) * sizeof *sums);
    const mrt_gemm gemm = {.order = MRT_ORDER_BLAS, .m = last - first, .n = last, .k = p->n,
                           .a = p->rows + first, .lda = l->per, .trans_a = true, .b = p->rows, .ldb = l->per,
                           .c = sums, .ldc = last};
    mrt_gemm_f32(&gemm);
    for (int64_t i = first; i < last; ++i) {
        for (int64_t j = 0; j <= i; ++j) {
            l->squares[i * l->per + j] += sums[(i - first) * last + j];
        }
    }
    mica_free(sums);
}

/* Groups of many inputs, one after another through one layer that stands for the group. */
static void add_wide(const product *whole, mrt_pool *pool) {
    mica_layer *l = whole->layer;
    for (int64_t group = 0; group < l->groups; ++group) {
        mica_layer one = *l;
        one.sums = l->sums + group * l->per;
        one.squares = l->squares != NULL ? l->squares + group * l->per * l->per : NULL;
        product p = *whole;
        p.layer = &one;
        p.rows = whole->gather->rows;
        if (l->groups > 1) {
            for (int64_t i = 0; i < p.n; ++i) {
                fetch_row(&p, group, i, p.rows + i * l->per);
            }
        } else {
            mrt_parallel_for(pool, (p.n + BLOCK - 1) / BLOCK, fetch_tile, &p);
        }
        mrt_parallel_for(pool, (l->per + BLOCK - 1) / BLOCK, add_block, &p);
    }
}

static void add_layer(gather *g, mica_layer *l, const mrt_tensor *tensor) {
    const int64_t all = mica_layer_positions(l, mrt_shape_count(&tensor->shape));
    product p = {.gather = g, .layer = l, .x = tensor->data, .all = all, .n = all < POSITIONS ? all : POSITIONS};
    if (l->groups > 1 && l->per <= SMALL) {
        mrt_parallel_for(g->pool, l->groups, add_group, &p);
    } else {
        add_wide(&p, g->pool);
    }
    l->count += p.n;
}

static void observe(void *user, int32_t id, const mrt_tensor *tensor) {
    gather *g = user;
    for (int i = 0; i < 4 && g->by_tensor[id * 4 + i] != NULL; ++i) {
        add_layer(g, g->by_tensor[id * 4 + i], tensor);
    }
}

static void connect(gather *g) {
    const mrt_plan *plan = g->plan;
    for (int32_t id = 0; id < plan->n_tensors; ++id) {
        const mrt_plan_tensor *t = &plan->tensors[id];
        if (t->kind == MRT_CONST || t->info.dtype != MRT_F32 || t->info.name == NULL) {
            continue;
        }
        int n = 0;
        for (size_t i = 0; i < g->layers->count && n < 4; ++i) {
            mica_layer *l = &g->layers->list[i];
            if (strcmp(mica_value_name(mica_op_operand(l->op, 0)), t->info.name) == 0) {
                g->by_tensor[id * 4 + n++] = l;
            }
        }
    }
}

size_t mica_spread_sample(size_t i, size_t count, size_t samples) {
    return i * samples / count;
}

/* Samples [0, samples), `count` of them. */
static mica_status collect(mica_module *module, mica_layers *layers, const mica_dataset *dataset, size_t samples,
                           size_t count, bool with_squares, int threads, bool quiet, mica_error *err) {
    const mica_recovery_options options = {.threads = threads};
    mica_runner *runner = mica_runner_open(module, NULL, &options, err);
    if (runner == NULL) {
        return MICA_FAIL;
    }
    int64_t widest = 1;
    for (size_t i = 0; i < layers->count; ++i) {
        mica_layer *l = &layers->list[i];
        widest = l->per > widest ? l->per : widest;
        const size_t n = (size_t)(l->groups * l->per);
        const size_t products = with_squares ? n * (size_t)l->per : 0;
        l->squares = with_squares ? mica_alloc((products + 1) * sizeof *l->squares) : NULL;
        l->sums = mica_alloc((n + 1) * sizeof *l->sums);
        if (with_squares) {
            memset(l->squares, 0, products * sizeof *l->squares);
        }
        memset(l->sums, 0, n * sizeof *l->sums);
    }
    gather g = {.layers = layers, .plan = mica_runner_plan(runner), .pool = mrt_pool_create(threads)};
    const size_t slots = (size_t)g.plan->n_tensors * 4 + 1;
    g.by_tensor = mica_alloc(slots * sizeof *g.by_tensor);
    memset(g.by_tensor, 0, slots * sizeof *g.by_tensor);
    g.rows = mica_alloc((size_t)(POSITIONS * widest) * sizeof *g.rows);
    connect(&g);
    mica_progress progress;
    mica_progress_begin(&progress, "moments", "samples", (int64_t)count);
    progress.quiet = progress.quiet || quiet;
    mica_status status = MICA_OK;
    for (g.sample = 0; g.sample < count && status == MICA_OK; ++g.sample) {
        status = mica_runner_run(runner, dataset, mica_spread_sample(g.sample, count, samples), observe, &g, err);
        mica_progress_step(&progress, 1);
    }
    mica_progress_end(&progress);
    mrt_pool_destroy(g.pool);
    mica_free(g.by_tensor);
    mica_free(g.rows);
    mica_runner_close(runner);
    return status;
}

mica_status mica_layers_moments(mica_module *module, mica_layers *layers, const mica_dataset *dataset,
                                size_t samples, bool with_squares, int threads, bool quiet, mica_error *err) {
    return collect(module, layers, dataset, samples, samples, with_squares, threads, quiet, err);
}

mica_status mica_layers_means(mica_module *module, mica_layers *layers, const mica_dataset *dataset, size_t samples,
                              size_t count, int threads, bool quiet, mica_error *err) {
    return collect(module, layers, dataset, samples, count, false, threads, quiet, err);
}
