/* Expand is done as late as possible: functions and reductions of what it repeats see it once. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* The Expand that makes `value` larger, all shapes known. */
static mica_op *growing_expand(const mica_value *value) {
    mica_op *op = mica_producer(value, "top.Expand");
    const mica_type from = op != NULL ? mica_op_operand(op, 0)->type : NULL;
    const bool grows = op != NULL && mica_type_is_static(from) && mica_type_is_static(value->type) &&
                       mica_type_count(from) < mica_type_count(value->type);
    return grows ? op : NULL;
}

/* `op` of the tensor before the Expand, then the Expand to op's shape. */
static bool swap(mica_rewriter *rewriter, mica_op *op, mica_op *expand) {
    mica_module *module = mica_rewriter_module(rewriter);
    mica_builder *builder = mica_rewriter_builder(rewriter, op);
    const mica_type type = op->results[0].type;
    mica_value *x = mica_op_operand(expand, 0);
    const char *name = mica_arena_printf(module->arena, "%s_once", mica_loc_get_name(op->loc));
    mica_op *made = mica_build_op(builder, op->name, mica_named_loc(module, name, op), &x, 1, 1);
    for (uint32_t i = 0; i < op->n_attrs; ++i) {
        mica_op_set_attr(made, op->attrs[i].name, op->attrs[i].value);
    }
    if (mica_op_infer(made) != MICA_OK) {
        return false;
    }
    mica_value *once = &made->results[0];
    mica_op *last = mica_replace_with(rewriter, op, expand, "top.Expand", &once, 1);
    mica_op_set_i64s(last, "shape", type->dims, (size_t)type->rank);
    return true;
}

static bool function_before_expand(mica_rewriter *rewriter, mica_op *op) {
    const bool is_function = mica_op_has_trait(op, MICA_ELEMENTWISE) || mica_op_is(op, "top.DtypeCast");
    if (!is_function || op->n_operands != 1 || op->n_results != 1) {
        return false;
    }
    mica_op *expand = growing_expand(mica_op_operand(op, 0));
    return expand != NULL && swap(rewriter, op, expand);
}

/* A Reduce over axes that the Expand leaves as they are. */
static bool reduce_before_expand(mica_rewriter *rewriter, mica_op *op) {
    mica_op *expand = growing_expand(mica_op_operand(op, 0));
    size_t n = 0;
    const int64_t *axes = mica_op_i64s(op, "axes", &n);
    if (expand == NULL || !mica_type_is_static(op->results[0].type)) {
        return false;
    }
    const mica_type from = mica_op_operand(expand, 0)->type;
    const mica_type to = expand->results[0].type;
    bool kept = from->rank == to->rank;
    for (size_t i = 0; kept && i < n; ++i) {
        kept = from->dims[axes[i]] == to->dims[axes[i]];
    }
    return kept && swap(rewriter, op, expand);
}

const mica_pattern mica_patterns_expand[] = {
    {"function-before-expand", NULL, function_before_expand, "function of what Expand repeats"},
    {"reduce-before-expand", "top.Reduce", reduce_before_expand, "Reduce over axes that Expand does not repeat"},
};
const size_t mica_patterns_expand_count = sizeof mica_patterns_expand / sizeof mica_patterns_expand[0];
