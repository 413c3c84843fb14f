/* What the importer makes of models that are right. */
#include "test/unit/check_main.h"
#include "test/unit/onnx_models.h"

#include "runtime/mrt_exec.h"

static model m;
static void setup(void) { model_begin(&m, 13); }
static void teardown(void) { model_end(&m); }

static void must_import(const mica_onnx_options *options) {
    ck_assert_msg(model_import(&m, options), "%s", m.errors);
}

static const char *module_text(const char *attr) {
    return mica_op_attr(m.module->op, attr)->text;
}

START_TEST(names_and_attributes) {
    model_input(&m, "x", FLOAT_TYPE, 1, 2, 4, 4);
    model_zeros(&m, "w", 3, 2, 3, 3);
    Onnx__NodeProto *conv = model_node(&m, "Conv", "conv1", "x,w", "c");
    model_attr_ints(&m, conv, "pads", 1, 1, 1, 1);
    model_node(&m, "Relu", "", "c", "y");
    model_output(&m, "y");
    must_import(&(mica_onnx_options){.model_name = "net"});
    ck_assert_str_eq(module_text("module.state"), "TOP_F32");
    ck_assert_str_eq(module_text("module.platform"), "ONNX");
    ck_assert_str_eq(module_text("module.chip"), "ALL");
    ck_assert_str_eq(module_text("sym_name"), "net");
    const mica_op *op = model_find(&m, "c");
    ck_assert(mica_op_is(op, "top.Conv"));
    ck_assert_str_eq(mica_value_name(mica_op_operand(op, 0)), "x");
    ck_assert_str_eq(mica_value_name(mica_op_operand(op, 1)), "w");
    ck_assert(mica_type_is_none(mica_op_operand(op, 2)->type));
    ck_assert(mica_op_is(model_find(&m, "x"), "top.Input"));
    ck_assert_int_eq(op->results[0].type->dims[1], 3);
    const mica_block *body = mica_func_body(mica_module_func(m.module, "main"));
    ck_assert_uint_eq(body->n_args, 1);
    ck_assert_str_eq(mica_value_name(body->args[0]), "x");
    ck_assert_str_eq(mica_value_name(mica_op_operand(body->last, 0)), "y");
    must_import(NULL);
    ck_assert_str_eq(module_text("sym_name"), "model");
}
END_TEST

START_TEST(unsorted_nodes) {
    model_input(&m, "x", FLOAT_TYPE, 2);
    model_node(&m, "Exp", "n2", "b", "c");
    model_node(&m, "Abs", "n0", "x", "a");
    model_node(&m, "Neg", "n1", "a", "b");
    model_node(&m, "Sin", "unneeded", "nothing", "z");
    model_output(&m, "c");
    must_import(NULL);
    ck_assert_str_eq(mica_value_name(mica_op_operand(model_find(&m, "c"), 0)), "b");
    ck_assert_ptr_null(model_find(&m, "z"));
}
END_TEST

START_TEST(shape_arithmetic_vanishes) {
    model_input(&m, "x", FLOAT_TYPE, -1, 3, 4);
    model_i64s(&m, "zero", 0);
    model_i64s(&m, "rest", -1);
    model_node(&m, "Shape", "", "x", "s");
    model_node(&m, "Gather", "", "s,zero", "batch");
    Onnx__NodeProto *concat = model_node(&m, "Concat", "", "batch,rest", "shape");
    model_attr_i(&m, concat, "axis", 0);
    model_node(&m, "Reshape", "", "x,shape", "y");
    model_output(&m, "y");
    must_import(&(mica_onnx_options){.input_shapes = "d1=5"});
    const mica_op *op = model_find(&m, "y");
    ck_assert(mica_op_is(op, "top.Reshape"));
    ck_assert_int_eq(op->results[0].type->dims[0], 5);
    ck_assert_int_eq(op->results[0].type->dims[1], 12);
    ck_assert_uint_eq(model_count(&m, "top.Weight"), 0);
    ck_assert_uint_eq(model_count(&m, "top.Gather"), 0);
    must_import(&(mica_onnx_options){.input_shapes = "[[2,3,4]]"});
    ck_assert_int_eq(model_find(&m, "y")->results[0].type->dims[0], 2);
    must_import(&(mica_onnx_options){.input_shapes = "x:[7,3,4]"});
    ck_assert_int_eq(model_find(&m, "y")->results[0].type->dims[0], 7);
}
END_TEST

