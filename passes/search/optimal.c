#include "passes/search/optimal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/search/cross_front.h"
#include "utils/arena.h"
#include "utils/progress.h"

enum { INT8_SAMPLES = 8, FLOAT_SAMPLES = 2, MOST_RUNS = 6 };

/* Products per second of a mode against those of INT8, as vendors state them for matrix units; F32 runs on the
 * vector units; weights of 4 bits beside values of 8 save half of the bytes, no products: half of what INT4 saves. */
static const double MODE_COSTS[MICA_SOLVE_MODES] = {
    [MICA_MODE_F32] = 8.0, [MICA_MODE_F16] = 2.0, [MICA_MODE_BF16] = 2.0, [MICA_MODE_INT8] = 1.0,
    [MICA_MODE_W8A8] = 1.0, [MICA_MODE_INT4] = 0.5, [MICA_MODE_W4INT8] = 0.75,
    [MICA_MODE_W4A8] = 0.75};

double mica_mode_cost(mica_mode mode) {
    return MODE_COSTS[mode] > 0.0 ? MODE_COSTS[mode] : 1.0;
}

typedef struct search {
    mica_real *real;
    const mica_search_job *job;
    const mica_optimal_options *options;
    mica_optimal_result *out;
    mica_noise_result noise[MICA_MODE_COUNT];
    bool *could; /* per op: it has an integer form */
    mica_model model;
    mica_cross *cross;
    mica_solve_front sums;  /* front by addition, exact */
    mica_solve_front front; /* with cross terms */
    double int8_cost, int8_time, macs, scale;
    mica_error *err;
} search;

/* Of the budget: where whole models run. */
static const double SHARES[] = {1.0, 0.95, 0.9, 0.75, 0.5};

/* --- measuring --- */

static mica_status measure(search *s) {
    mica_noise_variant variants[MICA_MODE_COUNT];
    mica_noise_result results[MICA_MODE_COUNT];
    mica_mode modes[MICA_MODE_COUNT];
    mica_lowered *lowered[MICA_MODE_COUNT];
    size_t n = 0;
    mica_status status = MICA_OK;
    for (int m = MICA_MODE_COUNT; m-- > 0 && status == MICA_OK;) {
        if (m == MICA_MODE_F32 || mica_mode_is_narrow((mica_mode)m) ||
            !mica_processor_has_mode(s->job->processor, (mica_mode)m)) {
            continue; /* modes of 4 bits have a search of their own */
        }
        const size_t most = m == MICA_MODE_F16 || m == MICA_MODE_BF16 ? FLOAT_SAMPLES : INT8_SAMPLES;
        const mica_lowered_options how = {.processor = s->job->processor, .table = s->options->table,
                                          .mode = (mica_mode)m, .asymmetric = s->job->asymmetric, .keep_all = true};
        lowered[n] = mica_lowered_open(s->job->module, &how, s->err);
        status = lowered[n] != NULL ? MICA_OK : MICA_FAIL;
        modes[n] = (mica_mode)m;
        variants[n] = (mica_noise_variant){.lowered = lowered[n],
                                           .samples = most < s->job->samples ? most : s->job->samples,
                                           .parts = most == INT8_SAMPLES, .vectors = most == INT8_SAMPLES};
        n++;
    }
    if (status == MICA_OK) {
        status = mica_noise_measure(s->job, variants, n, results, s->err);
    }
    for (size_t i = 0; i < n; ++i) {
        if (status == MICA_OK) {
            s->noise[modes[i]] = results[i];
            s->out->used[modes[i]] = true;
        }
        mica_lowered_close(lowered[i]);
    }
    s->out->used[MICA_MODE_F32] = mica_processor_has_mode(s->job->processor, MICA_MODE_F32);
    s->out->noise_samples = INT8_SAMPLES < s->job->samples ? INT8_SAMPLES : s->job->samples;
    return status;
}

/* --- the problem --- */

static double op_time(const mica_net_op *op, mica_mode mode) {
    const double work = op->macs > 0.0 ? op->macs : MICA_ELEMENT_COST * (double)op->elements;
    return work * mica_mode_cost(mode);
}

/* With a budget of MACs, time only tells choices of as many MACs apart. */
static const double TIME_SHARE = 1e-6;

static bool counts_macs(const search *s) { return s->out->by_macs; }

static double op_cost(const search *s, const mica_net_op *op, mica_mode mode) {
    const double macs = mica_mode_has_integers(mode) ? 0.0 : op->macs;
    return counts_macs(s) ? macs + TIME_SHARE * op_time(op, mode) : op_time(op, mode);
}

static double cast_cost(const search *s, const mica_net_edge *edge) {
    return (counts_macs(s) ? TIME_SHARE : 1.0) * MICA_CAST_COST * (double)edge->elements;
}

