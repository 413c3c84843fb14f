/* If, Loop and Scan: subgraphs are inlined, loops unrolled. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>

static const int64_t MAX_TRIPS = 100000;

static mica_value *scalar_bool(mica_onnx_node *node, const char *suffix, bool value) {
    return mica_onnx_scalar(node, suffix, MRT_BOOL, value);
}

/* --- If -------------------------------------------------------------------------------------- */
/* A condition known only at run time: both branches are computed and the results selected. */
static mica_status select_branch(mica_onnx_node *node, const Onnx__GraphProto *yes,
                                 const Onnx__GraphProto *no, mica_value *condition) {
    const size_t n = mica_onnx_n_out(node);
    mica_arena *arena = node->importer->arena;
    mica_onnx_entry **a = mica_arena_array(arena, n, sizeof *a);
    mica_onnx_entry **b = mica_arena_array(arena, n, sizeof *b);
    MICA_TRY(mica_onnx_run_entries(node, yes, NULL, 0, a, n, "_then"));
    MICA_TRY(mica_onnx_run_entries(node, no, NULL, 0, b, n, "_else"));
    condition = mica_onnx_reshape(node, "condition", condition, 0, (int64_t[1]){0});
    for (size_t i = 0; i < n; i++) {
        mica_value *x = a[i]->value, *y = b[i]->value;
        if (x == NULL || y == NULL || x->type != y->type) {
            return mica_onnx_error(node, "the branches give %s and %s for output %zu, and the "
                                         "condition is not known at import",
                                   x != NULL ? mica_type_text(x->type) : mica_onnx_entry_kind(a[i]),
                                   y != NULL ? mica_type_text(y->type) : mica_onnx_entry_kind(b[i]),
                                   i);
        }
        node->primary = i;
        mica_onnx_bind(node, i, mica_onnx_where(node, NULL, condition, x, y));
    }
    return mica_onnx_finish(node);
}

mica_status mica_onnx_convert_if(mica_onnx_node *node) {
    const Onnx__GraphProto *yes = mica_onnx_attr_graph(node, "then_branch");
    const Onnx__GraphProto *no = mica_onnx_attr_graph(node, "else_branch");
    mica_value *condition = mica_onnx_in(node, 0);
    const size_t n = mica_onnx_n_out(node);
    double flag = 0.0;
    MICA_TRY(mica_onnx_finish(node));
    if (!mica_weight_scalar(condition, &flag)) {
        return select_branch(node, yes, no, condition);
    }
    mica_onnx_entry **results = mica_arena_array(node->importer->arena, n, sizeof *results);
    MICA_TRY(mica_onnx_run_entries(node, flag != 0.0 ? yes : no, NULL, 0, results, n,
                                   flag != 0.0 ? "_then" : "_else"));
    for (size_t i = 0; i < n; i++) {
        mica_onnx_bind_entry(node, i, results[i]);
    }
    return mica_onnx_finish(node);
}

/* --- collected results ----------------------------------------------------------------------- */
typedef MICA_VEC(mica_value *) value_list;

/* Joins one slice per trip along a new axis. */
static mica_value *stack(mica_onnx_node *node, size_t output, const value_list *slices,
                         int64_t axis) {
    if (node->failed) {
        return NULL;
    }
    mica_arena *arena = node->importer->arena;
    node->primary = output;
    if (slices->len == 0) {
        mica_onnx_error(node, "output %zu collects the results of no trip", output);
        return NULL;
    }
    const mrt_shape shape = mica_onnx_shape(slices->data[0]);
    mrt_shape one = {.rank = shape.rank + 1};
    const int at = mica_onnx_axis(node, axis, one.rank);
    if (one.rank > MRT_MAX_RANK) {
        mica_onnx_error(node, "output %zu has rank %d, at most %d is supported", output, one.rank,
                        MRT_MAX_RANK);
    }
    for (int i = 0; i < one.rank && !node->failed; i++) {
        one.dims[i] = i < at ? shape.dims[i] : i == at ? 1 : shape.dims[i - 1];
    }
    mica_value **parts = mica_arena_array(arena, slices->len, sizeof *parts);
    for (size_t i = 0; i < slices->len && !node->failed; i++) {
        const char *part = mica_arena_printf(arena, "slice%zu_%zu", output, i);
        parts[i] = mica_onnx_reshape(node, slices->len == 1 ? NULL : part, slices->data[i],
                                     one.rank, one.dims);
    }
    if (slices->len == 1) {
        return parts[0];
    }
    mica_op *op = mica_onnx_op(node, "top.Concat", NULL, parts, slices->len, 1);
    if (op == NULL) {
        return NULL;
    }
    mica_op_set_i64(op, "axis", at);
    return mica_onnx_done(node, op);
}

