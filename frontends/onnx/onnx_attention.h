/* Parts that the attention operators of all domains share. */
#ifndef MICA_FRONTENDS_ONNX_ATTENTION_H
#define MICA_FRONTENDS_ONNX_ATTENTION_H

#include "frontends/onnx/onnx_internal.h"

/* Sizes and tensors of one attention; q [B,H,S,D], k [B,G,T,D], v [B,G,T,E]. */
typedef struct mica_onnx_attention {
    mica_value *q, *k, *v;
    int64_t batch, heads, groups, queries, keys, past, head_size;
    bool flat; /* inputs are [B, S, H * D] */
    bool causal;
    int64_t left, right;      /* window, -1: no bound */
    mica_value *lengths;      /* valid keys per batch element, or NULL */
    bool may_be_empty;        /* a query may see no key */
} mica_onnx_attention;

/* [B, S, n * D] -> [B, n, S, D] */
mica_value *mica_onnx_split_heads(mica_onnx_node *node, const char *name, mica_value *x,
                                  int64_t n);
/* Concat of two. */
mica_value *mica_onnx_join(mica_onnx_node *node, const char *suffix, mica_value *x, mica_value *y,
                           int axis);
/* One key head for several query heads: [B,G,T,D] -> [B,H,T,D]. */
mica_value *mica_onnx_repeat_heads(mica_onnx_node *node, const char *name, mica_value *x,
                                   const mica_onnx_attention *a);
/* Which key a query may see, [S, T] of bool; sets may_be_empty. */
mica_value *mica_onnx_fixed_visibility(mica_onnx_node *node, mica_onnx_attention *a);
/* 0 .. n - 1 of i64 along axis 0 or 1 of two. */
mica_value *mica_onnx_count_up(mica_onnx_node *node, const char *name, int64_t n, int axis);
/* op(x, factor) */
mica_value *mica_onnx_scaled(mica_onnx_node *node, const char *name, mica_value *x, const char *op,
                             double factor);
/* Softmax over the keys; zeros where nothing is visible. */
mica_value *mica_onnx_probabilities(mica_onnx_node *node, mica_value *scores,
                                    const mica_onnx_attention *a);
/* Weighted values as output 0, in the layout of the inputs. */
mica_status mica_onnx_finish_attention(mica_onnx_node *node, mica_value *p,
                                       const mica_onnx_attention *a);
/* Rotates pairs of the last axis of a rank 4 tensor, halves or neighbours, by angles that broadcast
 * against the halves. */
mica_value *mica_onnx_rotate(mica_onnx_node *node, mica_value *x, mica_value *cosine,
                             mica_value *sine, bool neighbours);

#endif
