/* LinearAttention and CausalConvWithState, the recurrent parts of state-space and delta-rule models,
 * written with plain ops. Source: ONNX operators of opset 27. */
#include "frontends/onnx/onnx_attention.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Steps that a sequence is unrolled to. */
static const int64_t MAX_STEPS = 8192;

/* --- CausalConvWithState --------------------------------------------------------------------- */
/* The last k - 1 columns of what the convolution saw. */
static mica_value *carried(mica_onnx_node *node, mica_value *x, int64_t kept) {
    const mrt_shape shape = mica_onnx_shape(x);
    const int64_t offset[] = {0, 0, shape.dims[2] - kept}, steps[] = {1, 1, 1};
    node->primary = 1;
    mica_value *state = mica_onnx_slice(node, NULL, x, offset, steps, shape.dims);
    node->primary = 0;
    return state;
}

static mica_value *depthwise(mica_onnx_node *node, const char *suffix, mica_value *x, mica_value *w,
                             int64_t channels, int64_t taps) {
    mica_value *operands[] = {x, w, mica_onnx_in(node, 2)};
    mica_op *op = mica_onnx_op(node, "top.Conv", suffix, operands, 3, 1);
    if (op == NULL) {
        return NULL;
    }
    mica_onnx_window window = {.spatial = 1, .kernel = {taps}, .strides = {1}, .dilations = {1}};
    mica_onnx_set_window(op, &window);
    mica_op_set_i64(op, "group", channels);
    return mica_onnx_done(node, op);
}

mica_status mica_onnx_convert_causal_conv(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *w = mica_onnx_in(node, 1), *past = mica_onnx_in(node, 3);
    const char *activation =
        mica_onnx_attr_choice(node, "activation", "none", "none|silu|swish");
    const mrt_shape shape = mica_onnx_shape(x), filter = mica_onnx_shape(w);
    MICA_TRY(mica_onnx_finish(node));
    if (shape.rank != 3 || filter.rank != 3 || filter.dims[1] != 1 ||
        filter.dims[0] != shape.dims[1] || filter.dims[2] < 1) {
        return mica_onnx_error(node, "expected an input [batch, channels, length] and a filter "
                                     "[channels, 1, taps], got %s and %s",
                               mica_type_text(x->type), mica_type_text(w->type));
    }
    const int64_t kept = filter.dims[2] - 1;
    const mrt_shape state = {3, {shape.dims[0], shape.dims[1], kept}};
    if (past == NULL) {
        const int64_t count = mrt_shape_count(&state);
        const mrt_dtype type = mica_onnx_type(x);
        void *zeros = mica_onnx_buffer(node, type, count);
        past = mica_onnx_weight_borrow(node, "past", type, &state, zeros);
    }
    const mrt_shape given = mica_onnx_shape(past);
    if (!node->failed && !mrt_shape_equal(&given, &state)) {
        return mica_onnx_error(node, "the state has type %s, expected [%" PRId64 ", %" PRId64
                                     ", %" PRId64 "]", mica_type_text(past->type), state.dims[0],
                               state.dims[1], kept);
    }
    mica_value *padded = kept > 0 ? mica_onnx_join(node, "padded", past, x, 2) : x;
    const bool plain = strcmp(activation, "none") == 0;
    mica_value *y = depthwise(node, plain ? NULL : "conv", padded, w, shape.dims[1],
                              filter.dims[2]);
    y = plain ? y : mica_onnx_unary(node, "top.SiLU", NULL, y);
    MICA_TRY(mica_onnx_finish(node));
    if (mica_onnx_has_out(node, 1)) {
        mica_onnx_bind(node, 1, carried(node, padded, kept));
    }
    return mica_onnx_alias(node, 0, y);
}

/* --- LinearAttention ------------------------------------------------------------------------- */
typedef struct recurrence {
    int64_t batch, steps, heads, groups, d_k, d_v; /* heads of queries; groups: of keys, values */
    bool gated, delta;
    mica_value *q, *k, *v;   /* [batch, heads or groups, steps, d] */
    mica_value *decay;       /* exp of it, [batch, groups, steps, 1 or d_k] */
    mica_value *beta;        /* [batch, groups or 1, steps, 1] */
    mica_value *state;       /* [batch, groups, d_k, d_v] */
} recurrence;

