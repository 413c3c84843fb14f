/* Learning of blocks: values and gradients against finite differences of naive layers, rounding against brute force. */
#include "test/unit/check_main.h"

#include "passes/recovery/learn_train.h"
#include "test/ref/ref_learn.h"
#include "utils/arena.h"
#include "utils/prng.h"

#include <check.h>
#include <math.h>
#include <string.h>

enum { MOST = 4096 };

static void random_floats(float *x, int64_t n, uint64_t seed, float size) {
    mica_prng prng;
    mica_prng_seed(&prng, seed);
    for (int64_t i = 0; i < n; ++i) {
        x[i] = size * mica_prng_normal(&prng);
    }
}

static mica_learn graph_of(int nodes, int layers) {
    return (mica_learn){.nodes = memset(mica_alloc((size_t)nodes * sizeof(mica_learn_node)), 0, (size_t)nodes * sizeof(mica_learn_node)),
                        .counts = mica_alloc(((size_t)nodes + 1) * sizeof(int64_t)), .n_nodes = nodes, .n_tensors = nodes + 1,
                        .layers = mica_alloc(((size_t)layers + 1) * sizeof(mica_learn_layer)), .n_layers = layers};
}

static void set_layer(mica_learn *g, int i, const mica_layer *l, uint64_t seed) {
    const int64_t n = l->rows * l->per;
    g->layers[i] = (mica_learn_layer){.layer = l, .weights = mica_alloc((size_t)n * sizeof(float)),
                                      .bias = mica_alloc((size_t)l->rows * sizeof(float))};
    random_floats(g->layers[i].weights, n, seed, 0.5f);
    random_floats(g->layers[i].bias, l->rows, seed + 1, 0.3f);
}

static mica_layer conv_layer(int64_t channels, int64_t rows, int64_t groups, int64_t kernel, int64_t stride, int64_t pad,
                             int64_t in, int64_t out) {
    return (mica_layer){.is_conv = true, .groups = groups, .rows = rows, .per = channels / groups * kernel * kernel,
                        .row_step = channels / groups * kernel * kernel, .step = 1, .kernel = {kernel, kernel},
                        .strides = {stride, stride}, .pads = {pad, pad}, .dilations = {1, 1},
                        .in_dims = {1, channels, in, in}, .out_dims = {1, rows, out, out}};
}

/* --- the naive graph ---------------------------------------------------------------------------- */

static void naive_layer(const mica_layer *l, int64_t in_count, const double *x, const double *w, const double *b, double *y) {
    if (!l->is_conv) {
        ref_learn_matmul((int)(in_count / l->per), (int)l->per, (int)l->rows, x, w, b, y);
        return;
    }
    const ref_conv c = {.channels = (int)l->in_dims[1], .rows = (int)l->rows, .groups = (int)l->groups,
                        .in = {(int)l->in_dims[2], (int)l->in_dims[3]}, .out = {(int)l->out_dims[2], (int)l->out_dims[3]},
                        .kernel = {(int)l->kernel[0], (int)l->kernel[1]}, .strides = {(int)l->strides[0], (int)l->strides[1]},
                        .pads = {(int)l->pads[0], (int)l->pads[1]}};
    ref_learn_conv(&c, x, w, b, y);
}

static void naive_pool(const mica_learn_node *n, const double *x, double *y) {
    const mica_learn_pool *p = &n->pool;
    for (int64_t c = 0; c < p->planes; ++c) {
        ref_learn_pool(n->kind == MICA_LEARN_MAX, (const int[]){(int)p->in[0], (int)p->in[1]},
                       (const int[]){(int)p->out[0], (int)p->out[1]}, (const int[]){(int)p->kernel[0], (int)p->kernel[1]},
                       (const int[]){(int)p->strides[0], (int)p->strides[1]}, (const int[]){(int)p->pads[0], (int)p->pads[1]},
                       x + c * p->in[0] * p->in[1], y + c * p->out[0] * p->out[1]);
    }
}

