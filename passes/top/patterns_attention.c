/* Attention in its canonical form: one projection MatMul each for queries, keys and values with the score
 * scale in the constants of the queries, heads split by Reshape and Permute, MatMul, masks added, Softmax,
 * MatMul. It stays several ops, since every product is calibrated and quantized by itself. */
#include <math.h>
#include <string.h>

#include "passes/top/attention.h"
#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"
#include "passes/top/projection.h"

/* The tensor of `op` is about to hold other numbers than the model's: it gets a name of its own. */
static void rename(mica_op *op, const char *suffix) {
    mica_module *module = mica_op_module(op);
    const char *name = mica_arena_printf(module->arena, "%s_%s", mica_loc_get_name(op->loc), suffix);
    op->loc = mica_named_loc(module, name, op);
}

/* --- scale of the scores ------------------------------------------------------------------------ */

static bool is_f32_const(const mica_value *value) {
    int64_t count = 0;
    return value != NULL && mica_const_f32(value, &count) != NULL;
}

/* Linear in operand 0, element by element or pair by pair: a factor may pass. */
static bool passes_factor(const mica_op *op) {
    return mica_op_is(op, "top.Reshape") || mica_op_is(op, "top.Permute") || mica_op_is(op, "top.Rope");
}

/* The MatMul by a constant behind `value`, with nothing but ops that pass a factor between and no other
 * user of anything on the way; its sums are clamped nowhere. */
static mica_op *projection_behind(const mica_value *value) {
    for (int depth = 0; depth < 8; ++depth) {
        mica_op *op = value->def;
        if (op == NULL || !mica_value_has_one_use(value) || mica_is_output(op)) {
            return NULL;
        }
        if (mica_op_is(op, "top.MatMul")) {
            mica_value *bias = mica_op_present(op, 2);
            return is_f32_const(mica_op_operand(op, 1)) && mica_no_relu(op) &&
                           (bias == NULL || is_f32_const(bias))
                       ? op
                       : NULL;
        }
        if (!passes_factor(op)) {
            return NULL;
        }
        value = mica_op_operand(op, 0);
    }
    return NULL;
}

static mica_value *scaled_const(mica_rewriter *rewriter, mica_op *op, const char *suffix,
                                const mica_value *constant, double factor) {
    int64_t count = 0;
    const float *data = mica_const_f32(constant, &count);
    float *scaled = mica_alloc((size_t)count * sizeof *scaled + 1);
    for (int64_t i = 0; i < count; ++i) {
        scaled[i] = (float)(data[i] * factor);
    }
    mica_value *made = mica_new_const(rewriter, op, suffix, constant->type->rank, constant->type->dims, scaled);
    mica_free(scaled);
    return made;
}

/* Multiplies the projection behind `value` and renames all tensors from it to `value`. */
static void scale_projection(mica_rewriter *rewriter, mica_value *value, mica_op *projection, double factor) {
    mica_op *op = value->def;
    for (; op != projection; op = mica_op_operand(op, 0)->def) {
        rename(op, "scaled");
    }
    rename(projection, "scaled");
    mica_value *bias = mica_op_present(projection, 2);
    mica_op_set_operand(projection, 1,
                        scaled_const(rewriter, projection, "filter", mica_op_operand(projection, 1), factor));
    if (bias != NULL) {
        mica_op_set_operand(projection, 2, scaled_const(rewriter, projection, "bias", bias, factor));
    }
    mica_rewriter_touch(rewriter, projection);
}

/* Scalar factor of a product of two tensors, or of heads that were split: into the constants of the
 * projection behind it. */
static bool scale_into_projection(mica_rewriter *rewriter, mica_op *op) {
    mica_value *x = NULL;
    mica_value *c = NULL;
    double factor = 0.0;
    if (!mica_no_relu(op) || !mica_split_const(op, &x, &c) || !mica_weight_scalar(c, &factor) ||
        !isnormal(factor) || x->type != op->results[0].type || x->def == NULL || mica_is_output(op)) {
        return false;
    }
    if (passes_factor(x->def)) {
        mica_op *projection = projection_behind(x);
        if (projection == NULL) {
            return false;
        }
        scale_projection(rewriter, x, projection, factor);
        x->def->loc = mica_merged_loc(op, x->def);
        mica_rewriter_replace(rewriter, op, &x, 1);
        return true;
    }
    mica_op *scores = mica_sole_producer(x, "top.MatMul");
    if (scores == NULL || !mica_no_relu(scores) || mica_op_present(scores, 2) != NULL ||
        mica_op_operand(scores, 0) == mica_op_operand(scores, 1)) {
        return false;
    }
    for (uint32_t side = 0; side < 2; ++side) {
        mica_value *operand = mica_op_operand(scores, side);
        mica_op *projection = mica_is_weight(operand) ? NULL : projection_behind(operand);
        if (projection != NULL) {
            scale_projection(rewriter, operand, projection, factor);
            scores->loc = mica_merged_loc(op, scores);
            mica_rewriter_replace(rewriter, op, &x, 1);
            return true;
        }
    }
    return false;
}

