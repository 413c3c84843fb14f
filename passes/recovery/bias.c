/* Bias correction. Analytic: rounding the weights of a row moves its output by (w - q s) x, on average by
 * (w - q s) E[x]. The bias takes that part back, all layers at once: each one looks at its own rounding only, so
 * that nothing is corrected twice. From runs: bias_means.c, bias_parallel.c, bias_sequential.c. */
#include "passes/recovery/bias.h"

#include <string.h>

#include "dialects/top/top.h"
#include "ir/builder.h"
#include "utils/arena.h"

bool mica_layer_add_bias(mica_module *module, const mica_layer *l, const double *delta) {
    const mica_value *bias = mica_op_present(l->op, 2);
    float *moved = mica_alloc((size_t)(l->rows + 1) * sizeof *moved);
    bool changed = false;
    for (int64_t o = 0; o < l->rows; ++o) {
        const float old = l->bias != NULL ? l->bias[o] : 0.0F;
        moved[o] = (float)((double)old + delta[o]);
        changed = changed || moved[o] != old;
    }
    if (changed && bias != NULL && mica_value_has_one_use(bias)) {
        mica_set_constant(module, bias, moved);
    } else if (changed) {
        mica_builder builder = mica_builder_before(module, l->op);
        const char *name = mica_arena_printf(module->arena, "%s_bias_corrected", mica_loc_get_name(l->op->loc));
        mica_value *made = mica_top_weight(&builder, name, mica_type_f32(module->context), 1, &l->rows, moved);
        mica_op_set_operand(l->op, 2, made);
    }
    mica_free(moved);
    return changed;
}

/* Mean of what rounding takes from row o. */
static double shift_of(const mica_recovery_job *job, const mica_layer *l, int64_t o, int8_t *q) {
    const float *w = l->filter + o * l->row_step;
    const double *sums = l->sums + o / (l->rows / l->groups) * l->per;
    double scale = 0.0;
    (void)mica_layer_row(job, l, o, q, &scale);
    double shift = 0.0;
    for (int64_t k = 0; k < l->per; ++k) {
        shift += ((double)w[k * l->step] - (double)q[k] * scale) * sums[k] / (double)l->count;
    }
    return shift;
}

static void analytic(mica_module *module, const mica_recovery_job *job, size_t *changed) {
    for (size_t i = 0; i < job->layers->count; ++i) {
        const mica_layer *l = &job->layers->list[i];
        const double in_scale = mica_input_scale(job, l);
        if (l->op->n_operands < 3 || l->count == 0 || !(in_scale > 0.0)) {
            continue;
        }
        double *delta = mica_alloc((size_t)(l->rows + 1) * sizeof *delta);
        int8_t *q = mica_alloc((size_t)l->per + 1);
        for (int64_t o = 0; o < l->rows; ++o) {
            delta[o] = shift_of(job, l, o, q);
        }
        mica_free(q);
        *changed += mica_layer_add_bias(module, l, delta);
        mica_free(delta);
    }
}

mica_status mica_step_bias(mica_module *module, const mica_recovery_job *job, size_t *changed,
                           mica_error *err) {
    const mica_recovery_options *o = job->options;
    const size_t count = o->bias_samples > 0 && o->bias_samples < job->trained ? o->bias_samples : job->trained;
    if (o->bias_mode == MICA_BIAS_ANALYTIC) {
        MICA_TRY(mica_layers_means(module, job->layers, job->dataset, job->trained, count, o->threads, o->quiet, err));
        analytic(module, job, changed);
        return MICA_OK;
    }
    mica_bias_parts parts = {.samples = count};
    mica_bias_parts_make(job, &parts);
    const mica_status status = o->bias_mode == MICA_BIAS_PARALLEL
                                   ? mica_bias_parallel(module, job, &parts, changed, err)
                                   : mica_bias_sequential(module, job, &parts, changed, err);
    mica_bias_parts_free(&parts);
    return status;
}
