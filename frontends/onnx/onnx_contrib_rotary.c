/* com.microsoft: RotaryEmbedding and GroupQueryAttention, which can contain it. */
#include "frontends/onnx/onnx_contrib_attention.h"

#include <inttypes.h>
#include <string.h>

/* --- rotary embedding ------------------------------------------------------------------------ */
mica_value *mica_onnx_cache_rows(mica_onnx_node *node, const char *name, mica_value *cache,
                                 mica_value *positions, int64_t count, bool flat) {
    const mrt_shape shape = mica_onnx_shape(cache);
    if (node->failed || shape.rank != 2 || shape.dims[0] < count) {
        if (!node->failed) {
            mica_onnx_error(node, "the cache is %s, expected rank 2 and at least %" PRId64 " rows",
                            mica_type_text(cache->type), count);
        }
        return NULL;
    }
    if (positions != NULL) {
        cache = mica_onnx_gather(node, "top.Gather", name, cache, positions, 0);
    } else {
        const int64_t offset[] = {0, 0}, steps[] = {1, 1}, ends[] = {count, shape.dims[1]};
        cache = mica_onnx_slice(node, name, cache, offset, steps, ends);
    }
    const mrt_shape s = mica_onnx_shape(cache);
    const int64_t batch = s.rank == 3 ? s.dims[0] : 1;
    const int64_t dims[] = {batch, flat ? count : 1, flat ? 1 : count, shape.dims[1]};
    return mica_onnx_reshape(node, mica_arena_printf(node->importer->arena, "%s_aligned", name),
                             cache, 4, dims);
}

/* The first part of the last axis is rotated, the rest stays. x of rank 4. */
static mica_value *rotated(mica_onnx_node *node, const char *name, mica_value *x,
                           mica_value *cosine, mica_value *sine, bool neighbours) {
    const mrt_shape shape = mica_onnx_shape(x);
    const int64_t n = 2 * mica_onnx_shape(cosine).dims[3], size = shape.dims[3];
    if (node->failed || n > size) {
        if (!node->failed) {
            mica_onnx_error(node, "the caches rotate %" PRId64 " of %" PRId64 " numbers per head", n,
                            size);
        }
        return NULL;
    }
    mica_value *turned = mica_onnx_rotate(node, mica_onnx_last_axis(node, "part", x, 0, n, 1),
                                          cosine, sine, neighbours);
    return n == size ? turned
                     : mica_onnx_join(node, name, turned,
                                      mica_onnx_last_axis(node, "rest", x, n, size, 1), 3);
}

/* Positions per batch element from one first position. */
static mica_value *from_offset(mica_onnx_node *node, mica_value *first, int64_t count) {
    mica_value *steps = mica_onnx_count_up(node, "steps", count, 1);
    first = mica_onnx_cast(node, "offset", first, MRT_I64);
    return mica_onnx_binary(node, "top.Add", "positions", steps, first);
}

