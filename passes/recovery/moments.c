/* Moments of layer inputs: sums of x x' and x over positions of the training samples. */
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/layers.h"
#include "utils/arena.h"
#include "utils/map.h"
#include "utils/progress.h"

enum { POSITIONS = 192, BLOCK = 16 };

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

typedef struct product {
    const float *rows;
    float *squares;
    int64_t n, per;
} product;

/* Rows [tile * BLOCK, ...) of the lower triangle; the order of additions is fixed. */
static void add_block(void *context, int64_t tile) {
    const product *p = context;
    const int64_t last = (tile + 1) * BLOCK < p->per ? (tile + 1) * BLOCK : p->per;
    int64_t r = 0;
    for (; r + 4 <= p->n; r += 4) {
        const float *restrict x0 = p->rows + r * p->per;
        const float *restrict x1 = x0 + p->per;
        const float *restrict x2 = x1 + p->per;
        const float *restrict x3 = x2 + p->per;
        for (int64_t i = tile * BLOCK; i < last; ++i) {
            float *restrict out = p->squares + i * p->per;
            const float a = x0[i];
            const float b = x1[i];
            const float c = x2[i];
            const float d = x3[i];
            if (a == 0.0F && b == 0.0F && c == 0.0F && d == 0.0F) {
                continue;
            }
            for (int64_t j = 0; j <= i; ++j) {
                out[j] += (a * x0[j] + b * x1[j]) + (c * x2[j] + d * x3[j]);
            }
        }
    }
    for (; r < p->n; ++r) {
        const float *x = p->rows + r * p->per;
        for (int64_t i = tile * BLOCK; i < last; ++i) {
            for (int64_t j = 0; j <= i; ++j) {
                p->squares[i * p->per + j] += x[i] * x[j];
            }
        }
    }
}

static void add_layer(gather *g, mica_layer *l, const mrt_tensor *tensor) {
    const float *x = tensor->data;
    const int64_t all = l->is_conv ? l->out_dims[0] * l->out_dims[2] * l->out_dims[3]
                                   : mrt_shape_count(&tensor->shape) / l->per;
    const int64_t n = all < POSITIONS ? all : POSITIONS;
    for (int64_t group = 0; group < l->groups; ++group) {
        for (int64_t i = 0; i < n; ++i) {
            /* Evenly spread, shifted from sample to sample. */
            const int64_t at = (i * all / n + (int64_t)g->sample * 7) % all;
            float *row = g->rows + i * l->per;
            if (l->is_conv) {
                conv_row(l, x, group, at, row);
            } else {
                memcpy(row, x + at * l->per, (size_t)l->per * sizeof *row);
            }
            for (int64_t k = 0; k < l->per; ++k) {
                l->sums[group * l->per + k] += (double)row[k];
            }
        }
        if (l->squares == NULL) {
            continue;
        }
        product p = {g->rows, l->squares + group * l->per * l->per, n, l->per};
        const int64_t tiles = (l->per + BLOCK - 1) / BLOCK;
        mrt_parallel_for(tiles > 4 ? g->pool : NULL, tiles, add_block, &p);
    }
    l->count += n;
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

mica_status mica_layers_moments(mica_module *module, mica_layers *layers, const mica_dataset *dataset,
                                size_t samples, bool with_squares, int threads, bool quiet, mica_error *err) {
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
    mica_progress_begin(&progress, "moments", "samples", (int64_t)samples);
    progress.quiet = progress.quiet || quiet;
    mica_status status = MICA_OK;
    for (g.sample = 0; g.sample < samples && status == MICA_OK; ++g.sample) {
        status = mica_runner_run(runner, dataset, g.sample, observe, &g, err);
        mica_progress_step(&progress, 1);
    }
    mica_progress_end(&progress);
    mrt_pool_destroy(g.pool);
    mica_free(g.by_tensor);
    mica_free(g.rows);
    mica_runner_close(runner);
    return status;
}
