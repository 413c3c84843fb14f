/* Rotary embedding from Slice, Neg, Concat and products. */
#include <string.h>

#include "passes/top/pattern_util.h"
#include "passes/top/patterns.h"

/* Which elements of the last axis of x a tensor holds: one half, or every other one. */
typedef struct half {
    mica_value *x;
    bool neighbours, second;
} half;

/* The part of a Split into two halves, or of a Slice. */
static bool read_half(const mica_value *value, half *out) {
    const mica_op *op = value->def;
    if (op == NULL || !mica_type_is_static(value->type) || value->type->rank < 1 || op->n_operands < 1) {
        return false;
    }
    const mica_type in = mica_op_operand(op, 0)->type;
    const int last = value->type->rank - 1;
    out->x = mica_op_operand(op, 0);
    out->neighbours = false;
    if (in->rank != value->type->rank || !mica_type_is_static(in) || in->dims[last] != 2 * value->type->dims[last]) {
        return false;
    }
    if (mica_op_is(op, "top.Split")) {
        const int64_t axis = mica_op_i64(op, "axis");
        out->second = value == &op->results[1];
        return op->n_results == 2 && (axis == last || axis == -1);
    }
    if (!mica_op_is(op, "top.Slice")) {
        return false;
    }
    size_t n = 0;
    const int64_t *offset = mica_op_i64s(op, "offset", &n);
    const int64_t *steps = mica_op_i64s(op, "steps", &n);
    for (int i = 0; i < last; ++i) {
        if (steps[i] != 1 || in->dims[i] != value->type->dims[i]) {
            return false;
        }
    }
    const int64_t size = value->type->dims[last];
    const int64_t begin = offset[last] < 0 ? offset[last] + 2 * size : offset[last];
    out->neighbours = size > 1 ? steps[last] == 2 : false;
    out->second = begin > 0;
    return out->neighbours ? begin <= 1 : steps[last] == 1 && (begin == 0 || begin == size);
}

static mica_value *negated(const mica_value *value) {
    const mica_op *neg = mica_sole_producer(value, "top.Neg");
    return neg != NULL ? mica_op_operand(neg, 0) : NULL;
}

/* The two tensors that `op` joins along its last axis: plainly, or, when it is a Reshape, element by element
 * after Reshapes that add an axis. */
static bool read_join(const mica_op *op, const mica_value *out[2], bool *out_neighbours) {
    const mica_op *reshape = mica_op_is(op, "top.Reshape") ? op : NULL;
    const mica_op *concat = reshape != NULL ? mica_sole_producer(mica_op_operand(op, 0), "top.Concat") : op;
    const mica_value *value = &op->results[0];
    if (concat == NULL || !mica_op_is(concat, "top.Concat") || concat->n_operands != 2 || !mica_no_relu(concat)) {
        return false;
    }
    const mica_type type = concat->results[0].type;
    const int64_t axis = mica_op_i64(concat, "axis");
    if ((axis != type->rank - 1 && axis != -1) || !mica_type_is_static(type) || !mica_type_is_static(value->type)) {
        return false;
    }
    *out_neighbours = reshape != NULL;
    for (uint32_t i = 0; i < 2; ++i) {
        out[i] = mica_op_operand(concat, i);
        if (reshape == NULL) {
            continue;
        }
        const mica_op *unsqueeze = mica_sole_producer(out[i], "top.Reshape");
        const mica_type flat = unsqueeze != NULL ? mica_op_operand(unsqueeze, 0)->type : NULL;
        if (flat == NULL || type->dims[type->rank - 1] != 2 || flat->rank != type->rank - 1 ||
            value->type->rank != flat->rank || memcmp(flat->dims, type->dims, (size_t)flat->rank * sizeof *flat->dims) != 0) {
            return false;
        }
        out[i] = mica_op_operand(unsqueeze, 0);
    }
    return true;
}

/* x when `value` is the pairs (-b, a) of its pairs (a, b). */
static mica_value *quarter_turn(const mica_value *value, bool *out_neighbours) {
    const mica_value *parts[2];
    half b;
    half a;
    if (value->def == NULL || !mica_value_has_one_use(value) || !read_join(value->def, parts, out_neighbours)) {
        return NULL;
    }
    const mica_value *minus = negated(parts[0]);
    const bool ok = minus != NULL && read_half(minus, &b) && read_half(parts[1], &a) && a.x == b.x &&
                    b.second && !a.second && a.neighbours == *out_neighbours && b.neighbours == a.neighbours &&
                    a.x->type == value->type;
    return ok ? a.x : NULL;
}

