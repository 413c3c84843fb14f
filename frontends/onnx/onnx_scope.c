/* Names in scope, initializers, and inlining of functions and subgraphs. */
#include "frontends/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_DEPTH = 32 };

mica_onnx_scope *mica_onnx_push_scope(mica_onnx_importer *im, const char *prefix) {
    mica_onnx_scope *scope = mica_arena_alloc(im->arena, sizeof *scope);
    scope->parent = im->scope;
    scope->entries = mica_map_create();
    scope->prefix = prefix;
    scope->opset = im->scope != NULL ? im->scope->opset : 0;
    im->scope = scope;
    return scope;
}

void mica_onnx_pop_scope(mica_onnx_importer *im) {
    mica_map_destroy(im->scope->entries);
    im->scope->entries = NULL;
    im->scope = im->scope->parent;
}

mica_onnx_entry *mica_onnx_lookup(const mica_onnx_scope *scope, const char *name) {
    /* A function body sees nothing of its caller. */
    for (; scope != NULL; scope = scope->function != NULL ? NULL : scope->parent) {
        mica_onnx_entry *entry = mica_map_get(scope->entries, name);
        if (entry != NULL) {
            return entry;
        }
    }
    return NULL;
}

void mica_onnx_define(mica_onnx_importer *im, const char *name, mica_value *value) {
    mica_onnx_entry *entry = mica_arena_alloc(im->arena, sizeof *entry);
    entry->value = value;
    mica_map_set(im->scope->entries, name, entry);
}

void mica_onnx_define_entry(mica_onnx_importer *im, const char *name, mica_onnx_entry *entry) {
    mica_map_set(im->scope->entries, name, entry);
}

mica_value *mica_onnx_entry_value(mica_onnx_importer *im, const char *name,
                                  mica_onnx_entry *entry) {
    if (entry->value != NULL || entry->initializer == NULL) {
        return entry->value;
    }
    mica_error err = {0};
    mica_onnx_tensor tensor;
    if (mica_onnx_tensor_read(im, entry->initializer, &tensor, &err) != MICA_OK) {
        mica_emit_error(im->context, im->loc, "initializer '%s': %s", name, err.text);
        return NULL;
    }
    entry->value =
        mica_onnx_borrow(im, im->scope->prefix[0] == '\0' ? name : mica_onnx_unique(im, name),
                         tensor.dtype, &tensor.shape, tensor.data);
    return entry->value;
}

mica_status mica_onnx_add_initializers(mica_onnx_importer *im, const Onnx__GraphProto *graph) {
    if (graph->n_sparse_initializer > 0) {
        const Onnx__TensorProto *values = graph->sparse_initializer[0]->values;
        return mica_emit_error(im->context, im->loc,
                               "initializer '%s': sparse tensors are not supported; store it dense",
                               values != NULL && values->name != NULL ? values->name : "");
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *t = graph->initializer[i];
        if (t->name == NULL || t->name[0] == '\0') {
            return mica_emit_error(im->context, im->loc, "initializer %zu has no name", i);
        }
        mica_onnx_entry *entry = mica_arena_alloc(im->arena, sizeof *entry);
        entry->initializer = t;
        if (!mica_map_set(im->scope->entries, t->name, entry)) {
            return mica_emit_error(im->context, im->loc, "two initializers are called '%s'",
                                   t->name);
        }
    }
    return MICA_OK;
}

/* --- bodies ---------------------------------------------------------------------------------- */
static mica_status enter(mica_onnx_node *node) {
    if (node->importer->depth >= MAX_DEPTH) {
        return mica_onnx_error(node, "functions and subgraphs are nested deeper than %d levels "
                                     "(does one call itself?)", MAX_DEPTH);
    }
    node->importer->depth++;
    return MICA_OK;
}

static const char *inner_prefix(const mica_onnx_node *node, const char *tag) {
    return mica_arena_printf(node->importer->arena, "%s%s%s/", node->importer->scope->prefix,
                             node->name, tag);
}

/* Sorts and converts the nodes of a body in the current scope and reads the named results. */
static mica_status run_body(mica_onnx_node *node, Onnx__NodeProto **nodes, size_t n_nodes,
                            char *const *names, size_t n_names, mica_onnx_entry **out_entries) {
    mica_onnx_importer *im = node->importer;
    mica_onnx_order order;
    MICA_TRY(mica_onnx_sort(im, nodes, n_nodes, names, n_names, &order));
    MICA_TRY(mica_onnx_convert_nodes(im, &order));
    for (size_t i = 0; i < n_names; i++) {
        mica_onnx_entry *entry = mica_onnx_lookup(im->scope, names[i]);
        const bool tensor = entry != NULL && entry->sequence == NULL && !entry->absent;
        if (entry == NULL || (tensor && mica_onnx_entry_value(im, names[i], entry) == NULL)) {
            return MICA_FAIL;
        }
        out_entries[i] = entry;
    }
    return MICA_OK;
}

static const Onnx__FunctionProto *find_function(const mica_onnx_node *node) {
    const Onnx__ModelProto *model = node->importer->model;
    const char *domain = node->proto->domain != NULL ? node->proto->domain : "";
    const char *name = node->proto->op_type != NULL ? node->proto->op_type : "";
    for (size_t i = 0; i < model->n_functions; i++) {
        const Onnx__FunctionProto *f = model->functions[i];
        if (f->name != NULL && strcmp(f->name, name) == 0 &&
            strcmp(f->domain != NULL ? f->domain : "", domain) == 0) {
            return f;
        }
    }
    return NULL;
}

