/* Small ONNX models made from protobuf-c structs, for the tests of the importer. Everything lives
 * in the model's arena. */
#ifndef MICA_TEST_ONNX_MODELS_H
#define MICA_TEST_ONNX_MODELS_H

#include "dialects/dialects.h"
#include "dialects/plan.h"
#include "frontends/onnx/onnx_internal.h"
#include "ir/verify.h"
#include "utils/file.h"
#include "utils/strings.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLOAT_TYPE ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT
#define INT64_TYPE ONNX__TENSOR_PROTO__DATA_TYPE__INT64

typedef struct model {
    mica_arena *arena;
    Onnx__ModelProto proto;
    Onnx__GraphProto graph;
    mica_context *context;
    mica_module *module;
    char folder[64], path[96];
    char errors[4000]; /* diagnostics, one per line */
} model;

/* Appends to a repeated field of protobuf-c. */
#define MODEL_APPEND(m, list, count, item)                                                         \
    do {                                                                                           \
        void *grown_ = mica_arena_array((m)->arena, (count) + 1, sizeof *(list));                  \
        if ((count) > 0) {                                                                         \
            memcpy(grown_, (list), (count) * sizeof *(list));                                      \
        }                                                                                          \
        (list) = grown_;                                                                           \
        (list)[(count)++] = (item);                                                                \
    } while (0)

static inline void model_keep(void *user, mica_severity severity, mica_loc loc, const char *text) {
    model *m = user;
    const size_t used = strlen(m->errors);
    (void)loc;
    snprintf(m->errors + used, sizeof m->errors - used, "%s%s\n",
             severity == MICA_NOTE ? "note: " : severity == MICA_WARNING ? "warning: " : "", text);
}

static inline void model_opset(model *m, const char *domain, int64_t version) {
    Onnx__OperatorSetIdProto *set = mica_arena_alloc(m->arena, sizeof *set);
    onnx__operator_set_id_proto__init(set);
    set->domain = mica_arena_strdup(m->arena, domain);
    set->has_version = 1;
    set->version = version;
    MODEL_APPEND(m, m->proto.opset_import, m->proto.n_opset_import, set);
}