static value_list *new_lists(mica_arena *arena, size_t n) {
    return mica_arena_array(arena, n, sizeof(value_list));
}

static void free_lists(value_list *lists, size_t n) {
    for (size_t i = 0; i < n; i++) {
        mica_vec_free(&lists[i]);
    }
}

/* --- Loop ------------------------------------------------------------------------------------ */
typedef struct loop {
    const Onnx__GraphProto *body;
    size_t n_carried, n_collected;
    mica_onnx_entry **inputs;  /* iteration, condition, carried... */
    mica_onnx_entry **outputs; /* condition, carried..., collected... */
    value_list *collected;
} loop;

static mica_status known_flag(mica_onnx_node *node, const mica_onnx_entry *entry, bool *out) {
    double flag = 0.0;
    if (entry->value == NULL || !mica_weight_scalar(entry->value, &flag)) {
        return mica_onnx_error(node, "when it ends depends on the data of a graph input");
    }
    *out = flag != 0.0;
    return MICA_OK;
}

static mica_status unroll(mica_onnx_node *node, loop *l, int64_t trips) {
    bool running = true;
    if (l->inputs[1] != NULL) {
        MICA_TRY(known_flag(node, l->inputs[1], &running));
    }
    for (int64_t i = 0; running && i < trips; i++) {
        if (i == MAX_TRIPS) {
            return mica_onnx_error(node, "more than %" PRId64 " trips", MAX_TRIPS);
        }
        mica_arena *arena = node->importer->arena;
        mica_value *trip = mica_onnx_weight(node, mica_arena_printf(arena, "trip%" PRId64, i),
                                            MRT_I64, 0, NULL, &i);
        l->inputs[0] = mica_onnx_tensor_entry(node->importer, trip);
        l->inputs[1] = mica_onnx_tensor_entry(node->importer, scalar_bool(node, "running", true));
        MICA_TRY(mica_onnx_run_entries(node, l->body, l->inputs, 2 + l->n_carried, l->outputs,
                                       1 + l->n_carried + l->n_collected,
                                       mica_arena_printf(arena, "_%" PRId64, i)));
        MICA_TRY(known_flag(node, l->outputs[0], &running));
        for (size_t k = 0; k < l->n_carried; k++) {
            l->inputs[2 + k] = l->outputs[1 + k];
        }
        for (size_t k = 0; k < l->n_collected; k++) {
            const mica_onnx_entry *slice = l->outputs[1 + l->n_carried + k];
            if (slice->value == NULL) {
                return mica_onnx_error(node, "output %zu collects %s of each trip, expected a "
                                             "tensor", l->n_carried + k,
                                       mica_onnx_entry_kind(slice));
            }
            mica_vec_push(&l->collected[k], slice->value);
        }
    }
    return MICA_OK;
}

