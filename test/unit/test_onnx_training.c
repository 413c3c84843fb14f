/* Messages about n-gram pools, optimizers, and nodes in training mode. Values are checked by the ONNX
 * node cases. */
#include "test/unit/check_main.h"
#include "test/unit/onnx_models.h"

static model m;
static void setup(void) { model_begin(&m, 15); }
static void teardown(void) { model_end(&m); }

static void refuses(const char *text) { model_refuses(&m, NULL, text); }
static void imports(void) { ck_assert_msg(model_import(&m, NULL), "%s", m.errors); }

static void set_ints(Onnx__NodeProto *node, size_t attr, size_t n, const int64_t *values) {
    node->attribute[attr]->n_ints = n;
    node->attribute[attr]->ints = mica_arena_memdup(m.arena, values, n * sizeof *values);
}
#define SET(node, attr, ...)                                                                       \
    set_ints(node, attr, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                       \
             (int64_t[]){__VA_ARGS__})

enum { COUNTS, INDEXES, POOL };

static Onnx__NodeProto *counter(void) {
    model_input(&m, "x", INT64_TYPE, 2, 9);
    model_output(&m, "y");
    Onnx__NodeProto *node = model_node(&m, "TfIdfVectorizer", "n", "x", "y");
    model_attr_ints(&m, node, "ngram_counts", 0, 3);
    model_attr_ints(&m, node, "ngram_indexes", 2, 0, 1, 4, 3);
    model_attr_ints(&m, node, "pool_int64s", 7, 8, 9, 9, 7, 7, 9);
    model_attr_s(&m, node, "mode", "TFIDF");
    model_attr_i(&m, node, "max_gram_length", 2);
    return node;
}

START_TEST(sorted_pool) {
    counter();
    imports();
    int64_t n = 0;
    const mica_op *op = model_find(&m, "y");
    const int64_t pool[] = {7, 8, 9, 7, 9, 9, 7}, columns[] = {2, 0, 1, 3, 4};
    const int64_t *got = mica_weight_i64(mica_op_operand(op, 1), &n);
    ck_assert_int_eq(n, 7);
    ck_assert_mem_eq(got, pool, sizeof pool);
    got = mica_weight_i64(mica_op_operand(op, 3), &n);
    ck_assert_mem_eq(got, columns, sizeof columns);
    ck_assert_str_eq(mica_type_text(mica_op_result(op, 0)->type), "tensor<2x5xf32>");
}
END_TEST

START_TEST(bad_pools) {
    Onnx__NodeProto *node = counter();
    SET(node, COUNTS, 0, 2);
    refuses("node 'n' (TfIdfVectorizer, opset 15): attribute 'ngram_counts' gives n-grams of 2 items "
            "the places 2 to 7 of a pool of 7");
    SET(node, COUNTS, 0, 9);
    refuses("gives n-grams of 1 items the places 0 to 9 of a pool of 7");
    SET(node, COUNTS, 1, 3);
    refuses("gives n-grams of 1 items the places 1 to 3");
    SET(node, COUNTS, 0);
    refuses("attribute 'ngram_indexes' has 5 values, the pool has 7 n-grams");
    SET(node, COUNTS, 0, 3);
    SET(node, INDEXES, 0, 1, 2, 3, 4, 5);
    refuses("attribute 'ngram_indexes' has 6 values, the pool has 5 n-grams");
    SET(node, INDEXES, 0, 1, 2, 3, -4);
    refuses("attribute 'ngram_indexes' has value -4, expected 0 or more");
    SET(node, INDEXES, 0, 1, 2, 3, 4);
    SET(node, POOL, 7, 8, 9, 9, 7, 9, 7);
    refuses("an n-gram of 2 items that begins with 9 stands in the pool twice");
    node->attribute[4]->i = 3;
    refuses("attribute 'max_gram_length' has value 3, expected 1 to the 2 of 'ngram_counts'");
    SET(node, COUNTS, 0);
    node->attribute[0]->n_ints = 0;
    refuses("attribute 'ngram_counts' has 0 values, 'ngram_indexes' 5 and 'weights' 0");
    node->attribute[POOL]->name = (char *)"pool_strings";
    refuses("attribute 'pool_strings' holds strings, which are not supported; number the words before "
            "the model and use 'pool_int64s'");
    m.graph.input[0]->type->tensor_type->elem_type = FLOAT_TYPE;
    refuses("input 0 has element type f32, expected i32 or i64");
}
END_TEST

START_TEST(optimizers) {
    model_opset(&m, "ai.onnx.preview.training", 1);
    model_input(&m, "r", FLOAT_TYPE, 1);
    model_input(&m, "t", INT64_TYPE, 1);
    model_input(&m, "x", FLOAT_TYPE, 3);
    model_input(&m, "g", FLOAT_TYPE, 3);
    model_input(&m, "v", FLOAT_TYPE, 2);
    model_output(&m, "y");
    Onnx__NodeProto *node = model_node(&m, "Momentum", "n", "r,t,x,g,v", "y,w");
    node->domain = (char *)"ai.onnx.preview.training";
    refuses("node 'n' (ai.onnx.preview.training.Momentum, opset 1): input 4 ('v') is tensor<2xf32>, "
            "expected tensor<3xf32>");
    node->input[4] = (char *)"g";
    imports();
    ck_assert_str_eq(mica_type_text(mica_op_result(model_find(&m, "y"), 0)->type), "tensor<3xf32>");
    MODEL_APPEND(&m, node->input, node->n_input, (char *)"g");
    refuses("6 inputs and 2 outputs, expected 2 + 3 n and 2 n for n tensors");
    node->n_input = 5;
    node->input[0] = (char *)"x";
    refuses("input 0 ('x') is no single number");
    node->op_type = (char *)"Gradient";
    refuses("operator 'Gradient' is not supported: derivatives are computed by the training framework");
}
END_TEST

START_TEST(training_modes) {
    model_input(&m, "x", FLOAT_TYPE, 3);
    model_zeros(&m, "w", 3);
    const float ratio = 0.25f;
    const uint8_t yes = 1;
    model_weight(&m, "r", FLOAT_TYPE, 0, NULL, &ratio, sizeof ratio);
    model_weight(&m, "t", ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, 0, NULL, &yes, 1);
    model_output(&m, "y");
    Onnx__NodeProto *node = model_node(&m, "BatchNormalization", "n", "x,w,w,w,w", "y");
    model_attr_i(&m, node, "training_mode", 1);
    refuses("node 'n' (BatchNormalization, opset 15): input 0 has rank 1, expected 2 or more");
    node->op_type = (char *)"Dropout";
    node->n_attribute = 0;
    node->n_input = 3;
    node->input[1] = (char *)"r";
    node->input[2] = (char *)"t";
    refuses("node 'n' (Dropout, opset 15): input 2 ('t') switches training on");
}
END_TEST

int main(void) {
    const TTest *const all[] = {sorted_pool, bad_pools, optimizers, training_modes};
    Suite *suite = suite_create("onnx_training");
    TCase *tests = tcase_create("training");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    for (size_t i = 0; i < MICA_COUNT(all); i++) {
        tcase_add_test(tests, all[i]);
    }
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
