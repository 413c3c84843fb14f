/* Ops with random operand types and attributes: verify, infer, plan and run must neither crash nor
 * fail without a message. Small plans are run on zero bytes. */
#include "test/unit/check_main.h"
#include "test/unit/dialect_case.h"

#include "ir/op_info.h"
#include "utils/prng.h"

#include <stdlib.h>

enum { ROUNDS = 30 };

static int64_t random_dim(mica_prng *r) {
    static const int64_t rare[] = {0, 17, INT64_C(1) << 40, INT64_MAX};
    return mica_prng_below(r, 40) == 0 ? rare[mica_prng_below(r, 4)] : mica_prng_range(r, 1, 4);
}

static int64_t random_i64(mica_prng *r) {
    static const int64_t rare[] = {INT64_MIN, INT64_MAX, INT32_MAX, -7, 1000, INT64_C(1) << 33};
    return mica_prng_below(r, 30) == 0 ? rare[mica_prng_below(r, 6)] : mica_prng_range(r, -2, 4);
}

static mica_type random_element(mica_context *context, mica_prng *r) {
    static const char *const texts[] = {
        "f32", "f32", "f32", "f32", "i64", "i1", "f16", "i8", "i32", "f64",
        "!quant.uniform<i8:f32, 0.5>", "!quant.uniform<u8:f32, 0.25:128>",
        "!quant.uniform<i8:f32, 0.5:-3>", "!quant.calibrated<f32<-1.0:1.0>>",
        "!quant.uniform<i8:f32:0, {0.5, 0.25}>", "ui8"};
    return mica_parse_type(context, texts[mica_prng_below(r, MICA_COUNT(texts))]);
}

/* A tensor type; often that of `like`, so that operands fit together. */
static mica_type random_type(mica_context *context, mica_prng *r, mica_type like) {
    if (like && mica_type_is_tensor(like) && mica_prng_below(r, 3) != 0) {
        return like;
    }
    const mica_type element = like && mica_type_is_tensor(like) && mica_prng_below(r, 2) == 0
                                  ? like->element
                                  : random_element(context, r);
    int64_t dims[6];
    const int rank = (int)mica_prng_below(r, 6);
    for (int i = 0; i < rank; i++) {
        dims[i] = mica_prng_below(r, 60) == 0 ? MICA_DYNAMIC : random_dim(r);
    }
    return mica_type_tensor(context, mica_prng_below(r, 60) == 0 ? -1 : rank, dims, element, NULL);
}

/* One of the choices "a|b|c". */
static void set_choice(mica_op *op, const mica_attr_info *attr, mica_prng *r) {
    char text[512];
    snprintf(text, sizeof text, "%s", attr->choices);
    size_t n = 1;
    for (const char *at = text; *at; at++) {
        n += *at == '|';
    }
    size_t pick = mica_prng_below(r, n);
    char *save = NULL, *part = strtok_r(text, "|", &save);
    while (pick-- > 0) {
        part = strtok_r(NULL, "|", &save);
    }
    mica_op_set_str(op, attr->name, part);
}

static void set_random(mica_op *op, const mica_attr_info *attr, mica_prng *r) {
    static const char *const names[] = {"f32", "i64", "Sigmoid", "Tanh,Relu", "", "Clip", "i8"};
    int64_t list[12];
    double reals[12];
    const mica_type x = op->n_operands > 0 ? mica_op_operand(op, 0)->type : NULL;
    size_t n = mica_prng_below(r, 6);
    if (x && mica_type_is_tensor(x) && x->rank > 0 && mica_prng_below(r, 4) != 0) {
        const size_t likely[] = {(size_t)x->rank, x->rank > 2 ? (size_t)x->rank - 2 : 1,
                                 2 * (size_t)x->rank};
        n = likely[mica_prng_below(r, 3)];
    }
    for (size_t i = 0; i < n; i++) {
        list[i] = random_i64(r);
        reals[i] = mica_prng_below(r, 10) == 0 ? -1.0 : (double)mica_prng_f32(r) * 3.0;
    }
    switch (attr->kind) {
    case MICA_A_I64:
        mica_op_set_i64(op, attr->name, random_i64(r));
        break;
    case MICA_A_F64:
        mica_op_set_f64(op, attr->name, (double)mica_prng_f32(r) * 4.0 - 1.0);
        break;
    case MICA_A_BOOL:
        mica_op_set_bool(op, attr->name, mica_prng_below(r, 2) == 0);
        break;
    case MICA_A_STR:
        if (attr->choices) {
            set_choice(op, attr, r);
        } else {
            mica_op_set_str(op, attr->name, names[mica_prng_below(r, MICA_COUNT(names))]);
        }
        break;
    case MICA_A_I64S:
        mica_op_set_i64s(op, attr->name, list, n);
        break;
    case MICA_A_F64S:
        mica_op_set_f64s(op, attr->name, reals, n);
        break;
    default:
        break;
    }
}

