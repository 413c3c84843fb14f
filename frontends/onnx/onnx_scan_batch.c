/* Scan of opset 8: every input and output has a batch axis in front, time is axis 1. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>

static const int64_t MAX_TRIPS = 100000; /* in all samples together */

typedef struct batch_scan {
    const Onnx__GraphProto *body;
    size_t n_state, n_scanned, n_collected;
    const int64_t *directions; /* per scanned input, NULL: all forward */
    int64_t batch, trips;
    mica_value **inputs, **outputs;
    mica_value **states;    /* [n_state][batch] */
    mica_value **collected; /* [n_collected][batch * trips] */
} batch_scan;

/* Element at[0] of axis 0 and, with n = 2, at[1] of axis 1, without these axes. */
static mica_value *element(mica_onnx_node *node, const char *name, mica_value *x, int n,
                           const int64_t *at) {
    const mrt_shape shape = mica_onnx_shape(x);
    int64_t offset[MRT_MAX_RANK] = {0}, steps[MRT_MAX_RANK], ends[MRT_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        steps[i] = 1;
        offset[i] = i < n ? at[i] : 0;
        ends[i] = i < n ? at[i] + 1 : shape.dims[i];
    }
    const char *row = mica_arena_printf(node->importer->arena, "%s_row", name);
    mica_value *slice = mica_onnx_slice(node, name, x, offset, steps, ends);
    return mica_onnx_reshape(node, row, slice, shape.rank - n, shape.dims + n);
}

/* Parts of one shape behind each other on new leading axes [batch] or [batch, trips]. */
static mica_value *join(mica_onnx_node *node, size_t output, mica_value **parts, const int64_t *lead,
                        int n_lead) {
    const int64_t count = n_lead == 2 ? lead[0] * lead[1] : lead[0];
    mrt_shape one = mica_onnx_shape(parts[0]);
    if (node->failed || one.rank + n_lead > MRT_MAX_RANK) {
        mica_onnx_error(node, "output %zu has a rank of more than %d", output, MRT_MAX_RANK);
        return NULL;
    }
    mrt_shape full = {.rank = one.rank + n_lead};
    for (int i = 0; i < full.rank; i++) {
        full.dims[i] = i < n_lead ? lead[i] : one.dims[i - n_lead];
    }
    for (int i = one.rank++; i > 0; i--) {
        one.dims[i] = one.dims[i - 1];
    }
    one.dims[0] = 1;
    mica_arena *arena = node->importer->arena;
    for (int64_t i = 0; i < count && !node->failed; i++) {
        const char *name = mica_arena_printf(arena, "part%zu_%" PRId64, output, i);
        parts[i] = mica_onnx_reshape(node, name, parts[i], one.rank, one.dims);
    }
    mica_op *op = mica_onnx_op(node, "top.Concat", mica_arena_printf(arena, "joined%zu", output),
                               parts, (size_t)count, 1);
    if (op == NULL) {
        return NULL;
    }
    mica_op_set_i64(op, "axis", 0);
    node->primary = output;
    return mica_onnx_reshape(node, NULL, mica_onnx_done(node, op), full.rank, full.dims);
}

static mica_status check_shapes(mica_onnx_node *node, batch_scan *s) {
    for (size_t k = 0; k < s->n_state + s->n_scanned; k++) {
        const mrt_shape shape = mica_onnx_shape(mica_onnx_in(node, 1 + k));
        const bool scanned = k >= s->n_state;
        MICA_TRY(mica_onnx_finish(node));
        if (k == 0 && shape.rank > 0) {
            s->batch = shape.dims[0];
        }
        if (k == s->n_state && shape.rank > 1) {
            s->trips = shape.dims[1];
        }
        if (shape.rank < (scanned ? 2 : 1) || shape.dims[0] != s->batch ||
            (scanned && shape.dims[1] != s->trips)) {
            return mica_onnx_error(node, "expected states [batch, ...] and scanned inputs [batch, "
                                         "time, ...] of the same batch and time");
        }
    }
    if (s->batch < 1 || s->trips < 1 || s->batch > MAX_TRIPS / s->trips) {
        return mica_onnx_error(node, "%" PRId64 " samples of %" PRId64 " trips, expected 1 to %"
                                     PRId64 " in all", s->batch, s->trips, MAX_TRIPS);
    }
    return MICA_OK;
}