/* A float mode that nowhere has less noise than another of the same cost is of no use. */
static void drop_beaten(search *s) {
    const bool both = s->out->used[MICA_MODE_F16] && s->out->used[MICA_MODE_BF16];
    bool worse = both;
    for (size_t k = 0; k < s->job->net->n_ops && worse; ++k) {
        const mica_solve_op *op = &s->model.ops[k];
        worse = !op->allowed[MICA_MODE_BF16] || (op->allowed[MICA_MODE_F16] &&
                                                 op->noise[MICA_MODE_F16] <= op->noise[MICA_MODE_BF16]);
    }
    for (size_t k = 0; k < s->job->net->n_ops && worse; ++k) {
        s->model.ops[k].allowed[MICA_MODE_BF16] = false;
    }
    if (worse) {
        s->out->used[MICA_MODE_BF16] = false;
        s->out->beaten_by[MICA_MODE_BF16] = MICA_MODE_F16;
    }
}

/* MACs in F32 count as those in F16; it is left to ops without another float form, and to those that need it. */
static void drop_slow(search *s) {
    const double MUCH = 1e-4;
    const mica_mode fast = s->out->used[MICA_MODE_F16] ? MICA_MODE_F16 : MICA_MODE_BF16;
    for (size_t k = 0; k < s->job->net->n_ops && counts_macs(s); ++k) {
        mica_solve_op *op = &s->model.ops[k];
        const bool enough = op->allowed[fast] && op->noise[fast] < MUCH * s->out->int8.nsr;
        op->allowed[MICA_MODE_F32] = op->allowed[MICA_MODE_F32] && !enough;
    }
}

static void fix_rows(search *s) {
    for (size_t k = 0; k < s->job->net->n_ops; ++k) {
        mica_mode mode;
        mica_solve_op *op = &s->model.ops[k];
        if (s->model.leader[k] == (int32_t)k && s->options->fixed != NULL && mica_qtable_get(s->options->fixed, s->job->net->ops[k].name, &mode)) {
            memset(op->allowed, 0, sizeof op->allowed);
            op->allowed[mode] = true;
        }
    }
}

static void make_problem(search *s) {
    const mica_net *net = s->job->net;
    const mica_mode always = s->out->used[MICA_MODE_F32] ? MICA_MODE_F32 : s->job->processor->fallback;
    mica_model_make(net, s->noise, always, &s->model);
    drop_beaten(s);
    drop_slow(s);
    fix_rows(s);
    s->could = mica_alloc(net->n_ops + 1);
    for (size_t k = 0; k < net->n_ops; ++k) {
        const bool leads = s->model.leader[k] == (int32_t)k;
        s->could[k] = s->noise[MICA_MODE_INT8].has[k] && leads;
        for (int m = 0; m < MICA_MODE_COUNT && leads; ++m) {
            s->model.ops[k].cost[m] = op_cost(s, &net->ops[k], (mica_mode)m);
        }
    }
    size_t n = 0;
    for (size_t e = 0; e < net->n_edges; ++e) {
        const int32_t from_op = net->edges[e].from < 0 ? -1 : s->model.leader[net->edges[e].from];
        if (from_op < 0 || s->model.leader[net->edges[e].to] != net->edges[e].to) {
            continue;
        }
        mica_solve_edge *edge = &s->model.edges[n++];
        for (int from = 0; from < MICA_MODE_COUNT; ++from) {
            for (int to = 0; to < MICA_MODE_COUNT; ++to) {
                edge->cost[from][to] = from != to ? cast_cost(s, &net->edges[e]) : 0.0;
            }
        }
    }
}

static mica_mode mode_by_itself(const search *s, size_t k) {
    return s->could[k] ? MICA_MODE_INT8 : s->job->processor->fallback;
}

/* What lowering makes of the model without a quantize table; fixed rows are kept. */
static uint8_t *int8_modes(const search *s) {
    const size_t n = s->job->net->n_ops;
    uint8_t *modes = mica_alloc(n + 1);
    for (size_t k = 0; k < n; ++k) {
        const mica_solve_op *op = &s->model.ops[k];
        int mode = (int)mode_by_itself(s, k);
        for (int m = 0; m < MICA_MODE_COUNT && !op->allowed[mode]; ++m) {
            mode = op->allowed[m] ? m : mode;
        }
        modes[k] = (uint8_t)mode;
    }
    return modes;
}

/* --- points --- */

/* Of a choice, casts included. */
static double time_of(const search *s, const uint8_t *modes) {
    const mica_net *net = s->job->net;
    double time = 0.0;
    for (size_t k = 0; k < net->n_ops; ++k) {
        time += s->model.leader[k] == (int32_t)k ? op_time(&net->ops[k], (mica_mode)modes[k]) : 0.0;
    }
    for (size_t i = 0; i < s->model.problem.n_edges; ++i) {
        const mica_solve_edge *edge = &s->model.edges[i];
        const double cast = edge->cost[MICA_MODE_F32][MICA_MODE_INT8] / (counts_macs(s) ? TIME_SHARE : 1.0);
        time += modes[edge->from] != modes[edge->to] ? cast : 0.0;
    }
    return time;
}

