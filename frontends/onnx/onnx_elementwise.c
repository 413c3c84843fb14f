/* Element-wise operators. */
#include "frontends/onnx/onnx_internal.h"

#include "utils/strings.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Detail "top.Op:a,b": attributes a and b of the node are alpha and beta of the op. */
mica_status mica_onnx_convert_unary(mica_onnx_node *node) {
    static const char *const targets[] = {"alpha", "beta"};
    size_t n_parts = 0, n_names = 0;
    mica_arena *arena = node->importer->arena;
    char **parts = mica_split(arena, node->row->detail, ':', &n_parts);
    char **names = n_parts > 1 ? mica_split(arena, parts[1], ',', &n_names) : NULL;
    mica_value *x = mica_onnx_in(node, 0);
    mica_op *op = mica_onnx_op(node, parts[0], NULL, &x, 1, 1);
    for (size_t i = 0; i < n_names && i < MICA_COUNT(targets); i++) {
        const double value = mica_onnx_attr_f(node, names[i], 0.0);
        if (op != NULL && mica_onnx_has_attr(node, names[i])) {
            mica_op_set_f64(op, targets[i], value);
        }
    }
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

mica_value *mica_onnx_activate(mica_onnx_node *node, const char *name, mica_value *x,
                               const double *params, size_t n_params) {
    static const struct {
        const char *name, *op;
        const char *params[2];
    } table[] = {{"Relu", "top.Relu", {NULL}},
                 {"Sigmoid", "top.Sigmoid", {NULL}},
                 {"Tanh", "top.Tanh", {NULL}},
                 {"Softplus", "top.Softplus", {NULL}},
                 {"Softsign", "top.Softsign", {NULL}},
                 {"HardSwish", "top.HardSwish", {NULL}},
                 {"LeakyRelu", "top.LeakyRelu", {"alpha"}},
                 {"Elu", "top.Elu", {"alpha"}},
                 {"ThresholdedRelu", "top.ThresholdedRelu", {"alpha"}},
                 {"HardSigmoid", "top.HardSigmoid", {"alpha", "beta"}},
                 {"Clip", "top.Clip", {"min", "max"}}};
    const char *known = "";
    if (node->failed || name[0] == '\0') {
        return node->failed ? NULL : x;
    }
    for (size_t i = 0; i < MICA_COUNT(table); i++) {
        known = mica_arena_printf(node->importer->arena, "%s%s%s", known, i > 0 ? ", " : "",
                                  table[i].name);
        if (strcmp(table[i].name, name) != 0) {
            continue;
        }
        mica_op *op = mica_onnx_op(node, table[i].op, NULL, &x, 1, 1);
        for (size_t k = 0; k < n_params; k++) {
            if (k >= MICA_COUNT(table[i].params) || table[i].params[k] == NULL) {
                mica_onnx_error(node, "%zu parameters of the activation %s, expected %zu", n_params,
                                name, k);
                return NULL;
            }
            mica_op_set_f64(op, table[i].params[k], params[k]);
        }
        return mica_onnx_done(node, op);
    }
    mica_onnx_error(node, "attribute 'activation' has value '%s', expected one of %s", name, known);
    return NULL;
}

mica_status mica_onnx_convert_gelu(mica_onnx_node *node) {
    const char *approximate =
        mica_onnx_attr_choice(node, "approximate", "none", "none|tanh");
    const char *op = strcmp(approximate, "tanh") == 0 ? "top.GELUTanh" : "top.GELU";
    return mica_onnx_alias(node, 0, mica_onnx_unary(node, op, NULL, mica_onnx_in(node, 0)));
}

mica_status mica_onnx_convert_swiglu(mica_onnx_node *node) {
    mica_value *gate = mica_onnx_in(node, 0);
    const double alpha = mica_onnx_attr_f(node, "alpha", 1.0);
    mica_op *op = mica_onnx_op(node, "top.SiLU", "gate", &gate, 1, 1);
    if (op != NULL) {
        mica_op_set_f64(op, "alpha", alpha);
    }
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, "top.Mul", NULL,
                                                     mica_onnx_done(node, op),
                                                     mica_onnx_in(node, 1)));
}