mica_status mica_onnx_convert_contrib_rotary(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *positions = mica_onnx_in(node, 1);
    mica_value *cosine = mica_onnx_in(node, 2), *sine = mica_onnx_in(node, 3);
    const mrt_shape shape = mica_onnx_shape(x), table = mica_onnx_shape(cosine);
    const int64_t heads = mica_onnx_attr_i(node, "num_heads", 0);
    const int64_t part = mica_onnx_attr_i(node, "rotary_embedding_dim", 0);
    const bool neighbours = mica_onnx_attr_bool(node, "interleaved", false);
    const double scale = mica_onnx_attr_f(node, "scale", 1.0);
    const bool flat = shape.rank == 3;
    MICA_TRY(mica_onnx_refuse_attr(node, "is_packed_batching"));
    if (scale != 1.0) {
        return mica_onnx_error(node, "attribute 'scale' has value %g, expected 1", scale);
    }
    if ((shape.rank != 3 && shape.rank != 4) || table.rank != 2 || (part != 0 && heads == 0)) {
        return mica_onnx_error(node, "input %s with cos_cache %s, expected rank 3 or 4 and rank 2; "
                                     "attribute 'rotary_embedding_dim' needs 'num_heads'",
                               mica_type_text(x->type), mica_type_text(cosine->type));
    }
    if (part != 0 && part != 2 * table.dims[1]) {
        return mica_onnx_error(node, "attribute 'rotary_embedding_dim' has value %" PRId64
                                     ", expected %" PRId64 " as in cos_cache", part,
                               2 * table.dims[1]);
    }
    if (flat) {
        const int64_t size = part != 0 ? shape.dims[2] / heads : 2 * table.dims[1];
        if (size < 1 || shape.dims[2] % size != 0) {
            return mica_onnx_error(node, "heads of %" PRId64 " numbers in %" PRId64, size,
                                   shape.dims[2]);
        }
        const int64_t dims[] = {shape.dims[0], shape.dims[1], shape.dims[2] / size, size};
        x = mica_onnx_reshape(node, "heads", x, 4, dims);
    }
    const int64_t count = shape.dims[flat ? 1 : 2];
    if (mica_onnx_shape(positions).rank == 1) {
        positions = from_offset(node, positions, count);
    }
    const mrt_shape at = mica_onnx_shape(positions);
    if (!node->failed && (at.rank != 2 || at.dims[1] != count)) {
        return mica_onnx_error(node, "position_ids is %s, expected [1] or [B, %" PRId64 "]",
                               mica_type_text(positions->type), count);
    }
    cosine = mica_onnx_cache_rows(node, "cos", cosine, positions, count, flat);
    sine = mica_onnx_cache_rows(node, "sin", sine, positions, count, flat);
    x = rotated(node, "joined", x, cosine, sine, neighbours);
    return mica_onnx_alias(node, 0, mica_onnx_reshape(node, NULL, x, shape.rank, shape.dims));
}

/* --- GroupQueryAttention ----------------------------------------------------------------------- */
/* The keys that are valid must be all keys there are: known when it is a prompt, or when the lengths
 * are constants that say so. */
static mica_status check_lengths(mica_onnx_node *node, const mica_onnx_attention *a) {
    int64_t n = 0;
    if (a->past == 0) {
        return MICA_OK;
    }
    const int64_t total = mica_onnx_const_i64(node, 6, 0);
    const int64_t *lengths = mica_onnx_const_i64s(node, 5, &n);
    MICA_TRY(mica_onnx_finish(node));
    for (int64_t i = 0; i < n; i++) {
        if (lengths[i] + 1 != a->keys || total != a->keys) {
            return mica_onnx_error(node, "seqlens_k %" PRId64 " and total_sequence_length %" PRId64
                                         ", expected %" PRId64 " and %" PRId64 " (all keys)",
                                   lengths[i], total, a->keys - 1, a->keys);
        }
    }
    return MICA_OK;
}

/* Queries, keys and values; packed in one tensor when key and value are absent. */
static mica_status read_parts(mica_onnx_node *node, mica_onnx_attention *a, int64_t heads,
                              int64_t groups) {
    mica_value *q = mica_onnx_in(node, 0), *k = mica_onnx_in(node, 1), *v = mica_onnx_in(node, 2);
    MICA_TRY(mica_onnx_expect_rank(node, "query", q, 3));
    if ((k == NULL) != (v == NULL)) {
        return mica_onnx_error(node, "key and value are given together or not at all");
    }
    if (k == NULL) {
        const int64_t width = mica_onnx_shape(q).dims[2], size = width / (heads + 2 * groups);
        if (size < 1 || width != size * (heads + 2 * groups)) {
            return mica_onnx_error(node, "%" PRId64 " packed numbers for %" PRId64 " + 2 * %" PRId64
                                         " heads", width, heads, groups);
        }
        mica_value *all = q;
        q = mica_onnx_last_axis(node, "q", all, 0, size * heads, 1);
        k = mica_onnx_last_axis(node, "k", all, size * heads, size * (heads + groups), 1);
        v = mica_onnx_last_axis(node, "v", all, size * (heads + groups), width, 1);
    }
    MICA_TRY(mica_onnx_expect_rank(node, "key", k, 3));
    MICA_TRY(mica_onnx_expect_rank(node, "value", v, 3));
    a->q = mica_onnx_split_heads(node, "q", q, heads);
    a->k = mica_onnx_split_heads(node, "k", k, groups);
    a->v = mica_onnx_split_heads(node, "v", v, groups);
    return mica_onnx_finish(node);
}

