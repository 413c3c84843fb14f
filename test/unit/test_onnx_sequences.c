/* Sequences and optionals in the importer: what they become, and every message about them. Constant
 * tensors fold, so that values are seen in the module. */
#include "test/unit/check_main.h"
#include "test/unit/onnx_models.h"

static model m;
static void setup(void) {
    model_begin(&m, 18);
    model_input(&m, "x", FLOAT_TYPE, 5, 4);
}
static void teardown(void) { model_end(&m); }

static void imports(const char *shapes) {
    const mica_onnx_options options = {.input_shapes = shapes};
    ck_assert_msg(model_import(&m, &options), "%s", m.errors);
}

static void refuses_with(const char *shapes, const char *text) {
    const mica_onnx_options options = {.input_shapes = shapes};
    model_refuses(&m, &options, text);
}
static void refuses(const char *text) { refuses_with(NULL, text); }

static void scalar(const char *name, int64_t value) {
    model_weight(&m, name, INT64_TYPE, 0, NULL, &value, sizeof value);
}

/* Results of the function: "name:type,..." */
static const char *results(void) {
    const mica_op *end = mica_func_body(mica_module_func(m.module, "main"))->last;
    const char *text = "";
    for (uint32_t i = 0; i < end->n_operands; i++) {
        const mica_value *value = mica_op_operand(end, i);
        text = mica_arena_printf(m.arena, "%s%s%s:%s", text, i > 0 ? "," : "",
                                 mica_value_name(value), mica_type_text(value->type));
    }
    return text;
}

static void check_i64s(const char *name, int64_t count, const int64_t *want) {
    int64_t n = 0;
    const mica_op *op = model_find(&m, name);
    ck_assert_msg(op != NULL, "no %s", name);
    const int64_t *got = mica_weight_i64(mica_op_result(op, 0), &n);
    ck_assert_int_eq(n, count);
    ck_assert_mem_eq(got, want, (size_t)n * sizeof *want);
}

/* The type of a graph input: a sequence of it, an optional of it or of a sequence of it. */
static void wrap_input(const char *name, bool sequence, bool optional) {
    model_input(&m, name, FLOAT_TYPE, -1, 4);
    Onnx__ValueInfoProto *info = m.graph.input[m.graph.n_input - 1];
    for (int i = 0; i < 2; i++) {
        if (i == 0 ? !sequence : !optional) {
            continue;
        }
        Onnx__TypeProto *outer = mica_arena_alloc(m.arena, sizeof *outer);
        onnx__type_proto__init(outer);
        if (i == 0) {
            outer->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
            outer->sequence_type = mica_arena_alloc(m.arena, sizeof *outer->sequence_type);
            onnx__type_proto__sequence__init(outer->sequence_type);
            outer->sequence_type->elem_type = info->type;
        } else {
            outer->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
            outer->optional_type = mica_arena_alloc(m.arena, sizeof *outer->optional_type);
            onnx__type_proto__optional__init(outer->optional_type);
            outer->optional_type->elem_type = info->type;
        }
        info->type = outer;
    }
}

static Onnx__GraphProto *body_of(Onnx__NodeProto *node, const char *name) {
    Onnx__AttributeProto *a =
        model_attr(&m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH);
    a->g = mica_arena_alloc(m.arena, sizeof *a->g);
    onnx__graph_proto__init(a->g);
    return a->g;
}

static void body_node(Onnx__GraphProto *g, const char *op, const char *in, const char *out) {
    MODEL_APPEND(&m, g->node, g->n_node, model_make_node(&m, op, "", in, out));
}

static void body_io(Onnx__GraphProto *g, const char *in, const char *out) {
    size_t n = 0;
    char **names = mica_split(m.arena, in, ',', &n);
    for (size_t i = 0; i < n && names[i][0] != '\0'; i++) {
        MODEL_APPEND(&m, g->input, g->n_input, model_value(&m, names[i], FLOAT_TYPE, 0, NULL));
    }
    names = mica_split(m.arena, out, ',', &n);
    for (size_t i = 0; i < n; i++) {
        MODEL_APPEND(&m, g->output, g->n_output, model_value(&m, names[i], FLOAT_TYPE, 0, NULL));
    }
}

