/* GroupNorm from Reshape, InstanceNorm and Reshape, and what is folded into its weight and bias. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* Constant operand `i` of a norm over `n` channels: `fallback` where absent; false when not constant. */
static bool read_vector(const mica_op *op, uint32_t i, int64_t n, float fallback, float *out, int64_t n_out) {
    const mica_value *value = mica_op_present(op, i);
    int64_t count = 0;
    const float *data = value != NULL ? mica_const_f32(value, &count) : NULL;
    if (value != NULL && (data == NULL || (count != n && count != 1))) {
        return false;
    }
    for (int64_t k = 0; k < n_out; ++k) {
        out[k] = value == NULL ? fallback : data[count == 1 ? 0 : k / (n_out / n)];
    }
    return true;
}

static bool build_norm(mica_rewriter *rewriter, mica_op *op, mica_op *with, mica_value *x,
                       const char *name, int64_t groups, double eps, const float *both) {
    const int64_t channels = x->type->dims[1];
    mica_value *operands[3] = {x, mica_new_const(rewriter, op, "weight", 1, &channels, both),
                               mica_new_const(rewriter, op, "bias", 1, &channels, both + channels)};
    mica_op *made = mica_replace_with(rewriter, op, with, name, operands, 3);
    mica_op_set_f64(made, "eps", eps);
    if (strcmp(name, "top.GroupNorm") == 0) {
        mica_op_set_i64(made, "num_groups", groups);
    }
    return true;
}

/* InstanceNorm, or the LayerNorm over the last of three axes that computes the same. */
static mica_op *group_norm_of(const mica_value *value) {
    mica_op *norm = mica_sole_producer(value, "top.InstanceNorm");
    mica_op *layer = mica_sole_producer(value, "top.LayerNorm");
    if (norm != NULL || layer == NULL || layer->n_results != 1 || mica_op_present(layer, 1) != NULL ||
        mica_op_present(layer, 2) != NULL || value->type->rank != 3) {
        return norm;
    }
    const int64_t axis = mica_op_i64(layer, "axis");
    return axis == 2 || axis == -1 ? layer : NULL;
}

/* [N, C, ...] -> [N, G, ...], InstanceNorm, back. */
static bool reshaped_instance_norm(mica_rewriter *rewriter, mica_op *op) {
    mica_op *norm = group_norm_of(mica_op_operand(op, 0));
    mica_op *first = norm != NULL ? mica_sole_producer(mica_op_operand(norm, 0), "top.Reshape") : NULL;
    mica_value *x = first != NULL ? mica_op_operand(first, 0) : NULL;
    if (x == NULL || x->type != op->results[0].type || !mica_type_is_static(x->type) ||
        !mica_type_is_static(first->results[0].type) || x->type->rank < 3) {
        return false;
    }
    const mica_type inner = first->results[0].type;
    const int64_t channels = x->type->dims[1];
    if (inner->rank < 3 || inner->dims[0] != x->type->dims[0] || inner->dims[1] < 1 ||
        channels < 1 || channels % inner->dims[1] != 0) {
        return false;
    }
    const int64_t groups = inner->dims[1];
    float *both = mica_arena_alloc(mica_rewriter_module(rewriter)->arena,
                                   (size_t)channels * 2 * sizeof *both);
    if (!read_vector(norm, 1, groups, 1.0f, both, channels) ||
        !read_vector(norm, 2, groups, 0.0f, both + channels, channels)) {
        return false;
    }
    return build_norm(rewriter, op, norm, x, "top.GroupNorm", groups, mica_op_f64(norm, "eps"), both);
}

/* Scale, or Add or Mul of one constant per channel, after GroupNorm or InstanceNorm. */
static bool affine_into_group_norm(mica_rewriter *rewriter, mica_op *op) {
    const bool is_scale = mica_op_is(op, "top.Scale");
    const bool is_add = mica_op_is(op, "top.Add");
    mica_value *x = is_scale ? mica_op_operand(op, 0) : NULL;
    mica_value *c = NULL;
    if ((!is_scale && !is_add && !mica_op_is(op, "top.Mul")) || !mica_no_relu(op) ||
        (!is_scale && !mica_split_const(op, &x, &c)) || x->type != op->results[0].type) {
        return false;
    }
    mica_op *norm = mica_sole_producer(x, "top.GroupNorm");
    norm = norm != NULL ? norm : mica_sole_producer(x, "top.InstanceNorm");
    if (norm == NULL || !mica_type_is_static(x->type)) {
        return false;
    }
    const int64_t n = x->type->dims[1];
    mica_arena *arena = mica_rewriter_module(rewriter)->arena;
    float *both = mica_arena_alloc(arena, (size_t)n * 2 * sizeof *both + 1);
    float *affine = mica_arena_alloc(arena, (size_t)n * 2 * sizeof *affine + 1);
    if (is_scale) {
        if (!read_vector(op, 1, n, 1.0f, affine, n) || !read_vector(op, 2, n, 0.0f, affine + n, n)) {
            return false;
        }
    } else {
        const float *values = mica_per_channel(mica_rewriter_module(rewriter), c, x);
        for (int64_t i = 0; values != NULL && i < n; ++i) {
            affine[i] = is_add ? 1.0f : values[i];
            affine[n + i] = is_add ? values[i] : 0.0f;
        }
        if (values == NULL) {
            return false;
        }
    }
    if (!read_vector(norm, 1, n, 1.0f, both, n) || !read_vector(norm, 2, n, 0.0f, both + n, n)) {
        return false;
    }
    for (int64_t i = 0; i < n; ++i) {
        both[i] = (float)((double)both[i] * affine[i]);
        both[n + i] = (float)((double)both[n + i] * affine[i] + affine[n + i]);
    }
    const bool is_group = mica_op_is(norm, "top.GroupNorm");
    return build_norm(rewriter, op, norm, mica_op_operand(norm, 0), norm->name,
                      is_group ? mica_op_i64(norm, "num_groups") : n, mica_op_f64(norm, "eps"), both);
}

const mica_pattern mica_patterns_group[] = {
    {"reshaped-instance-norm", "top.Reshape", reshaped_instance_norm, "GroupNorm by InstanceNorm"},
    {"affine-into-group-norm", NULL, affine_into_group_norm, "weight and bias after GroupNorm, InstanceNorm"},
};
const size_t mica_patterns_group_count = sizeof mica_patterns_group / sizeof mica_patterns_group[0];
