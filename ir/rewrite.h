/* Pattern rewriting: a greedy worklist driver that visits every op until nothing changes. */
#ifndef MICA_IR_REWRITE_H
#define MICA_IR_REWRITE_H

#include "ir/builder.h"

typedef struct mica_rewriter mica_rewriter;

/* Matches `op` and rewrites through the rewriter. Returns true when it changed the IR. Must leave
 * valid IR and replace, not lose, source locations. */
typedef bool mica_pattern_fn(mica_rewriter *rewriter, mica_op *op);

typedef struct mica_pattern {
    const char *name;    /* shown by statistics, accepted by --disable-pattern */
    const char *root;    /* op name that it starts from; NULL: every op */
    mica_pattern_fn *fn;
    const char *doc;
} mica_pattern;

typedef struct mica_rewrite_options {
    const char *const *disabled; /* names of patterns to leave out */
    size_t n_disabled;
    uint64_t *counts;            /* one counter per pattern, added to; may be NULL */
} mica_rewrite_options;

/* Applies `patterns` to all ops inside `scope` (a func or module) to a fixpoint. Pure ops without
 * uses are erased. A run that does not converge within a generous bound is an error (names the
 * pattern). */
mica_status mica_rewrite_greedy(mica_module *module, mica_op *scope, const mica_pattern *patterns,
                                size_t n_patterns, const mica_rewrite_options *options);

/* Services for patterns. New ops and users of changed values are visited again. */
mica_builder *mica_rewriter_builder(mica_rewriter *rewriter, mica_op *before);
mica_module *mica_rewriter_module(mica_rewriter *rewriter);
/* Replaces all results of `op` and erases it. */
void mica_rewriter_replace(mica_rewriter *rewriter, mica_op *op, mica_value *const *values,
                           size_t count);
void mica_rewriter_erase(mica_rewriter *rewriter, mica_op *op);
/* Says that `op` was changed in place. */
void mica_rewriter_touch(mica_rewriter *rewriter, mica_op *op);

#endif
