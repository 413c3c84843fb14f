/* Passes of the tpu dialect, callable without a pass manager. */
#ifndef MICA_TPU_PASSES_H
#define MICA_TPU_PASSES_H

#include "ir/op.h"
#include "utils/status.h"

/* Takes the f32 -> integer Cast off network input i when quant_input[i], and the integer -> f32 Cast
 * off output i when quant_output[i]: the network then speaks integers there. An input is left alone
 * when any user wants it in another type. NULL means none. */
mica_status mica_strip_io_quant(mica_module *module, const bool *quant_input, size_t n_inputs,
                                const bool *quant_output, size_t n_outputs);

/* Parses "all", "none" or 1-based numbers separated by ',' or '|' into flags[n]. */
mica_status mica_parse_io_list(const char *text, bool *flags, size_t n, const char *what,
                               mica_error *err);

/* Plans memory and writes the address of every tensor as its type's encoding: constants from 0 on,
 * 4096-byte aligned as a block; activations in the block after it. Sets module.coeff_addr/size,
 * module.neuron_addr/size (bytes) and module.state. */
mica_status mica_assign_address(mica_module *module);

#endif
