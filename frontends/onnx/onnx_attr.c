/* Attributes of a node, with their types checked and unknown ones refused. */
#include "frontends/onnx/onnx_internal.h"

#include "utils/strings.h"

#include <inttypes.h>
#include <string.h>

/* Type of an attribute as far as we read them, how to see it in files without `type`. */
#define ATTR_TYPES(X)                                                                              \
    X(FLOAT, has_f)                                                                                \
    X(INT, has_i)                                                                                  \
    X(STRING, has_s)                                                                               \
    X(TENSOR, t != NULL)                                                                           \
    X(GRAPH, g != NULL)                                                                            \
    X(FLOATS, n_floats > 0)                                                                        \
    X(INTS, n_ints > 0)                                                                            \
    X(STRINGS, n_strings > 0)

#define TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

static const char *type_name(int type) {
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &onnx__attribute_proto__attribute_type__descriptor, type);
    return value != NULL ? value->name : "UNKNOWN";
}

static int type_of(const Onnx__AttributeProto *a, int wanted) {
    if (a->has_type && a->type != TYPE(UNDEFINED)) {
        return (int)a->type;
    }
#define X(name, condition)                                                                         \
    if (a->condition) {                                                                            \
        return TYPE(name);                                                                         \
    }
    ATTR_TYPES(X)
#undef X
    return wanted; /* an empty list */
}

static const Onnx__AttributeProto *find_in(const Onnx__NodeProto *proto, const char *name,
                                           size_t *out_index) {
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const char *its = proto->attribute[i]->name;
        if (its != NULL && strcmp(its, name) == 0) {
            *out_index = i;
            return proto->attribute[i];
        }
    }
    return NULL;
}

/* Inside of a function an attribute may stand for one of the calling node. */
static const Onnx__AttributeProto *resolve(const mica_onnx_node *node,
                                           const Onnx__AttributeProto *a) {
    const mica_onnx_scope *scope = node->importer->scope;
    while (a != NULL && a->ref_attr_name != NULL && a->ref_attr_name[0] != '\0') {
        while (scope != NULL && scope->function == NULL) {
            scope = scope->parent;
        }
        if (scope == NULL) {
            return NULL;
        }
        size_t index = 0;
        a = find_in(scope->caller->proto, a->ref_attr_name, &index);
        scope = scope->parent;
    }
    return a;
}

/* The attribute with the wanted type; NULL when absent or after an error. */
static const Onnx__AttributeProto *find(mica_onnx_node *node, const char *name, int wanted) {
    if (node->n_asked < MICA_COUNT(node->asked)) {
        node->asked[node->n_asked++] = name;
    }
    size_t index = 0;
    const Onnx__AttributeProto *a = find_in(node->proto, name, &index);
    if (a == NULL || node->failed) {
        return NULL;
    }
    node->seen[index] = true;
    a = resolve(node, a);
    if (a != NULL && type_of(a, wanted) != wanted) {
        mica_onnx_error(node, "attribute '%s' is of type %s, expected %s", name,
                        type_name(type_of(a, wanted)), type_name(wanted));
        return NULL;
    }
    return a;
}

bool mica_onnx_has_attr(mica_onnx_node *node, const char *name) {
    size_t index = 0;
    return resolve(node, find_in(node->proto, name, &index)) != NULL;
}

int64_t mica_onnx_attr_i(mica_onnx_node *node, const char *name, int64_t fallback) {
    const Onnx__AttributeProto *a = find(node, name, TYPE(INT));
    return a != NULL ? a->i : fallback;
}

bool mica_onnx_attr_bool(mica_onnx_node *node, const char *name, bool fallback) {
    const int64_t value = mica_onnx_attr_i(node, name, fallback);
    if (value != 0 && value != 1) {
        mica_onnx_error(node, "attribute '%s' has value %" PRId64 ", expected 0 or 1", name, value);
    }
    return value == 1;
}

double mica_onnx_attr_f(mica_onnx_node *node, const char *name, double fallback) {
    const Onnx__AttributeProto *a = find(node, name, TYPE(FLOAT));
    return a != NULL ? (double)a->f : fallback;
}

static const char *copy_text(mica_arena *arena, const ProtobufCBinaryData *text) {
    return text->len > 0 ? mica_arena_strndup(arena, (const char *)text->data, text->len) : "";
}

