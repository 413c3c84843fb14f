/* What the importer says about operators of com.microsoft that it cannot take. Their results are
 * compared with those of onnxruntime by test/onnx_nodes. */
#include "test/unit/check_main.h"
#include "test/unit/onnx_models.h"

#define U8_TYPE ONNX__TENSOR_PROTO__DATA_TYPE__UINT8
#define I32_TYPE ONNX__TENSOR_PROTO__DATA_TYPE__INT32

static model m;
static void setup(void) {
    model_begin(&m, 17);
    model_opset(&m, "com.microsoft", 1);
}
static void teardown(void) { model_end(&m); }

static void refuses(const char *text) {
    model_refuses(&m, NULL, text);
    ck_assert_msg(strchr(m.errors, '\n') == strrchr(m.errors, '\n'), "lines: %s", m.errors);
}

static Onnx__NodeProto *node_of(const char *op, const char *inputs) {
    Onnx__NodeProto *node = model_node(&m, op, "n", inputs, "y");
    node->domain = (char *)"com.microsoft";
    return node;
}

/* Every message begins alike. */
#define AT_NODE(op, text) "node 'n' (com.microsoft." op ", opset 1): " text

START_TEST(domains) {
    model_input(&m, "x", FLOAT_TYPE, 2, 4);
    model_output(&m, "y");
    Onnx__NodeProto *node = node_of("Gelo", "x");
    refuses(AT_NODE("Gelo", "unknown operator 'Gelo'; did you mean 'Gelu'?"));
    node->op_type = (char *)"BeamSearch";
    refuses(AT_NODE("BeamSearch", "operator 'BeamSearch' is not supported: generation loops are "
                                  "run by the application"));
    node->op_type = (char *)"Relu";
    refuses("unknown operator 'Relu'"); /* it is one of the default domain */
    node->op_type = (char *)"Gelu";
    m.proto.opset_import[1]->version = 2;
    refuses("node 'n' (com.microsoft.Gelu, opset 2): operator 'Gelu' ended with opset 1");
    node->domain = (char *)"com.nobody";
    refuses("node 'n' (com.nobody.Gelu, opset 1): operator 'Gelu' is of the unknown domain "
            "'com.nobody', known are ai.onnx, ");
    node->domain = (char *)"com.microsoft";
    m.proto.opset_import[1]->domain = (char *)"com.other"; /* a missing import means version 1 */
    ck_assert(model_import(&m, NULL));
}
END_TEST

START_TEST(rows_and_skips) {
    model_input(&m, "x", FLOAT_TYPE, 2, 3, 4);
    model_input(&m, "s", FLOAT_TYPE, 2, 2, 4);
    model_input(&m, "g", FLOAT_TYPE, 3);
    model_output(&m, "y");
    Onnx__NodeProto *node = node_of("BiasGelu", "x,g");
    refuses(AT_NODE("BiasGelu", "bias has rank 1 and 3 elements, expected [4]"));
    node->op_type = (char *)"SkipLayerNormalization";
    node->input = mica_split(m.arena, "x,x,g", ',', &node->n_input);
    refuses(AT_NODE("SkipLayerNormalization", "gamma has rank 1 and 3 elements, expected [4]"));
    node->input = mica_split(m.arena, "x,s,g", ',', &node->n_input);
    refuses("skip does not have the shape of the input, save for a batch of 1");
    node->input = mica_split(m.arena, "x,x", ',', &node->n_input);
    refuses("2 inputs, expected 3..5");
    node->input = mica_split(m.arena, "x,x,g", ',', &node->n_input);
    model_attr_i(&m, node, "epsilon", 1);
    refuses("attribute 'epsilon' is of type INT, expected FLOAT");
    node->op_type = (char *)"EmbedLayerNormalization";
    node->n_attribute = 0;
    node->input = mica_split(m.arena, "x,,g,g,,g,g", ',', &node->n_input);
    refuses(AT_NODE("EmbedLayerNormalization", "input_ids has rank 3, expected 2"));
}
END_TEST

START_TEST(activations) {
    model_input(&m, "x", FLOAT_TYPE, 2, 4);
    model_input(&m, "w", FLOAT_TYPE, 4, 3);
    model_output(&m, "y");
    Onnx__NodeProto *node = node_of("FusedGemm", "x,w");
    model_attr_s(&m, node, "activation", "Softmax");
    refuses(AT_NODE("FusedGemm", "attribute 'activation' has value 'Softmax', expected one of Relu, "));
    node->n_attribute = 0;
    model_attr_s(&m, node, "activation", "Relu");
    model_attr_f(&m, node, "activation_alpha", 1.0f);
    refuses("1 parameters of the activation Relu, expected 0");
    node->op_type = (char *)"FusedMatMul";
    refuses("unknown attribute 'activation'");
}
END_TEST

START_TEST(few_bits) {
    model_input(&m, "x", FLOAT_TYPE, 2, 32);
    model_input(&m, "b", U8_TYPE, 3, 2, 8);
    model_zeros(&m, "s", 6);
    model_output(&m, "y");
    Onnx__NodeProto *node = node_of("MatMulNBits", "x,b,s");
    refuses("attributes N and K have values 0 and 0, expected 1 or more");
    model_attr_i(&m, node, "N", 3);
    model_attr_i(&m, node, "K", 32);
    refuses("attribute 'block_size' has value 0, expected a power of two from 16 on");
    model_attr_i(&m, node, "block_size", 16);
    refuses(AT_NODE("MatMulNBits", "input 1 (B) must be known at import; it depends on the data of a "
                                   "graph input"));
    model_attr_i(&m, node, "bits", 5);
    refuses("attribute 'bits' has value 5, expected 2, 4 or 8");
    node->n_attribute--;
    node->input = mica_split(m.arena, "x,s,s", ',', &node->n_input);
    refuses("input 1 (B) is tensor<6xf32>, expected 48 elements of u8");
    model_attr_i(&m, node, "weight_prepacked", 1);
    refuses("attribute 'weight_prepacked' is not 0");
}
END_TEST