static void chain_of_three(void) {
    model_input(&m, "x", FLOAT_TYPE, 2, 2);
    model_node(&m, "Abs", "n0", "x", "a");
    model_node(&m, "Neg", "n1", "a", "b");
    model_node(&m, "Exp", "n2", "b", "c");
    model_output(&m, "c");
}

START_TEST(cut_outputs) {
    static const char *const outputs[] = {"b", "c", "a"};
    chain_of_three();
    must_import(&(mica_onnx_options){.output_names = outputs, .n_output_names = 3});
    const mica_op *last = mica_func_body(mica_module_func(m.module, "main"))->last;
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_str_eq(mica_value_name(mica_op_operand(last, i)), outputs[i]);
    }
    must_import(&(mica_onnx_options){.output_names = outputs, .n_output_names = 1});
    ck_assert_ptr_null(model_find(&m, "c"));
}
END_TEST

START_TEST(cut_inputs) {
    static const char *const inputs[] = {"b"};
    chain_of_three();
    must_import(&(mica_onnx_options){
        .input_names = inputs, .n_input_names = 1, .input_shapes = "b:[3,5]"});
    ck_assert(mica_op_is(model_find(&m, "b"), "top.Input"));
    ck_assert_int_eq(model_find(&m, "c")->results[0].type->dims[1], 5);
    ck_assert_ptr_null(model_find(&m, "x"));
}
END_TEST

START_TEST(second_names_of_outputs) {
    chain_of_three();
    model_node(&m, "Identity", "", "c", "first");
    model_node(&m, "Identity", "", "c", "second");
    model_node(&m, "Identity", "", "x", "echo");
    model_output(&m, "first");
    model_output(&m, "second");
    model_output(&m, "echo");
    must_import(NULL);
    static const char *const names[] = {"c", "first", "second", "echo"};
    const mica_op *last = mica_func_body(mica_module_func(m.module, "main"))->last;
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_str_eq(mica_value_name(mica_op_operand(last, i)), names[i]);
    }
}
END_TEST

START_TEST(several_results) {
    model_input(&m, "x", FLOAT_TYPE, 6, 2);
    Onnx__NodeProto *split = model_node(&m, "Split", "", "x", "a,b,c");
    model_attr_i(&m, split, "axis", 0);
    model_output(&m, "b");
    must_import(NULL);
    const mica_op *op = model_find(&m, "b");
    ck_assert(mica_op_is(op, "top.Split"));
    ck_assert_int_eq(op->loc->kind, MICA_LOC_FUSED);
    ck_assert_str_eq(mica_loc_get_name_at(op->loc, 2), "c");
}
END_TEST

START_TEST(initializer_as_input) {
    model_input(&m, "x", FLOAT_TYPE, 2);
    model_input(&m, "w", FLOAT_TYPE, 2);
    model_zeros(&m, "w", 2);
    model_node(&m, "Add", "", "x,w", "y");
    model_output(&m, "y");
    must_import(NULL);
    ck_assert_uint_eq(mica_func_body(mica_module_func(m.module, "main"))->n_args, 1);
}
END_TEST

