#include "passes/top/optimize.h"

#include <string.h>

#include "ir/builder.h"
#include "ir/pass.h"
#include "passes/top/attention.h"
#include "passes/top/patterns.h"
#include "utils/strings.h"

mica_pass_fn mica_pass_top_cse, mica_pass_dce;

/* Number of the pattern; `count` after an error that names the nearest one. */
static size_t find_pattern(mica_module *module, const mica_pattern *patterns, size_t count, const char *name) {
    const char **names = mica_arena_alloc(module->arena, (count + 1) * sizeof *names);
    for (size_t i = 0; i < count; ++i) {
        names[i] = patterns[i].name;
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    const char *nearest = mica_nearest(name, names, count);
    (void)!mica_emit_error(module->context, module->op->loc, "unknown pattern '%s'%s%s", name,
                           nearest != NULL ? "; nearest is " : "", nearest != NULL ? nearest : "");
    return count;
}

static mica_status check_names(mica_module *module, const mica_rewrite_options *rewrite,
                               const mica_pattern *patterns, size_t count) {
    for (size_t k = 0; k < rewrite->n_disabled; ++k) {
        if (find_pattern(module, patterns, count, rewrite->disabled[k]) == count) {
            return MICA_FAIL;
        }
    }
    return MICA_OK;
}

/* Reads "name=times,..." into one number per pattern, -1 where none is expected. */
static mica_status read_expected(mica_module *module, const char *text, const mica_pattern *patterns, size_t count,
                                 int64_t *out) {
    size_t n = 0;
    for (size_t i = 0; i < count; ++i) {
        out[i] = -1;
    }
    char **items = text != NULL && *text != '\0' ? mica_split(module->arena, text, ',', &n) : NULL;
    for (size_t k = 0; k < n; ++k) {
        char *value = strchr(items[k], '=');
        int64_t times = 0;
        if (value == NULL || !mica_parse_i64(value + 1, &times) || times < 0) {
            return mica_emit_error(module->context, module->op->loc,
                                   "--patterns_count: '%s': expected NAME=TIMES", items[k]);
        }
        *value = '\0';
        const size_t i = find_pattern(module, patterns, count, items[k]);
        if (i == count) {
            return MICA_FAIL;
        }
        out[i] = times;
    }
    return MICA_OK;
}

/* Every pattern that did not fire as often as expected is an error. */
static mica_status check_expected(mica_module *module, const int64_t *expected, const uint64_t *counts,
                                  const mica_pattern *patterns, size_t count) {
    mica_status status = MICA_OK;
    for (size_t i = 0; i < count; ++i) {
        if (expected[i] >= 0 && (uint64_t)expected[i] != counts[i]) {
            status = mica_emit_error(module->context, module->op->loc, "pattern '%s': expected %lld times, found %llu",
                                     patterns[i].name, (long long)expected[i], (unsigned long long)counts[i]);
        }
    }
    return status;
}

/* Permutes move only when functions and norms have been recognized: they would end up between their parts. */
static mica_status canonicalize_in_place(mica_module *module, const mica_rewrite_options *rewrite) {
    mica_rewrite_options first = *rewrite;
    const char **disabled = mica_arena_alloc(module->arena, (rewrite->n_disabled + 1) * sizeof *disabled);
    for (size_t i = 0; i < rewrite->n_disabled; ++i) {
        disabled[i] = rewrite->disabled[i];
    }
    disabled[rewrite->n_disabled] = "move-permutes";
    first.disabled = disabled;
    first.n_disabled = rewrite->n_disabled + 1;
    return mica_top_canonicalize(module, &first);
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
    int64_t *expected = mica_arena_alloc(module->arena, (count + 1) * sizeof *expected);
    MICA_TRY(read_expected(module, options != NULL ? options->expected : NULL, patterns, count, expected));
    MICA_TRY(mica_pass_top_cse(module, NULL));
    MICA_TRY(canonicalize_in_place(module, &rewrite));
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
    return check_expected(module, expected, rewrite.counts, patterns, count);
}
