/* Sets of tensors with one factor: multiplying all of them by f, what makes them by f and what reads them by
 * 1 / f changes no result. Sums, pools and movement tie tensors together; a cap (ReLU6) grows along. */
#ifndef MICA_RECOVERY_ALIGN_SETS_H
#define MICA_RECOVERY_ALIGN_SETS_H

#include "passes/recovery/layers.h"

typedef struct mica_tied {
    mica_op *op;             /* its first result is the tensor */
    const mica_layer *maker; /* layer that makes it, or NULL */
    int64_t parent;
    bool closed;             /* the factor has to be 1 */
    bool follows;            /* has the steps of its first operand: nothing is rounded */
    bool merges;             /* rescales operands that are on steps already */
    double weight;           /* of its noise, beside the others of the set */
} mica_tied;

typedef struct mica_align_sets {
    mica_tied *list; /* one per op of main, at op->order */
    int64_t count;
    const mica_layers *layers;
} mica_align_sets;

/* Numbers the ops and finds the sets. */
void mica_align_sets_find(mica_module *module, const mica_layers *layers, mica_align_sets *out);
void mica_align_sets_free(mica_align_sets *sets);
/* Number that names the set of tensor i. */
int64_t mica_align_root(const mica_align_sets *sets, int64_t i);
/* Number of a tensor; -1 when it is no first result of an op. */
int64_t mica_align_index(const mica_value *value);

#endif
