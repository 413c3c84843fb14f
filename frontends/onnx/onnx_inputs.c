/* Inputs of the main graph: types from the model, shapes from the model and the options. */
#include "dialects/op_util.h"
#include "frontends/onnx/onnx_internal.h"

#include "utils/strings.h"

#include <inttypes.h>
#include <string.h>

/* What an entry of the list is. A sequence becomes one input per element; SEQUENCE and ABSENT make
 * none, they only stand for the name. */
typedef enum role { TENSOR, ELEMENT, SEQUENCE, ABSENT } role;

/* One input to be made. */
typedef struct input {
    const char *name;
    const Onnx__TypeProto *type; /* NULL: the model does not say */
    const mica_ndarray *constant;
    mrt_dtype dtype;
    mrt_shape shape;
    role role;
    mica_onnx_shape_item *item; /* that names a sequence or an optional */
    size_t count;               /* SEQUENCE: of its elements, which stand before it */
} input;
typedef MICA_VEC(input) input_list;

static const Onnx__TypeProto *find_type(Onnx__ValueInfoProto **infos, size_t count,
                                        const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (infos[i]->name != NULL && strcmp(infos[i]->name, name) == 0) {
            return infos[i]->type;
        }
    }
    return NULL;
}

static const mica_ndarray *find_constant(const mica_onnx_importer *im, const char *name) {
    for (size_t i = 0; i < im->options->n_constants; i++) {
        if (strcmp(im->options->constants[i].name, name) == 0) {
            return &im->options->constants[i];
        }
    }
    return NULL;
}

static mica_status push_input(mica_onnx_importer *im, input_list *list, input in) {
    const char *name = in.name;
    if (name == NULL || name[0] == '\0') {
        return mica_emit_error(im->context, im->loc, "graph input %zu has no name", list->len);
    }
    for (size_t i = 0; i < list->len; i++) {
        if (strcmp(list->data[i].name, name) == 0) {
            return mica_emit_error(im->context, im->loc, "two graph inputs are called '%s'", name);
        }
    }
    in.constant = in.role == TENSOR || in.role == ELEMENT ? find_constant(im, name) : NULL;
    mica_vec_push(list, in);
    return MICA_OK;
}

/* The item of input_shapes that names an input. */
static mica_onnx_shape_item *find_named(const mica_onnx_shape_list *items, const char *name) {
    for (size_t i = items->len; i-- > 0;) {
        mica_onnx_shape_item *item = &items->data[i];
        if (item->name != NULL && !item->symbol && strcmp(item->name, name) == 0) {
            item->used = true;
            return item;
        }
    }
    return NULL;
}

/* Inputs "name.0", "name.1", ... with the shapes that the options give. */
static mica_status add_sequence(mica_onnx_importer *im, input_list *list, const char *name,
                                const Onnx__TypeProto *element, mica_onnx_shape_item *item,
                                bool optional) {
    if (element == NULL || item == NULL || item->none || (!item->list && item->shape.rank > 0)) {
        return mica_emit_error(im->context, im->loc,
                               "input '%s' is a sequence; give one shape per element as "
                               "input_shapes '%s:[[...],[...]]'%s%s%s", name, name,
                               optional ? ", or '" : "", optional ? name : "",
                               optional ? ":none' without it" : "");
    }
    for (size_t k = 0; k < item->n_shapes; k++) {
        const char *part = mica_arena_printf(im->arena, "%s.%zu", name, k);
        if (mica_map_has(im->names, part)) {
            return mica_emit_error(im->context, im->loc,
                                   "element %zu of input '%s' would be called '%s', as another "
                                   "tensor is", k, name, part);
        }
        mica_map_set(im->names, part, NULL);
        MICA_TRY(push_input(im, list, (input){.name = part, .type = element, .role = ELEMENT,
                                              .item = item, .shape = item->shapes[k]}));
    }
    return push_input(im, list, (input){.name = name, .type = element, .role = SEQUENCE,
                                        .item = item, .count = item->n_shapes});
}