START_TEST(quantized) {
    model_input(&m, "x", FLOAT_TYPE, 2, 3);
    model_input(&m, "q", U8_TYPE, 2, 3);
    model_input(&m, "z", U8_TYPE, 1);
    model_zeros(&m, "s", 1);
    model_zeros(&m, "t", 3);
    model_output(&m, "y");
    Onnx__NodeProto *node = node_of("QLinearAdd", "x,s,,q,s,,s");
    refuses(AT_NODE("QLinearAdd", "input 0 has type f32, expected u8 or i8"));
    node->input = mica_split(m.arena, "q,t,,q,s,,s", ',', &node->n_input);
    refuses("inputs 1 and 2 (scale and zero point) have 3 and 1 elements, expected 1");
    node->input = mica_split(m.arena, "q,s,s,q,s,,s", ',', &node->n_input);
    refuses("input 2 (zero point) has type f32, expected u8");
    node->input = mica_split(m.arena, "q,,,q,s,,s", ',', &node->n_input);
    refuses("input 1 is required, but absent");
    node->op_type = (char *)"QLinearConcat";
    node->input = mica_split(m.arena, "s,z,q,s,z,q", ',', &node->n_input);
    refuses("6 inputs, expected 2 and 3 for each part");
    node->input = mica_split(m.arena, "s,z,q,s,z,q,,z", ',', &node->n_input);
    refuses("attribute 'axis' is missing");
    model_attr_i(&m, node, "axis", 1);
    refuses("inputs 5 and 6 are required, but absent");
    node->op_type = (char *)"QGemm";
    node->n_attribute = 0;
    node->input = mica_split(m.arena, "q,s,z,q,s,z,,s", ',', &node->n_input);
    model_attr_i(&m, node, "transB", 1);
    refuses("y_scale and y_zero_point are given together or not at all");
    node->op_type = (char *)"QLinearSoftmax";
    node->n_attribute = 0;
    node->input = mica_split(m.arena, "q,s,,s,q", ',', &node->n_input);
    refuses("attribute 'opset' is missing");
}
END_TEST

START_TEST(attention) {
    model_input(&m, "x", FLOAT_TYPE, 2, 3, 8);
    model_input(&m, "mask", I32_TYPE, 5);
    model_zeros(&m, "w", 8, 24);
    model_output(&m, "y");
    Onnx__NodeProto *node = node_of("Attention", "x,w,,mask");
    refuses(AT_NODE("Attention", "attribute 'num_heads' has value 0, expected 1 or more"));
    model_attr_i(&m, node, "num_heads", 3);
    refuses("8 numbers of Q, K or V for 3 heads");
    node->n_attribute = 0;
    model_attr_i(&m, node, "num_heads", 2);
    refuses("the mask is tensor<5xi32>, expected [B], [2 * B], [B, T] or [B, S, T] with B 2, S 3, "
            "T 3");
    model_attr_i(&m, node, "do_rotary", 1);
    refuses("attribute 'do_rotary' has value 1, expected 0");
    node->n_attribute = 1;
    node->input = mica_split(m.arena, "x,w,,,x", ',', &node->n_input);
    refuses("past is tensor<2x3x8xf32>, expected [2, B, H, P, D]");
    node->op_type = (char *)"MultiHeadAttention";
    node->input = mica_split(m.arena, "x,,x", ',', &node->n_input);
    refuses(AT_NODE("MultiHeadAttention", "key and value are given together or packed"));
    node->input = mica_split(m.arena, "x,x,x,,,,,,mask", ',', &node->n_input);
    refuses("input 8 (past_sequence_length) is not supported");
    node->op_type = (char *)"GroupQueryAttention";
    node->input = mica_split(m.arena, "x,x,x,,,mask,mask", ',', &node->n_input);
    refuses("attribute 'kv_num_heads' has value 0, expected 1 or more");
    model_attr_i(&m, node, "kv_num_heads", 2);
    model_attr_i(&m, node, "do_rotary", 1);
    refuses("attribute 'do_rotary' needs cos_cache and sin_cache");
}
END_TEST

START_TEST(rotary) {
    model_input(&m, "x", FLOAT_TYPE, 2, 3, 8);
    model_input(&m, "p", INT64_TYPE, 2, 3);
    model_zeros(&m, "c", 9, 2);
    model_output(&m, "y");
    Onnx__NodeProto *node = node_of("RotaryEmbedding", "x,p,c,c");
    model_attr_f(&m, node, "scale", 2.0f);
    refuses(AT_NODE("RotaryEmbedding", "attribute 'scale' has value 2, expected 1"));
    node->n_attribute = 0;
    model_attr_i(&m, node, "num_heads", 2);
    model_attr_i(&m, node, "rotary_embedding_dim", 2);
    refuses("attribute 'rotary_embedding_dim' has value 2, expected 4 as in cos_cache");
    node->input = mica_split(m.arena, "x,c,c,c", ',', &node->n_input);
    node->n_attribute = 0;
    refuses("position_ids is tensor<9x2xf32>, expected [1] or [B, 3]");
}
END_TEST

int main(void) {
    const TTest *const all[] = {domains, rows_and_skips, activations, few_bits, quantized, attention,
                                rotary};
    Suite *suite = suite_create("onnx_contrib");
    TCase *tests = tcase_create("errors");
    tcase_add_checked_fixture(tests, setup, teardown);
    for (size_t i = 0; i < MICA_COUNT(all); i++) {
        tcase_add_test(tests, all[i]);
    }
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
