/* Blocks of a model: runs of ops with one tensor in and one out, and their graphs for learning. */
#ifndef MICA_RECOVERY_BLOCKS_H
#define MICA_RECOVERY_BLOCKS_H

#include "passes/recovery/learn.h"
#include "passes/recovery/prefix.h"

/* Ops of the places [first, last). */
typedef struct mica_block_range {
    size_t first, last;
    const mica_value *input, *output; /* of the reference module */
    size_t layers;
} mica_block_range;

/* All blocks in order, those without layers left out; they end behind sums that join two ways, else behind
 * MICA_BLOCK_LAYERS layers. Layers between places where more than one tensor is alive are in none. */
enum { MICA_BLOCK_LAYERS = 3 };
mica_block_range *mica_blocks_find(const mica_prefix *p, const mica_layers *layers, size_t *count);

/* The graph of a block with the weights of `layers` (those of the quantized model) and the ranges of the table.
 * False when an op cannot be learned through; *out_why is its name. */
bool mica_block_graph(const mica_prefix *p, const mica_block_range *block, const mica_layers *layers, mica_learn *out,
                      const char **out_why);

#endif
