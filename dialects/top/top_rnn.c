/* LSTM, GRU and RNN by the rules of ONNX. */
#include "dialects/hooks.h"
#include "dialects/plan_util.h"

#include <string.h>

/* What differs between the three. Default activations are those of ONNX, per direction. */
typedef struct rnn_kind {
    const char *name; /* without dialect */
    int gates, functions;
    uint16_t kernel;
    const char *activations[3];
} rnn_kind;

static const rnn_kind kinds[] = {
    {"LSTM", 4, 3, MRT_K_lstm_f32, {"Sigmoid", "Tanh", "Tanh"}},
    {"GRU", 3, 2, MRT_K_gru_f32, {"Sigmoid", "Tanh", NULL}},
    {"RNN", 1, 1, MRT_K_rnn_f32, {"Tanh", NULL, NULL}},
};

static const char directions[] = "forward|reverse|bidirectional"; /* in the order of MRT_RNN_* */

/* Every caller is the hook of one of the kinds. */
static const rnn_kind *kind_of(const mica_op *op) {
    const rnn_kind *kind = kinds;
    while (strcmp(kind->name, op->name + 4) != 0) {
        kind++;
    }
    return kind;
}

static int direction_of(const mica_op *op) {
    return mica_choice_index(directions, mica_op_str(op, "direction"));
}

static int direction_count(const mica_op *op) {
    return direction_of(op) == MRT_RNN_BIDIRECTIONAL ? 2 : 1;
}

/* --- activations ------------------------------------------------------------------------------ */

/* ONNX function, runtime code, and the defaults of its parameters. Only functions with parameters
 * consume values of activation_alpha and activation_beta. */
typedef struct rnn_function {
    const char *name;
    int code, parameters;
    double alpha, beta;
} rnn_function;

static const rnn_function functions[] = {
    {"Sigmoid", MRT_UNARY_SIGMOID, 0, 0, 0},
    {"Tanh", MRT_UNARY_TANH, 0, 0, 0},
    {"Relu", MRT_UNARY_RELU, 0, 0, -1},
    {"LeakyRelu", MRT_UNARY_LEAKY_RELU, 1, 0.01, 0},
    {"ThresholdedRelu", MRT_UNARY_THRESHOLDED_RELU, 1, 1, 0},
    {"HardSigmoid", MRT_UNARY_HARD_SIGMOID, 2, 0.2, 0.5},
    {"Elu", MRT_UNARY_ELU, 1, 1, 0},
    {"Softsign", MRT_UNARY_SOFTSIGN, 0, 0, 0},
    {"Softplus", MRT_UNARY_SOFTPLUS, 0, 0, 0},
};

static const rnn_function *find_function(const char *name, size_t length) {
    for (size_t i = 0; i < MICA_COUNT(functions); i++) {
        if (strlen(functions[i].name) == length &&
            strncasecmp(functions[i].name, name, length) == 0) {
            return &functions[i];
        }
    }
    return NULL;
}

/* The functions of all directions, functions-per-direction each. */
static mica_status read_functions(const mica_op *op, const rnn_function *out[6], int *out_count) {
    const rnn_kind *kind = kind_of(op);
    const int count = kind->functions * direction_count(op);
    const char *list = mica_op_str(op, "activations");
    int given = 0;
    for (const char *at = list; *at && given < 6;) {
        const size_t length = strcspn(at, ",");
        out[given] = find_function(at, length);
        if (!out[given]) {
            return mica_op_error(op, "has unsupported activation \"%.*s\"", (int)length, at);
        }
        given++;
        at += length + (at[length] == ',');
    }
    if (given == 0) {
        for (int i = 0; i < count; i++) {
            const char *name = kind->activations[i % kind->functions];
            out[i] = find_function(name, strlen(name));
        }
    } else if (given != count) {
        return mica_op_error(op, "expects %d names in attribute 'activations', got \"%s\"", count,
                             list);
    }
    *out_count = count;
    return MICA_OK;
}

/* --- checks and shapes ------------------------------------------------------------------------ */

static mica_status check_shape(const mica_op *op, uint32_t i, const mica_shape *expected) {
    mica_shape s;
    if (i < op->n_operands && mica_operand_shape(op, i, &s) && !mica_shapes_equal(&s, expected)) {
        return mica_op_error(op, "expects %s of shape %s, got %s", op->info->operands[i].name,
                             mica_shape_text(expected).text, mica_shape_text(&s).text);
    }
    return MICA_OK;
}