mica_status mica_onnx_convert_is_nan(mica_onnx_node *node) {
    return mica_onnx_alias(node, 0,
                           mica_onnx_unary(node, "top.IsNaN", NULL, mica_onnx_in(node, 0)));
}

mica_status mica_onnx_convert_is_inf(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    mica_op *op = mica_onnx_op(node, "top.IsInf", NULL, &x, 1, 1);
    const bool negative = mica_onnx_attr_bool(node, "detect_negative", true);
    const bool positive = mica_onnx_attr_bool(node, "detect_positive", true);
    if (op != NULL) {
        mica_op_set_bool(op, "detect_negative", negative);
        mica_op_set_bool(op, "detect_positive", positive);
    }
    return mica_onnx_alias(node, 0, mica_onnx_done(node, op));
}

/* --- clip ------------------------------------------------------------------------------------ */
/* A bound of opset 11 and later: absent, a constant, or a tensor. */
static bool constant_bound(mica_onnx_node *node, size_t i, const double **out, double *room) {
    mica_value *value = mica_onnx_in(node, i);
    *out = NULL;
    if (value == NULL) {
        return true;
    }
    /* Integers beyond 2^53 would lose digits as attributes. */
    if (!mica_weight_scalar(value, room) ||
        (!mica_onnx_is_float(value) && fabs(*room) >= 0x1p53)) {
        return false;
    }
    *out = isinf(*room) ? NULL : room;
    return true;
}

static mica_status clip_by_inputs(mica_onnx_node *node, mica_value *x) {
    double low = 0.0, high = 0.0;
    const double *min = NULL, *max = NULL;
    if (constant_bound(node, 1, &min, &low) && constant_bound(node, 2, &max, &high)) {
        return mica_onnx_alias(node, 0, min == NULL && max == NULL
                                            ? x
                                            : mica_onnx_clip(node, NULL, x, min, max));
    }
    mica_value *a = mica_onnx_in(node, 1), *b = mica_onnx_in(node, 2);
    if (a != NULL) {
        x = mica_onnx_binary(node, "top.Max", b != NULL ? "max" : NULL, x, a);
    }
    if (b != NULL) {
        x = mica_onnx_binary(node, "top.Min", NULL, x, b);
    }
    return mica_onnx_alias(node, 0, x);
}

mica_status mica_onnx_convert_clip(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0);
    if (node->opset >= 11) {
        return clip_by_inputs(node, x);
    }
    if (mica_onnx_n_in(node) > 1) {
        return mica_onnx_error(node, "%zu inputs, expected 1 before opset 11",
                               mica_onnx_n_in(node));
    }
    /* The default bounds are the ends of the f32 range: no bounds. */
    const double limit = 3.4028234663852886e+38;
    const double min = mica_onnx_attr_f(node, "min", -limit);
    const double max = mica_onnx_attr_f(node, "max", limit);
    if (min <= -limit && max >= limit) {
        return mica_onnx_alias(node, 0, x);
    }
    return mica_onnx_alias(node, 0, mica_onnx_clip(node, NULL, x, min > -limit ? &min : NULL,
                                                   max < limit ? &max : NULL));
}

/* --- two operands ---------------------------------------------------------------------------- */
/* Before opset 7 the second operand was aligned with axis `axis` of the first, when `broadcast`
 * said so; a slope of PRelu always with the channels. */
static mica_value *old_alignment(mica_onnx_node *node, mica_value *a, mica_value *b) {
    const mrt_shape whole = mica_onnx_shape(a), part = mica_onnx_shape(b);
    const bool slope = strcmp(node->row->detail, "top.PRelu") == 0;
    int64_t axis = mica_onnx_attr_i(node, "axis", slope ? 1 : whole.rank - part.rank);
    const bool broadcast = slope || mica_onnx_attr_bool(node, "broadcast", false);
    if (!broadcast || mrt_shape_count(&part) == 1 || part.rank == whole.rank) {
        return b;
    }
    axis += axis < 0 ? whole.rank : 0;
    int64_t dims[MRT_MAX_RANK];
    if (axis < 0 || axis + part.rank > whole.rank) {
        mica_onnx_error(node, "attribute 'axis' has value %" PRId64 " for ranks %d and %d", axis,
                        whole.rank, part.rank);
        return NULL;
    }
    for (int i = 0; i < whole.rank; i++) {
        dims[i] = i >= axis && i < axis + part.rank ? part.dims[i - axis] : 1;
    }
    return mica_onnx_reshape(node, "aligned", b, whole.rank, dims);
}

