/* LSTM, GRU, RNN. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

static void set_activations(mica_onnx_node *node, mica_op *op) {
    size_t n = 0, n_alpha = 0, n_beta = 0;
    const char *const *names = mica_onnx_attr_strings(node, "activations", &n);
    const double *alpha = mica_onnx_attr_floats(node, "activation_alpha", &n_alpha);
    const double *beta = mica_onnx_attr_floats(node, "activation_beta", &n_beta);
    const char *joined = "";
    for (size_t i = 0; i < n; i++) {
        joined = mica_arena_printf(node->importer->arena, "%s%s%s", joined, i > 0 ? "," : "",
                                   names[i]);
    }
    if (op == NULL || node->failed) {
        return;
    }
    if (n > 0) {
        mica_op_set_str(op, "activations", joined);
    }
    if (n_alpha > 0) {
        mica_op_set_f64s(op, "activation_alpha", alpha, n_alpha);
    }
    if (n_beta > 0) {
        mica_op_set_f64s(op, "activation_beta", beta, n_beta);
    }
}

mica_status mica_onnx_convert_rnn(mica_onnx_node *node) {
    const char *name = node->row->detail;
    const bool lstm = strcmp(name, "top.LSTM") == 0, gru = strcmp(name, "top.GRU") == 0;
    mica_value *operands[8] = {0};
    const size_t n = lstm ? 8 : 6, n_results = lstm ? 3 : 2;
    for (size_t i = 0; i < n; i++) {
        operands[i] = mica_onnx_in(node, i);
    }
    const mrt_shape recurrence = mica_onnx_shape(operands[2]);
    const int64_t hidden = recurrence.rank == 3 ? recurrence.dims[2] : 0;
    const int64_t said = mica_onnx_attr_i(node, "hidden_size", hidden);
    const char *direction = mica_onnx_attr_choice(node, "direction", "forward",
                                                  "forward|reverse|bidirectional");
    const bool layout = mica_onnx_attr_bool(node, "layout", false);
    const double clip = mica_onnx_attr_f(node, "clip", 0.0);
    const bool reset = gru && mica_onnx_attr_i(node, "linear_before_reset", 0) != 0;
    const bool forget = lstm && mica_onnx_attr_i(node, "input_forget", 0) != 0;
    mica_op *op = mica_onnx_op(node, name, NULL, operands, n, n_results);
    set_activations(node, op);
    MICA_TRY(mica_onnx_finish(node));
    if (said != hidden || hidden < 1) {
        return mica_onnx_error(node, "attribute 'hidden_size' has value %" PRId64
                                     ", the recurrence weights say %" PRId64, said, hidden);
    }
    mica_op_set_i64(op, "hidden_size", hidden);
    mica_op_set_str(op, "direction", direction);
    mica_op_set_i64(op, "layout", layout);
    mica_op_set_f64(op, "clip", clip);
    if (gru) {
        mica_op_set_bool(op, "linear_before_reset", reset);
    }
    if (lstm) {
        mica_op_set_bool(op, "input_forget", forget);
    }
    mica_value *results[3] = {0};
    MICA_TRY(mica_onnx_done_all(node, op, results));
    for (size_t i = 0; i < n_results; i++) {
        mica_onnx_bind(node, i, results[i]);
    }
    return mica_onnx_finish(node);
}