const char *mica_onnx_attr_s(mica_onnx_node *node, const char *name, const char *fallback) {
    const Onnx__AttributeProto *a = find(node, name, TYPE(STRING));
    return a != NULL ? copy_text(node->importer->arena, &a->s) : fallback;
}

const char *mica_onnx_attr_choice(mica_onnx_node *node, const char *name, const char *fallback,
                                  const char *choices) {
    const char *value = mica_onnx_attr_s(node, name, fallback);
    mica_arena *arena = node->importer->arena;
    size_t n = 0;
    char **items = mica_split(arena, choices, '|', &n);
    const char *listed = "";
    for (size_t i = 0; i < n; i++) {
        if (strcmp(items[i], value) == 0) {
            return value;
        }
        const char *between = i == 0 ? "" : i + 1 == n ? " or " : ", ";
        listed = mica_arena_printf(arena, "%s%s%s", listed, between, items[i]);
    }
    if (!node->failed) {
        mica_onnx_error(node, "attribute '%s' has value '%s', expected %s", name, value, listed);
    }
    return fallback;
}

const int64_t *mica_onnx_attr_ints(mica_onnx_node *node, const char *name, size_t *out_count) {
    const Onnx__AttributeProto *a = find(node, name, TYPE(INTS));
    *out_count = a != NULL ? a->n_ints : 0;
    if (a == NULL) {
        return NULL;
    }
    return a->ints != NULL ? a->ints : mica_arena_alloc(node->importer->arena, 0);
}

const double *mica_onnx_attr_floats(mica_onnx_node *node, const char *name, size_t *out_count) {
    const Onnx__AttributeProto *a = find(node, name, TYPE(FLOATS));
    *out_count = a != NULL ? a->n_floats : 0;
    if (a == NULL) {
        return NULL;
    }
    double *values = mica_arena_array(node->importer->arena, a->n_floats, sizeof *values);
    for (size_t i = 0; i < a->n_floats; i++) {
        values[i] = (double)a->floats[i];
    }
    return values;
}

const char *const *mica_onnx_attr_strings(mica_onnx_node *node, const char *name,
                                          size_t *out_count) {
    const Onnx__AttributeProto *a = find(node, name, TYPE(STRINGS));
    *out_count = a != NULL ? a->n_strings : 0;
    if (a == NULL) {
        return NULL;
    }
    const char **values = mica_arena_array(node->importer->arena, a->n_strings, sizeof *values);
    for (size_t i = 0; i < a->n_strings; i++) {
        values[i] = copy_text(node->importer->arena, &a->strings[i]);
    }
    return values;
}

const Onnx__TensorProto *mica_onnx_attr_tensor(mica_onnx_node *node, const char *name) {
    const Onnx__AttributeProto *a = find(node, name, TYPE(TENSOR));
    if (a != NULL && a->t == NULL) {
        mica_onnx_error(node, "attribute '%s' holds no tensor", name);
        return NULL;
    }
    return a != NULL ? a->t : NULL;
}

const Onnx__GraphProto *mica_onnx_attr_graph(mica_onnx_node *node, const char *name) {
    const Onnx__AttributeProto *a = find(node, name, TYPE(GRAPH));
    if (!node->failed && (a == NULL || a->g == NULL)) {
        mica_onnx_error(node, "attribute '%s' holds no graph", name);
        return NULL;
    }
    return a != NULL ? a->g : NULL;
}

void mica_onnx_attr_skip(mica_onnx_node *node, const char *name) {
    size_t index = 0;
    if (find_in(node->proto, name, &index) != NULL) {
        node->seen[index] = true;
    }
}

mica_status mica_onnx_attrs_done(mica_onnx_node *node) {
    for (size_t i = 0; i < node->proto->n_attribute && !node->failed; i++) {
        const char *name = node->proto->attribute[i]->name;
        if (node->seen[i]) {
            continue;
        }
        name = name != NULL ? name : "";
        size_t index = i;
        if (find_in(node->proto, name, &index) != NULL && index != i) {
            return mica_onnx_error(node, "attribute '%s' is given twice", name);
        }
        const char *near = mica_nearest(name, node->asked, node->n_asked);
        return mica_onnx_error(node, "unknown attribute '%s'%s%s%s", name,
                               near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                               near != NULL ? "'?" : "");
    }
    return mica_onnx_finish(node);
}
