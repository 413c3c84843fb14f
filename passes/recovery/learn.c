#include "passes/recovery/learn.h"

#include <math.h>
#include <string.h>

#include "utils/arena.h"

void mica_learn_free(mica_learn *g) {
    for (int i = 0; i < g->n_layers; ++i) {
        mica_free(g->layers[i].weights);
        mica_free(g->layers[i].bias);
    }
    mica_free(g->layers);
    mica_free(g->nodes);
    mica_free(g->counts);
    *g = (mica_learn){0};
}

/* --- workspace ---------------------------------------------------------------------------------- */

static size_t weights_of(const mica_learn_layer *l) { return (size_t)(l->layer->rows * l->layer->per); }

static size_t scratch_of(const mica_learn *g) {
    size_t most = 0;
    for (int i = 0; i < g->n_nodes; ++i) {
        const mica_learn_node *n = &g->nodes[i];
        if (n->kind == MICA_LEARN_LAYER) {
            const size_t own = mica_learn_layer_scratch(g->layers[n->layer].layer, g->counts[n->in[0]]);
            most = own > most ? own : most;
        }
    }
    return most;
}

size_t mica_learn_space_bytes(const mica_learn *g) {
    size_t n = scratch_of(g);
    for (int i = 0; i < g->n_tensors; ++i) {
        n += 2 * (size_t)g->counts[i];
    }
    for (int i = 0; i < g->n_layers; ++i) {
        n += weights_of(&g->layers[i]) + (size_t)g->layers[i].layer->rows;
    }
    return n * sizeof(float);
}

static float *floats(size_t n) { return mica_alloc((n + 1) * sizeof(float)); }

void mica_learn_space_init(mica_learn_space *s, const mica_learn *g) {
    s->values = mica_alloc(((size_t)g->n_tensors + 1) * sizeof(float *));
    s->grads = mica_alloc(((size_t)g->n_tensors + 1) * sizeof(float *));
    s->weights = mica_alloc(((size_t)g->n_layers + 1) * sizeof(float *));
    s->bias = mica_alloc(((size_t)g->n_layers + 1) * sizeof(float *));
    s->scratch = floats(scratch_of(g));
    for (int i = 0; i < g->n_tensors; ++i) {
        s->values[i] = floats((size_t)g->counts[i]);
        s->grads[i] = floats((size_t)g->counts[i]);
    }
    for (int i = 0; i < g->n_layers; ++i) {
        s->weights[i] = floats(weights_of(&g->layers[i]));
        s->bias[i] = g->layers[i].bias != NULL ? floats((size_t)g->layers[i].layer->rows) : NULL;
    }
}

void mica_learn_space_free(mica_learn_space *s, const mica_learn *g) {
    for (int i = 0; i < g->n_tensors; ++i) {
        mica_free(s->values[i]);
        mica_free(s->grads[i]);
    }
    for (int i = 0; i < g->n_layers; ++i) {
        mica_free(s->weights[i]);
        mica_free(s->bias[i]);
    }
    mica_free(s->values);
    mica_free(s->grads);
    mica_free(s->weights);
    mica_free(s->bias);
    mica_free(s->scratch);
}

/* --- nodes -------------------------------------------------------------------------------------- */

static void clamp_up(float *y, int64_t n, double limit) {
    const float most = limit >= 0.0 ? (float)limit : INFINITY;
    for (int64_t i = 0; i < n; ++i) {
        y[i] = y[i] > 0.0F ? (y[i] < most ? y[i] : most) : 0.0F;
    }
}

/* Gradient of a clamp by its result. */
static void clamp_back(const float *y, float *gy, int64_t n, double limit) {
    const float most = limit >= 0.0 ? (float)limit : INFINITY;
    for (int64_t i = 0; i < n; ++i) {
        gy[i] = y[i] > 0.0F && y[i] < most ? gy[i] : 0.0F;
    }
}

static void round_backward(const mica_levels *g, const float *x, const float *gy, float *gx, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        const float v = x[i] / g->scale + g->zero;
        gx[i] += v >= g->low - 0.5F && v <= g->high + 0.5F ? gy[i] : 0.0F;
    }
}

static void gelu_forward(const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        y[i] = 0.5F * x[i] * (1.0F + erff(x[i] * 0.70710678F));
    }
}

