/* com.microsoft: Attention, MultiHeadAttention, and what GroupQueryAttention shares with them. Masks add a number that is large
 * and negative to the scores of hidden keys; what lies in the future is hidden altogether. */
#include "frontends/onnx/onnx_contrib_attention.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* --- masks ----------------------------------------------------------------------------------- */
/* Numbers per batch element, [B] of `count` parts of it, as [B,1,1,1]. */
static mica_value *part_of(mica_onnx_node *node, const char *name, mica_value *x, int64_t part,
                           int64_t batch) {
    const int64_t dims[] = {batch, 1, 1, 1};
    x = mica_onnx_cast(node, "mask_i64", x, MRT_I64);
    x = mica_onnx_last_axis(node, name, x, part * batch, (part + 1) * batch, 1);
    return mica_onnx_reshape(node, name, x, 4, dims);
}

/* Keys from the end position on, and before the start position, are hidden. */
static mica_value *in_range(mica_onnx_node *node, mica_value *mask, const mica_onnx_attention *a,
                            bool has_start) {
    mica_value *key = mica_onnx_count_up(node, "key", a->keys, 1);
    mica_value *end = part_of(node, "mask_end", mask, 0, a->batch);
    mica_value *seen = mica_onnx_binary(node, "top.Less", "before_end", key, end);
    if (has_start) {
        mica_value *start = part_of(node, "mask_start", mask, 1, a->batch);
        mica_value *after = mica_onnx_binary(node, "top.GreaterOrEqual", "from_start", key, start);
        seen = mica_onnx_binary(node, "top.And", "in_range", seen, after);
    }
    return seen;
}

/* true where a key is seen; broadcasts to [B,H,S,T]. NULL without a mask. */
static mica_value *seen_keys(mica_onnx_node *node, mica_value *mask, const mica_onnx_attention *a) {
    const mrt_shape s = mica_onnx_shape(mask);
    if (node->failed || mask == NULL) {
        return NULL;
    }
    const bool per_batch = s.rank > 1 && s.dims[0] == a->batch && s.dims[s.rank - 1] == a->keys;
    if (s.rank == 1 && (s.dims[0] == a->batch || s.dims[0] == 2 * a->batch)) {
        return in_range(node, mask, a, s.dims[0] != a->batch);
    }
    if (!per_batch || s.rank > 3 || (s.rank == 3 && s.dims[1] != a->queries)) {
        mica_onnx_error(node, "the mask is %s, expected [B], [2 * B], [B, T] or [B, S, T] with B %"
                              PRId64 ", S %" PRId64 ", T %" PRId64, mica_type_text(mask->type),
                        a->batch, a->queries, a->keys);
        return NULL;
    }
    const int64_t dims[] = {a->batch, 1, s.rank == 3 ? a->queries : 1, a->keys};
    mask = mica_onnx_reshape(node, "mask_aligned", mask, 4, dims);
    return mica_onnx_binary(node, "top.Greater", "seen", mask,
                            mica_onnx_scalar_like(node, "unseen", mask, 0.0));
}

static mica_value *masked(mica_onnx_node *node, mica_value *scores, mica_onnx_attention *a,
                          const mica_onnx_score_options *o) {
    mica_value *seen = seen_keys(node, o->mask, a);
    if (o->bias != NULL) {
        scores = mica_onnx_binary(node, "top.Add", "biased", scores, o->bias);
    }
    if (seen != NULL) {
        mica_value *filter = mica_onnx_scalar(node, "filter", MRT_F32, o->filter);
        mica_value *zero = mica_onnx_scalar(node, "no_filter", MRT_F32, 0.0);
        filter = mica_onnx_where(node, "mask_added", seen, zero, filter);
        scores = mica_onnx_binary(node, "top.Add", "filtered", scores, filter);
    }
    if (!a->causal && a->left < 0) {
        return scores;
    }
    mica_value *hidden = mica_onnx_scalar(node, "hidden", MRT_F32, -INFINITY);
    mica_value *visible = mica_onnx_fixed_visibility(node, a);
    return mica_onnx_where(node, "masked", visible, scores, hidden);
}