static void describe(const search *s, const mica_solve_point *from, mica_optimal_point *to) {
    double all = 0.0;
    double other = 0.0;
    double ignored = 0.0;
    *to = (mica_optimal_point){.nsr = from->noise,
                               .cost = 100.0 * (time_of(s, from->modes) / s->int8_time - 1.0),
                               .bound = mica_solve_bound(&s->sums, from->cost)};
    mica_solve_sums(&s->model.problem, from->modes, &ignored, &to->sum);
    for (size_t k = 0; k < s->job->net->n_ops; ++k) {
        const bool integer = mica_mode_has_integers((mica_mode)from->modes[k]);
        all += s->job->net->ops[k].macs;
        other += integer ? 0.0 : s->job->net->ops[k].macs;
        to->n_float += !integer && s->could[k];
    }
    to->macs = all > 0.0 ? 100.0 * other / all : 0.0;
}

/* Rows for all ops that lowering would not give this mode by itself. */
static mica_qtable *table_of(const search *s, const uint8_t *modes) {
    mica_qtable *table = mica_qtable_create();
    for (size_t k = 0; k < s->job->net->n_ops; ++k) {
        if (modes[k] != (uint8_t)mode_by_itself(s, k) && s->model.leader[k] == (int32_t)k) {
            mica_qtable_set(table, s->job->net->ops[k].name, (mica_mode)modes[k]);
        }
    }
    return table;
}

static mica_status run_point(search *s, size_t i) {
    mica_optimal_point *point = &s->out->points[i];
    if (point->was_run) {
        return MICA_OK;
    }
    mica_qtable *table = table_of(s, s->front.points[i].modes);
    const mica_status status = mica_real_run(s->real, s->options->table, table, &point->real, s->err);
    mica_qtable_destroy(table);
    point->was_run = status == MICA_OK;
    s->out->runs++;
    return status;
}

/* Cost in the solver's units of a share of the budget. */
static double budget_of(const search *s, double share) {
    const double percent = share * (counts_macs(s) ? s->options->max_float_macs : s->options->max_cost);
    const double least = s->front.count > 0 ? s->front.points[0].cost : 0.0;
    const double cost = counts_macs(s) ? s->macs * percent / 100.0 + TIME_SHARE * 8.0 * s->int8_time
                                       : s->int8_cost * (1.0 + percent / 100.0);
    return fmax(cost, least) * (1.0 + 1e-12);
}

static size_t index_at(const search *s, double share) {
    const int64_t i = mica_solve_best(&s->front, budget_of(s, share));
    return i < 0 ? 0 : (size_t)i;
}

/* Within the budget: the point with the least predicted noise, cheaper ones that are nearly as good, and one half as
 * dear for the table; the runs decide. */
static mica_status choose_best(search *s) {
    mica_optimal_result *out = s->out;
    out->chosen = index_at(s, 1.0);
    for (size_t i = 0; i < sizeof SHARES / sizeof SHARES[0] && out->runs < MOST_RUNS; ++i) {
        const size_t at = index_at(s, SHARES[i]);
        MICA_TRY(run_point(s, at));
        out->chosen = out->points[at].real.nsr < out->points[out->chosen].real.nsr ? at : out->chosen;
    }
    return MICA_OK;
}

static double predicted_cosine(const search *s, double nsr) { return 1.0 / sqrt(1.0 + nsr * s->scale); }

/* The cheapest point that reaches the cosine: up from the predicted one, then halving. */
static mica_status choose_cheapest(search *s) {
    mica_optimal_result *out = s->out;
    const int64_t top = (int64_t)index_at(s, 1.0);
    int64_t low = 0;
    int64_t high = top;
    int64_t best = -1;
    int64_t at = 0;
    int64_t stride = 1 + top / 16;
    while (at < top && predicted_cosine(s, out->points[at].nsr) < s->options->expected_cos) {
        at++;
    }
    while (out->runs + 1 < MOST_RUNS && low <= high) {
        MICA_TRY(run_point(s, (size_t)at));
        if (out->points[at].real.cosine >= s->options->expected_cos) {
            best = at;
            high = at - 1;
            at = high - (high - low) / 4;
        } else {
            low = at + 1;
            at = best >= 0 ? high - (high - low) / 2 : at + stride < top ? at + stride : top;
            stride *= 2;
        }
    }
    out->chosen = (size_t)(best >= 0 ? best : top);
    MICA_TRY(run_point(s, out->chosen));
    out->reached = out->points[out->chosen].real.cosine >= s->options->expected_cos;
    return MICA_OK;
}