static mica_op *random_op(dialect_case *c, const mica_op_info *info, mica_prng *r) {
    mica_block *body = mica_func_body(c->func);
    mica_builder b = mica_builder_at_end(c->module, body);
    mica_value *operands[16];
    size_t n = 0;
    mica_type like = NULL;
    for (size_t i = 0; i < info->n_operands; i++) {
        const bool many = info->operands[i].arity == MICA_VARIADIC;
        const size_t copies = many ? 1 + mica_prng_below(r, 3) : 1;
        for (size_t k = 0; k < copies; k++) {
            if (info->operands[i].arity == MICA_OPTIONAL && mica_prng_below(r, 2) == 0) {
                operands[n++] = mica_top_none(&b);
                continue;
            }
            const mica_type type = random_type(c->context, r, like);
            like = like ? like : type;
            operands[n++] = mica_block_add_arg(body, type, mica_loc_name(c->context, "a", NULL));
        }
    }
    size_t results = (size_t)info->n_results;
    if (info->traits & MICA_VARIADIC_RESULTS) {
        results += mica_prng_below(r, 3);
    }
    mica_op *op =
        mica_build_op(&b, info->name, mica_loc_name(c->context, "y", NULL), operands, n, results);
    for (size_t i = 0; i < info->n_attrs; i++) {
        if (info->attrs[i].required || mica_prng_below(r, 2) == 0) {
            set_random(op, &info->attrs[i], r);
        }
    }
    return op;
}

static void run_plan(const mrt_plan *plan) {
    mrt_exec *exec = NULL;
    mrt_error err;
    if (plan->arena_bytes > (1 << 20) || plan->scratch_bytes > (1 << 20) ||
        mrt_exec_create(plan, NULL, &exec, &err) != MRT_OK) {
        return;
    }
    mrt_exec_run(exec, NULL, NULL);
    mrt_exec_destroy(exec);
}

/* Returns 1 when the op could be planned. */
static int check_op(const mica_op_info *info, mica_prng *r) {
    dialect_case c;
    dialect_case_begin(&c);
    mica_op *op = random_op(&c, info, r);
    int planned = 0;
    mica_status status = info->verify ? info->verify(op) : MICA_OK;
    if (status == MICA_OK && info->infer) {
        status = mica_op_infer(op);
    }
    ck_assert_msg((status == MICA_OK) == (mica_error_count(c.context) == 0), "%s: %s", info->name,
                  c.last);
    if (status == MICA_OK && (!info->infer || mica_prng_below(r, 20) == 0)) {
        for (uint32_t i = 0; i < op->n_results; i++) {
            mica_op_result(op, i)->type =
                random_type(c.context, r, op->n_operands ? mica_op_operand(op, 0)->type : NULL);
        }
    }
    if (status == MICA_OK && mica_plan_hook(op)) {
        mrt_plan *plan = NULL;
        status = dialect_case_plan(&c, op, &plan);
        ck_assert_msg((status == MICA_OK) == (mica_error_count(c.context) == 0), "%s: %s",
                      info->name, c.last);
        if (status == MICA_OK) {
            run_plan(plan);
            mrt_plan_destroy(plan);
            planned = 1;
        }
    }
    dialect_case_end(&c);
    return planned;
}

START_TEST(test_random) {
    dialect_case c;
    dialect_case_begin(&c);
    mica_prng r;
    mica_prng_seed(&r, 20);
    const char *text = getenv("MICA_TEST_ROUNDS");
    const int rounds = text ? atoi(text) : ROUNDS;
    int planned = 0;
    for (size_t i = 0; i < mica_op_info_count(c.context); i++) {
        const mica_op_info *info = mica_op_info_at(c.context, i);
        if (strncmp(info->name, "top.", 4) != 0 && strncmp(info->name, "tpu.", 4) != 0) {
            continue;
        }
        for (int k = 0; k < rounds; k++) {
            planned += check_op(info, &r);
        }
    }
    ck_assert_int_gt(planned, 30 * rounds);
    dialect_case_end(&c);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("dialects_random");
    TCase *tests = tcase_create("random");
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, test_random);
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
