/* Inputs of the main graph: types from the model, shapes from the model and the options. */
#include "dialects/op_util.h"
#include "frontends/onnx/onnx_internal.h"

#include "utils/strings.h"

#include <inttypes.h>
#include <string.h>

/* One input to be made. */
typedef struct input {
    const char *name;
    const Onnx__TypeProto *type; /* NULL: the model does not say */
    const mica_ndarray *constant;
    mrt_dtype dtype;
    mrt_shape shape;
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

static mica_status add_input(mica_onnx_importer *im, input_list *list, const char *name,
                             const Onnx__TypeProto *type) {
    if (name == NULL || name[0] == '\0') {
        return mica_emit_error(im->context, im->loc, "graph input %zu has no name", list->len);
    }
    for (size_t i = 0; i < list->len; i++) {
        if (strcmp(list->data[i].name, name) == 0) {
            return mica_emit_error(im->context, im->loc, "two graph inputs are called '%s'", name);
        }
    }
    mica_vec_push(list, (input){name, type, find_constant(im, name), MRT_DTYPE_NONE, {0}});
    return MICA_OK;
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
                              input_list *out) {
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
        MICA_TRY(add_input(im, out, name, type));
    }
    return MICA_OK;
}

static mica_status list_inputs(mica_onnx_importer *im, const Onnx__GraphProto *graph,
                               input_list *out) {
    if (im->options->n_input_names > 0) {
        return cut_inputs(im, graph, out);
    }
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = graph->input[i]->name;
        if (name == NULL || !mica_map_has(im->scope->entries, name)) {
            MICA_TRY(add_input(im, out, name, graph->input[i]->type));
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
                               "input '%s' is no tensor; sequences, maps, optional and sparse "
                               "values are not supported", in->name);
    }
    const Onnx__TypeProto__Tensor *tensor = in->type->tensor_type;
    in->dtype = mica_onnx_dtype(tensor->elem_type);
    if (in->dtype == MRT_DTYPE_NONE) {
        return mica_emit_error(im->context, im->loc,
                               "input '%s' has element type %s, which is not supported", in->name,
                               mica_onnx_dtype_name(im->arena, tensor->elem_type));
    }
    in->dtype = mica_onnx_computed(in->dtype, in->constant != NULL);
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
        const char *symbol =
            dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                ? dim->dim_param : NULL;
        const mica_onnx_shape_item *item = find_symbol(items, symbol);
        if (item == NULL && (!known || dim->dim_value < 0)) {
            return unknown_dim(im, in, i, symbol);
        }
        in->shape.dims[i] = item != NULL ? item->shape.dims[0] : dim->dim_value;
    }
    return MICA_OK;
}

static mica_status shape_from_option(mica_onnx_importer *im, const mica_onnx_shape_item *item,
                                     input *in) {
    const Onnx__TensorShapeProto *shape = declared_shape(in);
    in->shape = item->shape;
    if (shape == NULL) {
        return MICA_OK;
    }
    if (shape->n_dim != (size_t)item->shape.rank) {
        return mica_emit_error(im->context, im->loc,
                               "input '%s' has rank %zu in the model, input_shapes gives rank %d",
                               in->name, shape->n_dim, item->shape.rank);
    }
    for (size_t i = 0; i < shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
            dim->dim_value >= 0 && dim->dim_value != item->shape.dims[i]) {
            mica_emit(im->context, MICA_WARNING, im->loc,
                      "input '%s': dimension %zu is %" PRId64 " in the model, using %" PRId64
                      " of input_shapes", in->name, i, dim->dim_value, item->shape.dims[i]);
        }
    }
    return MICA_OK;
}

