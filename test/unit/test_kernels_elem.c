/* unary, binary, where, cast and range against naive oracles: types, broadcasts, corner values. */
#include "test/ref/ref_elem_ops.h"
#include "test/unit/check_main.h"
#include "test/unit/elem_case.h"
#include "test/unit/rounds.h"

#include <float.h>

#define ROUNDS TEST_ROUNDS(300)

static const mrt_dtype int_types[] = {MRT_I8,  MRT_U8,  MRT_I16, MRT_U16,
                                      MRT_I32, MRT_U32, MRT_I64, MRT_U64};

/* Corner values of a type: limits, zero, one, minus one. */
static void add_corners(rng *r, mrt_tensor *t) {
    static const uint64_t ints[] = {0, 1, UINT64_MAX, 2, 7, 31, 32, 63, 64};
    static const double floats[] = {0, -0.0, 1, -1, 0.5, 2, 3, (double)INFINITY, -(double)INFINITY,
                                    (double)NAN, (double)FLT_MAX, (double)FLT_MIN, -2.5};
    const int bits = 8 * (int)ref_elem_bytes(t->dtype);
    for (int64_t i = 0; i < ref_count(t); i++) {
        if (below(r, 3) != 0) {
            continue;
        }
        if (ref_is_float(t->dtype)) {
            ref_store(t, i, floats[below(r, 13)]);
        } else if (t->dtype != MRT_BOOL) {
            const uint64_t top = UINT64_C(1) << (bits - 1); /* lowest; minus one: highest */
            const int64_t pick = below(r, 11);
            ref_store_bits(t, i, pick < 9 ? ints[pick] : top - (uint64_t)(pick - 9));
        }
    }
}

/* A shape that broadcasts to `to`: leading axes dropped, some entries 1. */
static mrt_shape narrowed(rng *r, const mrt_shape *to) {
    const int drop = below(r, 3) == 0 ? (int)below(r, to->rank + 1) : 0;
    mrt_shape s = {.rank = to->rank - drop};
    for (int i = 0; i < s.rank; i++) {
        s.dims[i] = below(r, 3) == 0 ? 1 : to->dims[i + drop];
    }
    return s;
}

static mrt_shape broadcast_shape(const mrt_shape *in, int n, int rank) {
    mrt_shape y = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        y.dims[i] = 1;
        for (int t = 0; t < n; t++) {
            const int k = i - (rank - in[t].rank);
            y.dims[i] = k >= 0 && in[t].dims[k] != 1 ? in[t].dims[k] : y.dims[i];
        }
    }
    return y;
}

static void random_operands(rng *r, mrt_shape *shapes, int n, mrt_shape *y) {
    const mrt_shape base = random_shape(r, 0, 6);
    int rank = 0;
    for (int t = 0; t < n; t++) {
        shapes[t] = narrowed(r, &base);
        rank = shapes[t].rank > rank ? shapes[t].rank : rank;
    }
    *y = broadcast_shape(shapes, n, rank);
}

static void one_binary(rng *r, int64_t op, mrt_dtype dtype, bool corners) {
    mrt_shape shapes[2], shape;
    random_operands(r, shapes, 2, &shape);
    const bool compares = op >= MRT_BINARY_EQ && op <= MRT_BINARY_GE;
    mrt_tensor a = new_tensor(dtype, &shapes[0]), b = new_tensor(dtype, &shapes[1]);
    mrt_tensor y = new_tensor(compares ? MRT_BOOL : dtype, &shape);
    mrt_tensor e = new_tensor(y.dtype, &shape);
    fill_small(r, &a, -9, 9);
    fill_small(r, &b, -9, 9);
    if (corners) {
        add_corners(r, &a);
        add_corners(r, &b);
    }
    const mrt_binary_params p = {.op = op};
    run_case(&(kernel_case){mrt_binary_check, mrt_binary_run, &p, {&a, &b}, 2, {&y}, 1});
    ref_binary(op, &a, &b, &e);
    const bool inexact = op == MRT_BINARY_POW || op == MRT_BINARY_ATAN2;
    for (int64_t i = 0; i < ref_count(&y); i++) {
        if (!ref_is_float(y.dtype)) {
            ck_assert_msg(ref_load_bits(&y, i) == ref_load_bits(&e, i),
                          "op %d type %d: %lx, not %lx", (int)op, (int)dtype,
                          (long)ref_load_bits(&y, i), (long)ref_load_bits(&e, i));
            continue;
        }
        const double g = ref_load(&y, i), w = ref_load(&e, i);
        const double slack = !inexact ? 0 : dtype == MRT_F32 ? 1.2e-7 : 1e-15;
        const bool near = fabs(g - w) <= slack * fabs(w) + slack * 1e-38;
        ck_assert_msg(g == w || (g != g && w != w) || near,
                      "op %d type %d: %.17g, not %.17g", (int)op, (int)dtype, g, w);
    }
    free_tensor(&a);
    free_tensor(&b);
    free_tensor(&y);
    free_tensor(&e);
}