/* --- transposed keys ---------------------------------------------------------------------------- */

/* A Permute that makes the innermost axis the second to last splits heads and transposes: the MatMul
 * transposes without moving anything. */
static bool transposed_heads(mica_rewriter *rewriter, mica_op *op) {
    static const char *const flags[2] = {"left_transpose", "right_transpose"};
    for (uint32_t side = 0; side < 2; ++side) {
        mica_op *permute = mica_sole_producer(mica_op_operand(op, side), "top.Permute");
        size_t n = 0;
        const int64_t *order = permute != NULL ? mica_op_i64s(permute, "order", &n) : NULL;
        if (n < 3 || order[n - 2] != (int64_t)n - 1 || !mica_type_is_static(permute->results[0].type)) {
            continue;
        }
        int64_t rows[MICA_MAX_RANK];
        memcpy(rows, order, n * sizeof *rows);
        rows[n - 2] = order[n - 1];
        rows[n - 1] = order[n - 2];
        mica_builder *builder = mica_rewriter_builder(rewriter, op);
        mica_value *x = mica_op_operand(permute, 0);
        mica_op *made = mica_build_op(builder, "top.Permute", permute->loc, &x, 1, 1);
        mica_op_set_i64s(made, "order", rows, n);
        rename(made, "rows");
        if (mica_op_infer(made) != MICA_OK) {
            return false;
        }
        mica_op_set_bool(op, flags[side], !mica_op_bool(op, flags[side]));
        mica_op_set_operand(op, side, &made->results[0]);
        mica_rewriter_erase(rewriter, permute);
        mica_rewriter_touch(rewriter, op);
        return true;
    }
    return false;
}

/* --- packed projections ------------------------------------------------------------------------- */

/* Split, or the last of several Slices or Gathers: each part is a product of its own columns. */
static bool packed_projection(mica_rewriter *rewriter, mica_op *op) {
    if (!mica_op_is(op, "top.Split") && !mica_op_is(op, "top.Slice") && !mica_op_is(op, "top.Gather")) {
        return false;
    }
    mica_packed packed;
    if (!mica_packed_read(op, &packed)) {
        return false;
    }
    return mica_packed_unpack(rewriter, &packed);
}

/* --- constants added to scores -------------------------------------------------------------------- */

/* A constant op that cannot be evaluated stays as it is. */
static void fold_now(mica_rewriter *rewriter, mica_op *op) {
    (void)!mica_top_fold(mica_rewriter_module(rewriter), op);
}

/* Reshape(Reshape(x) + c) where x has the result's shape: c is reshaped instead. */
static bool add_between_reshapes(mica_rewriter *rewriter, mica_op *op) {
    enum { LIMIT = 16 }; /* the constant may grow by broadcasting, up to that many times */
    mica_op *add = mica_sole_producer(mica_op_operand(op, 0), "top.Add");
    mica_value *inner = NULL;
    mica_value *c = NULL;
    int64_t count = 0;
    if (add == NULL || !mica_no_relu(add) || !mica_split_const(add, &inner, &c) ||
        mica_const_f32(c, &count) == NULL || inner->type != add->results[0].type) {
        return false;
    }
    mica_op *first = mica_sole_producer(inner, "top.Reshape");
    const mica_type type = op->results[0].type;
    if (first == NULL || mica_op_operand(first, 0)->type != type || !mica_type_is_static(type) ||
        mica_type_count(type) > LIMIT * count) {
        return false;
    }
    /* Not the rewriter's builder: the ops are folded at once. */
    mica_builder builder = mica_builder_before(mica_rewriter_module(rewriter), op);
    mica_op *expand = mica_build_op(&builder, "top.Expand", c->def->loc, &c, 1, 1);
    rename(expand, "expanded");
    mica_op_set_i64s(expand, "shape", inner->type->dims, (size_t)inner->type->rank);
    mica_value *wide = &expand->results[0];
    mica_op *flat = mica_build_op(&builder, "top.Reshape", c->def->loc, &wide, 1, 1);
    rename(flat, "reshaped");
    mica_op_set_i64s(flat, "shape", type->dims, (size_t)type->rank);
    if (mica_op_infer(expand) != MICA_OK || mica_op_infer(flat) != MICA_OK) {
        mica_op_erase(flat);
        mica_op_erase(expand);
        return false;
    }
    mica_value *operands[2] = {mica_op_operand(first, 0), &flat->results[0]};
    mica_replace_with(rewriter, op, add, "top.Add", operands, 2);
    fold_now(rewriter, expand);
    fold_now(rewriter, flat);
    return true;
}

