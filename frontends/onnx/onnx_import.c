/* The import as a whole: read, order, convert, return, clean up. */
#include "dialects/top/cut.h"
#include "frontends/onnx/onnx_internal.h"

#include "utils/strings.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

/* Unrolled loops may convert this many nodes in all. */
static const size_t MAX_NODES = 500000;
/* Results of the whole, elements of sequences counted one by one. */
static const size_t MAX_OUTPUTS = 65536;

/* --- nodes ----------------------------------------------------------------------------------- */
static mica_status unsupported(mica_onnx_node *node, const char *near) {
    const char *op = node->proto->op_type != NULL ? node->proto->op_type : "";
    if (!mica_onnx_domain_known(node->proto->domain)) {
        return mica_onnx_error(node, "operator '%s' is of the unknown domain '%s', known are %s", op,
                               node->proto->domain, mica_onnx_domain_list(node->importer->arena));
    }
    if (node->row == NULL) {
        return mica_onnx_error(node, "unknown operator '%s'%s%s%s", op,
                               near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                               near != NULL ? "'?" : "");
    }
    return mica_onnx_error(node, "operator '%s' is not supported: %s", op, node->row->detail);
}

static mica_status check_counts(mica_onnx_node *node) {
    const mica_onnx_row *row = node->row;
    const Onnx__NodeProto *proto = node->proto;
    if (row->domain[0] == '\0' && node->opset < 1) {
        return mica_onnx_error(node, "the model does not declare a version of the default operator "
                                     "set, expected an opset_import of domain '' in %d..%d",
                               MICA_ONNX_MIN_OPSET, MICA_ONNX_MAX_OPSET);
    }
    if (node->version < row->since) {
        return mica_onnx_error(node, "operator '%s' is known from opset %d on", row->op,
                               row->since);
    }
    if (node->version > row->until) {
        return mica_onnx_error(node, "operator '%s' ended with opset %d", row->op, row->until);
    }
    const int n_in = (int)proto->n_input, n_out = (int)proto->n_output;
    if (n_in < row->min_in || (row->max_in >= 0 && n_in > row->max_in)) {
        return mica_onnx_error(node, "%d inputs, expected %d..%d", n_in, row->min_in,
                               row->max_in >= 0 ? row->max_in : n_in);
    }
    if (n_out < row->min_out || (row->max_out >= 0 && n_out > row->max_out)) {
        return mica_onnx_error(node, "%d outputs, expected %d..%d", n_out, row->min_out,
                               row->max_out >= 0 ? row->max_out : n_out);
    }
    for (int i = 0; i < row->min_in; i++) {
        if (proto->input[i][0] == '\0' && (row->gaps >> i & 1) == 0) {
            return mica_onnx_error(node, "input %d is required, but absent", i);
        }
    }
    for (int i = 0; i < row->min_out; i++) {
        if (proto->output[i][0] == '\0') {
            return mica_onnx_error(node, "output %d is required, but absent", i);
        }
    }
    return MICA_OK;
}

static mica_status convert(mica_onnx_node *node) {
    const char *near = NULL;
    bool done = false;
    MICA_TRY(mica_onnx_inline_function(node, &done));
    if (done) {
        return MICA_OK;
    }
    node->row = mica_onnx_find_row(node->proto->domain,
                                   node->proto->op_type != NULL ? node->proto->op_type : "", &near);
    if (node->row == NULL || node->row->convert == NULL) {
        return unsupported(node, near);
    }
    MICA_TRY(check_counts(node));
    MICA_TRY(mica_onnx_check_live(node));
    MICA_TRY(node->row->convert(node));
    MICA_TRY(mica_onnx_attrs_done(node));
    for (size_t i = 0; i < mica_onnx_n_out(node); i++) {
        if (mica_onnx_has_out(node, i) &&
            !mica_map_has(node->importer->scope->entries, mica_onnx_out_name(node, i))) {
            return mica_onnx_error(node, "output %zu ('%s') is not supported", i,
                                   mica_onnx_out_name(node, i));
        }
    }
    return MICA_OK;
}