mica_status mica_onnx_convert_loop(mica_onnx_node *node) {
    const size_t n_in = mica_onnx_n_in(node), n_out = mica_onnx_n_out(node);
    mica_arena *arena = node->importer->arena;
    if (n_in < 2) {
        return mica_onnx_error(node, "%zu inputs, expected 2 or more", n_in);
    }
    if (mica_onnx_in_name(node, 0)[0] == '\0' && mica_onnx_in_name(node, 1)[0] == '\0') {
        return mica_onnx_error(node, "it has no bound: expected a trip count (input 0) or a condition "
                                     "(input 1), found neither");
    }
    loop l = {.body = mica_onnx_attr_graph(node, "body"), .n_carried = n_in - 2};
    const int64_t trips = mica_onnx_const_i64(node, 0, INT64_MAX);
    MICA_TRY(mica_onnx_finish(node));
    if (n_out < l.n_carried) {
        return mica_onnx_error(node, "%zu outputs for %zu carried values", n_out, l.n_carried);
    }
    l.n_collected = n_out - l.n_carried;
    l.inputs = mica_arena_array(arena, n_in, sizeof *l.inputs);
    l.outputs = mica_arena_array(arena, 1 + n_out, sizeof *l.outputs);
    l.collected = new_lists(arena, l.n_collected);
    for (size_t i = 1; i < n_in; i++) {
        l.inputs[i] = mica_onnx_in_entry(node, i);
    }
    mica_status status = mica_onnx_finish(node);
    if (status == MICA_OK) {
        status = unroll(node, &l, trips);
    }
    for (size_t i = 0; i < n_out && status == MICA_OK; i++) {
        if (i < l.n_carried) {
            mica_onnx_bind_entry(node, i, l.inputs[2 + i]);
        } else {
            mica_onnx_bind(node, i, stack(node, i, &l.collected[i - l.n_carried], 0));
        }
        status = mica_onnx_finish(node);
    }
    free_lists(l.collected, l.n_collected);
    return status;
}

/* --- Scan ------------------------------------------------------------------------------------ */
typedef struct scan {
    const Onnx__GraphProto *body;
    size_t n_state, n_scanned, n_collected;
    const int64_t *in_axes, *in_directions, *out_axes, *out_directions; /* NULL: all 0 */
    int64_t trips;
    mica_value **inputs, **outputs;
    value_list *collected;
} scan;

static const int64_t *scan_list(mica_onnx_node *node, const char *name, size_t expected) {
    size_t n = 0;
    const int64_t *values = mica_onnx_attr_ints(node, name, &n);
    if (values != NULL && n != expected) {
        mica_onnx_error(node, "attribute '%s' has %zu values, expected %zu", name, n, expected);
        return NULL;
    }
    return values;
}

/* Element `trip` of scanned input k, without the scan axis. */
static mica_value *scan_slice(mica_onnx_node *node, const scan *s, size_t k, int64_t trip) {
    mica_value *x = mica_onnx_in(node, s->n_state + k);
    const mrt_shape shape = mica_onnx_shape(x);
    const int axis = mica_onnx_axis(node, s->in_axes != NULL ? s->in_axes[k] : 0, shape.rank);
    const bool back = s->in_directions != NULL && s->in_directions[k] != 0;
    const int64_t at = back ? s->trips - 1 - trip : trip;
    int64_t offset[MRT_MAX_RANK] = {0}, steps[MRT_MAX_RANK], ends[MRT_MAX_RANK];
    int64_t dims[MRT_MAX_RANK] = {0};
    for (int i = 0, to = 0; i < shape.rank; i++) {
        steps[i] = 1;
        ends[i] = shape.dims[i];
        if (i != axis) {
            dims[to++] = shape.dims[i];
        }
    }
    offset[axis] = at;
    ends[axis] = at + 1;
    mica_arena *arena = node->importer->arena;
    const char *name = mica_arena_printf(arena, "in%zu_%" PRId64, k, trip);
    mica_value *slice = mica_onnx_slice(node, name, x, offset, steps, ends);
    return mica_onnx_reshape(node, mica_arena_printf(arena, "%s_row", name), slice,
                             shape.rank - 1, dims);
}

static mica_status scan_trips(mica_onnx_node *node, scan *s) {
    for (size_t k = 0; k < s->n_scanned; k++) {
        const mrt_shape shape = mica_onnx_shape(mica_onnx_in(node, s->n_state + k));
        const int axis = mica_onnx_axis(node, s->in_axes != NULL ? s->in_axes[k] : 0, shape.rank);
        MICA_TRY(mica_onnx_finish(node));
        if (k > 0 && shape.dims[axis] != s->trips) {
            return mica_onnx_error(node, "scanned inputs have lengths %" PRId64 " and %" PRId64,
                                   s->trips, shape.dims[axis]);
        }
        s->trips = shape.dims[axis];
    }
    if (s->trips > MAX_TRIPS) {
        return mica_onnx_error(node, "more than %" PRId64 " trips", MAX_TRIPS);
    }
    return MICA_OK;
}

