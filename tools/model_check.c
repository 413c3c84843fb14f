#include "tools/model_check.h"

#include "dialects/dialects.h"
#include "dialects/live.h"
#include "dialects/plan.h"
#include "dialects/top/top.h"
#include "frontends/onnx/onnx.h"
#include "ir/builder.h"
#include "utils/map.h"
#include "utils/vec.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* One operator type. Numbers are doubles: untrusted sizes cannot overflow them. */
typedef struct op_row {
    const char *op, *reason;
    size_t count;
    double macs, parameters, bytes;
} op_row;

typedef struct check {
    mica_arena *arena;
    mica_onnx_summary summary;
    MICA_VEC(op_row *) rows;
    mica_map *by_op;     /* "domain.op" -> op_row */
    mica_map *by_tensor; /* output of a node -> op_row */
    double macs, parameters, bytes;
    bool sizes; /* imported: MACs and bytes are known */
    bool tried; /* an import was tried */
} check;

static void add_rows(check *c) {
    for (size_t i = 0; i < c->summary.n_nodes; i++) {
        const mica_onnx_node_info *node = &c->summary.nodes[i];
        const char *key = node->domain[0] == '\0'
                              ? node->op
                              : mica_arena_printf(c->arena, "%s.%s", node->domain, node->op);
        op_row *row = mica_map_get(c->by_op, key);
        if (row == NULL) {
            row = mica_arena_array(c->arena, 1, sizeof *row);
            row->op = key;
            mica_map_set(c->by_op, key, row);
            mica_vec_push(&c->rows, row);
        }
        row->count++;
        row->reason = row->reason != NULL ? row->reason : node->reason;
        for (size_t k = 0; k < node->n_outputs; k++) {
            mica_map_set(c->by_tensor, node->outputs[k], row);
        }
    }
}

static double count_of(const mica_value *value) { return (double)mica_type_count(value->type); }

/* One step of a recurrent op is a product with its filter and one with its recurrence. */
static double recurrent_macs(const mica_op *op) {
    const mica_value *x = op->operands[0].value;
    const int64_t width = x->type->rank == 3 ? x->type->dims[2] : 0;
    return width > 0 ? count_of(x) / (double)width *
                           (count_of(op->operands[1].value) + count_of(op->operands[2].value))
                     : 0;
}

/* Multiply-accumulates of convolutions, matrix products and recurrent ops, and so of Gemm, Einsum,
 * Attention, DeformConv, which are made of these. Biases, pools, element-wise ops and moves count as
 * none. */
static double macs_of(const mica_op *op) {
    if (mica_op_is(op, "top.LSTM") || mica_op_is(op, "top.GRU") || mica_op_is(op, "top.RNN")) {
        return recurrent_macs(op);
    }
    if (op->n_operands < 2) {
        return 0;
    }
    const mica_value *left = op->operands[0].value;
    const mica_value *right = op->operands[1].value;
    if (mica_op_is(op, "top.Conv") && right->type->rank > 0 && right->type->dims[0] > 0) {
        return count_of(&op->results[0]) * count_of(right) / (double)right->type->dims[0];
    }
    if (mica_op_is(op, "top.Deconv") && right->type->rank > 0 && right->type->dims[0] > 0) {
        return count_of(left) * count_of(right) / (double)right->type->dims[0];
    }
    if (mica_op_is(op, "top.MatMul") && left->type->rank > 0) {
        const int rank = left->type->rank;
        const bool transposed = mica_op_bool(op, "left_transpose");
        return count_of(&op->results[0]) * (double)left->type->dims[transposed && rank > 1 ? rank - 2 : rank - 1];
    }
    return 0;
}