static mica_status call(mica_onnx_node *node, const Onnx__FunctionProto *f,
                        mica_onnx_entry *const *inputs) {
    mica_onnx_importer *im = node->importer;
    mica_onnx_entry **results = mica_arena_array(im->arena, f->n_output, sizeof *results);
    mica_onnx_scope *scope = mica_onnx_push_scope(im, inner_prefix(node, ""));
    scope->function = f;
    scope->caller = node;
    const int64_t opset = mica_onnx_opset(f->opset_import, f->n_opset_import);
    mica_status status = MICA_OK;
    if (opset > MICA_ONNX_MAX_OPSET || (opset != 0 && opset < MICA_ONNX_MIN_OPSET)) {
        status = mica_onnx_error(node, "the function needs opset %" PRId64 ", known are %d..%d",
                                 opset, MICA_ONNX_MIN_OPSET, MICA_ONNX_MAX_OPSET);
    } else if (opset != 0) {
        scope->opset = (int)opset;
    }
    for (size_t i = 0; i < mica_onnx_n_in(node); i++) {
        if (inputs[i] != NULL) {
            mica_onnx_define_entry(im, f->input[i], inputs[i]);
        }
    }
    if (status == MICA_OK) {
        status = run_body(node, f->node, f->n_node, f->output, f->n_output, results);
    }
    mica_onnx_pop_scope(im);
    for (size_t i = 0; i < mica_onnx_n_out(node) && status == MICA_OK; i++) {
        mica_onnx_bind_entry(node, i, results[i]);
    }
    return status;
}

mica_status mica_onnx_inline_function(mica_onnx_node *node, bool *out_done) {
    const Onnx__FunctionProto *f = find_function(node);
    *out_done = f != NULL;
    if (f == NULL) {
        return MICA_OK;
    }
    if (mica_onnx_n_in(node) > f->n_input || mica_onnx_n_out(node) > f->n_output) {
        return mica_onnx_error(node, "%zu inputs and %zu outputs for a function of %zu and %zu",
                               mica_onnx_n_in(node), mica_onnx_n_out(node), f->n_input,
                               f->n_output);
    }
    mica_onnx_entry **inputs =
        mica_arena_array(node->importer->arena, mica_onnx_n_in(node), sizeof *inputs);
    for (size_t i = 0; i < mica_onnx_n_in(node); i++) {
        inputs[i] = mica_onnx_in_entry(node, i);
    }
    MICA_TRY(mica_onnx_finish(node));
    MICA_TRY(enter(node));
    const mica_status status = call(node, f, inputs);
    node->importer->depth--;
    return status;
}

mica_status mica_onnx_run_entries(mica_onnx_node *node, const Onnx__GraphProto *graph,
                                  mica_onnx_entry *const *inputs, size_t n_inputs,
                                  mica_onnx_entry **outputs, size_t n_outputs, const char *tag) {
    mica_onnx_importer *im = node->importer;
    MICA_TRY(mica_onnx_finish(node));
    if (graph->n_input != n_inputs || graph->n_output != n_outputs) {
        return mica_onnx_error(node, "its subgraph has %zu inputs and %zu outputs, expected %zu "
                                     "and %zu", graph->n_input, graph->n_output, n_inputs,
                               n_outputs);
    }
    MICA_TRY(enter(node));
    mica_onnx_push_scope(im, inner_prefix(node, tag));
    char **names = mica_arena_array(im->arena, n_outputs, sizeof *names);
    mica_status status = mica_onnx_add_initializers(im, graph);
    for (size_t i = 0; i < n_inputs; i++) {
        const char *name = graph->input[i]->name;
        if (inputs[i] != NULL) {
            mica_onnx_define_entry(im, name != NULL ? name : "", inputs[i]);
        }
    }
    for (size_t i = 0; i < n_outputs; i++) {
        names[i] = graph->output[i]->name != NULL ? graph->output[i]->name : (char *)"";
    }
    if (status == MICA_OK) {
        status = run_body(node, graph->node, graph->n_node, names, n_outputs, outputs);
    }
    mica_onnx_pop_scope(im);
    im->depth--;
    node->failed = node->failed || status != MICA_OK;
    return status;
}

mica_status mica_onnx_run_graph(mica_onnx_node *node, const Onnx__GraphProto *graph,
                                mica_value *const *inputs, size_t n_inputs, mica_value **outputs,
                                size_t n_outputs, const char *tag) {
    mica_onnx_importer *im = node->importer;
    mica_onnx_entry **in = mica_arena_array(im->arena, n_inputs, sizeof *in);
    mica_onnx_entry **out = mica_arena_array(im->arena, n_outputs, sizeof *out);
    for (size_t i = 0; i < n_inputs; i++) {
        in[i] = inputs[i] != NULL ? mica_onnx_tensor_entry(im, inputs[i]) : NULL;
    }
    MICA_TRY(mica_onnx_run_entries(node, graph, in, n_inputs, out, n_outputs, tag));
    for (size_t i = 0; i < n_outputs; i++) {
        if (out[i]->value == NULL) {
            return mica_onnx_error(node, "output %zu of its subgraph is %s, expected a tensor", i,
                                   mica_onnx_entry_kind(out[i]));
        }
        outputs[i] = out[i]->value;
    }
    return MICA_OK;
}