static mica_status rotate_parts(mica_onnx_node *node, mica_onnx_attention *a, int64_t past) {
    const bool neighbours = mica_onnx_attr_bool(node, "rotary_interleaved", false);
    mica_value *cosine = mica_onnx_in(node, 7), *sine = mica_onnx_in(node, 8);
    mica_value *positions = mica_onnx_in(node, 9);
    if (!mica_onnx_attr_bool(node, "do_rotary", false)) {
        return mica_onnx_finish(node);
    }
    if (cosine == NULL || sine == NULL) {
        return mica_onnx_error(node, "attribute 'do_rotary' needs cos_cache and sin_cache");
    }
    const int64_t count = mica_onnx_shape(a->q).dims[2];
    if (positions == NULL && past > 0) {
        positions = from_offset(node, mica_onnx_scalar(node, "past", MRT_I64, (double)past), count);
    }
    cosine = mica_onnx_cache_rows(node, "cos", cosine, positions, count, false);
    sine = mica_onnx_cache_rows(node, "sin", sine, positions, count, false);
    a->q = rotated(node, "q_rotated", a->q, cosine, sine, neighbours);
    a->k = rotated(node, "k_rotated", a->k, cosine, sine, neighbours);
    return mica_onnx_finish(node);
}

mica_status mica_onnx_convert_group_query_attention(mica_onnx_node *node) {
    static const struct {
        size_t input;
        const char *name;
    } refused[] = {{11, "head_sink"}, {12, "k_scale"}, {13, "v_scale"}, {14, "q_norm_weight"},
                   {15, "k_norm_weight"}};
    mica_onnx_attention a = {.causal = mica_onnx_attr_bool(node, "causal", true), .right = -1};
    const double scale = mica_onnx_attr_f(node, "scale", 0.0);
    const double cap = mica_onnx_attr_f(node, "softcap", 0.0);
    const mica_onnx_score_options o = {scale, 0.0, cap > 0.0 ? cap : 0.0, NULL,
                                       mica_onnx_in(node, 10)};
    const int64_t window = mica_onnx_attr_i(node, "local_window_size", -1);
    mica_value *past_k = mica_onnx_in(node, 3), *past_v = mica_onnx_in(node, 4);
    int64_t heads = 0, groups = 0;
    a.left = window > 0 ? window - 1 : -1;
    MICA_TRY(mica_onnx_read_heads(node, "num_heads", &heads));
    MICA_TRY(mica_onnx_read_heads(node, "kv_num_heads", &groups));
    MICA_TRY(mica_onnx_refuse_attr(node, "qk_output"));
    MICA_TRY(mica_onnx_refuse_attr(node, "kv_cache_bit_width"));
    MICA_TRY(mica_onnx_refuse_attr(node, "sliding_window_cache"));
    mica_onnx_attr_f(node, "qk_norm_epsilon", 1e-6); /* of refused inputs */
    mica_onnx_attr_choice(node, "k_quant_type", "NONE", "NONE");
    mica_onnx_attr_choice(node, "v_quant_type", "NONE", "NONE");
    if (mica_onnx_attr_i(node, "smooth_softmax", -1) > 0) {
        return mica_onnx_error(node, "attribute 'smooth_softmax' has value 1, expected 0");
    }
    for (size_t i = 0; i < MICA_COUNT(refused); i++) {
        MICA_TRY(mica_onnx_refuse_input(node, refused[i].input, refused[i].name));
    }
    MICA_TRY(read_parts(node, &a, heads, groups));
    if ((past_k == NULL) != (past_v == NULL)) {
        return mica_onnx_error(node, "past_key and past_value are given together or not at all");
    }
    const mrt_shape past = mica_onnx_shape(past_k);
    const int64_t n_past = past.rank == 4 ? past.dims[2] : 0;
    MICA_TRY(rotate_parts(node, &a, n_past));
    a.k = mica_onnx_with_past(node, "keys", past_k, a.k, 1);
    a.v = mica_onnx_with_past(node, "values", past_v, a.v, 2);
    MICA_TRY(mica_onnx_measure(node, &a, n_past));
    MICA_TRY(check_lengths(node, &a));
    return mica_onnx_attend(node, &a, &o);
}