/* The front by addition, then with cross terms. */
static void find_front(search *s) {
    double budgets[sizeof SHARES / sizeof SHARES[0]];
    mica_solve(&s->model.problem, &s->sums);
    s->front = s->sums; /* for budget_of: the cheapest point is the same */
    for (size_t i = 0; i < sizeof SHARES / sizeof SHARES[0]; ++i) {
        budgets[i] = budget_of(s, SHARES[i]);
    }
    mica_cross_front(s->cross, &s->model, &s->sums, budgets, sizeof SHARES / sizeof SHARES[0], s->job->threads, &s->front);
}

static int compare_numbers(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The chosen point was chosen for its run too: what the prediction is worth, the other runs tell. */
static double expected_db(const mica_optimal_result *r) {
    double moves[MOST_RUNS];
    size_t n = 0;
    for (size_t i = 0; i < r->count && n < MOST_RUNS; ++i) {
        const mica_optimal_point *p = &r->points[i];
        if (p->was_run && i != r->chosen) {
            moves[n++] = mica_nsr_to_db(p->real.nsr) - mica_nsr_to_db(p->nsr);
        }
    }
    qsort(moves, n, sizeof *moves, compare_numbers);
    const double middle = n > 0 ? (moves[n / 2] + moves[(n - 1) / 2]) / 2.0 : 0.0;
    return mica_nsr_to_db(r->points[r->chosen].nsr) + middle;
}

static mica_status solve(search *s) {
    mica_optimal_result *out = s->out;
    double ignored = 0.0;
    uint8_t *modes = int8_modes(s);
    mica_solve_sums(&s->model.problem, modes, &s->int8_cost, &ignored);
    s->int8_time = time_of(s, modes);
    for (size_t k = 0; k < s->job->net->n_ops; ++k) {
        s->macs += s->job->net->ops[k].macs;
    }
    const double begin = mica_seconds();
    const mica_cross_anchor anchor = {.modes = modes, .nsr = s->real->post == NULL ? out->int8.nsr : 0.0};
    s->cross = mica_cross_create(s->job->net, &s->model, s->noise, &anchor, s->job->threads);
    const double noise = mica_cross_noise(s->cross, modes);
    mica_free(modes);
    out->int8_nsr = noise;
    const double real = 1.0 / fmax(out->int8.cosine * out->int8.cosine, 1e-12) - 1.0;
    s->scale = noise > 0.0 && real > 0.0 ? real / noise : 1.0;
    find_front(s);
    const int64_t best = mica_solve_best(&s->sums, budget_of(s, 1.0));
    const double sum = best >= 0 ? s->sums.points[best].noise : 0.0;
    out->gap = sum > 0.0 ? 1.0 - mica_solve_bound(&s->sums, budget_of(s, 1.0)) / sum : 0.0;
    out->solve_seconds = mica_seconds() - begin;
    out->count = s->front.count;
    out->points = mica_alloc((out->count + 1) * sizeof *out->points);
    for (size_t i = 0; i < out->count; ++i) {
        describe(s, &s->front.points[i], &out->points[i]);
    }
    MICA_TRY(s->options->expected_cos > 0.0 ? choose_cheapest(s) : choose_best(s));
    out->expected_db = expected_db(out);
    out->qtable = table_of(s, s->front.points[out->chosen].modes);
    return MICA_OK;
}

mica_status mica_search_optimal(mica_real *real, const mica_optimal_options *options, mica_optimal_result *out,
                                mica_error *err) {
    *out = (mica_optimal_result){.reached = true, .by_macs = options->max_float_macs > 0.0};
    search s = {.real = real, .job = real->job, .options = options, .out = out, .err = err};
    for (int m = 0; m < MICA_MODE_COUNT; ++m) {
        out->beaten_by[m] = MICA_MODE_COUNT;
    }
    mica_status status = mica_real_run(real, options->table, options->fixed, &out->int8, err);
    out->runs = 1;
    const double start = mica_seconds();
    status = status == MICA_OK ? measure(&s) : status;
    out->noise_seconds = mica_seconds() - start;
    if (status == MICA_OK) {
        make_problem(&s);
        status = solve(&s);
    }
    mica_noise_free(s.noise, MICA_MODE_COUNT);
    mica_model_free(&s.model);
    mica_cross_destroy(s.cross);
    mica_solve_free(&s.front);
    mica_solve_free(&s.sums);
    mica_free(s.could);
    if (status != MICA_OK) {
        mica_optimal_result_free(out);
    }
    return status;
}

void mica_optimal_result_free(mica_optimal_result *result) {
    mica_free(result->points);
    if (result->qtable != NULL) {
        mica_qtable_destroy(result->qtable);
    }
    *result = (mica_optimal_result){0};
}
