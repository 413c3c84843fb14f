/* What patterns share: looking at producers, making ops that take over a tensor's name. */
#ifndef MICA_TOP_PATTERN_UTIL_H
#define MICA_TOP_PATTERN_UTIL_H

#include "dialects/top/top.h"
#include "ir/rewrite.h"

/* The op called `name` that defines `value` and has no other user; NULL otherwise. */
mica_op *mica_sole_producer(const mica_value *value, const char *name);
/* Any op called `name` that defines `value`; NULL otherwise. */
mica_op *mica_producer(const mica_value *value, const char *name);
/* Location for an op that does the work of `last` (whose tensor name it keeps) and of `first`. */
mica_loc mica_merged_loc(const mica_op *last, const mica_op *first);
/* Location for a tensor of a new name that does the work of `from`. */
mica_loc mica_named_loc(mica_module *module, const char *name, const mica_op *from);
/* Replaces `op` by a new op `name` with the same result types, taking op's name and fused activation.
 * Other attributes are set by the caller on the returned op; infer is not needed since shapes are kept. `with` (may be NULL) is a
 * second op whose location is fused in. */
mica_op *mica_replace_with(mica_rewriter *rewriter, mica_op *op, const mica_op *with,
                           const char *name, mica_value *const *operands, size_t n_operands);
/* Copies all attributes but the fused activation, which belongs to the op that was replaced. */
void mica_copy_attrs(mica_op *to, const mica_op *from);
/* For a commutative binary op: splits operands into constant and other; false when not exactly one
 * is a constant. */
bool mica_split_const(const mica_op *op, mica_value **out_other, mica_value **out_const);
/* f32 data of a constant, NULL when it is none or has another type. */
const float *mica_const_f32(const mica_value *value, int64_t *out_count);
/* The constant as one factor per channel of `x` (axis 1, rank >= 2): broadcasts a scalar, [C,1,..] or
 * [1,C,1,..]. Returns module-arena memory of C floats, or NULL when it varies along another axis. */
const float *mica_per_channel(mica_module *module, const mica_value *constant, const mica_value *x);
/* True when the constant is a scalar within 1e-6 relative of `expected`. */
bool mica_is_scalar(const mica_value *value, double expected);
/* Makes a new f32 constant before `op`, named "<op>_<suffix>". */
mica_value *mica_new_const(mica_rewriter *rewriter, mica_op *op, const char *suffix, int rank,
                           const int64_t *dims, const float *data);
/* True when no activation is fused into the op yet. */
bool mica_no_relu(const mica_op *op);
/* True when the ops between `x` and `root` (all that root's value needs, up to x and constants) are
 * needed by root alone: none is a network output or has a user outside. At most 32 ops. */
bool mica_region_is_closed(const mica_op *root, const mica_value *x);
/* As mica_replace_with for the whole closed region from `x` to `root`, whose locations are fused; NULL
 * without a change when the region is not closed. `root` has no fused activation. */
mica_op *mica_replace_region(mica_rewriter *rewriter, mica_op *root, const mica_value *x,
                             const char *name, mica_value *const *operands, size_t n_operands);
/* True when the op's result is returned, so that its name must stay. */
bool mica_is_output(const mica_op *op);

#endif
