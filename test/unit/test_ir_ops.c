/* Ops, use lists, attributes, building, cloning, equality, weights. */
#include "test/unit/ir_case.h"

#include "ir/weights.h"

#include <stdio.h>
#include <unistd.h>

START_TEST(use_lists) {
    mica_module *module = mica_module_create(context, name("m"));
    mica_builder b = mica_builder_at_end(module, mica_module_body(module));
    mica_value *x = mica_op_result(add_op(&b, "test.source", NULL, 1), 0);
    mica_value *y = mica_op_result(add_op(&b, "test.source", NULL, 1), 0);
    mica_op *user = mica_build_op(&b, "other.op", name("u"), NULL, 0, 0);
    for (int i = 0; i < 9; i++) { /* grows the operand array while a value is used repeatedly */
        mica_op_append_operand(user, i % 3 == 0 ? y : x);
    }
    ck_assert_uint_eq(mica_value_use_count(x), 6);
    ck_assert_uint_eq(mica_value_use_count(y), 3);
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    mica_op_set_operand(user, 0, x);
    mica_op_set_operand(user, 4, y);
    ck_assert_uint_eq(x->first_use->index, 1);
    ck_assert_uint_eq(x->last_use->index, 0);
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    mica_value_replace_uses(x, y);
    ck_assert_ptr_null(x->first_use);
    ck_assert_uint_eq(mica_value_use_count(y), 9);
    mica_value *two[] = {x, y};
    mica_op_set_operands(user, two, 2);
    ck_assert(mica_value_has_one_use(x) && mica_value_has_one_use(y));
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    mica_op_erase(user);
    ck_assert(user->erased && !user->block);
    ck_assert_ptr_null(x->first_use);
    mica_module_destroy(module);
}
END_TEST

START_TEST(order_in_block) {
    mica_module *module = mica_module_create(context, name("m"));
    mica_builder b = mica_builder_at_end(module, mica_module_body(module));
    mica_op *a = add_op(&b, "test.source", NULL, 1);
    mica_op *c = add_op(&b, "test.source", NULL, 1);
    mica_builder before = mica_builder_before(module, c);
    mica_op *mid = add_op(&before, "test.source", NULL, 1);
    mica_builder after = mica_builder_after(module, c);
    mica_op *last = add_op(&after, "test.source", NULL, 1);
    ck_assert(a->next == mid && mid->next == c && c->next == last && !last->next);
    mica_op_move_before(last, a);
    ck_assert(mica_module_body(module)->first == last && mica_module_body(module)->last == c);
    ck_assert_ptr_eq(mica_op_module(a), module);
    mica_module_destroy(module);
}
END_TEST

START_TEST(attributes) {
    mica_module *module = mica_module_create(context, name("m"));
    mica_builder b = mica_builder_at_end(module, mica_module_body(module));
    mica_op *x = add_op(&b, "test.source", NULL, 1);
    mica_op *op = add_op(&b, "test.neg", mica_op_result(x, 0), 1);
    size_t count;
    ck_assert_int_eq(mica_op_i64(op, "count"), 3);
    ck_assert(mica_op_f64(op, "scale") == 0.5);
    ck_assert(mica_op_bool(op, "flag"));
    ck_assert_str_eq(mica_op_str(op, "mode"), "a");
    ck_assert_int_eq(mica_op_i64s(op, "pads", &count)[1], 2);
    ck_assert_uint_eq(count, 2);
    mica_op_f64s(op, "mean", &count);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(mica_op_i64(op, "axis"), 0);
    ck_assert(!mica_op_has_attr(op, "count"));
    static const char *const names[] = {"count", "axis", "zz.b", "aa.a", "mm.c", "zz.a"};
    for (size_t i = 0; i < MICA_COUNT(names); i++) {
        mica_op_set_i64(op, names[i], (int64_t)i);
    }
    for (uint32_t i = 1; i < op->n_attrs; i++) {
        ck_assert(strcmp(op->attrs[i - 1].name, op->attrs[i].name) < 0);
    }
    mica_op_set_i64(op, "count", 9);
    ck_assert_int_eq(mica_op_i64(op, "count"), 9);
    mica_op_set_attr(op, "count", NULL);
    mica_op_set_attr(op, "not there", NULL);
    ck_assert_int_eq(mica_op_i64(op, "count"), 3);
    ck_assert_uint_eq(op->n_attrs, MICA_COUNT(names) - 1);
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    mica_module_destroy(module);
}
END_TEST

START_TEST(lists_take_the_row_form) {
    mica_module *module = parse("%0 = \"test.source\"() : () -> f32\n"
                                "%1 = \"test.neg\"(%0) {pads = [3, 4], mean = [1.0, 2.0]} : (f32) "
                                "-> f32\n");
    ck_assert_ptr_nonnull(module);
    const mica_op *op = mica_module_body(module)->last;
    size_t count;
    ck_assert_int_eq(mica_op_i64s(op, "pads", &count)[1], 4);
    ck_assert(mica_op_f64s(op, "mean", &count)[1] == 2.0);
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    mica_module_destroy(module);
}
END_TEST

