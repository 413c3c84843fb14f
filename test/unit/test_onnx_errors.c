/* Every message of the importer's reader and graph walk, and the common ones of converters. */
#include "test/unit/check_main.h"
#include "test/unit/onnx_models.h"

static model m;
static void setup(void) { model_begin(&m, 13); }
static void teardown(void) { model_end(&m); }

static void refuses(const char *text) { model_refuses(&m, NULL, text); }

/* x [1,2,4,4] -> op -> y */
static Onnx__NodeProto *one_node(const char *op, const char *inputs) {
    model_input(&m, "x", FLOAT_TYPE, 1, 2, 4, 4);
    model_output(&m, "y");
    return model_node(&m, op, "n", inputs, "y");
}

static void write_bytes(const void *data, size_t size) {
    mica_error err = {0};
    ck_assert_int_eq(mica_write_file_atomic(m.path, data, size, &err), MICA_OK);
}

static void refuses_file(const char *text) {
    m.errors[0] = '\0';
    ck_assert_int_eq(mica_onnx_import(m.context, m.path, NULL, &m.module), MICA_FAIL);
    ck_assert_msg(strstr(m.errors, text) != NULL, "got: %s expected: %s", m.errors, text);
}

/* --- files ----------------------------------------------------------------------------------- */
START_TEST(files) {
    refuses_file("model.onnx");
    write_bytes("", 0);
    refuses_file("not an ONNX model: the file is empty");
    write_bytes("hello world", 11);
    refuses_file("not an ONNX model, or truncated: ");
    write_bytes("\x08\x08", 2);
    refuses_file("not an ONNX model: field 'graph' is missing");
    write_bytes("\x3a\x00", 2);
    refuses_file("not an ONNX model: field 'ir_version' is missing");
    write_bytes("\x08\x08\x3a\x7f", 4);
    refuses_file("field 'graph' at byte 4 needs 127 bytes, 0 are left");
    write_bytes("\x3a\x02\x08", 3);
    refuses_file("needs 2 bytes, 1 are left");
    write_bytes("\x0b\x02\x08", 3);
    refuses_file("byte 0 has wire type 3");
    write_bytes("\x08\xff", 2);
    refuses_file("field 'ir_version' at byte 0 is cut off");
    write_bytes("\x3d\x01\x01\x01\x01", 5); /* graph as a 32-bit number */
    refuses_file("not an ONNX model: ");
    char path[96];
    snprintf(path, sizeof path, "%s", m.path);
    snprintf(m.path, sizeof m.path, "%s", m.folder);
    refuses_file("not an ONNX model: it is a directory");
    snprintf(m.path, sizeof m.path, "%s", path);
}
END_TEST

