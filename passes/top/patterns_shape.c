/* Ops that only move elements: merge chains, drop those that change nothing. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* The op that makes `x` takes over the name of an output that is the same tensor. */
static bool give_name(mica_op *op, const mica_value *x) {
    mica_op *producer = x->def;
    if (producer == NULL || producer->n_results != 1 || mica_op_is(producer, "top.Input") || mica_is_weight(x) ||
        mica_is_output(producer)) {
        return false;
    }
    producer->loc = mica_merged_loc(op, producer);
    return true;
}

static bool replace_by_operand(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = mica_op_operand(op, 0);
    if (mica_is_output(op) && !give_name(op, x)) {
        return false;
    }
    mica_rewriter_replace(rewriter, op, &x, 1);
    return true;
}

/* Slice, Pad, Expand, Tile, Reshape, Permute, DtypeCast, Concat of one: same type, same elements. */
static bool drop_no_op(mica_rewriter *rewriter, mica_op *op) {
    if (!mica_op_has_trait(op, MICA_PURE) || op->n_results != 1 || op->n_operands < 1 ||
        op->results[0].type != mica_op_operand(op, 0)->type || !mica_type_is_static(op->results[0].type)) {
        return false;
    }
    size_t n = 0;
    if (mica_op_is(op, "top.Permute")) {
        const int64_t *order = mica_op_i64s(op, "order", &n);
        for (size_t i = 0; i < n; ++i) {
            if (order[i] != (int64_t)i) {
                return false;
            }
        }
    } else if (mica_op_is(op, "top.Slice")) {
        const int64_t *steps = mica_op_i64s(op, "steps", &n);
        for (size_t i = 0; i < n; ++i) {
            if (steps[i] < 0) {
                return false; /* reverses */
            }
        }
    } else if (mica_op_is(op, "top.Concat")) {
        if (op->n_operands != 1 || !mica_no_relu(op)) {
            return false;
        }
    } else if (mica_op_is(op, "top.Pad")) {
        const int64_t *pads = mica_op_i64s(op, "paddings", &n);
        for (size_t i = 0; i < n; ++i) {
            if (pads[i] != 0) {
                return false;
            }
        }
    } else if (!mica_op_is(op, "top.Reshape") && !mica_op_is(op, "top.Expand") &&
               !mica_op_is(op, "top.Tile") && !mica_op_is(op, "top.DtypeCast")) {
        return false;
    }
    return replace_by_operand(rewriter, op);
}

static bool merge_reshapes(mica_rewriter *rewriter, mica_op *op) {
    mica_op *first = mica_producer(mica_op_operand(op, 0), "top.Reshape");
    if (first == NULL || !mica_type_is_static(op->results[0].type)) {
        return false;
    }
    mica_value *x = mica_op_operand(first, 0);
    const mica_type type = op->results[0].type;
    mica_op *made = mica_replace_with(rewriter, op, first, "top.Reshape", &x, 1);
    mica_op_set_i64s(made, "shape", type->dims, (size_t)type->rank);
    return true;
}

static bool merge_permutes(mica_rewriter *rewriter, mica_op *op) {
    mica_op *first = mica_producer(mica_op_operand(op, 0), "top.Permute");
    size_t n = 0;
    size_t n_first = 0;
    if (first == NULL) {
        return false;
    }
    const int64_t *outer = mica_op_i64s(op, "order", &n);
    const int64_t *inner = mica_op_i64s(first, "order", &n_first);
    int64_t order[MICA_MAX_RANK];
    for (size_t i = 0; i < n; ++i) {
        order[i] = inner[outer[i]];
    }
    mica_value *x = mica_op_operand(first, 0);
    mica_op *made = mica_replace_with(rewriter, op, first, "top.Permute", &x, 1);
    mica_op_set_i64s(made, "order", order, n);
    return true;
}

/* A permute that only moves axes of size 1 is a reshape, which costs nothing. */
static bool permute_to_reshape(mica_rewriter *rewriter, mica_op *op) {
    const mica_type in = mica_op_operand(op, 0)->type;
    const mica_type out = op->results[0].type;
    size_t n = 0;
    const int64_t *order = mica_op_i64s(op, "order", &n);
    if (!mica_type_is_static(in)) {
        return false;
    }
    int64_t last = -1;
    for (size_t i = 0; i < n; ++i) {
        if (in->dims[order[i]] == 1) {
            continue;
        }
        if (order[i] < last) {
            return false;
        }
        last = order[i];
    }
    mica_value *x = mica_op_operand(op, 0);
    mica_op *made = mica_replace_with(rewriter, op, NULL, "top.Reshape", &x, 1);
    mica_op_set_i64s(made, "shape", out->dims, (size_t)out->rank);
    return true;
}

const mica_pattern mica_patterns_shape[] = {
    {"drop-no-op", NULL, drop_no_op, "movement that changes nothing"},
    {"merge-reshapes", "top.Reshape", merge_reshapes, "Reshape of Reshape"},
    {"merge-permutes", "top.Permute", merge_permutes, "Permute of Permute"},
    {"permute-to-reshape", "top.Permute", permute_to_reshape, "Permute of axes of size 1"},
};
const size_t mica_patterns_shape_count = sizeof mica_patterns_shape / sizeof mica_patterns_shape[0];
