/* Losses: negative log likelihood, alone or behind a log-softmax over axis 1. */
#include "frontends/onnx/onnx_internal.h"

#include <string.h>

/* Operands of the loss; `place` and `mask` have the shape of the target. */
typedef struct loss_job {
    mica_value *scores; /* [N, C, d...] */
    mica_value *place;  /* class of every sample, 0 where it does not count */
    mica_value *mask;   /* bool: the sample counts; NULL: all do */
    mica_value *weight; /* [C] or NULL */
    mrt_shape target;   /* [N, d...] */
} loss_job;

static mica_status read_loss(mica_onnx_node *node, mica_value *scores, loss_job *out) {
    mica_value *target = mica_onnx_in(node, 1);
    const mrt_shape x = mica_onnx_shape(scores), t = mica_onnx_shape(target);
    *out = (loss_job){.scores = scores, .weight = mica_onnx_in(node, 2), .target = t};
    const mrt_shape w = mica_onnx_shape(out->weight);
    const int64_t ignored = mica_onnx_attr_i(node, "ignore_index", 0);
    MICA_TRY(mica_onnx_finish(node));
    bool fits = x.rank >= 2 && t.rank == x.rank - 1 && t.dims[0] == x.dims[0];
    for (int i = 1; fits && i < t.rank; i++) {
        fits = t.dims[i] == x.dims[i + 1];
    }
    if (!fits) {
        return mica_onnx_error(node, "expected scores [N, C, d...] and classes [N, d...]");
    }
    if (out->weight != NULL && (w.rank != 1 || w.dims[0] != x.dims[1])) {
        return mica_onnx_error(node, "expected one weight per class");
    }
    out->place = mica_onnx_cast(node, "classes", target, MRT_I64);
    if (mica_onnx_has_attr(node, "ignore_index")) {
        mica_value *none = mica_onnx_weight(node, "ignored", MRT_I64, 0, NULL, &ignored);
        mica_value *zero = mica_onnx_scalar(node, "first", MRT_I64, 0.0);
        out->mask = mica_onnx_binary(node, "top.NotEqual", "counts", out->place, none);
        out->place = mica_onnx_where(node, "places", out->mask, out->place, zero);
    }
    return mica_onnx_finish(node);
}

/* 0 where a sample does not count. */
static mica_value *masked(mica_onnx_node *node, const char *suffix, const loss_job *job,
                          mica_value *x) {
    return job->mask == NULL ? x
                             : mica_onnx_where(node, suffix, job->mask, x,
                                               mica_onnx_scalar_like(node, "nothing", x, 0.0));
}

static mica_status convert_loss(mica_onnx_node *node, mica_value *scores) {
    loss_job job;
    const char *reduction = mica_onnx_attr_choice(node, "reduction", "mean", "none|sum|mean");
    MICA_TRY(read_loss(node, scores, &job));
    const int rank = job.target.rank;
    const uint32_t all = (1u << rank) - 1;
    mrt_shape column = job.target;
    column.rank++;
    memmove(column.dims + 2, column.dims + 1, (size_t)(rank - 1) * sizeof column.dims[0]);
    column.dims[1] = 1;
    mica_value *at = mica_onnx_reshape(node, "column", job.place, column.rank, column.dims);
    mica_value *score = mica_onnx_gather(node, "top.GatherElements", "picked", scores, at, 1);
    score = mica_onnx_reshape(node, "score", score, rank, job.target.dims);
    mica_value *loss = mica_onnx_unary(node, "top.Neg", "loss", score), *weight = NULL;
    if (job.weight != NULL) {
        weight = mica_onnx_gather(node, "top.Gather", "weight", job.weight, job.place, 0);
        loss = mica_onnx_binary(node, "top.Mul", "weighted", loss, weight);
    } else if (job.mask != NULL) {
        weight = mica_onnx_cast(node, "weight", job.mask, mica_onnx_type(loss));
    }
    loss = masked(node, "counted", &job, loss);
    if (strcmp(reduction, "none") == 0) {
        return mica_onnx_alias(node, 0, loss);
    }
    const bool mean = strcmp(reduction, "mean") == 0;
    if (!mean || weight == NULL) {
        const char *mode = mean ? "ReduceMean" : "ReduceSum";
        return mica_onnx_alias(node, 0, mica_onnx_reduce(node, NULL, loss, mode, all, false));
    }
    weight = masked(node, "counted_weight", &job, weight);
    mica_value *sum = mica_onnx_reduce(node, "sum", loss, "ReduceSum", all, false);
    mica_value *total = mica_onnx_reduce(node, "total", weight, "ReduceSum", all, false);
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, "top.Div", NULL, sum, total));
}

mica_status mica_onnx_convert_nll_loss(mica_onnx_node *node) {
    return convert_loss(node, mica_onnx_in(node, 0));
}

mica_status mica_onnx_convert_softmax_loss(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    MICA_TRY(mica_onnx_finish(node));
    if (mica_onnx_shape(x).rank < 2) {
        return mica_onnx_error(node, "expected scores [N, C, d...] and classes [N, d...]");
    }
    mica_op *op = mica_onnx_op(node, "top.Softmax", "log_prob", &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "axis", 1);
    mica_op_set_bool(op, "log", true);
    mica_value *scores = mica_onnx_done(node, op);
    if (mica_onnx_has_out(node, 1)) {
        MICA_TRY(mica_onnx_alias(node, 1, scores));
    }
    return convert_loss(node, scores);
}