static mica_status add_input(mica_onnx_importer *im, const mica_onnx_shape_list *items,
                             input_list *list, const char *name, const Onnx__TypeProto *type) {
    if (name == NULL || name[0] == '\0') {
        return mica_emit_error(im->context, im->loc, "graph input %zu has no name", list->len);
    }
    const bool optional =
        type != NULL && type->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
    mica_onnx_shape_item *item = find_named(items, name);
    if (optional && item != NULL && item->none) {
        return push_input(im, list, (input){.name = name, .role = ABSENT});
    }
    type = optional && type->optional_type->elem_type != NULL ? type->optional_type->elem_type
                                                              : type;
    if (type != NULL && type->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE) {
        return add_sequence(im, list, name, type->sequence_type->elem_type, item, optional);
    }
    if (item != NULL && (item->none || item->list)) {
        return mica_emit_error(im->context, im->loc,
                               "input '%s' is a tensor, input_shapes gives %s for it, expected "
                               "'%s:[...]'", name, item->none ? "'none'" : "a list of shapes", name);
    }
    return push_input(im, list, (input){.name = name, .type = type});
}

/* Tensor names that an input may be cut at. */
static const char *nearest_cut(const Onnx__GraphProto *graph, const char *name, bool *out_known) {
    MICA_VEC(const char *) all = {0};
    for (size_t i = 0; i < graph->n_input; i++) {
        mica_vec_push(&all, graph->input[i]->name != NULL ? graph->input[i]->name : "");
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t k = 0; k < graph->node[i]->n_output; k++) {
            mica_vec_push(&all, graph->node[i]->output[k]);
        }
    }
    *out_known = false;
    for (size_t i = 0; i < all.len; i++) {
        *out_known = *out_known || strcmp(all.data[i], name) == 0;
    }
    const char *near = mica_nearest(name, all.data, all.len);
    mica_vec_free(&all);
    return near;
}

static mica_status cut_inputs(mica_onnx_importer *im, const Onnx__GraphProto *graph,
                              const mica_onnx_shape_list *items, input_list *out) {
    for (size_t i = 0; i < im->options->n_input_names; i++) {
        const char *name = im->options->input_names[i];
        bool known = false;
        const char *near = nearest_cut(graph, name, &known);
        if (!known) {
            return mica_emit_error(im->context, im->loc,
                                   "the model has no tensor '%s' to become an input%s%s%s", name,
                                   near != NULL ? "; did you mean '" : "",
                                   near != NULL ? near : "", near != NULL ? "'?" : "");
        }
        const Onnx__TypeProto *type = find_type(graph->input, graph->n_input, name);
        type = type != NULL ? type : find_type(graph->value_info, graph->n_value_info, name);
        type = type != NULL ? type : find_type(graph->output, graph->n_output, name);
        MICA_TRY(add_input(im, items, out, name, type));
    }
    return MICA_OK;
}

static mica_status list_inputs(mica_onnx_importer *im, const Onnx__GraphProto *graph,
                               const mica_onnx_shape_list *items, input_list *out) {
    if (im->options->n_input_names > 0) {
        return cut_inputs(im, graph, items, out);
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = graph->input[i]->name;
        if (name == NULL || !mica_map_has(im->scope->entries, name)) {
            MICA_TRY(add_input(im, items, out, name, graph->input[i]->type));
        }
    }
    return MICA_OK;
}

/* --- shapes ---------------------------------------------------------------------------------- */
static mica_status check_type(mica_onnx_importer *im, input *in) {
    if (in->type == NULL) {
        in->dtype = MRT_F32; /* a cut at a tensor that the model does not describe */
        return MICA_OK;
    }
    if (in->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
        return mica_emit_error(im->context, im->loc,
                               "input '%s' is no tensor; maps, sparse values and sequences of "
                               "sequences are not supported", in->name);
    }
    const Onnx__TypeProto__Tensor *tensor = in->type->tensor_type;
    in->dtype = mica_onnx_dtype(tensor->elem_type);
    if (in->dtype == MRT_DTYPE_NONE) {
        return mica_emit_error(im->context, im->loc,
                               "input '%s' has element type %s, which is not supported", in->name,
                               mica_onnx_dtype_name(im->arena, tensor->elem_type));
    }
    in->dtype = mica_onnx_computed(in->dtype);
    return MICA_OK;
}

static const mica_onnx_shape_item *find_symbol(const mica_onnx_shape_list *items,
                                               const char *name) {
    for (size_t i = 0; i < items->len && name != NULL; i++) {
        if (items->data[i].symbol && strcmp(items->data[i].name, name) == 0) {
            items->data[i].used = true;
            return &items->data[i];
        }
    }
    return NULL;
}

