/* Level 3: block after block learns the rounding of its weights, and its biases, so that its output comes as near
 * as it can to that of the float block although it reads what the quantized model gives it. A block whose error on
 * samples held back does not fall stays as it was; so do blocks with ops that cannot be learned through. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/blocks.h"
#include "passes/recovery/cross.h"
#include "passes/recovery/learn_train.h"
#include "passes/recovery/log.h"
#include "runtime/mrt_quant.h"
#include "utils/arena.h"
#include "utils/progress.h"

enum {
    LEAST_STEPS = 20, MOST_STEPS = 150,
    POSITIONS = 784,           /* of the output that a step looks at, about */
    LEAST_BATCH = 2, MOST_BATCH = 16, LEAST_SAMPLES = 4,
    DATA_BYTES = 128 << 20,    /* inputs and targets of all samples of a block */
    SPACE_BYTES = 256 << 20,   /* workspaces of a batch */
};

static const double BLOCK_PRODUCTS = 16e9; /* multiplications that a block may cost */

typedef struct learner {
    mica_prefix *p;
    const mica_recovery_job *job;
    mica_layers *layers; /* of the module that changes */
    size_t learned, blocks, refused, layers_in; /* layers of blocks that changed */
    const char *why;     /* first op that cannot be learned through */
} learner;

static int64_t count_of(const mica_value *value) {
    int64_t n = 1;
    for (int i = 0; i < value->type->rank; ++i) {
        n *= value->type->dims[i];
    }
    return n;
}

/* --- samples ------------------------------------------------------------------------------------ */

/* One side of a value, of `n` samples spread evenly, to rows of their own. */
static mica_status load_side(mica_prefix *p, size_t place, const mica_value *value, int side, int64_t n, float **to,
                             mica_error *err) {
    mica_view *view = mica_view_open(p, place, value, side, err);
    if (view == NULL) {
        return MICA_FAIL;
    }
    const size_t bytes = (size_t)count_of(value) * sizeof(float);
    const float *want[MICA_PREFIX_BATCH];
    const float *got[MICA_PREFIX_BATCH];
    for (int64_t i = 0; i < n; ++i) {
        /* One at a time: those between are not wanted. */
        mica_view_load(view, (size_t)i * p->samples / (size_t)n, 1, want, got);
        to[i] = mica_alloc(bytes + 1);
        memcpy(to[i], side == MICA_WANT ? want[0] : got[0], bytes);
    }
    mica_view_close(view);
    return MICA_OK;
}

static void free_data(mica_learn_data *data) {
    for (int64_t i = 0; i < data->count; ++i) {
        mica_free(data->inputs[i]);
        mica_free(data->targets[i]);
    }
    mica_free(data->inputs);
    mica_free(data->targets);
    *data = (mica_learn_data){0};
}

static mica_status load_data(mica_prefix *p, const mica_block_range *block, mica_learn_data *data, mica_error *err) {
    const int64_t bytes = (count_of(block->input) + count_of(block->output)) * (int64_t)sizeof(float);
    const int64_t fits = DATA_BYTES / bytes > 8 ? DATA_BYTES / bytes : 8;
    data->count = (int64_t)p->samples < fits ? (int64_t)p->samples : fits;
    const size_t n = (size_t)(data->count + 1) * sizeof(float *);
    data->inputs = memset(mica_alloc(n), 0, n);
    data->targets = memset(mica_alloc(n), 0, n);
    MICA_TRY(load_side(p, block->first, block->input, MICA_GOT, data->count, data->inputs, err));
    return load_side(p, block->last, block->output, MICA_WANT, data->count, data->targets, err);
}

/* --- grids -------------------------------------------------------------------------------------- */

/* Scale of row o when its largest weight decides it, else 0; that weight at *at. */
static double row_scale(const mica_recovery_job *job, const mica_learn_layer *l, int64_t o, double in_scale, int64_t *at) {
    const int64_t per = l->layer->per;
    double absmax = 0.0;
    for (int64_t k = 0; k < per; ++k) {
        const double w = fabs((double)l->weights[o * per + k]);
        if (w > absmax) {
            absmax = w;
            *at = k;
        }
    }
    const double bias = l->bias != NULL ? (double)l->bias[o] : 0.0;
    const double free_scale = mica_row_scale(job, l->layer, absmax, 0.0, 1.0);
    const double scale = mica_row_scale(job, l->layer, absmax, bias, in_scale > 0.0 ? in_scale : 1.0);
    return in_scale > 0.0 && absmax > 0.0 && scale < free_scale * 1.0001 ? scale : 0.0;
}

static double input_scale(const learner *s, const mica_layer *l) {
    return mica_input_scale(s->job, l);
}