START_TEST(test_binary_float) {
    static const int64_t ops[] = {
        MRT_BINARY_ADD, MRT_BINARY_SUB, MRT_BINARY_MUL, MRT_BINARY_DIV, MRT_BINARY_POW,
        MRT_BINARY_MAX, MRT_BINARY_MIN, MRT_BINARY_MOD, MRT_BINARY_FMOD, MRT_BINARY_EQ,
        MRT_BINARY_NE, MRT_BINARY_LT, MRT_BINARY_LE, MRT_BINARY_GT, MRT_BINARY_GE,
        MRT_BINARY_PRELU, MRT_BINARY_ATAN2};
    rng r = {1};
    for (int round = 0; round < 10 * ROUNDS; round++) {
        one_binary(&r, ops[round % 17], below(&r, 4) ? MRT_F32 : MRT_F64, below(&r, 2));
    }
}
END_TEST

START_TEST(test_binary_int) {
    static const int64_t ops[] = {
        MRT_BINARY_ADD, MRT_BINARY_SUB, MRT_BINARY_MUL, MRT_BINARY_DIV, MRT_BINARY_POW,
        MRT_BINARY_MAX, MRT_BINARY_MIN, MRT_BINARY_MOD, MRT_BINARY_FMOD, MRT_BINARY_EQ,
        MRT_BINARY_NE, MRT_BINARY_LT, MRT_BINARY_LE, MRT_BINARY_GT, MRT_BINARY_GE,
        MRT_BINARY_PRELU, MRT_BINARY_BIT_AND, MRT_BINARY_BIT_OR, MRT_BINARY_BIT_XOR,
        MRT_BINARY_SHIFT_LEFT, MRT_BINARY_SHIFT_RIGHT};
    rng r = {2};
    for (int round = 0; round < 20 * ROUNDS; round++) {
        const int64_t op = ops[round % 21];
        one_binary(&r, op, int_types[below(&r, 8)], op != MRT_BINARY_POW && below(&r, 2));
    }
    static const int64_t logic[] = {MRT_BINARY_AND, MRT_BINARY_OR, MRT_BINARY_XOR, MRT_BINARY_EQ,
                                    MRT_BINARY_NE};
    for (int round = 0; round < ROUNDS; round++) {
        one_binary(&r, logic[round % 5], MRT_BOOL, false);
    }
}
END_TEST

/* Large tensors: several tiles, long and short rows, and the fused activation. */
START_TEST(test_binary_large) {
    static const int64_t shapes[][2][4] = {
        {{2, 3, 40, 300}, {2, 3, 40, 300}}, {{1, 8, 70, 70}, {1, 8, 1, 1}},
        {{1, 90, 90, 3}, {1, 1, 1, 3}},     {{1, 90, 90, 4}, {1, 90, 90, 1}},
        {{1, 1, 2, 40000}, {1, 1, 1, 40000}}, {{1, 1, 1, 1}, {1, 1, 3, 20000}},
        {{5, 1, 30, 1}, {1, 60, 1, 9}},
    };
    rng r = {3};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        mrt_tensor a = new_dims(MRT_F32, 4, shapes[s][0]), b = new_dims(MRT_F32, 4, shapes[s][1]);
        const mrt_shape both[2] = {a.shape, b.shape};
        const mrt_shape shape = broadcast_shape(both, 2, 4);
        mrt_tensor y = new_tensor(MRT_F32, &shape), e = new_tensor(MRT_F32, &shape);
        fill_small(&r, &a, -9, 9);
        fill_small(&r, &b, -9, 9);
        const mrt_binary_params p = {MRT_BINARY_SUB, s % 2 ? MRT_ACT_RELU : MRT_ACT_NONE,
                                     s % 4 == 1 ? 6 : -1};
        run_case(&(kernel_case){mrt_binary_check, mrt_binary_run, &p, {&a, &b}, 2, {&y}, 1});
        ref_binary(p.op, &a, &b, &e);
        for (int64_t i = 0; i < ref_count(&e) && p.act; i++) {
            const double v = fmax(0, ref_load(&e, i));
            ref_store(&e, i, p.act_limit >= 0 ? fmin(v, p.act_limit) : v);
        }
        assert_close(&y, &e, 0);
        free_tensor(&a);
        free_tensor(&b);
        free_tensor(&y);
        free_tensor(&e);
    }
}
END_TEST

