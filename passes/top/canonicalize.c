/* Passes of the top dialect that work on the whole function. */
#include <stdio.h>
#include <string.h>

#include "dialects/live.h"
#include "ir/pass.h"
#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"
#include "utils/strings.h"

const mica_pattern *mica_top_patterns(mica_module *module, size_t *out_count) {
    size_t count = 0;
#define X(family) count += mica_patterns_##family##_count;
    MICA_PATTERN_FAMILIES(X)
#undef X
    mica_pattern *all = mica_arena_alloc(module->arena, count * sizeof *all);
    size_t at = 0;
#define X(family)                                                                                  \
    memcpy(all + at, mica_patterns_##family, mica_patterns_##family##_count * sizeof *all);        \
    at += mica_patterns_##family##_count;
    MICA_PATTERN_FAMILIES(X)
#undef X
    *out_count = count;
    return all;
}

static mica_status fold_all(mica_module *module, mica_op *func) {
    for (mica_op *op = mica_func_body(func)->first; op != NULL;) {
        mica_op *next = op->next;
        if (mica_top_can_fold(op)) {
            (void)!mica_top_fold(module, op); /* an op that cannot be evaluated stays */
        }
        op = next;
    }
    return MICA_OK;
}

static mica_op *main_of(mica_module *module) {
    mica_op *func = mica_module_func(module, "main");
    if (func == NULL) {
        (void)!mica_emit_error(module->context, module->op->loc, "module has no function 'main'");
    }
    return func;
}

mica_status mica_top_canonicalize(mica_module *module, const mica_rewrite_options *options) {
    mica_op *func = main_of(module);
    size_t count = 0;
    if (func == NULL) {
        return MICA_FAIL;
    }
    const mica_pattern *patterns = mica_top_patterns(module, &count);
    MICA_TRY(fold_all(module, func));
    return mica_rewrite_greedy(module, func, patterns, count, options);
}

mica_pass_fn mica_pass_top_canonicalize, mica_pass_top_fold_const, mica_pass_top_shape_infer;

mica_status mica_pass_top_canonicalize(mica_module *module, const mica_pass_options *options) {
    mica_rewrite_options rewrite = {0};
    size_t count = 0;
    const mica_pattern *patterns = mica_top_patterns(module, &count);
    rewrite.counts = mica_arena_alloc(module->arena, count * sizeof *rewrite.counts);
    const char *disable = mica_pass_option(options, "disable");
    if (disable != NULL && *disable != '\0') {
        rewrite.disabled = (const char *const *)mica_split(module->arena, disable, ',', &rewrite.n_disabled);
    }
    MICA_TRY(mica_top_canonicalize(module, &rewrite));
    const char *stats = mica_pass_option(options, "stats");
    for (size_t i = 0; stats != NULL && strcmp(stats, "true") == 0 && i < count; ++i) {
        if (rewrite.counts[i] > 0) {
            mica_emit(module->context, MICA_REMARK, module->op->loc, "pattern %s fired %llu times",
                      patterns[i].name, (unsigned long long)rewrite.counts[i]);
        }
    }
    return MICA_OK;
}

mica_status mica_pass_top_fold_const(mica_module *module, const mica_pass_options *options) {
    (void)options;
    mica_op *func = main_of(module);
    return func != NULL ? fold_all(module, func) : MICA_FAIL;
}

mica_status mica_pass_top_shape_infer(mica_module *module, const mica_pass_options *options) {
    (void)options;
    mica_op *func = main_of(module);
    if (func == NULL) {
        return MICA_FAIL;
    }
    mica_live *live = mica_live_create(module->context);
    mica_status status = MICA_OK;
    for (mica_op *op = mica_func_body(func)->first; op != NULL && status == MICA_OK; op = op->next) {
        if (op->info != NULL && op->info->infer != NULL) {
            status = mica_live_infer(live, op);
        }
    }
    mica_live_destroy(live);
    mica_func_update_type(func);
    return status;
}
