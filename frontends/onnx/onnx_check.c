/* What a model needs, told without converting it: its operators, its open dimensions. */
#include "frontends/onnx/onnx_internal.h"

#include "utils/map.h"
#include "utils/strings.h"

#include <string.h>

typedef struct summary_walk {
    mica_onnx_importer *im;
    mica_arena *arena; /* of the result */
    MICA_VEC(mica_onnx_node_info) nodes;
    MICA_VEC(mica_onnx_open_dim) open;
} summary_walk;

static const char *text_of(const char *text) { return text != NULL ? text : ""; }

static bool is_function(const Onnx__ModelProto *model, const char *domain, const char *op) {
    for (size_t i = 0; i < model->n_functions; i++) {
        if (strcmp(text_of(model->functions[i]->name), op) == 0 &&
            strcmp(text_of(model->functions[i]->domain), domain) == 0) {
            return true;
        }
    }
    return false;
}

static const char *reason_of(const summary_walk *walk, const char *domain, const char *op, int opset) {
    if (is_function(walk->im->model, domain, op)) {
        return NULL;
    }
    if (!mica_onnx_domain_known(domain)) {
        return mica_arena_printf(walk->arena, "the domain '%s' is unknown", domain);
    }
    const Onnx__ModelProto *model = walk->im->model;
    if (mica_onnx_domain(domain)[0] != '\0') {
        const int64_t own = mica_onnx_version(model->opset_import, model->n_opset_import, domain);
        opset = own > 0 && own <= MICA_ONNX_MAX_OPSET ? (int)own : 1;
    }
    const char *near = NULL;
    const mica_onnx_row *row = mica_onnx_find_row(domain, op, &near);
    if (row == NULL) {
        return near != NULL ? mica_arena_printf(walk->arena, "unknown; did you mean '%s'?", near)
                            : "unknown";
    }
    if (row->convert == NULL) {
        return row->detail;
    }
    if (opset < row->since || opset > row->until) {
        return mica_arena_printf(walk->arena, "known in opsets %d to %d, the model has %d", row->since,
                                 row->until, opset);
    }
    return NULL;
}

static void add_nodes(summary_walk *walk, Onnx__NodeProto *const *nodes, size_t count, int opset) {
    for (size_t i = 0; i < count; i++) {
        const Onnx__NodeProto *node = nodes[i];
        mica_onnx_node_info info = {.op = mica_arena_strdup(walk->arena, text_of(node->op_type)),
                                    .domain = mica_arena_strdup(walk->arena, text_of(node->domain)),
                                    .n_outputs = node->n_output};
        const char **outputs = mica_arena_array(walk->arena, node->n_output, sizeof *outputs);
        for (size_t k = 0; k < node->n_output; k++) {
            outputs[k] = mica_arena_strdup(walk->arena, text_of(node->output[k]));
        }
        const char *name = text_of(node->name);
        info.outputs = outputs;
        info.name = name[0] == '\0' && node->n_output > 0 ? outputs[0]
                                                          : mica_arena_strdup(walk->arena, name);
        info.reason = reason_of(walk, info.domain, info.op, opset);
        mica_vec_push(&walk->nodes, info);
        /* The reader has bounded how deep messages lie in each other, and so this recursion. */
        for (size_t k = 0; k < node->n_attribute; k++) {
            const Onnx__AttributeProto *attr = node->attribute[k];
            if (attr->g != NULL) {
                add_nodes(walk, attr->g->node, attr->g->n_node, opset);
            }
            for (size_t g = 0; g < attr->n_graphs; g++) {
                add_nodes(walk, attr->graphs[g]->node, attr->graphs[g]->n_node, opset);
            }
        }
    }
}

/* --- what lies before unsupported nodes --------------------------------------------------------- */

typedef struct frontier_walk {
    summary_walk *walk;
    mica_map *made;    /* tensors of nodes that can be converted */
    mica_map *tainted; /* tensors that need an unsupported node */
    mica_map *found;
    MICA_VEC(const char *) names;
} frontier_walk;

