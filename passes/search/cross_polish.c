/* Search with single changes and pairs of them around a choice. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/search/cross_internal.h"
#include "utils/arena.h"

/* Of single changes, so many of the best are tried together with so many of the cheapest. */
enum { FIRST_MOVES = 24, SECOND_MOVES = 48, MOST_STEPS = 400 };

typedef struct move {
    int32_t op;
    int mode;
    double noise, cost; /* what it adds */
} move;

typedef struct polish {
    const mica_cross *cross;
    const mica_model *model;
    double budget;
    uint8_t *modes;
    int *active;
    /* Edges at every op: touching[begin[k]..begin[k + 1]). */
    size_t *begin, *touching;
    int32_t *model_edge; /* per edge of the net: that of the model, or -1 */
    move *moves;
    size_t n_moves;
    double cost;
} polish;

static int32_t source_of(const polish *p, size_t e) { return p->cross->slots[p->cross->edge[e]].from; }

static bool counts(const polish *p, size_t e) { return p->model->leader[p->cross->net->edges[e].to] == p->cross->net->edges[e].to; }

static void find_edges(polish *p) {
    const mica_net *net = p->cross->net;
    p->begin = mica_alloc((net->n_ops + 2) * sizeof *p->begin);
    p->touching = mica_alloc((2 * net->n_edges + 1) * sizeof *p->touching);
    p->model_edge = mica_alloc((net->n_edges + 1) * sizeof *p->model_edge);
    memset(p->begin, 0, (net->n_ops + 2) * sizeof *p->begin);
    int32_t n = 0;
    for (size_t e = 0; e < net->n_edges; ++e) {
        const bool both = counts(p, e) && source_of(p, e) >= 0;
        p->model_edge[e] = both ? n++ : -1;
        p->begin[net->edges[e].to + 1] += counts(p, e);
        p->begin[both ? source_of(p, e) + 1 : 0] += both;
    }
    for (size_t k = 0; k < net->n_ops; ++k) {
        p->begin[k + 1] += p->begin[k];
    }
    size_t *next = mica_alloc((net->n_ops + 1) * sizeof *next);
    memcpy(next, p->begin, net->n_ops * sizeof *next);
    for (size_t e = 0; e < net->n_edges; ++e) {
        if (counts(p, e)) {
            p->touching[next[net->edges[e].to]++] = e;
        }
        if (p->model_edge[e] >= 0) {
            p->touching[next[source_of(p, e)]++] = e;
        }
    }
    mica_free(next);
}

/* Twice the product of a part with all that the choice has. */
static double product_with_all(const polish *p, size_t slot, int variant) {
    const mica_cross *c = p->cross;
    const size_t first = slot > c->band ? slot - c->band : 0;
    const size_t last = slot + c->band < c->n ? slot + c->band : c->n;
    double sum = 0.0;
    for (size_t i = first; i < last; ++i) {
        sum += p->active[i] >= 0 ? mica_cross_product(c, slot, variant, i, p->active[i]) : 0.0;
    }
    return 2.0 * sum;
}

/* Slot `slot` gets another variant: what the noise gains; the choice has it then. */
static double set_slot(polish *p, size_t slot) {
    const mica_cross *c = p->cross;
    const int old = p->active[slot];
    const int now = mica_cross_active(c, slot, p->modes);
    double noise = 0.0;
    if (old == now) {
        return 0.0;
    }
    p->active[slot] = -1;
    if (old >= 0) {
        noise -= product_with_all(p, slot, old) + mica_cross_product(c, slot, old, slot, old);
    }
    if (now >= 0) {
        noise += product_with_all(p, slot, now) + mica_cross_product(c, slot, now, slot, now);
    }
    p->active[slot] = now;
    return noise;
}

static double edge_cost(const polish *p, size_t e) {
    const mica_solve_edge *edge = p->model_edge[e] >= 0 ? &p->model->edges[p->model_edge[e]] : NULL;
    return edge != NULL ? edge->cost[p->modes[edge->from]][p->modes[edge->to]] : 0.0;
}

/* Op k gets another mode; adds what noise and cost gain to *m. */
static void apply(polish *p, size_t k, int mode, move *m) {
    const mica_solve_op *op = &p->model->ops[k];
    const int old = p->modes[k];
    for (size_t i = p->begin[k]; i < p->begin[k + 1]; ++i) {
        m->cost -= edge_cost(p, p->touching[i]);
    }
    p->modes[k] = (uint8_t)mode;
    m->cost += op->cost[mode] - op->cost[old];
    m->noise += mica_cross_added(p->cross, k, mode) - mica_cross_added(p->cross, k, old);
    m->noise += set_slot(p, p->cross->own[k]);
    for (size_t i = p->begin[k]; i < p->begin[k + 1]; ++i) {
        m->cost += edge_cost(p, p->touching[i]);
        m->noise += set_slot(p, p->cross->edge[p->touching[i]]);
    }
}

static move try_move(polish *p, size_t k, int mode) {
    move m = {.op = (int32_t)k, .mode = mode};
    move back = {0};
    const int old = p->modes[k];
    apply(p, k, mode, &m);
    apply(p, k, old, &back);
    return m;
}

