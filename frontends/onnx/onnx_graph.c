/* Order of conversion: the nodes that the wanted tensors need, producers before users. */
#include "frontends/onnx/onnx_internal.h"

#include "utils/strings.h"

#include <string.h>

enum { FRESH, OPEN, DONE };

typedef MICA_VEC(const char *) name_list;

/* One node on the search path: which of the tensors it reads comes next. */
typedef struct step {
    size_t node;
    size_t next;
    name_list reads;
} step;
typedef MICA_VEC(step) path;

typedef struct sorter {
    mica_onnx_importer *importer;
    Onnx__NodeProto **nodes;
    size_t n_nodes;
    mica_map *producers; /* tensor name -> &nodes[i] */
    uint8_t *state;
    mica_onnx_order *out;
    const path *path; /* from a wanted tensor to where the search is */
} sorter;

static const char *node_name(const Onnx__NodeProto *proto) {
    if (proto->name != NULL && proto->name[0] != '\0') {
        return proto->name;
    }
    return proto->n_output > 0 ? proto->output[0] : "";
}

/* Tensors that a node reads; of its subgraphs those that they take from outside, roughly: a name
 * defined inside is listed too and finds no producer here. */
static void collect_reads(const Onnx__NodeProto *proto, name_list *out) {
    for (size_t i = 0; i < proto->n_input; i++) {
        if (proto->input[i][0] != '\0') {
            mica_vec_push(out, proto->input[i]);
        }
    }
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__GraphProto *graph = proto->attribute[i]->g;
        for (size_t k = 0; graph != NULL && k < graph->n_node; k++) {
            collect_reads(graph->node[k], out); /* depth is bounded by MICA_ONNX_MAX_NESTING */
        }
        for (size_t k = 0; graph != NULL && k < graph->n_output; k++) {
            if (graph->output[k]->name != NULL) {
                mica_vec_push(out, graph->output[k]->name);
            }
        }
    }
}

static mica_status index_producers(sorter *s) {
    mica_onnx_importer *im = s->importer;
    for (size_t i = 0; i < s->n_nodes; i++) {
        const Onnx__NodeProto *proto = s->nodes[i];
        for (size_t k = 0; k < proto->n_output; k++) {
            const char *name = proto->output[k];
            if (name[0] == '\0') {
                continue;
            }
            const mica_onnx_entry *entry = mica_map_get(im->scope->entries, name);
            if (!mica_map_set(s->producers, name, &s->nodes[i]) ||
                (entry != NULL && entry->initializer != NULL)) {
                return mica_emit_error(im->context, im->loc,
                                       "node '%s' (%s): its output '%s' is the name of another "
                                       "tensor already", node_name(proto),
                                       proto->op_type != NULL ? proto->op_type : "", name);
            }
        }
    }
    return MICA_OK;
}

static const char *nearest_tensor(const sorter *s, const char *name) {
    name_list all = {0};
    const char *key = NULL;
    for (size_t i = 0; mica_map_at(s->producers, i, &key, NULL); i++) {
        mica_vec_push(&all, key);
    }
    for (size_t i = 0; mica_map_at(s->importer->scope->entries, i, &key, NULL); i++) {
        mica_vec_push(&all, key);
    }
    const char *near = mica_nearest(name, all.data, all.len);
    mica_vec_free(&all);
    return near;
}

static bool is_cut_input(const mica_onnx_importer *im, const char *name) {
    const Onnx__GraphProto *graph = im->model->graph;
    bool found = false;
    for (size_t i = 0; i < graph->n_input && !found; i++) {
        found = graph->input[i]->name != NULL && strcmp(graph->input[i]->name, name) == 0;
    }
    return found && im->scope->parent == NULL && im->options->n_input_names > 0;
}

/* The names that were given do not cut off the input: the way from it to the output. */
static mica_status still_needed(const sorter *s, const char *name) {
    enum { SHOWN = 6 };
    const mica_onnx_importer *im = s->importer;
    const char *text = mica_arena_printf(im->arena, "'%s'", name);
    const size_t len = s->path->len, shown = len < SHOWN ? len : SHOWN;
    for (size_t i = 0; i < shown; i++) {
        text = mica_arena_printf(im->arena, "%s -> '%s'", text,
                                 node_name(s->nodes[s->path->data[len - 1 - i].node]));
    }
    return mica_emit_error(im->context, im->loc,
                           "the outputs still depend on input '%s': %s%s; add '%s' or a tensor on "
                           "this path to the input names", name, text,
                           shown < len ? " -> ..." : "", name);
}

static mica_status missing(const sorter *s, const Onnx__NodeProto *user, const char *name) {
    const mica_onnx_importer *im = s->importer;
    if (is_cut_input(im, name)) {
        return still_needed(s, name);
    }
    const char *near = nearest_tensor(s, name);
    const char *tail =
        near != NULL ? mica_arena_printf(im->arena, "; did you mean '%s'?", near) : "";
    if (user == NULL) {
        return mica_emit_error(im->context, im->loc, "the model has no tensor '%s'%s", name, tail);
    }
    return mica_emit_error(im->context, im->loc,
                           "node '%s' (%s): input '%s' is no graph input, no initializer and no "
                           "output of a node%s", node_name(user),
                           user->op_type != NULL ? user->op_type : "", name, tail);
}