START_TEST(test_where) {
    static const mrt_dtype types[] = {MRT_F32, MRT_U8, MRT_BF16, MRT_I64, MRT_BOOL};
    rng r = {4};
    for (int round = 0; round < 2 * ROUNDS; round++) {
        mrt_shape shapes[3], shape;
        random_operands(&r, shapes, 3, &shape);
        const mrt_dtype dtype = types[below(&r, 5)];
        mrt_tensor c = new_tensor(MRT_BOOL, &shapes[0]), a = new_tensor(dtype, &shapes[1]);
        mrt_tensor b = new_tensor(dtype, &shapes[2]), y = new_tensor(dtype, &shape);
        mrt_tensor e = new_tensor(dtype, &shape);
        fill_bytes(&r, &c);
        fill_bytes(&r, &a);
        fill_bytes(&r, &b);
        run_case(&(kernel_case){mrt_where_check, mrt_where_run, NULL, {&c, &a, &b}, 3, {&y}, 1});
        ref_where(&c, &a, &b, &e);
        ck_assert(same_bytes(&y, &e));
        free_tensor(&c);
        free_tensor(&a);
        free_tensor(&b);
        free_tensor(&y);
        free_tensor(&e);
    }
}
END_TEST

/* alpha, beta of every function that has them; integer forms use the same. */
static mrt_unary_params unary_params(int64_t op) {
    static const mrt_unary_params known[] = {
        {MRT_UNARY_RELU, 0, 6},           {MRT_UNARY_LEAKY_RELU, 0.125, 0},
        {MRT_UNARY_ELU, 1.5, 0},          {MRT_UNARY_SELU, 1.67326319217681884765625,
                                           1.05070102214813232421875},
        {MRT_UNARY_CELU, 2, 0},           {MRT_UNARY_THRESHOLDED_RELU, 0.75, 0},
        {MRT_UNARY_HARD_SIGMOID, 0.25, 0.5}, {MRT_UNARY_SWISH, 1, 0},
        {MRT_UNARY_CLIP, -3, 5},          {MRT_UNARY_SHRINK, 0.5, 0.25},
        {MRT_UNARY_IS_INF, 1, 0},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].op == op) {
            return known[i];
        }
    }
    return (mrt_unary_params){.op = op};
}

/* Error bound of f32 forms that are made of several roundings, in units of 2^-24. */
static double unary_slack(int64_t op) {
    switch (op) {
    case MRT_UNARY_ELU:
    case MRT_UNARY_SELU:
    case MRT_UNARY_CELU:
    case MRT_UNARY_HARD_SWISH:
    case MRT_UNARY_SOFTSIGN:
        return 8;
    default:
        return 1.1;
    }
}

static void one_unary_float(rng *r, int64_t op, mrt_dtype dtype) {
    const mrt_unary_params p = unary_params(op);
    const bool tests = op == MRT_UNARY_IS_NAN || op == MRT_UNARY_IS_INF;
    mrt_tensor x = new_dims(dtype, DIMS(40, 513)), y = new_dims(tests ? MRT_BOOL : dtype,
                                                                DIMS(40, 513));
    for (int64_t i = 0; i < ref_count(&x); i++) {
        ref_store(&x, i, ldexp((double)between(r, -4096, 4096), (int)between(r, -20, -8)));
    }
    add_corners(r, &x);
    run_case(&(kernel_case){mrt_unary_check, mrt_unary_run, &p, {&x}, 1, {&y}, 1});
    for (int64_t i = 0; i < ref_count(&x); i++) {
        const double v = ref_load(&x, i), g = ref_load(&y, i), raw = ref_unary_float(&p, v);
        const double w = dtype == MRT_F32 ? (double)(float)raw : raw;
        const double unit = dtype == MRT_F32 ? 0x1p-24 : 0x1p-50;
        const double slack = unary_slack(op) * unit * fabs(raw) + (dtype == MRT_F32 ? 1e-44 : 0);
        if (isinf(v) && (w != w || fabs(raw) == 0)) {
            continue; /* products with infinity at the limit are not pinned by the oracle */
        }
        ck_assert_msg(g == w || (g != g && w != w) || fabs(g - raw) <= slack ||
                          (dtype == MRT_F64 && fabs(g - raw) <= 1e-14),
                      "op %d type %d at %.9g: %.17g, not %.17g", (int)op, (int)dtype, v, g, raw);
    }
    if (!tests) { /* in place */
        kernel_case k = {mrt_unary_check, mrt_unary_run, &p, {&x}, 1, {&x}, 1};
        mrt_call call = case_call(&k);
        mrt_unary_run(&call);
        ck_assert(same_bytes(&x, &y));
    }
    free_tensor(&x);
    free_tensor(&y);
}

