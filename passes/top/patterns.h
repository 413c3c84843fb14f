/* Rewrite patterns of the top dialect: one file per family, each exporting one table. */
#ifndef MICA_TOP_PATTERNS_H
#define MICA_TOP_PATTERNS_H

#include "ir/rewrite.h"

#define MICA_PATTERN_FAMILIES(X)                                                                   \
    X(shape) X(arith) X(activation) X(expr) X(slope) X(softmax) X(conv) X(matmul) X(norm) X(rms)   \
    X(group) X(chain) X(concat) X(parts) X(affine) X(attention) X(rotary) X(expand) X(permute)          \
    X(blocks)

#define X(family)                                                                                  \
    extern const mica_pattern mica_patterns_##family[];                                            \
    extern const size_t mica_patterns_##family##_count;
MICA_PATTERN_FAMILIES(X)
#undef X

/* All patterns of all families in one array on the module's arena. */
const mica_pattern *mica_top_patterns(mica_module *module, size_t *out_count);

/* Canonicalizes main: patterns and constant folding to a common fixpoint. counts may be NULL, else one
 * counter per pattern of mica_top_patterns. */
mica_status mica_top_canonicalize(mica_module *module, const mica_rewrite_options *options);

#endif
