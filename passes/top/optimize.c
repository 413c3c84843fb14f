#include "passes/top/optimize.h"

#include <string.h>

#include "ir/builder.h"
#include "ir/pass.h"
#include "passes/top/attention.h"
#include "passes/top/patterns.h"
#include "utils/strings.h"

mica_pass_fn mica_pass_top_cse, mica_pass_dce;

static mica_status check_names(mica_module *module, const mica_rewrite_options *rewrite,
                               const mica_pattern *patterns, size_t count) {
    const char **names = mica_arena_alloc(module->arena, (count + 1) * sizeof *names);
    for (size_t i = 0; i < count; ++i) {
        names[i] = patterns[i].name;
    }
    for (size_t k = 0; k < rewrite->n_disabled; ++k) {
        bool known = false;
        for (size_t i = 0; i < count; ++i) {
            known = known || strcmp(names[i], rewrite->disabled[k]) == 0;
        }
        if (!known) {
            const char *nearest = mica_nearest(rewrite->disabled[k], names, count);
            return mica_emit_error(module->context, module->op->loc, "unknown pattern '%s'%s%s",
                                   rewrite->disabled[k], nearest != NULL ? "; nearest is " : "",
                                   nearest != NULL ? nearest : "");
        }
    }
    return MICA_OK;
}

mica_status mica_top_optimize(mica_module *module, const mica_optimize_options *options) {
    size_t count = 0;
    const mica_pattern *patterns = mica_top_patterns(module, &count);
    mica_rewrite_options rewrite = {.counts = mica_arena_alloc(module->arena, count * sizeof(uint64_t))};
    if (options != NULL && options->disabled != NULL) {
        rewrite.disabled =
            (const char *const *)mica_split(module->arena, options->disabled, ',', &rewrite.n_disabled);
    }
    MICA_TRY(check_names(module, &rewrite, patterns, count));
    MICA_TRY(mica_pass_top_cse(module, NULL));
    MICA_TRY(mica_top_canonicalize(module, &rewrite));
    /* Constants that patterns made may fold further operands. */
    MICA_TRY(mica_top_canonicalize(module, &rewrite));
    MICA_TRY(mica_pass_top_cse(module, NULL));
    MICA_TRY(mica_pass_dce(module, NULL));
    mica_func_update_type(mica_module_func(module, "main"));
    const size_t attention = mica_top_count_attention(module);
    if (options != NULL && options->stats != NULL && attention > 0) {
        fprintf(options->stats, "block   %-24s %zu\n", "attention", attention);
    }
    for (size_t i = 0; options != NULL && options->stats != NULL && i < count; ++i) {
        if (rewrite.counts[i] > 0) {
            fprintf(options->stats, "pattern %-24s %llu\n", patterns[i].name,
                    (unsigned long long)rewrite.counts[i]);
        }
    }
    return MICA_OK;
}