/* --- values ---------------------------------------------------------------------------------- */
START_TEST(parts_of_a_tensor) {
    scalar("two", 2);
    model_node(&m, "SplitToSequence", "cut", "x,two", "s");
    model_node(&m, "SequenceLength", "", "s", "n");
    model_node(&m, "Identity", "", "s", "y");
    model_output(&m, "y");
    model_output(&m, "n");
    imports(NULL);
    ck_assert_str_eq(results(), "y.0:tensor<2x4xf32>,y.1:tensor<2x4xf32>,y.2:tensor<1x4xf32>,"
                                "n:tensor<i64>");
    ck_assert_uint_eq(model_count(&m, "top.Split"), 1);
    check_i64s("n", 1, (int64_t[]){3});
}
END_TEST

START_TEST(slices_without_axis) {
    Onnx__NodeProto *cut = model_node(&m, "SplitToSequence", "cut", "x", "s");
    Onnx__NodeProto *join = model_node(&m, "ConcatFromSequence", "join", "s", "y");
    model_attr_i(&m, cut, "keepdims", 0);
    model_attr_i(&m, cut, "axis", -1);
    model_attr_i(&m, join, "axis", 1);
    model_attr_i(&m, join, "new_axis", 1);
    model_output(&m, "y");
    model_output(&m, "s");
    imports(NULL);
    ck_assert_str_eq(results(), "y:tensor<5x4xf32>,s.0:tensor<5xf32>,s.1:tensor<5xf32>,"
                                "s.2:tensor<5xf32>,s.3:tensor<5xf32>");
}
END_TEST

START_TEST(positions) {
    model_i64s(&m, "a", 1);
    model_i64s(&m, "b", 2, 2);
    model_i64s(&m, "c", 3, 3, 3);
    scalar("first", 0);
    scalar("last", -1);
    scalar("end", 3);
    model_node(&m, "SequenceConstruct", "", "a,b,c", "abc");
    model_node(&m, "SequenceErase", "", "abc", "ab");
    model_node(&m, "SequenceErase", "", "abc,first", "bc");
    model_node(&m, "SequenceInsert", "", "bc,a,last", "bac");
    model_node(&m, "SequenceInsert", "", "abc,b,end", "abcb");
    model_node(&m, "SequenceAt", "", "ab,last", "y0");
    model_node(&m, "ConcatFromSequence", "", "bc", "y1");
    model_node(&m, "ConcatFromSequence", "", "bac", "y2");
    model_node(&m, "ConcatFromSequence", "", "abcb", "y3");
    for (size_t i = 6; i < 9; i++) {
        model_attr_i(&m, m.graph.node[i], "axis", 0);
    }
    for (int i = 1; i < 4; i++) {
        model_output(&m, mica_arena_printf(m.arena, "y%d", i));
    }
    imports(NULL);
    check_i64s("y1", 5, (int64_t[]){2, 2, 3, 3, 3});
    check_i64s("y2", 6, (int64_t[]){2, 2, 1, 3, 3, 3});
    check_i64s("y3", 8, (int64_t[]){1, 2, 2, 3, 3, 3, 2, 2});
}
END_TEST

