/* The standard pipeline of the top dialect, as model_transform runs it. */
#ifndef MICA_TOP_OPTIMIZE_H
#define MICA_TOP_OPTIMIZE_H

#include <stdio.h>

#include "ir/op.h"

typedef struct mica_optimize_options {
    const char *disabled; /* comma-separated pattern names, or NULL; unknown names are errors */
    const char *expected; /* "name=times,...": how often patterns must fire, else an error; or NULL */
    FILE *stats;          /* one line per pattern that fired; NULL: none */
} mica_optimize_options;

/* Common subexpressions, constant folding, all patterns, dead code; to a fixpoint. */
mica_status mica_top_optimize(mica_module *module, const mica_optimize_options *options);

/* Makes every f64 tensor of 'main' f32: values, constants, arguments. */
mica_status mica_top_narrow_f64(mica_module *module);

#endif
