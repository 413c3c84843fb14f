/* What the attention operators of com.microsoft share. */
#ifndef MICA_FRONTENDS_ONNX_CONTRIB_ATTENTION_H
#define MICA_FRONTENDS_ONNX_CONTRIB_ATTENTION_H

#include "frontends/onnx/onnx_attention.h"

/* From products to scores. */
typedef struct mica_onnx_score_options {
    double scale;     /* 0: 1 / sqrt(head size) */
    double filter;    /* added where the mask hides a key */
    double cap;       /* cap * tanh(score / cap), 0: none */
    mica_value *mask; /* of i32: [B] ends, [2B] ends and starts, [B,T], [B,S,T]; or NULL */
    mica_value *bias; /* added to the scores, or NULL */
} mica_onnx_score_options;

/* Sizes of q, k and v; `past` keys are older than the first query. */
mica_status mica_onnx_measure(mica_onnx_node *node, mica_onnx_attention *a, int64_t past);
/* Output 0 [B, S, H * E] from q, k and v. */
mica_status mica_onnx_attend(mica_onnx_node *node, mica_onnx_attention *a,
                             const mica_onnx_score_options *o);
/* Past (or NULL) and x joined along axis 2; that is result `output`. */
mica_value *mica_onnx_with_past(mica_onnx_node *node, const char *name, mica_value *past,
                                mica_value *x, size_t output);
/* Angles of the positions [B or 1, S] as [B or 1, 1, S, R/2] (flat: [.., S, 1, R/2]); positions NULL:
 * 0 .. count - 1. */
mica_value *mica_onnx_cache_rows(mica_onnx_node *node, const char *name, mica_value *cache,
                                 mica_value *positions, int64_t count, bool flat);

/* One-line refusals. */
mica_status mica_onnx_refuse_input(mica_onnx_node *node, size_t i, const char *name);
mica_status mica_onnx_refuse_attr(mica_onnx_node *node, const char *name);
mica_status mica_onnx_read_heads(mica_onnx_node *node, const char *name, int64_t *out);
mica_status mica_onnx_expect_rank(mica_onnx_node *node, const char *name, const mica_value *x,
                                  int rank);

#endif