/* Step t of [batch, n, steps, d] as [batch, n, rows, columns]. */
static mica_value *at_step(mica_onnx_node *node, const char *name, mica_value *x, int64_t t,
                           bool column) {
    mica_arena *arena = node->importer->arena;
    const mrt_shape shape = mica_onnx_shape(x);
    const int64_t offset[] = {0, 0, t, 0}, steps[] = {1, 1, 1, 1};
    const int64_t ends[] = {shape.dims[0], shape.dims[1], t + 1, shape.dims[3]};
    const int64_t turned[] = {shape.dims[0], shape.dims[1], shape.dims[3], 1};
    const char *suffix = mica_arena_printf(arena, "%s%" PRId64, name, t);
    x = mica_onnx_slice(node, suffix, x, offset, steps, ends);
    return column ? mica_onnx_reshape(node, mica_arena_printf(arena, "%s_column", suffix), x, 4,
                                      turned)
                  : x;
}

static mica_value *product(mica_onnx_node *node, const char *suffix, mica_value *a, mica_value *b,
                           bool a_transposed) {
    mica_value *operands[] = {a, b, NULL};
    mica_op *op = mica_onnx_op(node, "top.MatMul", suffix, operands, 3, 1);
    if (op != NULL && a_transposed) {
        mica_op_set_bool(op, "left_transpose", true);
    }
    return mica_onnx_done(node, op);
}

/* Every group of the state once for each of its heads. */
static mica_value *for_heads(mica_onnx_node *node, const char *name, mica_value *state,
                             const recurrence *r) {
    if (r->heads == r->groups) {
        return state;
    }
    mica_arena *arena = node->importer->arena;
    int64_t *picks = mica_onnx_buffer(node, MRT_I64, r->heads);
    for (int64_t i = 0; i < r->heads && picks != NULL; i++) {
        picks[i] = i / (r->heads / r->groups);
    }
    mica_value *indices =
        mica_onnx_i64s(node, mica_arena_printf(arena, "%s_groups", name), r->heads, picks);
    return mica_onnx_gather(node, "top.Gather", mica_arena_printf(arena, "%s_heads", name), state,
                            indices, 1);
}

/* Moves the state by one step and gives the step's result [batch, heads, 1, d_v], not scaled. */
static mica_value *step(mica_onnx_node *node, recurrence *r, int64_t t) {
    mica_arena *arena = node->importer->arena;
#define NAME(what) mica_arena_printf(arena, what "%" PRId64, t)
    mica_value *k = at_step(node, "k", r->k, t, true), *v = at_step(node, "v", r->v, t, false);
    if (r->gated) {
        mica_value *decay = at_step(node, "decay", r->decay, t, true);
        r->state = mica_onnx_binary(node, "top.Mul", NAME("decayed"), r->state, decay);
    }
    if (r->delta) {
        mica_value *known = product(node, NAME("known"), k, r->state, true);
        v = mica_onnx_binary(node, "top.Sub", NAME("news"), v, known);
        v = mica_onnx_binary(node, "top.Mul", NAME("update"), v,
                             at_step(node, "beta", r->beta, t, false));
    }
    mica_value *outer = mica_onnx_binary(node, "top.Mul", NAME("outer"), k, v);
    r->state = mica_onnx_binary(node, "top.Add", NAME("state"), r->state, outer);
    return product(node, NAME("read"), at_step(node, "q", r->q, t, false),
                   for_heads(node, NAME("state"), r->state, r), false);
#undef NAME
}

static mica_status read_rule(mica_onnx_node *node, recurrence *r) {
    const char *rule = mica_onnx_attr_choice(node, "update_rule", "gated_delta",
                                             "linear|gated|delta|gated_delta");
    r->gated = strncmp(rule, "gated", 5) == 0;
    r->delta = strcmp(rule, "delta") == 0 || strcmp(rule, "gated_delta") == 0;
    mica_onnx_attr_i(node, "chunk_size", 64); /* how to compute, not what */
    if (!node->failed && (r->gated != (mica_onnx_in(node, 4) != NULL) ||
                          r->delta != (mica_onnx_in(node, 5) != NULL))) {
        return mica_onnx_error(node, "update_rule '%s' %s a decay and %s a beta", rule,
                               r->gated ? "needs" : "takes no", r->delta ? "needs" : "takes no");
    }
    return mica_onnx_finish(node);
}

