#include "passes/search/cross.h"

#include <math.h>
#include <string.h>

#include "passes/search/cross_internal.h"
#include "runtime/mrt_pool.h"
#include "utils/arena.h"

/* Slots in execution order: that of an op, then those of its edges. */
static size_t slot_of_op(const mica_net *net, size_t k) { return k + net->ops[k].first_edge; }

static void make_slots(mica_cross *c) {
    const mica_net *net = c->net;
    c->n = net->n_ops + net->n_edges;
    c->slots = mica_alloc((c->n + 1) * sizeof *c->slots);
    c->own = mica_alloc((net->n_ops + 1) * sizeof *c->own);
    c->edge = mica_alloc((net->n_edges + 1) * sizeof *c->edge);
    for (size_t k = 0; k < net->n_ops; ++k) {
        const mica_net_op *op = &net->ops[k];
        c->own[k] = slot_of_op(net, k);
        c->slots[c->own[k]] = (mica_cross_slot){.part = k, .edge = -1, .op = (int32_t)k, .from = -1};
        for (size_t e = op->first_edge; e < op->first_edge + op->n_edges; ++e) {
            const int32_t from = net->edges[e].from >= 0 ? c->model->leader[net->edges[e].from] : -1;
            c->edge[e] = c->own[k] + 1 + (e - op->first_edge);
            c->slots[c->edge[e]] =
                (mica_cross_slot){.part = net->n_ops + e, .edge = (int32_t)e, .op = (int32_t)k, .from = from};
        }
    }
}

/* --- scalar products --- */

static const double CHANCE = 2.0;

static const float *vector_of(const mica_cross *c, int variant, size_t slot, size_t sample) {
    const mica_noise_result *r = &c->results[c->modes[variant]];
    return r->vectors + (sample * c->n + c->slots[slot].part) * r->width;
}

static double dot(const float *a, const float *b, size_t n) {
    enum { LANES = 16 };
    float sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; ++k) {
            sums[k] += a[i + k] * b[i + k];
        }
    }
    double sum = 0.0;
    for (size_t k = 0; k < LANES; ++k) {
        sum += (double)sums[k];
    }
    for (; i < n; ++i) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static bool is_zero(const mica_cross *c, int variant, size_t slot) {
    return c->products[mica_cross_index(c, slot, 0, variant, variant)] == 0.0f;
}

/* A mean of few samples is partly chance, and a search finds what chance favours: it counts by t^2 / (CHANCE + t^2), with t
 * its distance from 0 in standard errors. */
static double shrunk(double sum, double squares, size_t n) {
    if (n < 2) {
        return sum;
    }
    const double variance = fmax(squares - sum * sum / (double)n, 0.0) * (double)n / (double)(n - 1); /* of the sum */
    return sum * sum * sum / fmax(sum * sum + CHANCE * variance, 1e-300);
}

/* Products of one slot with those behind it, of the diagonal alone in a first round, so that rows of zeros cost nothing. */
static void fill_row(void *context, int64_t row) {
    mica_cross *c = context;
    const size_t i = (size_t)row;
    const size_t first = c->diagonal ? 0 : 1;
    const size_t last = c->diagonal ? 1 : c->band < c->n - i ? c->band : c->n - i;
    for (size_t d = first; d < last; ++d) {
        for (int a = 0; a < c->n_modes; ++a) {
            for (int b = 0; b < c->n_modes; ++b) {
                if ((c->diagonal && a != b) || (!c->diagonal && (is_zero(c, a, i) || is_zero(c, b, i + d)))) {
                    continue;
                }
                double sum = 0.0;
                double squares = 0.0;
                for (size_t s = 0; s < c->samples; ++s) {
                    const double one = c->weights[s] * dot(vector_of(c, a, i, s), vector_of(c, b, i + d, s),
                                                           c->results[c->modes[a]].width);
                    sum += one;
                    squares += one * one;
                }
                c->products[mica_cross_index(c, i, d, a, b)] = (float)(d > 0 && c->cautious ? shrunk(sum, squares, c->samples) : sum);
            }
        }
    }
}

static void fill(mica_cross *c, int threads) {
    mrt_pool *pool = threads > 1 ? mrt_pool_create(threads) : NULL;
    for (int round = 0; round < 2; ++round) {
        c->diagonal = round == 0;
        mrt_parallel_for(pool, (int64_t)c->n, fill_row, c);
    }
    mrt_pool_destroy(pool);
}