static mica_learn_grid grid_of(const learner *s, const mica_learn_layer *l) {
    const int64_t per = l->layer->per;
    const size_t n = (size_t)(l->layer->rows * per);
    mica_learn_grid grid = {.scales = mica_alloc((size_t)(l->layer->rows + 1) * sizeof(double)),
                            .fixed = memset(mica_alloc(n + 1), 0, n + 1)};
    const double in_scale = input_scale(s, l->layer);
    double mean = 0.0;
    for (int64_t o = 0; o < l->layer->rows; ++o) {
        int64_t at = 0;
        grid.scales[o] = row_scale(s->job, l, o, in_scale, &at);
        grid.fixed[o * per + at] = !s->job->options->pow2;
        mean += grid.scales[o] / (double)l->layer->rows;
    }
    const mica_levels result = mica_prefix_grid(s->p, &l->layer->op->results[0], NULL);
    grid.bias_step = result.scale > 0.0F ? 0.1 * (double)result.scale : 4.0 * mean * in_scale;
    grid.most = mrt_weight_most(mica_layer_bits(s->job, l->layer));
    return grid;
}

/* --- a block ------------------------------------------------------------------------------------ */

static void store_layer(const learner *s, const mica_learn_layer *l) {
    const mica_layer *to = l->layer;
    float *filter = mica_alloc((size_t)(to->rows * to->per + 1) * sizeof *filter);
    for (int64_t o = 0; o < to->rows; ++o) {
        for (int64_t k = 0; k < to->per; ++k) {
            filter[o * to->row_step + k * to->step] = l->weights[o * to->per + k];
        }
    }
    mica_set_constant(s->p->work, mica_op_operand(to->op, 1), filter);
    if (l->bias != NULL) {
        mica_set_constant(s->p->work, mica_op_present(to->op, 2), l->bias);
    }
    mica_free(filter);
}

static int64_t batch_of(const mica_learn *g, const mica_block_range *block, const mica_learn_data *data) {
    const mica_type type = block->output->type;
    const int64_t positions = type->rank == 4 ? type->dims[2] * type->dims[3] : 1;
    const int64_t fits = SPACE_BYTES / (int64_t)(mica_learn_space_bytes(g) + 1);
    int64_t batch = POSITIONS / positions;
    batch = batch < LEAST_BATCH ? LEAST_BATCH : batch > MOST_BATCH ? MOST_BATCH : batch;
    batch = batch > fits ? fits : batch;
    batch = batch > data->count ? data->count : batch;
    return batch < 1 ? 1 : batch;
}

/* As many as BLOCK_PRODUCTS allow: forward, and backward twice as much. */
static int64_t steps_of(const mica_learn *g, int64_t batch) {
    double products = 1.0;
    for (int i = 0; i < g->n_nodes; ++i) {
        if (g->nodes[i].kind == MICA_LEARN_LAYER) {
            products += 3.0 * (double)batch * (double)g->counts[g->nodes[i].out] *
                        (double)g->layers[g->nodes[i].layer].layer->per;
        }
    }
    const double steps = BLOCK_PRODUCTS / products;
    return steps < LEAST_STEPS ? LEAST_STEPS : steps > MOST_STEPS ? MOST_STEPS : (int64_t)steps;
}

static void train_block(learner *s, mica_learn *g, const mica_block_range *block, const mica_learn_data *data) {
    mica_learn_grid *grids = mica_alloc(((size_t)g->n_layers + 1) * sizeof *grids);
    for (int i = 0; i < g->n_layers; ++i) {
        grids[i] = grid_of(s, &g->layers[i]);
    }
    const int64_t batch = batch_of(g, block, data);
    const mica_learn_plan plan = {.steps = steps_of(g, batch), .batch = batch, .seed = 1 + block->first,
                                  .pool = s->p->pool};
    double before = 0.0;
    double after = 0.0;
    mica_learn_train(g, grids, data, &plan, &before, &after);
    const bool better = after < before;
    for (int i = 0; i < g->n_layers; ++i) {
        if (better) {
            store_layer(s, &g->layers[i]);
        }
        mica_free(grids[i].scales);
        mica_free(grids[i].fixed);
    }
    mica_free(grids);
    s->learned += better;
    s->layers_in += better ? (size_t)g->n_layers : 0;
}

static const char STEP_NAME[] = "block_learning";

/* A block whose result is known. */
static bool replay(learner *s, const mica_learn *g, const mica_block_range *block) {
    uint64_t better = 0;
    uint64_t none = 0;
    const mica_recovery_log *log = s->job->options->log;
    bool known = mica_log_replay(log, s->p->work, STEP_NAME, mica_value_name(block->output), NULL, &better);
    for (int i = 0; i < g->n_layers && known && better; ++i) {
        const mica_op *op = g->layers[i].layer->op;
        known = mica_log_replay(log, s->p->work, "learned", mica_value_name(&op->results[0]), op, &none);
    }
    s->learned += known && better;
    s->layers_in += known && better ? (size_t)g->n_layers : 0;
    return known;
}

