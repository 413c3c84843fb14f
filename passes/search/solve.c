#include "passes/search/solve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "utils/arena.h"
#include "utils/vec.h"

enum { MOST_LABELS = 16384, MOST_STATES = 4096, MOST_LIVE = 20 };

/* How a label came to be: that of the op before, and the mode of this op. */
typedef struct trail {
    int32_t before;
    uint8_t mode;
} trail;

typedef struct label {
    uint64_t state; /* modes of the live ops, three bits each */
    double cost, noise;
    int32_t before;
    uint8_t mode;
} label;

typedef MICA_VEC(label) label_list;

typedef struct solver {
    const mica_solve_problem *problem;
    size_t *last_use; /* per op: last op that reads it */
    bool *ignored;    /* per edge: its producer was dropped before */
    int32_t live[MOST_LIVE + 1]; /* ops whose modes are the state; live[i] at bits 3i */
    int n_live;
    label_list labels;
    MICA_VEC(trail) trails; /* of all ops; labels of op k start at first[k] */
    size_t *first;
    double missing_cost;
} solver;

/* --- labels --- */

static int by_cost(const void *a, const void *b) {
    const label *x = a;
    const label *y = b;
    if (x->state != y->state) {
        return x->state < y->state ? -1 : 1;
    }
    if (x->cost != y->cost) {
        return x->cost < y->cost ? -1 : 1;
    }
    if (x->noise != y->noise) {
        return x->noise < y->noise ? -1 : 1;
    }
    return x->before != y->before ? (x->before < y->before ? -1 : 1) : (x->mode > y->mode) - (x->mode < y->mode);
}

/* Drops labels that another of the same state beats. */
static void prune(label_list *labels) {
    size_t kept = 0;
    if (labels->len > 1) {
        qsort(labels->data, labels->len, sizeof *labels->data, by_cost);
    }
    for (size_t i = 0; i < labels->len; ++i) {
        const label *at = &labels->data[i];
        if (kept == 0 || labels->data[kept - 1].state != at->state || at->noise < labels->data[kept - 1].noise) {
            labels->data[kept++] = *at;
        }
    }
    labels->len = kept;
}

static double cost_range(const label_list *labels) {
    double low = INFINITY;
    double high = 0.0;
    for (size_t i = 0; i < labels->len; ++i) {
        low = fmin(low, labels->data[i].cost);
        high = fmax(high, labels->data[i].cost);
    }
    return labels->len > 0 ? high - low : 0.0;
}

/* Of labels whose costs lie within `step` of the first of their group, the last stays: it has the least noise, and
 * is at most `step` dearer than those it stands for. */
static size_t thin_by(const label_list *from, double step, label_list *to) {
    to->len = 0;
    for (size_t i = 0; i < from->len;) {
        size_t end = i;
        while (end + 1 < from->len && from->data[end + 1].state == from->data[i].state &&
               from->data[end + 1].cost <= from->data[i].cost + step) {
            end++;
        }
        mica_vec_push(to, from->data[end]);
        i = end + 1;
    }
    return to->len;
}

/* Brings the number of labels below the limit and notes what that may cost. */
static void thin(solver *s) {
    const size_t most = s->problem->most_labels > 0 ? s->problem->most_labels : MOST_LABELS;
    const double range = cost_range(&s->labels);
    double step = range / (4.0 * (double)most);
    if (s->labels.len <= most || step <= 0.0) {
        return;
    }
    label_list thinned = {0};
    while (thin_by(&s->labels, step, &thinned) > most && step < range) { /* one of each state stays */
        step *= 2.0;
    }
    mica_vec_free(&s->labels);
    s->labels = thinned;
    s->missing_cost += step;
}

/* --- states --- */

static int place_of(const solver *s, int32_t op) {
    for (int i = 0; i < s->n_live; ++i) {
        if (s->live[i] == op) {
            return i;
        }
    }
    return -1;
}

static uint8_t mode_at(uint64_t state, int place) { return (uint8_t)(state >> (3 * place) & 7); }

static void drop(solver *s, int place) {
    const uint64_t low = ((uint64_t)1 << (3 * place)) - 1;
    for (size_t i = 0; i < s->labels.len; ++i) {
        const uint64_t state = s->labels.data[i].state;
        s->labels.data[i].state = (state & low) | ((state >> 3) & ~low);
    }
    memmove(&s->live[place], &s->live[place + 1], (size_t)(s->n_live - place - 1) * sizeof s->live[0]);
    s->n_live--;
}

