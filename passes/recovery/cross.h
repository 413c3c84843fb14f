/* Moments of what a layer reads in the float model and in the quantized one, and the weights that follow. */
#ifndef MICA_RECOVERY_CROSS_H
#define MICA_RECOVERY_CROSS_H

#include "passes/recovery/prefix.h"

/* x: as the quantized layer reads it; d: what the float layer reads, less x; e: when the result is added to another
 * value, that value in the float model, less that in the quantized one. */
typedef struct mica_cross {
    float *squares; /* [groups][per][per]: sums of x x', lower triangle */
    float *cross;   /* [groups][per][per]: sums of d x' */
    double *sums, *shift; /* [groups][per]: sums of x and of d */
    float *beside;        /* [rows][per]: sums of e x'; NULL: the result is not added to anything */
    double *beside_shift; /* [rows]: sums of e */
    int64_t count;
} mica_cross;

void mica_cross_init(mica_cross *c, const mica_layer *layer, bool beside);
void mica_cross_free(mica_cross *c);
/* to += from */
void mica_cross_add(mica_cross *to, const mica_cross *from, const mica_layer *layer);

/* The value that the result of the op at a place is added to, when that is all that happens to it and the value is
 * there already; else NULL. */
const mica_value *mica_cross_beside(const mica_prefix *p, size_t place);
/* Of the layer at a place of the prefix: two thirds of the samples go to `fit`, the others to `check`. */
mica_status mica_cross_gather(mica_prefix *p, size_t place, const mica_layer *layer, mica_cross *fit,
                              mica_cross *check, mica_error *err);

/* Weights and bias (NULL: none) of least error behind what the quantized layer reads, in the layout of the layer.
 * How far they leave the float ones is decided by `check`; on return `fit` holds both. *out_part: of the
 * way to the weights that suit `fit` best, 0 .. 1. */
void mica_target_find(const mica_layer *layer, mica_cross *fit, const mica_cross *check, mrt_pool *pool,
                      float *filter, float *bias, double *out_part);

/* Weights of least error behind the prefix, rounded, for the layer of the module that changes; `from` is the float
 * layer. */
mica_status mica_prefix_layer(mica_prefix *p, const mica_layer *layer, const mica_layer *from, mica_error *err);
/* The layer of a list that makes the same value as `op`, or NULL. */
const mica_layer *mica_same_layer(const mica_layers *layers, const mica_op *op);

#endif