START_TEST(test_unary_float) {
    rng r = {5};
    for (int64_t op = 0; op <= MRT_UNARY_QUICK_GELU; op++) {
        if (op != MRT_UNARY_NOT && op != MRT_UNARY_BIT_NOT) {
            one_unary_float(&r, op, MRT_F32);
            one_unary_float(&r, op, MRT_F64);
        }
    }
}
END_TEST

START_TEST(test_unary_int) {
    static const int64_t ops[] = {MRT_UNARY_RELU, MRT_UNARY_ABS, MRT_UNARY_NEG, MRT_UNARY_SIGN,
                                  MRT_UNARY_CLIP, MRT_UNARY_SQUARE, MRT_UNARY_BIT_NOT,
                                  MRT_UNARY_NOT};
    rng r = {6};
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t op = ops[round % 8];
        const mrt_unary_params p = unary_params(op);
        const mrt_shape shape = random_shape(&r, 0, 6);
        const mrt_dtype dtype = op == MRT_UNARY_NOT ? MRT_BOOL : int_types[below(&r, 8)];
        mrt_tensor x = new_tensor(dtype, &shape), y = new_tensor(dtype, &shape);
        fill_small(&r, &x, -99, 99);
        if (op != MRT_UNARY_CLIP) {
            add_corners(&r, &x);
        }
        run_case(&(kernel_case){mrt_unary_check, mrt_unary_run, &p, {&x}, 1, {&y}, 1});
        mrt_tensor e = new_tensor(dtype, &shape);
        for (int64_t i = 0; i < ref_count(&x); i++) {
            ref_store_bits(&e, i, ref_unary_int(&p, dtype, ref_load_bits(&x, i)));
        }
        ck_assert_msg(same_bytes(&y, &e), "op %d type %d", (int)op, (int)dtype);
        free_tensor(&x);
        free_tensor(&y);
        free_tensor(&e);
    }
}
END_TEST

/* Every pair of types on random bit patterns and values around the limits of the target. */
START_TEST(test_cast) {
    rng r = {7};
    for (mrt_dtype from = MRT_F32; from <= MRT_BOOL; from++) {
        for (mrt_dtype to = MRT_F32; to <= MRT_BOOL; to++) {
            mrt_tensor x = new_dims(from, DIMS(3, 700)), y = new_dims(to, DIMS(3, 700));
            mrt_tensor e = new_dims(to, DIMS(3, 700));
            fill_bytes(&r, &x);
            for (int64_t i = 0; i < ref_count(&x) && (from == MRT_F32 || from == MRT_F64); i++) {
                const int power = (int)between(&r, -12, 54);
                const double edge = ldexp((double)between(&r, -2050, 2050), power);
                if (i % 2) {
                    ref_store(&x, i, edge);
                }
            }
            if (from == MRT_F32 || from == MRT_F64) {
                add_corners(&r, &x);
            }
            const mrt_cast_params p = {1};
            run_case(&(kernel_case){mrt_cast_check, mrt_cast_run, &p, {&x}, 1, {&y}, 1});
            ref_cast(&x, &e);
            for (int64_t i = 0; i < ref_count(&x); i++) {
                const double g = ref_load(&y, i), w = ref_load(&e, i), v = ref_load(&x, i);
                const bool nan = v != v && ref_is_float(to);
                ck_assert_msg(nan ? g != g : ref_load_bits(&y, i) == ref_load_bits(&e, i),
                              "%d to %d at %.17g: %.17g, not %.17g", (int)from, (int)to, v, g, w);
            }
            free_tensor(&x);
            free_tensor(&y);
            free_tensor(&e);
        }
    }
}
END_TEST