static size_t count_states(const label_list *labels) {
    size_t n = 0;
    for (size_t i = 0; i < labels->len; ++i) {
        n += i == 0 || labels->data[i].state != labels->data[i - 1].state;
    }
    return n;
}

/* Too many states: the live op that is read last is forgotten. Terms of its later edges are left out, which can
 * only make the front look better than it is. */
static void forget_one(solver *s, size_t now) {
    int worst = 0;
    for (int i = 1; i < s->n_live; ++i) {
        worst = s->last_use[s->live[i]] > s->last_use[s->live[worst]] ? i : worst;
    }
    for (size_t e = 0; e < s->problem->n_edges; ++e) {
        const mica_solve_edge *edge = &s->problem->edges[e];
        s->ignored[e] = s->ignored[e] || (edge->from == s->live[worst] && (size_t)edge->to > now);
    }
    drop(s, worst);
    prune(&s->labels);
}

/* --- one op --- */

/* All labels with op k in every mode; edges [first, last) end in it. */
static void extend(solver *s, size_t k, size_t first, size_t last) {
    const mica_solve_op *op = &s->problem->ops[k];
    label_list grown = {0};
    mica_vec_reserve(&grown, s->labels.len * MICA_SOLVE_MODES + 1);
    for (size_t i = 0; i < s->labels.len; ++i) {
        for (int m = 0; m < MICA_SOLVE_MODES; ++m) {
            if (!op->allowed[m]) {
                continue;
            }
            label next = s->labels.data[i];
            next.cost += op->cost[m];
            next.noise += op->noise[m];
            for (size_t e = first; e < last; ++e) {
                const mica_solve_edge *edge = &s->problem->edges[e];
                const int place = s->ignored[e] ? -1 : place_of(s, edge->from);
                if (place >= 0) {
                    const uint8_t from = mode_at(s->labels.data[i].state, place);
                    next.cost += edge->cost[from][m];
                    next.noise += edge->noise[from][m];
                }
            }
            next.before = (int32_t)(s->first[k] + i);
            next.mode = (uint8_t)m;
            next.state |= (uint64_t)m << (3 * s->n_live);
            mica_vec_push(&grown, next);
        }
    }
    mica_vec_free(&s->labels);
    s->labels = grown;
    s->live[s->n_live++] = (int32_t)k;
}

static void step(solver *s, size_t k, size_t first, size_t last) {
    extend(s, k, first, last);
    for (int i = s->n_live; i-- > 0;) {
        if (s->last_use[s->live[i]] <= k) {
            drop(s, i);
        }
    }
    prune(&s->labels);
    while (s->n_live > 0 && (count_states(&s->labels) > MOST_STATES || s->n_live >= MOST_LIVE)) {
        forget_one(s, k);
    }
    thin(s);
    s->first[k + 1] = s->trails.len;
    for (size_t i = 0; i < s->labels.len; ++i) {
        mica_vec_push(&s->trails, (trail){s->labels.data[i].before, s->labels.data[i].mode});
    }
}

/* --- result --- */

void mica_solve_sums(const mica_solve_problem *p, const uint8_t *modes, double *out_cost, double *out_noise) {
    double cost = 0.0;
    double noise = 0.0;
    for (size_t k = 0; k < p->n_ops; ++k) {
        cost += p->ops[k].cost[modes[k]];
        noise += p->ops[k].noise[modes[k]];
    }
    for (size_t e = 0; e < p->n_edges; ++e) {
        cost += p->edges[e].cost[modes[p->edges[e].from]][modes[p->edges[e].to]];
        noise += p->edges[e].noise[modes[p->edges[e].from]][modes[p->edges[e].to]];
    }
    *out_cost = cost;
    *out_noise = noise;
}

static uint8_t *modes_of(const solver *s, size_t index) {
    const size_t n = s->problem->n_ops;
    uint8_t *modes = mica_alloc(n + 1);
    size_t at = s->first[n] + index;
    for (size_t k = n; k-- > 0;) {
        modes[k] = s->trails.data[at].mode;
        at = (size_t)s->trails.data[at].before;
    }
    return modes;
}

