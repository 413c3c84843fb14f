/* A small graph whose weights are learned: forward and backward in f32, one sample at a time.
 *
 * Nodes are in order, each makes one tensor. Rounding of activations is a node of its own: forward rounds to the
 * grid, backward passes the gradient where the value lies inside the range. A workspace belongs to one thread at a
 * time; every element is computed in an order that depends on sizes only. */
#ifndef MICA_RECOVERY_LEARN_H
#define MICA_RECOVERY_LEARN_H

#include "passes/recovery/prefix.h"

typedef enum mica_learn_kind {
    MICA_LEARN_LAYER,    /* Conv or MatMul with learned weights */
    MICA_LEARN_ADD,
    MICA_LEARN_ACTIVATE, /* slope x below 0, at most limit */
    MICA_LEARN_AVERAGE,  /* average over windows */
    MICA_LEARN_MAX,      /* maximum over windows */
    MICA_LEARN_GELU,     /* x (1 + erf(x / sqrt 2)) / 2 */
    MICA_LEARN_NORM,     /* layer normalization over the last `inner` elements */
    MICA_LEARN_ROUND,
    MICA_LEARN_COPY,
} mica_learn_kind;

/* Windows of a pool; planes of h x w. */
typedef struct mica_learn_pool {
    int64_t planes, in[2], out[2], kernel[2], strides[2], pads[2];
    bool count_pad;
} mica_learn_pool;

typedef struct mica_learn_node {
    mica_learn_kind kind;
    int in[2], out;          /* tensors */
    int layer;               /* number of the learned layer */
    bool relu;               /* LAYER, ADD, AVERAGE: max(x, 0) behind it */
    double limit, slope;     /* upper bound of it, < 0: none */
    mica_learn_pool pool;
    mica_levels grid;          /* ROUND */
    int64_t inner;           /* NORM */
    double epsilon;
    const float *gamma, *beta; /* NORM; NULL: 1 and 0 */
} mica_learn_node;

/* Weights [rows][per] and biases [rows], whatever the layout of the model. */
typedef struct mica_learn_layer {
    const mica_layer *layer;
    float *weights, *bias; /* owned; bias may be NULL */
} mica_learn_layer;

typedef struct mica_learn {
    mica_learn_node *nodes;
    int n_nodes;
    int64_t *counts; /* elements of the tensors; 0 is the input, the last node makes the output */
    int n_tensors;
    mica_learn_layer *layers;
    int n_layers;
} mica_learn;

void mica_learn_free(mica_learn *g);
static inline int mica_learn_output(const mica_learn *g) { return g->nodes[g->n_nodes - 1].out; }

typedef struct mica_learn_space {
    float **values, **grads; /* per tensor */
    float **weights, **bias; /* per layer: gradients */
    float *scratch;
} mica_learn_space;

/* Bytes of one workspace. */
size_t mica_learn_space_bytes(const mica_learn *g);
void mica_learn_space_init(mica_learn_space *s, const mica_learn *g);
void mica_learn_space_free(mica_learn_space *s, const mica_learn *g);

/* values[0] -> all values. */
void mica_learn_forward(const mica_learn *g, mica_learn_space *s);
/* After forward, with grads of the output: all gradients of tensors but the input, and of the weights. */
void mica_learn_backward(const mica_learn *g, mica_learn_space *s);

/* Layers (learn_layer.c): y = activation(W x + b); backward: gy is that of the sum, before the activation. gx may
 * be NULL, else it is added to; gw and gb are overwritten. */
size_t mica_learn_layer_scratch(const mica_layer *l, int64_t in_count);
void mica_learn_layer_forward(const mica_learn_layer *l, int64_t in_count, const float *x, float *y, float *scratch);
void mica_learn_layer_backward(const mica_learn_layer *l, int64_t in_count, const float *x, const float *gy, float *gx,
                               float *gw, float *gb, float *scratch);

#endif
