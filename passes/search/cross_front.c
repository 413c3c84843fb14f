#include "passes/search/cross_front.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/mrt_pool.h"
#include "utils/arena.h"
#include "utils/prng.h"
#include "utils/vec.h"

typedef MICA_VEC(mica_solve_point) point_list;

typedef struct search {
    const mica_cross *cross;
    const mica_model *model;
    mrt_pool *pool;
    point_list points;
    size_t rated; /* points before this one have their noise */
} search;

static void add(search *s, double cost, const uint8_t *modes) {
    const size_t n = s->model->problem.n_ops;
    uint8_t *copy = mica_alloc(n + 1);
    memcpy(copy, modes, n);
    mica_vec_push(&s->points, (mica_solve_point){.cost = cost, .modes = copy});
}

static void rate_point(void *context, int64_t i) {
    search *s = context;
    mica_solve_point *point = &s->points.data[s->rated + (size_t)i];
    point->noise = mica_cross_noise(s->cross, point->modes);
}

static void rate(search *s) {
    mrt_parallel_for(s->pool, (int64_t)(s->points.len - s->rated), rate_point, s);
    s->rated = s->points.len;
}

static int64_t best_within(const search *s, double budget) {
    int64_t best = -1;
    for (size_t i = 0; i < s->rated; ++i) {
        const bool better = best < 0 || s->points.data[i].noise < s->points.data[best].noise;
        best = s->points.data[i].cost <= budget && better ? (int64_t)i : best;
    }
    return best;
}

/* The solver's front with other products as they are around a choice; without a proof, so with few labels. */
static void solve_around(search *s, const uint8_t *around) {
    enum { LABELS = 2048 };
    const mica_solve_problem *p = &s->model->problem;
    mica_solve_op *ops = mica_alloc((p->n_ops + 1) * sizeof *ops);
    mica_solve_edge *edges = mica_alloc((p->n_edges + 1) * sizeof *edges);
    memcpy(ops, p->ops, p->n_ops * sizeof *ops);
    memcpy(edges, p->edges, p->n_edges * sizeof *edges);
    mica_cross_problem(s->cross, around, ops, edges);
    const mica_solve_problem problem = {.ops = ops, .n_ops = p->n_ops, .edges = edges, .n_edges = p->n_edges,
                                        .most_labels = LABELS};
    mica_solve_front front;
    mica_solve(&problem, &front);
    for (size_t i = 0; i < front.count; ++i) {
        add(s, front.points[i].cost, front.points[i].modes);
    }
    mica_solve_free(&front);
    mica_free(ops);
    mica_free(edges);
    rate(s);
}

/* A few ops that follow each other get new modes: neighbours often gain only together. */
static void kick(const mica_solve_problem *p, mica_prng *prng, uint8_t *modes) {
    enum { LONGEST = 6 };
    const size_t n = 1 + (size_t)mica_prng_below(prng, LONGEST);
    const size_t first = (size_t)mica_prng_below(prng, p->n_ops);
    const int one = (int)mica_prng_below(prng, MICA_SOLVE_MODES);
    const int other = (int)mica_prng_below(prng, MICA_SOLVE_MODES);
    for (size_t k = first; k < first + n && k < p->n_ops; ++k) {
        const int mode = p->ops[k].allowed[one] ? one : other;
        modes[k] = p->ops[k].allowed[mode] ? (uint8_t)mode : modes[k];
    }
}

/* Descends from the best point within the budget, then again and again from the best one with a few ops changed. */
static void polish(search *s, double budget, size_t kicks) {
    const mica_solve_problem *p = &s->model->problem;
    mica_prng prng;
    uint8_t *modes = mica_alloc(p->n_ops + 1);
    mica_prng_seed(&prng, 1);
    for (size_t i = 0; i <= kicks; ++i) {
        const int64_t best = best_within(s, budget);
        if (best < 0) {
            break;
        }
        const double before = s->points.data[best].noise;
        memcpy(modes, s->points.data[best].modes, p->n_ops);
        if (i > 0) {
            kick(p, &prng, modes);
        }
        double cost = 0.0;
        double ignored = 0.0;
        const double noise = mica_cross_polish(s->cross, budget, modes);
        mica_solve_sums(p, modes, &cost, &ignored);
        if (cost <= budget && noise < before) {
            add(s, cost, modes);
            rate(s);
        }
    }
    mica_free(modes);
}

static int by_cost(const void *a, const void *b) {
    const mica_solve_point *x = a;
    const mica_solve_point *y = b;
    return x->cost != y->cost ? (x->cost > y->cost) - (x->cost < y->cost)
                              : (x->noise > y->noise) - (x->noise < y->noise);
}

/* Points that no other beats; the rest is freed. */
static void make_front(search *s, mica_solve_front *out) {
    if (s->points.len > 1) {
        qsort(s->points.data, s->points.len, sizeof *s->points.data, by_cost);
    }
    *out = (mica_solve_front){.points = s->points.data};
    for (size_t i = 0; i < s->points.len; ++i) {
        if (out->count > 0 && s->points.data[i].noise >= out->points[out->count - 1].noise) {
            mica_free(s->points.data[i].modes);
        } else {
            out->points[out->count++] = s->points.data[i];
        }
    }
}

/* Each costs as much as there are ops, so that all of them cost the same for any number. The first budget is the one that is
 * asked for. */
static size_t most_kicks(const mica_model *model, size_t budget) {
    return (budget == 0 ? 4000 : 1000) / (model->problem.n_ops + 20);
}

void mica_cross_front(const mica_cross *cross, const mica_model *model, const mica_solve_front *start,
                      const double *budgets, size_t n_budgets, int threads, mica_solve_front *out) {
    enum { ROUNDS = 2 };
    search s = {.cross = cross, .model = model, .pool = threads > 1 ? mrt_pool_create(threads) : NULL};
    for (size_t i = 0; i < start->count; ++i) {
        add(&s, start->points[i].cost, start->points[i].modes);
    }
    rate(&s);
    for (size_t i = 0; i < n_budgets; ++i) {
        for (int round = 0; round < ROUNDS; ++round) {
            const int64_t best = best_within(&s, budgets[i]);
            if (best >= 0) {
                solve_around(&s, s.points.data[best].modes);
            }
        }
        polish(&s, budgets[i], most_kicks(model, i));
    }
    mrt_pool_destroy(s.pool);
    make_front(&s, out);
}
