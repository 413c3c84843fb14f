/* Attention and RotaryEmbedding written with matrix products. */
#include "frontends/onnx/onnx_attention.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* [B, S, n * D] -> [B, n, S, D] */
mica_value *mica_onnx_split_heads(mica_onnx_node *node, const char *name, mica_value *x,
                                  int64_t n) {
    static const int64_t order[] = {0, 2, 1, 3};
    const mrt_shape shape = mica_onnx_shape(x);
    if (node->failed || n < 1 || shape.dims[2] % n != 0) {
        if (node->failed) {
            return NULL;
        }
        mica_onnx_error(node, "%" PRId64 " heads for %" PRId64 " numbers of %s", n, shape.dims[2],
                        name);
        return NULL;
    }
    const int64_t dims[] = {shape.dims[0], shape.dims[1], n, shape.dims[2] / n};
    mica_arena *arena = node->importer->arena;
    x = mica_onnx_reshape(node, mica_arena_printf(arena, "%s_heads", name), x, 4, dims);
    return mica_onnx_permute(node, mica_arena_printf(arena, "%s_tpose", name), x, order);
}

static mica_status read_operands(mica_onnx_node *node, mica_onnx_attention *a) {
    const int64_t heads = mica_onnx_attr_i(node, "q_num_heads", 0);
    const int64_t groups = mica_onnx_attr_i(node, "kv_num_heads", 0);
    a->q = mica_onnx_in(node, 0);
    a->k = mica_onnx_in(node, 1);
    a->v = mica_onnx_in(node, 2);
    MICA_TRY(mica_onnx_finish(node));
    const int rank = mica_onnx_shape(a->q).rank;
    if ((rank != 3 && rank != 4) || mica_onnx_shape(a->k).rank != rank ||
        mica_onnx_shape(a->v).rank != rank) {
        return mica_onnx_error(node, "Q has rank %d, expected Q, K and V of rank 3 or 4", rank);
    }
    a->flat = rank == 3;
    if (a->flat) {
        a->q = mica_onnx_split_heads(node, "q", a->q, heads);
        a->k = mica_onnx_split_heads(node, "k", a->k, groups);
        a->v = mica_onnx_split_heads(node, "v", a->v, groups);
    }
    return mica_onnx_finish(node);
}

mica_value *mica_onnx_join(mica_onnx_node *node, const char *suffix, mica_value *x, mica_value *y,
                        int axis) {
    mica_value *parts[] = {x, y};
    mica_op *op = mica_onnx_op(node, "top.Concat", suffix, parts, 2, 1);
    if (op == NULL) {
        return NULL;
    }
    mica_op_set_i64(op, "axis", axis);
    return mica_onnx_done(node, op);
}

/* Past keys and values go in front; the joined ones are results. */
static mica_status add_past(mica_onnx_node *node, mica_onnx_attention *a) {
    mica_value *past_k = mica_onnx_in(node, 4), *past_v = mica_onnx_in(node, 5);
    if ((past_k == NULL) != (past_v == NULL)) {
        return mica_onnx_error(node, "past_key and past_value are given together or not at all");
    }
    if (past_k != NULL) {
        a->past = mica_onnx_shape(past_k).dims[2];
        node->primary = 1;
        a->k = mica_onnx_join(node, mica_onnx_has_out(node, 1) ? NULL : "keys", past_k, a->k, 2);
        node->primary = 2;
        a->v = mica_onnx_join(node, mica_onnx_has_out(node, 2) ? NULL : "values", past_v, a->v, 2);
        node->primary = 0;
    }
    mica_onnx_bind(node, 1, a->k);
    mica_onnx_bind(node, 2, a->v);
    return mica_onnx_finish(node);
}

