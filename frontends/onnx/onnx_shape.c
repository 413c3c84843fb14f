/* Operators that give a tensor another shape or order. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

mica_status mica_onnx_convert_identity(mica_onnx_node *node) {
    mica_onnx_bind_entry(node, 0, mica_onnx_in_entry(node, 0)); /* also of a sequence */
    return mica_onnx_finish(node);
}

/* In inference, or at ratio 0, nothing is dropped; the mask is all ones. */
mica_status mica_onnx_convert_dropout(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    mica_onnx_attr_f(node, "ratio", 0.5);
    mica_onnx_attr_i(node, "seed", 0);
    if (node->opset < 7) {
        mica_onnx_attr_i(node, "is_test", 0);
    }
    mica_value *training = mica_onnx_in(node, 2);
    double flag = 0.0;
    double ratio = 0.5;
    if (mica_onnx_in(node, 1) != NULL && !mica_weight_scalar(mica_onnx_in(node, 1), &ratio)) {
        ratio = 0.5;
    }
    if (training != NULL && ratio != 0.0 && (!mica_weight_scalar(training, &flag) || flag != 0.0)) {
        return mica_onnx_error(node, "input 2 ('%s') switches training on, expected a constant "
                                     "false; export the model for inference",
                               mica_onnx_in_name(node, 2));
    }
    if (mica_onnx_has_out(node, 1)) {
        const mrt_dtype type = node->opset < 10 ? mica_onnx_type(x) : MRT_BOOL;
        mica_value *one = mica_onnx_scalar(node, "kept", type, 1.0);
        node->primary = 1;
        mica_onnx_bind(node, 1, mica_onnx_expand(node, NULL, one, shape.rank, shape.dims));
    }
    return mica_onnx_alias(node, 0, x);
}

static mrt_dtype target_type(mica_onnx_node *node, int64_t data_type) {
    const mrt_dtype type = data_type >= 0 && data_type <= INT32_MAX
                               ? mica_onnx_dtype((int32_t)data_type) : MRT_DTYPE_NONE;
    if (type == MRT_DTYPE_NONE && !node->failed) {
        mica_onnx_error(node, "element type %s is not supported",
                        mica_onnx_dtype_name(node->importer->arena, (int32_t)data_type));
    }
    return type;
}

/* To an 8-bit float what is out of range saturates, or not; f8E8M0FNU rounds as the node says. */
static mica_status cast_to(mica_onnx_node *node, mrt_dtype to) {
    mica_value *x = mica_onnx_in(node, 0);
    const bool saturate = mica_onnx_attr_bool(node, "saturate", true);
    const char *round = mica_onnx_attr_choice(node, "round_mode", "up", "up|down|nearest");
    return mica_onnx_alias(node, 0, mica_onnx_cast_by(node, NULL, x, to, saturate, round));
}

mica_status mica_onnx_convert_cast(mica_onnx_node *node) {
    return cast_to(node, mica_onnx_computed(target_type(node, mica_onnx_attr_i(node, "to", 0))));
}

mica_status mica_onnx_convert_cast_like(mica_onnx_node *node) {
    return cast_to(node, mica_onnx_type(mica_onnx_in(node, 1)));
}

mica_status mica_onnx_convert_bit_cast(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_dtype to = target_type(node, mica_onnx_attr_i(node, "to", 0));
    mica_op *op = mica_onnx_op(node, "top.BitCast", NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    if (mica_onnx_computed(to) != to) {
        return mica_onnx_error(node, "the bits of %s are not at hand, it is computed in f32",
                               mrt_dtype_name(to));
    }
    mica_op_set_str(op, "to", mrt_dtype_name(to));
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* --- reshape --------------------------------------------------------------------------------- */
mica_status mica_onnx_convert_reshape(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape in = mica_onnx_shape(x);
    const bool allow_zero = mica_onnx_attr_bool(node, "allowzero", false);
    int64_t count = 0, known = 1, dims[MRT_MAX_RANK] = {0};
    const int64_t *shape = mica_onnx_const_i64s(node, 1, &count);
    MICA_TRY(mica_onnx_finish(node));
    const bool live = mica_onnx_is_live(node, x);
    if (count > MRT_MAX_RANK) {
        return mica_onnx_error(node, "the shape has %" PRId64 " dimensions, at most %d are "
                                     "supported", count, MRT_MAX_RANK);
    }
    int open = -1;
    for (int i = 0; i < (int)count; i++) {
        dims[i] = shape[i];
        if (dims[i] == 0 && !allow_zero) {
            if (i >= in.rank) {
                return mica_onnx_error(node, "the shape copies dimension %d of an input of rank %d",
                                       i, in.rank);
            }
            dims[i] = live ? 0 : in.dims[i];
        }
        if (dims[i] < -1 || (dims[i] == -1 && open >= 0)) {
            return mica_onnx_error(node, "the shape has value %" PRId64 " on axis %d, expected 0 "
                                         "or more, and -1 once", dims[i], i);
        }
        open = dims[i] == -1 ? i : open;
        if (dims[i] >= 0 && __builtin_mul_overflow(known, dims[i], &known)) {
            return mica_onnx_error(node, "the shape is too large");
        }
    }
    const int64_t total = mrt_shape_count(&in);
    if (open >= 0 && !live) {
        dims[open] = known != 0 ? total / known : 0;
    }
    return mica_onnx_alias(node, 0, mica_onnx_reshape(node, NULL, x, (int)count, dims));
}

mica_status mica_onnx_convert_flatten(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    int64_t axis = mica_onnx_attr_i(node, "axis", 1);
    MICA_TRY(mica_onnx_finish(node));
    if (axis < -shape.rank || axis > shape.rank) {
        return mica_onnx_error(node, "axis %" PRId64 " is outside of rank %d, expected %d..%d",
                               axis, shape.rank, -shape.rank, shape.rank);
    }
    axis += axis < 0 ? shape.rank : 0;
    int64_t dims[] = {mrt_shape_range(&shape, 0, (int)axis),
                      mrt_shape_range(&shape, (int)axis, shape.rank)};
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dims[i] < 0) { /* depends on data */
            dims[i >= axis] = -1;
        }
    }
    return mica_onnx_alias(node, 0, mica_onnx_reshape(node, NULL, x, 2, dims));
}