START_TEST(large_file) {
    FILE *f = fopen(m.path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(ftruncate(fileno(f), ((off_t)1 << 31) + 1), 0);
    fclose(f);
    refuses_file("but a protobuf file ends at 2 GiB; save the model with external data");
}
END_TEST

START_TEST(nesting) {
    /* graph { node { attribute { g { node { ... } } } } }: lengths from the inside out */
    enum { LEVELS = 5001, MAX = 16 * LEVELS };
    static const uint8_t keys[] = {0x0a, 0x2a, 0x32}; /* node, attribute, g */
    uint8_t *bytes = mica_arena_alloc(m.arena, MAX);
    size_t at = MAX, size = 0;
    for (int i = 0; i <= LEVELS; i++) {
        uint8_t head[8];
        size_t n = 0;
        head[n++] = i == LEVELS ? 0x3a : keys[2 - i % 3];
        size_t rest = size;
        do {
            head[n++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
            rest >>= 7;
        } while (rest > 0);
        at -= n;
        memcpy(bytes + at, head, n);
        size += n;
    }
    write_bytes(bytes + at, size);
    refuses_file("messages are nested deeper than 100 levels");
}
END_TEST

/* Every prefix of a model and every one of many damaged copies gives an error or a module. */
START_TEST(damaged_files) {
    model_zeros(&m, "w", 2, 2, 3, 3);
    Onnx__NodeProto *conv = one_node("Conv", "x,w");
    model_attr_ints(&m, conv, "pads", 1, 1, 1, 1);
    model_attr_s(&m, conv, "auto_pad", "NOTSET");
    ck_assert(model_import(&m, NULL));
    mica_error err = {0};
    char *good = NULL;
    size_t size = 0;
    ck_assert_int_eq(mica_read_file(m.path, 1 << 20, &good, &size, &err), MICA_OK);
    uint32_t state = 12345;
    for (size_t i = 0; i < size + 2000; i++) {
        char *copy = mica_arena_memdup(m.arena, good, size);
        for (int k = 0; i >= size && k < 3; k++) {
            state = state * 1664525u + 1013904223u;
            copy[(state >> 8) % size] = (char)(state >> 24);
        }
        write_bytes(copy, i < size ? i : size);
        m.errors[0] = '\0';
        mica_module *module = NULL;
        if (mica_onnx_import(m.context, m.path, NULL, &module) == MICA_OK) {
            mica_module_destroy(module);
        } else {
            ck_assert_str_ne(m.errors, "");
        }
    }
    mica_free(good);
}
END_TEST

START_TEST(versions) {
    one_node("Relu", "x");
    m.proto.opset_import[0]->version = 29;
    refuses("opset 29 is newer than the newest known one, 28; export the model with "
            "opset_version=28 or lower");
    m.proto.opset_import[0]->version = -3;
    refuses("opset -3, expected 1..28");
    m.proto.opset_import[0]->version = 13;
    m.proto.opset_import[0]->domain = (char *)"other";
    refuses("node 'n' (Relu, opset 0): the model does not declare a version of the default "
            "operator set, expected an opset_import of domain '' in 1..28");
    m.proto.opset_import[0]->domain = (char *)"ai.onnx";
    ck_assert(model_import(&m, NULL));
    m.proto.ir_version = 1000;
    refuses("not an ONNX model: ir_version is 1000, expected 3 or a little more");
}
END_TEST

/* --- operators ------------------------------------------------------------------------------- */
START_TEST(operators) {
    Onnx__NodeProto *node = one_node("Rleu", "x");
    refuses("node 'n' (Rleu, opset 13): unknown operator 'Rleu'; did you mean 'Relu'?");
    node->op_type = (char *)"RandomNormalLike";
    refuses("operator 'RandomNormalLike' is not supported: it gives random numbers");
    node->op_type = (char *)"StringNormalizer";
    refuses("strings are not supported; cut the model behind it with input_names");
    node->op_type = (char *)"FusedThing";
    node->domain = (char *)"com.nobody";
    refuses("operator 'FusedThing' is of the unknown domain 'com.nobody'");
    node->domain = NULL;
    node->op_type = (char *)"Mish";
    refuses("operator 'Mish' is known from opset 18 on");
    node->op_type = (char *)"Upsample";
    refuses("operator 'Upsample' ended with opset 9");
    node->op_type = (char *)"Add";
    refuses("node 'n' (Add, opset 13): 1 inputs, expected 2..2");
    node->input = mica_split(m.arena, "x,", ',', &node->n_input);
    refuses("input 1 is required, but absent");
    node->op_type = (char *)"Relu";
    refuses("2 inputs, expected 1..1");
    node->n_input = 1;
    node->output = mica_split(m.arena, "y,z", ',', &node->n_output);
    refuses("2 outputs, expected 1..1");
    node->n_output = 0;
    node->output = NULL;
    node->name = NULL;
    refuses("the model has no tensor 'y'");
}
END_TEST

START_TEST(graph) {
    Onnx__NodeProto *node = one_node("Relu", "xx");
    refuses("node 'n' (Relu): input 'xx' is no graph input, no initializer and no output of a "
            "node");
    node->input[0] = (char *)"b";
    model_node(&m, "Relu", "n1", "a", "b");
    model_node(&m, "Relu", "n2", "b", "a");
    refuses("the graph has a cycle: ");
    m.graph.node[2]->input[0] = (char *)"x";
    m.graph.node[2]->output[0] = (char *)"y";
    refuses("node 'n2' (Relu): its output 'y' is the name of another tensor already");
    m.graph.node[2]->output[0] = (char *)"a";
    ck_assert(model_import(&m, NULL));
    m.graph.n_output = 0;
    refuses("the graph has no outputs");
    m.graph.n_output = 1;
    model_input(&m, "x", FLOAT_TYPE, 1);
    refuses("two graph inputs are called 'x'");
    m.graph.n_input = 1;
    model_zeros(&m, "w", 1);
    model_zeros(&m, "w", 1);
    refuses("two initializers are called 'w'");
    m.graph.initializer[1]->name = NULL;
    refuses("initializer 1 has no name");
}
END_TEST

START_TEST(cuts) {
    static const char *const wrong[] = {"fetures"};
    one_node("Relu", "x");
    m.graph.node[0]->output[0] = (char *)"features";
    m.graph.output[0]->name = (char *)"features";
    model_refuses(&m, &(mica_onnx_options){.output_names = wrong, .n_output_names = 1},
                  "the model has no tensor 'fetures'; did you mean 'features'?");
    model_refuses(&m, &(mica_onnx_options){.input_names = wrong, .n_input_names = 1},
                  "the model has no tensor 'fetures' to become an input; did you mean 'features'?");
    model_refuses(&m, &(mica_onnx_options){.truncate_names = wrong, .n_truncate_names = 1},
                  "the model has no tensor 'fetures'; did you mean 'features'?");
}
END_TEST

/* x -> a -> b -> y, and a -> y around b */
START_TEST(cuts_that_do_not_separate) {
    static const char *const b[] = {"b"}, *const both[] = {"b", "a"}, *const w[] = {"w"};
    model_input(&m, "x", FLOAT_TYPE, 2);
    model_node(&m, "Relu", "n1", "x", "a");
    model_node(&m, "Sin", "n2", "a", "b");
    model_node(&m, "Add", "n3", "a,b", "y");
    model_output(&m, "y");
    model_refuses(&m, &(mica_onnx_options){.truncate_names = b, .n_truncate_names = 1},
                  "the cut does not separate inputs from outputs: 'x' -> 'a' -> 'y' goes around it; "
                  "add 'a' to the tensors to cut at");
    model_refuses(&m, &(mica_onnx_options){.input_names = b, .n_input_names = 1,
                                           .input_shapes = "b:[2]"},
                  "the outputs still depend on input 'x': 'x' -> 'n1' -> 'n3'; add 'x' or a tensor on "
                  "this path to the input names");
    ck_assert(model_import(&m, &(mica_onnx_options){.truncate_names = both, .n_truncate_names = 2}));
    ck_assert_uint_eq(model_count(&m, "top.Cut"), 2);
    ck_assert(model_import(&m, &(mica_onnx_options){.input_names = both, .n_input_names = 2,
                                                    .input_shapes = "[2],[2]"}));
    model_zeros(&m, "w", 2);
    model_node(&m, "Neg", "n4", "w", "z");
    model_output(&m, "z");
    model_refuses(&m, &(mica_onnx_options){.truncate_names = w, .n_truncate_names = 1},
                  "cannot cut at 'w': no output depends on it");
}
END_TEST

START_TEST(loops_without_bound) {
    Onnx__NodeProto *node = one_node("Loop", "x");
    Onnx__GraphProto *body = mica_arena_alloc(m.arena, sizeof *body);
    onnx__graph_proto__init(body);
    model_attr(&m, node, "body", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH)->g = body;
    refuses("node 'n' (Loop, opset 13): 1 inputs, expected 2 or more");
    node->input = mica_split(m.arena, ",,x", ',', &node->n_input);
    refuses("node 'n' (Loop, opset 13): it has no bound: expected a trip count (input 0) or a "
            "condition (input 1), found neither");
}
END_TEST

/* --- inputs ---------------------------------------------------------------------------------- */
START_TEST(inputs) {
    model_input(&m, "x", FLOAT_TYPE, -1, 3);
    model_node(&m, "Relu", "n", "x", "y");
    model_output(&m, "y");
    refuses("input 'x': dimension 0 is 'd1'; give its value as input_shapes 'd1=N' or 'x:[...]'");
    model_refuses(&m, &(mica_onnx_options){.input_shapes = "[[1,2,3]]"},
                  "input 'x' has rank 2 in the model, input_shapes gives rank 3");
    model_refuses(&m, &(mica_onnx_options){.input_shapes = "[[1,3],[4]]"},
                  "input_shapes has more shapes than the model has inputs (1)");
    model_refuses(&m, &(mica_onnx_options){.input_shapes = "[[1,3]],inputs:[4]"},
                  "input_shapes '[[1,3]],inputs:[4]': expected");
    model_refuses(&m, &(mica_onnx_options){.input_shapes = "[1,3],X:[4]"},
                  "input_shapes names 'X', which is no input; did you mean 'x'?");
    model_refuses(&m, &(mica_onnx_options){.input_shapes = "[4611686018427387904,9]"},
                  "input 'x' is too large");
    model_refuses(&m, &(mica_onnx_options){.input_shapes = "d1=2,d2=3"},
                  "input_shapes names dimension 'd2', which no input has; did you mean 'd1'?");
    model_refuses(&m, &(mica_onnx_options){.input_shapes = "d1=2,[1,3]"},
                  "input 'x': dimension 0 is 1 in its shape of input_shapes, but 'd1=2'");
    ck_assert(model_import(&m, &(mica_onnx_options){.input_shapes = "d1=2"}));
    ck_assert(model_import(&m, &(mica_onnx_options){.input_shapes = "x:[2,3],d1=2"}));
    ck_assert(model_import(&m, &(mica_onnx_options){.input_shapes = "[2,4]"}));
    ck_assert_ptr_nonnull(strstr(m.errors, "warning: input 'x': dimension 1 is 3 in the model, "
                                           "using 4 of input_shapes"));
    Onnx__TypeProto *type = m.graph.input[0]->type;
    type->tensor_type->shape->dim[0]->value_case =
        ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET;
    refuses("input 'x': dimension 0 is not known; give the shape as input_shapes 'x:[...]'");
    type->tensor_type->shape = NULL;
    refuses("input 'x' has no shape in the model; give it as input_shapes 'x:[...]'");
    type->tensor_type->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__STRING;
    refuses("input 'x' has element type STRING, which is not supported");
    type->tensor_type->elem_type = 99;
    refuses("input 'x' has element type type 99, which is not supported");
    type->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    type->sequence_type = mica_arena_alloc(m.arena, sizeof *type->sequence_type);
    onnx__type_proto__sequence__init(type->sequence_type);
    refuses("input 'x' is a sequence; give one shape per element as input_shapes "
            "'x:[[...],[...]]'");
    type->value_case = ONNX__TYPE_PROTO__VALUE_MAP_TYPE;
    type->map_type = mica_arena_alloc(m.arena, sizeof *type->map_type);
    onnx__type_proto__map__init(type->map_type);
    refuses("input 'x' is no tensor; maps, sparse values and sequences of sequences are not "
            "supported");
    m.graph.input[0]->name = NULL;
    refuses("graph input 0 has no name");
}
END_TEST

/* --- initializers ---------------------------------------------------------------------------- */
START_TEST(initializers) {
    int64_t dims[] = {2, 3};
    one_node("Add", "x,w");
    Onnx__TensorProto *t = model_weight(&m, "w", FLOAT_TYPE, 2, dims, "", 0);
    t->raw_data.data = mica_arena_alloc(m.arena, 64);
    t->raw_data.len = 20;
    refuses("initializer 'w': 20 bytes of data for 24 bytes of 6 elements f32");
    t->has_raw_data = 0;
    t->n_float_data = 5;
    t->float_data = mica_arena_alloc(m.arena, 64);
    refuses("initializer 'w': 5 elements for 6 places");
    t->dims[0] = -2;
    refuses("initializer 'w': dimension 0 is -2, expected 0 or more");
    t->dims[0] = t->dims[1] = INT64_MAX / 2;
    refuses("initializer 'w': the product of its dimensions overflows");
    t->n_dims = 9;
    t->dims = mica_arena_array(m.arena, 9, sizeof *t->dims);
    refuses("initializer 'w': rank 9 is not supported, at most 8");
    t->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__STRING;
    refuses("initializer 'w': element type STRING is not supported");
    t->data_type = FLOAT_TYPE;
    t->segment = mica_arena_alloc(m.arena, sizeof *t->segment);
    onnx__tensor_proto__segment__init(t->segment);
    refuses("initializer 'w': tensors in segments are not supported");
    Onnx__SparseTensorProto *sparse = mica_arena_alloc(m.arena, sizeof *sparse);
    onnx__sparse_tensor_proto__init(sparse);
    sparse->values = model_tensor(&m, "s", FLOAT_TYPE, 2, dims, NULL, 0);
    MODEL_APPEND(&m, m.graph.sparse_initializer, m.graph.n_sparse_initializer, sparse);
    refuses("initializer 's': sparse tensors are not supported; store it dense");
}
END_TEST

START_TEST(constant_inputs) {
    static const float data[] = {1, 2};
    const mica_ndarray array = {.name = (char *)"s", .descr = "<f4", .rank = 1, .dims = {2},
                                .data = data, .bytes = sizeof data};
    model_input(&m, "x", FLOAT_TYPE, 2);
    model_input(&m, "s", INT64_TYPE, 2);
    model_node(&m, "Reshape", "n", "x,s", "y");
    model_output(&m, "y");
    model_refuses(&m, &(mica_onnx_options){.constants = &array, .n_constants = 1},
                  "the constant for input 's' has element type <f4, the model says i64");
    refuses("node 'n' (Reshape, opset 13): input 1 ('s') must be integers known at import; it "
            "depends on the data of a graph input");
}
END_TEST

/* --- attributes ------------------------------------------------------------------------------ */
START_TEST(attributes) {
    model_zeros(&m, "w", 2, 2, 3, 3);
    Onnx__NodeProto *node = one_node("Conv", "x,w");
    model_attr_s(&m, node, "auto_pad", "FOO");
    refuses("node 'n' (Conv, opset 13): attribute 'auto_pad' has value 'FOO', expected NOTSET, "
            "SAME_UPPER, SAME_LOWER or VALID");
    node->n_attribute = 0;
    model_attr_i(&m, node, "stride", 1);
    refuses("unknown attribute 'stride'; did you mean 'strides'?");
    node->n_attribute = 0;
    model_attr_i(&m, node, "strides", 1);
    refuses("attribute 'strides' is of type INT, expected INTS");
    node->n_attribute = 0;
    model_attr_ints(&m, node, "strides", 1, 1, 1);
    refuses("attribute 'strides' has 3 values, expected 2");
    node->n_attribute = 0;
    model_attr_ints(&m, node, "strides", 1, 0);
    refuses("attribute 'strides' has value 0, expected 1 or more");
    node->n_attribute = 0;
    model_attr_ints(&m, node, "kernel_shape", 3, 5);
    refuses("attribute 'kernel_shape' has size 5 on axis 1, the filter has 3");
    node->n_attribute = 0;
    model_attr_i(&m, node, "group", 1);
    model_attr_i(&m, node, "group", 1);
    refuses("attribute 'group' is given twice");
    node->n_attribute = 0;
    node->op_type = (char *)"MaxPool";
    node->n_input = 1;
    refuses("attribute 'kernel_shape' is missing");
    model_attr_ints(&m, node, "kernel_shape", 2, 2);
    model_attr_i(&m, node, "ceil_mode", 2);
    refuses("attribute 'ceil_mode' has value 2, expected 0 or 1");
}
END_TEST

START_TEST(axes) {
    Onnx__NodeProto *node = one_node("Softmax", "x");
    model_attr_i(&m, node, "axis", 4);
    refuses("axis 4 is outside of rank 4, expected -4..3");
    node->op_type = (char *)"ReduceMean";
    node->n_attribute = 0;
    model_attr_ints(&m, node, "axes", 1, -3);
    refuses("axis -3 is named twice");
    node->op_type = (char *)"Transpose";
    node->n_attribute = 0;
    model_attr_ints(&m, node, "perm", 0, 1);
    refuses("attribute 'perm' has 2 values, expected 4");
}
END_TEST

START_TEST(shapes) {
    Onnx__NodeProto *node = one_node("Reshape", "x,s");
    model_i64s(&m, "s", 5, -1, 3);
    refuses("a tensor tensor<1x2x4x4xf32> cannot be reshaped to tensor<5x2x3xf32>");
    ((int64_t *)m.graph.initializer[0]->raw_data.data)[0] = -1;
    refuses("the shape has value -1 on axis 1, expected 0 or more, and -1 once");
    node->op_type = (char *)"Expand";
    ((int64_t *)m.graph.initializer[0]->raw_data.data)[0] = 1;
    ((int64_t *)m.graph.initializer[0]->raw_data.data)[1] = 1;
    refuses("size 4 of the input does not broadcast to 3 on axis 3");
    node->op_type = (char *)"Tile";
    refuses("3 repeats for rank 4");
    node->op_type = (char *)"MatMul";
    refuses("note: while importing node 'n' (MatMul, opset 13)");
}
END_TEST

START_TEST(large_constants) {
    model_input(&m, "x", FLOAT_TYPE, 1);
    model_i64s(&m, "s", 100000, 100000, 100);
    model_node(&m, "ConstantOfShape", "n", "s", "c");
    model_node(&m, "Add", "", "x,c", "y");
    model_output(&m, "y");
    refuses("node 'n' (ConstantOfShape, opset 13): a constant of 1000000000000 elements is too "
            "large");
}
END_TEST

int main(void) {
    const TTest *const all[] = {files, large_file, nesting, damaged_files, versions,
                                       operators, graph, cuts, cuts_that_do_not_separate,
                                       loops_without_bound, inputs, initializers,
                                       constant_inputs, attributes, axes, shapes,
                                       large_constants};
    Suite *suite = suite_create("onnx_errors");
    TCase *tests = tcase_create("errors");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    for (size_t i = 0; i < MICA_COUNT(all); i++) {
        tcase_add_test(tests, all[i]);
    }
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