START_TEST(functions) {
    mica_module *module = mica_module_create(context, name("m"));
    mica_builder b = mica_builder_at_end(module, mica_module_body(module));
    mica_type f32 = mica_type_f32(context);
    mica_loc loc = name("x");
    mica_op *func = mica_build_func(&b, "main", &f32, &loc, 1, NULL, 0, name("main"));
    mica_builder body = mica_builder_at_end(module, mica_func_body(func));
    mica_value *arg = mica_func_body(func)->args[0];
    mica_op *op = add_op(&body, "test.neg", arg, 1);
    mica_value *result = mica_op_result(op, 0);
    mica_build_return(&body, &result, 1, name("r"));
    ck_assert_int_eq(mica_verify(module), MICA_FAIL); /* type says no results */
    mica_func_update_type(func);
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    ck_assert_str_eq(mica_attr_text(mica_op_attr(func, "function_type")), "(f32) -> f32");
    ck_assert_ptr_eq(mica_module_func(module, "main"), func);
    ck_assert_ptr_null(mica_module_func(module, "other"));
    ck_assert_str_eq(mica_value_name(arg), "x");
    ck_assert_str_eq(mica_value_name(result), "test.neg");
    arg->type = mica_parse_type(context, "tensor<2xf32>");
    ck_assert_int_eq(mica_op_infer(op), MICA_OK);
    ck_assert_ptr_eq(result->type, arg->type);
    mica_module_destroy(module);
}
END_TEST

static const char nested[] =
    "func.func @main(%arg0: f32 loc(\"x\")) -> f32 {\n"
    "  %0:2 = \"o.two\"(%arg0) : (f32) -> (f32, f32) loc(fused[\"a\", \"b\"])\n"
    "  %1 = \"o.if\"(%0#1) ({\n"
    "    %2 = \"test.neg\"(%0#0) {count = 4 : i64} : (f32) -> f32 loc(\"c\")\n"
    "    \"o.yield\"(%2) : (f32) -> () loc(\"y\")\n"
    "  }, {\n"
    "  ^bb0(%b: f32 loc(\"b\")):\n"
    "    \"o.yield\"(%b) : (f32) -> () loc(\"y\")\n"
    "  }) : (f32) -> f32 loc(\"d\")\n"
    "  return %1 : f32 loc(\"r\")\n"
    "} loc(\"f\")\n";

START_TEST(clone_and_equal) {
    mica_module *module = parse(nested);
    ck_assert_ptr_nonnull(module);
    mica_module *copy = mica_module_clone(module);
    mica_error why = {0};
    ck_assert_msg(mica_module_equal(module, copy, &why), "%s", why.text);
    ck_assert_int_eq(mica_verify(copy), MICA_OK);
    /* The copy is independent: dropping the original must not matter. */
    char *text = text_of(module);
    mica_module_destroy(module);
    char *copied = text_of(copy);
    ck_assert_str_eq(text, copied);
    mica_free(text);
    mica_free(copied);
    mica_module_destroy(copy);
}
END_TEST

START_TEST(swap) {
    mica_module *a = parse(nested);
    mica_module *b = parse("\"o.b\"() : () -> ()\n");
    mica_op *func = mica_module_func(a, "main");
    mica_module_swap(a, b);
    ck_assert_ptr_eq(mica_op_module(func), b);
    ck_assert(mica_op_is(mica_module_body(a)->first, "o.b"));
    mica_module_destroy(b); /* what a held before; a goes on living */
    mica_op_set_i64(mica_module_body(a)->first, "k", 1);
    ck_assert_int_eq(mica_verify(a), MICA_OK);
    mica_module_destroy(a);
}
END_TEST

static mica_value *map_value(void *user, mica_value *value) {
    mica_value **pair = user;
    return value == pair[0] ? pair[1] : NULL;
}

START_TEST(clone_op_maps_operands) {
    mica_module *module = parse(nested);
    mica_block *body = mica_func_body(mica_module_func(module, "main"));
    mica_op *two = body->first;
    mica_op *branch = two->next;
    mica_value *pair[] = {mica_op_result(two, 0), body->args[0]};
    mica_builder b = mica_builder_after(module, branch);
    mica_op *copy = mica_clone_op(&b, branch, map_value, pair);
    ck_assert_ptr_eq(branch->next, copy);
    ck_assert_ptr_eq(mica_op_operand(copy, 0), mica_op_result(two, 1));
    mica_op *inner = copy->regions[0]->first->first;
    ck_assert_ptr_eq(mica_op_operand(inner, 0), body->args[0]);
    ck_assert_ptr_eq(mica_op_operand(inner->next, 0), mica_op_result(inner, 0));
    ck_assert_ptr_eq(mica_op_operand(copy->regions[1]->first->first, 0),
                     copy->regions[1]->first->args[0]);
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    mica_op_erase(copy);
    ck_assert_uint_eq(mica_value_use_count(mica_op_result(two, 1)), 1);
    ck_assert_int_eq(mica_verify(module), MICA_OK);
    mica_module_destroy(module);
}
END_TEST