static mica_status check_unused(mica_onnx_importer *im, const mica_onnx_shape_list *items,
                                const input_list *inputs) {
    for (size_t i = 0; i < items->len; i++) {
        const mica_onnx_shape_item *item = &items->data[i];
        if (item->used || item->symbol) {
            continue; /* a symbol may be overruled by a shape */
        }
        if (item->name == NULL) {
            return mica_emit_error(im->context, im->loc,
                                   "input_shapes has more shapes than the model has inputs (%zu)",
                                   inputs->len);
        }
        const char **names = mica_arena_array(im->arena, inputs->len, sizeof *names);
        for (size_t k = 0; k < inputs->len; k++) {
            names[k] = inputs->data[k].name;
        }
        const char *near = mica_nearest(item->name, names, inputs->len);
        return mica_emit_error(im->context, im->loc,
                               "input_shapes names '%s', which is no input%s%s%s", item->name,
                               near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                               near != NULL ? "'?" : "");
    }
    return MICA_OK;
}

static mica_status resolve_inputs(mica_onnx_importer *im, input_list *inputs) {
    mica_onnx_shape_list items = {0};
    mica_error err = {0};
    const char *text = im->options->input_shapes != NULL ? im->options->input_shapes : "";
    mica_status status = mica_onnx_parse_shapes(im->arena, text, &items, &err);
    if (status != MICA_OK) {
        mica_emit_error(im->context, im->loc, "%s", err.text);
    }
    size_t position = 0;
    for (size_t i = 0; i < inputs->len && status == MICA_OK; i++) {
        input *in = &inputs->data[i];
        status = check_type(im, in);
        if (status == MICA_OK && in->constant == NULL) {
            const mica_onnx_shape_item *item = find_item(&items, in->name, position++);
            status = item != NULL ? shape_from_option(im, item, in)
                                  : shape_from_model(im, &items, in);
        }
        int64_t bytes = 0;
        if (status == MICA_OK && !mrt_shape_bytes(&in->shape, in->dtype, &bytes)) {
            status = mica_emit_error(im->context, im->loc, "input '%s' is too large", in->name);
        }
    }
    if (status == MICA_OK) {
        status = check_unused(im, &items, inputs);
    }
    mica_vec_free(&items);
    return status;
}

/* --- IR -------------------------------------------------------------------------------------- */
static mica_status make_constant(mica_onnx_importer *im, const input *in) {
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
    mica_onnx_define(im, in->name,
                     mica_top_weight(&im->builder, mica_onnx_unique(im, in->name),
                                     mica_type_of_dtype(im->context, t.dtype), array->rank,
                                     array->dims, t.data));
    return MICA_OK;
}

static void make_input(mica_onnx_importer *im, const input *in, mica_value *argument) {
    const mica_loc loc = mica_loc_name(im->context, in->name, NULL);
    const mica_op_state state = {.name = "top.Input", .loc = loc, .operands = &argument,
                                 .n_operands = 1, .results = &argument->type, .n_results = 1};
    mica_map_set(im->names, in->name, NULL);
    mica_onnx_define(im, in->name, mica_op_result(mica_build(&im->builder, &state), 0));
}

static mica_status build(mica_onnx_importer *im, const input_list *inputs, mica_op **out_func) {
    mica_type *types = mica_arena_array(im->arena, inputs->len, sizeof *types);
    mica_loc *locs = mica_arena_array(im->arena, inputs->len, sizeof *locs);
    size_t n = 0;
    for (size_t i = 0; i < inputs->len; i++) {
        const input *in = &inputs->data[i];
        if (in->constant == NULL) {
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
    n = 0;
    for (size_t i = 0; i < inputs->len; i++) {
        if (inputs->data[i].constant != NULL) {
            MICA_TRY(make_constant(im, &inputs->data[i]));
        } else {
            make_input(im, &inputs->data[i], body->args[n++]);
        }
    }
    return MICA_OK;
}

mica_status mica_onnx_make_inputs(mica_onnx_importer *im, const Onnx__GraphProto *graph,
                                  mica_op **out_func) {
    input_list inputs = {0};
    mica_status status = list_inputs(im, graph, &inputs);
    if (status == MICA_OK) {
        status = resolve_inputs(im, &inputs);
    }
    if (status == MICA_OK) {
        status = build(im, &inputs, out_func);
    }
    mica_vec_free(&inputs);
    return status;
}
