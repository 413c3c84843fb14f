/* Concat, Slice and Split that undo each other; blocks of pixels written as Reshape, Permute, Reshape. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

static int64_t concat_axis(const mica_op *op) {
    const int64_t axis = mica_op_i64(op, "axis");
    return axis < 0 ? axis + op->results[0].type->rank : axis;
}

static bool all_static(const mica_op *op) {
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        if (!mica_type_is_static(mica_op_operand(op, i)->type)) {
            return false;
        }
    }
    return mica_type_is_static(op->results[0].type);
}

/* True for a Slice without gaps that cuts along `axis` at most; writes where it begins and ends. */
static bool cut_along(const mica_op *slice, int64_t axis, int64_t *out_begin, int64_t *out_end) {
    size_t n = 0;
    const int64_t *offset = mica_op_i64s(slice, "offset", &n);
    const int64_t *steps = mica_op_i64s(slice, "steps", &n);
    const mica_type in = mica_op_operand(slice, 0)->type;
    const mica_type out = slice->results[0].type;
    for (size_t i = 0; i < n; ++i) {
        if (steps[i] != 1 || ((int64_t)i != axis && out->dims[i] != in->dims[i])) {
            return false;
        }
    }
    *out_begin = offset[axis] < 0 ? offset[axis] + in->dims[axis] : offset[axis];
    *out_end = *out_begin + out->dims[axis];
    return true;
}

/* Slice that takes exactly one operand of the Concat before it. */
static bool slice_of_concat(mica_rewriter *rewriter, mica_op *op) {
    mica_op *concat = mica_producer(mica_op_operand(op, 0), "top.Concat");
    int64_t begin = 0;
    int64_t end = 0;
    if (concat == NULL || !mica_no_relu(concat) || mica_is_output(op) || !all_static(concat) ||
        !mica_type_is_static(op->results[0].type) || !cut_along(op, concat_axis(concat), &begin, &end)) {
        return false;
    }
    const int64_t axis = concat_axis(concat);
    int64_t at = 0;
    for (uint32_t i = 0; i < concat->n_operands; ++i) {
        mica_value *part = mica_op_operand(concat, i);
        if (at == begin && at + part->type->dims[axis] == end && part->type == op->results[0].type) {
            mica_rewriter_replace(rewriter, op, &part, 1);
            return true;
        }
        at += part->type->dims[axis];
    }
    return false;
}

/* Concat of all Slices of one tensor, or of all results of one Split, in order. */
static bool concat_of_parts(mica_rewriter *rewriter, mica_op *op) {
    const mica_op *first = mica_op_operand(op, 0)->def;
    if (first == NULL || !mica_no_relu(op) || mica_is_output(op) || !all_static(op) ||
        (!mica_op_is(first, "top.Slice") && !mica_op_is(first, "top.Split"))) {
        return false;
    }
    const bool is_split = mica_op_is(first, "top.Split");
    mica_value *x = mica_op_operand(first, 0);
    const int64_t axis = concat_axis(op);
    if (x->type != op->results[0].type || (is_split && first->n_results != op->n_operands)) {
        return false;
    }
    const int64_t split_axis = is_split ? mica_op_i64(first, "axis") : 0;
    if (is_split && split_axis != axis && split_axis + x->type->rank != axis) {
        return false;
    }
    int64_t at = 0;
    for (uint32_t i = 0; i < op->n_operands; ++i) {
        const mica_value *part = mica_op_operand(op, i);
        int64_t begin = 0;
        int64_t end = 0;
        if (is_split) {
            if (part != &first->results[i]) {
                return false;
            }
            continue;
        }
        const mica_op *slice = mica_producer(part, "top.Slice");
        if (slice == NULL || mica_op_operand(slice, 0) != x || !cut_along(slice, axis, &begin, &end) ||
            begin != at) {
            return false;
        }
        at = end;
    }
    if (!is_split && at != x->type->dims[axis]) {
        return false;
    }
    mica_rewriter_replace(rewriter, op, &x, 1);
    return true;
}

