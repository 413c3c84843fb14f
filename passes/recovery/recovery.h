/* Recovery: changes of a top module's weights that make its INT8 form better.
 *
 * Every step works on a copy. Samples that no step has seen (the last quarter) run through the float
 * model and through the quantized copy; the copy replaces the module only when its output error
 * falls. Ranges of values that a step has scaled are made again or taken along; all others stay. */
#ifndef MICA_RECOVERY_H
#define MICA_RECOVERY_H

#include "dialects/processors.h"
#include "passes/calibration/calibrate.h"
#include "passes/calibration/dataset.h"
#include "passes/lowering/qtable.h"

/* How bias correction learns what to add. */
typedef enum mica_bias_mode {
    MICA_BIAS_ANALYTIC = 0, /* from the weights' rounding and the means of the inputs */
    MICA_BIAS_PARALLEL,     /* from runs: what every layer does to its own quantized inputs */
    MICA_BIAS_SEQUENTIAL,   /* from runs: layer after layer, those before it corrected */
} mica_bias_mode;

typedef struct mica_recovery_options {
    const mica_processor *processor;
    const mica_method *method; /* makes the table again when a step moves ranges */
    mica_settings *settings; /* of single tensors, for that table; or NULL. They follow kept steps */
    mica_mode mode; /* one with integers: what is measured */
    const mica_qtable *qtable; /* ops in another mode, or NULL */
    bool asymmetric, pow2;
    bool wanted[8]; /* per row of recovery.def */
    mica_bias_mode bias_mode;
    size_t bias_samples; /* that bias correction learns from, at most; 0: all that steps may learn from */
    struct mica_recovery_log *log; /* of an earlier call that was interrupted, and of this one; or NULL */
    int threads;
    bool quiet;
} mica_recovery_options;

enum { MICA_RECOVERY_NOTE = 192 };

/* What became of one step. */
typedef struct mica_recovery_row {
    const char *name;
    double before, after; /* SQNR of the outputs on held-back samples, dB */
    double seconds;
    size_t changed;       /* ops whose constants differ */
    size_t measured, taken; /* ranges made again, and given ones taken along, because their channels were scaled */
    bool kept;
    char note[MICA_RECOVERY_NOTE]; /* what else there is to say; may be empty */
} mica_recovery_row;

typedef struct mica_recovery_report {
    mica_recovery_row rows[8];
    size_t count, trained, held_back; /* samples */
} mica_recovery_report;

/* Steps of the table, in their order; the option that asks for step i. */
size_t mica_recovery_steps(void);
const char *mica_recovery_name(size_t i);

/* Whether softmax_correction finds an attention that it can act on. */
bool mica_has_softmax_to_correct(mica_module *module);

/* Runs the wanted steps over `module` (uncalibrated). *statistics and *table are those of all samples; when a kept step
 * scales values, only what it scaled is measured again, once, and all other statistics and rows stay. Needs at
 * least two samples. The result does not depend on the number of threads. */
mica_status mica_recover(mica_module *module, const mica_dataset *dataset,
                         const mica_recovery_options *options, mica_statistics *statistics,
                         mica_cali_table **table, mica_recovery_report *report, mica_error *err);

#endif