static void gelu_backward(const float *x, const float *gy, float *gx, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        const float cdf = 0.5F * (1.0F + erff(x[i] * 0.70710678F));
        gx[i] += gy[i] * (cdf + x[i] * 0.39894228F * expf(-0.5F * x[i] * x[i]));
    }
}

/* Mean and one over the deviation of a line. */
static void line_moments(const float *x, int64_t n, double epsilon, double *mean, double *inverse) {
    double sum = 0.0;
    double power = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        sum += (double)x[i];
    }
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; ++i) {
        power += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    }
    *inverse = 1.0 / sqrt(power / (double)n + epsilon);
}

static void norm_forward(const mica_learn_node *node, const float *x, float *y, int64_t count) {
    const int64_t n = node->inner;
    for (int64_t at = 0; at < count; at += n) {
        double mean = 0.0;
        double inverse = 0.0;
        line_moments(x + at, n, node->epsilon, &mean, &inverse);
        for (int64_t i = 0; i < n; ++i) {
            const float hat = (float)(((double)x[at + i] - mean) * inverse);
            y[at + i] = hat * (node->gamma != NULL ? node->gamma[i] : 1.0F) + (node->beta != NULL ? node->beta[i] : 0.0F);
        }
    }
}

static void norm_backward(const mica_learn_node *node, const float *x, const float *gy, float *gx, int64_t count) {
    const int64_t n = node->inner;
    for (int64_t at = 0; at < count; at += n) {
        double mean = 0.0;
        double inverse = 0.0;
        double sum = 0.0;
        double along = 0.0;
        line_moments(x + at, n, node->epsilon, &mean, &inverse);
        for (int64_t i = 0; i < n; ++i) {
            const double g = (double)gy[at + i] * (node->gamma != NULL ? (double)node->gamma[i] : 1.0);
            sum += g;
            along += g * ((double)x[at + i] - mean) * inverse;
        }
        for (int64_t i = 0; i < n; ++i) {
            const double g = (double)gy[at + i] * (node->gamma != NULL ? (double)node->gamma[i] : 1.0);
            const double hat = ((double)x[at + i] - mean) * inverse;
            gx[at + i] += (float)(inverse * (g - sum / (double)n - hat * along / (double)n));
        }
    }
}

/* Windows of a pool; forward without gradients (gy NULL). */
static void pool_window(const mica_learn_pool *p, bool max, int64_t oy, int64_t ox, const float *x, float *y,
                        const float *gy, float *gx) {
    int64_t best = -1;
    int64_t inside = 0;
    float sum = 0.0F;
    const int64_t y0 = oy * p->strides[0] - p->pads[0];
    const int64_t x0 = ox * p->strides[1] - p->pads[1];
    for (int pass = 0; pass < (gy != NULL && !max ? 2 : 1); ++pass) {
        const float share = pass == 1 ? *gy / (float)(p->count_pad ? p->kernel[0] * p->kernel[1] : inside) : 0.0F;
        for (int64_t i = y0 > 0 ? y0 : 0; i < y0 + p->kernel[0] && i < p->in[0]; ++i) {
            for (int64_t j = x0 > 0 ? x0 : 0; j < x0 + p->kernel[1] && j < p->in[1]; ++j) {
                const int64_t at = i * p->in[1] + j;
                if (pass == 1) {
                    gx[at] += share;
                    continue;
                }
                sum += x[at];
                inside++;
                best = best < 0 || x[at] > x[best] ? at : best;
            }
        }
    }
    if (gy == NULL) {
        *y = max ? x[best] : sum / (float)(p->count_pad ? p->kernel[0] * p->kernel[1] : inside);
    } else if (max) {
        gx[best] += *gy;
    }
}

static void pool(const mica_learn_node *node, const float *x, float *y, const float *gy, float *gx) {
    const mica_learn_pool *p = &node->pool;
    const int64_t in = p->in[0] * p->in[1];
    const int64_t out = p->out[0] * p->out[1];
    for (int64_t c = 0; c < p->planes; ++c) {
        for (int64_t i = 0; i < out; ++i) {
            pool_window(p, node->kind == MICA_LEARN_MAX, i / p->out[1], i % p->out[1], x + c * in, y + c * out + i,
                        gy != NULL ? gy + c * out + i : NULL, gx != NULL ? gx + c * in : NULL);
        }
    }
}