START_TEST(constant_input) {
    static const int64_t dims[] = {3, 2};
    const mica_ndarray shape = {.name = (char *)"s", .descr = "<i8", .rank = 1, .dims = {2},
                                .data = dims, .bytes = sizeof dims};
    model_input(&m, "x", FLOAT_TYPE, 6);
    model_input(&m, "s", INT64_TYPE, 2);
    model_node(&m, "Reshape", "", "x,s", "y");
    model_output(&m, "y");
    must_import(&(mica_onnx_options){.constants = &shape, .n_constants = 1});
    ck_assert_int_eq(model_find(&m, "y")->results[0].type->dims[1], 2);
    ck_assert_uint_eq(mica_func_body(mica_module_func(m.module, "main"))->n_args, 1);
}
END_TEST

START_TEST(typed_fields_and_halves) {
    const int64_t dims[] = {2};
    model_input(&m, "x", FLOAT_TYPE, 2);
    Onnx__TensorProto *half = model_weight(&m, "h", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, 1,
                                           dims, NULL, 0);
    half->n_int32_data = 2;
    half->int32_data = (int32_t[]){0x3c00, 0xc000}; /* 1, -2 */
    Onnx__TensorProto *byte = model_weight(&m, "u", ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, 1, dims,
                                           NULL, 0);
    byte->n_int32_data = 2;
    byte->int32_data = (int32_t[]){7, 255};
    Onnx__NodeProto *cast = model_node(&m, "Cast", "", "u", "f");
    model_attr_i(&m, cast, "to", FLOAT_TYPE);
    model_node(&m, "Mul", "", "h,f", "w");
    model_node(&m, "Add", "", "x,w", "y");
    model_output(&m, "y");
    must_import(NULL);
    const mica_ndarray *w = mica_weight_data(mica_op_operand(model_find(&m, "y"), 1));
    ck_assert_ptr_nonnull(w);
    ck_assert_str_eq(w->descr, "<f4");
    ck_assert(((const float *)w->data)[0] == 7.0f && ((const float *)w->data)[1] == -510.0f);
}
END_TEST

static void external(Onnx__TensorProto *t, const char *key, const char *value) {
    Onnx__StringStringEntryProto *entry = mica_arena_alloc(m.arena, sizeof *entry);
    onnx__string_string_entry_proto__init(entry);
    entry->key = mica_arena_strdup(m.arena, key);
    entry->value = mica_arena_strdup(m.arena, value);
    t->has_data_location = 1;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    MODEL_APPEND(&m, t->external_data, t->n_external_data, entry);
}

START_TEST(external_data) {
    const float data[] = {0, 0, 1.5f, 2.5f};
    const int64_t dims[] = {2};
    mica_error err = {0};
    const char *file = mica_path_join(m.arena, m.folder, "w.bin");
    ck_assert_int_eq(mica_write_file_atomic(file, data, sizeof data, &err), MICA_OK);
    model_input(&m, "x", FLOAT_TYPE, 2);
    Onnx__TensorProto *t = model_weight(&m, "w", FLOAT_TYPE, 1, dims, NULL, 0);
    external(t, "location", "w.bin");
    external(t, "offset", "8");
    external(t, "length", "8");
    model_node(&m, "Add", "", "x,w", "y");
    model_output(&m, "y");
    must_import(NULL);
    const mica_ndarray *w = mica_weight_data(mica_op_operand(model_find(&m, "y"), 1));
    ck_assert(((const float *)w->data)[1] == 2.5f);
    t->external_data[1]->value = (char *)"9";
    model_refuses(&m, NULL, "initializer 'w': external data ends at byte 17, but file 'w.bin' has "
                            "16 bytes");
    t->external_data[1]->value = (char *)"-1";
    model_refuses(&m, NULL, "external data has offset '-1', expected a number of bytes");
    t->external_data[1]->value = (char *)"0";
    t->external_data[2]->value = (char *)"12";
    model_refuses(&m, NULL, "external data has 12 bytes for 8 bytes of 2 elements f32");
    t->external_data[0]->value = (char *)"nothing.bin";
    model_refuses(&m, NULL, "external data file 'nothing.bin' does not exist");
    t->external_data[0]->value = (char *)"../../etc/passwd";
    model_refuses(&m, NULL, "external data file '../../etc/passwd' is outside of the model's "
                            "folder");
    t->external_data[0]->value = (char *)"/etc/passwd";
    model_refuses(&m, NULL, "external data has location '/etc/passwd', expected a path relative");
    unlink(file);
}
END_TEST

