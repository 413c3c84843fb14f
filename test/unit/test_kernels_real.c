/* matmul_real against its oracle: the same bits for every instruction set, number of threads
 * and as a plan. */
#include "test/unit/check_main.h"
#include "test/unit/int_test_util.h"

#include "runtime/kernels/kernels.h"
#include "test/ref/ref_int.h"
#include "test/unit/rounds.h"

typedef struct real_case {
    int64_t batch_a, batch_b, m, k, n; /* batch 1 broadcasts */
    int trans_a, trans_b;
    bool per_column, with_bias;
} real_case;

static mrt_tensor random_scale(int64_t count) {
    mrt_tensor t = tensor_1d(MRT_F64, count);
    for (int64_t i = 0; i < count; ++i) {
        ((double *)t.data)[i] = 1e-4 * (double)rnd_in(1, 100000);
    }
    return t;
}

/* What the activation makes of an exact result. */
static float activated(float v, const mrt_matmul_real_params *p) {
    if (p->act == MRT_ACT_RELU) {
        v = v > 0.0f ? v : 0.0f;
        v = p->act_limit >= 0.0 && v > (float)p->act_limit ? (float)p->act_limit : v;
    }
    return v;
}

static void compare_all(mrt_call *call, const float *expected) {
    const int64_t count = mrt_shape_count(&call->out[0]->shape);
    int32_t *bits = malloc((size_t)count * sizeof *bits);
    memcpy(bits, expected, (size_t)count * sizeof *bits);
    run_and_compare(call, mrt_matmul_real_check, mrt_matmul_real_run, bits);
    free(bits);
}

static void check_real(const real_case *c) {
    const int64_t batch = c->batch_a > c->batch_b ? c->batch_a : c->batch_b;
    mrt_tensor a = tensor_new(rnd_dtype(), 3, (int64_t[]){c->batch_a, c->trans_a ? c->k : c->m,
                                                          c->trans_a ? c->m : c->k});
    mrt_tensor b = tensor_new(rnd_dtype(), 3, (int64_t[]){c->batch_b, c->trans_b ? c->n : c->k,
                                                          c->trans_b ? c->k : c->n});
    mrt_tensor y = tensor_new(MRT_F32, 3, (int64_t[]){batch, c->m, c->n});
    mrt_tensor bias = tensor_1d(MRT_I32, c->n);
    mrt_tensor scale = random_scale(c->per_column ? c->n : 1);
    int32_t low, high;
    int32_t *as = tensor_random(&a);
    int32_t *bs = tensor_random(&b);
    int32_t *biases = malloc((size_t)c->n * sizeof *biases);
    for (int64_t i = 0; i < c->n; ++i) {
        biases[i] = (int32_t)rnd_in(INT32_MIN, INT32_MAX);
        tensor_set(&bias, i, biases[i]);
    }
    mrt_matmul_real_params p = {.trans_a = c->trans_a, .trans_b = c->trans_b,
                                .act = rnd() % 2 ? MRT_ACT_RELU : MRT_ACT_NONE,
                                .act_limit = rnd() % 2 ? 6.0 : -1.0};
    range_of(a.dtype, &low, &high);
    p.zero_point_a = rnd_value(low, high);
    range_of(b.dtype, &low, &high);
    p.zero_point_b = rnd_value(low, high);
    const ref_int_matmul r = {
        .batch = batch, .m = c->m, .k = c->k, .n = c->n,
        .batch_a = c->batch_a == 1 ? 0 : c->m * c->k, .batch_b = c->batch_b == 1 ? 0 : c->k * c->n,
        .trans_a = c->trans_a, .trans_b = c->trans_b, .zero_point_a = (int32_t)p.zero_point_a,
        .zero_point_b = (int32_t)p.zero_point_b, .a = as, .b = bs,
        .end = {.bias = c->with_bias ? biases : NULL}};
    const int64_t count = batch * c->m * c->n;
    float *expected = malloc((size_t)count * sizeof *expected);
    ref_int_matmul_real(&r, scale.data, c->per_column, expected);
    for (int64_t i = 0; i < count; ++i) {
        expected[i] = activated(expected[i], &p);
    }
    const mrt_tensor *in[4] = {&a, &b, c->with_bias ? &bias : NULL, &scale};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 4, .out = outs, .n_out = 1, .params = &p};
    compare_all(&call, expected);
    free(expected), free(as), free(bs), free(biases);
    tensor_free(&a), tensor_free(&b), tensor_free(&y), tensor_free(&bias), tensor_free(&scale);
}

START_TEST(random_products) {
    for (int i = 0; i < TEST_ROUNDS(150); ++i) {
        real_case c = {.batch_a = rnd_in(1, 3), .m = rnd_in(1, 30), .k = rnd_in(1, 70), .n = rnd_in(1, 70),
                       .trans_a = rnd() % 2, .trans_b = rnd() % 2, .per_column = rnd() % 2,
                       .with_bias = rnd() % 2};
        c.batch_b = rnd() % 2 ? 1 : c.batch_a;
        check_real(&c);
    }
}
END_TEST

/* Sums beyond int32; biases near its ends. */
START_TEST(corners) {
    static const real_case cases[] = {
        {1, 1, 1, 1, 1, 0, 0, false, false},
        {1, 1, 1, 1280, 100, 0, 1, true, true},
        {1, 1, 3, 9001, 33, 0, 0, true, true},
        {1, 1, 2, 34000, 3, 0, 1, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        check_real(&cases[i]);
    }
}
END_TEST

START_TEST(refusals) {
    mrt_tensor a = tensor_new(MRT_I8, 2, (int64_t[]){2, 4});
    mrt_tensor b = tensor_new(MRT_I8, 2, (int64_t[]){4, 3});
    mrt_tensor y = tensor_new(MRT_F32, 2, (int64_t[]){2, 3});
    mrt_tensor wrong = tensor_new(MRT_I8, 2, (int64_t[]){2, 3});
    mrt_tensor scale = random_scale(3);
    mrt_tensor two = random_scale(2);
    mrt_matmul_real_params p = {0};
    const mrt_tensor *in[4] = {&a, &b, NULL, &scale};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 4, .out = outs, .n_out = 1, .params = &p};
    mrt_error err = {{0}};
    size_t scratch = 0;
    ck_assert_int_eq(mrt_matmul_real_check(&call, &scratch, &err), MRT_OK);
    in[3] = &two;
    ck_assert_int_ne(mrt_matmul_real_check(&call, &scratch, &err), MRT_OK);
    in[3] = &a;
    ck_assert_int_ne(mrt_matmul_real_check(&call, &scratch, &err), MRT_OK);
    in[3] = &scale;
    p.zero_point_a = 128;
    ck_assert_int_ne(mrt_matmul_real_check(&call, &scratch, &err), MRT_OK);
    p.zero_point_a = 0;
    p.act = 2;
    ck_assert_int_ne(mrt_matmul_real_check(&call, &scratch, &err), MRT_OK);
    p.act = 0;
    outs[0] = &wrong;
    ck_assert_int_ne(mrt_matmul_real_check(&call, &scratch, &err), MRT_OK);
    tensor_free(&a), tensor_free(&b), tensor_free(&y), tensor_free(&wrong);
    tensor_free(&scale), tensor_free(&two);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {random_products, corners, refusals};
    Suite *suite = suite_create("kernels_real");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; ++i) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