static void naive_node(const mica_learn *g, const mica_learn_node *n, double (*values)[MOST], double **w, double **b) {
    const double *x = values[n->in[0]];
    double *y = values[n->out];
    double gamma[64];
    double beta[64];
    for (int64_t i = 0; n->kind == MICA_LEARN_NORM && i < n->inner; ++i) {
        gamma[i] = (double)n->gamma[i];
        beta[i] = (double)n->beta[i];
    }
    for (int64_t i = 0; i < g->counts[n->out]; ++i) {
        if (n->kind == MICA_LEARN_ADD) {
            y[i] = x[i] + values[n->in[1]][i];
        } else if (n->kind == MICA_LEARN_GELU) {
            y[i] = ref_learn_gelu(x[i]);
        } else if (n->kind == MICA_LEARN_ACTIVATE) {
            y[i] = x[i] < 0.0 ? n->slope * x[i] : n->limit >= 0.0 ? fmin(x[i], n->limit) : x[i];
        } else if (n->kind == MICA_LEARN_COPY) {
            y[i] = x[i];
        } else if (n->kind == MICA_LEARN_NORM && i % n->inner == 0) {
            ref_learn_norm((int)n->inner, n->epsilon, gamma, beta, x + i, y + i);
        }
    }
    if (n->kind == MICA_LEARN_LAYER) {
        naive_layer(g->layers[n->layer].layer, g->counts[n->in[0]], x, w[n->layer], b[n->layer], y);
    } else if (n->kind == MICA_LEARN_AVERAGE || n->kind == MICA_LEARN_MAX) {
        naive_pool(n, x, y);
    }
    for (int64_t i = 0; n->relu && i < g->counts[n->out]; ++i) {
        y[i] = fmax(y[i], 0.0);
        y[i] = n->limit >= 0.0 ? fmin(y[i], n->limit) : y[i];
    }
}

/* sum of output * direction */
static double naive_loss(const mica_learn *g, double (*values)[MOST], double **w, double **b, const float *direction) {
    for (int i = 0; i < g->n_nodes; ++i) {
        naive_node(g, &g->nodes[i], values, w, b);
    }
    double sum = 0.0;
    const int output = mica_learn_output(g);
    for (int64_t i = 0; i < g->counts[output]; ++i) {
        sum += values[output][i] * (double)direction[i];
    }
    return sum;
}

/* Gradient of the loss by one number. */
static double difference(const mica_learn *g, double (*values)[MOST], double **w, double **b, const float *direction, double *at) {
    const double old = *at;
    const double h = 1e-6;
    *at = old + h;
    const double up = naive_loss(g, values, w, b, direction);
    *at = old - h;
    const double down = naive_loss(g, values, w, b, direction);
    *at = old;
    return (up - down) / (2.0 * h);
}

