/* Statistics and table of a module whose values a step has scaled. */
#ifndef MICA_RECOVERY_RANGES_H
#define MICA_RECOVERY_RANGES_H

#include "passes/recovery/layers.h"

typedef struct mica_ranges {
    mica_statistics statistics;
    mica_cali_table *table;
    size_t measured; /* ranges by a method from new statistics */
    size_t taken;    /* ranges that were given, taken along */
} mica_ranges;

/* Counts the moved values over all samples and makes their ranges again: by the method, or, where the settings give a
 * range, from that. All other statistics and rows are those of before. */
mica_status mica_ranges_again(mica_module *module, const mica_dataset *dataset, const mica_recovery_options *options,
                              const mica_moves *moves, const mica_statistics *before, const mica_cali_table *table,
                              mica_ranges *out, mica_error *err);
/* The step was kept: the settings speak of the values as they are now. */
void mica_ranges_settle(const mica_recovery_options *options, const mica_moves *moves);
void mica_ranges_free(mica_ranges *ranges);

#endif
