/* Which values take the type of a Concat that reads them [concat-scale]. */
#include "test/unit/check_main.h"
#include "test/unit/lowering_case.h"

/* b reaches ten times (far) or 1.25 times (near) as far as a. */
#define FAR "x = Input 4x25\na = LeakyRelu(x) {alpha = 0.5}\nb = Mul(a, c:=10)\ny = Concat(a, b) {axis = 1}\n"
#define NEAR "x = Input 4x25\na = LeakyRelu(x) {alpha = 0.95}\nb = Mul(x, c:=1.25)\ny = Concat(a, b) {axis = 1}\n"

static const struct {
    const char *text, *f32; /* op that a quantize table keeps in float, or NULL */
    bool a, b;              /* have the type of y */
} cases[] = {
    {NEAR "return y\n", NULL, true, true},
    {FAR "return y\n", NULL, false, true},                     /* the product reads a, too */
    {"x = Input 4x25\nz = Input 4x9\na = Relu(x)\nb = Mul(z, c:=30)\ny = Concat(a, b) {axis = 1}\nreturn y\n",
     NULL, true, true},                                        /* nothing else does */
    {NEAR "d = Add(a, b)\nreturn y d\n", NULL, true, true},    /* near enough for the sum */
    {NEAR "d = Add(a, b)\nreturn y d\n", "d", true, true},
    {NEAR "return y a\n", NULL, false, true},                  /* a result of the network */
    {NEAR "return y\n", "y", false, false},
    {NEAR "d = Mul(x, c:=20)\ne = Concat(y, d) {axis = 1}\nreturn e\n", NULL, true, true}, /* and y that of e */
    {"x = Input 4x25\na = Relu(x)\nb = Permute(a) {order = array<i64: 1, 0>}\nd = Input 25x9\n"
     "y = Concat(b, d) {axis = 1}\nreturn y\n", NULL, false, true}, /* moved in between; b is cast */
};

START_TEST(types) {
    graph g;
    graph_begin(&g, 9, cases[_i / 2].text);
    const bool asymmetric = _i % 2 != 0;
    graph_calibrate(&g, asymmetric, NULL);
    mica_qtable *table = mica_qtable_create();
    if (cases[_i / 2].f32 != NULL) {
        mica_qtable_set(table, cases[_i / 2].f32, MICA_MODE_F32);
    }
    lowered l = graph_lower(&g, MICA_MODE_INT8, asymmetric, table);
    char *text = graph_text(l.tpu);
    const mica_op *y = lowered_op(&l, "y");
    const mica_type type = mica_type_element(y->results[0].type);
    ck_assert_msg((mica_type_element(lowered_op(&l, "a")->results[0].type) == type) == cases[_i / 2].a, "a\n%s", text);
    /* what it reads is of its type, with a cast or without */
    for (uint32_t i = 0; i < y->n_operands; ++i) {
        ck_assert_ptr_eq(mica_type_element(mica_op_operand(y, i)->type), type);
    }
    const mica_op *b = lowered_op(&l, "b");
    const bool cast = mica_op_operand(y, 1) != &b->results[0] && mica_op_operand(y, 0) != &b->results[0];
    ck_assert_msg(cast != cases[_i / 2].b || mica_op_is(b, "tpu.Permute"), "b\n%s", text);
    free(text);
    lowered_end(&l);
    mica_qtable_destroy(table);
    graph_end(&g);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("lowering_concat");
    TCase *tcase = tcase_create("all");
    tcase_add_loop_test(tcase, types, 0, 2 * MICA_COUNT(cases));
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