static void check_gradients(mica_learn *g) {
    static double values[12][MOST];
    static float input[MOST];
    static float direction[MOST];
    double *w[8];
    double *b[8];
    const int output = mica_learn_output(g);
    random_floats(input, g->counts[0], 21, 1.0f);
    random_floats(direction, g->counts[output], 22, 1.0f);
    for (int64_t i = 0; i < g->counts[0]; ++i) {
        values[0][i] = (double)input[i];
    }
    for (int i = 0; i < g->n_layers; ++i) {
        const mica_layer *l = g->layers[i].layer;
        w[i] = mica_alloc((size_t)(l->rows * l->per) * sizeof(double));
        b[i] = mica_alloc((size_t)l->rows * sizeof(double));
        for (int64_t k = 0; k < l->rows * l->per; ++k) {
            w[i][k] = (double)g->layers[i].weights[k];
        }
        for (int64_t k = 0; k < l->rows; ++k) {
            b[i][k] = (double)g->layers[i].bias[k];
        }
    }
    mica_learn_space s;
    mica_learn_space_init(&s, g);
    memcpy(s.values[0], input, (size_t)g->counts[0] * sizeof(float));
    mica_learn_forward(g, &s);
    memcpy(s.grads[output], direction, (size_t)g->counts[output] * sizeof(float));
    mica_learn_backward(g, &s);
    naive_loss(g, values, w, b, direction);
    for (int64_t i = 0; i < g->counts[output]; ++i) {
        ck_assert_double_eq_tol((double)s.values[output][i], values[output][i], 1e-4 * (1.0 + fabs(values[output][i])));
    }
    for (int i = 0; i < g->n_layers; ++i) {
        const mica_layer *l = g->layers[i].layer;
        for (int64_t k = 0; k < l->rows * l->per; ++k) {
            const double want = difference(g, values, w, b, direction, &w[i][k]);
            ck_assert_double_eq_tol((double)s.weights[i][k], want, 2e-3 * (1.0 + fabs(want)));
        }
        for (int64_t k = 0; k < l->rows; ++k) {
            const double want = difference(g, values, w, b, direction, &b[i][k]);
            ck_assert_double_eq_tol((double)s.bias[i][k], want, 2e-3 * (1.0 + fabs(want)));
        }
    }
    for (int i = 0; i < g->n_layers; ++i) {
        mica_free(w[i]);
        mica_free(b[i]);
    }
    mica_learn_space_free(&s, g);
}

/* A residual block: expand, depthwise, project, sum, pool. */
START_TEST(convolutions) {
    static const int64_t strides[] = {1, 2, 3};
    for (int k = 0; k < 3; ++k) {
        const int64_t out = (7 + 2 - 3) / strides[k] + 1;
        const mica_layer layers[] = {conv_layer(3, 4, 1, 3, 1, 1, 7, 7), conv_layer(4, 4, 4, 3, strides[k], 1, 7, out),
                                     conv_layer(4, 6, 2, 3, strides[k], 1, 7, out), conv_layer(6, 4, 1, 1, 1, 0, out, out)};
        mica_learn g = graph_of(6, 4);
        for (int i = 0; i < 4; ++i) {
            set_layer(&g, i, &layers[i], (uint64_t)(40 + 2 * i));
        }
        const int64_t counts[] = {3 * 49, 4 * 49, 4 * out * out, 6 * out * out, 4 * out * out, 4 * out * out, 4};
        memcpy(g.counts, counts, sizeof counts);
        g.nodes[0] = (mica_learn_node){.kind = MICA_LEARN_LAYER, .in = {0, 0}, .out = 1, .layer = 0, .relu = true, .limit = 1.0};
        g.nodes[1] = (mica_learn_node){.kind = MICA_LEARN_LAYER, .in = {1, 1}, .out = 2, .layer = 1, .relu = true, .limit = -1.0};
        g.nodes[2] = (mica_learn_node){.kind = MICA_LEARN_LAYER, .in = {1, 1}, .out = 3, .layer = 2, .limit = -1.0};
        g.nodes[3] = (mica_learn_node){.kind = MICA_LEARN_LAYER, .in = {3, 3}, .out = 4, .layer = 3, .limit = -1.0};
        g.nodes[4] = (mica_learn_node){.kind = MICA_LEARN_ADD, .in = {4, 2}, .out = 5, .limit = -1.0};
        g.nodes[5] = (mica_learn_node){.kind = MICA_LEARN_AVERAGE, .in = {5, 5}, .out = 6, .limit = -1.0,
                                       .pool = {.planes = 4, .in = {out, out}, .out = {1, 1}, .kernel = {out, out},
                                                .strides = {1, 1}}};
        check_gradients(&g);
        mica_learn_free(&g);
    }
}
END_TEST