/* Axes of Squeeze and Unsqueeze: attribute before opset 13, then input 1. */
static const int64_t *axes_list(mica_onnx_node *node, int64_t *out_count) {
    if (node->opset >= 13) {
        *out_count = 0;
        return mica_onnx_in_name(node, 1)[0] != '\0' ? mica_onnx_const_i64s(node, 1, out_count)
                                                     : NULL;
    }
    if (mica_onnx_n_in(node) > 1) {
        mica_onnx_error(node, "%zu inputs, expected 1 before opset 13", mica_onnx_n_in(node));
    }
    size_t n = 0;
    const int64_t *axes = mica_onnx_attr_ints(node, "axes", &n);
    *out_count = (int64_t)n;
    return axes;
}

mica_status mica_onnx_convert_squeeze(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    int64_t count = 0, dims[MRT_MAX_RANK] = {0};
    const int64_t *axes = axes_list(node, &count);
    const uint32_t set = mica_onnx_axes(node, axes, count, shape.rank);
    MICA_TRY(mica_onnx_finish(node));
    int rank = 0;
    for (int i = 0; i < shape.rank; i++) {
        const bool named = (set >> i & 1) != 0;
        if (named && shape.dims[i] < 0) {
            return mica_onnx_error(node, "axis %d has a size that depends on data, expected 1", i);
        }
        if (named && shape.dims[i] != 1) {
            return mica_onnx_error(node, "axis %d has size %" PRId64 ", expected 1", i,
                                   shape.dims[i]);
        }
        if (!named && (axes != NULL || shape.dims[i] != 1)) {
            dims[rank++] = shape.dims[i];
        }
    }
    return mica_onnx_alias(node, 0, mica_onnx_reshape(node, NULL, x, rank, dims));
}

mica_status mica_onnx_convert_unsqueeze(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    int64_t count = 0, dims[MRT_MAX_RANK] = {0};
    const int64_t *axes = axes_list(node, &count);
    MICA_TRY(mica_onnx_finish(node));
    if (axes == NULL) {
        return mica_onnx_error(node, "its axes are missing");
    }
    if (shape.rank + count > MRT_MAX_RANK) {
        return mica_onnx_error(node, "the result has rank %" PRId64 ", at most %d is supported",
                               shape.rank + count, MRT_MAX_RANK);
    }
    const int rank = shape.rank + (int)count;
    const uint32_t set = mica_onnx_axes(node, axes, count, rank);
    for (int i = 0, from = 0; i < rank && !node->failed; i++) {
        dims[i] = (set >> i & 1) != 0 ? 1 : shape.dims[from++];
    }
    return mica_onnx_alias(node, 0, mica_onnx_reshape(node, NULL, x, rank, dims));
}

/* --- order and joining ----------------------------------------------------------------------- */
mica_status mica_onnx_convert_transpose(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int rank = mica_onnx_shape(x).rank;
    size_t n = 0;
    const int64_t *perm = mica_onnx_attr_ints(node, "perm", &n);
    int64_t order[MRT_MAX_RANK] = {0};
    if (perm != NULL && (int)n != rank) {
        return mica_onnx_error(node, "attribute 'perm' has %zu values, expected %d", n, rank);
    }
    if (perm != NULL) {
        mica_onnx_axes(node, perm, rank, rank);
    }
    for (int i = 0; i < rank; i++) {
        order[i] = perm != NULL ? mica_onnx_axis(node, perm[i], rank) : rank - 1 - i;
    }
    return mica_onnx_alias(node, 0, mica_onnx_permute(node, NULL, x, order));
}