/* Angles of one shape that broadcast to x: as kernels take them. */
static bool angles_fit(const mica_value *x, const mica_value *cosine, const mica_value *sine, bool per_pair) {
    const mica_type t = cosine->type;
    if (t != sine->type || !mica_type_is_static(t) || t->rank < 1 || t->rank > x->type->rank) {
        return false;
    }
    for (int i = 1; i <= t->rank; ++i) {
        const int64_t of_x = x->type->dims[x->type->rank - i] / (i == 1 && per_pair ? 2 : 1);
        if (t->dims[t->rank - i] != of_x && (i == 1 || t->dims[t->rank - i] != 1)) {
            return false;
        }
    }
    return true;
}

static bool build_rope(mica_rewriter *rewriter, mica_op *op, const mica_op *with, mica_value *x, mica_value *cosine,
                       mica_value *sine, bool neighbours, bool per_pair) {
    if (x->type != op->results[0].type || !mica_type_is_float(mica_type_element(x->type), MICA_F32) ||
        !angles_fit(x, cosine, sine, per_pair) || !mica_no_relu(op)) {
        return false;
    }
    mica_value *operands[3] = {x, cosine, sine};
    mica_op *made = mica_replace_with(rewriter, op, with, "top.Rope", operands, 3);
    mica_op_set_bool(made, "interleaved", neighbours);
    return true;
}

static mica_op *plain_product(const mica_value *value) {
    mica_op *op = mica_sole_producer(value, "top.Mul");
    return op != NULL && mica_no_relu(op) ? op : NULL;
}

/* x * cos + turned(x) * sin */
static bool sum_to_rope(mica_rewriter *rewriter, mica_op *op) {
    mica_op *products[2] = {plain_product(mica_op_operand(op, 0)), plain_product(mica_op_operand(op, 1))};
    if (products[0] == NULL || products[1] == NULL) {
        return false;
    }
    for (uint32_t k = 0; k < 8; ++k) {
        const mica_op *turned = products[k & 1];
        const mica_op *plain = products[1 - (k & 1)];
        bool neighbours = false;
        mica_value *x = quarter_turn(mica_op_operand(turned, k >> 1 & 1), &neighbours);
        if (x != NULL && mica_op_operand(plain, k >> 2) == x &&
            build_rope(rewriter, op, turned, x, mica_op_operand(plain, 1 - (k >> 2)),
                       mica_op_operand(turned, 1 - (k >> 1 & 1)), neighbours, false)) {
            return true;
        }
    }
    return false;
}

/* Reads half * angle. */
static bool read_turned(const mica_value *value, half *out, mica_value **out_angle) {
    const mica_op *mul = plain_product(value);
    for (uint32_t i = 0; mul != NULL && i < 2; ++i) {
        if (read_half(mica_op_operand(mul, i), out)) {
            *out_angle = mica_op_operand(mul, 1 - i);
            return true;
        }
    }
    return false;
}

/* a * cos - b * sin joined with a * sin + b * cos, the angles given per pair. */
static bool join_to_rope(mica_rewriter *rewriter, mica_op *op) {
    const mica_value *parts[2];
    bool neighbours = false;
    half h[4];
    mica_value *angle[4];
    if (!read_join(op, parts, &neighbours)) {
        return false;
    }
    const mica_op *real = mica_sole_producer(parts[0], "top.Sub");
    const mica_op *imag = mica_sole_producer(parts[1], "top.Add");
    if (real == NULL || imag == NULL || !mica_no_relu(real) || !mica_no_relu(imag)) {
        return false;
    }
    for (uint32_t i = 0; i < 4; ++i) {
        if (!read_turned(mica_op_operand(i < 2 ? real : imag, i % 2), &h[i], &angle[i]) || h[i].x != h[0].x ||
            h[i].neighbours != neighbours) {
            return false;
        }
    }
    const int a = h[2].second ? 3 : 2; /* the product of the sum that holds a */
    const int b = 5 - a;
    if (h[0].second || !h[1].second || h[a].second || !h[b].second || angle[0] != angle[b] || angle[1] != angle[a]) {
        return false;
    }
    return build_rope(rewriter, op, real, h[0].x, angle[0], angle[1], neighbours, true);
}

const mica_pattern mica_patterns_rotary[] = {
    {"sum-to-rope", "top.Add", sum_to_rope, "x * cos + turned(x) * sin"},
    {"join-to-rope", "top.Concat", join_to_rope, "rotated halves, joined"},
    {"pairs-to-rope", "top.Reshape", join_to_rope, "rotated neighbours, joined"},
};
const size_t mica_patterns_rotary_count = sizeof mica_patterns_rotary / sizeof mica_patterns_rotary[0];