/* Version of the node's domain. Exporters forget to import other domains than the default one;
 * their first version is what they mean then. */
static int domain_version(const mica_onnx_importer *im, const Onnx__NodeProto *proto) {
    if (mica_onnx_domain(proto->domain)[0] == '\0') {
        return im->scope->opset;
    }
    const mica_onnx_scope *scope = im->scope;
    while (scope != NULL && scope->function == NULL) {
        scope = scope->parent;
    }
    const Onnx__ModelProto *m = im->model;
    int64_t version = scope == NULL ? 0
                                    : mica_onnx_version(scope->function->opset_import,
                                                        scope->function->n_opset_import,
                                                        proto->domain);
    version = version != 0 ? version
                           : mica_onnx_version(m->opset_import, m->n_opset_import, proto->domain);
    return version == 0 ? 1 : version < 0 ? 0 : version > INT_MAX ? INT_MAX : (int)version;
}

mica_status mica_onnx_convert_nodes(mica_onnx_importer *im, const mica_onnx_order *order) {
    for (size_t i = 0; i < order->count; i++) {
        const Onnx__NodeProto *proto = order->nodes[i];
        /* Operators of other domains that share a converter have the rules of the newest opset. */
        const bool standard = mica_onnx_domain(proto->domain)[0] == '\0';
        mica_onnx_node node = {.importer = im, .proto = proto,
                               .opset = standard ? im->scope->opset : MICA_ONNX_MAX_OPSET,
                               .version = domain_version(im, proto)};
        node.name = proto->name != NULL && proto->name[0] != '\0' ? proto->name
                    : proto->n_output > 0                         ? proto->output[0]
                                                                  : "";
        node.seen = mica_arena_array(im->arena, proto->n_attribute, sizeof *node.seen);
        if (++im->n_nodes > MAX_NODES) {
            return mica_onnx_error(&node, "more than %zu nodes after unrolling", MAX_NODES);
        }
        MICA_TRY(convert(&node));
    }
    return MICA_OK;
}

/* --- results --------------------------------------------------------------------------------- */
/* Names of the outputs, and behind them those to truncate at. */
static char **wanted_names(mica_onnx_importer *im, size_t *out_count) {
    const Onnx__GraphProto *graph = im->model->graph;
    const mica_onnx_options *options = im->options;
    const bool cut = options->n_output_names > 0;
    *out_count = cut ? options->n_output_names : graph->n_output;
    char **names = mica_arena_array(im->arena, *out_count + options->n_truncate_names, sizeof *names);
    for (size_t i = 0; i < *out_count; i++) {
        const char *name = cut ? options->output_names[i] : graph->output[i]->name;
        names[i] = mica_arena_strdup(im->arena, name != NULL ? name : "");
    }
    for (size_t i = 0; i < options->n_truncate_names; i++) {
        names[*out_count + i] = mica_arena_strdup(im->arena, options->truncate_names[i]);
    }
    return names;
}

static bool is_listed(mica_value *const *values, size_t count, const mica_value *value) {
    for (size_t i = 0; i < count; i++) {
        if (values[i] == value) {
            return true;
        }
    }
    return false;
}

/* An output has the name that the user knows: Identity and the like give a second name to a tensor.
 * The producer takes the new name, unless its own one is needed; then a Reshape to the same shape
 * carries it. */
static mica_value *named_output(mica_onnx_importer *im, mica_value *value, const char *name,
                                mica_value *const *others, size_t n_others) {
    if (strcmp(mica_value_name(value), name) == 0) {
        return value;
    }
    const bool fixed = value->def == NULL || mica_op_is(value->def, "top.Input") ||
                       mica_is_weight(value) || is_listed(others, n_others, value);
    if (!fixed) {
        mica_onnx_rename(im, value, name);
        return value;
    }
    mica_op *op = mica_build_op(&im->builder, "top.Reshape",
                                mica_loc_name(im->context, name, NULL), &value, 1, 1);
    const mrt_shape shape = mica_onnx_shape(value);
    int64_t dims[MRT_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) {
        dims[i] = shape.dims[i] < 0 ? 0 : shape.dims[i]; /* 0 copies */
    }
    mica_op_set_i64s(op, "shape", dims, (size_t)shape.rank);
    return mica_live_infer(im->live, op) == MICA_OK ? mica_op_result(op, 0) : NULL;
}

