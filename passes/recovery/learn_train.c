#include "passes/recovery/learn_train.h"

#include <math.h>
#include <string.h>

#include "utils/arena.h"
#include "utils/prng.h"

/* Adam with its usual constants. */
static const float BETA1 = 0.9F;
static const float BETA2 = 0.99F;
static const float RATE = 0.1F;        /* of the variables of the sigmoid */
static const float BEGIN = 0.1F;       /* a weight begins this far from where it was, towards the other level */
enum { HELD_BACK = 4, ERROR_LANES = 8, BINS = 64, STAGES = 16 };

/* One variable per weight or bias. */
typedef struct variables {
    float *now, *first, *second; /* value, moments of its gradient */
    float *base;                 /* the level below, in steps of the grid */
    bool *hard;                  /* the level is decided */
    int64_t count;
} variables;

typedef struct train {
    mica_learn *g;
    const mica_learn_grid *grids;
    const mica_learn_data *data;
    const mica_learn_plan *plan;
    mica_learn_space *spaces; /* per sample of a batch */
    const int64_t *chosen;    /* samples of this step */
    variables *weights, *bias; /* per layer */
    bool rounds;              /* false: which way the weights want to go is only asked */
    float rate;               /* of this step */
    float unbias1, unbias2;
} train;

static float *zeros(int64_t n) { return memset(mica_alloc((size_t)(n + 1) * sizeof(float)), 0, (size_t)(n + 1) * sizeof(float)); }

static variables variables_of(int64_t n) {
    return (variables){.now = zeros(n), .first = zeros(n), .second = zeros(n), .base = zeros(n),
                       .hard = memset(mica_alloc((size_t)n + 1), 0, (size_t)n + 1), .count = n};
}

static void free_variables(variables *v) {
    mica_free(v->now);
    mica_free(v->first);
    mica_free(v->second);
    mica_free(v->base);
    mica_free(v->hard);
}

/* --- soft rounding ------------------------------------------------------------------------------ */

static float sigmoid(float v) { return 1.0F / (1.0F + expf(-v)); }

static float soft(float v) {
    const float h = 1.2F * sigmoid(v) - 0.1F;
    return h < 0.0F ? 0.0F : h > 1.0F ? 1.0F : h;
}

static float soft_slope(float v) {
    const float s = sigmoid(v);
    const float h = 1.2F * s - 0.1F;
    return h > 0.0F && h < 1.0F ? 1.2F * s * (1.0F - s) : 0.0F;
}

/* v with soft(v) = h for 0 <= h <= 1. */
static float soft_inverse(float h) {
    const float s = (h + 0.1F) / 1.2F;
    return logf(s / (1.0F - s));
}

/* --- state of a layer --------------------------------------------------------------------------- */

static bool is_free(const train *t, int layer, int64_t i) {
    const mica_learn_grid *grid = &t->grids[layer];
    return grid->scales[i / t->g->layers[layer].layer->per] > 0.0 && !grid->fixed[i];
}

/* Weights that the variables stand for. */
static void put_weight(const train *t, int layer, int64_t i) {
    if (is_free(t, layer, i)) {
        const variables *v = &t->weights[layer];
        const float h = soft(v->now[i]);
        const float level = v->base[i] + (v->hard[i] ? (h >= 0.5F ? 1.0F : 0.0F) : h);
        const double scale = t->grids[layer].scales[i / t->g->layers[layer].layer->per];
        t->g->layers[layer].weights[i] = (float)((double)level * scale);
    }
}

static void begin_layer(train *t, int layer) {
    const mica_learn_layer *l = &t->g->layers[layer];
    t->weights[layer] = variables_of(l->layer->rows * l->layer->per);
    t->bias[layer] = variables_of(l->bias != NULL ? l->layer->rows : 0);
    for (int64_t i = 0; i < t->weights[layer].count; ++i) {
        const double scale = t->grids[layer].scales[i / l->layer->per];
        t->weights[layer].now[i] = scale > 0.0 ? (float)((double)l->weights[i] / scale) : 0.0F;
    }
    if (l->bias != NULL) {
        memcpy(t->bias[layer].now, l->bias, (size_t)l->layer->rows * sizeof *l->bias);
    }
}

/* From levels to variables: the level below, and how far above it they are. */
static void begin_rounding(train *t, int layer) {
    variables *v = &t->weights[layer];
    const float most = (float)t->grids[layer].most;
    for (int64_t i = 0; i < v->count; ++i) {
        const float level = v->now[i];
        /* The other level is the one that the gradient points to. */
        float below = rintf(level) - (v->first[i] > 0.0F ? 1.0F : 0.0F);
        below = below < -most ? -most : below > most - 1.0F ? most - 1.0F : below;
        v->base[i] = below;
        const float h = level - below;
        v->now[i] = soft_inverse(h < 0.5F ? BEGIN : 1.0F - BEGIN);
        v->first[i] = v->second[i] = 0.0F;
    }
}

/* How sure a weight is of its level: 0 .. BINS - 1. */
static int sureness(float v) {
    const int bin = (int)(fabsf(2.0F * soft(v) - 1.0F) * (float)BINS);
    return bin < BINS ? bin : BINS - 1;
}