/* An op belongs to the node whose tensor it gives; helper ops stand before that op. */
static void measure(check *c, mica_module *module) {
    op_row pending = {0};
    for (mica_op *op = mica_func_body(mica_module_func(module, "main"))->first; op != NULL; op = op->next) {
        op_row *row = NULL;
        if (mica_op_is(op, "top.Input") || mica_op_is(op, "top.None") || op->n_results == 0) {
            continue;
        }
        if (mica_op_has_trait(op, MICA_IS_CONSTANT)) {
            pending.parameters += count_of(&op->results[0]);
            c->parameters += count_of(&op->results[0]);
            continue;
        }
        pending.macs += macs_of(op);
        c->macs += macs_of(op);
        for (uint32_t i = 0; i < op->n_results; i++) {
            const mica_value *value = &op->results[i];
            const double bytes = count_of(value) * (double)mrt_dtype_bytes(mica_dtype_of(mica_type_element(value->type)));
            pending.bytes += bytes;
            c->bytes += bytes;
            row = row != NULL ? row : mica_map_get(c->by_tensor, mica_value_name(value));
        }
        if (row != NULL) {
            row->macs += pending.macs;
            row->parameters += pending.parameters;
            row->bytes += pending.bytes;
            pending = (op_row){0};
        }
    }
}

/* Sizes that depend on data count as their bounds. */
static void measure_bounds(check *c, mica_module *module) {
    mica_live *live = mica_live_create(module->context);
    if (mica_live_func(live, mica_module_func(module, "main")) == MICA_OK) {
        mica_live_bind(live);
        measure(c, module);
        mica_live_unbind(live);
    }
    mica_live_destroy(live);
}

static void print_table(const check *c) {
    const mica_onnx_summary *s = &c->summary;
    printf("opset %d\n%-28s %6s %14s %12s %14s  %s\n", s->opset, "operator", "count", "MACs", "parameters",
           "bytes", "supported");
    for (size_t i = 0; i < c->rows.len; i++) {
        const op_row *row = c->rows.data[i];
        printf("%-28s %6zu ", row->op, row->count);
        if (c->sizes && row->reason == NULL) {
            printf("%14.0f %12.0f %14.0f", row->macs, row->parameters, row->bytes);
        } else {
            printf("%14s %12s %14s", "-", "-", "-");
        }
        printf("  %s%s\n", row->reason == NULL ? "yes" : "no: ", row->reason == NULL ? "" : row->reason);
    }
    for (size_t i = 0; i < s->n_open; i++) {
        printf("open dimension: input '%s', dimension %zu%s%s\n", s->open[i].input, s->open[i].index,
               s->open[i].symbol[0] != '\0' ? ", " : "", s->open[i].symbol);
    }
    for (size_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i].reason != NULL) {
            printf("unsupported: node '%s' (%s): %s\n", s->nodes[i].name, s->nodes[i].op, s->nodes[i].reason);
        }
    }
    printf("total: %zu nodes, %zu unsupported, %.0f parameters", s->n_nodes, s->n_unsupported, c->parameters);
    if (c->sizes) {
        printf(", %.0f MACs, %.0f bytes of activations%s", c->macs, c->bytes,
               s->n_unsupported > 0 ? " in what needs no unsupported node" : "");
    }
    printf("%s\n", c->tried && !c->sizes && s->n_unsupported == 0 ? "; the import fails" : "");
    if (c->sizes) {
        printf("MACs: multiply-accumulates of convolutions, matrix products and recurrent ops\n");
    }
}

static json_t *text_or_null(const char *text) {
    json_t *made = text != NULL ? json_string(text) : json_null();
    return made != NULL ? made : json_string("(no UTF-8)");
}

