/* Small top graphs from a short text, run on random inputs: for the tests of patterns and lowering.
 *
 *     x = Input 1x3x8x8
 *     c = Conv(x, w:4x3x3x3, b:4) {kernel_shape = array<i64: 3, 3>}
 *     v, i = TopK(c) {k = 2}
 *     return v i
 *
 * Operands: a name, "_" (none), or a constant made in place: name:shape (normal random numbers),
 * name:shape+ (random in 0.5..1.5), name:shape=1,2,3 (these values, the last repeated). Shapes are
 * "2x3" (f32), "2x3xi64", "i64" or nothing (scalars). Result types come from the infer hooks. */
#ifndef MICA_TEST_GRAPH_CASE_H
#define MICA_TEST_GRAPH_CASE_H

#include "dialects/dialects.h"
#include "dialects/plan.h"
#include "dialects/top/top.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "runtime/mrt_exec.h"
#include "utils/prng.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct graph {
    mica_context *context;
    mica_module *module;
    mica_prng prng;
    char diags[4096]; /* all diagnostics, a line each */
} graph;

static inline void graph_diag(void *user, mica_severity severity, mica_loc loc, const char *text) {
    (void)severity;
    (void)loc;
    graph *g = user;
    const size_t used = strlen(g->diags);
    snprintf(g->diags + used, sizeof g->diags - used, "%s\n", text);
}

static inline void graph_trim(char **text) {
    *text += strspn(*text, " ");
    size_t n = strlen(*text);
    while (n > 0 && (*text)[n - 1] == ' ') {
        (*text)[--n] = '\0';
    }
}

static inline mica_type graph_type(graph *g, const char *shape) {
    char text[128];
    const size_t n = strlen(shape);
    const bool typed = strpbrk(shape, "if") != NULL;
    snprintf(text, sizeof text, "tensor<%s%s>", shape, typed ? "" : (n > 0 ? "xf32" : "f32"));
    const mica_type type = mica_parse_type(g->context, text);
    ck_assert_msg(type != NULL, "type %s: %s", text, g->diags);
    return type;
}

static inline mica_value *graph_find(graph *g, const char *name) {
    mica_block *body = mica_func_body(mica_module_func(g->module, "main"));
    for (mica_op *op = body->last; op; op = op->prev) {
        for (uint32_t i = 0; i < op->n_results; i++) {
            if (strcmp(mica_value_name(&op->results[i]), name) == 0) {
                return &op->results[i];
            }
        }
    }
    return NULL;
}

/* name:shape, name:shape+ or name:shape=values */
static inline mica_value *graph_const(graph *g, mica_builder *builder, char *text) {
    char *shape = strchr(text, ':');
    *shape++ = '\0';
    char *values = strchr(shape, '=');
    if (values) {
        *values++ = '\0';
    }
    const size_t n = strlen(shape);
    const bool positive = n > 0 && shape[n - 1] == '+';
    if (positive) {
        shape[n - 1] = '\0';
    }
    const mica_type type = graph_type(g, shape);
    const int64_t count = mica_type_count(type);
    const bool is_float = mica_type_is_float(type->element, MICA_F32);
    float *real = malloc((size_t)count * sizeof *real + 1);
    int64_t *whole = malloc((size_t)count * sizeof *whole + 1);
    double last = 0.0;
    for (int64_t i = 0; i < count; i++) {
        if (values && *values) {
            last = strtod(values, &values);
            values += *values == ',';
        }
        real[i] = values ? (float)last
                         : positive ? 0.5f + mica_prng_f32(&g->prng) : mica_prng_normal(&g->prng);
        whole[i] = (int64_t)last;
    }
    mica_value *value = mica_top_weight(builder, text, type->element, type->rank, type->dims,
                                        is_float ? (const void *)real : (const void *)whole);
    free(whole);
    free(real);
    return value;
}

