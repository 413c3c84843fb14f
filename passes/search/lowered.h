/* A module that runs: as it is, or lowered under a range table and a quantize table. */
#ifndef MICA_SEARCH_LOWERED_H
#define MICA_SEARCH_LOWERED_H

#include "passes/calibration/cali_table.h"
#include "passes/lowering/lowering.h"
#include "runtime/mrt_plan.h"

typedef struct mica_lowered_options {
    const mica_processor *processor;
    const mica_cali_table *table; /* NULL: the float model, the rest is not looked at */
    const mica_qtable *qtable;    /* may be NULL */
    mica_mode mode;               /* of ops without a row */
    bool asymmetric;
    bool keep_all; /* every tensor readable after a run */
} mica_lowered_options;

typedef struct mica_lowered {
    mrt_plan *plan;
    mica_lower_report report; /* empty for the float model */
    mica_mode mode;
    mica_module *top, *tpu; /* private */
} mica_lowered;

/* Works on a copy of `module` (top dialect, without calibrated types). NULL on error. */
mica_lowered *mica_lowered_open(mica_module *module, const mica_lowered_options *options, mica_error *err);
void mica_lowered_close(mica_lowered *lowered);

#endif