/* Noise of the vectors of a choice in one sample. */
static double noise_in(const mica_cross *c, const uint8_t *modes, size_t sample) {
    const size_t width = c->results[c->modes[0]].width;
    float *sum = mica_alloc((width + 1) * sizeof *sum);
    memset(sum, 0, width * sizeof *sum);
    for (size_t i = 0; i < c->n; ++i) {
        const int v = mica_cross_active(c, i, modes);
        const float *vector = v >= 0 ? vector_of(c, v, i, sample) : NULL;
        for (size_t k = 0; k < width && vector != NULL; ++k) {
            sum[k] += vector[k];
        }
    }
    const double noise = dot(sum, sum, width);
    mica_free(sum);
    return noise;
}

static void weigh(mica_cross *c, const mica_cross_anchor *anchor) {
    c->weights = mica_alloc((c->samples + 1) * sizeof *c->weights);
    for (size_t s = 0; s < c->samples; ++s) {
        const double noise = anchor != NULL && anchor->nsr > 0.0 ? noise_in(c, anchor->modes, s) : 0.0;
        c->weights[s] = (noise > 1e-12 ? sqrt(anchor->nsr / noise) : 1.0) / (double)c->samples;
    }

}

mica_cross *mica_cross_create(const mica_net *net, const mica_model *model, const mica_noise_result *results,
                              const mica_cross_anchor *anchor, int threads) {
    enum { BAND = 192 };
    mica_cross *c = mica_alloc(sizeof *c);
    *c = (mica_cross){.net = net, .model = model, .results = results, .cautious = anchor != NULL};
    make_slots(c);
    for (int m = 0; m < MICA_MODE_COUNT; ++m) {
        c->variant[m] = results[m].vectors != NULL ? c->n_modes : -1;
        if (results[m].vectors != NULL) {
            c->samples = results[m].samples;
            c->modes[c->n_modes++] = m;
        }
    }
    c->band = c->n < BAND ? c->n : BAND;
    const size_t count = c->n * c->band * (size_t)(c->n_modes * c->n_modes);
    c->products = mica_alloc((count + 1) * sizeof *c->products);
    memset(c->products, 0, count * sizeof *c->products);
    weigh(c, anchor);
    fill(c, threads);
    return c;
}

void mica_cross_destroy(mica_cross *c) {
    if (c != NULL) {
        mica_free(c->slots);
        mica_free(c->own);
        mica_free(c->edge);
        mica_free(c->products);
        mica_free(c->weights);
        mica_free(c);
    }
}

double mica_cross_product(const mica_cross *c, size_t i, int a, size_t k, int b) {
    if (i > k) {
        return mica_cross_product(c, k, b, i, a);
    }
    return a < 0 || b < 0 || k - i >= c->band ? 0.0 : (double)c->products[mica_cross_index(c, i, k - i, a, b)];
}

/* --- a choice --- */

int mica_cross_active(const mica_cross *c, size_t slot, const uint8_t *modes) {
    const mica_cross_slot *s = &c->slots[slot];
    if (c->model->leader[s->op] != s->op) {
        return -1;
    }
    const int mode = s->edge < 0 ? modes[s->op] : mica_model_rounding(c->model, c->net, (size_t)s->edge, modes);
    return mode < 0 ? -1 : c->variant[mode];
}

double mica_cross_added(const mica_cross *c, size_t k, int mode) {
    return c->model->leader[k] == (int32_t)k && c->variant[mode] < 0 ? c->model->ops[k].noise[mode] : 0.0;
}

double mica_cross_noise(const mica_cross *c, const uint8_t *modes) {
    int *active = mica_alloc((c->n + 1) * sizeof *active);
    double noise = 0.0;
    for (size_t i = 0; i < c->n; ++i) {
        active[i] = mica_cross_active(c, i, modes);
    }
    for (size_t i = 0; i < c->n; ++i) {
        for (size_t k = i > c->band ? i - c->band : 0; k < i && active[i] >= 0; ++k) {
            noise += 2.0 * mica_cross_product(c, k, active[k], i, active[i]);
        }
        noise += mica_cross_product(c, i, active[i], i, active[i]);
    }
    for (size_t k = 0; k < c->net->n_ops; ++k) {
        noise += mica_cross_added(c, k, modes[k]);
    }
    mica_free(active);
    return fmax(noise, 0.0);
}

/* --- near a choice, for the solver --- */