typedef struct results {
    MICA_VEC(mica_value *) values;
    MICA_VEC(mica_value *) sources; /* before they got the names of outputs */
} results;

static mica_status add_result(mica_onnx_importer *im, results *r, const char *name,
                              mica_value *value) {
    if (value == NULL) {
        return MICA_FAIL;
    }
    if (r->values.len == MAX_OUTPUTS) {
        return mica_emit_error(im->context, im->loc, "more than %zu outputs", MAX_OUTPUTS);
    }
    mica_value *named = named_output(im, value, name, r->sources.data, r->sources.len);
    mica_vec_push(&r->values, named);
    mica_vec_push(&r->sources, value);
    return named != NULL ? MICA_OK : MICA_FAIL;
}

/* A tensor is one result, a sequence one per element, an absent optional none. */
static mica_status add_results(mica_onnx_importer *im, results *r, const char *name) {
    mica_onnx_entry *entry = mica_onnx_lookup(im->scope, name);
    if (entry == NULL || entry->absent) {
        return entry == NULL ? MICA_FAIL : MICA_OK;
    }
    if (entry->sequence == NULL) {
        return add_result(im, r, name, mica_onnx_entry_value(im, name, entry));
    }
    for (size_t i = 0; i < entry->sequence->count; i++) {
        mica_value *item = entry->sequence->items[i];
        const char *part = mica_arena_printf(im->arena, "%s.%zu", name, i);
        const bool named = strcmp(mica_value_name(item), part) == 0;
        MICA_TRY(add_result(im, r, named ? part : mica_onnx_unique(im, part), item));
    }
    return MICA_OK;
}

static mica_status make_return(mica_onnx_importer *im, mica_op *func, char *const *names,
                               size_t count) {
    results r = {0};
    mica_status status = MICA_OK;
    for (size_t i = 0; i < count && status == MICA_OK; i++) {
        status = add_results(im, &r, names[i]);
    }
    if (status == MICA_OK && r.values.len == 0) {
        status = mica_emit_error(im->context, im->loc, "all outputs of the graph are sequences "
                                                       "without elements or absent optionals");
    }
    if (status == MICA_OK) {
        mica_build_return(&im->builder, r.values.data, r.values.len,
                          mica_loc_unknown(im->context));
        mica_func_update_type(func);
    }
    mica_vec_free(&r.values);
    mica_vec_free(&r.sources);
    return status;
}

/* Erases pure ops that nobody reads and forgets constants that no op names. */
static void clean_up(mica_onnx_importer *im, mica_op *func) {
    mica_op *before = NULL;
    mica_map *used = mica_map_create();
    for (mica_op *op = mica_func_body(func)->last; op != NULL; op = before) {
        before = op->prev;
        bool dead = mica_op_has_trait(op, MICA_PURE);
        for (uint32_t i = 0; i < op->n_results; i++) {
            dead = dead && op->results[i].first_use == NULL;
        }
        if (dead) {
            mica_op_erase(op);
        } else if (mica_op_is(op, "top.Weight")) {
            mica_map_set(used, mica_value_name(mica_op_result(op, 0)), NULL);
        }
    }
    mica_weights *weights = im->module->weights;
    for (size_t i = mica_weights_count(weights); i-- > 0;) {
        const char *name = mica_weights_name_at(weights, i);
        if (!mica_map_has(used, name)) {
            mica_weights_remove(weights, name);
        }
    }
    mica_map_destroy(used);
}

