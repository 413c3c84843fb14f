/* Creating ops. */
#ifndef MICA_IR_BUILDER_H
#define MICA_IR_BUILDER_H

#include "ir/op.h"

/* Where new ops go: before `before`, or at the end of `block` when it is NULL. */
typedef struct mica_builder {
    mica_module *module;
    mica_block *block;
    mica_op *before;
    void (*created)(void *user, mica_op *op); /* told about each new op; NULL: nobody */
    void *user;
} mica_builder;

mica_builder mica_builder_at_end(mica_module *module, mica_block *block);
mica_builder mica_builder_before(mica_module *module, mica_op *op);
mica_builder mica_builder_after(mica_module *module, mica_op *op);

/* Everything of an op to be made; arrays are copied. */
typedef struct mica_op_state {
    const char *name;
    mica_loc loc; /* never NULL */
    mica_value *const *operands;
    size_t n_operands;
    const mica_type *results;
    size_t n_results;
    const mica_named_attr *attrs; /* any order */
    size_t n_attrs;
    size_t n_regions; /* empty regions to create */
} mica_op_state;

mica_op *mica_build(mica_builder *builder, const mica_op_state *state);

/* Short form: attributes are set afterwards with mica_op_set_*; result types come from the row's
 * infer hook by mica_op_infer, until then they are unranked f32. */
mica_op *mica_build_op(mica_builder *builder, const char *name, mica_loc loc,
                       mica_value *const *operands, size_t n_operands, size_t n_results);
/* Runs the infer hook and stores the result types. Attributes must be complete. */
mica_status mica_op_infer(mica_op *op);
/* Deep copy of an op (not its operands' definitions) at the builder, operands mapped by `map`
 * (NULL: same values). Regions are cloned. */
mica_op *mica_clone_op(mica_builder *builder, const mica_op *op,
                       mica_value *(*map)(void *user, mica_value *), void *user);
/* Deep copy of a module; the data of its constants is shared, not copied. */
mica_module *mica_module_clone(mica_module *module);

/* func.func @name(types) -> results with an entry block; locs may be NULL (unknown). */
mica_op *mica_build_func(mica_builder *builder, const char *name, const mica_type *inputs,
                         const mica_loc *locs, size_t n_inputs, const mica_type *results,
                         size_t n_results, mica_loc loc);
/* func.return / "return". */
mica_op *mica_build_return(mica_builder *builder, mica_value *const *values, size_t count,
                           mica_loc loc);
/* Makes the function type agree with its block arguments and its return. */
void mica_func_update_type(mica_op *func);

#endif
