/* The ONNX importer: an .onnx file becomes a module of top ops.
 *
 * Read: ONNX opset 7 to 25 of the default domain, operators of com.microsoft; weights inside the
 * file or as external data beside it. Shapes are static: what the model leaves open must be given
 * in `input_shapes`. Shape arithmetic is evaluated while importing. The result is func @main with one top.Input per graph
 * input; tensors keep their ONNX names as locations. The whole file is untrusted: whatever is wrong
 * with it ends in a diagnostic.
 * Source: ONNX operator schemas and IR specification. */
#ifndef MICA_FRONTENDS_ONNX_H
#define MICA_FRONTENDS_ONNX_H

#include "ir/op.h"
#include "utils/ndarray.h"

/* Zeroed: everything as the model says. All pointers are borrowed during the call. */
typedef struct mica_onnx_options {
    /* Shapes of the inputs, items joined by commas: "[[1,3,224,224],[10]]" in the order of the
     * inputs, "name:[1,3,224,224]" by name, "batch=1,seq=32" for symbolic dimensions. A sequence
     * "name:[[2,3],[4,3]]" becomes one input per element, "name.0", "name.1", ...; an optional input
     * that is absent is "name:none". An output that is a sequence becomes several in the same way. */
    const char *input_shapes;
    /* Tensors to return, in this order, also intermediate ones; none: the model's outputs. */
    const char *const *output_names;
    size_t n_output_names;
    /* Tensors that become the inputs, also intermediate ones; none: the model's inputs. */
    const char *const *input_names;
    size_t n_input_names;
    /* Tensors behind which nothing is quantized (dialects/top/cut.h); none: no cut. */
    const char *const *truncate_names;
    size_t n_truncate_names;
    /* Inputs (by their name) that are fixed to a value and vanish from the interface. Copied. */
    const mica_ndarray *constants;
    size_t n_constants;
    const char *model_name; /* symbol name of the module; NULL: file name without extension */
} mica_onnx_options;

/* Imports the model at `path`. `options` may be NULL. On success the caller owns *out_module. */
MICA_MUST_CHECK mica_status mica_onnx_import(mica_context *context, const char *path,
                                             const mica_onnx_options *options,
                                             mica_module **out_module);

/* --- what is supported -------------------------------------------------------------------------- */
/* One operator. */
typedef struct mica_onnx_op_info {
    const char *domain; /* "ai.onnx" is the default one */
    const char *op;
    int since, until;   /* opsets of its domain in which it is known */
    const char *reason; /* why it is not supported, NULL: it is */
} mica_onnx_op_info;
size_t mica_onnx_op_count(void);
mica_onnx_op_info mica_onnx_op_at(size_t i);

/* A node of the main graph, of a subgraph or of a function of the model. */
typedef struct mica_onnx_node_info {
    const char *name, *op, *domain; /* name: that of its first output when it has none */
    const char *const *outputs;
    size_t n_outputs;
    const char *reason; /* why it cannot be imported, NULL: nothing known speaks against it */
} mica_onnx_node_info;

/* A dimension of an input that the model leaves open. */
typedef struct mica_onnx_open_dim {
    const char *input, *symbol; /* symbol: "" when the model gives none */
    size_t index;               /* of the dimension; a missing shape counts as dimension 0 */
} mica_onnx_open_dim;

typedef struct mica_onnx_summary {
    int opset; /* of the default domain */
    const mica_onnx_node_info *nodes;
    size_t n_nodes, n_unsupported;
    const mica_onnx_open_dim *open;
    size_t n_open;
    double parameters; /* elements of the main graph's initializers */
    /* Where nodes that need no unsupported one end: tensors to cut at. Empty when all are supported or
     * the options cut. */
    const char *const *frontier;
    size_t n_frontier;
} mica_onnx_summary;

/* Looks at the model between the cuts of `options` (may be NULL) without converting anything; all
 * memory is on `arena`. Whatever keeps the file from being read ends in a diagnostic. */
MICA_MUST_CHECK mica_status mica_onnx_summarize(mica_context *context, const char *path,
                                                const mica_onnx_options *options,
                                                mica_arena *arena, mica_onnx_summary *out);

#endif