START_TEST(pools) {
    const mica_layer layer = conv_layer(2, 3, 1, 1, 1, 0, 6, 6);
    mica_learn g = graph_of(4, 1);
    set_layer(&g, 0, &layer, 60);
    const int64_t counts[] = {72, 108, 108, 3 * 16, 3 * 9};
    memcpy(g.counts, counts, sizeof counts);
    g.nodes[0] = (mica_learn_node){.kind = MICA_LEARN_LAYER, .out = 1, .limit = -1.0};
    g.nodes[1] = (mica_learn_node){.kind = MICA_LEARN_ACTIVATE, .in = {1, 1}, .out = 2, .limit = -1.0, .slope = 0.1};
    g.nodes[2] = (mica_learn_node){.kind = MICA_LEARN_MAX, .in = {2, 2}, .out = 3, .limit = -1.0,
                                   .pool = {.planes = 3, .in = {6, 6}, .out = {4, 4}, .kernel = {2, 2}, .strides = {2, 2},
                                            .pads = {1, 1}}};
    g.nodes[3] = (mica_learn_node){.kind = MICA_LEARN_AVERAGE, .in = {3, 3}, .out = 4, .limit = -1.0,
                                   .pool = {.planes = 3, .in = {4, 4}, .out = {3, 3}, .kernel = {3, 3}, .strides = {2, 2},
                                            .pads = {1, 1}}};
    check_gradients(&g);
    mica_learn_free(&g);
}
END_TEST

/* Normalization, product, GELU, product, sum: the feed-forward part of a transformer. */
START_TEST(feed_forward) {
    const mica_layer layers[] = {{.groups = 1, .rows = 12, .per = 6, .row_step = 6, .step = 1},
                                 {.groups = 1, .rows = 6, .per = 12, .row_step = 12, .step = 1},
                                 {.groups = 1, .rows = 6, .per = 6, .row_step = 6, .step = 1}};
    float gamma[6];
    float beta[6];
    random_floats(gamma, 6, 71, 1.0f);
    random_floats(beta, 6, 72, 1.0f);
    mica_learn g = graph_of(7, 3);
    for (int i = 0; i < 3; ++i) {
        set_layer(&g, i, &layers[i], (uint64_t)(80 + 2 * i));
    }
    const int64_t counts[] = {30, 30, 30, 60, 60, 30, 30, 30};
    memcpy(g.counts, counts, sizeof counts);
    g.nodes[0] = (mica_learn_node){.kind = MICA_LEARN_LAYER, .out = 1, .layer = 2, .limit = -1.0};
    g.nodes[1] = (mica_learn_node){.kind = MICA_LEARN_NORM, .in = {1, 1}, .out = 2, .inner = 6, .epsilon = 1e-5,
                                   .gamma = gamma, .beta = beta, .limit = -1.0};
    g.nodes[2] = (mica_learn_node){.kind = MICA_LEARN_LAYER, .in = {2, 2}, .out = 3, .layer = 0, .limit = -1.0};
    g.nodes[3] = (mica_learn_node){.kind = MICA_LEARN_GELU, .in = {3, 3}, .out = 4, .limit = -1.0};
    g.nodes[4] = (mica_learn_node){.kind = MICA_LEARN_LAYER, .in = {4, 4}, .out = 5, .layer = 1, .limit = -1.0};
    g.nodes[5] = (mica_learn_node){.kind = MICA_LEARN_ADD, .in = {5, 1}, .out = 6, .limit = -1.0};
    g.nodes[6] = (mica_learn_node){.kind = MICA_LEARN_COPY, .in = {6, 6}, .out = 7, .limit = -1.0};
    check_gradients(&g);
    mica_learn_free(&g);
}
END_TEST

/* --- rounding ----------------------------------------------------------------------------------- */

enum { WEIGHTS = 8, ROWS = 24, SAMPLES = 16 };
static const float EXACT[WEIGHTS] = {10.42f, 20.44f, 30.38f, -7.59f, 3.45f, 15.41f, -22.57f, 8.36f};