/* Shape that the options give for input `index` (not counting constants), or NULL. */
static const mica_onnx_shape_item *find_item(const mica_onnx_shape_list *items, const char *name,
                                             size_t index) {
    size_t position = 0;
    const mica_onnx_shape_item *found = NULL;
    for (size_t i = 0; i < items->len; i++) {
        mica_onnx_shape_item *item = &items->data[i];
        const bool named = item->name != NULL && !item->symbol && strcmp(item->name, name) == 0;
        const bool placed = item->name == NULL && position++ == index;
        if (named || (placed && found == NULL)) {
            item->used = true;
            found = item;
        }
    }
    return found;
}

static const Onnx__TensorShapeProto *declared_shape(const input *in) {
    return in->type != NULL ? in->type->tensor_type->shape : NULL;
}

static const char *symbol_of(const Onnx__TensorShapeProto__Dimension *dim) {
    return dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM ? dim->dim_param : NULL;
}

static mica_status unknown_dim(mica_onnx_importer *im, const input *in, size_t i,
                               const char *symbol) {
    if (symbol != NULL && symbol[0] != '\0') {
        return mica_emit_error(im->context, im->loc,
                               "input '%s': dimension %zu is '%s'; give its value as "
                               "input_shapes '%s=N' or '%s:[...]'", in->name, i, symbol, symbol,
                               in->name);
    }
    return mica_emit_error(im->context, im->loc,
                           "input '%s': dimension %zu is not known; give the shape as "
                           "input_shapes '%s:[...]'", in->name, i, in->name);
}

static mica_status shape_from_model(mica_onnx_importer *im, const mica_onnx_shape_list *items,
                                    input *in) {
    const Onnx__TensorShapeProto *shape = declared_shape(in);
    if (shape == NULL) {
        return mica_emit_error(im->context, im->loc,
                               "input '%s' has no shape in the model; give it as input_shapes "
                               "'%s:[...]'", in->name, in->name);
    }
    if (shape->n_dim > MRT_MAX_RANK) {
        return mica_emit_error(im->context, im->loc, "input '%s' has rank %zu, at most %d is "
                                                     "supported", in->name, shape->n_dim,
                               MRT_MAX_RANK);
    }
    in->shape.rank = (int32_t)shape->n_dim;
    for (size_t i = 0; i < shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        const bool known = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        const char *symbol = symbol_of(dim);
        const mica_onnx_shape_item *item = find_symbol(items, symbol);
        if (item == NULL && (!known || dim->dim_value < 0)) {
            return unknown_dim(im, in, i, symbol);
        }
        in->shape.dims[i] = item != NULL ? item->shape.dims[0] : dim->dim_value;
    }
    return MICA_OK;
}

/* `items`: a symbol of them must not say otherwise; NULL: not looked at. */
static mica_status shape_from_option(mica_onnx_importer *im, const mrt_shape *given,
                                     const mica_onnx_shape_list *items, input *in) {
    const Onnx__TensorShapeProto *shape = declared_shape(in);
    in->shape = *given;
    if (shape == NULL) {
        return MICA_OK;
    }
    if (shape->n_dim != (size_t)in->shape.rank) {
        return mica_emit_error(im->context, im->loc,
                               "input '%s' has rank %zu in the model, input_shapes gives rank %d",
                               in->name, shape->n_dim, in->shape.rank);
    }
    for (size_t i = 0; i < shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        const mica_onnx_shape_item *symbol = items != NULL ? find_symbol(items, symbol_of(dim)) : NULL;
        if (symbol != NULL && symbol->shape.dims[0] != in->shape.dims[i]) {
            return mica_emit_error(im->context, im->loc,
                                   "input '%s': dimension %zu is %" PRId64 " in its shape of input_shapes, "
                                   "but '%s=%" PRId64 "'", in->name, i, in->shape.dims[i], symbol->name,
                                   symbol->shape.dims[0]);
        }
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
            dim->dim_value >= 0 && dim->dim_value != in->shape.dims[i]) {
            mica_emit(im->context, MICA_WARNING, im->loc,
                      "input '%s': dimension %zu is %" PRId64 " in the model, using %" PRId64
                      " of input_shapes", in->name, i, dim->dim_value, in->shape.dims[i]);
        }
    }
    return MICA_OK;
}