/* Concat of a Concat along the same axis that nobody else needs. */
static bool flatten_concats(mica_rewriter *rewriter, mica_op *op) {
    enum { MAX_PARTS = 256 };
    mica_value *parts[MAX_PARTS];
    for (uint32_t k = 0; k < op->n_operands; ++k) {
        mica_op *inner = mica_sole_producer(mica_op_operand(op, k), "top.Concat");
        if (inner == NULL || !mica_no_relu(inner) || concat_axis(inner) != concat_axis(op) ||
            op->n_operands + inner->n_operands > MAX_PARTS) {
            continue;
        }
        size_t n = 0;
        for (uint32_t i = 0; i < op->n_operands; ++i) {
            for (uint32_t j = 0; i == k && j < inner->n_operands; ++j) {
                parts[n++] = mica_op_operand(inner, j);
            }
            if (i != k) {
                parts[n++] = mica_op_operand(op, i);
            }
        }
        const int64_t axis = mica_op_i64(op, "axis");
        mica_op *made = mica_replace_with(rewriter, op, inner, "top.Concat", parts, n);
        mica_op_set_i64(made, "axis", axis);
        return true;
    }
    return false;
}

/* Slice of a Slice; steps are positive. */
static bool merge_slices(mica_rewriter *rewriter, mica_op *op) {
    mica_op *first = mica_producer(mica_op_operand(op, 0), "top.Slice");
    if (first == NULL || !all_static(op) || !all_static(first)) {
        return false;
    }
    size_t n = 0;
    const mica_type in = mica_op_operand(first, 0)->type;
    const mica_type middle = first->results[0].type;
    const mica_type out = op->results[0].type;
    const int64_t *offset[2] = {mica_op_i64s(first, "offset", &n), mica_op_i64s(op, "offset", &n)};
    const int64_t *steps[2] = {mica_op_i64s(first, "steps", &n), mica_op_i64s(op, "steps", &n)};
    int64_t offsets[MICA_MAX_RANK];
    int64_t step[MICA_MAX_RANK];
    int64_t ends[MICA_MAX_RANK];
    for (size_t i = 0; i < n; ++i) {
        if (steps[0][i] < 1 || steps[1][i] < 1 || out->dims[i] < 1 || steps[0][i] > in->dims[i] ||
            steps[1][i] > in->dims[i]) {
            return false;
        }
        const int64_t inner = offset[0][i] < 0 ? offset[0][i] + in->dims[i] : offset[0][i];
        const int64_t outer = offset[1][i] < 0 ? offset[1][i] + middle->dims[i] : offset[1][i];
        step[i] = steps[0][i] * steps[1][i];
        offsets[i] = inner + outer * steps[0][i];
        ends[i] = offsets[i] + (out->dims[i] - 1) * step[i] + 1;
    }
    mica_value *x = mica_op_operand(first, 0);
    mica_op *made = mica_replace_with(rewriter, op, first, "top.Slice", &x, 1);
    mica_op_set_i64s(made, "offset", offsets, n);
    mica_op_set_i64s(made, "steps", step, n);
    mica_op_set_i64s(made, "ends", ends, n);
    return true;
}

/* --- blocks of pixels --------------------------------------------------------------------------- */

static bool order_is(const mica_op *permute, const int64_t expected[6]) {
    size_t n = 0;
    const int64_t *order = mica_op_i64s(permute, "order", &n);
    return n == 6 && memcmp(order, expected, 6 * sizeof *order) == 0;
}

/* Which axes the Permute makes of [N, a, b, c, d, e]. */
static const struct {
    int64_t order[6];
    const char *name;
    const char *mode;
    int channels; /* axes of the six that are block, block, channels, height, width */
    int block[2];
    int pixels[2];
} block_forms[] = {
    {{0, 3, 4, 1, 5, 2}, "top.Depth2Space", "DCR", 3, {1, 2}, {4, 5}},
    {{0, 1, 4, 2, 5, 3}, "top.Depth2Space", "CRD", 1, {2, 3}, {4, 5}},
    {{0, 3, 5, 1, 2, 4}, "top.Space2Depth", NULL, 1, {3, 5}, {2, 4}},
};

