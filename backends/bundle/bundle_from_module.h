/* From a tpu module to a bundle file. */
#ifndef MICA_BACKENDS_BUNDLE_FROM_MODULE_H
#define MICA_BACKENDS_BUNDLE_FROM_MODULE_H

#include "ir/op.h"
#include "runtime/mrt_bundle.h"
#include "utils/status.h"

/* Plans function main and writes it as a bundle. ops: source ops with the mode each was given.
 * golden_inputs: one buffer per input with as many bytes as the tensor, or NULL for a bundle that
 * cannot verify itself. The preprocessing of every top.Input is stored as attribute text. */
MICA_MUST_CHECK mica_status mica_bundle_from_module(mica_module *module, const mrt_bundle_op *ops,
                                                    uint32_t n_ops, const void *const *golden_inputs,
                                                    const char *path, mica_error *err);

#endif
