/* Regions of a graph that stay in float, chosen by walking it: no sample is run. */
#ifndef MICA_SEARCH_FP_FORWARD_H
#define MICA_SEARCH_FP_FORWARD_H

#include "passes/lowering/qtable.h"

/* Names of tensors, each region with its ends. NULL or "": none. Names of one list are separated by
 * commas, blocks by commas or spaces. */
typedef struct mica_fp_regions {
    const char *inputs;  /* "a,b": these ops and all that lead to them */
    const char *outputs; /* "c,d": these ops and all that depend on them */
    const char *blocks;  /* "x:y v:w": every op on a path from x to y */
} mica_fp_regions;

/* Adds a row of `mode` to `table` for every op of main inside a region; inputs of the network and
 * constants have none. *out_ops, unless NULL: ops of main that could have a row. Fails without a
 * region, on names that the module does not have (with the nearest) and on blocks without a path. */
mica_status mica_fp_forward(mica_module *module, const mica_fp_regions *regions, mica_mode mode,
                            mica_qtable *table, size_t *out_ops, mica_error *err);

/* Marks, by the place of the ops in main (op->order is set to it), every op on a path from the op of
 * `start` to that of `end`, both included; the array is in the module's arena. Fails on names that the
 * module does not have (`what` begins the message) and without a path. */
mica_status mica_fp_path(mica_module *module, const char *what, const char *start, const char *end,
                         const bool **out_marks, mica_error *err);

#endif