mica_status mica_verify_rnn(const mica_op *op) {
    const rnn_function *list[6];
    int count;
    MICA_TRY(read_functions(op, list, &count));
    const int64_t hidden = mica_op_i64(op, "hidden_size"), layout = mica_op_i64(op, "layout");
    if (hidden < 1 || hidden > INT32_MAX) {
        return mica_op_error(op, "expects attribute 'hidden_size' of at least 1, got %" PRId64,
                             hidden);
    }
    if (layout != 0 && layout != 1) {
        return mica_op_error(op, "expects attribute 'layout' of 0 or 1, got %" PRId64, layout);
    }
    mica_shape x;
    if (!mica_operand_shape(op, 0, &x)) {
        return MICA_OK;
    }
    if (x.rank != 3) {
        return mica_op_error(op, "expects input of rank 3, got %d", x.rank);
    }
    const int64_t directions_n = direction_count(op), gates = kind_of(op)->gates;
    const int64_t batch = x.dims[layout == 0 ? 1 : 0];
    const mica_shape filter = {3, {directions_n, gates * hidden, x.dims[2]}};
    const mica_shape recurrence = {3, {directions_n, gates * hidden, hidden}};
    const mica_shape bias = {2, {directions_n, 2 * gates * hidden}};
    const mica_shape lengths = {1, {batch}};
    const mica_shape state = layout == 0 ? (mica_shape){3, {directions_n, batch, hidden}}
                                         : (mica_shape){3, {batch, directions_n, hidden}};
    const mica_shape peepholes = {2, {directions_n, 3 * hidden}};
    MICA_TRY(check_shape(op, 1, &filter));
    MICA_TRY(check_shape(op, 2, &recurrence));
    MICA_TRY(check_shape(op, 3, &bias));
    MICA_TRY(check_shape(op, 4, &lengths));
    MICA_TRY(check_shape(op, 5, &state));
    MICA_TRY(check_shape(op, 6, &state));
    return check_shape(op, 7, &peepholes);
}

mica_status mica_infer_rnn(const mica_op *op, mica_type *out_results) {
    mica_shape x;
    MICA_TRY(mica_verify_rnn(op));
    if (!mica_operand_shape(op, 0, &x)) {
        return mica_infer_unranked(op, out_results);
    }
    const int64_t d = direction_count(op), h = mica_op_i64(op, "hidden_size");
    const bool time_first = mica_op_i64(op, "layout") == 0;
    const mica_shape y = time_first ? (mica_shape){4, {x.dims[0], d, x.dims[1], h}}
                                    : (mica_shape){4, {x.dims[0], x.dims[1], d, h}};
    const mica_shape state = time_first ? (mica_shape){3, {d, x.dims[1], h}}
                                        : (mica_shape){3, {x.dims[0], d, h}};
    const mica_type element = mica_result_element(op, mica_op_operand(op, 0));
    for (uint32_t i = 0; i < op->n_results; i++) {
        MICA_TRY(mica_infer_shape_result(op, i == 0 ? &y : &state, element, out_results + i));
    }
    return MICA_OK;
}

/* --- plan ------------------------------------------------------------------------------------- */

static mica_status plan(const mica_op *op, mica_planner *planner) {
    const rnn_function *list[6];
    int count;
    MICA_TRY(read_functions(op, list, &count));
    mrt_rnn_params params = {.hidden = mica_op_i64(op, "hidden_size"),
                             .direction = direction_of(op),
                             .layout = mica_op_i64(op, "layout"),
                             .clip = mica_op_f64(op, "clip"),
                             .float_order = mica_planner_float_order(planner)};
    size_t n_alpha, n_beta, alpha_at = 0, beta_at = 0;
    const double *alpha = mica_op_f64s(op, "activation_alpha", &n_alpha);
    const double *beta = mica_op_f64s(op, "activation_beta", &n_beta);
    for (int i = 0; i < count; i++) {
        const rnn_function *f = list[i];
        params.activation[i] = f->code;
        params.alpha[i] = f->parameters > 0 && alpha_at < n_alpha ? alpha[alpha_at++] : f->alpha;
        params.beta[i] = f->parameters > 1 && beta_at < n_beta ? beta[beta_at++] : f->beta;
    }
    const rnn_kind *kind = kind_of(op);
    if (kind->kernel == MRT_K_lstm_f32) {
        params.input_forget = mica_op_bool(op, "input_forget");
    } else if (kind->kernel == MRT_K_gru_f32) {
        params.linear_before_reset = mica_op_bool(op, "linear_before_reset");
    }
    return mica_planner_step(planner, op, kind->kernel, &params);
}

mica_status mica_plan_lstm(const mica_op *op, mica_planner *planner) {
    return plan(op, planner);
}

mica_status mica_plan_gru(const mica_op *op, mica_planner *planner) {
    return plan(op, planner);
}

mica_status mica_plan_rnn(const mica_op *op, mica_planner *planner) {
    return plan(op, planner);
}