/* One key head for several query heads: [B,G,T,D] -> [B,H,T,D]. */
mica_value *mica_onnx_repeat_heads(mica_onnx_node *node, const char *name, mica_value *x,
                                const mica_onnx_attention *a) {
    const mrt_shape s = mica_onnx_shape(x);
    if (node->failed || a->heads == a->groups) {
        return x;
    }
    const int64_t times = a->heads / a->groups;
    const int64_t one[] = {s.dims[0], s.dims[1], 1, s.dims[2], s.dims[3]};
    const int64_t many[] = {s.dims[0], s.dims[1], times, s.dims[2], s.dims[3]};
    const int64_t flat[] = {s.dims[0], a->heads, s.dims[2], s.dims[3]};
    mica_arena *arena = node->importer->arena;
    x = mica_onnx_reshape(node, mica_arena_printf(arena, "%s_group", name), x, 5, one);
    x = mica_onnx_expand(node, mica_arena_printf(arena, "%s_repeat", name), x, 5, many);
    return mica_onnx_reshape(node, mica_arena_printf(arena, "%s_all", name), x, 4, flat);
}

static mica_status measure(mica_onnx_node *node, mica_onnx_attention *a) {
    const mrt_shape q = mica_onnx_shape(a->q), k = mica_onnx_shape(a->k);
    MICA_TRY(mica_onnx_finish(node));
    a->batch = q.dims[0];
    a->heads = q.dims[1];
    a->queries = q.dims[2];
    a->head_size = q.dims[3];
    a->groups = k.dims[1];
    a->keys = k.dims[2];
    if (a->groups < 1 || a->heads % a->groups != 0 || a->head_size < 1) {
        return mica_onnx_error(node, "%" PRId64 " query heads for %" PRId64 " key heads", a->heads,
                               a->groups);
    }
    a->lengths = mica_onnx_in(node, 6);
    if (a->lengths != NULL) {
        const int64_t dims[] = {a->batch, 1, 1, 1};
        a->lengths = mica_onnx_reshape(node, "lengths", a->lengths, 4, dims);
    }
    return mica_onnx_finish(node);
}

/* --- which key a query may see --------------------------------------------------------------- */
static bool visible(const mica_onnx_attention *a, int64_t i, int64_t j) {
    const int64_t at = i + a->past;
    return (!a->causal || j <= at) && (a->left < 0 || j >= at - a->left) &&
           (a->right < 0 || j <= at + a->right);
}

static bool bounded(const mica_onnx_attention *a) {
    return a->causal || a->left >= 0 || a->right >= 0;
}

/* [S, T] when the position of the queries is known. */
mica_value *mica_onnx_fixed_visibility(mica_onnx_node *node, mica_onnx_attention *a) {
    const int64_t dims[] = {a->queries, a->keys};
    uint8_t *data = mica_onnx_buffer(node, MRT_BOOL, a->queries * a->keys);
    for (int64_t i = 0; i < a->queries && data != NULL; i++) {
        bool any = false;
        for (int64_t j = 0; j < a->keys; j++) {
            data[i * a->keys + j] = visible(a, i, j);
            any = any || visible(a, i, j);
        }
        a->may_be_empty = a->may_be_empty || !any;
    }
    return mica_onnx_weight(node, "visible", MRT_BOOL, 2, dims, data);
}

mica_value *mica_onnx_count_up(mica_onnx_node *node, const char *name, int64_t n, int axis) {
    const int64_t dims[] = {axis == 0 ? n : 1, axis == 0 ? 1 : n};
    int64_t *data = mica_onnx_buffer(node, MRT_I64, n);
    for (int64_t i = 0; i < n && data != NULL; i++) {
        data[i] = i;
    }
    return mica_onnx_weight(node, name, MRT_I64, 2, dims, data);
}

static mica_value *both(mica_onnx_node *node, const char *suffix, mica_value *a, mica_value *b) {
    return a == NULL ? b : b == NULL ? a : mica_onnx_binary(node, "top.And", suffix, a, b);
}