START_TEST(test_range) {
    static const mrt_dtype types[] = {MRT_F32, MRT_F64, MRT_I16, MRT_I32, MRT_I64};
    for (int t = 0; t < 5; t++) {
        mrt_tensor start = new_dims(types[t], 0, NULL), limit = new_dims(types[t], DIMS(1));
        mrt_tensor delta = new_dims(types[t], 0, NULL), y = new_dims(types[t], DIMS(9));
        const double step = t < 2 ? -0.25 : -3;
        ref_store(&start, 0, 10);
        ref_store(&limit, 0, 0);
        ref_store(&delta, 0, step);
        run_case(&(kernel_case){mrt_range_check, mrt_range_run, NULL, {&start, &limit, &delta}, 3,
                                {&y}, 1});
        for (int64_t i = 0; i < 9; i++) {
            ck_assert(ref_load(&y, i) == 10 + (double)i * step);
        }
        free_tensor(&start);
        free_tensor(&limit);
        free_tensor(&delta);
        free_tensor(&y);
    }
}
END_TEST

START_TEST(test_refusals) {
    mrt_tensor x = new_dims(MRT_F32, DIMS(2, 3)), y = new_dims(MRT_F32, DIMS(3, 2));
    mrt_tensor i = new_dims(MRT_I32, DIMS(2, 3)), b = new_dims(MRT_BOOL, DIMS(2, 3));
    mrt_tensor wide = new_dims(MRT_F32, DIMS(5, 2, 3)), half = new_dims(MRT_F16, DIMS(2, 3));
    const mrt_binary_params add = {.op = MRT_BINARY_ADD}, eq = {.op = MRT_BINARY_EQ};
    const mrt_binary_params far = {.op = 99}, relu = {MRT_BINARY_ADD, MRT_ACT_RELU, -1};
    const mrt_binary_params shift = {.op = MRT_BINARY_SHIFT_LEFT};
    const mrt_unary_params e = {.op = MRT_UNARY_EXP}, low = {.op = -1};
    const kernel_case cases[] = {
        {mrt_binary_check, NULL, &add, {&x, &y}, 2, {&x}, 1},
        {mrt_binary_check, NULL, &add, {&x, &x}, 2, {&wide}, 1},
        {mrt_binary_check, NULL, &add, {&x, &wide}, 2, {&x}, 1},
        {mrt_binary_check, NULL, &add, {&x, &i}, 2, {&x}, 1},
        {mrt_binary_check, NULL, &add, {&half, &half}, 2, {&half}, 1},
        {mrt_binary_check, NULL, &eq, {&x, &x}, 2, {&x}, 1},
        {mrt_binary_check, NULL, &far, {&x, &x}, 2, {&x}, 1},
        {mrt_binary_check, NULL, &relu, {&i, &i}, 2, {&i}, 1},
        {mrt_binary_check, NULL, &shift, {&x, &x}, 2, {&x}, 1},
        {mrt_binary_check, NULL, &add, {&x, NULL}, 2, {&x}, 1},
        {mrt_unary_check, NULL, &e, {&i}, 1, {&i}, 1},
        {mrt_unary_check, NULL, &e, {&x}, 1, {&y}, 1},
        {mrt_unary_check, NULL, &low, {&x}, 1, {&x}, 1},
        {mrt_where_check, NULL, NULL, {&x, &x, &x}, 3, {&x}, 1},
        {mrt_where_check, NULL, NULL, {&b, &x, &i}, 3, {&x}, 1},
        {mrt_cast_check, NULL, &(mrt_cast_params){0}, {&x}, 1, {&y}, 1},
        {mrt_range_check, NULL, NULL, {&x, &x, &x}, 3, {&x}, 1},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        mrt_error err = {""};
        ck_assert_msg(check_case(&cases[k], &err) != MRT_OK, "case %zu", k);
        ck_assert_msg(err.text[0] != '\0', "case %zu", k);
    }
    mrt_tensor *all[] = {&x, &y, &i, &b, &wide, &half};
    for (size_t k = 0; k < 6; k++) {
        free_tensor(all[k]);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("elem");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_binary_float);
    tcase_add_test(tests, test_binary_int);
    tcase_add_test(tests, test_binary_large);
    tcase_add_test(tests, test_where);
    tcase_add_test(tests, test_unary_float);
    tcase_add_test(tests, test_unary_int);
    tcase_add_test(tests, test_cast);
    tcase_add_test(tests, test_range);
    tcase_add_test(tests, test_refusals);
    Suite *suite = suite_create("kernels_elem");
    suite_add_tcase(suite, tests);
    return check_run(suite);
}