static mica_status run_sample(mica_onnx_node *node, batch_scan *s, int64_t sample) {
    mica_arena *arena = node->importer->arena;
    for (size_t k = 0; k < s->n_state; k++) {
        const char *name = mica_arena_printf(arena, "state%zu_%" PRId64, k, sample);
        s->inputs[k] = element(node, name, mica_onnx_in(node, 1 + k), 1, &sample);
    }
    for (int64_t i = 0; i < s->trips; i++) {
        for (size_t k = 0; k < s->n_scanned; k++) {
            const bool back = s->directions != NULL && s->directions[k] != 0;
            const int64_t at[] = {sample, back ? s->trips - 1 - i : i};
            const char *name =
                mica_arena_printf(arena, "in%zu_%" PRId64 "_%" PRId64, k, sample, i);
            mica_value *x = mica_onnx_in(node, 1 + s->n_state + k);
            s->inputs[s->n_state + k] = element(node, name, x, 2, at);
        }
        MICA_TRY(mica_onnx_finish(node));
        MICA_TRY(mica_onnx_run_graph(node, s->body, s->inputs, s->n_state + s->n_scanned,
                                     s->outputs, s->n_state + s->n_collected,
                                     mica_arena_printf(arena, "_%" PRId64 "_%" PRId64, sample, i)));
        for (size_t k = 0; k < s->n_state; k++) {
            s->inputs[k] = s->outputs[k];
        }
        for (size_t k = 0; k < s->n_collected; k++) {
            s->collected[(int64_t)k * s->batch * s->trips + sample * s->trips + i] =
                s->outputs[s->n_state + k];
        }
    }
    for (size_t k = 0; k < s->n_state; k++) {
        s->states[(int64_t)k * s->batch + sample] = s->inputs[k];
    }
    return MICA_OK;
}

mica_status mica_onnx_scan_batch(mica_onnx_node *node) {
    const size_t n_in = mica_onnx_n_in(node), n_out = mica_onnx_n_out(node);
    const int64_t scanned = mica_onnx_attr_i(node, "num_scan_inputs", 0);
    batch_scan s = {.body = mica_onnx_attr_graph(node, "body")};
    size_t n_directions = 0;
    s.directions = mica_onnx_attr_ints(node, "directions", &n_directions);
    MICA_TRY(mica_onnx_finish(node));
    if (mica_onnx_in_name(node, 0)[0] != '\0') {
        return mica_onnx_error(node, "input 0 (sequence_lens) is not supported");
    }
    if (scanned < 1 || (size_t)scanned > n_in - 1 || n_out < n_in - 1 - (size_t)scanned ||
        (s.directions != NULL && n_directions != (size_t)scanned)) {
        return mica_onnx_error(node, "attribute 'num_scan_inputs' has value %" PRId64
                                     " for %zu inputs and %zu outputs", scanned, n_in, n_out);
    }
    s.n_scanned = (size_t)scanned;
    s.n_state = n_in - 1 - s.n_scanned;
    s.n_collected = n_out - s.n_state;
    MICA_TRY(check_shapes(node, &s));
    mica_arena *arena = node->importer->arena;
    const size_t batch = (size_t)s.batch, all = batch * (size_t)s.trips;
    s.inputs = mica_arena_array(arena, n_in, sizeof *s.inputs);
    s.outputs = mica_arena_array(arena, n_out, sizeof *s.outputs);
    s.states = mica_arena_array(arena, s.n_state * batch, sizeof *s.states);
    s.collected = mica_arena_array(arena, s.n_collected * all, sizeof *s.collected);
    for (int64_t i = 0; i < s.batch; i++) {
        MICA_TRY(run_sample(node, &s, i));
    }
    const int64_t lead[] = {s.batch, s.trips};
    for (size_t i = 0; i < n_out; i++) {
        const bool state = i < s.n_state;
        mica_value **parts = state ? s.states + i * batch : s.collected + (i - s.n_state) * all;
        mica_onnx_bind(node, i, join(node, i, parts, lead, state ? 1 : 2));
        MICA_TRY(mica_onnx_finish(node));
    }
    return MICA_OK;
}