START_TEST(sequence_inputs) {
    wrap_input("s", true, false);
    model_node(&m, "SequenceInsert", "", "s,x", "y");
    model_output(&m, "y");
    imports("s:[[2,4],[7,4]]");
    ck_assert_str_eq(results(), "y.0:tensor<2x4xf32>,y.1:tensor<7x4xf32>,y.2:tensor<5x4xf32>");
    ck_assert_ptr_nonnull(model_find(&m, "s.1"));
    imports("s:[]");
    ck_assert_str_eq(results(), "y.0:tensor<5x4xf32>");
    refuses_with(NULL, "input 's' is a sequence; give one shape per element as input_shapes "
                       "'s:[[...],[...]]'");
    refuses_with("s:[2,4]", "input 's' is a sequence");
    refuses_with("s:[[2,4],[7,4,1]]", "input 's.1' has rank 2 in the model, input_shapes gives rank");
    refuses_with("s:none", "input 's' is a sequence");
    refuses_with("s:[[2,4]],x:[[5,4]]", "input 'x' is a tensor, input_shapes gives a list of shapes");
    refuses_with("s:[[2,4]],x:none", "input 'x' is a tensor, input_shapes gives 'none'");
    refuses_with("t:[[2,4]],s:[]", "input_shapes names 't', which is no input");
    refuses_with("s:[[2,4],5]", "input_shapes 's:[[2,4],5]': expected '[dims]' at '5]'");
    refuses_with("s:[[2,4]", "expected ',' or ']' at 'its end'");
    model_node(&m, "Relu", "", "x", "s.0");
    refuses_with("s:[[2,4]]", "element 0 of input 's' would be called 's.0', as another tensor is");
}
END_TEST

START_TEST(optional_inputs) {
    wrap_input("o", false, true);
    model_node(&m, "OptionalHasElement", "", "o", "has");
    Onnx__NodeProto *choice = model_node(&m, "If", "choice", "has", "y");
    Onnx__GraphProto *yes = body_of(choice, "then_branch"), *no = body_of(choice, "else_branch");
    body_node(yes, "OptionalGetElement", "o", "got");
    body_io(yes, "", "got");
    body_node(no, "Relu", "x", "instead");
    body_io(no, "", "instead");
    model_output(&m, "y");
    imports("o:[3,4]");
    ck_assert_str_eq(results(), "y:tensor<3x4xf32>");
    imports("o:none");
    ck_assert_str_eq(results(), "y:tensor<5x4xf32>");
    refuses_with(NULL, "input 'o': dimension 0 is 'd1'");
    wrap_input("p", true, true);
    refuses_with("o:none", "input 'p' is a sequence; give one shape per element as input_shapes "
                           "'p:[[...],[...]]', or 'p:none' without it");
    imports("o:none,p:none");
}
END_TEST

START_TEST(optional_values) {
    model_node(&m, "Optional", "", "x", "o");
    model_node(&m, "Optional", "", "", "none");
    model_node(&m, "OptionalHasElement", "", "o", "y0");
    model_node(&m, "OptionalHasElement", "", "none", "y1");
    model_node(&m, "OptionalGetElement", "", "o", "y2");
    model_output(&m, "y0");
    model_output(&m, "none");
    model_output(&m, "y1");
    model_output(&m, "y2");
    imports(NULL);
    ck_assert_str_eq(results(), "y0:tensor<i1>,y1:tensor<i1>,y2:tensor<5x4xf32>");
}
END_TEST

START_TEST(unrolled_loops) {
    /* s = [x]; 3 times: s = s + [relu(s[i])] */
    scalar("trips", 3);
    const uint8_t yes = 1;
    model_weight(&m, "on", ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, 0, NULL, &yes, 1);
    model_node(&m, "SequenceConstruct", "", "x", "s");
    Onnx__NodeProto *loop = model_node(&m, "Loop", "loop", "trips,on,s", "y");
    Onnx__GraphProto *body = body_of(loop, "body");
    body_io(body, "i,in,t", "out,t2");
    body_node(body, "Identity", "in", "out");
    body_node(body, "SequenceAt", "t,i", "e");
    body_node(body, "Relu", "e", "r");
    body_node(body, "SequenceInsert", "t,r", "t2");
    model_output(&m, "y");
    imports(NULL);
    ck_assert_uint_eq(model_count(&m, "top.Relu"), 3);
    ck_assert_str_eq(results(), "y.0:tensor<5x4xf32>,y.1:tensor<5x4xf32>,y.2:tensor<5x4xf32>,"
                                "y.3:tensor<5x4xf32>");
    MODEL_APPEND(&m, loop->output, loop->n_output, (char *)"z");
    body_node(body, "Identity", "t", "u");
    body_io(body, "", "u");
    refuses("node 'loop' (Loop, opset 18): output 1 collects a sequence of each trip, expected a "
            "tensor");
}
END_TEST

