/* Movement around other ops: strided Slices that are blocks of pixels, Expands that broadcasting makes
 * needless, Reshapes with element-wise ops between, Slices of one operand of a Concat. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

static bool is_static(const mica_value *value) {
    return mica_type_is_tensor(value->type) && mica_type_is_static(value->type);
}

/* --- blocks of pixels ---------------------------------------------------------------------------- */

/* True for x[:, :, row::2, column::2] with nothing left out. */
static bool is_quarter(const mica_op *slice, int64_t *out_row, int64_t *out_column) {
    size_t n = 0;
    const int64_t *offset = mica_op_i64s(slice, "offset", &n);
    const int64_t *steps = mica_op_i64s(slice, "steps", &n);
    const mica_type in = mica_op_operand(slice, 0)->type;
    const mica_type out = slice->results[0].type;
    if (n != 4 || !is_static(mica_op_operand(slice, 0)) || !is_static(&slice->results[0]) || steps[2] != 2 || steps[3] != 2 ||
        steps[0] != 1 || steps[1] != 1) {
        return false;
    }
    const int64_t want[4] = {in->dims[0], in->dims[1], in->dims[2] / 2, in->dims[3] / 2};
    if (in->dims[2] % 2 != 0 || in->dims[3] % 2 != 0 || memcmp(out->dims, want, sizeof want) != 0) {
        return false;
    }
    *out_row = offset[2];
    *out_column = offset[3];
    return *out_row >= 0 && *out_row < 2 && *out_column >= 0 && *out_column < 2;
}

static mica_op *reshape_before(mica_rewriter *rewriter, mica_op *op, mica_value *x, const char *suffix, int rank,
                               const int64_t *dims) {
    mica_module *module = mica_rewriter_module(rewriter);
    const char *name = mica_arena_printf(module->arena, "%s_%s", mica_value_name(&op->results[0]), suffix);
    mica_op *made = mica_build_op(mica_rewriter_builder(rewriter, op), "top.Reshape",
                                  mica_loc_name(module->context, name, NULL), &x, 1, 1);
    mica_op_set_i64s(made, "shape", dims, (size_t)rank);
    made->results[0].type = mica_type_tensor(module->context, rank, dims, x->type->element, NULL);
    return made;
}

/* The four quarters of the pixels as channels. In the order of Space2Depth they are that op; in the
 * other, which goes down the columns first, one Permute moves them. */
static bool quarters_to_depth(mica_rewriter *rewriter, mica_op *op) {
    if (op->n_operands != 4 || mica_op_i64(op, "axis") != 1 || !mica_no_relu(op) || !is_static(&op->results[0])) {
        return false;
    }
    mica_value *x = NULL;
    int64_t order = 0; /* row * 2 + column of each quarter, a digit each */
    for (uint32_t i = 0; i < 4; ++i) {
        const mica_op *slice = mica_sole_producer(mica_op_operand(op, i), "top.Slice");
        int64_t row = 0;
        int64_t column = 0;
        if (slice == NULL || (i > 0 && mica_op_operand(slice, 0) != x) || !is_quarter(slice, &row, &column)) {
            return false;
        }
        x = mica_op_operand(slice, 0);
        order = order * 10 + row * 2 + column;
    }
    const mica_type in = x->type;
    const mica_type out = op->results[0].type;
    if (order == 123) {
        mica_op *made = mica_replace_region(rewriter, op, x, "top.Space2Depth", &x, 1);
        if (made != NULL) {
            mica_op_set_i64(made, "block", 2);
        }
        return made != NULL;
    }
    if (order != 213 || !mica_region_is_closed(op, x)) {
        return false;
    }
    static const int64_t columns_first[6] = {0, 5, 3, 1, 2, 4};
    const int64_t split[6] = {in->dims[0], in->dims[1], in->dims[2] / 2, 2, in->dims[3] / 2, 2};
    int64_t moved[6];
    for (int i = 0; i < 6; ++i) {
        moved[i] = split[columns_first[i]];
    }
    mica_module *module = mica_rewriter_module(rewriter);
    mica_value *pixels = &reshape_before(rewriter, op, x, "pixels", 6, split)->results[0];
    const char *name = mica_arena_printf(module->arena, "%s_depth", mica_value_name(&op->results[0]));
    mica_op *permute = mica_build_op(mica_rewriter_builder(rewriter, op), "top.Permute",
                                     mica_loc_name(module->context, name, NULL), &pixels, 1, 1);
    mica_op_set_i64s(permute, "order", columns_first, 6);
    permute->results[0].type = mica_type_tensor(module->context, 6, moved, in->element, NULL);
    mica_loc parts[5] = {op->loc};
    for (uint32_t i = 0; i < 4; ++i) {
        parts[i + 1] = mica_op_operand(op, i)->def->loc;
    }
    const mica_loc loc = mica_loc_fused(module->context, parts, 5);
    mica_value *depth = &permute->results[0];
    mica_op *made = mica_replace_with(rewriter, op, NULL, "top.Reshape", &depth, 1);
    mica_op_set_i64s(made, "shape", out->dims, 4);
    made->loc = loc;
    return true;
}