static inline void graph_op(graph *g, mica_builder *builder, char *line) {
    char *names = line;
    char *text = strstr(line, " = ");
    ck_assert_msg(text != NULL, "no ' = ' in %s", line);
    *text = '\0';
    text += 3;
    mica_loc parts[8];
    size_t n_results = 0;
    for (char *save = NULL, *part = strtok_r(names, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        graph_trim(&part);
        parts[n_results++] = mica_loc_name(g->context, part, NULL);
    }
    const mica_loc loc = n_results == 1 ? parts[0] : mica_loc_fused(g->context, parts, n_results);
    mica_value *operands[16];
    size_t n = 0;
    char name[64];
    if (strncmp(text, "Input ", 6) == 0) {
        mica_block *body = mica_func_body(mica_module_func(g->module, "main"));
        operands[n++] = mica_block_add_arg(body, graph_type(g, text + 6), loc);
        snprintf(name, sizeof name, "top.Input");
        text = NULL;
    } else {
        char *open = strchr(text, '(');
        char *close = strchr(text, ')');
        ck_assert_msg(open && close, "no operands in %s", text);
        *open++ = *close++ = '\0';
        snprintf(name, sizeof name, "top.%s", text);
        /* commas inside of values have no blank after them */
        for (char *part = open; part && *part;) {
            char *next = strstr(part, ", ");
            if (next) {
                *next = '\0';
                next += 2;
            }
            graph_trim(&part);
            operands[n] = strcmp(part, "_") == 0 ? mica_top_none(builder)
                          : strchr(part, ':')    ? graph_const(g, builder, part)
                                                 : graph_find(g, part);
            ck_assert_msg(operands[n] != NULL, "operand %s is not defined", part);
            n++;
            part = next;
        }
        text = close;
    }
    mica_op *op = mica_build_op(builder, name, loc, operands, n, n_results);
    ck_assert_msg(op->info != NULL, "%s is not registered", name);
    if (text && strchr(text, '{')) {
        const mica_attr dict = mica_parse_attr(g->context, strchr(text, '{'));
        ck_assert_msg(dict != NULL, "attributes %s: %s", text, g->diags);
        for (size_t i = 0; i < dict->count; i++) {
            mica_op_set_attr(op, dict->entries[i].name, dict->entries[i].value);
        }
    }
    ck_assert_msg(mica_op_infer(op) == MICA_OK, "%s: %s", name, g->diags);
}

static inline void graph_begin(graph *g, uint64_t seed, const char *text) {
    memset(g, 0, sizeof *g);
    g->context = mica_context_create();
    mica_register_dialects(g->context);
    mica_set_diag_handler(g->context, graph_diag, g);
    mica_prng_seed(&g->prng, seed);
    const mica_loc unknown = mica_loc_unknown(g->context);
    g->module = mica_module_create(g->context, unknown);
    mica_op_set_str(g->module->op, "module.state", "TOP_F32");
    mica_builder outer = mica_builder_at_end(g->module, mica_module_body(g->module));
    mica_op *func = mica_build_func(&outer, "main", NULL, NULL, 0, NULL, 0, unknown);
    mica_builder builder = mica_builder_at_end(g->module, mica_func_body(func));
    char *copy = strdup(text);
    for (char *save = NULL, *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        graph_trim(&line);
        if (strncmp(line, "return", 6) != 0) {
            graph_op(g, &builder, line);
            continue;
        }
        mica_value *values[8];
        size_t n = 0;
        char *words = NULL;
        strtok_r(line, " ", &words);
        for (char *word = strtok_r(NULL, " ", &words); word; word = strtok_r(NULL, " ", &words)) {
            values[n] = graph_find(g, word);
            ck_assert_msg(values[n] != NULL, "%s is not defined", word);
            n++;
        }
        mica_build_return(&builder, values, n, unknown);
    }
    free(copy);
    mica_func_update_type(func);
    ck_assert_msg(mica_verify(g->module) == MICA_OK, "%s\n%s", text, g->diags);
}

static inline void graph_end(graph *g) {
    mica_module_destroy(g->module);
    mica_context_destroy(g->context);
}

/* --- running ------------------------------------------------------------------------------------ */

typedef struct graph_run {
    mrt_plan *plan;
    mrt_exec *exec;
} graph_run;

/* Plans and runs on inputs that depend on the seed alone: normal numbers, or 0..3 for integers. */
static inline graph_run graph_execute(graph *g, mica_module *module, uint64_t seed, bool keep_all) {
    graph_run run = {0};
    mrt_error error = {0};
    const mica_plan_options options = {.keep_all = keep_all};
    ck_assert_msg(mica_plan_func(module, mica_module_func(module, "main"), &options, &run.plan) == MICA_OK,
                  "%s", g->diags);
    ck_assert_msg(mrt_exec_create(run.plan, NULL, &run.exec, &error) == MRT_OK, "%s", error.text);
    mica_prng prng;
    mica_prng_seed(&prng, seed);
    for (int32_t i = 0; i < run.plan->n_inputs; i++) {
        mrt_tensor *t = mrt_exec_tensor(run.exec, run.plan->inputs[i]);
        const int64_t count = mrt_shape_count(&t->shape);
        for (int64_t k = 0; k < count; k++) {
            if (t->dtype == MRT_F32) {
                ((float *)t->data)[k] = mica_prng_normal(&prng);
            } else if (t->dtype == MRT_I64) {
                ((int64_t *)t->data)[k] = (int64_t)mica_prng_below(&prng, 4);
            } else if (t->dtype == MRT_I32) {
                ((int32_t *)t->data)[k] = (int32_t)mica_prng_below(&prng, 4);
            } else if (mrt_dtype_bytes(t->dtype) == 1) {
                ((uint8_t *)t->data)[k] = (uint8_t)mica_prng_below(&prng, 2);
            } else {
                ck_abort_msg("input of another type");
            }
        }
    }
    mrt_exec_run(run.exec, NULL, NULL);
    return run;
}

static inline void graph_run_end(graph_run *run) {
    mrt_exec_destroy(run->exec);
    mrt_plan_destroy(run->plan);
}

static inline const mrt_tensor *graph_output(const graph_run *run, int32_t i) {
    return mrt_exec_tensor(run->exec, run->plan->outputs[i]);
}

/* Names, types and shapes are equal; values differ by at most `relative` of the largest magnitude. */
static inline void graph_check_equal(const graph_run *a, const graph_run *b, double relative,
                                     const char *what) {
    ck_assert_int_eq(a->plan->n_outputs, b->plan->n_outputs);
    for (int32_t i = 0; i < a->plan->n_outputs; i++) {
        const mrt_tensor *x = graph_output(a, i);
        const mrt_tensor *y = graph_output(b, i);
        ck_assert_msg(strcmp(x->name, y->name) == 0, "%s: output is '%s', was '%s'", what, y->name, x->name);
        ck_assert_int_eq(x->dtype, y->dtype);
        ck_assert_int_eq(x->shape.rank, y->shape.rank);
        for (int k = 0; k < x->shape.rank; k++) {
            ck_assert_int_eq(x->shape.dims[k], y->shape.dims[k]);
        }
        const int64_t count = mrt_shape_count(&x->shape);
        if (x->dtype != MRT_F32) {
            ck_assert_int_eq(memcmp(x->data, y->data, (size_t)count * mrt_dtype_bytes(x->dtype)), 0);
            continue;
        }
        double largest = 1e-30;
        for (int64_t k = 0; k < count; k++) {
            largest = fmax(largest, fabs((double)((const float *)x->data)[k]));
        }
        for (int64_t k = 0; k < count; k++) {
            const double p = ((const float *)x->data)[k];
            const double q = ((const float *)y->data)[k];
            ck_assert_msg(fabs(p - q) <= relative * largest || p == q || (isnan(p) && isnan(q)), "%s: '%s'[%lld] is %.9g, was %.9g", what, x->name,
                          (long long)k, q, p);
        }
    }
}

static inline char *graph_text(const mica_module *module) {
    mica_strbuf text = {0};
    mica_print_with(&text, module->op, 0);
    return mica_strbuf_take(&text);
}

#endif
