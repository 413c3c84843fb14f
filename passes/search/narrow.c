#include "passes/search/narrow.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "passes/search/optimal.h"
#include "utils/arena.h"

enum { NOISE_SAMPLES = 8, MOST_RUNS = 8 };
static const double LEAST_SHARE = 0.95; /* of the cosine of INT8 */
static const double LEAST_NOISE = 1e-12;

typedef struct search {
    mica_real *real;
    const mica_search_job *job;
    const mica_narrow_options *options;
    mica_narrow_result *out;
    mica_noise_result noise[2]; /* INT8, narrow */
    mica_solve_op *ops;
    mica_solve_front front; /* cost: MACs that 4 bits would save yet */
    double int8_cost, savable;
    mica_error *err;
} search;

static void note(search *s, const char *format, ...) MICA_PRINTF(2, 3);
static void note(search *s, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mica_strbuf_printf(&s->out->log, "INFO:root:%s\n", text);
}

/* --- measuring --- */

static mica_status measure(search *s) {
    const mica_mode modes[2] = {MICA_MODE_INT8, s->options->mode};
    mica_noise_variant variants[2];
    mica_lowered *lowered[2] = {NULL, NULL};
    const size_t samples = s->job->samples < NOISE_SAMPLES ? s->job->samples : NOISE_SAMPLES;
    mica_status status = MICA_OK;
    for (int i = 0; i < 2 && status == MICA_OK; ++i) {
        const mica_lowered_options how = {.processor = s->job->processor, .table = s->options->table,
                                          .mode = modes[i], .asymmetric = s->job->asymmetric, .keep_all = true};
        lowered[i] = mica_lowered_open(s->job->module, &how, s->err);
        status = lowered[i] != NULL ? MICA_OK : MICA_FAIL;
        variants[i] = (mica_noise_variant){.lowered = lowered[i], .samples = samples, .parts = true};
    }
    if (status == MICA_OK) {
        status = mica_noise_measure(s->job, variants, 2, s->noise, s->err);
    }
    for (int i = 0; i < 2; ++i) {
        mica_lowered_close(lowered[i]);
    }
    return status;
}

static double int8_cost(const mica_net_op *op) {
    return op->macs > 0.0 ? op->macs : MICA_ELEMENT_COST * (double)op->elements;
}

/* INT4 casts the input of the product. */
static double saved_by(const search *s, const mica_net_op *op) {
    const bool casts = s->options->mode == MICA_MODE_INT4 && op->n_edges > 0;
    const double cast = casts ? MICA_CAST_COST * (double)s->job->net->edges[op->first_edge].elements : 0.0;
    return op->macs * (1.0 - mica_mode_cost(s->options->mode)) - cast;
}

static bool is_fixed(const search *s, size_t k) {
    mica_mode mode;
    return s->options->fixed != NULL && mica_qtable_get(s->options->fixed, s->job->net->ops[k].name, &mode);
}

static int by_loss(const void *a, const void *b) {
    const mica_narrow_row *x = a;
    const mica_narrow_row *y = b;
    if (x->loss != y->loss) {
        return x->loss > y->loss ? -1 : 1;
    }
    return (x->op > y->op) - (x->op < y->op);
}

static void make_problem(search *s) {
    const mica_net *net = s->job->net;
    mica_narrow_result *out = s->out;
    s->ops = mica_alloc((net->n_ops + 1) * sizeof *s->ops);
    out->rows = mica_alloc((net->n_ops + 1) * sizeof *out->rows);
    for (size_t k = 0; k < net->n_ops; ++k) {
        const mica_net_op *op = &net->ops[k];
        const double saved = saved_by(s, op);
        s->int8_cost += int8_cost(op);
        s->ops[k] = (mica_solve_op){0};
        s->ops[k].allowed[MICA_MODE_INT8] = true;
        if (!s->noise[0].has[k] || !s->noise[1].has[k] || is_fixed(s, k) || !(saved > 0.0)) {
            continue;
        }
        /* Above 0, so that all INT8 is the last point of the front. */
        const double more = fmax(s->noise[1].own[k].nsr - s->noise[0].own[k].nsr, LEAST_NOISE);
        s->ops[k].allowed[s->options->mode] = true;
        s->ops[k].noise[s->options->mode] = more;
        s->ops[k].cost[MICA_MODE_INT8] = saved;
        s->savable += saved;
        out->rows[out->count++] = (mica_narrow_row){k, 1.0 - s->noise[1].alone[k].cosine, more, saved, false};
    }
    qsort(out->rows, out->count, sizeof *out->rows, by_loss);
    for (size_t i = 0; i < out->count; ++i) {
        const mica_net_op *op = &net->ops[out->rows[i].op];
        note(s, "layer %s, layer type is %s, %s outputs_cos_los = %.10g", op->name, op->type,
             mica_mode_name(s->options->mode), out->rows[i].loss);
    }
    const mica_solve_problem problem = {.ops = s->ops, .n_ops = net->n_ops};
    mica_solve(&problem, &s->front);
    out->points = s->front.count;
    out->least_cost = -100.0 * s->savable / s->int8_cost;
}

/* --- choosing --- */