/* Products of the two are in the problem itself: same op, an op and an edge at it, two ops with an edge between them. */
static bool is_near(const mica_cross *c, size_t i, size_t k) {
    const mica_cross_slot *a = &c->slots[i];
    const mica_cross_slot *b = &c->slots[k];
    const bool edges = a->edge >= 0 && b->edge >= 0;
    if (edges) {
        return i == k || (a->op == b->op && a->from < 0 && b->from < 0);
    }
    if (a->edge >= 0) {
        return is_near(c, k, i);
    }
    if (b->edge >= 0) {
        return b->op == a->op || b->from == a->op;
    }
    const mica_cross_slot *later = a->op > b->op ? a : b;
    const int32_t earlier = a->op > b->op ? b->op : a->op;
    const mica_net_op *op = &c->net->ops[later->op];
    for (size_t e = op->first_edge; e < op->first_edge + op->n_edges; ++e) {
        if (c->slots[c->edge[e]].from == earlier) {
            return true;
        }
    }
    return i == k;
}

/* Twice the products of a part with all that the choice has and the problem has not. */
static double rest_of(const mica_cross *c, size_t i, int variant, const int *active) {
    const size_t first = i > c->band ? i - c->band : 0;
    const size_t last = i + c->band < c->n ? i + c->band : c->n;
    double sum = 0.0;
    for (size_t k = first; k < last; ++k) {
        if (active[k] >= 0 && !is_near(c, i, k)) {
            sum += 2.0 * mica_cross_product(c, i, variant, k, active[k]);
        }
    }
    return sum;
}

static double own_noise(const mica_cross *c, size_t k, int mode, const int *active) {
    const int v = c->variant[mode];
    const size_t i = c->own[k];
    double noise = v < 0 ? mica_cross_added(c, k, mode) : mica_cross_product(c, i, v, i, v) + rest_of(c, i, v, active);
    const mica_net_op *op = &c->net->ops[k];
    for (size_t e = op->first_edge; e < op->first_edge + op->n_edges && v >= 0; ++e) {
        const size_t a = c->edge[e];
        if (c->slots[a].from >= 0) {
            continue;
        }
        noise += mica_cross_product(c, a, v, a, v) + 2.0 * mica_cross_product(c, i, v, a, v) + rest_of(c, a, v, active);
        for (size_t other = op->first_edge; other < e; ++other) {
            const size_t b = c->edge[other];
            noise += c->slots[b].from < 0 ? 2.0 * mica_cross_product(c, a, v, b, v) : 0.0;
        }
    }
    return noise;
}

/* `first`: of those between its two ops. */
static void fill_edge(const mica_cross *c, size_t e, bool first, const int *active, mica_solve_edge *edge) {
    const size_t i = c->edge[e];
    const size_t from = c->own[edge->from];
    const size_t to = c->own[edge->to];
    uint8_t *modes = mica_alloc(c->net->n_ops + 1);
    double rest[MICA_MODE_COUNT];
    for (int v = 0; v < c->n_modes; ++v) {
        rest[v] = rest_of(c, i, v, active);
    }
    for (int a = 0; a < MICA_MODE_COUNT; ++a) {
        for (int b = 0; b < MICA_MODE_COUNT; ++b) {
            modes[edge->from] = (uint8_t)a;
            modes[edge->to] = (uint8_t)b;
            const int v = mica_cross_active(c, i, modes);
            double noise = first ? 2.0 * mica_cross_product(c, from, c->variant[a], to, c->variant[b]) : 0.0;
            if (v >= 0) {
                noise += mica_cross_product(c, i, v, i, v) + rest[v] +
                         2.0 * (mica_cross_product(c, i, v, from, c->variant[a]) +
                                mica_cross_product(c, i, v, to, c->variant[b]));
            }
            edge->noise[a][b] = noise;
        }
    }
    mica_free(modes);
}

void mica_cross_problem(const mica_cross *c, const uint8_t *around, mica_solve_op *ops, mica_solve_edge *edges) {
    const mica_net *net = c->net;
    int *active = mica_alloc((c->n + 1) * sizeof *active);
    for (size_t i = 0; i < c->n; ++i) {
        active[i] = mica_cross_active(c, i, around);
    }
    size_t n = 0;
    for (size_t k = 0; k < net->n_ops; ++k) {
        if (c->model->leader[k] != (int32_t)k) {
            continue;
        }
        for (int m = 0; m < MICA_MODE_COUNT; ++m) {
            ops[k].noise[m] = ops[k].allowed[m] ? own_noise(c, k, m, active) : 0.0;
        }
        const size_t start = n;
        for (size_t e = net->ops[k].first_edge; e < net->ops[k].first_edge + net->ops[k].n_edges; ++e) {
            const int32_t from = c->slots[c->edge[e]].from;
            bool first = true;
            for (size_t other = start; other < n; ++other) {
                first = first && edges[other].from != from;
            }
            if (from >= 0) {
                fill_edge(c, e, first, active, &edges[n++]);
            }
        }
    }
    mica_free(active);
}