static bool permute_to_block(mica_rewriter *rewriter, mica_op *op) {
    mica_op *permute = mica_sole_producer(mica_op_operand(op, 0), "top.Permute");
    mica_op *first = permute != NULL ? mica_sole_producer(mica_op_operand(permute, 0), "top.Reshape") : NULL;
    if (first == NULL || !all_static(op) || !all_static(first)) {
        return false;
    }
    mica_value *x = mica_op_operand(first, 0);
    const mica_type in = x->type;
    const int64_t *d = first->results[0].type->dims;
    const mica_type out = op->results[0].type;
    if (in->rank != 4 || out->rank != 4 || first->results[0].type->rank != 6) {
        return false;
    }
    for (size_t k = 0; k < sizeof block_forms / sizeof block_forms[0]; ++k) {
        const int64_t block = d[block_forms[k].block[0]];
        const int64_t channels = d[block_forms[k].channels];
        const int64_t h = d[block_forms[k].pixels[0]];
        const int64_t w = d[block_forms[k].pixels[1]];
        const int64_t small[4] = {d[0], channels * block * block, h, w};
        const int64_t large[4] = {d[0], channels, h * block, w * block};
        const bool deep = block_forms[k].mode == NULL;
        if (!order_is(permute, block_forms[k].order) || d[block_forms[k].block[1]] != block || block < 2 ||
            memcmp(in->dims, deep ? large : small, sizeof small) != 0 ||
            memcmp(out->dims, deep ? small : large, sizeof small) != 0) {
            continue;
        }
        mica_op *made = mica_replace_region(rewriter, op, x, block_forms[k].name, &x, 1);
        if (made == NULL) {
            return false;
        }
        mica_op_set_i64(made, "block", block);
        if (!deep) {
            mica_op_set_str(made, "mode", block_forms[k].mode);
        }
        return true;
    }
    return false;
}

/* [N, C, H, W] -> [N, C, H, 1, W, 1], Expand or Tile to [N, C, H, a, W, b], -> [N, C, H*a, W*b]. */
static bool expand_to_nearest(mica_rewriter *rewriter, mica_op *op) {
    mica_op *expand = mica_sole_producer(mica_op_operand(op, 0), "top.Expand");
    expand = expand != NULL ? expand : mica_sole_producer(mica_op_operand(op, 0), "top.Tile");
    mica_op *first = expand != NULL ? mica_sole_producer(mica_op_operand(expand, 0), "top.Reshape") : NULL;
    if (first == NULL || !all_static(op) || !all_static(first) ||
        !mica_type_is_float(mica_type_element(op->results[0].type), MICA_F32)) {
        return false;
    }
    mica_value *x = mica_op_operand(first, 0);
    const mica_type in = x->type;
    const mica_type small = first->results[0].type;
    const mica_type large = expand->results[0].type;
    const mica_type out = op->results[0].type;
    if (in->rank != 4 || out->rank != 4 || small->rank != 6 || large->rank != 6) {
        return false;
    }
    const int64_t *d = in->dims;
    const int64_t a = large->dims[3];
    const int64_t b = large->dims[5];
    const int64_t want_small[6] = {d[0], d[1], d[2], 1, d[3], 1};
    const int64_t want_large[6] = {d[0], d[1], d[2], a, d[3], b};
    const int64_t want_out[4] = {d[0], d[1], d[2] * a, d[3] * b};
    if (memcmp(small->dims, want_small, sizeof want_small) != 0 ||
        memcmp(large->dims, want_large, sizeof want_large) != 0 ||
        memcmp(out->dims, want_out, sizeof want_out) != 0) {
        return false;
    }
    mica_op *made = mica_replace_region(rewriter, op, x, "top.Interp", &x, 1);
    if (made == NULL) {
        return false;
    }
    mica_op_set_str(made, "mode", "nearest");
    mica_op_set_str(made, "coord_mode", "asymmetric");
    mica_op_set_str(made, "nearest_mode", "floor");
    mica_op_set_i64s(made, "shape", want_out, 4);
    return true;
}

const mica_pattern mica_patterns_concat[] = {
    {"slice-of-concat", "top.Slice", slice_of_concat, "Slice of exactly one operand"},
    {"concat-of-parts", "top.Concat", concat_of_parts, "Slices or a Split, joined again"},
    {"flatten-concats", "top.Concat", flatten_concats, "Concat of Concat"},
    {"merge-slices", "top.Slice", merge_slices, "Slice of Slice"},
    {"permute-to-block", "top.Reshape", permute_to_block, "Depth2Space, Space2Depth by Permute"},
    {"expand-to-nearest", "top.Reshape", expand_to_nearest, "nearest upsampling by Expand or Tile"},
};
const size_t mica_patterns_concat_count =
    sizeof mica_patterns_concat / sizeof mica_patterns_concat[0];