/* The last valid key of a batch element belongs to the last query. */
static mica_value *moving_visibility(mica_onnx_node *node, mica_onnx_attention *a) {
    mica_value *j = mica_onnx_count_up(node, "key", a->keys, 1);
    mica_value *ok = mica_onnx_binary(node, "top.Less", "valid", j, a->lengths);
    a->may_be_empty = true;
    if (!bounded(a)) {
        return ok;
    }
    mica_value *i = mica_onnx_count_up(node, "query", a->queries, 0);
    mica_value *n = mica_onnx_scalar(node, "queries", MRT_I64, (double)a->queries);
    mica_value *offset = mica_onnx_binary(node, "top.Sub", "offset", a->lengths, n);
    mica_value *at = mica_onnx_binary(node, "top.Add", "at", i, offset);
    if (a->causal) {
        ok = both(node, "not_later", ok, mica_onnx_binary(node, "top.LessOrEqual", "past", j, at));
    }
    if (a->left >= 0) {
        mica_value *by = mica_onnx_scalar(node, "left", MRT_I64, (double)a->left);
        mica_value *first = mica_onnx_binary(node, "top.Sub", "first", at, by);
        mica_value *in = mica_onnx_binary(node, "top.GreaterOrEqual", "from", j, first);
        ok = both(node, "not_before", ok, in);
    }
    if (a->right >= 0) {
        mica_value *by = mica_onnx_scalar(node, "right", MRT_I64, (double)a->right);
        mica_value *last = mica_onnx_binary(node, "top.Add", "last", at, by);
        mica_value *in = mica_onnx_binary(node, "top.LessOrEqual", "until", j, last);
        ok = both(node, "not_after", ok, in);
    }
    return ok;
}

/* A mask that ends before the last key hides the rest. */
static mica_value *full_mask(mica_onnx_node *node, mica_value *mask, const mica_onnx_attention *a) {
    mrt_shape shape = mica_onnx_shape(mask);
    if (node->failed || mask == NULL || shape.rank == 0 ||
        shape.dims[shape.rank - 1] >= a->keys || shape.dims[shape.rank - 1] == 1) {
        return mask;
    }
    const mrt_dtype type = mica_onnx_type(mask);
    shape.dims[shape.rank - 1] = a->keys - shape.dims[shape.rank - 1];
    const int64_t n = mrt_shape_count(&shape);
    uint8_t *data = mica_onnx_buffer(node, type, n);
    for (int64_t i = 0; i < n && data != NULL && type == MRT_F32; i++) {
        ((float *)data)[i] = -INFINITY;
    }
    mica_value *rest = mica_onnx_weight(node, "mask_rest", type, shape.rank, shape.dims, data);
    return mica_onnx_join(node, "mask", mask, rest, shape.rank - 1);
}

/* Scores of hidden keys become minus infinity; a float mask is added. */
static mica_value *masked(mica_onnx_node *node, mica_value *scores, mica_onnx_attention *a) {
    mica_value *mask = full_mask(node, mica_onnx_in(node, 3), a);
    mica_value *ok = NULL;
    if (a->lengths != NULL) {
        ok = moving_visibility(node, a);
    } else if (bounded(a)) {
        ok = mica_onnx_fixed_visibility(node, a);
    }
    if (mask != NULL) {
        a->may_be_empty = true;
        if (mica_onnx_type(mask) == MRT_BOOL) {
            ok = both(node, "allowed", ok, mask);
        } else {
            scores = mica_onnx_binary(node, "top.Add", "biased", scores, mask);
        }
    }
    if (ok == NULL) {
        return scores;
    }
    mica_value *hidden = mica_onnx_scalar(node, "hidden", MRT_F32, -INFINITY);
    return mica_onnx_where(node, "masked", ok, scores, hidden);
}

/* --- the whole ------------------------------------------------------------------------------- */
mica_value *mica_onnx_scaled(mica_onnx_node *node, const char *name, mica_value *x, const char *op,
                          double factor) {
    mica_arena *arena = node->importer->arena;
    const char *scalar = mica_arena_printf(arena, "%s_by", name);
    mica_value *by = mica_onnx_scalar(node, scalar, MRT_F32, factor);
    return mica_onnx_binary(node, op, name, x, by);
}