/* Decides the levels of `wanted` weights of a layer in all, those that are surest first; the others go on and make
 * up for what that moves. */
static void decide(train *t, int layer, int64_t wanted) {
    variables *v = &t->weights[layer];
    int64_t counts[BINS] = {0};
    for (int64_t i = 0; i < v->count; ++i) {
        wanted -= v->hard[i];
        counts[sureness(v->now[i])] += !v->hard[i];
    }
    int least = BINS;
    while (least > 0 && wanted > 0) {
        wanted -= counts[--least];
    }
    int64_t left = least < BINS ? counts[least] + wanted : 0; /* of the last bin */
    for (int64_t i = 0; i < v->count; ++i) {
        const int bin = sureness(v->now[i]);
        if (!v->hard[i] && bin >= least && (bin > least || left-- > 0)) {
            v->hard[i] = true;
            put_weight(t, layer, i);
        }
    }
}

static void end_layer(train *t, int layer) {
    mica_learn_layer *l = &t->g->layers[layer];
    const variables *v = &t->weights[layer];
    for (int64_t i = 0; i < v->count; ++i) {
        if (is_free(t, layer, i)) {
            const float level = v->base[i] + (soft(v->now[i]) >= 0.5F ? 1.0F : 0.0F);
            l->weights[i] = (float)((double)level * t->grids[layer].scales[i / l->layer->per]);
        }
    }
}

/* --- a step ------------------------------------------------------------------------------------- */

static void run_sample(void *context, int64_t slot) {
    const train *t = context;
    mica_learn_space *s = &t->spaces[slot];
    const int64_t sample = t->chosen[slot];
    const int output = mica_learn_output(t->g);
    const int64_t n = t->g->counts[output];
    memcpy(s->values[0], t->data->inputs[sample], (size_t)t->g->counts[0] * sizeof(float));
    mica_learn_forward(t->g, s);
    for (int64_t i = 0; i < n; ++i) {
        s->grads[output][i] = s->values[output][i] - t->data->targets[sample][i];
    }
    mica_learn_backward(t->g, s);
}

static float gradient(const train *t, bool bias, int layer, int64_t i) {
    float sum = 0.0F;
    for (int64_t k = 0; k < t->plan->batch; ++k) {
        sum += bias ? t->spaces[k].bias[layer][i] : t->spaces[k].weights[layer][i];
    }
    return sum;
}

static float adam(const train *t, variables *v, int64_t i, float g, float rate) {
    v->first[i] = BETA1 * v->first[i] + (1.0F - BETA1) * g;
    v->second[i] = BETA2 * v->second[i] + (1.0F - BETA2) * g * g;
    return rate * (v->first[i] * t->unbias1) / (sqrtf(v->second[i] * t->unbias2) + 1e-20F);
}

static void update_weight(const train *t, int layer, int64_t i) {
    variables *v = &t->weights[layer];
    if (!is_free(t, layer, i) || v->hard[i]) {
        return;
    }
    const float scale = (float)t->grids[layer].scales[i / t->g->layers[layer].layer->per];
    const float g = gradient(t, false, layer, i) * scale;
    if (!t->rounds) {
        v->first[i] += g; /* which way it wants to go */
        return;
    }
    v->now[i] -= adam(t, v, i, g * soft_slope(v->now[i]), t->rate);
    put_weight(t, layer, i);
}

/* Rows of all layers, one after another. */
static void update_row(void *context, int64_t row) {
    const train *t = context;
    int layer = 0;
    while (row >= t->g->layers[layer].layer->rows) {
        row -= t->g->layers[layer++].layer->rows;
    }
    const int64_t per = t->g->layers[layer].layer->per;
    for (int64_t i = row * per; i < (row + 1) * per; ++i) {
        update_weight(t, layer, i);
    }
    if (t->rounds && t->g->layers[layer].bias != NULL && t->grids[layer].scales[row] > 0.0) {
        variables *b = &t->bias[layer];
        const float rate = (float)t->grids[layer].bias_step * t->rate;
        b->now[row] -= adam(t, b, row, gradient(t, true, layer, row), rate);
        t->g->layers[layer].bias[row] = b->now[row];
    }
}

/* Rates and weights of a step. */
static void schedule(train *t, int64_t at, int64_t steps) {
    const double part = (double)at / (double)steps;
    t->rate = RATE * (float)(1.0 - 0.5 * part);
    t->unbias1 = 1.0F / (1.0F - powf(BETA1, (float)(at + 1)));
    t->unbias2 = 1.0F / (1.0F - powf(BETA2, (float)(at + 1)));
}

/* The samples to learn from in an order of their own, again and again. */
typedef struct order {
    int64_t *samples, count, at;
    mica_prng prng;
} order;

static void shuffle(order *o) {
    for (int64_t i = o->count - 1; i > 0; --i) {
        const int64_t k = (int64_t)mica_prng_below(&o->prng, (uint64_t)(i + 1));
        const int64_t other = o->samples[k];
        o->samples[k] = o->samples[i];
        o->samples[i] = other;
    }
    o->at = 0;
}