/* Symbols of the options are those of inputs, also of inputs that a cut has removed. */
static mica_status check_symbols(mica_onnx_importer *im, const mica_onnx_shape_list *items,
                                 const input_list *inputs) {
    MICA_VEC(const char *) known = {0};
    const Onnx__GraphProto *graph = im->model->graph;
    for (size_t i = 0; i < inputs->len + graph->n_input; i++) {
        const Onnx__TypeProto *type = i < inputs->len ? inputs->data[i].type
                                                      : graph->input[i - inputs->len]->type;
        const bool tensor = type != NULL && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
        const Onnx__TensorShapeProto *shape = tensor ? type->tensor_type->shape : NULL;
        for (size_t k = 0; shape != NULL && k < shape->n_dim; k++) {
            const char *symbol = symbol_of(shape->dim[k]);
            if (symbol != NULL && symbol[0] != '\0') {
                mica_vec_push(&known, symbol);
            }
        }
    }
    mica_status status = MICA_OK;
    for (size_t i = 0; i < items->len && status == MICA_OK; i++) {
        const mica_onnx_shape_item *item = &items->data[i];
        bool found = !item->symbol;
        for (size_t k = 0; k < known.len && !found; k++) {
            found = strcmp(known.data[k], item->name) == 0;
        }
        if (!found) {
            const char *near = mica_nearest(item->name, known.data, known.len);
            status = mica_emit_error(im->context, im->loc,
                                     "input_shapes names dimension '%s', which no input has%s%s%s",
                                     item->name, near != NULL ? "; did you mean '" : "",
                                     near != NULL ? near : "", near != NULL ? "'?" : "");
        }
    }
    mica_vec_free(&known);
    return status;
}

/* Names of the options are those of inputs. */
static mica_status check_names(mica_onnx_importer *im, const mica_onnx_shape_list *items,
                               const input_list *inputs) {
    const char **names = mica_arena_array(im->arena, inputs->len, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < inputs->len; i++) {
        if (inputs->data[i].role != ELEMENT) {
            names[n++] = inputs->data[i].name;
        }
    }
    for (size_t i = 0; i < items->len; i++) {
        const mica_onnx_shape_item *item = &items->data[i];
        bool found = item->name == NULL || item->symbol || item->used;
        for (size_t k = 0; k < n && !found; k++) {
            found = strcmp(names[k], item->name) == 0;
        }
        if (!found) {
            const char *near = mica_nearest(item->name, names, n);
            return mica_emit_error(im->context, im->loc,
                                   "input_shapes names '%s', which is no input%s%s%s", item->name,
                                   near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                                   near != NULL ? "'?" : "");
        }
    }
    return MICA_OK;
}

static mica_status check_unused(mica_onnx_importer *im, const mica_onnx_shape_list *items,
                                const input_list *inputs) {
    for (size_t i = 0; i < items->len; i++) {
        if (items->data[i].name == NULL && !items->data[i].used) {
            return mica_emit_error(im->context, im->loc,
                                   "input_shapes has more shapes than the model has inputs (%zu)",
                                   inputs->len);
        }
    }
    return MICA_OK;
}

static mica_status resolve_inputs(mica_onnx_importer *im, const mica_onnx_shape_list *items,
                                  input_list *inputs) {
    size_t position = 0;
    MICA_TRY(check_names(im, items, inputs));
    MICA_TRY(check_symbols(im, items, inputs));
    for (size_t i = 0; i < inputs->len; i++) {
        input *in = &inputs->data[i];
        if (in->role == ABSENT) {
            continue;
        }
        MICA_TRY(check_type(im, in));
        if (in->role == ELEMENT && in->constant == NULL) {
            MICA_TRY(shape_from_option(im, &in->shape, NULL, in));
        } else if (in->role == TENSOR && in->constant == NULL) {
            const mica_onnx_shape_item *item = find_item(items, in->name, position++);
            MICA_TRY(item != NULL ? shape_from_option(im, &item->shape, items, in)
                                  : shape_from_model(im, items, in));
        }
        int64_t bytes = 0;
        if (!mrt_shape_bytes(&in->shape, in->dtype, &bytes)) {
            return mica_emit_error(im->context, im->loc, "input '%s' is too large", in->name);
        }
    }
    return check_unused(im, items, inputs);
}