START_TEST(equality_sees_differences) {
    static const char *const changes[][2] = {
        {"count = 4", "count = 5"},     {"loc(\"c\")", "loc(\"cc\")"},
        {"%0#1) ({", "%0#0) ({"},       {"\"o.two\"", "\"o.to\""},
        {"loc(\"b\")):", "loc(\"e\")):"}, {"    \"o.yield\"(%2)", "    \"o.yield\"(%arg0)"},
    };
    mica_module *module = parse(nested);
    for (size_t i = 0; i < MICA_COUNT(changes); i++) {
        char text[sizeof nested + 64];
        const char *at = strstr(nested, changes[i][0]);
        ck_assert_ptr_nonnull(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - nested), nested, changes[i][1],
                 at + strlen(changes[i][0]));
        mica_module *other = parse(text);
        mica_error why = {0};
        ck_assert_ptr_nonnull(other);
        ck_assert(!mica_module_equal(module, other, &why));
        ck_assert(why.text[0] != '\0');
        mica_module_destroy(other);
    }
    mica_module_destroy(module);
}
END_TEST

START_TEST(walk_visits_all) {
    mica_module *module = parse(nested);
    static const char *const order[] = {"builtin.module", "func.func", "o.two",   "o.if",
                                        "test.neg",       "o.yield",   "o.yield", "func.return"};
    size_t i = 0;
    for (mica_op *op = module->op; op; op = mica_op_walk_next(module->op, op)) {
        ck_assert_uint_lt(i, MICA_COUNT(order));
        ck_assert_str_eq(op->name, order[i++]);
    }
    ck_assert_uint_eq(i, MICA_COUNT(order));
    mica_module_destroy(module);
}
END_TEST

static int released;
static void release(void *object) {
    (void)object;
    released++;
}

START_TEST(weights) {
    char path[] = "/tmp/mica_weights_XXXXXX";
    int handle = mkstemp(path);
    ck_assert_int_ge(handle, 0);
    close(handle);
    mica_error err = {0};
    mica_weights *w = mica_weights_create();
    int64_t dims[] = {2};
    float data[] = {1.0f, 2.0f};
    released = 0;
    mica_weights_set(w, "copied", "<f4", 1, dims, data, true);
    mica_weights_set(w, "borrowed", "<f4", 1, dims, data, false);
    mica_weights_keep(w, NULL, release);
    data[0] = 5.0f;
    ck_assert(((const float *)mica_weights_get(w, "copied")->data)[0] == 1.0f);
    ck_assert(((const float *)mica_weights_get(w, "borrowed")->data)[0] == 5.0f);
    ck_assert_ptr_null(mica_weights_get(w, "absent"));
    mica_weights *copy = mica_weights_clone(w);
    mica_weights_set(w, "copied", "|i1", 1, dims, "\1\2", true);
    mica_weights_remove(w, "borrowed");
    ck_assert_uint_eq(mica_weights_count(w), 1);
    mica_weights_destroy(w);
    ck_assert_int_eq(released, 0);
    ck_assert(((const float *)mica_weights_get(copy, "copied")->data)[0] == 1.0f);
    const char *names[] = {"copied", "borrowed"};
    ck_assert_int_eq(mica_weights_save(copy, names, 2, path, &err), MICA_OK);
    const char *missing[] = {"absent"};
    ck_assert_int_eq(mica_weights_save(copy, missing, 1, path, &err), MICA_FAIL);
    mica_weights_destroy(copy);
    ck_assert_int_eq(released, 1);
    mica_weights *loaded = mica_weights_create();
    ck_assert_int_eq(mica_weights_load(loaded, path, &err), MICA_OK);
    ck_assert_str_eq(mica_weights_name_at(loaded, 0), "copied");
    mica_weights *shared = mica_weights_clone(loaded);
    mica_weights_destroy(loaded);
    ck_assert(((const float *)mica_weights_get(shared, "borrowed")->data)[0] == 5.0f);
    mica_weights_destroy(shared);
    unlink(path);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        use_lists,       order_in_block,  attributes, lists_take_the_row_form,
        functions,       clone_and_equal, clone_op_maps_operands,
        equality_sees_differences, walk_visits_all, swap, weights,
    };
    return run_suite("ir_ops", tests, MICA_COUNT(tests));
}