/* Inputs that rise and fall together, so that errors of rounding add up. */
static void make_samples(mica_learn_data *data) {
    mica_prng prng;
    mica_prng_seed(&prng, 5);
    data->count = SAMPLES;
    data->inputs = mica_alloc(SAMPLES * sizeof(float *));
    data->targets = mica_alloc(SAMPLES * sizeof(float *));
    for (int s = 0; s < SAMPLES; ++s) {
        float *x = data->inputs[s] = mica_alloc(ROWS * WEIGHTS * sizeof(float));
        float *y = data->targets[s] = mica_alloc(ROWS * sizeof(float));
        for (int r = 0; r < ROWS; ++r) {
            const float common = mica_prng_normal(&prng);
            y[r] = 0.0f;
            for (int k = 0; k < WEIGHTS; ++k) {
                x[r * WEIGHTS + k] = common + 0.5f * mica_prng_normal(&prng);
                y[r] += x[r * WEIGHTS + k] * EXACT[k];
            }
        }
    }
}

static double naive_error(const mica_learn_data *data, const float *w) {
    double error = 0.0;
    for (int s = 0; s < SAMPLES; ++s) {
        for (int r = 0; r < ROWS; ++r) {
            double y = 0.0;
            for (int k = 0; k < WEIGHTS; ++k) {
                y += (double)data->inputs[s][r * WEIGHTS + k] * (double)w[k];
            }
            error += (y - (double)data->targets[s][r]) * (y - (double)data->targets[s][r]);
        }
    }
    return error;
}

START_TEST(brute_force) {
    const mica_layer layer = {.groups = 1, .rows = 1, .per = WEIGHTS, .row_step = WEIGHTS, .step = 1};
    mica_learn_data data;
    make_samples(&data);
    double best = INFINITY;
    float nearest[WEIGHTS];
    for (int bits = 0; bits < 1 << WEIGHTS; ++bits) {
        float w[WEIGHTS];
        for (int k = 0; k < WEIGHTS; ++k) {
            w[k] = floorf(EXACT[k]) + (float)(bits >> k & 1);
            nearest[k] = rintf(EXACT[k]);
        }
        best = fmin(best, naive_error(&data, w));
    }
    const double begun = naive_error(&data, nearest);
    ck_assert_double_gt(begun, 4.0 * best);
    float first[WEIGHTS];
    for (int threads = 1; threads <= 3; ++threads) {
        mica_learn g = graph_of(1, 1);
        g.layers[0] = (mica_learn_layer){.layer = &layer, .weights = mica_alloc(sizeof nearest)};
        memcpy(g.layers[0].weights, nearest, sizeof nearest);
        g.counts[0] = ROWS * WEIGHTS;
        g.counts[1] = ROWS;
        g.nodes[0] = (mica_learn_node){.kind = MICA_LEARN_LAYER, .out = 1, .limit = -1.0};
        double scale = 1.0;
        bool fixed[WEIGHTS] = {false};
        const mica_learn_grid grid = {.scales = &scale, .fixed = fixed, .most = 127};
        mrt_pool *pool = mrt_pool_create(threads);
        const mica_learn_plan plan = {.steps = 150, .batch = 4, .seed = 1, .pool = pool};
        double before = 0.0;
        double after = 0.0;
        mica_learn_train(&g, &grid, &data, &plan, &before, &after);
        mrt_pool_destroy(pool);
        const float *w = g.layers[0].weights;
        ck_assert_double_lt(after, before);
        ck_assert_double_lt(naive_error(&data, w), 2.0 * best);
        ck_assert_double_lt(naive_error(&data, w), 0.5 * begun);
        for (int k = 0; k < WEIGHTS; ++k) {
            ck_assert_float_eq(w[k], rintf(w[k]));
        }
        memcpy(threads == 1 ? first : nearest, threads == 1 ? w : nearest, sizeof first);
        ck_assert_int_eq(memcmp(first, w, sizeof first), 0);
        mica_learn_free(&g);
    }
    for (int s = 0; s < SAMPLES; ++s) {
        mica_free(data.inputs[s]);
        mica_free(data.targets[s]);
    }
    mica_free(data.inputs);
    mica_free(data.targets);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {convolutions, pools, feed_forward, brute_force};
    Suite *suite = suite_create("recovery by learning");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