static int by_point(const void *a, const void *b) {
    const mica_solve_point *x = a;
    const mica_solve_point *y = b;
    if (x->cost != y->cost) {
        return x->cost < y->cost ? -1 : 1;
    }
    return (x->noise > y->noise) - (x->noise < y->noise);
}

/* What an ignored edge may take off the noise. */
static double most_taken(const mica_solve_edge *edge) {
    double least = 0.0;
    for (int a = 0; a < MICA_SOLVE_MODES; ++a) {
        for (int b = 0; b < MICA_SOLVE_MODES; ++b) {
            least = fmin(least, edge->noise[a][b]);
        }
    }
    return -least;
}

/* The front of the true sums; missing_noise is what ignored edges hid at most. */
static void make_front(const solver *s, mica_solve_front *out) {
    mica_solve_point *points = mica_alloc((s->labels.len + 1) * sizeof *points);
    double hidden_cost = 0.0;
    double hidden_noise = 0.0;
    for (size_t i = 0; i < s->labels.len; ++i) {
        points[i].modes = modes_of(s, i);
        mica_solve_sums(s->problem, points[i].modes, &points[i].cost, &points[i].noise);
        hidden_cost = fmax(hidden_cost, points[i].cost - s->labels.data[i].cost);
        hidden_noise = fmax(hidden_noise, points[i].noise - s->labels.data[i].noise);
    }
    if (s->labels.len > 1) {
        qsort(points, s->labels.len, sizeof *points, by_point);
    }
    *out = (mica_solve_front){.points = points};
    for (size_t i = 0; i < s->labels.len; ++i) {
        if (out->count > 0 && points[i].noise >= points[out->count - 1].noise) {
            mica_free(points[i].modes);
        } else {
            points[out->count++] = points[i];
        }
    }
    bool any_ignored = false;
    for (size_t e = 0; e < s->problem->n_edges; ++e) {
        any_ignored = any_ignored || s->ignored[e];
        hidden_noise += s->ignored[e] ? most_taken(&s->problem->edges[e]) : 0.0;
    }
    out->missing_cost = s->missing_cost + (any_ignored ? hidden_cost : 0.0);
    out->missing_noise = any_ignored ? hidden_noise : 0.0;
}

void mica_solve(const mica_solve_problem *problem, mica_solve_front *out) {
    solver s = {.problem = problem};
    s.last_use = mica_alloc((problem->n_ops + 1) * sizeof *s.last_use);
    s.ignored = mica_alloc(problem->n_edges + 1);
    s.first = mica_alloc((problem->n_ops + 2) * sizeof *s.first);
    memset(s.ignored, 0, problem->n_edges);
    for (size_t k = 0; k < problem->n_ops; ++k) {
        s.last_use[k] = k;
    }
    for (size_t e = 0; e < problem->n_edges; ++e) {
        s.last_use[problem->edges[e].from] = (size_t)problem->edges[e].to;
    }
    mica_vec_push(&s.labels, (label){0});
    mica_vec_push(&s.trails, (trail){0});
    s.first[0] = 0;
    size_t edge = 0;
    for (size_t k = 0; k < problem->n_ops; ++k) {
        const size_t first = edge;
        while (edge < problem->n_edges && (size_t)problem->edges[edge].to == k) {
            edge++;
        }
        step(&s, k, first, edge);
    }
    make_front(&s, out);
    mica_vec_free(&s.labels);
    mica_vec_free(&s.trails);
    mica_free(s.last_use);
    mica_free(s.ignored);
    mica_free(s.first);
}

void mica_solve_free(mica_solve_front *front) {
    for (size_t i = 0; i < front->count; ++i) {
        mica_free(front->points[i].modes);
    }
    mica_free(front->points);
    *front = (mica_solve_front){0};
}

int64_t mica_solve_best(const mica_solve_front *front, double cost) {
    int64_t best = -1;
    for (size_t i = 0; i < front->count && front->points[i].cost <= cost; ++i) {
        best = (int64_t)i;
    }
    return best;
}

double mica_solve_bound(const mica_solve_front *front, double cost) {
    const int64_t i = mica_solve_best(front, cost + front->missing_cost);
    return i >= 0 ? front->points[i].noise - front->missing_noise : 0.0;
}