/* Probabilities; a query that sees no key gets zeros. */
mica_value *mica_onnx_probabilities(mica_onnx_node *node, mica_value *scores,
                                    const mica_onnx_attention *a) {
    mica_op *op = mica_onnx_op(node, "top.Softmax", "softmax", &scores, 1, 1);
    if (op == NULL) {
        return NULL;
    }
    mica_op_set_i64(op, "axis", 3);
    mica_value *p = mica_onnx_done(node, op);
    if (!a->may_be_empty) {
        return p;
    }
    mica_value *best = mica_onnx_reduce(node, "best", scores, "ReduceMax", 1u << 3, true);
    mica_value *none = mica_onnx_scalar(node, "nothing", MRT_F32, -INFINITY);
    mica_value *zero = mica_onnx_scalar(node, "zero", MRT_F32, 0.0);
    mica_value *empty = mica_onnx_binary(node, "top.Equal", "empty", best, none);
    return mica_onnx_where(node, "shares", empty, zero, p);
}

mica_status mica_onnx_finish_attention(mica_onnx_node *node, mica_value *p,
                                       const mica_onnx_attention *a) {
    static const int64_t order[] = {0, 2, 1, 3};
    mica_value *operands[] = {p, mica_onnx_repeat_heads(node, "v", a->v, a), NULL};
    mica_op *op = mica_onnx_op(node, "top.MatMul", a->flat ? "context" : NULL, operands, 3, 1);
    mica_value *y = mica_onnx_done(node, op);
    if (a->flat) {
        const int64_t dims[] = {a->batch, a->queries, a->heads * mica_onnx_shape(y).dims[3]};
        y = mica_onnx_permute(node, "context_tpose", y, order);
        y = mica_onnx_reshape(node, NULL, y, 3, dims);
    }
    return mica_onnx_alias(node, 0, y);
}