mica_status mica_onnx_convert_binary(mica_onnx_node *node) {
    mica_value *a = mica_onnx_in(node, 0), *b = mica_onnx_in(node, 1);
    b = node->opset < 7 ? old_alignment(node, a, b) : b;
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, node->row->detail, NULL, a, b));
}

mica_status mica_onnx_convert_bit_shift(mica_onnx_node *node) {
    const char *direction = mica_onnx_attr_choice(node, "direction", "", "LEFT|RIGHT");
    const char *op = strcmp(direction, "LEFT") == 0 ? "top.ShiftLeft" : "top.ShiftRight";
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, op, NULL, mica_onnx_in(node, 0),
                                                     mica_onnx_in(node, 1)));
}

mica_status mica_onnx_convert_mod(mica_onnx_node *node) {
    const bool fmod_rule = mica_onnx_attr_bool(node, "fmod", false);
    mica_value *a = mica_onnx_in(node, 0), *b = mica_onnx_in(node, 1);
    if (!fmod_rule && mica_onnx_is_float(a) && node->opset < 28) {
        return mica_onnx_error(node, "attribute 'fmod' has value 0, expected 1 for floats");
    }
    return mica_onnx_alias(node, 0, mica_onnx_binary(node, fmod_rule ? "top.FMod" : "top.Mod", NULL,
                                                     a, b));
}

/* The exponent may be of another type; the result has the type of the base. */
mica_status mica_onnx_convert_pow(mica_onnx_node *node) {
    mica_value *x = mica_onnx_in(node, 0), *y = mica_onnx_in(node, 1);
    const mrt_dtype type = mica_onnx_type(x);
    y = node->opset < 7 ? old_alignment(node, x, y) : y;
    if (mica_onnx_type(y) == type) {
        return mica_onnx_alias(node, 0, mica_onnx_binary(node, "top.Pow", NULL, x, y));
    }
    if (mica_onnx_is_float(x) || !mica_onnx_is_float(y)) {
        y = mica_onnx_cast(node, "exponent", y, type);
        return mica_onnx_alias(node, 0, mica_onnx_binary(node, "top.Pow", NULL, x, y));
    }
    x = mica_onnx_cast(node, "base", x, mica_onnx_type(y));
    x = mica_onnx_binary(node, "top.Pow", "pow", x, y);
    return mica_onnx_alias(node, 0, mica_onnx_cast(node, NULL, x, type));
}

/* --- any number of operands ------------------------------------------------------------------ */
/* Joins all inputs; the last op has the suffix. */
static mica_value *chain(mica_onnx_node *node, const char *op, const char *suffix) {
    const size_t n = mica_onnx_n_in(node);
    mica_value *sum = mica_onnx_in(node, 0);
    for (size_t i = 1; i < n && !node->failed; i++) {
        const char *name = mica_arena_printf(node->importer->arena, "part%zu", i);
        sum = mica_onnx_binary(node, op, i + 1 < n ? name : suffix, sum, mica_onnx_in(node, i));
    }
    return sum;
}

mica_status mica_onnx_convert_variadic(mica_onnx_node *node) {
    return mica_onnx_alias(node, 0, chain(node, node->row->detail, NULL));
}

mica_status mica_onnx_convert_mean(mica_onnx_node *node) {
    const size_t n = mica_onnx_n_in(node);
    mica_value *sum = chain(node, "top.Add", "sum");
    if (n > 1) {
        mica_value *count = mica_onnx_scalar_like(node, "count", sum, (double)n);
        sum = mica_onnx_binary(node, "top.Div", NULL, sum, count);
    }
    return mica_onnx_alias(node, 0, sum);
}

mica_status mica_onnx_convert_where(mica_onnx_node *node) {
    return mica_onnx_alias(node, 0,
                           mica_onnx_where(node, NULL, mica_onnx_in(node, 0),
                                           mica_onnx_in(node, 1), mica_onnx_in(node, 2)));
}