static void add_frontier(frontier_walk *f, const char *name) {
    if (mica_map_has(f->made, name) && !mica_map_has(f->found, name)) {
        const char *own = mica_arena_strdup(f->walk->arena, name);
        mica_map_set(f->found, own, NULL);
        mica_vec_push(&f->names, own);
    }
}

/* Calls `see` for the node and all nodes of its subgraphs until one returns true. */
static bool any_node(frontier_walk *f, const Onnx__NodeProto *node, int opset,
                     bool (*see)(frontier_walk *, const Onnx__NodeProto *, int)) {
    bool stop = see(f, node, opset);
    for (size_t i = 0; i < node->n_attribute && !stop; i++) {
        const Onnx__AttributeProto *attr = node->attribute[i];
        for (size_t k = 0; attr->g != NULL && k < attr->g->n_node && !stop; k++) {
            stop = any_node(f, attr->g->node[k], opset, see);
        }
    }
    return stop;
}

static bool is_tainted(frontier_walk *f, const Onnx__NodeProto *node, int opset) {
    for (size_t i = 0; i < node->n_input; i++) {
        if (mica_map_has(f->tainted, node->input[i])) {
            return true;
        }
    }
    return reason_of(f->walk, text_of(node->domain), text_of(node->op_type), opset) != NULL;
}

static bool ends_here(frontier_walk *f, const Onnx__NodeProto *node, int opset) {
    (void)opset;
    for (size_t i = 0; i < node->n_input; i++) {
        add_frontier(f, node->input[i]);
    }
    return false;
}

static void find_frontier(summary_walk *walk, int opset, mica_onnx_summary *out) {
    const Onnx__GraphProto *graph = walk->im->model->graph;
    frontier_walk f = {.walk = walk, .made = mica_map_create(), .tainted = mica_map_create(),
                       .found = mica_map_create()};
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        const bool tainted = any_node(&f, node, opset, is_tainted);
        if (tainted) {
            any_node(&f, node, opset, ends_here);
        }
        for (size_t k = 0; k < node->n_output; k++) {
            if (text_of(node->output[k])[0] != '\0') {
                mica_map_set(tainted ? f.tainted : f.made, node->output[k], NULL);
            }
        }
    }
    for (size_t i = 0; i < graph->n_output; i++) {
        add_frontier(&f, text_of(graph->output[i]->name));
    }
    out->n_frontier = f.names.len;
    out->frontier = mica_arena_memdup(walk->arena, f.names.data, f.names.len * sizeof *f.names.data);
    mica_vec_free(&f.names);
    mica_map_destroy(f.made);
    mica_map_destroy(f.tainted);
    mica_map_destroy(f.found);
}

/* --- inputs and constants ----------------------------------------------------------------------- */

static void add_open(summary_walk *walk, const Onnx__ValueInfoProto *input) {
    if (input->type == NULL || input->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
        return; /* the import tells */
    }
    mica_onnx_open_dim open = {mica_arena_strdup(walk->arena, text_of(input->name)), "", 0};
    const Onnx__TensorShapeProto *shape = input->type->tensor_type->shape;
    if (shape == NULL) {
        mica_vec_push(&walk->open, open);
        return;
    }
    for (size_t i = 0; i < shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
            dim->dim_value >= 0) {
            continue;
        }
        const bool named = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        open.index = i;
        open.symbol = named ? mica_arena_strdup(walk->arena, text_of(dim->dim_param)) : "";
        mica_vec_push(&walk->open, open);
    }
}

static double parameters_of(const Onnx__GraphProto *graph) {
    double total = 0;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        double count = 1;
        for (size_t k = 0; k < graph->initializer[i]->n_dims; k++) {
            count *= (double)graph->initializer[i]->dims[k];
        }
        total += count > 0 ? count : 0;
    }
    return total;
}

/* Nodes of the main graph between the cuts; all of them when the names do not fit, which the import
 * tells. */