mica_status mica_onnx_convert_attention(mica_onnx_node *node) {
    mica_onnx_attention a = {.causal = mica_onnx_attr_bool(node, "is_causal", false),
                   .left = mica_onnx_attr_i(node, "left_window_size", -1),
                   .right = mica_onnx_attr_i(node, "right_window_size", -1)};
    const double given = mica_onnx_attr_f(node, "scale", 0.0);
    const double cap = mica_onnx_attr_f(node, "softcap", 0.0);
    const int64_t mode = mica_onnx_attr_i(node, "qk_matmul_output_mode", 0);
    mica_onnx_attr_i(node, "softmax_precision", 1);
    if (mode < 0 || mode > 3) {
        return mica_onnx_error(node, "attribute 'qk_matmul_output_mode' has value %" PRId64
                                     ", expected 0..3", mode);
    }
    MICA_TRY(read_operands(node, &a));
    MICA_TRY(add_past(node, &a));
    MICA_TRY(measure(node, &a));
    mica_value *stage[4], *operands[] = {a.q, mica_onnx_repeat_heads(node, "k", a.k, &a), NULL};
    mica_op *op = mica_onnx_op(node, "top.MatMul", "product", operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_bool(op, "right_transpose", true);
    const double scale =
        mica_onnx_has_attr(node, "scale") ? given : 1.0 / sqrt((double)a.head_size);
    stage[0] = mica_onnx_scaled(node, "scores", mica_onnx_done(node, op), "top.Mul", scale);
    stage[1] = stage[0];
    if (cap != 0.0) {
        mica_value *x = mica_onnx_scaled(node, "cap_in", stage[0], "top.Div", cap);
        x = mica_onnx_unary(node, "top.Tanh", "cap_tanh", x);
        stage[1] = mica_onnx_scaled(node, "capped", x, "top.Mul", cap);
    }
    stage[2] = masked(node, stage[1], &a);
    stage[3] = mica_onnx_probabilities(node, stage[2], &a);
    mica_onnx_bind(node, 3, stage[mode]);
    return mica_onnx_finish_attention(node, stage[3], &a);
}

/* --- rotary embedding ------------------------------------------------------------------------ */
/* cos or sin per position as [B,1,S,R/2], or [B,S,1,R/2] for flat inputs. */
static mica_value *angles(mica_onnx_node *node, const char *name, size_t input, bool flat) {
    mica_value *cache = mica_onnx_in(node, input), *places = mica_onnx_in(node, 3);
    if (places != NULL) {
        cache = mica_onnx_gather(node, "top.Gather", name, cache, places, 0);
    }
    const mrt_shape s = mica_onnx_shape(cache);
    if (node->failed || s.rank != 3) {
        if (!node->failed) {
            mica_onnx_error(node, "input %zu gives rank %d, expected 3", input, s.rank);
        }
        return NULL;
    }
    const int64_t dims[] = {s.dims[0], flat ? s.dims[1] : 1, flat ? 1 : s.dims[1], s.dims[2]};
    return mica_onnx_reshape(node, mica_arena_printf(node->importer->arena, "%s_aligned", name),
                             cache, 4, dims);
}

/* Rotates pairs: halves of the vector, or neighbours. */
mica_value *mica_onnx_rotate(mica_onnx_node *node, mica_value *x, mica_value *cosine,
                             mica_value *sine, bool neighbours) {
    mrt_shape shape = mica_onnx_shape(x);
    const int64_t n = shape.dims[3], step = neighbours ? 2 : 1;
    mica_value *a = mica_onnx_last_axis(node, "first", x, 0, neighbours ? n : n / 2, step);
    mica_value *b = mica_onnx_last_axis(node, "second", x, neighbours ? 1 : n / 2, n, step);
    mica_value *ca = mica_onnx_binary(node, "top.Mul", "cos_first", cosine, a);
    mica_value *sb = mica_onnx_binary(node, "top.Mul", "sin_second", sine, b);
    mica_value *sa = mica_onnx_binary(node, "top.Mul", "sin_first", sine, a);
    mica_value *cb = mica_onnx_binary(node, "top.Mul", "cos_second", cosine, b);
    mica_value *real = mica_onnx_binary(node, "top.Sub", "real", ca, sb);
    mica_value *imag = mica_onnx_binary(node, "top.Add", "imag", sa, cb);
    if (!neighbours) {
        return mica_onnx_join(node, "rotated", real, imag, 3);
    }
    const int64_t pair[] = {shape.dims[0], shape.dims[1], shape.dims[2], n / 2, 1};
    real = mica_onnx_reshape(node, "real_pair", real, 5, pair);
    imag = mica_onnx_reshape(node, "imag_pair", imag, 5, pair);
    real = mica_onnx_join(node, "pairs", real, imag, 4);
    return mica_onnx_reshape(node, "rotated", real, 4, shape.dims);
}

mica_status mica_onnx_convert_rotary_embedding(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const int64_t heads = mica_onnx_attr_i(node, "num_heads", 0);
    const int64_t part = mica_onnx_attr_i(node, "rotary_embedding_dim", 0);
    const bool neighbours = mica_onnx_attr_bool(node, "interleaved", false);
    const bool flat = shape.rank == 3;
    MICA_TRY(mica_onnx_finish(node));
    if ((shape.rank != 3 && shape.rank != 4) ||
        (flat && (heads < 1 || shape.dims[2] % heads != 0))) {
        return mica_onnx_error(node, "input has rank %d and %" PRId64 " heads, expected rank 4, or "
                                     "3 with attribute 'num_heads'", shape.rank, heads);
    }
    if (flat) {
        const int64_t dims[] = {shape.dims[0], shape.dims[1], heads, shape.dims[2] / heads};
        x = mica_onnx_reshape(node, "heads", x, 4, dims);
    }
    const int64_t size = mica_onnx_shape(x).dims[3], n = part != 0 ? part : size;
    if (!node->failed && (n < 2 || n > size || n % 2 != 0)) {
        return mica_onnx_error(node, "%" PRId64 " rotated elements of %" PRId64, n, size);
    }
    mica_value *cosine = angles(node, "cos", 1, flat), *sine = angles(node, "sin", 2, flat);
    mica_value *turned = mica_onnx_rotate(node, mica_onnx_last_axis(node, "part", x, 0, n, 1),
                                          cosine, sine, neighbours);
    if (n < size) {
        mica_value *rest = mica_onnx_last_axis(node, "rest", x, n, size, 1);
        turned = mica_onnx_join(node, "joined", turned, rest, 3);
    }
    return mica_onnx_alias(node, 0,
                           mica_onnx_reshape(node, NULL, turned, shape.rank, shape.dims));
}
