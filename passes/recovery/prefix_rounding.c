/* Level 2: layer after layer takes the weights that make up for the errors before it (target.c), rounded; so
 * each sees what rounding those before it left. */
#include <string.h>

#include "dialects/top/top.h"
#include "passes/recovery/cross.h"
#include "passes/recovery/log.h"
#include "utils/arena.h"
#include "utils/progress.h"

mica_status mica_prefix_layer(mica_prefix *p, const mica_layer *l, const mica_layer *from, mica_error *err) {
    const size_t place = from->op->order;
    mica_cross fit;
    mica_cross check;
    const bool beside = mica_cross_beside(p, place) != NULL;
    mica_cross_init(&fit, from, beside);
    mica_cross_init(&check, from, beside);
    mica_status status = mica_prefix_advance(p, place, err);
    status = status == MICA_OK ? mica_cross_gather(p, place, from, &fit, &check, err) : status;
    if (status == MICA_OK) {
        float *filter = mica_alloc((size_t)(l->rows * l->per + 1) * sizeof *filter);
        float *bias = l->bias != NULL ? mica_alloc((size_t)(l->rows + 1) * sizeof *bias) : NULL;
        double part = 0.0;
        mica_target_find(from, &fit, &check, p->pool, filter, bias, &part);
        mica_layer best = *l;
        best.filter = filter;
        best.bias = bias;
        best.squares = fit.squares;
        best.sums = fit.sums;
        best.count = fit.count;
        mica_round_layer(p->work, p->job, &best, p->pool);
        mica_free(filter);
        mica_free(bias);
    }
    mica_cross_free(&fit);
    mica_cross_free(&check);
    return status;
}

const mica_layer *mica_same_layer(const mica_layers *layers, const mica_op *op) {
    for (size_t i = 0; i < layers->count; ++i) {
        if (strcmp(mica_value_name(&layers->list[i].op->results[0]), mica_value_name(&op->results[0])) == 0) {
            return &layers->list[i];
        }
    }
    return NULL;
}

mica_status mica_step_prefix(mica_module *module, const mica_recovery_job *job, size_t *changed, mica_error *err) {
    mica_layers from = {0};
    mica_prefix p;
    mica_layers_find(job->reference, &from);
    mica_progress progress;
    mica_progress_begin(&progress, "prefix rounding", "layers", (int64_t)from.count);
    progress.quiet = progress.quiet || job->options->quiet;
    mica_status status = mica_prefix_open(&p, job->reference, module, job, err);
    for (size_t i = 0; i < from.count && status == MICA_OK; ++i) {
        const mica_layer *l = mica_same_layer(job->layers, from.list[i].op);
        if (l != NULL && mica_layer_is_own(l) && mica_layer_is_own(&from.list[i])) {
            const char *name = mica_value_name(&l->op->results[0]);
            uint64_t number = 0;
            if (!mica_log_replay(job->options->log, module, "prefix_rounding", name, l->op, &number)) {
                status = mica_prefix_layer(&p, l, &from.list[i], err);
                status = status == MICA_OK ? mica_log_add(job->options->log, "prefix_rounding", name, l->op, 0, err) : status;
            }
            *changed += 1;
        }
        mica_progress_step(&progress, 1);
    }
    mica_progress_end(&progress);
    mica_prefix_close(&p);
    mica_layers_free(&from);
    return status;
}