static void try_all(polish *p) {
    p->n_moves = 0;
    for (size_t k = 0; k < p->cross->net->n_ops; ++k) {
        for (int mode = 0; mode < MICA_MODE_COUNT && p->model->leader[k] == (int32_t)k; ++mode) {
            if (p->model->ops[k].allowed[mode] && mode != p->modes[k]) {
                p->moves[p->n_moves++] = try_move(p, k, mode);
            }
        }
    }
}

static int by_noise(const void *a, const void *b) {
    const move *x = a;
    const move *y = b;
    return x->noise != y->noise ? (x->noise > y->noise) - (x->noise < y->noise)
                                : x->op != y->op ? (x->op > y->op) - (x->op < y->op) : x->mode - y->mode;
}

/* Least noise for the cost that is set free. */
static double price(const move *m) { return m->noise / fmax(-m->cost, 1e-30); }

static int by_price(const void *a, const void *b) {
    const double x = price(a);
    const double y = price(b);
    return x != y ? (x > y) - (x < y) : by_noise(a, b);
}

static size_t cheapening(const polish *p, move *out) {
    size_t n = 0;
    for (size_t i = 0; i < p->n_moves; ++i) {
        if (p->moves[i].cost < 0.0) {
            out[n++] = p->moves[i];
        }
    }
    if (n > 1) {
        qsort(out, n, sizeof *out, by_price);
    }
    return n < SECOND_MOVES ? n : SECOND_MOVES;
}

/* The best pair of changes: the first lowers the noise, the second brings the cost back below the budget. */
static bool best_pair(polish *p, double least, move *first, move *second) {
    move *cheap = mica_alloc((p->n_moves + 1) * sizeof *cheap);
    const size_t n_cheap = cheapening(p, cheap);
    double best = -least;
    for (size_t i = 0; i < p->n_moves && i < FIRST_MOVES && p->moves[i].noise < 0.0; ++i) {
        const move *a = &p->moves[i];
        const int old = p->modes[a->op];
        move sum = {0};
        apply(p, (size_t)a->op, a->mode, &sum);
        for (size_t k = 0; k < n_cheap; ++k) {
            const move *b = &cheap[k];
            if (b->op == a->op) {
                continue;
            }
            const move m = try_move(p, (size_t)b->op, b->mode);
            if (sum.noise + m.noise < best && p->cost + sum.cost + m.cost <= p->budget) {
                best = sum.noise + m.noise;
                *first = *a;
                *second = *b;
            }
        }
        apply(p, (size_t)a->op, old, &sum);
    }
    mica_free(cheap);
    return best < -least;
}

/* One step back to the budget; false when there is none. */
static bool repair(polish *p) {
    const move *best = NULL;
    try_all(p);
    for (size_t i = 0; i < p->n_moves; ++i) {
        const bool cheaper = p->moves[i].cost < 0.0;
        best = cheaper && (best == NULL || by_price(&p->moves[i], best) < 0) ? &p->moves[i] : best;
    }
    if (best == NULL) {
        return false;
    }
    const move chosen = *best;
    move done = {0};
    apply(p, (size_t)chosen.op, chosen.mode, &done);
    p->cost += done.cost;
    return true;
}

/* One step down; false at the bottom. */
static bool improve(polish *p, double noise) {
    const double least = 1e-6 * noise;
    try_all(p);
    if (p->n_moves > 1) {
        qsort(p->moves, p->n_moves, sizeof *p->moves, by_noise);
    }
    move done = {0};
    for (size_t i = 0; i < p->n_moves && p->moves[i].noise < -least; ++i) {
        if (p->cost + p->moves[i].cost <= p->budget) {
            apply(p, (size_t)p->moves[i].op, p->moves[i].mode, &done);
            p->cost += done.cost;
            return true;
        }
    }
    move first = {0};
    move second = {0};
    if (!best_pair(p, least, &first, &second)) {
        return false;
    }
    apply(p, (size_t)first.op, first.mode, &done);
    apply(p, (size_t)second.op, second.mode, &done);
    p->cost += done.cost;
    return true;
}

double mica_cross_polish(const mica_cross *cross, double budget, uint8_t *modes) {
    polish p = {.cross = cross, .model = cross->model, .budget = budget, .modes = modes};
    double ignored = 0.0;
    find_edges(&p);
    p.active = mica_alloc((cross->n + 1) * sizeof *p.active);
    p.moves = mica_alloc((cross->net->n_ops * MICA_MODE_COUNT + 1) * sizeof *p.moves);
    for (size_t i = 0; i < cross->n; ++i) {
        p.active[i] = mica_cross_active(cross, i, modes);
    }
    mica_solve_sums(&cross->model->problem, modes, &p.cost, &ignored);
    for (int step = 0; step < MOST_STEPS && p.cost > budget && repair(&p); ++step) {
    }
    double noise = mica_cross_noise(cross, modes);
    for (int step = 0; step < MOST_STEPS && improve(&p, noise); ++step) {
        noise = mica_cross_noise(cross, modes);
    }
    mica_free(p.begin);
    mica_free(p.touching);
    mica_free(p.model_edge);
    mica_free(p.active);
    mica_free(p.moves);
    return noise;
}
