/* The textual form, which is MLIR: what mlir-opt --allow-unregistered-dialect reads and prints. */
#ifndef MICA_IR_TEXT_H
#define MICA_IR_TEXT_H

#include "ir/op.h"
#include "utils/strbuf.h"

/* Parses one module (an implicit module is made around bare ops). `file` is for locations.
 * NULL after diagnostics on error. Accepts generic and pretty forms of builtin.module, func.func
 * and return; unregistered ops in generic form; location aliases, forward and backward. */
mica_module *mica_parse(mica_context *context, const char *text, size_t length, const char *file);
/* Reads and verifies a file (mica_parse alone does not verify). With `with_weights` it also loads
 * the npz that the attribute module.weight_file names, relative to the file. */
mica_module *mica_parse_file(mica_context *context, const char *path, bool with_weights);

/* Prints module or op with locations. */
void mica_print(mica_strbuf *out, const mica_op *op);
enum {
    MICA_PRINT_NO_LOCS = 1, /* leave locations out */
    MICA_PRINT_GENERIC = 2, /* generic form for builtin.module, func.func and return too */
};
void mica_print_with(mica_strbuf *out, const mica_op *op, unsigned flags);
mica_status mica_print_file(mica_module *module, const char *path, mica_error *err);

/* Parses one attribute (defaults of op rows, pass options). NULL after a diagnostic. */
mica_attr mica_parse_attr(mica_context *context, const char *text);
mica_type mica_parse_type(mica_context *context, const char *text);

#endif
