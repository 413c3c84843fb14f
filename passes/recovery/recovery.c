/* The driver of the recovery steps: copies, measures, keeps or undoes. */
#include "passes/recovery/recovery.h"

#include <math.h>
#include <string.h>

#include "ir/builder.h"
#include "ir/weights.h"
#include "passes/recovery/ranges.h"
#include "utils/arena.h"
#include "utils/progress.h"

typedef struct step_row {
    const char *name;
    mica_step_fn *fn;
    int moments;
    enum { FUNCTION, LAYERS, ROUNDED } keeps;
} step_row;

static const step_row STEPS[] = {
#define STEP(name, fn, moments, keeps, summary) {#name, fn, moments, keeps},
#include "passes/recovery/recovery.def"
#undef STEP
};
enum { N_STEPS = sizeof STEPS / sizeof STEPS[0] };

size_t mica_recovery_steps(void) {
    return N_STEPS;
}

const char *mica_recovery_name(size_t i) {
    return STEPS[i].name;
}

/* Noise over signal of the outputs on samples [first, last), mean of the outputs. */
static mica_status measure(mica_runner *want, mica_runner *got, const mica_dataset *dataset,
                           size_t first, size_t last, double *out_db, mica_error *err) {
    double noise = 0.0;
    double signal = 0.0;
    for (size_t i = first; i < last; ++i) {
        MICA_TRY(mica_runner_run(want, dataset, i, NULL, NULL, err));
        MICA_TRY(mica_runner_run(got, dataset, i, NULL, NULL, err));
        for (int32_t k = 0; k < mica_runner_plan(want)->n_outputs; ++k) {
            const mrt_tensor *a = mica_runner_output(want, k);
            const mrt_tensor *b = mica_runner_output(got, k);
            if (a->dtype != MRT_F32 || b->dtype != MRT_F32) {
                continue;
            }
            const float *x = a->data;
            const float *y = b->data;
            double n = 0.0;
            double s = 1e-30;
            for (int64_t j = 0; j < mrt_shape_count(&a->shape); ++j) {
                n += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
                s += (double)x[j] * (double)x[j];
            }
            noise += n / s;
            signal += 1.0;
        }
    }
    *out_db = -10.0 * log10(noise / fmax(signal, 1.0) + 1e-20);
    return MICA_OK;
}

static mica_status quality(mica_runner *want, mica_module *module, const mica_cali_table *table,
                           const mica_dataset *dataset, const mica_recovery_options *options,
                           size_t first, double *out_db, mica_error *err) {
    mica_runner *got = mica_runner_open(module, table, options, err);
    if (got == NULL) {
        return MICA_FAIL;
    }
    const mica_status status = measure(want, got, dataset, first, mica_dataset_count(dataset), out_db, err);
    mica_runner_close(got);
    return status;
}

typedef struct state {
    mica_module *module;
    const mica_dataset *dataset;
    const mica_recovery_options *options;
    mica_statistics *statistics;
    mica_cali_table **table;
    mica_runner *want;
    mica_module *reference, *layerwise; /* of mica_recovery_job */
    size_t trained;
    double db;
} state;

/* What a step did to a copy of the module. */
typedef struct trial {
    mica_module *copy;
    mica_moves moves;
    mica_ranges ranges; /* table NULL: as before */
} trial;

static mica_status apply(const state *s, const step_row *step, trial *t, mica_recovery_row *row, mica_error *err) {
    mica_layers layers = {0};
    mica_layers_find(t->copy, &layers);
    mica_status status = MICA_OK;
    if (step->moments > 0) {
        status = mica_layers_moments(t->copy, &layers, s->dataset, s->trained, step->moments > 1,
                                     s->options->threads, s->options->quiet, err);
    }
    const mica_recovery_job job = {.options = s->options, .dataset = s->dataset, .table = *s->table,
                                   .trained = s->trained, .layers = &layers, .reference = s->reference,
                                   .layerwise = s->layerwise, .statistics = s->statistics, .moves = &t->moves,
                                   .note = row->note};
    if (status == MICA_OK) {
        status = step->fn(t->copy, &job, &row->changed, err);
    }
    mica_layers_free(&layers);
    if (status == MICA_OK && t->moves.len > 0) {
        status = mica_ranges_again(t->copy, s->dataset, s->options, &t->moves, s->statistics, *s->table, &t->ranges,
                                   err);
    }
    return status;
}

