/* Attention blocks of a module in canonical form. */
#ifndef MICA_TOP_ATTENTION_H
#define MICA_TOP_ATTENTION_H

#include "ir/op.h"

/* Number of Softmaxes over a product of two tensors, with scales and masks between at most, that are
 * themselves multiplied by a tensor. */
size_t mica_top_count_attention(mica_module *module);

#endif
