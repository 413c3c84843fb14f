/* What training steps need, written with ordinary ops: batch normalization with the statistics of
 * the batch, and the optimizers of ai.onnx.preview.training. */
#include "frontends/onnx/onnx_internal.h"

/* --- small expressions ------------------------------------------------------------------------ */
/* Names of intermediate tensors end with the number of the tensor that is updated. */
static const char *part(mica_onnx_node *node, const char *name, size_t k) {
    return mica_arena_printf(node->importer->arena, "%s%zu", name, k);
}

static mica_value *scaled(mica_onnx_node *node, const char *suffix, mica_value *x, double factor) {
    mica_value *f = mica_onnx_scalar_like(node, "factor", x, factor);
    return mica_onnx_binary(node, "top.Mul", suffix, x, f);
}

static mica_value *plus(mica_onnx_node *node, const char *suffix, mica_value *x, double addend) {
    mica_value *a = mica_onnx_scalar_like(node, "addend", x, addend);
    return mica_onnx_binary(node, "top.Add", suffix, x, a);
}

/* a * fa + b * fb. */
static mica_value *mixed(mica_onnx_node *node, const char *suffix, const char *name, mica_value *a,
                         double fa, mica_value *b, double fb) {
    mica_arena *arena = node->importer->arena;
    mica_value *x = scaled(node, mica_arena_printf(arena, "%s_old", name), a, fa);
    mica_value *y = scaled(node, mica_arena_printf(arena, "%s_new", name), b, fb);
    return mica_onnx_binary(node, "top.Add", suffix, x, y);
}

/* --- batch normalization ---------------------------------------------------------------------- */
static mica_value *mean_of(mica_onnx_node *node, const char *suffix, mica_value *x, bool keep) {
    const int rank = mica_onnx_shape(x).rank;
    return mica_onnx_reduce(node, suffix, x, "ReduceMean", ((1u << rank) - 1) & ~2u, keep);
}

mica_status mica_onnx_batch_norm_training(mica_onnx_node *node, mica_value *const *operands,
                                          double eps, double momentum) {
    mica_value *x = operands[0];
    if (mica_onnx_shape(x).rank < 2) {
        return mica_onnx_error(node, "input 0 has rank %d, expected 2 or more",
                               mica_onnx_shape(x).rank);
    }
    mica_value *mean = mean_of(node, "mean", x, false);
    mica_value *centred =
        mica_onnx_binary(node, "top.Sub", "centred", x, mean_of(node, "mean_kept", x, true));
    mica_value *square = mica_onnx_binary(node, "top.Mul", "square", centred, centred);
    mica_value *variance = mean_of(node, "variance", square, false);
    mica_value *all[] = {x, operands[1], operands[2], mean, variance};
    mica_op *op = mica_onnx_op(node, "top.BatchNorm", NULL, all, 5, 1);
    MICA_TRY(mica_onnx_finish(node));
    mica_op_set_f64(op, "eps", eps);
    mica_onnx_bind(node, 0, mica_onnx_done(node, op));
    for (size_t i = 1; i < 3 && mica_onnx_has_out(node, i); i++) {
        node->primary = i;
        mica_onnx_bind(node, i, mixed(node, NULL, part(node, "running", i), operands[2 + i],
                                      momentum, all[2 + i], 1.0 - momentum));
    }
    return mica_onnx_finish(node);
}

/* --- optimizers ------------------------------------------------------------------------------- */
/* Inputs are R (rate), T (count of updates), then all X, all gradients, all first states, ...;
 * outputs all new X, all new first states, ... */
typedef struct update {
    mica_onnx_node *node;
    size_t count, k;          /* tensors, the one that is updated now */
    mica_value *rate, *steps; /* R and T */
    mica_value *x, *gradient; /* gradient with the norm's part */
} update;