/* --- messages -------------------------------------------------------------------------------- */
START_TEST(wrong_kinds) {
    Onnx__NodeProto *n = model_node(&m, "SequenceLength", "n", "x", "y");
    model_output(&m, "y");
    refuses("node 'n' (SequenceLength, opset 18): input 0 ('x') is a tensor, expected a sequence");
    model_node(&m, "SequenceConstruct", "", "x", "s");
    n->op_type = (char *)"Relu";
    n->input[0] = (char *)"s";
    refuses("node 'n' (Relu, opset 18): input 0 ('s') is a sequence, expected a tensor");
    model_node(&m, "Optional", "", "", "o");
    n->input[0] = (char *)"o";
    refuses("input 0 ('o') is an absent optional, expected a tensor");
    n->op_type = (char *)"OptionalGetElement";
    refuses("node 'n' (OptionalGetElement, opset 18): input 0 ('o') is an optional without element");
    n->op_type = (char *)"SequenceLength";
    refuses("input 0 ('o') is an absent optional, expected a sequence");
    n->op_type = (char *)"Identity";
    refuses("all outputs of the graph are sequences without elements or absent optionals");
    n->op_type = (char *)"SequenceEmpty";
    n->n_input = 0;
    refuses("all outputs of the graph are sequences without elements or absent optionals");
    model_attr_i(&m, n, "dtype", 8);
    refuses("node 'n' (SequenceEmpty, opset 18): attribute 'dtype' has value 8, which is no "
            "supported element type");
}
END_TEST

START_TEST(wrong_positions) {
    scalar("at", 2);
    model_input(&m, "p", INT64_TYPE, 1);
    model_node(&m, "SequenceConstruct", "", "x,x", "s");
    Onnx__NodeProto *n = model_node(&m, "SequenceAt", "n", "s,at", "y");
    model_output(&m, "y");
    refuses("node 'n' (SequenceAt, opset 18): position 2 is outside of a sequence of 2 elements");
    int64_t *at = (int64_t *)m.graph.initializer[0]->raw_data.data;
    *at = -3;
    refuses("position -3 is outside of a sequence of 2 elements");
    n->op_type = (char *)"SequenceErase";
    refuses("node 'n' (SequenceErase, opset 18): position -3 is outside");
    *at = INT64_MIN;
    refuses("is outside of a sequence of 2 elements");
    n->op_type = (char *)"SequenceAt";
    n->input[1] = (char *)"p";
    refuses("node 'n' (SequenceAt, opset 18): input 1 ('p') is a position in a sequence and must be "
            "known at import, but depends on the data of a graph input; export the model with a "
            "fixed position");
    n->op_type = (char *)"SequenceInsert";
    MODEL_APPEND(&m, n->input, n->n_input, (char *)"p");
    n->input[1] = (char *)"x";
    refuses("node 'n' (SequenceInsert, opset 18): input 2 ('p') is a position in a sequence");
    n->input[2] = (char *)"at";
    *at = 3;
    refuses("node 'n' (SequenceInsert, opset 18): position 3 is outside of a sequence of 2");
    n->input[1] = (char *)"p";
    n->n_input = 2;
    refuses("node 'n' (SequenceInsert, opset 18): element 2 has type i64, the sequence has type f32");
    m.graph.node[0]->input[1] = (char *)"p";
    refuses("(SequenceConstruct, opset 18): element 1 has type i64, the sequence has type f32");
    m.graph.node[0]->op_type = (char *)"SequenceEmpty";
    m.graph.node[0]->n_input = 0;
    n->op_type = (char *)"SequenceErase";
    n->n_input = 1;
    refuses("node 'n' (SequenceErase, opset 18): the sequence is empty, there is nothing to erase");
}
END_TEST

