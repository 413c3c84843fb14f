/* The solver against all choices, on random graphs. */
#include "passes/search/solve.h"
#include "utils/arena.h"
#include "utils/prng.h"
#include "test/unit/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPS = 9, MODES = 3, MOST_EDGES = 40 };

typedef struct graph {
    mica_solve_op ops[MOST_OPS];
    mica_solve_edge edges[MOST_EDGES];
    mica_solve_problem problem;
} graph;

static double number(mica_prng *prng) { return (double)mica_prng_f32(prng); }

/* Modes 0, 1, ..: dear and exact to cheap and noisy. wide: the last op reads all others. */
static void make_graph(mica_prng *prng, size_t n, bool wide, graph *g) {
    memset(g, 0, sizeof *g);
    size_t edges = 0;
    for (size_t k = 0; k < n; ++k) {
        for (int m = 0; m < MODES; ++m) {
            g->ops[k].allowed[m] = m == 1 || number(prng) < 0.9;
            g->ops[k].noise[m] = (double)m * m * number(prng);
            g->ops[k].cost[m] = (double)(MODES - m) * number(prng);
        }
        for (size_t from = 0; from < k; ++from) {
            if (edges == MOST_EDGES || !(number(prng) < (wide && k + 1 == n ? 1.0 : 0.3))) {
                continue;
            }
            mica_solve_edge *e = &g->edges[edges++];
            *e = (mica_solve_edge){.from = (int32_t)from, .to = (int32_t)k};
            for (int a = 0; a < MODES; ++a) {
                for (int b = 0; b < MODES; ++b) {
                    e->cost[a][b] = a != b ? 0.5 * number(prng) : 0.0;
                    e->noise[a][b] = a < b ? 0.7 * number(prng) - 0.2 : 0.0; /* errors may cancel */
                }
            }
        }
    }
    g->problem = (mica_solve_problem){.ops = g->ops, .n_ops = n, .edges = g->edges, .n_edges = edges};
}

/* Sums by another walk than the solver's. */
static bool sums(const graph *g, const uint8_t *modes, double *cost, double *noise) {
    *cost = *noise = 0.0;
    for (size_t e = 0; e < g->problem.n_edges; ++e) {
        const mica_solve_edge *edge = &g->edges[e];
        *cost += edge->cost[modes[edge->from]][modes[edge->to]];
        *noise += edge->noise[modes[edge->from]][modes[edge->to]];
    }
    for (size_t k = g->problem.n_ops; k-- > 0;) {
        if (!g->ops[k].allowed[modes[k]]) {
            return false;
        }
        *cost += g->ops[k].cost[modes[k]];
        *noise += g->ops[k].noise[modes[k]];
    }
    return true;
}

static double least_noise(const graph *g, double budget) {
    const size_t n = g->problem.n_ops;
    uint8_t modes[MOST_OPS] = {0};
    double best = INFINITY;
    for (;;) {
        double cost;
        double noise;
        if (sums(g, modes, &cost, &noise) && cost <= budget && noise < best) {
            best = noise;
        }
        size_t k = 0;
        while (k < n && ++modes[k] == MODES) {
            modes[k++] = 0;
        }
        if (k == n) {
            return best;
        }
    }
}

/* exact: the front has to have the very best; else it may miss it by what it says. */
static void check_front(const graph *g, const mica_solve_front *front, bool exact) {
    ck_assert_uint_gt(front->count, 0);
    for (size_t i = 0; i < front->count; ++i) {
        double cost;
        double noise;
        ck_assert(sums(g, front->points[i].modes, &cost, &noise));
        ck_assert_double_eq_tol(cost, front->points[i].cost, 1e-9);
        ck_assert_double_eq_tol(noise, front->points[i].noise, 1e-9);
        ck_assert(i == 0 || (front->points[i].cost >= front->points[i - 1].cost &&
                             front->points[i].noise < front->points[i - 1].noise));
    }
    const double low = front->points[0].cost;
    const double high = front->points[front->count - 1].cost;
    for (int step = 0; step <= 8; ++step) {
        const double budget = low + (high - low) * (double)step / 8.0 + 1e-9;
        const double best = least_noise(g, budget);
        const int64_t found = mica_solve_best(front, budget);
        ck_assert_int_ge(found, 0);
        const double noise = front->points[found].noise;
        ck_assert_double_ge(noise, best - 1e-9);
        ck_assert_double_le(mica_solve_bound(front, budget), best + 1e-9);
        ck_assert(!exact || fabs(noise - best) <= 1e-9);
    }
    ck_assert_int_eq(mica_solve_best(front, low - 1.0), -1);
}

START_TEST(all_choices) {
    mica_prng prng;
    mica_prng_seed(&prng, 11);
    graph *g = mica_alloc(sizeof *g);
    for (int round = 0; round < 40; ++round) {
        make_graph(&prng, 3 + (size_t)round % 6, false, g);
        mica_solve_front front;
        mica_solve(&g->problem, &front);
        ck_assert(front.missing_cost == 0.0 && front.missing_noise == 0.0);
        check_front(g, &front, true);
        mica_solve_free(&front);
    }
    mica_free(g);
}
END_TEST

/* Few labels: the bound holds although the best is missed. */
START_TEST(thinned) {
    mica_prng prng;
    mica_prng_seed(&prng, 12);
    graph *g = mica_alloc(sizeof *g);
    bool missed = false;
    for (int round = 0; round < 20; ++round) {
        make_graph(&prng, 8, false, g);
        g->problem.most_labels = 12;
        mica_solve_front front;
        mica_solve(&g->problem, &front);
        check_front(g, &front, false);
        missed = missed || front.missing_cost > 0.0;
        mica_solve_free(&front);
    }
    ck_assert(missed);
    mica_free(g);
}
END_TEST

/* More live ops than there is room for states: some edges are forgotten, the bound holds. */
START_TEST(wide) {
    mica_prng prng;
    mica_prng_seed(&prng, 13);
    graph *g = mica_alloc(sizeof *g);
    for (int round = 0; round < 3; ++round) {
        make_graph(&prng, 9, true, g);
        mica_solve_front front;
        mica_solve(&g->problem, &front);
        check_front(g, &front, false);
        mica_solve_free(&front);
    }
    mica_free(g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("search_solve");
    TCase *cases = tcase_create("solve");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, all_choices);
    tcase_add_test(cases, thinned);
    tcase_add_test(cases, wide);
    suite_add_tcase(suite, cases);
    return check_run(suite);
}