static mica_status start(mica_onnx_node *node, size_t states, update *out) {
    const size_t n_in = mica_onnx_n_in(node), n_out = mica_onnx_n_out(node);
    const size_t count = (n_in - 2) / (2 + states);
    if (count < 1 || n_in != 2 + count * (2 + states) || n_out != count * (1 + states)) {
        return mica_onnx_error(node, "%zu inputs and %zu outputs, expected 2 + %zu n and %zu n for n "
                                     "tensors", n_in, n_out, 2 + states, 1 + states);
    }
    *out = (update){.node = node, .count = count, .rate = mica_onnx_in(node, 0),
                    .steps = mica_onnx_in(node, 1)};
    for (size_t i = 2; i < n_in; i++) {
        const mica_value *value = mica_onnx_in(node, i);
        MICA_TRY(mica_onnx_finish(node));
        const mica_value *x = mica_onnx_in(node, 2 + (i - 2) % count);
        if (value == NULL || value->type != x->type) {
            return mica_onnx_error(node, "input %zu ('%s') is %s, expected %s", i,
                                   mica_onnx_in_name(node, i),
                                   value != NULL ? mica_type_text(value->type) : "absent",
                                   mica_type_text(x->type));
        }
    }
    /* A single number: the shapes [] and [1] are both in use, and must not widen the results. */
    for (size_t i = 0; i < 2; i++) {
        mica_value **value = i == 0 ? &out->rate : &out->steps;
        const mrt_shape shape = mica_onnx_shape(*value);
        if (mrt_shape_count(&shape) != 1) {
            return mica_onnx_error(node, "input %zu ('%s') is no single number", i,
                                   mica_onnx_in_name(node, i));
        }
        *value = mica_onnx_reshape(node, i == 0 ? "rate" : "steps", *value, 0, (int64_t[1]){0});
    }
    return mica_onnx_finish(node);
}

/* State s of the tensor. */
static mica_value *state(const update *u, size_t s) {
    return mica_onnx_in(u->node, 2 + (2 + s) * u->count + u->k);
}

static void take(update *u, size_t k, double norm) {
    mica_onnx_node *node = u->node;
    u->k = k;
    u->x = mica_onnx_in(node, 2 + k);
    mica_value *gradient = mica_onnx_in(node, 2 + u->count + k);
    u->gradient = mica_onnx_binary(node, "top.Add", part(node, "gradient", k),
                                   scaled(node, part(node, "norm", k), u->x, norm), gradient);
}

/* Binds new X (s = 0) or new state s - 1. The value has the name of a helper until then. */
static void give(const update *u, size_t s, mica_value *value) {
    mica_onnx_bind(u->node, s * u->count + u->k, value);
}

/* X - rate * direction. */
static mica_value *stepped(const update *u, mica_value *rate, mica_value *direction) {
    mica_onnx_node *node = u->node;
    mica_value *step = mica_onnx_binary(node, "top.Mul", part(node, "step", u->k), rate, direction);
    return mica_onnx_binary(node, "top.Sub", part(node, "new", u->k), u->x, step);
}

static mica_value *square_of(const update *u) {
    return mica_onnx_binary(u->node, "top.Mul", part(u->node, "square", u->k), u->gradient,
                            u->gradient);
}

/* gradient / (sqrt(h) + epsilon). */
static mica_value *divided(const update *u, mica_value *gradient, mica_value *h, double epsilon) {
    mica_onnx_node *node = u->node;
    mica_value *root = mica_onnx_unary(node, "top.Sqrt", part(node, "root", u->k), h);
    root = plus(node, part(node, "divisor", u->k), root, epsilon);
    return mica_onnx_binary(node, "top.Div", part(node, "direction", u->k), gradient, root);
}

mica_status mica_onnx_convert_adagrad(mica_onnx_node *node) {
    const double decay = mica_onnx_attr_f(node, "decay_factor", 0.0);
    const double epsilon = mica_onnx_attr_f(node, "epsilon", 1e-6);
    const double norm = mica_onnx_attr_f(node, "norm_coefficient", 0.0);
    update u;
    MICA_TRY(start(node, 1, &u));
    mica_value *steps = mica_onnx_cast(node, "steps_real", u.steps, mica_onnx_type(u.rate));
    mica_value *slower = plus(node, "slower", scaled(node, "decay", steps, decay), 1.0);
    mica_value *rate = mica_onnx_binary(node, "top.Div", "decayed_rate", u.rate, slower);
    for (size_t k = 0; k < u.count && !node->failed; k++) {
        take(&u, k, norm);
        mica_value *h = mica_onnx_binary(node, "top.Add", part(node, "squares", k), state(&u, 0),
                                         square_of(&u));
        give(&u, 0, stepped(&u, rate, divided(&u, u.gradient, h, epsilon)));
        give(&u, 1, h);
    }
    return mica_onnx_finish(node);
}