mica_status mica_onnx_convert_concat(mica_onnx_node *node) {
    const size_t n = mica_onnx_n_in(node);
    mica_value **parts = mica_arena_array(node->importer->arena, n, sizeof *parts);
    for (size_t i = 0; i < n; i++) {
        parts[i] = mica_onnx_in(node, i);
        if (parts[i] == NULL && !node->failed) {
            return mica_onnx_error(node, "input %zu is required, but absent", i);
        }
    }
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", 1),
                                    mica_onnx_shape(parts[0]).rank);
    MICA_TRY(mica_onnx_finish(node));
    if (n == 1) {
        return mica_onnx_alias(node, 0, parts[0]);
    }
    mica_op *op = mica_onnx_op(node, "top.Concat", NULL, parts, n, 1);
    mica_op_set_i64(op, "axis", axis);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* Sizes of the parts: attribute before opset 13, then input 1; or equal parts. */
static mica_status split_sizes(mica_onnx_node *node, int64_t size, int64_t *out, size_t n) {
    int64_t count = 0, total = 0;
    size_t n_attr = 0;
    const int64_t *given = NULL;
    if (node->opset < 13) {
        given = mica_onnx_attr_ints(node, "split", &n_attr);
        count = (int64_t)n_attr;
    } else if (mica_onnx_in_name(node, 1)[0] != '\0') {
        given = mica_onnx_const_i64s(node, 1, &count);
    }
    MICA_TRY(mica_onnx_finish(node));
    if (given != NULL && count != (int64_t)n) {
        return mica_onnx_error(node, "%" PRId64 " sizes for %zu outputs", count, n);
    }
    /* Equal parts; since opset 18 the last one may be smaller. */
    const int64_t each = (size + (int64_t)n - 1) / (int64_t)n;
    if (given == NULL && node->opset < 18 && size % (int64_t)n != 0) {
        return mica_onnx_error(node, "%" PRId64 " elements cannot be split into %zu equal parts",
                               size, n);
    }
    for (size_t i = 0; i < n; i++) {
        const int64_t left = size - total;
        out[i] = given != NULL ? given[i] : each < left ? each : left;
        if (out[i] < 0 || out[i] > left) {
            return mica_onnx_error(node, "part %zu has size %" PRId64 ", %" PRId64
                                         " elements are left", i, out[i], left);
        }
        total += out[i];
    }
    if (total != size) {
        return mica_onnx_error(node, "the parts have %" PRId64 " elements in all, expected "
                                     "%" PRId64, total, size);
    }
    return MICA_OK;
}

mica_status mica_onnx_convert_split(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const mrt_shape shape = mica_onnx_shape(x);
    const int axis = mica_onnx_axis(node, mica_onnx_attr_i(node, "axis", 0), shape.rank);
    const size_t n = mica_onnx_n_out(node);
    const int64_t asked = mica_onnx_attr_i(node, "num_outputs", (int64_t)n);
    MICA_TRY(mica_onnx_finish(node));
    if (asked != (int64_t)n) {
        return mica_onnx_error(node, "attribute 'num_outputs' has value %" PRId64 ", the node has "
                                     "%zu outputs", asked, n);
    }
    if (shape.dims[axis] < 0) {
        return mica_onnx_error(node, "axis %d, which it cuts, has a size that depends on data; cut "
                                     "the model before it with output_names", axis);
    }
    int64_t *sizes = mica_arena_array(node->importer->arena, n, sizeof *sizes);
    MICA_TRY(split_sizes(node, shape.dims[axis], sizes, n));
    if (n == 1) {
        return mica_onnx_alias(node, 0, x);
    }
    mica_op *op = mica_onnx_op(node, "top.Split", NULL, &x, 1, n);
    mica_value **parts = mica_arena_array(node->importer->arena, n, sizeof *parts);
    mica_op_set_i64(op, "axis", axis);
    mica_op_set_i64s(op, "split_size", sizes, n);
    MICA_TRY(mica_onnx_done_all(node, op, parts));
    for (size_t i = 0; i < n; i++) {
        mica_onnx_bind(node, i, parts[i]);
    }
    return mica_onnx_finish(node);
}

mica_status mica_onnx_convert_depth_to_space(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int64_t block = mica_onnx_attr_i(node, "blocksize", 0);
    const char *mode = mica_onnx_attr_choice(node, "mode", "DCR", "DCR|CRD");
    mica_op *op = mica_onnx_op(node, "top.Depth2Space", NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_i64(op, "block", block);
    mica_op_set_str(op, "mode", mode);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_status mica_onnx_convert_space_to_depth(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    const int64_t block = mica_onnx_attr_i(node, "blocksize", 0);
    const char *mode = mica_onnx_attr_choice(node, "mode", "DCR", "DCR|CRD");
    mica_op *op = mica_onnx_op(node, "top.Space2Depth", NULL, &x, 1, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_str(op, "mode", mode);
    mica_op_set_i64(op, "block", block);
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}
