/* What the files cross*.c share. */
#ifndef MICA_SEARCH_CROSS_INTERNAL_H
#define MICA_SEARCH_CROSS_INTERNAL_H

#include "passes/search/cross.h"

/* A place that can make an error: an op by itself, or an edge. */
typedef struct mica_cross_slot {
    size_t part;      /* of the vectors */
    int32_t edge;     /* of the net, or -1 */
    int32_t op, from; /* the op, the reader; leader that an edge comes from, -1: a network input */
} mica_cross_slot;

struct mica_cross {
    const mica_net *net;
    const mica_model *model;
    const mica_noise_result *results;
    mica_cross_slot *slots;
    size_t n;            /* slots */
    size_t *own, *edge;  /* slots of ops and edges */
    int n_modes;         /* with vectors */
    int modes[MICA_MODE_COUNT], variant[MICA_MODE_COUNT]; /* variant: index into modes, or -1 */
    size_t samples, band;
    double *weights;     /* per sample */
    bool cautious;       /* products that may be chance count less */
    bool diagonal;       /* what is being filled */
    float *products;     /* [slot][distance below band][variant][variant of the later one] */
};

static inline size_t mica_cross_index(const mica_cross *c, size_t slot, size_t distance, int a, int b) {
    return ((slot * c->band + distance) * (size_t)c->n_modes + (size_t)a) * (size_t)c->n_modes + (size_t)b;
}

/* Mean over the samples of the product of two errors; 0 for a variant of -1 and for slots far from each other. */
double mica_cross_product(const mica_cross *c, size_t i, int a, size_t k, int b);
/* Variant that a slot has in a choice, or -1. */
int mica_cross_active(const mica_cross *c, size_t slot, const uint8_t *modes);
/* Noise of an op in a mode without vectors. */
double mica_cross_added(const mica_cross *c, size_t k, int mode);

#endif