static void release_module(void *module) {
    mica_module_destroy(module);
}

/* The copy becomes the module. */
static void keep(state *s, const step_row *step, trial *t) {
    mica_module_swap(s->module, t->copy);
    mica_weights_keep(s->module->weights, t->copy, release_module); /* dataset and statistics name its tensors */
    t->copy = NULL;
    if (t->ranges.table != NULL) {
        mica_ranges_settle(s->options, &t->moves);
        const mica_ranges old = {.statistics = *s->statistics, .table = *s->table};
        *s->statistics = t->ranges.statistics;
        *s->table = t->ranges.table;
        t->ranges.statistics = old.statistics;
        t->ranges.table = old.table;
    }
    if (step->keeps == FUNCTION) {
        mica_module_destroy(s->reference);
        s->reference = mica_module_clone(s->module);
    }
    if (step->keeps != ROUNDED) {
        mica_module_destroy(s->layerwise);
        s->layerwise = mica_module_clone(s->module);
    }
}

static mica_status run_step(state *s, const step_row *step, mica_recovery_row *row, mica_error *err) {
    const double start = mica_seconds();
    trial t = {.copy = mica_module_clone(s->module)};
    *row = (mica_recovery_row){.name = step->name, .before = s->db, .after = s->db};
    mica_status status = apply(s, step, &t, row, err);
    if (status == MICA_OK && row->changed > 0) {
        status = quality(s->want, t.copy, t.ranges.table != NULL ? t.ranges.table : *s->table, s->dataset, s->options,
                         s->trained, &row->after, err);
    }
    row->measured = t.ranges.measured;
    row->taken = t.ranges.taken;
    row->kept = status == MICA_OK && row->after > row->before;
    if (row->kept) {
        s->db = row->after;
        keep(s, step, &t);
    }
    mica_ranges_free(&t.ranges);
    mica_vec_free(&t.moves);
    if (t.copy != NULL) {
        mica_module_destroy(t.copy);
    }
    row->seconds = mica_seconds() - start;
    return status;
}

mica_status mica_recover(mica_module *module, const mica_dataset *dataset,
                         const mica_recovery_options *options, mica_statistics *statistics,
                         mica_cali_table **table, mica_recovery_report *report, mica_error *err) {
    const size_t samples = mica_dataset_count(dataset);
    memset(report, 0, sizeof *report);
    if (samples < 2) {
        return mica_fail(err, "recovery needs at least two samples: one to learn from, one to check");
    }
    report->held_back = samples >= 4 ? samples / 4 : 1;
    report->trained = samples - report->held_back;
    state s = {.module = module, .dataset = dataset, .options = options, .statistics = statistics,
               .table = table, .trained = report->trained, .reference = mica_module_clone(module),
               .layerwise = mica_module_clone(module)};
    s.want = mica_runner_open(module, NULL, options, err);
    mica_status status = s.want != NULL ? quality(s.want, module, *table, dataset, options, s.trained,
                                                  &s.db, err)
                                        : MICA_FAIL;
    for (size_t i = 0; i < N_STEPS && status == MICA_OK; ++i) {
        if (options->wanted[i]) {
            status = run_step(&s, &STEPS[i], &report->rows[report->count++], err);
        }
    }
    mica_runner_close(s.want);
    mica_module_destroy(s.reference);
    mica_module_destroy(s.layerwise);
    return status;
}