static order order_of(const mica_learn_data *data, uint64_t seed) {
    order o = {.samples = mica_alloc((size_t)(data->count + 1) * sizeof *o.samples)};
    for (int64_t i = 0; i < data->count; ++i) {
        if (i % HELD_BACK != HELD_BACK - 1) {
            o.samples[o.count++] = i;
        }
    }
    mica_prng_seed(&o.prng, seed);
    shuffle(&o);
    return o;
}

static void run_steps(train *t, order *o, int64_t steps) {
    int64_t *chosen = mica_alloc((size_t)(t->plan->batch + 1) * sizeof *chosen);
    int64_t rows = 0;
    for (int i = 0; i < t->g->n_layers; ++i) {
        rows += t->g->layers[i].layer->rows;
    }
    t->chosen = chosen;
    for (int64_t at = 0; at < steps; ++at) {
        for (int64_t k = 0; k < t->plan->batch; ++k) {
            if (o->at == o->count) {
                shuffle(o);
            }
            chosen[k] = o->samples[o->at++];
        }
        schedule(t, at, steps);
        mrt_parallel_for(t->plan->pool, t->plan->batch, run_sample, t);
        mrt_parallel_for(t->plan->pool, rows, update_row, t);
        /* From the first third on, stage by stage. */
        const int64_t stage = (at - steps / 3) * STAGES / (steps - steps / 3);
        for (int i = 0; t->rounds && stage > 0 && i < t->g->n_layers; ++i) {
            decide(t, i, t->weights[i].count * stage / STAGES);
        }
    }
    mica_free(chosen);
}

void mica_learn_train(mica_learn *g, const mica_learn_grid *grids, const mica_learn_data *data,
                      const mica_learn_plan *plan, double *before, double *after) {
    const size_t n = (size_t)g->n_layers + 1;
    train t = {.g = g, .grids = grids, .data = data, .plan = plan,
               .weights = mica_alloc(n * sizeof(variables)), .bias = mica_alloc(n * sizeof(variables)),
               .spaces = mica_alloc((size_t)(plan->batch + 1) * sizeof(mica_learn_space))};
    *before = mica_learn_error(g, data, HELD_BACK - 1, HELD_BACK, plan->pool);
    for (int64_t k = 0; k < plan->batch; ++k) {
        mica_learn_space_init(&t.spaces[k], g);
    }
    for (int i = 0; i < g->n_layers; ++i) {
        begin_layer(&t, i);
    }
    order o = order_of(data, plan->seed);
    run_steps(&t, &o, (o.count + plan->batch - 1) / plan->batch);
    t.rounds = true;
    for (int i = 0; i < g->n_layers; ++i) {
        begin_rounding(&t, i);
    }
    run_steps(&t, &o, plan->steps);
    for (int i = 0; i < g->n_layers; ++i) {
        end_layer(&t, i);
        free_variables(&t.weights[i]);
        free_variables(&t.bias[i]);
    }
    *after = mica_learn_error(g, data, HELD_BACK - 1, HELD_BACK, plan->pool);
    for (int64_t k = 0; k < plan->batch; ++k) {
        mica_learn_space_free(&t.spaces[k], g);
    }
    mica_free(o.samples);
    mica_free(t.weights);
    mica_free(t.bias);
    mica_free(t.spaces);
}

/* --- error -------------------------------------------------------------------------------------- */

typedef struct error_job {
    const mica_learn *g;
    const mica_learn_data *data;
    int64_t first, step;
    double *noise, *power; /* per sample */
} error_job;

static void error_lane(void *context, int64_t lane) {
    const error_job *e = context;
    const int output = mica_learn_output(e->g);
    mica_learn_space s;
    mica_learn_space_init(&s, e->g);
    for (int64_t i = e->first + lane * e->step; i < e->data->count; i += ERROR_LANES * e->step) {
        memcpy(s.values[0], e->data->inputs[i], (size_t)e->g->counts[0] * sizeof(float));
        mica_learn_forward(e->g, &s);
        for (int64_t k = 0; k < e->g->counts[output]; ++k) {
            const double want = (double)e->data->targets[i][k];
            const double d = (double)s.values[output][k] - want;
            e->noise[i] += d * d;
            e->power[i] += want * want;
        }
    }
    mica_learn_space_free(&s, e->g);
}

double mica_learn_error(const mica_learn *g, const mica_learn_data *data, int64_t first, int64_t step, mrt_pool *pool) {
    const size_t n = (size_t)data->count + 1;
    error_job e = {.g = g, .data = data, .first = first, .step = step, .noise = mica_alloc(n * sizeof(double)),
                   .power = mica_alloc(n * sizeof(double))};
    memset(e.noise, 0, n * sizeof(double));
    memset(e.power, 0, n * sizeof(double));
    mrt_parallel_for(pool, ERROR_LANES, error_lane, &e);
    double noise = 0.0;
    double power = 1e-30;
    for (int64_t i = first; i < data->count; i += step) {
        noise += e.noise[i];
        power += e.power[i];
    }
    mica_free(e.noise);
    mica_free(e.power);
    return noise / power;
}