static mica_qtable *table_of(const search *s, const uint8_t *modes) {
    mica_qtable *table = mica_qtable_create();
    for (size_t i = 0; i < s->out->count; ++i) {
        const size_t k = s->out->rows[i].op;
        mica_qtable_set(table, s->job->net->ops[k].name, (mica_mode)modes[k]);
    }
    for (size_t i = 0; s->options->fixed != NULL && i < mica_qtable_count(s->options->fixed); ++i) {
        mica_mode mode;
        const char *name = mica_qtable_at(s->options->fixed, i, &mode);
        mica_qtable_set(table, name, mode);
    }
    return table;
}

static mica_status run_point(search *s, size_t i, mica_distance *out) {
    mica_qtable *table = table_of(s, s->front.points[i].modes);
    const mica_status status = mica_real_run(s->real, s->options->table, table, out, s->err);
    mica_qtable_destroy(table);
    s->out->runs++;
    note(s, "run mix mode at cost %+.2f %%: outputs_cos = %.10g",
         100.0 * (s->front.points[i].cost - s->savable) / s->int8_cost, out->cosine);
    return status;
}

static double predicted_cosine(const search *s, size_t i) {
    return 1.0 / sqrt(1.0 + s->out->int8.nsr + s->front.points[i].noise);
}

/* The cheapest point that reaches the target; the last one, all INT8, does. */
static mica_status choose_cheapest(search *s, size_t *chosen, mica_distance *real) {
    size_t low = 0;                   /* cheaper ones do not reach it */
    size_t high = s->front.count - 1; /* does */
    size_t at = 0;
    size_t stride = 1 + high / 16;
    bool bracketed = false;
    while (at < high && predicted_cosine(s, at) < s->out->target) {
        at++;
    }
    *real = s->out->int8;
    for (int run = 0; run < MOST_RUNS && low < high; ++run) {
        mica_distance d = {0};
        at = at < high ? at : high - 1;
        MICA_TRY(run_point(s, at, &d));
        if (d.cosine >= s->out->target) {
            high = at;
            *real = d;
            at = bracketed || at < stride ? low + (high - low) / 2 : at - stride;
            at = at > low ? at : low;
        } else {
            low = at + 1;
            bracketed = true;
            at = high < s->front.count - 1 || at + stride >= high ? low + (high - low) / 2 : at + stride;
        }
        stride *= 2;
    }
    *chosen = high;
    s->out->reached = true;
    return MICA_OK;
}

/* The point of least noise within the budget; its distance tells nothing of whether it was met. */
static mica_status choose_budget(search *s, size_t *chosen, mica_distance *real) {
    const double most = s->savable + s->int8_cost * s->options->max_cost / 100.0;
    const int64_t best = mica_solve_best(&s->front, most * (1.0 + 1e-12));
    *chosen = best < 0 ? 0 : (size_t)best;
    s->out->reached = best >= 0;
    return run_point(s, *chosen, real);
}

static void describe(search *s, size_t chosen) {
    mica_narrow_result *out = s->out;
    const uint8_t *modes = s->front.points[chosen].modes;
    double all = 0.0;
    double narrow = 0.0;
    for (size_t k = 0; k < s->job->net->n_ops; ++k) {
        all += s->job->net->ops[k].macs;
    }
    for (size_t i = 0; i < out->count; ++i) {
        out->rows[i].is_narrow = modes[out->rows[i].op] == (uint8_t)s->options->mode;
        out->n_narrow += out->rows[i].is_narrow;
        narrow += out->rows[i].is_narrow ? s->job->net->ops[out->rows[i].op].macs : 0.0;
    }
    out->macs = all > 0.0 ? 100.0 * narrow / all : 0.0;
    out->cost = 100.0 * (s->front.points[chosen].cost - s->savable) / s->int8_cost;
    out->qtable = table_of(s, modes);
}

static mica_status choose(search *s) {
    mica_narrow_result *out = s->out;
    if (out->count == 0) {
        return mica_fail(s->err, "no layer is left to search: none has weights of 4 bits that save anything");
    }
    size_t chosen = 0;
    out->target = s->options->expected_cos > 0.0 ? s->options->expected_cos : LEAST_SHARE * out->int8.cosine;
    if (s->options->max_cost < 0.0) {
        MICA_TRY(choose_budget(s, &chosen, &out->mixed));
    } else if (out->int8.cosine < out->target) {
        chosen = s->front.count - 1;
        out->mixed = out->int8;
    } else {
        MICA_TRY(choose_cheapest(s, &chosen, &out->mixed));
    }
    describe(s, chosen);
    return MICA_OK;
}

mica_status mica_search_narrow(mica_real *real, const mica_narrow_options *options, mica_narrow_result *out,
                               mica_error *err) {
    *out = (mica_narrow_result){0};
    search s = {.real = real, .job = real->job, .options = options, .out = out, .err = err};
    note(&s, "run int8 mode: %s", options->mlir);
    mica_status status = mica_real_run(real, options->table, options->fixed, &out->int8, err);
    out->runs = 1;
    note(&s, "all_int8_cos=%.10g", out->int8.cosine);
    status = status == MICA_OK ? measure(&s) : status;
    if (status == MICA_OK) {
        make_problem(&s);
        status = choose(&s);
    }
    mica_noise_free(s.noise, 2);
    mica_solve_free(&s.front);
    mica_free(s.ops);
    if (status != MICA_OK) {
        mica_narrow_result_free(out);
    }
    return status;
}

void mica_narrow_result_free(mica_narrow_result *result) {
    mica_free(result->rows);
    if (result->qtable != NULL) {
        mica_qtable_destroy(result->qtable);
    }
    mica_strbuf_free(&result->log);
    *result = (mica_narrow_result){0};
}
