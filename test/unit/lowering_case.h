/* Calibrated graphs and what the lowering makes of them. */
#ifndef MICA_TEST_LOWERING_CASE_H
#define MICA_TEST_LOWERING_CASE_H

#include "test/unit/graph_case.h"

#include "passes/calibration/cali_table.h"
#include "passes/lowering/lowering.h"
#include "runtime/mrt_compare.h"
#include "utils/compiler.h"

typedef struct lowered {
    mica_module *tpu;
    mica_lower_report report;
} lowered;

/* Ranges of all real tensors from the runs of a few seeds (1..4), but for `without` (may be NULL). */
static inline void graph_calibrate(graph *g, bool asymmetric, const char *without) {
    mica_cali_table *table = mica_cali_table_create();
    for (uint64_t seed = 1; seed <= 4; seed++) {
        graph_run run = graph_execute(g, g->module, seed, true);
        for (int32_t id = 0; id < run.plan->n_tensors; id++) {
            const mrt_tensor *t = mrt_exec_tensor(run.exec, id);
            const bool named = t->name && t->name[0] && run.plan->tensors[id].kind != MRT_CONST;
            if (!named || t->dtype != MRT_F32 || (without && strcmp(t->name, without) == 0)) {
                continue;
            }
            const mica_cali_row *row = mica_cali_table_get(table, t->name);
            double min = row ? row->min : HUGE_VAL;
            double max = row ? row->max : -HUGE_VAL;
            for (int64_t i = 0; i < mrt_shape_count(&t->shape); i++) {
                min = fmin(min, ((const float *)t->data)[i]);
                max = fmax(max, ((const float *)t->data)[i]);
            }
            mica_cali_table_set(table, t->name, fmax(fabs(min), fabs(max)), min, max);
        }
        graph_run_end(&run);
    }
    mica_error err = {0};
    ck_assert_msg(mica_import_calibration(g->module, table, asymmetric, &err) == MICA_OK, "%s", err.text);
    mica_cali_table_destroy(table);
}

static inline lowered graph_lower_with(graph *g, const mica_lowering_options *options) {
    lowered l = {0};
    mica_error err = {0};
    ck_assert_msg(mica_lowering_check(options, &err) == MICA_OK, "%s", err.text);
    ck_assert_msg(mica_lower_module(g->module, options, &l.tpu, &l.report) == MICA_OK, "%s", g->diags);
    ck_assert_msg(mica_verify(l.tpu) == MICA_OK, "%s", g->diags);
    return l;
}

/* Every integer op gives 8 bits, so that single ops show their integer form. */
static inline lowered graph_lower(graph *g, mica_mode mode, bool asymmetric, const mica_qtable *qtable) {
    const mica_lowering_options options = {.processor = mica_processor_find("cpu"), .mode = mode,
                                           .asymmetric = asymmetric, .qtable = qtable, .requantize_all = true};
    return graph_lower_with(g, &options);
}

/* As model_deploy does by default [float-out]. */
static inline lowered graph_lower_needed(graph *g, mica_mode mode, bool asymmetric, const mica_qtable *qtable) {
    const mica_lowering_options options = {.processor = mica_processor_find("cpu"), .mode = mode,
                                           .asymmetric = asymmetric, .qtable = qtable};
    return graph_lower_with(g, &options);
}

static inline void lowered_end(lowered *l) {
    mica_lower_report_free(&l->report);
    mica_module_destroy(l->tpu);
}

/* Report row of an op; fails when there is none. */
static inline const mica_lower_row *lowered_row(const lowered *l, const char *op) {
    for (size_t i = 0; i < l->report.count; i++) {
        if (strcmp(l->report.rows[i].op, op) == 0) {
            return &l->report.rows[i];
        }
    }
    ck_abort_msg("no row of %s", op);
    return NULL;
}

/* tpu op that makes the tensor `name`; NULL when there is none. */
static inline mica_op *lowered_op(const lowered *l, const char *name) {
    for (mica_op *op = mica_func_body(mica_module_func(l->tpu, "main"))->first; op; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; i++) {
            if (strcmp(mica_value_name(&op->results[i]), name) == 0) {
                return op;
            }
        }
    }
    return NULL;
}

static inline size_t lowered_count(const lowered *l, const char *op_name) {
    size_t count = 0;
    for (mica_op *op = mica_func_body(mica_module_func(l->tpu, "main"))->first; op; op = op->next) {
        count += mica_op_is(op, op_name);
    }
    return count;
}

#endif