/* --- Expand ---------------------------------------------------------------------------------------- */

static int64_t dim_from_end(mica_type type, int i) { return i < type->rank ? type->dims[type->rank - 1 - i] : 1; }

/* An element-wise op broadcasts by itself what an Expand repeats for it. */
static bool expand_into_broadcast(mica_rewriter *rewriter, mica_op *op) {
    if (!mica_op_has_trait(op, MICA_ELEMENTWISE) || op->n_operands < 2 || mica_op_is(op, "top.PRelu") ||
        !is_static(&op->results[0])) {
        return false;
    }
    const mica_type out = op->results[0].type;
    for (uint32_t k = 0; k < op->n_operands; ++k) {
        mica_op *expand = mica_producer(mica_op_operand(op, k), "top.Expand");
        bool same = expand != NULL && is_static(mica_op_operand(expand, 0));
        for (int i = 0; same && i < out->rank; ++i) {
            int64_t dim = dim_from_end(mica_op_operand(expand, 0)->type, i);
            for (uint32_t j = 0; j < op->n_operands; ++j) {
                const mica_value *other = mica_op_operand(op, j);
                same = same && is_static(other);
                dim = same && j != k && dim == 1 ? dim_from_end(other->type, i) : dim;
            }
            same = same && dim == out->dims[out->rank - 1 - i];
        }
        if (same) {
            op->loc = op->n_results == 1 ? mica_merged_loc(op, expand) : op->loc;
            mica_op_set_operand(op, k, mica_op_operand(expand, 0));
            mica_rewriter_touch(rewriter, op);
            return true;
        }
    }
    return false;
}

/* --- Reshape --------------------------------------------------------------------------------------- */

/* Operands that an element-wise op has when its tensors keep the shape they had before a Reshape: NULL
 * type when there is none. */
static mica_type unshaped_operands(const mica_op *f, mica_value *operands[3]) {
    mica_type type = NULL;
    for (uint32_t i = 0; i < f->n_operands; ++i) {
        mica_value *value = mica_op_operand(f, i);
        const mica_op *reshape = mica_producer(value, "top.Reshape");
        operands[i] = value;
        if (mica_is_weight(value) && is_static(value) && mica_type_count(value->type) == 1) {
            continue;
        }
        if (reshape == NULL || value->type->rank != f->results[0].type->rank ||
            memcmp(value->type->dims, f->results[0].type->dims, (size_t)value->type->rank * sizeof(int64_t)) != 0 ||
            !is_static(mica_op_operand(reshape, 0))) {
            return NULL;
        }
        operands[i] = mica_op_operand(reshape, 0);
        const mica_type plain = mica_type_with_element(operands[i]->type, f->results[0].type->element);
        if (type != NULL && plain != type) {
            return NULL;
        }
        type = plain;
    }
    for (uint32_t i = 0; type != NULL && i < f->n_operands; ++i) {
        if (operands[i] == mica_op_operand(f, i) && operands[i]->type->rank > type->rank) {
            return NULL; /* a scalar of many axes */
        }
    }
    return type;
}

/* Reshape, element-wise, Reshape: the first is not needed. */
static bool reshape_past_elementwise(mica_rewriter *rewriter, mica_op *op) {
    mica_op *f = mica_op_operand(op, 0)->def;
    mica_value *operands[3] = {NULL};
    if (f == NULL || !mica_op_has_trait(f, MICA_ELEMENTWISE) || f->n_operands > 3 || f->n_results != 1 ||
        !mica_value_has_one_use(&f->results[0]) || !is_static(&f->results[0]) || !is_static(&op->results[0])) {
        return false;
    }
    const mica_type type = unshaped_operands(f, operands);
    if (type == NULL) {
        return false;
    }
    mica_module *module = mica_rewriter_module(rewriter);
    const bool last = type == op->results[0].type;
    const mica_loc loc = last ? mica_merged_loc(op, f)
                              : mica_loc_name(module->context,
                                              mica_arena_printf(module->arena, "%s_unshaped", mica_value_name(&f->results[0])), f->loc);
    mica_op *made = mica_build_op(mica_rewriter_builder(rewriter, op), f->name, loc, operands, f->n_operands, 1);
    for (uint32_t i = 0; i < f->n_attrs; ++i) {
        mica_op_set_attr(made, f->attrs[i].name, f->attrs[i].value);
    }
    made->results[0].type = type;
    mica_value *value = &made->results[0];
    if (last) {
        mica_rewriter_replace(rewriter, op, &value, 1);
        return true;
    }
    const mica_type out = op->results[0].type;
    mica_op *reshape = mica_replace_with(rewriter, op, NULL, "top.Reshape", &value, 1);
    mica_op_set_i64s(reshape, "shape", out->dims, (size_t)out->rank);
    return true;
}

