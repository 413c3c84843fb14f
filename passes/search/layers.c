#include "passes/search/layers.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "passes/search/model.h"
#include "utils/arena.h"

enum { FAST_SAMPLES = 8, SCREEN_SAMPLES = 8, PART_SAMPLES = 8, MOST_RUNS = 10, FAST_RUNS = 2, DEFAULT_FLOAT = 5 };

typedef struct search {
    mica_real *real;
    const mica_layers_options *options;
    const mica_search_job *job;
    mica_layers_result *out;
    bool *searched;           /* per op */
    mica_noise_result noise, parts; /* of INT8 with the mixed table; parts: unless by_loss */
    mica_model model;
    mica_solve_front front;
    double scale;             /* real over added noise of the INT8 model */
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

static bool is_fixed(const search *s, size_t k) {
    mica_mode mode;
    return s->options->fixed != NULL && mica_qtable_get(s->options->fixed, s->job->net->ops[k].name, &mode);
}

static bool is_transformer_op(const char *type) {
    static const char *const types[] = {"top.MatMul", "top.LayerNorm", "top.RMSNorm", "top.Softmax", "top.GELU",
                                        "top.SiLU", "top.Add", "top.Mul"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; ++i) {
        if (strcmp(type, types[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* --- measuring --- */

static mica_lowered *open_int8(const search *s, const mica_cali_table *table) {
    const mica_lowered_options options = {.processor = s->job->processor, .table = table, .mode = MICA_MODE_INT8,
                                          .asymmetric = s->job->asymmetric, .keep_all = true};
    return mica_lowered_open(s->job->module, &options, s->err);
}

static mica_status measure(const search *s, const mica_cali_table *const *tables, size_t n, size_t samples,
                           bool parts, mica_noise_result *results) {
    mica_noise_variant *variants = mica_alloc((n + 1) * sizeof *variants);
    mica_lowered **lowered = mica_alloc((n + 1) * sizeof *lowered);
    mica_status status = MICA_OK;
    size_t opened = 0;
    while (opened < n && status == MICA_OK) {
        lowered[opened] = open_int8(s, tables[opened]);
        variants[opened] = (mica_noise_variant){.lowered = lowered[opened], .samples = samples, .parts = parts};
        status = lowered[opened] != NULL ? MICA_OK : MICA_FAIL;
        opened++;
    }
    if (status == MICA_OK) {
        status = mica_noise_measure(s->job, variants, n, results, s->err);
    }
    for (size_t i = 0; i < opened; ++i) {
        mica_lowered_close(lowered[i]);
    }
    mica_free(lowered);
    mica_free(variants);
    return status;
}

static double threshold_of(const mica_cali_table *table, const char *name) {
    const mica_cali_row *row = mica_cali_table_get(table, name);
    return row != NULL ? row->threshold : 0.0;
}

static int by_loss(const void *a, const void *b) {
    const mica_layers_row *x = a;
    const mica_layers_row *y = b;
    if (x->loss != y->loss) {
        return x->loss > y->loss ? -1 : 1;
    }
    return (x->op > y->op) - (x->op < y->op);
}

/* The row of op k by its best method, with the log lines of all of them. */
static void choose_method(search *s, size_t k, const mica_noise_result *by_method, mica_layers_row *row) {
    const mica_layers_options *o = s->options;
    const mica_net_op *op = &s->job->net->ops[k];
    *row = (mica_layers_row){.op = k, .loss = INFINITY};
    note(s, "start to handle layer: %s, type: %s", op->name, op->type);
    for (size_t m = 0; m < o->n_methods; ++m) {
        const mica_distance d = by_method[m].alone[k];
        const double threshold = threshold_of(o->tables[m], op->name);
        note(s, "adjust layer %s th, with method %s, and threshlod %.10g", op->name, o->methods[m], threshold);
        note(s, "run int8 mode: %s", o->mlir);
        note(s, "outputs_cos_los = %.10g", 1.0 - d.cosine);
        if (1.0 - d.cosine < row->loss) {
            *row = (mica_layers_row){k, m, threshold, 1.0 - d.cosine, d.nsr};
        }
    }
    note(s, "layer %s, layer type is %s, best_th = %.10g, best_method = %s, best_cos_loss = %.10g", op->name, op->type,
         row->threshold, o->methods[row->method], row->loss);
}

static void mix_tables(search *s) {
    s->out->table = mica_cali_table_copy(s->options->base);
    for (size_t i = 0; i < s->out->count; ++i) {
        const mica_layers_row *row = &s->out->rows[i];
        const mica_op *op = s->job->net->ops[row->op].op;
        for (uint32_t r = 0; r < op->n_results; ++r) {
            const char *name = mica_value_name(&op->results[r]);
            const mica_cali_row *best = mica_cali_table_get(s->options->tables[row->method], name);
            if (best != NULL) {
                mica_cali_table_set(s->out->table, name, best->threshold, best->min, best->max);
            }
        }
    }
}

static void choose_methods(search *s, const mica_noise_result *by_method) {
    const mica_net *net = s->job->net;
    s->out->rows = mica_alloc((net->n_ops + 1) * sizeof *s->out->rows);
    for (size_t k = 0; k < net->n_ops; ++k) {
        if (s->searched[k]) {
            choose_method(s, k, by_method, &s->out->rows[s->out->count++]);
        }
    }
    mix_tables(s);
}

static void find_searched(search *s, const mica_noise_result *first) {
    const mica_net *net = s->job->net;
    size_t integer = 0;
    size_t searched = 0;
    for (size_t k = 0; k < net->n_ops; ++k) {
        integer += first->has[k];
        const bool follows = net->ops[k].n_edges == 1 && mica_lower_follows(net->ops[k].op);
        s->searched[k] = first->has[k] && !is_fixed(s, k) && !follows &&
                         (!s->options->transformer || is_transformer_op(net->ops[k].type));
        searched += s->searched[k];
    }
    note(s, "all layer number: %zu", net->n_ops);
    note(s, "all layer number no float: %zu", integer);
    note(s, "transformer model: %s, all search layer number: %zu", s->options->transformer ? "True" : "False", searched);
}

/* Layers alone with all samples; for an exact choice their parts with some. */
static mica_status measure_table(search *s, const mica_cali_table *table) {
    const size_t all = s->job->samples;
    const size_t samples = s->options->fast && all > FAST_SAMPLES ? FAST_SAMPLES : all;
    MICA_TRY(measure(s, &table, 1, samples, false, &s->noise));
    return s->options->by_loss ? MICA_OK
                               : measure(s, &table, 1, samples < PART_SAMPLES ? samples : PART_SAMPLES, true, &s->parts);
}

/* Layers under every method, then under the mixed table. */
static mica_status measure_layers(search *s) {
    const mica_layers_options *o = s->options;
    if (o->n_methods == 1) {
        MICA_TRY(measure_table(s, o->tables[0]));
        find_searched(s, &s->noise);
        choose_methods(s, &s->noise);
        return MICA_OK;
    }
    const size_t screen = s->job->samples < SCREEN_SAMPLES ? s->job->samples : SCREEN_SAMPLES;
    mica_noise_result *by_method = mica_alloc(o->n_methods * sizeof *by_method);
    mica_status status = measure(s, o->tables, o->n_methods, screen, false, by_method);
    if (status == MICA_OK) {
        find_searched(s, &by_method[0]);
        choose_methods(s, by_method);
        mica_noise_free(by_method, o->n_methods);
        status = measure_table(s, s->out->table);
    }
    for (size_t i = 0; i < s->out->count && status == MICA_OK; ++i) {
        mica_layers_row *row = &s->out->rows[i];
        row->loss = 1.0 - s->noise.alone[row->op].cosine;
        row->nsr = s->noise.alone[row->op].nsr;
    }
    mica_free(by_method);
    return status;
}

/* --- choosing --- */

static void make_problem(search *s) {
    const mica_net *net = s->job->net;
    mica_noise_result results[MICA_MODE_COUNT] = {0};
    results[MICA_MODE_INT8] = s->options->by_loss ? s->noise : s->parts;
    mica_model_make(net, results, s->options->float_mode, &s->model);
    for (size_t k = 0; k < net->n_ops; ++k) {
        mica_solve_op *op = &s->model.ops[k];
        if (s->searched[k]) {
            op->cost[s->options->float_mode] = 1.0;
        } else if (s->model.leader[k] == (int32_t)k) {
            /* what is not searched stays as it is */
            op->allowed[s->options->float_mode] = is_fixed(s, k) || !s->noise.has[k];
            op->allowed[MICA_MODE_INT8] = !op->allowed[s->options->float_mode];
        }
    }
    mica_solve(&s->model.problem, &s->front);
}

/* Modes with `count` layers in float, or as many as help; freed by the caller. */
static uint8_t *choose(const search *s, size_t count) {
    const size_t n = s->job->net->n_ops;
    uint8_t *modes = mica_alloc(n + 1);
    if (!s->options->by_loss) {
        const int64_t best = mica_solve_best(&s->front, (double)count + 0.5);
        memcpy(modes, s->front.points[best < 0 ? 0 : best].modes, n);
        return modes;
    }
    for (size_t k = 0; k < n; ++k) {
        const mica_solve_op *op = &s->model.ops[k];
        modes[k] = (uint8_t)(op->allowed[MICA_MODE_INT8] ? MICA_MODE_INT8
                             : op->allowed[s->options->float_mode] ? s->options->float_mode : MICA_MODE_F32);
    }
    for (size_t i = 0; i < count && i < s->out->count; ++i) {
        modes[s->out->rows[i].op] = (uint8_t)s->options->float_mode;
    }
    return modes;
}

static mica_qtable *table_of(const search *s, const uint8_t *modes, size_t *out_rows) {
    mica_qtable *table = mica_qtable_create();
    *out_rows = 0;
    for (size_t i = 0; i < s->out->count; ++i) { /* the most sensitive first */
        const size_t k = s->out->rows[i].op;
        if (modes[k] == s->options->float_mode) {
            mica_qtable_set(table, s->job->net->ops[k].name, s->options->float_mode);
            ++*out_rows;
        }
    }
    for (size_t i = 0; s->options->fixed != NULL && i < mica_qtable_count(s->options->fixed); ++i) {
        mica_mode mode;
        const char *name = mica_qtable_at(s->options->fixed, i, &mode);
        mica_qtable_set(table, name, mode);
    }
    return table;
}

/* Cosine that goes with a sum of noise, from how the two went together in the INT8 model. */
static double predicted_cosine(const search *s, const uint8_t *modes) {
    double cost = 0.0;
    double noise = 0.0;
    mica_solve_sums(&s->model.problem, modes, &cost, &noise);
    return 1.0 / sqrt(1.0 + noise * s->scale);
}

/* Runs the mixed model; keeps it when it is better than what was found, or good enough with fewer layers. */
static mica_status try_modes(search *s, const uint8_t *modes, bool *out_reached) {
    size_t rows = 0;
    mica_qtable *qtable = table_of(s, modes, &rows);
    mica_distance d = {0};
    mica_layers_result *out = s->out;
    if (mica_real_run(s->real, out->table, qtable, &d, s->err) != MICA_OK) {
        mica_qtable_destroy(qtable);
        return MICA_FAIL;
    }
    *out_reached = d.cosine >= s->options->expected_cos;
    note(s, "run mix mode with %zu float layers: outputs_cos = %.10g (predicted %.6f)", rows, d.cosine,
         predicted_cosine(s, modes));
    const bool better = out->qtable == NULL || (*out_reached && (!out->reached || rows < out->n_float)) ||
                        (!*out_reached && !out->reached && d.cosine > out->mixed.cosine);
    if (!better) {
        mica_qtable_destroy(qtable);
        return MICA_OK;
    }
    if (out->qtable != NULL) {
        mica_qtable_destroy(out->qtable);
    }
    double cost = 0.0;
    mica_solve_sums(&s->model.problem, modes, &cost, &out->predicted_nsr);
    out->qtable = qtable;
    out->mixed = d;
    out->n_float = rows;
    out->reached = *out_reached;
    return MICA_OK;
}

static mica_status try_count(search *s, size_t count, bool *out_reached) {
    uint8_t *modes = choose(s, count);
    const mica_status status = try_modes(s, modes, out_reached);
    mica_free(modes);
    return status;
}

static size_t predicted_count(const search *s, size_t limit) {
    for (size_t c = 1; c < limit; ++c) {
        uint8_t *modes = choose(s, c);
        const double cosine = predicted_cosine(s, modes);
        mica_free(modes);
        if (cosine >= s->options->expected_cos) {
            return c;
        }
    }
    return limit;
}

/* The least count that reaches the target: from the predicted one in growing steps, then halving. */
static mica_status find_count(search *s, size_t limit) {
    size_t low = 0;         /* does not reach it */
    size_t high = limit + 1; /* not known to */
    size_t count = predicted_count(s, limit);
    size_t stride = 1;
    const size_t most = s->options->fast ? FAST_RUNS : MOST_RUNS;
    for (size_t run = 0; run < most && low + 1 < high; ++run) {
        bool reached = false;
        MICA_TRY(try_count(s, count, &reached));
        *(reached ? &high : &low) = count;
        if (low > 0 && high <= limit) {
            count = low + (high - low) / 2;
        } else if (reached) {
            count = count > stride ? count - stride : 1;
        } else {
            count = count + stride < limit ? count + stride : limit;
        }
        count = count <= low ? low + 1 : count >= high ? high - 1 : count;
        stride *= 2;
    }
    return MICA_OK;
}

/* Two means over (loss, noise), both relative to the largest; marks the worse cluster. */
static size_t worse_cluster(const search *s, bool *in) {
    const mica_layers_result *out = s->out;
    double top[2] = {1e-30, 1e-30};
    for (size_t i = 0; i < out->count; ++i) {
        top[0] = fmax(top[0], out->rows[i].loss);
        top[1] = fmax(top[1], out->rows[i].nsr);
    }
    double centre[2][2] = {{0.0, 0.0}, {1.0, 1.0}};
    size_t n = 0;
    for (int round = 0; round < 100; ++round) {
        double sum[2][2] = {{0}};
        size_t members[2] = {0};
        for (size_t i = 0; i < out->count; ++i) {
            const double x = out->rows[i].loss / top[0];
            const double y = out->rows[i].nsr / top[1];
            const double near = hypot(x - centre[0][0], y - centre[0][1]);
            in[i] = hypot(x - centre[1][0], y - centre[1][1]) < near;
            members[in[i]]++;
            sum[in[i]][0] += x;
            sum[in[i]][1] += y;
        }
        n = members[1];
        for (int c = 0; c < 2; ++c) {
            const double count = members[c] > 0 ? (double)members[c] : 1.0;
            centre[c][0] = sum[c][0] / count;
            centre[c][1] = sum[c][1] / count;
        }
    }
    return n;
}

static mica_status try_cluster(search *s) {
    bool *in = mica_alloc(s->out->count + 1);
    uint8_t *modes = choose(s, 0);
    const size_t n = worse_cluster(s, in);
    for (size_t i = 0; i < s->out->count; ++i) {
        modes[s->out->rows[i].op] = (uint8_t)(in[i] ? s->options->float_mode : MICA_MODE_INT8);
    }
    note(s, "cluster of sensitive layers: %zu of %zu", n, s->out->count);
    bool reached = false;
    const mica_status status = try_modes(s, modes, &reached);
    mica_free(modes);
    mica_free(in);
    return status;
}

static size_t limit_of(const search *s) {
    const size_t fifth = s->out->count / 5;
    const size_t most = s->options->max_float > 0 ? s->options->max_float
                        : fifth > DEFAULT_FLOAT   ? fifth
                                                  : DEFAULT_FLOAT;
    return most < s->out->count ? most : s->out->count;
}

static mica_status search_float(search *s) {
    mica_layers_result *out = s->out;
    MICA_TRY(measure_layers(s));
    if (out->count == 0) {
        return mica_fail(s->err, "no layer is left to search: all are in float already");
    }
    if (s->options->max_float > out->count) {
        return mica_fail(s->err, "--max_float_layers %zu: only %zu layers can be searched", s->options->max_float,
                         out->count);
    }
    qsort(out->rows, out->count, sizeof *out->rows, by_loss);
    make_problem(s);
    uint8_t *none = choose(s, 0);
    double cost = 0.0;
    double noise = 0.0;
    mica_solve_sums(&s->model.problem, none, &cost, &noise);
    mica_free(none);
    const double real = 1.0 / fmax(out->int8.cosine * out->int8.cosine, 1e-12) - 1.0;
    s->scale = noise > 0.0 && real > 0.0 ? real / noise : 1.0;
    MICA_TRY(s->options->cluster ? try_cluster(s) : find_count(s, limit_of(s)));
    if (!out->reached) {
        out->limit = s->options->cluster ? "the cluster of sensitive layers" : "the number of float layers";
    }
    return MICA_OK;
}

mica_status mica_search_layers(mica_real *real, const mica_layers_options *options, mica_layers_result *out,
                               mica_error *err) {
    const size_t n = real->job->net->n_ops;
    *out = (mica_layers_result){0};
    search s = {.real = real, .options = options, .job = real->job, .out = out, .scale = 1.0, .err = err};
    s.searched = mica_alloc(n + 1);
    note(&s, "run float mode: %s", options->mlir);
    note(&s, "run int8 mode: %s", options->mlir);
    mica_status status = mica_real_run(real, options->base, options->fixed, &out->int8, err);
    note(&s, "all_int8_cos=%.10g", out->int8.cosine);
    if (status == MICA_OK && out->int8.cosine >= options->expected_cos) {
        size_t none = 0;
        out->reached = true;
        out->mixed = out->int8;
        out->table = mica_cali_table_copy(options->base);
        out->qtable = table_of(&s, NULL, &none);
    } else if (status == MICA_OK) {
        status = search_float(&s);
    }
    mica_noise_free(&s.noise, 1);
    mica_noise_free(&s.parts, 1);
    mica_model_free(&s.model);
    mica_solve_free(&s.front);
    mica_free(s.searched);
    if (status != MICA_OK) {
        mica_layers_result_free(out);
    }
    return status;
}

void mica_layers_result_free(mica_layers_result *result) {
    mica_free(result->rows);
    if (result->table != NULL) {
        mica_cali_table_destroy(result->table);
    }
    if (result->qtable != NULL) {
        mica_qtable_destroy(result->qtable);
    }
    mica_strbuf_free(&result->log);
    *result = (mica_layers_result){0};
}
