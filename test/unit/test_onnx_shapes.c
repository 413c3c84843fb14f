/* The text of the option input_shapes. */
#include "test/unit/check_main.h"
#include "test/unit/onnx_models.h"

static mica_arena *arena;
static void setup(void) { arena = mica_arena_create(); }
static void teardown(void) { mica_arena_destroy(arena); }

static mica_onnx_shape_list parse(const char *text) {
    mica_onnx_shape_list list = {0};
    mica_error err = {0};
    ck_assert_msg(mica_onnx_parse_shapes(arena, text, &list, &err) == MICA_OK, "%s", err.text);
    return list;
}

START_TEST(positional) {
    mica_onnx_shape_list l = parse(" [[1,3, 224,224], [10],[]] ");
    ck_assert_uint_eq(l.len, 3);
    ck_assert_int_eq(l.data[0].shape.rank, 4);
    ck_assert_int_eq(l.data[0].shape.dims[3], 224);
    ck_assert_int_eq(l.data[1].shape.dims[0], 10);
    ck_assert_int_eq(l.data[2].shape.rank, 0);
    mica_vec_free(&l);
    l = parse("[1,3],[10]");
    ck_assert_uint_eq(l.len, 2);
    mica_vec_free(&l);
    l = parse("");
    ck_assert_uint_eq(l.len, 0);
}
END_TEST

START_TEST(named) {
    mica_onnx_shape_list l = parse("x:0:[1,2],batch=4 , gpu_0/data : [7], [9]");
    ck_assert_uint_eq(l.len, 4);
    ck_assert_str_eq(l.data[0].name, "x:0");
    ck_assert_int_eq(l.data[0].shape.dims[1], 2);
    ck_assert_str_eq(l.data[1].name, "batch");
    ck_assert(l.data[1].symbol);
    ck_assert_int_eq(l.data[1].shape.dims[0], 4);
    ck_assert_ptr_null(l.data[3].name);
    mica_vec_free(&l);
}
END_TEST

START_TEST(refused) {
    static const char *const bad[] = {
        "[[1,3],[10]",     "[1,3",      "[1,,3]", "x",         "x:",      "[1,-3]",
        "[1,99999999999999999999]", "[[1]]x",    "batch=",  "=3",      ":[1]",
        "[1,2,3,4,5,6,7,8,9]",      "[a]",       "[1] [2]", "[[1],x:[2]]",
        "n=1,m=2,n=1",  "x:[1],[2],x:[1]"};
    for (size_t i = 0; i < MICA_COUNT(bad); i++) {
        mica_onnx_shape_list list = {0};
        mica_error err = {0};
        ck_assert_msg(mica_onnx_parse_shapes(arena, bad[i], &list, &err) == MICA_FAIL, "%s",
                      bad[i]);
        ck_assert_msg(mica_starts_with(err.text, "input_shapes '"), "%s", err.text);
        mica_vec_free(&list);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("onnx_shapes");
    TCase *tests = tcase_create("shapes");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, positional);
    tcase_add_test(tests, named);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