/* --- Concat, Split -------------------------------------------------------------------------------- */

/* Slice of a Concat that needs elements of one operand only. */
static bool slice_into_concat(mica_rewriter *rewriter, mica_op *op) {
    mica_op *concat = mica_producer(mica_op_operand(op, 0), "top.Concat");
    if (concat == NULL || !mica_no_relu(concat) || !is_static(&op->results[0]) || !is_static(&concat->results[0]) ||
        mica_type_count(op->results[0].type) == 0) {
        return false;
    }
    size_t n = 0;
    const int64_t axis = (mica_op_i64(concat, "axis") + concat->results[0].type->rank) % concat->results[0].type->rank;
    const int64_t *steps = mica_op_i64s(op, "steps", &n);
    int64_t offset[MICA_MAX_RANK];
    int64_t ends[MICA_MAX_RANK];
    memcpy(offset, mica_op_i64s(op, "offset", &n), n * sizeof *offset);
    memcpy(ends, mica_op_i64s(op, "ends", &n), n * sizeof *ends);
    if (steps[axis] < 1 || offset[axis] < 0) {
        return false;
    }
    const int64_t last = offset[axis] + (op->results[0].type->dims[axis] - 1) * steps[axis];
    int64_t at = 0;
    for (uint32_t i = 0; i < concat->n_operands; ++i) {
        mica_value *part = mica_op_operand(concat, i);
        if (!is_static(part)) {
            return false;
        }
        if (offset[axis] >= at && last < at + part->type->dims[axis]) {
            offset[axis] -= at;
            ends[axis] = last - at + 1;
            mica_op_set_operand(op, 0, part);
            mica_op_set_i64s(op, "offset", offset, n);
            mica_op_set_i64s(op, "ends", ends, n);
            mica_rewriter_touch(rewriter, op);
            mica_rewriter_touch(rewriter, concat);
            return true;
        }
        at += part->type->dims[axis];
    }
    return false;
}

/* A Split that takes all, or of which one part is needed. */
static bool split_to_slice(mica_rewriter *rewriter, mica_op *op) {
    const mica_op *used = NULL;
    uint32_t which = 0;
    for (uint32_t i = 0; i < op->n_results; ++i) {
        if (op->results[i].first_use != NULL) {
            if (used != NULL || !is_static(&op->results[i])) {
                return false;
            }
            used = op;
            which = i;
        }
    }
    mica_value *x = mica_op_operand(op, 0);
    if (used == NULL || !is_static(x) || x->type->rank < 1) {
        return false;
    }
    size_t n = 0;
    const int64_t axis = (mica_op_i64(op, "axis") + x->type->rank) % x->type->rank;
    const int64_t *sizes = mica_op_i64s(op, "split_size", &n);
    int64_t offset[MICA_MAX_RANK] = {0};
    int64_t steps[MICA_MAX_RANK];
    int64_t ends[MICA_MAX_RANK];
    for (int i = 0; i < x->type->rank; ++i) {
        steps[i] = 1;
        ends[i] = x->type->dims[i];
    }
    for (uint32_t i = 0; i < which; ++i) {
        offset[axis] += sizes[i];
    }
    ends[axis] = offset[axis] + op->results[which].type->dims[axis];
    mica_module *module = mica_rewriter_module(rewriter);
    const mica_loc loc = mica_loc_name(module->context, mica_value_name(&op->results[which]), NULL);
    mica_op *made = mica_build_op(mica_rewriter_builder(rewriter, op), "top.Slice", loc, &x, 1, 1);
    mica_op_set_i64s(made, "offset", offset, (size_t)x->type->rank);
    mica_op_set_i64s(made, "steps", steps, (size_t)x->type->rank);
    mica_op_set_i64s(made, "ends", ends, (size_t)x->type->rank);
    made->results[0].type = op->results[which].type;
    mica_value_replace_uses(&op->results[which], &made->results[0]);
    mica_rewriter_touch(rewriter, made);
    mica_rewriter_erase(rewriter, op);
    return true;
}

const mica_pattern mica_patterns_blocks[] = {
    {"quarters-to-depth", "top.Concat", quarters_to_depth, "four strided Slices, joined: focus"},
    {"expand-into-broadcast", NULL, expand_into_broadcast, "Expand before an op that broadcasts"},
    {"reshape-past-elementwise", "top.Reshape", reshape_past_elementwise, "Reshape, element-wise, Reshape"},
    {"slice-into-concat", "top.Slice", slice_into_concat, "Slice of a part of one operand"},
    {"split-to-slice", "top.Split", split_to_slice, "Split of which one part is needed"},
};
const size_t mica_patterns_blocks_count = sizeof mica_patterns_blocks / sizeof mica_patterns_blocks[0];