static mica_status scan_run(mica_onnx_node *node, scan *s) {
    mica_arena *arena = node->importer->arena;
    for (int64_t i = 0; i < s->trips; i++) {
        for (size_t k = 0; k < s->n_scanned; k++) {
            s->inputs[s->n_state + k] = scan_slice(node, s, k, i);
        }
        MICA_TRY(mica_onnx_run_graph(node, s->body, s->inputs, s->n_state + s->n_scanned,
                                     s->outputs, s->n_state + s->n_collected,
                                     mica_arena_printf(arena, "_%" PRId64, i)));
        for (size_t k = 0; k < s->n_state; k++) {
            s->inputs[k] = s->outputs[k];
        }
        for (size_t k = 0; k < s->n_collected; k++) {
            mica_vec_push(&s->collected[k], s->outputs[s->n_state + k]);
        }
    }
    for (size_t k = 0; k < s->n_collected; k++) {
        value_list *list = &s->collected[k];
        const bool back = s->out_directions != NULL && s->out_directions[k] != 0;
        for (size_t i = 0; back && i < list->len / 2; i++) {
            mica_value *first = list->data[i];
            list->data[i] = list->data[list->len - 1 - i];
            list->data[list->len - 1 - i] = first;
        }
    }
    return MICA_OK;
}

mica_status mica_onnx_convert_scan(mica_onnx_node *node) {
    if (node->opset < 9) {
        return mica_onnx_scan_batch(node);
    }
    const size_t n_in = mica_onnx_n_in(node), n_out = mica_onnx_n_out(node);
    const int64_t scanned = mica_onnx_attr_i(node, "num_scan_inputs", 0);
    scan s = {.body = mica_onnx_attr_graph(node, "body")};
    MICA_TRY(mica_onnx_finish(node));
    if (mica_onnx_in_name(node, 0)[0] == '\0') {
        return mica_onnx_error(node, "input 0 is required, but absent");
    }
    if (scanned < 1 || (size_t)scanned > n_in || n_out < n_in - (size_t)scanned) {
        return mica_onnx_error(node, "attribute 'num_scan_inputs' has value %" PRId64
                                     " for %zu inputs and %zu outputs", scanned, n_in, n_out);
    }
    s.n_scanned = (size_t)scanned;
    s.n_state = n_in - s.n_scanned;
    s.n_collected = n_out - s.n_state;
    s.in_axes = scan_list(node, "scan_input_axes", s.n_scanned);
    s.in_directions = scan_list(node, "scan_input_directions", s.n_scanned);
    s.out_axes = scan_list(node, "scan_output_axes", s.n_collected);
    s.out_directions = scan_list(node, "scan_output_directions", s.n_collected);
    MICA_TRY(scan_trips(node, &s));
    mica_arena *arena = node->importer->arena;
    s.inputs = mica_arena_array(arena, n_in, sizeof *s.inputs);
    s.outputs = mica_arena_array(arena, n_out, sizeof *s.outputs);
    s.collected = new_lists(arena, s.n_collected);
    for (size_t i = 0; i < s.n_state; i++) {
        s.inputs[i] = mica_onnx_in(node, i);
    }
    mica_status status = scan_run(node, &s);
    for (size_t i = 0; i < n_out && status == MICA_OK; i++) {
        const size_t k = i - s.n_state;
        mica_value *value = i < s.n_state ? s.inputs[i]
                                          : stack(node, i, &s.collected[k],
                                                  s.out_axes != NULL ? s.out_axes[k] : 0);
        mica_onnx_bind(node, i, value);
        status = mica_onnx_finish(node);
    }
    free_lists(s.collected, s.n_collected);
    return status;
}