START_TEST(wrong_joins) {
    model_input(&m, "z", FLOAT_TYPE, 5, 3);
    model_node(&m, "SequenceConstruct", "", "x,z", "s");
    Onnx__NodeProto *n = model_node(&m, "ConcatFromSequence", "n", "s", "y");
    model_attr_i(&m, n, "axis", 0);
    model_output(&m, "y");
    refuses("node 'n' (ConcatFromSequence, opset 18): elements 0 and 1 of the sequence are "
            "tensor<5x4xf32> and tensor<5x3xf32>; they cannot be joined on axis 0");
    n->attribute[0]->i = 1;
    imports(NULL);
    n->attribute[0]->i = 2;
    refuses("axis 2 is outside of rank 2");
    model_attr_i(&m, n, "new_axis", 1);
    refuses("they cannot be joined on axis 2");
    m.graph.node[0]->op_type = (char *)"SequenceEmpty";
    m.graph.node[0]->n_input = 0;
    refuses("the sequence is empty, there is nothing to join");
}
END_TEST

START_TEST(wrong_splits) {
    model_i64s(&m, "sizes", 2, 2);
    scalar("size", 0);
    Onnx__NodeProto *n = model_node(&m, "SplitToSequence", "n", "x,sizes", "y");
    model_output(&m, "y");
    refuses("node 'n' (SplitToSequence, opset 18): the parts have 4 elements in all, expected 5");
    ((int64_t *)m.graph.initializer[0]->raw_data.data)[1] = 4;
    refuses("part 1 has size 4, 3 elements are left");
    ((int64_t *)m.graph.initializer[0]->raw_data.data)[1] = -1;
    refuses("part 1 has size -1");
    n->input[1] = (char *)"size";
    refuses("parts of size 0, expected 1 or more");
    model_input(&m, "p", INT64_TYPE, 1);
    n->input[1] = (char *)"p";
    refuses("input 1 ('p') must be integers known at import");
    n->n_input = 1;
    refuses_with("x:[70000,4]", "70000 parts, at most 65536 are supported");
}
END_TEST

START_TEST(wrong_maps) {
    model_node(&m, "SequenceConstruct", "", "x,x", "s");
    model_node(&m, "SequenceConstruct", "", "x", "t");
    Onnx__NodeProto *n = model_node(&m, "SequenceMap", "n", "s,t", "y");
    Onnx__GraphProto *body = body_of(n, "body");
    body_io(body, "a,b", "c");
    body_node(body, "Add", "a,b", "c");
    model_output(&m, "y");
    refuses("node 'n' (SequenceMap, opset 18): inputs 0 and 1 are sequences of 2 and 1 elements, "
            "expected as many");
    n->input[1] = (char *)"x";
    imports(NULL);
    ck_assert_str_eq(results(), "y.0:tensor<5x4xf32>,y.1:tensor<5x4xf32>");
    body->node[0]->op_type = (char *)"SequenceConstruct";
    refuses("node 'n' (SequenceMap, opset 18): output 0 of its body is a sequence, expected a "
            "tensor");
    n->input[0] = (char *)"x";
    refuses("input 0 ('x') is a tensor, expected a sequence");
}
END_TEST

START_TEST(unknown_condition) {
    model_input(&m, "c", ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, 1);
    Onnx__NodeProto *n = model_node(&m, "If", "n", "c", "y");
    Onnx__GraphProto *yes = body_of(n, "then_branch"), *no = body_of(n, "else_branch");
    body_node(yes, "SequenceConstruct", "x", "a");
    body_io(yes, "", "a");
    body_node(no, "Relu", "x", "b");
    body_io(no, "", "b");
    model_output(&m, "y");
    refuses("node 'n' (If, opset 18): the branches give a sequence and tensor<5x4xf32> for output 0, "
            "and the condition is not known at import");
}
END_TEST

int main(void) {
    const TTest *const all[] = {parts_of_a_tensor, slices_without_axis, positions, sequence_inputs,
                                optional_inputs, optional_values, unrolled_loops, wrong_kinds,
                                wrong_positions, wrong_joins, wrong_splits, wrong_maps,
                                unknown_condition};
    Suite *suite = suite_create("onnx_sequences");
    TCase *tests = tcase_create("sequences");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    for (size_t i = 0; i < MICA_COUNT(all); i++) {
        tcase_add_test(tests, all[i]);
    }
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