static void activate(const mica_learn_node *node, const float *x, float *y, int64_t n) {
    const float most = node->limit >= 0.0 ? (float)node->limit : INFINITY;
    for (int64_t i = 0; i < n; ++i) {
        y[i] = x[i] < 0.0F ? (float)node->slope * x[i] : x[i] < most ? x[i] : most;
    }
}

static void activate_back(const mica_learn_node *node, const float *x, const float *gy, float *gx, int64_t n) {
    const float most = node->limit >= 0.0 ? (float)node->limit : INFINITY;
    for (int64_t i = 0; i < n; ++i) {
        gx[i] += x[i] < 0.0F ? (float)node->slope * gy[i] : x[i] < most ? gy[i] : 0.0F;
    }
}

/* --- graph -------------------------------------------------------------------------------------- */

static void forward(const mica_learn *g, const mica_learn_node *n, mica_learn_space *s) {
    const float *x = s->values[n->in[0]];
    float *y = s->values[n->out];
    const int64_t in_count = g->counts[n->in[0]];
    const int64_t count = g->counts[n->out];
    switch (n->kind) {
    case MICA_LEARN_LAYER: mica_learn_layer_forward(&g->layers[n->layer], in_count, x, y, s->scratch); break;
    case MICA_LEARN_ADD:
        for (int64_t i = 0; i < count; ++i) {
            y[i] = x[i] + s->values[n->in[1]][i];
        }
        break;
    case MICA_LEARN_ACTIVATE: activate(n, x, y, count); break;
    case MICA_LEARN_AVERAGE:
    case MICA_LEARN_MAX: pool(n, x, y, NULL, NULL); break;
    case MICA_LEARN_GELU: gelu_forward(x, y, count); break;
    case MICA_LEARN_NORM: norm_forward(n, x, y, count); break;
    case MICA_LEARN_ROUND: mica_levels_round(&n->grid, x, y, count); break;
    case MICA_LEARN_COPY: memcpy(y, x, (size_t)count * sizeof *y); break;
    }
    if (n->relu) {
        clamp_up(y, count, n->limit);
    }
}

void mica_learn_forward(const mica_learn *g, mica_learn_space *s) {
    for (int i = 0; i < g->n_nodes; ++i) {
        forward(g, &g->nodes[i], s);
    }
}

static void add_to(float *to, const float *from, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        to[i] += from[i];
    }
}

static void backward(const mica_learn *g, const mica_learn_node *n, mica_learn_space *s) {
    const float *x = s->values[n->in[0]];
    float *gy = s->grads[n->out];
    float *gx = s->grads[n->in[0]];
    const int64_t count = g->counts[n->out];
    if (n->relu) {
        clamp_back(s->values[n->out], gy, count, n->limit);
    }
    switch (n->kind) {
    case MICA_LEARN_LAYER:
        mica_learn_layer_backward(&g->layers[n->layer], g->counts[n->in[0]], x, gy, n->in[0] > 0 ? gx : NULL,
                                  s->weights[n->layer], s->bias[n->layer], s->scratch);
        break;
    case MICA_LEARN_ADD:
        add_to(gx, gy, count);
        add_to(s->grads[n->in[1]], gy, count);
        break;
    case MICA_LEARN_ACTIVATE: activate_back(n, x, gy, gx, count); break;
    case MICA_LEARN_AVERAGE:
    case MICA_LEARN_MAX: pool(n, x, s->values[n->out], gy, gx); break;
    case MICA_LEARN_GELU: gelu_backward(x, gy, gx, count); break;
    case MICA_LEARN_NORM: norm_backward(n, x, gy, gx, count); break;
    case MICA_LEARN_ROUND: round_backward(&n->grid, x, gy, gx, count); break;
    case MICA_LEARN_COPY: add_to(gx, gy, count); break;
    }
}

void mica_learn_backward(const mica_learn *g, mica_learn_space *s) {
    const int output = mica_learn_output(g);
    for (int i = 0; i < g->n_tensors; ++i) {
        if (i != output) {
            memset(s->grads[i], 0, (size_t)g->counts[i] * sizeof(float));
        }
    }
    for (int i = g->n_nodes - 1; i >= 0; --i) {
        backward(g, &g->nodes[i], s);
    }
}