static void add_main_nodes(summary_walk *walk, int opset) {
    mica_onnx_importer *im = walk->im;
    const Onnx__GraphProto *graph = im->model->graph;
    const mica_onnx_options *options = im->options;
    mica_onnx_order order = {.nodes = (const Onnx__NodeProto **)graph->node, .count = graph->n_node};
    if (options->n_input_names + options->n_output_names > 0) {
        const size_t n = options->n_output_names > 0 ? options->n_output_names : graph->n_output;
        char **wanted = mica_arena_array(im->arena, n, sizeof *wanted);
        for (size_t i = 0; i < n; i++) {
            const char *name = options->n_output_names > 0 ? options->output_names[i]
                                                           : text_of(graph->output[i]->name);
            wanted[i] = mica_arena_strdup(im->arena, name);
        }
        for (size_t i = 0; i < options->n_input_names; i++) {
            mica_onnx_define(im, options->input_names[i], NULL);
        }
        for (size_t i = 0; i < graph->n_input && options->n_input_names == 0; i++) {
            mica_onnx_define(im, text_of(graph->input[i]->name), NULL);
        }
        for (size_t i = 0; i < graph->n_initializer; i++) {
            mica_onnx_define(im, text_of(graph->initializer[i]->name), NULL);
        }
        mica_onnx_order needed;
        mica_diag_capture capture;
        mica_diag_capture_begin(im->context, &capture);
        if (mica_onnx_sort(im, graph->node, graph->n_node, wanted, n, &needed) == MICA_OK) {
            order = needed;
        }
        mica_diag_capture_end(im->context, &capture);
    }
    add_nodes(walk, (Onnx__NodeProto *const *)order.nodes, order.count, opset);
}

static void walk_model(summary_walk *walk, mica_onnx_summary *out) {
    const Onnx__ModelProto *model = walk->im->model;
    const Onnx__GraphProto *graph = model->graph;
    mica_map *initializers = mica_map_create();
    out->opset = walk->im->scope->opset;
    out->parameters = parameters_of(graph);
    add_main_nodes(walk, out->opset);
    for (size_t i = 0; i < model->n_functions; i++) {
        const Onnx__FunctionProto *f = model->functions[i];
        const int64_t own = mica_onnx_opset(f->opset_import, f->n_opset_import);
        const bool known = own > 0 && own <= MICA_ONNX_MAX_OPSET;
        add_nodes(walk, f->node, f->n_node, known ? (int)own : out->opset);
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        mica_map_set(initializers, text_of(graph->initializer[i]->name), NULL);
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        if (!mica_map_has(initializers, text_of(graph->input[i]->name))) {
            add_open(walk, graph->input[i]);
        }
    }
    mica_map_destroy(initializers);
    for (size_t i = 0; i < walk->nodes.len; i++) {
        out->n_unsupported += walk->nodes.data[i].reason != NULL;
    }
    const mica_onnx_options *options = walk->im->options;
    if (out->n_unsupported > 0 && options->n_input_names + options->n_output_names == 0) {
        find_frontier(walk, out->opset, out);
    }
    out->n_nodes = walk->nodes.len;
    out->n_open = walk->open.len;
    out->nodes = mica_arena_memdup(walk->arena, walk->nodes.data, out->n_nodes * sizeof *out->nodes);
    out->open = mica_arena_memdup(walk->arena, walk->open.data, out->n_open * sizeof *out->open);
}

mica_status mica_onnx_summarize(mica_context *context, const char *path,
                                const mica_onnx_options *options, mica_arena *arena,
                                mica_onnx_summary *out) {
    static const mica_onnx_options none = {0};
    mica_arena *own = mica_arena_create();
    mica_onnx_importer im = {.context = context, .arena = own, .path = path};
    im.options = options != NULL ? options : &none;
    summary_walk walk = {.im = &im, .arena = arena};
    *out = (mica_onnx_summary){0};
    im.loc = mica_loc_name(context, mica_path_base(own, path), NULL);
    im.module = mica_module_create(context, mica_loc_unknown(context));
    mica_onnx_push_scope(&im, "");
    const mica_status status = mica_onnx_read(&im);
    if (status == MICA_OK) {
        walk_model(&walk, out);
    }
    mica_onnx_pop_scope(&im);
    mica_vec_free(&walk.nodes);
    mica_vec_free(&walk.open);
    mica_module_destroy(im.module); /* frees the model too */
    mica_arena_destroy(own);
    return status;
}