static mica_status cycle(const sorter *s, const path *p, size_t node) {
    mica_onnx_importer *im = s->importer;
    const char *text = "";
    size_t shown = 0;
    for (size_t i = 0; i < p->len; i++) {
        if (text[0] == '\0' && p->data[i].node != node) {
            continue;
        }
        if (shown++ < 8) {
            text = mica_arena_printf(im->arena, "%s'%s' <- ", text,
                                     node_name(s->nodes[p->data[i].node]));
        }
    }
    return mica_emit_error(im->context, im->loc, "the graph has a cycle: %s%s'%s'", text,
                           shown > 8 ? "... <- " : "", node_name(s->nodes[node]));
}

static void open_node(const sorter *s, path *p, size_t node) {
    step entry = {.node = node};
    collect_reads(s->nodes[node], &entry.reads);
    s->state[node] = OPEN;
    mica_vec_push(p, entry);
}

/* Index of the node that gives `name`; n_nodes when it comes from elsewhere. A name that nobody
 * gives is an error only if `user` reads it itself (not one of its subgraphs). */
static mica_status producer_of(const sorter *s, const char *name, const Onnx__NodeProto *user,
                               bool direct, size_t *out) {
    const mica_onnx_scope *scope = s->importer->scope;
    *out = s->n_nodes;
    if (mica_map_has(scope->entries, name)) {
        return MICA_OK;
    }
    Onnx__NodeProto **found = mica_map_get(s->producers, name);
    if (found == NULL) {
        return direct && mica_onnx_lookup(scope, name) == NULL ? missing(s, user, name) : MICA_OK;
    }
    *out = (size_t)(found - s->nodes);
    return MICA_OK;
}

static size_t direct_reads(const Onnx__NodeProto *proto) {
    size_t n = 0;
    for (size_t i = 0; i < proto->n_input; i++) {
        n += proto->input[i][0] != '\0';
    }
    return n;
}

static mica_status visit(sorter *s, path *p, size_t start) {
    open_node(s, p, start);
    while (p->len > 0) {
        step *top = &p->data[p->len - 1];
        const Onnx__NodeProto *proto = s->nodes[top->node];
        if (top->next == top->reads.len) {
            s->state[top->node] = DONE;
            s->out->nodes[s->out->count++] = proto;
            mica_vec_free(&top->reads);
            p->len--;
            continue;
        }
        const bool direct = top->next < direct_reads(proto);
        const char *name = top->reads.data[top->next++];
        size_t producer = 0;
        MICA_TRY(producer_of(s, name, proto, direct, &producer));
        if (producer == s->n_nodes || s->state[producer] == DONE) {
            continue;
        }
        if (s->state[producer] == OPEN) {
            if (!direct && producer == top->node) {
                continue; /* a subgraph may reuse a name of its own node */
            }
            return cycle(s, p, producer);
        }
        open_node(s, p, producer);
    }
    return MICA_OK;
}

/* Nodes found by the search come out in an order that follows the wanted tensors; a second pass in
 * file order keeps models that are already sorted as they are. */
static mica_status sort_needed(sorter *s, char *const *wanted, size_t n_wanted, path *p) {
    for (size_t i = 0; i < n_wanted; i++) {
        size_t producer = 0;
        MICA_TRY(producer_of(s, wanted[i], NULL, true, &producer));
        if (producer != s->n_nodes && s->state[producer] == FRESH) {
            MICA_TRY(visit(s, p, producer));
        }
    }
    uint8_t *needed = mica_arena_memdup(s->importer->arena, s->state, s->n_nodes);
    memset(s->state, FRESH, s->n_nodes);
    s->out->count = 0;
    for (size_t i = 0; i < s->n_nodes; i++) {
        if (needed[i] == DONE && s->state[i] == FRESH) {
            MICA_TRY(visit(s, p, i));
        }
    }
    return MICA_OK;
}

mica_status mica_onnx_sort(mica_onnx_importer *im, Onnx__NodeProto **nodes, size_t n_nodes,
                           char *const *wanted, size_t n_wanted, mica_onnx_order *out) {
    path p = {0};
    sorter s = {im, nodes, n_nodes, mica_map_create(), NULL, out, &p};
    s.state = mica_arena_alloc(im->arena, n_nodes);
    *out = (mica_onnx_order){mica_arena_array(im->arena, n_nodes, sizeof *out->nodes), 0};
    mica_status status = index_producers(&s);
    if (status == MICA_OK) {
        status = sort_needed(&s, wanted, n_wanted, &p);
    }
    for (size_t i = 0; i < p.len; i++) {
        mica_vec_free(&p.data[i].reads);
    }
    mica_vec_free(&p);
    mica_map_destroy(s.producers);
    return status;
}