static mica_status read_sizes(mica_onnx_node *node, recurrence *r) {
    r->heads = mica_onnx_attr_i(node, "q_num_heads", 0);
    r->groups = mica_onnx_attr_i(node, "kv_num_heads", 0);
    mrt_shape shapes[3];
    for (size_t i = 0; i < 3; i++) {
        shapes[i] = mica_onnx_shape(mica_onnx_in(node, i));
    }
    MICA_TRY(mica_onnx_finish(node));
    if (shapes[0].rank != 3 || shapes[1].rank != 3 || shapes[2].rank != 3) {
        return mica_onnx_error(node, "query, key and value have ranks %d, %d and %d, expected 3",
                               shapes[0].rank, shapes[1].rank, shapes[2].rank);
    }
    if (r->groups < 1 || r->heads < 1 || r->heads % r->groups != 0) {
        return mica_onnx_error(node, "%" PRId64 " query heads for %" PRId64 " key heads, expected a "
                                     "multiple", r->heads, r->groups);
    }
    r->batch = shapes[0].dims[0];
    r->steps = shapes[0].dims[1];
    r->d_k = shapes[0].dims[2] / r->heads;
    r->d_v = shapes[2].dims[2] / r->groups;
    if (r->steps < 1 || r->steps > MAX_STEPS) {
        return mica_onnx_error(node, "%" PRId64 " steps, expected 1 to %" PRId64, r->steps,
                               MAX_STEPS);
    }
    return MICA_OK;
}

static mica_status read_values(mica_onnx_node *node, recurrence *r) {
    r->q = mica_onnx_split_heads(node, "q", mica_onnx_in(node, 0), r->heads);
    r->k = mica_onnx_split_heads(node, "k", mica_onnx_in(node, 1), r->groups);
    r->v = mica_onnx_split_heads(node, "v", mica_onnx_in(node, 2), r->groups);
    r->state = mica_onnx_in(node, 3);
    if (r->gated) {
        mica_value *decay = mica_onnx_split_heads(node, "decay", mica_onnx_in(node, 4), r->groups);
        r->decay = mica_onnx_unary(node, "top.Exp", "decay_factor", decay);
    }
    if (r->delta) {
        const mrt_shape beta = mica_onnx_shape(mica_onnx_in(node, 5));
        const int64_t heads = beta.rank == 3 && beta.dims[2] == 1 ? 1 : r->groups;
        r->beta = mica_onnx_split_heads(node, "beta", mica_onnx_in(node, 5), heads);
    }
    MICA_TRY(mica_onnx_finish(node));
    const mrt_shape state = {4, {r->batch, r->groups, r->d_k, r->d_v}};
    if (r->state == NULL) {
        const mrt_dtype type = mica_onnx_type(r->q);
        void *zeros = mica_onnx_buffer(node, type, mrt_shape_count(&state));
        r->state = mica_onnx_weight_borrow(node, "past", type, &state, zeros);
    }
    const mrt_shape given = mica_onnx_shape(r->state);
    if (!node->failed && !mrt_shape_equal(&given, &state)) {
        return mica_onnx_error(node, "the state has type %s, expected [%" PRId64 ", %" PRId64
                                     ", %" PRId64 ", %" PRId64 "]", mica_type_text(r->state->type),
                               r->batch, r->groups, r->d_k, r->d_v);
    }
    return mica_onnx_finish(node);
}

/* Results of all steps [batch, heads, steps, d_v] as [batch, steps, heads * d_v]. */
static mica_value *packed(mica_onnx_node *node, mica_value **parts, const recurrence *r) {
    static const int64_t order[] = {0, 2, 1, 3};
    const int64_t dims[] = {r->batch, r->steps, r->heads * r->d_v};
    mica_value *y = parts[0];
    if (r->steps > 1) {
        mica_op *op = mica_onnx_op(node, "top.Concat", "reads", parts, (size_t)r->steps, 1);
        if (op == NULL) {
            return NULL;
        }
        mica_op_set_i64(op, "axis", 2);
        y = mica_onnx_done(node, op);
    }
    y = mica_onnx_permute(node, "packed", y, order);
    return mica_onnx_reshape(node, "flat", y, 3, dims);
}

mica_status mica_onnx_convert_linear_attention(mica_onnx_node *node) {
    recurrence r = {0};
    double scale = mica_onnx_attr_f(node, "scale", 0.0);
    MICA_TRY(read_rule(node, &r));
    MICA_TRY(read_sizes(node, &r));
    MICA_TRY(read_values(node, &r));
    scale = scale != 0.0 ? scale : 1.0 / sqrt((double)r.d_k);
    mica_value **parts = mica_arena_array(node->importer->arena, (size_t)r.steps, sizeof *parts);
    for (int64_t t = 0; t < r.steps && !node->failed; t++) {
        parts[t] = step(node, &r, t);
    }
    MICA_TRY(mica_onnx_finish(node));
    mica_value *y = packed(node, parts, &r);
    mica_value *factor = mica_onnx_scalar_like(node, "scale", y, scale);
    mica_onnx_bind(node, 1, r.state);
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, "top.Mul", NULL, y, factor));
}
