/* Services of op.c and builder.c for other files of ir/. */
#ifndef MICA_IR_OP_IMPL_H
#define MICA_IR_OP_IMPL_H

#include "ir/builder.h"

/* Puts a detached op before `before`, or at the end of `block` when it is NULL. */
void mica_op_insert(mica_op *op, mica_block *block, mica_op *before);
/* Takes an op out of its block, uses and operands intact. */
void mica_op_detach(mica_op *op);
/* Ends all uses that the op makes of values. */
void mica_op_drop_operands(mica_op *op);
/* Makes an op that is in no block. */
mica_op *mica_op_create(mica_module *module, const mica_op_state *state);

/* Gives an op that has none its results (the parser learns them last). */
void mica_op_set_results(mica_op *op, const mica_type *types, size_t count);
/* Gives an op that has none its regions, empty. */
void mica_op_set_regions(mica_op *op, size_t count);
/* Takes over attributes that are sorted by name and distinct. */
void mica_op_set_sorted_attrs(mica_op *op, const mica_named_attr *attrs, size_t count);

/* A module without its op, for the parser, which finds the op in the text. */
mica_module *mica_module_create_empty(mica_context *context);

/* Value of an attribute by name, in the sorted array of an op. */
mica_attr mica_attrs_find(const mica_named_attr *attrs, size_t count, const char *name);

/* Row of the attribute `name` in an op's table, or NULL. */
const mica_attr_info *mica_op_info_attr(const mica_op_info *info, const char *name);
/* The same attribute in the form that the row wants: [1, 2] for a row of integers becomes
 * array<i64: 1, 2>, a list of floats array<f64: ...>. Others come back unchanged. */
mica_attr mica_attr_for_row(const mica_attr_info *row, mica_attr value);

#endif