/* Names in scope are those of the model, also where two of them mean the same tensor. */
static mica_status truncate_at(mica_onnx_importer *im, char *const *names, size_t count) {
    mica_error err;
    mica_value **values = mica_arena_array(im->arena, count, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        mica_onnx_entry *entry = mica_onnx_lookup(im->scope, names[i]);
        values[i] = entry != NULL ? mica_onnx_entry_value(im, names[i], entry) : NULL;
        if (values[i] == NULL || values[i]->def == NULL || values[i]->def->block == NULL) {
            return mica_emit_error(im->context, im->loc,
                                   "cannot cut at '%s': no output depends on it", names[i]);
        }
    }
    if (count > 0 && mica_top_truncate(im->module, values, (const char *const *)names, count, &err) != MICA_OK) {
        return mica_emit_error(im->context, im->loc, "%s", err.text);
    }
    return MICA_OK;
}

/* --- the whole ------------------------------------------------------------------------------- */
static void set_module_attrs(mica_onnx_importer *im) {
    mica_op *op = im->module->op;
    const char *name = im->options->model_name;
    if (name == NULL) {
        const char *base = mica_path_base(im->arena, im->path);
        const char *dot = strrchr(base, '.');
        name = mica_arena_strndup(im->arena, base,
                                  dot != NULL && dot != base ? (size_t)(dot - base) : strlen(base));
    }
    mica_op_set_attr(op, "sym_name", mica_attr_string(im->context, name));
    mica_op_set_attr(op, "module.state", mica_attr_string(im->context, "TOP_F32"));
    mica_op_set_attr(op, "module.platform", mica_attr_string(im->context, "ONNX"));
    mica_op_set_attr(op, "module.chip", mica_attr_string(im->context, "ALL"));
}

/* New names of helper tensors must not take the name of a tensor that comes later. */
static void reserve_names(mica_onnx_importer *im) {
    const Onnx__GraphProto *graph = im->model->graph;
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t k = 0; k < graph->node[i]->n_output; k++) {
            mica_map_set(im->names, graph->node[i]->output[k], NULL);
        }
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const char *name = graph->initializer[i]->name;
        mica_map_set(im->names, name != NULL ? name : "", NULL);
    }
}

static mica_status run(mica_onnx_importer *im) {
    mica_op *func = NULL;
    size_t n_wanted = 0;
    MICA_TRY(mica_onnx_read(im));
    set_module_attrs(im);
    reserve_names(im);
    const Onnx__GraphProto *graph = im->model->graph;
    MICA_TRY(mica_onnx_add_initializers(im, graph));
    MICA_TRY(mica_onnx_make_inputs(im, graph, &func));
    char **wanted = wanted_names(im, &n_wanted);
    if (n_wanted == 0) {
        return mica_emit_error(im->context, im->loc, "the graph has no outputs");
    }
    mica_onnx_order order;
    MICA_TRY(mica_onnx_sort(im, graph->node, graph->n_node, wanted,
                            n_wanted + im->options->n_truncate_names, &order));
    MICA_TRY(mica_onnx_convert_nodes(im, &order));
    MICA_TRY(make_return(im, func, wanted, n_wanted));
    clean_up(im, func);
    return truncate_at(im, wanted + n_wanted, im->options->n_truncate_names);
}

mica_status mica_onnx_import(mica_context *context, const char *path,
                             const mica_onnx_options *options, mica_module **out_module) {
    static const mica_onnx_options none = {0};
    mica_arena *arena = mica_arena_create();
    mica_onnx_importer im = {.context = context, .arena = arena, .path = path};
    im.options = options != NULL ? options : &none;
    im.loc = mica_loc_name(context, mica_path_base(arena, path), NULL);
    im.module = mica_module_create(context, mica_loc_unknown(context));
    im.names = mica_map_create();
    im.helpers = mica_map_create();
    im.externals = mica_map_create();
    im.borrowed = mica_map_create();
    im.live = mica_live_create(context);
    mica_onnx_push_scope(&im, "");
    const mica_status status = run(&im);
    while (im.scope != NULL) {
        mica_onnx_pop_scope(&im);
    }
    mica_live_destroy(im.live);
    mica_map_destroy(im.borrowed);
    mica_map_destroy(im.externals);
    mica_map_destroy(im.helpers);
    mica_map_destroy(im.names);
    mica_arena_destroy(arena);
    if (status != MICA_OK) {
        mica_module_destroy(im.module);
        return MICA_FAIL;
    }
    *out_module = im.module;
    return MICA_OK;
}