START_TEST(function_is_inlined) {
    Onnx__FunctionProto *f = mica_arena_alloc(m.arena, sizeof *f);
    onnx__function_proto__init(f);
    f->name = (char *)"Twice";
    f->domain = (char *)"my";
    f->input = mica_split(m.arena, "a", ',', &f->n_input);
    f->output = mica_split(m.arena, "r", ',', &f->n_output);
    Onnx__NodeProto *add = model_make_node(&m, "Add", "sum", "a,a", "s");
    Onnx__NodeProto *elu = model_make_node(&m, "Elu", "", "s", "r");
    Onnx__AttributeProto *a =
        model_attr(&m, elu, "alpha", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    a->ref_attr_name = (char *)"slope";
    MODEL_APPEND(&m, f->node, f->n_node, add);
    MODEL_APPEND(&m, f->node, f->n_node, elu);
    MODEL_APPEND(&m, m.proto.functions, m.proto.n_functions, f);
    model_input(&m, "x", FLOAT_TYPE, 2);
    Onnx__NodeProto *first = model_node(&m, "Twice", "t1", "x", "b");
    Onnx__NodeProto *second = model_node(&m, "Twice", "t2", "b", "y");
    first->domain = second->domain = (char *)"my";
    model_attr_f(&m, first, "slope", 0.5f);
    model_output(&m, "y");
    must_import(NULL);
    const mica_op *inner = model_find(&m, "t1/r");
    ck_assert(mica_op_is(inner, "top.Elu"));
    ck_assert(mica_op_f64(inner, "alpha") == 0.5);
    ck_assert(mica_op_is(model_find(&m, "t2/s"), "top.Add"));
    ck_assert(mica_op_f64(model_find(&m, "y"), "alpha") == 1.0);
    elu->op_type = (char *)"Twice"; /* calls itself */
    elu->domain = (char *)"my";
    model_refuses(&m, NULL, "functions and subgraphs are nested deeper than 32 levels");
}
END_TEST

START_TEST(constant_if) {
    Onnx__GraphProto *branches[2];
    static const char *const ops[] = {"Neg", "Exp"};
    static const char *const attrs[] = {"else_branch", "then_branch"};
    model_input(&m, "x", FLOAT_TYPE, 2);
    model_weight(&m, "flag", ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, 0, NULL, &(uint8_t){1}, 1);
    Onnx__NodeProto *node = model_node(&m, "If", "if1", "flag", "y");
    for (int i = 0; i < 2; i++) {
        Onnx__GraphProto *g = branches[i] = mica_arena_alloc(m.arena, sizeof *g);
        onnx__graph_proto__init(g);
        MODEL_APPEND(&m, g->node, g->n_node, model_make_node(&m, ops[i], "", "x", "r"));
        MODEL_APPEND(&m, g->output, g->n_output,
                     model_value(&m, "r", FLOAT_TYPE, 1, (int64_t[]){2}));
        model_attr(&m, node, attrs[i], ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH)->g = g;
    }
    model_output(&m, "y");
    must_import(NULL);
    ck_assert(mica_op_is(model_find(&m, "y"), "top.Exp"));
    ck_assert_uint_eq(model_count(&m, "top.Neg"), 0);
}
END_TEST

/* Softmax before opset 13 works on all axes from `axis` on. */
START_TEST(old_softmax) {
    m.proto.opset_import[0]->version = 11;
    model_input(&m, "x", FLOAT_TYPE, 2, 3, 4);
    model_node(&m, "Softmax", "", "x", "y");
    model_output(&m, "y");
    must_import(NULL);
    const mica_op *op = model_find(&m, "y_softmax");
    ck_assert(mica_op_is(op, "top.Softmax"));
    ck_assert_int_eq(op->results[0].type->dims[1], 12);
    m.proto.opset_import[0]->version = 13;
    must_import(NULL);
    ck_assert_int_eq(mica_op_i64(model_find(&m, "y"), "axis"), 2);
}
END_TEST

START_TEST(same_padding) {
    model_input(&m, "x", FLOAT_TYPE, 1, 1, 5, 8);
    model_zeros(&m, "w", 1, 1, 2, 3);
    Onnx__NodeProto *conv = model_node(&m, "Conv", "", "x,w", "y");
    model_attr_s(&m, conv, "auto_pad", "SAME_LOWER");
    model_attr_ints(&m, conv, "strides", 1, 2);
    model_output(&m, "y");
    must_import(NULL);
    size_t n = 0;
    const int64_t *pads = mica_op_i64s(model_find(&m, "y"), "pads", &n);
    ck_assert_uint_eq(n, 4);
    ck_assert_int_eq(pads[0], 1);
    ck_assert_int_eq(pads[2], 0);
    ck_assert_int_eq(pads[1], 1);
    ck_assert_int_eq(pads[3], 0);
    ck_assert_int_eq(model_find(&m, "y")->results[0].type->dims[3], 4);
}
END_TEST

/* A computed constant under a second shape outlives the first. */
START_TEST(reshaped_computed_constant) {
    model_input(&m, "x", INT64_TYPE, 1, 3);
    model_weight(&m, "start", INT64_TYPE, 0, NULL, &(int64_t){0}, 8);
    model_weight(&m, "limit", INT64_TYPE, 0, NULL, &(int64_t){3}, 8);
    model_weight(&m, "delta", INT64_TYPE, 0, NULL, &(int64_t){1}, 8);
    model_i64s(&m, "axis", 0);
    model_node(&m, "Range", "", "start,limit,delta", "r");
    model_node(&m, "Unsqueeze", "", "r,axis", "u");
    model_node(&m, "Add", "", "x,u", "y");
    model_output(&m, "y");
    must_import(NULL);
    const mica_ndarray *u = mica_weight_data(mica_op_operand(model_find(&m, "y"), 1));
    ck_assert_int_eq(u->rank, 2);
    ck_assert_int_eq(((const int64_t *)u->data)[2], 2);
    ck_assert_uint_eq(mica_weights_count(m.module->weights), 1);
}
END_TEST

START_TEST(old_broadcast) {
    m.proto.opset_import[0]->version = 6;
    model_input(&m, "x", FLOAT_TYPE, 2, 3, 4);
    model_zeros(&m, "w", 3);
    Onnx__NodeProto *node = model_node(&m, "Add", "", "x,w", "y");
    model_attr_i(&m, node, "broadcast", 1);
    model_attr_i(&m, node, "axis", 1);
    model_output(&m, "y");
    must_import(NULL);
    const mica_type type = mica_op_operand(model_find(&m, "y"), 1)->type;
    ck_assert_int_eq(type->rank, 3);
    ck_assert_int_eq(type->dims[1], 3);
}
END_TEST

int main(void) {
    const TTest *const all[] = {
        names_and_attributes, unsorted_nodes, shape_arithmetic_vanishes, cut_outputs, cut_inputs,
        second_names_of_outputs, several_results, initializer_as_input, constant_input,
        typed_fields_and_halves, external_data, function_is_inlined, constant_if, old_softmax,
        same_padding, reshaped_computed_constant, old_broadcast};
    Suite *suite = suite_create("onnx_import");
    TCase *tests = tcase_create("import");
    tcase_add_checked_fixture(tests, setup, teardown);
    for (size_t i = 0; i < MICA_COUNT(all); i++) {
        tcase_add_test(tests, all[i]);
    }
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