static inline void model_begin(model *m, int64_t opset) {
    memset(m, 0, sizeof *m);
    m->arena = mica_arena_create();
    onnx__model_proto__init(&m->proto);
    onnx__graph_proto__init(&m->graph);
    m->proto.has_ir_version = 1;
    m->proto.ir_version = 8;
    m->proto.graph = &m->graph;
    if (opset != 0) {
        model_opset(m, "", opset);
    }
    snprintf(m->folder, sizeof m->folder, "/tmp/mica_onnx_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(m->folder));
    snprintf(m->path, sizeof m->path, "%s/model.onnx", m->folder);
    m->context = mica_context_create();
    mica_register_dialects(m->context);
    mica_set_diag_handler(m->context, model_keep, m);
}

static inline void model_end(model *m) {
    if (m->module != NULL) {
        mica_module_destroy(m->module);
    }
    mica_context_destroy(m->context);
    unlink(m->path);
    rmdir(m->folder);
    mica_arena_destroy(m->arena);
}

static inline Onnx__ValueInfoProto *model_value(model *m, const char *name, int type, int rank,
                                                const int64_t *dims) {
    Onnx__ValueInfoProto *info = mica_arena_alloc(m->arena, sizeof *info);
    Onnx__TypeProto *t = mica_arena_alloc(m->arena, sizeof *t);
    Onnx__TypeProto__Tensor *tensor = mica_arena_alloc(m->arena, sizeof *tensor);
    Onnx__TensorShapeProto *shape = mica_arena_alloc(m->arena, sizeof *shape);
    onnx__value_info_proto__init(info);
    onnx__type_proto__init(t);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(shape);
    info->name = mica_arena_strdup(m->arena, name);
    info->type = t;
    t->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    t->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = type;
    tensor->shape = shape;
    for (int i = 0; i < rank; i++) {
        Onnx__TensorShapeProto__Dimension *dim = mica_arena_alloc(m->arena, sizeof *dim);
        onnx__tensor_shape_proto__dimension__init(dim);
        if (dims[i] >= 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = dims[i];
        } else { /* -1 is called "d1", -2 "d2", ... */
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = mica_arena_printf(m->arena, "d%d", (int)-dims[i]);
        }
        MODEL_APPEND(m, shape->dim, shape->n_dim, dim);
    }
    return info;
}

/* A graph input; `dims` are the arguments. */
#define model_input(m, name, type, ...)                                                            \
    do {                                                                                           \
        const int64_t dims_[] = {__VA_ARGS__};                                                     \
        MODEL_APPEND(m, (m)->graph.input, (m)->graph.n_input,                                      \
                     model_value(m, name, type, (int)MICA_COUNT(dims_), dims_));                   \
    } while (0)

static inline void model_output(model *m, const char *name) {
    Onnx__ValueInfoProto *info = mica_arena_alloc(m->arena, sizeof *info);
    onnx__value_info_proto__init(info);
    info->name = mica_arena_strdup(m->arena, name);
    MODEL_APPEND(m, m->graph.output, m->graph.n_output, info);
}

/* inputs, outputs: names joined by commas, "" is an absent one ("x,,y"). */
static inline Onnx__NodeProto *model_make_node(model *m, const char *op, const char *name,
                                               const char *inputs, const char *outputs) {
    Onnx__NodeProto *node = mica_arena_alloc(m->arena, sizeof *node);
    onnx__node_proto__init(node);
    node->op_type = mica_arena_strdup(m->arena, op);
    node->name = mica_arena_strdup(m->arena, name);
    node->input = mica_split(m->arena, inputs, ',', &node->n_input);
    node->output = mica_split(m->arena, outputs, ',', &node->n_output);
    return node;
}

static inline Onnx__NodeProto *model_node(model *m, const char *op, const char *name,
                                          const char *inputs, const char *outputs) {
    Onnx__NodeProto *node = model_make_node(m, op, name, inputs, outputs);
    MODEL_APPEND(m, m->graph.node, m->graph.n_node, node);
    return node;
}

static inline Onnx__AttributeProto *model_attr(model *m, Onnx__NodeProto *node, const char *name,
                                               Onnx__AttributeProto__AttributeType type) {
    Onnx__AttributeProto *a = mica_arena_alloc(m->arena, sizeof *a);
    onnx__attribute_proto__init(a);
    a->name = mica_arena_strdup(m->arena, name);
    a->has_type = 1;
    a->type = type;
    MODEL_APPEND(m, node->attribute, node->n_attribute, a);
    return a;
}

static inline void model_attr_i(model *m, Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *a =
        model_attr(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    a->has_i = 1;
    a->i = value;
}

static inline void model_attr_f(model *m, Onnx__NodeProto *node, const char *name, float value) {
    Onnx__AttributeProto *a =
        model_attr(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    a->has_f = 1;
    a->f = value;
}

static inline void model_attr_s(model *m, Onnx__NodeProto *node, const char *name,
                                const char *value) {
    Onnx__AttributeProto *a =
        model_attr(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    a->has_s = 1;
    a->s.len = strlen(value);
    a->s.data = (uint8_t *)mica_arena_strdup(m->arena, value);
}

static inline void model_attr_ints_n(model *m, Onnx__NodeProto *node, const char *name, size_t n,
                                     const int64_t *values) {
    Onnx__AttributeProto *a =
        model_attr(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    a->n_ints = n;
    a->ints = mica_arena_memdup(m->arena, values, n * sizeof *values);
}
#define model_attr_ints(m, node, name, ...)                                                        \
    do {                                                                                           \
        const int64_t values_[] = {__VA_ARGS__};                                                   \
        model_attr_ints_n(m, node, name, MICA_COUNT(values_), values_);                            \
    } while (0)

/* An initializer with raw data of `bytes` bytes. */
static inline Onnx__TensorProto *model_tensor(model *m, const char *name, int type, int rank,
                                              const int64_t *dims, const void *data, size_t bytes) {
    Onnx__TensorProto *t = mica_arena_alloc(m->arena, sizeof *t);
    onnx__tensor_proto__init(t);
    t->name = mica_arena_strdup(m->arena, name);
    t->has_data_type = 1;
    t->data_type = type;
    t->n_dims = (size_t)rank;
    t->dims = mica_arena_memdup(m->arena, dims, (size_t)rank * sizeof *dims);
    if (data != NULL) {
        t->has_raw_data = 1;
        t->raw_data.len = bytes;
        t->raw_data.data = mica_arena_memdup(m->arena, data, bytes);
    }
    return t;
}

static inline Onnx__TensorProto *model_weight(model *m, const char *name, int type, int rank,
                                              const int64_t *dims, const void *data,
                                              size_t bytes) {
    Onnx__TensorProto *t = model_tensor(m, name, type, rank, dims, data, bytes);
    MODEL_APPEND(m, m->graph.initializer, m->graph.n_initializer, t);
    return t;
}

#define model_i64s(m, name, ...)                                                                   \
    do {                                                                                           \
        const int64_t values_[] = {__VA_ARGS__};                                                   \
        const int64_t count_ = (int64_t)MICA_COUNT(values_);                                       \
        model_weight(m, name, INT64_TYPE, 1, &count_, values_, sizeof values_);                    \
    } while (0)

/* Zeros of a shape given as the arguments. */
#define model_zeros(m, name, ...)                                                                  \
    do {                                                                                           \
        const int64_t dims_[] = {__VA_ARGS__};                                                     \
        size_t bytes_ = sizeof(float);                                                             \
        for (size_t i_ = 0; i_ < MICA_COUNT(dims_); i_++) {                                        \
            bytes_ *= (size_t)dims_[i_];                                                           \
        }                                                                                          \
        model_weight(m, name, FLOAT_TYPE, (int)MICA_COUNT(dims_), dims_,                           \
                     mica_arena_alloc((m)->arena, bytes_), bytes_);                                \
    } while (0)

static inline void model_write(model *m) {
    const size_t size = onnx__model_proto__get_packed_size(&m->proto);
    uint8_t *bytes = mica_arena_alloc(m->arena, size);
    mica_error err = {0};
    onnx__model_proto__pack(&m->proto, bytes);
    ck_assert_int_eq(mica_write_file_atomic(m->path, bytes, size, &err), MICA_OK);
}

/* Writes the model and imports it; true on success, with a module that verifies. */
static inline bool model_import(model *m, const mica_onnx_options *options) {
    model_write(m);
    m->errors[0] = '\0';
    if (m->module != NULL) {
        mica_module_destroy(m->module);
        m->module = NULL;
    }
    if (mica_onnx_import(m->context, m->path, options, &m->module) != MICA_OK) {
        return false;
    }
    ck_assert_msg(mica_verify(m->module) == MICA_OK, "%s", m->errors);
    return true;
}

/* Checks that the import fails and its first diagnostic contains `text`. */
static inline void model_refuses(model *m, const mica_onnx_options *options, const char *text) {
    ck_assert_msg(!model_import(m, options), "imported, expected: %s", text);
    ck_assert_msg(strstr(m->errors, text) != NULL, "got: %s expected: %s", m->errors, text);
}

/* The op whose result is called `name`. */
static inline mica_op *model_find(const model *m, const char *name) {
    mica_op *func = mica_module_func(m->module, "main");
    for (mica_op *op = mica_func_body(func)->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; i++) {
            if (strcmp(mica_value_name(mica_op_result(op, i)), name) == 0) {
                return op;
            }
        }
    }
    return NULL;
}

static inline size_t model_count(const model *m, const char *op_name) {
    size_t n = 0;
    for (mica_op *op = mica_func_body(mica_module_func(m->module, "main"))->first; op != NULL;
         op = op->next) {
        n += mica_op_is(op, op_name);
    }
    return n;
}

#endif