static mica_status note_result(const learner *s, const mica_learn *g, const mica_block_range *block, bool better,
                               mica_error *err) {
    mica_recovery_log *log = s->job->options->log;
    for (int i = 0; i < g->n_layers && better; ++i) {
        const mica_op *op = g->layers[i].layer->op;
        MICA_TRY(mica_log_add(log, "learned", mica_value_name(&op->results[0]), op, 0, err));
    }
    return mica_log_add(log, STEP_NAME, mica_value_name(block->output), NULL, better, err);
}

/* What the block reads and should give, before the layers in it change: nothing when it cannot be learned, or its
 * result is known. */
static mica_status begin_block(learner *s, const mica_block_range *block, mica_learn_data *data, mica_error *err) {
    mica_learn g;
    const char *why = NULL;
    uint64_t number = 0;
    s->blocks++;
    *data = (mica_learn_data){0};
    if (!mica_block_graph(s->p, block, s->layers, &g, &why)) {
        s->why = s->refused++ == 0 ? why : s->why;
        return MICA_OK;
    }
    mica_learn_free(&g);
    if (mica_log_replay(s->job->options->log, s->p->work, STEP_NAME, mica_value_name(block->output), NULL, &number)) {
        return MICA_OK;
    }
    MICA_TRY(mica_prefix_advance(s->p, block->first, err));
    return load_data(s->p, block, data, err);
}

static mica_status end_block(learner *s, const mica_block_range *block, const mica_learn_data *data, mica_error *err) {
    mica_learn g;
    const char *why = NULL;
    if (!mica_block_graph(s->p, block, s->layers, &g, &why)) {
        return MICA_OK;
    }
    mica_status status = MICA_OK;
    if (!replay(s, &g, block)) {
        const size_t learned = s->learned;
        if (data->count >= LEAST_SAMPLES) {
            train_block(s, &g, block, data);
        }
        status = note_result(s, &g, block, s->learned > learned, err);
    }
    mica_learn_free(&g);
    return status;
}

/* Once a block has changed, the layers behind it make up for what it leaves now. */
static mica_status follow(learner *s, const mica_layer *from, mica_error *err) {
    const mica_layer *l = mica_same_layer(s->layers, from->op);
    if (s->learned == 0 || l == NULL || !mica_layer_is_own(l) || !mica_layer_is_own(from)) {
        return MICA_OK;
    }
    mica_recovery_log *log = s->job->options->log;
    const char *name = mica_value_name(&from->op->results[0]);
    uint64_t number = 0;
    if (mica_log_replay(log, s->p->work, "followed", name, l->op, &number)) {
        return MICA_OK;
    }
    MICA_TRY(mica_prefix_layer(s->p, l, from, err));
    return mica_log_add(log, "followed", name, l->op, 0, err);
}

mica_status mica_step_blocks(mica_module *module, const mica_recovery_job *job, size_t *changed, mica_error *err) {
    mica_prefix p;
    learner s = {.p = &p, .job = job, .layers = job->layers};
    mica_status status = mica_prefix_open(&p, job->reference, module, job, err);
    size_t n = 0;
    mica_block_range *blocks = status == MICA_OK ? mica_blocks_find(&p, job->layers, &n) : NULL;
    mica_layers from = {0};
    mica_layers_find(job->reference, &from);
    mica_progress progress;
    mica_progress_begin(&progress, "learning", "layers", (int64_t)from.count);
    progress.quiet = progress.quiet || job->options->quiet;
    size_t block = 0;
    mica_learn_data data = {0};
    for (size_t i = 0; i < from.count && status == MICA_OK; ++i) {
        const size_t at = from.list[i].op->order;
        const size_t next = i + 1 < from.count ? from.list[i + 1].op->order : p.n_ops;
        if (block < n && at >= blocks[block].first && s.blocks == block) {
            status = begin_block(&s, &blocks[block], &data, err);
        }
        status = status == MICA_OK ? follow(&s, &from.list[i], err) : status;
        if (status == MICA_OK && block < n && next >= blocks[block].last) {
            status = end_block(&s, &blocks[block++], &data, err);
            free_data(&data);
        }
        mica_progress_step(&progress, 1);
    }
    free_data(&data);
    mica_progress_end(&progress);
    mica_layers_free(&from);
    *changed = s.layers_in;
    if (job->note != NULL && s.refused > 0) {
        snprintf(job->note, MICA_RECOVERY_NOTE, "%zu of %zu blocks learned; %zu kept level 2, the first for '%s'", s.learned,
                 s.blocks, s.blocks - s.learned, s.why);
    } else if (job->note != NULL) {
        snprintf(job->note, MICA_RECOVERY_NOTE, "%zu of %zu blocks learned", s.learned, s.blocks);
    }
    mica_free(blocks);
    mica_prefix_close(&p);
    return status;
}