/* R * sqrt(1 - beta^T) / (1 - alpha^T), or R for T = 0. */
static mica_value *adam_rate(const update *u, double alpha, double beta) {
    mica_onnx_node *node = u->node;
    mica_value *steps = mica_onnx_cast(node, "steps_real", u->steps, mica_onnx_type(u->rate));
    mica_value *rest[2];
    for (size_t i = 0; i < 2; i++) {
        mica_value *base = mica_onnx_scalar_like(node, "base", u->rate, i == 0 ? alpha : beta);
        mica_value *power = mica_onnx_binary(node, "top.Pow", part(node, "power", i), base, steps);
        power = scaled(node, part(node, "negative", i), power, -1.0);
        rest[i] = plus(node, part(node, "rest", i), power, 1.0);
    }
    mica_value *root = mica_onnx_unary(node, "top.Sqrt", "rate_root", rest[1]);
    mica_value *factor = mica_onnx_binary(node, "top.Div", "rate_factor", root, rest[0]);
    mica_value *rate = mica_onnx_binary(node, "top.Mul", "adjusted_rate", u->rate, factor);
    mica_value *zero = mica_onnx_scalar_like(node, "zero", u->steps, 0.0);
    mica_value *later = mica_onnx_binary(node, "top.Greater", "later", u->steps, zero);
    return mica_onnx_where(node, "chosen_rate", later, rate, u->rate);
}

mica_status mica_onnx_convert_adam(mica_onnx_node *node) {
    const double alpha = mica_onnx_attr_f(node, "alpha", (double)0.9f);
    const double beta = mica_onnx_attr_f(node, "beta", (double)0.999f);
    const double epsilon = mica_onnx_attr_f(node, "epsilon", 1e-6);
    const double norm = mica_onnx_attr_f(node, "norm_coefficient", 0.0);
    const double post = mica_onnx_attr_f(node, "norm_coefficient_post", 0.0);
    update u;
    MICA_TRY(start(node, 2, &u));
    mica_value *rate = adam_rate(&u, alpha, beta);
    for (size_t k = 0; k < u.count && !node->failed; k++) {
        take(&u, k, norm);
        mica_value *v = mixed(node, part(node, "momentum", k), part(node, "v", k), state(&u, 0),
                              alpha, u.gradient, 1.0 - alpha);
        mica_value *h = mixed(node, part(node, "squares", k), part(node, "h", k), state(&u, 1),
                              beta, square_of(&u), 1.0 - beta);
        mica_value *x = stepped(&u, rate, divided(&u, v, h, epsilon));
        give(&u, 0, post != 0.0 ? scaled(node, part(node, "post", k), x, 1.0 - post) : x);
        give(&u, 1, v);
        give(&u, 2, h);
    }
    return mica_onnx_finish(node);
}

/* The gradient counts in full in the first update. */
static mica_value *momentum_weight(const update *u, double beta) {
    mica_onnx_node *node = u->node;
    mica_value *zero = mica_onnx_scalar_like(node, "zero", u->steps, 0.0);
    mica_value *later = mica_onnx_binary(node, "top.Greater", "later", u->steps, zero);
    mica_value *usual = mica_onnx_scalar_like(node, "beta", u->rate, beta);
    mica_value *first = mica_onnx_scalar_like(node, "one", u->rate, 1.0);
    return mica_onnx_where(node, "weight", later, usual, first);
}

mica_status mica_onnx_convert_momentum(mica_onnx_node *node) {
    const double alpha = mica_onnx_attr_f(node, "alpha", 0.0);
    const double beta = mica_onnx_attr_f(node, "beta", 0.0);
    const double norm = mica_onnx_attr_f(node, "norm_coefficient", 0.0);
    const char *mode = mica_onnx_attr_choice(node, "mode", "standard", "standard|nesterov");
    update u;
    MICA_TRY(start(node, 1, &u));
    mica_value *weight = momentum_weight(&u, beta);
    for (size_t k = 0; k < u.count && !node->failed; k++) {
        take(&u, k, norm);
        mica_value *old = scaled(node, part(node, "old", k), state(&u, 0), alpha);
        mica_value *fresh =
            mica_onnx_binary(node, "top.Mul", part(node, "fresh", k), weight, u.gradient);
        mica_value *v = mica_onnx_binary(node, "top.Add", part(node, "momentum", k), old, fresh);
        mica_value *direction = v;
        if (mode[0] == 'n') {
            direction = scaled(node, part(node, "ahead", k), v, alpha);
            direction = mica_onnx_binary(node, "top.Add", part(node, "direction", k), u.gradient,
                                         direction);
        }
        give(&u, 0, stepped(&u, u.rate, direction));
        give(&u, 1, v);
    }
    return mica_onnx_finish(node);
}