/* --- IR -------------------------------------------------------------------------------------- */
static mica_status make_constant(mica_onnx_importer *im, const input *in, mica_value **out) {
    const mica_ndarray *array = in->constant;
    mica_onnx_tensor t = {.dtype = mica_onnx_dtype(in->type != NULL
                                                       ? in->type->tensor_type->elem_type
                                                       : ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT),
                          .count = mica_ndarray_count(array), .data = array->data};
    if (strcmp(array->descr, mica_descr_of_dtype(t.dtype)) != 0) {
        return mica_emit_error(im->context, im->loc,
                               "the constant for input '%s' has element type %s, the model says %s",
                               in->name, array->descr, mrt_dtype_name(t.dtype));
    }
    mica_onnx_widen(im->arena, &t);
    *out = mica_top_weight(&im->builder,
                           in->role == ELEMENT ? in->name : mica_onnx_unique(im, in->name),
                           mica_type_of_dtype(im->context, t.dtype), array->rank, array->dims,
                           t.data);
    return MICA_OK;
}

static mica_value *make_input(mica_onnx_importer *im, const input *in, mica_value *argument) {
    const mica_loc loc = mica_loc_name(im->context, in->name, NULL);
    const mica_op_state state = {.name = "top.Input", .loc = loc, .operands = &argument,
                                 .n_operands = 1, .results = &argument->type, .n_results = 1};
    mica_map_set(im->names, in->name, NULL);
    return mica_op_result(mica_build(&im->builder, &state), 0);
}

static bool is_argument(const input *in) {
    return in->constant == NULL && (in->role == TENSOR || in->role == ELEMENT);
}

static mica_status build(mica_onnx_importer *im, const input_list *inputs, mica_op **out_func) {
    mica_type *types = mica_arena_array(im->arena, inputs->len, sizeof *types);
    mica_loc *locs = mica_arena_array(im->arena, inputs->len, sizeof *locs);
    size_t n = 0;
    for (size_t i = 0; i < inputs->len; i++) {
        const input *in = &inputs->data[i];
        if (is_argument(in)) {
            types[n] = mica_type_tensor(im->context, in->shape.rank, in->shape.dims,
                                        mica_type_of_dtype(im->context, in->dtype), NULL);
            locs[n++] = mica_loc_name(im->context, in->name, NULL);
        }
    }
    mica_builder outer = mica_builder_at_end(im->module, mica_module_body(im->module));
    *out_func = mica_build_func(&outer, "main", types, locs, n, NULL, 0,
                                mica_loc_unknown(im->context));
    mica_block *body = mica_func_body(*out_func);
    im->builder = mica_builder_at_end(im->module, body);
    mica_value **values = mica_arena_array(im->arena, inputs->len, sizeof *values);
    n = 0;
    for (size_t i = 0; i < inputs->len; i++) {
        const input *in = &inputs->data[i];
        if (in->constant != NULL) {
            MICA_TRY(make_constant(im, in, &values[i]));
        } else if (is_argument(in)) {
            values[i] = make_input(im, in, body->args[n++]);
        }
        if (in->role == TENSOR) {
            mica_onnx_define(im, in->name, values[i]);
        } else if (in->role == SEQUENCE) {
            mica_value *const *items = values + i - in->count;
            mica_onnx_define_entry(im, in->name,
                                   mica_onnx_sequence_entry(im, in->dtype, items, in->count));
        } else if (in->role == ABSENT) {
            mica_onnx_define_entry(im, in->name, mica_onnx_absent_entry(im));
        }
    }
    return MICA_OK;
}

mica_status mica_onnx_make_inputs(mica_onnx_importer *im, const Onnx__GraphProto *graph,
                                  mica_op **out_func) {
    input_list inputs = {0};
    mica_onnx_shape_list items = {0};
    mica_error err = {0};
    const char *text = im->options->input_shapes != NULL ? im->options->input_shapes : "";
    mica_status status = mica_onnx_parse_shapes(im->arena, text, &items, &err);
    if (status != MICA_OK) {
        mica_emit_error(im->context, im->loc, "%s", err.text);
    }
    if (status == MICA_OK) {
        status = list_inputs(im, graph, &items, &inputs);
    }
    if (status == MICA_OK) {
        status = resolve_inputs(im, &items, &inputs);
    }
    if (status == MICA_OK) {
        status = build(im, &inputs, out_func);
    }
    mica_vec_free(&items);
    mica_vec_free(&inputs);
    return status;
}