static void print_json(const check *c) {
    const mica_onnx_summary *s = &c->summary;
    json_t *ops = json_array();
    json_t *open = json_array();
    json_t *nodes = json_array();
    json_t *root = json_object();
    for (size_t i = 0; i < c->rows.len; i++) {
        const op_row *row = c->rows.data[i];
        const bool sizes = c->sizes && row->reason == NULL;
        json_t *item = json_object();
        json_object_set_new(item, "op", text_or_null(row->op));
        json_object_set_new(item, "count", json_integer((json_int_t)row->count));
        json_object_set_new(item, "supported", json_boolean(row->reason == NULL));
        json_object_set_new(item, "reason", text_or_null(row->reason));
        json_object_set_new(item, "macs", sizes ? json_real(row->macs) : json_null());
        json_object_set_new(item, "parameters", sizes ? json_real(row->parameters) : json_null());
        json_object_set_new(item, "bytes", sizes ? json_real(row->bytes) : json_null());
        json_array_append_new(ops, item);
    }
    for (size_t i = 0; i < s->n_open; i++) {
        json_t *item = json_object();
        json_object_set_new(item, "input", text_or_null(s->open[i].input));
        json_object_set_new(item, "dimension", json_integer((json_int_t)s->open[i].index));
        json_object_set_new(item, "symbol", text_or_null(s->open[i].symbol));
        json_array_append_new(open, item);
    }
    for (size_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i].reason != NULL) {
            json_t *item = json_object();
            json_object_set_new(item, "name", text_or_null(s->nodes[i].name));
            json_object_set_new(item, "op", text_or_null(s->nodes[i].op));
            json_object_set_new(item, "reason", text_or_null(s->nodes[i].reason));
            json_array_append_new(nodes, item);
        }
    }
    json_object_set_new(root, "opset", json_integer(s->opset));
    json_object_set_new(root, "operators", ops);
    json_object_set_new(root, "open_dimensions", open);
    json_object_set_new(root, "unsupported", nodes);
    json_object_set_new(root, "nodes", json_integer((json_int_t)s->n_nodes));
    json_object_set_new(root, "parameters", json_real(c->parameters));
    json_object_set_new(root, "macs", c->sizes ? json_real(c->macs) : json_null());
    json_object_set_new(root, "bytes", c->sizes ? json_real(c->bytes) : json_null());
    json_object_set_new(root, "import_fails", json_boolean(c->tried && !c->sizes && s->n_unsupported == 0));
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

/* Sizes of the model, or of what lies before its unsupported nodes; that part may fail in silence. */
static void try_import(check *c, mica_context *context, const char *path, const mica_onnx_options *options) {
    mica_onnx_options cut = *options;
    mica_diag_capture capture;
    mica_module *module = NULL;
    const bool whole = c->summary.n_unsupported == 0;
    if (!whole) {
        cut.output_names = c->summary.frontier;
        cut.n_output_names = c->summary.n_frontier;
        mica_diag_capture_begin(context, &capture);
    }
    c->sizes = mica_onnx_import(context, path, &cut, &module) == MICA_OK;
    if (!whole) {
        mica_diag_capture_end(context, &capture);
    }
    if (c->sizes) {
        const double all = c->parameters;
        c->parameters = 0; /* those that are used */
        measure_bounds(c, module);
        c->parameters = whole ? c->parameters : all;
        mica_module_destroy(module);
    }
}

mica_status model_check(mica_context *context, const char *path, const mica_onnx_options *options, bool json,
                        bool *out_good) {
    check c = {.arena = mica_context_arena(context)};
    *out_good = false;
    MICA_TRY(mica_onnx_summarize(context, path, options, c.arena, &c.summary));
    c.by_op = mica_map_create();
    c.by_tensor = mica_map_create();
    add_rows(&c);
    c.parameters = c.summary.parameters;
    c.tried = (c.summary.n_unsupported == 0 || c.summary.n_frontier > 0) &&
              (c.summary.n_open == 0 || options->input_shapes != NULL || options->n_input_names > 0);
    if (c.tried) {
        try_import(&c, context, path, options);
    }
    (json ? print_json : print_table)(&c);
    *out_good = c.summary.n_unsupported == 0 && (c.sizes || !c.tried);
    mica_vec_free(&c.rows);
    mica_map_destroy(c.by_tensor);
    mica_map_destroy(c.by_op);
    return MICA_OK;
}
