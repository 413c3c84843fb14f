/* The ops between two places of the graph as models of their own, float and quantized. */
#ifndef MICA_RECOVERY_SPAN_H
#define MICA_RECOVERY_SPAN_H

#include "passes/recovery/prefix.h"

typedef struct mica_span_side {
    mica_module *top, *tpu;
    mrt_plan *plan;
    mrt_exec **execs; /* one per lane */
} mica_span_side;

typedef struct mica_span {
    mica_span_side side[2]; /* float, quantized */
    int lanes;
} mica_span;

/* Names of tensors, as in mica_cut. */
mica_status mica_span_open(mica_span *s, const mica_prefix *p, const char *const *inputs, size_t n_inputs,
                           const char *const *outputs, size_t n_outputs, mica_error *err);
void mica_span_close(mica_span *s);
/* Bytes of the inputs and outputs, in the order of the names; outputs keep their old value when NULL. */
void mica_span_run(const mica_span *s, int side, int lane, const void *const *inputs, void *const *outputs);

#endif