/* (x + a) + b = x + (a + b) for constants a, b that are not both scalars, where the sum is no larger than
 * twice the larger of the two. */
static bool merge_added_constants(mica_rewriter *rewriter, mica_op *op) {
    mica_value *mid = NULL;
    mica_value *x = NULL;
    mica_value *a = NULL;
    mica_value *b = NULL;
    int64_t n_a = 0;
    int64_t n_b = 0;
    if (!mica_split_const(op, &mid, &b)) {
        return false;
    }
    mica_op *first = mica_sole_producer(mid, "top.Add");
    if (first == NULL || !mica_no_relu(first) || !mica_split_const(first, &x, &a) ||
        mica_const_f32(a, &n_a) == NULL || mica_const_f32(b, &n_b) == NULL ||
        x->type != op->results[0].type || (n_a == 1 && n_b == 1)) {
        return false;
    }
    mica_builder builder = mica_builder_before(mica_rewriter_module(rewriter), op);
    mica_value *constants[2] = {a, b};
    mica_op *sum = mica_build_op(&builder, "top.Add", b->def->loc, constants, 2, 1);
    rename(sum, "sum");
    if (mica_op_infer(sum) != MICA_OK || mica_type_count(sum->results[0].type) > 2 * (n_a > n_b ? n_a : n_b)) {
        mica_op_erase(sum);
        return false;
    }
    mica_value *operands[2] = {x, &sum->results[0]};
    mica_replace_with(rewriter, op, first, "top.Add", operands, 2);
    fold_now(rewriter, sum);
    return true;
}

/* --- counting --------------------------------------------------------------------------------------- */

static const mica_op *product_of_tensors(const mica_value *value) {
    const mica_op *op = mica_producer(value, "top.MatMul");
    return op != NULL && !mica_is_weight(mica_op_operand(op, 0)) && !mica_is_weight(mica_op_operand(op, 1))
               ? op
               : NULL;
}

/* The score product behind the Softmax: scales, masks and the Reshape of masks may lie between. */
static const mica_op *scores_behind(const mica_value *value) {
    for (int depth = 0; depth < 8; ++depth) {
        const mica_op *op = value->def;
        const mica_op *product = product_of_tensors(value);
        if (op == NULL || product != NULL) {
            return product;
        }
        if (mica_op_is(op, "top.Where")) {
            value = mica_op_operand(op, mica_is_weight(mica_op_operand(op, 1)) ? 2 : 1);
        } else if (mica_op_is(op, "top.Add") || mica_op_is(op, "top.Mul")) {
            /* the mask is the operand that no product gives */
            const mica_op *left = mica_op_operand(op, 0)->def;
            const bool use_right = mica_is_weight(mica_op_operand(op, 0)) || left == NULL ||
                                   mica_op_operand(op, 0)->type != value->type;
            value = mica_op_operand(op, use_right);
        } else if (mica_op_is(op, "top.Reshape")) {
            value = mica_op_operand(op, 0);
        } else {
            return NULL;
        }
    }
    return NULL;
}

size_t mica_top_count_attention(mica_module *module) {
    mica_op *func = mica_module_func(module, "main");
    size_t count = 0;
    for (const mica_op *op = func != NULL ? mica_func_body(func)->first : NULL; op != NULL; op = op->next) {
        if (!mica_op_is(op, "top.Softmax") || scores_behind(mica_op_operand(op, 0)) == NULL) {
            continue;
        }
        for (const mica_use *use = op->results[0].first_use; use != NULL; use = use->next) {
            if (mica_op_is(use->user, "top.MatMul") && !mica_is_weight(mica_op_operand(use->user, 1)) &&
                mica_op_operand(use->user, 0) == &op->results[0]) {
                ++count;
                break;
            }
        }
    }
    return count;
}

const mica_pattern mica_patterns_attention[] = {
    {"scale-into-projection", "top.Mul", scale_into_projection, "score scale into the constants of queries"},
    {"transposed-heads", "top.MatMul", transposed_heads, "Permute that splits heads and transposes"},
    {"packed-projection", NULL, packed_projection, "queries, keys, values cut from one MatMul"},
    {"add-between-reshapes", "top.Reshape", add_between_reshapes, "masks of windows"},
    {"merge-added-constants", "top.Add", merge_added_constants, "position bias and mask"},
};
const size_t mica_patterns_attention_count =
    sizeof mica_patterns_attention / sizeof mica_patterns_attention[0];
