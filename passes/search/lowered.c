#include "passes/search/lowered.h"

#include <string.h>

#include "dialects/plan.h"
#include "ir/builder.h"
#include "passes/top/optimize.h"
#include "utils/arena.h"

static mica_status lower(mica_lowered *l, const mica_lowered_options *options, mica_error *err) {
    const mica_lowering_options lowering = {.processor = options->processor,
                                            .mode = options->mode,
                                            .asymmetric = options->asymmetric,
                                            .qtable = options->qtable};
    MICA_TRY(mica_lowering_check(&lowering, err));
    MICA_TRY(mica_import_calibration(l->top, options->table, options->asymmetric, err));
    return mica_lower_module(l->top, &lowering, &l->tpu, &l->report) == MICA_OK
               ? MICA_OK
               : mica_fail(err, "the model cannot be lowered (see the messages above)");
}

/* Name of the tensor whose size is only known when it runs. */
static const char *first_symbol(const mrt_plan *plan) {
    const char *name = plan->tensors[plan->symbols[0].tensor].info.name;
    return name != NULL ? name : "";
}

static mica_status open_plan(mica_lowered *l, const mica_lowered_options *options, mica_error *err) {
    mica_module *run = l->tpu != NULL ? l->tpu : l->top;
    const mica_plan_options how = {.keep_all = options->keep_all};
    if (mica_top_narrow_f64(l->top) != MICA_OK ||
        mica_plan_func(run, mica_module_func(run, "main"), &how, &l->plan) != MICA_OK) {
        return mica_fail(err, "the model cannot be executed (see the messages above)");
    }
    return l->plan->n_symbols == 0
               ? MICA_OK
               : mica_fail(err, "the model has sizes that depend on data, as after '%s'; a search needs fixed ones: cut the model before it with "
                               "model_transform --output_names", first_symbol(l->plan));
}

mica_lowered *mica_lowered_open(mica_module *module, const mica_lowered_options *options, mica_error *err) {
    mica_lowered *l = mica_alloc(sizeof *l);
    memset(l, 0, sizeof *l);
    l->mode = options->table != NULL ? options->mode : MICA_MODE_F32;
    l->top = mica_module_clone(module);
    if ((options->table != NULL && lower(l, options, err) != MICA_OK) || open_plan(l, options, err) != MICA_OK) {
        mica_lowered_close(l);
        return NULL;
    }
    return l;
}

void mica_lowered_close(mica_lowered *l) {
    if (l == NULL) {
        return;
    }
    if (l->plan != NULL) {
        mrt_plan_destroy(l->plan);
    }
    mica_lower_report_free(&l->report);
    if (l->tpu != NULL) {
        mica_module_destroy(l->tpu);
    }
    mica_module_destroy(l->top);
    mica_free(l);
}
