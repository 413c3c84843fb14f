/* model_transform --check: what a model needs and whether it can be imported. */
#ifndef MICA_TOOLS_MODEL_CHECK_H
#define MICA_TOOLS_MODEL_CHECK_H

#include "frontends/onnx/onnx.h"
#include "ir/context.h"
#include "utils/arena.h"
#include "utils/status.h"

#include <stdbool.h>

/* Prints the report on the ONNX model at `path`, between the cuts of `options`, to stdout, as a table or
 * as one JSON object. *out_good:
 * every operator is supported, and the import works where all shapes are known. Fails when the file
 * cannot be read; diagnostics have told why. */
MICA_MUST_CHECK mica_status model_check(mica_context *context, const char *path,
                                        const mica_onnx_options *options, bool json, bool *out_good);

#endif