/* --- the common part ------------------------------------------------------------------------- */
mica_status mica_onnx_measure(mica_onnx_node *node, mica_onnx_attention *a, int64_t past) {
    const mrt_shape q = mica_onnx_shape(a->q), k = mica_onnx_shape(a->k);
    const mrt_shape v = mica_onnx_shape(a->v);
    MICA_TRY(mica_onnx_finish(node));
    a->batch = q.dims[0];
    a->heads = q.dims[1];
    a->queries = q.dims[2];
    a->head_size = q.dims[3];
    a->groups = k.dims[1];
    a->keys = k.dims[2];
    a->past = past;
    if (k.dims[0] != a->batch || v.dims[0] != a->batch || v.dims[1] != k.dims[1] ||
        v.dims[2] != k.dims[2] || k.dims[3] != q.dims[3] || a->groups < 1 ||
        a->heads % a->groups != 0 || a->head_size < 1) {
        return mica_onnx_error(node, "query %s, key %s and value %s do not fit together",
                               mica_type_text(a->q->type), mica_type_text(a->k->type),
                               mica_type_text(a->v->type));
    }
    return MICA_OK;
}

mica_status mica_onnx_attend(mica_onnx_node *node, mica_onnx_attention *a, const mica_onnx_score_options *o) {
    mica_value *operands[] = {a->q, mica_onnx_repeat_heads(node, "k", a->k, a), NULL};
    mica_op *op = mica_onnx_op(node, "top.MatMul", "product", operands, 3, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_bool(op, "right_transpose", true);
    const double scale = o->scale != 0.0 ? o->scale : 1.0 / sqrt((double)a->head_size);
    mica_value *scores =
        mica_onnx_scaled(node, "scores", mica_onnx_done(node, op), "top.Mul", scale);
    if (o->cap != 0.0) {
        scores = mica_onnx_scaled(node, "cap_in", scores, "top.Div", o->cap);
        scores = mica_onnx_unary(node, "top.Tanh", "cap_tanh", scores);
        scores = mica_onnx_scaled(node, "capped", scores, "top.Mul", o->cap);
    }
    scores = masked(node, scores, a, o);
    a->flat = true;
    return mica_onnx_finish_attention(node, mica_onnx_probabilities(node, scores, a), a);
}

/* Past and new ones along the third axis, which is result `output`. */
mica_value *mica_onnx_with_past(mica_onnx_node *node, const char *name, mica_value *past,
                             mica_value *x, size_t output) {
    const mrt_shape p = mica_onnx_shape(past), s = mica_onnx_shape(x);
    if (past != NULL && !node->failed) {
        if (p.rank != 4 || p.dims[0] != s.dims[0] || p.dims[1] != s.dims[1] ||
            p.dims[3] != s.dims[3]) {
            mica_onnx_error(node, "past is %s, expected the sizes of %s save for axis 2",
                            mica_type_text(past->type), mica_type_text(x->type));
            return NULL;
        }
        x = p.dims[2] == 0 ? x : mica_onnx_join(node, name, past, x, 2);
    }
    mica_onnx_bind(node, output, x);
    return x;
}

static int64_t length_of(const mica_value *past) {
    const mrt_shape shape = mica_onnx_shape(past);
    return shape.rank == 4 ? shape.dims[2] : 0;
}

mica_status mica_onnx_refuse_input(mica_onnx_node *node, size_t i, const char *name) {
    return mica_onnx_in_name(node, i)[0] != '\0'
               ? mica_onnx_error(node, "input %zu (%s) is not supported", i, name)
               : mica_onnx_finish(node);
}

mica_status mica_onnx_refuse_attr(mica_onnx_node *node, const char *name) {
    const int64_t value = mica_onnx_attr_i(node, name, 0);
    return value != 0 ? mica_onnx_error(node, "attribute '%s' has value %" PRId64 ", expected 0",
                                        name, value)
                      : mica_onnx_finish(node);
}

mica_status mica_onnx_read_heads(mica_onnx_node *node, const char *name, int64_t *out) {
    static const int64_t most = (int64_t)1 << 30;
    *out = mica_onnx_attr_i(node, name, 0);
    if (*out < 1 || *out > most) {
        return mica_onnx_error(node, "attribute '%s' has value %" PRId64 ", expected 1 or more",
                               name, *out);
    }
    return mica_onnx_finish(node);
}

mica_status mica_onnx_expect_rank(mica_onnx_node *node, const char *name, const mica_value *x,
                               int rank) {
    MICA_TRY(mica_onnx_finish(node));
    const int found = mica_onnx_shape(x).rank;
    return found != rank ? mica_onnx_error(node, "%s has rank %d, expected %d", name, found, rank)
                         : MICA_OK;
}

/* --- Attention ------------------------------------------------------------------------------- */
/* Widths of Q, K and V in the packed product. */
static mica_status packed_sizes(mica_onnx_node *node, int64_t width, int64_t heads,
                                int64_t sizes[3]) {
    size_t n = 0;
    const int64_t *given = mica_onnx_attr_ints(node, "qkv_hidden_sizes", &n);
    for (int i = 0; i < 3; i++) {
        sizes[i] = given != NULL && n == 3 ? given[i] : width / 3;
    }
    if (given != NULL && n != 3) {
        return mica_onnx_error(node, "attribute 'qkv_hidden_sizes' has %zu values, expected 3", n);
    }
    for (int i = 0; i < 3; i++) {
        if (sizes[i] < 1 || sizes[i] > width || sizes[i] % heads != 0) {
            return mica_onnx_error(node, "%" PRId64 " numbers of Q, K or V for %" PRId64 " heads",
                                   sizes[i], heads);
        }
    }
    if (sizes[0] + sizes[1] + sizes[2] != width) {
        return mica_onnx_error(node, "the weights have %" PRId64 " columns, Q, K and V need %" PRId64,
                               width, sizes[0] + sizes[1] + sizes[2]);
    }
    return mica_onnx_finish(node);
}

/* One of the two slices of past: [2,B,H,P,D] -> [B,H,P,D] */
static mica_value *past_part(mica_onnx_node *node, const char *name, mica_value *past, int part) {
    const mrt_shape s = mica_onnx_shape(past);
    if (past == NULL || node->failed) {
        return NULL;
    }
    if (s.rank != 5 || s.dims[0] != 2) {
        mica_onnx_error(node, "past is %s, expected [2, B, H, P, D]", mica_type_text(past->type));
        return NULL;
    }
    const int64_t offset[] = {part, 0, 0, 0, 0}, steps[] = {1, 1, 1, 1, 1};
    const int64_t ends[] = {part + 1, s.dims[1], s.dims[2], s.dims[3], s.dims[4]};
    mica_value *x = mica_onnx_slice(node, name, past, offset, steps, ends);
    return mica_onnx_reshape(node, name, x, 4, s.dims + 1);
}

static void bind_present(mica_onnx_node *node, const mica_onnx_attention *a) {
    if (!mica_onnx_has_out(node, 1) || node->failed) {
        return;
    }
    const mrt_shape k = mica_onnx_shape(a->k), v = mica_onnx_shape(a->v);
    const int64_t dk[] = {1, k.dims[0], k.dims[1], k.dims[2], k.dims[3]};
    const int64_t dv[] = {1, v.dims[0], v.dims[1], v.dims[2], v.dims[3]};
    mica_value *x = mica_onnx_reshape(node, "present_k", a->k, 5, dk);
    mica_value *y = mica_onnx_reshape(node, "present_v", a->v, 5, dv);
    mica_onnx_bind(node, 1, mica_onnx_join(node, "present", x, y, 0));
}

mica_status mica_onnx_convert_contrib_attention(mica_onnx_node *node) {
    mica_value *w = mica_onnx_in(node, 1), *past = mica_onnx_in(node, 4);
    mica_onnx_attention a = {.causal = mica_onnx_attr_bool(node, "unidirectional", false),
                             .left = -1, .right = -1};
    mica_onnx_score_options o = {mica_onnx_attr_f(node, "scale", 0.0),
                 mica_onnx_attr_f(node, "mask_filter_value", -10000.0), 0.0,
                 mica_onnx_in(node, 3), mica_onnx_in(node, 5)};
    int64_t heads = 0, sizes[3];
    mica_onnx_attr_i(node, "rotary_embedding_dim", 0); /* only of do_rotary */
    MICA_TRY(mica_onnx_read_heads(node, "num_heads", &heads));
    MICA_TRY(mica_onnx_refuse_attr(node, "do_rotary"));
    MICA_TRY(mica_onnx_refuse_attr(node, "past_present_share_buffer"));
    MICA_TRY(mica_onnx_refuse_input(node, 6, "past_sequence_length"));
    MICA_TRY(mica_onnx_expect_rank(node, "input", mica_onnx_in(node, 0), 3));
    MICA_TRY(mica_onnx_expect_rank(node, "weights", w, 2));
    const int64_t width = mica_onnx_shape(w).dims[1];
    MICA_TRY(packed_sizes(node, width, heads, sizes));
    mica_value *operands[] = {mica_onnx_in(node, 0), w, mica_onnx_in(node, 2)};
    mica_value *x = mica_onnx_done(node, mica_onnx_op(node, "top.MatMul", "qkv", operands, 3, 1));
    mica_value *q = mica_onnx_last_axis(node, "q", x, 0, sizes[0], 1);
    mica_value *k = mica_onnx_last_axis(node, "k", x, sizes[0], sizes[0] + sizes[1], 1);
    mica_value *v = mica_onnx_last_axis(node, "v", x, sizes[0] + sizes[1], width, 1);
    MICA_TRY(mica_onnx_finish(node));
    a.q = mica_onnx_split_heads(node, "q", q, heads);
    a.k = mica_onnx_split_heads(node, "k", k, heads);
    a.v = mica_onnx_split_heads(node, "v", v, heads);
    mica_value *past_k = past_part(node, "past_k", past, 0);
    mica_value *past_v = past_part(node, "past_v", past, 1);
    a.k = mica_onnx_with_past(node, "keys", past_k, a.k, SIZE_MAX);
    a.v = mica_onnx_with_past(node, "values", past_v, a.v, SIZE_MAX);
    MICA_TRY(mica_onnx_measure(node, &a, length_of(past_k)));
    bind_present(node, &a);
    return mica_onnx_attend(node, &a, &o);
}

/* --- MultiHeadAttention ---------------------------------------------------------------------- */
/* Part i of a packed tensor [B, S, N, parts, D] as [B, S, N * D]. */
static mica_value *unpacked(mica_onnx_node *node, const char *name, mica_value *x, int64_t i,
                            int64_t parts) {
    const mrt_shape s = mica_onnx_shape(x);
    if (node->failed || s.rank != 5 || s.dims[3] != parts) {
        if (!node->failed) {
            mica_onnx_error(node, "a packed input is %s, expected [B, S, N, %" PRId64 ", D]",
                            mica_type_text(x->type), parts);
        }
        return NULL;
    }
    const int64_t offset[] = {0, 0, 0, i, 0}, steps[] = {1, 1, 1, 1, 1};
    const int64_t ends[] = {s.dims[0], s.dims[1], s.dims[2], i + 1, s.dims[4]};
    const int64_t flat[] = {s.dims[0], s.dims[1], s.dims[2] * s.dims[4]};
    x = mica_onnx_slice(node, name, x, offset, steps, ends);
    return mica_onnx_reshape(node, name, x, 3, flat);
}

/* Adds its part of the bias to a flat tensor; `*first` walks through the bias. */
static mica_value *biased(mica_onnx_node *node, const char *name, mica_value *x, int64_t *first) {
    mica_value *bias = mica_onnx_in(node, 3);
    const mrt_shape s = mica_onnx_shape(x), b = mica_onnx_shape(bias);
    if (bias == NULL || node->failed) {
        return x;
    }
    const int64_t width = s.dims[s.rank - 1];
    if (b.rank != 1 || *first + width > b.dims[0]) {
        mica_onnx_error(node, "bias is %s, which is too short", mica_type_text(bias->type));
        return NULL;
    }
    bias = mica_onnx_last_axis(node, name, bias, *first, *first + width, 1);
    *first += width;
    return mica_onnx_binary(node, "top.Add", name, x, bias);
}

/* Keys and values, separate or packed with each other or with the queries, or with heads apart. */
static mica_status read_parts(mica_onnx_node *node, mica_onnx_attention *a, int64_t heads) {
    mica_value *q = mica_onnx_in(node, 0), *k = mica_onnx_in(node, 1), *v = mica_onnx_in(node, 2);
    int64_t first = 0;
    MICA_TRY(mica_onnx_finish(node));
    if (k == NULL && v == NULL) {
        mica_value *all = q;
        q = unpacked(node, "q", all, 0, 3);
        k = unpacked(node, "k", all, 1, 3);
        v = unpacked(node, "v", all, 2, 3);
    } else if (k == NULL || (v == NULL && mica_onnx_shape(k).rank != 5)) {
        return mica_onnx_error(node, "key and value are given together or packed");
    } else if (v == NULL) {
        mica_value *both = k;
        k = unpacked(node, "k", both, 0, 2);
        v = unpacked(node, "v", both, 1, 2);
    }
    MICA_TRY(mica_onnx_expect_rank(node, "query", q, 3));
    a->q = mica_onnx_split_heads(node, "q", biased(node, "q_bias", q, &first), heads);
    if (mica_onnx_shape(k).rank == 4 && mica_onnx_shape(v).rank == 4) {
        a->k = k;
        a->v = v;
        return mica_onnx_in(node, 3) != NULL
                   ? mica_onnx_error(node, "bias with keys of rank 4 is not supported")
                   : mica_onnx_finish(node);
    }
    MICA_TRY(mica_onnx_expect_rank(node, "key", k, 3));
    MICA_TRY(mica_onnx_expect_rank(node, "value", v, 3));
    k = biased(node, "k_bias", k, &first);
    v = biased(node, "v_bias", v, &first);
    MICA_TRY(mica_onnx_finish(node));
    a->k = mica_onnx_split_heads(node, "k", k, heads);
    a->v = mica_onnx_split_heads(node, "v", v, heads);
    return mica_onnx_finish(node);
}

mica_status mica_onnx_convert_multi_head_attention(mica_onnx_node *node) {
    mica_onnx_attention a = {.causal = mica_onnx_attr_bool(node, "unidirectional", false),
                             .left = -1, .right = -1};
    mica_onnx_score_options o = {mica_onnx_attr_f(node, "scale", 0.0),
                 mica_onnx_attr_f(node, "mask_filter_value", -10000.0), 0.0,
                 mica_onnx_in(node, 4), mica_onnx_in(node, 5)};
    mica_value *past_k = mica_onnx_in(node, 6), *past_v = mica_onnx_in(node, 7);
    int64_t heads = 0;
    MICA_TRY(mica_onnx_read_heads(node, "num_heads", &heads));
    MICA_TRY(mica_onnx_refuse_input(node, 8, "past_sequence_length"));
    MICA_TRY(mica_onnx_refuse_input(node, 9, "cache_indirection"));
    MICA_TRY(read_parts(node, &a, heads));
    if ((past_k == NULL) != (past_v == NULL)) {
        return mica_onnx_error(node, "past_key and past_value are given together or not at all");
    }
    a.k = mica_onnx_with_past(node, "keys", past_k, a.k, 1);
    a.v = mica_onnx_with_past(node, "values", past_v, a.v, 2);
    MICA_TRY(mica_onnx_measure(node, &a, length_of(past_k)));
    return mica_onnx_attend(node, &a, &o);
}
